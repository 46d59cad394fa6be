"""A JPEG that was cut and closed again by an end mark is damaged as one without is; whole ones are decoded as ever."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.decode.jpeg_scans import with_unread_end

END = b"\xff\xd9"
KINDS: dict[str, dict[str, object]] = {
    "usual": {}, "fine": {"quality": 97, "subsampling": 0}, "coarse": {"quality": 10}, "optimised": {"optimize": True},
    "restarts": {"restart_marker_blocks": 2}, "rows": {"restart_marker_rows": 1},
    "progressive": {"progressive": True}, "fine progressive": {"progressive": True, "quality": 97},
}  # fmt: skip
SIZES = [(64, 48), (17, 33), (200, 150)]


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode_bytes(content, keep_alpha=False).picture)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("flat", [False, True])
def test_a_whole_jpeg_is_decoded_as_ever(kind: str, mode: str, flat: bool) -> None:
    """Flat grey is what the decoder paints where pixels are missing."""
    for size in [*SIZES, (8, 8), (2, 90)]:
        picture = Image.new(mode, size, (128,) * len(mode) if len(mode) > 1 else 128) if flat else images.smooth(3, size, mode)
        content = images.encoded(picture, "JPEG", **KINDS[kind])
        plain = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        for behind in (b"", b"\0" * 20, b"a film behind the picture" + content):
            assert np.array_equal(pixels(content + behind), plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("end", [END, b"\xff" + END, END + b"\0" * 50, b""])
def test_a_cut_jpeg_is_refused_with_an_end_mark_as_without(kind: str, mode: str, end: bytes) -> None:
    for size in SIZES:
        content = images.encoded(images.smooth(4, size, mode), "JPEG", **KINDS[kind])
        start = content.index(b"\xff\xda") + 14
        last = content.rindex(b"\xff\xda") if "progressive" in kind else len(content)  # the last scan adds the finest details only
        for cut in np.linspace(start, min(last, start + 0.95 * (len(content) - start)), 12).astype(int):
            with pytest.raises(UnreadableImageError, match=r"^damaged: "):
                decode_bytes(content[:cut] + end, keep_alpha=False)


def test_a_cut_jpeg_is_refused_when_it_is_decoded_smaller_too() -> None:
    content = images.encoded(images.smooth(5, (900, 700)), "JPEG")
    assert decode_bytes(content, keep_alpha=False, size_px=32).picture.width < 900
    with pytest.raises(UnreadableImageError, match=r"^damaged: image file is truncated"):
        decode_bytes(content[: len(content) // 3] + END, keep_alpha=False, size_px=32)


def test_damage_between_the_marks_is_refused() -> None:
    content = images.encoded(images.smooth(6, (200, 150)), "JPEG")
    middle = len(content) * 2 // 3
    with pytest.raises(UnreadableImageError, match=r"^damaged: image file is truncated"):
        decode_bytes(content[:middle] + END + content[middle + 2 :], keep_alpha=False)


def test_several_frames_in_one_file_are_no_damage() -> None:
    content = images.encoded(images.smooth(7), "MPO", save_all=True, append_images=[images.smooth(8)])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    assert np.array_equal(pixels(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


def test_what_is_no_jpeg_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    jpeg = images.encoded(images.smooth(9), "JPEG")
    for content in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8" + rng.bytes(200), images.encoded(images.smooth(9), "PNG"), jpeg[:200], jpeg[:-2]):
        assert with_unread_end(content) == content
    for content in (b"\xff\xd8" + b"\xff" * 5_000_000, b"\xff\xd8" + b"\xff\xe0\0\2" * 1_000_000):
        started = time.process_time()
        assert with_unread_end(content) == content
        assert time.process_time() - started < 1
