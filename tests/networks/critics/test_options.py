"""Minibatch standard deviation and critics of several sizes, against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks.critics.options import BatchDeviation, MultiScale
from mitlgan.recipe import load_recipe
from mitlgan.recipe.schema.critics import GrownCriticRecipe, StridedCriticRecipe, ThesisCriticRecipe

SMALL: dict[str, Any] = {"widths": (4, 6), "kernel": 3}
THESIS = ThesisCriticRecipe(**SMALL, dropout=(0.0, 0.0), flatten_dropout=0.0)
CRITICS: list[Any] = [THESIS, StridedCriticRecipe(**SMALL), StridedCriticRecipe(**SMALL, head="conv", normalisation="none")]


def test_the_deviation_of_a_group_is_that_of_its_values() -> None:
    features = torch.zeros(4, 2, 3, 3)
    features[0], features[1] = 1.0, 3.0  # deviation 1 in all places
    features[2, 0], features[3, 0] = 0.0, 8.0  # deviation 4 in one of two channels, 0 in the other: 2
    result = BatchDeviation(2)(features)
    assert torch.equal(result[:, :2], features)
    torch.testing.assert_close(result[:, 2], torch.tensor([1.0, 1.0, 2.0, 2.0])[:, None, None].expand(4, 3, 3), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("count", "group", "size"), [(6, 4, 3), (4, 4, 4), (3, 4, 3), (5, 4, 1), (1, 2, 1)])
def test_a_batch_that_a_group_does_not_divide_has_smaller_ones(count: int, group: int, size: int) -> None:
    features = torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    result = BatchDeviation(group)(features)[:, 3, 0, 0]
    expected = [features[start : start + size].var(dim=0, correction=0).add(1e-8).sqrt().mean() for start in range(0, count, size)]
    torch.testing.assert_close(result, torch.stack(expected).repeat_interleave(size))


@pytest.mark.parametrize(("batch", "group", "mixes"), [(32, 4, False), (4, 4, False), (2, 4, True), (6, 4, True), (48, 32, True), (5, 4, True)])
def test_two_batches_in_one_pass_are_told_from_each_other_where_groups_divide_them(batch: int, group: int, mixes: bool) -> None:
    deviation = BatchDeviation(group)
    assert deviation.mixes(batch) is mixes
    real, fake = (torch.randn(batch, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    apart, together = torch.cat([deviation(real), deviation(fake)]), deviation(torch.cat([real, fake]))
    assert mixes or torch.equal(apart, together)


def test_equal_images_have_no_deviation_and_finite_gradients() -> None:
    features = torch.ones(4, 2, 2, 2, requires_grad=True)
    result = BatchDeviation(4)(features)
    assert float(result[:, 2].detach().abs().max()) < 1e-3
    result.sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


@pytest.mark.parametrize("recipe", CRITICS, ids=lambda recipe: f"{recipe.kind}-{getattr(recipe, 'head', '')}")
def test_a_critic_with_deviation_tells_like_images_from_unlike_ones(recipe: Any) -> None:
    torch.manual_seed(0)
    plain = networks.build_critic(recipe, 16).eval()
    critic = networks.build_critic(recipe.model_copy(update={"batch_deviation": 4}), 16).eval()
    one, others = torch.rand(1, 3, 16, 16), torch.rand(3, 3, 16, 16)
    alike, unlike = one.repeat(4, 1, 1, 1), torch.cat([one, others])
    torch.testing.assert_close(plain(alike)[0], plain(unlike)[0])
    assert float((critic(alike)[0] - critic(unlike)[0]).detach().abs()) > 1e-4
    more = networks.count_parameters(critic).parameters - networks.count_parameters(plain).parameters
    assert more == 4 * 4  # one more channel of 4 x 4 px in the last layer


def test_a_critic_of_several_sizes_scores_their_mean() -> None:
    torch.manual_seed(0)
    critic = networks.build_critic(THESIS.model_copy(update={"scales": 3}), 32)
    assert isinstance(critic.stages[0], MultiScale)
    images = torch.rand(2, 3, 32, 32)
    halves = images.unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean(dim=(3, 5))
    quarters = images.unflatten(3, (8, 4)).unflatten(2, (8, 4)).mean(dim=(3, 5))
    first, second, third = critic.stages[0].critics
    expected = (first(images) + second(halves) + third(quarters)).squeeze(1) / 3
    torch.testing.assert_close(critic(images), expected)
    assert not torch.equal(first[0][0].weight, second[0][0].weight)  # type: ignore[index]
    each = [networks.count_parameters(networks.build_critic(THESIS, size_px)).parameters for size_px in (32, 16, 8)]
    assert networks.count_parameters(critic).parameters == sum(each)


def test_freezing_takes_the_first_block_of_each_size() -> None:
    critic = networks.build_critic(THESIS.model_copy(update={"scales": 2}), 16)
    critic.freeze_first_blocks(1)
    trainable = {name for name, parameter in critic.named_parameters() if parameter.requires_grad}
    assert trainable == {name for name, _ in critic.named_parameters() if "to_8px.conv" not in name or "critics.1" in name} - {
        name for name, _ in critic.named_parameters() if "critics.1.to_4px" in name
    }


def test_spectral_norm_reaches_every_size() -> None:
    critic = networks.build_critic(THESIS.model_copy(update={"scales": 2, "spectral": True, "batch_deviation": 2}), 16)
    layers = [module for module in critic.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 6
    assert all(hasattr(layer, "parametrizations") for layer in layers)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["critic.batch_deviation=1"], "batch_deviation"),
        (["critic.scales=1"], "scales"),
        (["critic.scales=4"], "critic.widths halves 4 px 3 times"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("recommended/fg-32", settings)


def test_critics_of_several_sizes_cannot_grow() -> None:
    grown = GrownCriticRecipe(parent=THESIS.model_copy(update={"scales": 2}), parent_px=16)
    with pytest.raises(ValueError, match=r"critic\.parent\.scales = 2: several critics have no one block to grow from"):
        grown.require_size(32)
    GrownCriticRecipe(parent=THESIS.model_copy(update={"batch_deviation": 2}), parent_px=16).require_size(32)


def test_without_the_options_a_critic_is_what_it_was() -> None:
    torch.manual_seed(0)
    names = list(networks.build_critic(THESIS, 16).state_dict())
    assert names == [f"stages.{block}.{part}" for block in ("to_8px.conv", "to_4px.conv", "score.dense") for part in ("weight", "bias")]
