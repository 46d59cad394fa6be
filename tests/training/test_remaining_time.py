"""The time left of a run: of all its sizes, each with its own cost and the critic's own time, and up to a limit in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.compare.layer_cards import generator_spec
from mitlgan.recipe import Recipe, as_dict, ladder_steps, parse_recipe
from mitlgan.runtime.distributed import World
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.stages.training_speed import open_loop
from mitlgan.stages.training_work import COUNTED, costs_from
from mitlgan.training import loop
from mitlgan.training.counters import Counters
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.remaining_time import RECENT_S, RecentSpeed, remaining_seconds, stretches_from
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import Schedule
from mitlgan.training.stopwatch import Lap
from mitlgan.training.work import Stretch, TrainingCost

COSTS = (TrainingCost(1.0, 0.5), TrainingCost(4.0, 2.0), TrainingCost(17.0, 8.0))
BATCH = 10
KIMG_S = 100.0
"""Wall seconds of a kimg of cost 1."""


def ladder(tmp_path: Path, lengths: tuple[float, ...], first: tuple[float | None, ...], **training: Any) -> list[Stretch]:
    """Sizes from 8 px on, or the one size of a recipe without a ladder."""
    tree = as_dict(tiny_runs.recipe("bg", tmp_path / "none.npy", batch=BATCH, **training))
    tree["objective"]["critic_steps"] = 1
    del tree["training"]["kimg"]
    steps: list[dict[str, Any]] = [{"size_px": 8 * 2**index, "kimg": kimg} for index, kimg in enumerate(lengths)]
    for step, alone in zip(steps[1:], first[1:], strict=True):
        step |= {"coarse_widths": [3], "fine_width": 2} | ({} if alone is None else {"critic_first_kimg": alone})
    if first[0] is not None:
        tree["training"]["critic_first_kimg"] = first[0]
    if len(steps) == 1:
        recipes: tuple[Recipe, ...] = (parse_recipe({**tree, "training": {**tree["training"], "kimg": lengths[0]}}, "tiny"),)
    else:
        recipes = ladder_steps(parse_recipe({**tree, "size_px": steps[-1]["size_px"], "grow": steps}, "tiny"))
    return [Stretch(recipe, cost) for recipe, cost in zip(recipes, COSTS, strict=False)]


def positions(stretches: list[Stretch], cpu_share: float) -> Iterator[tuple[int, Counters]]:
    """Every position of a run on a machine that takes as long as its work costs, with the number of its size."""
    counters = Counters()
    for index, stretch in enumerate(stretches):
        schedule = Schedule(stretch.recipe)
        counters = counters if index == 0 else counters.next_step()
        while counters.images_shown < round(stretch.recipe.training.kimg * 1000) and schedule.position(counters).elapsed_s < schedule.limit_s:
            cost = stretch.cost.critic_alone if schedule.trains_critic_alone(counters) else stretch.cost.both
            seconds = cost * BATCH / 1000 * KIMG_S
            counters = Counters(**{**vars(counters), "images_shown": counters.images_shown + BATCH, "iteration": counters.iteration + 1})
            counters.seconds += seconds
            counters.cpu_seconds += seconds * cpu_share
            yield index, counters


@pytest.mark.parametrize(
    ("lengths", "first", "training"),
    [
        ((0.5,), (None,), {}),
        ((0.5,), (0.2,), {}),
        ((0.5,), (0.2,), {"limit_s": 30.0}),
        ((1.6, 1.6), (None, None), {}),
        ((0.6, 1.2, 0.6), (0.1, 0.3, 0.1), {}),
        ((0.6, 1.2, 0.6), (None, 0.3, None), {"limit_s": 400.0}),
        ((0.6, 1.2, 0.6), (None, None, None), {"limit_s": 200.0, "clock": "cpu"}),
        ((3.0, 1.0), (None, None), {"limit_s": 600.0}),
        ((100.0, 100.0), (None, None), {"limit_s": 60.0}),
    ],
)
@pytest.mark.parametrize("cpu_share", [1.0, 0.4, 1.8])
def test_the_time_left_is_that_of_the_rest_of_the_run(
    tmp_path: Path, lengths: tuple[float, ...], first: tuple[float | None, ...], training: dict[str, Any], cpu_share: float
) -> None:
    """On a machine of constant speed it is right from the first update of each size to the last, up to one update."""
    stretches = ladder(tmp_path, lengths, first, **training)
    rows = list(positions(stretches, cpu_share))
    end_s, update_s = rows[-1][1].seconds, COSTS[len(lengths) - 1].both * BATCH / 1000 * KIMG_S
    for index, counters in rows:
        left_s = remaining_seconds(stretches[index:], counters)
        assert left_s == pytest.approx(end_s - counters.seconds, abs=2 * update_s + 1e-6)


def test_nothing_is_said_before_a_size_was_measured(tmp_path: Path) -> None:
    stretches = ladder(tmp_path, (0.5, 0.5), (None, None))
    assert remaining_seconds(stretches, Counters()) is None
    *_, (_, last) = (row for row in positions(stretches, 1.0) if row[0] == 0)
    assert remaining_seconds(stretches, last) == pytest.approx(0.5 * 4 * KIMG_S)
    assert remaining_seconds(stretches[1:], last.next_step()) is None
    assert last.next_step().step_images_per_s == 0
    assert last.step_images_per_s == pytest.approx(1000 / KIMG_S)


@pytest.mark.parametrize("clock_share", [1.0, 0.5])
@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("factor", [6.0, 1 / 6])
def test_the_speed_is_that_of_the_last_minutes(tmp_path: Path, factor: float, is_resumed: bool, clock_share: float) -> None:
    """A machine that was busy for hours, or has become so, or another one, is not believed to go on as it was."""
    stretches = ladder(tmp_path, (40.0, 40.0), (None, None))
    speed, counters, update_s = RecentSpeed(stretches), Counters(), BATCH / 1000 * KIMG_S
    left_s = []
    for images in range(BATCH, 40_000 + BATCH, BATCH):
        is_later = images > 20_000
        if is_resumed and images == 20_000 + BATCH:
            speed = RecentSpeed(stretches)
            speed.update(counters)
            assert speed.images_per_s(counters) == pytest.approx(1000 / KIMG_S)  # nothing newer is known yet
        counters = replace(counters, images_shown=images, seconds=counters.seconds + update_s * (factor if is_later else 1))
        counters.cpu_seconds = counters.seconds * clock_share
        speed.update(counters)
        expected = (1 if not is_later else factor) * (update_s * (40_000 - images) / BATCH + COSTS[1].both * 40 * KIMG_S)
        measured = speed.remaining_seconds(counters)
        assert measured is not None
        left_s.append((images, measured / expected, speed.images_per_s(counters) * KIMG_S / 1000 * (factor if is_later else 1)))
    late = 20_000 if is_resumed else 20_000 + BATCH * (RECENT_S / (update_s * factor) + 2)
    settled = [row[1:] for row in left_s if row[0] <= 20_000 or row[0] > late]
    assert len(settled) > 3200
    assert settled == [pytest.approx((1, 1)) for _ in settled]


def test_a_finished_run_has_the_mean_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last minutes are no news any more."""
    laps = iter([50.0, *[1.0] * 99])
    monkeypatch.setattr("mitlgan.training.stopwatch.Stopwatch.lap", lambda _: Lap(seconds := next(laps), seconds, seconds))
    monkeypatch.setattr("mitlgan.training.remaining_time.RECENT_S", 2.0)
    monkeypatch.setattr(loop, "STATUS_INTERVAL_S", -1.0)
    context = tiny_runs.run_context(tmp_path)
    run = pretrain(tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy")), context)
    status = run.read_status()
    assert status["seconds"] > 50
    assert status["images_per_s"] == pytest.approx(1000 * status["kimg"] / status["seconds"])
    assert isinstance(context.reporter, tiny_runs.Listener)
    assert context.reporter.updates[-1]["images_per_s"] == pytest.approx(tiny_runs.PER_UPDATE)


def growing(source: Path) -> Recipe:
    tree = as_dict(tiny_runs.recipe("bg", source, checkpoint_iterations=1, checkpoints_kept=99))
    del tree["training"]["kimg"]
    steps = [{"size_px": 8, "kimg": 0.04}, {"size_px": 16, "kimg": 0.08, "coarse_widths": [3], "fine_width": 2, "critic_first_kimg": 0.016}]
    return parse_recipe({**tree, "size_px": 16, "grow": steps}, "tiny")


def test_the_status_of_a_ladder_counts_the_sizes_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is as fast as the work is large; a resumed run goes on with the same numbers."""
    stretches: list[list[Stretch]] = []
    begin = TrainingLoop.__init__

    def noting(self: TrainingLoop, *given: Any) -> None:
        begin(self, *given)
        if self.recipe.name == COUNTED:
            return
        stretches.append(stretches_from(self.recipe, self.setup))
        monkeypatch.setattr(self.stopwatch, "lap", lambda: lap(self))

    def lap(self: TrainingLoop) -> Lap:
        counters, stretch = self.state.counters, stretches[-1][0]
        now, step = counters.kimg - counters.step_images / 1000, tiny_runs.PER_UPDATE / 1000
        seconds = 1e6 * (stretch.work(now) - stretch.work(now - step))
        return Lap(seconds, seconds, seconds)

    monkeypatch.setattr(TrainingLoop, "__init__", noting)
    monkeypatch.setattr(loop, "STATUS_INTERVAL_S", -1.0)
    context = tiny_runs.run_context(tmp_path)
    run = pretrain(growing(tiny_runs.pack(tmp_path / "bg.npy", size_px=16)), context)
    assert isinstance(context.reporter, tiny_runs.Listener)
    rows = [status for status in context.reporter.updates if status["iteration"]]
    end_s = run.read_status()["seconds"]
    assert [len(sizes) for sizes in stretches] == [2, 1]
    assert {row["size_px"] for row in rows} == {8, 16}
    known = [row for row in rows if row["eta_s"] is not None]
    assert len(known) == 15
    assert [row["eta_s"] for row in known] == pytest.approx([end_s - row["seconds"] for row in known])
    speeds = {row["size_px"]: row["images_per_s"] for row in known}
    assert speeds[8] == pytest.approx(1e-3 / stretches[0][0].cost.both)
    assert speeds[16] < speeds[8]
    for path in (run.path / "checkpoints").glob("*.safetensors"):
        if int(path.stem) > 7:
            path.unlink()
    again = tiny_runs.run_context(tmp_path)
    resume(run.path, again)
    assert isinstance(again.reporter, tiny_runs.Listener)
    expected = [row["eta_s"] for row in known if row["iteration"] >= 7]
    assert [row["eta_s"] for row in again.reporter.updates] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["compose", "inpaint", "pretrain"])
def test_costs_are_counted_where_they_differ(kind: str, packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    """A critic's own time makes them differ; without it, every image counts as one."""
    for first_kimg in (None, 0.008):
        if kind == "inpaint":
            recipe = tiny_runs.inpaint_recipe(packs["bg"], critic_first_kimg=first_kimg)
        else:
            recipe = tiny_runs.recipe("scene", packs["scene"], compose=kind == "compose", critic_first_kimg=first_kimg)
        layers = {role: generator_spec(run.load_recipe()) for role, run in pretrained.items()} if kind == "compose" else None
        with open_loop(recipe, World(0, 1, torch.device("cpu")), layers=layers) as opened:
            before = {name: tensor.clone() for name, tensor in opened.state.tensors().items()}
            setup = replace(opened.setup, costs=costs_from(recipe, 0, layers or {}))
            (stretch,) = stretches_from(recipe, setup)
            assert all(torch.equal(tensor, before[name]) for name, tensor in opened.state.tensors().items())
        if first_kimg is None:
            assert stretch.cost == (1.0, 1.0)
        else:
            assert 0 < stretch.cost.critic_alone < stretch.cost.both
            assert stretch.work(0.016) == pytest.approx(0.008 * sum(stretch.cost))
