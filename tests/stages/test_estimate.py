"""What a training takes on this machine, measured before it begins."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs

from mitlgan.compare import dry_run
from mitlgan.compare.dry_run import estimate_comparison, estimate_demo
from mitlgan.compare.plan import ComparisonPlan, DomainSpec
from mitlgan.errors import ResourceError
from mitlgan.recipe import Recipe, as_dict, parse_recipe, to_toml
from mitlgan.runtime.distributed import World
from mitlgan.stages import training_speed
from mitlgan.stages.estimate import TrainingEstimate, WorkEstimate, busy_note, disk_warning, estimate_run, estimate_training
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run

CPU = World(0, 1, torch.device("cpu"))


def row(seconds: float, cpu_seconds: float = 0.0, memory_bytes: int = 0, disk_bytes: int = 0) -> TrainingEstimate:
    return TrainingEstimate("one", 1, seconds, cpu_seconds or seconds, memory_bytes, disk_bytes)


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration takes two seconds, and one where the critic learns alone; half of it is CPU time. Nothing else takes time."""
    clock = [0.0]
    step = TrainingLoop.train_iteration

    def counted(self: TrainingLoop) -> object:
        clock[0] += 1.0 if self.schedule.trains_critic_alone(self.state.counters) else 2.0
        return step(self)

    monkeypatch.setattr(TrainingLoop, "train_iteration", counted)
    monkeypatch.setattr(training_speed, "_clocks", lambda: (clock[0], clock[0] / 2))


@pytest.mark.usefixtures("costs")
def test_an_estimate_is_in_proportion_to_the_length_and_leaves_nothing(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    short, long = (estimate_training(tiny_runs.recipe("fg", packs["fg"], updates=updates), CPU) for updates in (10, 1000))
    assert (short.updates, short.seconds, short.cpu_seconds) == (10, pytest.approx(20), pytest.approx(10))
    assert (long.updates, long.seconds, long.cpu_seconds) == (1000, pytest.approx(2000), pytest.approx(1000))
    assert short.memory_bytes > 50e6
    limited = estimate_training(tiny_runs.recipe("fg", packs["fg"], updates=1000, limit_s=60.0), CPU)
    assert (limited.updates, limited.seconds) == (30, pytest.approx(60))
    by_cpu = estimate_training(tiny_runs.recipe("fg", packs["fg"], updates=1000, limit_s=60.0, clock="cpu"), CPU)
    assert (by_cpu.updates, by_cpu.seconds, by_cpu.cpu_seconds) == (60, pytest.approx(120), pytest.approx(60))
    assert [path for path in scratch.iterdir() if not path.name.startswith("torchinductor")] == []


@pytest.mark.usefixtures("costs")
@pytest.mark.parametrize(
    ("first", "updates", "limit_s", "expected"),
    [
        (0.5, 10, None, (10, 1 + 9 * 2)),  # shorter than what is measured: the first update begins before its end
        (3.3, 10, None, (10, 4 + 6 * 2)),
        (300, 1000, None, (1000, 300 + 700 * 2)),  # longer
        (20, 10, None, (10, 10)),
        (300, 1000, 100.0, (100, 100)),  # time ends it while the critic learns alone,
        (300, 1000, 400.0, (350, 400)),  # or later
        (300, 1000, 1e6, (1000, 1700)),
    ],
)
def test_the_critics_own_time_and_the_rest_each_count_as_long_as_they_last(
    packs: dict[str, Path], first: float, updates: int, limit_s: float | None, expected: tuple[int, float]
) -> None:
    first_kimg = first * tiny_runs.PER_UPDATE / 1000
    for clock in (None, "cpu"):
        limit = limit_s if limit_s is None or clock is None else limit_s / 2
        recipe = tiny_runs.recipe("fg", packs["fg"], updates=updates, critic_first_kimg=first_kimg, limit_s=limit, clock=clock)
        estimate = estimate_training(recipe, CPU)
        assert (estimate.updates, estimate.seconds, estimate.cpu_seconds) == (expected[0], pytest.approx(expected[1]), pytest.approx(expected[1] / 2))


@pytest.mark.usefixtures("costs")
def test_each_step_of_a_ladder_has_a_critics_own_time(tmp_path: Path) -> None:
    tree = as_dict(tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy", size_px=16), critic_first_kimg=0.016))
    del tree["training"]["kimg"]
    steps = [{"size_px": 8, "kimg": 0.08}, {"size_px": 16, "kimg": 0.16, "coarse_widths": [3], "fine_width": 2, "critic_first_kimg": 0.04}]
    estimate = estimate_run(parse_recipe({**tree, "size_px": 16, "grow": steps}, "tiny"), CPU)
    assert (estimate.updates, estimate.seconds) == (30, pytest.approx(2 + 8 * 2 + 5 + 15 * 2))


@pytest.mark.usefixtures("costs")
def test_a_speed_is_that_of_both_networks(packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"], critic_first_kimg=1.0)
    speed = training_speed.measure_training_speed(recipe, threads=1)
    assert speed.seconds_per_kimg == pytest.approx(1 / tiny_runs.PER_UPDATE * 1000)  # on a core that it has alone: its CPU time


def test_the_disk_of_an_estimate_is_about_that_of_the_run(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=40, checkpoint_kimg=0.1, snapshot_kimg=0.1)
    used = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    assert used / 2 < estimate_training(run.load_recipe(), CPU).disk_bytes < used * 3


def test_too_little_memory_is_said_before_anything_begins(packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: TrainingLoop) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(TrainingLoop, "train_iteration", full)
    with pytest.raises(ResourceError, match=r"training\.batch: out of memory with 4 images of 8 px; try half"):
        estimate_training(tiny_runs.recipe("fg", packs["fg"]), CPU)


def test_steps_follow_each_other_and_their_trainings_share_the_places() -> None:
    work = WorkEstimate([[row(3), row(5), row(4)], [row(1)]], jobs=2, measuring_s=2)
    assert work.seconds == 7 + 1 + 2  # 3 + 4 in one place, 5 in the other
    assert WorkEstimate([[row(3), row(5), row(4)], [row(1)]]).seconds == 13
    memory = WorkEstimate([[row(1, memory_bytes=5), row(1, memory_bytes=7)], [row(1, memory_bytes=9)]], jobs=2)
    assert memory.memory_bytes == 16
    assert WorkEstimate([[row(1, memory_bytes=5)], [row(1, memory_bytes=9)]], jobs=2).memory_bytes == 9
    assert WorkEstimate([[row(1, disk_bytes=2)], [row(1, disk_bytes=3)]]).disk_bytes == 5


def test_a_full_disk_and_a_busy_machine_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 95, 5_000_000))
    assert disk_warning(5_000_000, tmp_path / "not" / "there") is None
    warning = disk_warning(2_000_000_000, tmp_path / "not" / "there")
    assert warning is not None
    assert "5 MB are free on its disk, and about 2.0 GB are needed; choose another folder with --out" in warning
    assert busy_note([row(10, 9)]) is None
    assert busy_note([row(10, 20)]) is None  # two threads
    note = busy_note([row(100, 30), row(100, 30)])
    assert note is not None
    assert "1 min 00 s of CPU time" in note


def test_an_estimated_comparison_trains_each_arm_for_as_long_as_the_composition(
    packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path
) -> None:
    recipe = tmp_path / "composition.toml"
    recipe.write_text(to_toml(tiny_runs.recipe("scene", packs["scene"], compose=True, updates=500)))
    context = tiny_runs.run_context(tmp_path / "runs")
    plan = ComparisonPlan(recipe=str(recipe), layers=tiny_runs.layers(pretrained), baselines=("plain-wgan", "paste"), equal="cpu-seconds", seeds=2,
                          count_pretraining=False)  # fmt: skip
    work = estimate_comparison(plan, context)
    assert [len(step) for step in work.steps] == [2, 2]
    (composed, _), (wgan, _) = work.steps
    assert composed.updates == 500
    assert wgan.cpu_seconds == pytest.approx(composed.cpu_seconds, rel=0.05, abs=0.1)
    assert work.measuring_s > 0
    assert work.lines()[-1].startswith("in all: about ")
    assert not (tmp_path / "runs").exists()


def fixed(recipe: Recipe, world: World, **_: object) -> TrainingEstimate:
    return row(recipe.training.limit_s or 10.0)


def test_an_estimated_comparison_of_untrained_layers_counts_their_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "estimate_run", fixed)
    monkeypatch.setattr(dry_run, "_measuring_seconds", lambda *_: 5.0)
    context = tiny_runs.run_context(tmp_path / "runs")
    plan = ComparisonPlan(domains=(DomainSpec("one", "demo", "demo", "demo"),), baselines=("plain-wgan",), equal="cpu-seconds", samples=12)
    work = estimate_comparison(plan, context)
    assert [one.label for one in work.steps[0]] == ["one pretrain fg", "one pretrain bg"]
    assert [[one.seconds for one in step] for step in work.steps] == [[10, 10], [10], [30]]  # the WGAN as long as all stages


def test_the_demo_is_estimated_stage_by_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "estimate_run", fixed)
    monkeypatch.setattr(dry_run, "_measuring_seconds", lambda *_: 5.0)
    monkeypatch.setattr(dry_run, "open_evaluator", lambda *_: None)
    quick = estimate_demo(quick=True)
    assert [[one.seconds for one in step] for step in quick.steps] == [[10, 10], [10], [10, 30]]  # the WGAN as long as all stages
    assert quick.seconds == 10 + 10 + 30 + 5
    work = estimate_demo()
    assert [[one.seconds for one in step] for step in work.steps] == [[10, 10], [10], [10], [40, 40]]  # both baselines
    shipped = estimate_demo(pretrained=True)
    assert [[one.seconds for one in step] for step in shipped.steps] == [[10], [10, 10]]


def test_each_step_of_a_ladder_is_measured_at_its_size_for_its_share_of_the_time(tmp_path: Path) -> None:
    tree = as_dict(tiny_runs.recipe("scene", tiny_runs.pack(tmp_path / "scene.npy", size_px=16), limit_s=0.6, clock="cpu"))
    del tree["training"]["kimg"]
    steps = [{"size_px": 8, "kimg": 1000.0}, {"size_px": 16, "kimg": 2000.0, "coarse_widths": [3], "fine_width": 2}]
    assert estimate_run(parse_recipe({**tree, "size_px": 16, "grow": steps}, "tiny"), CPU).cpu_seconds == pytest.approx(0.6)
