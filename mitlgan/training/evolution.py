"""A generator with its optimiser, as it was before a mutation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mitlgan.training.state import TrainingState


class GeneratorSnapshot:
    """A copy of the generator's weights and of its optimiser's moments, in memory.

    Args:
        state: Of the training.
    """

    def __init__(self, state: TrainingState) -> None:
        self._tensors = [tensor.detach().clone() for tensor in _tensors(state.generator)]
        self._moments = _copied(state.generator_optimiser.state)

    @torch.no_grad()
    def restore(self, state: TrainingState) -> None:
        """Put the copy back; it can be put back again."""
        for tensor, saved in zip(_tensors(state.generator), self._tensors, strict=True):
            tensor.copy_(saved)
        state.generator_optimiser.state.clear()
        state.generator_optimiser.state.update(_copied(self._moments))


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _copied(moments: Any) -> dict[Any, dict[str, Any]]:
    """Return an optimiser's state with copies of its tensors."""
    return {
        parameter: {key: value.clone() if isinstance(value, Tensor) else value for key, value in values.items()}
        for parameter, values in moments.items()
    }  # fmt: skip
