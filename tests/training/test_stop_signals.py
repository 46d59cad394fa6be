"""Signals stop a training after the current iteration and save it; a second interrupt stops it at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.errors import Stopped
from mitlgan.recipe import load_recipe
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.checkpoint import list_checkpoints

UPDATES = 6


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(
    pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    tiny_runs.before_step(monkeypatch, tiny_runs.send(number), at=1)
    with pytest.raises(Stopped, match=r"stopped at 0\.016 kimg and saved; continue with `mitlgan resume ") as stopped:
        pretrain_fg(updates=UPDATES)
    assert stopped.value.exit_code == code
    run = tiny_runs.only_run(environment.root)
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000000", "000000002"]
    assert run.read_status()["state"] == "stopped"
    assert run.artifact_file is None
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_second_interrupt_stops_at_once_with_the_old_checkpoint_intact(
    start_run: tiny_runs.StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = start_run("straight", updates=UPDATES)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGINT, times=2), at=3)
        with pytest.raises(KeyboardInterrupt):
            start_run("stopped", updates=UPDATES, checkpoint_kimg=2 * tiny_runs.PER_UPDATE / 1000)
    run = tiny_runs.only_run(tmp_path / "stopped")
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000000", "000000002"]
    resumed = resume(run.path, tiny_runs.run_context(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)


def test_a_second_interrupt_while_a_checkpoint_is_written_leaves_the_old_one(
    pretrain_fg: tiny_runs.StartRun, environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
            pretrain_fg(updates=2)
    run = tiny_runs.only_run(environment.root)
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000000"]
    assert not list(run.path.rglob("*.tmp"))
    tiny_runs.assert_same_trace(resume(run.path, environment), pretrain(load_recipe(run.recipe_file), tiny_runs.run_context(tmp_path / "straight")))
