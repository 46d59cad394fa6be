"""The baseline that nothing is trained for: the frozen foreground laid on the frozen background by its own opacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mitlgan.networks import Layers
from mitlgan.sample import Artifact
from mitlgan.separate import reference_matte

TOLERANCES = (0.05, 0.1, 0.2, 0.4)
"""Differences from the backdrop, on the scale of [-1, 1], that are tried on the validation pictures; a foreground with alpha needs none."""


class Pasted:
    """A composition's layers without its fusion and translator.

    Args:
        composed: Whose frozen layers are taken.
        tolerance: Up to which difference a pixel of a foreground without alpha is backdrop; see `separate.reference_matte`.
        names: The foreground's and the background's layer.
    """

    def __init__(self, composed: Artifact, tolerance: float, names: tuple[str, str] = ("fg", "bg")) -> None:
        self.composed, self.tolerance, self.names = composed, tolerance, names

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """(N, 3, H, W) in [-1, 1], at the composition's own latents."""
        return self.layers(seeds).output

    def layers(self, seeds: Sequence[int] | Mapping[str, Sequence[int]]) -> Layers:
        """Every stage; the matte is the foreground's own alpha, or what differs from its backdrop."""
        stages = self.composed.layers(seeds)
        front, back = (stages.layers[name] for name in self.names)
        matte = torch.from_numpy(reference_matte(front.numpy(), self.tolerance)).float()[:, None]  # (N, 1, H, W)
        # A foreground with alpha is premultiplied by it: light P in [0, 1] is (x + 1) / 2.
        light = (front[:, :3] + 1) / 2 if front.shape[1] == 4 else matte * (front + 1) / 2
        output = (2 * (light + (1 - matte) * (back[:, :3] + 1) / 2) - 1).clamp(-1, 1)
        return Layers(layers={name: stages.layers[name] for name in self.names}, fused=output, matte=matte, output=output)
