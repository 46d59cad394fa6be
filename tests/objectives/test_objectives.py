import math

import pytest
import torch
from helpers.toy_critics import Linear, Quadratic, images, rng, small_critic
from torch import nn

from mitlgan import objectives
from mitlgan.errors import UsageError
from mitlgan.objectives.penalties import gradient_penalty
from mitlgan.objectives.wasserstein import WganGp
from mitlgan.recipe import WganGpRecipe


@pytest.fixture
def wgan_gp() -> objectives.Objective:
    return objectives.build(WganGpRecipe(penalty_weight=7.0, critic_steps=3))


@pytest.mark.parametrize("length", [0.25, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_its_closed_form(length: float) -> None:
    weight = torch.randn(48, generator=rng())
    penalty = gradient_penalty(Linear(weight / weight.norm() * length), images(1), images(2), rng())
    assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-6)


def test_penalty_of_a_quadratic_critic_is_its_closed_form() -> None:
    """The gradient of |x|^2 / 2 is x itself, so this sees where between real and fake the points lie."""
    real, fake = images(1), images(2)
    share = torch.rand(6, 1, 1, 1, generator=rng(5))
    mix = share * real + (1 - share) * fake
    expected = (mix.flatten(1).norm(dim=1) - 1).square().mean()
    penalty = gradient_penalty(Quadratic(), real, fake, rng(5))
    torch.testing.assert_close(penalty, expected)


def test_penalty_trains_the_critic_towards_slope_one() -> None:
    critic = Linear(torch.full((48,), 1.0))
    optimiser = torch.optim.SGD(critic.parameters(), lr=0.2)
    for step in range(40):
        optimiser.zero_grad()
        gradient_penalty(critic, images(step), images(step + 100), rng(step)).backward()
        optimiser.step()
    assert critic.weight.norm().item() == pytest.approx(1.0, abs=1e-3)


def test_zero_gradient_is_finite_in_every_derivative() -> None:
    """The slope of a plain root is infinite here, and infinity times zero is NaN."""
    critic = Linear(torch.zeros(48))
    penalty = gradient_penalty(critic, images(1), images(2), rng())
    assert penalty.item() == pytest.approx(1.0, abs=1e-5)
    (first,) = torch.autograd.grad(penalty, critic.weight, create_graph=True)
    assert first.isfinite().all()
    (second,) = torch.autograd.grad(first.sum(), critic.weight)
    assert second.isfinite().all()


def test_dead_critic_keeps_finite_gradients(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    nn.init.zeros_(critic.stages.get_submodule("score.dense").weight)  # type: ignore[arg-type]
    loss, stats = wgan_gp.critic_loss(critic, images(1), images(2), rng())
    loss.backward()
    assert stats["penalty"].item() == pytest.approx(1.0, abs=1e-5)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in critic.parameters())


def test_penalty_stays_in_float32_under_autocast(wgan_gp: objectives.Objective) -> None:
    critic = Linear(torch.randn(48, generator=rng()))
    real, fake = images(1), images(2)
    plain = gradient_penalty(critic, real, fake, rng())
    critic.seen.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, stats = wgan_gp.critic_loss(critic, real, fake, rng())
    assert critic.seen == [torch.bfloat16, torch.float32]
    assert {value.dtype for value in stats.values()} == {loss.dtype} == {torch.float32}
    assert torch.equal(stats["penalty"], plain.detach())


def test_half_precision_fakes_are_penalised_in_float32() -> None:
    critic = Linear(torch.randn(48, generator=rng()))
    penalty = gradient_penalty(critic, images(1), images(2).bfloat16(), rng())
    assert critic.seen == [torch.float32]
    assert penalty.dtype == torch.float32


def test_critic_loss_is_equation_3(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    real, fake = images(1), images(2)
    loss, stats = wgan_gp.critic_loss(critic, real, fake, rng(4))
    penalty = gradient_penalty(critic, real, fake, rng(4))
    torch.testing.assert_close(loss, critic(fake).mean() - critic(real).mean() + 7 * penalty)
    assert set(stats) == {"score_real", "score_fake", "wasserstein", "penalty", "fakes_passed"}
    torch.testing.assert_close(stats["fakes_passed"], (critic(fake) > critic(real).median()).float().mean())
    torch.testing.assert_close(stats["score_real"], critic(real).mean().detach())
    torch.testing.assert_close(stats["score_fake"], critic(fake).mean().detach())
    torch.testing.assert_close(stats["wasserstein"], stats["score_real"] - stats["score_fake"])
    torch.testing.assert_close(stats["penalty"], penalty.detach())
    assert all(value.ndim == 0 and not value.requires_grad for value in stats.values())


def test_a_lazy_penalty_falls_on_the_last_of_each_k_and_counts_k_times() -> None:
    critic, real, fake = small_critic(), images(1), images(2)
    lazy = objectives.build(WganGpRecipe(penalty_weight=7.0, penalty_every=4))
    wasserstein = critic(fake).mean() - critic(real).mean()
    for update in range(8):
        loss, stats = lazy.critic_loss(critic, real, fake, rng(4), update)
        due = update in (3, 7)
        assert ("penalty" in stats) is due
        torch.testing.assert_close(loss, wasserstein + (4 * 7 * gradient_penalty(critic, real, fake, rng(4)) if due else 0))


def test_critic_loss_gives_gradients_to_the_critic_alone(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    fake = images(2).requires_grad_()
    real = images(1).requires_grad_()
    loss, _ = wgan_gp.critic_loss(critic, real.detach(), fake, rng())
    loss.backward()
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in critic.parameters())


def test_generator_loss_gives_gradients_to_the_fakes_alone(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    frozen = next(critic.parameters()).requires_grad_(False)
    fake = images(2).requires_grad_()
    loss, _ = wgan_gp.generator_loss(critic, fake, images(1))
    torch.testing.assert_close(loss, -critic(fake).mean())
    loss.backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert [parameter.requires_grad for parameter in critic.parameters()] == [parameter is not frozen for parameter in critic.parameters()]


def test_random_numbers_come_from_the_given_generator_alone(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    state = torch.get_rng_state()

    def penalty(source: torch.Generator) -> float:
        return wgan_gp.critic_loss(critic, images(1), images(2), source)[1]["penalty"].item()

    source = rng(1)
    first, second = penalty(source), penalty(source)
    assert first == penalty(rng(1))
    assert first != second
    assert torch.equal(torch.get_rng_state(), state)


def test_after_critic_step_leaves_the_critic_alone(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    wgan_gp.after_critic_step(critic)
    assert all(torch.equal(tensor, before[name]) for name, tensor in critic.state_dict().items())


def test_critic_learns_to_tell_real_from_fake(wgan_gp: objectives.Objective) -> None:
    critic = small_critic()
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=(0.0, 0.9))
    source = rng()
    for step in range(60):
        loss, stats = wgan_gp.critic_loss(critic, images(step) * 0.2 + 0.1, images(step + 100) * 0.2 - 0.1, source)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # The two means lie 0.2 apart in each of 48 numbers: sqrt(48) * 0.2, and a slope of one cannot see more.
    assert stats["wasserstein"].item() == pytest.approx(math.sqrt(48) * 0.2, rel=0.25)
    assert stats["penalty"].item() < 0.1


def test_pairs_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="pair up"):
        gradient_penalty(Linear(torch.zeros(48)), images(1), images(2, count=1), rng())


def test_critic_with_batchnorm_is_refused_under_wgan_gp() -> None:
    """The critic may be on the meta device, so nothing need be allocated for the answer."""
    with torch.device("meta"):
        bad, good = small_critic(normalisation="batch"), small_critic()
    with pytest.raises(UsageError, match=r"^critic\.kind: BatchNorm .*wgan_gp"):
        objectives.check_critic(WganGpRecipe(), bad)
    objectives.check_critic(WganGpRecipe(), good)


def test_build_reads_the_recipe() -> None:
    objective = objectives.build(WganGpRecipe(penalty_weight=3.0, critic_steps=2))
    assert isinstance(objective, WganGp)
    assert (objective.penalty_weight, objective.critic_steps, WganGpRecipe.has_per_sample_penalty) == (3.0, 2, True)


class ToyRecipe(WganGpRecipe):
    """A schema that nothing implements, until a test registers something."""


def test_a_new_objective_is_its_schema_and_what_is_registered_for_it() -> None:
    with pytest.raises(UsageError, match=r"^objective\.kind: nothing implements ToyRecipe"):
        objectives.build(ToyRecipe())

    @objectives.OBJECTIVES.register(ToyRecipe)
    class Toy(WganGp):
        statistics = {"toy": objectives.Statistic("Toy", "As large as it is.")}  # noqa: RUF012

    assert isinstance(objectives.build(ToyRecipe()), Toy)
    assert {"toy", "penalty", "r1", "probability_real", "fakes_passed"} <= set(objectives.all_statistics())
