"""A number names the split that it was measured on, and how many pictures, in whatever form it is given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import images
from helpers.commands import Command

EXTRACTOR = ("--extractor", "efficientnet-lite0@32", "--threads", "1")


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Six pictures for training, five for validation, none for testing."""
    images.fill(tmp_path / "set" / "Train", 6)
    images.fill(tmp_path / "set" / "val", 5, first=40)
    return tmp_path / "set"


@pytest.fixture
def artifact(tmp_path: Path, artifacts: dict[str, Path]) -> Path:
    """A background generator of 8 px that may be written into."""
    return Path(shutil.copytree(artifacts["bg"].parent, tmp_path / "artifact")) / "generator.safetensors"


def test_evaluate_says_split_and_counts_in_text_json_and_card(command: Command, divided: Path, artifact: Path) -> None:
    done = command("evaluate", artifact, "--data", divided, "--split", "val", "-n", 12, *EXTRACTOR, "--write-card")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "12 generated and 5 real pictures, split validation; features: efficientnet-lite0@32"
    assert "-n 12: there are 5 real validation pictures, compared with 12 generated ones" in done.err
    assert f"{divided}: validation pictures are val/ (5); left out: Train/ (6, train)" in done.err
    card = json.loads((artifact.parent / "card.json").read_text())["metrics"]
    told = command("evaluate", artifact, "--data", divided, "--split", "validation", "-n", 12, *EXTRACTOR, "--json").json
    for found in (card, told):
        assert {(part["split"], part["generated"], part["real"]) for part in found.values() if isinstance(part, dict) and "real" in part} == {
            ("validation", 12, 5)
        }
        assert found["protocol"]["split"] == "validation"


@pytest.mark.parametrize("name", ["evaluate", "embed-score", "inpaint-score", "study make"])
def test_a_split_that_is_not_there_is_refused(command: Command, divided: Path, artifact: Path, name: str) -> None:
    what = {"inpaint-score": [], "study make": [f"a={artifact}"]}.get(name, [artifact])
    done = command(*name.split(), *what, "--data", divided, "--split", "test", "--json")
    assert (done.code, done.out) == (3, "")
    assert done.err.strip().endswith(f"--split test: {divided} has no test pictures; it has train (6 pictures), validation (5 pictures)")


@pytest.mark.parametrize(("flat", "split", "real"), [(True, "train", 6), (False, "validation", 5)])
def test_what_stands_in_for_a_recipes_split_is_said(
    command: Command, divided: Path, artifacts: dict[str, Path], flat: bool, split: str, real: int
) -> None:
    """A composition's recipe says `test`."""
    place = divided / "Train" if flat else divided
    if flat:
        shutil.rmtree(divided / "val")
    done = command("evaluate", artifacts["scene"], "--data", place, "-n", 12, *EXTRACTOR, "--json")
    assert done.code == 0, done.err
    assert (done.json["frechet"]["split"], done.json["frechet"]["real"]) == (split, real)
    assert f"warning: {place} has no test pictures: its {split} pictures stand in" in done.err


def test_a_recipe_that_measures_on_training_pictures_says_so(command: Command, divided: Path, artifact: Path) -> None:
    """A layer's recipe says `train`; where there are held-out pictures, the way to them is named."""
    options = ["--data", divided, "-n", 12, *EXTRACTOR, "--json"]
    from mitlgan.artifacts.load_save import load_network, save_network

    network, card = load_network(artifact)
    evaluation = {**card.recipe.get("evaluation", {}), "split": "train"}
    save_network(artifact, network, card.model_copy(update={"recipe": {**card.recipe, "evaluation": evaluation}}))
    said = f"{divided}: measured on train pictures, as the recipe says; they flatter a network that learned from them: --split validation"
    done = command("evaluate", artifact, *options)
    assert done.json["frechet"]["split"] == "train"
    assert said in done.err
    assert said not in command("evaluate", artifact, *options, "--split", "train").err


def test_pictures_that_it_was_trained_on_count_as_training_whatever_their_folder_is_called(command: Command, tmp_path: Path, artifact: Path) -> None:
    images.fill(tmp_path / "set" / "train", 6)
    images.fill(tmp_path / "set" / "test", 5, first=40)
    from mitlgan.artifacts.load_save import load_network, save_network
    from mitlgan.data.open import open_data

    network, card = load_network(artifact)
    trained_on = open_data(str(tmp_path / "set" / "test"), "bg", 8).content_sha256
    save_network(artifact, network, card.model_copy(update={"data": {"content_sha256": trained_on}}))
    done = command("evaluate", artifact, "--data", tmp_path / "set", "--split", "test", "-n", 12, *EXTRACTOR, "--json")
    assert done.json["frechet"]["split"] == "train"
    assert "the network was trained on these very pictures" in done.err


def test_separation_names_the_scenes_that_it_is_held_against(command: Command, divided: Path, artifacts: dict[str, Path]) -> None:
    options = ["--data", divided, "-n", 12, *EXTRACTOR, "--separation", "--swaps", 2, "--json"]
    found = command("evaluate", artifacts["scene"], *options).json["separation"]
    assert (found["split"], found["real"], found["generated"]) == ("validation", 5, 4)


def test_a_study_names_its_real_pictures(command: Command, divided: Path, artifact: Path, folder: Path) -> None:
    done = command("study", "make", f"a={artifact}", "--data", divided, "--each", 3, "--json")
    assert done.code == 0, done.err
    assert (done.json["split"], json.loads((folder / "study" / "key.json").read_text())["split"]) == ("validation", "validation")


def test_data_pack_and_a_dry_run_say_which_part_is_taken(command: Command, divided: Path, folder: Path) -> None:
    said = f"{divided}: train pictures are Train/ (6); left out: val/ (5, validation)"
    assert said in command("data", "pack", divided, "--out", "a.npy", "--size", 8).err
    assert said in command("pretrain", "bg", "--data", divided, "--dry-run").err


def test_a_network_that_an_earlier_version_trained_on_held_out_pictures_too_is_told(command: Command, divided: Path, artifact: Path) -> None:
    """Of `Train/` and `val/` it made one set of eleven."""
    from mitlgan.artifacts.load_save import load_network, save_network

    network, card = load_network(artifact)
    save_network(artifact, network, card.model_copy(update={"data": {"source": str(divided), "count": 11, "content_sha256": "0" * 64}}))
    done = command("evaluate", artifact, "--data", divided, "--split", "validation", "-n", 12, *EXTRACTOR, "--json")
    assert done.code == 0, done.err
    assert f"warning: it was trained on 11 pictures, where {divided} has 6 for training" in done.err
