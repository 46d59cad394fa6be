"""The layers that each seed trains for itself learn from the pictures that the given ones did, and no other layer takes their place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import images, tiny_runs

from mitlgan.artifacts.card import LayerCard, read_card
from mitlgan.artifacts.known_artifacts import PLAN_FILE
from mitlgan.artifacts.safetensors_io import read_tensors, write_tensors
from mitlgan.compare import equal_budgets
from mitlgan.compare.anchors import _trained_source
from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.layer_chains import chain_of_artifact, run_chains
from mitlgan.compare.layer_pictures import with_pictures_of_layer
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.training_checks import _check_pictures_of_layers
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import is_relative_source, with_overrides
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.run_directory import list_runs

PLAN = {
    "schema_version": 2, "request": {"photographs": "/photographs"}, "listing_sha256": "a" * 64, "count": 12, "family": "few", "size_px": 32,
    "lengths_kimg": {"bg-32": 1.0}, "cuts_sha256": "b" * 64,
}  # fmt: skip
LAYER = Path("runs/pretrain/tiny-bg-001/generator.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a background that learned from pictures named by a relative path, as seen from it."""
    project = tmp_path_factory.mktemp("trained") / "project"
    images.fill(project / "layers" / "bg", 12, size=(8, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        pretrain(tiny_runs.recipe("bg", Path("layers/bg"), updates=1), tiny_runs.run_context(project / "runs"))
    return project


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    """A copy of it; next to it is a folder `other` with other pictures of that name."""
    shutil.copytree(trained, tmp_path / "project")
    images.fill(tmp_path / "other" / "layers" / "bg", 12, size=(8, 8), first=50)
    return tmp_path / "project"


def _edit(path: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change the card of an artifact."""
    tensors, header = read_tensors(path)
    header = json.loads(json.dumps(header))
    edit(header)
    write_tensors(path, tensors, header)
    return path


def _name_in_full(path: Path, source: Path) -> Path:
    def edit(card: dict[str, Any]) -> None:
        card["recipe"]["data"]["source"] = card["data"]["source"] = str(source)

    return _edit(path, edit)


@pytest.mark.parametrize("folder", ["project", "other", "."])
def test_seeds_learn_from_the_pictures_of_the_layer_wherever_they_are_called(
    folder: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / folder)
    chain = chain_of_artifact(project / LAYER, "bg")
    assert chain.recipe.data.source == str(project / "layers" / "bg")
    assert open_recipe_data(chain.recipe).content_sha256 == read_card(project / LAYER).data["content_sha256"]


@pytest.mark.parametrize("is_retaken", [False, True], ids=["nothing", "another project"])
def test_seeds_of_a_moved_project_learn_from_its_pictures(is_retaken: bool, project: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    _name_in_full(project / LAYER, old / "layers" / "bg")
    (project / PLAN_FILE).write_text(json.dumps({**PLAN, "places": [str(old)]}))
    if is_retaken:
        shutil.copytree(tmp_path / "other", old)
    assert chain_of_artifact(project / LAYER, "bg").recipe.data.source == str(project / "layers" / "bg")


def test_pictures_of_an_extracted_layer_are_looked_for_around_the_composition(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "other")
    extracted = Path(shutil.copy(project / LAYER, tmp_path / "generator.safetensors"))
    setup = DomainSetup("", tiny_runs.recipe("scene", tmp_path, compose=True), {"bg": extracted}, {}, origins={"bg": (project / LAYER).parent})
    assert setup.pretrainings_for_seed(9, True)["bg"].recipe.data.source == str(project / "layers" / "bg")


@pytest.mark.parametrize("folder", ["other", "."])
@pytest.mark.parametrize("has_hash", [True, False], ids=["with hash", "without"])
def test_pictures_that_nothing_tells_are_refused_in_one_line(
    folder: str, has_hash: bool, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / folder)
    alone = Path(shutil.copy(project / LAYER, tmp_path / "generator.safetensors"))
    if not has_hash:
        _edit(alone, lambda card: card["data"].clear())
    with pytest.raises(UsageError, match=r"^--pretrain-seeds: bg \(.*\) was trained on layers/bg, .*; call it in the folder .*$"):
        chain_of_artifact(alone, "bg")
    own = read_card(alone)
    assert own.generator is not None
    layer = LayerCard(role="bg", generator=own.generator, sha256_before="", sha256_after="", card={"made_by": own.recipe, "data": own.data})
    with pytest.raises(UsageError):
        _trained_source(layer, alone)
    assert _trained_source(layer, project / LAYER) == str(project / "layers" / "bg") if has_hash else True


def test_pictures_that_changed_in_their_place_are_taken_with_a_warning(project: Path, tmp_path: Path) -> None:
    setup = DomainSetup("", tiny_runs.recipe("scene", tmp_path, compose=True), {"bg": _name_in_full(project / LAYER, project / "layers" / "bg")}, {})
    said: list[str] = []
    _check_pictures_of_layers(setup, said.append)
    assert said == []
    images.fill(project / "layers" / "bg", 3, size=(8, 8), first=70)
    _check_pictures_of_layers(setup, said.append)
    assert [line.startswith(f"warning: {project / 'layers' / 'bg'}: the pictures changed") for line in said] == [True]


@pytest.mark.parametrize(("runs", "is_around"), [
    ("other/runs", True), ("other/out/deep/runs", True), ("other", True), ("other/link", True), ("project/runs", False),
])  # fmt: skip
def test_edited_pictures_of_a_layer_in_no_run_are_those_of_the_working_folder_around_the_runs(
    runs: str, is_around: bool, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "disk").mkdir()
    (tmp_path / "other" / "link").symlink_to(tmp_path / "disk")
    alone = Path(shutil.copy(project / LAYER, tmp_path / "generator.safetensors"))
    setup = DomainSetup("", tiny_runs.recipe("scene", tmp_path, compose=True), {"bg": alone}, {}, root=tmp_path / runs)
    if not is_around:
        with pytest.raises(UsageError, match="was trained on layers/bg, which means other pictures, or none"):
            setup.chains_of_artifacts()
        return
    here = str(tmp_path / "other" / "layers" / "bg")
    assert setup.chains_of_artifacts()["bg"].recipe.data.source == here
    said: list[str] = []
    _check_pictures_of_layers(setup, said.append)
    assert [line.startswith("warning: ") and "the pictures changed" in line for line in said] == [True]
    own = read_card(alone)
    assert own.generator is not None
    layer = LayerCard(role="bg", generator=own.generator, sha256_before="", sha256_after="", card={"made_by": own.recipe, "data": own.data})
    assert _trained_source(layer, alone, setup.root) == here


def test_generators_that_a_layer_grew_from_have_its_pictures_if_they_learned_from_those(tmp_path: Path) -> None:
    layer = tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy", size_px=16))
    small = with_overrides(layer, data__source="p/bg.npy")
    layer = with_overrides(layer, size_px=16, generator__widths=[5, 5], critic__widths=[5, 5])
    reduced = reduced_pack(open_recipe_data(layer), 8)
    for data, is_same in (
        ({"content_sha256": reduced.content_sha256, "count": 12}, True),
        ({"content_sha256": "0" * 64, "count": 12}, False),
        ({}, True),
    ):
        own = with_pictures_of_layer(small, {"data": data}, layer)
        assert (own == with_overrides(small, data__source=layer.data.source)) if is_same else own is None


def test_the_runs_of_a_seed_are_recognised_however_they_record_their_pictures(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    context = tiny_runs.run_context(project / "runs" / "arms")
    chain = chain_of_artifact(project / LAYER, "bg").with_seed("bg", 9)
    with pytest.raises(ArtifactError, match=r"^bg: no finished run of tiny-bg under .*; give the same command again$"):
        chain.artifact(context.root)
    run_chains([chain], context, jobs=1)
    (run,) = list_runs(context.root)
    for source in (project / "layers" / "bg", "layers/bg"):
        run.recipe_file.write_text(run.recipe_file.read_text().replace(str(chain.recipe.data.source), str(source)))
        assert chain.artifact(context.root) == run.artifact_file
    assert is_relative_source(run.recorded_recipe().data.source)


def test_a_layer_that_was_to_be_trained_is_never_replaced_by_the_given_one(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equal_budgets, "run_chains", lambda *_, **__: None)
    setup = DomainSetup("", tiny_runs.recipe("scene", tmp_path, compose=True, seed=9), {"bg": project / LAYER}, {})
    plan, context = ComparisonPlan(seeds=1, pretrain_seeds=True), tiny_runs.run_context(tmp_path / "arms")
    with pytest.raises(ArtifactError, match=r"^pretrain bg seed 9: no finished run of tiny-bg"):
        equal_budgets._train_layers(plan, setup, context)
    assert equal_budgets._train_layers(replace(plan, pretrain_seeds=False), setup, context) == {9: {"bg": project / LAYER}}
