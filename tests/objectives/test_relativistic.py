"""The relativistic pairing objective: closed forms, the authors' steps done one by one, lazy penalties, and what it calls a lost game."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.toy_critics import Linear, Quadratic, images, rng, small_critic
from torch import Tensor, nn

from mitlgan import objectives
from mitlgan.objectives import CRITIC_DOMINATES, GENERATOR_DOMINATES
from mitlgan.objectives.penalties import squared_gradient_norms
from mitlgan.objectives.relativistic import Relativistic
from mitlgan.recipe import RelativisticRecipe


def test_a_linear_critics_loss_and_gradient_are_their_closed_forms() -> None:
    """R1 = R2 = |w|^2; the loss' derivative is the mean of sigmoid(-gap) (fake - real), and (gamma1 + gamma2) w."""
    weight = torch.randn(48, generator=rng()) * 0.3
    critic, real, fake = Linear(weight), images(1), images(2)
    loss, stats = objectives.build(RelativisticRecipe(r1_weight=3.0, r2_weight=0.5)).critic_loss(critic, real, fake, rng())
    loss.backward()  # type: ignore[no-untyped-call]
    gap = (real - fake).flatten(1) @ weight
    square = weight.square().sum()
    torch.testing.assert_close(loss.detach(), torch.log1p(torch.exp(-gap)).mean() + 3.5 / 2 * square)
    torch.testing.assert_close(stats["r1"], square)
    torch.testing.assert_close(stats["r2"], square)
    expected = (torch.sigmoid(-gap)[:, None] * (fake - real).flatten(1)).mean(0) + 3.5 * weight
    torch.testing.assert_close(critic.weight.grad, expected)


def test_r1_is_taken_at_real_and_r2_at_generated_images() -> None:
    real, fake = images(1), images(2) * 0.1
    _, stats = objectives.build(RelativisticRecipe()).critic_loss(Quadratic(), real, fake, rng())
    torch.testing.assert_close(stats["r1"], real.flatten(1).square().sum(1).mean())
    torch.testing.assert_close(stats["r2"], fake.flatten(1).square().sum(1).mean())


def test_both_losses_are_the_authors_done_one_by_one() -> None:
    """Two forward passes, two slopes, and the gradients of every parameter."""
    real, fake = images(1), images(2)
    ours, theirs = small_critic(), small_critic()
    loss, _ = objectives.build(RelativisticRecipe(r1_weight=2.0, r2_weight=2.0)).critic_loss(ours, real, fake, rng())
    loss.backward()  # type: ignore[no-untyped-call]
    x, g = real.clone().requires_grad_(), fake.clone().requires_grad_()
    d_x, d_g = theirs(x), theirs(g)
    penalties = [torch.autograd.grad(scores.sum(), at, create_graph=True)[0].square().sum([1, 2, 3]) for scores, at in ((d_x, x), (d_g, g))]
    expected = (-nn.functional.logsigmoid(d_x - d_g) + (2.0 / 2) * (penalties[0] + penalties[1])).mean()
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-6)
    generated, _ = objectives.build(RelativisticRecipe()).generator_loss(ours, fake, real)
    torch.testing.assert_close(generated, -nn.functional.logsigmoid(d_g - d_x).mean())


def test_the_derivative_is_that_of_differences() -> None:
    """Double backward against finite differences, in float64."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Softplus(), nn.Linear(5, 1), nn.Flatten(0)).double()
    real, fake = (torch.randn(3, 3, 2, 2, generator=rng(seed), dtype=torch.float64) for seed in (1, 2))
    weight = critic[1].weight

    def loss() -> Tensor:
        images = torch.cat([real, fake]).requires_grad_()
        scores = critic(images)
        slopes = squared_gradient_norms(scores, images)
        return nn.functional.softplus(scores[3:] - scores[:3]).mean() + slopes.mean()

    (slope,) = torch.autograd.grad(loss(), weight)
    step = 1e-6
    with torch.no_grad():
        weight[2, 3] += step
    above = loss().item()
    with torch.no_grad():
        weight[2, 3] -= 2 * step
    below = loss().item()
    assert slope[2, 3].item() == pytest.approx((above - below) / (2 * step), rel=1e-5)


def test_a_critic_that_cannot_tell_stands_at_log_2() -> None:
    objective = objectives.build(RelativisticRecipe())
    loss, stats = objective.critic_loss(Linear(torch.zeros(48)), images(1), images(2), rng())
    assert loss.item() == pytest.approx(math.log(2))
    assert objective.generator_loss(Linear(torch.zeros(48)), images(2), images(1))[0].item() == pytest.approx(math.log(2))
    assert stats["r1"].item() == stats["r2"].item() == 0


def test_a_shift_of_all_scores_changes_nothing() -> None:
    class Shifted(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) + 100

    weight = torch.randn(48, generator=rng()) * 0.1
    objective = objectives.build(RelativisticRecipe())
    plain, shifted = (objective.critic_loss(kind(weight.clone()), images(1), images(2), rng())[0] for kind in (Linear, Shifted))
    torch.testing.assert_close(plain, shifted, rtol=1e-4, atol=1e-5)


def test_a_lazy_penalty_falls_on_the_last_of_each_k_and_counts_k_times() -> None:
    weight, real, fake = torch.randn(48, generator=rng()) * 0.1, images(1), images(2)
    lazy, bare = (
        objectives.build(RelativisticRecipe(r1_weight=2.0, penalty_every=3)),
        objectives.build(RelativisticRecipe(r1_weight=0.0, r2_weight=0.0)),
    )
    without, _ = bare.critic_loss(Linear(weight), real, fake, rng(), 2)
    for update in range(6):
        loss, stats = lazy.critic_loss(Linear(weight), real, fake, rng(), update)
        due = update in (2, 5)
        assert ("r1" in stats, "r2" in stats) == (due, due)
        torch.testing.assert_close(loss, without + (3 * (2.0 + 1.0) / 2 * weight.square().sum() if due else 0))


def test_half_precision_ends_where_a_penalty_is_due() -> None:
    critic = Linear(torch.randn(48, generator=rng()))
    objective = objectives.build(RelativisticRecipe(penalty_every=2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [objective.critic_loss(critic, images(1), images(2).bfloat16(), rng(), update)[0] for update in (0, 1)]
    assert critic.seen == [torch.bfloat16, torch.float32]
    assert {loss.dtype for loss in losses} == {torch.float32}


def test_the_critic_gets_no_gradient_from_the_generators_loss_and_the_fakes_none_from_the_critics() -> None:
    critic, fake = small_critic(), images(2).requires_grad_()
    objective = objectives.build(RelativisticRecipe())
    objective.critic_loss(critic, images(1), fake, rng())[0].backward()  # type: ignore[no-untyped-call]
    assert fake.grad is None
    critic.zero_grad(set_to_none=True)
    objective.generator_loss(critic, fake, images(1))[0].backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_it_says_when_a_game_is_lost() -> None:
    objective = objectives.build(RelativisticRecipe())
    assert isinstance(objective, Relativistic)
    assert objective.diagnose({"wasserstein": 3.0, "fakes_passed": 0.0}) is None
    assert objective.diagnose({"wasserstein": 12.0, "fakes_passed": 0.1}) is None
    assert objective.diagnose({"wasserstein": 12.0, "fakes_passed": 0.0}) is CRITIC_DOMINATES
    assert objective.diagnose({"wasserstein": -12.0, "fakes_passed": 1.0}) is GENERATOR_DOMINATES
