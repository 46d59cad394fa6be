"""Snapshots of a training, and which of them counts at each budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from mitlgan.artifacts.card import Card, read_card
from mitlgan.compare.budgets import records_macs
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.finished_runs import read_finished_card
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.recipe import ladder_steps
from mitlgan.training.run_directory import Run

AXES = {"kimg": "kimg", "seconds": "seconds", "cpu_seconds": "CPU seconds", "macs": "tera-MACs"}
"""Axes along which arms can be compared -> unit."""

MAX_OVERSHOOT_ITERATIONS = 10
"""Iterations of mean length by which a snapshot may pass its budget: writing a checkpoint or a busy core makes one iteration longer."""


@dataclass(frozen=True)
class Snapshot:
    """A kept artifact of one training.

    Attributes:
        kimg: Thousand real images shown to the critic so far.
        seconds: Seconds of training so far.
        cpu_seconds: CPU seconds of training so far.
        macs: Tera multiply-accumulates of training so far; 0 if they cannot be known.
        path: The artifact.
        validation: Its distance on the validation images; None if it was not measured.
        metrics: All its metrics on the validation images.
    """

    kimg: float
    seconds: float
    cpu_seconds: float
    macs: float
    path: Path
    validation: float | None = None
    metrics: Mapping[str, float] | None = None

    def position(self, axis: str) -> float:
        """Return its position on an axis, a key of `AXES` or of `plan.RESOURCE_UNITS`."""
        return float(getattr(self, axis.replace("-", "_")))


@dataclass(frozen=True)
class BudgetResult:
    """One arm at one budget, over its seeds.

    Attributes:
        budget: In the unit of the comparison.
        metrics: Mean of each metric over seeds, and its standard deviation as `<name>_std`; with one seed `kid_std` is over KID's subsets.
        snapshots: The best snapshot of each seed.
        figures: What was measured of each; see `metrics.protocol.evaluate`.
        weights: Hash of the tensors of each, read before they were measured: a longer training may replace them meanwhile.
    """

    budget: float
    metrics: dict[str, float]
    snapshots: tuple[Snapshot, ...]
    figures: tuple[dict[str, Any], ...]
    weights: tuple[str, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """Distance of each seed."""
        return tuple(flat_metrics(figures)["fd"] for figures in self.figures)


def snapshot_of_artifact(path: Path, *, counts_pretraining: bool) -> Snapshot:
    """Return the snapshot of an artifact that was trained elsewhere: the smaller generators of its role that it grew from are its own training.

    Args:
        path: The artifact; the layers of a composition are not counted.
        counts_pretraining: Whether trainings for another role that it began from are counted, too.
    """
    card = read_card(path)
    records = card.training_records()
    if not counts_pretraining:
        records = [*records[:1], *takewhile(lambda record: _role(record) == card.role, records[1:])]
    return _snapshot_after(records, card, path)


def _role(record: Mapping[str, Any]) -> str:
    """Return for what a training record's generator was trained; empty if it does not say so."""
    tree = record.get("made_by")
    return str(tree.get("role", "")) if isinstance(tree, Mapping) else ""


def _snapshot_of_run(run: Run, path: Path) -> Snapshot:
    """Return the snapshot of an artifact of a run; one of a ladder cost what all steps to its own took."""
    card, steps = read_card(path), ladder_steps(run.recorded_recipe())
    count = 1 if len(steps) == 1 else 1 + next(index for index, step in enumerate(steps) if step.size_px == card.size_px)
    return _snapshot_after(card.training_records()[:count], card, path)


def _snapshot_after(records: Sequence[Mapping[str, Any]], card: Card, path: Path) -> Snapshot:
    """Return the snapshot of an artifact for which the trainings of some of its records were done, the last one first."""
    kimg, seconds, cpu_seconds = (round(sum(float(record.get(key) or 0.0) for record in records), 3) for key in ("kimg", "seconds", "cpu_seconds"))
    own, earlier = records_macs(records[:1], card.generator_specs()), records_macs(records[1:], {})
    return Snapshot(kimg, seconds, cpu_seconds, 0.0 if own is None or earlier is None else own + earlier, path)


def final_snapshot(run: Run) -> Snapshot:
    """Return the end of a finished run.

    Raises:
        ArtifactError: The run is not finished.
    """
    read_finished_card(run)
    assert run.artifact_file is not None
    return _snapshot_of_run(run, run.artifact_file)


def kept_snapshots(run: Run) -> list[Snapshot]:
    """Return the snapshots that were kept on the way, in time order."""
    return [_snapshot_of_run(run, path) for path in run.list_kept_artifacts()]


def measure_snapshots(run: Run, evaluator: CachedEvaluator) -> list[Snapshot]:
    """Return every kept snapshot of a run and its end, measured on the validation images."""
    snapshots, end = kept_snapshots(run), final_snapshot(run)
    if not snapshots or snapshots[-1].kimg < end.kimg:
        snapshots.append(end)
    measured = []
    for snapshot in snapshots:
        metrics = flat_metrics(evaluator.evaluate_artifact(snapshot.path, validation=True))
        measured.append(dataclasses.replace(snapshot, validation=metrics["fd"], metrics=metrics))
    return measured


def iteration_cost(run: Run | None, snapshots: Sequence[Snapshot], axis: str) -> float:
    """Return the mean cost of one iteration; infinite for an artifact that is taken as it is."""
    if run is None or not snapshots:
        return math.inf
    end = snapshots[-1]
    iterations = read_card(end.path).iterations
    return end.position(axis) / iterations if iterations else 0.0


def up_to_budget(snapshots: Sequence[Snapshot], budget: float, axis: str, iteration: float) -> list[Snapshot]:
    """Return the snapshots within a budget, at least the first one.

    The snapshot kept for the budget is taken at the first iteration that reaches it. It counts as within the budget, unless it passes it by more than
    `MAX_OVERSHOOT_ITERATIONS` iterations.

    Args:
        snapshots: Of one training, in time order.
        budget: In the unit of the axis.
        axis: A key of `AXES` or of `plan.RESOURCE_UNITS`.
        iteration: Mean cost of one iteration, in the unit of the axis.
    """
    positions = [snapshot.position(axis) for snapshot in snapshots]
    reached = next((position for position in positions if position >= budget - iteration / 2), budget)  # budgets are rounded by less than that
    limit = max(budget, reached if reached <= budget + MAX_OVERSHOOT_ITERATIONS * iteration else budget)
    return [snapshot for snapshot, position in zip(snapshots, positions, strict=True) if position <= limit] or list(snapshots[:1])


def best_within_budget(snapshots: Sequence[Snapshot], budget: float, axis: str, iteration: float) -> Snapshot:
    """Return the snapshot with the lowest validation distance within a budget, or the only one where nothing was measured; see `up_to_budget`."""
    within = up_to_budget(snapshots, budget, axis, iteration)
    return min(within, key=lambda snapshot: math.inf if snapshot.validation is None else snapshot.validation)


def mean_over_seeds(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over seeds, and its standard deviation as `<name>_std`; one row is returned as it is."""
    if len(rows) == 1:
        return dict(rows[0])
    means: dict[str, float] = {}
    for key in rows[0]:
        if not key.endswith("_std") and all(key in row for row in rows):
            values = [row[key] for row in rows]
            means[key], means[f"{key}_std"] = float(np.mean(values)), float(np.std(values, ddof=1))
    return means


def extractor_fields(extractor: str, values: Sequence[float], secondary: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return the fields of `ArmResult` that hold figures by extractor.

    Args:
        extractor: Name of the first extractor.
        values: Its distance of each seed.
        secondary: Metrics of each seed by the other extractors.
    """
    return {
        "values": {extractor: list(values), **{name: [row["fd"] for row in rows] for name, rows in secondary.items()}},
        "by_extractor": {name: mean_over_seeds(rows) for name, rows in secondary.items()},
    }


def mean_curve(trainings: Sequence[Sequence[Snapshot]]) -> list[dict[str, Any]]:
    """Return the validation distance over training, mean over seeds: rows with each axis, `fd`, `fd_std` and `seeds`."""
    rows = []
    for snapshots in zip(*trainings, strict=False):
        values = [snapshot.validation for snapshot in snapshots if snapshot.validation is not None]
        if len(values) < len(snapshots):
            continue
        row: dict[str, Any] = {axis: float(np.mean([snapshot.position(axis) for snapshot in snapshots])) for axis in AXES}
        row |= mean_over_seeds([snapshot.metrics or {"fd": snapshot.validation or 0.0} for snapshot in snapshots])
        rows.append(row | {"seeds": len(values)})
    return rows
