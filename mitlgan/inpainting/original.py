"""A picture as its file has it, so that filling a hole leaves the rest as it was: numbers, transparency, grey or colours, and colour profile."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.bit_depth import read_bit_depth
from mitlgan.data.decode.color_profile import find_profile
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, flatten_on, read_file
from mitlgan.data.sources.formats import allowed_formats
from mitlgan.errors import DataError
from mitlgan.images.encode import encode_image
from mitlgan.inpainting.poisson import poisson_blend

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]
WHITE = (255, 255, 255)
_GREY = ("1", "L", "LA", "La", "I", "F")
_CONVERTED = ("CMYK", "LAB", "YCbCr")
"""PNG has no pixels of these."""


@dataclass(frozen=True)
class Original:
    """A picture, upright.

    Attributes:
        picture: RGBA, in the file's own numbers.
        mode: Of the PNG that is written: L, LA, RGB or RGBA.
        profile: The colour profile that goes with the numbers.
        note: What of the file a PNG does not keep; empty where all is kept.
    """

    picture: Image.Image
    mode: str
    profile: bytes | None
    note: str

    @property
    def seen(self) -> Pixels:
        """What a filler sees, (H, W, 3): transparency is laid on white."""
        return np.asarray(flatten_on(self.picture, WHITE))

    def filled(self, found: Pixels, hole: Hole) -> Image.Image:
        """The picture with its hole filled, in `mode`; outside of the hole exactly as it was.

        Args:
            found: (H, W, 3), filled as it is `seen`.
            hole: (H, W), True where it is.
        """
        pixels = np.array(self.picture)
        opacity = poisson_blend(pixels[..., 3:], np.zeros((*hole.shape, 1)), hole)  # goes on smoothly from the hole's rim
        share = opacity[hole] / 255  # (N, 1)
        colours = (found[hole] - 255 * (1 - share)) / np.maximum(share, 1 / 255)
        pixels[hole] = np.concatenate([np.rint(colours).clip(0, 255).astype(np.uint8), opacity[hole]], axis=1)
        bands = Image.fromarray(pixels).split()
        if self.mode.startswith("RGB"):
            return Image.merge(self.mode, bands[: len(self.mode)])
        grey = bands[0].copy()
        grey.paste(Image.fromarray(pixels[..., :3]).convert("L"), mask=Image.fromarray(hole.astype(np.uint8) * 255))
        return grey if self.mode == "L" else Image.merge("LA", (grey, bands[3]))

    def png(self, found: Pixels, hole: Hole) -> bytes:
        """The file of `filled`."""
        return encode_image(self.filled(found, hole), icc_profile=self.profile)


def read_original(path: Path) -> Original:
    """Read a picture whose hole is to be filled.

    Raises:
        DataError: The file is no picture that can be used.
    """
    if not path.exists():
        raise DataError(f"{path}: no such picture")
    try:
        return _read(read_file(path))
    except UnreadableImageError as error:
        raise DataError(f"{path}: {error}") from None


def _read(content: bytes) -> Original:
    decoded = decode_bytes(content, keep_alpha=True)  # says what is wrong with it, if anything is
    with Image.open(io.BytesIO(content), formats=allowed_formats(content)) as header:
        mode, bits = header.mode, read_bit_depth(header, content).bits
        profile, _ = find_profile(header, content)
        grey = mode.split(";")[0] in _GREY
        coloured = mode in _CONVERTED or (grey and profile is not None and "icc_profile" not in header.info)  # a grey PNG can say no gamma of its own
        transparent = mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in header.info
    picture = decoded.picture if coloured else decode_bytes(content, keep_alpha=True, ignore_profile=True).picture
    written = ("L" if grey else "RGB") + ("A" if transparent else "")
    notes = [decoded.note] if decoded.note else []
    if bits > 8:
        notes.append(f"{bits} bits a number: written with 8")
    if coloured:
        notes.append(f"{mode} by its profile or gamma: written as {written} in sRGB")
    elif mode != written and bits <= 8:
        notes.append(f"{mode}{' with a transparent colour' if transparent else ''}: written as {written}, in which every colour can stand")
    return Original(picture, written, None if coloured else profile, "; ".join(notes))
