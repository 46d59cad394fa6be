"""The page of `data prepare`: what was packed, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mitlgan.data.build.parallel import in_order
from mitlgan.data.build.prepare import PAGE_FILE
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.report.contact_sheets import (
    MAX_CELLS,
    THUMBNAIL_PX,
    Fact,
    SheetCell,
    SheetPage,
    SheetSection,
    packed_picture,
    shown_note,
    thumbnail,
    write_sheet,
)

MAX_REASONS = 12


def write_pack_page(out: Path, packed: ImagePack) -> Path:
    """Write the contact sheet of a pack."""
    positions = evenly_spaced(range(len(packed)), MAX_CELLS)
    names = {position: str(source["name"]) for position, source in packed.sources_at(set(positions)).items()}
    thumbnails = in_order(positions, lambda position: thumbnail(packed_picture(packed, position)))
    cells = [SheetCell(uri, names[position], crisp=packed.size_px < THUMBNAIL_PX) for position, uri in thumbnails]
    reasons = Counter(entry["reason"].split(":")[0] for entry in packed.manifest["skipped"])
    common, kinds = reasons.most_common(MAX_REASONS), len(reasons) - MAX_REASONS
    facts = [Fact(f"{number:,} left out: {reason}.", bad=True) for reason, number in common]
    if rest := reasons.total() - sum(number for _, number in common):
        facts.append(Fact(f"{rest:,} more left out, for {kinds:,} other {'reason' if kinds == 1 else 'reasons'}: see prepared.json.", bad=True))
    sections = [SheetSection("Pictures", shown_note(len(packed)), cells)]
    headline = f"{len(packed):,} pictures of {packed.size_px} px"
    return write_sheet(out / PAGE_FILE, SheetPage(f"prepare: {out.name}", "mitlgan data prepare", headline, facts, None, sections), root=out)
