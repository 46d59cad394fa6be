"""A picture's latent: found by search in a frozen generator or composer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.errors import UsageError
from mitlgan.inversion.cost import Aim, renderer
from mitlgan.inversion.decompose.layers import Splitter
from mitlgan.inversion.levenberg_marquardt import polished
from mitlgan.inversion.multistart import improved, nearest_starts
from mitlgan.inversion.placement_search import Places, place_part
from mitlgan.inversion.progress import Clock, Ended, Watcher
from mitlgan.inversion.settings import Settings
from mitlgan.metrics.extractors.features import Extractor, extractor
from mitlgan.metrics.psnr import psnr_db, psnrs_db
from mitlgan.networks import CompositionStages
from mitlgan.networks.placement import PLACEMENT_DIM, LayerTransform

SPLIT_DB = 30.0
"""PSNR from which on a composition that was taken apart is not looked for as a whole as well, which takes minutes and seldom comes as far."""
JOINT_STEPS = 40
"""Of the last stretch, both layers together: they are near by then."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """What was found.

    Attributes:
        z: Latents (N, D), on the CPU: points of the artifact as any other.
        stages: Every stage of their pictures; a composer's has the layers, the matte and where layers stand.
        mse: Mean squared errors (N,) over [0, 1] of what counts.
        psnr_db: Peak signal-to-noise ratios (N,) over [0, 1] of what counts, at most 120.
        perceptual: Perceptual distances (N,), if an extractor was asked for.
        ended: Why each ended.
        seconds: What each took, beside the common search for starts.
    """

    z: Tensor
    stages: CompositionStages
    mse: Tensor
    psnr_db: Tensor
    perceptual: Tensor | None
    ended: tuple[Ended, ...]
    seconds: tuple[float, ...]

    @property
    def images(self) -> Tensor:
        """The pictures (N, C, H, W) in [-1, 1]."""
        return self.stages.output

    @property
    def stands(self) -> Mapping[str, LayerTransform]:
        """Where layers stand, of those that were moved."""
        return self.stages.transforms


def embed(
    artifact: LoadedArtifact, targets: Tensor, settings: Settings | None = None, weight_mask: Tensor | None = None, progress: Watcher | None = None
) -> Embedded:
    """Find latents whose pictures are as like given pictures as the artifact can.

    Many random latents are looked at, the nearest improved together by Adam, of which ever fewer are kept, and the last ones followed to the bottom by
    Levenberg-Marquardt. Each picture is found by itself: what else is asked for does not change it. Nothing of the artifact is trained. A composition
    of an object with its own matte before a background is taken apart first (`mitlgan.inversion.decompose.layers`), and looked for as
    a whole only if that fails.

    Args:
        artifact: A generator or composer; of the latter each layer's latent and, where it has one, the placement's are looked for.
        targets: (N, C, H, W) in [-1, 1], of the artifact's size and channels.
        settings: How much is tried.
        weight_mask: (N, 1, H, W) in [0, 1]: what each pixel counts, 0 in a hole. None: all count.
        progress: Told between steps; False ends all, and the best so far is given.

    Returns:
        `Embedded`.

    Raises:
        UsageError: The pictures or weights do not fit.
    """
    settings = settings or Settings()
    _require_fitting(artifact, targets, weight_mask)
    network: Extractor | None = None
    if settings.perceptual > 0:
        network = extractor(settings.extractor, settings.weights, device=artifact.device)
    quick = _quicker(artifact)
    render = renderer(quick)
    part = place_part(artifact.card)
    jumps = () if part is None else range(part.start + PLACEMENT_DIM - 1, part.stop, PLACEMENT_DIM)
    place = None if part is None else Places.of(render, part)
    splitter = Splitter.of(quick.network)
    around = None if splitter is None else splitter.around
    aims = []
    for index, target in enumerate(targets):
        weight = None if weight_mask is None else weight_mask[index].float().to(artifact.device).clone()
        aims.append(Aim(render, target.float().to(artifact.device).clone(), weight, settings, network, jumps, around=around))
    clock = Clock(progress, settings.seconds, len(targets))
    dim = sum(artifact.card.latent_dims.values())

    @cache
    def starts() -> list[Tensor]:
        return nearest_starts(aims, torch.empty(len(aims), 0, dim, device=artifact.device), dim, settings, clock)

    if splitter is None:
        starts()
    found: list[Tensor] = []
    ended: list[Ended] = []
    seconds: list[float] = []
    for index, aim in enumerate(aims):
        clock.begin(index)
        began = time.monotonic()
        z, why = _found(aim, lambda index=index: starts()[index], settings, clock, place, splitter)  # type: ignore[misc]
        found.append(z)
        ended.append(why)
        seconds.append(time.monotonic() - began)
    return _result(artifact, aims, torch.stack(found).cpu(), tuple(ended), tuple(seconds))


def _found(
    aim: Aim, starts: Callable[[], Tensor], settings: Settings, clock: Clock, place: Places | None, splitter: Splitter | None
) -> tuple[Tensor, Ended]:  # fmt: skip
    """The best latent (D,) of all attempts, and why the last of them ended; the first one is layer after layer, where that can be."""

    def attempts() -> Iterator[tuple[Tensor, Ended]]:
        if splitter is not None:
            joined = replace(settings, polish_steps=min(settings.polish_steps, JOINT_STEPS))
            yield polished(aim, splitter.split(aim, settings, clock)[None], joined, clock)
        for attempt, some in enumerate(torch.split(starts(), settings.restarts)):
            yield polished(aim, improved(aim, some, settings, clock, place, attempt), settings, clock, place)

    best, lowest, ended, error = None, math.inf, clock.over, math.inf
    for z, ended in () if clock.over is not None else attempts():
        with torch.no_grad():
            images = aim.render(z[None])
            cost = float(aim.cost(z[None], images, perceptual=True)[0])
            error = min(error, float(aim.errors(images)[0]))
        if cost < lowest:
            best, lowest = z, cost
        if clock.over is not None or ended == "goal" or (splitter is not None and psnr_db(error) >= SPLIT_DB):
            break
    best = starts()[0] if best is None else best
    ended = clock.over if ended != "goal" and clock.over is not None else ended
    assert ended is not None
    return best, ended


def _result(artifact: LoadedArtifact, aims: list[Aim], z: Tensor, ended: tuple[Ended, ...], seconds: tuple[float, ...]) -> Embedded:
    stages = artifact.layers_from_latents(z)
    with torch.no_grad():
        images = stages.output.to(artifact.device)[:, None]
        errors = torch.cat([aim.errors(image) for aim, image in zip(aims, images, strict=True)]).cpu()
        seen = torch.cat([aim.perceptual(image) for aim, image in zip(aims, images, strict=True)]).cpu()
    psnr = torch.from_numpy(psnrs_db(errors)).float()
    return Embedded(z, stages, errors, psnr, seen if aims[0].sees else None, ended, seconds)


def _quicker(artifact: LoadedArtifact) -> LoadedArtifact:
    """A copy whose weights lie as convolutions of few images at a time are fastest: a third less time. The last bits differ."""
    network = copy.deepcopy(artifact.network).to(memory_format=torch.channels_last)
    return LoadedArtifact(network, artifact.card, str(artifact.device))


def _require_fitting(artifact: LoadedArtifact, targets: Tensor, weight_mask: Tensor | None) -> None:
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
