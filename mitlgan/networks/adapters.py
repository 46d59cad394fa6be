"""Adapters: learned changes of frozen generators, stored apart from them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError
from mitlgan.networks.blocks import Generator

M = TypeVar("M", bound=nn.Module)


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
        return cast(Tensor, _twin(generator, self._adapted_norms(generator))(z))

    def forward_with_features(self, generator: Generator, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return images and activations as `Generator.forward_with_features` does."""
        return _twin(generator, self._adapted_norms(generator)).forward_with_features(z)

    @torch.no_grad()
    def adapted(self, generator: Generator) -> Generator:
        """Return a copy of a generator with the changed scales and shifts as its own."""
        changed = copy.deepcopy(generator)
        for norm, tensors in self._adapted_norms(changed).items():
            for name, tensor in tensors.items():
                norm.get_parameter(name).data.copy_(tensor)
        return changed

    def _adapted_norms(self, generator: Generator) -> dict[nn.Module, dict[str, Tensor]]:
        """Return the changed tensors of each module that they belong to."""
        norms = [cast(_BatchNorm, generator.get_submodule(name)) for name in self._names]
        changes = zip(norms, self.scales, self.shifts, strict=True)
        return {norm: {"weight": norm.weight + scale, "bias": norm.bias + shift} for norm, scale, shift in changes}


def _twin(module: M, changed: Mapping[nn.Module, Mapping[str, Tensor]]) -> M:
    """Return a module with the same tensors and hooks but those that are changed.

    `torch.func.functional_call` would change the module itself for a while, which other threads may use.
    """
    twin = module.__class__.__new__(module.__class__)
    twin.__dict__.update(module.__dict__)
    tensors = {name: tensor for name, tensor in module._parameters.items() if name not in changed.get(module, {})}
    twin.__dict__["_parameters"] = {**tensors, **changed.get(module, {})}
    twin.__dict__["_modules"] = {name: None if child is None else _twin(child, changed) for name, child in module._modules.items()}
    return twin
