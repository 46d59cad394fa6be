"""Generators that grow from smaller ones: begin as these, change only where there is something, stay valid premultiplied pictures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.generators.grown import GrownGenerator, change_allowance, neighborhood_maximum
from mitlgan.networks.resample import resize_image
from mitlgan.recipe import AnyGenerator, DcganGeneratorRecipe, GrownGeneratorRecipe, MlpGeneratorRecipe, ThesisGeneratorRecipe, UpsampledGeneratorRecipe


def parents(channels: int) -> list[AnyGenerator]:
    """One of each family that has features, for 8 px."""
    return [
        ThesisGeneratorRecipe(latent_dim=3, widths=(6,), image_channels=channels, last_norm=False),  # type: ignore[arg-type]
        ThesisGeneratorRecipe(latent_dim=3, widths=(6,), blocks=2, image_channels=channels),  # type: ignore[arg-type]
        UpsampledGeneratorRecipe(latent_dim=3, widths=(6, 4), image_channels=channels),  # type: ignore[arg-type]
        DcganGeneratorRecipe(latent_dim=3, widths=(6,), image_channels=channels),  # type: ignore[arg-type]
        DcganGeneratorRecipe(latent_dim=3, widths=(6, 5), head="conv", image_channels=channels),  # type: ignore[arg-type]
    ]


def recipe(parent: AnyGenerator, **values: Any) -> GrownGeneratorRecipe:
    return GrownGeneratorRecipe(
        **{"parent": parent, "parent_px": 8, "coarse_widths": (5, 4), "fine_width": 3, "image_channels": parent.image_channels} | values
    )


def moved(parent: AnyGenerator, size_px: int = 8) -> networks.Generator:
    """A parent whose running statistics have moved."""
    torch.manual_seed(3)
    network = networks.build_generator(parent, size_px)
    network(torch.randn(16, parent.latent_dim))
    return network.eval()


def grown(parent: networks.Generator, form: GrownGeneratorRecipe, size_px: int = 16) -> GrownGenerator:
    child = networks.build_generator(form, size_px)
    assert isinstance(child, GrownGenerator)
    child.load_parent(parent)
    return child


def stirred(child: GrownGenerator, times: float = 3.0) -> GrownGenerator:
    """As after long training: its change is of some size everywhere."""
    torch.manual_seed(4)
    for parameter in child.stages[-1].parameters():
        nn.init.normal_(parameter, std=times)
    return child


@pytest.mark.parametrize("resample", ["bicubic", "bilinear", "nearest"])
@pytest.mark.parametrize("size_px", [16, 32])
@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("channels", [3, 4])
def test_it_begins_as_the_enlarged_parent_to_the_bit(channels: int, index: int, size_px: int, resample: str) -> None:
    form = parents(channels)[index]
    parent = moved(form)
    child = grown(parent, recipe(form, resample=resample), size_px).eval()
    z = torch.randn(4, 3)
    with torch.no_grad():
        assert torch.equal(child(z), resize_image(parent(z), size_px, resample))
        stirred(child)
        assert not torch.equal(child(z), resize_image(parent(z), size_px, resample))


def test_a_grown_one_can_grow_again() -> None:
    form = parents(4)[0]
    middle = recipe(form, parent_rate=0.0)
    parent = stirred(grown(moved(form), middle), 0.5).eval()
    child = grown(parent, recipe(middle, parent_px=16), 32)
    z = torch.randn(2, 3)
    with torch.no_grad():
        assert torch.equal(child.eval()(z), resize_image(parent(z), 32, "bicubic"))
    assert all(parameter.requires_grad for parameter in child.parameters())  # the last one's rate counts for all that is below
    image, features = child.forward_with_features(z)
    assert image.shape == (2, 4, 32, 32)
    assert [feature.shape[-1] for feature in features] == [4, 8, 16]


def test_what_is_transparent_stays_so_and_colours_stay_below_their_alpha() -> None:
    form = parents(4)[0]
    child = stirred(grown(moved(form), recipe(form, change=2.0)))
    fine = child.stages[-1]
    image = torch.full((1, 4, 8, 8), -1.0)
    image[:, :, 3:5, 3:5] = torch.tensor([0.5, -0.2, 0.0, 0.9]).view(1, 4, 1, 1)
    coarse = torch.cat([torch.randn(1, 4, 8, 8), image], dim=1)
    with torch.no_grad():
        built, enlarged = fine(coarse), resize_image(image, 16, "bicubic")
    transparent = enlarged[:, 3:] <= -1 + 1 / 127.5
    assert transparent.any()
    assert torch.equal(built[transparent.expand_as(built)], enlarged[transparent.expand_as(built)])
    assert not torch.equal(built, enlarged)
    assert (built[:, :3] <= built[:, 3:]).all()
    assert built.abs().max() <= 1


def test_what_is_flat_stays_flat() -> None:
    form = parents(3)[0]
    fine = stirred(grown(moved(form), recipe(form, change=2.0))).stages[-1]
    image = torch.full((1, 3, 8, 8), 0.7)
    image[:, :, :, 5:] = torch.rand(1, 3, 8, 3)
    with torch.no_grad():
        built, enlarged = fine(torch.cat([torch.randn(1, 4, 8, 8), image], dim=1)), resize_image(image, 16, "bicubic")
    assert torch.equal(built[:, :, :, :5], enlarged[:, :, :, :5])
    assert not torch.equal(built[:, :, :, 12:], enlarged[:, :, :, 12:])


def test_room_rises_from_nothing_to_all() -> None:
    alpha = torch.linspace(-1, 1, 256).view(1, 1, 1, 256)
    given = change_allowance(torch.cat([alpha.expand(1, 3, 1, 256), alpha], dim=1))[0, 0, 0]
    assert given[:3].tolist() == [0, 0, 0]
    assert (given.diff() >= 0).all()
    assert given[16:].min() > 0.99


@pytest.mark.parametrize("size", [(2, 3, 9, 12), (1, 1, 2, 3), (1, 2, 1, 1)])
def test_the_largest_value_around_each_pixel_is_that_of_pooling(size: tuple[int, ...]) -> None:
    image = torch.randn(size)
    expected = torch.nn.functional.max_pool2d(image, 5, stride=1, padding=2)
    assert torch.equal(neighborhood_maximum(image), expected)
    assert torch.equal(neighborhood_maximum(image.clone().requires_grad_()), expected)


def test_the_change_is_bounded() -> None:
    form = parents(3)[1]
    parent, z = moved(form), torch.randn(4, 3)
    child = stirred(grown(parent, recipe(form, change=0.25)), 9.0).eval()
    with torch.no_grad():
        difference = (child(z) - resize_image(parent(z), 16, "bicubic")).abs().max()
    assert 0.2 < difference <= 0.25 + 1e-6


@pytest.mark.parametrize(("rate", "norm"), [(0.0, "frozen"), (0.0, "batch"), (0.1, "frozen"), (0.1, "batch")])
def test_how_the_parent_trains_on(rate: float, norm: str) -> None:
    form = parents(4)[1]
    child = grown(moved(form), recipe(form, parent_rate=rate, parent_norm=norm))
    child.requires_grad_(True).train()
    below = [module for stage in child.parent_stages() for module in stage.modules()]
    before = {name: value.clone() for name, value in child.state_dict().items()}
    optimiser = torch.optim.SGD([parameter for parameter in child.parameters() if parameter.requires_grad], lr=0.1)
    for _ in range(2):  # the first moves the last convolution away from zero, through which nothing passes
        optimiser.zero_grad()
        child(torch.randn(8, 3)).square().mean().backward()
        optimiser.step()
    changed = {name for name, value in child.state_dict().items() if not torch.equal(value, before[name])}
    own = [f"{name}.weight" for name, module in child.named_modules() if module in below and isinstance(module, nn.Conv2d | nn.Linear)]
    statistics = [f"{name}.running_mean" for name, module in child.named_modules() if module in below and isinstance(module, _BatchNorm)]
    assert own
    assert statistics
    assert {name in changed for name in own} == {rate > 0}
    assert {name in changed for name in statistics} == {rate > 0 and norm == "batch"}
    assert "stages.features_8px.features.norm_1.running_mean" in changed
    assert "stages.to_image.finer.conv.weight" in changed
    assert set(child.lr_factors().values()) == {rate}
    assert len(child.lr_factors()) == sum(len(list(stage.parameters())) for stage in child.parent_stages())


def test_what_cannot_be_grown() -> None:
    form = parents(3)[0]
    for size_px in (8, 12, 24, 64):
        with pytest.raises(UsageError, match=r"^generator\.parent_px is 8, which does not grow to size_px"):
            networks.build_generator(recipe(form), size_px)
    with pytest.raises(UsageError, match=r"^generator\.parent\.kind"):
        networks.build_generator(recipe(MlpGeneratorRecipe(latent_dim=3, widths=(4,))), 16)
    with pytest.raises(UsageError, match=r"^generator\.parent\.image_channels is 3"):
        networks.build_generator(recipe(form, image_channels=4), 16)
    with pytest.raises(UsageError, match=r"^generator\.widths"):
        networks.build_generator(recipe(form, parent_px=16), 32)
    with pytest.raises(ValidationError):
        recipe(form, parent_rate=1.5)


def test_features_have_the_channels_that_convolutions_take() -> None:
    for form in parents(4):
        image, features = grown(moved(form), recipe(form)).forward_with_features(torch.randn(2, 3))
        assert image.shape == (2, 4, 16, 16)
        assert features[-1].shape == (2, 4 + 4, 8, 8)
        widths: list[Tensor] = [feature for feature in features if feature.ndim == 4]
        assert len(widths) == len(features)


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_a_frozen_parent_is_not_among_what_training_changes(rate: float) -> None:
    form = parents(3)[0]
    child = grown(moved(form), recipe(form, parent_rate=rate))
    changed = {id(parameter) for parameter in child.trainable_parameters()}
    parent = {id(parameter) for stage in child.parent_stages() for parameter in stage.parameters()}
    assert changed == {id(parameter) for parameter in child.parameters() if parameter.requires_grad}
    assert bool(changed & parent) == bool(rate)
    child.requires_grad_(False)  # as a loaded artifact is
    assert changed == {id(parameter) for parameter in child.trainable_parameters()}
