"""Editing in latent space, layer by layer: interpolation, mixing, crossing and principal directions."""

from mitlgan.editing.cross_grid import cross
from mitlgan.editing.interpolation import LatentPath, interpolate, plan_path, render_path
from mitlgan.editing.latent_mix import MixResult, mix
from mitlgan.editing.points import Point, parse_latent, to_latent
from mitlgan.editing.principal_directions import Directions, DirectionSweep, directions, read_directions, traverse, write_directions
from mitlgan.editing.style_mix import mix_styles

__all__ = [
    "DirectionSweep",
    "Directions",
    "LatentPath",
    "MixResult",
    "Point",
    "cross",
    "directions",
    "interpolate",
    "mix",
    "mix_styles",
    "parse_latent",
    "plan_path",
    "read_directions",
    "render_path",
    "to_latent",
    "traverse",
    "write_directions",
]
