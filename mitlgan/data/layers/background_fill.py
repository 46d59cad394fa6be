"""Backgrounds out of scenes: fill the hole that an object leaves, or take the part that it does not touch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.layers.matting import import_opencv

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
_STEPS = 12  # shifts tried per axis and direction
_ROUNDS = 3
_SAMPLED = 4000  # pixels of the hole by which coverage is judged
_SHADOW = 0.015  # of the picture: the nearest surroundings of a hole, in which shadows lie, are not copied
_SMALLEST_GRAIN = 6  # px
_COARSEST = 8  # px
_SWEEPS = 16  # of Jacobi, at each size


def object_hole(matte: Pixels, grow: float = 0.025) -> NDArray[np.bool_]:
    """Where the object, its soft edge and its nearest shadow are: the matte, grown by a share of the picture's size."""
    cv2 = import_opencv()
    radius = max(1, round(grow * min(matte.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown: NDArray[np.bool_] = cv2.dilate((matte > 25).astype(np.uint8), kernel) > 0
    return grown


def fill_hole(rgb: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Fill a hole from the same picture.

    The hole takes its texture from one or several shifted (and mirrored) copies of the known part, those that agree best with the hole's rim
    (in the manner of He and Sun 2012). Each copy takes over the light of what it is joined to (Poisson cloning, Perez et al. 2003, in the form of
    Farbman et al. 2009: a smooth correction), so that no seam shows, not even between two of them. What no copy reaches is OpenCV's inpainting.

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
    free = ~_grown(hole, max(1, round(_SHADOW * min(hole.shape))))
    for _ in range(_ROUNDS):
        found = _best_shift(rgb, free, missing, hole)
        if found is None:
            break
        copy, known = found
        take = missing & known
        joined = known & ~missing & _grown(take, 1)
        filled[take] = np.clip(copy + _membrane(filled.astype(np.float32) - copy, joined, take), 0, 255)[take].astype(np.uint8)
        missing &= ~take
        if missing.sum() < 0.002 * missing.size:
            break
    if missing.any():
        light = _smooth(filled, missing).astype(np.int16) + _grain(rgb, hole)
        filled[missing] = np.clip(light, 0, 255)[missing].astype(np.uint8)
    return filled


def _grown(hole: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    cv2 = import_opencv()
    grown: NDArray[np.bool_] = cv2.dilate(hole.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0
    return grown


def _smooth(rgb: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """The hole's light: inpainted at an eighth of the size, where it costs nothing and smears no lines, then enlarged."""
    cv2 = import_opencv()
    height, width = hole.shape
    small = (max(8, width // 8), max(8, height // 8))
    weights = cv2.resize((~hole).astype(np.float32), small, interpolation=cv2.INTER_AREA)
    colours = cv2.resize(rgb.astype(np.float32) * (~hole)[..., None], small, interpolation=cv2.INTER_AREA) / np.maximum(weights, 1e-3)[..., None]
    filled = cv2.inpaint(np.clip(colours, 0, 255).astype(np.uint8), (weights < 0.25).astype(np.uint8), 3, cv2.INPAINT_NS)
    light: Pixels = np.where(hole[..., None], cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), rgb)
    return light


def _grain(rgb: Pixels, hole: NDArray[np.bool_]) -> NDArray[np.int16]:
    """The fine detail of the largest square without hole, tiled in mirror images over the picture: for what no shift can reach."""
    cv2 = import_opencv()
    top, left, side = find_free_square(hole)
    if side < _SMALLEST_GRAIN:
        return np.zeros(rgb.shape, dtype=np.int16)
    patch = rgb[top : top + side, left : left + side].astype(np.int16)
    detail = patch - cv2.GaussianBlur(patch, (0, 0), max(1.0, side / 8))
    rows, columns = (np.abs((np.arange(length) + side) % (2 * side) - side).clip(0, side - 1) for length in rgb.shape[:2])
    tiled: NDArray[np.int16] = detail[rows][:, columns]
    return tiled


def _best_shift(rgb: Pixels, free: NDArray[np.bool_], missing: NDArray[np.bool_], hole: NDArray[np.bool_]) -> tuple[Pixels, NDArray[np.bool_]] | None:
    """The shifted copy that covers most of what is missing and differs least at its rim: pixels and where they are known."""
    height, width = hole.shape
    rim = np.argwhere(_grown(missing, 2) & ~hole)
    if not len(rim):
        return None
    wanted = np.argwhere(missing)
    wanted = wanted[:: max(1, len(wanted) // _SAMPLED)]
    sides = {False: (rgb, free), True: (rgb[:, ::-1], free[:, ::-1])}
    grid = [(round(down * height), round(right * width)) for down in np.linspace(-0.6, 0.6, _STEPS + 1) for right in np.linspace(-0.9, 0.9, _STEPS + 1)]
    cost, mirrored, shift = min((_cost(rgb, sides[side], rim, wanted, place), side, place) for side in sides for place in grid)
    if np.isinf(cost):
        return None
    step = round(0.9 * max(height, width) / _STEPS)
    while step:  # the grid is coarse: lines must meet to the pixel
        near = [(shift[0] + down, shift[1] + right) for down in (-step, 0, step) for right in (-step, 0, step)]
        cost, shift = min((_cost(rgb, sides[mirrored], rim, wanted, place), place) for place in near)
        step //= 2
    source, known = sides[mirrored]
    return _shifted(source, shift), _shifted(known, shift)


def _cost(rgb: Pixels, side: tuple[Pixels, NDArray[np.bool_]], rim: NDArray[np.intp], wanted: NDArray[np.intp], shift: tuple[int, int]) -> float:
    """How ill a shifted copy fits: its difference at the rim, and what it does not cover; infinite where it shares too little with the hole."""
    source, known = side
    covered = float(_known(known, wanted - shift).mean())
    usable = _known(known, rim - shift)
    if covered < 0.25 or usable.sum() < 0.25 * len(rim):
        return np.inf
    there, here = rim[usable] - shift, rim[usable]
    difference = np.abs(source[there[:, 0], there[:, 1]].astype(np.int16) - rgb[here[:, 0], here[:, 1]]).mean()
    # Up and down, scenes differ more than sideways.
    return float(difference / 255 + 0.8 * (1 - covered) + 0.15 * abs(shift[0]) / len(rgb))


def _known(known: NDArray[np.bool_], places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of the places (N, 2) lie inside the picture and are known there."""
    inside: NDArray[np.bool_] = np.all((places >= 0) & (places < known.shape), axis=1)
    inside[inside] = known[places[inside, 0], places[inside, 1]]
    return inside


def _shifted(values: NDArray[Any], shift: tuple[int, int]) -> NDArray[Any]:
    """Rows moved down and columns right, with zeros where nothing comes from."""
    moved = np.zeros_like(values)
    height, width = values.shape[:2]
    down, right = shift
    if abs(down) < height and abs(right) < width:
        moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = values[
            max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
        ]
    return moved


def _membrane(values: Values, fixed: NDArray[np.bool_], region: NDArray[np.bool_]) -> Values:
    """The smoothest continuation of the fixed values into a region: Laplace's equation, solved from coarse to fine.

    Args:
        values: (H, W, 3).
        fixed: (H, W), where the values count.
        region: (H, W), where they are wanted; where it ends otherwise, nothing flows across.

    Returns:
        (H, W, 3); of use inside the region only.
    """
    cv2 = import_opencv()
    height, width = fixed.shape
    weights = fixed.astype(np.float32)
    if min(height, width) <= _COARSEST or not fixed.any():
        found = np.broadcast_to((values * weights[..., None]).sum((0, 1)) / max(1.0, float(weights.sum())), values.shape).copy()
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        share = cv2.resize(weights, half, interpolation=cv2.INTER_AREA)
        means = cv2.resize(values * weights[..., None], half, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)[..., None]
        inner = cv2.resize(region.astype(np.float32), half, interpolation=cv2.INTER_AREA) > 0
        found = cv2.resize(_membrane(means, share > 0, inner & (share == 0)), (width, height), interpolation=cv2.INTER_LINEAR)
    inside = (fixed | region).astype(np.float32)
    found = np.where(fixed[..., None], values, found) * inside[..., None]
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    neighbours = np.maximum(cv2.filter2D(inside, -1, cross, borderType=cv2.BORDER_CONSTANT), 1)[..., None]
    moved = (region & ~fixed)[..., None]
    for _ in range(_SWEEPS):
        found = np.where(moved, cv2.filter2D(found, -1, cross, borderType=cv2.BORDER_CONSTANT) / neighbours, found)
    return found


def find_free_square(hole: NDArray[np.bool_]) -> tuple[int, int, int]:
    """The largest square that misses a hole: top, left, side (px); side 0 where all is hole."""
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
