"""Running statistics of BatchNorm."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.networks.interface import Network
from mitlgan.runtime.randomness import random_generator, sample_normal

RECALIBRATION_BATCHES, RECALIBRATION_BATCH = 32, 64
"""Batches that the statistics are averaged over, and the images of each."""


def trained_statistics(network: nn.Module) -> Iterator[Tensor]:
    """Yield the running statistics of modules in training mode."""
    for module in network.modules():
        if module.training:
            yield from (buffer for buffer in module.buffers(recurse=False) if buffer.is_floating_point())


@torch.no_grad()
def recalibrate_batchnorm(network: Network, seed: int, *, batches: int | None = None) -> Network:
    """Measure the running BatchNorm statistics of a network's present weights.

    An average of weights does not have the average of the statistics. Frozen layers, whose modules stay in eval mode, keep theirs.

    Args:
        network: Maps latents to images; left in eval mode.
        seed: Seed of the latents.
        batches: Number of batches in place of `RECALIBRATION_BATCHES`.

    Returns:
        The same network.
    """
    network.train()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch then averages over all batches with equal weight
        device = next(network.parameters()).device
        for index in range(batches or RECALIBRATION_BATCHES):
            network(sample_normal((RECALIBRATION_BATCH, *network.input_shape), random_generator(seed, "recalibration", index), device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return network.eval()
