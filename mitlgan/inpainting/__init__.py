"""Inpainting: fills a hole in a picture by a context encoder, an embedding or a baseline, and blends the seam."""

from mitlgan.inpainting.evaluate import InpaintScore, score_fillers
from mitlgan.inpainting.fillers import METHODS, Filler, context_filler, embedding_filler, make_filler
from mitlgan.inpainting.masks import parse_hole
from mitlgan.inpainting.original import Original, read_original
from mitlgan.inpainting.poisson import fill_membrane, poisson_blend
from mitlgan.inpainting.window import InpaintResult, inpaint

__all__ = [
    "METHODS",
    "Filler",
    "InpaintResult",
    "InpaintScore",
    "Original",
    "context_filler",
    "embedding_filler",
    "fill_membrane",
    "inpaint",
    "make_filler",
    "parse_hole",
    "poisson_blend",
    "read_original",
    "score_fillers",
]
