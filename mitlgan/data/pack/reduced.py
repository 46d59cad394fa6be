"""Smaller pictures from a pack, without decoding the files again."""

from __future__ import annotations

import hashlib
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import DataError

BATCH = 256
VERSION = 1


def reduced_pack(pack: ImagePack, size_px: int) -> ImagePack:
    """Return a pack of the same pictures, smaller; from the cache if it was made before.

    Args:
        pack: The pictures; alpha is premultiplied, so that an average of pixels is that of what is seen.
        size_px: Height and width; a whole part of the pack's.

    Raises:
        DataError: The pack's size is no multiple of it.
        ResourceError: The cache cannot be written.
    """
    if pack.size_px == size_px:
        return pack
    if pack.size_px % size_px:
        raise DataError(f"{pack.path}: holds {pack.size_px} px pictures, of which {size_px} px is no whole part")
    identity = hashlib.sha256(f"{VERSION} {pack.content_sha256} {size_px}".encode()).hexdigest()
    path = cache_dir() / f"reduced-{size_px}px-{identity[:24]}.npy"
    made_by = {"command": "reduce", "identity": identity, "from_px": pack.size_px, "from_sha256": pack.content_sha256}
    cached = ImagePack.open_cached(path, {"identity": identity})
    if cached is not None:
        return cached.with_backdrop(pack.backdrop)
    with PackWriter(path, size_px, pack.fourth_channel, grey=pack.channels == 1) as writer:
        sources = pack.sources()
        for first in range(0, len(pack), BATCH):
            pixels = average_pixels(pack.pixels[first : first + BATCH], pack.size_px // size_px)
            writer.extend(pixels, list(islice(sources, len(pixels))))
        manifest = pack.manifest
        reduced = writer.publish(
            resize=f"{manifest['resize']}, then averages of {pack.size_px // size_px} x {pack.size_px // size_px} pixels", crop=str(manifest["crop"]),
            licence=str(manifest["licence"]), made_by=made_by, skipped=[], split=manifest.get("split"),
        )  # fmt: skip
    return reduced.with_backdrop(pack.backdrop)


def whole_sha256(pack: ImagePack) -> str:
    """Return the hash of the pictures that a pack was reduced from; its own if it was not reduced."""
    made_by = pack.manifest.get("made_by")
    return str(made_by["from_sha256"]) if isinstance(made_by, dict) and made_by.get("command") == "reduce" else pack.content_sha256


def average_pixels(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the rounded average of each square of `factor` pixels: (N, C, H, W) to (N, C, H / factor, W / factor)."""
    count, channels, height, width = pixels.shape
    squares = pixels.reshape(count, channels, height // factor, factor, width // factor, factor)
    sums = squares.sum(axis=(3, 5), dtype=np.uint32)
    averages: NDArray[np.uint8] = ((sums + factor**2 // 2) // factor**2).astype(np.uint8)
    return averages
