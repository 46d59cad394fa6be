"""The training loop, really run: resume to the bit, signals, full disks, NaN, memory."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.artifacts.safetensors_io import read_header, read_tensors, write_tensors
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, NanError, ResourceError, Stopped, UsageError
from mitlgan.objectives.wasserstein import WganGp
from mitlgan.recipe import Recipe, as_dict, load_recipe, to_toml, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.files import folder_lock
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.stages.setup import make_setup
from mitlgan.training import loop as train
from mitlgan.training import run_directory, updates
from mitlgan.training.checkpoint import checkpoints, load_checkpoint
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import count_generator_updates, kimg_to_images

UPDATES = 6
Start = Callable[..., Run]


@pytest.fixture(params=["pretrain", "compose"])
def start(request: pytest.FixtureRequest, packs: dict[str, Path], tmp_path: Path) -> Start:
    """Begins a run of either kind under a root of its own: `start("straight", updates=6)`."""
    composing = request.param == "compose"
    pretrained = request.getfixturevalue("pretrained") if composing else {}

    def run(root: str, **settings: Any) -> Run:
        environment = tiny_runs.environment(tmp_path / root)
        if composing:
            return compose(tiny_runs.recipe("scene", packs["scene"], compose=True, **settings), tiny_runs.layers(pretrained), environment)
        return pretrain(tiny_runs.recipe("fg", packs["fg"], **settings), environment)

    return run


@pytest.fixture
def fg(packs: dict[str, Path], environment: RunContext) -> Start:
    """Begins a pretraining in the test's environment."""
    return lambda **settings: pretrain(tiny_runs.recipe("fg", packs["fg"], **settings), environment)


def only_run(root: Path) -> Run:
    (found,) = run_directory.list_runs(root)
    return found


def stats(run: Run) -> list[dict[str, Any]]:
    return list(read_jsonl(run.stats_file))


# FAULTS 1


@pytest.mark.parametrize("at", [1, 4])
def test_a_stopped_and_resumed_run_equals_one_in_one_go_to_the_bit(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    straight = start("straight", updates=UPDATES)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=at)
        with pytest.raises(Stopped):
            start("stopped", updates=UPDATES)
    stopped = only_run(tmp_path / "stopped")
    assert len(stats(stopped)) == at + 1  # the step in which the signal came is finished
    torch.manual_seed(1234)  # no generator state is needed
    resumed = resume(stopped.path, tiny_runs.environment(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)
    assert len(stats(resumed)) == UPDATES
    assert read_tensors(_artifact(straight))[0].keys() == read_tensors(_artifact(resumed))[0].keys()
    for name, tensor in read_tensors(_artifact(straight))[0].items():
        assert torch.equal(tensor, read_tensors(_artifact(resumed))[0][name])


def test_a_finished_run_made_longer_equals_the_longer_one_to_the_bit(start: Start, tmp_path: Path) -> None:
    straight = start("straight", updates=UPDATES)
    short = start("short", updates=2)
    assert len(stats(short)) == 2
    resumed = resume(short.path, tiny_runs.environment(tmp_path), more_kimg=4 * tiny_runs.PER_UPDATE / 1000)
    tiny_runs.assert_same_trace(straight, resumed)
    assert load_recipe(resumed.recipe_file).training.kimg == pytest.approx(UPDATES * tiny_runs.PER_UPDATE / 1000)


def test_resuming_a_finished_run_changes_nothing(fg: Start, tmp_path: Path) -> None:
    run = fg(updates=2)
    before, artifact = tiny_runs.trace(run), _artifact(run).read_bytes()
    resume(run.path, tiny_runs.environment(tmp_path))
    tensors, counters, lines = tiny_runs.trace(run)
    assert (counters, lines) == before[1:]
    assert all(torch.equal(tensors[name], before[0][name]) for name in tensors)
    assert _artifact(run).read_bytes() == artifact


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(start: Start) -> None:
    tiny_runs.assert_same_trace(start("one"), start("two"))
    first, other = tiny_runs.trace(start("three")), tiny_runs.trace(start("four", seed=6))
    weights = [name for name in first[0] if name.startswith(("critic.", "generator.")) and "layers." not in name and "norm" not in name]
    assert weights
    assert not [name for name in weights if torch.equal(first[0][name], other[0][name])]


def test_snapshots_and_checkpoints_come_when_their_kimg_have_passed_and_two_checkpoints_stay(fg: Start) -> None:
    run = fg(updates=12, checkpoint_kimg=0.02, snapshot_kimg=1.0, log_iterations=5)
    assert [path.stem for path in checkpoints(run.path)] == ["000000010", "000000012"]  # 80 and 96 images; those of 24, 40, 64 went
    assert sorted(path.name for path in (run.path / "snapshots").iterdir()) == ["000000.png"]
    assert [row["iteration"] for row in stats(run)] == [5, 10]
    assert [row["iteration"] for row in read_jsonl(run.timing_file)] == [5, 10]


def test_timing_goes_on_over_a_resume_and_keeps_out_of_the_statistics(fg: Start, tmp_path: Path) -> None:
    run = fg(updates=2)
    first = list(read_jsonl(run.timing_file))
    resume(run.path, tiny_runs.environment(tmp_path), more_kimg=2 * tiny_runs.PER_UPDATE / 1000)
    rows = list(read_jsonl(run.timing_file))
    assert rows[:2] == first
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4]
    assert all(later["seconds"] > earlier["seconds"] for earlier, later in pairwise(rows))
    assert all(0 <= row["overhead_fraction"] <= 1 for row in rows)
    assert not {"seconds", "cpu_seconds", "images_per_s"} & set(stats(run)[0])


def test_the_status_says_how_a_run_ended(fg: Start) -> None:
    run = fg(updates=2)
    status = run.read_status()
    assert (status["state"], status["command"], status["role"], status["iteration"]) == ("done", "pretrain", "fg", 2)
    assert status["kimg"] == status["target_kimg"] == 0.016
    assert status["eta_s"] == 0


def test_a_limit_in_seconds_ends_a_run(fg: Start) -> None:
    run = fg(updates=100_000, limit_s=0.2, log_iterations=100)
    assert run.read_status()["state"] == "done"
    assert 0.2 <= run.read_status()["seconds"] < 20
    assert run.read_status()["iteration"] < 100_000
    assert run.read_status()["eta_s"] == 0


def test_the_clock_may_be_the_processors(fg: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TrainingLoop.train_iteration

    def slow(self: TrainingLoop) -> object:
        time.sleep(0.05)
        return step(self)

    monkeypatch.setattr(TrainingLoop, "train_iteration", slow)
    run = fg(updates=100_000, limit_s=0.2, keep_s=[0.1], clock="cpu", log_iterations=1)
    *_, before, last = read_jsonl(run.timing_file)
    assert before["cpu_seconds"] < 0.2 <= last["cpu_seconds"]
    assert last["seconds"] > 0.2 + 0.04 * run.read_status()["iteration"]  # sleeping counts by the wall alone
    assert len(list(run.list_kept_artifacts())) == 1


def test_a_recipe_that_names_no_clock_is_written_as_before(packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"])
    assert "clock" not in as_dict(recipe)["training"]
    assert "clock" not in to_toml(recipe)


def test_fakes_may_be_shared(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The critic's last update and the generator's then see the same images, made once."""
    drawn: list[str] = []
    inner = updates.make_inputs

    def counted(*given: Any) -> Any:
        inputs = inner(*given)
        draw = inputs.sample
        monkeypatch.setattr(inputs, "sample", lambda purpose, *rest: drawn.append(purpose) or draw(purpose, *rest))
        return inputs

    monkeypatch.setattr(updates, "make_inputs", counted)
    run = start("shared", updates=2, shared_fakes=True)
    steps = load_recipe(str(run.path / "recipe.toml")).objective.critic_steps
    assert drawn == (["critic"] * (steps - 1) + ["generator"]) * 2
    assert len(stats(run)) == 2
    drawn.clear()
    start("apart", updates=2)
    assert drawn == (["critic"] * steps + ["generator"]) * 2


def test_the_critic_is_shown_every_other_picture_mirrored(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor] = []
    inner = updates.NetworkUpdates.real_batch
    monkeypatch.setattr(updates.NetworkUpdates, "real_batch", lambda self, update: shown.append(inner(self, update)) or shown[-1])
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=40)
    pretrain(recipe, tiny_runs.environment(tmp_path / "plain"))
    straight = torch.cat(shown)
    shown.clear()
    pretrain(with_overrides(recipe, data__mirror=True), tiny_runs.environment(tmp_path / "mirrored"))
    mirrored = torch.cat(shown)
    as_they_are = (mirrored == straight).flatten(1).all(dim=1)
    reflected = (mirrored == straight.flip(3)).flatten(1).all(dim=1)
    assert (as_they_are | reflected).all()
    assert 0.4 < reflected.float().mean() < 0.6


def test_a_length_in_kimg_is_exact_in_images() -> None:
    assert all(kimg_to_images(images / 1000) == images for images in range(1, 20_000))  # 2.007 * 1000 is more than 2007
    assert kimg_to_images(0.0081) == 9


def test_updates_of_a_recipe_are_those_that_the_loop_does(fg: Start, packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=2.3)
    assert count_generator_updates(recipe) == 3
    assert fg(updates=2.3).read_status()["iteration"] == 3


# FAULTS 3 and 4: the loop's part; the commands' exit codes are in cli/


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(
    fg: Start, environment: RunContext, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    tiny_runs.before_step(monkeypatch, tiny_runs.send(number), at=1)
    with pytest.raises(Stopped, match=r"stopped at 0\.0 kimg and saved; continue with `mitlgan resume ") as stopped:
        fg(updates=UPDATES)
    assert stopped.value.exit_code == code
    run = only_run(environment.root)
    assert [path.stem for path in checkpoints(run.path)] == ["000000000", "000000002"]
    assert run.read_status()["state"] == "stopped"
    assert run.artifact_file is None
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_second_interrupt_stops_at_once_with_the_old_checkpoint_intact(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = start("straight", updates=UPDATES)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGINT, times=2), at=3)
        with pytest.raises(KeyboardInterrupt):
            start("stopped", updates=UPDATES, checkpoint_kimg=2 * tiny_runs.PER_UPDATE / 1000)
    run = only_run(tmp_path / "stopped")
    assert [path.stem for path in checkpoints(run.path)] == ["000000000", "000000002"]
    resumed = resume(run.path, tiny_runs.environment(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)


def test_a_second_interrupt_while_a_checkpoint_is_written_leaves_the_old_one(
    fg: Start, environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def interrupted(descriptor: int) -> None:
        if "000000002" in tiny_runs.path_of(descriptor).name:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fg(updates=2)
    run = only_run(environment.root)
    assert [path.stem for path in checkpoints(run.path)] == ["000000000"]
    assert not list(run.path.rglob("*.tmp"))
    tiny_runs.assert_same_trace(resume(run.path, environment), pretrain(load_recipe(run.recipe_file), tiny_runs.environment(tmp_path / "straight")))


# FAULTS 5


def fill(disk: Path) -> Callable[[TrainingLoop], None]:
    def action(_: TrainingLoop) -> None:
        with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        assert os.statvfs(disk).f_bavail == 0

    return action


# What is written first after the disk is full.
WRITES: dict[str, dict[str, Any]] = {
    "checkpoint": {"checkpoint_kimg": 0.001, "log_iterations": 1000},
    "snapshot": {"snapshot_kimg": 0.001, "log_iterations": 1000},
    "stats.jsonl": {"checkpoint_kimg": 0.001},
}


@pytest.mark.parametrize("what", WRITES)
def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(
    what: str, small_disk: Path, packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=UPDATES, **WRITES[what])
    straight = pretrain(recipe, tiny_runs.environment(tmp_path / "straight"))
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, fill(small_disk), at=0)
        with pytest.raises(ResourceError, match="no space left on the disk") as full:
            pretrain(recipe, tiny_runs.environment(small_disk / "runs"))
    assert what in str(full.value)
    assert full.value.exit_code == 5
    run = only_run(small_disk / "runs")
    assert [path.stem for path in checkpoints(run.path)] == ["000000000"]
    assert load_checkpoint(run.path) is not None
    assert not list(run.path.rglob("*.tmp"))
    assert run.artifact_file is None
    (small_disk / "filler").unlink()
    tiny_runs.assert_same_trace(resume(run.path, tiny_runs.environment(tmp_path)), straight)


@pytest.mark.parametrize("what", ["checkpoints", "snapshots"])
def test_a_full_disk_without_a_disk(what: str, fg: Start, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, where nothing can be mounted."""
    real, writes = os.fsync, []

    def full(descriptor: int) -> None:
        if tiny_runs.path_of(descriptor).match(f"*/{what}/.*"):
            writes.append(descriptor)
            if len(writes) > 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ResourceError, match=f"{what}.*no space left"):
            fg(updates=2)
    run = only_run(environment.root)
    assert run.read_status()["state"] == "failed"
    assert [path.stem for path in checkpoints(run.path)] == ["000000000"]
    assert not list(run.path.rglob("*.tmp"))


# FAULTS 6


def test_a_place_that_cannot_be_written_is_refused_before_the_first_step(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(ResourceError, match=r"file.*choose another folder with --out") as refused:
            pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.environment(place))
        assert refused.value.exit_code == 5


def test_a_read_only_run_is_refused(small_disk: Path, packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.environment(small_disk / "runs"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))
    with pytest.raises(ResourceError, match="cannot be written"):
        resume(run.path, tiny_runs.environment(tmp_path), more_kimg=1.0)
    with pytest.raises(ResourceError, match="cannot be written"):
        pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.environment(small_disk / "runs"))


# FAULTS 7


def test_a_run_takes_one_process_at_a_time(fg: Start, environment: RunContext) -> None:
    run = fg()
    with folder_lock(run.path), pytest.raises(ResourceError, match="another process is working on it"):
        resume(run.path, environment)
    resume(run.path, environment)


def test_a_run_is_held_while_it_trains(fg: Start, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def second(loop: TrainingLoop) -> None:
        with pytest.raises(ResourceError, match="another process is working on it"):
            resume(loop.run_directory.path, environment)

    tiny_runs.before_step(monkeypatch, second, at=1)
    assert fg().read_status()["state"] == "done"


# FAULTS 8


def poisoned(
    monkeypatch: pytest.MonkeyPatch, which: Callable[[int], bool], poison: Callable[[Tensor, nn.Module], Tensor], loss: str = "critic_loss"
) -> None:
    """Change the losses of some calls, counted from 0."""
    real, calls = getattr(WganGp, loss), []

    def changed_loss(self: WganGp, critic: nn.Module, *args: Any) -> tuple[Tensor, dict[str, Tensor]]:
        value, seen = real(self, critic, *args)
        calls.append(1)
        return (poison(value, critic) if which(len(calls) - 1) else value), seen

    monkeypatch.setattr(WganGp, loss, changed_loss)


def nan_loss(loss: Tensor, critic: nn.Module) -> Tensor:
    return loss * torch.nan


def infinite_gradient(loss: Tensor, critic: nn.Module) -> Tensor:
    """A finite loss with an infinite gradient: the root of zero."""
    return loss + (next(critic.parameters()).sum() * 0).sqrt()


@pytest.mark.parametrize("poison", [nan_loss, infinite_gradient])
def test_an_update_that_is_not_finite_is_counted_and_left_out(fg: Start, monkeypatch: pytest.MonkeyPatch, poison: Any) -> None:
    poisoned(monkeypatch, lambda call: call == 2, poison)
    run = fg(updates=3)
    assert [row["nan_skipped"] for row in stats(run)] == [0, 1, 1]
    assert run.read_status()["state"] == "done"
    tensors, counters, lines = tiny_runs.trace(run)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    assert (counters["nan_skipped"], counters["nan_in_a_row"]) == (1, 0)
    assert b"NaN" not in lines
    assert tensors["critic_optimiser.0.step"] == 5  # of 6 critic updates
    assert tensors["generator_optimiser.0.step"] == 3


@pytest.mark.parametrize("loss", ["critic_loss", "generator_loss"])
def test_training_ends_when_values_stay_not_finite(fg: Start, environment: RunContext, monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    """Of one network alone, too: a good update of the other does not start the count anew."""
    first = 4 if loss == "critic_loss" else 2
    poisoned(monkeypatch, lambda call: call >= first, nan_loss, loss)
    with pytest.raises(NanError, match="the last checkpoint is from before; lower the learning rate") as ended:
        fg(updates=100, nan_patience=5, checkpoint_kimg=tiny_runs.PER_UPDATE / 1000)
    assert ended.value.exit_code == 6
    run = only_run(environment.root)
    assert run.read_status()["state"] == "nan"
    assert run.read_status()["nan_skipped"] == 5
    assert run.artifact_file is None
    assert len(stats(run)) < 10
    for path in checkpoints(run.path):
        assert all(torch.isfinite(tensor).all() for tensor in read_tensors(path)[0].values())
    assert [row["nan_skipped"] for row in stats(run)][:2] == [0, 0]
    json.loads((run.path / "stats.jsonl").read_text().splitlines()[-1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_values_that_fail_now_and_then_do_not_end_training(fg: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, lambda call: call % 4 == 0, nan_loss)  # one of the critic's two updates in every second iteration
    assert fg(updates=10, nan_patience=2).read_status()["nan_skipped"] == 5


@pytest.mark.parametrize("what", ["weight", "statistic"])
def test_a_checkpoint_never_holds_nan(fg: Start, environment: RunContext, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def poison(loop: TrainingLoop) -> None:
        tensors = loop.state.critic.parameters() if what == "weight" else iter(loop.state.running_statistics)
        with torch.no_grad():
            next(tensors).view(-1)[0] = torch.nan

    tiny_runs.before_step(monkeypatch, poison, at=2)
    with pytest.raises(NanError, match="not finite"):
        fg(updates=100, checkpoint_kimg=tiny_runs.PER_UPDATE / 1000)
    run = only_run(environment.root)
    assert [path.stem for path in checkpoints(run.path)] == ["000000001", "000000002"]
    assert run.read_status()["state"] == "nan"
    assert run.artifact_file is None
    for path in checkpoints(run.path):
        assert all(torch.isfinite(tensor).all() for tensor in read_tensors(path)[0].values())


# FAULTS 9


def test_a_critic_without_any_slope_trains(fg: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    real = networks.build_critic

    def flat(*args: Any) -> nn.Module:
        critic = real(*args)
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.zero_()
        return critic

    monkeypatch.setattr(networks, "build_critic", flat)
    run = fg(updates=3)
    assert stats(run)[-1]["nan_skipped"] == 0
    assert stats(run)[0]["penalty"] == pytest.approx(1.0, abs=1e-4)  # the norm's distance from 1, squared


# FAULTS 12


@pytest.mark.parametrize("where", ["step", "start"])
def test_out_of_memory_names_batch_and_size(where: str, fg: Start, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any) -> None:
        torch.empty(1 << 60)  # torch's own refusal, of its own kind and words

    if where == "step":
        tiny_runs.before_step(monkeypatch, greedy, at=1)
    else:
        monkeypatch.setattr(train, "TrainingState", greedy)
    with pytest.raises(ResourceError, match=r"training\.batch: out of memory with 4 images of 8 px; try half: --set training\.batch=2") as refused:
        fg()
    assert refused.value.exit_code == 5
    if where == "step":
        run = only_run(environment.root)
        assert run.read_status()["state"] == "failed"
        assert load_checkpoint(run.path) is not None


def test_other_errors_of_torch_stay_bugs(fg: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_runs.before_step(monkeypatch, lambda _: torch.zeros(2) @ torch.zeros(3), at=1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="size"):
        fg()


# FAULTS 13


def test_another_world_size_is_refused_with_both_numbers(fg: Start, tmp_path: Path) -> None:
    run = fg()
    with pytest.raises(ArtifactError, match="was trained by 1 processes, now 2"):
        resume(run.path, tiny_runs.environment(tmp_path, size=2))


def test_a_batch_must_divide_among_the_processes(packs: dict[str, Path], tmp_path: Path) -> None:
    for size, message in ((3, "4 is not a multiple of the 3 processes"), (4, "less than the two")):
        with pytest.raises(UsageError, match=rf"training\.batch: .*{message}"):
            pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.environment(tmp_path, rank=1, size=size))


def test_an_edited_recipe_is_refused_with_the_difference(fg: Start, environment: RunContext) -> None:
    run = fg()
    run.recipe_file.write_text(run.recipe_file.read_text().replace("batch = 4", "batch = 6"))
    with pytest.raises(ArtifactError, match=r"training\.batch was 4, now 6") as refused:
        resume(run.path, environment)
    assert refused.value.exit_code == 4


def test_a_checkpoint_of_a_newer_schema_is_refused(fg: Start, environment: RunContext) -> None:
    run = fg()
    newest = checkpoints(run.path)[-1]
    tensors, header = read_tensors(newest)
    write_tensors(newest, tensors, {**header, "schema_version": 99})
    with pytest.raises(ArtifactError, match="schema_version 99 is newer than 1; upgrade mitlgan"):
        resume(run.path, environment)


def test_a_run_without_a_checkpoint_and_a_folder_that_is_no_run_are_refused(fg: Start, environment: RunContext, tmp_path: Path) -> None:
    run = fg()
    for path in checkpoints(run.path):
        path.unlink()
    with pytest.raises(ArtifactError, match="no checkpoint to resume from"):
        resume(run.path, environment)
    with pytest.raises(UsageError, match="not a run directory"):
        resume(tmp_path, environment)


def test_a_resume_restores_the_thread_count(fg: Start, environment: RunContext) -> None:
    run = fg()
    before = torch.get_num_threads()
    assert read_header(checkpoints(run.path)[-1])["threads"] == before
    try:
        torch.set_num_threads(before + 1)
        resume(run.path, environment)
        assert torch.get_num_threads() == before
        assert f"{before} threads, as the run began with" in tiny_runs.said(environment)
    finally:
        torch.set_num_threads(before)


# FAULTS 14


def test_changed_pictures_are_warned_of(environment: RunContext, tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "bg.npy", count=12, seed=1)
    run = pretrain(tiny_runs.recipe("bg", source), environment)
    resume(run.path, environment, more_kimg=0.001)
    assert "pictures changed" not in tiny_runs.said(environment)
    tiny_runs.pack(source, count=10, seed=2)
    resume(run.path, environment, more_kimg=tiny_runs.PER_UPDATE / 1000)
    sums = [json.loads(source.with_suffix(".json").read_text())["content_sha256"], read_header(checkpoints(run.path)[0])["data_sha256"]]
    assert f"the pictures changed since this run began: 12 ({sums[1][:12]}) then, 10 ({sums[0][:12]}) now" in tiny_runs.said(environment)
    assert run.read_status()["state"] == "done"


def test_fewer_pictures_than_a_batch_are_warned_of(environment: RunContext, tmp_path: Path) -> None:
    run = pretrain(tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy", count=3)), environment)
    assert "warning: 3 pictures for batches of 4: each batch repeats some" in tiny_runs.said(environment)
    assert run.read_status()["state"] == "done"


# FAULTS 15


def test_a_broken_newest_checkpoint_is_told_and_the_end_is_the_same(fg: Start, tmp_path: Path) -> None:
    run = fg(updates=4, checkpoint_iterations=2)
    whole = Run(shutil.copytree(run.path, tmp_path / "whole"))
    newest = checkpoints(run.path)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    later = tiny_runs.environment(tmp_path)
    tiny_runs.assert_same_trace(resume(run.path, later), whole)
    assert f"warning: the checkpoint of iteration 2 takes the place of the newest, which cannot be read: {newest}: damaged" in tiny_runs.said(later)


@pytest.mark.parametrize("damage", ["torn", "ahead", "both", "garbage"])
def test_statistics_torn_or_ahead_are_cut_to_the_checkpoint(
    damage: str, fg: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packs: dict[str, Path]
) -> None:
    straight = pretrain(tiny_runs.recipe("fg", packs["fg"], updates=4), tiny_runs.environment(tmp_path / "straight"))
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=1)
        with pytest.raises(Stopped):
            fg(updates=4)
    run = only_run(tmp_path / "runs")
    line = straight.stats_file.read_text().splitlines(keepends=True)[2]  # of iteration 3; the checkpoint is of 2
    for path in (run.stats_file, run.timing_file):
        added = {"torn": line[:40], "ahead": line, "both": line + line[:40], "garbage": "\0" * 4096}[damage]
        path.write_text(path.read_text() + added)
    tiny_runs.assert_same_trace(straight, resume(run.path, tiny_runs.environment(tmp_path)))
    assert [row["iteration"] for row in read_jsonl(run.timing_file)] == [1, 2, 3, 4]


def test_what_an_interrupted_write_left_is_gone_after_a_resume(fg: Start, environment: RunContext) -> None:
    run = fg()
    left = [
        run.path / ".status.json.77.tmp",
        run.path / "checkpoints" / ".000000009.safetensors.77.tmp",
        run.path / "snapshots" / ".000000.png.77.tmp",
    ]
    for path in left:
        path.write_bytes(b"half")
    resume(run.path, environment)
    assert not any(path.exists() for path in left)


def test_ranks_other_than_0_write_nothing(packs: dict[str, Path], tmp_path: Path) -> None:
    """The loop of a rank that does not lead, alone: no file, no lock, no word. Several together are in test_distributed.py."""
    recipe = tiny_runs.recipe("fg", packs["fg"])
    assert recipe.generator is not None
    torch.manual_seed(0)
    setup = make_setup(recipe, networks.build_generator(recipe.generator, recipe.size_px), open_recipe_data(recipe), {})
    loop = TrainingLoop(Run(tmp_path / "nowhere"), recipe, setup, World(0, 1, torch.device("cpu")), tiny_runs.Listener())
    loop.world = loop.writer.world = loop.updates.world = World(1, 1, torch.device("cpu"))
    state = loop.run()
    assert state.counters.iteration == 3
    assert not (tmp_path / "nowhere").exists()


def _artifact(run: Run) -> Path:
    assert run.artifact_file is not None
    return run.artifact_file


def test_recipes_are_kept_whole(fg: Start, packs: dict[str, Path]) -> None:
    recipe: Recipe = tiny_runs.recipe("fg", packs["fg"])
    assert load_recipe(fg().recipe_file) == recipe
