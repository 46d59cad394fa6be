"""What a network weighs: parameters as the thesis counts them, multiply-accumulates, and a row per block."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

# Keras, whose summaries the thesis prints, has no such counter.
_NOT_COUNTED = "num_batches_tracked"


class ParameterCounts(NamedTuple):
    """`parameters` with BatchNorm's running mean and variance, as the thesis counts, and those of them that are `trainable`."""

    parameters: int
    trainable: int


@dataclass(frozen=True)
class BlockSummary:
    """One block of a network, in the order of execution.

    Attributes:
        name: Its dotted name.
        type: Its class.
        output_shape: For one image, without the batch.
        parameters: With BatchNorm's running mean and variance.
        trainable: Those that require a gradient.
        multiply_accumulates: For one image.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_accumulates: int


def count_parameters(module: nn.Module) -> ParameterCounts:
    """Count the numbers that a network holds.

    Args:
        module: Any network; one that is frozen has no trainable parameters.
    """
    parameters = list(module.parameters())
    buffers = [buffer for name, buffer in module.named_buffers() if not name.endswith(_NOT_COUNTED)]
    return ParameterCounts(
        parameters=sum(tensor.numel() for tensor in [*parameters, *buffers]),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
    )


def summarize_blocks(module: nn.Module, input_shape: Sequence[int]) -> list[BlockSummary]:
    """Describe a network block by block, without computing anything: on the meta device.

    Args:
        module: A network of one input; it is not touched.
        input_shape: Of one input, without the batch: (latent_dim,) or (C, H, W).
    """
    twin = _meta_copy(module)
    table: list[BlockSummary] = []

    def add(name: str, block: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        counts = count_parameters(block)
        macs = _block_macs(block, inputs[0], output)
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()  # some blocks give several numbers, such as where a layer stands
        table.append(BlockSummary(name, type(block).__name__, shape, counts.parameters, counts.trainable, macs))

    for name, block in twin.named_modules():
        if _is_leaf(block) and ".parametrizations" not in name:
            block.register_forward_hook(lambda block, inputs, output, name=name: add(name, block, inputs, output))
    with torch.no_grad(), torch.device("meta"):
        twin(torch.empty(1, *input_shape, device="meta"))
    return table


def _is_leaf(block: nn.Module) -> bool:
    """Whether a block computes by itself; a normalised weight makes a child of what is still one block."""
    return is_parametrized(block) or not any(block.children())


def count_macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-accumulates of convolutions and dense blocks for one image.

    Args:
        module: A network of one input; it is not touched.
        input_shape: Of one input, without the batch: (latent_dim,) or (C, H, W).
    """
    return sum(row.multiply_accumulates for row in summarize_blocks(module, input_shape))


def _block_macs(block: nn.Module, given: Tensor, output: Tensor) -> int:
    """Multiply-accumulates of one block and one image; normalisation and activations count nothing, as usual."""
    if isinstance(block, nn.ConvTranspose2d):  # every input value meets the kernel once
        return given.numel() * (block.out_channels // block.groups) * math.prod(block.kernel_size)
    if isinstance(block, nn.Conv2d):  # every output value is one sum over the kernel
        return output.numel() * (block.in_channels // block.groups) * math.prod(block.kernel_size)
    if isinstance(block, nn.Linear):
        return output.numel() * block.in_features
    return 0


def _meta_copy(module: nn.Module) -> nn.Module:
    """Copy a network's structure without its numbers, in eval mode so that BatchNorm takes one image."""
    weightless: dict[int, Any] = {}
    for parameter in module.parameters():
        weightless[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        weightless[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo=weightless).eval()
