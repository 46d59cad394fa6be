import pytest
import torch

from mitlgan.networks.fusion.matte_networks import FeatureMatteNet, ImageMatteNet, binarization_penalty, matte_regularization, mean_range_penalty
from mitlgan.recipe.schema.composer import OverFusionRecipe


def even(*opacities: float) -> torch.Tensor:
    return torch.stack([torch.full((1, 4, 4), opacity) for opacity in opacities])


@pytest.mark.parametrize(("opacity", "cost"), [(0.0, 0.1), (0.05, 0.05), (0.1, 0.0), (0.5, 0.0), (0.8, 0.0), (0.9, 0.1), (1.0, 0.2)])
def test_hinge_is_two_sided(opacity: float, cost: float) -> None:
    assert float(mean_range_penalty(even(opacity), 0.1, 0.8)) == pytest.approx(cost, abs=1e-6)


def test_hinge_is_per_image_so_that_extremes_do_not_cancel() -> None:
    assert float(mean_range_penalty(even(0.0, 1.0), 0.1, 0.8)) == pytest.approx(0.15)


@pytest.mark.parametrize(("opacity", "cost"), [(0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.2, 0.2), (0.7, 0.3)])
def test_indecision(opacity: float, cost: float) -> None:
    assert float(binarization_penalty(even(opacity))) == pytest.approx(cost, abs=1e-6)


@pytest.mark.parametrize(("kimg", "share"), [(0.0, 0.0), (2.5, 0.25), (10.0, 1.0), (50.0, 1.0)])
def test_weight_of_indecision_grows_with_the_clock(kimg: float, share: float) -> None:
    recipe = OverFusionRecipe(range_weight=3.0, binary_weight=2.0, binary_kimg=10.0)
    assert float(matte_regularization(recipe, even(0.4), kimg)) == pytest.approx(share * 2 * 0.4)
    assert float(matte_regularization(recipe, even(0.9), kimg)) == pytest.approx(3 * 0.1 + share * 2 * 0.1)


def test_without_a_ramp_it_has_its_weight_at_once() -> None:
    assert float(matte_regularization(OverFusionRecipe(binary_kimg=0.0), even(0.4), 0.0)) == pytest.approx(0.4)


def test_parameter_counts() -> None:
    image = sum(parameter.numel() for parameter in ImageMatteNet(16).parameters())
    assert image == (6 * 25 * 16 + 16) + (16 * 9 * 16 + 16) + (16 * 9 + 1)
    features = sum(parameter.numel() for parameter in FeatureMatteNet((64, 32), 16, 32).parameters())
    assert features == (64 * 16 + 16) + (32 * 16 + 16) + (16 * 9 * 16 + 16) + (16 * 9 + 1)


def test_a_matte_from_activations_sees_them_all() -> None:
    torch.manual_seed(0)
    network = FeatureMatteNet((5, 3), 4, 16)
    features = [torch.randn(2, 5, 4, 4, requires_grad=True), torch.randn(2, 3, 8, 8, requires_grad=True)]
    matte = network(features)
    assert matte.shape == (2, 1, 16, 16)
    matte.sum().backward()
    assert all(feature.grad is not None and float(feature.grad.abs().max()) > 0 for feature in features)
