"""A placement measured by the mattes of scenes: found, kept, refused, and left where there is nothing to measure by."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from helpers import tiny_runs
from PIL import Image

from mitlgan.artifacts.load_save import load_layer
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare import fairness
from mitlgan.compare.paste_baseline import PastedLayers
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import DataError, UsageError
from mitlgan.networks import Composer, build_composer
from mitlgan.networks.placement import PlacementPrior
from mitlgan.recipe import Recipe, as_dict, parse_recipe, shipped_folder, with_overrides
from mitlgan.recipe import load_recipe as load_recipe
from mitlgan.stages import placement_fit
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.placement_fit import fit_placement_to_mattes
from mitlgan.stages.pretrain import pretrain


def recipe(**placement: Any) -> Recipe:
    return with_overrides(
        load_recipe(shipped_folder("recipes") / "recommended" / "compose-32.toml"),
        **{f"composer__placement__{key}": value for key, value in placement.items()},
    )


def composer(requested: Recipe, **layers: str) -> Composer:
    """Over shipped generators, by layer name."""
    generators = {
        name: load_layer(shipped_folder("pretrained") / folder / "generator.safetensors", name, 32, None)[0] for name, folder in layers.items()
    }
    assert requested.composer is not None
    return build_composer(requested.composer, generators, 32)


MODERN = {"fg": "modern-fg-32", "bg": "modern-bg-32"}


def bounds(network: Composer) -> tuple[float, float, float]:
    (placement,) = network.fusion.get_submodule("placements").children()
    low, high, margin = cast(PlacementPrior, placement).bounds()
    return math.exp(float(low)), math.exp(float(high)), float(margin)


@pytest.fixture(scope="module")
def scenes() -> ImagePack:
    return open_data("demo", "scene", 32)


def test_the_law_of_the_demo_scenes_is_found(scenes: ImagePack) -> None:
    requested = recipe(mattes="scenes", scale=[0.2, 3.0], margin=0.9)
    network = composer(requested, **MODERN)
    messages: list[str] = []
    fit_placement_to_mattes(requested, network, scenes, messages.append)
    # Objects fill about 0.9 of their frames at most; in scenes their longest sides are 0.45 to 0.85, and a tenth of one may lie outside.
    assert bounds(network) == (pytest.approx(0.5, abs=0.05), pytest.approx(0.96, abs=0.06), pytest.approx(0.15, abs=0.04))
    assert [line.partition(" is placed at ")[0] for line in messages] == ["fg"]
    assert messages[0].endswith("fitted to 3,000 mattes")


def test_scenes_without_mattes_leave_the_bounds_which_is_said(scenes: ImagePack) -> None:
    requested = recipe(mattes="scenes")
    network = composer(requested, **MODERN)
    messages: list[str] = []
    fit_placement_to_mattes(requested, network, open_data("demo", "bg", 32), messages.append)
    assert bounds(network) == (pytest.approx(0.5), pytest.approx(1.0), pytest.approx(0.2))
    assert messages == ["composer.placement.mattes: the scenes have no mattes, so placement stays as in the recipe"]


def test_nothing_is_measured_unless_it_is_asked_for(scenes: ImagePack) -> None:
    network = composer(recipe(), **MODERN)
    fit_placement_to_mattes(recipe(), network, scenes, pytest.fail)
    assert bounds(network) == (pytest.approx(0.5), pytest.approx(1.0), pytest.approx(0.2))


def test_what_cannot_be_measured_is_refused(scenes: ImagePack, tmp_path: Path) -> None:
    requested = recipe(mattes="scenes")
    three = composer(requested, bg="modern-bg-32", far="modern-fg-32", near="modern-fg-32")
    with pytest.raises(UsageError, match=r"^composer\.placement\.mattes: mattes show the placement of one layer, but far and near are movable"):
        fit_placement_to_mattes(requested, three, scenes, pytest.fail)
    for index in range(3):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match="fewer than half of the pictures have a matte"):
        fit_placement_to_mattes(recipe(mattes=str(tmp_path)), composer(requested, **MODERN), scenes, pytest.fail)


def test_mattes_that_show_nothing_are_refused_by_the_key(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("RGB", (40, 40), (index, 0, 0)).save(tmp_path / f"{index}.png")
        Image.new("L", (40, 40)).save(tmp_path / f"{index}.matte.png")
    requested = recipe(mattes=str(tmp_path))
    with pytest.raises(DataError, match=r"^composer\.placement\.mattes: the mattes: fewer than 2 objects"):
        fit_placement_to_mattes(requested, composer(requested, **MODERN), open_data("demo", "scene", 32), pytest.fail)


def test_a_pack_of_many_mattes_is_seen_in_all_its_parts(scenes: ImagePack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_fit, "MAX_MATTES", 700)
    mattes = placement_fit._scene_mattes(scenes)
    every = scenes.mattes(range(len(scenes)))
    assert mattes is not None
    assert every is not None
    assert torch.equal(mattes, every[::5].float() / 255)


def test_a_report_says_what_the_composition_was_told() -> None:
    messages = [
        fairness._inherent_differences(SimpleNamespace(arms=[], pretraining_costs=None, setup=SimpleNamespace(recipe=requested)), "validation")
        for requested in (recipe(mattes="scenes"), recipe())
    ]  # type: ignore[arg-type]
    assert ["mattes" in " ".join(clauses) for clauses in messages] == [True, False]


def test_pictures_that_are_not_there_are_named_by_the_key_that_asked_for_them(scenes: ImagePack, tmp_path: Path) -> None:
    absent = recipe(mattes=str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"^composer\.placement\.mattes: .*absent: no such folder"):
        fit_placement_to_mattes(absent, composer(absent, **MODERN), scenes, pytest.fail)
    with pytest.raises(UsageError, match="mattes"):
        recipe(mattes="")


def test_a_matte_that_has_to_be_learned_is_nothing_to_compare_with(scenes: ImagePack) -> None:
    requested = with_overrides(recipe(mattes="scenes"), composer__fusion={"kind": "matte"})
    with pytest.raises(UsageError, match="fg has no matte"):
        fit_placement_to_mattes(requested, composer(requested, fg="fg-32", bg="bg-32"), scenes, pytest.fail)


def test_a_composition_keeps_what_was_measured_and_pasting_its_layers_does_not(packs: dict[str, Path], environment: RunContext) -> None:
    layers = {role: _trained(role, packs[role], environment) for role in ("fg", "bg")}
    requested = with_overrides(
        tiny_runs.recipe("scene", packs["scene"], compose=True),
        composer={"fusion": {"kind": "alpha", "harmonise": True}, "placement": {"mattes": "scenes", "learn": False}, "translator": {"kind": "none"}},
    )
    run = compose(requested, layers, environment)
    assert run.artifact_file is not None
    again = load_artifact(run.artifact_file)
    assert isinstance(again.network, Composer)
    assert bounds(again.network) != (pytest.approx(0.5), pytest.approx(1.0), pytest.approx(0.2))
    assert "fg is placed at " in tiny_runs.said(environment)
    pasted = PastedLayers(again, 0.1).placement
    assert pasted is not None
    assert [float(bound) for bound in pasted.bounds()] == [pytest.approx(math.log(0.5)), pytest.approx(0), pytest.approx(0.2)]
    transform = again.layers(range(40)).transforms["fg"]
    low, high, _ = bounds(again.network)
    assert torch.all((transform.scale >= low - 1e-5) & (transform.scale <= high + 1e-5))


def _trained(role: str, pack: Path, environment: RunContext) -> Path:
    requested = tiny_runs.recipe(role, pack)
    if role == "fg":
        tree = as_dict(requested)
        tree["generator"]["image_channels"] = tree["critic"]["image_channels"] = 4
        requested = parse_recipe(tree, "tiny")
    run = pretrain(requested, environment)
    assert run.artifact_file is not None
    return run.artifact_file
