"""Checks a pack's pixels against the hash in its manifest, once for each state of its file."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitlgan.data.pack.cache import cache_dir
from mitlgan.errors import DataError, ResourceError, translate_resource_faults

VERIFIED_FOLDER = "verified-packs"
BLOCK_BYTES = 1 << 22
CLOCK_STEP_S = 0.05
"""Longer than the step of a file system's clock: a file that was just written may change again and keep its times."""


def content_suffix(manifest: Mapping[str, Any]) -> bytes:
    """Return what the content hash covers besides the pixels: what they mean."""
    return f"{manifest['channels']} {manifest['size_px']} {manifest['fourth_channel']}".encode()


def verify_pixels(path: Path, offset: int, manifest: Mapping[str, Any]) -> None:
    """Check the pixels of a pack against its manifest.

    A file whose inode, size and times are those of an earlier check is not read again; the cache remembers checks.

    Args:
        path: The `.npy` file.
        offset: Where the pixels begin (bytes).
        manifest: Its manifest.

    Raises:
        DataError: They are not those that the manifest was written for.
        ResourceError: The machine fails while they are read.
    """
    marker = _marker(path.stat(), manifest)
    if marker is not None and marker.is_file():
        return
    digest = hashlib.sha256()
    with translate_resource_faults(str(path)), path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        file.seek(offset)
        block = bytearray(BLOCK_BYTES)
        while length := file.readinto(block):
            digest.update(memoryview(block)[:length])
        after = os.fstat(file.fileno())
    digest.update(content_suffix(manifest))
    if digest.hexdigest() != manifest["content_sha256"]:
        raise DataError(
            f"{path}: its pixels do not match the hash in its manifest: they were damaged or changed; make the pack again with `mitlgan data pack`"
        )
    if _state(before) == _state(after) and time.time() - max(after.st_mtime, after.st_ctime) > CLOCK_STEP_S:
        _remember(_marker(after, manifest))


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _marker(status: os.stat_result, manifest: Mapping[str, Any]) -> Path | None:
    """Return the empty file in the cache that says that a file in this state was verified; None if there is no cache."""
    identity = f"{_state(status)} {manifest['content_sha256']} ".encode() + content_suffix(manifest)
    try:
        return cache_dir() / VERIFIED_FOLDER / hashlib.sha256(identity).hexdigest()
    except ResourceError:  # the next call reads the pixels again
        return None


def _remember(marker: Path | None) -> None:
    if marker is not None:
        with suppress(OSError):
            marker.parent.mkdir(exist_ok=True)
            marker.touch()
