"""Skip image heads: the image is a sum of images of all sizes, each enlarged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.generators.skip_heads import LastSkipStage, SkipStage
from mitlgan.recipe import GrownGeneratorRecipe, ThesisGeneratorRecipe, load_recipe

RECIPE = ThesisGeneratorRecipe(latent_dim=5, widths=(8, 6, 4), heads="skip", last_norm=False)


@pytest.fixture
def generator() -> networks.Generator:
    torch.manual_seed(0)
    generator = networks.build_generator(RECIPE, 32)
    generator(torch.randn(16, 5))  # statistics move
    return generator.eval()


def twice(image: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


def test_the_image_is_the_sum_of_enlarged_images(generator: networks.Generator) -> None:
    z = torch.randn(3, 5)
    features, image = z, None
    *stages, last = generator.stages
    for stage in stages:
        assert isinstance(stage, SkipStage)
        features = stage.block(features)
        own = stage.head(features)
        image = own if image is None else twice(image) + own
    assert isinstance(last, LastSkipStage)
    assert image is not None
    torch.testing.assert_close(generator(z), torch.tanh(twice(image) + last.block(features)))


def test_the_first_head_alone_colours_the_whole_image(generator: networks.Generator) -> None:
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "head" in name or name.startswith("stages.to_image"):
                parameter.zero_()
        generator.get_parameter("stages.base.head.bias").copy_(torch.tensor([0.1, -0.2, 0.3]))
    expected = torch.tanh(torch.tensor([0.1, -0.2, 0.3]))[None, :, None, None].expand(2, 3, 32, 32)
    torch.testing.assert_close(generator(torch.randn(2, 5)), expected)


def test_heads_cost_one_small_convolution_at_each_size(generator: networks.Generator) -> None:
    plain = networks.build_generator(RECIPE.model_copy(update={"heads": None}), 32)
    more = networks.count_parameters(generator).parameters - networks.count_parameters(plain).parameters
    assert more == sum(width * 3 + 3 for width in (8, 6, 4))
    _, features = generator.forward_with_features(torch.randn(1, 5))
    assert [tuple(feature.shape[1:]) for feature in features] == [(11, 4, 4), (9, 8, 8), (7, 16, 16)]


def test_every_head_learns(generator: networks.Generator) -> None:
    generator.train()
    generator(torch.randn(4, 5)).square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in generator.named_parameters() if "head" in name}
    assert len(gradients) == 6
    assert all(gradient is not None and float(gradient.abs().max()) > 0 for gradient in gradients.values())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("recommended/fg-32", {"generator.heads": "skip", "generator.last_norm": "true"}, "last_norm = true would rescale"),
        ("recommended/fg-32", {"generator.heads": "first"}, "heads"),
    ],
)
def test_what_contradicts_skip_heads_is_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(name, [f"{key}={value}" for key, value in settings.items()])


def test_skip_heads_cannot_grow() -> None:
    with pytest.raises(ValueError, match=r'generator\.parent\.heads = "skip" has no features apart from its image'):
        GrownGeneratorRecipe(parent=RECIPE, parent_px=32).require_size(64)


def test_without_skip_heads_a_generator_is_what_it_was() -> None:
    names = list(networks.build_generator(ThesisGeneratorRecipe(latent_dim=5, widths=(6,)), 8).state_dict())
    assert names[0] == "stages.base.dense.weight"
    assert not [name for name in names if "head" in name or "block" in name]
