"""Mixing two images by resolution: coarse styles of one latent, fine styles of another."""

from __future__ import annotations

import torch

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing.latent_mix import MixResult
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import UsageError
from mitlgan.latents import truncate
from mitlgan.networks import CompositionStages
from mitlgan.networks.generators.style import StyleGenerator


def mix_styles(artifact: LoadedArtifact, coarse: Point, fine: Point, *, from_px: int | None = None, truncation: float = 1.0) -> MixResult:
    """Mix the styles of two points (Karras et al. 2019, section 3.1).

    Args:
        artifact: A style generator.
        coarse: Decides layout and shape; see `mitlgan.editing.to_latent`.
        fine: Decides texture and color.
        from_px: Size from which the fine style counts; None: the middle one of the generator's sizes.
        truncation: Truncation of both; see `mitlgan.latents.truncate`.

    Returns:
        The picture, without a latent, since no latent need give the same.

    Raises:
        UsageError: The artifact has no styles, or no block of that size.
        ArtifactError: A latent file cannot be read or does not fit.
    """
    network = artifact.network
    if not isinstance(network, StyleGenerator):
        raise UsageError("--coarse: only a style generator has styles by resolution, as classic/style-64 trains; mix latents by `mix ARTIFACT A B`")
    if from_px is None:
        from_px = network.block_sizes_px[(len(network.block_sizes_px) + 1) // 2]
    first, second = (truncate(to_latent(artifact, point), truncation)[None].to(artifact.device) for point in (coarse, fine))
    with torch.no_grad():
        image = network.mix_styles(first, second, from_px).cpu()
    return MixResult(CompositionStages(layers={artifact.card.role: image}, fused=image, matte=None, output=image), None)
