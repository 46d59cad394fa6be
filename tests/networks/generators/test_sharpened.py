"""Generators whose larger images real pictures teach: begin as the parent's enlarged, keep its plain places, learn from pairs alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan import networks
from mitlgan.networks.generators.sharpened import SharpenedGenerator, Sharpener, add_roughness
from mitlgan.networks.resample import resize_image
from mitlgan.recipe import SharpenedGeneratorRecipe, ThesisGeneratorRecipe


def recipe(channels: int, **values: Any) -> SharpenedGeneratorRecipe:
    parent = ThesisGeneratorRecipe(latent_dim=3, widths=(6,), image_channels=channels, last_norm=False)  # type: ignore[arg-type]
    return SharpenedGeneratorRecipe(**{"parent": parent, "parent_px": 8, "width": 5, "blocks": 2, "image_channels": channels} | values)


def sharpened(channels: int, size_px: int = 16, **values: Any) -> SharpenedGenerator:
    torch.manual_seed(3)
    child = networks.build_generator(recipe(channels, **values), size_px)
    assert isinstance(child, SharpenedGenerator)
    return child


def stirred(child: SharpenedGenerator) -> Sharpener:
    """As after long training: its change is of some size everywhere."""
    torch.manual_seed(4)
    for parameter in child.stages[-1].parameters():
        nn.init.normal_(parameter, std=3.0)
    stage = child.stages[-1]
    assert isinstance(stage, Sharpener)
    return stage


def pictures(channels: int, count: int = 4, size_px: int = 16) -> Tensor:
    """Random ones; with four channels premultiplied, and transparent at the left."""
    images = torch.rand(count, channels, size_px, size_px, generator=torch.Generator().manual_seed(5))
    if channels == 4:
        images[:, 3, :, : size_px // 2] = 0
        images[:, :3] *= images[:, 3:]
    return images * 2 - 1


@pytest.mark.parametrize("size_px", [16, 32])
@pytest.mark.parametrize("channels", [3, 4])
def test_it_begins_as_the_enlarged_parent_to_the_bit(channels: int, size_px: int) -> None:
    child = sharpened(channels, size_px).eval()
    z = torch.randn(4, 3)
    with torch.no_grad():
        image, features = child.forward_with_features(z)
        assert torch.equal(image, resize_image(features[-1], size_px, "bicubic"))
        stirred(child)
        assert not torch.equal(child(z), image)
        assert child(z).shape == (4, channels, size_px, size_px)


def test_a_sharpened_one_can_be_sharpened_again() -> None:
    middle = recipe(4)
    child = networks.build_generator(recipe(4, parent=middle, parent_px=16), 32).eval()
    with torch.no_grad():
        image, features = child.forward_with_features(torch.randn(2, 3))
    assert torch.equal(image, resize_image(features[-1], 32, "bicubic"))
    assert [feature.shape[-1] for feature in features] == [4, 8, 16]


def test_transparent_and_flat_places_stay_and_colours_stay_below_their_alpha() -> None:
    small = pictures(4, size_px=8)
    with torch.no_grad():
        made, enlarged = stirred(sharpened(4, change=2.0))(small), resize_image(small, 16, "bicubic")
    transparent = (enlarged[:, 3:] <= -1 + 1 / 127.5).expand_as(made)
    assert transparent.any()
    assert torch.equal(made[transparent], enlarged[transparent])
    assert not torch.equal(made, enlarged)
    assert (made[:, :3] <= made[:, 3:]).all()
    assert made.abs().max() <= 1
    flat = torch.full((1, 3, 8, 8), 0.7)
    flat[:, :, :, 5:] = torch.rand(1, 3, 8, 3)
    with torch.no_grad():
        made, enlarged = stirred(sharpened(3))(flat), resize_image(flat, 16, "bicubic")
    assert torch.equal(made[:, :, :, :5], enlarged[:, :, :, :5])
    assert not torch.equal(made[:, :, :, 12:], enlarged[:, :, :, 12:])


def test_the_change_is_bounded() -> None:
    small = pictures(3, size_px=8)
    with torch.no_grad():
        difference = (stirred(sharpened(3, change=0.25))(small) - resize_image(small, 16, "bicubic")).abs().max()
    assert 0.2 < difference <= 0.25 + 1e-6


@pytest.mark.parametrize("channels", [3, 4])
def test_the_first_loss_is_that_of_enlarged_pictures(channels: int) -> None:
    child, real, z = sharpened(channels, roughness=0.0, pairs_weight=7.0), pictures(channels), torch.randn(4, 3)
    images, loss = child.eval().forward_with_aux_loss(z, 0.0, real, torch.Generator())
    assert torch.equal(images, child(z))
    enlarged = resize_image(resize_image(real, 8, "bicubic"), 16, "bicubic")
    assert loss.item() == pytest.approx(7 * functional.l1_loss(enlarged, real).item())
    rough = sharpened(channels, roughness=0.5, pairs_weight=7.0).eval().forward_with_aux_loss(z, 0.0, real, torch.Generator().manual_seed(0))[1]
    assert rough > loss


def test_pairs_alone_teach_it_and_leave_the_parent() -> None:
    child = sharpened(3, roughness=0.0).train()
    stripes = (torch.arange(16).expand(8, 3, 16, 16) % 4 < 2).float() * 1.6 - 0.8  # what bicubic enlarging blurs
    before = {name: value.clone() for name, value in child.state_dict().items()}
    optimiser = torch.optim.Adam([parameter for parameter in child.parameters() if parameter.requires_grad], lr=1e-2)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        _, loss = child.forward_with_aux_loss(torch.randn(8, 3), 0.0, stripes, torch.Generator())
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    moved = {name for name, value in child.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("stages.to_16px.")}


@pytest.mark.parametrize("adversarial", [False, True])
def test_it_listens_to_the_critic_where_the_recipe_says_so(adversarial: bool) -> None:
    child = sharpened(3, adversarial=adversarial).train()
    images, loss = child.forward_with_aux_loss(torch.randn(2, 3), 0.0, pictures(3, 2), torch.Generator())
    assert images.requires_grad is adversarial
    assert loss.requires_grad


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_roughened_pictures_are_pictures(channels: int) -> None:
    images = pictures(channels, 64, 8)
    assert add_roughness(images, 0.0, torch.Generator()) is images
    made = add_roughness(images, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(made, add_roughness(images, 0.5, torch.Generator().manual_seed(1)))
    assert made.shape == images.shape
    assert made.abs().max() <= 1
    spared = [torch.allclose(one, other, atol=1e-5) for one, other in zip(made, images, strict=True)]
    assert 5 < sum(spared) < 30
    if channels == 4:
        assert (made[:, :3] <= made[:, 3:] + 1e-6).all()
        assert torch.equal(made[..., :3], images[..., :3])  # transparent, and away from every edge
