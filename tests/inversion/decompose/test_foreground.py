"""The object in front of a known background: the cost of its search, and its first placements."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.alpha import PremultipliedLayer
from mitlgan.inversion import InversionSettings
from mitlgan.inversion.cost import InversionCost
from mitlgan.inversion.decompose.foreground import MATTE_WEIGHT, ForegroundRenderer, MatteGuidedCost, _moments
from mitlgan.networks import Composer
from mitlgan.networks.placement import LayerTransform, transform_layer

HIDDEN = torch.zeros(1, 2, 2)
HIDDEN[0, 0] = 1


class BlackOverWhite(ForegroundRenderer):
    """Renders logits (N, 4), one for each pixel, as the matte of a black object in front of white."""

    placement = None
    dim = 4

    def __init__(self) -> None: ...

    def __call__(self, z: Tensor) -> Tensor:
        matte = torch.sigmoid(z).view(-1, 1, 2, 2)
        return torch.cat([(1 - 2 * matte).expand(-1, 3, -1, -1), matte], dim=1)


def guided_cost(weight: Tensor | None = None) -> MatteGuidedCost:
    target, settings = (1 - 2 * HIDDEN).expand(3, -1, -1), InversionSettings(prior=0)
    return MatteGuidedCost(BlackOverWhite(), InversionCost(BlackOverWhite(), target, weight, settings), HIDDEN, settings)


@pytest.mark.parametrize("remaining", [1.0, 0.5, 0.0])
def test_the_weight_of_the_mattes_cross_entropy_falls_to_zero(remaining: float) -> None:
    cost = guided_cost()
    z = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    images = cost.render(z)
    entropy = torch.nn.functional.binary_cross_entropy(torch.sigmoid(z), HIDDEN.flatten()[None])
    extra = cost.search_value(z, images, remaining) - cost.value(z, images)
    assert float(extra) == pytest.approx(remaining * MATTE_WEIGHT * float(entropy), abs=1e-5)
    assert torch.equal(cost.start_value(z, images), cost.search_value(z, images, 1.0))


def test_a_matte_near_zero_still_has_a_gradient() -> None:
    gradients = []
    for remaining in (0.0, 1.0):
        z = torch.full((1, 4), -8.0, requires_grad=True)  # an opacity of 3e-4 where the object should be
        cost = guided_cost()
        (gradient,) = torch.autograd.grad(cost.search_value(z, cost.render(z), remaining).sum(), z)
        gradients.append(float(gradient[0, 0].abs()))
    by_pixels, with_matte = gradients
    assert by_pixels < 1e-3
    assert with_matte == pytest.approx(MATTE_WEIGHT / 4 * (1 - math.exp(-8) / (1 + math.exp(-8))), rel=0.01)


def test_the_matte_does_not_count_in_a_hole() -> None:
    weight = torch.ones(1, 2, 2)
    weight[0, 1] = 0
    z = torch.tensor([[0.0, 1.0, -1.0, 2.0], [0.0, 1.0, 3.0, -2.0]])  # they differ in the hole only
    cost = guided_cost(weight)
    first, second = cost.search_value(z, cost.render(z), 1.0)
    assert float(first) == pytest.approx(float(second))
    entropy = torch.nn.functional.binary_cross_entropy(torch.sigmoid(z[:1, :2]), torch.ones(1, 2))
    assert float(first - cost.value(z, cost.render(z))[0]) == pytest.approx(MATTE_WEIGHT * float(entropy), abs=1e-5)


def test_moments_follow_scale_and_shift() -> None:
    matte = torch.zeros(1, 1, 32, 32)
    matte[:, :, 4:24, 10:30] = 1
    transform = LayerTransform(*(torch.tensor([number]) for number in (0.6, -0.2, 0.3, -1.0)))
    moved = transform_layer(PremultipliedLayer(matte.expand(-1, 3, -1, -1), matte), transform).alpha
    size, x, y = _moments(matte)
    moved_size, moved_x, moved_y = _moments(moved)
    assert float(moved_size / size) == pytest.approx(0.6, abs=0.02)
    assert float(moved_x) == pytest.approx(-0.2 - 0.6 * float(x), abs=0.02)
    assert float(moved_y) == pytest.approx(0.3 + 0.6 * float(y), abs=0.02)


def test_random_objects_are_laid_over_the_hidden_part(mirrored: LoadedArtifact) -> None:
    composer = mirrored.network
    assert isinstance(composer, Composer)
    renderer = ForegroundRenderer(composer, "fg", ("bg", torch.zeros(1, 3, 8, 8)))
    z = mirrored.latents(range(8))
    hidden = renderer(torch.cat([z[:1, :3], z[:1, 6:]], dim=1))[0, 3:]
    placed = renderer.place_over(z[:, :3], hidden)
    assert torch.equal(placed[:, :3], z[:, :3])
    assert torch.equal(placed[:, -1] < 0, z[:, 0] < 0), "mirrored at random"
    error = (renderer(placed)[:, 3:] - hidden).abs().mean((1, 2, 3))
    unplaced = (renderer(torch.cat([z[:, :3], -placed[:, 3:]], dim=1))[:, 3:] - hidden).abs().mean((1, 2, 3))
    assert float(error.mean()) < float(unplaced.mean())


def test_scaled_settings_stay_within_their_ranges() -> None:
    settings = InversionSettings(steps=60_000, restarts=8, prior=1.0, learning_rate=2e-6)
    more = settings.with_more_restarts(2.5).scaled(steps=2, prior=4, learning_rate=0.25)
    assert (more.steps, more.restarts, more.prior, more.learning_rate) == (100_000, 20, 4.0, 1e-6)
    assert (more.starts, more.seconds, more.attempts) == (settings.starts, settings.seconds, 1)
    assert InversionSettings(starts=30, restarts=10).with_more_restarts(4).restarts == 30
