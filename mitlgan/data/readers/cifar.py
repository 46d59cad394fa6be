"""CIFAR-10 in its binary form (Krizhevsky 2009): records of a label and 3 x 32 x 32 bytes; the pickled form is not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers.common import Picture, read_whole_file, sha256, write_pack
from mitlgan.data.sources.split_folders import split_of_name
from mitlgan.errors import DataError, UsageError

RECORD_BYTES = 1 + 3 * 32 * 32
RECORDS_PER_FILE = 10_000
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
WHERE = "get cifar-10-binary.tar.gz (not the python version, which is pickled) at https://www.cs.toronto.edu/~kriz/cifar.html and unpack it"


def is_cifar(path: Path) -> bool:
    """Whether a folder holds CIFAR-10's binary files, or a file is one of them."""
    return path.name in (*TRAIN, *TEST) or (path / TRAIN[0]).is_file()


def pack_cifar(
    source: Path,
    out: Path,
    *,
    size_px: int = 32,
    resize: str = "lanczos",
    split: str = "train",
    classes: Sequence[int] = (),
    limit: int | None = None,
    identity: str = "",
) -> ImagePack:
    """Pack CIFAR-10's binary files.

    Args:
        source: The folder of the files, or one of them.
        out: The pack.
        size_px: Height and width.
        resize: Name of the filter.
        split: `train` (five files) or `test`; a single file has its own split.
        classes: Only these labels, 0 to 9; empty for all.
        limit: Maximum number of pictures.
        identity: Recorded in the manifest of a pack in the cache.

    Raises:
        UsageError: There is no such split.
        DataError: A file is absent, does not have 10,000 records, or has labels beyond 9.
    """
    split = _resolve_split(source, split)
    names = (source.name,) if source.is_file() else TEST if split == "test" else TRAIN
    folder = source.parent if source.is_file() else source
    account: dict[str, Any] = {"format": "cifar-10 binary", "source": source.name, "files": list(names)}
    account |= {"identity": identity, "split": split} if identity else {"split": split}
    pictures = _read_records(folder, names, classes, limit)
    return write_pack(pictures, out, size_px=size_px, resize=resize, grey=False, account=account, skipped=[])


def _resolve_split(source: Path, split: str) -> str:
    """Return the split to read.

    Raises:
        UsageError: There is no such split, or the file is of the other one.
    """
    requested = split_of_name(split)
    if requested not in ("train", "test"):
        raise UsageError(f"--split {split}: CIFAR-10 has train and test")
    if not source.is_file():
        return requested
    own = "test" if source.name in TEST else "train"
    if requested == "test" != own:
        raise UsageError(f"--split {split}: {source} is of the training pictures; name the folder, or {TEST[0]}")
    return own


def _read_records(folder: Path, names: Sequence[str], classes: Sequence[int], limit: int | None) -> Iterator[Picture]:
    count = 0
    for name in names:
        content = read_whole_file(folder / name, WHERE)
        if len(content) != RECORD_BYTES * RECORDS_PER_FILE:
            raise DataError(f"--data {folder / name}: {len(content)} bytes, not {RECORDS_PER_FILE} records of {RECORD_BYTES}; {WHERE}")
        records = np.frombuffer(content, dtype=np.uint8).reshape(RECORDS_PER_FILE, RECORD_BYTES)
        if records[:, 0].max() >= len(CLASSES):
            raise DataError(f"--data {folder / name}: a label of {records[:, 0].max()}, beyond 9; {WHERE}")
        for index, record in enumerate(records):
            if classes and int(record[0]) not in classes:
                continue
            if count == limit:
                return
            count += 1
            pixels = np.ascontiguousarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))  # (H, W, C)
            yield Picture(f"{name}#{index}", pixels, sha256(record.tobytes()), CLASSES[int(record[0])])
