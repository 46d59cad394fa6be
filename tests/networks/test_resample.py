"""Layers of other sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks import Composer, Generator
from mitlgan.networks.resample import TORCH_MODES, resize_image
from mitlgan.recipe import ComposerRecipe, DcganGeneratorRecipe, MlpGeneratorRecipe, ThesisGeneratorRecipe, UpsampledGeneratorRecipe
from mitlgan.recipe.schema.composer import OverFusionRecipe
from mitlgan.recipe.schema.translators import NoTranslatorRecipe

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX}


def noise(channels: int, size_px: int) -> Tensor:
    """Values to both ends of the range."""
    return (torch.rand(2, channels, size_px, size_px, generator=torch.Generator().manual_seed(size_px)) * 3 - 1.5).clamp(-1, 1)


def cut(image: Tensor) -> Tensor:
    return torch.cat([torch.minimum(image[:, :3], image[:, 3:]), image[:, 3:]], 1) if image.shape[1] == 4 else image


@pytest.mark.parametrize("method", list(TORCH_MODES))
@pytest.mark.parametrize(("before", "after"), [(40, 32), (64, 32), (16, 32), (7, 12), (32, 32)])
def test_the_result_is_a_layer_of_that_size(method: str, before: int, after: int) -> None:
    for channels in (1, 3, 4):
        image = cut(noise(channels, before))
        built = resize_image(image, after, method)
        assert built.shape == (2, channels, after, after)
        assert -1 <= built.min() <= built.max() <= 1
        if channels == 4:
            assert (built[:, :3] <= built[:, 3:]).all()  # premultiplied still
        plain = torch.full((1, channels, before, before), 0.25)
        torch.testing.assert_close(resize_image(plain, after, method), torch.full((1, channels, after, after), 0.25))
        if before == after:
            assert torch.equal(built, image)


@pytest.mark.parametrize("method", list(PILLOW))
@pytest.mark.parametrize(("before", "after"), [(40, 20), (64, 32)])
def test_reducing_is_antialiased_as_pillow_does_it(method: str, before: int, after: int) -> None:
    image = noise(1, before) * 0.5  # within the range even where bicubic overshoots
    expected = Image.fromarray(image[0, 0].numpy()).resize((after, after), PILLOW[method])
    # Pillow's bicubic has a = -0.5, as torch's has where it is antialiased.
    torch.testing.assert_close(resize_image(image, after, method)[0, 0], torch.from_numpy(np.array(expected)), atol=1e-5, rtol=0)


def test_nearest_takes_pixels_as_they_are() -> None:
    image = noise(3, 8)
    assert torch.equal(resize_image(image, 16, "nearest"), image.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_no_colour_comes_out_of_what_is_transparent() -> None:
    """A generator's colour above its alpha is nothing that could be seen, so it must not bleed into its neighbours."""
    image = torch.full((1, 4, 8, 8), -1.0)
    image[:, 0, :, :4] = 1.0  # red without alpha
    image[:, 3, :, 4:] = 1.0  # black, opaque
    for method in TORCH_MODES:
        assert (resize_image(image, 5, method)[:, :3] + 1).abs().max() < 1e-6


FORMS = {
    "back": (DcganGeneratorRecipe(latent_dim=3, base_width=8, narrowest=4), 64),
    "between": (UpsampledGeneratorRecipe(latent_dim=4, widths=(4, 4, 4), image_channels=4), 40),
    "grey": (MlpGeneratorRecipe(latent_dim=2, widths=(5,), image_channels=1), 9),
    "front": (ThesisGeneratorRecipe(latent_dim=3, widths=(4, 4, 2)), 32),
}


def generators(*names: str) -> dict[str, Generator]:
    torch.manual_seed(0)
    return {name: networks.build_generator(*FORMS[name]) for name in names}


def composer(*names: str) -> Composer:
    recipe = ComposerRecipe(fusion=OverFusionRecipe(), translator=NoTranslatorRecipe(), resample="bilinear")
    return networks.build_composer(recipe, generators(*names), 32).eval()


def test_layers_of_any_family_and_size_compose() -> None:
    """Activations of a 64 px generator make a matte of 32 px, too."""
    built = composer("grey", "between", "back", "front")
    stages = built.layers(torch.randn(3, 12))
    assert {name: image.shape[1:] for name, image in stages.layers.items()} == {
        "grey": (1, 32, 32), "between": (4, 32, 32), "back": (3, 32, 32), "front": (3, 32, 32),
    }  # fmt: skip
    assert stages.output.shape == (3, 3, 32, 32)
    assert built.size_px == 32
    assert [*stages.placed] == ["between", "back", "front"]
    own = built.generators["between"](torch.zeros(1, 4))
    assert own.shape[-1] == 40  # the frozen generator is as it was
    z = {"grey": torch.zeros(1, 2), "between": torch.zeros(1, 4), "back": torch.zeros(1, 3), "front": torch.zeros(1, 3)}
    assert torch.equal(built.layers(z).layers["between"], resize_image(own, 32, "bilinear"))


def test_another_size_is_refused_where_nothing_says_how_to_resample() -> None:
    recipe = ComposerRecipe(fusion=OverFusionRecipe(), translator=NoTranslatorRecipe())
    with pytest.raises(UsageError, match=r'^layer back: its generator makes 64 px, not size_px = 32; .*composer\.resample = "bilinear"$'):
        networks.check_composer(recipe, generators("back", "front"), 32)


@pytest.mark.parametrize("name", ["matte", "fused", "output", "place", "keys", "Sky", "a-b", ""])
def test_names_that_no_layer_can_have(name: str) -> None:
    with pytest.raises(UsageError, match=r"^layer '.*': not a name that a layer can have"):
        networks.check_layer_name(name)
