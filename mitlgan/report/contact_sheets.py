"""Contact sheets: pages on which a person looks at a set of pictures, and chooses what to leave out."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from mitlgan.data.build.parallel import in_order
from mitlgan.data.curate.exclude_list import escape_name
from mitlgan.data.layers.arrange import UNUSED_FOLDER
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.image_source import output_stem
from mitlgan.images.encode import encode_image
from mitlgan.report.formatting import printable
from mitlgan.report.tables import Table
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.version import __version__

THUMBNAIL_PX = 112
MAX_CELLS = 240  # pictures a section, evenly drawn where there are more


@dataclass(frozen=True)
class SheetCell:
    """One picture of a sheet.

    Attributes:
        uri: data: URI.
        name: Of its source; empty where there is none to leave out.
        note: Shown under it.
        crisp: Enlarge without smoothing.
    """

    uri: str
    name: str = ""
    note: str = ""
    crisp: bool = False

    @property
    def line(self) -> str:
        """The name as a line of an exclude list."""
        return escape_name(self.name)


@dataclass(frozen=True)
class Histogram:
    """A histogram."""

    title: str
    hint: str
    alt: str
    svg: Markup
    low: str
    high: str
    colour: int = 0


@dataclass(frozen=True)
class SheetSection:
    """Pictures, or histograms, under one heading; a click on one puts it on the list for `--exclude` or `--keep`, as `choice` says."""

    title: str
    lead: str
    cells: Sequence[SheetCell] = ()
    charts: Sequence[Histogram] = ()
    explained: bool = False
    choice: str = "exclude"


@dataclass(frozen=True)
class Fact:
    """One sentence of a verdict; `bad` ones hurt training."""

    text: str
    bad: bool = False


@dataclass(frozen=True)
class SheetPage:
    """A sheet, as the template shows it; `curated` lets pictures be chosen to be left out, `again` says how the command is then run again."""

    title: str
    kind: str
    headline: str
    facts: Sequence[Fact] = ()
    table: Table | None = None
    sections: Sequence[SheetSection] = field(default_factory=list)
    curated: bool = True
    again: str = "and a new --out"


def write_sheet(path: Path, page: SheetPage) -> Path:
    """Render a sheet into one self-contained file. Names in it may be hostile: they are escaped.

    Raises:
        ResourceError: It cannot be written.
    """
    loader = jinja2.PackageLoader("mitlgan", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup("".join(loader.get_source(environment, name)[0] for name in ("page.css", "sheet.css")))
    made_by = f"mitlgan {__version__}"
    ensure_folder(path.parent)
    write_atomically(path, environment.get_template("sheet.html.j2").render(page=page, style=style, made_by=made_by))
    return path


def write_split_page(out: Path, manifest: Mapping[str, Any]) -> Path:
    """The contact sheet of `data split`: doubtful cuts first, then what was set aside and why, then all."""
    counts, records = manifest["counts"], manifest["records"]
    used = [line for line in records if line["decision"] == "used"]
    sections = []
    doubtful = sorted((line for line in used if line["doubtful"]), key=lambda line: line["confidence"])
    if doubtful:
        lead = f"Used, and trusted least; the picture with its matte in red, and what was cut out. {_shown(len(doubtful))}"
        cells = [_doubtful_cell(out, line) for line in doubtful[:MAX_CELLS]]
        sections.append(SheetSection("Look at these first", lead, cells, explained=True))
    aside = sorted((line for line in records if line["decision"] == "set aside"), key=lambda line: -line.get("confidence", 0.0))
    if aside:
        cells = [_aside_cell(out, line) for line in evenly_spaced(aside)]
        lead = f"Not used; the matte that was found is red. Click what is good all the same. {_shown(len(aside))}"
        sections.append(SheetSection("Set aside", lead, cells, explained=True, choice="keep"))
    for folder, title, lead in (
        ("fg", "Foregrounds", "Objects cut out of their pictures."),
        ("bg", "Backgrounds", "The same places without the object: its hole filled, or a crop beside it. A click leaves out this one alone."),
        ("scene", "Scenes", "The pictures themselves, as they will be shown to the composer's critic."),
    ):
        files = [(line["name"], name) for line in used for name in line["files"] if name.startswith(f"{folder}/") and ".matte." not in name]
        cells = [SheetCell(file_thumbnail(out / file), f"bg/{Path(file).name}" if folder == "bg" else name) for name, file in evenly_spaced(files)]
        sections.append(SheetSection(title, f"{lead} {_shown(len(files))}", cells))
    methods = ", ".join(f"{number} by {name}" for name, number in manifest["methods"].items())
    facts = [Fact(f"{counts['used']} of {sum(counts.values())} pictures were cut. Mattes: {methods or 'none'}.")]
    if manifest["splits"]:
        facts.append(Fact("Photographs: " + ", ".join(f"{number} in {name}" for name, number in manifest["splits"].items()) + "."))
    facts += [Fact(f"{counts[name]} {name}.", bad=True) for name in ("set aside", "duplicate", "unreadable") if counts[name]]
    if doubtful:
        facts.append(Fact(f"{len(doubtful)} are doubtful, and shown first.", bad=True))
    if manifest["unfilled"]:
        facts.append(
            Fact(f"{manifest['unfilled']} have no filled background: the object's hole is above {manifest['made_by']['settings']['max_hole']:.0%}.")
        )
    if manifest["fills_left_out"]:
        facts.append(Fact(f"{manifest['fills_left_out']} have no filled background: what fills the hole is no good."))
    headline = f"{len(used)} pictures, cut into foregrounds, backgrounds and scenes"
    page = SheetPage(f"split: {out.name}", "mitlgan data split", headline, facts, None, sections, again="and the same --out: nothing is cut again")
    return write_sheet(out / "sheet.html", page)


def _doubtful_cell(out: Path, line: Mapping[str, Any]) -> SheetCell:
    """The picture with its matte, and the object, side by side."""
    both = Image.new("RGBA", (2 * THUMBNAIL_PX + 4, THUMBNAIL_PX))
    stem = output_stem(line["name"])
    cutout = next(name for name in line["files"] if name.startswith("fg/") and ".matte." not in name)
    for place, path in enumerate((out / UNUSED_FOLDER / "set-aside" / f"{stem}.png", out / cutout)):
        with suppress(OSError, ValueError), Image.open(path) as picture:
            both.alpha_composite(fit_thumbnail(picture), (place * (THUMBNAIL_PX + 4), 0))
    return SheetCell(thumbnail(both, both.width), line["name"], line["doubt"])


def fit_thumbnail(picture: Image.Image) -> Image.Image:
    """A picture within a thumbnail's square."""
    small = picture.convert("RGBA")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return small


def write_pack_page(out: Path, packed: ImagePack) -> Path:
    """The contact sheet of `data prepare`: what was taken, and in words what was not."""
    shown = evenly_spaced(range(len(packed)))
    names = {position: str(source["name"]) for position, source in packed.sources_at(set(shown)).items()}
    drawn = in_order(shown, lambda position: thumbnail(packed_picture(packed, position)))
    cells = [SheetCell(uri, names[position], crisp=packed.size_px < THUMBNAIL_PX) for position, uri in drawn]
    reasons = Counter(entry["reason"].split(":")[0] for entry in packed.manifest["skipped"])
    facts = [Fact(f"{number:,} left out: {reason}.", bad=True) for reason, number in reasons.most_common(12)]
    sections = [SheetSection("Pictures", _shown(len(packed)), cells)]
    headline = f"{len(packed):,} pictures of {packed.size_px} px"
    return write_sheet(out / "sheet.html", SheetPage(f"prepare: {out.name}", "mitlgan data prepare", headline, facts, None, sections))


def packed_picture(packed: ImagePack, position: int) -> Image.Image:
    """A packed picture as a person sees it: RGBA for objects with alpha."""
    picture = packed.picture(position)
    return picture.convert("RGBA") if picture.mode == "RGBa" else picture


def _aside_cell(out: Path, line: Mapping[str, Any]) -> SheetCell:
    return SheetCell(file_thumbnail(out / "set-aside" / f"{output_stem(line['name'])}.png"), line["name"], line["reason"])


def _shown(total: int) -> str:
    return f"{total:,} in all." if total <= MAX_CELLS else f"{MAX_CELLS} of {total:,} are shown, evenly drawn."


def evenly_spaced(items: Sequence[Any], count: int = MAX_CELLS) -> list[Any]:
    """At most `count` of the items, evenly drawn, in their order."""
    if len(items) <= count:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]


def file_thumbnail(path: Path) -> str:
    """A file of our own making as a small data: URI; a grey square where it has gone."""
    try:
        with Image.open(path) as picture:
            return thumbnail(picture)
    except (OSError, ValueError):
        return thumbnail(Image.new("RGB", (8, 8), "grey"))


def thumbnail(picture: Image.Image, size_px: int = THUMBNAIL_PX) -> str:
    """A picture as a small data: URI, JPEG, transparency over grey squares."""
    picture = picture.copy()
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        squares = (np.indices((picture.height, picture.width)) // 8).sum(0) % 2
        grey = Image.fromarray((188 + 24 * squares).astype(np.uint8)).convert("RGBA")
        grey.alpha_composite(picture)
        picture = grey
    return "data:image/jpeg;base64," + base64.b64encode(encode_image(picture.convert("RGB"), "JPEG", quality=85)).decode("ascii")


def draw_histogram(title: str, hint: str, counts: Iterable[float], low: str, high: str, colour: int = 0) -> Histogram:
    """Bars of equal width, the tallest as high as the figure."""
    values = [float(value) for value in counts]
    tallest, width = max(values, default=0.0) or 1.0, 100 / max(1, len(values))
    bars = "".join(
        f'<rect x="{index * width:.2f}" y="{40 - 40 * value / tallest:.2f}" width="{width * 0.86:.2f}" height="{40 * value / tallest:.2f}"/>'
        for index, value in enumerate(values)
    )
    svg = Markup(f'<svg viewBox="0 0 100 40" preserveAspectRatio="none" fill="var(--arm)" aria-hidden="true">{bars}</svg>')
    return Histogram(title, hint, f"{title}, from {low} to {high}", svg, low, high, colour)


def _finalize(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
