"""How far a cut can be trusted: what a second matting says, what lies outside that looks like the object, and how clear its contour is.

The shares below are those of a logistic regression on pictures that were looked at one by one (garments on floors, walls and hangers) and scenes whose
true matte is known, one half of both; a cut counts as wrong where it and the truth share less than 80 % of their union, or where a person sees a part
missing or a piece too many. `confidence` is the probability, by that regression, that a cut is right.
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
_WORK_PX = 160  # longer side at which cuts are judged
_ALIKE_LAB = 10.0  # colours nearer than this show no contour
_FILL_PX = 96  # side at which fills are judged
_SAMPLED = 400  # colours around a hole that those of its fill are compared with
_FAINT = 1.5  # of lightness (0 to 255): fainter detail is not seen, mirrored or not
_BAND = 0.06  # of the shorter side: the band along a contour in which GrabCut may move it


@dataclass(frozen=True)
class Confidence:
    """How far something can be trusted, 0 to 1, and what speaks most against it."""

    value: float
    doubt: str = ""


@dataclass(frozen=True)
class _Weights:
    """Of the logistic regression: what each share adds to the odds that a cut is wrong."""

    missing: float
    surplus: float
    disagreement: float
    weak: float
    undecided: float
    constant: float


_OF_NETWORK = _Weights(4.5, 0.0, 6.0, 0.0, 2.4, -3.9)
_OF_GRABCUT = _Weights(3.0, 0.45, 3.2, 7.9, 0.0, -2.9)


@dataclass(frozen=True)
class CutMeasures:
    """What speaks against a cut, each as a share.

    Attributes:
        missing: Pixels outside that GrabCut, begun from the cut itself, takes for the object / the object's.
        surplus: Pixels inside that it takes for background / the object's.
        disagreement: 1 - intersection over union with a second matting, which knows nothing of the first.
        weak: Of the contour, where colours on both sides are alike.
        undecided: Half-clear pixels, beyond those of an ordinary soft contour / the object's.
    """

    missing: float
    surplus: float
    disagreement: float
    weak: float
    undecided: float


PERFECT_CUT = CutMeasures(0.0, 0.0, 0.0, 0.0, 0.0)
"""Of a matte that is the user's own."""


def estimate_cut_confidence(measured: CutMeasures, method: MattingMethod) -> Confidence:
    """How far a matte can be trusted.

    Args:
        measured: What speaks against it.
        method: What made it.
    """
    weights = _OF_GRABCUT if isinstance(method, GrabCutMatting) else _OF_NETWORK
    parts = {
        "parts of the object may be missing": weights.missing * measured.missing,
        "the cut may hold more than the object": weights.surplus * measured.surplus,
        "a second matting finds another object": weights.disagreement * measured.disagreement,
        "no edge is seen along much of the contour": weights.weak * measured.weak,
        "much of the matte is half-clear": weights.undecided * measured.undecided,
    }
    odds = weights.constant + sum(parts.values())
    usual = dict(zip(parts, (0.0, 0.0, weights.disagreement * 0.08, weights.weak * 0.1, 0.0), strict=True))
    return Confidence(float(1 / (1 + np.exp(odds))), max(parts, key=lambda words: parts[words] - usual[words]))


def measure_cut(picture: Image.Image, matte: Pixels, method: MattingMethod) -> CutMeasures:
    """What speaks against a matte.

    Args:
        picture: RGBA.
        matte: (H, W) of it.
        method: What made it: the second opinion is another's, or the same one's in another colour space from another rectangle.
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
    again = _begun_from(rgb, inside)
    rim = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) == 0)
    union = float((inside | (other > 127)).sum())
    return CutMeasures(
        missing=float((again & ~inside).sum()) / count,
        surplus=float((inside & ~again).sum()) / count,
        disagreement=1 - float((inside & (other > 127)).sum()) / union,
        weak=_weak_contour(rgb, inside),
        undecided=min(1.0, max(0.0, float(((mine > 25) & (mine < 230)).sum() - 2 * rim.sum())) / count),
    )


def _begun_from(rgb: Pixels, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The object by GrabCut, begun from a cut: its core is fixed, all else may change sides."""
    cv2 = import_opencv()
    radius = max(1, round(_BAND * min(inside.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    core = cv2.erode(inside.astype(np.uint8), kernel, borderValue=1) > 0
    marks = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[core] = cv2.GC_FGD
    marks[border_mask(marks.shape, 0.02) & ~inside] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # of this thread: the same picture gives the same answer
    cv2.grabCut(rgb, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found: NDArray[np.bool_] = marks % 2 == 1
    return found


def _weak_contour(rgb: Pixels, inside: NDArray[np.bool_]) -> float:
    """Share of a contour on whose two sides colours are alike; 1 where there is none to judge."""
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
        places = np.rint(points + direction * reach * inwards).astype(int)
        usable &= ((places >= 0) & (places < (width, height))).all(1)
        sides.append(lab[places[:, 1].clip(0, height - 1), places[:, 0].clip(0, width - 1)])
    if usable.sum() < 5:
        return 1.0
    return float((np.linalg.norm(sides[0] - sides[1], axis=1)[usable] < _ALIKE_LAB).mean())


def estimate_fill_confidence(rgb: Pixels, filled: Pixels, hole: NDArray[np.bool_], measured: CutMeasures) -> Confidence:
    """How far a filled background can be trusted: the probability, by a regression on fills that were looked at, that nothing is wrong with it.

    Args:
        rgb: (H, W, 3), the scene.
        filled: (H, W, 3), with its hole filled.
        hole: (H, W).
        measured: Of the cut: what it misses is still there.
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
        "its colours are not those around the hole": 0.33 * _strangeness(after[inside], before[~inside]),
        "its light is not that around the hole": 0.07 * float(np.linalg.norm(smooth[inside].mean(0) - before[~inside].mean(0))),
        "it repeats itself in a mirror": 2.5 * _mirrored(after[..., 0], inside),
        "parts of the object may still be there": 1.3 * measured.missing + 2.8 * measured.disagreement,
    }
    usual = dict(zip(parts, (0.15, 0.4, 0.8, 0.25), strict=True))
    return Confidence(float(1 / (1 + np.exp(sum(parts.values()) - 3.25))), max(parts, key=lambda words: parts[words] - usual[words]))


def _strangeness(colours: NDArray[np.float32], known: NDArray[np.float32]) -> float:
    """How much farther colours, (N, 3), are from the nearest of known ones, (M, 3), than these are from each other (CIE Lab, OpenCV's scale)."""
    shuffled = known[np.random.default_rng(0).permutation(len(known))]
    some, others = shuffled[: len(known) // 2][:_SAMPLED], shuffled[len(known) // 2 :][:_SAMPLED]
    if not len(some):
        return 0.0
    apart = [float(np.sqrt(((one[:, None] - some[None]) ** 2).sum(2).min(1)).mean()) for one in (colours, others)]
    return max(0.0, apart[0] - apart[1])


def _mirrored(lightness: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """The highest correlation of the fine detail left and right of any upright axis near the middle, where one side at least was filled."""
    detail = lightness - import_opencv().GaussianBlur(lightness, (0, 0), 4)
    side, best = detail.shape[1], 0.0
    for axis in range(round(0.31 * side), round(0.69 * side)):
        reach = min(axis, side - axis)
        left, right = detail[:, axis - reach : axis][:, ::-1], detail[:, axis : axis + reach]
        wanted = inside[:, axis - reach : axis][:, ::-1] | inside[:, axis : axis + reach]
        if wanted.sum() >= 200:
            one, other = left[wanted], right[wanted]
            seen = np.sqrt((one**2).sum() * (other**2).sum()) + wanted.sum() * _FAINT**2
            best = max(best, float((one * other).sum() / seen))
    return best
