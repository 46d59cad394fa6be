"""Minimax, least squares and clipped Wasserstein: their formulas, their labels, batches kept apart, and what they call a lost game."""

import math

import pytest
import torch
from torch import Tensor, nn

from mitlgan import objectives
from mitlgan.objectives import CRITIC_DOMINATES, GENERATOR_DOMINATES
from mitlgan.objectives.noisy_labels import noisy_labels
from mitlgan.objectives.score_stats import verdict_stats
from mitlgan.recipe import LsganRecipe, MinimaxRecipe, RelativisticRecipe, WganClipRecipe

REAL, FAKE = torch.full((4, 1, 2, 2), 0.5), torch.full((4, 1, 2, 2), -0.25)


class Sum(nn.Module):
    """Scores an image by the weighted sum of its pixels: 2 for `REAL`, -1 for `FAKE`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.batches: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(images.detach())
        return images.flatten(1).sum(1) * self.weight


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_minimax_is_goodfellows() -> None:
    """Equation 1 for the critic, section 3's -log D(G(z)) for the generator."""
    objective, critic = objectives.build(MinimaxRecipe()), Sum()
    loss, stats = objective.critic_loss(critic, REAL, FAKE, rng())
    d_real, d_fake = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    assert loss.item() == pytest.approx(-math.log(d_real) - math.log(1 - d_fake), rel=1e-6)
    assert stats["probability_real"].item() == pytest.approx(d_real)
    assert stats["probability_fake"].item() == pytest.approx(d_fake)
    assert stats["fakes_passed"].item() == 0
    generator_loss, _ = objective.generator_loss(critic, FAKE, REAL)
    assert generator_loss.item() == pytest.approx(-math.log(d_fake), rel=1e-6)


def test_minimax_survives_huge_scores() -> None:
    objective = objectives.build(MinimaxRecipe())
    loss, _ = objective.critic_loss(Sum(), REAL * 1e4, FAKE * 1e4, rng())
    assert loss.item() == 0
    assert objective.generator_loss(Sum(), FAKE * 1e4, REAL)[0].item() == pytest.approx(1e4)


def test_lsgan_is_maos_equation_9() -> None:
    objective, critic = objectives.build(LsganRecipe()), Sum()
    assert objective.critic_loss(critic, REAL, FAKE, rng())[0].item() == pytest.approx(((2 - 1) ** 2 + (-1) ** 2) / 2)
    assert objective.generator_loss(critic, FAKE, REAL)[0].item() == pytest.approx((-1 - 1) ** 2 / 2)


def test_wgan_labels_are_signs_and_every_weight_is_clipped() -> None:
    objective, critic = objectives.build(WganClipRecipe(clip=0.01)), Sum()
    loss, stats = objective.critic_loss(critic, REAL, FAKE, rng())
    assert loss.item() == pytest.approx(-2 + -1)
    assert stats["wasserstein"].item() == pytest.approx(3)
    assert objective.generator_loss(critic, FAKE, REAL)[0].item() == pytest.approx(1)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    objective.after_critic_step(network)  # type: ignore[arg-type]
    assert all(parameter.abs().max() <= 0.01 for parameter in network.parameters())
    assert network[1].weight.tolist() == pytest.approx([0.01, 0.01])
    assert objective.critic_steps == 5


@pytest.mark.parametrize("recipe", [MinimaxRecipe(), LsganRecipe(), WganClipRecipe()])
def test_real_and_fake_are_batches_of_their_own(recipe: MinimaxRecipe) -> None:
    """BatchNorm must never see them mixed."""
    critic = Sum()
    objectives.build(recipe).critic_loss(critic, REAL, FAKE, rng())
    assert [batch.mean().item() for batch in critic.batches] == [0.5, -0.25]


@pytest.mark.parametrize("recipe", [MinimaxRecipe(), LsganRecipe(), WganClipRecipe(), RelativisticRecipe()])
def test_each_side_gets_its_own_gradient(recipe: MinimaxRecipe) -> None:
    objective, critic = objectives.build(recipe), Sum()
    fake = FAKE.clone().requires_grad_()
    objective.critic_loss(critic, REAL, fake, rng())[0].backward()  # type: ignore[no-untyped-call]
    assert fake.grad is None
    assert critic.weight.grad is not None
    critic.weight.grad = None
    objective.generator_loss(critic, fake, REAL)[0].backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    assert (fake.grad < 0).all()  # descending raises the score
    assert critic.weight.grad is None


@pytest.mark.parametrize("recipe", [MinimaxRecipe, LsganRecipe, WganClipRecipe])
def test_real_and_fake_may_be_two_updates(recipe: type[MinimaxRecipe | LsganRecipe | WganClipRecipe]) -> None:
    """The critic learns from real images before it scores the fake ones, as Keras' `train_on_batch` does; without the key one update has both."""
    critic = Sum()
    (whole,) = objectives.build(recipe()).critic_losses(critic, REAL, FAKE, rng())
    losses = objectives.build(recipe(separate_updates=True)).critic_losses(critic, REAL, FAKE, rng())
    first, _ = next(losses)
    assert len(critic.batches) == 3  # the fake ones are not scored yet
    with torch.no_grad():
        critic.weight.mul_(2)  # the step between the two
    second, stats = next(losses)
    assert next(losses, None) is None
    assert (stats["score_real"].item(), stats["score_fake"].item()) == (2, -2)
    with torch.no_grad():
        critic.weight.fill_(1)
    unstepped = [loss for loss, _ in objectives.build(recipe(separate_updates=True)).critic_losses(critic, REAL, FAKE, rng())]
    assert (unstepped[0] + unstepped[1]).item() == pytest.approx(whole[0].item())
    assert first.item() == unstepped[0].item()
    assert second.item() != unstepped[1].item()


def test_accuracy_is_the_share_told_right() -> None:
    real, fake = torch.tensor([0.6, 0.4, 0.9, 0.8]), torch.tensor([0.1, 0.7, 0.2, 0.3])
    stats = verdict_stats(real, fake, 0.5, with_accuracy=True)
    assert (stats["accuracy"].item(), stats["fakes_passed"].item()) == (0.75, 0.25)
    for recipe in (MinimaxRecipe, LsganRecipe):
        keys = [set(objectives.build(recipe(log_accuracy=log)).critic_loss(Sum(), REAL, FAKE, rng())[1]) for log in (True, None)]
        assert keys[0] - keys[1] == {"accuracy"}, "absent, the statistics of earlier runs stay as they are"


def test_labels_are_plain_unless_asked() -> None:
    generator = rng()
    before = generator.get_state()
    real, fake = noisy_labels(MinimaxRecipe(), torch.zeros(5), generator)
    assert (real.tolist(), fake.tolist()) == ([1.0] * 5, [0.0] * 5)
    assert torch.equal(generator.get_state(), before)


def test_smoothing_is_one_sided() -> None:
    real, fake = noisy_labels(MinimaxRecipe(label_smoothing=0.1), torch.zeros(5), rng())
    assert real.tolist() == pytest.approx([0.9] * 5)
    assert fake.tolist() == [0.0] * 5


def test_noise_and_flips_are_as_large_as_asked() -> None:
    real, fake = noisy_labels(MinimaxRecipe(label_smoothing=0.3, label_noise=0.2), torch.zeros(4000), rng())
    assert 0.5 <= real.min() < 0.52
    assert 0.88 < real.max() <= 0.9
    assert fake.max() <= 0.2
    real, fake = noisy_labels(MinimaxRecipe(label_flips=0.1), torch.zeros(4000), rng())
    assert real.mean().item() == pytest.approx(0.9, abs=0.02)
    assert fake.mean().item() == pytest.approx(0.1, abs=0.02)


def test_a_lost_game_has_a_name() -> None:
    minimax, lsgan = objectives.build(MinimaxRecipe()), objectives.build(LsganRecipe())
    fair = {"probability_real": 0.6, "probability_fake": 0.4, "critic_loss": 1.3, "generator_loss": 0.8}
    assert minimax.diagnose(fair) is None
    assert (
        minimax.diagnose({**fair, "probability_real": 0.999, "probability_fake": 0.001, "critic_loss": 0.002, "generator_loss": 7.0})
        is CRITIC_DOMINATES
    )
    # Benedetti 2019's collapse after epoch 39: loss_D 25-30, loss_G 0, D(G(z)) 1
    collapsed = {"probability_real": 1.0, "probability_fake": 1.0, "critic_loss": 27.0, "generator_loss": 0.0}
    assert minimax.diagnose(collapsed) is GENERATOR_DOMINATES
    assert GENERATOR_DOMINATES.collapsed
    assert lsgan.diagnose({"critic_loss": 0.2, "generator_loss": 0.3}) is None
    assert lsgan.diagnose({"critic_loss": 1e-4, "generator_loss": 0.5}) is CRITIC_DOMINATES
    assert objectives.build(WganClipRecipe()).diagnose({"critic_loss": 0.0, "generator_loss": 0.0}) is None
