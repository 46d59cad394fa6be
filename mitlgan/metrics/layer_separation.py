"""How well the layers of a composition stay apart, measured by swapping them.

K foregrounds are composed with each of J backgrounds, x_kj = composer(f_k, b_j). Whatever changes in a pixel when only the background changes came
from the background. The composer needs no matte, so any composer can be scored. A prime marks the deviation from the mean over j. Images may have any
scale if all have the same; everything is computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
Float64 = NDArray[np.float64]

INSIDE, OUTSIDE = 0.95, 0.05
"""Reference mattes above and below which a pixel is certainly foreground or certainly not."""
DEGENERATE = (0.1, 0.9)
"""A picture with a mean matte outside this range is all background or all foreground."""
RING_PX = 5
MIN_RECOLOR_PIXELS = 16
"""Fewer pixels say nothing about an affine color map, which has 12 parameters."""
_NEGLIGIBLE = 1e-6
"""A variance below this share of the backgrounds' counts as zero."""
_ROUNDING = 1e-12
"""A variance below this share of the backgrounds' squared range is rounding: the backgrounds are equal there."""


class SwapMatte(NamedTuple):
    """What swapping backgrounds reveals about each pixel.

    Attributes:
        matte: (K, H, W) in [0, 1]: 1 where the background does not show.
        share: beta, (K, H, W): how much the output follows the background; unbounded.
        is_defined: (H, W): where the backgrounds differ at all; elsewhere the other two are meaningless.
    """

    matte: Float64
    share: Float64
    is_defined: NDArray[np.bool_]


@dataclass(frozen=True)
class SeparationScores:
    """Separation of a composition's layers; a score is None where it is undefined because there are too few pixels or no variance.

    Attributes:
        matte_iou: Overlap of the swap matte with the reference, both cut at 0.5, mean over foregrounds.
        matte_mae: Mean absolute difference of the two.
        compositionality: R2 of x' = beta b'; 1 means that each pixel is a fixed mixture. Undefined if no background shows anywhere.
        leak_b_to_f: Background leakage: variance that backgrounds cause where the foreground is opaque, over their own variance. Composite 0, average
            of both 0.25, all background 1, all foreground 0.
        leak_b_to_f_recoloured: The same after removing one affine color change per picture: light may match, structure may not leak.
        leak_f_to_b: Foreground leakage: change that foregrounds cause where neither covers, over the difference of two backgrounds. Composite 0,
            average of two layers of equal variance 0.25, all background 0, all foreground 1.
        mean_matte: Mean of the swap matte.
        degenerate: Share of foregrounds with a mean swap matte outside `DEGENERATE`: such mattes make every other score meaningless.
        boundary_ratio: `boundary_contrast` over that of real scenes: below 1 edges bleed, above 1 they are cut out. None without real scenes.
        foregrounds: K.
        backgrounds: J.
    """

    matte_iou: float | None
    matte_mae: float | None
    compositionality: float | None
    leak_b_to_f: float | None
    leak_b_to_f_recoloured: float | None
    leak_f_to_b: float | None
    mean_matte: float | None
    degenerate: float | None
    boundary_ratio: float | None
    foregrounds: int
    backgrounds: int


def separation_scores(outputs: Array, backgrounds: Array, mattes: Array, *, real_contrast: float | None = None) -> SeparationScores:
    """Compute all scores of one composer.

    Args:
        outputs: x_kj, (K, J, 3, H, W), K and J at least 2.
        backgrounds: The frozen background layers b_j, (J, 3, H, W).
        mattes: Reference mattes of the foregrounds as placed in the output, (K, H, W) in [0, 1]; never the composer's own matte.
        real_contrast: `boundary_contrast` of real scenes with their true mattes.
    """
    x, b, reference = (np.asarray(array, np.float64) for array in (outputs, backgrounds, mattes))
    _check_shapes(x, b, reference)
    swap = swap_matte(x, b)
    means = swap.matte[:, swap.is_defined].mean(1) if swap.is_defined.any() else None
    contrast = boundary_contrast(x[:, 0], reference) if real_contrast else None
    return SeparationScores(
        matte_iou=matte_iou(swap, reference),
        matte_mae=float(np.abs(swap.matte - reference)[:, swap.is_defined].mean()) if swap.is_defined.any() else None,
        compositionality=compositionality(x, b, swap),
        leak_b_to_f=background_leakage(x, b, reference),
        leak_b_to_f_recoloured=background_leakage(x, b, reference, ignore_recoloring=True),
        leak_f_to_b=foreground_leakage(x, b, reference),
        mean_matte=None if means is None else float(means.mean()),
        degenerate=None if means is None else float(((means < DEGENERATE[0]) | (means > DEGENERATE[1])).mean()),
        boundary_ratio=contrast / real_contrast if contrast is not None and real_contrast else None,
        foregrounds=x.shape[0],
        backgrounds=x.shape[1],
    )


def swap_matte(outputs: Array, backgrounds: Array) -> SwapMatte:
    """Compute the matte that swapping reveals: beta = sum x' b' / sum b'^2 over j and color, matte = clip(1 - beta, 0, 1).

    Args:
        outputs: (K, J, 3, H, W).
        backgrounds: (J, 3, H, W).
    """
    x, b = _deviation(outputs, 1), _deviation(backgrounds, 0)
    power = np.square(b).sum((0, 1))  # (H, W)
    is_defined = (power > _NEGLIGIBLE * power.mean()) & (power > _rounding(backgrounds) * b.shape[0] * b.shape[1])
    share = np.einsum("kjchw,jchw->khw", x, b) / np.where(is_defined, power, 1.0)
    return SwapMatte(np.clip(1.0 - share, 0.0, 1.0), share, is_defined)


def compositionality(outputs: Array, backgrounds: Array, swap: SwapMatte) -> float | None:
    """Return R2 = 1 - sum|x' - beta b'|^2 / sum|x'|^2, or None where no background shows."""
    x, b = _deviation(outputs, 1), _deviation(backgrounds, 0)
    total = float(np.square(x).sum())
    if total <= max(_NEGLIGIBLE * len(x) * float(np.square(b).sum()), _rounding(backgrounds) * x.size):
        return None
    unexplained = float(np.square(x - swap.share[:, None, None] * b[None]).sum())
    return 1.0 - unexplained / total


def matte_iou(swap: SwapMatte, mattes: Array) -> float | None:
    """Return intersection over union of swap matte and reference at 0.5, mean over the foregrounds where either has a pixel."""
    measured, reference = swap.matte[:, swap.is_defined] >= 0.5, np.asarray(mattes)[:, swap.is_defined] >= 0.5
    union = (measured | reference).sum(1)
    intersection = (measured & reference).sum(1)
    return float((intersection[union > 0] / union[union > 0]).mean()) if (union > 0).any() else None


def background_leakage(outputs: Array, backgrounds: Array, mattes: Array, *, ignore_recoloring: bool = False) -> float | None:
    """Return the share of the backgrounds' variance that shows through opaque foregrounds: sum Var_j x / sum Var_j b where the matte exceeds `INSIDE`.

    Args:
        outputs: (K, J, 3, H, W).
        backgrounds: (J, 3, H, W).
        mattes: (K, H, W).
        ignore_recoloring: First remove from every picture, and from the backgrounds, the affine color change that best fits it to the mean over j.
    """
    x, b, inside = np.asarray(outputs, np.float64), np.asarray(backgrounds, np.float64), np.asarray(mattes) > INSIDE
    leaked = own = 0.0
    values = 0
    for k in range(len(x)):
        part, hidden = x[k][:, :, inside[k]], b[:, :, inside[k]]  # (J, 3, pixels)
        if part.shape[2] < (MIN_RECOLOR_PIXELS if ignore_recoloring else 1):
            continue
        leaked += float(np.square(_remove_affine_color(part) if ignore_recoloring else _deviation(part, 0)).sum())
        own += float(np.square(_remove_affine_color(hidden) if ignore_recoloring else _deviation(hidden, 0)).sum())
        values += hidden.size
    return leaked / own if own > _rounding(b) * values else None


def foreground_leakage(outputs: Array, backgrounds: Array, mattes: Array) -> float | None:
    """Return mean |x_kj - x_k'j|^2 over mean |b_j - b_j'|^2, over k != k' and j != j', where both mattes are below `OUTSIDE`.

    The differences of all pairs come from sums: sum over pairs (u - v)^2 = n sum u^2 - (sum u)^2. The foregrounds' own differences cannot be the
    denominator: outside their mattes they are nearly constant.
    """
    x, b = np.asarray(outputs, np.float64), np.asarray(backgrounds, np.float64)
    x = x - x.mean(0, keepdims=True)  # so that the sums do not cancel
    outside = (np.asarray(mattes) < OUTSIDE).astype(np.float64)  # (K, H, W)
    count = outside.sum(0)
    first = np.einsum("kjchw,khw->jchw", x, outside)
    second = np.einsum("kjchw,khw->jchw", np.square(x), outside)
    change = float((count * second - np.square(first)).sum()) / len(b)  # over unordered pairs, mean over j
    pairs = count * (count - 1) / 2
    # The mean over pairs of (u - v)^2 is twice the unbiased variance.
    difference = float((pairs * 2.0 * b.var(0, ddof=1).sum(0)).sum())
    return max(0.0, change) / difference if difference > _rounding(b) * 3 * float(pairs.sum()) else None


def change_outside_mattes(outputs: Array, mattes: Array) -> float | None:
    """Return mean |x_km - x_km'| over m != m' where both mattes are below `OUTSIDE`: what changes away from a layer that moves.

    Args:
        outputs: Scenes that differ only in the position of the front layer, at M positions: x_km, (K, M, 3, H, W), M at least 2.
        mattes: Mattes of that layer at these positions, (K, M, H, W) in [0, 1].

    Returns:
        On the images' scale; None if there is no such pixel.
    """
    x, is_clear = np.asarray(outputs, np.float64), np.asarray(mattes) < OUTSIDE
    change = pixels = 0.0
    for first, second in combinations(range(x.shape[1]), 2):
        both = is_clear[:, first] & is_clear[:, second]  # (K, H, W)
        change += float((np.abs(x[:, first] - x[:, second]).mean(1) * both).sum())
        pixels += float(both.sum())
    return change / pixels if pixels else None


def boundary_contrast(images: Array, mattes: Array) -> float | None:
    """Return the mean gradient on the mattes' edges over that in a `RING_PX` ring around them; None without an edge.

    Args:
        images: (N, 3, H, W).
        mattes: (N, H, W), cut at 0.5; edge pixels are those with a neighbor on the other side.
    """
    pixels = np.asarray(images, np.float64)
    gradient_y, gradient_x = np.gradient(pixels, axis=(2, 3))
    steepness = np.sqrt(np.square(gradient_y) + np.square(gradient_x)).mean(1)  # (N, H, W)
    inside = np.asarray(mattes) >= 0.5
    edge = (_dilate(inside, 1) & ~inside) | (_dilate(~inside, 1) & inside)
    ring = _dilate(edge, RING_PX) & ~edge
    if not edge.any() or not ring.any():
        return None
    ring_mean = float(steepness[ring].mean())
    return float(steepness[edge].mean()) / ring_mean if ring_mean > 0 else None


def chroma_key_matte(images: Array, backdrop: tuple[float, float, float], tolerance: float) -> Float64:
    """Return a reference matte of foregrounds without alpha: 1 where a pixel differs from the backdrop by more than `tolerance`, else 0.

    Args:
        images: (N, 3, H, W).
        backdrop: Red, green, blue, on the images' scale.
        tolerance: Largest difference in a channel that still counts as backdrop, on the images' scale; report it with any result.

    Returns:
        (N, H, W).
    """
    color = np.asarray(backdrop, np.float64).reshape(1, 3, 1, 1)
    matte: Float64 = (np.abs(np.asarray(images, np.float64) - color).max(1) > tolerance).astype(np.float64)
    return matte


def swap_grid(outputs: Array, foregrounds: Array, backgrounds: Array) -> Array:
    """Arrange the swap as a grid of J + 1 columns: rows share a foreground, columns a background; the first row and column show the layers.

    Args:
        outputs: (K, J, 3, H, W).
        foregrounds: (K, 3, H, W).
        backgrounds: (J, 3, H, W).

    Returns:
        ((K + 1) (J + 1), 3, H, W), row by row; the corner is blank (the highest value of the outputs).
    """
    corner = np.full_like(np.asarray(backgrounds)[:1], np.asarray(outputs).max())
    rows = [np.concatenate([corner, backgrounds])]
    rows += [np.concatenate([foreground[None], row]) for foreground, row in zip(foregrounds, outputs, strict=True)]
    return np.concatenate(rows)


def _deviation(array: Array, axis: int) -> Float64:
    values = np.asarray(array, np.float64)
    deviation: Float64 = values - values.mean(axis, keepdims=True)
    return deviation


def _rounding(backgrounds: Array) -> float:
    return _ROUNDING * float(np.ptp(backgrounds)) ** 2


def _remove_affine_color(pictures: Float64) -> Float64:
    """Subtract from each picture (J, 3, pixels) the best affine color map of their mean."""
    mean = pictures.mean(0)  # (3, pixels)
    basis = np.concatenate([mean, np.ones_like(mean[:1])])  # (4, pixels)
    channels = pictures.reshape(-1, pictures.shape[2])  # (3 J, pixels)
    weights = np.linalg.lstsq(basis.T, channels.T, rcond=None)[0]  # (4, 3 J)
    remainder: Float64 = channels - weights.T @ basis
    return remainder


def _dilate(area: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Grow areas (N, H, W) by `steps` pixels in the four directions, within the frame."""
    cross = ndimage.generate_binary_structure(2, 1)[None]
    grown: NDArray[np.bool_] = ndimage.binary_dilation(area, cross, iterations=steps)
    return grown


def _check_shapes(x: Float64, b: Float64, mattes: Float64) -> None:
    if x.ndim != 5 or min(x.shape[:2]) < 2:
        raise ValueError(f"outputs must be (K, J, 3, H, W) with K and J at least 2, not {x.shape}")
    if b.shape != x.shape[1:] or mattes.shape != (x.shape[0], *x.shape[3:]):
        raise ValueError(f"backgrounds {b.shape} and mattes {mattes.shape} do not fit outputs {x.shape}")
