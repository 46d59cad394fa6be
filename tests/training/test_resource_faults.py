"""Full and read-only disks, locked runs and full memory leave the last checkpoint intact."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.errors import ArtifactError, DataError, MitlganError, ResourceError, UsageError
from mitlgan.runtime.files import lock_folder
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import loop as train
from mitlgan.training.checkpoint import list_checkpoints, load_checkpoint
from mitlgan.training.loop import TrainingLoop

UPDATES = 6


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
    straight = pretrain(recipe, tiny_runs.run_context(tmp_path / "straight"))
    with monkeypatch.context() as patch:
        patch.setattr("mitlgan.training.schedule.EARLY_SHARES", ())  # else an early snapshot is written first
        tiny_runs.before_step(patch, fill(small_disk), at=0)
        with pytest.raises(ResourceError, match="no space left on the disk") as full:
            pretrain(recipe, tiny_runs.run_context(small_disk / "runs"))
    assert what in str(full.value)
    assert full.value.exit_code == 5
    run = tiny_runs.only_run(small_disk / "runs")
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000000"]
    assert load_checkpoint(run.path) is not None
    assert not list(run.path.rglob("*.tmp"))
    assert run.artifact_file is None
    (small_disk / "filler").unlink()
    tiny_runs.assert_same_trace(resume(run.path, tiny_runs.run_context(tmp_path)), straight)


@pytest.mark.parametrize("error", [DataError, ArtifactError, UsageError, ResourceError])
def test_whatever_fails_the_run_says_so(
    error: type[MitlganError], pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error("pictures: gone")

    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, fail, at=1)
        with pytest.raises(error, match="pictures: gone"):
            pretrain_fg(updates=2)
    assert tiny_runs.only_run(environment.root).read_state() == "failed"


@pytest.mark.parametrize("what", ["checkpoints", "snapshots"])
def test_a_full_disk_without_a_disk(what: str, pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
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
            pretrain_fg(updates=2)
    run = tiny_runs.only_run(environment.root)
    assert run.read_status()["state"] == "failed"
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000000"]
    assert not list(run.path.rglob("*.tmp"))


def test_a_place_that_cannot_be_written_is_refused_before_the_first_step(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(ResourceError, match=r"file.*choose another folder with --out") as refused:
            pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.run_context(place))
        assert refused.value.exit_code == 5


def test_a_read_only_run_is_refused(small_disk: Path, packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.run_context(small_disk / "runs"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))
    with pytest.raises(ResourceError, match="cannot be written"):
        resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=1.0)
    with pytest.raises(ResourceError, match="cannot be written"):
        pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.run_context(small_disk / "runs"))


def test_a_run_takes_one_process_at_a_time(pretrain_fg: tiny_runs.StartRun, environment: RunContext) -> None:
    run = pretrain_fg()
    with lock_folder(run.path), pytest.raises(ResourceError, match="another process is working on it"):
        resume(run.path, environment)
    resume(run.path, environment)


def test_a_run_is_held_while_it_trains(pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def second(loop: TrainingLoop) -> None:
        with pytest.raises(ResourceError, match="another process is working on it"):
            resume(loop.run_directory.path, environment)

    tiny_runs.before_step(monkeypatch, second, at=1)
    assert pretrain_fg().read_status()["state"] == "done"


@pytest.mark.parametrize("where", ["step", "start"])
def test_out_of_memory_names_batch_and_size(
    where: str, pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: Any) -> None:
        torch.empty(1 << 60)  # torch's own refusal, of its own kind and words

    if where == "step":
        tiny_runs.before_step(monkeypatch, greedy, at=1)
    else:
        monkeypatch.setattr(train, "TrainingState", greedy)
    with pytest.raises(ResourceError, match=r"training\.batch: out of memory with 4 images of 8 px; try half: --set training\.batch=2") as refused:
        pretrain_fg()
    assert refused.value.exit_code == 5
    if where == "step":
        run = tiny_runs.only_run(environment.root)
        assert run.read_status()["state"] == "failed"
        assert load_checkpoint(run.path) is not None


def test_other_errors_of_torch_stay_bugs(pretrain_fg: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_runs.before_step(monkeypatch, lambda _: torch.zeros(2) @ torch.zeros(3), at=1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="size"):
        pretrain_fg()
