"""Where objects stand in pictures, by their mattes: the bounds from which a placement draws, fitted to moments."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.errors import DataError
from mitlgan.networks.placement import MIN_SCALE, PlacementBounds

MIN_AREA = 0.005
"""Share of a picture that its object has to cover to be counted: less is a matte that found nothing."""
MIN_OBJECTS = 2
MAX_SCALE = 4.0
"""As in a recipe's `composer.placement.scale`."""


class ObjectExtents(NamedTuple):
    """Sizes and centres of objects.

    Attributes:
        size: Logarithm of the square root of the covered share (N,).
        centre: Across and down, of the matte's mass (N, 2), -1 (left and upper edge) to 1.
    """

    log_size: Tensor
    center: Tensor


def object_extents(mattes: Tensor) -> ObjectExtents:
    """Sizes and centres of the objects of mattes (N, 1, H, W) in [0, 1]; mattes of less than `LEAST` are left out."""
    share = mattes.double().mean(dim=(1, 2, 3))
    mattes = mattes[share >= MIN_AREA].double()
    mass = mattes.sum(dim=(1, 2, 3))
    height, width = mattes.shape[-2:]
    across, down = ((torch.arange(side, dtype=torch.float64, device=mattes.device) + 0.5) / side * 2 - 1 for side in (width, height))
    centre = torch.stack([(mattes.sum(dim=2) * across).sum(dim=(1, 2)) / mass, (mattes.sum(dim=3) * down).sum(dim=(1, 2)) / mass], dim=1)
    return ObjectExtents((mass / (height * width)).sqrt().log(), centre)


def fit_bounds(layer_mattes: Tensor, image_mattes: Tensor) -> PlacementBounds:
    """The bounds of a placement that moves a layer's objects to where those of pictures are.

    By moments: a scale uniform in its logarithm has its mean and variance from what the logarithms of the objects' sizes in the pictures have more than
    those of the layer's own; the margin is that at which centres uniform within the room are as far from the middle as those of the pictures, less
    what comes of objects that are off the middle of their own frames. Objects that always fill the picture so get one scale and hardly a shift.

    Args:
        layer_mattes: Mattes of the layer as it comes, (N, 1, H, W) in [0, 1].
        image_mattes: Mattes of images, (M, 1, H, W) in [0, 1], of any size.

    Raises:
        DataError: Fewer than `FEWEST` of either cover more than `LEAST` of their picture.
    """
    layer, pictures = object_extents(layer_mattes), object_extents(image_mattes)
    for whose, found in (("the layer", layer), ("the mattes", pictures)):
        if len(found.log_size) < MIN_OBJECTS:
            raise DataError(f"{whose}: fewer than {MIN_OBJECTS} objects that cover {MIN_AREA:.1%} of their picture, too few to measure by")
    middle = float(pictures.log_size.mean() - layer.log_size.mean())
    half = math.sqrt(3 * max(0.0, float(pictures.log_size.var() - layer.log_size.var())))
    low, high = (min(max(bound, math.log(MIN_SCALE)), math.log(MAX_SCALE)) for bound in (middle - half, middle + half))
    return PlacementBounds(low, high, _margin(low, high, layer.center, pictures.center))


def _margin(low: float, high: float, own: Tensor, seen: Tensor) -> float:
    """Of room = 1 - (1 - 2 margin) scale, such that E[room^2] / 3 is the variance of the stands' centres, the mean of both directions."""
    first, second = _power_mean(low, high, 1), _power_mean(low, high, 2)
    squared_room = 3 * max(0.0, float((seen.var(dim=0) - second * own.var(dim=0)).mean()))
    # A quadratic for k = 1 - 2 margin, of whose roots the lesser leaves room; where neither is real, room is as small as it can be.
    share = (first - math.sqrt(max(0.0, first**2 - second * (1 - squared_room)))) / second
    return min(max((1 - share) / 2, 0.0), 1.0)


def _power_mean(low: float, high: float, power: int) -> float:
    """E[scale^power] of a scale uniform in its logarithm between two."""
    if high - low < 1e-6:  # else 0 / 0
        return math.exp(power * (low + high) / 2)
    return (math.exp(power * high) - math.exp(power * low)) / (power * (high - low))
