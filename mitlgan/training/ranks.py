"""Several ranks train as one process does with the same whole batch: layers whose result depends on the batch see all of it.

BatchNorm measures the whole batch, dropout draws its noise for the whole batch, of which each rank takes its rows, and the groups of a batch deviation
are those of the whole batch. torch's `SyncBatchNorm` works on GPUs alone, and offers no second derivatives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.networks.critics.options import BatchDeviation
from mitlgan.runtime.distributed import World, gather_rows, sum_over_ranks
from mitlgan.runtime.randomness import BatchShare


def share_batch(network: nn.Module, world: World, batch: int) -> None:
    """Replace the layers of a network that depend on the batch, in place; their parameters and buffers stay the same tensors.

    Layers in eval mode, as in frozen generators, stay. With one rank, all do.

    Args:
        network: In training mode.
        world: This process's rank.
        batch: Images of one rank.
    """
    if world.size == 1:
        return
    for module in list(network.modules()):
        if hasattr(module, "batch_share"):  # it draws random numbers for each image itself
            setattr(module, "batch_share", world.share)  # noqa: B010  (torch's types know no such attribute)
        for name, child in list(module.named_children()):
            if child.training and isinstance(child, _BatchNorm):
                setattr(module, name, SharedBatchNorm.like(child, world))
            elif child.training and isinstance(child, nn.Dropout):
                setattr(module, name, SharedDropout(child.p, world.share, batch))
            elif isinstance(child, BatchDeviation):
                setattr(module, name, SharedBatchDeviation(child.group, world.share, batch))


class SharedDropout(nn.Module):
    """Dropout whose noise is that of one process with the whole batch, from torch's global random numbers, which are the same on all ranks.

    Args:
        p: Probability of a zero.
        share: The rank's rows.
        batch: Images of one rank; an input may hold several such batches, such as real and generated images.
    """

    def __init__(self, p: float, share: BatchShare, batch: int) -> None:
        super().__init__()
        self.p, self.share, self.batch = p, share, batch

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs, some of them zero, the others scaled by 1 / (1 - p)."""
        if not self.training or not self.p:
            return inputs
        is_channels_last = inputs.ndim == 4 and not inputs.is_contiguous() and inputs.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if is_channels_last else torch.contiguous_format  # numbers are drawn in the order of memory
        shape = self.share.whole(inputs.shape)
        whole = torch.empty(shape, dtype=inputs.dtype, device=inputs.device, memory_format=order).bernoulli_(1 - self.p)
        parts = whole.view(-1, self.share.size, self.batch, *inputs.shape[1:])  # one for each batch in the inputs
        return inputs * (parts[:, self.share.rank].reshape(inputs.shape) / (1 - self.p))


class SharedBatchDeviation(BatchDeviation):
    """A batch deviation whose groups are those of one process with the whole batch.

    Args:
        group: As of `BatchDeviation`.
        share: The rank's rows.
        batch: Images of one rank; an input may hold several such batches, such as real and generated images.
    """

    def __init__(self, group: int, share: BatchShare, batch: int) -> None:
        super().__init__(group)
        self.share, self.batch = share, batch

    def mixes(self, batch: int) -> bool:
        """Whether two whole batches in one pass would be grouped otherwise than each in its own."""
        return super().mixes(batch * self.share.size)

    def deviations(self, features: Tensor) -> Tensor:
        """Return (N,) of a rank's features (N, C, H, W): the mean deviation within each image's group, which may hold images of other ranks."""
        if self.batch % self.group == 0:  # each group is of one rank
            return super().deviations(features)
        parts = features.reshape(-1, self.batch, *features.shape[1:]).transpose(0, 1)  # (N of a rank, batches in the inputs, C, H, W)
        whole = gather_rows(parts).transpose(0, 1)  # (batches, N of all ranks, C, H, W)
        return self.share.rows(super().deviations(whole.flatten(0, 1)).view(whole.shape[:2]), dim=1).flatten()


class SharedBatchNorm(_BatchNorm):
    """BatchNorm that measures mean and variance over the batches of all ranks, with gradients through them."""

    world: World

    @classmethod
    def like(cls, norm: _BatchNorm, world: World) -> SharedBatchNorm:
        """Return a layer with the parameters and buffers of another."""
        shared = cls(norm.num_features, norm.eps, norm.momentum, affine=False, track_running_stats=False)
        shared.affine, shared.track_running_stats, shared.world = norm.affine, norm.track_running_stats, world
        shared._parameters, shared._buffers = norm._parameters, norm._buffers
        return shared

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize (N, C, ...) by the whole batch, and update the running statistics."""
        if not self.training:
            return super().forward(inputs)
        values = inputs.float()
        dims = [dim for dim in range(inputs.ndim) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(inputs.ndim)]
        count = self.world.size * inputs.numel() // inputs.shape[1]
        mean = sum_over_ranks(values.sum(dims)) / count  # (C,)
        centered = values - mean.view(shape)
        variance = sum_over_ranks(centered.square().sum(dims)) / count
        self._update_statistics(mean.detach(), variance.detach() * count / max(1, count - 1))
        normalized = centered * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalized = normalized * self.weight.view(shape) + self.bias.view(shape)
        return normalized.to(inputs.dtype)

    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions."""
