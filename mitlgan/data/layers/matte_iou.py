"""How well a matting method agrees with the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.matte_rules import decode_matte
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.demo import demo_pack
from mitlgan.data.layers.matting import find_matte, intersection_over_union, matting_methods
from mitlgan.data.sources.image_source import open_source
from mitlgan.errors import DataError
from mitlgan.runtime.progress import ProgressCallback

DEMO_PX = 64
SMALL_SHARE = 0.15  # of the picture; objects below it are counted as small
Pair = tuple[Image.Image, NDArray[np.uint8]]


def measure_matte_iou(
    scenes: str,
    truth: Path | None,
    methods: list[str],
    *,
    count: int,
    seed: int = 0,
    progress: ProgressCallback | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Intersection over union of each method's mattes with the true ones, both cut at one half.

    Args:
        scenes: `demo`, or see `open_source`.
        truth: Mattes by the pictures' stems; None takes those beside the pictures.
        methods: See `matting.choose`; of a model's file only the model is measured.
        count: Pictures, drawn by `seed` when there are more.
        seed: Decides which.
        progress: Told how many of how many are done.
        say: Told in one line each what is left out.

    Returns:
        Per method: mean and median, the mean over objects below 15 % of the picture (None without any), how many are below one half, milliseconds.

    Raises:
        DataError: No pictures with true mattes.
    """
    pairs = list(_demo_pairs(count, seed) if scenes == "demo" else _pairs(scenes, truth, count, seed, say))
    if not pairs:
        raise DataError(f"SCENES {scenes}: no picture there has a true matte; put NAME.matte.png beside each, or name their folder with --truth")
    rows = []
    for number, spec in enumerate(methods):
        chosen = matting_methods(spec)[-1:]  # the method itself, without the shortcuts before it

        def work(pair: Pair, chosen: list[Any] = chosen) -> tuple[float, float, float]:
            started = time.thread_time()
            found = find_matte(pair[0], chosen)
            seconds = time.thread_time() - started
            return 0.0 if found is None else intersection_over_union(found[0], pair[1]), float((pair[1] > 127).mean()), seconds

        results = []
        for _, result in in_order(pairs, work):
            results.append(result)
            if progress is not None:
                progress(number * len(pairs) + len(results), len(pairs) * len(methods))
        rows.append(_row(chosen[0].name, np.array(results)))
    return rows


def _row(name: str, results: NDArray[np.float64]) -> dict[str, Any]:
    agreement, area, seconds = results.T
    small = agreement[area < SMALL_SHARE]
    return {
        "method": name,
        "count": len(agreement),
        "mean": float(agreement.mean()),
        "median": float(np.median(agreement)),
        "small": float(small.mean()) if len(small) else None,
        "small_count": len(small),
        "failed": int((agreement < 0.5).sum()),
        "ms": float(seconds.mean() * 1000),
    }


def _demo_pairs(count: int, seed: int) -> Iterator[Pair]:
    packed = demo_pack("scene", DEMO_PX, split="test", count=max(count, 500))
    for index in _drawn(len(packed), count, seed):
        planes = np.asarray(packed.pixels[index])
        yield Image.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0))).convert("RGBA"), planes[3].copy()


def _pairs(scenes: str, truth: Path | None, count: int, seed: int, say: Callable[[str], None]) -> Iterator[Pair]:
    source = open_source(scenes, "SCENES")
    mattes = {} if truth is None else {PurePosixPath(entry.name).stem: entry for entry in open_source(truth, "--truth").entries}
    known = [(entry, mattes.get(PurePosixPath(entry.name).stem) if truth else entry.matte) for entry in source.entries]
    with_truth = [(entry, matte) for entry, matte in known if matte is not None]
    for line in source.leftovers.describe():
        say(f"SCENES {scenes}: {line}")
    if 0 < len(with_truth) < len(known):
        say(f"SCENES {scenes}: {len(known) - len(with_truth):,} of {len(known):,} pictures have no true matte and are not measured")
    for index in _drawn(len(with_truth), count, seed):
        entry, matte = with_truth[index]
        try:
            decoded = decode_bytes(entry.read(), keep_alpha=True)
            true = np.asarray(decode_matte(matte, decoded))
        except UnreadableImageError as error:
            say(f"SCENES {scenes}: left out {entry.name!r}: {error}")
            continue
        yield decoded.picture, true


def _drawn(available: int, count: int, seed: int) -> list[int]:
    if count >= available:
        return list(range(available))
    return sorted(np.random.default_rng(seed).choice(available, count, replace=False).tolist())
