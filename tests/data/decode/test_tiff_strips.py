"""A damaged TIFF that has checksums is refused, as a PNG is; a sound one of any compression is read."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import images

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes

PICTURE = images.smooth(3, (150, 110))


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_adobe_deflate"])
@pytest.mark.parametrize("tags", [{}, {278: 8}], ids=["one strip", "many strips"])
def test_damage_within_a_strip_is_no_picture(compression: str, tags: dict[int, int]) -> None:
    content = images.encoded(PICTURE, "TIFF", compression=compression, tiffinfo=tags)
    assert (np.asarray(decode_bytes(content, keep_alpha=False).picture) == np.asarray(PICTURE)).all()
    for start in np.linspace(200, len(content) - 1500, 8).astype(int):
        damaged = content[:start] + bytes(byte ^ 1 for byte in content[start : start + 64]) + content[start + 64 :]
        with pytest.raises(UnreadableImageError, match="damaged"):
            decode_bytes(damaged, keep_alpha=False)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_deflate"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_sound_ones_of_all_kinds_are_read(compression: str, mode: str) -> None:
    content = images.encoded(PICTURE.convert(mode), "TIFF", compression=compression)
    assert decode_bytes(content, keep_alpha=True).picture.size == PICTURE.size
