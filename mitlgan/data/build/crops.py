"""Which square of a picture is taken."""

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
_PLACES = 9  # tried along the longer side
HIDDEN = (128, 128, 128)  # in place of what transparency hides: neither dark nor light
FACE_SIDE = 1.8  # side of the square / height of the face that the cascade finds
Box = tuple[int, int, int, int]


class SquareCrop:
    """Chooses a square: the centred one, the one with most to see, or the largest face's.

    Args:
        kind: One of `CROPS`.

    Raises:
        UsageError: No such crop, or OpenCV is needed and not installed.
    """

    def __init__(self, kind: str) -> None:
        if kind not in CROPS:
            raise UsageError(f"--crop {kind}: no such crop; choose {', '.join(CROPS)}")
        self.kind = kind
        self._own = threading.local()  # a cascade has a memory: each thread has one of its own
        if kind == "face":
            _face_finder()  # says now whether it can be had

    def __call__(self, picture: Image.Image) -> Box:
        """Left, top, right, bottom (px).

        Raises:
            UnreadableImageError: A face was asked for and there is none.
        """
        if self.kind == "face":
            if not hasattr(self._own, "find"):
                self._own.find = _face_finder()
            found = self._own.find(_visible(picture))
            if found is None:
                raise UnreadableImageError("no face was found")
            return square_around_face(found, picture.size)
        return highest_entropy_square(picture) if self.kind == "entropy" else center_square(*picture.size)


def _visible(picture: Image.Image) -> Image.Image:
    """A picture without what its transparency hides."""
    return flatten_on(picture, HIDDEN) if picture.mode == "RGBA" else picture


def _face_finder() -> FaceFinder:
    from mitlgan.data.readers.faces import face_finder  # brings all readers, which other crops need not wait for

    return face_finder()


def square_around_face(face: Box, size: tuple[int, int]) -> Box:
    """The square around a face with hair and chin, moved inside the picture."""
    left, top, right, bottom = face
    side = min(round(FACE_SIDE * (bottom - top)), *size)
    x = min(max(0, (left + right - side) // 2), size[0] - side)
    y = min(max(0, (top + bottom - side) // 2), size[1] - side)
    return x, y, x + side, y + side


def highest_entropy_square(picture: Image.Image) -> Box:
    """The square along the longer side whose grey values have the highest entropy; of equal ones the most central.

    Transparency counts as it looks: colours that it hides do not.
    """
    width, height = picture.size
    side, room = min(width, height), abs(width - height)
    scale = 64 / side
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    levels = (np.asarray(_visible(picture).convert("L").resize(size, Image.Resampling.BOX)) >> 2).astype(np.int64)
    if picture.mode == "RGBA":  # where an object ends is something to see, too, even of one with the backdrop's grey
        levels = levels * 4 + (np.asarray(picture.getchannel("A").resize(size, Image.Resampling.BOX)) >> 6)
    best, chosen = -1.0, room // 2
    for place in sorted(range(_PLACES), key=lambda place: abs(place - _PLACES // 2)):
        offset = round(room * place / (_PLACES - 1))
        start = round(offset * scale)
        part = levels[:, start : start + 64] if width > height else levels[start : start + 64]
        share = np.bincount(part.ravel(), minlength=64) / part.size
        entropy = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
        if entropy > best + 1e-6:
            best, chosen = entropy, offset
    return (chosen, 0, chosen + side, side) if width > height else (0, chosen, side, chosen + side)
