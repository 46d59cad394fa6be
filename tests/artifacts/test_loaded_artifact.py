"""From seeds to pictures, by the Python API that the README shows."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mitlgan
from mitlgan import networks
from mitlgan.artifacts import sample_files, samples
from mitlgan.artifacts.card import Card, GeneratorSpec, LayerCard
from mitlgan.artifacts.loaded_artifact import BATCH, LoadedArtifact, artifact_path, load_artifact
from mitlgan.artifacts.network_stages import run_network
from mitlgan.artifacts.sample_files import stages_sheet_png, write_sample_files
from mitlgan.artifacts.samples import Samples
from mitlgan.data.sources.image_source import list_pictures
from mitlgan.errors import ArtifactError, ResourceError, UsageError
from mitlgan.images.alpha import on_checkerboard, split_premultiplied, unpremultiply
from mitlgan.images.encode import encode_png
from mitlgan.images.grid import HEADING_PX, MARGIN_PX, contact_sheet_png, grid_png, repeat_pixels, titled_grids_png
from mitlgan.images.pixels import to_uint8
from mitlgan.networks import CompositionStages, LayerTransform
from mitlgan.networks.placement import transform_layer
from mitlgan.recipe import ComposerRecipe, PlacementRecipe, ThesisGeneratorRecipe
from mitlgan.recipe.schema.composer import AlphaFusionRecipe
from mitlgan.recipe.schema.translators import NoTranslatorRecipe


@pytest.fixture
def fg(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["fg"])


@pytest.fixture
def bg(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["bg"])


@pytest.fixture
def scene(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["scene"])


def opened(data: bytes | Path) -> np.ndarray:
    """Pixels of a PNG, (H, W) or (H, W, C)."""
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_images_of_seeds(fg: LoadedArtifact) -> None:
    images = fg.sample([0, 1, 2])
    assert images.shape == (3, 3, 8, 8)
    assert images.dtype == torch.float32
    assert images.device.type == "cpu"
    assert not images.requires_grad
    assert -1 <= images.min() < images.max() <= 1
    assert not torch.equal(images[0], images[1])
    assert torch.equal(images, fg.sample([0, 1, 2]))


def test_a_seed_is_one_image_whatever_else_is_in_the_batch(fg: LoadedArtifact, scene: LoadedArtifact) -> None:
    for loaded in (fg, scene):
        many = loaded.sample(range(BATCH + 3))
        assert len(many) == BATCH + 3
        for seed in (0, BATCH - 1, BATCH, BATCH + 2):
            assert torch.allclose(many[seed], loaded.sample([seed])[0], atol=1e-5)


def test_a_layer_of_a_composition_is_the_layers_own_artifact(fg: LoadedArtifact, bg: LoadedArtifact, scene: LoadedArtifact) -> None:
    """Foreground 7 is foreground 7 everywhere, and swapping the background leaves it alone."""
    stages = scene.layers({"fg": [7, 7], "bg": [1, 2]})
    assert torch.allclose(stages.layers["fg"], fg.sample([7, 7]), atol=1e-6)
    assert torch.allclose(stages.layers["bg"], bg.sample([1, 2]), atol=1e-6)
    assert torch.equal(stages.layers["fg"][0], stages.layers["fg"][1])
    assert not torch.equal(stages.output[0], stages.output[1])
    assert torch.allclose(scene.sample({"bg": [1, 2], "fg": [7, 7]}), stages.output)
    assert torch.equal(scene.sample([5]), scene.sample({"fg": [5], "bg": [5]}))


def test_every_stage_has_its_shape_and_range(scene: LoadedArtifact) -> None:
    stages = scene.layers(range(BATCH + 1))
    assert list(stages.layers) == ["fg", "bg"]
    assert stages.matte is None
    for image in (*stages.layers.values(), stages.fused, stages.output):
        assert image.shape == (BATCH + 1, 3, 8, 8)
        assert -1 <= image.min() <= image.max() <= 1
    assert torch.equal(stages.output, scene.sample(range(BATCH + 1)))


def test_a_generator_is_its_own_only_layer(fg: LoadedArtifact) -> None:
    stages = fg.layers([3])
    assert list(stages.layers) == ["fg"]
    assert torch.equal(stages.layers["fg"], stages.output)
    assert torch.equal(stages.fused, stages.output)
    assert torch.equal(run_network(fg.network, fg.latents([3]), "fg").output, stages.output)


def test_values_beyond_the_range_are_clamped() -> None:
    """A last ReLU knows no upper bound."""
    stages = run_network(torch.nn.Hardtanh(-5, 5), torch.linspace(-4, 4, 12).view(1, 3, 2, 2), "fg")
    assert (stages.output.min(), stages.output.max()) == (-1, 1)


def test_seeds_that_cannot_be(fg: LoadedArtifact, scene: LoadedArtifact) -> None:
    for loaded in (fg, scene):
        with pytest.raises(UsageError, match=r"^seeds: none given; give at least one$"):
            loaded.sample([])
        with pytest.raises(UsageError, match=r"^seed -1: "):
            loaded.sample([-1])
    with pytest.raises(UsageError, match=r"^seeds: none given for bg; give some for each of fg, bg$"):
        scene.sample({"fg": [1]})
    with pytest.raises(UsageError, match="none given"):
        fg.layers([])
    with pytest.raises(UsageError, match=r"^seeds: 3 is one number; give a list, such as \[3\], or range\(3\)$"):
        fg.sample(3)  # type: ignore[arg-type]


def test_loads_from_a_file_and_from_a_run(artifacts: dict[str, Path], tmp_path: Path) -> None:
    for path in (artifacts["fg"], str(artifacts["fg"]), artifacts["fg"].parent):
        assert load_artifact(path).card.role == "fg"
    shutil.copy(artifacts["fg"], tmp_path / "generator.safetensors")
    shutil.copy(artifacts["scene"], tmp_path / "composer.safetensors")
    assert load_artifact(tmp_path).card.kind == "composer"


def test_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=rf"^{tmp_path}: holds no artifact yet; it is no run; `mitlgan runs ls` lists those of this folder$"):
        artifact_path(tmp_path)
    (tmp_path / "a demo" / "runs").mkdir(parents=True)
    with pytest.raises(ArtifactError, match=rf"; name one of its runs; `mitlgan runs ls --out '{tmp_path}/a demo/runs'` lists them$"):
        artifact_path(tmp_path / "a demo")
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(ArtifactError, match=rf"^{tmp_path}: holds no artifact yet; finish the run with `mitlgan resume {tmp_path}`$"):
        artifact_path(tmp_path)
    with pytest.raises(ArtifactError, match="no such artifact; `mitlgan runs ls` lists those of this folder"):
        mitlgan.load(tmp_path / "absent.safetensors")


def test_png_keeps_every_pixel() -> None:
    draw = torch.Generator().manual_seed(0)
    for channels in (1, 3, 4):
        image = torch.randint(0, 256, (channels, 5, 7), generator=draw, dtype=torch.uint8)
        pixels = opened(encode_png(image))
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
        assert opened(grid_png(images[:, :1].expand(5, channels, 4, 4), columns=2)).shape[2] == 3


def test_samples_are_written_one_by_one_and_as_a_grid(fg: LoadedArtifact, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    written = write_sample_files([Samples(["000003", "1234567"], fg.layers([3, 1_234_567]), [])], 2, out)
    assert written.pictures == [out / "000003.png", out / "1234567.png"]
    assert sorted(out.iterdir()) == written.pictures
    assert written.overview == tmp_path / "new" / "folder-grid.png"
    assert np.array_equal(opened(written.overview), opened(contact_sheet_png(fg.sample([3, 1_234_567]), ["3", "1234567"])))
    expected = to_uint8(fg.sample([3, 1_234_567]))
    for path, image in zip(written.pictures, expected, strict=True):
        assert np.array_equal(opened(path), image.permute(1, 2, 0).numpy())


def test_every_layer_is_written_on_request(scene: LoadedArtifact, fg: LoadedArtifact, tmp_path: Path) -> None:
    written = write_sample_files([Samples(["000000", "000001"], scene.layers([0, 1]), [])], 2, tmp_path / "out", every_layer=True)
    assert written.stages == {name: tmp_path / "out-layers" / name for name in ("fg", "bg", "fused")}
    for place in (tmp_path / "out", *written.stages.values()):
        assert sorted(path.name for path in place.iterdir()) == ["000000.png", "000001.png"]
    assert np.array_equal(opened(tmp_path / "out-layers" / "fg" / "000001.png"), to_uint8(fg.sample([1]))[0].permute(1, 2, 0).numpy())
    assert write_sample_files([Samples(["000000"], fg.layers([0]), [])], 1, tmp_path / "fg", every_layer=True).stages == {}


def test_as_a_set_the_folder_of_samples_is_the_samples(scene: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as data, its subfolders too; whatever name the folder goes by."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    names = [f"{seed:06d}" for seed in range(40)]
    for out in (Path("samples"), tmp_path / "other", Path(), Path("sub/..")):
        write_sample_files([Samples(names, scene.layers(range(40)), [])], 40, out, every_layer=True)
        if out == Path("samples"):
            assert len(list_pictures(out)) == 40
            shutil.rmtree(out)
            shutil.rmtree("samples-layers")
            Path("samples-grid.png").unlink()
        elif out == Path():  # names must be free
            for written in (tmp_path / "here").iterdir():
                written.unlink()
            shutil.rmtree(tmp_path / "here-layers")
            (tmp_path / "here-grid.png").unlink()
    for place in (tmp_path / "here", tmp_path / "other"):
        assert [path.name for path in list_pictures(place)] == [f"{name}.png" for name in names]
    assert {path.name for path in tmp_path.iterdir()} == {name + end for name in ("here", "other") for end in ("", "-grid.png", "-layers")}


def test_samples_in_batches_are_the_same_files(scene: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a batch: any number of pictures needs little memory."""
    seeds, written = range(3, 10), {}
    for per_batch in (64, 3, 1):
        monkeypatch.setattr(samples, "SAMPLES_PER_BATCH", per_batch)
        out = tmp_path / str(per_batch)
        files = write_sample_files(samples.batches_of_seeds(scene, seeds, {"fg": 2}), len(seeds), out, every_layer=True)
        assert [path.name for path in files.pictures] == [f"{seed:06d}.png" for seed in seeds]
        everything = [files.overview, *files.pictures, *(path for folder in files.stages.values() for path in sorted(folder.iterdir()))]
        assert len(everything) == 1 + 4 * len(seeds)
        written[per_batch] = [path.read_bytes() for path in everything]
    assert written[64] == written[3] == written[1]


def test_at_most_so_many_samples_are_rendered_at_once(fg: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SAMPLES_PER_BATCH", 4)
    sizes = []

    def watched() -> Iterator[Samples]:
        for batch in samples.batches_of_seeds(fg, range(10)):
            sizes.append(len(list((tmp_path / "out").glob("*.png"))))  # what was written before the next batch is rendered
            yield batch

    write_sample_files(watched(), 10, tmp_path / "out")
    assert sizes == [0, 4, 8]


def test_the_contact_sheet_of_very_many_has_the_first(fg: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_files, "MAX_OVERVIEW", 5)
    monkeypatch.setattr(samples, "SAMPLES_PER_BATCH", 3)
    files = write_sample_files(samples.batches_of_seeds(fg, range(8)), 8, tmp_path / "out")
    assert len(files.pictures) == 8
    assert np.array_equal(opened(files.overview), opened(contact_sheet_png(fg.sample(range(5)), list("01234"))))


def test_no_room_for_samples(fg: LoadedArtifact, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2 * 2**20 - 4096))
    with pytest.raises(ResourceError, match="no space left on the disk") as caught:
        write_sample_files([Samples([f"{seed:06d}" for seed in range(100)], fg.layers(range(100)), [])], 100, small_disk / "out")
    assert caught.value.exit_code == 5
    assert not list(small_disk.rglob("*.tmp"))


def test_interrupted_samples_leave_nothing(scene: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sample_files, "_write_each", interrupt)
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            write_sample_files([Samples(["000000", "000001"], scene.layers([0, 1]), [])], 2, out, every_layer=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_file_where_the_folder_should_be(fg: LoadedArtifact, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ResourceError, match="cannot be written"):
        write_sample_files([Samples(["000000"], fg.layers([0]), [])], 1, tmp_path / "out")


# Layers with mattes: moved, held, written


@pytest.fixture(scope="module")
def three() -> LoadedArtifact:
    """Three layers of which two bring their mattes, composed by nothing but them."""
    torch.manual_seed(0)
    forms = {name: GeneratorSpec(ThesisGeneratorRecipe(latent_dim=3, widths=(4, 4), image_channels=channels), 16) for name, channels in
             (("sky", 3), ("hills", 4), ("tree", 4))}  # fmt: skip
    recipe = ComposerRecipe(fusion=AlphaFusionRecipe(harmonise=False), translator=NoTranslatorRecipe(), placement=PlacementRecipe())
    network = networks.build_composer(recipe, {name: form.build() for name, form in forms.items()}, 16).eval().requires_grad_(False)
    layers = {name: LayerCard(role="fg", generator=form.generator, sha256_before="", sha256_after="") for name, form in forms.items()}
    return LoadedArtifact(network, Card(kind="composer", role="scene", size_px=16, latent_dims=network.latent_dims, composer=recipe, layers=layers))


def test_a_layer_stands_where_it_is_put(three: LoadedArtifact) -> None:
    place = (0.5, -0.25, 0.5, True)
    stages = three.layers([0, 1], transforms={"tree": place})
    drawn = three.layers([0, 1])
    assert not torch.equal(stages.output, drawn.output)
    assert torch.equal(stages.placed["hills"], drawn.placed["hills"])  # the placement's own numbers stand where none are given
    stand = LayerTransform(*(torch.full((2,), number) for number in (0.5, -0.25, 0.5, -1.0)))
    moved = transform_layer(split_premultiplied(stages.layers["tree"]), stand)
    torch.testing.assert_close(stages.placed["tree"], torch.cat(moved, 1) * 2 - 1)
    assert torch.equal(three.layers([0, 1], transforms={"tree": stand}).output, stages.output)
    assert torch.equal(three.sample([0, 1], transforms={"tree": place}), stages.output)


def test_stands_of_one_number_per_image_go_along_with_their_chunks(three: LoadedArtifact) -> None:
    count = BATCH + 3
    stand = LayerTransform(torch.linspace(0.3, 1.0, count), torch.linspace(-1, 1, count), torch.zeros(count), torch.ones(count))
    many = three.sample(range(count), {"tree": stand})
    for index in (0, BATCH, count - 1):
        alone = LayerTransform(*(number[index : index + 1] for number in stand))
        torch.testing.assert_close(many[index], three.sample([index], {"tree": alone})[0])


def test_stands_that_cannot_be(three: LoadedArtifact, scene: LoadedArtifact, fg: LoadedArtifact) -> None:
    for loaded in (scene, fg):
        with pytest.raises(UsageError, match=r"^transforms: nothing can be moved in this artifact; only compositions by mattes can"):
            loaded.sample([0], {"fg": (1, 0, 0)})
    with pytest.raises(UsageError, match=r"^transforms: sky cannot be moved; give one of hills, tree$"):
        three.sample([0], {"sky": (1, 0, 0)})
    for numbers, told in (((0, 0, 0), "scale"), ((5, 0, 0), "scale"), ((float("nan"), 0, 0), "finite"), ((1, float("inf"), 0), "finite"),
                          ((1, 1000.5, 0), "x and y of tree must lie between -1000 and 1000"), ((1, 0, -2000), "x and y of tree")):  # fmt: skip
        with pytest.raises(UsageError, match=f"^transforms: .*{told}"):
            three.sample([0], {"tree": numbers})
    for form in ((), (1, 0), (1, 0, 0, True, 1), (1, 0, 0, "left"), ("a", 0, 0), (1, None, 0), "abc", 5, None):
        with pytest.raises(UsageError, match=r"^transforms: .* of tree is not \(scale, x, y\) or \(scale, x, y, mirrored\)"):
            three.sample([0], {"tree": form})  # type: ignore[dict-item]
    for flips in ((0.0, 1.0), (1.0, 0.3), (-1.0, 2.0)):
        with pytest.raises(UsageError, match=r"^transforms: the flip of tree must be 1, or -1 for a mirrored layer$"):
            three.sample([0, 1], {"tree": LayerTransform(torch.ones(2), torch.zeros(2), torch.zeros(2), torch.tensor(flips))})
    three.sample([0], {"tree": (1, 1000, -1000)})  # far outside, and no error
    for index in range(4):
        for kind in (torch.bool, torch.complex64):
            form = [torch.ones(1, dtype=kind if index == other else torch.float32) for other in range(4)]
            with pytest.raises(UsageError, match=r"^transforms: those of tree: are of the type (bool|complex64); give floats$"):
                three.sample([0], {"tree": LayerTransform(*form)})
    with pytest.raises(UsageError, match=r"one per image \(3\) each"):
        three.sample([0, 1, 2], {"tree": LayerTransform(*(torch.ones(2) for _ in range(4)))})


def test_layers_that_are_held_while_the_others_change(three: LoadedArtifact) -> None:
    stages = three.layers(three.lock_seeds([0, 1, 2], {"tree": 7}))
    assert torch.equal(stages.layers["tree"], three.layers([7] * 3).layers["tree"])
    assert torch.equal(stages.layers["sky"], three.layers([0, 1, 2]).layers["sky"])
    assert torch.equal(stages.placed["tree"][0], stages.placed["tree"][2])  # it keeps its place, too
    moving = three.layers(three.lock_seeds([0, 1, 2], {"tree": 7, "place": 1}))
    assert torch.equal(moving.transforms["tree"].x, three.layers([1] * 3).transforms["tree"].x)
    others = three.layers(three.lock_seeds([0, 1], {"sky": 3}))
    assert torch.equal(others.transforms["tree"].x, three.layers([0, 1]).transforms["tree"].x)
    assert three.lock_seeds([4, 5], {}) == [4, 5]
    assert three.lock_seeds((seed for seed in (4, 5)), {"tree": 7}) == three.lock_seeds([4, 5], {"tree": 7})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^seeds: 4 is not a list of seeds"):
        three.lock_seeds(4, {"tree": 7})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^locks moon=1: no such layer; this artifact has sky, hills, tree, place$"):
        three.lock_seeds([0], {"moon": 1})


@pytest.mark.parametrize(("seeds", "message"), [
    ({"tree": [1]}, "none given for sky, hills; give some for each of sky, hills, tree"),
    ({"sky": [1], "hills": [1]}, "none given for tree; give some for each of sky, hills, tree"),
    ({"sky": [1], "hills": [1], "tree": [1], "moon": [1]}, "given for moon, which no layer is called; the layers are sky, hills, tree"),
    ({"tree": [1], "place": [1]}, "none given for sky, hills; give some for each of sky, hills, tree, place"),
])  # fmt: skip
def test_seeds_by_layer_that_lack_one_name_it(seeds: dict[str, list[int]], message: str, three: LoadedArtifact) -> None:
    """The placement, which follows the frontmost layer, is never said to be missing or given where it was not."""
    with pytest.raises(UsageError, match=f"^seeds: {message}$"):
        three.sample(seeds)


def test_a_generator_has_nothing_to_hold(fg: LoadedArtifact) -> None:
    with pytest.raises(UsageError, match=r"^locks fg=1: no such layer"):
        fg.lock_seeds([0], {"fg": 1})


def test_layers_with_mattes_are_written_transparent(three: LoadedArtifact, tmp_path: Path) -> None:
    stages = three.layers(three.lock_seeds([4], {"sky": 2}), {"tree": (0.7, 0, 0)})
    written = write_sample_files([Samples(["000004"], stages, [])], 1, tmp_path / "out", every_layer=True).stages
    assert list(written) == ["sky", "hills", "tree", "fused", "matte", "hills-matte", "tree-matte", "hills-placed", "tree-placed"]
    canvas = Image.open(written["sky"] / "000004.png")
    assert canvas.mode == "RGB"
    for name in ("hills", "tree"):
        layer = Image.open(written[f"{name}-placed"] / "000004.png")
        assert layer.mode == "RGBA"
        canvas.paste(layer, mask=layer)
        assert (opened(written[f"{name}-matte"] / "000004.png") == np.asarray(layer)[:, :, 3]).all()
        own = Image.open(written[name] / "000004.png")
        for shade in (0, 255):  # un-premultiplied: on black and on white it is what the network made
            pasted = Image.new("RGB", own.size, (shade,) * 3)
            pasted.paste(own, mask=own)
            light, matte = split_premultiplied(stages.layers[name])
            wanted = (light + (1 - matte) * (shade / 255))[0].permute(1, 2, 0).numpy() * 255
            assert np.abs(np.asarray(pasted) - wanted).max() <= 2  # 8 bits of light, 8 of alpha, and Pillow's
    # The files alone make the composition again.
    difference = np.asarray(canvas).astype(int) - opened(written["fused"] / "000004.png").astype(int)
    assert np.abs(difference).max() <= 3


def test_a_generator_with_alpha_is_written_transparent_and_shown_on_squares(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = ThesisGeneratorRecipe(latent_dim=3, widths=(4,), image_channels=4)
    network = networks.build_generator(recipe, 8).eval().requires_grad_(False)
    loaded = LoadedArtifact(network, Card(kind="generator", role="fg", size_px=8, image_channels=4, latent_dims={"fg": 3}, generator=recipe))
    overview = write_sample_files([Samples(["000000"], loaded.layers([0]), [])], 1, tmp_path / "out").overview
    expected = unpremultiply(to_uint8(loaded.sample([0])))[0]
    assert np.array_equal(opened(tmp_path / "out" / "000000.png"), expected.permute(1, 2, 0).numpy())
    board = on_checkerboard(repeat_pixels(to_uint8(loaded.sample([0])), 16))[0].permute(1, 2, 0).numpy()
    grid = opened(overview)
    assert grid.shape[2] == 3
    assert np.array_equal(grid[MARGIN_PX : MARGIN_PX + 128, MARGIN_PX : MARGIN_PX + 128], board), "enlarged to be seen"


def test_the_sheet_lays_what_is_transparent_on_white() -> None:
    clear = torch.full((1, 4, 8, 8), -1.0)
    sheet = opened(stages_sheet_png(CompositionStages(layers={"fg": clear}, fused=clear, matte=None, output=clear)))
    assert (sheet[HEADING_PX:] == 255).all()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (16, 4), (17, 5), (64, 8)])
def test_a_sheet_of_one_stage_is_about_as_wide_as_high(count: int, columns: int) -> None:
    images = torch.zeros(count, 3, 8, 8)
    alone = opened(stages_sheet_png(CompositionStages(layers={"fg": images}, fused=images, matte=None, output=images)))
    assert np.array_equal(alone, opened(titled_grids_png({"Foreground": images}, max(columns, 4))))


def test_a_sheet_of_many_stages_has_four_columns_each_until_there_are_many_images() -> None:
    images, composed = torch.zeros(64, 3, 8, 8), torch.ones(64, 3, 8, 8)
    stages = CompositionStages(layers={"bg": images, "fg": images}, fused=images, matte=images[:, :1], output=composed)
    titles = ("Background", "Foreground", "Matte", "Fused")
    grids = {**dict.fromkeys(titles, images), "Composed": composed}
    assert opened(stages_sheet_png(stages)).shape == opened(titled_grids_png(grids, 4)).shape
