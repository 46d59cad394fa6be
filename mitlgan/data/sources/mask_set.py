"""Masks that share their levels, and how the header of another file compares with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mitlgan.data.decode.image_file import ImageHeader

MAX_WEIGHT_RATIO = 2.0
"""A file of more bytes per pixel than so many times that of each judged mask is not taken for a mask unseen."""
MAX_FLAT_WEIGHT, MIN_HEAVY_BYTES = 1.0, 100_000
"""Bytes per pixel up to which a PNG may be flat, if other masks of its set are light; a smaller file may have other content than pixels."""
MAX_TELLING_WEIGHT = 0.5
"""Share of the uncompressed pixels up to which the bytes of masks, times `MAX_WEIGHT_RATIO`, tell them from pictures."""
_BYTES_PER_PIXEL = {"1": 0.125, "L": 1.0, "P": 1.0, "LA": 2.0, "I;16": 2.0, "RGB": 3.0, "RGBA": 4.0}
_UNCOMPRESSED_FORMATS = frozenset({"BMP", "DIB", "PPM"})
_LOSSLESS_FORMATS = frozenset({"PNG", "GIF"})
"""Compressed formats in which a photograph is heavy; in JPEG it may be as light as a mask, and WebP may be either."""
_LOSSLESS_TIFF_CODECS = frozenset({"tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd", "tiff_ccitt", "group3", "group4"})
_LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP", "AVIF"})
_LOSSY_TIFF_CODECS = frozenset({"jpeg", "tiff_jpeg", "webp"})
_PLAIN_KINDS = frozenset({"1", "L"})
"""Kinds of pixels in which flat pictures are rare."""
INDEX_KINDS = frozenset({"1", "L", "P"})
"""Kinds of pixels that number classes."""


@dataclass(frozen=True)
class MaskSet:
    """Masks that share their levels.

    Attributes:
        names: Those that were judged.
        levels: Their levels.
        headers: What the first bytes of the readable ones tell.
        is_own: Whether they are all of the folder that they are to judge.
    """

    names: frozenset[str]
    levels: frozenset[int]
    headers: Sequence[ImageHeader]
    is_own: bool

    @cached_property
    def _forms(self) -> set[str]:
        return {header.form for header in self.headers}

    @cached_property
    def _max_weight(self) -> float:
        return MAX_WEIGHT_RATIO * max((header.bytes_per_pixel for header in self.headers), default=0.0)

    @cached_property
    def sizes(self) -> set[tuple[int, int]]:
        """Shorter and longer side (px) of those that can be read."""
        return {header.size for header in self.headers}

    @cached_property
    def is_light(self) -> bool:
        """Whether the masks are far lighter than uncompressed pixels."""
        return not any(is_bulky(header, MAX_WEIGHT_RATIO) for header in self.headers)

    @property
    def is_told_by_weight(self) -> bool:
        """Whether a photograph of the form of the masks is heavier: they are light, and their format loses nothing."""
        return self.is_light and all(map(_is_lossless, self._forms))

    @property
    def is_plain(self) -> bool:
        """Whether no flat picture is likely to have their form."""
        return all(kind_of_pixels(form) in _PLAIN_KINDS for form in self._forms)

    def is_like(self, header: ImageHeader | None) -> bool:
        """Whether the header of a file is such as those of the masks; an unreadable one is not."""
        return header is not None and header.form in self._forms and header.bytes_per_pixel <= self._max_weight

    def is_too_heavy(self, header: ImageHeader) -> bool:
        """Whether a file is no mask, as it takes more bytes than flat pixels do, and the masks are compressed."""
        is_large = header.bytes_per_pixel * header.size[0] * header.size[1] > MIN_HEAVY_BYTES
        return is_large and header.form.startswith("PNG") and header.bytes_per_pixel > max(MAX_FLAT_WEIGHT, self._max_weight)


def kind_of_pixels(form: str) -> str:
    """Return the kind of pixels of a form, such as `L`."""
    return form.split()[1]


def may_be_lossy(form: str) -> bool:
    """Whether the levels of a file may not be exact, as those of JPEG are not, by itself or in a TIFF."""
    parts = form.split()
    return parts[0] in _LOSSY_FORMATS or (parts[0] == "TIFF" and parts[2] in _LOSSY_TIFF_CODECS)


def _is_lossless(form: str) -> bool:
    parts = form.split()
    return parts[0] in _LOSSLESS_FORMATS or (parts[0] == "TIFF" and parts[2] in _LOSSLESS_TIFF_CODECS)


def is_bulky(header: ImageHeader, ratio: float) -> bool:
    """Whether a file, so many times as heavy, takes as many bytes as uncompressed pixels may."""
    if header.form.split()[0] in _UNCOMPRESSED_FORMATS:
        return True
    return ratio * header.bytes_per_pixel > MAX_TELLING_WEIGHT * _BYTES_PER_PIXEL.get(kind_of_pixels(header.form), 1.0)
