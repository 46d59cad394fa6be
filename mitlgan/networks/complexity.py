"""Parameters as the thesis counts them, multiply-accumulates, the operations of any computation, and a summary of each block of a network."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Keras, whose summaries the thesis prints, does not count it.
_NOT_COUNTED = "num_batches_tracked"


class ParameterCounts(NamedTuple):
    """All parameters, with BatchNorm's running statistics as in the thesis, and the trainable ones."""

    parameters: int
    trainable: int


@dataclass(frozen=True)
class BlockSummary:
    """Summary of one block of a network.

    Attributes:
        name: Dotted name.
        type: Class name.
        output_shape: Shape for one image, without the batch.
        parameters: Count, with BatchNorm's running mean and variance.
        trainable: Count of those that require a gradient.
        multiply_accumulates: For one image.
        input_shape: Shape of what it gets for one image; it differs from the output of the block before where features are concatenated.
        setting: Kernel and stride of a convolution, factor of an upsampling, slope of a LeakyReLU, rate of a dropout; else empty.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_accumulates: int
    input_shape: tuple[int, ...] = field(default=(), compare=False)
    setting: str = field(default="", compare=False)


def count_parameters(module: nn.Module) -> ParameterCounts:
    """Count the parameters of a network; a frozen one has no trainable parameters."""
    parameters = list(module.parameters())
    buffers = [buffer for name, buffer in module.named_buffers() if not name.endswith(_NOT_COUNTED)]
    return ParameterCounts(
        parameters=sum(tensor.numel() for tensor in [*parameters, *buffers]),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
    )


def summarize_blocks(module: nn.Module, input_shape: Sequence[int]) -> list[BlockSummary]:
    """Summarize a network's blocks in order of execution, on the meta device, which computes nothing.

    A part whose class says `is_one_block` is one row.

    Args:
        module: A network of one input; it is not changed.
        input_shape: Shape of one input, without the batch.
    """
    meta = _meta_copy(module)
    blocks: list[BlockSummary] = []

    def add(name: str, block: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        counts = count_parameters(block)
        macs = _block_macs(block, inputs[0], output)
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()  # a few blocks return tuples, such as a transform
        input_shape = tuple(inputs[0].shape[1:]) if isinstance(inputs[0], Tensor) else ()
        blocks.append(BlockSummary(name, type(block).__name__, shape, counts.parameters, counts.trainable, macs, input_shape, _setting(block)))

    for name, block in meta.named_modules():
        if _is_leaf(block) and ".parametrizations" not in name:
            block.register_forward_hook(lambda block, inputs, output, name=name: add(name, block, inputs, output))
    with torch.no_grad(), torch.device("meta"):
        meta(torch.empty(1, *input_shape, device="meta"))
    for name, block in meta.named_modules():
        if getattr(block, "is_one_block", False):
            blocks = _merge_rows(blocks, name, type(block).__name__)
    return blocks


def _merge_rows(blocks: list[BlockSummary], name: str, type_name: str) -> list[BlockSummary]:
    """Return a table in which the rows of one part, which run one after the other, are one row with their sums."""
    inside = [row for row in blocks if row.name.startswith(f"{name}.")]
    first = blocks.index(inside[0])
    parameters, trainable, macs = (sum(getattr(row, key) for row in inside) for key in ("parameters", "trainable", "multiply_accumulates"))
    merged = BlockSummary(name, type_name, inside[-1].output_shape, parameters, trainable, macs, inside[0].input_shape)
    return [*blocks[:first], merged, *blocks[first + len(inside) :]]


def _setting(block: nn.Module) -> str:
    if isinstance(block, nn.Conv2d | nn.ConvTranspose2d):
        stride = "" if block.stride[0] == 1 else f", stride {block.stride[0]}"
        return f"{block.kernel_size[0]}x{block.kernel_size[1]}{stride}"
    if isinstance(block, nn.Upsample):
        factor = block.scale_factor[0] if isinstance(block.scale_factor, tuple) else block.scale_factor
        return "" if factor is None else f"x{factor:g}"
    if isinstance(block, nn.LeakyReLU):
        return f"{block.negative_slope:g}"
    return f"{block.p:g}" if isinstance(block, nn.Dropout | nn.Dropout2d) else ""


def _is_leaf(block: nn.Module) -> bool:
    """Whether a block computes by itself; a parametrized weight adds children to what is still one block."""
    return is_parametrized(block) or not any(block.children())


def count_macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-accumulates of convolutions and dense blocks for one image.

    Args:
        module: A network of one input; it is not changed.
        input_shape: Shape of one input, without the batch.
    """
    return sum(row.multiply_accumulates for row in summarize_blocks(module, input_shape))


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the floating-point operations of matrix products and convolutions, in gradients of gradients too, where torch's own counter fails.

    Args:
        computes: Whether it leaves results as they are; if not, products and convolutions are zeros, which take almost no time.

    Attributes:
        total: Operations so far, two for each multiply-accumulate.
    """

    def __init__(self, *, computes: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._computes = computes

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run an operation and count it."""
        count = flop_registry.get(func._overloadpacket)
        result = func(*args, **(kwargs or {})) if count is None or self._computes else _zeros_of(func, args, kwargs or {})
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def _zeros_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return zeros in place of an operation's results, which are a tensor, or tensors and None."""
    device = next(value.device for value in args if isinstance(value, Tensor))
    results = func(*(value.to("meta") if isinstance(value, Tensor) else value for value in args), **kwargs)
    if isinstance(results, Tensor):
        return torch.zeros_like(results, device=device)
    return tuple(result if result is None else torch.zeros_like(result, device=device) for result in results)


def _block_macs(block: nn.Module, inputs: Tensor, output: Tensor) -> int:
    """Return the multiply-accumulates of one block for one image; normalization and activations count as 0."""
    if isinstance(block, nn.ConvTranspose2d):  # each input value is multiplied by the kernel once
        return inputs.numel() * (block.out_channels // block.groups) * math.prod(block.kernel_size)
    if isinstance(block, nn.Conv2d):  # every output value is one sum over the kernel
        return output.numel() * (block.in_channels // block.groups) * math.prod(block.kernel_size)
    if isinstance(block, nn.Linear):
        return output.numel() * block.in_features
    return 0


def _meta_copy(module: nn.Module) -> nn.Module:
    """Copy a network's structure without its values, in eval mode so that BatchNorm accepts one image."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo=memo).eval()
