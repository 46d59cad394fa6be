"""Features of real pictures, computed once: kept in the cache by everything that decides them."""

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

from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ResourceError
from mitlgan.metrics.extractors.features import Extractor, extract_features
from mitlgan.runtime.files import write_atomically

BACKDROP = (255, 255, 255)
"""Colour behind objects with alpha, real and generated alike."""

_FORM = 1
"""Raised when the way from pack to features changes, so that older files are not taken."""

_CHUNK = 256


def cached_pack_features(
    pack: ImagePack, network: Extractor, *, count: int, seed: int = 0, progress: Callable[[int], None] | None = None
) -> NDArray[np.float32]:
    """Features of a pack's pictures; objects with alpha are laid on `BACKDROP`, mattes dropped.

    Args:
        pack: The pictures.
        network: The extractor.
        count: How many; at most all are taken.
        seed: Chooses which.
        progress: Called with the number of pictures done, unless they were known.

    Returns:
        float32 (N, dim), in the order of the pack.
    """
    count = min(count, len(pack))
    path = _cache_file(pack, network, count, seed)
    if path is not None and (known := _read(path, (count, network.dim))) is not None:
        return known
    chosen = select_pictures(len(pack), count, seed)
    batches = (pack.batch(chosen[start : start + _CHUNK], channels=3, backdrop=BACKDROP) for start in range(0, count, _CHUNK))
    found = extract_features(network, batches, progress)
    if path is not None:
        _write(path, found)
    return found


def select_pictures(available: int, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Which pictures of a pack are measured, in its order, so that a memory-mapped file is read once from front to back."""
    return np.sort(np.random.default_rng(seed).permutation(available)[:count])


def _cache_file(pack: ImagePack, network: Extractor, count: int, seed: int) -> Path | None:
    """Where the features lie; None where no cache can be had, which costs time and nothing else."""
    key = {
        "form": _FORM,
        "data": pack.content_sha256,
        "extractor": network.name,
        "weights": network.weights_sha256,
        "count": count,
        "of": len(pack),
        "seed": seed,
        "backdrop": BACKDROP,
        # These change the last digits; without them a result would depend on who filled the cache.
        "device": network.device.type,
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
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = isinstance(found, np.ndarray) and found.dtype == np.float32 and found.shape == shape and bool(np.isfinite(found).all())
    return found if whole else None


def _write(path: Path, found: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, found, allow_pickle=False)
    with suppress(ResourceError):
        write_atomically(path, buffer.getvalue())
