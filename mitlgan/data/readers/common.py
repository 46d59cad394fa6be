"""Shared by all readers: packing of pictures, and reading of whole files."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.resize import check_filter, crop_and_resize, to_planes
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, read_file
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import DataError, resource_fault
from mitlgan.runtime.gzip_files import open_unzipped

VERSION = 3  # raise it when the same files and arguments make other pixels
MAX_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Picture:
    """One picture of a set.

    Attributes:
        name: Its name in the set.
        pixels: (H, W) grey or (H, W, 3) uint8, or a decoded picture.
        sha256: Hash of its bytes.
        label: Its label in the set; empty if none.
    """

    name: str
    pixels: NDArray[np.uint8] | Image.Image
    sha256: str
    label: str = ""


def write_pack(
    pictures: Iterable[Picture], out: Path, *, size_px: int, resize: str, grey: bool, account: dict[str, Any], skipped: list[dict[str, str]]
) -> ImagePack:
    """Write pictures as a pack, each cut to its centered square and resized.

    Args:
        pictures: In the order of the pack.
        out: The pack, ending in `.npy`.
        size_px: Height and width.
        resize: Name of the filter.
        grey: Whether the pack has one channel.
        account: What made it, for the manifest: format, source, selection, `licence`.
        skipped: Name and reason of pictures that are left out; may grow while the pictures are read.

    Raises:
        DataError: No picture is left.
    """
    check_filter(resize)
    with PackWriter(out, size_px, None, grey=grey) as writer:
        for picture in pictures:
            image = picture.pixels if isinstance(picture.pixels, Image.Image) else Image.fromarray(picture.pixels)
            planes = to_planes(crop_and_resize(image.convert("L" if grey else "RGB"), size_px, resize))
            about = {"label": picture.label} if picture.label else {}
            writer.append(planes, {"name": picture.name, "sha256": picture.sha256, "width": image.width, "height": image.height, **about})
        if writer.count == 0:
            raise DataError(f"--data {account.get('source', out)}: no picture is left to pack ({len(skipped)} skipped); choose less strictly")
        made_by = {"command": "read", "version": VERSION, "size_px": size_px, "resize": resize, **account}
        return writer.publish(resize=resize, crop="centred square", licence=str(account.get("licence", "")), made_by=made_by, skipped=skipped)


def read_whole_file(path: Path, where: str) -> bytes:
    """Return the content of a file, unpacked if it is gzip.

    Args:
        path: The file.
        where: Where to get it, for the message.

    Raises:
        DataError: The file is absent, too large or damaged.
    """
    try:
        if not path.is_file():
            raise DataError(f"--data {path}: no such file; {where}")
        with open_unzipped(path) as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise resource_fault(error) or DataError(f"--data {path}: damaged or unreadable ({error}); {where}") from None
    if len(content) > MAX_BYTES:
        raise DataError(f"--data {path}: unpacks to more than {MAX_BYTES} bytes; it is not that set")
    return content


def decode_files(
    files: Iterable[tuple[str, Path]], size_px: int, skipped: list[dict[str, str]], labels: dict[str, str] | None = None
) -> Iterator[Picture]:
    """Yield the pictures of files; those that cannot be read are added to `skipped` with the reason."""
    for name, path in files:
        try:
            image = decode_bytes(read_file(path), keep_alpha=False, size_px=size_px)
        except UnreadableImageError as error:
            skipped.append({"name": name, "reason": str(error)})
            continue
        yield Picture(name, image.picture, image.sha256, (labels or {}).get(name, ""))


def sha256(content: bytes) -> str:
    """Return the SHA-256 hash of bytes."""
    return hashlib.sha256(content).hexdigest()
