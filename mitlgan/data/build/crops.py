"""Chooses the square of a picture to keep."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mitlgan.data.build.resize import center_square
from mitlgan.data.decode.image_file import UnreadableImageError, flatten_on
from mitlgan.errors import UsageError

if TYPE_CHECKING:
    from mitlgan.data.readers.faces import FaceFinder

CROPS = ("center", "entropy", "face")
_POSITIONS = 9  # tried along the longer side
HIDDEN_COLOR = (128, 128, 128)  # replaces what transparency hides; neither dark nor light
FACE_SIDE = 1.8  # side of the square / height of the face that the cascade finds
Box = tuple[int, int, int, int]


class SquareCrop:
    """Chooses a square: the centered one, the one with the most detail, or the one around the largest face.

    Args:
        kind: One of `CROPS`.

    Raises:
        UsageError: There is no such crop, or OpenCV is needed and not installed.
    """

    def __init__(self, kind: str) -> None:
        if kind not in CROPS:
            raise UsageError(f"--crop {kind}: no such crop; choose {', '.join(CROPS)}")
        self.kind = kind
        self._finders = threading.local()  # a cascade keeps state, so each thread has its own
        if kind == "face":
            _face_finder()  # refuses before any work if OpenCV is missing

    def __call__(self, picture: Image.Image) -> Box:
        """Return left, top, right, bottom (px).

        Raises:
            UnreadableImageError: A face is needed and none is found.
        """
        if self.kind == "face":
            if not hasattr(self._finders, "find"):
                self._finders.find = _face_finder()
            face = self._finders.find(_visible(picture))
            if face is None:
                raise UnreadableImageError("no face was found")
            return square_around_face(face, picture.size)
        return highest_entropy_square(picture) if self.kind == "entropy" else center_square(*picture.size)


def _visible(picture: Image.Image) -> Image.Image:
    """Replace the colors that transparency hides."""
    return flatten_on(picture, HIDDEN_COLOR) if picture.mode == "RGBA" else picture


def _face_finder() -> FaceFinder:
    from mitlgan.data.readers.faces import face_finder  # imports all readers, which other crops do not need

    return face_finder()


def square_around_face(face: Box, size: tuple[int, int]) -> Box:
    """Return the square around a face with hair and chin, moved inside the picture."""
    left, top, right, bottom = face
    side = min(round(FACE_SIDE * (bottom - top)), *size)
    x = min(max(0, (left + right - side) // 2), size[0] - side)
    y = min(max(0, (top + bottom - side) // 2), size[1] - side)
    return x, y, x + side, y + side


def highest_entropy_square(picture: Image.Image) -> Box:
    """Return the square along the longer side whose grey values have the highest entropy; of equal ones the most central.

    Colors that transparency hides do not count.
    """
    width, height = picture.size
    side, room = min(width, height), abs(width - height)
    scale = 64 / side
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    levels = (np.asarray(_visible(picture).convert("L").resize(size, Image.Resampling.BOX)) >> 2).astype(np.int64)
    if picture.mode == "RGBA":  # the outline of an object is detail, too, even if it has the grey of the backdrop
        levels = levels * 4 + (np.asarray(picture.getchannel("A").resize(size, Image.Resampling.BOX)) >> 6)
    best_entropy, best_offset = -1.0, room // 2
    for position in sorted(range(_POSITIONS), key=lambda position: abs(position - _POSITIONS // 2)):
        offset = round(room * position / (_POSITIONS - 1))
        start = round(offset * scale)
        part = levels[:, start : start + 64] if width > height else levels[start : start + 64]
        share = np.bincount(part.ravel(), minlength=64) / part.size
        entropy = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
        if entropy > best_entropy + 1e-6:
            best_entropy, best_offset = entropy, offset
    return (best_offset, 0, best_offset + side, side) if width > height else (0, best_offset, side, best_offset + side)
