"""Every stage of a network's images, as artifacts give them: on the CPU, clamped, and in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from mitlgan.networks import Composer, CompositionStages, EffectStrengths, LayerTransform


def concat_stages(parts: Sequence[CompositionStages]) -> CompositionStages:
    """Concatenate batches of stages of the same network."""
    mattes = [part.matte for part in parts if part.matte is not None]
    return replace(
        parts[0],
        layers={name: torch.cat([part.layers[name] for part in parts]) for name in parts[0].layers},
        fused=torch.cat([part.fused for part in parts]),
        matte=torch.cat(mattes) if mattes else None,
        output=torch.cat([part.output for part in parts]),
        placed={name: torch.cat([part.placed[name] for part in parts]) for name in parts[0].placed},
        transforms={name: _cat_transforms([part.transforms[name] for part in parts]) for name in parts[0].transforms},
    )


def run_network(
    network: nn.Module, z: Tensor, role: str, transforms: Mapping[str, LayerTransform] | None = None, strengths: EffectStrengths | None = None
) -> CompositionStages:  # fmt: skip
    """Return every stage of a network's images, clamped to [-1, 1], on the CPU."""
    if isinstance(network, Composer):
        stages = network.layers(z, transforms, strengths)
        return replace(
            stages,
            layers={name: _clamped(image) for name, image in stages.layers.items()},
            fused=_clamped(stages.fused),
            matte=None if stages.matte is None else stages.matte.float().cpu(),
            output=_clamped(stages.output),
            placed={name: _clamped(image) for name, image in stages.placed.items()},
            transforms={name: LayerTransform(*(values.float().cpu() for values in transform)) for name, transform in stages.transforms.items()},
        )
    image = _clamped(network(z))
    return CompositionStages(layers={role: image}, fused=image, matte=None, output=image)


def _cat_transforms(transforms: Sequence[LayerTransform]) -> LayerTransform:
    return LayerTransform(*(torch.cat(values) for values in zip(*transforms, strict=True)))


def _clamped(images: Tensor) -> Tensor:
    return images.float().clamp(-1, 1).cpu()
