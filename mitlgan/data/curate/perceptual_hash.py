"""What a picture looks like, in 200 bytes: to find the same and nearly the same pictures in sets of any size."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_PX, HASH_SIDE, COLOUR_SIDE = 32, 8, 8
MAX_NEAR_BITS = 8  # of 64 that may differ
MAX_NEAR_COLOR = 12.0  # mean difference of the 8 x 8 colours (0 to 255)
MAX_NEAR_PEAK = 64  # largest difference of any of them: a small thing that is in one picture only
MAX_BLANK_SPREAD = 3.0  # standard deviation of the colours (0 to 255)
_BLOCK = 1024
_COLUMNS = 16384  # compared with a block at once: 134 MB
_TILE = HASH_PX // COLOUR_SIDE
_TILES = np.repeat(np.eye(COLOUR_SIDE, dtype=np.float32), _TILE, axis=1)  # sums four neighbours each: (8, 32)
_BRIGHTNESS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class PictureHash:
    """A picture's look.

    Attributes:
        sha256: Of its file.
        phash: 64 bits, the signs of its lowest frequencies (perceptual hash).
        colors: 8 x 8 x 3 bytes, its colours, since outlines alone take a red and a blue chess king for the same.
    """

    sha256: str
    phash: int
    colors: bytes

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to see in it."""
        return are_blank([self])[0]

    def to_json(self) -> dict[str, str]:
        """As JSON has it; `from_plain` undoes it."""
        return {"sha256": self.sha256, "outline": f"{self.phash:016x}", "colours": base64.b64encode(self.colors).decode("ascii")}


def hash_from_json(values: dict[str, Any]) -> PictureHash | None:
    """The signature in a manifest's source; None where it has none."""
    try:
        colours = base64.b64decode(values["colours"], validate=True)
        return PictureHash(str(values["sha256"]), int(values["outline"], 16), colours) if len(colours) == 3 * COLOUR_SIDE**2 else None
    except (KeyError, TypeError, ValueError):
        return None


def hash_picture(picture: Image.Image, sha256: str) -> PictureHash:
    """The look of a picture of any mode; transparency is laid on grey."""
    return hash_thumbnails([thumbnail(picture)], [sha256])[0]


def hash_thumbnails(glances: Sequence[bytes], digests: Sequence[str]) -> list[PictureHash]:
    """The look of each picture; that of many together takes a third of the time.

    Args:
        glances: What `glance` gives of each.
        digests: The sha256 of each one's file.
    """
    if not glances:
        return []
    rgb = np.frombuffer(b"".join(glances), np.uint8).astype(np.float32).reshape(-1, HASH_PX, HASH_PX, 3)  # (N, H, W, C)
    grey = rgb @ _BRIGHTNESS
    basis = _cosines()
    low = (basis @ grey @ basis.T).reshape(len(rgb), -1)[:, 1:]  # without the mean: 63 values, of which the median is one
    middle = low.shape[1] // 2
    bits = np.packbits(low > np.sort(low)[:, middle : middle + 1], axis=1)
    rows = _TILES @ rgb.reshape(-1, HASH_PX, HASH_PX * 3)
    sums = _TILES @ rows.reshape(-1, COLOUR_SIDE, HASH_PX, 3)  # (N, 8, 8, 3); whole numbers: exact in any order
    colours = np.rint(sums / _TILE**2).astype(np.uint8)
    outlines = [int.from_bytes(outline.tobytes(), "big") for outline in bits]
    return [PictureHash(*values) for values in zip(digests, outlines, map(bytes, colours), strict=True)]


def thumbnail(picture: Image.Image) -> bytes:
    """A picture of any mode, small: what its look is found from.

    Transparency is laid on grey; on black, where the object has just this grey and would vanish in it.
    """
    if picture.mode not in ("RGBA", "RGBa"):
        return _small(picture)
    straight = picture.convert("RGBA")
    on_grey = _small(_laid(straight, 128))
    if _spread(on_grey) >= MAX_BLANK_SPREAD or _spread(_small(straight.getchannel("A"))) < MAX_BLANK_SPREAD:
        return on_grey
    return _small(_laid(straight, 0))


def _laid(picture: Image.Image, grey: int) -> Image.Image:
    laid = Image.new("RGBA", picture.size, (grey, grey, grey, 255))
    laid.alpha_composite(picture)
    return laid


def _spread(small: bytes) -> float:
    """As `blanks` measures it, of one picture."""
    tiles = np.frombuffer(small, np.uint8).reshape(COLOUR_SIDE, _TILE, COLOUR_SIDE, _TILE, 3).mean((1, 3))
    return float(tiles.reshape(-1, 3).std(0).max())


def _small(picture: Image.Image) -> bytes:
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    by, rest = divmod(rgb.width, HASH_PX)
    if rgb.width == rgb.height and not rest:  # the same means in a third of the time
        return rgb.reduce(by).tobytes()
    return rgb.resize((HASH_PX, HASH_PX), Image.Resampling.BOX).tobytes()


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """The eight lowest rows of the discrete cosine transform."""
    places = (np.arange(HASH_PX) + 0.5) * np.pi / HASH_PX
    basis: NDArray[np.float32] = np.cos(np.arange(HASH_SIDE)[:, None] * places).astype(np.float32)
    return basis


def are_blank(signatures: Sequence[PictureHash]) -> list[bool]:
    """Whether there is nothing to see in each."""
    found: list[bool] = []
    for start in range(0, len(signatures), _BLOCK):
        block = b"".join(one.colors for one in signatures[start : start + _BLOCK])
        spreads = np.frombuffer(block, np.uint8).reshape(-1, COLOUR_SIDE**2, 3).std(1)  # (N, 3)
        found += (spreads.max(1) < MAX_BLANK_SPREAD).tolist()
    return found


def group_equal_files(signatures: Sequence[PictureHash]) -> list[list[int]]:
    """Groups of positions whose files are equal to the byte, each in order."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, found in enumerate(signatures):
        groups[found.sha256].append(position)
    return [group for group in groups.values() if len(group) > 1]


def find_near_pairs(
    signatures: Sequence[PictureHash], max_bits: int = MAX_NEAR_BITS, max_colour: float = MAX_NEAR_COLOR, max_worst: int = MAX_NEAR_PEAK
) -> list[tuple[int, int]]:
    """Pairs of positions (first < second) that look nearly the same: resized, recompressed, slightly brighter. Blank pictures are in none.

    Only pictures of about the same mean colour are compared, in blocks: 10,000 pictures take a fraction of a second.
    """
    shown = np.array([position for position, nothing in enumerate(are_blank(signatures)) if not nothing], dtype=np.int64)
    colours = np.array([np.frombuffer(signatures[position].colors, np.uint8) for position in shown]).reshape(len(shown), 3 * COLOUR_SIDE**2)
    means = colours.mean(1)
    order = np.argsort(means, kind="stable")
    shown, colours, means = shown[order], colours[order], means[order]
    outlines = np.array([signatures[position].phash for position in shown], dtype=np.uint64)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(shown), _BLOCK):
        # Means differ by no more than colours do on average.
        end = int(np.searchsorted(means, means[min(start + _BLOCK, len(shown)) - 1] + max_colour + 1e-6, side="right"))
        for column in range(start, end, _COLUMNS):
            differing = _count_bits(outlines[start : start + _BLOCK, None] ^ outlines[None, column : min(column + _COLUMNS, end)])
            first, second = np.nonzero(differing <= max_bits)
            first, second = first + start, second + column
            first, second = first[second > first], second[second > first]
            apart = np.abs(colours[first].astype(np.int16) - colours[second])
            close = (apart.mean(1) <= max_colour) & (apart.max(1, initial=0) <= max_worst)
            for one, other in zip(shown[first[close]].tolist(), shown[second[close]].tolist(), strict=True):
                pairs.append((min(one, other), max(one, other)))
    return sorted(pairs)


def _count_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        counted: NDArray[np.uint8] = np.bitwise_count(values)
        return counted
    table = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)  # NumPy 1.26
    parts = values.view(np.uint16).reshape(*values.shape, 4)
    summed: NDArray[np.uint8] = table[parts].sum(-1, dtype=np.uint8)
    return summed
