"""From one latent to another: lines, arcs, paces, truncation; each layer's latent by itself.

A standard normal latent of many numbers lies near the sphere of radius sqrt(dim), and the straight line between two of them cuts through its inside:
the midpoint is shorter by sqrt(2), which is a truncation by 0.71 that nobody asked for. The arc keeps the length (White 2016, "Sampling generative
networks").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.errors import UsageError

MIN_SLERP_DIM = 8
"""Below so many numbers a latent's length is not concentrated, so a place, say, is moved along the straight line whatever is asked."""
MAX_TRUNCATION = 2.0
LayerWeights = Mapping[str, Sequence[float]]


class Easing(NamedTuple):
    """How to go from one latent to the next: the pace takes and gives a share of the way in [0, 1], with 0 and 1 as fixed points."""

    pace: Callable[[float], float]
    straight: bool


def _even(share: float) -> float:
    return share


def _sine(share: float) -> float:
    return (1 - math.cos(math.pi * share)) / 2  # Bielko 2022: slow at both ends


EASINGS = {"sine": Easing(_sine, straight=False), "linear": Easing(_even, straight=True), "slerp": Easing(_even, straight=False)}


def split_by_layer(z: Tensor, dims: Mapping[str, int]) -> dict[str, Tensor]:
    """Views of the columns of latents (..., sum of dims), by layer."""
    return dict(zip(dims, torch.split(z, list(dims.values()), dim=-1), strict=True))


def concat_layers(parts: Mapping[str, Tensor], dims: Mapping[str, int]) -> Tensor:
    """Latents (..., sum of dims) of the layers' own, in the order of `dims`."""
    return torch.cat([parts[name] for name in dims], dim=-1)


def interpolate_latents(first: Tensor, second: Tensor, weights: LayerWeights, dims: Mapping[str, int], *, straight: bool = False) -> Tensor:
    """Latents between two, each layer by its own weights.

    Args:
        first: (sum of dims,).
        second: Likewise.
        weights: Shares of the second in [0, 1], by layer, as many for each; a layer without any stays the first's, to the bit.
        dims: Latent length by layer, in order.
        straight: Along the line in place of the arc; latents shorter than `SHORT` always are.

    Returns:
        (N, sum of dims); weight 0 gives the first and weight 1 the second to the bit.

    Raises:
        UsageError: A layer is unknown, the counts differ, or a weight is out of range.
    """
    counts = {len(values) for values in weights.values()}
    if len(counts) > 1:
        raise UsageError("weights: every layer needs as many as the others")
    for name, values in weights.items():
        require_layer(name, dims, "weights")
        for value in values:
            if not 0 <= value <= 1:
                raise UsageError(f"weights: {value} for {name} is no share; choose from 0 (the first) to 1 (the second)")
    count = counts.pop() if counts else 1
    others, parts = split_by_layer(second, dims), {}
    for name, own in split_by_layer(first, dims).items():
        if name not in weights:
            parts[name] = own.expand(count, -1)
        else:
            way = lerp if straight or dims[name] < MIN_SLERP_DIM else slerp
            parts[name] = way(own, others[name], weights[name])
    return concat_layers(parts, dims)


def slerp(first: Tensor, second: Tensor, weights: Sequence[float]) -> Tensor:
    """Points on the way that turns at an even rate from one vector (d,) to another, its length going evenly from the one's to the other's (slerp).

    Where the vectors point the same way, opposite ways or nowhere there is no one arc, and it is the line.
    """
    a, b = first.double(), second.double()
    lengths = a.norm(), b.norm()
    if not bool(lengths[0] > 0) or not bool(lengths[1] > 0):
        return lerp(first, second, weights)
    a, b = a / lengths[0], b / lengths[1]
    angle = torch.acos((a @ b).clamp(-1, 1))
    if float(angle.sin()) < 1e-6:
        return lerp(first, second, weights)
    t = _column(weights)  # (N, 1)
    direction = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return _with_ends(direction * ((1 - t) * lengths[0] + t * lengths[1]), first, second, t)


def lerp(first: Tensor, second: Tensor, weights: Sequence[float]) -> Tensor:
    """Return points (N, d) on the straight line from one vector (d,) to another."""
    t = _column(weights)
    return _with_ends((1 - t) * first.double() + t * second.double(), first, second, t)


def _column(weights: Sequence[float]) -> Tensor:
    return torch.tensor(weights, dtype=torch.float64).unsqueeze(1)


def _with_ends(way: Tensor, first: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """The way as float32, its ends as they were given: a picture that was asked for is that picture."""
    return torch.where(t == 0, first, torch.where(t == 1, second, way.to(first.dtype)))


def interpolate_path(
    points: Tensor, frames: int, dims: Mapping[str, int], *, layers: Collection[str] | None = None, easing: str = "sine", straight: bool = False
) -> tuple[Tensor, list[int]]:
    """Latents along way points.

    Args:
        points: (P, sum of dims), at least two.
        frames: Latents from each point to the next, both included.
        dims: Latent length by layer, in order.
        layers: Which move; the others stay those of the first point, to the bit. None: all.
        easing: `sine` (the arc, slow at every point), `linear` (the straight line at an even pace) or `slerp` (the arc at an even pace).
        straight: The line for `sine`, too.

    Returns:
        (F, sum of dims) with F = (P - 1) (frames - 1) + 1, and where in them the points are.

    Raises:
        UsageError: Fewer than two points or frames, or an unknown layer or easing.
    """
    if easing not in EASINGS:
        raise UsageError(f"easing {easing}: there is none of that name; choose one of {', '.join(EASINGS)}")
    if len(points) < 2 or frames < 2:
        raise UsageError("frames: a way has at least two, its ends" if frames < 2 else "points: a way has at least two, its ends")
    moving = list(dims) if layers is None else list(layers)
    for name in moving:
        require_layer(name, dims, "layer")
    pace, line = EASINGS[easing]
    shares = [pace(index / (frames - 1)) for index in range(frames)]
    first = split_by_layer(points[0], dims)
    stops = [
        concat_layers({name: own if name in moving else first[name] for name, own in split_by_layer(point, dims).items()}, dims) for point in points
    ]
    legs = [interpolate_latents(a, b, dict.fromkeys(moving, shares), dims, straight=line or straight) for a, b in pairwise(stops)]
    return torch.cat([*(leg[:-1] for leg in legs), legs[-1][-1:]]), [index * (frames - 1) for index in range(len(stops))]


def truncate(z: Tensor, psi: float) -> Tensor:
    """Latents drawn towards the centre of their distribution: psi z.

    Nearer to it, pictures are more typical and less various (Marchesi 2017; Brock et al. 2019 call it the truncation trick). Brock et al. draw the
    numbers beyond a threshold anew, which makes another picture of a seed; scaling, as Karras et al. 2019 do with w around its mean, keeps what the
    seed shows, goes smoothly with psi, and works on latents that were found rather than drawn.

    Args:
        z: Any shape; of a standard normal distribution, whose mean is 0.
        psi: 1 changes nothing, to the bit; 0 is the one picture of the centre; above 1 it exaggerates.

    Raises:
        UsageError: psi is not from 0 to 2.
    """
    if not 0 <= psi <= MAX_TRUNCATION:
        raise UsageError(f"truncation {psi}: choose from 0 (the most typical picture) over 1 (no truncation) to {MAX_TRUNCATION:g}")
    return z if psi == 1 else z * psi


def require_layer(name: str, dims: Mapping[str, int], option: str) -> None:
    """Refuse a name that no latent has.

    Raises:
        UsageError: It begins with the option.
    """
    if name not in dims:
        raise UsageError(f"{option}: there is no layer {name!r}; choose from {', '.join(dims)}")
