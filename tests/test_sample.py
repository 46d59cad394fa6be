"""From seeds to pictures, by the Python API that the README shows."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mitlgan
from mitlgan.data.packed import to_uint8
from mitlgan.errors import ArtifactError, ResourceError, UsageError
from mitlgan.sample import CHUNK, Artifact, artifact_file, grid_png, load, png, stages_of, straight, write_pictures


@pytest.fixture
def fg(artifacts: dict[str, Path]) -> Artifact:
    return mitlgan.load(artifacts["fg"])


@pytest.fixture
def bg(artifacts: dict[str, Path]) -> Artifact:
    return mitlgan.load(artifacts["bg"])


@pytest.fixture
def scene(artifacts: dict[str, Path]) -> Artifact:
    return mitlgan.load(artifacts["scene"])


def opened(data: bytes | Path) -> np.ndarray:
    """Pixels of a PNG, (H, W) or (H, W, C)."""
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_images_of_seeds(fg: Artifact) -> None:
    images = fg.sample([0, 1, 2])
    assert images.shape == (3, 3, 8, 8)
    assert images.dtype == torch.float32
    assert images.device.type == "cpu"
    assert not images.requires_grad
    assert -1 <= images.min() < images.max() <= 1
    assert not torch.equal(images[0], images[1])
    assert torch.equal(images, fg.sample([0, 1, 2]))


def test_a_seed_is_one_image_whatever_else_is_in_the_batch(fg: Artifact, scene: Artifact) -> None:
    for loaded in (fg, scene):
        many = loaded.sample(range(CHUNK + 3))
        assert len(many) == CHUNK + 3
        for seed in (0, CHUNK - 1, CHUNK, CHUNK + 2):
            assert torch.allclose(many[seed], loaded.sample([seed])[0], atol=1e-5)


def test_a_layer_of_a_composition_is_the_layers_own_artifact(fg: Artifact, bg: Artifact, scene: Artifact) -> None:
    """Foreground 7 is foreground 7 everywhere, and swapping the background leaves it alone."""
    stages = scene.layers({"fg": [7, 7], "bg": [1, 2]})
    assert torch.allclose(stages.layers["fg"], fg.sample([7, 7]), atol=1e-6)
    assert torch.allclose(stages.layers["bg"], bg.sample([1, 2]), atol=1e-6)
    assert torch.equal(stages.layers["fg"][0], stages.layers["fg"][1])
    assert not torch.equal(stages.output[0], stages.output[1])
    assert torch.allclose(scene.sample({"bg": [1, 2], "fg": [7, 7]}), stages.output)
    assert torch.equal(scene.sample([5]), scene.sample({"fg": [5], "bg": [5]}))


def test_every_stage_has_its_shape_and_range(scene: Artifact) -> None:
    stages = scene.layers(range(CHUNK + 1))
    assert list(stages.layers) == ["fg", "bg"]
    assert stages.matte is None
    for image in (*stages.layers.values(), stages.fused, stages.output):
        assert image.shape == (CHUNK + 1, 3, 8, 8)
        assert -1 <= image.min() <= image.max() <= 1
    assert torch.equal(stages.output, scene.sample(range(CHUNK + 1)))


def test_a_generator_is_its_own_only_layer(fg: Artifact) -> None:
    stages = fg.layers([3])
    assert list(stages.layers) == ["fg"]
    assert torch.equal(stages.layers["fg"], stages.output)
    assert torch.equal(stages.fused, stages.output)
    assert torch.equal(stages_of(fg.network, fg.latents([3]), "fg").output, stages.output)


def test_values_beyond_the_range_are_clamped() -> None:
    """A last ReLU knows no upper bound."""
    stages = stages_of(torch.nn.Hardtanh(-5, 5), torch.linspace(-4, 4, 12).view(1, 3, 2, 2), "fg")
    assert (stages.output.min(), stages.output.max()) == (-1, 1)


def test_seeds_that_cannot_be(fg: Artifact, scene: Artifact) -> None:
    for loaded in (fg, scene):
        with pytest.raises(UsageError, match=r"^seeds: none given; give at least one$"):
            loaded.sample([])
        with pytest.raises(UsageError, match=r"^seed -1: "):
            loaded.sample([-1])
    with pytest.raises(UsageError, match=r"^seeds: given for fg, but the layers are fg, bg$"):
        scene.sample({"fg": [1]})
    with pytest.raises(UsageError, match="none given"):
        fg.layers([])


def test_loads_from_a_file_and_from_a_run(artifacts: dict[str, Path], tmp_path: Path) -> None:
    for path in (artifacts["fg"], str(artifacts["fg"]), artifacts["fg"].parent):
        assert load(path).card.role == "fg"
    shutil.copy(artifacts["fg"], tmp_path / "generator.safetensors")
    shutil.copy(artifacts["scene"], tmp_path / "composer.safetensors")
    assert load(tmp_path).card.kind == "composer"


def test_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=rf"^{tmp_path}: holds no artifact yet; finish the run with `mitlgan resume {tmp_path}`$"):
        artifact_file(tmp_path)
    with pytest.raises(ArtifactError, match="no such artifact; `mitlgan runs ls` lists those of this folder"):
        mitlgan.load(tmp_path / "absent.safetensors")


def test_png_keeps_every_pixel() -> None:
    draw = torch.Generator().manual_seed(0)
    for channels in (1, 3, 4):
        image = torch.randint(0, 256, (channels, 5, 7), generator=draw, dtype=torch.uint8)
        pixels = opened(png(image))
        assert np.array_equal(pixels if channels > 1 else pixels[:, :, None], image.permute(1, 2, 0).numpy())


def test_grid_places_images_in_rows_and_enlarges_whole_pixels() -> None:
    images = torch.arange(6).view(6, 1, 1, 1).expand(6, 3, 4, 4).to(torch.uint8) * 40
    for scale in (1, 3):
        pixels = opened(grid_png(images, columns=4, scale=scale))
        cell, gap = 4 * scale, 2 * scale
        assert pixels.shape == (gap + 2 * (cell + gap), gap + 4 * (cell + gap), 3)
        for index in range(6):
            top, left = (gap + place * (cell + gap) for place in divmod(index, 4))
            assert (pixels[top : top + cell, left : left + cell] == 40 * index).all()
        assert (pixels[:gap] == 255).all()


def test_grid_takes_floats_and_bytes_alike() -> None:
    images = torch.rand(5, 3, 4, 4) * 2 - 1
    assert grid_png(images, columns=2) == grid_png(to_uint8(images), columns=2)
    for channels in (1, 4):
        assert opened(grid_png(images[:, :1].expand(5, channels, 4, 4), columns=2)).shape[2] == max(3, channels)


def test_samples_are_written_one_by_one_and_as_a_grid(fg: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    written = write_pictures(fg.layers([3, 1_234_567]), ["000003", "1234567"], out)
    assert [path.name for path in written] == ["grid.png", "000003.png", "1234567.png"]
    assert sorted(out.iterdir()) == sorted(written)
    expected = to_uint8(fg.sample([3, 1_234_567]))
    for path, image in zip(written[1:], expected, strict=True):
        assert np.array_equal(opened(path), image.permute(1, 2, 0).numpy())


def test_every_layer_is_written_on_request(scene: Artifact, fg: Artifact, tmp_path: Path) -> None:
    names = [path.name for path in write_pictures(scene.layers([0, 1]), ["000000", "000001"], tmp_path, every_layer=True)]
    assert names == ["grid.png"] + [f"00000{seed}{suffix}.png" for suffix in ("", "-fg", "-bg", "-fused") for seed in (0, 1)]
    assert np.array_equal(opened(tmp_path / "000001-fg.png"), to_uint8(fg.sample([1]))[0].permute(1, 2, 0).numpy())
    assert [path.name for path in write_pictures(fg.layers([0]), ["000000"], tmp_path / "fg", every_layer=True)] == ["grid.png", "000000.png"]


def test_row_5_no_room_for_samples(fg: Artifact, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2 * 2**20 - 4096))
    with pytest.raises(ResourceError, match="no space left on the disk") as caught:
        write_pictures(fg.layers(range(100)), [f"{seed:06d}" for seed in range(100)], small_disk / "out")
    assert caught.value.exit_code == 5
    assert not list(small_disk.rglob("*.tmp"))


def test_a_file_where_the_folder_should_be(fg: Artifact, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ResourceError, match="cannot be written"):
        write_pictures(fg.layers([0]), ["000000"], tmp_path / "out")


def test_colours_of_files_are_not_premultiplied() -> None:
    """Half of pure red over black is red in a PNG, at half opacity; where nothing is, the colour does not matter, and is a number."""
    image = torch.tensor([0.5, 0.0, 0.0, 0.5]).view(1, 4, 1, 1) * 2 - 1
    assert to_uint8(straight(image)).flatten().tolist() == [255, 0, 0, 128]
    assert to_uint8(straight(torch.full((1, 4, 1, 1), -1.0))).flatten().tolist() == [0, 0, 0, 0]
    assert torch.equal(straight(image[:, :3]), image[:, :3])
