import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.fusion.channel_fusion import ChannelFusion
from mitlgan.networks.fusion.interface import FusionInput, FusionOutput, LayerSpec, back_to_front
from mitlgan.networks.fusion.matte_fusion import MatteFusion
from mitlgan.networks.placement import EffectStrengths, LayerTransform
from mitlgan.networks.registry import FUSIONS
from mitlgan.recipe import ComposerRecipe, Conv1x1FusionRecipe, NoTranslatorRecipe, PlacementRecipe
from mitlgan.recipe.schema.composer import (
    FUSION_KINDS,
    AddFusionRecipe,
    AddNormFusionRecipe,
    AlphaFusionRecipe,
    MatteFeaturesFusionRecipe,
    MatteFusionRecipe,
    NormConv1x1FusionRecipe,
    OverFusionRecipe,
)

SIZE = 8
RGBA, RGB = LayerSpec(4, (6, 5)), LayerSpec(3, (6, 5))


def material(channels: dict[str, int], count: int = 2, *, place: int = 0, **more: Any) -> FusionInput:
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.rand(count, depth, SIZE, SIZE, generator=generator) * 2 - 1 for name, depth in channels.items()}
    for image in images.values():
        if image.shape[1] == 4:  # premultiplied: no colour above its alpha
            image[:, :3] = torch.minimum(image[:, :3], image[:, 3:])
    features = {name: [torch.randn(count, 6, 2, 2, generator=generator), torch.randn(count, 5, 4, 4, generator=generator)] for name in channels}
    return FusionInput(images, features, torch.randn(count, place, generator=generator), **more)


def fused(fusion: torch.nn.Module, given: FusionInput) -> FusionOutput:
    result = fusion(given)
    assert isinstance(result, FusionOutput)
    return result


def composite(front: Tensor, back: Tensor) -> Tensor:
    """The over operator, pixel by pixel, as it stands in the paper."""
    out = torch.empty_like(back)
    for place in torch.cartesian_prod(*(torch.arange(side) for side in (back.shape[0], 3, SIZE, SIZE))):
        n, c, y, x = place.tolist()
        matte = (float(front[n, 3, y, x]) + 1) / 2
        out[n, c, y, x] = 2 * ((float(front[n, c, y, x]) + 1) / 2 + (1 - matte) * (float(back[n, c, y, x]) + 1) / 2) - 1
    return out


def test_thesis_fusion_has_21_parameters() -> None:
    assert networks.count_parameters(ChannelFusion(Conv1x1FusionRecipe(), {"fg": RGB, "bg": RGB}, SIZE, None)) == (21, 21)


@pytest.mark.parametrize("name", ["relu", "tanh", "none"])
def test_every_pixel_is_the_same_mixture_of_all_layers_in_order(name: str) -> None:
    torch.manual_seed(0)
    fusion = ChannelFusion(Conv1x1FusionRecipe(activation=name), {"fg": RGBA, "bg": RGB, "sky": RGB}, SIZE, None)  # type: ignore[arg-type]
    given = material({"sky": 3, "bg": 3, "fg": 4})
    joined = torch.cat([given.images["fg"], given.images["bg"], given.images["sky"]], dim=1)
    assert fusion.conv is not None
    linear = torch.einsum("oi,nihw->nohw", fusion.conv.weight[:, :, 0, 0], joined) + fusion.conv.bias.view(1, 3, 1, 1)  # type: ignore[union-attr,operator,index]
    expected = {"relu": linear.relu(), "tanh": linear.tanh(), "none": linear}[name]
    result = fused(fusion, given)
    torch.testing.assert_close(result.image, expected)
    assert result.matte is None
    assert result.placed == {}


def test_norm_conv1x1_normalises_the_joined_layers_first() -> None:
    torch.manual_seed(0)
    plain = ChannelFusion(NormConv1x1FusionRecipe(activation="none"), {"fg": RGB, "bg": RGB}, SIZE, None)
    given = material({"fg": 3, "bg": 3})
    changed = FusionInput({"fg": given.images["fg"] * 0.1 + 0.5, "bg": given.images["bg"] * 3 - 1})
    # Contrast and brightness of a layer are what InstanceNorm takes away.
    torch.testing.assert_close(fused(plain, given).image, fused(plain, changed).image, rtol=1e-2, atol=1e-2)
    assert networks.count_parameters(plain) == (21 + 12, 21 + 12)


def test_addition_is_the_sum_and_has_no_parameters() -> None:
    fusion = ChannelFusion(AddFusionRecipe(activation="none"), {"fg": RGB, "bg": RGB}, SIZE, None)
    given = material({"fg": 3, "bg": 3})
    torch.testing.assert_close(fused(fusion, given).image, given.images["fg"] + given.images["bg"])
    assert networks.count_parameters(fusion) == (0, 0)


def test_normalised_addition_has_mean_0_and_deviation_1() -> None:
    fusion = ChannelFusion(AddNormFusionRecipe(activation="none"), {"fg": RGB, "bg": RGB}, SIZE, None)
    image = fused(fusion, material({"fg": 3, "bg": 3})).image
    torch.testing.assert_close(image.mean((2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(image.std((2, 3), correction=0), torch.ones(2, 3), atol=1e-3, rtol=0)


def test_unknown_activation_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^composer\.fusion\.activation: .*choose one of relu, tanh"):
        ChannelFusion(Conv1x1FusionRecipe().model_copy(update={"activation": "sine"}), {"fg": RGB}, SIZE, None)


def test_alpha_is_a_true_composite_before_any_training() -> None:
    fusion = MatteFusion(AlphaFusionRecipe(), {"fg": RGBA, "bg": RGB}, SIZE, None)
    given = material({"fg": 4, "bg": 3})
    result = fused(fusion, given)
    torch.testing.assert_close(result.image, composite(given.images["fg"], given.images["bg"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(result.matte, (given.images["fg"][:, 3:] + 1) / 2)
    torch.testing.assert_close(result.placed["fg"], given.images["fg"], atol=1e-6, rtol=0)
    assert result.loss is None


@pytest.mark.parametrize("channels", [{"fg": 4, "bg": 3}, {"sky": 3, "hills": 4, "tree": 4}])
def test_the_learnable_1x1_fusion_begins_as_the_true_composite(channels: dict[str, int]) -> None:
    layers = {name: LayerSpec(depth) for name, depth in channels.items()}
    given = material(channels)
    conv = MatteFusion(AlphaFusionRecipe(harmonise=False, join="conv1x1"), layers, SIZE, None)
    torch.testing.assert_close(fused(conv, given).image, fused(MatteFusion(AlphaFusionRecipe(harmonise=False), layers, SIZE, None), given).image)
    assert [tuple(parameter.shape) for parameter in conv.parameters()] == [(3, 3 * len(layers), 1, 1), (3,)]
    assert AlphaFusionRecipe().join is None


def test_the_learnable_1x1_fusion_is_one_mixture_of_what_is_seen_of_each_layer() -> None:
    given = material({"fg": 4, "bg": 3})
    fusion = MatteFusion(AlphaFusionRecipe(harmonise=False, join="conv1x1"), {"fg": RGBA, "bg": RGB}, SIZE, None)
    assert fusion.conv is not None
    weight, bias = fusion.conv.conv.weight, fusion.conv.conv.bias
    assert bias is not None
    with torch.no_grad():
        weight.copy_(torch.rand(weight.shape, generator=torch.Generator().manual_seed(4)) / 6)
        bias.copy_(torch.tensor([0.1, -0.05, 0.0]))
    front, back = (given.images["fg"] + 1) / 2, (given.images["bg"] + 1) / 2
    seen = torch.cat([back * (1 - front[:, 3:]), front[:, :3]], dim=1)
    expected = torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], seen) + bias.view(1, 3, 1, 1)
    torch.testing.assert_close(fused(fusion, given).image, (2 * expected - 1).clamp(-1, 1))
    none = EffectStrengths(torch.ones(2), torch.zeros(2))
    composited = MatteFusion(AlphaFusionRecipe(harmonise=False), {"fg": RGBA, "bg": RGB}, SIZE, None)
    torch.testing.assert_close(fused(fusion, dataclasses.replace(given, strengths=none)).image, fused(composited, given).image)
    assert ComposerRecipe(fusion=fusion.recipe, translator=NoTranslatorRecipe()).trains


def test_three_layers_lie_over_each_other_in_the_order_given() -> None:
    given = material({"sky": 3, "hills": 4, "tree": 4})
    layers = {"sky": RGB, "hills": RGBA, "tree": RGBA}
    result = fused(MatteFusion(OverFusionRecipe(), layers, SIZE, None).eval(), given)
    between = composite(given.images["hills"], given.images["sky"])
    torch.testing.assert_close(result.image, composite(given.images["tree"], between), atol=1e-5, rtol=0)
    through = (1 - (given.images["hills"][:, 3:] + 1) / 2) * (1 - (given.images["tree"][:, 3:] + 1) / 2)
    torch.testing.assert_close(result.matte, 1 - through)
    swapped = MatteFusion(OverFusionRecipe(order=("sky", "tree", "hills")), layers, SIZE, None).eval()
    expected = composite(given.images["hills"], composite(given.images["tree"], given.images["sky"]))
    torch.testing.assert_close(fused(swapped, given).image, expected, atol=1e-5, rtol=0)


def test_the_background_is_backmost_and_the_rest_as_given() -> None:
    assert back_to_front(None, {"fg": 1, "bg": 1}) == ("bg", "fg")
    assert back_to_front(None, {"sky": 1, "hills": 1, "tree": 1}) == ("sky", "hills", "tree")
    assert back_to_front(("tree", "sky"), {"sky": 1, "tree": 1}) == ("tree", "sky")


def test_a_colour_above_its_alpha_is_cut_to_it() -> None:
    """A generator's premultiplied output need not be consistent; without the cut, a transparent pixel would glow."""
    fusion = MatteFusion(AlphaFusionRecipe(harmonise=False), {"fg": RGBA, "bg": RGB}, SIZE, None)
    front = torch.ones(1, 4, SIZE, SIZE)
    front[:, 3] = -1  # white, and transparent
    back = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    torch.testing.assert_close(fused(fusion, FusionInput({"fg": front, "bg": back})).image, back, atol=1e-6, rtol=0)


@pytest.mark.parametrize("recipe", [MatteFusionRecipe(), MatteFeaturesFusionRecipe()])
def test_learned_mattes_cost_in_training_alone_and_reach_every_parameter(recipe: MatteFusionRecipe | MatteFeaturesFusionRecipe) -> None:
    torch.manual_seed(0)
    fusion = MatteFusion(recipe, {"fg": RGB, "bg": RGB}, SIZE, None)
    given = material({"fg": 3, "bg": 3}, kimg=20.0)
    result = fused(fusion, given)
    assert result.matte is not None
    assert result.matte.shape == (2, 1, SIZE, SIZE)
    assert 0 <= float(result.matte.detach().min()) <= float(result.matte.detach().max()) <= 1
    assert result.loss is not None
    (result.loss + result.image.square().mean()).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for name, parameter in fusion.named_parameters() if not name.endswith(("0.weight", "0.bias")))
    assert fused(fusion.eval(), given).loss is None


def test_training_moves_a_learned_layer_by_chance_and_use_does_not() -> None:
    fusion = MatteFusion(MatteFusionRecipe(training_shift=0.25, harmonise=False), {"fg": RGB, "bg": RGB}, SIZE, None)
    given = material({"fg": 3, "bg": 3})
    torch.manual_seed(0)
    first, second = fused(fusion, given).image, fused(fusion, given).image
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(fused(fusion, given).image, first)
    fusion.eval()
    assert torch.equal(fused(fusion, given).image, fused(fusion, given).image)


def test_placement_has_a_latent_of_its_own_and_a_stand_replaces_it() -> None:
    fusion = MatteFusion(AlphaFusionRecipe(), {"fg": RGBA, "bg": RGB}, SIZE, PlacementRecipe()).eval()
    assert fusion.placement_dim == 4
    assert fusion.movable_layers == ("fg",)
    given = material({"fg": 4, "bg": 3}, place=4)
    result = fused(fusion, given)
    assert set(result.transforms) == {"fg"}
    ones, zeros = torch.ones(2), torch.zeros(2)
    still = fused(
        fusion, FusionInput(given.images, placement_latent=given.placement_latent, transforms={"fg": LayerTransform(ones, zeros, zeros, ones)})
    )
    torch.testing.assert_close(still.image, composite(given.images["fg"], given.images["bg"]), atol=1e-5, rtol=0)
    assert not torch.allclose(result.image, still.image)


@pytest.mark.parametrize(
    ("recipe", "layers", "message"),
    [
        (AlphaFusionRecipe(), {"fg": RGB, "bg": RGB}, r"^composer\.fusion\.kind: alpha needs layers with a matte, but fg has 3.*image_channels = 4"),
        (AlphaFusionRecipe(), {"fg": RGBA}, r"^composer\.fusion\.kind: .*only one"),
        (OverFusionRecipe(order=("bg", "sky")), {"fg": RGBA, "bg": RGB}, r"^composer\.fusion\.order: names bg, sky, but the layers are fg, bg"),
        (MatteFeaturesFusionRecipe(), {"fg": LayerSpec(3), "bg": RGB}, r"^composer\.fusion\.kind: .*activations.*of fg.*use matte"),
    ],
)
def test_layers_that_do_not_suit_are_refused(recipe: Any, layers: dict[str, LayerSpec], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MatteFusion(recipe, layers, SIZE, None)


def test_every_kind_is_built() -> None:
    for schema in FUSION_KINDS.values():
        recipe: Any = schema()
        fusion = FUSIONS[schema](recipe, {"fg": RGBA, "bg": RGB}, SIZE, None)
        assert fused(fusion, material({"fg": 4, "bg": 3})).image.shape == (2, 3, SIZE, SIZE)
