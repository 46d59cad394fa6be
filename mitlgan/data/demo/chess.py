"""Draws chess boards and pieces with exact mattes, free of any licence: three layers, the thesis' first idea.

Boards are views of a plane in perspective; pieces are bodies of revolution (the knight a flat relief), shaded by one light. Every picture is a function
of (seed, index).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mitlgan.data.build.journal import open_journal
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import UnreadableImageError, decode
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.errors import DataError
from mitlgan.images.encode import encode_dataset_png
from mitlgan.runtime.files import ensure_folder, write_atomically, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.output_folders import require_empty_folder
from mitlgan.runtime.progress import ProgressCallback, ignore_progress

VERSION = 1
MANIFEST = "chess.json"
FOLDERS = ("fg", "far", "bg", "scene")
_OVERSAMPLING = 3  # drawn so many times larger, then reduced
Floats = NDArray[np.float64]
# Half widths at heights, both in units of the piece's height, from the foot up.
PROFILES: dict[str, tuple[tuple[float, float], ...]] = {
    "pawn": ((0, 0.34), (0.06, 0.34), (0.12, 0.24), (0.2, 0.2), (0.5, 0.11), (0.56, 0.2), (0.6, 0.2), (0.63, 0.12), (0.72, 0.19), (0.8, 0.21),
             (0.9, 0.18), (0.97, 0.09), (1, 0)),
    "rook": ((0, 0.31), (0.06, 0.31), (0.12, 0.22), (0.22, 0.19), (0.66, 0.14), (0.72, 0.23), (0.78, 0.23), (0.8, 0.21), (1, 0.22), (1, 0)),
    "bishop": ((0, 0.27), (0.05, 0.27), (0.1, 0.2), (0.18, 0.16), (0.55, 0.08), (0.59, 0.16), (0.62, 0.16), (0.65, 0.1), (0.75, 0.15), (0.84, 0.13),
               (0.92, 0.05), (0.94, 0.04), (0.97, 0.045), (1, 0)),
    "queen": ((0, 0.27), (0.05, 0.27), (0.1, 0.2), (0.16, 0.17), (0.6, 0.08), (0.64, 0.17), (0.67, 0.17), (0.7, 0.1), (0.88, 0.18), (0.9, 0.14),
              (0.93, 0.06), (0.97, 0.05), (1, 0)),
    "king": ((0, 0.26), (0.05, 0.26), (0.1, 0.2), (0.16, 0.17), (0.58, 0.09), (0.62, 0.16), (0.65, 0.16), (0.68, 0.1), (0.82, 0.16), (0.85, 0.12),
             (0.88, 0.03), (0.91, 0.03), (0.92, 0.08), (0.95, 0.08), (0.96, 0.03), (1, 0.03), (1, 0)),
}  # fmt: skip
KNIGHT = ((-0.3, 0), (0.3, 0), (0.3, 0.07), (0.22, 0.13), (0.2, 0.35), (0.26, 0.6), (0.2, 0.85), (0.05, 0.98), (0.0, 1.0), (-0.04, 0.9), (-0.2, 0.78),
          (-0.33, 0.62), (-0.31, 0.54), (-0.2, 0.55), (-0.08, 0.6), (-0.02, 0.56), (-0.16, 0.36), (-0.2, 0.13), (-0.3, 0.07))  # fmt: skip
HEIGHTS = {"pawn": 0.62, "rook": 0.7, "knight": 0.78, "bishop": 0.86, "queen": 0.96, "king": 1.0}
WOODS = (((236, 217, 181), (170, 110, 65)), ((238, 238, 210), (110, 145, 80)), ((225, 225, 230), (95, 115, 140)), ((230, 200, 160), (90, 55, 35)),
         ((240, 230, 215), (165, 60, 55)), ((215, 220, 200), (60, 60, 65)))  # fmt: skip
PAINTS = ((242, 232, 208), (246, 246, 240), (222, 190, 140), (60, 42, 34), (38, 38, 44), (120, 40, 30), (205, 170, 60), (60, 80, 130))


@dataclass(frozen=True)
class ChessScene:
    """The layers of one position.

    Attributes:
        board: RGB.
        far: RGBA, the piece behind.
        near: RGBA, the piece in front.
        scene: RGB, near over far over board.
        matte: L, both pieces scene.
    """

    board: Image.Image
    far: Image.Image
    near: Image.Image
    scene: Image.Image
    matte: Image.Image


def draw_position(index: int, size_px: int, seed: int = 0) -> ChessScene:
    """Draw position `index`: a board, a far piece and a near one.

    Args:
        index: 0, 1, ...
        size_px: Height and width.
        seed: Not negative.
    """
    rng = np.random.default_rng([seed, VERSION, index])
    board = draw_board(rng, size_px)
    pieces = []
    for depth, scale in ((0.62, 0.42), (0.9, 0.62)):
        name = str(rng.choice(list(HEIGHTS)))
        across = float(rng.uniform(0.22, 0.78))
        pieces.append(
            draw_piece(rng, name, size_px, scale * float(rng.uniform(0.9, 1.1)) * HEIGHTS[name], (across, depth + float(rng.uniform(-0.04, 0.04))))
        )
    far, near = pieces
    scene = board.convert("RGBA")
    both = Image.new("RGBA", scene.size)
    for piece in pieces:
        both.alpha_composite(piece)
    scene.alpha_composite(both)
    return ChessScene(board, far, near, scene.convert("RGB"), both.getchannel("A"))


def draw_board(rng: np.random.Generator, size_px: int) -> Image.Image:
    """Draw a board in perspective before a plain wall, with a soft light."""
    side = size_px * _OVERSAMPLING
    light, dark = (np.array(colour, dtype=np.float64) for colour in WOODS[int(rng.integers(len(WOODS)))])
    horizon = rng.uniform(0.12, 0.3)
    turn, near, cell = rng.uniform(-0.5, 0.5), rng.uniform(1.6, 2.6), rng.uniform(0.8, 1.2)
    rows, columns = np.mgrid[0:side, 0:side] / side  # (H, W), 0 at the top left
    below = np.maximum(rows - horizon, 1e-3)
    depth = near * (1 - horizon) / below / 2
    across = (columns - 0.5) * depth * 2
    x = (across * np.cos(turn) - depth * np.sin(turn)) / cell + rng.uniform(0, 2)
    y = (across * np.sin(turn) + depth * np.cos(turn)) / cell + rng.uniform(0, 2)
    squares = ((np.floor(x) + np.floor(y)) % 2)[..., None]
    far = np.clip((depth - 4) / 8, 0, 1)[..., None]  # squares that are too small to see are mixed
    colors = light * (1 - squares) + dark * squares
    colors = colors * (1 - far) + (light + dark) / 2 * far
    grain = 1 + 0.05 * np.sin(x * rng.uniform(14, 30) + 2 * np.sin(y * 3))
    wall = np.array(rng.uniform(60, 210, 3)) * (0.75 + 0.35 * rows)[..., None]
    centre = rng.uniform(0.2, 0.8, 2)
    shine = 0.72 + 0.4 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 0.35)
    pixels = np.where((rows > horizon)[..., None], colors * grain[..., None], wall) * shine[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).resize((size_px, size_px), Image.Resampling.BOX)


def draw_piece(rng: np.random.Generator, name: str, size_px: int, height: float, foot: tuple[float, float]) -> Image.Image:
    """Draw one piece on transparency.

    Args:
        rng: Chooses paint and light.
        name: A key of `HEIGHTS`.
        size_px: Height and width of the picture.
        height: Height of the piece / height of the picture.
        foot: Middle of its foot, x and y, in shares of the picture.
    """
    side = size_px * _OVERSAMPLING
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float64) + 0.5
    up = (foot[1] * side - rows) / (height * side)  # 0 at the foot, 1 at the top
    offset_x = (columns - foot[0] * side) / (height * side)
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))], dtype=np.float64) * rng.uniform(0.9, 1.1)
    light = rng.uniform(-0.6, 0.6)
    if name == "knight":
        inside, tone = _relief(offset_x, light, (foot[0] * side, foot[1] * side), height * side, mirrored=bool(rng.random() < 0.5))
    else:
        inside, tone = _revolved(PROFILES[name], up, offset_x, light)
    gloss = 70 * np.clip((tone - 0.93) / 0.12, 0, 1)
    colors = np.clip(paint * (0.35 + 0.7 * tone)[..., None] + gloss[..., None], 0, 255)
    pixels = np.dstack([colors, np.where(inside, 255, 0)]).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGBa").resize((size_px, size_px), Image.Resampling.BOX).convert("RGBA")


def _revolved(profile: Sequence[tuple[float, float]], up: Floats, offset_x: Floats, light: float) -> tuple[NDArray[np.bool_], Floats]:
    """Return the mask and the brightness of a body of revolution, by the angle of its surface to the light."""
    heights, widths = np.array(profile).T
    width = np.interp(up, heights, widths, left=0.0, right=0.0)
    below = (up < 0) & (up > -0.04)  # the round foot, slightly from above
    width = np.where(below, widths[0] * np.sqrt(np.clip(1 - (up / 0.04) ** 2, 0, 1)), width)
    inside = np.abs(offset_x) < width
    relative_x = np.clip(offset_x / np.maximum(width, 1e-6), -1, 1)
    return inside, np.clip(np.sqrt(1 - np.clip(relative_x - light, -1, 1) ** 2) * (0.85 + 0.15 * np.clip(up, 0, 1)), 0, 1.05)


def _relief(offset_x: Floats, light: float, foot: tuple[float, float], height: float, *, mirrored: bool) -> tuple[NDArray[np.bool_], Floats]:
    """Return the mask and the brightness of the knight, rounded towards its outline. Foot and height are in px."""
    canvas = Image.new("L", (offset_x.shape[1], offset_x.shape[0]))
    sign = -1 if mirrored else 1
    ImageDraw.Draw(canvas).polygon([(foot[0] + sign * x * height, foot[1] - y * height) for x, y in KNIGHT], fill=255)
    inside = np.asarray(canvas) > 0
    left = np.where(inside, offset_x, np.inf).min(1, keepdims=True)
    right = np.where(inside, offset_x, -np.inf).max(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative_x = np.nan_to_num(np.clip((2 * offset_x - left - right) / (right - left), -1, 1))
    return inside, np.clip(np.sqrt(1 - np.clip(0.85 * relative_x - light, -1, 1) ** 2), 0, 1.05)


def write_chess(out: Path, count: int, size_px: int, seed: int = 0, progress: ProgressCallback = ignore_progress) -> dict[str, int]:
    """Write the sets `fg/` and `far/` (RGBA pieces), `bg/` (boards) and `scene/` (complete scenes with mattes); a stopped call can be resumed.

    Scenes have other positions than the pictures of `fg`, `far` and `bg`, so that no composition can win by memorising.

    Args:
        out: Folder, new or empty, or with the same work.
        count: Number of pictures in each set.
        size_px: Height and width.
        seed: Decides every picture.
        progress: Receives the number of finished and of all pictures.

    Returns:
        Number of pictures in each folder.

    Raises:
        UsageError: The folder holds other work or other files.
        DataError: A file under the name of a picture is none of this size.
        ResourceError: The folder cannot be written.
    """
    settings = {"count": count, "size_px": size_px, "seed": seed}
    made_by = {"command": "chess", "version": VERSION, **settings}

    def work(index: int) -> None:
        files = _files(out, index)
        missing = [path for path in files if not _is_drawn(path, size_px)]
        if not missing:  # a stopped call drew them
            return
        layers, scene = draw_position(index, size_px, seed), draw_position(count + index, size_px, seed)
        pictures = (layers.near, layers.far, layers.board, scene.scene, scene.matte)
        for path, picture in zip(files, pictures, strict=True):
            if path in missing:
                write_atomically(path, encode_dataset_png(picture), root=path.parent)  # which may be on another disk, by a link

    header = {"work": "chess", "version": VERSION, "settings": settings}
    with open_journal(out, header, check_new=lambda folder, option: _check_new(folder, option, made_by)):
        for folder in FOLDERS:
            ensure_folder(out / folder)
        for number, _ in enumerate(in_order(range(count), work), start=1):
            progress(number, count)
        write_json(out / MANIFEST, {"schema_version": 1, "made_by": made_by, "licence": "CC0-1.0 (drawn by this program)"}, root=out)
    return dict.fromkeys(FOLDERS, count)


def _check_new(out: Path, option: str, made_by: Mapping[str, object]) -> None:
    """Refuse a folder of other things; earlier versions kept no journal, but named their work at its end."""
    if read_json(out / MANIFEST).get("made_by") != made_by:
        require_empty_folder(out, option)


def _is_drawn(path: Path, size_px: int) -> bool:
    """Return whether a picture is there already.

    Raises:
        DataError: Another file has its name: pictures are written at once or not at all, so that no stopped call left it.
    """
    if not os.path.lexists(path):
        return False
    try:
        picture = decode(path, keep_alpha=True)
        reason = "" if (picture.width, picture.height) == (size_px, size_px) else f"{picture.width} x {picture.height} px"
    except UnreadableImageError as error:
        reason = str(error)
    if reason:
        raise DataError(f"{path}: has the name of a picture of {size_px} px, but is none ({reason}); remove it, and run the same command again")
    return True


def _files(out: Path, index: int) -> list[Path]:
    """Return the files of a position: near and far piece, board, scene, and its matte."""
    return [*(out / folder / f"{index:05d}.png" for folder in FOLDERS), out / "scene" / f"{index:05d}{MATTE_SUFFIX}"]
