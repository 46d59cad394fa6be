import math

import pytest
import torch
from torch import Tensor

from mitlgan.errors import DataError
from mitlgan.images.alpha import PremultipliedLayer
from mitlgan.networks.placement import PLACEMENT_DIM, PlacementBounds, PlacementPrior, transform_layer
from mitlgan.networks.placement_fit import fit_bounds, object_extents
from mitlgan.recipe import PlacementRecipe


def objects(count: int, size: int = 48) -> Tensor:
    """Boxes of different proportions in the middle of their frames."""
    mattes = torch.zeros(count, 1, size, size)
    for index in range(count):
        tall, wide = 8 + 2 * (index % 4), 8 + 3 * (index % 3)
        mattes[index, :, size // 2 - tall : size // 2 + tall, size // 2 - wide : size // 2 + wide] = 1
    return mattes


def placed(recipe: PlacementRecipe, count: int = 3000) -> Tensor:
    mattes = objects(count)
    latents = torch.randn(count, PLACEMENT_DIM, generator=torch.Generator().manual_seed(5))
    return transform_layer(PremultipliedLayer(mattes, mattes)._replace(color=mattes.repeat(1, 3, 1, 1)), PlacementPrior(recipe)(latents)).alpha.detach()


def test_size_and_centre_of_a_box() -> None:
    matte = torch.zeros(2, 1, 8, 8)
    matte[0, :, 0:4, 4:8] = 1  # a quarter, above and to the right
    result = object_extents(matte)
    torch.testing.assert_close(result.log_size, torch.tensor([math.log(0.5)], dtype=torch.float64))
    torch.testing.assert_close(result.center, torch.tensor([[0.5, -0.5]], dtype=torch.float64))


@pytest.mark.parametrize(("scale", "margin"), [((0.6, 0.9), 0.0), ((0.5, 1.0), 0.1), ((0.7, 0.7), 0.05)])
def test_the_bounds_that_placed_objects_are_found_again(scale: tuple[float, float], margin: float) -> None:
    result = fit_bounds(objects(600), placed(PlacementRecipe(scale=scale, margin=margin)))
    assert math.exp(result.log_min_scale) == pytest.approx(scale[0], rel=0.06)
    assert math.exp(result.log_max_scale) == pytest.approx(scale[1], rel=0.06)
    assert result.margin == pytest.approx(margin, abs=0.03)


def test_objects_that_stand_low_are_placed_low() -> None:
    recipe = PlacementRecipe(scale=(0.5, 0.7), margin=0.0, center=(-0.05, 0.25), flip=False)
    result = fit_bounds(objects(600), placed(recipe))
    assert result.center == pytest.approx((-0.05, 0.25), abs=0.02)
    assert result.margin == pytest.approx(0, abs=0.03)
    placement = PlacementPrior(PlacementRecipe(center=(0.0, 0.0), learn=False))
    placement.set_bounds(result)
    drawn = placement(torch.randn(3000, PLACEMENT_DIM, generator=torch.Generator().manual_seed(6)))
    assert float(drawn.y.mean()) == pytest.approx(0.25, abs=0.03)


def test_the_centre_of_the_layer_itself_is_not_counted_twice() -> None:
    low = torch.roll(objects(600), 6, dims=2)  # a quarter of the frame below its middle
    assert fit_bounds(low, low).center == pytest.approx((0, 0), abs=1e-6)
    right = torch.roll(objects(600), 6, dims=3)
    assert fit_bounds(right, right).center[0] == pytest.approx(0, abs=1e-6)
    assert fit_bounds(right, right, flip=True).center[0] == pytest.approx(0.25, abs=0.03)  # flipped layers are in the middle on average


def test_objects_that_fill_every_picture_get_one_scale_and_no_shift() -> None:
    result = fit_bounds(objects(600), objects(600))
    assert result.log_min_scale == pytest.approx(result.log_max_scale, abs=1e-6) == pytest.approx(0, abs=1e-6)
    assert result.margin == pytest.approx(0, abs=1e-6)


def test_mattes_of_nothing_do_not_count() -> None:
    assert fit_bounds(objects(60), torch.cat([objects(60), torch.zeros(40, 1, 48, 48)])) == fit_bounds(objects(60), objects(60))
    with pytest.raises(DataError, match=r"^the mattes: fewer than 2 objects"):
        fit_bounds(objects(60), torch.zeros(40, 1, 48, 48))


def test_a_placement_draws_between_measured_bounds() -> None:
    placement = PlacementPrior(PlacementRecipe(learn=False))
    placement.set_bounds(PlacementBounds(math.log(0.8), math.log(1.2), 0.3))
    torch.testing.assert_close(torch.stack(placement.bounds()), torch.tensor([math.log(0.8), math.log(1.2), 0.3]))
    scale = placement(torch.randn(2000, PLACEMENT_DIM, generator=torch.Generator().manual_seed(1))).scale
    assert 0.8 <= float(scale.min()) < 0.81
    assert 1.19 < float(scale.max()) <= 1.2 + 1e-6
