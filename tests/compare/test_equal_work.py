"""Equal work by one account: lengths are planned, trainings done and snapshots dated by what each update costs, the critic's own time included."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs
from helpers.counted_work import counted_costs, walk

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.compare.budgets import TERA, measurement_points, records_macs, training_macs, with_equal_length, with_schedule
from mitlgan.compare.snapshots import Snapshot, final_snapshot, iteration_cost, kept_snapshots, up_to_budget
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import GrownGeneratorRecipe, Recipe, ThesisGeneratorRecipe, as_dict, ladder_steps, parse_recipe, with_overrides
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.work import TrainingCost

LENGTH_KIMG = 0.5
SMALL = ThesisGeneratorRecipe(latent_dim=3, widths=(6,))
GROWN = GrownGeneratorRecipe(parent=SMALL, parent_px=8, coarse_widths=(4,), fine_width=3)
LAYERS = {
    "small": {"fg": GeneratorSpec(SMALL, 8), "bg": GeneratorSpec(SMALL, 8)},
    "grown": {"fg": GeneratorSpec(GROWN, 16), "bg": GeneratorSpec(GROWN, 16)},  # whose parents are as frozen as they are
}
LADDER = {"alone": (None, None), "first": (0.1, None), "second": (None, 0.16), "both": (0.1, 0.16), "long": (0.1, 0.7)}
ARMS = [*((kind, first) for kind in ("plain", "small", "grown") for first in (None, 0.1, 0.8)), *(("ladder", name) for name in LADDER)]


def arm(kind: str, first: float | str | None) -> tuple[Recipe, dict[str, GeneratorSpec]]:
    """A recipe, with the critic's own time, and its layers; of a ladder, the name of its times."""
    tree = as_dict(tiny_runs.recipe("scene", Path("none.npy"), compose=kind in LAYERS))
    tree["training"]["kimg"] = LENGTH_KIMG
    tree["size_px"] = LAYERS[kind]["fg"].size_px if kind in LAYERS else tiny_runs.SIZE_PX
    if kind != "ladder":
        tree["training"] |= {} if first is None else {"critic_first_kimg": first}
        return parse_recipe(tree, "tiny"), LAYERS.get(kind, {})
    return ladder(tree, *LADDER[str(first)]), {}


def ladder(tree: dict[str, Any], first: float | None, second: float | None) -> Recipe:
    """Two sizes, the first shorter, which are `LENGTH_KIMG` together."""
    training = {key: value for key, value in tree["training"].items() if key != "kimg"} | ({} if first is None else {"critic_first_kimg": first})
    grown = {"size_px": 16, "kimg": 0.6 * LENGTH_KIMG, "critic": "new", "coarse_widths": [3], "fine_width": 2}
    steps = [{"size_px": 8, "kimg": 0.4 * LENGTH_KIMG}, grown | ({} if second is None else {"critic_first_kimg": second})]
    return parse_recipe({**tree, "size_px": 16, "grow": steps, "training": training}, "tiny")


@functools.cache
def costs_of(kind: str, first: float | str | None) -> list[TrainingCost]:
    """What each size of an arm costs, counted while it computes."""
    return counted_costs(*arm(kind, first))


def update_macs(recipe: Recipe, costs: list[TrainingCost]) -> float:
    """The tera multiply-accumulates of the dearest update."""
    return recipe.training.batch * recipe.objective.critic_steps / 1000 * max(max(cost) for cost in costs) / TERA


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.0, 1.1, 1.7, 4.0])
@pytest.mark.parametrize(("kind", "first"), ARMS)
def test_a_training_does_the_work_of_each_budget_up_to_an_update(kind: str, first: float | str | None, factor: float) -> None:
    recipe, layers = arm(kind, first)
    costs = costs_of(kind, first)
    update = update_macs(recipe, costs)
    longest = factor * training_macs(recipe, layers, recipe.training.kimg)
    budgets = (0.5 * longest, longest)
    planned = with_schedule(recipe, budgets, "macs", layers)
    moments = walk(planned, costs)

    done = [moment.work / TERA for moment in moments if moment.is_kept]
    assert done == pytest.approx(measurement_points(budgets), abs=update)
    assert moments[-1].is_kept
    snapshots = []
    for moment in moments:
        steps = ladder_steps(planned)[: len(moment.steps_kimg)]
        records = [{"made_by": as_dict(step), "kimg": kimg} for step, kimg in zip(steps, moment.steps_kimg, strict=True)][::-1]
        macs = records_macs(records, layers)
        assert macs == pytest.approx(moment.work / TERA, abs=update)
        if moment.is_kept:
            snapshots.append(Snapshot(sum(moment.steps_kimg), 0.0, 0.0, macs or 0.0, Path()))
    assert up_to_budget(snapshots, longest, "macs", snapshots[-1].macs / len(moments)) == snapshots


@pytest.mark.parametrize(("kind", "first"), ARMS)
def test_so_does_one_that_is_as_long_as_a_stage_and_its_pretrainings(kind: str, first: float | str | None) -> None:
    recipe, layers = arm(kind, first)
    costs = costs_of(kind, first)
    stage = 1.3 * training_macs(recipe, layers, recipe.training.kimg)
    planned = with_equal_length(recipe, "macs", layers, stage, 2 * stage)
    moments = walk(planned, costs)
    (kept,) = (moment for moment in moments if moment.is_kept)
    assert [kept.work / TERA, moments[-1].work / TERA] == pytest.approx([stage, 3 * stage], abs=update_macs(recipe, costs))


@pytest.mark.parametrize("kind", ["plain", "ladder"])
def test_snapshots_of_a_run_cost_what_was_computed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size_px = 16 if kind == "ladder" else 8
    recipe, layers = arm(kind, "both" if kind == "ladder" else 0.1)
    recipe = with_overrides(recipe, data__source=str(tiny_runs.pack(tmp_path / "scene.npy", size_px=size_px)))
    budget = 0.7 * training_macs(recipe, layers, recipe.training.kimg)
    counted: dict[float, float] = {}
    total, iteration = [0.0], TrainingLoop.train_iteration

    def counting(self: TrainingLoop) -> Any:
        with OperationCounter() as counter:
            stats = iteration(self)
        if "pictures" not in str(self.setup.pack.path):  # of the run, not of what is counted before it
            total[0] += counter.total / 2 / TERA
            counted[self.state.counters.kimg] = total[0]
        return stats

    monkeypatch.setattr(TrainingLoop, "train_iteration", counting)
    run = pretrain(with_schedule(recipe, [budget], "macs", layers), tiny_runs.run_context(tmp_path / "runs"))
    snapshots = [*kept_snapshots(run), final_snapshot(run)]
    update = update_macs(recipe, costs_of(kind, "both" if kind == "ladder" else 0.1))
    assert len(snapshots) == 4
    assert [snapshot.macs for snapshot in snapshots] == pytest.approx([counted[snapshot.kimg] for snapshot in snapshots], abs=update)
    assert snapshots[-1].macs == pytest.approx(budget, abs=update)
    assert up_to_budget(snapshots, budget, "macs", iteration_cost(run, snapshots, "macs")) == snapshots
