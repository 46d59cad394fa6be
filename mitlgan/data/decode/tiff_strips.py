"""Checks what a TIFF packed by zlib holds: its readers pass over the checksums, so that damage inside a strip shows as other pixels."""

from __future__ import annotations

import zlib

from PIL import ImageFile

_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # tags of strips, and of tiles
_ZLIB = ("tiff_adobe_deflate", "tiff_deflate")
_PIECE_BYTES = 1 << 20
_MAX_BYTES_PER_PIXEL = 16
"""Of a strip with more for all pixels of the picture, the rest is not looked at."""


def check_strips(picture: ImageFile.ImageFile, content: bytes) -> None:
    """Check the strips or tiles of a TIFF's first picture; those of other kinds of files, and of other compressions, have no checksums.

    Args:
        picture: Opened, not loaded yet.
        content: Content of the file.

    Raises:
        zlib.error: One of them is damaged.
    """
    if picture.format != "TIFF" or picture.info.get("compression") not in _ZLIB:
        return
    tags = picture.tag_v2  # type: ignore[attr-defined]
    for offset_tag, size_tag in _OFFSETS_AND_SIZES:
        for offset, size in zip(tags.get(offset_tag, ()), tags.get(size_tag, ()), strict=False):
            _check_stream(content[offset : offset + size], _MAX_BYTES_PER_PIXEL * picture.width * picture.height + _PIECE_BYTES)


def _check_stream(packed: bytes, max_bytes: int) -> None:
    """Unpack a stream piece by piece, so that no bomb fills the memory; one that only ends early is left to the reader of its pixels."""
    stream, count = zlib.decompressobj(), 0
    while packed and not stream.eof and count <= max_bytes:
        count += len(stream.decompress(packed, _PIECE_BYTES))
        packed = stream.unconsumed_tail
