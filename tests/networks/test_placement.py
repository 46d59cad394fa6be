import math

import pytest
import torch
from torch import Tensor

from mitlgan.images.alpha import PremultipliedLayer, over, split_premultiplied, to_opaque_rgb
from mitlgan.networks.placement import BOUNDS_LR_GAIN, PLACEMENT_DIM, LayerTransform, PlacementPrior, transform_layer
from mitlgan.recipe import PlacementRecipe


def stand(scale: float = 1.0, across: float = 0.0, down: float = 0.0, mirror: float = 1.0) -> LayerTransform:
    return LayerTransform(*(torch.tensor([value]) for value in (scale, across, down, mirror)))


def layer(size: int = 8) -> PremultipliedLayer:
    generator = torch.Generator().manual_seed(0)
    matte = torch.rand(1, 1, size, size, generator=generator)
    return PremultipliedLayer(torch.rand(1, 3, size, size, generator=generator) * matte, matte)


def test_premultiplied_splits_an_image_that_is_consistent() -> None:
    given = layer()
    result = split_premultiplied(torch.cat(given, dim=1) * 2 - 1)
    torch.testing.assert_close(result.color, given.color, atol=1e-6, rtol=0)
    torch.testing.assert_close(result.alpha, given.alpha, atol=1e-6, rtol=0)


def test_over_white_is_opaque() -> None:
    given = layer()
    white = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(over(given, white), to_opaque_rgb(torch.cat(given, dim=1) * 2 - 1))


def test_grey_becomes_three_channels_and_colour_stays() -> None:
    grey, colour = torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(to_opaque_rgb(grey), grey.repeat(1, 3, 1, 1))
    assert to_opaque_rgb(colour) is colour


def test_a_layer_that_stays_is_unchanged() -> None:
    result = transform_layer(layer(), stand())
    torch.testing.assert_close(result.color, layer().color, atol=1e-6, rtol=0)
    torch.testing.assert_close(result.alpha, layer().alpha, atol=1e-6, rtol=0)


def test_a_shift_by_whole_pixels_is_exact_and_what_enters_is_transparent() -> None:
    result = transform_layer(layer(), stand(across=2 * 3 / 8, down=-2 * 1 / 8))  # 3 px to the right, 1 px up: the frame is 2 wide
    torch.testing.assert_close(result.alpha[..., :7, 3:], layer().alpha[..., 1:, :5], atol=1e-6, rtol=0)
    assert float(result.alpha[..., :, :3].max()) == 0
    assert float(result.color[..., 7:, :].max()) == 0


def test_a_mirrored_layer_is_mirrored_about_its_own_centre() -> None:
    result = transform_layer(layer(), stand(mirror=-1.0, across=2 * 1 / 8))
    torch.testing.assert_close(result.color[..., 1:], layer().color.flip(3)[..., :7], atol=1e-6, rtol=0)


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    given = layer(16)
    result = transform_layer(given, stand(scale=0.5))
    torch.testing.assert_close(result.alpha[0, 0, 4:12, 4:12], mean_of_four(given.alpha[0, 0]))
    assert float(result.alpha[0, 0, :4].max()) == 0


def mean_of_four(plane: Tensor) -> Tensor:
    return plane.reshape(8, 2, 8, 2).mean(dim=(1, 3))


def test_gradients_reach_scale_and_place() -> None:
    place = [torch.tensor([value], requires_grad=True) for value in (0.8, 0.1, -0.2)]
    moved = transform_layer(layer(), LayerTransform(*place, torch.ones(1)))
    moved.color.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(float(number.grad.abs()) > 0 for number in place if number.grad is not None)
    assert all(number.grad is not None for number in place)


def line(size: int = 64) -> PremultipliedLayer:
    """A line of one pixel from the upper edge to the lower."""
    matte = torch.zeros(1, 1, size, size)
    matte[..., size // 2] = 1
    return PremultipliedLayer(matte.repeat(1, 3, 1, 1), matte)


def masses(scale: float, *, antialias: bool) -> Tensor:
    """The opacity of the line after a scale, over positions within one pixel, as a share of scale^2 times what it was."""
    shifts = [2 * step / 16 / 64 for step in range(16)]
    moved = [transform_layer(line(), stand(scale=scale, across=shift), antialias=antialias).alpha.sum() for shift in shifts]
    return torch.stack(moved) / (line().alpha.sum() * scale**2)


@pytest.mark.parametrize("scale", [0.1, 0.17, 0.25, 0.3, 0.4])
def test_a_thin_line_of_a_small_layer_stays_wherever_it_is(scale: float) -> None:
    assert float(masses(scale, antialias=False).min()) == 0  # between two of its samples it vanishes
    filtered = masses(scale, antialias=True)
    assert 0.7 < float(filtered.min()) <= float(filtered.max()) < 1.4


def test_from_half_the_size_on_the_filter_changes_no_bit() -> None:
    given = layer(32)
    for scale in (0.5, 0.7, 1.0, 1.9):
        transform = stand(scale=scale, across=0.13, down=-0.2, mirror=-1.0)
        for filtered, plain in zip(transform_layer(given, transform, antialias=True), transform_layer(given, transform), strict=True):
            assert torch.equal(filtered, plain)


def test_each_layer_of_a_batch_is_filtered_by_its_own_scale() -> None:
    scales = torch.tensor([1.0, 0.4, 0.2, 0.06, 0.01])
    given = PremultipliedLayer(*(part.expand(5, -1, -1, -1) for part in layer(32)))
    zero = torch.zeros(5)
    together = transform_layer(given, LayerTransform(scales, zero, zero, zero + 1), antialias=True)
    for index, scale in enumerate(scales.tolist()):
        alone = transform_layer(layer(32), stand(scale=scale), antialias=True)
        torch.testing.assert_close(together.alpha[index], alone.alpha[0], atol=1e-6, rtol=0)
    assert bool((together.color <= together.alpha + 1e-6).all())


def test_a_plain_small_layer_keeps_its_opacity_inside() -> None:
    full = PremultipliedLayer(torch.full((1, 3, 64, 64), 0.5), torch.ones(1, 1, 64, 64))
    for scale in (0.45, 0.3, 0.2):
        inside = round(64 * scale / 2) - 3
        moved = transform_layer(full, stand(scale=scale), antialias=True)
        middle = moved.alpha[0, 0, 32 - inside : 32 + inside, 32 - inside : 32 + inside]
        torch.testing.assert_close(middle, torch.ones_like(middle), atol=1e-5, rtol=0)


def test_a_placement_has_a_mean_centre_and_maps_it_back() -> None:
    placement = PlacementPrior(PlacementRecipe(scale=(0.5, 0.8), margin=0.0, center=(0.1, 0.4), learn=False))
    latents = torch.randn(4000, PLACEMENT_DIM, generator=torch.Generator().manual_seed(3))
    drawn = placement(latents)
    torch.testing.assert_close(drawn.x.mean(), torch.tensor(0.1), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.y.mean(), torch.tensor(0.4), atol=0.02, rtol=0)
    again = placement(placement.to_latent(drawn))
    inner = (latents[:, :3].abs() < 2).all(dim=1)
    torch.testing.assert_close(again.y[inner], drawn.y[inner], atol=1e-4, rtol=0)


def test_a_placement_of_earlier_versions_has_no_centre_in_its_state() -> None:
    assert list(PlacementPrior(PlacementRecipe()).state_dict()) == ["change"]
    assert list(PlacementPrior(PlacementRecipe(center=(0.0, 0.0))).state_dict()) == ["change", "center"]
    assert [name for name, _ in PlacementPrior(PlacementRecipe(center=(0.0, 0.0))).named_parameters()] == ["change", "center"]
    latents = torch.randn(50, PLACEMENT_DIM)
    for one, other in zip(PlacementPrior(PlacementRecipe())(latents), PlacementPrior(PlacementRecipe(center=(0.0, 0.0)))(latents), strict=True):
        assert torch.equal(one, other)


@pytest.fixture(scope="module")
def samples() -> LayerTransform:
    latents = torch.randn(20_000, PLACEMENT_DIM, generator=torch.Generator().manual_seed(3))
    return PlacementPrior(PlacementRecipe(scale=(0.5, 1.0), margin=0.2))(latents)  # type: ignore[no-any-return]


def test_scales_are_even_in_their_logarithm_between_the_bounds(samples: LayerTransform) -> None:
    logarithm = samples.scale.detach().log()
    assert math.log(0.5) <= float(logarithm.min()) < math.log(0.505)
    assert math.log(0.99) < float(logarithm.max()) <= 1e-6
    torch.testing.assert_close(logarithm.mean(), torch.tensor(math.log(0.5) / 2), atol=0.01, rtol=0)
    torch.testing.assert_close(logarithm.var(), torch.tensor(math.log(2.0) ** 2 / 12), atol=0.002, rtol=0)


def test_at_most_the_margin_lies_outside_and_all_places_within_are_used(samples: LayerTransform) -> None:
    for centre in (samples.x.detach(), samples.y.detach()):
        outside = (centre.abs() + samples.scale.detach() - 1).clamp_min(0) / (2 * samples.scale.detach())  # share of the layer's own frame
        assert float(outside.max()) <= 0.2 + 1e-6
        assert float(outside.max()) > 0.19
        assert abs(float(centre.mean())) < 0.01


def test_every_other_one_is_mirrored_unless_the_recipe_forbids(samples: LayerTransform) -> None:
    assert abs(float(samples.flip.mean())) < 0.03
    assert set(samples.flip.tolist()) == {-1.0, 1.0}
    still = PlacementPrior(PlacementRecipe(flip=False))(torch.randn(50, PLACEMENT_DIM))
    assert set(still.flip.tolist()) == {1.0}


def test_a_stands_latent_gives_the_stand() -> None:
    placement = PlacementPrior(PlacementRecipe(scale=(0.5, 1.0), margin=0.2))
    z = torch.randn(200, PLACEMENT_DIM, generator=torch.Generator().manual_seed(4)).clamp(-2, 2)
    stand = placement(z)
    torch.testing.assert_close(placement.to_latent(stand).detach()[:, :3], z[:, :3], atol=1e-3, rtol=1e-3)
    assert torch.equal(placement.to_latent(stand)[:, 3].sign(), z[:, 3].sign())
    beyond = LayerTransform(
        *(number.detach() for number in placement(placement.to_latent(LayerTransform(*(torch.tensor([number]) for number in (2.0, 3.0, 0.0, 1.0))))))
    )
    assert float(beyond.scale) == pytest.approx(1, abs=0.01)
    assert float(beyond.x) == pytest.approx(0.4, abs=0.01), "as far as it can be put"


def test_bounds_are_learned_or_left() -> None:
    learned, left = PlacementPrior(PlacementRecipe()), PlacementPrior(PlacementRecipe(learn=False))
    assert sum(parameter.numel() for parameter in learned.parameters()) == 3
    assert not list(left.parameters())
    with torch.no_grad():
        learned.change.copy_(torch.tensor([0.0, -0.01, 0.0]))
    torch.testing.assert_close(learned.bounds()[1], torch.tensor(-0.01 * BOUNDS_LR_GAIN))
