"""The classic GANs' networks: the sources' printed counts, sizes that are no powers of two, and how weights begin."""

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.recipe import (
    AnyCritic,
    AnyGenerator,
    DcganGeneratorRecipe,
    MlpCriticRecipe,
    MlpGeneratorRecipe,
    StridedCriticRecipe,
    UpsampledGeneratorRecipe,
)


def test_mlp_has_the_printed_parameters() -> None:
    """Akel 2022, figures 4.4 to 4.6."""
    generator = networks.count_parameters(networks.build_generator(MlpGeneratorRecipe(image_channels=1), 28))
    critic = networks.count_parameters(networks.build_critic(MlpCriticRecipe(image_channels=1), 28))
    assert generator == (1_493_520, 1_489_936)
    assert critic == (533_505, 533_505)
    assert generator.parameters + critic.parameters == 2_027_025


def test_mlp_rows_are_the_printed_ones() -> None:
    rows = networks.summarize_blocks(networks.build_generator(MlpGeneratorRecipe(image_channels=1), 28), (100,))
    assert [row.parameters for row in rows if row.parameters] == [25856, 1024, 131584, 2048, 525312, 4096, 803600]
    assert [row.type for row in rows[:3]] == ["Linear", "LeakyReLU", "BatchNorm1d"]


@pytest.mark.parametrize(("size_px", "base_px"), [(28, 7), (40, 10), (64, 16)])
@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_upsampled_reaches_sizes_that_are_no_powers_of_two(size_px: int, base_px: int, kernel: int, channels: int) -> None:
    recipe = UpsampledGeneratorRecipe(widths=(4, 4, 3), latent_dim=5, kernel=kernel, image_channels=channels)  # type: ignore[arg-type]
    generator = networks.build_generator(recipe, size_px)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, channels, size_px, size_px)
    assert images.abs().max() <= 1
    assert networks.summarize_blocks(generator, (5,))[2].output_shape == (4, base_px, base_px)


@pytest.mark.parametrize(("head", "stem"), [("conv", "dense"), ("transposed", "transposed")])
@pytest.mark.parametrize("size_px", [8, 32, 64, 128])
def test_dcgan_is_as_deep_as_its_size(size_px: int, head: str, stem: str) -> None:
    recipe = DcganGeneratorRecipe(latent_dim=5, base_width=16, narrowest=2, head=head, stem=stem)  # type: ignore[arg-type]
    generator = networks.build_generator(recipe, size_px)
    assert generator(torch.randn(2, 5)).shape == (2, 3, size_px, size_px)
    doublings = [module for module in generator.modules() if isinstance(module, nn.ConvTranspose2d) and module.stride == (2, 2)]
    assert 4 * 2 ** len(doublings) == size_px
    assert all(module.kernel_size == (4, 4) for module in doublings)


def test_dcgan_64_is_benedettis() -> None:
    """Section 3.4: 512-256-128-64-3, no bias; the critic 64-128-256-512-1 without BatchNorm after its first convolution."""
    generator = networks.build_generator(DcganGeneratorRecipe(widths=(512, 256, 128, 64)), 64)
    convs = [module for module in generator.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [(conv.in_channels, conv.out_channels, conv.stride[0]) for conv in convs] == [
        (100, 512, 1), (512, 256, 2), (256, 128, 2), (128, 64, 2), (64, 3, 2),
    ]  # fmt: skip
    assert all(conv.bias is None for conv in convs)
    critic = networks.build_critic(_benedetti_critic(), 64)
    downs = [module for module in critic.modules() if isinstance(module, nn.Conv2d)]
    assert [(conv.out_channels, conv.stride[0], conv.kernel_size[0]) for conv in downs] == [
        (64, 2, 4), (128, 2, 4), (256, 2, 4), (512, 2, 4), (1, 1, 4),
    ]  # fmt: skip
    assert all(conv.bias is None for conv in downs)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in critic.modules()) == 3
    assert critic(torch.zeros(3, 3, 64, 64)).shape == (3,)


def _benedetti_critic() -> StridedCriticRecipe:
    return StridedCriticRecipe(widths=(64, 128, 256, 512), kernel=4, bias=False, head="conv", norm_order="before")


@pytest.mark.parametrize("order", ["after", "before"])
def test_norm_stands_where_the_recipe_says(order: str) -> None:
    critic = networks.build_critic(StridedCriticRecipe(widths=(3, 4), norm_first=True, norm_order=order, dropout=(0.1, 0.0)), 8)  # type: ignore[arg-type]
    types = [type(module).__name__ for module in critic.modules() if not any(module.children())][:4]
    assert types == (["Conv2d", "LeakyReLU", "BatchNorm2d", "Dropout"] if order == "after" else ["Conv2d", "BatchNorm2d", "LeakyReLU", "Dropout"])


def test_keras_momentum() -> None:
    generator = networks.build_generator(MlpGeneratorRecipe(widths=(4,), norm_momentum=0.2, norm_eps=1e-3), 8)
    norm = next(module for module in generator.modules() if isinstance(module, nn.BatchNorm1d))
    assert (norm.momentum, norm.eps) == (0.2, 1e-3)


@pytest.mark.parametrize("std", [0.02, 0.2])
def test_normal_weights(std: float) -> None:
    torch.manual_seed(0)
    recipe = DcganGeneratorRecipe(widths=(128, 64), init="normal", init_std=std)
    convs = [m for m in networks.build_generator(recipe, 16).modules() if isinstance(m, nn.ConvTranspose2d)]
    norms = [m for m in networks.build_generator(recipe, 16).modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(conv.weight.std().item() == pytest.approx(std, rel=0.05) for conv in convs)
    assert norms[0].weight.mean().item() == pytest.approx(1.0, abs=std)
    assert norms[0].weight.std().item() == pytest.approx(std, rel=0.3)


def test_glorot_weights() -> None:
    torch.manual_seed(0)
    critic = networks.build_critic(MlpCriticRecipe(init="glorot"), 16)
    dense = next(module for module in critic.modules() if isinstance(module, nn.Linear))
    assert dense.weight.abs().max().item() == pytest.approx((6 / (768 + 512)) ** 0.5, rel=1e-3)
    assert not dense.bias.any()


def test_spectral_norm_bounds_the_slope() -> None:
    torch.manual_seed(0)
    critic = networks.build_critic(StridedCriticRecipe(widths=(8, 8), spectral=True, normalisation="none"), 8)
    for _ in range(30):
        critic(torch.randn(4, 3, 8, 8))  # each forward is one power iteration
    dense = critic.get_submodule("stages.score.last")
    assert torch.linalg.matrix_norm(dense.weight, 2).item() == pytest.approx(1.0, rel=1e-2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "size_px", "start"),
    [
        (UpsampledGeneratorRecipe(widths=(4, 4, 4)), 30, "generator.widths doubles 2 times"),
        (DcganGeneratorRecipe(), 40, "size_px = 40"),
        (DcganGeneratorRecipe(widths=(8, 8)), 64, "generator.widths has 2 entries"),
        (StridedCriticRecipe(kernel=31), 16, "critic.kernel = 31"),
        (StridedCriticRecipe(widths=(4,) * 8, kernel=4), 64, "critic.widths leaves nothing"),
    ],
)
def test_unreachable_sizes_are_refused_by_key(recipe: AnyGenerator | AnyCritic, size_px: int, start: str) -> None:
    build = networks.build_critic if isinstance(recipe, StridedCriticRecipe) else networks.build_generator
    with pytest.raises(UsageError, match=f"^{start}"):
        build(recipe, size_px)  # type: ignore[operator]
