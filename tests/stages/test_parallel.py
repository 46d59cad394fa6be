"""Trainings in parallel processes: failures, locked runs, logs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.errors import MitlganError, ResourceError
from mitlgan.recipe import to_toml, with_overrides
from mitlgan.runtime.files import lock_folder
from mitlgan.stages import parallel
from mitlgan.stages.parallel import TrainingProcess, run_parallel
from mitlgan.stages.pretrain import pretrain


def test_a_failure_is_reported_with_its_last_line_and_exit_code(packs: dict[str, Path], tmp_path: Path) -> None:
    training = TrainingProcess("pretrain fg", tiny_runs.recipe("fg", packs["fg"]), ["pretrain", "fg", "--nope"])
    with pytest.raises(MitlganError, match=r"pretrain fg: --nope: no such option .*\(log: .*pretrain-fg\.log\)") as failed:
        run_parallel(tmp_path, tmp_path / "runs", [training])
    assert failed.value.exit_code == 2
    failures: list[str] = []
    run_parallel(
        tmp_path, tmp_path / "runs", [training], on_failure=lambda failed_training, error: failures.append(f"{failed_training.label} {error.exit_code}")
    )
    assert failures == ["pretrain fg 2"]


def test_a_locked_run_is_reported_and_no_process_starts(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_runs.recipe("fg", packs["fg"])
    run = pretrain(recipe, tiny_runs.run_context(tmp_path / "runs"))
    (run.path / "generator.safetensors").unlink()
    training = TrainingProcess("pretrain fg", recipe, ["pretrain", "fg"])
    message = f"pretrain fg: {run.path} is held by another process, which works on it; wait for that, then call this again"
    monkeypatch.setattr(parallel.subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    with lock_folder(run.path):
        with pytest.raises(ResourceError) as refused:
            run_parallel(tmp_path, tmp_path / "runs", [training])
        assert str(refused.value) == message
        failures: list[str] = []
        run_parallel(tmp_path, tmp_path / "runs", [training], on_failure=lambda _, error: failures.append(str(error)))
        assert failures == [message]


def test_a_run_that_is_resumed_names_the_pictures_of_its_training_in_full(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process knows only the run, whose recipe may name them by a relative path."""
    recipe = tiny_runs.recipe("fg", packs["fg"])
    run = pretrain(recipe, tiny_runs.run_context(tmp_path / "runs"))
    (run.path / "generator.safetensors").unlink()
    run.recipe_file.write_text(to_toml(with_overrides(recipe, data__source=packs["fg"].name)))
    monkeypatch.chdir(packs["fg"].parent)

    def refuse(command: list[str], **_: object) -> None:
        raise ResourceError(" ".join(command))

    monkeypatch.setattr(parallel.subprocess, "Popen", refuse)
    with pytest.raises(ResourceError, match=f"resume {run.path}"):
        run_parallel(tmp_path, tmp_path / "runs", [TrainingProcess("pretrain fg", recipe, ["pretrain", "fg"])])
    assert run.recorded_recipe() == recipe


@pytest.mark.timeout(60)
def test_logs_have_one_writer_and_lead_nowhere(packs: dict[str, Path], tmp_path: Path) -> None:
    training = TrainingProcess("pretrain fg", tiny_runs.recipe("fg", packs["fg"]), ["pretrain", "fg", "--nope"])
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "out" / "logs").mkdir(parents=True)
    log = tmp_path / "out" / "logs" / "pretrain-fg.log"
    log.symlink_to(precious)
    with pytest.raises(MitlganError, match="no such option"):
        run_parallel(tmp_path / "out", tmp_path / "runs", [training])
    assert precious.read_text() == "precious"
    with log.open("a") as before:  # of a process that still writes
        with pytest.raises(MitlganError, match="no such option"):
            run_parallel(tmp_path / "out", tmp_path / "runs", [training])
        before.write("late")
        before.flush()
        assert "late" not in log.read_text()
    with lock_folder(tmp_path / "out" / "logs"), pytest.raises(ResourceError, match=r"logs: another process is working on it"):
        run_parallel(tmp_path / "out", tmp_path / "runs", [training])
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(MitlganError, match="no such option"):
        run_parallel(tmp_path / "out", tmp_path / "runs", [training])
    shutil.rmtree(tmp_path / "out" / "logs")
    (tmp_path / "out" / "logs").symlink_to(tmp_path)
    with pytest.raises(ResourceError, match="logs: is a symbolic link"):
        run_parallel(tmp_path / "out", tmp_path / "runs", [training])


def test_bars_are_closed_whatever_happens(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = tiny_runs.Listener()
    monkeypatch.setattr(parallel, "make_reporter", lambda label: listener)
    with pytest.raises(MitlganError):
        run_parallel(tmp_path, tmp_path / "runs", [TrainingProcess("x", tiny_runs.recipe("fg", packs["fg"]), ["--nope"])])
    assert listener.closed
