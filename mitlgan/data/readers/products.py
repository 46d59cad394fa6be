"""Reads pictures of products chosen by their reviews (Benedetti 2019, chapter 3).

The files are Amazon's review data (McAuley et al. 2015): one JSON object a line, gzip or not. Older files hold Python literals, which are parsed, not
evaluated.
"""

from __future__ import annotations

import ast
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mitlgan.data.decode.image_file import UnreadableImageError, read_file
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers.common import decode_files, open_unzipped, sha256, write_pack
from mitlgan.data.sources.image_source import list_pictures
from mitlgan.errors import DataError, resource_fault
from mitlgan.runtime.text_files import TextError, iter_lines

WHERE = "metadata and reviews by category are at https://jmcauley.ucsd.edu/data/amazon/; fetch the pictures of `imUrl` yourself into a folder"
PLACEHOLDER_PRODUCTS = 10
"""A file that so many products share is a placeholder ("no image available")."""


@dataclass(frozen=True)
class ReviewLimits:
    """Which products are used; Benedetti's by default.

    Attributes:
        rating: Minimum mean of the reviews' stars.
        reviews: Minimum number of reviews.
    """

    rating: float = 4.0
    reviews: int = 12


def choose_products(metadata: Path, reviews: Path, choice: ReviewLimits) -> dict[str, str]:
    """Return the picture's file name by `asin` for products with good and enough ratings, in the metadata's order.

    Raises:
        DataError: A file is absent or is not such data.
    """
    count: Counter[str] = Counter()
    stars: Counter[str] = Counter()
    for row in _read_rows(reviews, ("asin", "overall")):
        count[str(row["asin"])] += 1
        stars[str(row["asin"])] += float(row["overall"])  # type: ignore[assignment]
    files: dict[str, str] = {}
    for row in _read_rows(metadata, ("asin",)):
        asin = str(row["asin"])
        if count[asin] >= choice.reviews and stars[asin] / count[asin] >= choice.rating:
            files[asin] = Path(urlsplit(str(row.get("imUrl") or "")).path).name
    return files


def pack_products(
    metadata: Path, out: Path, *, reviews: Path, images: Path, size_px: int = 64, resize: str = "lanczos", choice: ReviewLimits | None = None,
    limit: int | None = None,
) -> ImagePack:  # fmt: skip
    """Pack the pictures of well-reviewed products, without duplicates and placeholders.

    Args:
        metadata: Objects with `asin` and `imUrl`.
        out: The pack.
        reviews: Objects with `asin` and `overall` (stars).
        images: Folder of pictures, named by `asin` or as `imUrl` ends.
        size_px: Height and width.
        resize: Name of the filter.
        choice: Which products; by default at least 12 reviews of 4 stars on average.
        limit: Maximum number of pictures.

    Raises:
        DataError: Files are absent or are not such data, or no picture is left.
    """
    choice = choice or ReviewLimits()
    file_names = choose_products(metadata, reviews, choice)
    if not images.is_dir():
        raise DataError(f"--images {images}: no such folder; {WHERE}")
    by_name = {path.name: path for path in list_pictures(images, "--images")}
    by_stem = {path.stem: path for path in by_name.values()}
    skipped: list[dict[str, str]] = []
    files: list[tuple[str, Path, str]] = []
    for asin, name in file_names.items():
        path = by_stem.get(asin) or by_name.get(name)
        try:
            if path is None:
                raise UnreadableImageError(f"no picture {asin}.* or {name or 'of its address'}")
            files.append((asin, path, sha256(read_file(path))))
        except UnreadableImageError as error:
            skipped.append({"name": asin, "reason": str(error)})
    unique = list(_drop_repeats(files, skipped))[:limit]
    account = {"format": "products", "source": metadata.name, "rating": choice.rating, "reviews": choice.reviews, "chosen": len(file_names)}
    return write_pack(decode_files(unique, 2 * size_px, skipped), out, size_px=size_px, resize=resize, grey=False, account=account, skipped=skipped)


def _drop_repeats(files: list[tuple[str, Path, str]], skipped: list[dict[str, str]]) -> Iterator[tuple[str, Path]]:
    shared = Counter(digest for _, _, digest in files)
    packed: set[str] = set()
    for asin, path, digest in files:
        if shared[digest] >= PLACEHOLDER_PRODUCTS:
            skipped.append({"name": asin, "reason": f"placeholder: {shared[digest]} products share its file"})
        elif digest in packed:
            skipped.append({"name": asin, "reason": "the same file as an earlier product's"})
        else:
            packed.add(digest)
            yield asin, path


def _read_rows(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"--data {path}: no such file; {WHERE}")
    try:
        with open_unzipped(path) as file:
            for number, line in enumerate(iter_lines(file), start=1):
                if line.strip():
                    yield _parse_row(path, number, line, keys)
    except TextError as error:
        raise DataError(f"--data {path}:{error.line}: {error.reason}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise resource_fault(error) or DataError(f"--data {path}: damaged or unreadable ({error}); {WHERE}") from None


def _parse_row(path: Path, number: int, line: str, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        try:
            row = json.loads(line)
        except ValueError:
            row = ast.literal_eval(line.strip())
        if not isinstance(row, dict) or any(key not in row for key in keys):
            raise ValueError
        if "overall" in keys:
            float(row["overall"])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise DataError(f"--data {path}:{number}: not an object with {' and '.join(keys)}; {WHERE}") from None
    return row
