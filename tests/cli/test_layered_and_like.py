"""sample and export: layers for picture editors, pictures made again from their files, sizes by named filters."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Command
from numpy.typing import NDArray
from PIL import Image

import mitlgan
from mitlgan.artifacts.picture_record import read_record
from mitlgan.recipe import shipped_folder

SCENE = shipped_folder("pretrained") / "modern-32"


def opened(path: Path | str) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_layers_for_an_editor_are_written_and_never_over_an_existing_file(command: Command, folder: Path) -> None:
    done = command("export", SCENE, "--to", "ora", "--seed", "3", "--out", "new/scene.ora", "--json")
    assert done.json == {"file": "new/scene.ora", "to": "ora", "bytes": Path("new/scene.ora").stat().st_size}
    before = Path("new/scene.ora").read_bytes()
    command("sample", SCENE, "-n", 1, "--seed", 3)
    with zipfile.ZipFile("new/scene.ora") as archive:
        merged = archive.read("mergedimage.png")
    assert np.array_equal(opened("samples/000003.png"), np.asarray(Image.open(io.BytesIO(merged))))
    for path in ("new/scene.ora", "link.ora", "new"):
        if path == "link.ora":
            Path(path).symlink_to("nowhere")
        refused = command("export", SCENE, "--to", "ora", "--out", path)
        assert (refused.code, refused.err) == (2, f"--out {path}: exists already; choose another name, or remove it\n")
    assert Path("new/scene.ora").read_bytes() == before
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("to", ["card", "png-sheet", "hub-folder"])
def test_no_export_replaces_a_file(command: Command, folder: Path, to: str) -> None:
    Path("taken").write_text("mine")
    refused = command("export", SCENE, "--to", to, "--out", "taken")
    assert (refused.code, refused.err) == (2, "--out taken: exists already; choose another name, or remove it\n")
    assert Path("taken").read_text() == "mine"


def test_layers_of_a_picture_have_its_size(command: Command, folder: Path) -> None:
    """As `sample --like` makes it; a filter alone changes how it is resized."""
    made = ("--size", 96, "--truncation", 0.8, "--transform", "fg=0.6,0.2,-0.1,flip")
    command("sample", SCENE, "-n", 1, "--seed", 3, *made, "--out", "big")
    picture = Path("big/000003.png")
    assert command("export", SCENE, "--to", "ora", "--like", picture, "--out", "like.ora").code == 0
    mitlgan.export(mitlgan.load(SCENE), "ora", "api.ora", like=str(picture))
    for name in ("like.ora", "api.ora"):
        with zipfile.ZipFile(name) as archive:
            merged = archive.read("mergedimage.png")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(merged))), opened(picture))
        Path("merged.png").write_bytes(merged)
        assert read_record(Path("merged.png"), "x") == read_record(picture, "x")
    assert command("export", SCENE, "--to", "ora", "--like", picture, "--size", 48, "--out", "small.ora").code == 0
    with zipfile.ZipFile("small.ora") as archive:
        assert Image.open(io.BytesIO(archive.read("mergedimage.png"))).size == (48, 48)
    assert command("sample", "--like", picture, "--filter", "lanczos", "--out", "other").code == 0
    assert (opened("other/000003.png").shape, read_record(Path("other/000003.png"), "x").filter) == ((96, 96, 3), "lanczos")
    command("sample", SCENE, "-n", 1, "--seed", 3, "--out", "own")
    assert command("sample", "--like", "own/000003.png", "--filter", "lanczos", "--out", "none").code == 2


def test_files_next_to_a_slim_composition_are_named(command: Command, folder: Path) -> None:
    done = command("export", SCENE, "--to", "slim", "--out", "slim/scene.safetensors")
    assert done.out.split() == ["slim/scene.safetensors", "slim/card.json", "slim/times.json"]
    assert sorted(path.name for path in Path("slim").iterdir()) == ["card.json", "scene.safetensors", "times.json"]


def test_sample_writes_layers_of_several_pictures(command: Command, folder: Path) -> None:
    pyora = pytest.importorskip("pyora")
    done = command("sample", SCENE, "-n", 2, "--format", "ora", "--scale", 2, "--json")
    assert done.json["files"] == ["samples/000000.ora", "samples/000001.ora"]
    project = pyora.Project.load("samples/000001.ora")
    assert project.dimensions == (64, 64)
    assert [layer.name for layer in project.iter_layers] == ["Background", "Foreground", "Correction"]


def test_a_picture_is_made_again_from_its_file_alone(command: Command, folder: Path) -> None:
    command("sample", SCENE, "-n", 5, "--truncation", 0.8, "--transform", "fg=0.6,0.1,0.2,flip", "--size", 100, "--lock", "bg=9")
    done = command("sample", "--like", "samples/000003.png", "--out", "again", "--json")
    assert done.json["files"] == ["again/000003.png"]
    assert Path("again/000003.png").read_bytes() == Path("samples/000003.png").read_bytes()
    record = read_record(Path("samples/000003.png"))
    assert (record.size_px, record.filter, record.truncation) == (100, "bicubic", 0.8)
    assert record.transforms["fg"].model_dump() == {"scale": 0.6, "x": 0.1, "y": 0.2, "flip": True}
    assert json.loads(record.model_dump_json())["latents"] == {"fg": {"seed": 3}, "bg": {"seed": 9}, "place": {"seed": 3}}


@pytest.mark.parametrize(("locked", "moving"), [("far", "near"), ("near", "far")])
def test_a_locked_object_of_several_stays_and_its_pictures_are_made_again(command: Command, folder: Path, locked: str, moving: str) -> None:
    three = SCENE.parent / "three-32"
    command("sample", three, "-n", 4, "--seed", 3, "--layers", "--lock", f"{locked}=7")
    command("sample", three, "-n", 4, "--seed", 3, "--layers", "--out", "free")
    names = [f"{seed:06d}.png" for seed in range(3, 7)]
    alphas = {(folder_name, layer): [opened(f"{folder_name}-layers/{layer}-placed/{name}")[:, :, 3] for name in names]
              for folder_name in ("samples", "free") for layer in (locked, moving)}  # fmt: skip
    assert all(np.array_equal(alpha, alphas["samples", locked][0]) for alpha in alphas["samples", locked])
    assert all(np.array_equal(*pair) for pair in zip(alphas["samples", moving], alphas["free", moving], strict=True))
    assert not np.array_equal(*alphas["samples", moving][:2])
    for name in names:
        command("sample", "--like", f"samples/{name}", "--out", f"again-{name}")
        assert Path(f"again-{name}/{name}").read_bytes() == Path(f"samples/{name}").read_bytes()


def test_a_webp_and_a_child_are_made_again(command: Command, folder: Path) -> None:
    command("sample", SCENE, "-n", 3, "--format", "webp")
    command("sample", "--like", "samples/000002.webp", "--out", "again")
    command("sample", SCENE, "-n", 1, "--seed", 2, "--out", "seeded")
    assert np.array_equal(opened("again/000002.png"), opened("seeded/000002.png"))
    assert np.array_equal(opened("samples/000002.webp"), opened("seeded/000002.png"))
    command("mix", SCENE, 1, 2, "--scale", 2)
    command("sample", SCENE, "--like", "child.png", "--out", "child")
    assert Path("child/child.png").read_bytes() == Path("child.png").read_bytes()


def test_like_takes_other_sizes_formats_and_places(command: Command, folder: Path) -> None:
    command("sample", SCENE, "-n", 1, "--scale", 4)
    command("sample", "--like", "samples/000000.png", "--scale", 1, "--transform", "fg=0.5,0,0", "--out", "moved")
    command("sample", SCENE, "-n", 1, "--transform", "fg=0.5,0,0", "--out", "expected")
    assert Path("moved/000000.png").read_bytes() == Path("expected/000000.png").read_bytes()
    done = command("export", SCENE, "--to", "ora", "--like", "moved/000000.png")
    assert done.out == "composer.ora\n"


def test_no_metadata_leaves_nothing(command: Command, folder: Path) -> None:
    for form in ("png", "webp"):
        command("sample", SCENE, "-n", 1, "--no-metadata", "--format", form, "--out", form)
    command("mix", SCENE, 1, 2, "--no-metadata")
    for path in ("png/000000.png", "webp/000000.webp", "child.png"):
        refused = command("sample", "--like", path)
        assert (refused.code, refused.err.count("\n")) == (3, 1)
        assert refused.err.startswith(f"--like {path}: does not say how it was made")
        assert b"mitlgan" not in Path(path).read_bytes()
    command("export", SCENE, "--to", "ora", "--no-metadata")
    assert b"tensors" not in Path("composer.ora").read_bytes()
    assert mitlgan.load(SCENE).tensors_sha256.encode() not in Path("composer.ora").read_bytes()


def test_records_hold_no_path(command: Command, folder: Path) -> None:
    command("sample", SCENE, "-n", 1)
    text = read_record(Path("samples/000000.png")).to_text()
    assert "/" not in text
    assert "samples" not in text


def test_a_picture_of_an_artifact_that_is_not_here_says_which_is_missing(command: Command, folder: Path, artifacts: dict[str, Path]) -> None:
    command("sample", artifacts["scene"], "-n", 1)
    refused = command("sample", "--like", "samples/000000.png", "--out", "again")
    sha256 = mitlgan.load(artifacts["scene"]).tensors_sha256
    assert (refused.code, refused.err.count("\n")) == (4, 1)
    assert refused.err.startswith("--like samples/000000.png: no run of this folder and no shipped artifact made it; give the artifact")
    assert sha256[:12] in refused.err
    assert command("sample", artifacts["scene"], "--like", "samples/000000.png", "--out", "again").code == 0
    refused = command("sample", SCENE, "--like", "samples/000000.png")
    assert (refused.code, "was made by another artifact" in refused.err) == (4, True)
    run = Path("runs/compose/mine-001")
    run.mkdir(parents=True)
    (run / "composer.safetensors").write_bytes(artifacts["scene"].read_bytes())
    assert command("sample", "--like", "samples/000000.png", "--out", "found").code == 0
    assert Path("found/000000.png").read_bytes() == Path("samples/000000.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", 1], "--seed: cannot go with --like"),
        (["-n", 1], "--count: cannot go with --like"),
        (["--truncation", 0.5], "--truncation: cannot go with --like"),
        (["--lock", "fg=1"], "--lock: cannot go with --like"),
        (["--latent", "x.json"], "--latent: cannot go with --like"),
    ],
)
def test_like_goes_with_no_other_picture(command: Command, folder: Path, arguments: list[object], message: str) -> None:
    refused = command("sample", SCENE, "--like", "x.png", *arguments)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith(message)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", SCENE, "-n", 1],
        ["grid", SCENE],
        ["mix", SCENE, 1, 2],
        ["directions", SCENE],
        ["interpolate", SCENE, "--from", 1, "--to", 2],
        ["export", SCENE, "--to", "ora"],
    ],
)
def test_every_command_that_writes_pictures_refuses_the_same_sizes(command: Command, folder: Path, arguments: list[object]) -> None:
    for more, message in (
        (["--scale", 2, "--size", 64], "--size: cannot go with --scale; give one of them\n"),
        (["--size", 5000], "--size: 5000 px is not from 1 to 4096 px"),
        (["--filter", "sharp"], "--filter: "),
    ):
        refused = command(*arguments, *more)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert refused.err.startswith(message), refused.err
    assert not list(folder.iterdir())


def test_sizes_and_filters_reach_every_file(command: Command, folder: Path) -> None:
    command("sample", SCENE, "-n", 1, "--size", 80, "--filter", "lanczos", "--layers")
    assert opened("samples/000000.png").shape == (80, 80, 3)
    assert opened("samples-layers/fg-placed/000000.png").shape == (80, 80, 4)
    command("grid", SCENE, "--seeds", "0-1", "--scale", 1, "--out", "small.png")
    command("grid", SCENE, "--seeds", "0-1", "--size", 200, "--out", "large.png")
    assert opened("large.png").shape[0] - opened("small.png").shape[0] >= 2 * (200 - 32)
    Image.new("RGB", (60, 40), "red").save("photo.png")
    command("inpaint", "photo.png", "--method", "mean", "--hole", "25%,25%,50%,50%", "--size", 30, "--out", "filled.png")
    assert opened("filled.png").shape == (20, 30, 3)
    done = command("inpaint", "photo.png", "--method", "mean", "--hole", "25%,25%,50%,50%", "--json")
    assert done.json["pixels"] == 30 * 20
