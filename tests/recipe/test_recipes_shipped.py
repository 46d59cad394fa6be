"""Every shipped recipe: loads, survives being written, and its networks can be built."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch

from mitlgan import networks
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.artifacts.summary import assumed_layers, describe, describe_recipe
from mitlgan.networks.feature_networks import mobilenet_v2
from mitlgan.recipe import (
    ComposerRecipe,
    Recipe,
    ThesisGeneratorRecipe,
    as_dict,
    diff_recipes,
    find_recipe,
    ladder_steps,
    load_recipe,
    parse_recipe,
    shipped_folder,
    shipped_recipe_names,
    thesis_generator,
    to_toml,
)
from mitlgan.recipe.schema.generators import SharpenedGeneratorRecipe

THESIS_32 = ("compose", "pretrain_bg", "pretrain_fg", "wgan")
RECOMMENDED = (
    *(f"{part}-{size}" for part in ("bg", "compose", "fg", "wgan") for size in (32, 64, 128)),
    "bg-128-grown",
    "bg-64-grown",
    "compose-dense-32",
    "fg-128-grown",
    "fg-32-projected",
    "fg-32-wide",
    "fg-64-grown",
    "fg-64-sharp",
    "fg-128-sharp",
    "scene-32",
    "three-32",
    "wgan-64-grown",
)
FEW = tuple(f"{part}-{size}" for part in ("bg", "compose", "fg") for size in (32, 64))
FEW_SHARP = ("bg-64-sharp", "fg-64-sharp")
ALTERNATIVES = ("resnet", "densenet", "unet", "light", "none", "add")
THESIS_HALF = ("bg-half", "compose-half", "fg-half")
THESIS = (*THESIS_HALF, "compose", *(f"compose-{name}" for name in ALTERNATIVES), "pretrain_bg", "pretrain_fg", "thesis-narrow", "wgan")


def test_what_is_shipped() -> None:
    expected = {f"recommended/{name}" for name in RECOMMENDED} | {f"few/{name}" for name in (*FEW, *FEW_SHARP)}
    assert expected | {f"thesis-32/{name}" for name in THESIS_32} | {f"thesis/{name}" for name in THESIS} <= set(shipped_recipe_names())
    assert shipped_recipe_names() == sorted(set(shipped_recipe_names()))
    result = list(shipped_folder("recipes").rglob("*.*"))
    assert {path.suffix for path in result if path.parent.name not in ("results", "docs", "cluster")} - {".gitkeep", ""} == {".toml", ".ipynb"}
    assert {path.suffix for path in result if path.parent.name == "results"} == {".md", ".html", ".json", ".png"}, "rankings"


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_loads_by_name_and_by_file(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # a shipped recipe is found from anywhere
    recipe = load_recipe(name)
    for other in (f"{name}.toml", f"recipes/{name}.toml", str(find_recipe(name))):
        assert load_recipe(other) == recipe


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_plain_dump_and_parse_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert parse_recipe(as_dict(recipe)) == recipe
    (tmp_path / "again.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "again.toml") == recipe
    assert Recipe.model_validate(recipe.model_dump()) == recipe


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_its_networks_fit_together(name: str) -> None:
    recipe = ladder_steps(load_recipe(name))[-1]
    if recipe.critic.kind == "projected" and mobilenet_v2.mobilenet_weights() is None:
        pytest.skip(mobilenet_v2.INSTALL)
    with torch.device("meta"):
        if recipe.generator is not None:
            generator: torch.nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
        elif recipe.inpainter is not None:
            generator = networks.build_inpainter(recipe.inpainter, recipe.size_px)
        else:
            assert recipe.composer is not None
            layers = {layer: one.spec.build() for layer, one in assumed_layers(recipe, name).items()}
            composer = networks.build_composer(recipe.composer, layers, recipe.size_px)
            generator = composer
        images = generator.eval()(torch.empty(2, *generator.input_shape))
        assert images.shape == (2, recipe.critic.image_channels, recipe.size_px, recipe.size_px)
        assert networks.build_critic(recipe.critic, recipe.size_px)(images).shape == (2,)
    described = describe_recipe(recipe, name=name)
    assert described["total"]["parameters"] == networks.count_parameters(generator).parameters


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_it_says_what_it_is(name: str) -> None:
    """Name, schema and data are written down, not left to defaults, and the file explains itself."""
    text = find_recipe(name).read_text()
    written = tomllib.loads(text)
    assert text.startswith("# ")
    assert {"schema_version", "name", "command", "role", "size_px", "data", "critic", "objective", "training", "evaluation"} <= written.keys()
    assert written["name"] == load_recipe(name).name


@pytest.mark.parametrize("folder", ["thesis-32", "thesis"])
def test_a_family_shares_its_size_data_and_evaluation(folder: str) -> None:
    family = {name: load_recipe(f"{folder}/{name}") for name in ("compose", "pretrain_bg", "pretrain_fg", "wgan")}
    assert {role: family[name].role for name, role in (("pretrain_fg", "fg"), ("pretrain_bg", "bg"))} == {"fg": "fg", "bg": "bg"}
    assert family["compose"].role == family["wgan"].role == "scene"
    assert len({recipe.size_px for recipe in family.values()}) == 1
    assert len({recipe.data.resize for recipe in family.values()}) == 1
    assert len({recipe.evaluation.extractor for recipe in family.values()}) == 1
    assert len({recipe.name for recipe in family.values()}) == 4
    compose, wgan = family["compose"], family["wgan"]
    for key in ("critic", "objective", "generator_optimiser", "critic_optimiser", "training", "evaluation", "data"):
        assert getattr(compose, key) == getattr(wgan, key), f"both arms of a comparison have the same [{key}]"


def test_thesis_counts() -> None:
    """Tables 7.1, 7.2 and 7.3 as printed, BatchNorm's statistics counted."""
    for name in ("thesis/pretrain_fg", "thesis/pretrain_bg", "thesis/wgan"):
        described = describe(name)
        assert (described["total"]["parameters"], described["total"]["trainable"]) == (2_421_054, 2_417_796)
        assert described["networks"]["critic"]["parameters"] == described["networks"]["critic"]["trainable"] == 2_448_097
    composed = describe("thesis/compose")
    assert (composed["total"]["parameters"], composed["total"]["trainable"]) == (23_304_090, 18_461_982)
    assert composed["networks"]["critic"]["parameters"] == 2_448_097
    for layer in ("layer fg", "layer bg"):
        assert (composed["networks"][layer]["parameters"], composed["networks"][layer]["trainable"]) == (2_421_054, 0)


def test_the_thesis_is_exactly_the_thesis() -> None:
    """What the recipe classes default to, with its framework's initial weights and normalization, and what is printed: batch 32, five critic steps."""
    keras = {"init": "glorot", "norm_momentum": 0.01, "norm_eps": 1e-3}
    for name in ("pretrain_fg", "pretrain_bg", "wgan", "compose"):
        recipe = load_recipe(f"thesis/{name}")
        assert recipe.size_px == 128
        assert recipe.critic == Recipe.model_fields["critic"].default.model_copy(update={"init": "glorot"})
        assert (recipe.objective.kind, recipe.objective.critic_steps, recipe.training.batch) == ("wgan_gp", 5, 32)
        if recipe.generator is not None:
            assert recipe.generator == thesis_generator(128).model_copy(update=keras)
        else:
            assert recipe.composer == parse_composer({"fusion": {"init": "glorot"}, "translator": {"init": "glorot", "norm_eps": 1e-3}})


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_an_alternative_of_the_thesis_is_one_setting(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its chapter 8 and sections 3.1 and 5.1; what the former kind had and the new one has not is named, not silently lost."""
    changed = load_recipe("thesis/compose", [f"composer.{'fusion' if name == 'add' else 'translator'}.kind={name}"])
    shipped = load_recipe(f"thesis/compose-{name}")
    assert set(diff_recipes(changed, shipped)) == {"name"}
    assert (shipped.name, changed.composer is not None) == (f"thesis-compose-{name}", True)


def parse_composer(tables: dict[str, object]) -> ComposerRecipe:
    return ComposerRecipe.model_validate_json(json.dumps(tables))


def test_thesis_narrow_is_the_thesis_divided_by_four_and_says_so() -> None:
    narrow, whole = load_recipe("thesis/thesis-narrow"), load_recipe("thesis/compose")
    assert narrow.composer is not None
    assert whole.composer is not None
    assert [4 * width for width in narrow.composer.translator.widths] == [*whole.composer.translator.widths]
    assert narrow.composer.translator.blocks == whole.composer.translator.blocks
    assert [4 * width for width in narrow.critic.widths] == [*whole.critic.widths]
    assert narrow.objective == whole.objective
    assert narrow.generator_optimiser == whole.generator_optimiser
    assert "narrow" in narrow.name
    assert narrow.size_px < 128
    demo = load_recipe("thesis-32/compose")
    assert narrow.composer == parse_composer({"fusion": {"init": "glorot"}, "translator": {"widths": [16, 32, 64], "init": "glorot", "norm_eps": 1e-3}})
    assert demo.composer == parse_composer({"translator": {"widths": [16, 32, 64]}})  # torch's defaults, as its shipped artifacts were trained
    assert "narrow" in demo.name


@pytest.mark.parametrize(("half", "whole"), [("compose-half", "compose"), ("fg-half", "pretrain_fg"), ("bg-half", "pretrain_bg")])
def test_thesis_half_is_the_thesis_divided_by_two_and_differs_in_nothing_else(half: str, whole: str) -> None:
    ours, theirs = load_recipe(f"thesis/{half}"), load_recipe(f"thesis/{whole}")
    assert (2 * ours.size_px, [2 * width for width in ours.critic.widths]) == (theirs.size_px, [*theirs.critic.widths])
    changes = {"name", "size_px", "critic.widths", "evaluation.extractor"}
    if ours.composer is not None and theirs.composer is not None:
        assert [2 * width for width in ours.composer.translator.widths] == [*theirs.composer.translator.widths]
        changes |= {"composer.translator.widths"}
    else:
        assert isinstance(ours.generator, ThesisGeneratorRecipe)
        assert isinstance(theirs.generator, ThesisGeneratorRecipe)
        assert 2 * ours.generator.latent_dim == theirs.generator.latent_dim
        assert [2 * width for width in ours.generator.widths] == [*theirs.generator.widths][:-1], "one doubling fewer: 64 px"
        changes |= {"generator.latent_dim", "generator.widths"}
    assert set(diff_recipes(ours, theirs)) == changes


@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_the_recommended_composer_is_small(size_px: int) -> None:
    """At most 0.5 M trained parameters, and at most a tenth of the thesis composer's multiply-accumulates per image beside the layers' own."""
    described = describe(f"recommended/compose-{size_px}")["networks"]
    assert sum(described[part]["trainable"] for part in ("fusion", "translator")) <= 500_000
    if size_px == 128:
        thesis = describe("thesis/compose")["total"]["multiply_accumulates"]
        assert describe("recommended/compose-128")["total"]["multiply_accumulates"] * 10 <= thesis


@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_the_recommended_foregrounds_suit_the_recommended_composition(size_px: int) -> None:
    fg, bg, compose = (load_recipe(f"recommended/{part}-{size_px}") for part in ("fg", "bg", "compose"))
    assert fg.generator is not None
    assert bg.generator is not None
    assert compose.composer is not None
    assert (fg.role, bg.role, fg.generator.image_channels, bg.generator.image_channels) == ("fg", "bg", 4, 3)
    described = describe_recipe(compose, {"fg": GeneratorSpec(fg.generator, size_px), "bg": GeneratorSpec(bg.generator, size_px)})
    assert described["total"]["trainable"] > 0


@pytest.mark.parametrize("name", FEW)
def test_recipes_for_few_pictures_say_when_to_use_them_and_adapt_their_augmentation(name: str) -> None:
    recipe, head = load_recipe(f"few/{name}"), find_recipe(f"few/{name}").read_text().split("schema_version")[0]
    assert recipe.augment is not None
    assert (recipe.augment.probability, recipe.augment.below_pictures) == ("auto", 1000)
    assert (recipe.transfer is None) == (recipe.command == "compose")
    assert "100 to 1,000" in head
    assert f"mitlgan {recipe.command}" in head
    assert set(recipe.evaluation.extractors) == {"efficientnet-lite0", "mobilenet-v2"}


@pytest.mark.parametrize("name", FEW_SHARP)
def test_recipes_that_sharpen_layers_of_few_pictures_need_no_critic(name: str) -> None:
    recipe, head = load_recipe(f"few/{name}"), find_recipe(f"few/{name}").read_text().split("schema_version")[0]
    assert isinstance(recipe.generator, SharpenedGeneratorRecipe)
    assert not recipe.generator.adversarial
    assert recipe.generator.image_channels == (4 if recipe.role == "fg" else 3)
    assert f"mitlgan pretrain {recipe.role} --recipe few/{name} --from RUN" in head


@pytest.mark.parametrize("role", ["fg", "bg"])
def test_a_ladder_goes_through_the_sizes_of_the_recipes_that_it_names(role: str) -> None:
    steps = ladder_steps(load_recipe(f"recommended/{role}-128-grown"))
    small, grown = load_recipe(f"recommended/{role}-32"), load_recipe(f"recommended/{role}-64-grown")
    assert [step.size_px for step in steps] == [32, 64, 128]
    assert (steps[0].generator, steps[0].critic, steps[0].training.kimg) == (small.generator, small.critic, small.training.kimg)
    assert (steps[1].generator, steps[1].critic) == (grown.generator, grown.critic)
    assert steps[1].training.kimg - steps[0].training.kimg == grown.training.kimg
    assert steps[1].training.critic_first_kimg == steps[2].training.critic_first_kimg == grown.training.critic_first_kimg
    rates = {(step.generator_optimiser.learning_rate, step.critic_optimiser.learning_rate) for step in (*steps[1:], grown)}
    assert rates == {(2e-4, 2e-4)}
