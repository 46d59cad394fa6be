"""The page of `data check`: verdict, numbers, histograms, duplicates, and some pictures of every set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mitlgan.data.curate.check import CheckResult, SetReport, summarize_set
from mitlgan.data.curate.duplicates import DuplicatePair
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.report.contact_sheets import (
    THUMBNAIL_PX,
    Fact,
    Histogram,
    SheetCell,
    SheetPage,
    SheetSection,
    draw_histogram,
    packed_picture,
    side_by_side,
    thumbnail,
    write_sheet,
)
from mitlgan.report.table import Table, TableRow

MAX_PICTURES = 60  # pictures of each set
MAX_PAIRS = 48


def write_check_page(path: Path, result: CheckResult, *, is_new: bool = False) -> Path:
    """Write the page of a check; `is_new` as of `mitlgan.runtime.files.write_atomically`.

    Raises:
        ResourceError: It cannot be written, or is not new.
    """
    sections = []
    for report in result.sets:
        charts = _charts(report)
        cells = _cells(report)
        lead = f"{len(report.pictures):,} pictures; {len(cells)} are shown, sampled evenly." if cells else f"{len(report.pictures):,} pictures."
        sections.append(SheetSection(report.name, lead, cells, charts))
    if result.pairs:
        pairs, are = ("pair", "is") if result.pair_count == 1 else ("pairs", "are")
        lead = f"{result.pair_count:,} {pairs} within and across the sets; {min(len(result.pairs), MAX_PAIRS)} {are} shown."
        sections.insert(0, SheetSection("Pictures that occur twice", lead, _pair_cells(result.pairs[:MAX_PAIRS], result.sets), explained=True))
    facts = [Fact(text, bad) for text, bad in sorted(result.verdict, key=lambda entry: not entry[1])]
    names = ", ".join(report.name for report in result.sets)
    page = SheetPage(f"check: {names}", "mitlgan data check", result.headline, facts, _check_table(result), sections, curated=True)
    return write_sheet(path, page, is_new=is_new)


def _check_table(result: CheckResult) -> Table:
    headings = ("pictures", "unreadable", "shorter side", "channels", "mean red, green, blue", "with matte", "object covers")
    rows = []
    for report in result.sets:
        summary = summarize_set(report)
        side, cover = summary["shorter_side_px"], summary["coverage"]
        cells = (
            f"{summary['count']:,}",
            f"{summary['unreadable']:,}",
            f"{side['least']} to {side['most']} px" if side else "—",
            ", ".join(f"{number:,} {mode}" for mode, number in summary["channels"].items()) or "—",
            ", ".join(f"{value:.0f}" for value in summary["mean_rgb"]),
            f"{summary['with_matte']:,}",
            f"{cover['mean']:.0%} ({cover['least']:.0%} to {cover['most']:.0%})" if cover else "—",
        )
        rows.append(TableRow(report.name, report.split, cells, None))
    return Table("set", headings, rows)


def _charts(report: SetReport) -> list[Histogram]:
    if not report.pictures:
        return []
    histograms = np.mean([one.histogram for one in report.pictures], axis=0)
    charts = [
        draw_histogram(name, "share of pixels by value", histograms[channel], "0", "255", color)
        for channel, (name, color) in enumerate((("Red", 5), ("Green", 4), ("Blue", 0)))
    ]
    sides = [min(one.width, one.height) for one in report.pictures]
    if min(sides) < max(sides):
        counts, edges = np.histogram(sides, bins=24)
        charts.append(draw_histogram("Shorter side", "pictures by size", counts, f"{edges[0]:.0f} px", f"{edges[-1]:.0f} px", 2))
    covers = [one.coverage for one in report.pictures if one.coverage is not None]
    if covers:
        counts, _ = np.histogram(covers, bins=25, range=(0, 1))
        charts.append(draw_histogram("Foreground coverage", "pictures by share of the object", counts, "0 %", "100 %", 3))
    return charts


def _cells(report: SetReport) -> list[SheetCell]:
    """Return thumbnails of some pictures of a set."""
    read = _reader(report.content)
    names = [picture.name for picture in evenly_spaced(report.pictures, MAX_PICTURES)]
    return [SheetCell(thumbnail(picture), name) for name in names if (picture := read(name)) is not None]


def _pair_cells(pairs: Sequence[DuplicatePair], sets: Sequence[SetReport]) -> list[SheetCell]:
    """Return both pictures of each pair, side by side; the second can be left out."""
    names = {name for pair in pairs for name in (pair.first_set, pair.second_set)}
    readers = {report.name: _reader(report.content) for report in sets if report.name in names}
    cells = []
    for pair in pairs:
        pictures = [readers[name](picture) for name, picture in ((pair.first_set, pair.first), (pair.second_set, pair.second))]
        where = "" if pair.first_set == pair.second_set else f" of {pair.second_set}"
        note = f"{where} {'equals' if pair.exact else 'looks like'} {pair.first} of {pair.first_set}"
        cells.append(SheetCell(side_by_side([None if picture is None else _squared(picture) for picture in pictures]), pair.second, note))
    return cells


def _squared(picture: Image.Image) -> Image.Image:
    return picture.convert("RGBA").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)


def _reader(content: ImageSource | ImagePack) -> Callable[[str], Image.Image | None]:
    """Return a function from a picture's name to the picture, or to None if the picture is gone."""
    if isinstance(content, ImagePack):
        positions = {str(source["name"]): position for position, source in enumerate(content.sources())}
        return lambda name: packed_picture(content, positions[name])
    entries = {entry.name: entry for entry in content.entries}

    def read(name: str) -> Image.Image | None:
        try:
            return decode_bytes(entries[name].read(), keep_alpha=True, size_px=THUMBNAIL_PX).picture
        except (UnreadableImageError, KeyError):
            return None

    return read
