"""Makes backgrounds from scenes: fills the hole that an object leaves, or finds the largest part without it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.layers.matting import import_opencv

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
_SHIFT_STEPS = 12  # shifts tried per axis and direction
_MAX_COPIES = 3
_MAX_SAMPLES = 4000  # pixels of the hole by which coverage is estimated
_SHADOW_MARGIN = 0.015  # share of the picture: pixels so close to a hole may be in shadow and are not copied
_MIN_GRAIN_PX = 6
_MIN_MEMBRANE_PX = 8
_JACOBI_SWEEPS = 16  # at each size


def object_hole(matte: Pixels, grow: float = 0.025) -> NDArray[np.bool_]:
    """Return a mask of the object, its soft edge and its shadow: the matte, grown by a share of the picture's size."""
    cv2 = import_opencv()
    radius = max(1, round(grow * min(matte.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown: NDArray[np.bool_] = cv2.dilate((matte > 25).astype(np.uint8), kernel) > 0
    return grown


def fill_hole(rgb: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Fill a hole from the same picture.

    The hole takes its texture from up to three shifted (and mirrored) copies of the known part, those that agree best with the hole's rim (similar to
    He and Sun 2012). A smooth correction adapts the light of each copy to its neighbors, so that no seam shows (Poisson cloning, Perez et al. 2003, in
    the form of Farbman et al. 2009). What no copy covers is filled by OpenCV's inpainting.

    Args:
        rgb: (H, W, 3).
        hole: (H, W).

    Returns:
        (H, W, 3); equal to `rgb` outside the hole.
    """
    if not hole.any() or hole.all():
        return rgb.copy()
    filled = rgb.copy()
    missing = hole.copy()
    free = ~_dilate(hole, max(1, round(_SHADOW_MARGIN * min(hole.shape))))
    for _ in range(_MAX_COPIES):
        best = _best_shift(rgb, free, missing, hole)
        if best is None:
            break
        copy, is_source = best
        region = missing & is_source
        border = is_source & ~missing & _dilate(region, 1)
        filled[region] = np.clip(copy + _membrane(filled.astype(np.float32) - copy, border, region), 0, 255)[region].astype(np.uint8)
        missing &= ~region
        if missing.sum() < 0.002 * missing.size:
            break
    if missing.any():
        light = _inpaint_smooth(filled, missing).astype(np.int16) + _grain(rgb, hole)
        filled[missing] = np.clip(light, 0, 255)[missing].astype(np.uint8)
    return filled


def _dilate(hole: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    cv2 = import_opencv()
    grown: NDArray[np.bool_] = cv2.dilate(hole.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0
    return grown


def _inpaint_smooth(rgb: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Return the picture with its hole inpainted at an eighth of the size, which is fast and smears no lines, and enlarged."""
    cv2 = import_opencv()
    height, width = hole.shape
    small = (max(8, width // 8), max(8, height // 8))
    weights = cv2.resize((~hole).astype(np.float32), small, interpolation=cv2.INTER_AREA)
    colors = cv2.resize(rgb.astype(np.float32) * (~hole)[..., None], small, interpolation=cv2.INTER_AREA) / np.maximum(weights, 1e-3)[..., None]
    filled = cv2.inpaint(np.clip(colors, 0, 255).astype(np.uint8), (weights < 0.25).astype(np.uint8), 3, cv2.INPAINT_NS)
    light: Pixels = np.where(hole[..., None], cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), rgb)
    return light


def _grain(rgb: Pixels, hole: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the fine detail of the largest square without hole, mirrored and tiled over the picture."""
    cv2 = import_opencv()
    top, left, side = find_free_square(hole)
    if side < _MIN_GRAIN_PX:
        return np.zeros(rgb.shape, dtype=np.int16)
    patch = rgb[top : top + side, left : left + side].astype(np.int16)
    detail = patch - cv2.GaussianBlur(patch, (0, 0), max(1.0, side / 8))
    rows, columns = (np.abs((np.arange(length) + side) % (2 * side) - side).clip(0, side - 1) for length in rgb.shape[:2])
    tiled: NDArray[np.int16] = detail[rows][:, columns]
    return tiled


def _best_shift(rgb: Pixels, free: NDArray[np.bool_], missing: NDArray[np.bool_], hole: NDArray[np.bool_]) -> tuple[Pixels, NDArray[np.bool_]] | None:
    """Return the shifted copy that covers most of the missing pixels and differs least at their rim, and where it is known."""
    height, width = hole.shape
    rim = np.argwhere(_dilate(missing, 2) & ~hole)
    if not len(rim):
        return None
    targets = np.argwhere(missing)
    targets = targets[:: max(1, len(targets) // _MAX_SAMPLES)]
    sides = {False: (rgb, free), True: (rgb[:, ::-1], free[:, ::-1])}
    grid = [
        (round(down * height), round(right * width))
        for down in np.linspace(-0.6, 0.6, _SHIFT_STEPS + 1)
        for right in np.linspace(-0.9, 0.9, _SHIFT_STEPS + 1)
    ]
    cost, mirrored, shift = min((_cost(rgb, sides[side], rim, targets, offset), side, offset) for side in sides for offset in grid)
    if np.isinf(cost):
        return None
    step = round(0.9 * max(height, width) / _SHIFT_STEPS)
    while step:  # the grid is coarse, but lines must meet to the pixel
        near = [(shift[0] + down, shift[1] + right) for down in (-step, 0, step) for right in (-step, 0, step)]
        cost, shift = min((_cost(rgb, sides[mirrored], rim, targets, offset), offset) for offset in near)
        step //= 2
    source, is_source = sides[mirrored]
    return _shift(source, shift), _shift(is_source, shift)


def _cost(rgb: Pixels, side: tuple[Pixels, NDArray[np.bool_]], rim: NDArray[np.intp], targets: NDArray[np.intp], shift: tuple[int, int]) -> float:
    """Return the cost of a shifted copy: difference at the rim, and missing cover; infinite if it covers too little."""
    source, is_source = side
    covered = float(_look_up(is_source, targets - shift).mean())
    usable = _look_up(is_source, rim - shift)
    if covered < 0.25 or usable.sum() < 0.25 * len(rim):
        return np.inf
    there, here = rim[usable] - shift, rim[usable]
    difference = np.abs(source[there[:, 0], there[:, 1]].astype(np.int16) - rgb[here[:, 0], here[:, 1]]).mean()
    # Scenes differ more vertically than horizontally.
    return float(difference / 255 + 0.8 * (1 - covered) + 0.15 * abs(shift[0]) / len(rgb))


def _look_up(mask: NDArray[np.bool_], points: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return the values of a mask at points (N, 2); False outside the picture."""
    inside: NDArray[np.bool_] = np.all((points >= 0) & (points < mask.shape), axis=1)
    inside[inside] = mask[points[inside, 0], points[inside, 1]]
    return inside


def _shift(values: NDArray[Any], shift: tuple[int, int]) -> NDArray[Any]:
    """Shift rows down and columns right, with zeros where no pixel moves to."""
    moved = np.zeros_like(values)
    height, width = values.shape[:2]
    down, right = shift
    if abs(down) < height and abs(right) < width:
        moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = values[
            max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
        ]
    return moved


def _membrane(values: Values, fixed: NDArray[np.bool_], region: NDArray[np.bool_]) -> Values:
    """Continue fixed values smoothly into a region by solving Laplace's equation from coarse to fine.

    Args:
        values: (H, W, 3).
        fixed: (H, W), where the values are fixed.
        region: (H, W), where they are continued; there is no flow across its other borders.

    Returns:
        (H, W, 3), valid inside the region only.
    """
    cv2 = import_opencv()
    height, width = fixed.shape
    weights = fixed.astype(np.float32)
    if min(height, width) <= _MIN_MEMBRANE_PX or not fixed.any():
        result = np.broadcast_to((values * weights[..., None]).sum((0, 1)) / max(1.0, float(weights.sum())), values.shape).copy()
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        share = cv2.resize(weights, half, interpolation=cv2.INTER_AREA)
        means = cv2.resize(values * weights[..., None], half, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)[..., None]
        inner = cv2.resize(region.astype(np.float32), half, interpolation=cv2.INTER_AREA) > 0
        result = cv2.resize(_membrane(means, share > 0, inner & (share == 0)), (width, height), interpolation=cv2.INTER_LINEAR)
    inside = (fixed | region).astype(np.float32)
    result = np.where(fixed[..., None], values, result) * inside[..., None]
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    neighbours = np.maximum(cv2.filter2D(inside, -1, cross, borderType=cv2.BORDER_CONSTANT), 1)[..., None]
    moved = (region & ~fixed)[..., None]
    for _ in range(_JACOBI_SWEEPS):
        result = np.where(moved, cv2.filter2D(result, -1, cross, borderType=cv2.BORDER_CONSTANT) / neighbours, result)
    return result


def find_free_square(hole: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the largest square without hole: top, left, side (px); the side is 0 if all is hole."""
    side = np.zeros(hole.shape, dtype=np.int32)
    free = ~hole
    side[0], side[:, 0] = free[0], free[:, 0]
    for row in range(1, hole.shape[0]):
        above, before = side[row - 1], side[row]
        for column in range(1, hole.shape[1]):
            if free[row, column]:
                before[column] = min(above[column], above[column - 1], before[column - 1]) + 1
    bottom, right = np.unravel_index(int(side.argmax()), side.shape)
    size = int(side.max())
    return int(bottom) - size + 1, int(right) - size + 1, size


def find_emptiest_square(hole: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the largest square of a picture that a hole covers least, as near to the middle as may be: left, top, right, bottom (px)."""
    height, width = hole.shape
    side = min(height, width)
    covered = np.concatenate([[0], np.cumsum(hole.sum(1 if height > width else 0))])
    shares = covered[side:] - covered[:-side]
    middle = (len(shares) - 1) / 2
    start = int(min(np.flatnonzero(shares == shares.min()), key=lambda index: abs(index - middle)))
    return (0, start, side, start + side) if height > width else (start, 0, start + side, side)
