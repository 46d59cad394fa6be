"""What a wheel holds, seen from an empty folder: recipes, shipped artifacts and demo pictures, found as in a checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mitlgan import recipe

ROOT = Path(__file__).resolve().parent.parent
LARGEST_WHEEL_BYTES = 60_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return target


def _run(installed: Path, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_light(wheel: Path) -> None:
    assert wheel.stat().st_size <= LARGEST_WHEEL_BYTES


def test_recipes_and_artifacts_come_from_the_installed_package(installed: Path, tmp_path: Path) -> None:
    facts = "[str(recipe.shipped_folder('recipes')), str(recipe.shipped_folder('pretrained')), recipe.shipped_recipe_names()]"
    code = f"import json; from mitlgan import recipe; print(json.dumps({facts}))"
    recipes, pretrained, names = json.loads(_run(installed, tmp_path, "-c", code))
    assert Path(recipes) == installed / "mitlgan" / "recipes"
    assert Path(pretrained) == installed / "mitlgan" / "pretrained"
    assert names == recipe.shipped_recipe_names(), "the same recipes as in the checkout"
    shipped, here = ({card.parent.name for card in folder.glob("*/card.json")} for folder in (Path(pretrained), ROOT / "pretrained"))
    assert shipped == here, "and the same artifacts"


def test_a_checkout_is_found_without_copying() -> None:
    assert recipe.shipped_folder("recipes") == ROOT / "recipes"


@pytest.mark.slow
def test_the_wheel_trains_and_samples_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    settings = [argument for setting in ("training.kimg=0.1", "training.batch=8") for argument in ("--set", setting)]
    printed = json.loads(_run(installed, tmp_path, "-m", "mitlgan", "pretrain", "fg", *settings, "--threads", "1", "--json"))
    assert printed["state"] == "done"
    assert (tmp_path / printed["artifact"]).is_file()
    _run(installed, tmp_path, "-m", "mitlgan", "sample", printed["run"], "-n", "2", "--out", "pictures")
    assert [file.name for file in sorted((tmp_path / "pictures").iterdir())] == ["000000.png", "000001.png"]
