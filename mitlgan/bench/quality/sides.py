"""Both sides of the time to quality: each trains and is measured at points in CPU seconds; measuring does not count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from mitlgan.bench.quality.pictures import TaskPictures
from mitlgan.bench.quality.tasks import QualityTask
from mitlgan.bench.quality.textbook import TextbookLoop
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.alpha import within_alpha
from mitlgan.latents import latents_from_seeds
from mitlgan.metrics.clipping import ClippingCounter
from mitlgan.metrics.extractors.extractor import Extractor, extract_features
from mitlgan.metrics.feature_arrays import FeatureSets
from mitlgan.metrics.feature_cache import cached_pack_features
from mitlgan.metrics.kid import measure_kid
from mitlgan.metrics.protocol import EvalProtocol, sample_batches
from mitlgan.networks import Network
from mitlgan.networks.resample import resize_image
from mitlgan.recipe import with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import SilentReporter
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.state import TrainingState

TEXTBOOK_SHARES = tuple(2.0**-power for power in (4, 3, 2, 1, 0))
"""Shares of the time at which the textbook loop is measured."""
RECIPE_SHARES = tuple(2.0 ** (-power / 2) for power in range(12, -1, -1))
"""Shares of the time at which the recipe is measured, until it is as good: each 1.41 times the one before."""


@dataclass(frozen=True)
class QualityPoint:
    """A measured point of a training.

    Attributes:
        cpu_s: CPU seconds of training so far.
        kimg: Thousand real pictures shown to the critic so far.
        kid: Distance to the held-out pictures.
    """

    cpu_s: float
    kimg: float
    kid: float

    def to_json(self) -> dict[str, float]:
        """Return the numbers."""
        return asdict(self)


class KidMeter:
    """Measures generators against held-out pictures, by the product's own protocol.

    Args:
        samples: Number of generated pictures.
        extractor: Makes the features.
    """

    def __init__(self, samples: int, extractor: Extractor) -> None:
        self.protocol, self.extractor = EvalProtocol(samples=samples, split="validation"), extractor

    def measure(self, network: Network, role: str, held_out: ImagePack) -> float:
        """Return the KID of a generator; one of a smaller size counts as the larger one that would grow from it, before its first update."""
        images = sample_batches(EnlargedSamples(network, role, held_out.size_px), self.protocol)
        fake = extract_features(self.extractor, images, None)
        real = cached_pack_features(held_out, self.extractor, count=self.protocol.samples, seed=self.protocol.seed)
        return float(measure_kid(FeatureSets(real, fake, self.extractor, ClippingCounter(), self.protocol.seed, extrapolate=False))["kid"]["value"])


@dataclass(frozen=True)
class EnlargedSamples:
    """Images of a generator at a size; a smaller generator's are enlarged as `GrownGenerator` does it at its start.

    Attributes:
        network: The generator.
        role: Of its layer.
        size_px: Height and width of the images.
    """

    network: Network
    role: str
    size_px: int

    @torch.inference_mode()
    def sample(self, seeds: Sequence[int]) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1]."""
        images = self.network(latents_from_seeds(seeds, self.network.latent_dims_for(self.role)))
        if images.shape[-1] != self.size_px:
            images = within_alpha(resize_image(images, self.size_px, "bicubic"))
        return torch.as_tensor(images).float().clamp(-1, 1)


def train_textbook(task: QualityTask, pictures: TaskPictures, seed: int, seconds: float, meter: KidMeter) -> list[QualityPoint]:
    """Train the textbook loop for some CPU seconds, and measure it on the way."""
    loop = TextbookLoop(pictures.folder, task.size_px, seed)
    points = []
    for share in TEXTBOOK_SHARES:
        loop.train_until(seconds * share)
        kid = meter.measure(loop.generator_for_use(), task.role, pictures.held_out)
        points.append(QualityPoint(loop.cpu_s, loop.images_shown / 1000, kid))
    return points


class _Finished(Exception):  # noqa: N818  # ends a training that need not go on
    """The training is as good as asked, or has used up its time."""


def train_recommended(
    task: QualityTask, pictures: TaskPictures, seed: int, seconds: float, meter: KidMeter, target_kid: float, root: Path
) -> list[QualityPoint]:  # fmt: skip
    """Train the recommended recipe by the product's own stage until it is as good as a KID, or for some CPU seconds; measure it on the way."""
    points: list[QualityPoint] = []

    def on_artifact(state: TrainingState, network: Network) -> None:
        kid = meter.measure(network, task.role, pictures.held_out)
        points.append(QualityPoint(state.counters.cpu_seconds, state.counters.kimg, kid))
        if kid <= target_kid or state.counters.cpu_seconds >= seconds:
            raise _Finished

    points_s = tuple(seconds * share for share in RECIPE_SHARES)
    recipe = with_overrides(
        task.load_recipe(), seed=seed, data__source=str(pictures.train.path), training__keep_s=points_s, training__clock="cpu"
    )  # fmt: skip
    context = RunContext(World(0, 1, torch.device("cpu")), SilentReporter(), root, on_artifact=on_artifact)
    with suppress(_Finished):
        pretrain(recipe, context)
    return points


def best_point(points: Sequence[QualityPoint]) -> QualityPoint:
    """Return the first point with the lowest KID."""
    return min(points, key=lambda point: point.kid)


def first_as_good(points: Sequence[QualityPoint], kid: float) -> QualityPoint | None:
    """Return the first point with at most a KID; None if there is none. Nothing is interpolated, so the point is late rather than early."""
    return next((point for point in points if point.kid <= kid), None)


def ratios(textbook: Sequence[QualityPoint], recommended: Sequence[QualityPoint], reading_s: float) -> tuple[float, float]:
    """Return how many times sooner the recipe has the textbook loop's best KID, and the same with the reading of the pictures; 0 if it never has."""
    target = best_point(textbook)
    reached = first_as_good(recommended, target.kid)
    if reached is None or not math.isfinite(target.kid):
        return 0.0, 0.0
    return target.cpu_s / reached.cpu_s, target.cpu_s / (reached.cpu_s + reading_s)
