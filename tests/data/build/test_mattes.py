"""A matte says how opaque each pixel is; a mask of labels under its name is refused by every reader, by name."""

from __future__ import annotations

from collections.abc import Callable
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


LABELS = {
    "0 and 1": Image.fromarray(plane(0, 1)),
    "1 everywhere": Image.fromarray(plane(1)),
    "classes": Image.fromarray(plane(0, 3, 20, 7)),
    "classes with borders of 255": Image.fromarray(plane(0, 3, 3, 3, 20, 20, 255, 7, 7, 0)),
    "many classes": Image.fromarray(plane(*range(34))),
    "bytes in 16 bits": Image.fromarray(plane(0, 255, kind=np.uint16)),
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


def decoded(folder: Path, matte: Image.Image) -> Image.Image:
    images.smooth(0, SIZE).save(folder / "a.png")
    matte.save(folder / "a.matte.png")
    content = (folder / "a.png").read_bytes()
    return decode_matte(file_entry(str(folder / "a.matte.png"), "in/a.matte.png"), decode_bytes(content, keep_alpha=False))


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_no_matte(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UnreadableImageError, match=r"^its matte 'a\.matte\.png' looks like labels 0\.\.[0-9]+; scale it to 0\.\.255"):
        decoded(tmp_path, LABELS[kind])


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
