"""MNIST's own format, IDX: a magic number, the dimensions, then bytes (LeCun et al. 1998); gzip or not."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers.common import Picture, read_whole_file, sha256, write_pack
from mitlgan.errors import DataError
from mitlgan.runtime.gzip_files import GZIP_MAGIC

IMAGES, LABELS = 0x803, 0x801
WHERE = "MNIST's four files are at https://yann.lecun.com/exdb/mnist/ and https://ossci-datasets.s3.amazonaws.com/mnist/"
ORIGINALS = {
    "f68b3c2dcbeaaa9fbdd348bbdeb94873": "MNIST's 60,000 training images",
    "9fb629c4189551a2d022fa330f9573f3": "MNIST's 10,000 test images",
}
"""MD5 of the distributed gzip files."""


def is_idx(path: Path) -> bool:
    """Whether a file is named or begins like an IDX file of images."""
    try:
        if not path.is_file():  # a pipe would hang
            return False
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start == struct.pack(">I", IMAGES) or (start[:2] == GZIP_MAGIC and "idx3" in path.name)


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file of bytes.

    Args:
        path: The file, gzip or not.
        magic: `IMAGES` (N, H, W) or `LABELS` (N,).

    Raises:
        DataError: The magic number or the length is wrong.
    """
    content = read_whole_file(path, WHERE)
    dimensions = magic & 0xFF
    header_bytes = 4 * (dimensions + 1)
    if len(content) < header_bytes or struct.unpack(">I", content[:4])[0] != magic:
        actual = content[:4].hex() or "nothing"
        raise DataError(f"--data {path}: begins with {actual}, not {magic:08x}: no IDX file of {'images' if magic == IMAGES else 'labels'}; {WHERE}")
    shape = struct.unpack(f">{dimensions}I", content[4:header_bytes])
    if int(np.prod(shape, dtype=object)) != len(content) - header_bytes or 0 in shape:
        raise DataError(
            f"--data {path}: its header promises {' x '.join(map(str, shape))} bytes, {len(content) - header_bytes} are there; get it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape)


def pack_idx(
    source: Path,
    out: Path,
    *,
    size_px: int = 28,
    resize: str = "lanczos",
    labels: Path | None = None,
    classes: Sequence[int] = (),
    limit: int | None = None,
    identity: str = "",
) -> ImagePack:
    """Pack the images of an IDX file.

    Args:
        source: The file of images.
        out: The pack.
        size_px: Height and width; at the images' own size nothing is resized.
        resize: Name of the filter.
        labels: Their file of labels, recorded with each picture.
        classes: Only these labels; empty for all.
        limit: Maximum number of pictures.
        identity: Recorded in the manifest of a pack in the cache.

    Raises:
        DataError: The files are no IDX files, or do not belong together.
    """
    images = read_idx(source, IMAGES)
    names = read_idx(labels, LABELS) if labels is not None else None
    if names is not None and len(names) != len(images):
        raise DataError(f"--labels {labels}: {len(names)} labels for {len(images)} images; give the file that belongs to them")
    if classes and names is None:
        raise DataError("--classes: needs --labels, the IDX file of labels")
    chosen = range(len(images)) if names is None or not classes else np.flatnonzero(np.isin(names, classes)).tolist()
    digest = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    account = {"format": "idx", "source": source.name, "original": ORIGINALS.get(digest, "none that is known"), "file_md5": digest}
    account |= {"identity": identity} if identity else {}
    pictures = (
        Picture(f"{source.name}#{index}", images[index], sha256(images[index].tobytes()), "" if names is None else str(int(names[index])))
        for index in list(chosen)[:limit]
    )
    return write_pack(pictures, out, size_px=size_px, resize=resize, grey=True, account=account, skipped=[])
