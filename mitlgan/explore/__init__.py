"""What can be done with an artifact's latents, layer by layer: go from one to another, mix two, cross layers, find directions."""

from mitlgan.explore.child import Child, mix
from mitlgan.explore.grid import cross
from mitlgan.explore.morph import Way, interpolate, on_the_way, way_of
from mitlgan.explore.points import Point, point_of, read_point
from mitlgan.explore.principal import Directions, Walk, directions, read_directions, sweep, write_directions

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
