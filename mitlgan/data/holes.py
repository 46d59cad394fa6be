"""Backgrounds out of scenes: fill the hole that an object leaves, or take the part that it does not touch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.matting import opencv

Pixels = NDArray[np.uint8]
_STEPS = 12  # shifts tried per axis and direction
_ROUNDS = 3
_SMALLEST_GRAIN = 6  # px


def hole_of(matte: Pixels, grow: float = 0.025) -> NDArray[np.bool_]:
    """Where the object, its soft edge and its nearest shadow are: the matte, grown by a share of the picture's size."""
    cv2 = opencv()
    radius = max(1, round(grow * min(matte.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown: NDArray[np.bool_] = cv2.dilate((matte > 25).astype(np.uint8), kernel) > 0
    return grown


def fill(rgb: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Fill a hole from the same picture.

    The hole takes its texture from one or several shifted (and mirrored) copies of the known part, those that agree best with the hole's rim
    (in the manner of He and Sun 2012), and its light from the rim, by Poisson blending (Perez et al. 2003) over OpenCV's inpainting.

    Args:
        rgb: (H, W, 3).
        hole: (H, W).

    Returns:
        (H, W, 3); equal to `rgb` outside the hole.
    """
    if not hole.any() or hole.all():
        return rgb.copy()
    light = _smooth(rgb, hole)
    texture, missing = light.copy(), hole.copy()
    for _ in range(_ROUNDS):
        found = _best_shift(rgb, hole, missing)
        if found is None:
            break
        copy, known = found
        take = missing & known
        texture[take] = copy[take]
        missing &= ~take
        if missing.sum() < 0.002 * missing.size:
            break
    if missing.any():
        texture[missing] = np.clip(light[missing].astype(np.int16) + _grain(rgb, hole)[missing], 0, 255).astype(np.uint8)
    return _blend(rgb, light, texture, hole)


def _smooth(rgb: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """The hole's light: inpainted at an eighth of the size, where it costs nothing and smears no lines, then enlarged."""
    cv2 = opencv()
    height, width = hole.shape
    small = (max(8, width // 8), max(8, height // 8))
    weights = cv2.resize((~hole).astype(np.float32), small, interpolation=cv2.INTER_AREA)
    colours = cv2.resize(rgb.astype(np.float32) * (~hole)[..., None], small, interpolation=cv2.INTER_AREA) / np.maximum(weights, 1e-3)[..., None]
    filled = cv2.inpaint(np.clip(colours, 0, 255).astype(np.uint8), (weights < 0.25).astype(np.uint8), 3, cv2.INPAINT_NS)
    light: Pixels = np.where(hole[..., None], cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), rgb)
    return light


def _grain(rgb: Pixels, hole: NDArray[np.bool_]) -> NDArray[np.int16]:
    """The fine detail of the largest square without hole, tiled in mirror images over the picture: for what no shift can reach."""
    cv2 = opencv()
    top, left, side = largest_free_square(hole)
    if side < _SMALLEST_GRAIN:
        return np.zeros(rgb.shape, dtype=np.int16)
    patch = rgb[top : top + side, left : left + side].astype(np.int16)
    detail = patch - cv2.GaussianBlur(patch, (0, 0), max(1.0, side / 8))
    rows, columns = (np.abs((np.arange(length) + side) % (2 * side) - side).clip(0, side - 1) for length in rgb.shape[:2])
    tiled: NDArray[np.int16] = detail[rows][:, columns]
    return tiled


def _best_shift(rgb: Pixels, hole: NDArray[np.bool_], missing: NDArray[np.bool_]) -> tuple[Pixels, NDArray[np.bool_]] | None:
    """The shifted copy that covers most of what is missing and differs least at its rim: pixels and where they are known."""
    cv2 = opencv()
    height, width = hole.shape
    rim = (cv2.dilate(missing.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~hole
    if not rim.any():
        return None
    best, chosen = np.inf, None
    wanted = missing.sum()
    for mirrored in (False, True):
        source, known = (rgb[:, ::-1], ~hole[:, ::-1]) if mirrored else (rgb, ~hole)
        for down in np.linspace(-0.6, 0.6, _STEPS + 1):
            for right in np.linspace(-0.9, 0.9, _STEPS + 1):
                shift = round(down * height), round(right * width)
                seen = _shifted(known, shift)
                covered = float((seen & missing).sum() / wanted)
                usable = seen & rim
                if covered < 0.25 or usable.sum() < 0.25 * rim.sum():
                    continue
                difference = np.abs(_shifted(source, shift)[usable].astype(np.int16) - rgb[usable]).mean()
                cost = difference / 255 + 0.8 * (1 - covered) + 0.15 * abs(down)  # up and down, scenes differ more than sideways
                if cost < best:
                    best, chosen = cost, (mirrored, shift)
    if chosen is None:
        return None
    mirrored, shift = chosen
    source, known = (rgb[:, ::-1], ~hole[:, ::-1]) if mirrored else (rgb, ~hole)
    return _shifted(source, shift), _shifted(known, shift)


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


def _blend(rgb: Pixels, light: Pixels, texture: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Texture's gradients, with the values of the rim."""
    cv2 = opencv()
    pad = 2
    padded = [cv2.copyMakeBorder(plane, pad, pad, pad, pad, cv2.BORDER_REPLICATE) for plane in (texture, light)]
    mask = cv2.copyMakeBorder(hole.astype(np.uint8) * 255, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    rows, columns = np.nonzero(mask)
    centre = (int(columns.min() + columns.max() + 1) // 2, int(rows.min() + rows.max() + 1) // 2)
    blended = cv2.seamlessClone(padded[0], padded[1], mask, centre, cv2.NORMAL_CLONE)[pad:-pad, pad:-pad]
    result: Pixels = np.where(hole[..., None], blended, rgb)
    return result


def largest_free_square(hole: NDArray[np.bool_]) -> tuple[int, int, int]:
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
