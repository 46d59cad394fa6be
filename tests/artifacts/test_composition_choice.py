"""Of several compositions, the newest whose layers can be moved is meant: in the studio, in a comparison and in a project."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mitlgan.artifacts.composition_choice import choose_composition
from mitlgan.artifacts.known_artifacts import PLAN_FILE, composition_of_project
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.domains import resolve_domains
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import load_recipe, shipped_folder, to_toml
from mitlgan.studio.catalogue import Catalogue
from mitlgan.studio.settings import StudioSettings

SHIPPED = {"movable": "modern-32", "baseline": "thesis-narrow-32"}
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "damaged": lambda whole: b"damaged",
    "short": lambda whole: whole[:-1000],  # the header is whole
    "long": lambda whole: whole + b"0",
}


def fill(root: Path, kinds: tuple[str, ...]) -> list[Path]:
    """Write finished compositions, the oldest first."""
    folders = []
    for number, kind in enumerate(kinds):
        folder = root / "compose" / f"{number}-{kind}"
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text(to_toml(load_recipe("recommended/compose-32")))
        (folder / "status.json").write_text(json.dumps({"state": "done", "command": "compose", "role": "scene"}))
        if kind in DAMAGES:
            whole = shipped_folder("pretrained") / SHIPPED["movable"] / "composer.safetensors"
            (folder / "composer.safetensors").write_bytes(DAMAGES[kind](whole.read_bytes()))
        elif kind != "unfinished":
            shutil.copy(shipped_folder("pretrained") / SHIPPED[kind] / "composer.safetensors", folder)
        for path in (*folder.iterdir(), folder):
            os.utime(path, (1000 + number, 1000 + number))
        folders.append(folder)
    return folders


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        (("movable", "baseline"), 0),  # as after the demo
        (("movable", "movable", "baseline", "baseline"), 1),
        (("baseline", "movable"), 1),
        (("baseline", "unfinished"), 0),
        (("movable", "baseline", "damaged"), 0),
        (("baseline", "damaged"), 0),
        (("movable", "short"), 0),
        (("movable", "long"), 0),
        (("baseline", "short", "long"), 0),
        (("baseline",), 0),
    ],
)
@pytest.mark.parametrize("times", ["alike", "contradicting"])
def test_all_take_the_same_composition(kinds: tuple[str, ...], chosen: int, times: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = fill(tmp_path / "runs", kinds)
    if times == "contradicting":  # as after a copy of the files: the status says when a run was last written
        for number, folder in enumerate(folders):
            for path in (*folder.glob("*.safetensors"), folder):
                os.utime(path, (900 - number, 900 - number))
    expected, damaged = folders[chosen], [folder for folder, kind in reversed([*zip(folders, kinds, strict=True)]) if kind in DAMAGES]
    said: list[str] = []
    (setup,) = resolve_domains(ComparisonPlan(), tmp_path / "runs", said.append)
    assert setup.composed is not None
    assert setup.composed.path == expected
    *warnings, line = said
    assert line == f"composition: {expected}; another: --composed RUN"
    assert [text.startswith(f"warning: {folder / 'composer.safetensors'}: ") for text, folder in zip(warnings, damaged, strict=True)] == [True] * len(
        damaged
    )
    assert all(text.endswith(f"; {expected} is taken in its place") for text in warnings)
    said.clear()
    (trained_here,) = resolve_domains(ComparisonPlan(budgets=(0.1,)), tmp_path / "runs", said.append)
    assert said == [*warnings, line]
    assert set(trained_here.layers) == {"bg", "fg"}
    catalogue = Catalogue(StudioSettings(runs=tmp_path / "runs"))
    assert catalogue.entry(catalogue.refresh()[0].id).path == expected / "composer.safetensors"
    assert [f"{folder / 'composer.safetensors'}: " in text for text, folder in zip(caplog.messages, damaged, strict=True)] == [True] * len(damaged)
    assert all(text.endswith(f"{expected / 'composer.safetensors'} opens") for text in caplog.messages)
    (tmp_path / PLAN_FILE).write_text("{}")
    if damaged:
        with pytest.raises(ArtifactError, match=rf"^{damaged[0]}/composer\.safetensors: .*; {tmp_path} may mean it: .* such as {expected}$"):
            composition_of_project(tmp_path)
    else:
        assert composition_of_project(tmp_path) == expected / "composer.safetensors"


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("named", [False, True])
def test_a_studio_of_many_artifacts_offers_the_first_of_all(limit: int, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = fill(tmp_path / "runs", ("movable", "baseline", "damaged", "baseline", "baseline"))
    generator = shipped_folder("pretrained") / "modern-fg-32" / "generator.safetensors"
    for number in range(4):  # newer than all of these
        (folder := tmp_path / "runs" / "pretrain" / f"{number}-fg").mkdir(parents=True)
        (folder / "recipe.toml").write_text(to_toml(load_recipe("recommended/fg-32")))
        (folder / "status.json").write_text(json.dumps({"state": "done", "command": "pretrain", "role": "fg"}))
        shutil.copy(generator, folder)
        for path in (*folder.iterdir(), folder):
            os.utime(path, (2000 + number, 2000 + number))
    places = (tmp_path / "runs" / "pretrain" / "0-fg" / "generator.safetensors", tmp_path / "runs") if named else ()
    settings = StudioSettings(runs=tmp_path / "runs", artifacts=places)
    all_of_them = [answer.name for answer in Catalogue(settings).refresh()]
    assert {"0-movable", "1-baseline", "3-baseline", "4-baseline", "0-fg", "3-fg"} <= {*all_of_them}
    monkeypatch.setattr("mitlgan.studio.catalogue.MAX_ARTIFACTS", limit)
    catalogue = Catalogue(settings)
    offered = [answer.name for answer in catalogue.refresh()]
    assert offered == all_of_them[:limit]
    assert catalogue.entry(catalogue.refresh()[0].id).path.parent == folders[0]


@pytest.mark.parametrize(
    ("kinds", "is_refused"),
    [
        (("damaged", "movable"), False),  # an older one does not matter
        (("damaged", "movable", "baseline"), False),
        (("damaged", "baseline"), True),  # its layers may be those that can be moved
        (("movable", "damaged"), True),
        (("movable", "damaged", "baseline"), True),
        (("damaged", "damaged"), True),
    ],
)
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html></html>"])
def test_a_project_never_passes_over_a_damaged_composition(kinds: tuple[str, ...], is_refused: bool, content: bytes, tmp_path: Path) -> None:
    folders = fill(tmp_path / "runs", kinds)
    for folder, kind in zip(folders, kinds, strict=True):
        if kind == "damaged":
            (folder / "composer.safetensors").write_bytes(content)
    (tmp_path / PLAN_FILE).write_text("{}")
    if is_refused:
        with pytest.raises(ArtifactError, match=r"-damaged/composer\.safetensors: "):
            load_artifact(tmp_path)
    else:
        assert composition_of_project(tmp_path) == folders[1] / "composer.safetensors"


@pytest.mark.parametrize(
    ("kinds", "note"),
    [
        (("movable", "movable"), ""),
        (("baseline", "baseline"), ""),
        (("movable", "baseline"), "0-movable is taken; 1 newer composition has no layers that can be moved\n"),
        (("movable", "baseline", "baseline"), "0-movable is taken; 2 newer compositions have no layers that can be moved\n"),
    ],
)
def test_a_project_says_which_it_takes_before_newer_ones(kinds: tuple[str, ...], note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "runs", kinds)
    (tmp_path / PLAN_FILE).write_text("{}")
    assert composition_of_project(tmp_path) is not None
    assert capsys.readouterr().err == (f"note: {tmp_path}: {tmp_path}/runs/compose/{note}" if note else "")


def test_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    _, baseline = fill(tmp_path, ("movable", "baseline"))
    said: list[str] = []
    (setup,) = resolve_domains(ComparisonPlan(composed=baseline), tmp_path, said.append)
    assert setup.composed is not None
    assert (setup.composed.path, said) == (baseline, [])


def test_none_can_be_read_or_there_is_none(tmp_path: Path) -> None:
    assert choose_composition([]) is None
    older, newer = (folder / "composer.safetensors" for folder in fill(tmp_path, ("damaged", "damaged")))
    choice = choose_composition([newer, older])
    assert choice is not None
    assert (choice.path, choice.faults, choice.baselines) == (newer, {}, ())
    with pytest.raises(ArtifactError, match=r"composer\.safetensors"):  # says what is wrong with it
        resolve_domains(ComparisonPlan(budgets=(0.1,)), tmp_path)
    with pytest.raises(UsageError, match=r"--composed: no finished composition"):
        resolve_domains(ComparisonPlan(), tmp_path / "absent")
