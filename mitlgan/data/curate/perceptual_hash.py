"""Perceptual hashes of pictures, 200 bytes each, or 776 of a cut-out, and the equal and nearly equal pictures in sets of any size."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.resize import center_square
from mitlgan.data.curate.cutout_agreement import REDUCED_PX, Cutouts, reduce_cutout
from mitlgan.data.decode.image_file import flatten_on

HASH_PX, HASH_SIDE, COLOR_SIDE = 32, 8, 8
MAX_NEAR_BITS = 8  # of 64
MAX_NEAR_COLOR = 12.0  # mean difference of the 8 x 8 colors (0 to 255)
MAX_NEAR_PEAK = 64  # maximum difference of any of them: a small object in one picture only exceeds it
MAX_BLANK_SPREAD = 3.0  # standard deviation of the colors (0 to 255)
WHOLE = "whole"
"""In a line of a journal or manifest: hashes of the whole picture, where that of the line is of a square of it. Cropped copies are told by either."""
SQUARE = "square"
"""The same of the square in the middle, where neither that of the line nor `WHOLE` is of it."""
_BLOCK = 1024
_COLUMNS = 16384  # compared with a block at once: 134 MB
_PAIRS = 65536  # of which the colors are compared at once: 25 MB
_TILE = HASH_PX // COLOR_SIDE
_TILES = np.repeat(np.eye(COLOR_SIDE, dtype=np.float32), _TILE, axis=1)  # sums four neighbors each: (8, 32)
_BRIGHTNESS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class PictureHash:
    """A picture's hashes.

    Attributes:
        sha256: Hash of its file.
        phash: 64 bits, the signs of its lowest frequencies (perceptual hash).
        colors: 8 x 8 x 3 bytes, its colors; without them a red and a blue chess king would be equal.
        cutout: Small copy of a cut-out, see `reduce_cutout`; without it, two garments of one outline and colour would be equal. Empty for other
            pictures, and in what earlier versions recorded.
    """

    sha256: str
    phash: int
    colors: bytes
    cutout: bytes = b""

    @property
    def is_blank(self) -> bool:
        """Whether the picture has one color."""
        return are_blank([self])[0]

    def to_json(self) -> dict[str, str]:
        """Return the hashes as JSON; `hash_from_json` reverses it."""
        cutout = {"cutout": base64.b64encode(self.cutout).decode("ascii")} if self.cutout else {}
        return {"sha256": self.sha256, "outline": f"{self.phash:016x}", "colours": base64.b64encode(self.colors).decode("ascii"), **cutout}


def hash_from_json(values: dict[str, Any]) -> PictureHash | None:
    """Return the hash in a line of a manifest or journal; None if it has none."""
    try:
        colours, cutout = (base64.b64decode(values.get(key, ""), validate=True) for key in ("colours", "cutout"))
        if len(colours) != 3 * COLOR_SIDE**2 or len(cutout) not in (0, 4 * REDUCED_PX**2):
            return None
        return PictureHash(str(values["sha256"]), int(values["outline"], 16), colours, cutout)
    except (KeyError, TypeError, ValueError):
        return None


def hashes_from_json(values: dict[str, Any]) -> list[PictureHash]:
    """Return the hashes in a line of a manifest or journal, of all its looks: that of the line itself, of the whole picture, and of its middle."""
    others = [{"sha256": values.get("sha256"), **values[key]} for key in (WHOLE, SQUARE) if isinstance(values.get(key), dict)]
    return [value for line in (values, *others) if (value := hash_from_json(line))]


def look_to_json(value: PictureHash) -> dict[str, str]:
    """Return the hash of another look of a picture for its line, under `WHOLE` or `SQUARE`; `hashes_from_json` reverses it."""
    return {key: text for key, text in value.to_json().items() if key != "sha256"}


def hash_looks(picture: Image.Image, sha256: str) -> list[PictureHash]:
    """Return the hash of a picture of any mode, and that of the square in its middle if the picture is none, which is what packs keep."""
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")  # same hash in a fraction of the time
    looks = [picture] if picture.width == picture.height else [picture, picture.crop(center_square(*picture.size))]
    return hash_thumbnails([thumbnail(one) for one in looks], [sha256] * len(looks), [reduce_cutout(one) for one in looks])


def hash_picture(picture: Image.Image, sha256: str) -> PictureHash:
    """Return the hash of a picture of any mode; transparency is composited on grey."""
    return hash_thumbnails([thumbnail(picture)], [sha256], [reduce_cutout(picture)])[0]


def hash_thumbnails(thumbnails: Sequence[bytes], digests: Sequence[str], cutouts: Sequence[bytes]) -> list[PictureHash]:
    """Return the hash of each picture; many together take a third of the time.

    Args:
        thumbnails: `thumbnail` of each picture.
        digests: sha256 of each file.
        cutouts: `reduce_cutout` of each picture.
    """
    if not thumbnails:
        return []
    rgb = np.frombuffer(b"".join(thumbnails), np.uint8).astype(np.float32).reshape(-1, HASH_PX, HASH_PX, 3)  # (N, H, W, C)
    grey = rgb @ _BRIGHTNESS
    basis = _cosines()
    low = (basis @ grey @ basis.T).reshape(len(rgb), -1)[:, 1:]  # without the mean: 63 values, of which the median is one
    middle = low.shape[1] // 2
    bits = np.packbits(low > np.sort(low)[:, middle : middle + 1], axis=1)
    rows = _TILES @ rgb.reshape(-1, HASH_PX, HASH_PX * 3)
    sums = _TILES @ rows.reshape(-1, COLOR_SIDE, HASH_PX, 3)  # (N, 8, 8, 3); whole numbers: exact in any order
    colors = np.rint(sums / _TILE**2).astype(np.uint8)
    phashes = [int.from_bytes(row.tobytes(), "big") for row in bits]
    return [PictureHash(*values) for values in zip(digests, phashes, map(bytes, colors), cutouts, strict=True)]


def thumbnail(picture: Image.Image) -> bytes:
    """Return the pixels of a small copy, from which the hash is computed, for a picture of any mode.

    Transparency is composited on grey, or on black if the object has just this grey and would vanish.
    """
    if picture.mode not in ("RGBA", "RGBa"):
        return _reduce(picture)
    rgba = picture.convert("RGBa").convert("RGBA")  # rounded as the premultiplied colours of a pack are, which has the same hash then
    on_grey = _reduce(flatten_on(rgba, (128, 128, 128)))
    if _spread(on_grey) >= MAX_BLANK_SPREAD or _spread(_reduce(rgba.getchannel("A"))) < MAX_BLANK_SPREAD:
        return on_grey
    return _reduce(flatten_on(rgba, (0, 0, 0)))


def is_blank(picture: Image.Image) -> bool:
    """Return whether a picture of any mode has one color."""
    return _spread(thumbnail(picture)) < MAX_BLANK_SPREAD


def _spread(small: bytes) -> float:
    """Return the standard deviation of the colors of one picture; see `are_blank`."""
    tiles = np.frombuffer(small, np.uint8).reshape(COLOR_SIDE, _TILE, COLOR_SIDE, _TILE, 3).mean((1, 3))
    return float(tiles.reshape(-1, 3).std(0).max())


def _reduce(picture: Image.Image) -> bytes:
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    by, rest = divmod(rgb.width, HASH_PX)
    if rgb.width == rgb.height and not rest:  # same result in a third of the time
        return rgb.reduce(by).tobytes()
    return rgb.resize((HASH_PX, HASH_PX), Image.Resampling.BOX).tobytes()


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """Return the eight lowest rows of the discrete cosine transform."""
    angles = (np.arange(HASH_PX) + 0.5) * np.pi / HASH_PX
    basis: NDArray[np.float32] = np.cos(np.arange(HASH_SIDE)[:, None] * angles).astype(np.float32)
    return basis


def are_blank(hashes: Sequence[PictureHash]) -> list[bool]:
    """Return whether each picture has one color."""
    blank: list[bool] = []
    for start in range(0, len(hashes), _BLOCK):
        block = b"".join(one.colors for one in hashes[start : start + _BLOCK])
        spreads = np.frombuffer(block, np.uint8).reshape(-1, COLOR_SIDE**2, 3).std(1)  # (N, 3)
        blank += (spreads.max(1) < MAX_BLANK_SPREAD).tolist()
    return blank


def group_equal_files(hashes: Sequence[PictureHash]) -> list[list[int]]:
    """Return groups of positions of equal files, each in order."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, one in enumerate(hashes):
        groups[one.sha256].append(position)
    return [group for group in groups.values() if len(group) > 1]


def find_near_pairs(
    hashes: Sequence[PictureHash], max_bits: int = MAX_NEAR_BITS, max_color: float = MAX_NEAR_COLOR, max_peak: int = MAX_NEAR_PEAK
) -> list[tuple[int, int]]:
    """Return pairs of positions (first < second) of pictures that look nearly the same, such as resized ones.

    Blank pictures are in no pair, nor are two cut-outs whose pixels differ, see `Cutouts`. Only pictures of about the same mean color are compared, in
    blocks: 10,000 pictures take a fraction of a second.
    """
    blocks = _find_near_rows(hashes, max_bits, max_color, max_peak)
    return sorted((first, second) for rows in blocks for first, second in rows.tolist())


def find_near_pictures(
    looks: Sequence[Sequence[PictureHash]], max_bits: int = MAX_NEAR_BITS, max_color: float = MAX_NEAR_COLOR, max_peak: int = MAX_NEAR_PEAK
) -> list[tuple[int, int]]:
    """Return the pairs of `find_near_pairs` by picture, each once, where any look of one is near any look of the other.

    Args:
        looks: The hashes of each picture, such as of the whole and of a square of it.
        max_bits: See `find_near_pairs`.
        max_color: See `find_near_pairs`.
        max_peak: See `find_near_pairs`.
    """
    owners = np.repeat(np.arange(len(looks), dtype=np.int64), np.array([len(hashes) for hashes in looks], dtype=np.int64))
    blocks = [np.empty(0, dtype=np.int64)]  # a pair is one number: of pictures that are all alike there are millions
    for rows in _find_near_rows([value for hashes in looks for value in hashes], max_bits, max_color, max_peak):
        first, second = np.sort(owners[rows], axis=1).T
        blocks.append(np.unique((first * len(looks) + second)[first < second]))
    first, second = np.divmod(np.unique(np.concatenate(blocks)), max(len(looks), 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _find_near_rows(hashes: Sequence[PictureHash], max_bits: int, max_color: float, max_peak: int) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs of `find_near_pairs` in blocks, (N, 2) each."""
    cutouts = Cutouts({position: one.cutout for position, one in enumerate(hashes) if one.cutout})
    positions = np.array([position for position, is_blank in enumerate(are_blank(hashes)) if not is_blank], dtype=np.int64)
    colors = np.array([np.frombuffer(hashes[position].colors, np.uint8) for position in positions]).reshape(len(positions), 3 * COLOR_SIDE**2)
    means = colors.mean(1)
    order = np.argsort(means, kind="stable")
    positions, colors, means = positions[order], colors[order], means[order]
    outlines = np.array([hashes[position].phash for position in positions], dtype=np.uint64)
    for start in range(0, len(positions), _BLOCK):
        # Means differ by no more than colors do on average.
        end = int(np.searchsorted(means, means[min(start + _BLOCK, len(positions)) - 1] + max_color + 1e-6, side="right"))
        for column in range(start, end, _COLUMNS):
            differing = _count_bits(outlines[start : start + _BLOCK, None] ^ outlines[None, column : min(column + _COLUMNS, end)])
            first, second = np.nonzero(differing <= max_bits)
            first, second = first + start, second + column
            rows = np.stack([first[second > first], second[second > first]], axis=1)
            for part in range(0, len(rows), _PAIRS):
                first, second = rows[part : part + _PAIRS].T
                distance = np.abs(colors[first].astype(np.int16) - colors[second])
                close = (distance.mean(1) <= max_color) & (distance.max(1, initial=0) <= max_peak)
                near = np.sort(positions[rows[part : part + _PAIRS][close]], axis=1)
                yield near[cutouts.may_be_copies(near)]


def _count_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        counted: NDArray[np.uint8] = np.bitwise_count(values)
        return counted
    table = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)  # NumPy 1.26
    parts = values.view(np.uint16).reshape(*values.shape, 4)
    summed: NDArray[np.uint8] = table[parts].sum(-1, dtype=np.uint8)
    return summed
