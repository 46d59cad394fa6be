"""The evaluation protocol: how generated images are compared with real ones, and what each number carries."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.data.pack.image_pack import BACKDROP, ImagePack
from mitlgan.errors import ArtifactError, DataError, NanError
from mitlgan.images.alpha import clip_to_alpha
from mitlgan.images.pixels import composite_on, to_uint8
from mitlgan.metrics.clipping import ClippingCounter
from mitlgan.metrics.extractors.extractor import CHUNK, Extractor, extract_chunks, extract_features
from mitlgan.metrics.extractors.registry import OFFLINE_EXTRACTOR, open_extractor
from mitlgan.metrics.feature_arrays import FeatureSets
from mitlgan.metrics.feature_cache import cached_pack_features, select_pictures
from mitlgan.metrics.metric_table import METRICS, measure_all
from mitlgan.runtime.arguments import require_whole
from mitlgan.runtime.distributed import ALONE, World, gather_objects
from mitlgan.runtime.progress import LabeledProgressCallback

SCHEMA_VERSION = 1
MIN_SAMPLES = 2
"""Fewer have no variance, which every distance needs."""
_SEEDS_PER_PROTOCOL = 1_000_000


class ImageSource(typing.Protocol):
    """Anything that makes images from seeds, such as a loaded artifact."""

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], C = 3 or 4; four channels are RGB premultiplied by alpha."""
        ...


@dataclass(frozen=True)
class EvalProtocol:
    """How images are compared. Numbers can be compared only if they share a protocol.

    Attributes:
        extractor: Name of the extractor, see `metrics.extractors.registry`.
        samples: Number of generated images, at least `MIN_SAMPLES`, and maximum number of real ones.
        split: Name of the real split; the caller opens it.
        resize: Filter for resizing to the extractor's input; None: the extractor's default.
        seed: Decides the latents, the choice of real images and KID's subsets; at least 0.
        extrapolate: Whether to extrapolate the Frechet distance to infinitely many samples.
    """

    extractor: str = OFFLINE_EXTRACTOR
    samples: int = 2000
    split: str = "test"
    resize: str | None = None
    seed: int = 0
    extrapolate: bool = False

    def __post_init__(self) -> None:
        require_whole("--samples", self.samples, MIN_SAMPLES)
        require_whole("--seed", self.seed, 0)

    def seeds(self) -> range:
        """Return the seeds of the generated images; those of two protocol seeds never overlap."""
        first = self.seed * _SEEDS_PER_PROTOCOL
        return range(first, first + self.samples)

    def open_extractor(self, *, weights: Path | None = None, device: str = "cpu") -> Extractor:
        """Open the extractor. Call it before training starts, so that missing weights are reported before the first step.

        Raises:
            UsageError: The weights are missing or wrong.
        """
        return open_extractor(self.extractor, weights, device=device, resize=self.resize)


def evaluate_each(
    source: ImageSource, real: ImagePack, protocol: EvalProtocol, extractors: Mapping[str, Extractor], world: World = ALONE
) -> dict[str, Any]:
    """Evaluate with each of several extractors; the ranks share the images, and every one must call this.

    Returns:
        The first extractor's result. With several extractors, "by_extractor" holds the results of all by name.
    """
    results = {
        extractor.name: evaluate(source, real, replace(protocol, extractor=name), extractor=extractor, world=world)
        for name, extractor in extractors.items()
    }
    first = next(iter(results.values()))
    return first if len(results) == 1 else first | {"by_extractor": results}


def evaluate(
    source: ImageSource,
    real: ImagePack,
    protocol: EvalProtocol,
    *,
    extractor: Extractor | None = None,
    progress: LabeledProgressCallback | None = None,
    world: World = ALONE,
) -> dict[str, Any]:
    """Compare an artifact's samples with real images.

    Args:
        source: Sampled at the protocol's seeds.
        real: Pack of the protocol's split, of the source's image size.
        protocol: How images are compared.
        extractor: An open extractor; None opens the protocol's.
        progress: Called after each batch.
        world: This process's rank; the ranks share the images, and every one must call this.

    Returns:
        See `evaluate_stream`; the same to the bit for any number of ranks, and on each of them.

    Raises:
        UsageError: The extractor's weights are missing.
        ArtifactError: The source makes images of another size than the pack's.
        DataError: There are fewer than two real images.
        NanError: The source makes images that are not finite.
    """
    if world.size == 1:
        return evaluate_stream(sample_batches(source, protocol), real, protocol, extractor=extractor, progress=progress)
    extractor = extractor or protocol.open_extractor()
    real_features = _pack_features(real, "real", protocol.samples, protocol, extractor, progress, world)
    counter = ClippingCounter()

    def chunk(number: int) -> Tensor:
        (images,) = counter.count_through(_check_size([_sample_chunk(source, protocol, number)], real))
        return images

    callback = _bind_progress(progress, "generated", protocol.samples)
    fake_features = extract_chunks(extractor, chunk, _count_chunks(protocol), world, callback)
    whole = ClippingCounter()
    for part in gather_objects(counter, world):
        whole.merge(part)
    return _measure(real_features, fake_features, whole, real, protocol, extractor)


def sample_batches(source: ImageSource, protocol: EvalProtocol) -> Iterator[Tensor]:
    """Yield the source's images at the protocol's seeds in batches, uint8 (n, 3, H, W)."""
    for number in range(_count_chunks(protocol)):
        yield _sample_chunk(source, protocol, number)


def _count_chunks(protocol: EvalProtocol) -> int:
    return -(-protocol.samples // CHUNK)


def _sample_chunk(source: ImageSource, protocol: EvalProtocol, number: int) -> Tensor:
    """Return a chunk of the source's images at the protocol's seeds, by its number."""
    images = source.sample(protocol.seeds()[number * CHUNK :][:CHUNK])
    if not bool(torch.isfinite(images).all()):
        raise NanError("artifact: makes images that hold NaN or Inf; take an earlier checkpoint")
    return to_rgb(to_uint8(images))


def to_rgb(images: Tensor) -> Tensor:
    """Convert uint8 (N, C, H, W), C = 1, 3 or 4, to RGB: premultiplied alpha is composited on `BACKDROP`, gray is repeated."""
    if images.shape[1] == 1:
        return images.expand(-1, 3, -1, -1)
    if images.shape[1] == 3:
        return images
    return torch.from_numpy(composite_on(clip_to_alpha(images).cpu().numpy(), BACKDROP))


def evaluate_stream(
    fake: Iterable[Tensor],
    real: ImagePack,
    protocol: EvalProtocol,
    *,
    extractor: Extractor | None = None,
    progress: LabeledProgressCallback | None = None,
) -> dict[str, Any]:
    """Compare a stream of images with real images.

    Args:
        fake: Batches, each uint8 (n, 3, H, W).
        real: Real images; alpha is composited on their backdrop, mattes are dropped.
        protocol: How images are compared.
        extractor: See `evaluate`.
        progress: See `evaluate`.

    Returns:
        "schema_version", "protocol", and by key each metric of `metric_table.METRICS` that is defined: a dict with its full "name", its "value" and
        all that is needed to compare it: extractor, weights_sha256, resize, generated, real, split, data_sha256, size_px, seed.
    """
    extractor = extractor or protocol.open_extractor()
    real_features = _pack_features(real, "real", protocol.samples, protocol, extractor, progress)
    counter = ClippingCounter()
    batches = counter.count_through(_check_size(fake, real))
    fake_features = extract_features(extractor, batches, _bind_progress(progress, "generated", protocol.samples))
    return _measure(real_features, fake_features, counter, real, protocol, extractor)


def evaluate_pack(
    other: ImagePack, real: ImagePack, protocol: EvalProtocol, *, extractor: Extractor | None = None, progress: LabeledProgressCallback | None = None
) -> dict[str, Any]:
    """Compare real images (bare backgrounds, another split) with real images as if they were generated; returns as `evaluate_stream`.

    Raises:
        DataError: The packs have different image sizes.
    """
    if other.size_px != real.size_px:
        raise DataError(f"{other.path}: holds {other.size_px} px images, but {real.path} {real.size_px} px; pack both alike")
    extractor = extractor or protocol.open_extractor()
    real_features = _pack_features(real, "real", protocol.samples, protocol, extractor, progress)
    other_features = _pack_features(other, "generated", protocol.samples, protocol, extractor, progress)
    return _measure(real_features, other_features, _count_clipping(other, protocol), real, protocol, extractor)


def measure_anchors(
    real: ImagePack,
    protocol: EvalProtocol,
    others: Mapping[str, ImagePack | Iterable[Tensor]] | None = None,
    *,
    extractor: Extractor | None = None,
    progress: LabeledProgressCallback | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure reference points for other distances: what no difference, and what known differences, score by the same protocol.

    Args:
        real: Real images.
        protocol: How images are compared. "real_halves" uses half as many images per side if the pack holds fewer than twice the protocol's samples;
            packs of fewer than four images have none.
        others: Further anchors by name ("real_pasted", "bare_backgrounds", ...): a pack, or uint8 batches as in `evaluate_stream`.
        extractor: See `evaluate`.
        progress: See `evaluate`.

    Returns:
        By name, "real_halves" first if there is one; values as `evaluate_stream`.
    """
    extractor = extractor or protocol.open_extractor()
    count = min(2 * protocol.samples, len(real))
    results: dict[str, dict[str, Any]] = {}
    if count >= 4:  # a distance needs at least two images per side
        features = _pack_features(real, "real", count, protocol, extractor, progress)
        # Packs are often sorted by source: halves of the shuffled order are alike, halves of the sorted order would not be.
        order = np.random.default_rng([protocol.seed, count]).permutation(count)
        first, second = features[order[: count // 2]], features[order[count // 2 : 2 * (count // 2)]]
        results["real_halves"] = _measure(first, second, _count_clipping(real, protocol), real, protocol, extractor)
    for name, other in (others or {}).items():
        if isinstance(other, ImagePack):
            results[name] = evaluate_pack(other, real, protocol, extractor=extractor, progress=progress)
        else:
            results[name] = evaluate_stream(other, real, protocol, extractor=extractor, progress=progress)
    return results


def flat_metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the bare numbers of a result for tables: `kid_std`, and every metric of `METRICS` by its column."""
    return {metric.column: result[metric.key]["value"] for metric in METRICS if metric.key in result} | {"kid_std": result["kid"]["std"]}


def _check_size(batches: Iterable[Tensor], real: ImagePack) -> Iterator[Tensor]:
    for batch in batches:
        if tuple(batch.shape[1:]) != (3, real.size_px, real.size_px):
            shape, size = " x ".join(str(side) for side in batch.shape[1:]), real.size_px
            raise ArtifactError(f"artifact: makes {shape} images, but {real.path} holds 3 x {size} x {size}; give --data of its size")
        yield batch


def _pack_features(
    pack: ImagePack,
    side: str,
    count: int,
    protocol: EvalProtocol,
    extractor: Extractor,
    progress: LabeledProgressCallback | None,
    world: World = ALONE,
) -> NDArray[np.float32]:
    extractor.require_pictures(pack.size_px, pack.channels)
    callback = _bind_progress(progress, side, min(count, len(pack)))
    return cached_pack_features(pack, extractor, count=count, seed=protocol.seed, progress=callback, world=world)


def _count_clipping(pack: ImagePack, protocol: EvalProtocol) -> ClippingCounter:
    counter = ClippingCounter()
    indices = select_pictures(len(pack), protocol.samples, protocol.seed)
    for start in range(0, len(indices), CHUNK):
        counter.add(pack.batch(indices[start : start + CHUNK], channels=3))
    return counter


def _bind_progress(progress: LabeledProgressCallback | None, side: str, total: int) -> Callable[[int], None] | None:
    if progress is None:
        return None
    return lambda done: progress(side, done, total)


def _measure(
    real_features: NDArray[np.float32],
    fake_features: NDArray[np.float32],
    counter: ClippingCounter,
    real: ImagePack,
    protocol: EvalProtocol,
    extractor: Extractor,
) -> dict[str, Any]:
    """Compute all metrics, each with what is needed to compare it."""
    provenance = {
        "extractor": extractor.name,
        "weights_sha256": extractor.weights_sha256,
        "resize": extractor.resize,
        "generated": len(fake_features),
        "real": len(real_features),
        "split": protocol.split,
        "data_sha256": real.content_sha256,
        "size_px": real.size_px,
        "seed": protocol.seed,
        **({} if real.measured_sha256 == real.content_sha256 else {"backdrop": list(real.backdrop)}),
    }
    sets = FeatureSets(real_features, fake_features, extractor, counter, protocol.seed, protocol.extrapolate)
    return {"schema_version": SCHEMA_VERSION, "protocol": asdict(protocol), **measure_all(sets, provenance)}
