"""Steps of a training that can be gone back to, as `RUN@STEP` or `RUN@best`: artifacts that were kept, checkpoints, and the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mitlgan.artifacts.safetensors_io import read_header
from mitlgan.errors import ArtifactError
from mitlgan.runtime.files import is_regular, list_files
from mitlgan.runtime.json_files import read_log
from mitlgan.runtime.progress import finite

BEST = "best"
SEPARATOR = "@"
ARTIFACT_FILES = ("composer.safetensors", "generator.safetensors", "inpainter.safetensors")
KEPT_PATTERNS = ("kept", "*/*.safetensors"), ("steps", "*/generator.safetensors")
"""Folder in a run, and pattern of the artifacts that were kept there."""
SMOOTHING_FRACTION = 0.05
"""Fraction of a training over which indicators are averaged."""
MIN_ROWS = 20
"""Lines of statistics that an indication of the best step needs."""
MIN_SERIES = 4
"""Steps at equal distances that a message writes as one."""
MAX_DIGITS = 19


@dataclass(frozen=True)
class RunStep:
    """A step of a training that can be loaded.

    Attributes:
        iteration: Generator updates so far.
        path: An artifact, or a checkpoint.
    """

    iteration: int
    path: Path


def is_step_reference(path: str | Path) -> bool:
    """Return whether a path is of the form `RUN@STEP`, and RUN is a folder; a file or folder of that very name comes first."""
    run, separator, _ = str(path).rpartition(SEPARATOR)
    return bool(separator and run) and not os.path.exists(path) and os.path.isdir(run)  # noqa: PTH110, PTH112 - a name that is too long is no error


def step_file(reference: str | Path) -> Path:
    """Return the file of `RUN@STEP`: of an artifact that was kept, of the end, or of a checkpoint.

    Args:
        reference: STEP is a number of generator updates, or `best`: the best of the artifacts that were measured during the training, else the step
            nearest to the best one by the statistics; see `best_by_statistics`.

    Raises:
        ArtifactError: The step was not kept, or nothing says which is the best; the message lists those that were kept.
    """
    run, _, step = str(reference).rpartition(SEPARATOR)
    steps = list_steps(Path(run))
    if not steps:
        raise ArtifactError(f"{reference}: {run} holds no step of a training; `mitlgan runs ls` lists runs")
    best = _best_file(Path(run), steps)
    if step == BEST:
        if best is not None:
            return best
        raise ArtifactError(f"{reference}: nothing says which step is the best; give one of those that were kept: {describe_steps(steps)}")
    for kept in steps:
        if step.isascii() and step.isdecimal() and len(step) < MAX_DIGITS and kept.iteration == int(step):
            return kept.path
    raise ArtifactError(f"{reference}: this step was not kept; there are {describe_steps(steps)}{'' if best is None else f', and {BEST}'}")


def _best_file(run: Path, steps: Sequence[RunStep]) -> Path | None:
    """Return the file of `RUN@best`; None if nothing says which step is the best."""
    measured = _first_regular(run, [run / BEST / name for name in ARTIFACT_FILES])
    if measured is not None:
        return measured
    row = best_by_statistics(list(read_log(run / "stats.jsonl")))
    return None if row is None else nearest_step(steps, int(row.get("iteration") or 0)).path


def list_steps(run: Path) -> list[RunStep]:
    """Return the steps of a run that can be loaded, in order; one that was kept takes the place of its checkpoint."""
    steps: dict[int, Path] = {}
    for path in list_files(run / "checkpoints", "[0-9]*.safetensors", root=run):
        if path.stem.isdecimal() and is_regular(path, root=run):
            steps[int(path.stem)] = path
    kept = [path for folder, pattern in KEPT_PATTERNS for path in list_files(run / folder, pattern, root=run)]
    for path in (*(run / name for name in ARTIFACT_FILES), *kept):
        if is_regular(path, root=run):
            with suppress(ArtifactError, TypeError, ValueError):  # a damaged file is no step
                steps[int(read_header(path).get("iterations", 0))] = path
    return [RunStep(iteration, path) for iteration, path in sorted(steps.items())]


def nearest_step(steps: Sequence[RunStep], iteration: int) -> RunStep:
    """Return the step that is nearest to an iteration; of two, the earlier one."""
    return min(steps, key=lambda step: abs(step.iteration - iteration))


def describe_steps(steps: Sequence[RunStep]) -> str:
    """Return the iterations of all steps in words; equal distances are written once: `0, 200 to 4000 by 200`."""
    numbers, texts = [step.iteration for step in steps], list[str]()
    while numbers:
        length = _series_length(numbers)
        series, numbers = numbers[:length], numbers[length:]
        texts.append(f"{series[0]} to {series[-1]} by {series[1] - series[0]}" if length >= MIN_SERIES else str(series[0]))
    return ", ".join(texts)


def best_by_statistics(stats: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the row of `stats.jsonl` where the gap between real and generated scores is smallest after its peak; None if there are too few rows.

    Before the peak the critic is not trained yet.
    """
    rows = [row for row in stats if _gap(row) is not None and not row.get("collapsed")]
    width = max(1, int(len(rows) * SMOOTHING_FRACTION))
    if len(rows) < MIN_ROWS:
        return None
    gaps = np.array([_gap(row) for row in rows], np.float64)
    smooth = np.convolve(gaps, np.ones(width) / width, mode="valid")
    peak = int(smooth.argmax())
    best = peak + int(np.abs(smooth[peak:]).argmin())
    return rows[min(best + width // 2, len(rows) - 1)]


def _gap(row: Mapping[str, Any]) -> float | None:
    real, fake = finite(row.get("probability_real")), finite(row.get("probability_fake"))
    return real - fake if real is not None and fake is not None else finite(row.get("wasserstein"))


def _series_length(numbers: Sequence[int]) -> int:
    """Return how many numbers from the first on have equal distances; 1 if there are fewer than `MIN_SERIES`."""
    length = 2
    while length < len(numbers) and numbers[length] - numbers[length - 1] == numbers[1] - numbers[0]:
        length += 1
    return length if MIN_SERIES <= length <= len(numbers) else 1


def _first_regular(run: Path, paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if is_regular(path, root=run)), None)
