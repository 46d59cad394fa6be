"""Latents from seeds, along paths and in files, layer by layer."""

from mitlgan.latents.files import read_latent, write_latent
from mitlgan.latents.paths import EASINGS, LayerWeights, concat_layers, interpolate_latents, interpolate_path, slerp, split_by_layer, truncate
from mitlgan.latents.seeds import SEED_LIMIT, latents_from_seeds

__all__ = [
    "EASINGS",
    "SEED_LIMIT",
    "LayerWeights",
    "concat_layers",
    "interpolate_latents",
    "interpolate_path",
    "latents_from_seeds",
    "read_latent",
    "slerp",
    "split_by_layer",
    "truncate",
    "write_latent",
]
