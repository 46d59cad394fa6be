"""Optimisers of a recipe, and their state in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mitlgan.recipe import AdamRecipe, AnyOptimiser, RmspropRecipe


def build_optimiser(
    recipe: AnyOptimiser, parameters: list[nn.Parameter], factors: Mapping[nn.Parameter, float] | None = None
) -> torch.optim.Optimizer:  # fmt: skip
    """Return the optimiser of a recipe.

    Args:
        recipe: Its kind and learning rate.
        parameters: The parameters to train.
        factors: Factor of the learning rate of each parameter, 1 by default. Parameters of one factor make a group, which holds it as "factor".
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault((factors or {}).get(parameter, 1.0), []).append(parameter)
    return OPTIMISERS[recipe.kind](
        recipe, [{"params": group, "lr": recipe.learning_rate * factor, "factor": factor} for factor, group in groups.items()]
    )


def _adam(recipe: AdamRecipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return Adam, in torch's fused form where the parameters' device has one."""
    fused = all(parameter.device.type in ("cpu", "cuda") for group in groups for parameter in group["params"])
    return torch.optim.Adam(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), eps=recipe.eps, fused=fused)


def _rmsprop(recipe: RmspropRecipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=recipe.decay, eps=recipe.eps)


OPTIMISERS: dict[str, Callable[[Any, list[dict[str, Any]]], torch.optim.Optimizer]] = {"adam": _adam, "rmsprop": _rmsprop}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors by "INDEX.NAME"."""
    return {
        f"{index}.{name}": value
        for index, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }  # fmt: skip


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load what `optimiser_tensors` returned; the fused kernels need each moment in its parameter's memory format."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        parameter = parameters[int(index)]
        is_moment = tensor.shape == parameter.shape and tensor.ndim > 0
        state.setdefault(int(index), {})[key] = torch.empty_like(parameter).copy_(tensor) if is_moment else tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
