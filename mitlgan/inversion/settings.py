"""Settings of an inversion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.registry import OFFLINE_EXTRACTOR

DEFAULT_TIME_LIMIT_S = 60.0
MAX_RESTARTS = 256


@dataclass(frozen=True)
class InversionSettings:
    """Effort of an inversion, and what counts as a good fit.

    Attributes:
        seed: Decides every random number; the same seed, settings and threads give the same bytes, unless the time limit is reached.
        starts: Random latents, of which the best are used for each picture.
        restarts: Number of latents that are optimised together.
        attempts: Maximum number of optimisations, each from the next best starts, until one reaches the goal; the best one counts.
        steps: Adam steps, during which the worse half of the restarts is dropped several times.
        polish_steps: Levenberg-Marquardt steps with a measured Jacobian, shared by the remaining restarts.
        learning_rate: Highest learning rate of Adam: it warms up over the first tenth and falls as a cosine.
        noise: Standard deviation of the noise on the latents at Adam's first step; it falls to zero over three quarters of the steps.
        prior: Weight of the prior on latents; 1 suits a normal prior and errors that are independent from pixel to pixel.
        perceptual: Weight of the perceptual distance; that of the mean squared error over [0, 1] is 1. With 0, no extractor is loaded.
        goal_db: PSNR at which a picture counts as found and the search stops.
        seconds: Time limit of each picture, after which the best result so far is returned; None for no limit.
        extractor: Network of the perceptual distance; see `mitlgan.metrics.extractors.registry.open_extractor`.
        weights: Path of its weights; None for the usual places.
    """

    seed: int = 0
    starts: int = 1024
    restarts: int = 8
    attempts: int = 3
    steps: int = 100
    polish_steps: int = 120
    learning_rate: float = 0.2
    noise: float = 0.05
    prior: float = 1.0
    perceptual: float = 0.0
    goal_db: float = 55.0
    seconds: float | None = DEFAULT_TIME_LIMIT_S
    extractor: str = OFFLINE_EXTRACTOR
    weights: Path | None = None

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name.replace('_', '-')}: {value:g} is not from {low:g} to {high:g}")
        if self.restarts * self.attempts > self.starts:
            restarts = f"{self.restarts} in each of {self.attempts} attempts"
            raise UsageError(f"restarts: {restarts} are more than the {self.starts} starts that they are chosen from")

    def with_more_restarts(self, factor: float) -> InversionSettings:
        """Return a copy with one attempt and a multiple of the restarts, at most one for each start."""
        return replace(self, attempts=1, restarts=min(round(factor * self.restarts), self.starts, MAX_RESTARTS))

    def scaled(self, **factors: float) -> InversionSettings:
        """Return a copy with some numbers multiplied, each limited to its range."""
        changes = {}
        for name, factor in factors.items():
            ((low, high),) = [limits for key, *limits in _RANGES if key == name]
            value = getattr(self, name)
            changes[name] = type(value)(min(max(value * factor, low), high))
        return replace(self, **changes)


_RANGES = (
    ("seed", 0, 2**63 - 1),
    ("starts", 1, 1_000_000),
    ("restarts", 1, MAX_RESTARTS),
    ("attempts", 1, 1000),
    ("steps", 0, 100_000),
    ("polish_steps", 0, 10_000),
    ("learning_rate", 1e-6, 10),
    ("noise", 0, 10),
    ("prior", 0, 1e6),
    ("perceptual", 0, 1e6),
    ("goal_db", 1, 120),
    ("seconds", 0.1, 1e6),
)
