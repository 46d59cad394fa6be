"""CelebA (Liu et al. 2015): the folder of aligned pictures and the file of their forty attributes."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers.common import decode_files, read_whole_file, write_pack
from mitlgan.data.readers.faces import crop_faces, face_finder
from mitlgan.errors import DataError, UsageError
from mitlgan.runtime.text_files import TextError, decode_text

PICTURE_FOLDERS = ("img_align_celeba", "img_align_celeba/img_align_celeba", "img_celeba", "Img/img_align_celeba", ".")
"""Where the pictures may be; Kaggle's copy has its folder nested twice, the authors' has Img/ and Anno/."""
ATTRIBUTES = "list_attr_celeba.txt"
KAGGLE_ATTRIBUTES = "list_attr_celeba.csv"
WHERE = "img_align_celeba.zip and list_attr_celeba.txt are at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (for research, not for trade)"
LICENCE = "CelebA: non-commercial research only"


def read_attributes(path: Path) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Return the names of the attributes, and the value of each, +1 or -1, by file name.

    Raises:
        DataError: The file is not CelebA's: a line with the count, one with the names of the attributes, and one with their values for each picture; or
            Kaggle's table of the same, with commas and without the count.
    """
    is_table = False
    try:
        lines = decode_text(read_whole_file(path, WHERE)).split("\n")
        is_table = "," in lines[0]
        if is_table:
            lines = [line.replace(",", " ").replace('"', " ") for line in lines]
            lines = [str(sum(bool(line.strip()) for line in lines[1:])), lines[0].split(maxsplit=1)[1], *lines[1:]]
        count, names = int(lines[0]), lines[1].split()
    except TextError as error:
        raise DataError(f"--data {path}:{error.line}: {error.reason}") from None
    except (ValueError, IndexError):
        raise DataError(f"--data {path}: not CelebA's file of attributes; {WHERE}") from None
    rows = [line.split() for line in lines[2:] if line.strip()]
    if len(rows) != count:
        raise DataError(f"--data {path}: promises {count} pictures, {len(rows)} are there; get it again")
    attributes: dict[str, dict[str, int]] = {}
    for number, (name, *values) in enumerate(rows, start=2 if is_table else 3):
        if len(values) != len(names) or not set(values) <= {"1", "-1"}:
            raise DataError(f"--data {path}:{number}: needs {len(names)} values of 1 or -1; get it again")
        attributes[name] = dict(zip(names, map(int, values), strict=True))
    return names, attributes


def pack_celeba(
    source: Path,
    out: Path,
    *,
    size_px: int = 40,
    resize: str = "lanczos",
    attributes: Sequence[str] = (),
    faces: bool = False,
    limit: int | None = None,
    face_model: Path | None = None,
) -> ImagePack:
    """Pack CelebA's pictures.

    Args:
        source: Folder with `img_align_celeba/` and, for `attributes`, `list_attr_celeba.txt`, or with `Img/` and `Anno/`; or Kaggle's copy: the folder
            nested, a `.csv`.
        out: The pack.
        size_px: Height and width; Akel 2022 has 40.
        resize: Name of the filter.
        attributes: `Smiling` or `Smiling=1` chooses pictures with the attribute, `Smiling=-1` those without; all must hold.
        faces: Keep the largest face only, as Akel 2022 does; pictures without a face are skipped.
        limit: Maximum number of pictures, with `faces` of faces; Akel 2022 has 50,000.
        face_model: OpenCV's YuNet as ONNX; None: its cascade.

    Raises:
        DataError: Files are absent or do not belong together.
        UsageError: An attribute is unknown, or OpenCV is not installed.
    """
    finder = face_finder(face_model) if faces else None
    folder = _picture_folder(source)
    names = sorted(path.name for path in folder.glob("*.jpg"))
    labels: dict[str, str] = {}
    table = _attribute_file(source, folder)
    if table.is_file() or attributes:
        available, values = read_attributes(table)
        missing = [name for name in names if name not in values]
        if missing:
            raise DataError(f"--data {table}: says nothing of {missing[0]} and {len(missing) - 1} others; give the file that belongs to them")
        conditions = [_parse_condition(text, available) for text in attributes]
        names = [name for name in names if all(values[name][key] == value for key, value in conditions)]
        labels = {name: " ".join(key for key, value in values[name].items() if value == 1) for name in names}
    skipped: list[dict[str, str]] = []
    pictures = decode_files(((name, folder / name) for name in names), 4 * size_px, skipped, labels)
    if finder is not None:
        pictures = crop_faces(pictures, finder, skipped)
    pictures = itertools.islice(pictures, limit)
    account: dict[str, object] = {"format": "celeba", "source": source.name, "attributes": list(attributes), "faces": faces, "licence": LICENCE}
    if face_model is not None:
        account["face_model"] = face_model.name
    return write_pack(pictures, out, size_px=size_px, resize=resize, grey=False, account=account, skipped=skipped)


def _picture_folder(source: Path) -> Path:
    """Return the folder of the pictures in the copies that are known, else the first below `source`; that of aligned ones first.

    Raises:
        DataError: There is none.
    """
    known = [source / name for name in PICTURE_FOLDERS]
    below = sorted((Path(folder) for folder, _, _ in os.walk(source)), key=lambda folder: ("align" not in folder.name, folder))
    for folder in [*known, *below]:
        if any(folder.glob("*.jpg")):
            return folder
    raise DataError(f"--data {source}: no CelebA pictures in it; {WHERE}")


def _attribute_file(source: Path, folder: Path) -> Path:
    """Return the table of attributes in `source`, or between it and the folder of the pictures, or in an `Anno` there."""
    between = [source, *(parent for parent in [folder, *folder.parents] if parent.is_relative_to(source))]
    places = [place / name for place in between for name in (".", "Anno")]
    return next((place / name for place in places for name in (ATTRIBUTES, KAGGLE_ATTRIBUTES) if (place / name).is_file()), source / ATTRIBUTES)


def _parse_condition(text: str, available: Sequence[str]) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if name not in available or value not in ("", "1", "-1"):
        close = difflib.get_close_matches(name.capitalize(), available, 1, cutoff=0.0) or ["Smiling"]
        raise UsageError(f"--attribute {text}: write NAME, NAME=1 or NAME=-1, with a name of {ATTRIBUTES}, such as {close[0]}")
    return name, -1 if value == "-1" else 1
