"""The page of `data split`: doubtful cuts first, then what was set aside and why, then everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from mitlgan.data.layers.arrange import UNUSED_FOLDER
from mitlgan.data.layers.split_output import describe_missing_scenes
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.image_source import output_stem
from mitlgan.report.contact_sheets import (
    MAX_CELLS,
    Fact,
    SheetCell,
    SheetPage,
    SheetSection,
    file_thumbnail,
    fit_thumbnail,
    shown_note,
    side_by_side,
    write_sheet,
)

Record = Mapping[str, Any]
"""What the manifest says of one picture."""

LAYERS = (
    ("fg", "Foregrounds", "Objects cut out of their pictures."),
    ("bg", "Backgrounds", "The same places without the object: its hole filled, or a crop next to it. A click leaves out this background alone."),
    ("scene", "Scenes", "The pictures themselves, as the composer's critic will see them."),
)
_UNUSED = (
    ("set aside", "set aside", "set aside"),
    ("duplicate", "duplicate", "duplicates"),
    ("unreadable", "file that cannot be read", "files that cannot be read"),
)
"""Decision on a picture that is not used, and the words for one and for several of them."""


def write_split_page(out: Path, manifest: Mapping[str, Any]) -> Path:
    """Write the contact sheet of a split."""
    records = manifest["records"]
    used = [record for record in records if record["decision"] == "used"]
    doubtful = sorted((record for record in used if record["doubtful"]), key=lambda record: record["confidence"])
    set_aside = sorted((record for record in records if record["decision"] == "set aside"), key=lambda record: -record.get("confidence", 0.0))
    sections = []
    if doubtful:
        lead = f"Used, but the least certain: the picture with its matte in red, and what was cut out. {shown_note(len(doubtful))}"
        sections.append(SheetSection("Look at these first", lead, [_doubtful_cell(out, record) for record in doubtful[:MAX_CELLS]], explained=True))
    if set_aside:
        lead = f"Not used; the matte is red. Click the pictures that are good after all. {shown_note(len(set_aside))}"
        cells = [_set_aside_cell(out, record) for record in evenly_spaced(set_aside, MAX_CELLS)]
        sections.append(SheetSection("Set aside", lead, cells, explained=True, choice="keep"))
    sections += [_layer_section(out, used, *layer) for layer in LAYERS]
    facts = list(_facts(manifest, len(doubtful)))
    headline = f"{len(used)} pictures, cut into foregrounds, backgrounds and scenes"
    again = "and the same --out: nothing is cut a second time"
    return write_sheet(
        out / "sheet.html", SheetPage(f"split: {out.name}", "mitlgan data split", headline, facts, None, sections, again=again), root=out
    )


def _facts(manifest: Mapping[str, Any], doubtful: int) -> Iterator[Fact]:
    counts = manifest["counts"]
    methods = ", ".join(f"{number} by {name}" for name, number in manifest["methods"].items())
    yield Fact(f"{counts['used']} of {sum(counts.values())} pictures were cut. Mattes: {methods or 'none'}.")
    if manifest["splits"]:
        yield Fact("Photographs: " + ", ".join(f"{number} in {name}" for name, number in manifest["splits"].items()) + ".")
    for name, one, many in _UNUSED:
        if counts[name]:
            yield Fact(f"{counts[name]} {one if counts[name] == 1 else many}.", bad=True)
    if doubtful:
        yield Fact(f"{doubtful} are doubtful, and shown first.", bad=True)
    if manifest["unfilled"]:
        limit = manifest["made_by"]["settings"]["max_hole"]
        yield Fact(f"{manifest['unfilled']} have no filled background: the object's hole is larger than {limit:.0%}.")
    if manifest["fills_left_out"]:
        yield Fact(f"{manifest['fills_left_out']} have no filled background: the hole could not be filled well.")
    for sentence in describe_missing_scenes(manifest["records"]):
        yield Fact(f"{sentence}.")


def _layer_section(out: Path, used: Sequence[Record], folder: str, title: str, lead: str) -> SheetSection:
    files = [(record["name"], file) for record in used for file in record["files"] if file.startswith(f"{folder}/") and ".matte." not in file]
    labels = [(file, f"bg/{Path(file).name}" if folder == "bg" else name) for name, file in evenly_spaced(files, MAX_CELLS)]
    cells = [SheetCell(file_thumbnail(out / file), label) for file, label in labels]
    return SheetSection(title, f"{lead} {shown_note(len(files))}", cells)


def _doubtful_cell(out: Path, record: Record) -> SheetCell:
    """Return the picture with its matte next to the object."""
    cutout = next(file for file in record["files"] if file.startswith("fg/") and ".matte." not in file)
    paths = (out / UNUSED_FOLDER / "set-aside" / f"{output_stem(record['name'])}.png", out / cutout)
    return SheetCell(side_by_side([_open_thumbnail(path) for path in paths]), record["name"], record["doubt"])


def _open_thumbnail(path: Path) -> Image.Image | None:
    with suppress(OSError, ValueError), Image.open(path) as picture:
        return fit_thumbnail(picture)
    return None


def _set_aside_cell(out: Path, record: Record) -> SheetCell:
    return SheetCell(file_thumbnail(out / "set-aside" / f"{output_stem(record['name'])}.png"), record["name"], record["reason"])
