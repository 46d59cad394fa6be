"""What is behind an object: a layer found from those pixels that nothing hides, which says how it goes on where something does.

Which pixels these are is not known. So the worst are left out: first a fixed share of them, while random starts are improved; then, softly, all
that are worse than a scale which falls with the error of the others (iteratively reweighted least squares with the weights of Geman & McClure 1985).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from mitlgan.inversion.cost import FLOOR, Aim, Slope
from mitlgan.inversion.decompose.parallel import abreast
from mitlgan.inversion.levenberg_marquardt import FIRST_DAMPING, PATIENCE, SLOWEST, begun, step
from mitlgan.inversion.multistart import improved, nearest_starts, shown
from mitlgan.inversion.progress import Teller
from mitlgan.inversion.settings import Settings

SHARES = (0.4, 0.55, 0.7)
"""Of the pixels, those that count at first: nobody knows how large the object is, so several are tried."""
STARTS_EACH = 0.75
"""Of the restarts, for each share."""
EXACT = 3 / 255
"""Deviation over [0, 1] up to which a pixel is met: that of rounding is 0.3 / 255, and the rest of an end's corrections comes to it."""
QUANTILE, WIDTH = 0.4, 2.0
"""Of the deviations: that of which the scale is so many times."""
SURE = 0.6
"""Share of the pixels that must be met before no other candidate is followed; half of a smooth background may be met by accident."""


@dataclass(frozen=True, eq=False)
class Behind:
    """A layer that was found behind an object.

    Attributes:
        z: Its latent (D,).
        image: (1, C, H, W).
        hidden: What is not its own, (1, H, W) in [0, 1].
        met: Share of the pixels that count which are met.
    """

    z: Tensor
    image: Tensor
    hidden: Tensor
    met: float


class Trimmed:
    """The cost of `Aim`, of which only the best pixels count.

    Args:
        aim: Whose render, target, weights and prior are used.
        share: Of the pixels, in (0, 1].
    """

    def __init__(self, aim: Aim, share: float) -> None:
        self.aim, self.target, self.render = aim, aim.target, aim.render
        self._count = max(1, round(share * float((aim.weight > 0).sum())))

    def cost(self, z: Tensor, images: Tensor, *, perceptual: bool) -> Tensor:
        """The cost (N,) of latents (N, D) and their images (N, C, H, W); no features are compared."""
        return (self._least(images) + FLOOR).log() + self.aim.prior * z.square().sum(1)

    def searched(self, z: Tensor, images: Tensor, left: float) -> Tensor:
        """The cost (N,), whatever is left of the search."""
        return self.cost(z, images, perceptual=False)

    def errors(self, images: Tensor) -> Tensor:
        """Mean squared error (N,) over [0, 1] of the pixels that count of images (N, C, H, W)."""
        return self._least(images)

    def _least(self, images: Tensor) -> Tensor:
        errors = torch.where(self.aim.weight > 0, self.aim.by_pixel(images), torch.inf).flatten(1)
        return errors.topk(self._count, largest=False).values.mean(1)


def behind(render: Callable[[Tensor], Tensor], aim: Aim, dim: int, settings: Settings, clock: Teller) -> Behind:
    """Find a layer behind an object.

    Args:
        render: Images of the layer's latents.
        aim: Whose target, weights and burnt-out values count.
        dim: Length of the latents.
        settings: How much is tried.
        clock: Told between steps.

    Returns:
        The best that was found.
    """
    own = aim.of(render)
    few = replace(settings, restarts=max(1, round(STARTS_EACH * settings.restarts)), attempts=1)
    trimmed = [Trimmed(own, share) for share in SHARES]
    none = own.target.new_empty(len(trimmed), 0, dim)
    starts = nearest_starts(trimmed, none, dim, few, clock)
    shares = [partial(_improved, part, some, few) for part, some in zip(trimmed, starts, strict=True)]
    candidates = abreast(shares, lambda _: False, clock, own.target.device)
    candidates.sort(key=lambda z: _strangeness(own, z))
    found = abreast([partial(_followed, own, z, settings) for z in candidates], lambda one: one.met > SURE, clock, own.target.device)
    return max(found, key=lambda one: one.met)


def _improved(trimmed: Trimmed, starts: Tensor, settings: Settings, clock: Teller) -> Tensor:
    return improved(trimmed, starts, settings, clock)[0]


@torch.no_grad()
def _strangeness(aim: Aim, z: Tensor) -> float:
    """Low where many pixels are nearly met, whatever the others are."""
    return float(((aim.by_pixel(aim.render(z[None])) / (10 * EXACT) ** 2 + 1).log() * aim.weight).mean())


@torch.no_grad()
def _followed(aim: Aim, z: Tensor, settings: Settings, clock: Teller) -> Behind:
    """Follow a latent to the bottom, its pixels weighted anew before each step."""
    damping, slow, taken = FIRST_DAMPING, 0, 0
    slope: Slope | None = None
    while taken < settings.polish_steps and slow < PATIENCE:
        errors = aim.by_pixel(aim.render(z[None]))[0]
        scale = _scale(aim, errors)
        weighted = aim.of(aim.render, (scale / (errors + scale)).square() * aim.weight[0])
        climber = begun(weighted, z)
        climber.damping = damping
        if slope is None:
            slope = aim.linearised(z, perceptual=False)
            taken += 1
        fresh, before = slope.fresh, climber.cost
        climber.slope = slope.times(aim.rescaled(weighted))
        step(weighted, climber)
        z, damping = climber.z, climber.damping
        slope = None if climber.slope is None else climber.slope.times(weighted.rescaled(aim))
        if fresh:
            slow = slow + 1 if before - climber.cost < SLOWEST else 0
        if clock.tell("polish", taken, settings.polish_steps, *shown(weighted, z)) is not None:
            break
    image = aim.render(z[None])
    errors = aim.by_pixel(image)[0]
    counts = aim.weight[0] > 0
    met = float(((errors < EXACT**2) & counts).sum() / counts.sum())
    return Behind(z, image, (errors / (errors + _scale(aim, errors))) * counts, met)


def _scale(aim: Aim, errors: Tensor) -> float:
    """Squared deviation from which on a pixel is rather another layer's; of squared deviations (1, H, W)."""
    return max(EXACT**2, WIDTH**2 * float(errors[aim.weight[0] > 0].quantile(QUANTILE)))
