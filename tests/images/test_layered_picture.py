"""Layers for picture editors: the correction, and the files as independent readers open them."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mitlgan.errors import UsageError
from mitlgan.images.layered_picture import CORRECTION, LayeredPicture, PictureLayer, with_correction
from mitlgan.images.open_raster import encode_open_raster
from mitlgan.images.photoshop import encode_photoshop

Pixels = NDArray[np.uint8]


def random_pixels(channels: int, seed: int, size_px: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (channels, size_px, size_px), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def object_layer(name: str, seed: int) -> PictureLayer:
    """A third of its pixels opaque, a third transparent, a third in between."""
    pixels = random_pixels(4, seed)
    thirds = random_pixels(1, seed + 1)[0].int() // 86
    pixels[3] = torch.where(thirds == 0, 0, torch.where(thirds == 1, 255, pixels[3].int())).to(torch.uint8)
    return PictureLayer(name, pixels)


def layered(objects: int = 2) -> LayeredPicture:
    """Layers whose composite, but for every fifth pixel, is the merged picture, to a rounding of its own."""
    background = torch.cat([random_pixels(3, 0), torch.full((1, 40, 40), 255, dtype=torch.uint8)])
    layers = [PictureLayer("Background", background), *(object_layer(f"Object {index}", 10 * index + 1) for index in range(objects))]
    light = background[:3].double()
    for layer in layers[1:]:
        alpha = layer.pixels[3].double() / 255
        light = layer.pixels[:3].double() * alpha + light * (1 - alpha)
    merged = light.floor().to(torch.uint8)
    merged[:, ::5] = 255 - merged[:, ::5]
    return with_correction(layers, merged)


def pixels_of(layer: torch.Tensor) -> Pixels:
    array: Pixels = layer.permute(1, 2, 0).numpy()
    return array


def by_pillow(picture: LayeredPicture) -> Pixels:
    canvas = Image.new("RGBA", (picture.width, picture.height))
    for layer in picture.layers:
        canvas.alpha_composite(Image.fromarray(pixels_of(layer.pixels)))
    return np.asarray(canvas.convert("RGB"))


def by_integers(picture: LayeredPicture) -> Pixels:
    """In 8 bits premultiplied, as pixman and Qt do."""
    color, alpha = np.zeros((40, 40, 3), dtype=np.int64), np.zeros((40, 40, 1), dtype=np.int64)
    for layer in picture.layers:
        straight = pixels_of(layer.pixels).astype(np.int64)
        a = straight[..., 3:]
        color = _divided(straight[..., :3] * a) + _divided(color * (255 - a))
        alpha = a + _divided(alpha * (255 - a))
    assert (alpha == 255).all()
    return color.astype(np.uint8)


def _divided(product: NDArray[np.int64]) -> NDArray[np.int64]:
    return (product + 128 + (product + 128 >> 8)) >> 8


def by_truncation(picture: LayeredPicture) -> Pixels:
    """In floats that are cut, not rounded."""
    light = np.zeros((40, 40, 3), dtype=np.float64)
    for layer in picture.layers:
        straight = pixels_of(layer.pixels).astype(np.float64)
        share = straight[..., 3:] / 255
        light = straight[..., :3] * share + light * (1 - share)
    return light.astype(np.uint8)


@pytest.mark.parametrize("compose", [by_pillow, by_integers, by_truncation])
@pytest.mark.parametrize("objects", [1, 2])
def test_normal_blending_gives_the_merged_picture_however_an_editor_rounds(compose: Callable[[LayeredPicture], Pixels], objects: int) -> None:
    picture = layered(objects)
    assert np.array_equal(compose(picture), pixels_of(picture.merged))
    assert not np.array_equal(compose(LayeredPicture(picture.layers[:-1], picture.merged)), pixels_of(picture.merged)), "the correction is needed"


def test_layers_below_stay_as_they_are_and_are_seen_where_they_suffice() -> None:
    picture = layered()
    assert [layer.name for layer in picture.layers] == ["Background", "Object 0", "Object 1", CORRECTION]
    assert torch.equal(picture.layers[1].pixels, object_layer("", 1).pixels)
    hidden = picture.layers[-1].pixels[3] > 0
    assert 0.2 < float(hidden.float().mean()) < 0.8


def test_openraster_is_as_its_specification_says() -> None:
    picture = layered()
    content = encode_open_raster(picture, "made by a test")
    assert content[30:38] == b"mimetype"
    assert content[38:54] == b"image/openraster"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.extra) == ("mimetype", zipfile.ZIP_STORED, b"")
        assert archive.testzip() is None
        root = ElementTree.fromstring(archive.read("stack.xml"))
        assert (root.tag, root.get("w"), root.get("h")) == ("image", "40", "40")
        stack = root.find("stack")
        assert stack is not None
        assert [layer.get("name") for layer in stack] == [CORRECTION, "Object 1", "Object 0", "Background"], "the frontmost first"
        for layer, expected in zip(stack, reversed(picture.layers), strict=True):
            with archive.open(layer.get("src") or "") as file, Image.open(file) as image:
                assert image.format == "PNG"
                assert np.array_equal(np.asarray(image), pixels_of(expected.pixels))
        with archive.open("mergedimage.png") as file, Image.open(file) as image:
            assert np.array_equal(np.asarray(image), pixels_of(picture.merged))
            assert image.info["mitlgan"] == "made by a test"
        with archive.open("Thumbnails/thumbnail.png") as file, Image.open(file) as image:
            assert image.size == (40, 40), "never enlarged"
    assert encode_open_raster(picture, "made by a test") == content, "no date in it"


def test_a_thumbnail_has_at_most_256_px() -> None:
    large = LayeredPicture((PictureLayer("One", torch.zeros(4, 200, 600, dtype=torch.uint8)),), torch.zeros(3, 200, 600, dtype=torch.uint8))
    with zipfile.ZipFile(io.BytesIO(encode_open_raster(large))) as archive, archive.open("Thumbnails/thumbnail.png") as file:
        assert Image.open(file).size == (256, 85)


@pytest.mark.parametrize("objects", [1, 2])
def test_pyora_reads_the_same_layers(objects: int) -> None:
    pyora = pytest.importorskip("pyora")
    picture = layered(objects)
    project = pyora.Project.load(io.BytesIO(encode_open_raster(picture)))
    assert project.dimensions == (40, 40)
    for layer, expected in zip(project.iter_layers, picture.layers, strict=True):
        assert (layer.name, layer.opacity, layer.hidden, layer.offsets) == (expected.name, 1.0, False, (0, 0))
        assert np.array_equal(np.asarray(layer.get_image_data(raw=False)), pixels_of(expected.pixels))
    for use_original in (True, False):  # the stored picture, and the one that pyora composes
        shown = np.asarray(project.get_image_data(use_original=use_original).convert("RGB"))
        assert np.array_equal(shown, pixels_of(picture.merged))


@pytest.mark.parametrize("objects", [1, 2])
def test_psd_tools_reads_the_same_layers_with_their_mattes_as_masks(objects: int) -> None:
    psd_tools = pytest.importorskip("psd_tools")
    picture = layered(objects)
    document = psd_tools.PSDImage.open(io.BytesIO(encode_photoshop(picture)))
    assert [layer.name for layer in document] == [layer.name for layer in picture.layers]
    for layer, expected in zip(document, picture.layers, strict=True):
        pixels = pixels_of(expected.pixels)
        assert np.array_equal(np.asarray(layer.topil().convert("RGB")), pixels[..., :3])
        assert layer.has_mask() == (expected.name != "Background")
        if layer.has_mask():
            assert np.array_equal(np.asarray(layer.mask.topil()), pixels[..., 3])
    assert np.array_equal(np.asarray(document.topil()), pixels_of(picture.merged))
    assert np.array_equal(np.asarray(document.composite(force=True).convert("RGB")), pixels_of(picture.merged))


def test_a_psd_of_a_transparent_picture_is_merged_on_white() -> None:
    psd_tools = pytest.importorskip("psd_tools")
    layer = object_layer("Object", 3)
    document = psd_tools.PSDImage.open(io.BytesIO(encode_photoshop(LayeredPicture((layer,), layer.pixels))))
    straight = pixels_of(layer.pixels).astype(float)
    expected = np.rint(straight[..., :3] * straight[..., 3:] / 255 + 255 - straight[..., 3:])
    assert np.abs(np.asarray(document.topil()).astype(float) - expected).max() <= 1


def test_without_psd_tools_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psd_tools", None)
    with pytest.raises(UsageError, match=r"pip install 'mitlgan\[psd\]'"):
        encode_photoshop(layered())
