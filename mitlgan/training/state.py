"""All that a training changes: networks, moving average, optimisers and counters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from mitlgan.errors import ArtifactError, raise_resource_fault
from mitlgan.networks import Network
from mitlgan.networks.batchnorm import trained_statistics
from mitlgan.recipe import Recipe
from mitlgan.training.counters import Counters
from mitlgan.training.optimisers import build_optimiser, optimiser_tensors, restore_optimiser

EMA_RAMPUP = 0.05
"""Early in a run the half-life is at most this share of the images shown so far (Karras et al. 2020, ADA's code)."""


class TrainingState:
    """Networks, their moving average, optimisers and counters.

    Args:
        generator: Maps inputs to images; only parameters that require a gradient are trained.
        critic: Maps images to scores.
        recipe: Optimisers and averaging.

    Attributes:
        running_statistics: BatchNorm statistics that training changes; ranks differ until they are averaged.
    """

    def __init__(self, generator: Network, critic: Network, recipe: Recipe) -> None:
        # Measured on a CPU, usual on a GPU: channels last speeds up the generator's small convolutions; the critic gains only on a GPU.
        self.generator = generator.train().to(memory_format=torch.channels_last)
        on_gpu = next(critic.parameters()).device.type == "cuda"
        self.critic = critic.train().to(memory_format=torch.channels_last if on_gpu else torch.preserve_format)
        self.generator_parameters = [p for p in generator.parameters() if p.requires_grad]
        self.critic_parameters = [p for p in critic.parameters() if p.requires_grad]
        factors = generator.lr_factors()
        self.generator_optimiser = build_optimiser(recipe.generator_optimiser, self.generator_parameters, factors)
        self.critic_optimiser = build_optimiser(recipe.critic_optimiser, self.critic_parameters)
        self._optimiser_recipes = (recipe.generator_optimiser, recipe.critic_optimiser)
        self.ema = copy.deepcopy(generator).eval().requires_grad_(False)
        self.counters = Counters()
        self._ema_halflife_kimg = recipe.training.ema_halflife_kimg
        self._ema_pairs = _ema_pairs(self.generator, self.ema)
        self.running_statistics = [buffer for network in (self.generator, self.critic) for buffer in trained_statistics(network)]

    def apply_lr_schedules(self, progress: float) -> None:
        """Set both learning rates for a point of the run.

        Args:
            progress: Share of the run's length so far, in [0, 1].
        """
        for recipe, optimiser in zip(self._optimiser_recipes, self._optimisers().values(), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * recipe.factor(progress) * group["factor"]

    @torch.no_grad()
    def update_ema(self, images: int) -> None:
        """Move the average towards the generator.

        Args:
            images: Real images shown since the last call; the half-life is counted in them (Karras et al. 2018, section 3 / appendix).
        """
        halflife = min(self._ema_halflife_kimg * 1000, (self.counters.images_shown - self.counters.step_images) * EMA_RAMPUP)
        weight = 1.0 - 0.5 ** (images / halflife) if halflife > 0 else 1.0
        averages, values = self._ema_pairs
        torch._foreach_lerp_(averages, values, weight)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the state by a flat name, such as "generator.NAME" or "critic_optimiser.INDEX.NAME"."""
        tensors = {f"{part}.{name}": tensor for part, module in self._networks().items() for name, tensor in module.state_dict().items()}
        for part, optimiser in self._optimisers().items():
            tensors.update({f"{part}.{name}": tensor for name, tensor in optimiser_tensors(optimiser).items()})
        return tensors

    def header(self) -> dict[str, Any]:
        """Return the state's part that is not a tensor."""
        return {"counters": asdict(self.counters)}

    def restore(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        """Load the state of a checkpoint.

        Args:
            tensors: As `tensors` returned them.
            header: As `header` returned it; other keys are ignored.

        Raises:
            ArtifactError: It belongs to other networks.
        """
        try:
            for part, module in self._networks().items():
                module.load_state_dict(_with_prefix(tensors, part))
            for part, optimiser in self._optimisers().items():
                restore_optimiser(optimiser, _with_prefix(tensors, part))
            self.counters = Counters(**header["counters"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise_resource_fault(error, "checkpoint")
            raise ArtifactError(f"checkpoint: does not fit the recipe's networks ({str(error).splitlines()[0]})") from None

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "ema": self.ema, "critic": self.critic}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator_optimiser": self.generator_optimiser, "critic_optimiser": self.critic_optimiser}


def _ema_pairs(network: nn.Module, average: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Return what the average follows: trained parameters and running statistics of modules in training mode, never those of frozen layers.

    Returns:
        Tensors of the average, and those of the network in the same order.
    """
    averages: list[Tensor] = []
    values: list[Tensor] = []
    for module, averaged_module in zip(network.modules(), average.modules(), strict=True):
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                averages.append(averaged_module.get_parameter(name).data)
                values.append(parameter.data)
        for name, buffer in module.named_buffers(recurse=False):
            if module.training and buffer.is_floating_point():
                averages.append(averaged_module.get_buffer(name))
                values.append(buffer)
    return averages, values


def _with_prefix(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of a part of the state, by their names within it."""
    return {name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}
