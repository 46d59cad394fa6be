"""Chooses pictures of a class of Open Images (Kuznetsova et al. 2020) by its tables, and lists their addresses.

The tables are those of https://storage.googleapis.com/openimages/web/download.html: class names, labels or boxes, and images with their addresses.
"""

from __future__ import annotations

import csv
import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.curate.row_filter import finite_number
from mitlgan.data.curate.table_rows import read_rows
from mitlgan.errors import DataError, UsageError
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.text_files import read_text

MAX_CLASS_BYTES = 50_000_000
ROUNDING = 0.01
BOX = ("XMin", "XMax", "YMin", "YMax")
WHERE = "see https://storage.googleapis.com/openimages/web/download.html"


@dataclass(frozen=True)
class ImageAddress:
    """One picture of a class.

    Attributes:
        key: Its ImageID.
        url: Its address.
        license: Address of its licence.
        author: Its author.
    """

    key: str
    url: str
    license: str
    author: str


@dataclass(frozen=True)
class ClassTables:
    """Tables of Open Images; all but the first may be gzipped.

    Attributes:
        classes: `oidv7-class-descriptions.csv` or an earlier form, without its header.
        labels: Image labels (ImageID, LabelName, Confidence), or boxes, which also have XMin, XMax, YMin and YMax.
        images: ImageID, OriginalURL, License, Author, Thumbnail300KURL.
    """

    classes: Path
    labels: Path
    images: Path


def list_class(name: str, tables: ClassTables, *, min_share: float = 0.0, thumbnails: bool = False, limit: int | None = None) -> list[ImageAddress]:
    """Return the pictures of a class, in the order of the table of images; an address may be empty.

    Args:
        name: Of the class, such as `Dog` or `/m/0bt9lr`; upper and lower case do not matter.
        tables: The three tables.
        min_share: Share of the picture that its largest box of the class must cover; needs a table of boxes.
        thumbnails: Whether the addresses are those of the smaller copies, about 300,000 pixels, where there are any.
        limit: Maximum number of pictures that have an address.

    Raises:
        UsageError: There is no such class.
        DataError: A table is not what it should be, or no picture is left.
    """
    labels = _find_labels(name, tables.classes)
    chosen = {image for image, share in _shares(labels, tables.labels, min_share).items() if share >= min_share}
    addresses, listed = list[ImageAddress](), 0
    for number, row in enumerate(read_rows(tables.images, "--images"), start=2):
        if number == 2:
            _require_columns(row, ("ImageID", "OriginalURL"), "--images", tables.images)
        if row.get("ImageID") in chosen and listed != limit:
            url = (row.get("Thumbnail300KURL") if thumbnails else "") or row.get("OriginalURL") or ""
            addresses.append(ImageAddress(row["ImageID"], url.strip(), str(row.get("License") or ""), str(row.get("Author") or "")))
            listed += bool(addresses[-1].url)
    if not addresses:
        large = f" that covers {min_share:.0%} of its picture" if min_share else ""
        lower = "; or lower --min-share" if min_share else ""
        raise DataError(
            f"CLASS {name}: none of {tables.images.name} has it{large}; give tables of one subset, or a narrower class: a picture of a Dog need not "
            f"be labelled Animal, too{lower}"
        )
    return addresses


def write_addresses(addresses: list[ImageAddress], out: Path) -> int:
    """Write addresses as JSON lines, for `data fetch`; pictures without an address are left out.

    Returns:
        Number of lines.

    Raises:
        DataError: None of the pictures has an address; nothing is written.
        ResourceError: The file cannot be written.
    """
    lines = [f"{json.dumps(asdict(address), ensure_ascii=False)}\n" for address in addresses if address.url]
    if not lines:
        raise DataError(f"--images: none of {len(addresses)} pictures has an address; {WHERE}")
    write_atomically(out, "".join(lines), is_new=True)
    return len(lines)


def _find_labels(name: str, classes: Path) -> set[str]:
    """Return the labels, such as `/m/0bt9lr`, of a class: a few classes share a name."""
    lines = read_text(classes, f"--classes {classes}", DataError, MAX_CLASS_BYTES).splitlines()
    rows = [row for row in csv.reader(lines) if len(row) == 2 and row[0].startswith("/")]
    if not rows:
        raise DataError(f"--classes {classes}: not the table of classes, lines such as /m/0bt9lr,Dog; {WHERE}")
    sought = name.strip().casefold()
    labels = {label.strip() for label, title in rows if sought in (title.strip().casefold(), label.strip().casefold())}
    if not labels:
        close = difflib.get_close_matches(name.capitalize(), {title.strip(): None for _, title in rows}, n=3, cutoff=0.0)
        raise UsageError(f"CLASS {name}: Open Images has no such class; the closest are {', '.join(close)}")
    return labels


def _shares(names: set[str], labels: Path, min_share: float) -> dict[str, float]:
    """Return the pictures that have a label, each with the share of it that its largest box covers; 1 in a table without boxes."""
    shares, has_boxes = dict[str, float](), False
    for number, row in enumerate(read_rows(labels, "--labels"), start=2):
        if number == 2:
            _require_columns(row, ("ImageID", "LabelName"), "--labels", labels)
            has_boxes = "XMin" in row
            if min_share and not has_boxes:
                raise DataError(f"--labels {labels}: has no boxes, which --min-share needs; give the table of boxes")
        if row.get("LabelName") not in names:
            continue
        try:
            confidence = _number(row.get("Confidence", 1))
            share = _box_share(*(_number(row[side]) for side in BOX)) if has_boxes else 1.0
            image = row["ImageID"]
        except (KeyError, ValueError):
            raise DataError(
                f"--labels {labels}:{number}: needs an ImageID and, of a box, four shares of its picture from 0 to 1; a Confidence is a number"
            ) from None
        if confidence > 0:  # 0: people said that the picture does not have it
            shares[image] = max(share, shares.get(image, 0.0))
    return shares


def _number(cell: Any) -> float:
    """Return a cell's number.

    Raises:
        ValueError: It has none.
    """
    number = finite_number(cell)
    if number is None:
        raise ValueError
    return number


def _box_share(left: float, right: float, top: float, bottom: float) -> float:
    if not (-ROUNDING <= left <= right <= 1 + ROUNDING and -ROUNDING <= top <= bottom <= 1 + ROUNDING):  # false for NaN, too
        raise ValueError
    return (right - left) * (bottom - top)


def _require_columns(row: dict[str, Any], columns: tuple[str, ...], option: str, path: Path) -> None:
    missing = next((column for column in columns if column not in row), None)
    if missing is not None:
        raise DataError(f"{option} {path}: has no column {missing}; {WHERE}")
