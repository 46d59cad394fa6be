import math

import pytest
import torch
from torch import Tensor

from mitlgan.networks.placement import GAIN, NUMBERS, Matted, Placement, Stand, move, opaque, over, premultiplied
from mitlgan.recipe import PlacementRecipe


def stand(scale: float = 1.0, across: float = 0.0, down: float = 0.0, mirror: float = 1.0) -> Stand:
    return Stand(*(torch.tensor([value]) for value in (scale, across, down, mirror)))


def layer(size: int = 8) -> Matted:
    generator = torch.Generator().manual_seed(0)
    matte = torch.rand(1, 1, size, size, generator=generator)
    return Matted(torch.rand(1, 3, size, size, generator=generator) * matte, matte)


def test_premultiplied_splits_an_image_that_is_consistent() -> None:
    given = layer()
    found = premultiplied(torch.cat(given, dim=1) * 2 - 1)
    torch.testing.assert_close(found.light, given.light, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.matte, given.matte, atol=1e-6, rtol=0)


def test_over_white_is_opaque() -> None:
    given = layer()
    white = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(over(given, white), opaque(torch.cat(given, dim=1) * 2 - 1))


def test_grey_becomes_three_channels_and_colour_stays() -> None:
    grey, colour = torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(opaque(grey), grey.repeat(1, 3, 1, 1))
    assert opaque(colour) is colour


def test_a_layer_that_stays_is_unchanged() -> None:
    found = move(layer(), stand())
    torch.testing.assert_close(found.light, layer().light, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.matte, layer().matte, atol=1e-6, rtol=0)


def test_a_shift_by_whole_pixels_is_exact_and_what_enters_is_transparent() -> None:
    found = move(layer(), stand(across=2 * 3 / 8, down=-2 * 1 / 8))  # 3 px to the right, 1 px up: the frame is 2 wide
    torch.testing.assert_close(found.matte[..., :7, 3:], layer().matte[..., 1:, :5], atol=1e-6, rtol=0)
    assert float(found.matte[..., :, :3].max()) == 0
    assert float(found.light[..., 7:, :].max()) == 0


def test_a_mirrored_layer_is_mirrored_about_its_own_centre() -> None:
    found = move(layer(), stand(mirror=-1.0, across=2 * 1 / 8))
    torch.testing.assert_close(found.light[..., 1:], layer().light.flip(3)[..., :7], atol=1e-6, rtol=0)


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    given = layer(16)
    found = move(given, stand(scale=0.5))
    torch.testing.assert_close(found.matte[0, 0, 4:12, 4:12], mean_of_four(given.matte[0, 0]))
    assert float(found.matte[0, 0, :4].max()) == 0


def mean_of_four(plane: Tensor) -> Tensor:
    return plane.reshape(8, 2, 8, 2).mean(dim=(1, 3))


def test_gradients_reach_scale_and_place() -> None:
    place = [torch.tensor([value], requires_grad=True) for value in (0.8, 0.1, -0.2)]
    moved = move(layer(), Stand(*place, torch.ones(1)))
    moved.light.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(float(number.grad.abs()) > 0 for number in place if number.grad is not None)
    assert all(number.grad is not None for number in place)


@pytest.fixture(scope="module")
def drawn() -> Stand:
    latents = torch.randn(20_000, NUMBERS, generator=torch.Generator().manual_seed(3))
    return Placement(PlacementRecipe(scale=(0.5, 1.0), margin=0.2))(latents)  # type: ignore[no-any-return]


def test_scales_are_even_in_their_logarithm_between_the_bounds(drawn: Stand) -> None:
    logarithm = drawn.scale.detach().log()
    assert math.log(0.5) <= float(logarithm.min()) < math.log(0.505)
    assert math.log(0.99) < float(logarithm.max()) <= 1e-6
    torch.testing.assert_close(logarithm.mean(), torch.tensor(math.log(0.5) / 2), atol=0.01, rtol=0)
    torch.testing.assert_close(logarithm.var(), torch.tensor(math.log(2.0) ** 2 / 12), atol=0.002, rtol=0)


def test_at_most_the_margin_lies_outside_and_all_places_within_are_used(drawn: Stand) -> None:
    for centre in (drawn.across.detach(), drawn.down.detach()):
        outside = (centre.abs() + drawn.scale.detach() - 1).clamp_min(0) / (2 * drawn.scale.detach())  # share of the layer's own frame
        assert float(outside.max()) <= 0.2 + 1e-6
        assert float(outside.max()) > 0.19
        assert abs(float(centre.mean())) < 0.01


def test_every_other_one_is_mirrored_unless_the_recipe_forbids(drawn: Stand) -> None:
    assert abs(float(drawn.mirror.mean())) < 0.03
    assert set(drawn.mirror.tolist()) == {-1.0, 1.0}
    still = Placement(PlacementRecipe(flip=False))(torch.randn(50, NUMBERS))
    assert set(still.mirror.tolist()) == {1.0}


def test_a_stands_latent_gives_the_stand() -> None:
    placement = Placement(PlacementRecipe(scale=(0.5, 1.0), margin=0.2))
    z = torch.randn(200, NUMBERS, generator=torch.Generator().manual_seed(4)).clamp(-2, 2)
    stand = placement(z)
    torch.testing.assert_close(placement.latent(stand).detach()[:, :3], z[:, :3], atol=1e-3, rtol=1e-3)
    assert torch.equal(placement.latent(stand)[:, 3].sign(), z[:, 3].sign())
    beyond = Stand(*(number.detach() for number in placement(placement.latent(Stand(*(torch.tensor([number]) for number in (2.0, 3.0, 0.0, 1.0)))))))
    assert float(beyond.scale) == pytest.approx(1, abs=0.01)
    assert float(beyond.across) == pytest.approx(0.4, abs=0.01), "as far as it can be put"


def test_bounds_are_learned_or_left() -> None:
    learned, left = Placement(PlacementRecipe()), Placement(PlacementRecipe(learn=False))
    assert sum(parameter.numel() for parameter in learned.parameters()) == 3
    assert not list(left.parameters())
    with torch.no_grad():
        learned.change.copy_(torch.tensor([0.0, -0.01, 0.0]))
    torch.testing.assert_close(learned.bounds()[1], torch.tensor(-0.01 * GAIN))
