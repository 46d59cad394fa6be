"""Features of real images, cached on disk under everything that decides them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import BACKDROP, ImagePack
from mitlgan.errors import ResourceError
from mitlgan.metrics.extractors.extractor import CHUNK, Extractor, extract_chunks
from mitlgan.runtime.distributed import ALONE, World, any_rank
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.signals import HeldSignals

_CACHE_VERSION = 1
"""Increase it when the computation from pack to features changes, so that older files are not used."""


def cached_pack_features(
    pack: ImagePack,
    extractor: Extractor,
    *,
    count: int,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    world: World = ALONE,
) -> NDArray[np.float32]:
    """Return features of a pack's images; objects with alpha are composited on its backdrop, mattes are dropped.

    Args:
        pack: The images.
        extractor: The network.
        count: Number of images; at most all are taken.
        seed: Seed of the choice of images.
        progress: Called with the number of images done, unless the features are cached.
        world: This process's rank; the ranks share the work, and every one must call this.

    Returns:
        float32 (N, dim), in the order of the pack.
    """
    count = min(count, len(pack))
    path = _cache_file(pack, extractor, count, seed)
    cached = None if path is None else _read(path, (count, extractor.dim))
    if not any_rank(cached is None, world) and cached is not None:
        return cached
    indices = select_pictures(len(pack), count, seed)

    def chunk(number: int) -> Tensor:
        return pack.batch(indices[number * CHUNK :][:CHUNK], channels=3)

    features = extract_chunks(extractor, chunk, -(-count // CHUNK), world, progress)
    if path is not None and world.is_leader:
        _write(path, features)
    return features


def select_pictures(available: int, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Choose images of a pack at random; indices are sorted, so that a memory-mapped file is read once from front to back."""
    return np.sort(np.random.default_rng(seed).permutation(available)[:count])


def _cache_file(pack: ImagePack, extractor: Extractor, count: int, seed: int) -> Path | None:
    """Return the cache file of these features; None if there is no cache folder, which costs time only."""
    key = {
        "form": _CACHE_VERSION,
        "data": pack.measured_sha256,
        "extractor": extractor.name,
        "weights": extractor.weights_sha256,
        "count": count,
        "of": len(pack),
        "seed": seed,
        "backdrop": BACKDROP,
        # These change the last digits; without them a result would depend on who filled the cache.
        "device": extractor.device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    with suppress(ResourceError, OSError):
        folder = cache_dir() / "features"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.npy"
    return None


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    try:
        with HeldSignals():  # NumPy would turn an interrupt into another error
            features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_valid = isinstance(features, np.ndarray) and features.dtype == np.float32 and features.shape == shape and bool(np.isfinite(features).all())
    return features if is_valid else None


def _write(path: Path, features: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, features, allow_pickle=False)
    with suppress(ResourceError):
        write_atomically(path, buffer.getvalue())
