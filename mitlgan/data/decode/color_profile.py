"""Finds the color profile of a file: an ICC profile, or one built from other color information."""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from PIL import Image

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green, blue, as PNG's cHRM has them."""
_D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
DISPLAY_P3: Chromaticities = (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
ADOBE_RGB: Chromaticities = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
REC_2020: Chromaticities = (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
ADOBE_GAMMA = 563 / 256
SRGB_CURVE = 0.0
"""Stands for sRGB's own curve in place of an exponent."""
# ITU-T H.273. Unspecified primaries and curves count as sRGB's, as in browsers, and so do those of television, which are close.
_PRIMARIES = {1: SRGB, 2: SRGB, 5: SRGB, 6: SRGB, 9: REC_2020, 12: DISPLAY_P3}
_CURVES = {1: SRGB_CURVE, 2: SRGB_CURVE, 4: 2.2, 5: 2.8, 6: SRGB_CURVE, 8: 1.0, 13: SRGB_CURVE, 14: SRGB_CURVE, 15: SRGB_CURVE}
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SRGB_GAMMA = 1 / 2.2
_EXIF, _EXIF_COLOR_SPACE, _INTEROPERABILITY = 0x8769, 0xA001, 0xA005
_UNCALIBRATED, _ADOBE_COLOR_SPACE = 0xFFFF, 2
_HEADER_BYTES = 65_536  # color boxes are at the beginning of a file


def find_profile(picture: Image.Image, content: bytes) -> tuple[bytes | None, str]:
    """Return the color profile of a picture.

    PNG: cICP before iCCP before sRGB before gAMA and cHRM, as in its third edition. JPEG without a profile: EXIF's Adobe RGB (DCF 2.0).

    Args:
        picture: Decoded by Pillow.
        content: Content of its file.

    Returns:
        An ICC profile, or None for sRGB; and a note if the file's color information cannot be used, else an empty text.
    """
    info = picture.info
    code = _read_coding_points(picture.format, content, "icc_profile" in info)
    if code is not None:
        return _profile_of_coding_points(*code)
    if "icc_profile" in info:
        embedded = info["icc_profile"]
        return (embedded, "") if embedded else (None, "its colour profile is damaged: its numbers were taken as sRGB")
    if picture.format == "PNG":
        return (None if "srgb" in info else _profile_of_gamma(info.get("gamma"), info.get("chromaticity"))), ""
    if picture.format == "JPEG2000":
        return _jpeg2000_profile(content), ""
    if picture.format == "BMP":
        return _bmp_profile(content), ""
    return (build_matrix_profile(ADOBE_RGB, ADOBE_GAMMA) if picture.format in ("JPEG", "MPO") and _is_adobe_rgb(picture) else None), ""


@lru_cache(maxsize=64)
def build_matrix_profile(chromaticities: Chromaticities, gamma: float) -> bytes:
    """Build an ICC profile (version 2) from three primaries and one curve.

    Args:
        chromaticities: x and y of white, red, green, blue.
        gamma: Exponent from numbers to light; `SRGB_CURVE` for sRGB's own curve.

    Raises:
        ValueError: The chromaticities are invalid.
    """
    tristimuli = [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True) if y > 0]
    if len(tristimuli) < 4:
        raise ValueError("chromaticities of no colour")
    white, primaries = tristimuli[0], np.stack(tristimuli[1:], axis=1)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    columns = adaptation @ primaries @ np.diag(np.linalg.solve(primaries, white))  # raises a ValueError if singular
    curve = _curve_tag(gamma)
    tags = [(b"desc", _description_tag()), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", _xyz_tag(_D50))]
    tags += [(name, _xyz_tag(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags:
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed_point(_D50) + bytes(48)
    return header + table + body


def _profile_of_coding_points(primaries: int, transfer: int) -> tuple[bytes | None, str]:
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        return None, f"its colors have coding points {primaries}/{transfer} (such as HDR), which are not converted: its numbers were taken as sRGB"
    colors, curve = _PRIMARIES[primaries], _CURVES[transfer]
    return (None if (colors, curve) == (SRGB, SRGB_CURVE) else build_matrix_profile(colors, curve)), ""


def _profile_of_gamma(gamma: float | None, chromaticities: Chromaticities | None) -> bytes | None:
    """Return the profile of a PNG's gAMA and cHRM; an absent one counts as sRGB's."""
    is_srgb_gamma = gamma is None or abs(gamma / _SRGB_GAMMA - 1) < 0.02
    if (is_srgb_gamma and chromaticities is None) or not (gamma is None or 0.1 <= gamma <= 10):
        return None
    try:
        return build_matrix_profile(chromaticities or SRGB, SRGB_CURVE if is_srgb_gamma or gamma is None else 1 / gamma)
    except ValueError:
        return None


def _read_coding_points(form: str | None, content: bytes, has_profile: bool) -> tuple[int, int] | None:
    """Return color primaries and transfer of a PNG's cICP, or of the nclx box of an AVIF or HEIF without a profile (H.273)."""
    if form == "PNG":
        start = content.find(b"cICP", 0, content.find(b"IDAT"))
        return (content[start + 4], content[start + 5]) if start > 0 and content[start - 4 : start] == b"\0\0\0\4" else None
    if form in ("AVIF", "HEIF", "HEIC") and not has_profile:
        start = content.find(b"colrnclx", 0, _HEADER_BYTES)
        return struct.unpack_from(">HH", content, start + 8) if 0 < start < len(content) - 12 else None
    return None


def _jpeg2000_profile(content: bytes) -> bytes | None:
    """Return the profile in a JP2's color box, which Pillow ignores."""
    start = content.find(b"colr", 0, _HEADER_BYTES) if content[4:8] == b"jP  " else -1
    if start < 0 or start > len(content) - 7 or content[start + 4] != 2:
        return None
    (size,) = struct.unpack_from(">I", content, start - 4)
    return content[start + 7 : start - 4 + size]


def _bmp_profile(content: bytes) -> bytes | None:
    """Return the profile in a BMP's version 5 header, which Pillow ignores."""
    if len(content) < 138 or struct.unpack_from("<I", content, 14) != (124,) or content[70:74] != b"DEBM":
        return None
    start, size = struct.unpack_from("<II", content, 14 + 112)
    return content[14 + start : 14 + start + size]


def _is_adobe_rgb(picture: Image.Image) -> bool:
    """Whether a camera's EXIF names Adobe RGB."""
    exif = picture.getexif()
    if _EXIF not in exif:
        return False
    space = exif.get_ifd(_EXIF).get(_EXIF_COLOR_SPACE)
    is_interoperable = space == _UNCALIBRATED and str(exif.get_ifd(_INTEROPERABILITY).get(1, "")).startswith("R03")
    return space == _ADOBE_COLOR_SPACE or is_interoperable


def _curve_tag(gamma: float) -> bytes:
    if gamma != SRGB_CURVE:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(min(gamma, 255.0) * 256)) + b"\0\0"
    numbers = np.linspace(0, 1, 1024)
    light = np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(f">I{len(light)}H", len(light), *np.rint(light * 65535).astype(int).tolist())


def _description_tag() -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", 8) + b"by file\0" + bytes(78)


def _xyz_tag(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed_point(values)


def _fixed_point(values: np.ndarray) -> bytes:
    return struct.pack(">3i", *(round(float(value) * 65536) for value in values))
