"""Failures of a training whose numbers stay finite: divergence, samples that are all alike, saturated output, a game that one network has won.

One bad iteration means nothing. What lasts for `PATIENCE` logged iterations is dated, reported once, and stored in the counters, so that a resume
continues counting. Divergence is checked in every iteration and reported after a few, because numbers that are far out of scale do not recover.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mitlgan.objectives import Divergence, Objective
from mitlgan.runtime.distributed import mean_over_ranks
from mitlgan.runtime.progress import Say, format_kimg
from mitlgan.training.counters import Counters

PATIENCE = 50
"""Logged iterations that a failure must last."""
MIN_DIVERSITY = 0.05
"""Samples are nearly alike if their spread is below this share of the real images' spread."""
MIN_MIDTONES = 0.15
"""Samples are saturated if their share of midtones is below this share of the real images' share."""
MIDTONE_LIMIT = 0.98
"""Values up to it, of 1, are midtones."""
SINCE, FROM = "since iteration ", "from iteration "
"""Words before the first iteration of a failure that lasts, and of one that has passed."""
SATURATED = "the samples hold almost only the darkest and lightest values, unlike real pictures: the generator's output is saturated"

DIVERGING, DIVERGED = 10.0, 1000.0
"""Ratios of numbers to their scale (`objectives.Divergence`) that are reported, and that end a run."""
FLAG_ITERATIONS = 5
"""Iterations in a row after which divergence is reported; a run whose last ones have diverged ends as diverged."""
MAX_GROWTH = 10.0
"""Growth of the weights' root mean square in a healthy training; long ones reach a few times."""
MIN_INITIAL_RMS = 0.02
"""Smallest root mean square that growth is measured from, because a network may begin with zeros."""


@dataclass(frozen=True)
class TrainingMonitor:
    """Checks the statistics of each iteration.

    Attributes:
        objective: Knows the signs of a lost game.
        log_iterations: Iterations between two calls of `check`.
        say: Shows a warning for each failure that lasts.
        diameter: See `Objective.divergence`.
        stops: Whether divergence ends the run.
    """

    objective: Objective
    log_iterations: int
    say: Say
    diameter: float = math.inf
    stops: bool = True

    def record_initial_weights(self, generator: Sequence[nn.Parameter], critic: Sequence[nn.Parameter], counters: Counters) -> None:
        """Store how large the weights are before the first update, unless a checkpoint did so."""
        if counters.generator_start is None or counters.critic_start is None:
            counters.generator_start, counters.critic_start = root_mean_square(generator), root_mean_square(critic)

    def check_divergence(
        self,
        stats: Mapping[str, float],
        generator: Sequence[nn.Parameter],
        critic: Sequence[nn.Parameter],
        counters: Counters,
        trained: Sequence[str] = ("generator", "critic"),
    ) -> None:
        """Count the iterations whose numbers are out of scale; report and date divergence that lasts.

        Args:
            stats: All statistics of the iteration, which the counters include already.
            generator: Its trained parameters.
            critic: Its trained parameters.
            counters: Counts and findings are written into them.
            trained: Networks that were updated in the iteration.
        """
        growths = {
            "generator": root_mean_square(generator) / max(counters.generator_start or 0.0, MIN_INITIAL_RMS),
            "critic": root_mean_square(critic) / max(counters.critic_start or 0.0, MIN_INITIAL_RMS),
        }
        worst = max(self._divergences(stats, growths, trained), key=lambda divergence: divergence.ratio)
        counters.strained_in_a_row = counters.strained_in_a_row + 1 if worst.ratio >= DIVERGING else 0
        counters.severe_in_a_row = counters.severe_in_a_row + 1 if worst.ratio >= DIVERGED else 0
        if counters.strained_in_a_row >= FLAG_ITERATIONS and counters.diverged_at_kimg is None:
            counters.diverged_at_kimg = counters.kimg
            counters.divergence = f"diverged at iteration {counters.iteration} ({format_kimg(counters.kimg)} kimg): {worst.text}"
            self.say(f"warning: {counters.divergence}; lower the learning rate")

    def has_diverged(self, counters: Counters, *, is_last: bool) -> bool:
        """Whether the run must end as diverged: far out of scale for `PATIENCE` iterations in a row, or `FLAG_ITERATIONS` at the run's end."""
        return self.stops and counters.severe_in_a_row >= (FLAG_ITERATIONS if is_last else PATIENCE)

    def _divergences(self, stats: Mapping[str, float], growths: Mapping[str, float], trained: Sequence[str]) -> Iterable[Divergence]:
        if "generator" in trained:  # a critic that trains alone should win without bound
            yield self.objective.divergence(stats, self.diameter)
        for name, growth in growths.items():
            yield Divergence(growth / MAX_GROWTH, f"the {name}'s weights have grown {growth:.3g} times since the beginning")
        for name in trained:
            if stats[f"{name}_grad_norm"] == 0:
                yield Divergence(math.inf, f"no gradient reaches the {name}, which no longer learns")

    def check(self, stats: Mapping[str, float], counters: Counters) -> None:
        """Count, date and report failures other than divergence.

        Args:
            stats: All statistics of the iteration.
            counters: Counts and findings are written into them.
        """
        self._check_collapse(stats["diversity"], counters)
        self._check_saturation(stats["midtones"], counters)
        self._check_objective(stats, counters)

    def _check_collapse(self, diversity: float, counters: Counters) -> None:
        counters.low_diversity_in_a_row = counters.low_diversity_in_a_row + 1 if diversity < MIN_DIVERSITY else 0
        if counters.low_diversity_in_a_row >= PATIENCE and counters.collapsed_at_kimg is None:
            counters.collapsed_at_kimg = counters.kimg
            self.say(f"warning: the samples have been nearly alike for {PATIENCE} logged iterations, at {format_kimg(counters.kimg)} kimg")

    def _check_saturation(self, midtones: float, counters: Counters) -> None:
        counters.at_ends_in_a_row = counters.at_ends_in_a_row + 1 if midtones < MIN_MIDTONES else 0
        if counters.at_ends_in_a_row == PATIENCE and not counters.saturation:
            counters.saturation = f"{SATURATED}, {self._since_first(counters)}"
            self.say(f"warning: {counters.saturation}")

    def _check_objective(self, stats: Mapping[str, float], counters: Counters) -> None:
        failure = self.objective.diagnose(stats)
        text = "" if failure is None else failure.text
        counters.symptom_in_a_row = counters.symptom_in_a_row + 1 if text and text == counters.symptom else int(bool(text))
        counters.symptom = text
        self._check_recovery(counters)
        if failure is None or SINCE in counters.diagnosis or counters.symptom_in_a_row < PATIENCE:
            return
        counters.diagnosis = f"{text}, {self._since_first(counters)}"
        if failure.collapsed and counters.collapsed_at_kimg is None:
            counters.collapsed_at_kimg = counters.kimg
        self.say(f"warning: {counters.diagnosis}")

    def _check_recovery(self, counters: Counters) -> None:
        """Date the end of the diagnosed failure once it has been gone for as long as it had to last."""
        counters.healthy_in_a_row = counters.healthy_in_a_row + 1 if counters.diagnosis and not counters.symptom else 0
        if counters.healthy_in_a_row == PATIENCE and SINCE in counters.diagnosis:
            last = counters.iteration - PATIENCE * self.log_iterations
            counters.diagnosis = f"{counters.diagnosis.replace(SINCE, FROM)} to iteration {last}"
            self.say(f"this has passed: {counters.diagnosis}")

    def _since_first(self, counters: Counters) -> str:
        """Say when a failure began that has just lasted for `PATIENCE` logged iterations."""
        first = counters.iteration - (PATIENCE - 1) * self.log_iterations
        return f"{SINCE}{first} ({format_kimg(first * counters.kimg / counters.iteration)} kimg)"


def batch_diversity(fake: Tensor, real: Tensor) -> Tensor:
    """Return how much generated images differ from each other, relative to real ones: 0 if all are alike, about 1 if they differ as much.

    The batches of all ranks count together, so every rank must call this.

    Args:
        fake: (N, C, H, W).
        real: The same shape.
    """
    return _spread(fake) / _spread(real).clamp_min(1e-6)


def midtone_ratio(fake: Tensor, real: Tensor) -> Tensor:
    """Return the share of midtones in generated images, relative to real ones: 0 if the generator outputs only -1 and 1.

    The batches of all ranks count together, so every rank must call this.

    Args:
        fake: (N, C, H, W) in [-1, 1].
        real: The same shape; if they have almost no midtones themselves (drawings, letters), the result is 1.
    """
    fake_share, real_share = (mean_over_ranks((images.abs() < MIDTONE_LIMIT).float().mean()) for images in (fake, real))
    return torch.where(real_share < MIN_MIDTONES, torch.ones_like(real_share), fake_share / real_share.clamp_min(1e-6))


def root_mean_square(parameters: Sequence[nn.Parameter]) -> float:
    """Return the root mean square of all values of all parameters; infinite if a value is not finite."""
    values = [parameter.detach() for parameter in parameters]
    rms = float(nn.utils.get_total_norm(values)) / max(1, sum(value.numel() for value in values)) ** 0.5
    return rms if math.isfinite(rms) else math.inf


def _spread(images: Tensor) -> Tensor:
    """Return the mean over pixels of the standard deviation over a batch, that of all ranks."""
    values = images.float()
    centered = values - mean_over_ranks(values.mean(dim=0))
    return mean_over_ranks(centered.square().mean(dim=0)).sqrt().mean()
