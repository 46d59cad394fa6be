"""Placement bounds fitted to the sizes and positions of objects in images, by their mattes."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.errors import DataError
from mitlgan.networks.placement import MIN_SCALE, PlacementBounds

MIN_AREA = 0.005
"""Smallest share of an image that its object covers; a matte of less has found no object."""
MIN_OBJECTS = 2
MAX_SCALE = 4.0
"""Largest scale that a recipe's `composer.placement.scale` may have."""


class ObjectExtents(NamedTuple):
    """Sizes and centers of objects.

    Attributes:
        log_size: Logarithm of the square root of the covered share (N,).
        center: x and y of the matte's mass (N, 2), from -1 (left and upper edge) to 1.
    """

    log_size: Tensor
    center: Tensor


def object_extents(mattes: Tensor) -> ObjectExtents:
    """Return the extents of objects in mattes (N, 1, H, W) in [0, 1], without mattes of less than `MIN_AREA`."""
    share = mattes.double().mean(dim=(1, 2, 3))
    mattes = mattes[share >= MIN_AREA].double()
    mass = mattes.sum(dim=(1, 2, 3))
    height, width = mattes.shape[-2:]
    x, y = ((torch.arange(side, dtype=torch.float64, device=mattes.device) + 0.5) / side * 2 - 1 for side in (width, height))
    center = torch.stack([(mattes.sum(dim=2) * x).sum(dim=(1, 2)) / mass, (mattes.sum(dim=3) * y).sum(dim=(1, 2)) / mass], dim=1)
    return ObjectExtents((mass / (height * width)).sqrt().log(), center)


def fit_bounds(layer_mattes: Tensor, image_mattes: Tensor, *, flip: bool = False) -> PlacementBounds:
    """Return the bounds that give a layer's objects the sizes and positions of the objects in images.

    By moments: the log-uniform scale gets the mean and variance by which the logarithms of object sizes in the images exceed those of the layer; the
    margin is that at which uniform centers have the images' variance, less the part due to objects off the center of their own frames. Objects that
    always fill the image therefore get one scale and almost no shift. The mean center is that of the images' objects, less that of the layer's in
    their own frames.

    Args:
        layer_mattes: Mattes of the layer as it comes, (N, 1, H, W) in [0, 1].
        image_mattes: Mattes of images, (M, 1, H, W) in [0, 1], of any size.
        flip: Whether half of the layers are flipped left to right, so that their own mean x is in the middle.

    Raises:
        DataError: Fewer than `MIN_OBJECTS` of either cover more than `MIN_AREA` of their image.
    """
    layer, images = object_extents(layer_mattes), object_extents(image_mattes)
    for source, extents in (("the layer", layer), ("the mattes", images)):
        if len(extents.log_size) < MIN_OBJECTS:
            raise DataError(f"{source}: fewer than {MIN_OBJECTS} objects that cover {MIN_AREA:.1%} of their picture, too few to measure by")
    middle = float(images.log_size.mean() - layer.log_size.mean())
    half = math.sqrt(3 * max(0.0, float(images.log_size.var() - layer.log_size.var())))
    low, high = (min(max(bound, math.log(MIN_SCALE)), math.log(MAX_SCALE)) for bound in (middle - half, middle + half))
    x, y = (images.center.mean(dim=0) - _power_mean(low, high, 1) * layer.center.mean(dim=0)).tolist()
    center = (float(images.center[:, 0].mean()) if flip else x, y)
    return PlacementBounds(low, high, _margin(low, high, layer.center, images.center), center)


def _margin(low: float, high: float, own: Tensor, reference: Tensor) -> float:
    """Return the margin of room = 1 - (1 - 2 margin) scale for which E[room^2] / 3 is the variance of centers, the mean of x and y."""
    first, second = _power_mean(low, high, 1), _power_mean(low, high, 2)
    squared_room = 3 * max(0.0, float((reference.var(dim=0) - second * own.var(dim=0)).mean()))
    # Quadratic in k = 1 - 2 margin; its smaller root leaves room. Without a real root, room is as small as possible.
    share = (first - math.sqrt(max(0.0, first**2 - second * (1 - squared_room)))) / second
    return min(max((1 - share) / 2, 0.0), 1.0)


def _power_mean(low: float, high: float, power: int) -> float:
    """Return E[scale^power] of a scale that is log-uniform between exp(low) and exp(high)."""
    if high - low < 1e-6:  # else 0 / 0
        return math.exp(power * (low + high) / 2)
    return (math.exp(power * high) - math.exp(power * low)) / (power * (high - low))
