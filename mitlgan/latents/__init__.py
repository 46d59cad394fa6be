"""Latents: from seeds, along paths, in files; always layer by layer."""

from mitlgan.latents.files import read_latent, write_latent
from mitlgan.latents.paths import EASINGS, Weights, along, arc, between, by_layer, joined, truncated
from mitlgan.latents.seeds import SEED_LIMIT, latents

__all__ = [
    "EASINGS",
    "SEED_LIMIT",
    "Weights",
    "along",
    "arc",
    "between",
    "by_layer",
    "joined",
    "latents",
    "read_latent",
    "truncated",
    "write_latent",
]
