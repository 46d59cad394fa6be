"""The original of a picture to fill: outside the hole its values, transparency, gray or color, and color profile are preserved."""

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
from mitlgan.images.resize import OWN_SIZE, PictureSize, resize_picture
from mitlgan.inpainting.poisson import poisson_blend

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]
WHITE = (255, 255, 255)
OPAQUE = 255
_GRAY = ("1", "L", "LA", "La", "I", "F")
_CONVERTED = ("CMYK", "LAB", "YCbCr")
"""Color spaces that PNG does not have."""


@dataclass(frozen=True)
class Original:
    """A picture, upright.

    Attributes:
        picture: RGBA, with the values of the file.
        mode: Mode of the PNG to write: L, LA, RGB or RGBA.
        profile: Color profile of the values.
        note: What a PNG cannot preserve of the file; empty if everything is preserved.
    """

    picture: Image.Image
    mode: str
    profile: bytes | None
    note: str

    @property
    def on_white(self) -> Pixels:
        """The picture as a filler gets it, (H, W, 3): composited on white."""
        return np.asarray(flatten_on(self.picture, WHITE))

    def filled(self, fill: Pixels, hole: Hole) -> Image.Image:
        """Return the picture with its hole filled, in `mode`; outside the hole it is unchanged.

        Args:
            fill: (H, W, 3), the filled picture on white.
            hole: (H, W), True inside.
        """
        pixels = np.array(self.picture)
        opacity = pixels[..., 3:]
        if opacity.min() < OPAQUE:
            opacity = poisson_blend(opacity, np.zeros((*hole.shape, 1)), hole)  # continues smoothly from the rim of the hole
        share = opacity[hole] / 255  # (N, 1)
        colors = (fill[hole] - 255 * (1 - share)) / np.maximum(share, 1 / 255)
        pixels[hole] = np.concatenate([np.rint(colors).clip(0, 255).astype(np.uint8), opacity[hole]], axis=1)
        bands = Image.fromarray(pixels).split()
        if self.mode.startswith("RGB"):
            return Image.merge(self.mode, bands[: len(self.mode)])
        gray = bands[0].copy()
        gray.paste(Image.fromarray(pixels[..., :3]).convert("L"), mask=Image.fromarray(hole.astype(np.uint8) * 255))
        return gray if self.mode == "L" else Image.merge("LA", (gray, bands[3]))

    def png(self, fill: Pixels, hole: Hole, size: PictureSize = OWN_SIZE) -> bytes:
        """Return `filled` as a PNG file, of the picture's own size by default."""
        return encode_image(resize_picture(self.filled(fill, hole), size), icc_profile=self.profile)


def read_original(path: Path) -> Original:
    """Read a picture to fill.

    Raises:
        DataError: The file does not exist or cannot be used.
    """
    if not path.exists():
        raise DataError(f"{path}: no such picture")
    try:
        return decode_original(read_file(path))
    except UnreadableImageError as error:
        raise DataError(f"{path}: {error}") from None


def decode_original(content: bytes) -> Original:
    """Decode a picture to fill from the bytes of its file.

    Raises:
        UnreadableImageError: It cannot be used.
    """
    decoded = decode_bytes(content, keep_alpha=True)  # raises if something is wrong with it
    with Image.open(io.BytesIO(content), formats=allowed_formats(content)) as header:
        mode, bits = header.mode, read_bit_depth(header, content).bits
        profile, _ = find_profile(header, content)
        is_gray = mode.split(";")[0] in _GRAY
        # A gray PNG cannot carry a gamma of its own.
        is_converted = mode in _CONVERTED or (is_gray and profile is not None and "icc_profile" not in header.info)
        is_transparent = mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in header.info
    picture = decoded.picture if is_converted else decode_bytes(content, keep_alpha=True, ignore_profile=True).picture
    png_mode = ("L" if is_gray else "RGB") + ("A" if is_transparent else "")
    notes = [decoded.note] if decoded.note else []
    if bits > 8:
        notes.append(f"{bits} bits per channel: written with 8")
    if is_converted:
        notes.append(f"{mode} by its profile or gamma: written as {png_mode} in sRGB")
    elif mode != png_mode and bits <= 8:
        notes.append(f"{mode}{' with a transparent color' if is_transparent else ''}: written as {png_mode}, which can hold every color")
    return Original(picture, png_mode, None if is_converted else profile, "; ".join(notes))
