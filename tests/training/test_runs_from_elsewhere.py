"""Runs that somebody else made: no link in them is followed, neither read nor written through, and no pipe in them is waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.cli import runs
from mitlgan.errors import ArtifactError, ResourceError, UsageError
from mitlgan.recipe import with_overrides
from mitlgan.report.run_files import write_run_files
from mitlgan.report.run_report import write_run_report
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run
from mitlgan.training.tensorboard import FOLDER, TensorBoardLogger

PRECIOUS = "precious\n"
FOLDERS = ("checkpoints", "snapshots", "kept", "best")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, packs: dict[str, Path]) -> Run:
    """A finished run that has every file that a run can have."""
    recipe = with_overrides(tiny_runs.recipe("bg", packs["bg"], updates=2, keep_kimg=[0.008]), evaluation__best_by="fd", evaluation__split="train")
    run = pretrain(recipe, tiny_runs.run_context(tmp_path_factory.mktemp("whole")))
    write_run_report(run.path)
    write_run_files(run)
    return run


def names(run: Run) -> list[str]:
    """Every file and folder."""
    return sorted(path.relative_to(run.path).as_posix() for path in run.path.rglob("*"))


def test_every_file_of_a_run_is_tried(whole: Run) -> None:
    held = names(whole)
    for name in ("stats.jsonl", "timing.jsonl", "status.json", "recipe.toml", "inputs.json", "card.json", "evaluations.jsonl", ".lock", *FOLDERS):
        assert name in held
    for name in ("checkpoints/000000002.safetensors", "generator.safetensors", "report.html", "report.json", "losses.svg", "best/card.json"):
        assert name in held


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A file and a folder of somebody's, which must stay as they are."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("precious", ".a.1.tmp", "000000000.safetensors", "000001.png"):
        (folder / name).write_text(PRECIOUS)
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("precious", ".a.1.tmp", "000000000.safetensors", "000001.png"), PRECIOUS
    )


def copy(whole: Run, place: Path) -> Run:
    shutil.copytree(whole.path, place)
    return Run(place)


def replaced(path: Path, kind: str, precious: Path) -> None:
    """Put something else in the place of a file or folder."""
    folder = path.is_dir()
    shutil.rmtree(path) if folder else path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(precious if folder else precious / "precious")


REFUSED = ("recipe.toml", "stats.jsonl", "timing.jsonl", "evaluations.jsonl", ".lock", *FOLDERS)
"""What training that goes on reads, or writes in place."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", REFUSED)
def test_training_does_not_go_on_through_a_link_or_a_pipe(whole: Run, tmp_path: Path, precious: Path, name: str, kind: str) -> None:
    run = copy(whole, tmp_path / "runs" / "pretrain" / "bg-001")
    replaced(run.path / name, kind, precious)
    (listed,) = run_directory.list_all(tmp_path / "runs")
    assert runs._run_row(listed)["state"] == "done"
    assert find_matching_run(tmp_path / "runs", tiny_runs.recipe("bg", Path("x"))) is None
    with pytest.raises((UsageError, ResourceError)) as caught:
        resume(run.path, tiny_runs.run_context(tmp_path / "runs"), more_kimg=0.008)
    if (name, kind) == ("recipe.toml", "pipe"):
        assert str(caught.value).startswith(f"{run.path}: not a run directory")
    else:
        assert str(caught.value).startswith(f"{run.path / name}: ")
        what = "is a symbolic link" if kind == "link" else f"is not a {'folder' if name in FOLDERS else 'regular file'}"
        assert f"{what}, but a run's files must be its own; replace it by a copy, or remove it" in str(caught.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_only_written_is_replaced(whole: Run, tmp_path: Path, precious: Path, kind: str) -> None:
    run = copy(whole, tmp_path / "runs" / "pretrain" / "bg-001")
    written = [name for name in names(whole) if name not in (*REFUSED, "checkpoints/000000002.safetensors") and (whole.path / name).is_file()]
    for name in written:
        replaced(run.path / name, kind, precious)
    row = runs._run_row(run)
    assert (row["state"], row["artifact"], row["report"]) == ("empty", None, None)
    resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=0.008)
    assert run.read_state() == "done"
    for name in ("status.json", "generator.safetensors", "card.json"):
        assert name in written
        assert (run.path / name).is_file()
        assert not (run.path / name).is_symlink()


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", ["stats.jsonl", "evaluations.jsonl", "timing.jsonl", "metrics.json"])
@pytest.mark.timeout(60)
def test_a_report_says_what_it_cannot_take(whole: Run, tmp_path: Path, precious: Path, name: str, kind: str) -> None:
    run = copy(whole, tmp_path / "run")
    (run.path / name).touch()
    replaced(run.path / name, kind, precious)
    with pytest.raises(ResourceError, match=rf"^{run.path / name}: is .*, but a run's files must be its own; "):
        write_run_report(run.path)


def test_a_checkpoint_that_is_a_link_gives_way_to_the_one_before(whole: Run, tmp_path: Path, precious: Path) -> None:
    run = copy(whole, tmp_path / "runs" / "bg-001")
    newest = run.path / "checkpoints" / "000000002.safetensors"
    newest.rename(tmp_path / "elsewhere.safetensors")
    newest.symlink_to(tmp_path / "elsewhere.safetensors")  # whole, but not the run's own
    environment = tiny_runs.run_context(tmp_path)
    resume(run.path, environment)
    assert "iteration" in tiny_runs.said(environment)
    assert f"{newest}: is a symbolic link" in tiny_runs.said(environment)
    tiny_runs.assert_same_trace(run, whole)
    for path in (run.path / "checkpoints").iterdir():
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(ArtifactError, match="is a symbolic link"):
        resume(run.path, tiny_runs.run_context(tmp_path))


def test_lines_for_tensorboard_stay_in_the_run(tmp_path: Path, precious: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FOLDER).symlink_to(precious)
    with pytest.raises(ResourceError, match=f"^{tmp_path}/run/{FOLDER}: is a symbolic link"):
        TensorBoardLogger().log(tmp_path / "run", {"iteration": 1, "x": 1.0})


def test_a_folder_of_runs_may_lie_on_another_disk(whole: Run, tmp_path: Path) -> None:
    copy(whole, tmp_path / "disk" / "pretrain" / "bg-001")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    run = Run(tmp_path / "runs" / "pretrain" / "bg-001")
    assert run_directory.list_runs(tmp_path / "runs") == [run]
    resume(run.path, tiny_runs.run_context(tmp_path / "runs"), more_kimg=0.008)
    assert (run.read_state(), len(list(read_jsonl(run.stats_file)))) == ("done", 3)
    (tmp_path / "linked").symlink_to(run.path)  # as may the run itself, where its user names it so
    assert len(list(read_jsonl(run_directory.open_run(tmp_path / "linked").stats_file))) == 3
    write_run_report(tmp_path / "linked")
    assert json.loads((run.path / "report.json").read_text())
