import pytest
import torch
from torch import Tensor, nn

from mitlgan.images.alpha import PremultipliedLayer
from mitlgan.networks.fusion.harmonizer import MAX_CHANGE, Harmonizer, _own_statistics


def layer(count: int = 3) -> PremultipliedLayer:
    generator = torch.Generator().manual_seed(0)
    matte = torch.rand(count, 1, 6, 6, generator=generator)
    return PremultipliedLayer(torch.rand(count, 3, 6, 6, generator=generator) * matte, matte)


def trained() -> Harmonizer:
    torch.manual_seed(0)
    result = Harmonizer()
    for parameter in result.parameters():
        nn.init.normal_(parameter, std=0.5)
    return result


@pytest.fixture
def back() -> Tensor:
    return torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_untrained_it_changes_nothing(back: Tensor) -> None:
    result = Harmonizer()(layer(), back)
    torch.testing.assert_close(result.color, layer().color, atol=1e-7, rtol=0)
    assert torch.equal(result.alpha, layer().alpha)


def test_it_is_one_affine_change_of_colour_per_image_where_nothing_is_cut(back: Tensor) -> None:
    given = PremultipliedLayer(layer().color * 0.2 + 0.4 * layer().alpha, layer().alpha)  # colours in the middle
    harmonise = trained()
    with torch.no_grad():
        harmonise.stages[2].weight.mul_(0.05)
        harmonise.stages[2].bias.mul_(0.05)
    with torch.no_grad():
        result = harmonise(given, back)
    for image in range(3):
        for channel in range(3):
            before = (given.color / given.alpha)[image, channel].flatten()
            after = (result.color / result.alpha)[image, channel].flatten()
            slope, offset = torch.linalg.lstsq(torch.stack([before, torch.ones_like(before)], 1), after).solution.tolist()
            torch.testing.assert_close(after, slope * before + offset, atol=1e-4, rtol=0)
            assert abs(slope - 1) <= MAX_CHANGE
            assert abs(offset) <= MAX_CHANGE


def test_no_structure_of_the_background_can_leak(back: Tensor) -> None:
    """The same pixels in another order are the same statistics, wherever the matte does not tell them apart."""
    even = PremultipliedLayer(torch.full((3, 3, 6, 6), 0.3), torch.full((3, 1, 6, 6), 0.7))
    shuffled = back.flatten(2)[:, :, torch.randperm(36, generator=torch.Generator().manual_seed(2))].reshape(back.shape)
    harmonise = trained()
    torch.testing.assert_close(harmonise(even, back).color, harmonise(even, shuffled).color)
    assert not torch.allclose(harmonise(even, back).color, harmonise(even, -back).color)


def test_light_stays_between_0_and_the_matte(back: Tensor) -> None:
    result = trained()(layer(), back)
    assert float(result.color.detach().min()) >= 0
    assert bool((result.color <= result.alpha + 1e-6).all())


def test_an_empty_layer_gives_finite_gradients(back: Tensor) -> None:
    empty = PremultipliedLayer(torch.zeros(3, 3, 6, 6), torch.zeros(3, 1, 6, 6))
    harmonise = trained()
    harmonise(empty, back).color.sum().backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in harmonise.parameters() if parameter.grad is not None)


def test_a_layer_s_own_statistics_are_those_of_its_colours_weighted_by_its_matte() -> None:
    light, matte = layer(1)
    weights = matte.flatten() / matte.sum()
    mean, deviation = _own_statistics(PremultipliedLayer(light, matte))
    for channel in range(3):
        colour = (light[0, channel] / matte[0, 0]).flatten()
        expected = (weights * colour).sum()
        torch.testing.assert_close(mean[0, channel], expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(deviation[0, channel], (weights * (colour - expected) ** 2).sum().sqrt(), atol=2e-3, rtol=0)
