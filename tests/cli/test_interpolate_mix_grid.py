"""interpolate, mix, grid, directions, export, and sample by latent files: from the command to the pixels of the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Command
from numpy.typing import NDArray
from PIL import Image, ImageSequence

import mitlgan
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing import directions, read_directions
from mitlgan.images.pixels import to_uint8


@pytest.fixture
def scene(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["scene"])


def pixels(artifact: LoadedArtifact, seeds: dict[str, list[int]] | list[int]) -> NDArray[np.uint8]:
    """The picture of a seed, (H, W, C)."""
    found: NDArray[np.uint8] = to_uint8(artifact.sample(seeds))[0].permute(1, 2, 0).numpy()
    return found


def frames(path: Path) -> list[NDArray[np.uint8]]:
    with Image.open(path) as picture:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]


@pytest.mark.parametrize("form", ["webp", "png"])
def test_a_morph_ends_on_the_pictures_it_was_given(
    form: str, command: Command, folder: Path, artifacts: dict[str, Path], scene: LoadedArtifact
) -> None:
    out = folder / f"x.{form}"
    arguments = ("--from", 1, "--via", "fg=3,bg=4", "--to", 2, "--frames", 5, "--scale", 2, "--out", out, "--sheet", "sheet.png", "--device", "cpu")
    done = command("interpolate", artifacts["scene"], *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {"file": str(out), "sheet": "sheet.png", "frames": 9, "fps": 25.0, "size_px": 16}
    found = frames(out)
    assert len(found) == 9
    for at, seeds in ((0, [1]), (4, {"fg": [3], "bg": [4]}), (8, [2])):
        assert np.array_equal(found[at][::2, ::2], pixels(scene, seeds)), "bit by bit"  # type: ignore[arg-type]
    assert Image.open("sheet.png").format == "PNG"


@pytest.mark.parametrize("form", ["webp", "png"])
def test_a_morph_of_equal_frames_is_said_to_be_a_still_picture(form: str, command: Command, folder: Path, artifacts: dict[str, Path]) -> None:
    done = command("interpolate", artifacts["scene"], "--from", 1, "--to", 2, "--frames", 6, "--truncation", 0, "--out", f"x.{form}")
    assert (done.code, done.out) == (0, f"x.{form}: 6 frames, all equal: a still picture\n")
    assert len(frames(Path(f"x.{form}"))) == 1


def test_a_morph_of_one_layer_by_default_is_large_and_goes_home(
    command: Command, folder: Path, artifacts: dict[str, Path], scene: LoadedArtifact
) -> None:
    done = command("interpolate", artifacts["scene"], "--from", 1, "--to", 2, "--layer", "bg", "--frames", 4, "--ping-pong", "--out", "x.webp")
    assert (done.code, done.out) == (0, "x.webp: 6 frames\n")
    found = frames(Path("x.webp"))
    assert found[0].shape == (256, 256, 3)
    assert np.array_equal(found[3][::32, ::32], pixels(scene, {"fg": [1], "bg": [2]}))
    assert np.array_equal(found[2], found[4])
    command("interpolate", artifacts["scene"], "--from", 1, "--to", 2, "--layer", "all", "--size", 20, "--frames", 3, "--loop", "--out", "x.gif")
    assert (len(frames(Path("x.gif"))), frames(Path("x.gif"))[0].shape) == (4, (20, 20, 3))


def test_a_child_and_its_latent(command: Command, folder: Path, artifacts: dict[str, Path], scene: LoadedArtifact) -> None:
    done = command("mix", artifacts["scene"], 1, 2, "--weight", "fg=0", "--weight", "bg=1", "--sheet", "family.png", "--json")
    assert done.json == {"picture": "child.png", "latent": "child.json", "sheet": "family.png"}
    assert np.array_equal(np.asarray(Image.open("child.png")), pixels(scene, {"fg": [1], "bg": [2]}))
    sampled = command("sample", artifacts["scene"], "--latent", "child.json", "--out", "again", "--json")
    assert (sampled.json["files"], sampled.json["grid"]) == (["again/child.png"], "again-grid.png")
    assert Path("again/child.png").read_bytes() == Path("child.png").read_bytes()
    done = command("mix", artifacts["scene"], "child.json", 2, "--features", "base", "--out", "f.png", "--scale", 3, "--json")
    assert (done.code, done.json["latent"]) == (0, None)
    assert Image.open("f.png").size == (24, 24)
    assert not Path("f.json").exists()


def test_a_crossing(command: Command, folder: Path, artifacts: dict[str, Path], scene: LoadedArtifact) -> None:
    done = command("grid", artifacts["scene"], "--row-seeds", "4", "--column-seeds", "7-8,11", "--scale", 8, "--json")
    assert done.json == {"picture": "grid.png", "rows": {"fg": [4]}, "columns": {"bg": [7, 8, 11]}}
    sheet = np.asarray(Image.open("grid.png").convert("RGB"))
    top, left = sheet.shape[0] - 80, sheet.shape[1] - (3 * 80) + 64 - 64
    cell = sheet[top : top + 64 : 8, left + 160 : left + 160 + 64 : 8]
    assert np.array_equal(cell, pixels(scene, {"fg": [4], "bg": [11]}))
    assert command("grid", artifacts["scene"], "--columns", "fg", "--seeds", "1", "--json").json["rows"] == {"bg": [1]}


@pytest.mark.parametrize("by", ["weights", "features"])
def test_directions_and_their_sheet(by: str, command: Command, folder: Path, artifacts: dict[str, Path], scene: LoadedArtifact) -> None:
    done = command(
        "directions",
        artifacts["scene"],
        "--layer",
        "bg",
        "--by",
        by,
        *(["--samples", 64] if by == "features" else []),
        "--out",
        "d.png",
        "--alone",
        "--json",
    )
    assert done.code == 0
    assert done.json["directions"] == "d.safetensors"
    kept = read_directions(Path("d.safetensors"), scene)
    assert kept.vectors.tolist() == directions(scene, layer="bg", by=by, samples=64).vectors.tolist()  # type: ignore[arg-type]
    assert done.json["shares"] == kept.shares.tolist()
    assert Image.open("d.png").format == "PNG"


def test_truncation_is_the_same_everywhere(command: Command, folder: Path, artifacts: dict[str, Path], scene: LoadedArtifact) -> None:
    command("sample", artifacts["scene"], "-n", 1, "--seed", 3, "--truncation", 0.5, "--out", "s")
    command("mix", artifacts["scene"], 3, 3, "--truncation", 0.5)
    command("interpolate", artifacts["scene"], "--from", 3, "--to", 4, "--truncation", 0.5, "--frames", 2, "--scale", 1, "--out", "x.png")
    expected = to_uint8(scene.images_from_latents(scene.latents([3]) * 0.5))[0].permute(1, 2, 0).numpy()
    for found in (np.asarray(Image.open("s/000003.png")), np.asarray(Image.open("child.png")), frames(Path("x.png"))[0]):
        assert np.array_equal(found, expected)


def test_exports(command: Command, folder: Path, artifacts: dict[str, Path]) -> None:
    done = command("export", artifacts["scene"], "--to", "card", "--json")
    assert done.json == {"file": "composer.md", "to": "card", "bytes": Path("composer.md").stat().st_size}
    assert command("export", artifacts["fg"], "--to", "png-sheet", "--out", "new/x.png").out == "new/x.png\n"
    assert Image.open("new/x.png").format == "PNG"


def test_python_has_the_same_by_the_same_names() -> None:
    for name in mitlgan.__all__:
        assert name in dir(mitlgan)
        assert callable(getattr(mitlgan, name)) or name == "__version__"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = mitlgan.nonsense


REFUSED = [
    (2, ["interpolate", "SCENE", "--from", "x", "--to", "2"], "--from x: give a seed"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--out", "x.avi"], "--out: there is no 'avi'"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--out", "x"], "--out: there is no 'ending'"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--layer", "sky"], "--layer: there is no layer 'sky'; choose from fg, bg"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--loop", "--ping-pong"], "--ping-pong: cannot be combined with --loop"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--scale", "2", "--size", "9"], "--size: cannot go with --scale"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--size", "4097", "--frames", "2"], "--size: 4097 px is not from 1 to 4096 px"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--frames", "3000", "--size", "2000"], "frames: 3000 of 2000 px are more than fit"),
    (2, ["interpolate", "SCENE", "--from", "1", "--to", "2", "--truncation", "nan"], "--truncation: "),
    (2, ["interpolate", "SCENE", "--from", "1"], "--to: is missing; give one (see"),
    (4, ["interpolate", "SCENE", "--from", "broken.json", "--to", "2"], "broken.json: not a latent file"),
    (4, ["sample", "SCENE", "--latent", "broken.json"], "broken.json: not a latent file"),
    (4, ["sample", "SCENE", "--latent", "other.json"], "other.json: has latents of fg (3); the artifact takes fg (3), bg (2)"),
    (2, ["sample", "SCENE", "--latent", "good.json", "--latent", "./good.json"], "--latent: two files have one name"),
    (2, ["mix", "SCENE", "1", "2", "--weight", "2"], "--weight 2: is not a share"),
    (2, ["mix", "SCENE", "1", "2", "--weight", "fg=x"], "--weight fg=x: write it as W or LAYER=W"),
    (2, ["mix", "SCENE", "1", "2", "--weight", "fg=0.1", "--weight", "fg=1"], "--weight fg=1: fg is given twice"),
    (2, ["mix", "SCENE", "1", "2", "--weight", "0.1", "--weight", "0.2"], "--weight 0.2: one for all is given twice"),
    (2, ["mix", "SCENE", "1", "2", "--weight", "0.1", "--weight", "fg=1"], "--weight: one for all and some by layer"),
    (2, ["mix", "SCENE", "1", "2", "--features", "9"], "features 9: choose a stage before the image: 1 (base)"),
    (2, ["grid", "SCENE", "--rows", "sky"], "rows: there is no layer 'sky'"),
    (2, ["grid", "SCENE", "--seeds", "7-3"], "--seeds 7-3: 7-3 is not at most 1,000 seeds"),
    (2, ["grid", "SCENE", "--seeds", "a"], "--seeds a: write seeds as 0-7 or 1,5,9"),
    (2, ["grid", "SCENE", "--seeds", "a", "--row-seeds", "1"], "--seeds a: write seeds as 0-7 or 1,5,9"),
    (2, ["grid", "SCENE", "--seeds", "1", "--row-seeds", "3-1"], "--row-seeds 3-1: 3-1 is not at most 1,000 seeds"),
    (2, ["grid", "FG"], "FG: has one latent (fg), so there is nothing to cross"),
    (2, ["directions", "SCENE", "--stage", "1"], "stage: weights are always those of the first"),
    (2, ["directions", "SCENE", "-k", "9"], "--count: 9 directions of a latent of 3 numbers"),
    (2, ["export", "SCENE"], "--to: is missing; give onnx, torch-export, png-sheet, card, slim, ora, psd, hub-folder (see"),
    (5, ["export", "SCENE", "--to", "card", "--out", "good.json/x.md"], "good.json"),
    (5, ["mix", "SCENE", "1", "2", "--out", "good.json/x.png"], "good.json"),
    (4, ["export", "absent", "--to", "card"], "absent: no such artifact"),
]


@pytest.mark.parametrize(("code", "arguments", "message"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input_is_one_line_and_leaves_nothing(
    code: int, arguments: list[str], message: str, command: Command, folder: Path, artifacts: dict[str, Path]
) -> None:
    Path("broken.json").write_text("{")
    Path("other.json").write_text(json.dumps({"latents": {"fg": [1, 2, 3]}}))
    Path("good.json").write_text(json.dumps({"latents": {"fg": [1, 2, 3], "bg": [1, 2]}}))
    before = sorted(folder.rglob("*"))
    named = {"SCENE": str(artifacts["scene"]), "FG": str(artifacts["fg"])}
    done = command(*(named.get(argument, argument) for argument in arguments), *([] if arguments[0] == "export" else ["--device", "cpu"]))
    assert done.out == ""
    assert done.code == code
    assert done.err.replace(named["FG"], "FG").startswith(message)
    assert done.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
