"""The parts of `mitlgan bench`: what each measures, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from mitlgan.bench import growth, speed, startup, step
from mitlgan.errors import UsageError
from mitlgan.runtime.allocator import keep_freed_memory
from mitlgan.runtime.progress import Say


class BenchPart(NamedTuple):
    """A part of the benchmark.

    Attributes:
        measure: Returns the results; its argument is whether to be quick.
        format: Returns them as lines of text.
        is_long: Whether it takes minutes, and is measured only if it is named.
    """

    measure: Callable[[bool], dict[str, Any]]
    format: Callable[[Mapping[str, Any]], list[str]]
    is_long: bool = False


PARTS = {
    "loading": BenchPart(speed.measure_loading, speed.format_loading),
    "critic_update": BenchPart(speed.measure_critic_update, speed.format_critic_update),
    "loop": BenchPart(speed.measure_loop_overhead, speed.format_loop_overhead),
    "step": BenchPart(step.measure_steps, step.format_steps),
    "startup": BenchPart(startup.measure_startup, startup.format_startup),
    "growth": BenchPart(growth.measure_growth, growth.format_growth, is_long=True),
}
"""Parts by their key in the results."""


def run_parts(names: Sequence[str], say: Say, *, quick: bool = False, max_pictures: int | None = None) -> dict[str, Any]:
    """Measure some parts, or all that are not long; a quick run takes a quarter of the time.

    Args:
        names: Keys of `PARTS`.
        say: Shows progress.
        quick: Fewer repetitions.
        max_pictures: Largest folder of "growth".

    Raises:
        UsageError: There is no such part.
    """
    for name in names:
        if name not in PARTS:
            raise UsageError(f"--only {name}: no such part; give some of {', '.join(PARTS)}")
    keep_freed_memory()  # for both sides
    results: dict[str, Any] = {"threads": torch.get_num_threads()}
    for name, part in PARTS.items():
        if name in names or not (names or part.is_long):
            say(f"measuring {name}")
            results[name] = growth.measure_growth(quick, max_pictures) if name == "growth" else part.measure(quick)
    return results


def format_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    lines = [f"threads                   {results['threads']}"]
    for name, part in PARTS.items():
        lines += part.format(results[name]) if name in results else []
    return lines
