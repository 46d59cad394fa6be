"""What goes wrong in a training while its numbers stay finite: divergence, samples that are all alike, a game that one side has won (FAULTS 10).

One bad iteration says nothing. What stays for `PATIENCE` logged iterations is dated, told once, and kept in the counters, so that a resume counts on.
Divergence is looked for in every iteration, and told after a few: what is far beyond all scale does not come back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mitlgan.objectives import Divergence, Objective
from mitlgan.training.counters import Counters

MIN_DIVERSITY = 0.05  # samples whose spread is below this share of the real pictures' spread are nearly alike
MIN_MIDTONES = 0.15  # samples of which so small a share of the real pictures' share lies between black and white are at the ends
PATIENCE = 50

DIVERGING, DIVERGED = 10.0, 1000.0
"""Multiples of the numbers' scale (`objectives.Strain`) that are flagged, and that end a run."""
FLAG_ITERATIONS = 5
"""So many in a row are flagged; a run whose last ones are so far out ends as diverged."""
MAX_GROWTH = 10.0
"""Of the weights' root mean square over a training that is in order: long ones reach a few."""
MIN_INITIAL_RMS = 0.02
"""The least root mean square from which growth is counted: a network may begin with zeros."""

ENDS = 0.98
"""Values beyond it, of 1, are the ends of the value range."""
AT_ENDS = "the samples hold little but the darkest and lightest values, as no real pictures do: the generator's output is saturated"


@dataclass(frozen=True)
class TrainingMonitor:
    """Looks at each logged iteration's numbers.

    Attributes:
        objective: Knows the signs of a lost game.
        log_iterations: Iterations from one look to the next.
        say: Told of what has stayed, once.
        diameter: See `Objective.strain`.
        stops: Whether divergence ends the run.
    """

    objective: Objective
    log_iterations: int
    say: Callable[[str], None]
    diameter: float = math.inf
    stops: bool = True

    def record_initial_weights(self, generator: Sequence[nn.Parameter], critic: Sequence[nn.Parameter], counters: Counters) -> None:
        """Note how large the weights are before the first update, unless a checkpoint says so."""
        if counters.generator_start is None or counters.critic_start is None:
            counters.generator_start, counters.critic_start = root_mean_square(generator), root_mean_square(critic)

    def check_divergence(
        self,
        numbers: Mapping[str, float],
        generator: Sequence[nn.Parameter],
        critic: Sequence[nn.Parameter],
        counters: Counters,
        learning: Sequence[str] = ("generator", "critic"),
    ) -> None:
        """Count the iterations whose numbers lie beyond scale, and date and tell what stays so.

        Args:
            numbers: All statistics of the iteration, which is counted already.
            generator: Parameters that are trained.
            critic: Likewise.
            counters: Of the run; what was found is written into them.
            learning: Which of both had an update.
        """
        growths = {
            "generator": root_mean_square(generator) / max(counters.generator_start or 0.0, MIN_INITIAL_RMS),
            "critic": root_mean_square(critic) / max(counters.critic_start or 0.0, MIN_INITIAL_RMS),
        }
        strain = max(self._strains(numbers, growths, learning), key=lambda found: found.ratio)
        counters.strained_in_a_row = counters.strained_in_a_row + 1 if strain.ratio >= DIVERGING else 0
        counters.severe_in_a_row = counters.severe_in_a_row + 1 if strain.ratio >= DIVERGED else 0
        if counters.strained_in_a_row >= FLAG_ITERATIONS and counters.diverged_at_kimg is None:
            counters.diverged_at_kimg = counters.kimg
            counters.divergence = f"diverged at iteration {counters.iteration} ({counters.kimg:.1f} kimg): {strain.text}"
            self.say(f"warning: {counters.divergence}; lower the learning rate")

    def has_diverged(self, counters: Counters, *, last: bool) -> bool:
        """Whether the run must end as diverged: far beyond scale for `PATIENCE` iterations in a row, or, at its end, for `FLAG_ITERATIONS`."""
        return self.stops and counters.severe_in_a_row >= (FLAG_ITERATIONS if last else PATIENCE)

    def _strains(self, numbers: Mapping[str, float], growths: Mapping[str, float], learning: Sequence[str]) -> Iterable[Divergence]:
        if "generator" in learning:  # a critic that learns alone wins without bound, as it should
            yield self.objective.divergence(numbers, self.diameter)
        for name, growth in growths.items():
            yield Divergence(growth / MAX_GROWTH, f"the {name}'s weights have grown {growth:.3g} times since the beginning")
        for name in learning:
            if numbers[f"{name}_grad_norm"] == 0:
                yield Divergence(math.inf, f"no gradient reaches the {name}, which no longer learns")

    def check(self, numbers: Mapping[str, float], counters: Counters) -> None:
        """Count, date and tell what is wrong.

        Args:
            numbers: All statistics of the iteration, `diversity` among them.
            counters: Of the run; what was found is written into them.
        """
        self._check_collapse(numbers["diversity"], counters)
        self._check_saturation(numbers["midtones"], counters)
        self._check_objective(numbers, counters)

    def _check_collapse(self, found: float, counters: Counters) -> None:
        counters.low_diversity_in_a_row = counters.low_diversity_in_a_row + 1 if found < MIN_DIVERSITY else 0
        if counters.low_diversity_in_a_row >= PATIENCE and counters.collapsed_at_kimg is None:
            counters.collapsed_at_kimg = counters.kimg
            self.say(f"warning: the samples have been nearly alike for {PATIENCE} logged iterations, at {counters.kimg:.1f} kimg")

    def _check_saturation(self, found: float, counters: Counters) -> None:
        counters.at_ends_in_a_row = counters.at_ends_in_a_row + 1 if found < MIN_MIDTONES else 0
        if counters.at_ends_in_a_row == PATIENCE and not counters.saturation:
            first = counters.iteration - (PATIENCE - 1) * self.log_iterations
            counters.saturation = f"{AT_ENDS}, since iteration {first} ({first * counters.kimg / counters.iteration:.1f} kimg)"
            self.say(f"warning: {counters.saturation}")

    def _check_objective(self, numbers: Mapping[str, float], counters: Counters) -> None:
        found = self.objective.diagnose(numbers)
        text = "" if found is None else found.text
        counters.symptom_in_a_row = counters.symptom_in_a_row + 1 if text and text == counters.symptom else int(bool(text))
        counters.symptom = text
        if found is None or counters.diagnosis or counters.symptom_in_a_row < PATIENCE:
            return
        first = counters.iteration - (PATIENCE - 1) * self.log_iterations
        counters.diagnosis = f"{text}, since iteration {first} ({first * counters.kimg / counters.iteration:.1f} kimg)"
        if found.collapsed and counters.collapsed_at_kimg is None:
            counters.collapsed_at_kimg = counters.kimg
        self.say(f"warning: {counters.diagnosis}")


def batch_diversity(fake: Tensor, real: Tensor) -> Tensor:
    """How different generated images are from each other, over how different real ones are: 0 when all are alike, about 1 when as different.

    Args:
        fake: (N, C, H, W).
        real: The same shape.
    """
    return _spread(fake) / _spread(real).clamp_min(1e-6)


def midtone_ratio(fake: Tensor, real: Tensor) -> Tensor:
    """Which share of the values lies between the ends of the range, over the real pictures' share: 0 where a generator gives nothing but -1 and 1.

    Args:
        fake: (N, C, H, W) in [-1, 1].
        real: The same shape; where they have hardly any midtones themselves (drawings, letters), the answer is 1.
    """
    between, usual = ((images.abs() < ENDS).float().mean() for images in (fake, real))
    return torch.where(usual < MIN_MIDTONES, torch.ones_like(usual), between / usual.clamp_min(1e-6))


def root_mean_square(parameters: Sequence[nn.Parameter]) -> float:
    """Of all values of all parameters; infinite where it cannot be computed."""
    values = [parameter.detach() for parameter in parameters]
    norm = float(nn.utils.get_total_norm(values)) / max(1, sum(value.numel() for value in values)) ** 0.5
    return norm if math.isfinite(norm) else math.inf


def _spread(images: Tensor) -> Tensor:
    """Mean over pixels of the standard deviation over a batch."""
    return images.float().std(dim=0, correction=0).mean()
