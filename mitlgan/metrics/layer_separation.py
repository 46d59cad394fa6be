"""How well the layers of a composition stay apart, measured by swapping them.

K foregrounds are composed with each of J backgrounds, x_kj = composer(f_k, b_j). What changes in a pixel when only the background changes
came from the background; nothing here needs a matte from the composer, so any composer can be scored. A prime marks the deviation from the
mean over j. Images may be on any scale, all on the same one; everything is computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float64 = NDArray[np.float64]

INSIDE, OUTSIDE = 0.95, 0.05
"""Reference mattes above and below which a pixel is certainly foreground or certainly not."""

DEGENERATE = (0.1, 0.9)
"""A picture whose mean matte lies outside is all background or all foreground."""

RING_PX = 5

_NOTHING = 1e-6
"""A variance below this share of the backgrounds' counts as none."""

_ROUNDING = 1e-12
"""A variance below this share of the backgrounds' squared range is rounding: they are all the same there."""


class SwapMatte(NamedTuple):
    """What the swap tells of each pixel.

    Attributes:
        matte: (K, H, W) in [0, 1]: 1 where the background does not show.
        share: beta, (K, H, W): by how much the output follows the background; unbounded.
        seen: (H, W): where the backgrounds differ at all; elsewhere the two others mean nothing.
    """

    matte: Float64
    share: Float64
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class SeparationScores:
    """Separation of a composition's layers; None where a number is undefined, for want of pixels or of variance.

    Attributes:
        matte_iou: Overlap of the swap-matte with the reference, both cut at 0.5, mean over foregrounds.
        matte_mae: Mean absolute difference of the two.
        compositionality: R2 of x' = beta b'; 1 means that each pixel is a fixed mixture. Undefined when no background shows anywhere.
        leak_b_to_f: Variance that backgrounds cause where the foreground is opaque, over their own variance. Composite 0, average of both
            0.25, all background 1, all foreground 0.
        leak_b_to_f_recoloured: The same after one affine change of colour per picture is taken out: light may match, structure may not
            leak.
        leak_f_to_b: Change that foregrounds cause where neither covers, over the difference of two backgrounds. Composite 0, average of
            two layers of equal variance 0.25, all background 0, all foreground 1.
        mean_matte: Mean of the swap-matte.
        degenerate: Share of foregrounds whose mean swap-matte lies outside `DEGENERATE`: such mattes fool every other number.
        boundary_ratio: See `boundary_contrast`, over that of real scenes: below 1 edges bleed, above 1 they are cut out. None without real
            scenes.
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
    """All measures of one composer.

    Args:
        outputs: x_kj, (K, J, 3, H, W), K and J at least 2.
        backgrounds: The frozen background layers b_j, (J, 3, H, W).
        mattes: Reference mattes of the foregrounds where they stand in the output, (K, H, W) in [0, 1]; never the composer's own matte.
        real_contrast: `boundary_contrast` of real scenes with their true mattes.
    """
    x, b, reference = (np.asarray(array, np.float64) for array in (outputs, backgrounds, mattes))
    _check(x, b, reference)
    swap = swap_matte(x, b)
    means = swap.matte[:, swap.seen].mean(1) if swap.seen.any() else None
    contrast = boundary_contrast(x[:, 0], reference) if real_contrast else None
    return SeparationScores(
        matte_iou=matte_iou(swap, reference),
        matte_mae=float(np.abs(swap.matte - reference)[:, swap.seen].mean()) if swap.seen.any() else None,
        compositionality=compositionality(x, b, swap),
        leak_b_to_f=background_leakage(x, b, reference),
        leak_b_to_f_recoloured=background_leakage(x, b, reference, recolour=True),
        leak_f_to_b=foreground_leakage(x, b, reference),
        mean_matte=None if means is None else float(means.mean()),
        degenerate=None if means is None else float(((means < DEGENERATE[0]) | (means > DEGENERATE[1])).mean()),
        boundary_ratio=contrast / real_contrast if contrast is not None and real_contrast else None,
        foregrounds=x.shape[0],
        backgrounds=x.shape[1],
    )


def swap_matte(outputs: Array, backgrounds: Array) -> SwapMatte:
    """The matte that swapping backgrounds reveals: beta = sum x' b' / sum b'^2 over j and colour, matte = clip(1 - beta, 0, 1).

    Args:
        outputs: (K, J, 3, H, W).
        backgrounds: (J, 3, H, W).
    """
    x, b = _deviation(outputs, 1), _deviation(backgrounds, 0)
    power = np.square(b).sum((0, 1))  # (H, W)
    seen = (power > _NOTHING * power.mean()) & (power > _rounding(backgrounds) * b.shape[0] * b.shape[1])
    share = np.einsum("kjchw,jchw->khw", x, b) / np.where(seen, power, 1.0)
    return SwapMatte(np.clip(1.0 - share, 0.0, 1.0), share, seen)


def compositionality(outputs: Array, backgrounds: Array, swap: SwapMatte) -> float | None:
    """R2 = 1 - sum|x' - beta b'|^2 / sum|x'|^2, or None where no background shows."""
    x, b = _deviation(outputs, 1), _deviation(backgrounds, 0)
    total = float(np.square(x).sum())
    if total <= max(_NOTHING * len(x) * float(np.square(b).sum()), _rounding(backgrounds) * x.size):
        return None
    unexplained = float(np.square(x - swap.share[:, None, None] * b[None]).sum())
    return 1.0 - unexplained / total


def matte_iou(swap: SwapMatte, mattes: Array) -> float | None:
    """Intersection over union of swap-matte and reference at 0.5, mean over the foregrounds where either has a pixel."""
    found, reference = swap.matte[:, swap.seen] >= 0.5, np.asarray(mattes)[:, swap.seen] >= 0.5
    union = (found | reference).sum(1)
    held = (found & reference).sum(1)
    return float((held[union > 0] / union[union > 0]).mean()) if (union > 0).any() else None


def background_leakage(outputs: Array, backgrounds: Array, mattes: Array, *, recolour: bool = False) -> float | None:
    """Share of the backgrounds' variance that shows through opaque foregrounds: sum Var_j x / sum Var_j b where the matte passes `INSIDE`.

    Args:
        outputs: (K, J, 3, H, W).
        backgrounds: (J, 3, H, W).
        mattes: (K, H, W).
        recolour: First take from every picture, the backgrounds among them, the affine colour change that fits it to the mean over j best.
    """
    x, b, inside = np.asarray(outputs, np.float64), np.asarray(backgrounds, np.float64), np.asarray(mattes) > INSIDE
    leaked = own = 0.0
    values = 0
    for k in range(len(x)):
        part, behind = x[k][:, :, inside[k]], b[:, :, inside[k]]  # (J, 3, pixels)
        if part.shape[2] < (16 if recolour else 1):  # fewer pixels than an affine map has freedoms say nothing
            continue
        remainder = _unrecoloured if recolour else _centred
        leaked += float(np.square(remainder(part)).sum())
        own += float(np.square(remainder(behind)).sum())
        values += behind.size
    return leaked / own if own > _rounding(b) * values else None


def foreground_leakage(outputs: Array, backgrounds: Array, mattes: Array) -> float | None:
    """Mean |x_kj - x_k'j|^2 over mean |b_j - b_j'|^2, over k != k' and j != j', where both mattes are below `OUTSIDE`.

    The differences of all pairs come from sums: sum over pairs (u - v)^2 = n sum u^2 - (sum u)^2. The foregrounds' own differences would be
    no measure to divide by: outside their mattes they are nearly constant.
    """
    x, b = np.asarray(outputs, np.float64), np.asarray(backgrounds, np.float64)
    x = x - x.mean(0, keepdims=True)  # the sums then do not cancel
    outside = (np.asarray(mattes) < OUTSIDE).astype(np.float64)  # (K, H, W)
    count = outside.sum(0)
    first = np.einsum("kjchw,khw->jchw", x, outside)
    second = np.einsum("kjchw,khw->jchw", np.square(x), outside)
    changed = float((count * second - np.square(first)).sum()) / len(b)  # over unordered pairs, mean over j
    pairs = count * (count - 1) / 2
    # Mean over pairs of (u - v)^2 is twice the unbiased variance.
    differ = float((pairs * 2.0 * b.var(0, ddof=1).sum(0)).sum())
    return max(0.0, changed) / differ if differ > _rounding(b) * 3 * float(pairs.sum()) else None


def change_outside_mattes(outputs: Array, mattes: Array) -> float | None:
    """Mean |x_km - x_km'| over m != m', where both mattes are below `OUTSIDE`: what changes far from a layer that moves and from where it stood.

    Args:
        outputs: One scene, but for where its front layer stands, at M places: x_km, (K, M, 3, H, W), M at least 2.
        mattes: Of that layer there, (K, M, H, W) in [0, 1].

    Returns:
        On the images' scale; None where there is no such pixel.
    """
    x, clear = np.asarray(outputs, np.float64), np.asarray(mattes) < OUTSIDE
    changed = pixels = 0.0
    for first, second in combinations(range(x.shape[1]), 2):
        both = clear[:, first] & clear[:, second]  # (K, H, W)
        changed += float((np.abs(x[:, first] - x[:, second]).mean(1) * both).sum())
        pixels += float(both.sum())
    return changed / pixels if pixels else None


def boundary_contrast(images: Array, mattes: Array) -> float | None:
    """Mean gradient on the mattes' edges over the mean gradient in a `RING_PX` ring around them; None without an edge.

    Args:
        images: (N, 3, H, W).
        mattes: (N, H, W), cut at 0.5; edge pixels are those with a neighbour on the other side.
    """
    pixels = np.asarray(images, np.float64)
    down, across = np.gradient(pixels, axis=(2, 3))
    steepness = np.sqrt(np.square(down) + np.square(across)).mean(1)  # (N, H, W)
    inside = np.asarray(mattes) >= 0.5
    edge = (_grown(inside, 1) & ~inside) | (_grown(~inside, 1) & inside)
    ring = _grown(edge, RING_PX) & ~edge
    if not edge.any() or not ring.any():
        return None
    around = float(steepness[ring].mean())
    return float(steepness[edge].mean()) / around if around > 0 else None


def chroma_key_matte(images: Array, backdrop: tuple[float, float, float], tolerance: float) -> Float64:
    """Reference matte of foregrounds without alpha: 1 where a pixel is farther than `tolerance` from the declared backdrop, else 0.

    Args:
        images: (N, 3, H, W).
        backdrop: Red, green, blue, on the images' scale.
        tolerance: Largest difference of a channel that still counts as backdrop, on the images' scale; print it beside what it leads to.

    Returns:
        (N, H, W).
    """
    colour = np.asarray(backdrop, np.float64).reshape(1, 3, 1, 1)
    matte: Float64 = (np.abs(np.asarray(images, np.float64) - colour).max(1) > tolerance).astype(np.float64)
    return matte


def swap_grid(outputs: Array, foregrounds: Array, backgrounds: Array) -> Array:
    """Pictures of the swap, row by row, J + 1 columns: rows share a foreground, columns a background; the layers stand in the margins.

    Args:
        outputs: (K, J, 3, H, W).
        foregrounds: (K, 3, H, W).
        backgrounds: (J, 3, H, W).

    Returns:
        ((K + 1) (J + 1), 3, H, W), the corner blank (the highest value of the outputs).
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


def _centred(pictures: Float64) -> Float64:
    return _deviation(pictures, 0)


def _unrecoloured(pictures: Float64) -> Float64:
    """What of each picture (J, 3, pixels) is no affine change of colour of their mean."""
    mean = pictures.mean(0)  # (3, pixels)
    basis = np.concatenate([mean, np.ones_like(mean[:1])])  # (4, pixels)
    wanted = pictures.reshape(-1, pictures.shape[2])  # (3 J, pixels)
    weights = np.linalg.lstsq(basis.T, wanted.T, rcond=None)[0]  # (4, 3 J)
    remainder: Float64 = wanted - weights.T @ basis
    return remainder


def _grown(area: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Areas (N, H, W) grown by `steps` pixels in the four directions, within the frame."""
    from scipy.ndimage import binary_dilation, generate_binary_structure

    grown: NDArray[np.bool_] = binary_dilation(area, generate_binary_structure(2, 1)[None], iterations=steps)
    return grown


def _check(x: Float64, b: Float64, mattes: Float64) -> None:
    if x.ndim != 5 or min(x.shape[:2]) < 2:
        raise ValueError(f"outputs must be (K, J, 3, H, W) with K and J at least 2, not {x.shape}")
    if b.shape != x.shape[1:] or mattes.shape != (x.shape[0], *x.shape[3:]):
        raise ValueError(f"backgrounds {b.shape} and mattes {mattes.shape} do not fit outputs {x.shape}")
