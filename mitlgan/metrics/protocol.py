"""Evaluation: an artifact against real pictures, by a protocol that every number carries.

Images are compared as uint8 from memory, real and fake through the same resize. Features of real pictures are cached by content and
protocol, so that a second evaluation costs the fakes only.
"""

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

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, DataError, NanError, UsageError
from mitlgan.images.alpha import clip_to_alpha
from mitlgan.images.pixels import composite_on, to_uint8
from mitlgan.metrics.clipping import ClippingCounter
from mitlgan.metrics.distances import frechet_from_features, kernel_distance, manifold_metrics, mean_pairwise_distance
from mitlgan.metrics.extractors.features import OFFLINE_EXTRACTOR, Extractor, extract_features, extractor
from mitlgan.metrics.extrapolation import frechet_infinity
from mitlgan.metrics.feature_cache import BACKDROP, cached_pack_features, select_pictures
from mitlgan.metrics.inception_score import SPLITS, inception_score

Progress = Callable[[str, int, int], None]
"""Called with what is read ("real" or "generated" images), how many are done, how many there are."""

SCHEMA_VERSION = 1
_SEEDS_PER_PROTOCOL = 1_000_000
_CHUNK = 256
_KID_SUBSETS = 100
_KID_SUBSET_SIZE = 1000
_NEIGHBOURS = 5

COLLAPSE_DIVERSITY = 0.25
"""Samples nearer to each other, in features, than this share of real pictures' mean distance are nearly alike: mode collapse."""

HEADLINES = {key: key for key in ("precision", "recall", "density", "coverage", "diversity", "burnt_dark", "burnt_bright")} | {
    "fd_infinity": "frechet_infinity",
    "inception_score": "inception_score",
}
"""Key in a table's row -> name in a result, beside the distances."""


class ImageSource(typing.Protocol):
    """What makes the images that are evaluated."""

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """(N, 3 or 4, H, W) in [-1, 1]; four channels are RGB premultiplied by alpha."""
        ...


@dataclass(frozen=True)
class EvalProtocol:
    """How images are compared. Two numbers compare only if these agree.

    Attributes:
        extractor: Name of the extractor, see `metrics.features.extractor`.
        samples: Generated images, and at most as many real ones.
        split: Name of the real split; the caller opens it.
        resize: Filter towards the extractor's size; None is the extractor's usual one.
        seed: Decides the latents, the choice of real images and KID's subsets.
        extrapolate: Whether the Frechet distance is also extrapolated to infinitely many samples.
    """

    extractor: str = OFFLINE_EXTRACTOR
    samples: int = 2000
    split: str = "test"
    resize: str | None = None
    seed: int = 0
    extrapolate: bool = False

    def seeds(self) -> range:
        """Seeds of the generated images; those of two protocol seeds never overlap."""
        first = self.seed * _SEEDS_PER_PROTOCOL
        return range(first, first + self.samples)


def open_extractor(protocol: EvalProtocol, *, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The protocol's extractor; call it before training starts, so that absent weights are told before the first step.

    Raises:
        UsageError: Its weights are absent or wrong.
    """
    return extractor(protocol.extractor, weights, device=device, resize=protocol.resize)


def open_extractors(protocol: EvalProtocol, names: Sequence[str], *, weights: Path | None = None, device: str = "cpu") -> dict[str, Extractor]:
    """Several extractors by the names that they were asked for, in their order; see `open_extractor`.

    Args:
        protocol: Says the resize.
        names: At least one.
        weights: The weights file of the first.
        device: Where they run.

    Raises:
        UsageError: One is asked for twice; or as `open_extractor`.
    """
    networks = {}
    for index, name in enumerate(names):
        networks[name] = open_extractor(replace(protocol, extractor=name), weights=weights if index == 0 else None, device=device)
    if len({network.name for network in networks.values()}) < len(names):
        raise UsageError(f"--extractor {', '.join(names)}: one of them is named twice; give each once")
    return networks


def evaluate_each(artifact: ImageSource, real: ImagePack, protocol: EvalProtocol, networks: Mapping[str, Extractor]) -> dict[str, Any]:
    """Measures as `evaluate`, by each of `open_extractors`.

    Returns:
        The first extractor's result; with several, all of them, too, by name, under "by_extractor".
    """
    results = {network.name: evaluate(artifact, real, replace(protocol, extractor=name), network=network) for name, network in networks.items()}
    first = next(iter(results.values()))
    return first if len(results) == 1 else first | {"by_extractor": results}


def evaluate(
    artifact: ImageSource,
    real: ImagePack,
    protocol: EvalProtocol,
    *,
    device: str = "cpu",
    weights: Path | None = None,
    network: Extractor | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures an artifact's samples against real pictures.

    Args:
        artifact: What is sampled, at the protocol's seeds.
        real: The pack of the protocol's split, of the artifact's image size.
        protocol: How.
        device: Where the extractor runs.
        weights: The extractor's weights file, in place of its usual one.
        network: An extractor that is already open, in place of the protocol's own opening of it.
        progress: Told how far it is.

    Returns:
        As `evaluate_images`.

    Raises:
        UsageError: The extractor's weights are absent.
        ArtifactError: The artifact makes images of another size than the pack's.
        DataError: Fewer than two real pictures.
        NanError: The artifact makes images that are not finite.
    """
    return evaluate_stream(sample_batches(artifact, protocol), real, protocol, device=device, weights=weights, network=network, progress=progress)


def sample_batches(artifact: ImageSource, protocol: EvalProtocol) -> Iterator[Tensor]:
    """The artifact's images at the protocol's seeds, uint8 (n, 3, H, W), in chunks."""
    seeds = protocol.seeds()
    for start in range(0, len(seeds), _CHUNK):
        images = artifact.sample(seeds[start : start + _CHUNK])
        if not bool(torch.isfinite(images).all()):
            raise NanError("artifact: makes images that hold NaN or Inf; take an earlier checkpoint")
        yield to_rgb(to_uint8(images))


def to_rgb(images: Tensor) -> Tensor:
    """uint8 (N, 1, 3 or 4, H, W) as colour images: premultiplied alpha is laid on `BACKDROP`, grey is repeated."""
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
    device: str = "cpu",
    weights: Path | None = None,
    network: Extractor | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures a stream of images against real pictures.

    Args:
        fake: uint8 (n, 3, H, W) in [0, 255] each.
        real: The real pictures; alpha is laid on `BACKDROP`, mattes are dropped.
        protocol: How.
        device: See `evaluate`.
        weights: See `evaluate`.
        network: See `evaluate`.
        progress: See `evaluate`.

    Returns:
        {"schema_version", "protocol", "frechet", "kid", "diversity", "precision", "recall", "density", "coverage", "burnt_dark",
        "burnt_bright"}, and where asked
        "frechet_infinity", with the inception extractor "inception_score"; each metric is a dict with its full "name", "value", and all it
        takes to compare it: extractor, weights_sha256, resize, generated, real, split, data_sha256, size_px, seed. "diversity" is the mean
        distance of two generated images in features over that of two real ones: near 0 where all samples are alike. Burnt-out shares
        are of the generated pixels, see `metrics.burnt`.
    """
    network = network or open_extractor(protocol, weights=weights, device=device)
    real_features = _features(real, "real", protocol.samples, protocol, network, progress)
    burnt = ClippingCounter()
    fake_features = extract_features(network, burnt.count_through(_sized(fake, real)), _named(progress, "generated", protocol.samples))
    return _measured(real_features, fake_features, real, protocol, network) | _burnt(burnt)


def evaluate_pack(
    other: ImagePack,
    real: ImagePack,
    protocol: EvalProtocol,
    *,
    device: str = "cpu",
    weights: Path | None = None,
    network: Extractor | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures real pictures (bare backgrounds, another split) as if they were generated; returns as `evaluate_images`.

    Raises:
        DataError: The packs' image sizes differ.
    """
    if other.size_px != real.size_px:
        raise DataError(f"{other.path}: holds {other.size_px} px images, but {real.path} {real.size_px} px; pack both alike")
    network = network or open_extractor(protocol, weights=weights, device=device)
    real_features = _features(real, "real", protocol.samples, protocol, network, progress)
    other_features = _features(other, "generated", protocol.samples, protocol, network, progress)
    return _measured(real_features, other_features, real, protocol, network) | _burnt(_counted(other, protocol))


def measure_anchors(
    real: ImagePack,
    protocol: EvalProtocol,
    others: Mapping[str, ImagePack | Iterable[Tensor]] | None = None,
    *,
    device: str = "cpu",
    weights: Path | None = None,
    network: Extractor | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Distances that give the others a meaning: what no difference, and what known differences, score by the same protocol.

    Args:
        real: The real pictures.
        protocol: How; "real_halves" has half as many images a side where the pack holds fewer than twice the protocol's samples; of fewer than four
            pictures there are none.
        others: More anchors by name ("real_pasted", "bare_backgrounds", ...): a pack, or uint8 batches as in `evaluate_images`.
        device: See `evaluate`.
        weights: See `evaluate`.
        network: See `evaluate`.
        progress: See `evaluate`.

    Returns:
        By name, "real_halves" first where there are any; values as `evaluate_images`.
    """
    network = network or open_extractor(protocol, weights=weights, device=device)
    count = min(2 * protocol.samples, len(real))
    results: dict[str, dict[str, Any]] = {}
    if count >= 4:  # no distance is measured of fewer than two a side
        both = _features(real, "real", count, protocol, network, progress)
        # Packs are often in order of their sources: halves of the drawn order are alike, halves of the sorted one would not be.
        order = np.random.default_rng([protocol.seed, count]).permutation(count)
        half = count // 2
        halves = _measured(both[order[:half]], both[order[half : 2 * half]], real, protocol, network)
        results["real_halves"] = halves | _burnt(_counted(real, protocol))
    for name, other in (others or {}).items():
        if isinstance(other, ImagePack):
            results[name] = evaluate_pack(other, real, protocol, network=network, progress=progress)
        else:
            results[name] = evaluate_stream(other, real, protocol, network=network, progress=progress)
    return results


def flat_metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """The bare numbers of a result, for tables: fd, kid, kid_std and those of `HEADLINES` that were measured."""
    numbers = {"fd": result["frechet"]["value"], "kid": result["kid"]["value"], "kid_std": result["kid"]["std"]}
    return numbers | {key: result[name]["value"] for key, name in HEADLINES.items() if name in result}


def _sized(batches: Iterable[Tensor], real: ImagePack) -> Iterator[Tensor]:
    for batch in batches:
        if tuple(batch.shape[1:]) != (3, real.size_px, real.size_px):
            made, size = " x ".join(str(side) for side in batch.shape[1:]), real.size_px
            raise ArtifactError(f"artifact: makes {made} images, but {real.path} holds 3 x {size} x {size}; give --data of its size")
        yield batch


def _features(pack: ImagePack, what: str, count: int, protocol: EvalProtocol, network: Extractor, progress: Progress | None) -> NDArray[np.float32]:
    return cached_pack_features(pack, network, count=count, seed=protocol.seed, progress=_named(progress, what, min(count, len(pack))))


def _counted(pack: ImagePack, protocol: EvalProtocol) -> ClippingCounter:
    counter = ClippingCounter()
    chosen = select_pictures(len(pack), protocol.samples, protocol.seed)
    for start in range(0, len(chosen), _CHUNK):
        counter.add(pack.batch(chosen[start : start + _CHUNK], channels=3, backdrop=BACKDROP))
    return counter


def _burnt(counter: ClippingCounter) -> dict[str, dict[str, Any]]:
    found = counter.result()
    return {
        "burnt_dark": {"name": "Burnt-out pixels, dark end", "value": found.dark, "lowest": found.lowest},
        "burnt_bright": {"name": "Burnt-out pixels, bright end", "value": found.bright, "highest": found.highest},
    }


def _named(progress: Progress | None, what: str, total: int) -> Callable[[int], None] | None:
    if progress is None:
        return None
    return lambda done: progress(what, done, total)


def _measured(
    real_features: NDArray[np.float32], fake_features: NDArray[np.float32], real: ImagePack, protocol: EvalProtocol, network: Extractor
) -> dict[str, Any]:
    """All distances of two feature sets, each with what it takes to compare it."""
    carried = {
        "extractor": network.name,
        "weights_sha256": network.weights_sha256,
        "resize": network.resize,
        "generated": len(fake_features),
        "real": len(real_features),
        "split": protocol.split,
        "data_sha256": real.content_sha256,
        "size_px": real.size_px,
        "seed": protocol.seed,
    }
    suffix = "" if network.is_inception else f" ({network.name})"
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "protocol": asdict(protocol),
        "frechet": {"name": network.distance_name, "value": frechet_from_features(real_features, fake_features), **carried},
    }
    for key, numbers in _others(real_features, fake_features, protocol, network):
        named = {"frechet_infinity": f"{network.distance_name}, infinite samples", "kid": f"KID{suffix}", "inception_score": "Inception Score"}
        result[key] = {"name": named.get(key, f"{key}{suffix}"), **numbers, **carried}
    return result


def _others(real: NDArray[np.float32], fake: NDArray[np.float32], protocol: EvalProtocol, network: Extractor) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is measured beside the distance: name and numbers, "value" first."""
    fewest = min(len(real), len(fake))
    # A subset as large as the set would be the same one each time, and its spread 0.
    kernel = kernel_distance(real, fake, subsets=_KID_SUBSETS, subset_size=max(2, min(_KID_SUBSET_SIZE, fewest // 2)), seed=protocol.seed)
    yield "kid", {"value": kernel.mean, "std": kernel.std, "subsets": kernel.subsets, "subset_size": kernel.subset_size}
    spread = mean_pairwise_distance(real)
    yield "diversity", {"value": mean_pairwise_distance(fake) / spread if spread > 0 else 0.0}
    if fewest > _NEIGHBOURS:
        balls = manifold_metrics(real, fake, neighbours=_NEIGHBOURS)
        for key in ("precision", "recall", "density", "coverage"):
            yield key, {"value": getattr(balls, key), "neighbours": _NEIGHBOURS}
    if protocol.extrapolate:
        line = frechet_infinity(real, fake, seed=protocol.seed)
        yield "frechet_infinity", {"value": line.value, "std_error": line.std_error, "sizes": line.sizes, "distances": line.distances}
    if network.class_weights is not None and len(fake) >= SPLITS:
        score = inception_score(fake, network.class_weights, seed=protocol.seed)
        yield "inception_score", {"value": score.mean, "std": score.std, "splits": SPLITS}
