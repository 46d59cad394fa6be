"""Inpainting: fill a hole in a picture by a trained context encoder, by an embedding, or by what both are measured against, and even out the seam."""

from mitlgan.inpaint.blend import blended, membrane
from mitlgan.inpaint.fillers import METHODS, Filler, context, embedding, filler
from mitlgan.inpaint.hole import read_hole
from mitlgan.inpaint.original import Original, read_original
from mitlgan.inpaint.picture import Inpainted, inpaint
from mitlgan.inpaint.score import Score, score

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
