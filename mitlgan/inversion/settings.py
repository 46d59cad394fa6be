"""How a picture is looked for in an artifact's latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.features import OFFLINE_EXTRACTOR

LIMIT_S = 60.0


@dataclass(frozen=True)
class Settings:
    """How much is tried, and what counts.

    Attributes:
        seed: Decides every random number; the same seed, settings and threads give the same bytes, unless time runs out.
        starts: Random latents of which each picture's nearest are taken.
        restarts: How many of those are improved together.
        attempts: How often all of what follows is done, with the next best starts each time, until one reaches the goal; the best counts.
        steps: Of Adam, during which the worse half of the restarts is dropped again and again.
        polish_steps: Of Levenberg-Marquardt, shared by the restarts that are left.
        learning_rate: Of Adam, at its highest: it warms up over the first tenth and falls as a cosine.
        noise: Standard deviation of what is added to the latents at Adam's first steps; it has gone after three quarters of them.
        prior: Weight of the latent's own improbability; 1 is what a normal prior and errors that are independent from pixel to pixel would have.
        perceptual: Weight of the perceptual distance beside the mean squared error over [0, 1], which has 1. 0: no extractor is loaded.
        goal_db: PSNR from which on a picture counts as found, and nothing more is tried.
        seconds: Time for each picture, the best so far of which is given when it is over; None: no limit.
        extractor: The network of the perceptual distance; see `mitlgan.metrics.extractors.features.extractor`.
        weights: Its weights, if they are not where it looks.
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
    seconds: float | None = LIMIT_S
    extractor: str = OFFLINE_EXTRACTOR
    weights: Path | None = None

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name.replace('_', '-')}: {value:g} is not from {low:g} to {high:g}")
        if self.restarts * self.attempts > self.starts:
            wanted = f"{self.restarts} in each of {self.attempts} attempts"
            raise UsageError(f"restarts: {wanted} are more than the {self.starts} starts that they are chosen from")

    def times(self, **factors: float) -> Settings:
        """With some numbers multiplied, each of them kept within its range."""
        changed = {}
        for name, factor in factors.items():
            ((low, high),) = [bounds for key, *bounds in _RANGES if key == name]
            value = getattr(self, name)
            changed[name] = type(value)(min(max(value * factor, low), high))
        return replace(self, **changed)


_RANGES = (
    ("seed", 0, 2**63 - 1),
    ("starts", 1, 1_000_000),
    ("restarts", 1, 256),
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
