"""What a recipe or an artifact amounts to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mitlgan import networks
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.artifacts.load_save import load_network
from mitlgan.artifacts.safetensors_io import read_tensors, write_tensors
from mitlgan.artifacts.summary import describe, describe_recipe
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import Recipe, ThesisGeneratorRecipe, display_name, ladder_steps, load_recipe, thesis_generator, with_overrides
from mitlgan.runtime.shipped_files import shipped_recipe_names


def test_a_generator_counted_by_hand(fg_recipe: Recipe) -> None:
    """8 px: dense 3 -> 64 without bias, BatchNorm, upsample, conv 3x3 4 -> 3 without bias, BatchNorm."""
    described = describe_recipe(fg_recipe)
    assert (described["name"], described["kind"], described["size_px"]) == ("tiny-fg", "pretrain", 8)
    trainable = 3 * 64 + 2 * 64 + 3 * 4 * 9 + 2 * 3
    assert described["total"] == {
        "parameters": trainable + 2 * 64 + 2 * 3,  # running means and variances
        "trainable": trainable,
        "multiply_accumulates": 3 * 64 + 8 * 8 * 3 * 4 * 9,
    }
    assert described["networks"]["generator"]["parameters"] == trainable + 134


def test_a_critic_counted_by_hand(fg_recipe: Recipe) -> None:
    """8 px: conv 5x5 3 -> 4 and 4 -> 6 with bias, dense 24 -> 1."""
    critic = describe_recipe(fg_recipe)["networks"]["critic"]
    assert critic["parameters"] == critic["trainable"] == (3 * 4 * 25 + 4) + (4 * 6 * 25 + 6) + 25
    assert critic["multiply_accumulates"] == 4 * 4 * 4 * 3 * 25 + 2 * 2 * 6 * 4 * 25 + 24


LADDERS = [name for name in shipped_recipe_names() if load_recipe(name).grow is not None]


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_is_described_by_the_networks_of_its_last_step(name: str) -> None:
    described, last = describe(name)["networks"], ladder_steps(load_recipe(name))[-1]
    assert last.generator is not None
    built = {"generator": networks.build_generator(last.generator, last.size_px), "critic": networks.build_critic(last.critic, last.size_px)}
    for part, network in built.items():
        account = described[part]
        assert (account["parameters"], account["trainable"]) == networks.count_parameters(network), part
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(1, *network.input_shape))
        assert counter.get_total_flops() == 2 * account["multiply_accumulates"], part


def test_the_ladders_that_ship_are_tested() -> None:
    assert {"classic/progressive-64", "recommended/fg-128-grown"} <= {*LADDERS}
    critics = [describe(name)["networks"]["critic"] for name in ("classic/progressive-64", "recommended/fg-128-grown")]
    assert [(critic["parameters"], critic["multiply_accumulates"]) for critic in critics] == [(271_553, 11_921_408), (1_590_598, 80_224_256)]


def test_the_name_of_a_ladder_has_the_changes_of_all_its_steps() -> None:
    recipe = with_overrides(load_recipe("classic/progressive-64"), critic__widths=[8, 8, 8, 8])
    assert describe_recipe(recipe)["name"] == display_name(recipe) == "progressive-64, changed: critic.widths=[8, 8, 8, 8]"


@pytest.mark.parametrize("name", ["fg_recipe", "compose_recipe"])
def test_rows_add_up(name: str, request: pytest.FixtureRequest) -> None:
    described = describe_recipe(request.getfixturevalue(name))
    for network in described["networks"].values():
        assert sum(row["parameters"] for row in network["rows"]) == network["parameters"]
    parts = [network for part, network in described["networks"].items() if part != "critic"]
    for key in ("parameters", "trainable", "multiply_accumulates"):
        assert sum(part[key] for part in parts) == described["total"][key]


def test_a_composition_is_described_with_its_own_layers(compose_recipe: Recipe) -> None:
    layers = {
        "fg": GeneratorSpec(ThesisGeneratorRecipe(latent_dim=3, widths=(4,)), 8),
        "middle": GeneratorSpec(ThesisGeneratorRecipe(latent_dim=2, widths=(2,)), 8),
        "bg": GeneratorSpec(ThesisGeneratorRecipe(latent_dim=2, widths=(4,)), 8),
    }
    described = describe_recipe(compose_recipe, layers)
    assert [*described["networks"]] == ["layer fg", "layer middle", "layer bg", "fusion", "translator", "critic"]
    assert described["networks"]["fusion"]["parameters"] == 9 * 3 + 3
    assert all(described["networks"][f"layer {name}"]["trainable"] == 0 for name in layers)
    assert described["total"]["trainable"] == described["networks"]["fusion"]["trainable"] + described["networks"]["translator"]["trainable"]


@pytest.mark.parametrize(
    ("composition", "layers"),
    [
        ("thesis/compose", {"fg": "thesis/pretrain_fg", "bg": "thesis/pretrain_bg"}),
        ("thesis/compose-half", {"fg": "thesis/fg-half", "bg": "thesis/bg-half"}),
        ("recommended/compose-64-grown", {"fg": "recommended/fg-64-grown", "bg": "recommended/bg-64-grown"}),
        ("few/compose-32", {"fg": "few/fg-32", "bg": "few/bg-32"}),
    ],
)
def test_layers_that_a_recipe_does_not_name_are_those_that_belong_to_it(composition: str, layers: dict[str, str]) -> None:
    described = describe(composition)
    assert described["layers"] == layers
    for layer, recipe in layers.items():
        own, whole = described["networks"][f"layer {layer}"], describe(recipe)["total"]
        assert (own["parameters"], own["multiply_accumulates"]) == (whole["parameters"], whole["multiply_accumulates"])


def test_layers_for_which_no_recipe_ships_are_like_the_thesis_and_that_is_told(compose_recipe: Recipe) -> None:
    described = describe_recipe(with_overrides(compose_recipe, size_px=24))
    assert set(described["layers"].values()) == {None}
    assert "layers" not in describe("recommended/fg-32")


def test_nothing_is_allocated(compose_recipe: Recipe) -> None:
    """Layers of 34 GB each are described like any others, and no random number is drawn for them."""
    before = torch.get_rng_state()
    layer = GeneratorSpec(ThesisGeneratorRecipe(latent_dim=65536, widths=(8192,)), 8)
    described = describe_recipe(compose_recipe, {"fg": layer, "bg": layer})
    assert described["networks"]["layer fg"]["parameters"] > 65536 * 8192 * 16
    assert torch.equal(torch.get_rng_state(), before)


def test_the_thesis_generator_at_any_size() -> None:
    assert thesis_generator(128) == ThesisGeneratorRecipe()
    assert thesis_generator(8).widths == (96,)
    assert thesis_generator(1024).widths == (96, 48, 24, 12, 6, 3, 1, 1)
    for size_px in (8, 16, 32, 64, 128, 256, 512, 1024):
        with torch.device("meta"):
            assert networks.build_generator(thesis_generator(size_px), size_px).size_px == size_px


@pytest.mark.parametrize("role", ["fg", "bg", "scene"])
def test_an_artifact_is_described_by_file_and_by_run(artifacts: dict[str, Path], role: str) -> None:
    described = describe(str(artifacts[role]))
    assert describe(str(artifacts[role].parent)) == described
    network, card = load_network(artifacts[role])
    assert described["name"] == f"tiny-{role}"
    assert described["kind"] == card.kind
    assert described["total"]["parameters"] == networks.count_parameters(network).parameters
    assert described["card"] == json.loads(card.model_dump_json(exclude_none=True))
    json.dumps(described, allow_nan=False)


def test_a_recipe_of_another_version_in_the_card_is_no_hindrance(artifacts: dict[str, Path], tmp_path: Path) -> None:
    tensors, header = read_tensors(artifacts["fg"])
    path = tmp_path / "generator.safetensors"
    write_tensors(path, tensors, {**header, "recipe": {"name": "from the future", "unknown": {"key": 1}}})
    assert describe(str(path))["name"] == "from the future"
    write_tensors(path, tensors, {**header, "recipe": {}})
    assert describe(str(path))["name"] == "fg"


def test_what_cannot_be_described(artifacts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or shipped recipe"):
        describe("nothing")
    with pytest.raises(ArtifactError, match="no such artifact"):
        describe(str(tmp_path / "absent.safetensors"))
    with pytest.raises(ArtifactError, match="holds no artifact yet"):
        describe(str(tmp_path))
    damaged = tmp_path / "generator.safetensors"
    damaged.write_bytes(artifacts["fg"].read_bytes()[:50])
    with pytest.raises(ArtifactError, match="not a safetensors file of this project"):
        describe(str(damaged))
    tensors, header = read_tensors(artifacts["fg"])
    write_tensors(damaged, tensors, {**header, "size_px": 16})
    with pytest.raises(ArtifactError) as caught:
        describe(str(damaged))
    assert str(caught.value).startswith(f"{damaged}: its card describes a network that cannot be built")


def test_a_run_with_both_is_described_by_its_composer(artifacts: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(artifacts["fg"], tmp_path / "generator.safetensors")
    assert describe(str(tmp_path))["kind"] == "generator"
    shutil.copy(artifacts["scene"], tmp_path / "composer.safetensors")
    assert describe(str(tmp_path))["kind"] == "composer"
