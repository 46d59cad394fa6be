"""Every file becomes an upright picture, or gives a reason."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from helpers.mutations import counts
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mitlgan.data.decode import image_file as decoding
from mitlgan.data.decode.image_file import (
    HEADER_BYTES,
    UnreadableImageError,
    decode,
    decode_bytes,
    parse_header,
    read_file,
    read_head,
    read_header,
)

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning:PIL"), pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")]
UPRIGHT = images.quadrants()


def refused(content: bytes) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode_bytes(content, keep_alpha=False)
    return str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path: Path, orientation: int) -> None:
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # as Image.Transpose: what a camera held that way would have stored
    turned = UPRIGHT if orientation == 1 else UPRIGHT.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    turned.save(path, quality=95, exif=exif)
    assert images.mean_difference(ImageOps.exif_transpose(Image.open(path)).convert("RGB"), UPRIGHT) < 4  # the file is what it should be
    found = decode(path, keep_alpha=False)
    assert images.mean_difference(found.picture, UPRIGHT) < 4
    assert (found.width, found.height) == UPRIGHT.size


def test_sizes_are_upright_though_a_large_jpeg_is_decoded_at_a_fraction() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = images.encoded(images.smooth(1, (1200, 800)), "JPEG", exif=exif)
    found = decode_bytes(content, keep_alpha=False, size_px=64)
    assert (found.width, found.height) == (800, 1200)
    assert found.picture.width < found.picture.height < 1200
    assert min(found.picture.size) >= 128


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form: str) -> None:
    source = UPRIGHT.convert("CMYK")
    options = {"quality": 98} if form == "JPEG" else {}
    assert images.mean_difference(decode_bytes(images.encoded(source, form, **options), keep_alpha=False).picture, UPRIGHT) < 4


def test_palette_with_transparency_is_laid_on_the_backdrop() -> None:
    picture = Image.new("P", (8, 4), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(0, (0, 0, 4, 4))
    content = images.encoded(picture, "PNG", transparency=0)
    laid = np.asarray(decode_bytes(content, keep_alpha=False, backdrop=(10, 200, 30)).picture)
    assert (laid[:, :4] == (10, 200, 30)).all()
    assert (laid[:, 4:] == (0, 0, 255)).all()
    kept = np.asarray(decode_bytes(content, keep_alpha=True).picture)
    assert (kept[..., 3] == [[0, 0, 0, 0, 255, 255, 255, 255]] * 4).all()


def test_grey_with_alpha() -> None:
    picture = images.smooth(3, (16, 16), "LA")
    kept = decode_bytes(images.encoded(picture, "PNG"), keep_alpha=True).picture
    assert kept.tobytes() == picture.convert("RGBA").tobytes()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(form: str) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)
    content = images.encoded(Image.fromarray(np.tile(ramp, (8, 1))), form)
    found = np.asarray(decode_bytes(content, keep_alpha=False).picture)
    assert (found[0, :, 0] == np.arange(256)).all()
    assert (found[..., 0] == found[..., 2]).all()


def test_float_pixels_are_refused() -> None:
    assert "floating" in refused(images.encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken_and_said(form: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in [(250, 0, 0), (0, 250, 0), (0, 0, 250)]]
    options = {"lossless": True} if form == "WEBP" else {}
    found = decode_bytes(images.encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50, **options), keep_alpha=False)
    assert "first" in found.note
    assert images.mean_difference(found.picture, frames[0]) < 3


def test_damaged_files_have_reasons() -> None:
    whole = images.encoded(images.smooth(0, (200, 200)), "JPEG", quality=95)
    assert refused(b"") == "empty file"
    assert "HTML" in refused(b"\n<!DOCTYPE html><html><body>404</body></html>")
    assert refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "not a picture of an allowed format"
    assert "damaged" in refused(whole[: len(whole) // 2])
    Image.open(io.BytesIO(whole[: len(whole) // 2])).verify()  # which is why all of it is decoded


@pytest.mark.parametrize("name", ["10k", "20k", "zTXt"])
def test_bombs_are_refused_within_a_second(name: str) -> None:
    content = images.bombs()[name]
    started = time.process_time()
    reason = refused(content)
    assert time.process_time() - started < 1
    assert reason == {
        "10k": "10000 x 10000 px are more than 64 million pixels; reduce it first",
        "20k": "400 million px are more than 64 million pixels; reduce it first",
    }.get(name, reason)
    assert name != "zTXt" or "decompressed" in reason.lower()


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_slivers_are_listed(size: tuple[int, int]) -> None:
    assert "nothing to see" in refused(images.encoded(Image.new("RGB", size), "PNG"))


HEADS = {
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff\xe0",
    "GIF": b"GIF89a",
    "WebP": b"RIFF\0\0\0\0WEBP",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
}


@pytest.mark.parametrize("form", HEADS)
def test_what_begins_as_a_picture_of_an_allowed_format_is_damaged(form: str) -> None:
    if form == "HEIC":
        pytest.importorskip("pillow_heif")
    assert refused(HEADS[form] + bytes(400)).startswith("damaged")


def test_other_formats_are_not_tried() -> None:
    """Formats outside the list never reach their decoders: EPS would start a program."""
    assert refused(images.encoded(UPRIGHT, "EPS")) == "not a picture of an allowed format"
    assert refused(images.encoded(UPRIGHT, "TGA")) == "not a picture of an allowed format"
    assert refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n") == "not a picture of an allowed format"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    target = tmp_path / "real.png"
    UPRIGHT.save(target)
    (tmp_path / "link.png").symlink_to(target)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in {"link.png": "symbolic link", "loop.png": "symbolic link", "pipe.png": "regular", "gone.png": "No such file"}.items():
        with pytest.raises(UnreadableImageError, match=reason):
            read_file(tmp_path / name)
        with pytest.raises(UnreadableImageError, match=reason):
            read_head(tmp_path / name)
    with pytest.raises(UnreadableImageError, match="regular"):
        read_file(Path("/dev/zero"))


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(bytes(1000))
    look = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        """Another process writes a byte after each look."""
        found = look(descriptor)
        with path.open("ab") as file:
            file.write(b"x")
        return found

    monkeypatch.setattr(decoding.os, "fstat", grow)
    with pytest.raises(UnreadableImageError, match="changed"):
        read_file(path)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 10)
    (tmp_path / "a.png").write_bytes(bytes(11))
    with pytest.raises(UnreadableImageError, match="more than 10"):
        read_file(tmp_path / "a.png")


VALID = [
    images.encoded(images.smooth(1, (24, 24), "RGBA"), "PNG"),
    images.encoded(images.smooth(2, (24, 24)), "JPEG"),
    images.encoded(images.smooth(3, (24, 24)).quantize(8), "GIF"),
    images.encoded(images.smooth(4, (24, 24)), "WEBP"),
    images.encoded(images.smooth(5, (24, 24)), "TIFF"),
    images.encoded(images.smooth(6, (24, 24)), "BMP"),
    images.encoded(images.smooth(6, (24, 24)), "TIFF", compression="tiff_lzw"),
]


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(len(data)))
        match int(rng.integers(4)):
            case 0:
                data[place] = int(rng.integers(256))
            case 1:
                del data[place : place + int(rng.integers(1, 9))]
            case 2:
                data[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case _:
                data[place : place + 4] = bytes([255, 255, 255, int(rng.integers(256))])
        if not data:
            break
    return bytes(data)


def decode_or_reason(content: bytes) -> None:
    try:
        found = decode_bytes(content, keep_alpha=False, size_px=16)
    except UnreadableImageError:
        return
    assert found.picture.mode == "RGB"


@counts
def test_mutated_files_give_a_picture_or_a_reason(count: int) -> None:
    rng = np.random.default_rng(7)
    for turn in range(count):
        decode_or_reason(mutate(VALID[turn % len(VALID)], rng))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: VALID[0][:40] + tail))
def test_any_bytes_give_a_picture_or_a_reason(content: bytes) -> None:
    decode_or_reason(content)


def test_warnings_of_pillow_reach_nobody() -> None:
    """In a program of its own, since pytest resets the filters."""
    program = """
import sys
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
for content in map(bytes.fromhex, sys.argv[1:]):
    try:
        decode_bytes(content, keep_alpha=False)
    except UnreadableImageError:
        pass
"""
    tiff = bytearray(VALID[4])
    tiff[-20:] = b"\xff" * 20
    contents = [images.png(10_000, 9_500, zlib.compress(b"\0")), bytes(tiff), VALID[4][:-9]]
    done = subprocess.run([sys.executable, "-c", program, *(content.hex() for content in contents)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("mode", "format_name", "form"),
    [
        ("L", "PNG", "PNG L"),
        ("1", "PNG", "PNG 1"),
        ("RGBA", "PNG", "PNG RGBA"),
        ("RGB", "JPEG", "JPEG RGB"),
        ("L", "GIF", "GIF L"),
        ("RGB", "BMP", "BMP RGB"),
    ],
)
def test_a_header_tells_the_form_and_the_weight_of_a_picture(tmp_path: Path, mode: str, format_name: str, form: str) -> None:
    path = tmp_path / "a.x"
    Image.effect_noise((600, 400), 90).convert(mode).save(path, format_name)
    header = read_header(path)
    assert header == parse_header(path.read_bytes()[:HEADER_BYTES], path.stat().st_size)
    assert (header.form, header.size) == (form, (400, 600))
    assert header.bytes_per_pixel == path.stat().st_size / 240_000


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_a_header_that_tells_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for call in (lambda: parse_header(content, 100), lambda: read_header(tmp_path / "a.png"), lambda: read_header(tmp_path / "gone.png")):
        with pytest.raises(UnreadableImageError):
            call()
