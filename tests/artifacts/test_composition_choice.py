"""Of several compositions, the newest whose layers can be moved is meant: in the studio, in a comparison and in a project."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from mitlgan.artifacts.composition_choice import choose_composition
from mitlgan.artifacts.known_artifacts import PLAN_FILE, composition_of_project
from mitlgan.compare.domains import resolve_domains
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import load_recipe, shipped_folder, to_toml
from mitlgan.studio.catalogue import Catalogue
from mitlgan.studio.settings import StudioSettings

SHIPPED = {"movable": "modern-32", "baseline": "thesis-narrow-32"}


def fill(root: Path, kinds: tuple[str, ...]) -> list[Path]:
    """Write finished compositions, the oldest first."""
    folders = []
    for number, kind in enumerate(kinds):
        folder = root / "compose" / f"{number}-{kind}"
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text(to_toml(load_recipe("recommended/compose-32")))
        (folder / "status.json").write_text(json.dumps({"state": "done", "command": "compose", "role": "scene"}))
        if kind == "damaged":
            (folder / "composer.safetensors").write_bytes(b"damaged")
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
        (("baseline",), 0),
    ],
)
def test_all_take_the_same_composition(kinds: tuple[str, ...], chosen: int, tmp_path: Path) -> None:
    folders = fill(tmp_path / "runs", kinds)
    expected = folders[chosen]
    said: list[str] = []
    (setup,) = resolve_domains(ComparisonPlan(), tmp_path / "runs", said.append)
    assert setup.composed is not None
    assert setup.composed.path == expected
    assert said == [f"composition: {expected}; another: --composed RUN"]
    (trained_here,) = resolve_domains(ComparisonPlan(budgets=(0.1,)), tmp_path / "runs", said.append)
    assert said[1] == said[0]
    assert set(trained_here.layers) == {"bg", "fg"}
    catalogue = Catalogue(StudioSettings(runs=tmp_path / "runs"))
    assert catalogue.entry(catalogue.refresh()[0].id).path == expected / "composer.safetensors"
    (tmp_path / PLAN_FILE).write_text("{}")
    assert composition_of_project(tmp_path) == expected / "composer.safetensors"


def test_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    _, baseline = fill(tmp_path, ("movable", "baseline"))
    said: list[str] = []
    (setup,) = resolve_domains(ComparisonPlan(composed=baseline), tmp_path, said.append)
    assert setup.composed is not None
    assert (setup.composed.path, said) == (baseline, [f"composition: {baseline}"])


def test_none_can_be_read_or_there_is_none(tmp_path: Path) -> None:
    assert choose_composition([]) is None
    older, newer = (folder / "composer.safetensors" for folder in fill(tmp_path, ("damaged", "damaged")))
    assert choose_composition([newer, older]) == newer
    with pytest.raises(ArtifactError, match=r"composer\.safetensors"):  # says what is wrong with it
        resolve_domains(ComparisonPlan(budgets=(0.1,)), tmp_path)
    with pytest.raises(UsageError, match=r"--composed: no finished composition"):
        resolve_domains(ComparisonPlan(), tmp_path / "absent")
