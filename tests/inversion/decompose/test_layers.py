"""Decomposition: the background from its visible pixels, the object in front of it, and both together."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.inversion import InversionSettings, embed
from mitlgan.inversion.cost import InversionCost, Jacobian, make_renderer
from mitlgan.inversion.decompose.background import SEARCH_SCALE, RobustCost, fit_background
from mitlgan.inversion.decompose.layers import LayerDecomposer
from mitlgan.inversion.progress import SearchProgress
from mitlgan.networks import Composer
from mitlgan.networks.translators.bounded_residual import BoundedResidual

QUICK = InversionSettings(starts=64, restarts=4, attempts=1, steps=20, polish_steps=40)


def psnr(image: Tensor, other: Tensor) -> float:
    return -10 * math.log10(max(1e-12, float((image - other).square().mean()) / 4))


def test_a_background_is_fitted_behind_an_object(linear: LoadedArtifact) -> None:
    z = linear.latents([3])
    target = linear.images_from_latents(z)[0]
    target[:, 2:6, 1:5] = torch.tensor([0.9, -0.9, 0.5])[:, None, None]
    background_z, hidden = fit_background(InversionCost(make_renderer(linear), target, None, QUICK), 5, QUICK, SearchProgress())
    assert torch.allclose(background_z, z[0], atol=0.01)
    covered = torch.zeros(1, 8, 8)
    covered[:, 2:6, 1:5] = 1
    assert torch.equal((hidden > 0.5).float(), covered)


def test_a_pixel_counts_at_most_one_in_the_robust_cost(linear: LoadedArtifact) -> None:
    target, images = linear.sample([1])[0], linear.sample([2, 3])
    weight = torch.ones(1, 8, 8)
    weight[:, :2] = 0
    cost = RobustCost(make_renderer(linear), target, weight, InversionSettings())
    errors = ((images - target) / 2).square().mean(1)[:, 2:].flatten(1)  # (2, 48)
    expected = (errors / (errors + SEARCH_SCALE**2)).mean(1)
    assert torch.allclose(cost.mse(images), expected)
    z = torch.ones(2, 5)
    assert torch.allclose(cost.value(z, images), (expected + 1e-9).log() + 5 / (48 * 3))


def test_a_residual_translator_is_inverted(placed: LoadedArtifact) -> None:
    torch.manual_seed(0)
    translator = BoundedResidual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh()), 0.2)
    assert isinstance(placed.network, Composer)
    decomposer = LayerDecomposer.for_network(Composer(placed.network.generators, placed.network.fusion, translator, 8))
    assert decomposer is not None
    image = torch.rand(1, 3, 8, 8) - 0.5
    assert torch.allclose(decomposer._invert_translator(translator(image)), image, atol=1e-5)


def test_which_networks_can_be_decomposed(placed: LoadedArtifact, fg: LoadedArtifact) -> None:
    assert isinstance(placed.network, Composer)
    assert LayerDecomposer.for_network(placed.network) is not None
    assert LayerDecomposer.for_network(fg.network) is None
    repainted = Composer(placed.network.generators, placed.network.fusion, nn.Conv2d(3, 3, 1), 8)
    assert LayerDecomposer.for_network(repainted) is None


def test_layers_are_found(placed: LoadedArtifact) -> None:
    stages = placed.layers([1])
    result = embed(placed, stages.output, QUICK)
    for name, image in stages.layers.items():
        assert psnr(result.stages.layers[name], image) >= 30


@pytest.mark.parametrize("name", ["placed", "mirrored"])
def test_a_decomposition_gives_a_latent_of_the_composer(name: str, request: pytest.FixtureRequest) -> None:
    artifact: LoadedArtifact = request.getfixturevalue(name)
    decomposer = LayerDecomposer.for_network(artifact.network)
    assert decomposer is not None
    cost = InversionCost(make_renderer(artifact), artifact.sample([1])[0], None, QUICK)
    z = decomposer.decompose(cost, QUICK, SearchProgress())
    assert z.shape == (sum(artifact.card.latent_dims.values()),)
    assert not torch.equal(z, decomposer.decompose(cost, QUICK, SearchProgress(), attempt=1)), "each attempt has its own starts"


def test_the_broyden_update_explains_the_step_and_changes_nothing_else() -> None:
    torch.manual_seed(0)
    jacobian, step, residuals = Jacobian(torch.randn(7), torch.randn(4, 7)), torch.randn(4), torch.randn(7)
    jacobian.derivatives[2] = 0
    updated = jacobian.broyden_update(step, residuals)
    effective = step.masked_fill(torch.arange(4) == 2, 0)
    assert torch.allclose(jacobian.residuals + effective @ updated.derivatives, residuals, atol=1e-5), "the secant"
    across = torch.tensor([effective[1], -effective[0], 0, 0])
    assert torch.allclose(across @ updated.derivatives, across @ jacobian.derivatives, atol=1e-5)
    assert not updated.derivatives[2].any(), "a jump has no derivative"
    assert not updated.exact


@pytest.mark.parametrize(("starts", "restarts", "attempts"), [(8, 8, 1), (24, 8, 3)])
def test_restarts_are_limited_to_the_starts(placed: LoadedArtifact, starts: int, restarts: int, attempts: int) -> None:
    few = InversionSettings(starts=starts, restarts=restarts, attempts=attempts, steps=2, polish_steps=1, seconds=2)
    assert embed(placed, placed.layers([0]).output, few).z.shape == (1, sum(placed.card.latent_dims.values()))
