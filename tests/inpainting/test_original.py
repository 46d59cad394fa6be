"""Of a picture with a hole only the hole changes: what else the file says of it is kept, or it is said that it cannot be."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image, ImageOps

from mitlgan.data.decode.color_profile import ADOBE_GAMMA, ADOBE_RGB, build_matrix_profile
from mitlgan.data.decode.image_file import decode_bytes
from mitlgan.errors import DataError
from mitlgan.inpainting import inpaint, make_filler, parse_hole, read_original

SIZE = (40, 30)
HOLE = parse_hole("12,8,10,9", SIZE[1], SIZE[0])
ADOBE = build_matrix_profile(ADOBE_RGB, ADOBE_GAMMA)


def filled(path: Path) -> tuple[Image.Image, str]:
    original = read_original(path)
    found = inpaint(original.on_white, HOLE, make_filler("mean"))
    made = Image.open(io.BytesIO(original.png(found.blended, HOLE)))
    made.load()
    return made, original.note


def noise(mode: str) -> Image.Image:
    """Any colours, any transparency, colours under full transparency too."""
    pixels = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 4), dtype=np.uint8)
    pixels[:6, :, 3], pixels[20:, :, 3] = 0, 255
    picture = Image.fromarray(pixels)
    if mode in ("RGB", "RGBA"):
        return picture if mode == "RGBA" else picture.convert("RGB")
    return Image.merge("LA", (picture.getchannel(0), picture.getchannel(3))) if mode == "LA" else picture.getchannel(0)


@pytest.mark.parametrize("profile", [None, ADOBE])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_is_kept(tmp_path: Path, mode: str, form: str, profile: bytes | None) -> None:
    if form == "WEBP" and mode.startswith("L"):
        pytest.skip("WebP has no grey")
    path, picture = tmp_path / "a", noise(mode)
    picture.save(path, form, icc_profile=profile, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    made, note = filled(path)
    assert (made.mode, note) == (mode, "")
    assert made.info.get("icc_profile") == profile
    before, after = (np.asarray(one).reshape(SIZE[1], SIZE[0], -1) for one in (picture, made))
    assert (before[~HOLE] == after[~HOLE]).all()
    assert not (before[HOLE] == after[HOLE]).all()


def test_a_hole_in_what_is_opaque_is_opaque_and_in_what_is_clear_is_clear(tmp_path: Path) -> None:
    for level in (255, 0, 130):
        picture = noise("RGBA")
        picture.putalpha(level)
        picture.save(tmp_path / "a.png")
        made, _ = filled(tmp_path / "a.png")
        assert (np.asarray(made)[..., 3] == level).all()


def test_transparency_goes_on_into_the_hole_and_colours_under_it_do_not(tmp_path: Path) -> None:
    """An opaque grey half and a clear half, under which there is bright red."""
    pixels = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    pixels[:] = (90, 90, 90, 255)
    pixels[:, 17:] = (255, 0, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    made = np.asarray(filled(tmp_path / "a.png")[0]).astype(int)[8:17, 12:22]
    assert (np.diff(made[..., 3], axis=1) <= 0).all()
    assert made[:, 0, 3].min() > 200
    assert made[:, -1, 3].max() < 60
    solid = made[made[..., 3] > 60]
    assert np.abs(solid[:, 0] - solid[:, 1]).max() <= 2, "grey, and nowhere red"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_written_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = noise("RGBA").resize((30, 40) if orientation > 4 else SIZE)
    picture.save(tmp_path / "a.png", exif=exif, icc_profile=ADOBE)
    made, note = filled(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as file:
        upright = ImageOps.exif_transpose(file)
    assert (made.size, made.mode, note, made.info["icc_profile"]) == (SIZE, "RGBA", "", ADOBE)
    assert made.getexif().get(0x0112) is None
    assert (np.asarray(upright)[~HOLE] == np.asarray(made)[~HOLE]).all()


def palette(transparency: object) -> bytes:
    return images.encoded(images.smooth(1, SIZE).quantize(16), "PNG", **({} if transparency is None else {"transparency": transparency}))


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (palette(None), "RGB", "P: written as RGB, "),
        (palette(3), "RGBA", "P with a transparent color: written as RGBA"),
        (palette(bytes(range(0, 256, 16))), "RGBA", "P with a transparent color: written as RGBA"),
        (images.encoded(noise("L").convert("1"), "PNG"), "L", "1: written as L"),
        (images.encoded(noise("L"), "PNG", transparency=7), "LA", "L with a transparent color: written as LA"),
        (images.encoded(noise("RGB"), "PNG", transparency=(1, 2, 3)), "RGBA", "RGB with a transparent color"),
        (images.encoded(noise("RGB").convert("CMYK"), "TIFF"), "RGB", "CMYK by its profile or gamma: written as RGB in sRGB"),
        (images.png_of(np.asarray(noise("RGBA")).astype(int) * 257, 16, 6), "RGBA", "16 bits per channel: written with 8"),
        (images.png_of(np.asarray(noise("L")).astype(int)[..., None] * 257, 16, 0), "L", "16 bits per channel: written with 8"),
        (images.tiff_of(np.asarray(noise("RGB")).astype(int) * 257, 16, 2), "RGB", "16 bits per channel: written with 8"),
        (images.png_of(np.asarray(noise("L")).astype(int)[..., None], 8, 0, ((b"gAMA", struct.pack(">I", 100_000)),)), "L", "written as L in sRGB"),
    ],
)
def test_what_is_not_kept_is_said_and_looks_the_same(tmp_path: Path, content: bytes, mode: str, said: str) -> None:
    (tmp_path / "a").write_bytes(content)
    made, note = filled(tmp_path / "a")
    assert said in note
    assert made.mode == mode
    wanted = np.asarray(decode_bytes(content, keep_alpha=True).picture)
    assert (np.asarray(made.convert("RGBA"))[~HOLE] == wanted[~HOLE]).all()


def test_what_png_says_of_its_gamma_is_written_as_a_profile(tmp_path: Path) -> None:
    content = images.png_of(np.asarray(noise("RGB")).astype(int), 8, 2, ((b"gAMA", struct.pack(">I", 60_000)),))
    (tmp_path / "a.png").write_bytes(content)
    original = read_original(tmp_path / "a.png")
    made = original.png(original.on_white, HOLE)
    shown, same = (np.asarray(decode_bytes(one, keep_alpha=False).picture) for one in (content, made))
    assert (shown == same).all()


def test_what_is_clear_is_seen_as_white(tmp_path: Path) -> None:
    Image.new("LA", (5, 4), (0, 0)).save(tmp_path / "clear.png")
    assert (read_original(tmp_path / "clear.png").on_white == 255).all()


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such picture"):
        read_original(tmp_path / "absent.png")
    (tmp_path / "page.png").write_text("<html>")
    with pytest.raises(DataError, match="HTML, not a picture"):
        read_original(tmp_path / "page.png")
