"""Reads pictures of products chosen by their reviews (Benedetti 2019, chapter 3).

The files are Amazon's review data (McAuley et al. 2015): one JSON object a line, gzip or not. Older files hold Python literals, which are parsed, not
evaluated. The way from them to a pack is `write_product_urls`, `data fetch`, `pack_products`.
"""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.curate.fetch import read_keys
from mitlgan.data.curate.row_filter import finite_number
from mitlgan.data.curate.table_rows import parse_object
from mitlgan.data.decode.image_file import UnreadableImageError, read_file
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers.common import decode_files, sha256, write_pack
from mitlgan.data.sources.image_source import list_pictures
from mitlgan.errors import DataError, UsageError, resource_fault
from mitlgan.runtime.addresses import split_address
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.gzip_files import open_unzipped
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.text_files import TextError, iter_lines

WHERE = "metadata and reviews are at https://jmcauley.ucsd.edu/data/amazon/; --write-urls lists the pictures of `imUrl` for `mitlgan data fetch`"
URL_KEYS = ("imUrl", "imageURLHighRes", "imageURL")
"""Keys of a picture's address: of the files of 2014, which have one, and of 2018, which have lists."""
PLACEHOLDER_PRODUCTS = 10
"""A file that so many products share is a placeholder ("no image available")."""


@dataclass(frozen=True)
class ReviewLimits:
    """Which products are used; Benedetti's by default.

    Attributes:
        rating: Minimum mean of the reviews' stars.
        reviews: Minimum number of reviews, at least 1: without any there is no rating.
    """

    rating: float = 4.0
    reviews: int = 12

    def __post_init__(self) -> None:
        if self.reviews < 1:
            raise UsageError(f"--min-reviews {self.reviews}: give a number of at least 1; a product without reviews has no rating")
        if not math.isfinite(self.rating):
            raise UsageError(f"--min-rating {self.rating}: give a number of stars, such as 4")


def choose_products(metadata: Path, reviews: Path, choice: ReviewLimits) -> dict[str, str]:
    """Return the picture's file name by `asin` for products with good and enough ratings, in the metadata's order.

    Raises:
        DataError: A file is absent or is not such data.
    """
    return {asin: _file_name(url) for asin, url in choose_urls(metadata, reviews, choice).items()}


def choose_urls(metadata: Path, reviews: Path, choice: ReviewLimits) -> dict[str, str]:
    """Return the picture's address by `asin`, which may be empty; as `choose_products`.

    Of rows with the same `asin`, the first with an address counts.
    """
    count: Counter[str] = Counter()
    stars: Counter[str] = Counter()
    for row in _read_rows(reviews, ("asin", "overall"), "--reviews"):
        count[str(row["asin"])] += 1
        stars[str(row["asin"])] += finite_number(row["overall"]) or 0.0  # type: ignore[assignment]  # checked by `_parse_row`
    urls: dict[str, str] = {}
    for row in _read_rows(metadata, ("asin",), "SOURCE"):
        asin = str(row["asin"])
        if count[asin] >= choice.reviews and stars[asin] / count[asin] >= choice.rating:
            urls[asin] = urls.get(asin) or _picture_url(row)
    return urls


def _picture_url(row: dict[str, Any]) -> str:
    """Return the address of a product's picture, the first of a list; empty if there is none."""
    for key in URL_KEYS:
        value = row.get(key)
        for url in value if isinstance(value, list) else [value]:
            if isinstance(url, str) and url.strip():
                return url.strip()
    return ""


def write_product_urls(metadata: Path, out: Path, *, reviews: Path, choice: ReviewLimits | None = None, limit: int | None = None) -> dict[str, int]:
    """Write the addresses of well-reviewed products' pictures as JSON lines of `asin` and `url`, which `data fetch` reads.

    Args:
        metadata: Objects with `asin` and `imUrl`, or the lists `imageURLHighRes` and `imageURL` of later files.
        out: The list, a .jsonl file.
        reviews: Objects with `asin` and `overall` (stars).
        choice: Which products; by default at least 12 reviews of 4 stars on average.
        limit: Maximum number of products.

    Returns:
        Numbers of `products`, and of those `without_url`.

    Raises:
        DataError: A file is absent or is not such data, or no address is left; nothing is written.
    """
    chosen = choose_urls(metadata, reviews, choice or ReviewLimits())
    urls = {asin: url for asin, url in chosen.items() if url}
    if not chosen:
        raise DataError(f"SOURCE {metadata}: none of its products has enough good reviews; lower --min-rating or --min-reviews")
    if not urls:
        raise DataError(f"SOURCE {metadata}: none of {len(chosen)} products has the address of a picture ({', '.join(URL_KEYS)}); {WHERE}")
    lines = [json.dumps({"asin": asin, "url": url}) + "\n" for asin, url in list(urls.items())[:limit]]
    write_atomically(out, "".join(lines), is_new=True)
    return {"products": len(lines), "without_url": len(chosen) - len(urls)}


def _file_name(url: str) -> str:
    return Path(split_address(url).path).name


def pack_products(
    metadata: Path, out: Path, *, reviews: Path, images: Path, size_px: int = 64, resize: str = "lanczos", choice: ReviewLimits | None = None,
    limit: int | None = None,
) -> ImagePack:  # fmt: skip
    """Pack the pictures of well-reviewed products: of those that share a file the first, or none if it is a placeholder (`PLACEHOLDER_PRODUCTS`).

    Args:
        metadata: Objects with `asin` and `imUrl`.
        out: The pack.
        reviews: Objects with `asin` and `overall` (stars).
        images: Folder that `data fetch` filled, with keys or without; or any of pictures that are named by `asin` or as `imUrl` ends.
        size_px: Height and width.
        resize: Name of the filter.
        choice: Which products; by default at least 12 reviews of 4 stars on average.
        limit: Maximum number of pictures.

    Raises:
        DataError: Files are absent or are not such data, or no picture is left.
    """
    choice = choice or ReviewLimits()
    urls = choose_urls(metadata, reviews, choice)
    if not images.is_dir():
        raise DataError(f"--images {images}: no such folder; {WHERE}")
    pictures_by_name = _PicturesByName(list_pictures(images, "--images"))
    by_key, by_url = read_keys(images), _files_by_url(images)
    skipped: list[dict[str, str]] = []
    files: list[tuple[str, Path, str]] = []
    for asin, url in urls.items():
        name = _file_name(url)
        try:
            path = by_key.get(asin) or by_url.get(url) or pictures_by_name.find(asin) or pictures_by_name.find(name)
            if path is None:
                raise UnreadableImageError(f"no picture {asin}.* or {name or 'of its address'}")
            files.append((asin, path, sha256(read_file(path))))
        except UnreadableImageError as error:
            skipped.append({"name": asin, "reason": str(error)})
    pictures = itertools.islice(decode_files(_drop_repeats(files, skipped), 2 * size_px, skipped), limit)
    account = {"format": "products", "source": metadata.name, "rating": choice.rating, "reviews": choice.reviews, "chosen": len(urls)}
    return write_pack(pictures, out, size_px=size_px, resize=resize, grey=False, account=account, skipped=skipped)


class _PicturesByName:
    """Finds pictures in any folders by their names, with ending or without."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            for name in {path.name, path.stem}:
                self._paths[name].append(path)

    def find(self, name: str) -> Path | None:
        """Return the picture of a name.

        Raises:
            UnreadableImageError: Several have it.
        """
        paths = self._paths.get(name, [])
        if len(paths) > 1:
            raise UnreadableImageError(f"{paths[0]} and {paths[1]} both have its name; leave one of them there")
        return paths[0] if paths else None


def _files_by_url(images: Path) -> dict[str, Path]:
    """Return the picture of each address in a folder that `data fetch` filled, also from a list without keys; empty for other folders."""
    files = read_json(images / "fetch.json").get("files")
    rows = [row for row in files if isinstance(row, dict)] if isinstance(files, list) else []
    return {str(row.get("url")): images / Path(str(row.get("file"))).name for row in rows}


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


def _read_rows(path: Path, keys: tuple[str, ...], option: str) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{option} {path}: no such file; {WHERE}")
    try:
        with open_unzipped(path) as file:
            for number, line in enumerate(iter_lines(file), start=1):
                if line.strip():
                    yield _parse_row(f"{option} {path}:{number}", line, keys)
    except TextError as error:
        raise DataError(f"{option} {path}:{error.line}: {error.reason}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise resource_fault(error) or DataError(f"{option} {path}: damaged or unreadable ({error}); {WHERE}") from None


def _parse_row(label: str, line: str, keys: tuple[str, ...]) -> dict[str, Any]:
    row = parse_object(line)
    try:
        if row is None or any(row.get(key) in (None, "") or row[key] != row[key] for key in keys):  # NaN differs from itself
            raise ValueError
        if "overall" in keys and finite_number(row["overall"]) is None:
            raise ValueError
    except ValueError:
        raise DataError(f"{label}: not an object with {' and '.join(keys)}, as JSON or as a Python literal, one a line; {WHERE}") from None
    return row
