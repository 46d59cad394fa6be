"""`doctor --run`: every kind of damage is named, nothing is written, and what is said to be saved can be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import disk_states, tiny_runs

from mitlgan.artifacts.load_save import load_network
from mitlgan.errors import UsageError
from mitlgan.recipe import with_overrides
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.run_directory import Run
from mitlgan.training.run_verification import require_run, verify_run


@pytest.fixture(scope="module")
def finished(packs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    step = tiny_runs.PER_UPDATE / 1000
    recipe = tiny_runs.recipe("bg", packs["bg"], updates=3, keep_kimg=[step], checkpoint_iterations=1)
    recipe = with_overrides(recipe, evaluation__best_by="fd")
    return pretrain(recipe, tiny_runs.run_context(tmp_path_factory.mktemp("verified")))


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Run:
    """A copy to damage."""
    shutil.copytree(finished.path, tmp_path / "run")
    return Run(tmp_path / "run")


def conditions(run: Run) -> dict[str, str]:
    """The files that are not "ok"."""
    before = disk_states.read_state(run.path)
    result = verify_run(run)
    assert disk_states.read_state(run.path) == before
    return {file.name: file.condition for file in result.files if file.condition != "ok"}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def test_a_run_is_whole(run: Run) -> None:
    result = verify_run(run)
    assert result.is_whole
    assert conditions(run) == {}
    assert {file.name for file in result.files} == {
        str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"
    }
    artifact, training, others = result.usable
    assert artifact == "the artifact generator.safetensors"
    assert training.startswith(f"the training up to iteration 3: `mitlgan resume {run.path}`")
    assert "kept/000000.008/generator.safetensors" in others


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "weights": ("generator.safetensors", flip, "damaged"),
    "a checkpoint": ("checkpoints/000000003.safetensors", flip, "damaged"),
    "a kept artifact": ("kept/000000.008/generator.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-4]), "damaged"),
    "an empty critic": ("critic/critic.safetensors", lambda path: path.write_bytes(b""), "damaged"),
    "a recipe": ("recipe.toml", lambda path: path.write_text("name = 3"), "damaged"),
    "a status": ("status.json", lambda path: path.write_text('{"state": '), "damaged"),
    "a snapshot": ("snapshots/000000.png", lambda path: path.write_bytes(path.read_bytes()[:100]), "damaged"),
    "a torn log": ("stats.jsonl", lambda path: path.write_bytes(path.read_bytes()[:-5]), "torn"),
    "a log": ("stats.jsonl", lambda path: path.write_bytes(b"\xff\n" + path.read_bytes()), "damaged"),
    "a left-over": ("snapshots/.x.png.tmp", lambda path: path.write_bytes(b"half"), "left over"),
    "a pipe": ("losses.svg", os.mkfifo, "foreign"),
    "a link": ("report.html", lambda path: path.symlink_to("/etc/passwd"), "foreign"),
    "a linked folder": ("more", lambda path: path.symlink_to("/etc"), "foreign"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", DAMAGE)
def test_each_kind_of_damage_is_named(run: Run, kind: str) -> None:
    name, damage, condition = DAMAGE[kind]
    damage(run.path / name)
    assert conditions(run) == {name: condition}
    assert verify_run(run).is_whole == (condition in ("torn", "left over"))


def test_a_card_of_another_artifact_is_named(run: Run) -> None:
    shutil.copyfile(run.path / "kept" / "000000.008" / "card.json", run.path / "card.json")
    assert conditions(run) == {"generator.safetensors": "damaged"}
    (run.path / "card.json").unlink()
    assert conditions(run) == {"generator.safetensors": "damaged"}


def test_what_can_be_saved_can_be(run: Run, tmp_path: Path) -> None:
    for name in ("generator.safetensors", "checkpoints/000000003.safetensors"):
        flip(run.path / name)
    training, others = verify_run(run).usable
    assert training.startswith("the training up to iteration 2: ")
    assert others == "artifacts on the way: best/generator.safetensors, critic/critic.safetensors, kept/000000.008/generator.safetensors"
    load_network(run.path / "best" / "generator.safetensors")
    resume(run.path, tiny_runs.run_context(tmp_path))
    assert verify_run(run).is_whole
    for path in (*run.path.rglob("*.safetensors"),):
        flip(path)
    assert verify_run(run).usable == []


def test_a_run_without_a_recipe_is_examined_and_nothing_else_is(run: Run, tmp_path: Path) -> None:
    run.recipe_file.unlink()
    assert any("once recipe.toml is put back" in sentence for sentence in verify_run(require_run(run.path)).usable)
    with pytest.raises(UsageError, match=r"^--run .*: not a run directory"):
        require_run(tmp_path)
