"""The training loop: equal bits after a resume, clocks, schedules, ranks."""

from __future__ import annotations

import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor

from mitlgan import networks
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import Stopped
from mitlgan.recipe import Recipe, as_dict, load_recipe, to_toml, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.stages.setup import make_setup
from mitlgan.training import updates
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import count_generator_updates, kimg_to_images

UPDATES = 6


def artifact_of(run: Run) -> Path:
    assert run.artifact_file is not None
    return run.artifact_file


@pytest.mark.parametrize("at", [1, 4])
def test_a_stopped_and_resumed_run_equals_one_in_one_go_to_the_bit(
    start_run: tiny_runs.StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    straight = start_run("straight", updates=UPDATES)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=at)
        with pytest.raises(Stopped):
            start_run("stopped", updates=UPDATES)
    stopped = tiny_runs.only_run(tmp_path / "stopped")
    assert len(tiny_runs.read_stats(stopped)) == at + 1  # the step in which the signal came is finished
    torch.manual_seed(1234)  # no generator state is needed
    resumed = resume(stopped.path, tiny_runs.run_context(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)
    assert len(tiny_runs.read_stats(resumed)) == UPDATES
    assert read_tensors(artifact_of(straight))[0].keys() == read_tensors(artifact_of(resumed))[0].keys()
    for name, tensor in read_tensors(artifact_of(straight))[0].items():
        assert torch.equal(tensor, read_tensors(artifact_of(resumed))[0][name])


def test_a_finished_run_made_longer_equals_the_longer_one_to_the_bit(start_run: tiny_runs.StartRun, tmp_path: Path) -> None:
    straight = start_run("straight", updates=UPDATES)
    short = start_run("short", updates=2)
    assert len(tiny_runs.read_stats(short)) == 2
    resumed = resume(short.path, tiny_runs.run_context(tmp_path), more_kimg=4 * tiny_runs.PER_UPDATE / 1000)
    tiny_runs.assert_same_trace(straight, resumed)
    assert load_recipe(resumed.recipe_file).training.kimg == pytest.approx(UPDATES * tiny_runs.PER_UPDATE / 1000)


def test_resuming_a_finished_run_changes_nothing(pretrain_fg: tiny_runs.StartRun, tmp_path: Path) -> None:
    run = pretrain_fg(updates=2)
    before, artifact = tiny_runs.trace(run), artifact_of(run).read_bytes()
    resume(run.path, tiny_runs.run_context(tmp_path))
    tensors, counters, lines = tiny_runs.trace(run)
    assert (counters, lines) == before[1:]
    assert all(torch.equal(tensors[name], before[0][name]) for name in tensors)
    assert artifact_of(run).read_bytes() == artifact


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(start_run: tiny_runs.StartRun) -> None:
    tiny_runs.assert_same_trace(start_run("one"), start_run("two"))
    first, other = tiny_runs.trace(start_run("three")), tiny_runs.trace(start_run("four", seed=6))
    weights = [name for name in first[0] if name.startswith(("critic.", "generator.")) and "layers." not in name and "norm" not in name]
    assert weights
    assert not [name for name in weights if torch.equal(first[0][name], other[0][name])]


def test_snapshots_and_checkpoints_come_when_their_kimg_have_passed_and_two_checkpoints_stay(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=12, checkpoint_kimg=0.02, snapshot_kimg=1.0, log_iterations=5)
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000010", "000000012"]  # 80 and 96 images; those of 24, 40, 64 went
    assert sorted(path.name for path in (run.path / "snapshots").iterdir()) == ["000000.008.png", "000000.096.png", "000000.png"]
    assert [row["iteration"] for row in tiny_runs.read_stats(run)] == [5, 10]
    assert [row["iteration"] for row in read_jsonl(run.timing_file)] == [5, 10]


@pytest.mark.parametrize(("updates", "interval", "rows"), [(3, 5, [3]), (5, 5, [5]), (7, 5, [5]), (1, 1, [1])])
def test_a_run_that_is_shorter_than_its_interval_has_the_statistics_of_its_last_update(
    updates: int, interval: int, rows: list[int], pretrain_fg: tiny_runs.StartRun, tmp_path: Path
) -> None:
    run = pretrain_fg(updates=updates, log_iterations=interval)
    assert [row["iteration"] for row in tiny_runs.read_stats(run)] == rows
    resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=interval * tiny_runs.PER_UPDATE / 1000)
    later = [iteration for iteration in range(updates + 1, updates + interval + 1) if iteration % interval == 0]
    assert [row["iteration"] for row in tiny_runs.read_stats(run)] == [*rows, *later]


def test_timing_goes_on_over_a_resume_and_keeps_out_of_the_statistics(pretrain_fg: tiny_runs.StartRun, tmp_path: Path) -> None:
    run = pretrain_fg(updates=2)
    first = list(read_jsonl(run.timing_file))
    resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=2 * tiny_runs.PER_UPDATE / 1000)
    rows = list(read_jsonl(run.timing_file))
    assert rows[:2] == first
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4]
    assert all(later["seconds"] > earlier["seconds"] for earlier, later in pairwise(rows))
    assert all(0 <= row["overhead_fraction"] <= 1 for row in rows)
    assert not {"seconds", "cpu_seconds", "images_per_s"} & set(tiny_runs.read_stats(run)[0])


def test_the_status_says_how_a_run_ended(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=2)
    status = run.read_status()
    assert (status["state"], status["command"], status["role"], status["iteration"]) == ("done", "pretrain", "fg", 2)
    assert status["kimg"] == status["target_kimg"] == 0.016
    assert status["eta_s"] == 0


def test_a_limit_in_seconds_ends_a_run(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=100_000, limit_s=0.2, log_iterations=100)
    assert run.read_status()["state"] == "done"
    assert 0.2 <= run.read_status()["seconds"] < 20
    assert run.read_status()["iteration"] < 100_000
    assert run.read_status()["eta_s"] == 0


def test_the_clock_may_be_the_processors(pretrain_fg: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TrainingLoop.train_iteration

    def slow(self: TrainingLoop) -> object:
        time.sleep(0.05)
        return step(self)

    monkeypatch.setattr(TrainingLoop, "train_iteration", slow)
    run = pretrain_fg(updates=100_000, limit_s=0.2, keep_s=[0.1], clock="cpu", log_iterations=1)
    *_, before, last = read_jsonl(run.timing_file)
    assert before["cpu_seconds"] < 0.2 <= last["cpu_seconds"]
    assert last["seconds"] > 0.2 + 0.04 * run.read_status()["iteration"]  # sleeping counts by the wall alone
    assert len(list(run.list_kept_artifacts())) == 1


def test_a_recipe_that_names_no_clock_is_written_as_before(packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"])
    assert "clock" not in as_dict(recipe)["training"]
    assert "clock" not in to_toml(recipe)


def test_fakes_may_be_shared(start_run: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The critic's last update and the generator's then see the same images, made once."""
    purposes: list[str] = []
    inner = updates.make_inputs

    def counted(*given: Any) -> Any:
        inputs = inner(*given)
        draw = inputs.sample
        monkeypatch.setattr(inputs, "sample", lambda purpose, *rest: purposes.append(purpose) or draw(purpose, *rest))
        return inputs

    monkeypatch.setattr(updates, "make_inputs", counted)
    run = start_run("shared", updates=2, shared_fakes=True)
    steps = load_recipe(str(run.path / "recipe.toml")).objective.critic_steps
    assert purposes == (["critic"] * (steps - 1) + ["generator"]) * 2
    assert len(tiny_runs.read_stats(run)) == 2
    purposes.clear()
    start_run("apart", updates=2)
    assert purposes == (["critic"] * steps + ["generator"]) * 2


def test_the_critic_is_shown_every_other_picture_mirrored(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[Tensor] = []
    inner = updates.NetworkUpdates.real_batch
    monkeypatch.setattr(updates.NetworkUpdates, "real_batch", lambda self, update: batches.append(inner(self, update)) or batches[-1])
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=40)
    pretrain(recipe, tiny_runs.run_context(tmp_path / "plain"))
    straight = torch.cat(batches)
    batches.clear()
    pretrain(with_overrides(recipe, data__mirror=True), tiny_runs.run_context(tmp_path / "mirrored"))
    mirrored = torch.cat(batches)
    as_they_are = (mirrored == straight).flatten(1).all(dim=1)
    reflected = (mirrored == straight.flip(3)).flatten(1).all(dim=1)
    assert (as_they_are | reflected).all()
    assert 0.4 < reflected.float().mean() < 0.6


def test_a_length_in_kimg_is_exact_in_images() -> None:
    assert all(kimg_to_images(images / 1000) == images for images in range(1, 20_000))  # 2.007 * 1000 is more than 2007
    assert kimg_to_images(0.0081) == 9


def test_updates_of_a_recipe_are_those_that_the_loop_does(pretrain_fg: tiny_runs.StartRun, packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=2.3)
    assert count_generator_updates(recipe) == 3
    assert pretrain_fg(updates=2.3).read_status()["iteration"] == 3


def test_ranks_other_than_0_write_nothing(packs: dict[str, Path], tmp_path: Path) -> None:
    """The loop of a rank that does not lead, alone: no file, no lock, no word. Several together are in test_distributed.py."""
    recipe = tiny_runs.recipe("fg", packs["fg"])
    assert recipe.generator is not None
    torch.manual_seed(0)
    setup = make_setup(recipe, networks.build_generator(recipe.generator, recipe.size_px), open_recipe_data(recipe), {})
    loop = TrainingLoop(Run(tmp_path / "nowhere"), recipe, setup, World(0, 1, torch.device("cpu")), tiny_runs.Listener())
    loop.world = loop.writer.world = World(1, 1, torch.device("cpu"))
    state = loop.run()
    assert state.counters.iteration == 3
    assert not (tmp_path / "nowhere").exists()


def test_recipes_are_kept_whole(pretrain_fg: tiny_runs.StartRun, packs: dict[str, Path]) -> None:
    recipe: Recipe = tiny_runs.recipe("fg", packs["fg"])
    assert load_recipe(pretrain_fg().recipe_file) == recipe
