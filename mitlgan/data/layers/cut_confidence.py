"""Estimates the confidence of a cut from a second matting, similar pixels outside, and its contour.

The weights come from a logistic regression on pictures that were checked by eye (garments on floors, walls and hangers) and scenes whose true matte is
known, half of each. A cut counts as wrong if its intersection over union with the truth is below 80 %, or if a person sees a missing or a surplus part.
`confidence` is the probability, by that regression, that a cut is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.layers.matting import GrabCutMatting, MattingMethod, border_mask, import_opencv

Pixels = NDArray[np.uint8]
MIN_CONFIDENCE = 0.8  # cuts below are set aside
MAX_DOUBTFUL_CONFIDENCE = 0.92  # cuts below are used, and shown first
MIN_FILL_CONFIDENCE = 0.75  # filled backgrounds below are not used
_WORK_PX = 160  # longer side at which cuts are measured
_MAX_WEAK_LAB = 10.0  # colors nearer than this show no contour
_FILL_PX = 96  # side at which fills are measured
_MAX_SAMPLES = 400  # colors around a hole that those of its fill are compared with
_FAINT_DETAIL = 1.5  # of lightness (0 to 255); fainter detail is invisible, mirrored or not
_BAND = 0.06  # width of the band in which GrabCut may move a contour, as a share of the shorter side


@dataclass(frozen=True)
class Confidence:
    """Probability that something is right, 0 to 1, and the main reason for doubt."""

    value: float
    doubt: str = ""


@dataclass(frozen=True)
class _Weights:
    """Weights of the logistic regression: how much each measure adds to the log odds that a cut is wrong."""

    missing: float
    surplus: float
    disagreement: float
    weak: float
    undecided: float
    constant: float


_NETWORK_WEIGHTS = _Weights(4.5, 0.0, 6.0, 0.0, 2.4, -3.9)
_GRABCUT_WEIGHTS = _Weights(3.0, 0.45, 3.2, 7.9, 0.0, -2.9)


@dataclass(frozen=True)
class CutMeasures:
    """Evidence against a cut, each as a share.

    Attributes:
        missing: Pixels outside that GrabCut, started from the cut, assigns to the object / pixels of the object.
        surplus: Pixels inside that it assigns to the background / pixels of the object.
        disagreement: 1 - intersection over union with a second, independent matting.
        weak: Share of the contour along which the colors on both sides are alike.
        undecided: Half-transparent pixels beyond those of an ordinary soft contour / pixels of the object.
    """

    missing: float
    surplus: float
    disagreement: float
    weak: float
    undecided: float


PERFECT_CUT = CutMeasures(0.0, 0.0, 0.0, 0.0, 0.0)
"""Measures of a matte that the user provides."""


def estimate_cut_confidence(measures: CutMeasures, method: MattingMethod) -> Confidence:
    """Estimate the confidence of a matte.

    Args:
        measures: The evidence against it.
        method: The method that made it.
    """
    weights = _GRABCUT_WEIGHTS if isinstance(method, GrabCutMatting) else _NETWORK_WEIGHTS
    parts = {
        "parts of the object may be missing": weights.missing * measures.missing,
        "the cut may hold more than the object": weights.surplus * measures.surplus,
        "a second matting finds another object": weights.disagreement * measures.disagreement,
        "no edge is seen along much of the contour": weights.weak * measures.weak,
        "much of the matte is half-clear": weights.undecided * measures.undecided,
    }
    odds = weights.constant + sum(parts.values())
    usual = dict(zip(parts, (0.0, 0.0, weights.disagreement * 0.08, weights.weak * 0.1, 0.0), strict=True))
    return Confidence(float(1 / (1 + np.exp(odds))), max(parts, key=lambda words: parts[words] - usual[words]))


def measure_cut(picture: Image.Image, matte: Pixels, method: MattingMethod) -> CutMeasures:
    """Measure the evidence against a matte.

    Args:
        picture: RGBA.
        matte: (H, W) of the picture.
        method: The method that made it; the second matting is by another, or by the same one in another color space from another rectangle.
    """
    cv2 = import_opencv()
    scale = min(1.0, _WORK_PX / max(picture.size))
    size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BOX)
    rgb = np.array(small.convert("RGB"))
    opinion = GrabCutMatting("rgb", margin=0.06, rounds=1, vivid=False)(small) if isinstance(method, GrabCutMatting) else GrabCutMatting()(picture)
    mine, other = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (matte, opinion))
    inside = mine > 127
    if not inside.any() or inside.all():
        return CutMeasures(0.0, 0.0, 1.0, 1.0, 1.0)
    count = float(inside.sum())
    refined = _refine_with_grabcut(rgb, inside)
    rim = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) == 0)
    union = float((inside | (other > 127)).sum())
    return CutMeasures(
        missing=float((refined & ~inside).sum()) / count,
        surplus=float((inside & ~refined).sum()) / count,
        disagreement=1 - float((inside & (other > 127)).sum()) / union,
        weak=_weak_contour_fraction(rgb, inside),
        undecided=min(1.0, max(0.0, float(((mine > 25) & (mine < 230)).sum() - 2 * rim.sum())) / count),
    )


def _refine_with_grabcut(rgb: Pixels, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the object by GrabCut, started from a cut: its core is fixed, all other pixels may change sides."""
    cv2 = import_opencv()
    radius = max(1, round(_BAND * min(inside.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    core = cv2.erode(inside.astype(np.uint8), kernel, borderValue=1) > 0
    marks = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[core] = cv2.GC_FGD
    marks[border_mask(marks.shape, 0.02) & ~inside] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # per thread; the same picture gives the same result
    cv2.grabCut(rgb, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    is_object: NDArray[np.bool_] = marks % 2 == 1
    return is_object


def _weak_contour_fraction(rgb: Pixels, inside: NDArray[np.bool_]) -> float:
    """Return the share of a contour along which the colors on both sides are alike; 1 if there is no contour."""
    cv2 = import_opencv()
    height, width = inside.shape
    reach = max(2, round(0.02 * min(inside.shape)))
    object_ = inside.astype(np.uint8)
    object_[0] = object_[-1] = 0
    object_[:, 0] = object_[:, -1] = 0
    contours, _ = cv2.findContours(object_, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return 1.0
    points = np.concatenate([contour[:, 0] for contour in contours if len(contour) > 20] or [contours[0][:, 0]])[::3]
    slope = cv2.GaussianBlur(object_.astype(np.float32), (0, 0), reach)
    inwards = np.stack([cv2.Sobel(slope, -1, 1, 0)[points[:, 1], points[:, 0]], cv2.Sobel(slope, -1, 0, 1)[points[:, 1], points[:, 0]]], 1)
    inwards /= np.maximum(np.linalg.norm(inwards, axis=1, keepdims=True), 1e-6)
    lab = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), reach / 2)
    sides, usable = [], np.ones(len(points), dtype=bool)
    for direction in (1.2, -1.2):
        samples = np.rint(points + direction * reach * inwards).astype(int)
        usable &= ((samples >= 0) & (samples < (width, height))).all(1)
        sides.append(lab[samples[:, 1].clip(0, height - 1), samples[:, 0].clip(0, width - 1)])
    if usable.sum() < 5:
        return 1.0
    return float((np.linalg.norm(sides[0] - sides[1], axis=1)[usable] < _MAX_WEAK_LAB).mean())


def estimate_fill_confidence(rgb: Pixels, filled: Pixels, hole: NDArray[np.bool_], measures: CutMeasures) -> Confidence:
    """Estimate the confidence of a filled background, by a logistic regression on fills that were checked by eye.

    Args:
        rgb: (H, W, 3), the scene.
        filled: (H, W, 3), the scene with its hole filled.
        hole: (H, W).
        measures: Measures of the cut: missed parts of the object are still in the background.
    """
    cv2 = import_opencv()
    size = (_FILL_PX, _FILL_PX)
    before, after = (
        cv2.cvtColor(cv2.resize(planes, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB).astype(np.float32) for planes in (rgb, filled)
    )
    inside = cv2.resize(hole.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    if not inside.any() or inside.all():
        return Confidence(0.0 if inside.any() else 1.0, "all of it is invented" if inside.any() else "")
    smooth = cv2.GaussianBlur(after, (0, 0), 6)
    parts = {
        "its colours are not those around the hole": 0.33 * _color_distance(after[inside], before[~inside]),
        "its light is not that around the hole": 0.07 * float(np.linalg.norm(smooth[inside].mean(0) - before[~inside].mean(0))),
        "it repeats itself in a mirror": 2.5 * _mirror_correlation(after[..., 0], inside),
        "parts of the object may still be there": 1.3 * measures.missing + 2.8 * measures.disagreement,
    }
    usual = dict(zip(parts, (0.15, 0.4, 0.8, 0.25), strict=True))
    return Confidence(float(1 / (1 + np.exp(sum(parts.values()) - 3.25))), max(parts, key=lambda words: parts[words] - usual[words]))


def _color_distance(colors: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return how far colors (N, 3) are from reference colors (M, 3), beyond the distances within these (CIE Lab)."""
    shuffled = reference[np.random.default_rng(0).permutation(len(reference))]
    some, others = shuffled[: len(reference) // 2][:_MAX_SAMPLES], shuffled[len(reference) // 2 :][:_MAX_SAMPLES]
    if not len(some):
        return 0.0
    apart = [float(np.sqrt(((one[:, None] - some[None]) ** 2).sum(2).min(1)).mean()) for one in (colors, others)]
    return max(0.0, apart[0] - apart[1])


def _mirror_correlation(lightness: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Return the highest correlation of filled detail with its mirror image, over vertical axes near the middle."""
    detail = lightness - import_opencv().GaussianBlur(lightness, (0, 0), 4)
    side, best = detail.shape[1], 0.0
    for axis in range(round(0.31 * side), round(0.69 * side)):
        reach = min(axis, side - axis)
        left, right = detail[:, axis - reach : axis][:, ::-1], detail[:, axis : axis + reach]
        is_filled = inside[:, axis - reach : axis][:, ::-1] | inside[:, axis : axis + reach]
        if is_filled.sum() >= 200:
            one, other = left[is_filled], right[is_filled]
            norm = np.sqrt((one**2).sum() * (other**2).sum()) + is_filled.sum() * _FAINT_DETAIL**2
            best = max(best, float((one * other).sum() / norm))
    return best
