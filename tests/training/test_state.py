"""The state of a training run: its moving average, its optimisers' layout, its way through a checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from helpers.short_exports import IMAGES_OF_USERS
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.artifacts.load_save import layer_hashes, load_network
from mitlgan.errors import ArtifactError
from mitlgan.networks import batchnorm
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import Recipe
from mitlgan.training.counters import Counters
from mitlgan.training.run_directory import Run
from mitlgan.training.state import TrainingState


@pytest.fixture
def recipe(packs: dict[str, Path]) -> Recipe:
    return tiny_runs.recipe("fg", packs["fg"])


def new_state(recipe: Recipe, seed: int = 0) -> TrainingState:
    torch.manual_seed(seed)
    assert recipe.generator is not None
    generator = networks.build_generator(recipe.generator, recipe.size_px)
    return TrainingState(generator, networks.build_critic(recipe.critic, recipe.size_px), recipe)


def descend(state: TrainingState, seed: int) -> None:
    """One step of both optimisers, by gradients that depend on the seed alone."""
    torch.manual_seed(seed)
    for network, optimiser in ((state.generator, state.generator_optimiser), (state.critic, state.critic_optimiser)):
        for parameter in network.parameters():
            parameter.grad = torch.randn(parameter.shape).to(memory_format=_format(parameter))
        optimiser.step()


def _format(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.ndim == 4 else torch.contiguous_format


def moments(state: TrainingState) -> list[tuple[Tensor, Tensor]]:
    """Each parameter with each of its moments."""
    found = []
    for optimiser in (state.generator_optimiser, state.critic_optimiser):
        for parameter, values in optimiser.state.items():
            found += [(parameter, values[key]) for key in ("exp_avg", "exp_avg_sq")]
    return found


def test_a_restored_state_goes_on_to_the_bit(recipe: Recipe) -> None:
    straight, first, second = new_state(recipe), new_state(recipe), new_state(recipe, seed=1)
    for seed in range(4):
        descend(straight, seed)
    for seed in range(2):
        descend(first, seed)
    copies = {name: tensor.clone().contiguous() for name, tensor in first.tensors().items()}  # as a file holds them
    second.restore(copies, {"counters": asdict(Counters(iteration=2, images_shown=16))})
    for seed in range(2, 4):
        descend(second, seed)
    expected, found = straight.tensors(), second.tensors()
    assert expected.keys() == found.keys()
    for name in expected:
        if not name.startswith("ema."):
            assert torch.equal(expected[name], found[name]), name
    assert second.counters == Counters(iteration=2, images_shown=16)


def test_fused_adams_moments_keep_their_parameters_layout_through_a_restore(recipe: Recipe) -> None:
    state = new_state(recipe)
    descend(state, 0)
    assert any(parameter.ndim == 4 and not parameter.is_contiguous() for parameter, _ in moments(state))  # the generator is channels last
    copies = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.tensors().items()}
    other = new_state(recipe, seed=1)
    other.restore(copies, {"counters": {}})
    assert len(moments(other)) == len(moments(state))
    for (parameter, moment), (_, original) in zip(moments(other), moments(state), strict=True):
        assert moment.stride() == parameter.stride() == original.stride()
        assert torch.equal(moment, original)
    assert {group["fused"] for group in (*other.generator_optimiser.param_groups, *other.critic_optimiser.param_groups)} == {True}


def test_a_state_of_other_networks_is_refused(recipe: Recipe) -> None:
    state = new_state(recipe)
    tensors = state.tensors()
    header: dict[str, Any] = {"counters": {}}
    wider = recipe.model_copy(update={"critic": recipe.critic.model_copy(update={"widths": (5, 6)})})
    with pytest.raises(ArtifactError, match="does not fit the recipe's networks"):
        new_state(wider).restore(tensors, header)
    without: dict[str, Any] = {name: tensor for name, tensor in tensors.items() if not name.startswith("critic.")}
    with pytest.raises(ArtifactError, match="does not fit"):
        new_state(recipe).restore(without, header)
    with pytest.raises(ArtifactError, match="does not fit"):
        new_state(recipe).restore(tensors, {})


def test_the_average_has_the_recipes_halflife(recipe: Recipe) -> None:
    state = new_state(recipe)
    state.counters.images_shown = 1_000_000  # far behind the ramp of the first images
    before = {name: tensor.clone() for name, tensor in state.ema.state_dict().items()}
    with torch.no_grad():
        for value in (*state.generator.parameters(), *(b for b in state.generator.buffers() if b.is_floating_point())):
            value.add_(1.0)
    state.update_ema(20)  # ema_halflife_kimg = 0.02
    for name, tensor in state.ema.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, before[name] + 0.5, msg=name)
        else:
            assert torch.equal(tensor, before[name])
    state.update_ema(20)
    for name, tensor in state.ema.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, before[name] + 0.75, msg=name)


def test_early_averages_and_those_switched_off_follow_the_generator(recipe: Recipe) -> None:
    early = new_state(recipe)
    early.counters.images_shown = 8  # the half-life is then 5 % of it, 0.4 images
    off = new_state(recipe.model_copy(update={"training": recipe.training.model_copy(update={"ema_halflife_kimg": 0.0})}))
    for state, share in ((early, 1 - 0.5**20), (off, 1.0)):
        name, value = next(iter(state.generator.named_parameters()))
        before = state.ema.get_parameter(name).clone()
        with torch.no_grad():
            value.add_(1.0)
        state.update_ema(8)
        torch.testing.assert_close(state.ema.get_parameter(name), before + share)


def test_a_composers_average_and_optimiser_leave_frozen_layers_alone(composed: Run, packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("scene", packs["scene"], compose=True)
    assert composed.artifact_file is not None
    network, _ = load_network(composed.artifact_file)
    assert isinstance(network, networks.Composer)
    network.requires_grad_(True)
    state = TrainingState(network, networks.build_critic(recipe.critic, recipe.size_px), recipe)
    assert isinstance(state.ema, networks.Composer)
    before = layer_hashes(state.ema)
    assert {id(p) for p in state.generator_parameters} == {id(p) for p in network.trainable_parameters()}
    state.counters.images_shown = 8
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor += 1  # even if the layers moved, their average would not follow
    state.update_ema(8)
    assert layer_hashes(state.ema) == before
    names = {id(tensor): name for name, tensor in (*network.named_buffers(), *network.named_parameters())}
    assert not [name for tensor in state.running_statistics if (name := names.get(id(tensor), "critic")).startswith("layers.")]


def test_statistics_are_those_of_what_trains(recipe: Recipe) -> None:
    state = new_state(recipe)
    running = [tensor for name, tensor in state.generator.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert [id(tensor) for tensor in state.running_statistics] == [id(tensor) for tensor in running]


class Shifted(nn.Module):
    """BatchNorm over latents times two, plus three, so that its statistics are known: mean 3, variance 4."""

    input_shape = (6,)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6, momentum=0.1)

    def forward(self, z: Tensor) -> Tensor:
        found: Tensor = self.norm(z * 2 + 3)
        return found


def test_recalibration_measures_the_statistics_of_the_present_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    assert IMAGES_OF_USERS == (32, 64)
    for name, value in zip(("RECALIBRATION_BATCHES", "RECALIBRATION_BATCH"), IMAGES_OF_USERS, strict=True):
        monkeypatch.setattr(batchnorm, name, value)
    network = Shifted()
    for _ in range(20):
        network(torch.full((4, 6), 99.0))  # what training left must not count
    recalibrated = recalibrate_batchnorm(network, seed=0)
    assert recalibrated is network
    assert not network.training
    assert network.norm.momentum == 0.1
    assert network.norm.running_mean is not None
    assert network.norm.running_var is not None
    torch.testing.assert_close(network.norm.running_mean, torch.full((6,), 3.0), atol=0.2, rtol=0)  # 2,048 latents: sigma 2 / sqrt(2048) = 0.04
    torch.testing.assert_close(network.norm.running_var, torch.full((6,), 4.0), atol=0.6, rtol=0)
    again = Shifted()
    recalibrate_batchnorm(again, seed=0)
    assert again.norm.running_mean is not None
    assert torch.equal(again.norm.running_mean, network.norm.running_mean)


def test_recalibration_leaves_frozen_layers_alone(composed: Run) -> None:
    assert composed.artifact_file is not None
    network, _ = load_network(composed.artifact_file)
    assert isinstance(network, networks.Composer)
    before = layer_hashes(network)
    assert isinstance(recalibrate_batchnorm(network, seed=9), networks.Composer)
    assert layer_hashes(network) == before
