"""Contact sheets: pages on which a person looks at a set of pictures and chooses which to leave out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from mitlgan.data.curate.exclude_list import escape_name
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.encode import data_uri, encode_image
from mitlgan.report.table import Table
from mitlgan.report.templates import render
from mitlgan.runtime.files import write_atomically
from mitlgan.version import __version__

THUMBNAIL_PX, GUTTER_PX = 112, 4
MAX_CELLS = 240  # pictures of a section; more are sampled evenly


@dataclass(frozen=True)
class SheetCell:
    """One picture of a sheet.

    Attributes:
        uri: data: URI.
        name: Of its source; empty if it cannot be left out.
        note: Text below it.
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
    color: int = 0


@dataclass(frozen=True)
class SheetSection:
    """Pictures or histograms under one heading; a click on a picture adds it to the list for `--exclude` or `--keep`, as `choice` says."""

    title: str
    lead: str
    cells: Sequence[SheetCell] = ()
    charts: Sequence[Histogram] = ()
    explained: bool = False
    choice: str = "exclude"


@dataclass(frozen=True)
class Fact:
    """One sentence of a verdict; `bad` facts hurt training."""

    text: str
    bad: bool = False


@dataclass(frozen=True)
class SheetPage:
    """A sheet, as the template shows it; `curated` lets pictures be chosen, `again` ends the sentence that says how to run the command again."""

    title: str
    kind: str
    headline: str
    facts: Sequence[Fact] = ()
    table: Table | None = None
    sections: Sequence[SheetSection] = field(default_factory=list)
    curated: bool = True
    again: str = "and a new --out"


def write_sheet(path: Path, page: SheetPage, *, root: Path | None = None, is_new: bool = False) -> Path:
    """Write a sheet as one self-contained file. Names in it may be hostile: they are escaped.

    `root` and `is_new` as of `mitlgan.runtime.files.write_atomically`.

    Raises:
        ResourceError: The file cannot be written.
    """
    text = render("sheet.html.j2", ("page.css", "sheet.css"), page=page, made_by=f"mitlgan {__version__}")
    write_atomically(path, text, root=root, is_new=is_new)
    return path


def shown_note(total: int) -> str:
    """Return how many pictures a section shows of all."""
    return f"{total:,} in all." if total <= MAX_CELLS else f"{MAX_CELLS} of {total:,} are shown, sampled evenly."


def file_thumbnail(path: Path) -> str:
    """Return a picture file as a small data: URI, or a grey square if it is missing."""
    try:
        with Image.open(path) as picture:
            return thumbnail(picture)
    except (OSError, ValueError):
        return thumbnail(Image.new("RGB", (8, 8), "grey"))


def thumbnail(picture: Image.Image, size_px: int = THUMBNAIL_PX) -> str:
    """Return a picture as a small data: URI: JPEG, with transparency over grey squares."""
    picture = picture.copy()
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        squares = (np.indices((picture.height, picture.width)) // 8).sum(0) % 2
        grey = Image.fromarray((188 + 24 * squares).astype(np.uint8)).convert("RGBA")
        grey.alpha_composite(picture)
        picture = grey
    return data_uri(encode_image(picture.convert("RGB"), "JPEG", quality=85), "jpeg")


def draw_histogram(title: str, hint: str, counts: Iterable[float], low: str, high: str, color: int = 0) -> Histogram:
    """Return a histogram with bars of equal width, the tallest as high as the figure."""
    values = [float(value) for value in counts]
    tallest, width = max(values, default=0.0) or 1.0, 100 / max(1, len(values))
    bars = "".join(
        f'<rect x="{index * width:.2f}" y="{40 - 40 * value / tallest:.2f}" width="{width * 0.86:.2f}" height="{40 * value / tallest:.2f}"/>'
        for index, value in enumerate(values)
    )
    svg = Markup(f'<svg viewBox="0 0 100 40" preserveAspectRatio="none" fill="var(--arm)" aria-hidden="true">{bars}</svg>')
    return Histogram(title, hint, f"{title}, from {low} to {high}", svg, low, high, color)


def fit_thumbnail(picture: Image.Image) -> Image.Image:
    """Return a picture as RGBA, within the square of a thumbnail."""
    small = picture.convert("RGBA")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return small


def side_by_side(pictures: Sequence[Image.Image | None]) -> str:
    """Return pictures that fit a thumbnail in one row, as a data: URI; None leaves a gap."""
    row = Image.new("RGBA", (len(pictures) * (THUMBNAIL_PX + GUTTER_PX) - GUTTER_PX, THUMBNAIL_PX))
    for index, picture in enumerate(pictures):
        if picture is not None:
            row.alpha_composite(picture, (index * (THUMBNAIL_PX + GUTTER_PX), 0))
    return thumbnail(row, row.width)


def packed_picture(packed: ImagePack, position: int) -> Image.Image:
    """Return a packed picture as a person sees it: RGBA with straight alpha for objects with alpha."""
    picture = packed.picture(position)
    return picture.convert("RGBA") if picture.mode == "RGBa" else picture
