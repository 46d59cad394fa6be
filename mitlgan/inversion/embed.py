"""Inversion: the latent whose image is most like a given picture, by search in a frozen generator or composer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.errors import UsageError
from mitlgan.inversion.cost import InversionCost, make_renderer
from mitlgan.inversion.decompose.layers import LayerDecomposer
from mitlgan.inversion.levenberg_marquardt import refine
from mitlgan.inversion.multistart import best_random_starts, optimise
from mitlgan.inversion.placement_search import placement_slice
from mitlgan.inversion.progress import SearchProgress, StatusCallback, StopReason
from mitlgan.inversion.settings import InversionSettings
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.psnr import psnr_db, psnrs_db
from mitlgan.networks import CompositionStages
from mitlgan.networks.placement import PLACEMENT_DIM, LayerTransform

ACCEPT_DB = 46.0
"""PSNR of a decomposition at which no further one is tried."""
USABLE_DB = 30.0
"""PSNR of a decomposition above which no search for all layers at once follows: it takes minutes and rarely comes as far."""
JOINT_POLISH_STEPS = 40
"""Levenberg-Marquardt steps for both layers of a decomposition together, which are near the minimum by then."""


@dataclass(frozen=True, eq=False)
class InversionResult:
    """Latents of pictures, and how well they fit.

    Attributes:
        z: Latents (N, D), on the CPU.
        stages: Every stage of their images; a composer's has the layers, the matte and the placements.
        mse: Mean squared errors (N,) over [0, 1], by the weights.
        psnr_db: Peak signal-to-noise ratios (N,) over [0, 1], by the weights, at most 120.
        perceptual: Perceptual distances (N,); None without an extractor.
        stop_reasons: Why each search stopped.
        seconds: Time of each search, without the random starts that all share.
    """

    z: Tensor
    stages: CompositionStages
    mse: Tensor
    psnr_db: Tensor
    perceptual: Tensor | None
    stop_reasons: tuple[StopReason, ...]
    seconds: tuple[float, ...]

    @property
    def images(self) -> Tensor:
        """The images (N, C, H, W) in [-1, 1]."""
        return self.stages.output

    @property
    def transforms(self) -> Mapping[str, LayerTransform]:
        """Where the movable layers are placed."""
        return self.stages.transforms


def embed(
    artifact: LoadedArtifact,
    targets: Tensor,
    settings: InversionSettings | None = None,
    weight_mask: Tensor | None = None,
    progress: StatusCallback | None = None,
) -> InversionResult:
    """Find the latents whose images are most like given pictures.

    The best of many random latents are optimised together by Adam, of which ever fewer are kept, and refined by Levenberg-Marquardt. A picture's result
    does not depend on the other pictures. The artifact does not change. A composition of an object with its own matte in front of a background is
    first decomposed into its layers (`mitlgan.inversion.decompose`); only if that fails, all layers are searched for at once.

    Args:
        artifact: A generator or composer; a composer's latent also holds the placement, if there is one.
        targets: (N, C, H, W) in [-1, 1], of the artifact's size and channels.
        settings: Effort and goal; None for the defaults.
        weight_mask: Weights (N, 1, H, W) in [0, 1], 0 in a hole; None weighs all pixels alike.
        progress: Called between steps; returning False stops all searches, and the best results so far are returned.

    Raises:
        UsageError: The pictures or weights do not fit the artifact.
    """
    settings = settings or InversionSettings()
    _validate_input(artifact, targets, weight_mask)
    reports = SearchProgress(progress, settings.seconds, len(targets))
    model = _channels_last(artifact)
    costs = _costs(model, targets, weight_mask, settings)
    dim = sum(artifact.card.latent_dims.values())
    starts = cache(lambda: best_random_starts(costs, dim, settings, reports))
    search = _Search(settings, reports, placement_slice(artifact.card), LayerDecomposer.for_network(model.network))
    if search.decomposer is None:
        starts()
    candidates, seconds = [], []
    for index, cost in enumerate(costs):
        reports.start_picture(index)
        start_s = time.monotonic()
        candidates.append(search.run(cost, lambda index=index: starts()[index]))  # type: ignore[misc]
        seconds.append(time.monotonic() - start_s)
    z = torch.stack([candidate.z for candidate in candidates]).cpu()
    return _result(artifact, costs, z, tuple(candidate.stop_reason for candidate in candidates), tuple(seconds))


class _Candidate(NamedTuple):
    """A latent (D,), its cost and PSNR, and why its search stopped."""

    z: Tensor
    value: float
    psnr_db: float
    stop_reason: StopReason


@dataclass(frozen=True)
class _Search:
    """What the searches for all pictures share."""

    settings: InversionSettings
    progress: SearchProgress
    placement: slice | None
    decomposer: LayerDecomposer | None

    def run(self, cost: InversionCost, starts: Callable[[], Tensor]) -> _Candidate:
        """Return the best latent for one picture; `starts` gives random ones (K, D), the best first."""
        if self.progress.stop_reason is not None:
            return self._candidate(cost, starts()[0], self.progress.stop_reason)
        if self.decomposer is None:
            return self._best(cost, self._whole_searches(cost, starts))
        best = self._best(cost, self._decompositions(cost, self.decomposer), ACCEPT_DB)
        if best.psnr_db >= USABLE_DB or self.progress.stop_reason is not None:
            return best
        return min(best, self._best(cost, self._whole_searches(cost, starts)), key=lambda candidate: candidate.value)

    def _decompositions(self, cost: InversionCost, decomposer: LayerDecomposer) -> Iterator[tuple[Tensor, StopReason]]:
        joint = replace(self.settings, polish_steps=min(self.settings.polish_steps, JOINT_POLISH_STEPS))
        for attempt in range(self.settings.attempts):
            z = decomposer.decompose(cost, self.settings, self.progress, attempt)
            yield refine(cost, z[None], joint, self.progress)

    def _whole_searches(self, cost: InversionCost, starts: Callable[[], Tensor]) -> Iterator[tuple[Tensor, StopReason]]:
        for attempt, z in enumerate(torch.split(starts(), self.settings.restarts)):
            z = optimise(cost, z, self.settings, self.progress, self.placement, attempt)
            yield refine(cost, z, self.settings, self.progress, self.placement)

    def _best(self, cost: InversionCost, attempts: Iterable[tuple[Tensor, StopReason]], accept_db: float = math.inf) -> _Candidate:
        """Make attempts until one is good enough or the time is up; return the best."""
        candidates = []
        for z, stop_reason in attempts:
            candidates.append(self._candidate(cost, z, stop_reason))
            if stop_reason == "goal" or candidates[-1].psnr_db >= accept_db or self.progress.stop_reason is not None:
                break
        best = min(candidates, key=lambda candidate: candidate.value)
        return best if best.stop_reason == "goal" else best._replace(stop_reason=self.progress.stop_reason or best.stop_reason)

    @torch.no_grad()
    def _candidate(self, cost: InversionCost, z: Tensor, stop_reason: StopReason) -> _Candidate:
        images = cost.render(z[None])
        return _Candidate(z, float(cost.value(z[None], images)[0]), psnr_db(float(cost.mse(images)[0])), stop_reason)


def _costs(artifact: LoadedArtifact, targets: Tensor, weight_mask: Tensor | None, settings: InversionSettings) -> list[InversionCost]:
    network = open_extractor(settings.extractor, settings.weights, device=artifact.device) if settings.perceptual > 0 else None
    placement = placement_slice(artifact.card)
    jumps = () if placement is None else range(placement.start + PLACEMENT_DIM - 1, placement.stop, PLACEMENT_DIM)
    weights = [None] * len(targets) if weight_mask is None else [weight.float().to(artifact.device) for weight in weight_mask]
    create = partial(InversionCost, make_renderer(artifact), settings=settings, extractor=network, jumps=jumps)
    return [create(target.float().to(artifact.device), weight) for target, weight in zip(targets, weights, strict=True)]


def _result(
    artifact: LoadedArtifact, costs: list[InversionCost], z: Tensor, stop_reasons: tuple[StopReason, ...], seconds: tuple[float, ...]
) -> InversionResult:  # fmt: skip
    stages = artifact.layers_from_latents(z)
    with torch.no_grad():
        images = stages.output.to(artifact.device)[:, None]
        mse = torch.cat([cost.mse(image) for cost, image in zip(costs, images, strict=True)]).cpu()
        perceptual = torch.cat([cost.perceptual_distance(image) for cost, image in zip(costs, images, strict=True)]).cpu()
    psnr = torch.from_numpy(psnrs_db(mse)).float()
    return InversionResult(z, stages, mse, psnr, perceptual if costs[0].has_perceptual else None, stop_reasons, seconds)


def _channels_last(artifact: LoadedArtifact) -> LoadedArtifact:
    """Return a copy in the memory format in which small batches take a third less time; the last bits of its images differ."""
    network = copy.deepcopy(artifact.network).to(memory_format=torch.channels_last)
    return LoadedArtifact(network, artifact.card, str(artifact.device))


def _validate_input(artifact: LoadedArtifact, targets: Tensor, weight_mask: Tensor | None) -> None:
    card = artifact.card
    form = (card.image_channels, card.size_px, card.size_px)
    if targets.ndim != 4 or len(targets) == 0 or tuple(targets.shape[1:]) != form:
        raise UsageError(f"targets: have shape {tuple(targets.shape)}; the artifact makes (N, {form[0]}, {form[1]}, {form[2]})")
    if not targets.is_floating_point() or not bool((targets.abs() <= 1).all()):
        raise UsageError("targets: hold values that are not in [-1, 1]; divide pixels by 127.5 and take 1 away")
    if weight_mask is None:
        return
    if tuple(weight_mask.shape) != (len(targets), 1, *form[1:]):
        raise UsageError(f"weight_mask: has shape {tuple(weight_mask.shape)}; give {(len(targets), 1, *form[1:])}")
    if not bool(((weight_mask >= 0) & (weight_mask <= 1)).all()):
        raise UsageError("weight_mask: holds weights that are not from 0 to 1")
    if not bool((weight_mask.flatten(1).sum(1) > 0).all()):
        raise UsageError("weight_mask: nothing of a picture counts; leave some pixels out of the hole")
