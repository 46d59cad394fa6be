"""Artifacts that are found without a path: in projects of `mitlgan make`, and among the shipped ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from helpers.commands import Command

from mitlgan.artifacts.known_artifacts import PLAN_FILE, run_folders, with_shipped
from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
from mitlgan.cli.studio import _folder_of_runs
from mitlgan.errors import ArtifactError
from mitlgan.recipe import shipped_folder


@pytest.fixture
def project(folder: Path, artifacts: dict[str, Path]) -> Path:
    """A project with two compositions, of which the second is newer."""
    for index, name in enumerate(("scene-002", "scene-001")):
        run = folder / "mine" / "runs" / "compose" / name
        run.mkdir(parents=True)
        shutil.copy(artifacts["scene"], run / "composer.safetensors")
        (run / "recipe.toml").touch()
        (run / "status.json").write_text("{}")
        os.utime(run / "status.json", (index, index))
    (folder / "mine" / PLAN_FILE).write_text("{}")
    return Path("mine")


def test_a_project_stands_for_its_newest_composition(project: Path, artifacts: dict[str, Path]) -> None:
    assert artifact_path(project) == project / "runs" / "compose" / "scene-001" / "composer.safetensors"
    assert load_artifact(project).tensors_sha256 == load_artifact(artifacts["scene"]).tensors_sha256


def test_a_project_without_a_composition_says_how_to_go_on(folder: Path) -> None:
    (folder / PLAN_FILE).write_text("{}")
    with pytest.raises(ArtifactError, match=r"has no composition yet; call the `mitlgan make` that began it again"):
        artifact_path(folder)


@pytest.mark.parametrize("command_name", ["resume", "report"])
def test_where_a_run_is_asked_for_a_project_names_its_runs(command: Command, project: Path, command_name: str) -> None:
    done = command(command_name, project)
    assert (done.code, "mine: a project of `mitlgan make`" in done.err, "mitlgan runs ls --out mine/runs" in done.err) == (2, True, True)


def test_a_picture_of_a_project_is_made_again(command: Command, project: Path) -> None:
    assert command("sample", project, "-n", 1, "--seed", 4, "--out", "first").code == 0
    assert command("sample", "--like", "first/000004.png", "--out", "again").code == 0
    assert Path("again/000004.png").read_bytes() == Path("first/000004.png").read_bytes()


def test_runs_of_a_project_are_named_and_served_where_there_are_no_others(command: Command, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "mitlgan runs ls --out mine/runs" in command("runs", "ls").out
    assert _folder_of_runs(Path("runs")) == project / "runs"
    assert "--runs: mine/runs, since runs has no run" in capfd.readouterr().err
    assert _folder_of_runs(Path("elsewhere")) == Path("elsewhere")
    Path("runs/compose/own-001").mkdir(parents=True)
    Path("runs/compose/own-001/recipe.toml").touch()
    assert _folder_of_runs(Path("runs")) == Path("runs")
    assert run_folders() == [Path("runs"), project / "runs"]


def test_shipped_artifacts_have_their_names_in_any_folder(folder: Path) -> None:
    assert artifact_path("pretrained/modern-32") == shipped_folder("pretrained") / "modern-32" / "composer.safetensors"
    for other in ("pretrained/nothing", "pretrained/../modern-32", "modern-32", "pretrained"):
        assert with_shipped(Path(other)) == Path(other)
    (folder / "pretrained" / "modern-32").mkdir(parents=True)
    assert with_shipped(Path("pretrained/modern-32")) == Path("pretrained/modern-32"), "what is here comes first"
