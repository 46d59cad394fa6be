"""Compositions as layers of a picture editor's file: the shipped ones, by independent readers, layer by layer."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.keyed_composition import write
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import mitlgan
from mitlgan.artifacts.layered_files import check_layered_format, encode_layered, layered_picture
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.sample_files import write_sample_files
from mitlgan.artifacts.samples import Samples
from mitlgan.errors import UsageError
from mitlgan.images.alpha import unpremultiply
from mitlgan.images.layered_picture import CORRECTION
from mitlgan.images.pixels import to_uint8
from mitlgan.images.resize import PictureSize
from mitlgan.networks import Composer, CompositionStages
from mitlgan.recipe import shipped_folder

SHIPPED = ("modern-32", "three-32", "thesis-narrow-32")


@pytest.fixture(scope="module", params=[*SHIPPED, "keyed"])
def composition(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedArtifact:
    """Two and three layers, own and learned mattes, a harmonizer, a bounded correction, and a fusion without mattes."""
    if request.param == "keyed":
        return mitlgan.load(write(tmp_path_factory.mktemp("keyed") / "scene" / "composer.safetensors"))
    return mitlgan.load(shipped_folder("pretrained") / request.param)


def pixels(images: Tensor) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = unpremultiply(to_uint8(images))[0].permute(1, 2, 0).numpy()
    return array


def product_layers(artifact: LoadedArtifact, stages: CompositionStages) -> list[NDArray[np.uint8]]:
    """The pictures that `sample --layers` writes, from back to front."""
    background, *objects = artifact.card.back_to_front()
    return [pixels(stages.layers[background]), *(pixels(stages.placed.get(name, stages.layers[name])) for name in objects)]


@pytest.mark.parametrize("seed", [0, 7])
def test_an_openraster_has_the_products_own_pictures(composition: LoadedArtifact, seed: int) -> None:
    pyora = pytest.importorskip("pyora")
    stages = composition.layers([seed])
    project = pyora.Project.load(io.BytesIO(encode_layered(layered_picture(composition, stages), "ora")))
    layers = list(project.iter_layers)
    expected = product_layers(composition, stages)
    assert len(layers) == len(expected) + 1
    assert layers[-1].name == CORRECTION
    for layer, array in zip(layers, expected, strict=False):
        image = np.asarray(layer.get_image_data(raw=False))
        assert np.array_equal(image[..., : array.shape[2]], array)
        assert array.shape[2] == 4 or (image[..., 3] == 255).all()
    for use_original in (True, False):
        assert np.array_equal(np.asarray(project.get_image_data(use_original=use_original).convert("RGB")), pixels(stages.output))


@pytest.mark.parametrize("seed", [0, 7])
def test_a_psd_has_the_products_own_pictures_and_mattes_as_masks(composition: LoadedArtifact, seed: int) -> None:
    psd_tools = pytest.importorskip("psd_tools")
    stages = composition.layers([seed])
    document = psd_tools.PSDImage.open(io.BytesIO(encode_layered(layered_picture(composition, stages), "psd")))
    layers = list(document)
    for layer, array in zip(layers, product_layers(composition, stages), strict=False):
        assert np.array_equal(np.asarray(layer.topil().convert("RGB")), array[..., :3])
        assert layer.has_mask() == (array.shape[2] == 4)
        assert not layer.has_mask() or np.array_equal(np.asarray(layer.mask.topil()), array[..., 3])
    assert np.array_equal(np.asarray(document.topil()), pixels(stages.output))
    assert np.array_equal(np.asarray(document.composite(force=True).convert("RGB")), pixels(stages.output))


@pytest.mark.parametrize("size", [PictureSize(scale=3), PictureSize(size_px=80), PictureSize(size_px=50, filter="lanczos")])
def test_enlarged_layers_are_the_enlarged_picture(composition: LoadedArtifact, size: PictureSize) -> None:
    stages = composition.layers([3])
    picture = layered_picture(composition, stages, size)
    canvas = Image.new("RGBA", (picture.width, picture.height))
    for layer in picture.layers:
        canvas.alpha_composite(Image.fromarray(layer.pixels.permute(1, 2, 0).numpy()))
    assert np.array_equal(np.asarray(canvas.convert("RGB")), picture.merged.permute(1, 2, 0).numpy())
    assert canvas.width == size.target(32, 32)[0]


def test_objects_are_transparent_around_their_place() -> None:
    artifact = mitlgan.load(shipped_folder("pretrained") / "three-32")
    picture = layered_picture(artifact, artifact.layers([3], {"near": (0.5, -0.4, 0.4)}))
    alpha = picture.layers[2].pixels[3]
    rows, columns = (torch.nonzero(alpha.amax(axis) > 0)[:, 0] for axis in (1, 0))
    assert columns.max() < 20, "left"
    assert rows.min() > 12, "below"
    assert [layer.name for layer in picture.layers] == ["Background", "Far", "Near", CORRECTION]


def test_a_generator_alone_is_one_layer() -> None:
    artifact = mitlgan.load(shipped_folder("pretrained") / "modern-fg-32")
    stages = artifact.layers([3])
    picture = layered_picture(artifact, stages)
    assert [layer.name for layer in picture.layers] == ["Foreground"]
    assert np.array_equal(picture.layers[0].pixels.permute(1, 2, 0).numpy(), pixels(stages.output))


def test_the_layers_are_those_that_sample_writes(tmp_path: Path) -> None:
    artifact = mitlgan.load(shipped_folder("pretrained") / "modern-32")
    stages = artifact.layers([5])
    files = write_sample_files([Samples(["000005"], stages, [])], 1, tmp_path / "samples", every_layer=True)
    with Image.open(files.stages["fg-placed"] / "000005.png") as image:
        written = np.asarray(image)
    assert np.array_equal(layered_picture(artifact, stages).layers[1].pixels.permute(1, 2, 0).numpy(), written)


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^--format: there is no layered format 'xcf'; choose one of ora, psd"):
        check_layered_format("xcf", "--format")


def test_three_layers_of_128_px_take_less_than_a_third_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rendered stages; the generators' own time is theirs."""
    artifact = mitlgan.load(shipped_folder("pretrained") / "three-32")
    assert isinstance(artifact.network, Composer)
    stages = artifact.layers([1]).apply(
        lambda tensor: tensor if tensor.ndim < 4 else torch.nn.functional.interpolate(tensor, (128, 128), mode="bilinear")
    )
    times = []
    for _ in range(3):
        start = time.process_time()
        content = encode_layered(layered_picture(artifact, stages), "ora")
        times.append(time.process_time() - start)
    assert min(times) < 0.3
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len([name for name in archive.namelist() if name.startswith("data/")]) == 4
