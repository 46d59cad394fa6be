"""A composition whose matte and harmonising are used in part."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mitlgan.errors import UsageError
from mitlgan.images.alpha import split_premultiplied
from mitlgan.networks import Composer, CompositionStages, EffectStrengths, build_composer, build_generator
from mitlgan.networks.fusion.harmonizer import Harmonizer
from mitlgan.networks.translators.bounded_residual import BoundedResidual
from mitlgan.recipe import ComposerRecipe, Recipe, ThesisGeneratorRecipe

COUNT = 3
PAINTING = {"kind": "dense", "widths": (4, 4, 4), "blocks": 1, "activation": "tanh"}


def composer_of(**recipe: object) -> Composer:
    torch.manual_seed(0)
    layers = {}
    for name, channels in (("fg", 4), ("bg", 3)):
        form = ThesisGeneratorRecipe(latent_dim=5, widths=(4,), image_channels=channels, last_norm=False)  # type: ignore[arg-type]
        layers[name] = build_generator(form, 8)
        layers[name](torch.randn(16, 5))
    composer = build_composer(ComposerRecipe.model_validate(recipe), layers, 8).eval()
    for parameter in composer.trainable_parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return composer.requires_grad_(False)


@pytest.fixture(scope="module")
def composer() -> Composer:
    return composer_of(fusion={"kind": "alpha", "harmonise": True}, translator={"kind": "light", "width": 4, "blocks": 1, "activation": "residual"})


@pytest.fixture(scope="module")
def z() -> torch.Tensor:
    return torch.randn(COUNT, 10, generator=torch.Generator().manual_seed(1))


def at(composer: Composer, z: torch.Tensor, matte: float, harmonise: float) -> CompositionStages:
    return composer.layers(z, None, EffectStrengths(torch.full((COUNT,), float(matte)), torch.full((COUNT,), float(harmonise))))


def test_whole_strengths_change_no_bit(composer: Composer, z: torch.Tensor) -> None:
    plain, whole = composer.layers(z), at(composer, z, 1, 1)
    for before, after in (
        (plain.output, whole.output),
        (plain.fused, whole.fused),
        (plain.matte, whole.matte),
        (plain.placed["fg"], whole.placed["fg"]),
    ):
        assert before is not None
        assert after is not None
        assert torch.equal(before, after)


def test_a_weaker_matte_lays_less_of_the_layer_over_the_background(composer: Composer, z: torch.Tensor) -> None:
    stages = at(composer, z, 0.25, 0)
    front, back = split_premultiplied(stages.layers["fg"]), stages.layers["bg"]
    expected = 2 * (0.25 * front.color + (1 - 0.25 * front.alpha) * (back + 1) / 2) - 1
    assert torch.allclose(stages.fused, expected, atol=1e-6)
    assert stages.matte is not None
    assert torch.allclose(stages.matte, 0.25 * front.alpha, atol=1e-6)
    assert torch.allclose(at(composer, z, 0, 0).output, back.clamp(-1, 1), atol=1e-6)  # of shares and back, so rounded


def test_harmonising_and_correcting_are_made_in_part(composer: Composer, z: torch.Tensor) -> None:
    stages, none, whole = at(composer, z, 1, 0.5), at(composer, z, 1, 0), at(composer, z, 1, 1)
    assert torch.allclose(stages.fused, (none.fused + whole.fused) / 2, atol=1e-6)
    assert not torch.allclose(none.fused, whole.fused, atol=1e-3)
    translator = composer.translator
    assert isinstance(translator, BoundedResidual)
    assert torch.allclose(stages.output, (stages.fused + 0.5 * translator.scale * translator.stages(stages.fused)).clamp(-1, 1), atol=1e-6)
    assert torch.equal(none.output, none.fused.clamp(-1, 1))


def test_each_image_has_strengths_of_its_own(composer: Composer, z: torch.Tensor) -> None:
    mixed = composer.layers(z, None, EffectStrengths(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 0.5]))).output
    for index, (matte, harmonise) in enumerate(((1.0, 0.0), (0.5, 1.0), (0.0, 0.5))):
        assert torch.allclose(mixed[index], at(composer, z, matte, harmonise).output[index], atol=1e-6)


def test_a_composition_says_whether_it_harmonises() -> None:
    fusion = {"kind": "alpha", "harmonise": False}
    assert not composer_of(fusion=fusion, translator={"kind": "none"}).can_scale_harmonization
    assert composer_of(fusion={**fusion, "harmonise": True}, translator={"kind": "none"}).can_scale_harmonization
    assert not composer_of(fusion=fusion, translator=PAINTING).can_scale_harmonization
    assert not composer_of(fusion={"kind": "conv1x1"}, translator=PAINTING).can_scale_harmonization
    assert composer_of(fusion=fusion, translator={"kind": "light", "width": 4, "blocks": 1, "activation": "residual"}).can_scale_harmonization


def test_a_translator_that_paints_anew_is_applied_whole(z: torch.Tensor) -> None:
    painting = composer_of(fusion={"kind": "alpha", "harmonise": True}, translator=PAINTING)
    assert any(isinstance(module, Harmonizer) for module in painting.modules())
    stages = at(painting, z, 1, 0)
    assert torch.equal(stages.output, painting.translator(stages.fused))


def test_an_artifact_refuses_strengths_that_it_cannot_take(compose_recipe: Recipe, composer: Composer, z: torch.Tensor) -> None:
    from mitlgan.artifacts.card import make_card
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact

    ones = torch.ones(COUNT)
    loaded = LoadedArtifact(composer, make_card(composer, compose_recipe))
    with pytest.raises(UsageError, match="strengths: those of matte must lie between 0 and 1"):
        loaded.layers_from_latents(z, None, EffectStrengths(ones * 1.5, ones))
    with pytest.raises(UsageError, match="strengths: those of harmonise must lie between 0 and 1, one per image"):
        loaded.layers_from_latents(z, None, EffectStrengths(ones, ones[:2]))
    others: list[tuple[Any, str]] = [
        (EffectStrengths(0.5, 0.5), r"strengths: 0\.5 of matte is not a tensor; give one number per image, torch\.full\(\(3,\), 0\.5\)$"),
        (EffectStrengths(ones, [1.0] * COUNT), "strengths: .* of harmonise is not a tensor"),
        ((ones, ones), r"strengths: tuple is no EffectStrengths; give one, of a tensor for matte and one for harmonise$"),
        (0.5, "strengths: float is no EffectStrengths"),
        (EffectStrengths(ones > 0, ones), "strengths: those of matte: are of the type bool; give floats$"),
        (EffectStrengths(ones * float("nan"), ones), "strengths: those of matte must lie between 0 and 1"),
    ]
    for other, message in others:
        with pytest.raises(UsageError, match=f"^{message}"):
            loaded.layers_from_latents(z, None, other)
    bare = composer_of(fusion={"kind": "conv1x1"}, translator={"kind": "none"})
    plain = LoadedArtifact(bare, make_card(bare, compose_recipe))
    assert torch.equal(plain.layers_from_latents(z, None, EffectStrengths(ones, ones)).output, plain.layers_from_latents(z).output)
    with pytest.raises(UsageError, match="strengths: this artifact has nothing to weaken by matte"):
        plain.layers_from_latents(z, None, EffectStrengths(ones * 0.5, ones))


def test_one_image_of_many_has_all_its_stages(composer: Composer, z: torch.Tensor) -> None:
    stages = composer.layers(z)
    one = stages[1]
    assert stages.matte is not None
    assert one.matte is not None
    pairs = [(one.output, stages.output), (one.fused, stages.fused), (one.matte, stages.matte)]
    pairs += [(one.layers[name], stages.layers[name]) for name in ("fg", "bg")] + [(one.placed["fg"], stages.placed["fg"])]
    for alone, together in pairs:
        assert torch.equal(alone, together[1:2])
