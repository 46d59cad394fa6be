"""Adapters: learned changes of frozen generators, stored apart from them."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError
from mitlgan.networks.blocks import Generator


class FeatureAffineAdapter(nn.Module):
    """Scale and shift changes of each channel that a frozen generator normalizes (Noguchi & Harada 2019, section 3).

    They start at zero and leave the generator's weights alone; an image still depends on its own latent only.

    Args:
        generator: The frozen generator.

    Raises:
        UsageError: The generator has no BatchNorm.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        norms = {name: module for name, module in generator.named_modules() if isinstance(module, _BatchNorm) and module.affine}
        if not norms:
            raise UsageError("composer.adapters: a generator without BatchNorm has no channels to adapt; leave the setting out")
        self._names = list(norms)
        self.scales = nn.ParameterList(torch.zeros_like(norm.weight) for norm in norms.values())
        self.shifts = nn.ParameterList(torch.zeros_like(norm.bias) for norm in norms.values())

    def render(self, generator: Generator, z: Tensor) -> Tensor:
        """Return images (N, C, H, W) of latents (N, D) by the adapted generator."""
        return cast(Tensor, functional_call(generator, self._adapted_tensors(generator, ""), (z,)))

    def forward_with_features(self, generator: Generator, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return images and activations as `Generator.forward_with_features` does."""
        return cast(tuple[Tensor, list[Tensor]], functional_call(_WithFeatures(generator), self._adapted_tensors(generator, "generator."), (z,)))

    @torch.no_grad()
    def adapted(self, generator: Generator) -> Generator:
        """Return a copy of a generator with the changed scales and shifts as its own."""
        changed = copy.deepcopy(generator)
        for name, tensor in self._adapted_tensors(generator, "").items():
            changed.get_parameter(name).data.copy_(tensor)
        return changed

    def _adapted_tensors(self, generator: Generator, prefix: str) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for name, scale, shift in zip(self._names, self.scales, self.shifts, strict=True):
            norm = generator.get_submodule(name)
            tensors[f"{prefix}{name}.weight"] = cast(Tensor, norm.weight) + scale
            tensors[f"{prefix}{name}.bias"] = cast(Tensor, norm.bias) + shift
        return tensors


class _WithFeatures(nn.Module):
    """A generator whose forward pass also returns its activations."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.generator.forward_with_features(z)
