"""A picture's numbers into sRGB, by the profile that says what they mean; lcms does it, through Pillow."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 16_000_000
SAME = 1
"""A profile that moves no colour by more levels of 255 than that is sRGB itself, of which many editions go about."""
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Of a profile, and the mode of the pixels that it speaks of."""
_NAMES = {"RGB": "RGB", "L": "grey", "CMYK": "CMYK", "LAB": "Lab"}
_ALPHA = ("LA", "PA", "RGBA")
_CACHED = 16  # a set has few; each may be some MB


def to_srgb(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Convert colours; alpha stays.

    Args:
        picture: Of any mode of 8 bits or less; its `info` may name a transparent colour.
        profile: ICC; None: its numbers are sRGB.

    Returns:
        RGB or RGBA, and what is to be said: that the profile is damaged or not one of such pixels, so that the raw numbers were taken; or nothing.
    """
    if picture.mode == "LAB":
        transform = _transform(None, "LAB")
        return picture if transform is None else transform.apply(picture), ""
    kind = "L" if picture.mode in ("1", "L", "LA") else "CMYK" if picture.mode == "CMYK" else "RGB"
    plain = picture if kind == "CMYK" else _plain(picture)
    if profile is None:
        return _plain(plain), ""
    try:
        wanted = _pixels_of(profile)
        if wanted not in (kind, "RGB") or (kind == "CMYK" and wanted == "RGB"):
            return _plain(plain), f"its colour profile is one of {_NAMES[wanted]} pixels, its own are {_NAMES[kind]}: its numbers were taken as sRGB"
        if kind == "L":
            return _by_table(plain, _grey_table(profile, wanted)), ""
        transform = _transform(profile, plain.mode)
        return plain if transform is None else transform.apply(plain, plain if plain.mode in ("RGB", "RGBA") else None), ""
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
        return _plain(plain), "its colour profile is damaged: its numbers were taken as sRGB"


def _plain(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where anything of it is transparent, by Pillow's own conversions."""
    mode = "RGBA" if picture.mode in _ALPHA or "transparency" in picture.info else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _by_table(picture: Image.Image, table: bytes | None) -> Image.Image:
    if table is None:
        return picture
    bands = picture.split()
    return Image.merge(picture.mode, [*(band.point(list(table)) for band in bands[:3]), *bands[3:]])


@lru_cache(maxsize=_CACHED)
def _pixels_of(profile: bytes) -> str:
    """The mode of the pixels that a profile speaks of."""
    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("larger than any profile")
    return _SPACES[_opened(profile).profile.xcolor_space.strip()]


@lru_cache(maxsize=_CACHED)
def _grey_table(profile: bytes, mode: str) -> bytes | None:
    """What each of 256 greys becomes; None where all stay."""
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    transform = _transform(profile, mode)
    if transform is None:
        return None
    table = transform.apply(ramp.convert(mode)).convert("L").tobytes()
    return None if max(abs(after - before) for before, after in enumerate(table)) <= SAME else table


@lru_cache(maxsize=_CACHED)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From pixels of a mode to sRGB; None where that is what they are."""
    source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")) if profile is None else _opened(profile)
    target = "RGBA" if mode == "RGBA" else "RGB"
    flags = ImageCms.Flags.NOCACHE | ImageCms.Flags.HIGHRESPRECALC
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, srgb, mode, target, ImageCms.Intent.PERCEPTUAL, flags)
    if mode in ("RGB", "RGBA"):
        probe = _probe().convert(mode)
        before, after = probe.tobytes(), transform.apply(probe).tobytes()
        if max(abs(one - other) for one, other in zip(before, after, strict=True)) <= SAME:
            return None
    return transform


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(maxsize=1)
def _probe() -> Image.Image:
    """Colours all over the cube, 4,913 of them."""
    levels = [*range(0, 256, 16), 255]
    return Image.frombytes("RGB", (17 * 17, 17), bytes(value for red in levels for green in levels for blue in levels for value in (red, green, blue)))
