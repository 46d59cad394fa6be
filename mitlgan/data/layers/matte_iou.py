"""Measures how well matting methods agree with true mattes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.mattes import decode_matte
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.demo import demo_pack
from mitlgan.data.layers.matting import MattingMethod, intersection_over_union, matting_methods
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import strip_matte_suffix
from mitlgan.data.sources.image_source import open_source
from mitlgan.errors import DataError
from mitlgan.runtime.progress import ProgressCallback, Say, ignore_message, ignore_progress

DEMO_PX = 64
MAX_SMALL_FRACTION = 0.15  # of the picture; smaller objects count as small
Pair = tuple[Image.Image, NDArray[np.uint8]]


def measure_matte_iou(
    scenes: str,
    truth: Path | None,
    methods: list[str],
    *,
    count: int,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    say: Say = ignore_message,
) -> list[dict[str, Any]]:
    """Return the intersection over union of each method's mattes with the true ones, both thresholded at one half.

    Args:
        scenes: `demo`, or see `open_source`.
        truth: Folder of mattes, see `match_truths`; None for those next to the pictures.
        methods: See `matting.matting_methods`; of a model's file only the model is measured.
        count: Maximum number of pictures.
        seed: Chooses the pictures if there are more.
        progress: Receives the number of finished and of all pictures.
        say: Receives what is left out.

    Returns:
        Per method: mean and median, the mean over objects below 15 % of the picture (None without any), number below one half, milliseconds.

    Raises:
        DataError: There are no pictures with true mattes, or none can be read, or it is not clear whose a matte is.
    """
    pairs = list(_demo_pairs(count, seed) if scenes == "demo" else _read_pairs(scenes, truth, count, seed, say))
    if not pairs:
        raise DataError(f"SCENES {scenes}: no picture there has a true matte; put NAME.matte.png next to each, or name their folder with --truth")
    rows = []
    for number, spec in enumerate(methods):
        method = matting_methods(spec)[-1]  # without those that use transparency or a plain backdrop
        results = []
        for _, result in in_order(pairs, partial(_measure, method)):
            results.append(result)
            progress(number * len(pairs) + len(results), len(pairs) * len(methods))
        rows.append(_summarize(method.name, np.array(results)))
    return rows


def _measure(method: MattingMethod, pair: Pair) -> tuple[float, float, float]:
    """Return intersection over union, area of the object as a share of the picture, and seconds."""
    picture, truth = pair
    start = time.thread_time()
    matte = method(picture)
    seconds = time.thread_time() - start
    return 0.0 if matte is None else intersection_over_union(matte, truth), float((truth > 127).mean()), seconds


def _summarize(name: str, results: NDArray[np.float64]) -> dict[str, Any]:
    iou, area, seconds = results.T
    small = iou[area < MAX_SMALL_FRACTION]
    return {
        "method": name,
        "count": len(iou),
        "mean": float(iou.mean()),
        "median": float(np.median(iou)),
        "small": float(small.mean()) if len(small) else None,
        "small_count": len(small),
        "failed": int((iou < 0.5).sum()),
        "ms": float(seconds.mean() * 1000),
    }


def _demo_pairs(count: int, seed: int) -> Iterator[Pair]:
    packed = demo_pack("scene", DEMO_PX, split="test", count=max(count, 500))
    for index in _sample_indices(len(packed), count, seed):
        planes = np.asarray(packed.pixels[index])
        yield Image.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0))).convert("RGBA"), planes[3].copy()


def _read_pairs(scenes: str, truth: Path | None, count: int, seed: int, say: Say) -> Iterator[Pair]:
    source = open_source(scenes, "SCENES")
    mattes = [entry.matte for entry in source.entries] if truth is None else match_truths(source.entries, _open_truths(truth))
    candidates = list(zip(source.entries, mattes, strict=True))
    with_truth = [(entry, matte) for entry, matte in candidates if matte is not None]
    for line in source.leftovers.describe():
        say(f"SCENES {scenes}: {line}")
    if 0 < len(with_truth) < len(candidates):
        say(f"SCENES {scenes}: {len(candidates) - len(with_truth):,} of {len(candidates):,} pictures have no true matte and are not measured")
    reasons: list[str] = []
    indices = _sample_indices(len(with_truth), count, seed)
    for index in indices:
        entry, matte = with_truth[index]
        try:
            decoded = decode_bytes(entry.read(), keep_alpha=True)
            true = np.asarray(decode_matte(matte, decoded))
        except UnreadableImageError as error:
            reasons.append(f"{entry.name!r}: {error}")
            continue
        yield decoded.picture, true
    if reasons and len(reasons) == len(indices):
        raise DataError(f"SCENES {scenes}: none of its {len(reasons):,} pictures with a true matte can be measured; the first, {reasons[0]}")
    for reason in reasons:
        say(f"SCENES {scenes}: left out {reason}")


def _open_truths(folder: Path) -> list[ImageEntry]:
    """Return the mattes of a folder, by any name: those next to pictures, and else the pictures themselves."""
    return [entry.matte or entry for entry in open_source(folder, "--truth", take_mattes=True).entries]


def match_truths(pictures: Sequence[ImageEntry], truths: Sequence[ImageEntry]) -> list[ImageEntry | None]:
    """Return the true matte of each picture: that of the same path, endings such as `.png` and `.matte.png` aside, or else the only one of its name.

    Args:
        pictures: The pictures, in any folders.
        truths: The mattes, in the same folders or others.

    Raises:
        DataError: Two pictures or two mattes of one path or name compete.
    """
    matches: list[ImageEntry | None] = [None] * len(pictures)
    for key in (_name, _path_without_ending, _stem):
        own = _group([entry for entry, match in zip(pictures, matches, strict=True) if match is None], key)
        used = {match.name for match in matches if match is not None}
        free = _group([entry for entry in truths if entry.name not in used], key)
        pairs = {name: (_only(own[name], "SCENES", free[name][0]), _only(free[name], "--truth", own[name][0])) for name in own.keys() & free.keys()}
        matches = [pairs[key(entry)][1] if match is None and key(entry) in pairs else match for entry, match in zip(pictures, matches, strict=True)]
    return matches


def _only(entries: Sequence[ImageEntry], option: str, partner: ImageEntry) -> ImageEntry:
    """Return the only one of the entries that may belong to a partner."""
    if len(entries) > 1:
        first, second = (entry.name for entry in entries[:2])
        way_out = "give mattes the same folders and names as their pictures"
        raise DataError(f"{option}: {first!r} and {second!r} could both belong to {partner.name!r}; {way_out}")
    return entries[0]


def _group(entries: Iterable[ImageEntry], key: Callable[[ImageEntry], str]) -> dict[str, list[ImageEntry]]:
    groups: dict[str, list[ImageEntry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups


def _name(entry: ImageEntry) -> str:
    return entry.name


def _path_without_ending(entry: ImageEntry) -> str:
    return strip_matte_suffix(entry.name)


def _stem(entry: ImageEntry) -> str:
    return PurePosixPath(strip_matte_suffix(entry.name)).name


def _sample_indices(available: int, count: int, seed: int) -> list[int]:
    if count >= available:
        return list(range(available))
    return sorted(np.random.default_rng(seed).choice(available, count, replace=False).tolist())
