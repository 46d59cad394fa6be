"""Every kind of translator, and how each may end."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks import check_size
from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.bounded_residual import BoundedResidual
from mitlgan.networks.translators.guided import DenseConvs
from mitlgan.recipe import (
    AnyTranslator,
    ComposerRecipe,
    Conv1x1FusionRecipe,
    DensenetTranslatorRecipe,
    DenseTranslatorRecipe,
    GuidedTranslatorRecipe,
    NoTranslatorRecipe,
    ResnetTranslatorRecipe,
    UnetTranslatorRecipe,
    thesis_generator,
)
from mitlgan.recipe.schema.translators import MAX_LIGHT_PARAMETERS, TRANSLATOR_KINDS

THESIS_COMPOSER_MACS = 26_914_947_072
SIZES_PX = (8, 16, 32, 64, 128, 256, 512, 1024)
DEFAULTS: list[AnyTranslator] = [
    DenseTranslatorRecipe(),
    ResnetTranslatorRecipe(),
    DensenetTranslatorRecipe(),
    UnetTranslatorRecipe(widths=(32, 64, 128)),
    GuidedTranslatorRecipe(),
    NoTranslatorRecipe(),
]
SMALL: list[AnyTranslator] = [
    DenseTranslatorRecipe(widths=(4, 6, 8), blocks=2),
    ResnetTranslatorRecipe(widths=(4, 6, 8), blocks=2),
    DensenetTranslatorRecipe(widths=(4, 6, 8), growth_rate=3, blocks=(2, 3)),
    DensenetTranslatorRecipe(widths=(4, 6, 8), growth_rate=3, blocks=(2,), bottleneck=False),
    GuidedTranslatorRecipe(width=6, blocks=2),
    UnetTranslatorRecipe(widths=(4, 6, 8)),
    GuidedTranslatorRecipe(width=6, blocks=2, growth_rate=3),
]
ENDINGS = ("relu", "tanh", "residual")


def build(recipe: AnyTranslator, size_px: int) -> nn.Module:
    check_size(recipe, size_px)
    return TRANSLATORS[type(recipe)](recipe, 3)


def ending(recipe: AnyTranslator, name: str) -> AnyTranslator:
    return recipe.model_copy(update={"activation": name})


def normed_conv(before: int, after: int, kernel: int) -> int:
    """Conv without bias, affine InstanceNorm."""
    return before * after * kernel**2 + 2 * after


def frame(widths: tuple[int, ...], channels: int) -> int:
    """From the image to the last width, and from so many channels back to the image."""
    there = normed_conv(3, widths[0], 7) + sum(normed_conv(before, after, 3) for before, after in pairwise(widths))
    back = sum(normed_conv(before, after, 3) for before, after in pairwise([channels, *reversed(widths[:-1])]))
    return there + back + 3 * widths[0] * 49 + 3


# What each kind amounts to


def test_unet_counted_by_hand() -> None:
    """Two convolutions a size; on the way up the first also sees the features of its size on the way down."""
    widths = (32, 64, 128)
    down = normed_conv(3, 32, 7) + normed_conv(32, 64, 3) + normed_conv(64, 128, 3)
    up = normed_conv(128 + 64, 64, 3) + normed_conv(64 + 32, 32, 3)
    second = sum(normed_conv(width, width, 3) for width in (*widths, *widths[:-1]))
    expected = down + up + second + 3 * 32 * 49 + 3
    with torch.device("meta"):
        assert networks.count_parameters(build(UnetTranslatorRecipe(widths=widths), 64)) == (expected, expected)


@pytest.mark.parametrize("recipe", [DenseTranslatorRecipe(widths=(4, 6, 8), blocks=2), UnetTranslatorRecipe(widths=(4, 6, 8))])
def test_keras_settings_reach_every_block(recipe: DenseTranslatorRecipe | UnetTranslatorRecipe) -> None:
    translator = build(recipe.model_copy(update={"init": "glorot", "norm_eps": 1e-3, "activation": "residual"}), 16)
    assert {block.eps for block in translator.modules() if isinstance(block, nn.InstanceNorm2d)} == {1e-3}
    convs = {name: conv for name, conv in translator.named_modules() if isinstance(conv, nn.Conv2d)}
    assert [name for name, conv in convs.items() if not conv.weight.any()] == ["stages.leave.conv"]  # a correction still starts at zero
    first = convs["stages.enter.conv" if "stages.enter.conv" in convs else "stages.enter.conv_1.conv"].weight
    assert first.abs().max().item() <= (6 / (49 * (3 + 4))) ** 0.5


def test_resnet_counted_by_hand() -> None:
    expected = frame((32, 64, 128), 128) + 5 * 2 * (9 * 128**2 + 2 * 128)
    with torch.device("meta"):
        assert networks.count_parameters(build(ResnetTranslatorRecipe(), 128)) == (expected, expected)
    assert expected == 1_671_491


def test_densenet_counted_by_hand() -> None:
    """Two dense blocks of six steps each: 128 to 320 channels, halved, 160 to 352, halved."""
    expected = frame((32, 64, 128), 176)
    for start in (128, 160):
        for channels in range(start, start + 6 * 32, 32):
            expected += (2 * channels + channels * 128) + (2 * 128 + 128 * 32 * 9)
        whole = start + 6 * 32
        expected += 2 * whole + whole * whole // 2
    with torch.device("meta"):
        assert networks.count_parameters(build(DensenetTranslatorRecipe(), 128)) == (expected, expected)
    assert expected == 1_131_395


def test_densenet_without_bottleneck_counted_by_hand() -> None:
    recipe = DensenetTranslatorRecipe(widths=(4, 6, 8), growth_rate=3, blocks=(2,), bottleneck=False)
    expected = frame((4, 6, 8), 7) + (2 * 8 + 8 * 3 * 9) + (2 * 11 + 11 * 3 * 9) + (2 * 14 + 14 * 7)
    assert networks.count_parameters(build(recipe, 32)).parameters == expected


@pytest.mark.parametrize("size_px", SIZES_PX)
def test_light_counted_by_hand_at_every_size(size_px: int) -> None:
    """48 channels in and between: 4 x 4 pixels of three values are 48, too."""
    expected = 7 * (48 * 48 * 9 + 48) + (48 * 16 + 16) + (19 * 16 * 9 + 16) + (16 * 3 * 9 + 3)
    with torch.device("meta"):
        light = build(GuidedTranslatorRecipe(), size_px)
    assert networks.count_parameters(light) == (expected, expected)
    assert expected == 149_459 <= MAX_LIGHT_PARAMETERS
    assert networks.count_macs(light, (3, size_px, size_px)) == light_macs(size_px)


@pytest.mark.parametrize(("blocks", "growth"), [(6, 24), (1, 1), (3, 7)])
def test_light_with_dense_connections_counted_by_hand(blocks: int, growth: int) -> None:
    dense = sum((48 + i * growth) * growth * 9 + growth for i in range(blocks))
    expected = 48 * 48 * 9 + 48 + dense + ((48 + blocks * growth) * 16 + 16) + (19 * 16 * 9 + 16) + (16 * 3 * 9 + 3)
    light = build(GuidedTranslatorRecipe(blocks=blocks, growth_rate=growth), 16)
    assert networks.count_parameters(light) == (expected, expected)
    with pytest.raises(ValueError, match=r"make 2,857,907 parameters"):
        GuidedTranslatorRecipe(blocks=16, growth_rate=48)


def test_dense_connections_of_light_are_their_naive_form() -> None:
    torch.manual_seed(0)
    block = DenseConvs(5, 3, 2)
    features = torch.randn(2, 5, 4, 4)
    first = torch.relu(block.convs[0](features))
    second = torch.relu(block.convs[1](torch.cat([features, first], dim=1)))
    torch.testing.assert_close(block(features), torch.cat([features, first, second], dim=1))


def light_macs(size_px: int) -> int:
    return (size_px // 4) ** 2 * (7 * 48 * 48 * 9 + 48 * 16) + size_px**2 * (19 * 16 * 9 + 16 * 3 * 9)


@pytest.mark.parametrize(("unshuffle", "widest"), [(2, 94), (4, 91), (8, 81)])
def test_no_light_translator_has_more_than_half_a_million_parameters(unshuffle: int, widest: int) -> None:
    """The widest of three blocks that the recipe lets through; one channel more is refused."""
    recipe = GuidedTranslatorRecipe(unshuffle=unshuffle, width=widest)  # type: ignore[arg-type]
    light = build(recipe, 16)
    assert 0.95 * MAX_LIGHT_PARAMETERS < networks.count_parameters(light).parameters <= MAX_LIGHT_PARAMETERS
    with pytest.raises(ValueError, match=r"width = .* make 50\d,\d{3} parameters.* at most 500,000"):
        GuidedTranslatorRecipe(unshuffle=unshuffle, width=widest + 1)  # type: ignore[arg-type]


def test_light_with_fusion_costs_a_tenth_of_the_thesis_composer_at_most() -> None:
    with torch.device("meta"):
        generator = networks.build_generator(thesis_generator(128), 128)
        composer = networks.build_composer(
            ComposerRecipe(fusion=Conv1x1FusionRecipe(activation="tanh"), translator=GuidedTranslatorRecipe()), {"fg": generator, "bg": generator}, 128
        )
    layers = 2 * networks.count_macs(generator, (1536,))
    own = networks.count_macs(composer, (3072,)) - layers
    assert own == 128**2 * 6 * 3 + light_macs(128)
    assert own <= THESIS_COMPOSER_MACS / 100


def test_light_is_light_beside_the_narrow_thesis_at_32_px() -> None:
    narrow, light = build(DenseTranslatorRecipe(widths=(16, 32, 64)), 32), build(GuidedTranslatorRecipe(), 32)
    assert networks.count_macs(light, (3, 32, 32)) * 8 < networks.count_macs(narrow, (3, 32, 32))


def test_none_is_the_fused_image() -> None:
    none = build(NoTranslatorRecipe(), 32)
    image = torch.randn(2, 3, 32, 32)
    assert none(image) is image
    assert networks.count_parameters(none) == (0, 0)
    assert networks.count_macs(none, (3, 32, 32)) == 0


@pytest.mark.parametrize("recipe", [*SMALL, NoTranslatorRecipe()], ids=lambda recipe: recipe.kind)
def test_multiply_accumulates_agree_with_torchs_counter(recipe: AnyTranslator) -> None:
    translator = build(recipe, 16)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        translator(torch.zeros(1, 3, 16, 16))
    assert networks.count_macs(translator, (3, 16, 16)) == counter.get_total_flops() // 2


def test_light_is_described_block_by_block() -> None:
    table = networks.summarize_blocks(build(GuidedTranslatorRecipe(width=6, blocks=1, detail=5), 16), (3, 16, 16))
    inner = "stages.context.block_1.change"
    assert [dataclasses.astuple(row)[:6] for row in table] == [
        ("stages.context.unshuffle", "PixelUnshuffle", (48, 4, 4), 0, 0, 0),
        ("stages.context.enter.conv", "Conv2d", (6, 4, 4), 2598, 2598, 16 * 6 * 48 * 9),
        ("stages.context.enter.activation", "ReLU", (6, 4, 4), 0, 0, 0),
        (f"{inner}.first", "Conv2d", (6, 4, 4), 330, 330, 16 * 6 * 6 * 9),
        (f"{inner}.activation", "ReLU", (6, 4, 4), 0, 0, 0),
        (f"{inner}.second", "Conv2d", (6, 4, 4), 330, 330, 16 * 6 * 6 * 9),
        ("stages.context.spread", "Conv2d", (5, 4, 4), 35, 35, 16 * 6 * 5),
        ("stages.context.upsample", "Upsample", (5, 16, 16), 0, 0, 0),
        ("stages.detail.conv", "Conv2d", (5, 16, 16), 365, 365, 256 * 8 * 5 * 9),
        ("stages.detail.activation", "LeakyReLU", (5, 16, 16), 0, 0, 0),
        ("stages.leave.conv", "Conv2d", (3, 16, 16), 138, 138, 256 * 5 * 3 * 9),
        ("stages.leave.activation", "Tanh", (3, 16, 16), 0, 0, 0),
    ]


# What each kind does


@pytest.mark.parametrize("size_px", [8, 32, 64, 128])
@pytest.mark.parametrize("recipe", DEFAULTS, ids=lambda recipe: recipe.kind)
def test_every_kind_keeps_the_images_shape(recipe: AnyTranslator, size_px: int) -> None:
    with torch.device("meta"):
        assert build(recipe, size_px)(torch.empty(2, 3, size_px, size_px)).shape == (2, 3, size_px, size_px)


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("recipe", SMALL, ids=lambda recipe: recipe.kind)
def test_training_reaches_every_parameter(recipe: AnyTranslator, name: str) -> None:
    """The second step does, for before the first one a residual's last conv is zero and lets nothing through."""
    torch.manual_seed(0)
    translator = build(ending(recipe, name), 8)
    optimiser = torch.optim.Adam(translator.parameters(), lr=1e-2)
    image, wanted = torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = (translator(image) - wanted).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert losses[-1] < losses[0]
    for parameter_name, parameter in translator.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        # The thesis' convs have a bias that InstanceNorm takes away again.
        assert parameter.grad.abs().max() > 0 or (recipe.kind == "dense" and parameter_name.endswith("conv.bias"))


@pytest.mark.parametrize("recipe", SMALL, ids=lambda recipe: recipe.kind)
@pytest.mark.parametrize(("name", "lowest", "highest"), [("relu", 0.0, float("inf")), ("tanh", -1.0, 1.0)])
def test_an_ending_decides_the_range(recipe: AnyTranslator, name: str, lowest: float, highest: float) -> None:
    torch.manual_seed(0)
    images = build(ending(recipe, name), 8)(3 * torch.randn(8, 3, 8, 8))
    assert lowest <= images.min() <= images.max() <= highest
    assert (images.min() < 0) == (lowest < 0)


def naive_densenet(block: nn.Module, features: Tensor) -> Tensor:
    for step in block.steps.children():
        features = torch.cat([features, step(features)], dim=1)
    return features


@pytest.mark.parametrize("bottleneck", [True, False])
def test_dense_blocks_are_their_naive_form(bottleneck: bool) -> None:
    torch.manual_seed(0)
    recipe = DensenetTranslatorRecipe(widths=(4, 6, 8), growth_rate=3, blocks=(4,), bottleneck=bottleneck)
    block = build(recipe, 16).get_submodule("block_1").double()
    features = torch.randn(2, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 20, 4, 4, dtype=torch.float64)
    given = [features, *block.parameters()]
    outputs = block(features), naive_densenet(block, features)
    assert torch.equal(*outputs)
    first, second = (torch.autograd.grad((output * weights).sum(), given) for output in outputs)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_residual_block_is_the_image_and_a_change() -> None:
    block = build(ResnetTranslatorRecipe(widths=(4, 6, 8), blocks=1), 16).get_submodule("block_1")
    features = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(features), features + block.change(features))
    assert [type(part).__name__ for part in block.modules() if not any(part.children())] == [
        "Conv2d",
        "InstanceNorm2d",
        "ReLU",
        "Conv2d",
        "InstanceNorm2d",
    ]


def test_light_lets_each_image_keep_its_contrast() -> None:
    """A translator that normalises gives the same to an image and to its half; this one is without any."""
    torch.manual_seed(0)
    light = build(GuidedTranslatorRecipe(width=8, blocks=1, activation="tanh"), 16)
    assert not any(isinstance(part, nn.InstanceNorm2d) for part in light.modules())
    image = torch.randn(2, 3, 16, 16)
    assert not torch.allclose(light(image), light(image / 2), atol=1e-2)


# The residual end


@pytest.mark.parametrize("recipe", SMALL, ids=lambda recipe: recipe.kind)
def test_a_residual_begins_at_the_fused_image_itself(recipe: AnyTranslator) -> None:
    torch.manual_seed(0)
    translator = build(ending(recipe, "residual"), 16)
    image = torch.rand(4, 3, 16, 16) * 2 - 1
    image[0] = 1.0
    image[1] = -1.0
    assert torch.equal(translator(image), image)
    stages = translator.get_submodule("stages")
    assert not any(isinstance(part, nn.InstanceNorm2d) for part in stages.get_submodule("leave").modules())


def test_a_residual_is_bounded() -> None:
    """By its scale, which is 0.5 unless the recipe says otherwise, and by the range of images."""
    torch.manual_seed(0)
    image = torch.rand(4, 3, 16, 16) * 2 - 1
    for scale, expected in ((None, 0.5), (0.125, 0.125), (2.0, 2.0)):
        translator = build(GuidedTranslatorRecipe(width=8, blocks=1, residual_scale=scale), 16)
        with torch.no_grad():
            translator.get_submodule("stages.leave.conv").weight.normal_(0.0, 100.0)
        moved = translator(image)
        assert -1.0 <= moved.min() < moved.max() <= 1.0
        assert (moved - image).abs().max().item() == pytest.approx(min(expected, 2.0), abs=0.05)
        assert (moved - image).abs().max() <= expected + 1e-6


def test_the_clamp_lets_back_what_lies_outside() -> None:
    values = torch.tensor([-1.5, -1.5, -1.0, -1.0, 0.25, 1.0, 1.0, 1.5, 1.5], requires_grad=True)
    gradient = torch.tensor([1.0, -1.0, 1.0, -1.0, 3.0, 1.0, -1.0, 1.0, -1.0])
    clamped = BoundedResidual(nn.Sequential(), 0.0)(values)
    assert torch.equal(clamped, values.clamp(-1, 1))
    clamped.backward(gradient)
    # Descent moves against the gradient: it may raise -1.5 (second) and lower 1.5 (last but one), and not the other way round.
    assert torch.equal(values.grad, torch.tensor([0.0, -1.0, 1.0, -1.0, 3.0, 1.0, -1.0, 1.0, 0.0]))


def test_a_residual_pushed_out_finds_back() -> None:
    """With torch's clamp a change beyond the border would have no gradient, and stay there."""
    change = nn.Parameter(torch.full((1, 3, 2, 2), 0.9))
    image = torch.full((1, 3, 2, 2), 0.8)

    class Stages(nn.Module):
        def forward(self, _image: Tensor) -> Tensor:
            return change.tanh()

    translator = BoundedResidual(Stages(), 1.0)
    assert torch.equal(translator(image), torch.ones_like(image))
    optimiser = torch.optim.SGD([change], lr=1.0)
    for _ in range(60):
        optimiser.zero_grad()
        (translator(image) - 0.5).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(translator(image), torch.full_like(image, 0.5), rtol=0, atol=1e-3)


# What is refused


@pytest.mark.parametrize(
    ("recipe", "size_px", "message"),
    [
        (ResnetTranslatorRecipe(), 34, r"^composer\.translator\.widths: 3 widths halve the image 2 times.*give fewer"),
        (DensenetTranslatorRecipe(), 34, r"^composer\.translator\.widths: 3 widths halve the image 2 times.*give fewer"),
        (ResnetTranslatorRecipe(), 4, r"^composer\.translator\.kind: a kernel of 7 px is larger"),
        (GuidedTranslatorRecipe(), 34, r"^composer\.translator\.unshuffle: size_px = 34 is no multiple of 4"),
    ],
)
def test_a_size_that_cannot_be_halved_is_refused(recipe: AnyTranslator, size_px: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_size(recipe, size_px)
    with pytest.raises(UsageError, match=message):
        build(recipe, size_px)


def test_every_kind_of_the_recipes_can_be_built() -> None:
    assert [recipe.kind for recipe in DEFAULTS] == list(TRANSLATOR_KINDS)
    assert all(isinstance(build(recipe, 32), nn.Module) for recipe in DEFAULTS)
    assert [getattr(recipe, "activation", None) for recipe in DEFAULTS] == ["relu", "tanh", "tanh", "tanh", "residual", None]
