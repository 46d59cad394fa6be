"""All that a training run changes, and its way into a checkpoint and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import ArtifactError
from mitlgan.networks import Generator
from mitlgan.recipe import AdamRecipe, AnyOptimiser, Recipe, RmspropRecipe
from mitlgan.runtime.randomness import random_generator, sample_normal

EMA_RAMPUP = 0.05  # early in a run the half-life is at most this share of what has been shown (Karras et al. 2020, ADA's code)


@dataclass
class Counters:
    """Numbers that a resume needs.

    Attributes:
        iteration: Generator updates done.
        images_shown: Real images shown to the critic, over all ranks.
        nan_skipped: Updates skipped because something was not finite.
        nan_in_a_row: Of those, without an iteration since in which none was skipped: a critic that fails each time while the generator's
            own updates are fine must come to an end, too.
        low_diversity_in_a_row: Logged iterations in a row whose samples were nearly alike.
        collapsed_at_kimg: When that was first flagged.
        symptom: What the objective says is wrong now; `symptom_in_a_row` counts the logged iterations that said it.
        diagnosis: The first symptom that stayed, with its date.
        at_ends_in_a_row: Logged iterations in a row whose samples held little but the ends of the value range; `saturation` dates it in words.
        generator_start: Root mean square of the generator's trained weights before the first update; `critic_start` likewise. None in a run that an
            earlier version began, until its next iteration.
        strained_in_a_row: Iterations in a row whose numbers lay beyond scale; `severe_in_a_row` counts those that lay far beyond it.
        diverged_at_kimg: When that was first flagged; `divergence` is the same in words.
        augment_probability: Of each transform of an augmentation that adapts itself.
        seconds: Measured so far, over all resumes.
        cpu_seconds: Likewise, summed over threads.
    """

    iteration: int = 0
    images_shown: int = 0
    nan_skipped: int = 0
    nan_in_a_row: int = 0
    low_diversity_in_a_row: int = 0
    collapsed_at_kimg: float | None = None
    symptom: str = ""
    symptom_in_a_row: int = 0
    diagnosis: str = ""
    at_ends_in_a_row: int = 0
    saturation: str = ""
    generator_start: float | None = None
    critic_start: float | None = None
    strained_in_a_row: int = 0
    severe_in_a_row: int = 0
    diverged_at_kimg: float | None = None
    divergence: str = ""
    augment_probability: float = 0.0
    seconds: float = field(default=0.0, compare=False)
    cpu_seconds: float = field(default=0.0, compare=False)

    @property
    def kimg(self) -> float:
        """The clock."""
        return self.images_shown / 1000

    @property
    def trouble(self) -> str:
        """What went wrong, each with its date: divergence before a lost game."""
        return "; ".join(text for text in (self.divergence, self.saturation, self.diagnosis) if text)


class TrainingState:
    """Networks, their moving average, optimisers and counters.

    Args:
        generator: Latents to images; only parameters that require a gradient are trained.
        critic: Images to scores.
        recipe: Optimisers and averaging.

    Attributes:
        statistics: Running statistics that training moves; each rank's own until they are averaged.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, recipe: Recipe) -> None:
        # Measured on CPU and usual on GPU: channels last makes the generator's small convolutions faster; the critic's gain only on a GPU.
        self.generator = generator.train().to(memory_format=torch.channels_last)
        on_gpu = next(critic.parameters()).device.type == "cuda"
        self.critic = critic.train().to(memory_format=torch.channels_last if on_gpu else torch.preserve_format)
        self.generator_parameters = [p for p in generator.parameters() if p.requires_grad]
        self.critic_parameters = [p for p in critic.parameters() if p.requires_grad]
        factors = generator.lr_factors() if isinstance(generator, Generator) else {}
        self.generator_optimiser = build_optimiser(recipe.generator_optimiser, self.generator_parameters, factors)
        self.critic_optimiser = build_optimiser(recipe.critic_optimiser, self.critic_parameters)
        self._recipes = (recipe.generator_optimiser, recipe.critic_optimiser)
        self.ema = copy.deepcopy(generator).eval().requires_grad_(False)
        self.counters = Counters()
        self._ema_halflife_kimg = recipe.training.ema_halflife_kimg
        self._ema_pairs = _ema_pairs(self.generator, self.ema)
        self.running_statistics = [buffer for network in (self.generator, self.critic) for buffer in _trained_statistics(network)]

    def apply_lr_schedules(self, share: float) -> None:
        """Set both learning rates for a point of the run.

        Args:
            share: Of its length that has passed.
        """
        for recipe, optimiser in zip(self._recipes, self._optimisers().values(), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * recipe.factor(share) * group["factor"]

    @torch.no_grad()
    def update_ema(self, images: int) -> None:
        """Move the average towards the generator.

        Args:
            images: Real images shown since the last call; the half-life is counted in them (Karras et al. 2018, section 3 / appendix).
        """
        halflife = min(self._ema_halflife_kimg * 1000, self.counters.images_shown * EMA_RAMPUP)
        weight = 1.0 - 0.5 ** (images / halflife) if halflife > 0 else 1.0
        averages, values = self._ema_pairs
        torch._foreach_lerp_(averages, values, weight)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state, by a flat name."""
        found: dict[str, Tensor] = {}
        for part, module in (("generator", self.generator), ("ema", self.ema), ("critic", self.critic)):
            found.update({f"{part}.{name}": tensor for name, tensor in module.state_dict().items()})
        for part, optimiser in self._optimisers().items():
            for index, values in optimiser.state_dict()["state"].items():
                found.update({f"{part}.{index}.{name}": value for name, value in values.items() if isinstance(value, Tensor)})
        return found

    def header(self) -> dict[str, Any]:
        """What is not a tensor."""
        return {"counters": asdict(self.counters)}

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Take the state of a checkpoint.

        Raises:
            ArtifactError: It belongs to other networks.
        """
        try:
            for part, module in (("generator", self.generator), ("ema", self.ema), ("critic", self.critic)):
                module.load_state_dict(_with_prefix(tensors, part))
            for part, optimiser in self._optimisers().items():
                optimiser.load_state_dict({**optimiser.state_dict(), "state": _optimiser_state(optimiser, _with_prefix(tensors, part))})
            self.counters = Counters(**header["counters"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise ArtifactError(f"checkpoint: does not fit the recipe's networks ({str(error).splitlines()[0]})") from None

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator_optimiser": self.generator_optimiser, "critic_optimiser": self.critic_optimiser}


def build_optimiser(
    recipe: AnyOptimiser, parameters: list[nn.Parameter], factors: Mapping[nn.Parameter, float] | None = None
) -> torch.optim.Optimizer:  # fmt: skip
    """The optimiser of a recipe.

    Args:
        recipe: Its kind and learning rate.
        parameters: What it moves.
        factors: What the learning rate of a parameter is multiplied by, where that is not 1; each factor makes a group, which carries it as "factor".
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault((factors or {}).get(parameter, 1.0), []).append(parameter)
    return OPTIMISERS[recipe.kind](
        recipe, [{"params": group, "lr": recipe.learning_rate * factor, "factor": factor} for factor, group in groups.items()]
    )


def _adam(recipe: AdamRecipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """In torch's fused form where the parameters' device has one."""
    fused = all(parameter.device.type in ("cpu", "cuda") for group in groups for parameter in group["params"])
    return torch.optim.Adam(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), eps=recipe.eps, fused=fused)


def _rmsprop(recipe: RmspropRecipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=recipe.decay, eps=recipe.eps)


OPTIMISERS: dict[str, Callable[[Any, list[dict[str, Any]]], torch.optim.Optimizer]] = {"adam": _adam, "rmsprop": _rmsprop}


def _ema_pairs(network: nn.Module, average: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """What the average follows: trained parameters, and running statistics of modules that train; frozen layers stay as they are."""
    averages: list[Tensor] = []
    values: list[Tensor] = []
    for module, shadow in zip(network.modules(), average.modules(), strict=True):
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                averages.append(shadow.get_parameter(name).data)
                values.append(parameter.data)
        for name, buffer in module.named_buffers(recurse=False):
            if module.training and buffer.is_floating_point():
                averages.append(shadow.get_buffer(name))
                values.append(buffer)
    return averages, values


def _trained_statistics(network: nn.Module) -> Iterator[Tensor]:
    """Running statistics of modules that train."""
    for module in network.modules():
        if module.training:
            yield from (buffer for buffer in module.buffers(recurse=False) if buffer.is_floating_point())


def _optimiser_state(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """State by parameter index, each moment in its parameter's memory format, which the fused kernels take for granted."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        parameter = parameters[int(index)]
        alike = tensor.shape == parameter.shape and tensor.ndim > 0
        state.setdefault(int(index), {})[key] = torch.empty_like(parameter).copy_(tensor) if alike else tensor
    return state


def _with_prefix(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name[len(part) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}


@torch.no_grad()
def recalibrate_batchnorm(network: nn.Module, seed: int, *, batches: int = 32, batch: int = 64) -> nn.Module:
    """Measure running BatchNorm statistics anew for the network's present weights.

    An average of weights does not have the average of the statistics. Frozen layers, whose modules stay in eval mode, keep theirs.

    Args:
        network: Latents to images; left in eval mode.
        seed: Of the latents.
        batches: Over how many the statistics are averaged.
        batch: Images of each.

    Returns:
        The same network.
    """
    network.train()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's way to say: average over all batches alike
        device = next(network.parameters()).device
        for index in range(batches):
            network(sample_normal((batch, int(network.latent_dim)), random_generator(seed, "recalibration", index), device))  # type: ignore[arg-type]
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return network.eval()
