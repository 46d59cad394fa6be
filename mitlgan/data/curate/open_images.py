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

from mitlgan.data.curate.table_selection import read_rows
from mitlgan.errors import DataError, UsageError
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.runtime.text_files import read_text

MAX_CLASS_BYTES = 50_000_000
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
    """Return the pictures of a class, in the order of the table of images.

    Args:
        name: Of the class, such as `Dog`; upper and lower case do not matter.
        tables: The three tables.
        min_share: Share of the picture that its largest box of the class must cover; needs a table of boxes.
        thumbnails: Whether the addresses are those of the smaller copies, about 300,000 pixels, where there are any.
        limit: Maximum number of pictures.

    Raises:
        UsageError: There is no such class.
        DataError: A table is not what it should be, or no picture is left.
    """
    label = _find_label(name, tables.classes)
    chosen = {image for image, share in _shares(label, tables.labels, min_share).items() if share >= min_share}
    addresses: list[ImageAddress] = []
    for number, row in enumerate(read_rows(tables.images, "--images"), start=2):
        if number == 2:
            _require_columns(row, ("ImageID", "OriginalURL"), "--images", tables.images)
        if row["ImageID"] in chosen and len(addresses) != limit:
            url = (row.get("Thumbnail300KURL") if thumbnails else "") or row.get("OriginalURL") or ""
            addresses.append(ImageAddress(row["ImageID"], url, str(row.get("License") or ""), str(row.get("Author") or "")))
    if not addresses:
        large = f" that covers {min_share:.0%} of its picture" if min_share else ""
        raise DataError(f"CLASS {name}: none of {tables.images.name} has it{large}; give tables of one subset, or lower --min-share")
    return addresses


def write_addresses(addresses: list[ImageAddress], out: Path) -> None:
    """Write addresses as JSON lines, for `data fetch --url-column url`.

    Raises:
        ResourceError: The file cannot be written.
    """
    ensure_folder(out.parent)
    write_atomically(out, "".join(f"{json.dumps(asdict(address), ensure_ascii=False)}\n" for address in addresses))


def _find_label(name: str, classes: Path) -> str:
    """Return the label, such as `/m/0bt9lr`, of a class."""
    lines = read_text(classes, f"--classes {classes}", DataError, MAX_CLASS_BYTES).splitlines()
    names = {row[1].strip(): row[0].strip() for row in csv.reader(lines) if len(row) == 2 and row[0].startswith("/")}
    labels = {display_name.casefold(): label for display_name, label in names.items()}
    if not labels:
        raise DataError(f"--classes {classes}: not the table of classes, lines such as /m/0bt9lr,Dog; {WHERE}")
    label = labels.get(name.strip().casefold())
    if label is None:
        close = difflib.get_close_matches(name.capitalize(), names, n=3, cutoff=0.0)
        raise UsageError(f"CLASS {name}: Open Images has no such class; the closest are {', '.join(close)}")
    return label


def _shares(label: str, labels: Path, min_share: float) -> dict[str, float]:
    """Return the pictures that have a label, each with the share of it that its largest box covers; 1 in a table without boxes."""
    shares: dict[str, float] = {}
    for number, row in enumerate(read_rows(labels, "--labels"), start=2):
        if number == 2:
            _require_columns(row, ("ImageID", "LabelName"), "--labels", labels)
            if min_share and "XMin" not in row:
                raise DataError(f"--labels {labels}: has no boxes, which --min-share needs; give the table of boxes")
        if row.get("LabelName") != label or row.get("Confidence") == "0":
            continue
        try:
            share = (float(row["XMax"]) - float(row["XMin"])) * (float(row["YMax"]) - float(row["YMin"])) if "XMin" in row else 1.0
        except (KeyError, ValueError):
            raise DataError(f"--labels {labels}:{number}: a box without its four numbers; get it again") from None
        shares[row["ImageID"]] = max(share, shares.get(row["ImageID"], 0.0))
    return shares


def _require_columns(row: dict[str, Any], columns: tuple[str, ...], option: str, path: Path) -> None:
    missing = next((column for column in columns if column not in row), None)
    if missing is not None:
        raise DataError(f"{option} {path}: has no column {missing}; {WHERE}")
