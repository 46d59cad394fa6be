"""Scores of real and generated images: a critic that compares images compares those of one batch only, in one pass or in two."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.toy_critics import images, rng, small_critic
from torch import Tensor

from mitlgan import objectives
from mitlgan.networks.critics.options import BatchDeviation
from mitlgan.objectives.score_stats import fooling_rate, score_together
from mitlgan.recipe import RelativisticRecipe, WganGpRecipe
from mitlgan.recipe.schema.critics import deviation_group

UNEVEN = [(2, 4), (5, 4), (6, 4), (9, 4), (10, 4), (48, 32), (3, 2)]
EVEN = [(2, 2), (4, 4), (8, 4), (32, 4)]
OBJECTIVES: list[Any] = [WganGpRecipe(), RelativisticRecipe()]


def planes(critic: torch.nn.Module) -> list[Tensor]:
    """The deviation of each image, pass by pass, as the critic's forward passes will add it."""
    passes: list[Tensor] = []
    (layer,) = [module for module in critic.modules() if isinstance(module, BatchDeviation)]
    layer.register_forward_hook(lambda _, __, output: passes.append(output[:, -1, 0, 0].detach()))
    return passes


@pytest.mark.parametrize(("batch", "group"), UNEVEN + EVEN)
def test_each_batch_is_grouped_as_in_its_own_pass(batch: int, group: int) -> None:
    critic = small_critic(batch_deviation=group)
    real, fake = images(1, batch), images(2, batch) * 0.3
    torch.testing.assert_close(score_together(critic, torch.cat([real, fake])), torch.cat([critic(real), critic(fake)]))


@pytest.mark.parametrize(("batch", "group"), EVEN)
def test_where_groups_divide_the_batch_one_pass_scores_both(batch: int, group: int) -> None:
    critic = small_critic(batch_deviation=group)
    both = torch.cat([images(1, batch), images(2, batch)])
    expected, passes = critic(both), planes(critic)
    assert torch.equal(score_together(critic, both), expected)  # to the bit
    assert [len(one) for one in passes] == [2 * batch]


def test_a_critic_that_compares_nothing_makes_one_pass() -> None:
    critic, both = small_critic(), torch.cat([images(1, 5), images(2, 5)])
    assert torch.equal(score_together(critic, both), critic(both))


@pytest.mark.parametrize("recipe", OBJECTIVES, ids=lambda recipe: recipe.kind)
@pytest.mark.parametrize(("batch", "group"), UNEVEN + EVEN)
def test_a_generator_without_variety_is_seen_as_such(batch: int, group: int, recipe: Any) -> None:
    """Where groups held images of both, real and generated ones had the same deviation, and the option told the critic nothing."""
    critic = small_critic(batch_deviation=group)
    passes = planes(critic)
    objectives.build(recipe).critic_loss(critic, images(1, batch), torch.zeros(batch, 3, 4, 4), rng())
    real, fake = torch.cat(passes)[: 2 * batch].chunk(2)  # what follows is the penalty's
    assert float(fake.max()) < 2e-4
    if deviation_group(group, batch) > 1:  # where only groups of one image divide the batch, `training_advice` says so
        assert float(real.min()) > 0.01


@pytest.mark.parametrize("recipe", OBJECTIVES, ids=lambda recipe: recipe.kind)
@pytest.mark.parametrize(("batch", "group"), [(6, 4), (2, 4), (8, 4)])
def test_losses_are_those_of_two_passes(batch: int, group: int, recipe: Any) -> None:
    real, fake = images(1, batch), images(2, batch) * 0.3
    critic = small_critic(batch_deviation=group)
    loss, stats = objectives.build(recipe).critic_loss(critic, real, fake, rng())
    torch.testing.assert_close(stats["score_real"], critic(real).mean().detach())
    torch.testing.assert_close(stats["score_fake"], critic(fake).mean().detach())
    if recipe.kind == "relativistic":
        x, g = real.clone().requires_grad_(), fake.clone().requires_grad_()
        slopes = [torch.autograd.grad(critic(at).sum(), at)[0].square().sum((1, 2, 3)).mean() for at in (x, g)]
        torch.testing.assert_close(stats["r1"], slopes[0])
        torch.testing.assert_close(stats["r2"], slopes[1])
    loss.backward()
    assert all(parameter.grad is None or bool(parameter.grad.isfinite().all()) for parameter in critic.parameters())


@pytest.mark.parametrize("batch", [2, 3, 4, 7, 8, 16])
def test_as_many_fakes_pass_as_not_where_scores_are_alike(batch: int) -> None:
    """Of real and generated scores of one distribution half pass, whether a batch has a score in its middle or not."""
    scores = torch.randn(2, 4000, batch, generator=torch.Generator().manual_seed(batch))
    rates = [float(fooling_rate(real, fake)["fakes_passed"]) for real, fake in zip(*scores, strict=True)]
    assert sum(rates) / len(rates) == pytest.approx(0.5, abs=0.02)


def test_fakes_pass_above_the_middle_of_the_two_middle_scores() -> None:
    real = torch.tensor([4.0, 1.0, 2.0, 8.0])
    assert float(fooling_rate(real, torch.tensor([2.5, 2.99, 3.01, 9.0]))["fakes_passed"]) == 0.5
