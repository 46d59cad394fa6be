"""Which recipe an arm trains: a baseline must not lose by settings that were chosen for another arm."""

from __future__ import annotations

import pytest

from mitlgan.artifacts import loaded_artifact
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.compare.arms import ArmSpec, check_baseline_name, composed_arm, resolve_baseline
from mitlgan.compare.report_builder import report_title
from mitlgan.compare.trained_arms import TrainedArm
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, ThesisGeneratorRecipe, load_recipe, shipped_folder, with_overrides


@pytest.fixture
def composition() -> Recipe:
    return load_recipe("recommended/compose-32")


@pytest.fixture
def layers() -> dict[str, GeneratorSpec]:
    found = {}
    for name in ("fg", "bg"):
        generator = load_recipe(f"recommended/{name}-32").generator
        assert generator is not None
        found[name] = GeneratorSpec(generator, 32)
    return found


@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_beside_a_recommended_composition_the_wgan_is_the_tuned_one_of_its_size(size_px: int) -> None:
    composition = with_overrides(load_recipe(f"recommended/compose-{size_px}"), seed=7, data__source="elsewhere")
    layers = {name: GeneratorSpec(load_recipe(f"recommended/{name}-{size_px}").generator, size_px) for name in ("fg", "bg")}  # type: ignore[arg-type]
    arm, tuned = resolve_baseline("wgan", composition, layers), load_recipe(f"recommended/wgan-{size_px}")
    assert arm.recipe == with_overrides(tuned, data__source="elsewhere")
    assert arm.label == "WGAN, tuned"
    assert arm.notes == (f"Its recipe is recommended/wgan-{size_px}, tuned at 32 px.",)
    assert arm.name == "wgan"


def test_at_other_sizes_it_has_the_tuned_ones_settings(composition: Recipe) -> None:
    small = with_overrides(composition, size_px=16, critic__widths=[32, 64], critic__dropout=[0.0, 0.0])
    generator = ThesisGeneratorRecipe(latent_dim=8, widths=(16, 8))
    arm, tuned = resolve_baseline("wgan", small, {name: GeneratorSpec(generator, 16) for name in ("fg", "bg")}), load_recipe("recommended/wgan-32")
    assert arm.label == "WGAN, tuned"
    assert arm.notes == ("Its settings are those of recommended/wgan-32, tuned at 32 px.",)
    assert arm.recipe is not None
    for part in ("objective", "generator_optimiser", "critic_optimiser"):
        assert getattr(arm.recipe, part) == getattr(tuned, part)
    assert (arm.recipe.training.batch, arm.recipe.training.shared_fakes) == (tuned.training.batch, tuned.training.shared_fakes)
    assert (arm.recipe.critic.kernel, arm.recipe.critic.spectral) == (tuned.critic.kernel, tuned.critic.spectral)  # type: ignore[union-attr]
    assert (arm.recipe.critic.widths, arm.recipe.generator, arm.recipe.size_px) == ((32, 64), generator, 16)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["thesis-32/compose", "thesis/compose"])
def test_the_thesis_composition_keeps_the_plain_wgan_of_its_own_settings(name: str) -> None:
    composition = load_recipe(name)
    layers = {role: GeneratorSpec(load_recipe(name.replace("compose", f"pretrain_{role}")).generator, composition.size_px) for role in ("fg", "bg")}  # type: ignore[arg-type]
    arm, plain = (resolve_baseline(baseline, composition, layers) for baseline in ("wgan", "plain-wgan"))
    assert arm.label == plain.label == "WGAN, plain (the composition's settings)"
    assert arm.recipe is not None
    assert (arm.recipe.objective, arm.recipe.critic, arm.recipe.training) == (composition.objective, composition.critic, composition.training)


def test_the_plain_wgan_stays_one_beside_a_composition_by_another_objective(composition: Recipe, layers: dict[str, GeneratorSpec]) -> None:
    arm, demo = resolve_baseline("plain-wgan", composition, layers), load_recipe("thesis-32/wgan")
    ours = arm.recipe
    assert ours is not None
    assert arm.label == "WGAN, plain (the demo's settings)"
    assert composition.objective.kind == "minimax"
    assert ours.objective == demo.objective
    assert ours.critic == demo.critic
    assert ours.generator == demo.generator
    assert ours.training.batch == demo.training.batch
    assert ours.generator_optimiser == composition.generator_optimiser


@pytest.mark.parametrize(
    ("labels", "title"),
    [
        (["Frozen layers, pasted"], "Composition (modern) against Frozen layers, pasted"),
        (["WGAN, tuned, as long as all stages", "WGAN, tuned, this stage alone"], "Composition (modern) against WGAN, tuned"),
        (["WGAN, tuned", "Frozen layers, pasted"], "Compositions and baselines"),
    ],
)
def test_a_report_is_headed_by_what_is_there(composition: Recipe, labels: list[str], title: str) -> None:
    contenders = [TrainedArm(composed_arm(composition), [], []), *(TrainedArm(ArmSpec(label, label), [], []) for label in labels)]
    assert report_title(contenders) == title


def test_plain_is_the_compositions_own_training_without_layers(composition: Recipe, layers: dict[str, GeneratorSpec]) -> None:
    ours = resolve_baseline("plain", composition, layers).recipe
    assert ours is not None
    assert (ours.command, ours.role, ours.composer) == ("pretrain", "scene", None)
    assert (ours.objective, ours.critic, ours.training.batch) == (composition.objective, composition.critic, composition.training.batch)
    assert ours.generator == layers["bg"].generator


def test_beside_a_wasserstein_composition_both_are_the_same(layers: dict[str, GeneratorSpec]) -> None:
    composition = load_recipe("thesis-32/compose")
    wgan, plain = (resolve_baseline(name, composition, layers).recipe for name in ("wgan", "plain"))
    assert wgan is not None
    assert plain is not None
    assert wgan.model_copy(update={"name": "plain"}) == plain


@pytest.mark.parametrize("reference", ["hf://me/scene", f"hf://me/scene@v1#sha256={'0' * 64}"])
def test_a_baseline_may_be_an_artifact_of_the_hub(
    reference: str, composition: Recipe, layers: dict[str, GeneratorSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shipped_folder("pretrained") / "modern-32" / "composer.safetensors"
    monkeypatch.setattr(loaded_artifact, "fetch_hub_artifact", lambda path: file)
    check_baseline_name(reference)
    arm = resolve_baseline(reference, composition, layers)
    assert (arm.name, arm.artifact) == ("scene", file)
    with pytest.raises(UsageError, match=r"^hf://scene: write it as hf://OWNER/NAME"):
        check_baseline_name("hf://scene")
