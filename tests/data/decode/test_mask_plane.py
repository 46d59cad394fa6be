"""A mask says by its brightness, or by its transparency, what is marked: one is told from the other by the pixels, and what says neither is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers import images
from PIL import Image, ImageFilter

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.decode.mask_plane import MaskMeaning, read_mask

SIZE = (52, 40)
OBJECT = np.zeros(SIZE[::-1], np.uint8)
OBJECT[10:20, 12:30] = 255
SOFT = np.asarray(Image.fromarray(OBJECT).resize((13, 10)).resize(SIZE, Image.Resampling.BICUBIC))
PICTURE = images.smooth(1, SIZE)
FULL = np.full_like(OBJECT, 255)


def stray(level: int, count: int = 1) -> np.ndarray:
    """An opacity that is full but for some pixels."""
    alpha = FULL.copy()
    alpha[0, :count] = level
    return alpha


def layered(picture: Image.Image | np.ndarray | int, alpha: np.ndarray) -> Image.Image:
    """A picture, levels of grey, or one paint, with an opacity."""
    color = Image.new("L", SIZE, picture) if isinstance(picture, int) else picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    color = color.convert("RGB")
    color.putalpha(Image.fromarray(alpha))
    return color


def red_paint(alpha: np.ndarray) -> Image.Image:
    return layered(Image.new("RGB", SIZE, (255, 0, 0)), alpha)


def reading(mask: Image.Image, picture: Image.Image | None = PICTURE, **options: object) -> tuple[np.ndarray, MaskMeaning]:
    content = images.encoded(mask, "PNG", **options)
    plane, meaning = read_mask(content, decode_bytes(content, keep_alpha=True, ignore_profile=True).picture, "a.png", "the object", picture)
    return np.asarray(plane).astype(int), meaning


def even(level: int, noise: float) -> Image.Image:
    """A grey object without structure."""
    return Image.fromarray((level + np.random.default_rng(0).normal(0, noise, SIZE[::-1])).clip(0, 255).astype(np.uint8))


def scene(thing: Image.Image, quality: int) -> Image.Image:
    """A photograph of a thing before colours, as JPEG."""
    whole = Image.composite(thing.convert("RGB"), PICTURE.convert("RGB"), Image.fromarray(SOFT))
    return decode_bytes(images.encoded(whole, "JPEG", quality=quality), keep_alpha=True).picture


BY_BRIGHTNESS: dict[str, tuple[Image.Image, np.ndarray]] = {
    "opaque": (Image.fromarray(SOFT), SOFT),
    "one transparent pixel": (layered(SOFT, stray(0)), SOFT),
    "one pixel that is nearly opaque": (layered(SOFT, stray(254)), SOFT),
    "a transparent edge": (layered(SOFT, stray(0, 12)), SOFT),
    "an object in one flat level": (layered(OBJECT, stray(0)), OBJECT),
    "no object": (layered(0, stray(0)), 0 * OBJECT),
    "one opacity everywhere": (layered(SOFT, FULL // 2), SOFT),
}
BY_OPACITY: dict[str, tuple[Image.Image, np.ndarray]] = {
    "white paint": (layered(255, SOFT), SOFT),
    "white paint that covers nearly all": (layered(255, stray(0, 12)), stray(0, 12)),
    "black paint": (layered(0, SOFT), SOFT),
    "grey paint": (layered(90, OBJECT), OBJECT),
    "red paint": (red_paint(SOFT), SOFT),
    "faint paint": (layered(0, SOFT // 3), SOFT // 3),
    "nothing painted": (layered(SOFT, 0 * OBJECT), 0 * OBJECT),
    "white on black, and as opaque": (layered(SOFT, SOFT), SOFT),
    "a cut-out": (layered(PICTURE, SOFT), SOFT),
    "a cut-out of nearly all": (layered(PICTURE, stray(0)), stray(0)),
    "a grey cut-out": (layered(PICTURE.convert("L"), SOFT), SOFT),
}
REFUSED: dict[str, tuple[Image.Image, str]] = {
    "a part in black, a part in white": (layered(OBJECT, np.roll(OBJECT, 9, 1)), "marks one thing by its transparency and another by its"),
    "a soft matte in a frame": (layered(SOFT, np.pad(FULL[8:-8, 8:-8], 8)), "marks one thing by its transparency and another by its"),
    "classes in colours, with a stray pixel": (layered(Image.merge("RGB", [Image.fromarray(np.roll(OBJECT, by, 0)) for by in (0, 12, 20)]), stray(0)),
                                               "is in colours, as masks of classes are; give one in grey: the object white"),
    "numbers of classes, with a stray pixel": (layered(OBJECT // 10 + np.roll(OBJECT, 12, 0) // 30, stray(254)), "looks like labels 0..25; scale it"),
}  # fmt: skip


HOLE = 255 - OBJECT
AT_EDGE = np.roll(HOLE, -10, 0)
"""Nearly all of the picture, but for a part at its upper edge."""


CLOSE_UP = np.asarray(Image.fromarray(np.pad(FULL[12:, 6:-6], ((12, 0), (6, 6)))).filter(ImageFilter.GaussianBlur(1)))
"""An object that runs out of the picture below and covers most of it."""
CLOSE_UP_ON_EDGE = np.asarray(Image.fromarray(np.pad(FULL[12:], ((12, 0), (0, 0)))).filter(ImageFilter.GaussianBlur(1)))
"""The same, out of more than half of the edge."""


@pytest.mark.parametrize("mask", [layered(0, HOLE), layered(255, HOLE), layered(128, HOLE), layered(255, 255 - SOFT)])
def test_what_surrounds_a_part_erased_from_a_layer_may_be_either(mask: Image.Image) -> None:
    with pytest.raises(UnreadableImageError, match="is opaque around a transparent part, and either may be the object; save it without transparency"):
        reading(mask)


@pytest.mark.parametrize("alpha", [CLOSE_UP, CLOSE_UP_ON_EDGE, AT_EDGE])
@pytest.mark.parametrize("kind", ["white", "black", "blue", "white where opaque", "cut-out"])
def test_an_object_that_covers_most_of_the_picture_and_its_edge_is_a_matte(kind: str, alpha: np.ndarray) -> None:
    colors = {
        "white": Image.new("L", SIZE, 255),
        "black": Image.new("L", SIZE),
        "blue": Image.new("RGB", SIZE, (30, 60, 200)),
        "white where opaque": alpha,
        "cut-out": PICTURE,
    }
    plane, meaning = reading(layered(colors[kind], alpha))
    assert meaning is (MaskMeaning.CUTOUT if kind == "cut-out" else MaskMeaning.PAINT)
    assert (plane == alpha).all()


@pytest.mark.parametrize("frame", [HOLE, 255 - SOFT])
@pytest.mark.parametrize("kind", ["opaque", "red", "white where opaque", "cut-out", "grey cut-out"])
def test_a_frame_that_brightness_colour_or_the_picture_marks_is_a_matte(kind: str, frame: np.ndarray) -> None:
    masks = {
        "opaque": Image.fromarray(frame),
        "red": red_paint(frame),
        "white where opaque": layered(frame, frame),
        "cut-out": layered(PICTURE, frame),
        "grey cut-out": layered(PICTURE.convert("L"), frame),
    }
    assert (reading(masks[kind])[0] == frame).all()


@pytest.mark.parametrize("kind", BY_BRIGHTNESS)
def test_a_few_stray_pixels_are_no_transparency(kind: str) -> None:
    mask, expected = BY_BRIGHTNESS[kind]
    plane, meaning = reading(mask)
    assert meaning is MaskMeaning.BRIGHTNESS
    assert np.abs(plane - expected)[1:].max() <= 1


@pytest.mark.parametrize("kind", BY_OPACITY)
def test_paint_and_cut_outs_are_read_by_their_opacity(kind: str) -> None:
    mask, expected = BY_OPACITY[kind]
    plane, meaning = reading(mask)
    assert meaning is (MaskMeaning.CUTOUT if "cut-out" in kind else MaskMeaning.PAINT)
    assert (plane == expected).all()


def test_black_as_the_transparent_colour_leaves_a_soft_matte_soft() -> None:
    plane, meaning = reading(Image.fromarray(SOFT), transparency=0)
    assert meaning is MaskMeaning.BRIGHTNESS
    assert (plane == SOFT).all()


@pytest.mark.parametrize("quality", [95, 60, 40])
@pytest.mark.parametrize("level", [40, 200, 230])
def test_a_grey_object_is_cut_out_of_its_scene_whatever_its_soft_edge_shows(level: int, quality: int) -> None:
    thing = even(level, 8.0)
    picture = scene(thing, quality)
    for cutout in (layered(thing, SOFT), layered(picture.convert("L"), SOFT)):
        plane, meaning = reading(cutout, picture)
        assert meaning is MaskMeaning.CUTOUT
        assert (plane == SOFT).all()


@pytest.mark.parametrize("picture", [PICTURE.convert("L"), PICTURE.convert("L").point(lambda level: 100 + level // 10)])
@pytest.mark.parametrize("highest", [255, 150])
def test_a_grey_cut_out_may_be_darkened_where_it_is_soft(picture: Image.Image, highest: int) -> None:
    alpha = (SOFT.astype(int) * highest // 255).astype(np.uint8)
    plane, meaning = reading(layered((np.asarray(picture).astype(int) * alpha // 255).astype(np.uint8), alpha), picture.convert("RGB"))
    assert meaning is MaskMeaning.CUTOUT
    assert (plane == alpha).all()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_says_two_things_or_none_is_refused(kind: str) -> None:
    mask, message = REFUSED[kind]
    with pytest.raises(UnreadableImageError, match=f"^{message}"):
        reading(mask)


def test_a_grey_cut_out_of_an_unknown_picture_may_be_anything() -> None:
    with pytest.raises(UnreadableImageError, match="marks one thing by its transparency"):
        reading(layered(PICTURE.convert("L"), SOFT), None)


MARKED: list[Callable[[np.ndarray], Image.Image]] = [Image.fromarray, lambda alpha: layered(255, alpha), lambda alpha: layered(0, alpha), red_paint]


@pytest.mark.parametrize("paint", MARKED)
def test_one_mark_means_the_same_however_it_is_painted(paint: Callable[[np.ndarray], Image.Image]) -> None:
    for alpha in (OBJECT, SOFT, np.roll(SOFT, 14, 1)):
        assert (reading(paint(alpha))[0] == alpha).all()
