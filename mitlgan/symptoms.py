"""What goes wrong in a training while its numbers stay finite: samples that are all alike, a game that one side has won (FAULTS 10).

One bad iteration says nothing. What stays for `PATIENCE` logged iterations is dated, told once, and kept in the counters, so that a resume counts on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from mitlgan.objectives import Objective
from mitlgan.state import Counters

LEAST_DIVERSITY = 0.05  # samples whose spread is below this share of the real pictures' spread are nearly alike
PATIENCE = 50


@dataclass(frozen=True)
class Watch:
    """Looks at each logged iteration's numbers.

    Attributes:
        objective: Knows the signs of a lost game.
        log_iterations: Iterations from one look to the next.
        say: Told of what has stayed, once.
    """

    objective: Objective
    log_iterations: int
    say: Callable[[str], None]

    def look(self, numbers: Mapping[str, float], counters: Counters) -> None:
        """Count, date and tell what is wrong.

        Args:
            numbers: All statistics of the iteration, `diversity` among them.
            counters: Of the run; what was found is written into them.
        """
        self._sameness(numbers["diversity"], counters)
        self._game(numbers, counters)

    def _sameness(self, found: float, counters: Counters) -> None:
        counters.low_diversity_in_a_row = counters.low_diversity_in_a_row + 1 if found < LEAST_DIVERSITY else 0
        if counters.low_diversity_in_a_row >= PATIENCE and counters.collapsed_at_kimg is None:
            counters.collapsed_at_kimg = counters.kimg
            self.say(f"warning: the samples have been nearly alike for {PATIENCE} logged iterations, at {counters.kimg:.1f} kimg")

    def _game(self, numbers: Mapping[str, float], counters: Counters) -> None:
        found = self.objective.symptom(numbers)
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


def diversity(fake: Tensor, real: Tensor) -> Tensor:
    """How different generated images are from each other, over how different real ones are: 0 when all are alike, about 1 when as different.

    Args:
        fake: (N, C, H, W).
        real: The same shape.
    """
    return _spread(fake) / _spread(real).clamp_min(1e-6)


def _spread(images: Tensor) -> Tensor:
    """Mean over pixels of the standard deviation over a batch."""
    return images.float().std(dim=0, correction=0).mean()
