"""A matte says how opaque each pixel is; a mask of labels under its name is refused by every reader, by name."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.data.build.mattes import decode_matte
from mitlgan.data.build.offline_augment import AugmentSettings, augment_pictures
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.check import check_datasets
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.layers.matte_iou import measure_matte_iou
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.data.open import open_data
from mitlgan.data.sources.entry import file_entry
from mitlgan.errors import DataError

SIZE = (20, 16)


def plane(*levels: int, kind: type = np.uint8) -> np.ndarray:
    """Bands of equal values, the first on the left."""
    values = np.array(levels, kind)[np.arange(SIZE[0]) * len(levels) // SIZE[0]]
    return np.tile(values, (SIZE[1], 1))


def see_through(*levels: int) -> Image.Image:
    picture = images.smooth(1, SIZE)
    picture.putalpha(Image.fromarray(plane(*levels)))
    return picture


def _bordered(kind: type, label: int, white: int, size: int = 64, border: int = 0) -> Image.Image:
    """A class as Pascal VOC marks it: a square of its number in a border of white, of 1 px in 64 if no other is given."""
    numbers = np.zeros((size, size), kind)
    numbers[size // 4 : -size // 4, size // 4 : -size // 4] = white
    inner = size // 4 + (border or max(1, size // 64))
    numbers[inner:-inner, inner:-inner] = label
    return Image.fromarray(numbers)


def _street(kind: type, numbers: tuple[int, ...], void: int) -> Image.Image:
    """Large areas of many numbers, and one that is not counted, as Cityscapes marks a car's own bonnet."""
    mask = np.repeat(np.array(numbers, kind), 64 * 64 // len(numbers) + 1)[: 64 * 64].reshape(64, 64)
    mask[52:, 8:56] = void
    return Image.fromarray(mask)


def _shadowed(kind: type, shadow: int, white: int, share: float = 0.24) -> Image.Image:
    """A hard object of that share of what is marked, on its flat shadow."""
    numbers = np.zeros((64, 64), kind)
    numbers[20:60, 4:60] = shadow
    side = round((share * 40 * 56) ** 0.5)
    numbers[24 : 24 + side, 20 : 20 + side] = white
    return Image.fromarray(numbers)


def _predicted(highest: int, kind: type = np.uint16) -> Image.Image:
    """A disc as a network predicts it: a soft edge, and 99.5 to 100 % inside."""
    rows, columns = np.mgrid[:128, :128]
    opacities = np.clip((50 - np.hypot(rows - 64, columns - 64)) / 6, 0, 1) * highest
    noise = np.random.default_rng(0).integers(0, highest // 200 + 2, opacities.shape)
    return Image.fromarray(np.where(opacities > 0, np.clip(opacities - noise, 0, highest), 0).astype(kind))


def _soft_disc(core: int) -> Image.Image:
    """A flat disc with a soft edge, in 16 bits."""
    rows, columns = np.mgrid[:64, :64]
    return Image.fromarray((core * np.clip(24 - np.hypot(rows - 31.3, columns - 31.7), 0, 1)).astype(np.uint16))


def _deep_rgb(grey: Image.Image) -> bytes:
    """A PNG of 16 bits whose three colours are equal."""
    return images.png_of(np.repeat(np.asarray(grey)[:, :, None], 3, axis=2), 16, 2)


DEEP_LABELS = {
    "a class with borders": (_bordered(np.uint8, 17, 255), 17),
    "a class with borders in 16 bits": (_bordered(np.uint16, 17, 65535), 17),
    "a class with borders, large": (_bordered(np.uint8, 17, 255, 375), 17),
    "a class with borders, small": (_bordered(np.uint8, 15, 255, 96, 2), 15),
    "a class with broad borders": (_bordered(np.uint8, 15, 255, 160, 5), 15),
    "a class with broad borders in 16 bits": (_bordered(np.uint16, 15 * 257, 65535, 160, 5), 15 * 257),
    "a class with solid white": (_shadowed(np.uint8, 1, 255), 1),
    "a class with solid white in 16 bits": (_shadowed(np.uint16, 17, 65535), 17),
    "two classes with solid white": (_street(np.uint8, (0, 1, 15), 255), 15),
    "two classes with solid white in 16 bits": (_street(np.uint16, (0, 1, 24001), 65535), 24001),
    "classes with solid white": (_street(np.uint8, (0, 1, 8, 11), 255), 11),
    "classes with solid white in 16 bits": (_street(np.uint16, (0, 1, 8, 11), 65535), 11),
    "numbers above a byte with borders": (_bordered(np.uint16, 300, 65535), 300),
    "objects": (_street(np.uint16, (7, 23, 24001, 24002, 26000), 1), 26000),
    "one object": (Image.fromarray(plane(0, 24001, kind=np.uint16)), 24001),
    "an object with borders": (_bordered(np.uint16, 24001, 65535), 24001),
    "objects with solid white": (_street(np.uint16, (7, 23, 24001, 24002, 26000), 65535), 26000),
    "an object of a whole percent beside another": (_street(np.uint16, (0, 19660, 24001, 24001), 0), 24001),
    "bytes in 16 bits": (Image.fromarray(plane(0, 255, kind=np.uint16)), 255),
    **{f"{bits} bits in 16": (_predicted(2**bits - 1), 2**bits - 1) for bits in (8, 10, 12, 13)},
}
SHADOWED = {
    "a shadow in 8 bits": _shadowed(np.uint8, 30, 255),
    "a shadow in 16 bits": _shadowed(np.uint16, 30 * 257, 65535),
    "a shadow of any level in 16 bits": _shadowed(np.uint16, 20001, 65535),
    "a small object with a shadow": _shadowed(np.uint8, 30, 255, 0.05),
    "a shadow that is just seen": _shadowed(np.uint8, 8, 255),
    "a shadow that is just seen in 16 bits": _shadowed(np.uint16, 8 * 257, 65535),
    "a background that is not quite black": _shadowed(np.uint8, 1, 255, 0.4),
    "glass": Image.fromarray(plane(0, 19660, kind=np.uint16)),
    "glass, rounded up": Image.fromarray(plane(0, 19661, kind=np.uint16)),
    "glass with a soft edge": _soft_disc(19660),
    "glass of two kinds, and a little white": Image.fromarray(plane(*[19660] * 4, *[45874] * 4, 65535, 0, kind=np.uint16)),
    "as predicted": _predicted(65535),
    "as predicted, of half its opacity": _predicted(32767),
    "an object of half its opacity": Image.fromarray(plane(0, 32768, kind=np.uint16)),
    "levels of bytes": Image.fromarray(plane(0, 90 * 257, 120 * 257, kind=np.uint16)),
    "a soft edge around a faint core": _soft_disc(24001),
    "a soft edge around a core that is not quite white": _soft_disc(65001),
}


LABELS = {
    "0 and 1": Image.fromarray(plane(0, 1)),
    "1 everywhere": Image.fromarray(plane(1)),
    "classes": Image.fromarray(plane(0, 3, 20, 7)),
    "classes with borders of 255": Image.fromarray(plane(0, 3, 3, 3, 20, 20, 255, 7, 7, 0)),
    "many classes": Image.fromarray(plane(*range(34))),
}
MATTES = {
    "black and white": (Image.fromarray(plane(0, 255)), 255),
    "one bit": (Image.fromarray(plane(0, 255)).convert("1"), 255),
    "soft": (Image.fromarray(plane(*range(256))), 243),
    "faint": (Image.fromarray(plane(0, 30, 90)), 90),
    "an object with a hard edge beside a faint one": (Image.fromarray(plane(0, 30, 255)), 255),
    "a soft edge in a large faint area": (Image.fromarray(plane(0, 30, 30, 30, 30, 30, 30, 30, 200, 255)), 255),
    "noise beside an object": (Image.fromarray(plane(0, 1, 2, 255)), 255),
    "no object": (Image.fromarray(plane(0)), 0),
    "16 bits": (Image.fromarray(plane(0, 65535, kind=np.uint16)), 255),
    "transparency": (see_through(0, 255), 255),
}


def decoded(folder: Path, matte: Image.Image, form: str = "PNG") -> Image.Image:
    images.smooth(0, matte.size).save(folder / "a.png")
    matte.save(folder / "a.matte.png", form)
    content = (folder / "a.png").read_bytes()
    return decode_matte(file_entry(str(folder / "a.matte.png"), "in/a.matte.png"), decode_bytes(content, keep_alpha=False))


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_no_matte(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UnreadableImageError, match=r"^its matte 'a\.matte\.png' looks like labels 0\.\.[0-9]+; scale it to 0\.\.255"):
        decoded(tmp_path, LABELS[kind])


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("kind", DEEP_LABELS)
def test_numbers_of_classes_and_objects_are_judged_as_in_their_file(tmp_path: Path, kind: str, form: str) -> None:
    matte, highest = DEEP_LABELS[kind]
    scale = "; scale it to 0..255: the object white" if matte.mode == "L" else ", where white is 65535; scale it to 0..65535: the object white"
    with pytest.raises(UnreadableImageError, match=f"^its matte 'a\\.matte\\.png' looks like labels 0\\.\\.{highest}{re.escape(scale)}"):
        decoded(tmp_path, matte, form)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("kind", SHADOWED)
def test_a_matte_may_have_flat_areas_of_any_level(tmp_path: Path, kind: str, form: str) -> None:
    levels = np.asarray(SHADOWED[kind]).astype(int)
    white = 255 if SHADOWED[kind].mode == "L" else 65535
    assert np.abs(np.asarray(decoded(tmp_path, SHADOWED[kind], form)) - levels * 255 / white).max() <= 0.51


@pytest.mark.parametrize(("shadow", "white", "highest"), [(1, 1, 1), (1, 255, 1), (30, 255, 0)])
def test_a_large_mask_costs_little(tmp_path: Path, shadow: int, white: int, highest: int) -> None:
    numbers = np.zeros((2000, 2660), np.uint8)
    numbers[300:1700, 300:2300] = shadow
    numbers[500:900, 500:1200] = white
    Image.fromarray(numbers).save(tmp_path / "a.matte.png")
    picture = decode_bytes(images.encoded(Image.new("RGB", (2660, 2000)), "PNG"), keep_alpha=False)
    began = time.process_time()
    with pytest.raises(UnreadableImageError, match=rf"labels 0\.\.{highest};") if highest else nullcontext():
        decode_matte(file_entry(str(tmp_path / "a.matte.png"), "in/a.matte.png"), picture)
    assert time.process_time() - began < 2  # seconds; an erosion by windows takes more than 10


def test_sixteen_bits_in_three_equal_colours_are_judged_by_their_numbers(tmp_path: Path) -> None:
    size = (64, 64)
    images.smooth(0, size).save(tmp_path / "a.png")
    picture = decode_bytes((tmp_path / "a.png").read_bytes(), keep_alpha=False)
    for matte, is_matte in ((_bordered(np.uint16, 17, 65535), False), (_shadowed(np.uint16, 30 * 257, 65535), True)):
        (tmp_path / "a.matte.png").write_bytes(_deep_rgb(matte))
        with nullcontext() if is_matte else pytest.raises(UnreadableImageError, match=r"labels 0\.\.17, where white is 65535; scale it to 0\.\.65535"):
            assert decode_matte(file_entry(str(tmp_path / "a.matte.png"), "in/a.matte.png"), picture).getextrema() == (0, 255)


def test_one_matte_with_a_shadow_among_a_few_pictures_stops_nothing(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 4, size=(64, 64))
    for index in range(4):
        (SHADOWED["a shadow in 8 bits"] if index == 2 else _shadowed(np.uint8, 0, 255)).save(place / f"{index:04d}.matte.png")
    packed = pack_folder(place, tmp_path / "a.npy", size_px=64)
    assert (len(packed), packed.manifest["skipped"]) == (4, [])
    assert set(np.unique(packed.pixels[2, 3])) == {0, 30, 255}


def in_colours(name: str) -> Image.Image:
    """A mask of classes as Pascal VOC colours them: by a palette, or in RGB."""
    mask = Image.fromarray(plane(0, 1, 15, 15, 2)).convert("P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 36 + [192, 128, 128])
    return mask if name == "palette" else mask.convert("RGB")


@pytest.mark.parametrize("name", ["palette", "RGB"])
def test_masks_in_colours_are_no_matte(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableImageError, match=r"^its matte 'a\.matte\.png' is in colours, as masks of classes are; give one in grey"):
        decoded(tmp_path, in_colours(name))


def test_a_little_colour_along_an_edge_is_a_matte(tmp_path: Path) -> None:
    """As an editor leaves it, or JPEG."""
    grey = np.repeat(plane(*[0] * 10, *[255] * 10)[:, :, None], 3, axis=2)
    grey[4, 10] = (255, 128, 128)
    assert decoded(tmp_path, Image.fromarray(grey)).getextrema() == (0, 255)


@pytest.mark.parametrize("kind", MATTES)
def test_whatever_shows_an_object_is_a_matte(tmp_path: Path, kind: str) -> None:
    matte, brightest = MATTES[kind]
    assert decoded(tmp_path, matte).getextrema() == (0, brightest)


@pytest.mark.parametrize("brightest", [1, 4, 30])
def test_a_little_noise_in_an_empty_matte_is_no_label(tmp_path: Path, brightest: int) -> None:
    """As networks write it where there is no object, and JPEG around one."""
    noise = np.random.default_rng(0).integers(0, brightest + 1, SIZE[::-1], dtype=np.uint8)
    assert decoded(tmp_path, Image.fromarray(noise)).getextrema() == (0, brightest)


@pytest.mark.parametrize("keep_alpha", [False, True])
def test_a_transparency_of_0_and_1_is_no_transparency(tmp_path: Path, keep_alpha: bool) -> None:
    for levels in ((0, 1), (1,)):
        with pytest.raises(UnreadableImageError, match=r"no values but 0 and 1 of 255; scale it"):
            decode_bytes(images.encoded(see_through(*levels), "PNG"), keep_alpha=keep_alpha)
    for levels in ((0,), (0, 2), (0, 1, 255), (0, 255)):
        picture = decode_bytes(images.encoded(see_through(*levels), "PNG"), keep_alpha=True).picture
        assert picture.getchannel("A").getextrema() == (0, levels[-1])
    with pytest.raises(UnreadableImageError, match="its matte: its transparency has no values but 0 and 1"):
        decoded(tmp_path, see_through(0, 1))


def test_sixteen_bits_of_0_and_1_are_not_taken_for_black(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="its matte: 16-bit pixels that end at 1 of 65535 would all become one level; scale them"):
        decoded(tmp_path, Image.fromarray(plane(0, 1, kind=np.uint16)))
    black = decode_bytes(images.encoded(Image.fromarray(plane(0, kind=np.uint16)), "PNG"), keep_alpha=False).picture
    assert black.getextrema() == ((0, 0),) * 3


def _check(place: Path, out: Path) -> None:
    result = check_datasets([str(place)])
    (text,) = [text for text, hurts in result.verdict if hurts and "not usable" in text]
    assert "mitlgan" not in text  # no command packs what is not there
    raise DataError(text.split("the first ")[1])


READERS: dict[str, Callable[[Path, Path], object]] = {
    "pack": lambda place, out: pack_folder(place, out / "a.npy", size_px=8),
    "prepare": lambda place, out: prepare_pack(place, out / "prepared", PrepareSettings(size_px=8)),
    "--data": lambda place, out: open_data(str(place), "scene", 8),
    "check": _check,
    "matte-iou": lambda place, out: measure_matte_iou(str(place), None, ["rectangle"], count=9),
    "split": lambda place, out: split_pictures(place, out / "layers", SplitSettings(size_px=16)),
    "augment": lambda place, out: augment_pictures(place, out / "more", AugmentSettings(factor=2)),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_of_mattes_refuses_labels_by_name(tmp_path: Path, reader: str) -> None:
    pytest.importorskip("cv2")
    place = images.fill(tmp_path / "in", 3, size=SIZE)
    for index in range(3):
        LABELS["0 and 1"].save(place / f"{index:04d}.matte.png")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"'0000\.png': its matte '0000\.matte\.png' looks like labels 0\.\.1; scale it to 0\.\.255"):
        READERS[reader](place, tmp_path / "out")
    assert not [file for file in (tmp_path / "out").rglob("*.*") if not file.name.startswith(".")]
