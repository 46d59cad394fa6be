"""The style generator: its equations, its noise, and styles mixed by resolution."""

from __future__ import annotations

import pytest
import torch

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.generators.style import StyledConv, StyleGenerator, fixed_noise
from mitlgan.recipe import GrownGeneratorRecipe, StyleGeneratorRecipe, load_recipe

RECIPE = StyleGeneratorRecipe(latent_dim=8, mapping_layers=2, widths=(8, 6, 4))


def build(recipe: StyleGeneratorRecipe = RECIPE) -> StyleGenerator:
    torch.manual_seed(0)
    generator = networks.build_generator(recipe, 16)
    assert isinstance(generator, StyleGenerator)
    return generator.eval()


def test_a_styled_convolution_is_a_modulated_and_demodulated_weight() -> None:
    """Karras et al. 2020, equations 1 and 3, written out for each image."""
    torch.manual_seed(0)
    conv = StyledConv(3, 5, RECIPE.model_copy(update={"noise": False, "leak": 1.0}))
    features, style = torch.randn(2, 3, 6, 6), torch.randn(2, 8)
    scales = conv.style(style)
    for index in range(2):
        weight = conv.conv.weight * scales[index][None, :, None, None]
        weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        expected = torch.nn.functional.conv2d(features[index : index + 1], weight, padding=1)
        torch.testing.assert_close(conv(features, style)[index : index + 1], expected, rtol=1e-4, atol=1e-5)


def test_noise_is_random_in_training_and_fixed_otherwise() -> None:
    generator, z = build(), torch.randn(2, 8)
    for conv in generator.modules():
        if isinstance(conv, StyledConv):
            assert conv.noise_strength is not None
            conv.noise_strength.data.fill_(1.0)
    assert torch.equal(generator(z), generator(z))
    assert not torch.equal(generator.train()(z), generator(z))
    noise = fixed_noise(64)
    assert abs(noise.mean().item()) < 0.05
    assert abs(noise.std().item() - 1) < 0.05
    assert torch.equal(noise, fixed_noise(64))
    assert abs((noise[..., 1:] * noise[..., :-1]).mean().item()) < 0.05


def test_styles_mix_by_resolution() -> None:
    generator = build()
    coarse, fine = torch.randn(3, 8), torch.randn(3, 8)
    assert generator.block_sizes_px == (4, 8, 16)
    assert torch.equal(generator.mix_styles(coarse, coarse, 8), generator(coarse))
    mixed = generator.mix_styles(coarse, fine, 16)
    assert not torch.equal(mixed, generator(coarse))
    near, far = ((generator.mix_styles(coarse, fine, px) - generator(coarse)).abs().mean() for px in (16, 8))
    assert near < far, "the later the fine style counts, the more the image is the coarse one's"
    with pytest.raises(UsageError, match=r"^--from-px 4: the generator has blocks of 4, 8, 16 px; choose one after the first"):
        generator.mix_styles(coarse, fine, 4)


def test_the_mapping_learns_more_slowly() -> None:
    generator = build()
    assert set(generator.lr_factors().values()) == {0.01}
    assert len(generator.lr_factors()) == 4
    assert build(RECIPE.model_copy(update={"mapping_rate": 1.0})).lr_factors() == {}


def test_what_a_style_generator_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"generator.widths has 3 entries, which makes 16 px, not size_px = 32"):
        networks.build_generator(RECIPE, 32)
    with pytest.raises(UsageError, match=r'generator.parent.kind = "style" cannot be grown'):
        networks.build_generator(GrownGeneratorRecipe(parent=RECIPE, parent_px=16), 32)
    with pytest.raises(UsageError, match=r'generator.kind = "style" does not grow'):
        load_recipe("classic/progressive-64", ["generator={kind='style', widths=[8,8,8]}"])
