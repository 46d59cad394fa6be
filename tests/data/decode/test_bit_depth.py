"""Pixels of every depth that PNG and TIFF know, by files written by hand: black, white, and what lies between."""

from __future__ import annotations

import struct

import numpy as np
import PIL
import pytest
from helpers import images
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes

RAMP = np.linspace(0, 1, 16)


def levels(bits: int, *, signed: bool = False) -> np.ndarray:
    """A ramp from black to white in numbers of so many bits: (2, 16, 1)."""
    return np.tile(np.rint(RAMP * (2 ** (bits - signed) - 1)).astype(np.int64), (2, 1))[..., None]


def expected(bits: int) -> np.ndarray:
    """The same in eight bits."""
    return levels(bits)[0, :, 0] * 255 / (2**bits - 1)


def grey(content: bytes) -> np.ndarray:
    pixels = np.asarray(decode_bytes(content, keep_alpha=False).picture).astype(int)
    assert pixels.shape == (2, 16, 3)
    assert (pixels == pixels[:1, :, :1]).all()
    return pixels[0, :, 0]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png(bits: int) -> None:
    assert np.abs(grey(images.png_of(levels(bits), bits, 0)) - expected(bits)).max() <= 0.5


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16, 32])
def test_grey_tiff(bits: int, white_is_zero: bool, order: str) -> None:
    """What Pillow cannot read is a reason; what it reads has the right values."""
    content = images.tiff_of(levels(bits), bits, 0 if white_is_zero else 1, order=order)
    try:
        found = grey(content)
    except UnreadableImageError:
        assert (bits, white_is_zero, order) not in {(bits, zero, "<") for bits in (1, 2, 4, 8, 16) for zero in (True, False)}
        assert bits >= 12
        return
    assert np.abs((255 - found if white_is_zero else found) - expected(bits)).max() <= 0.5


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [16, 32])
def test_signed_tiff_without_negative_numbers(bits: int, order: str) -> None:
    content = images.tiff_of(levels(bits, signed=True), bits, 1, order=order, sample_format=2)
    assert np.abs(grey(content) - RAMP * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (images.tiff_of(levels(16, signed=True) - 5, 16, 1, sample_format=2), "below zero"),
        (images.tiff_of(levels(32, signed=True) - 5, 32, 1, sample_format=2), "below zero"),
        (images.tiff_of(levels(16), 32, 1), "32-bit pixels that end at 65535 of 4294967295: .*16 bits"),
        (images.tiff_of(levels(8), 32, 1, sample_format=2), "end at 255 of 2147483647"),
        (images.tiff_of(levels(1).astype(np.float32), 32, 1, sample_format=3), "floating"),
    ],
)
def test_numbers_of_unknown_scale_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode_bytes(content, keep_alpha=False)


def test_32_bit_black_is_black() -> None:
    assert not grey(images.tiff_of(levels(32) * 0, 32, 1)).any()


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_alpha_png(bits: int) -> None:
    samples = np.concatenate([levels(bits), levels(bits)[:, ::-1]], axis=2)
    kept = np.asarray(decode_bytes(images.png_of(samples, bits, 4), keep_alpha=True).picture).astype(int)
    assert np.abs(kept[..., :3] - expected(bits)[:, None]).max() < 1
    assert np.abs(kept[..., 3] - expected(bits)[::-1]).max() < 1


COLOURS = np.array([[[0, 0.2, 1], [1, 0.6, 0], [0.4, 0.8, 0.2]]] * 2)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("form", ["png", "tiff <", "tiff >", "planar <", "planar >"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours(form: str, bits: int, alpha: bool) -> None:
    shares = np.concatenate([COLOURS, np.array([[[1], [0.4], [0]]] * 2)], axis=2) if alpha else COLOURS
    samples = np.rint(shares * (2**bits - 1)).astype(np.int64)
    if form == "png":
        content = images.png_of(samples, bits, 6 if alpha else 2)
    else:
        content = images.tiff_of(samples, bits, 2, order=form[-1], extra=(2,) if alpha else (), planar=form.startswith("planar"))
    kept = np.asarray(decode_bytes(content, keep_alpha=True).picture).astype(int)
    assert np.abs(kept[..., : shares.shape[2]] - shares * 255).max() < 1
    assert alpha or (kept[..., 3] == 255).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png(bits: int) -> None:
    """Exactly one of its numbers, of which 16 bits have many that look alike."""
    white = 2**bits - 1
    numbers = np.array([[0, white, white // 3, white // 3 - 1 if bits == 16 else white]] * 2)[..., None]
    content = images.png_of(numbers, bits, 0, ((b"tRNS", struct.pack(">H", white // 3)),))
    kept = np.asarray(decode_bytes(content, keep_alpha=True).picture)
    assert (kept[0, :, 3] == [255 if number != white // 3 else 0 for number in numbers[0, :, 0]]).all()
    assert np.abs(kept[0, :, 0] - numbers[0, :, 0] * 255 / white).max() <= 0.5
    laid = np.asarray(decode_bytes(content, keep_alpha=False, backdrop=(9, 8, 7)).picture)
    assert (laid[0][kept[0, :, 3] == 0] == (9, 8, 7)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_a_png(bits: int) -> None:
    scale = 2 ** (bits - 8)
    samples = np.array([[[10, 20, 30], [10, 20, 31], [10, 20, 30]]] * 2) * scale
    samples[:, 2, 1] += bits == 16  # not the same, though it looks like it
    content = images.png_of(samples, bits, 2, ((b"tRNS", struct.pack(">3H", 10 * scale, 20 * scale, 30 * scale)),))
    kept = np.asarray(decode_bytes(content, keep_alpha=True).picture)
    assert kept[0].tolist() == [[10, 20, 30, 0], [10, 20, 31, 255], [10, 20, 30, 255 if bits == 16 else 0]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_with_transparency(bits: int) -> None:
    more = ((b"PLTE", bytes([255, 0, 0, 0, 0, 255])), (b"tRNS", bytes([64])))
    kept = np.asarray(decode_bytes(images.png_of(np.array([[[0], [1]]] * 2), bits, 3, more), keep_alpha=True).picture)
    assert kept[0].tolist() == [[255, 0, 0, 64], [0, 0, 255, 255]]


@pytest.mark.parametrize(
    ("mode", "form"), [("1", "PNG"), ("1", "TIFF"), ("1", "BMP"), ("L", "JPEG"), ("L", "WEBP"), ("L", "BMP"), ("P", "GIF"), ("P", "BMP")]
)
def test_modes_of_other_formats(mode: str, form: str) -> None:
    picture = Image.fromarray(np.repeat([[0, 255]], 16, 0).repeat(8, 1).astype(np.uint8))
    content = images.encoded(picture.convert(mode, palette=Image.Palette.ADAPTIVE), form, **({"quality": 100} if form == "JPEG" else {}))
    found = np.asarray(decode_bytes(content, keep_alpha=False).picture)
    assert np.abs(found[..., 0].astype(int) - np.asarray(picture)).max() <= (6 if form in ("JPEG", "WEBP") else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_set_upright_too(orientation: int) -> None:
    """Pictures that are converted on the way, whose orientation Pillow forgets."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    flat = Image.fromarray(values)
    found = decode_bytes(images.encoded(flat, "PNG", exif=exif), keep_alpha=False)
    eight = Image.fromarray((values.astype(int) * 255 // 65535).astype(np.uint8))
    same = decode_bytes(images.encoded(eight, "PNG", exif=exif), keep_alpha=False)
    assert (found.width, found.height) == (same.width, same.height) == ((4, 3) if orientation < 5 else (3, 4))
    assert images.mean_difference(found.picture, same.picture) <= 1


def palette_tiff(colors: np.ndarray, order: str, unit: int) -> bytes:
    """A TIFF of 16 pixels in 16 colours (16, 3), with `unit` for each level of its colour map."""
    content = images.tiff_of(np.tile(np.arange(16), (2, 1))[..., None], 4, 3, order=order)
    start = struct.unpack_from(f"{order}I", content, 4)[0]
    count = struct.unpack_from(f"{order}H", content, start)[0] + 1
    place = start + 2 + 12 * count + 4
    entries = [content[start + 2 + 12 * index :][:12] for index in range(count - 1)]
    entries += [struct.pack(f"{order}HHII", 320, 3, 48, place)]
    entries.sort(key=lambda entry: struct.unpack_from(f"{order}H", entry)[0])
    color_map = struct.pack(f"{order}48H", *(colors.T.ravel() * unit).tolist())  # all reds, all greens, all blues
    return content[:start] + struct.pack(f"{order}H", count) + b"".join(entries) + bytes(4) + color_map


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit", [1, 256, 257])
def test_a_palette_of_8_bits_is_as_bright_as_one_of_16(order: str, unit: int) -> None:
    """Old programs wrote levels of 8 bits, of which Pillow drops all."""
    colors = np.random.default_rng(3).integers(0, 256, (16, 3))
    pixels = np.asarray(decode_bytes(palette_tiff(colors, order, unit), keep_alpha=False).picture)
    assert (pixels == colors).all()


def test_a_black_palette_stays_black() -> None:
    assert not np.asarray(decode_bytes(palette_tiff(np.zeros((16, 3), np.int64), "<", 1), keep_alpha=False).picture).any()


@pytest.mark.parametrize("alpha", [0, 1, 100, 200, 255])
def test_grey_with_associated_alpha_is_divided_by_it(alpha: int) -> None:
    samples = np.stack([np.tile(np.rint(RAMP * alpha).astype(np.int64), (2, 1)), np.full((2, 16), alpha)], axis=-1)
    content = images.tiff_of(samples, 8, 1, extra=(1,))
    if int(PIL.__version__.split(".")[0]) < 13:  # such a file is refused before, with its way out
        with pytest.raises(UnreadableImageError, match="a kind of TIFF that cannot be read, or damaged; save it as PNG"):
            decode_bytes(content, keep_alpha=True)
        return
    if alpha == 1:
        with pytest.raises(UnreadableImageError, match="its transparency has no values but 0 and 1"):
            decode_bytes(content, keep_alpha=True)
        return
    pixels = np.asarray(decode_bytes(content, keep_alpha=True).picture).astype(int)
    assert (pixels[..., 3] == alpha).all()
    assert np.abs(pixels[..., 0] - samples[..., 0] * 255 / max(alpha, 1)).max() <= 1
    assert (pixels[..., 0] == pixels[..., 1]).all()


@pytest.mark.parametrize(
    ("bits", "channels", "extra", "planar"), [(8, 4, 1, True), (16, 4, 1, True), (8, 2, 1, True), (8, 2, 2, True), (16, 2, 2, False)]
)
def test_a_tiff_that_is_whole_but_of_an_unknown_kind_is_not_called_damaged_alone(bits: int, channels: int, extra: int, planar: bool) -> None:
    content = images.tiff_of(np.full((8, 8, channels), 50), bits, 2 if channels == 4 else 1, extra=(extra,), planar=planar)
    with pytest.raises(UnreadableImageError, match=r"^a kind of TIFF that cannot be read, or damaged; save it as PNG$"):
        decode_bytes(content, keep_alpha=True)
