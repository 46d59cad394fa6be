"""What can be done with an artifact's latents, layer by layer: go from one to another, mix two, cross layers, find directions."""

from mitlgan.editing.cross_grid import cross
from mitlgan.editing.interpolation import Way, interpolate, on_the_way, way_of
from mitlgan.editing.latent_mix import Child, mix
from mitlgan.editing.points import Point, point_of, read_point
from mitlgan.editing.principal_directions import Directions, Walk, directions, read_directions, sweep, write_directions

__all__ = [
    "Child",
    "Directions",
    "Point",
    "Walk",
    "Way",
    "cross",
    "directions",
    "interpolate",
    "mix",
    "on_the_way",
    "point_of",
    "read_directions",
    "read_point",
    "sweep",
    "way_of",
    "write_directions",
]
