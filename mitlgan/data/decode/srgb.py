"""Converts pictures to sRGB by their color profile, with lcms through Pillow."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 16_000_000
MAX_NEUTRAL_DIFFERENCE = 1
"""A profile that changes no color by more levels of 255 than this is one of the many editions of sRGB itself."""
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Color space of a profile -> mode of its pixels."""
_NAMES = {"RGB": "RGB", "L": "grey", "CMYK": "CMYK", "LAB": "Lab"}
_ALPHA = ("LA", "PA", "RGBA")
_CACHE_SIZE = 16  # a set has few profiles; each may take some MB


def to_srgb(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Convert a picture to sRGB; alpha is unchanged.

    Args:
        picture: Any mode of 8 bits or less; its `info` may name a transparent color.
        profile: ICC profile; None if the numbers are sRGB.

    Returns:
        RGB or RGBA, and a note if the profile is damaged or of another kind of pixels, so that the numbers are used as they are; else an empty text.
    """
    if picture.mode == "LAB":
        transform = _build_transform(None, "LAB")
        return picture if transform is None else transform.apply(picture), ""
    kind = "L" if picture.mode in ("1", "L", "LA") else "CMYK" if picture.mode == "CMYK" else "RGB"
    pixels = picture if kind == "CMYK" else _to_rgb(picture)
    if profile is None:
        return _to_rgb(pixels), ""
    try:
        mode = _profile_mode(profile)
        if mode not in (kind, "RGB") or (kind == "CMYK" and mode == "RGB"):
            return _to_rgb(pixels), f"its colour profile is one of {_NAMES[mode]} pixels, its own are {_NAMES[kind]}: its numbers were taken as sRGB"
        if kind == "L":
            return _apply_table(pixels, _grey_table(profile, mode)), ""
        transform = _build_transform(profile, pixels.mode)
        return pixels if transform is None else transform.apply(pixels, pixels if pixels.mode in ("RGB", "RGBA") else None), ""
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
        return _to_rgb(pixels), "its colour profile is damaged: its numbers were taken as sRGB"


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert to RGB, or to RGBA if the picture may be transparent, with Pillow's own conversions."""
    mode = "RGBA" if picture.mode in _ALPHA or "transparency" in picture.info else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _apply_table(picture: Image.Image, table: bytes | None) -> Image.Image:
    if table is None:
        return picture
    bands = picture.split()
    return Image.merge(picture.mode, [*(band.point(list(table)) for band in bands[:3]), *bands[3:]])


@lru_cache(maxsize=_CACHE_SIZE)
def _profile_mode(profile: bytes) -> str:
    """Return the mode of the pixels that a profile describes."""
    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("the profile is too large")
    return _MODE_OF_SPACE[_open_profile(profile).profile.xcolor_space.strip()]


@lru_cache(maxsize=_CACHE_SIZE)
def _grey_table(profile: bytes, mode: str) -> bytes | None:
    """Return the sRGB value of each of 256 greys; None if all stay the same."""
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    transform = _build_transform(profile, mode)
    if transform is None:
        return None
    table = transform.apply(ramp.convert(mode)).convert("L").tobytes()
    return None if max(abs(after - before) for before, after in enumerate(table)) <= MAX_NEUTRAL_DIFFERENCE else table


@lru_cache(maxsize=_CACHE_SIZE)
def _build_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from pixels of a mode to sRGB; None if they are sRGB already."""
    source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")) if profile is None else _open_profile(profile)
    target = "RGBA" if mode == "RGBA" else "RGB"
    flags = ImageCms.Flags.NOCACHE | ImageCms.Flags.HIGHRESPRECALC
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, target, ImageCms.Intent.PERCEPTUAL, flags)
    if mode in ("RGB", "RGBA"):
        colors = _test_colors().convert(mode)
        before, after = colors.tobytes(), transform.apply(colors).tobytes()
        if max(abs(one - other) for one, other in zip(before, after, strict=True)) <= MAX_NEUTRAL_DIFFERENCE:
            return None
    return transform


def _open_profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(maxsize=1)
def _test_colors() -> Image.Image:
    """Return 4,913 colors that cover the RGB cube evenly."""
    levels = [*range(0, 256, 16), 255]
    return Image.frombytes("RGB", (17 * 17, 17), bytes(value for red in levels for green in levels for blue in levels for value in (red, green, blue)))
