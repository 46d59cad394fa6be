"""Inpainting: fill a hole in a picture by a trained context encoder, by an embedding, or by what both are measured against, and even out the seam."""

from mitlgan.inpainting.evaluate import Score, score
from mitlgan.inpainting.fillers import METHODS, Filler, context, embedding, filler
from mitlgan.inpainting.masks import read_hole
from mitlgan.inpainting.original import Original, read_original
from mitlgan.inpainting.poisson import blended, membrane
from mitlgan.inpainting.window import Inpainted, inpaint

__all__ = [
    "METHODS",
    "Filler",
    "Inpainted",
    "Original",
    "Score",
    "blended",
    "context",
    "embedding",
    "filler",
    "inpaint",
    "membrane",
    "read_hole",
    "read_original",
    "score",
]
