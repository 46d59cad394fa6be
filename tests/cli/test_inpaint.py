"""inpaint and inpaint-score, as a user calls them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_runs
from helpers.commands import Command
from PIL import Image

from mitlgan.artifacts.card import read_card
from mitlgan.inpainting import parse_hole
from mitlgan.stages.inpainter import train_inpainter


@pytest.fixture(scope="module")
def inpainter(packs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few updates."""
    return train_inpainter(tiny_runs.inpaint_recipe(packs["bg"]), tiny_runs.run_context(tmp_path_factory.mktemp("inpainter"))).path


@pytest.fixture
def photo(folder: Path) -> Path:
    pixels = np.random.default_rng(4).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder / "photo.png"


@pytest.mark.parametrize("method", ["context", "embed", "mean", "opencv"])
def test_only_the_hole_changes(command: Command, photo: Path, inpainter: Path, artifacts: dict[str, Path], method: str) -> None:
    given = {"context": inpainter, "embed": artifacts["bg"]}.get(method)
    options = ["--artifact", given] if given else []
    done = command("inpaint", photo, "--hole", "6,5,8,9", "--method", method, *options, "--out", "done.png", "--sheet", "sheet.png", "--json")
    assert done.code == 0, done.err
    assert (done.json["method"], done.json["pixels"]) == (method, 72)
    before, after = (np.asarray(Image.open(path)).astype(int) for path in (photo, "done.png"))
    hole = parse_hole("6,5,8,9", 20, 28)
    assert (before[~hole] == after[~hole]).all()
    assert (before[hole] != after[hole]).mean() > 0.5
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 3 * 28


def test_a_mask_and_the_shipped_artifact(command: Command, photo: Path) -> None:
    mask = Image.new("L", (28, 20))
    mask.paste(255, (10, 4, 15, 12))
    mask.save("mask.png")
    done = command("inpaint", photo, "--hole", "mask.png")
    assert (done.code, done.out) == (0, "inpainted.png: 40 of 560 pixels filled\n")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--hole", "25,0,9,9"], 2, "--hole 25,0,9,9: leaves the picture, which is 28 x 20 px"),
        (["--hole", "absent.png"], 3, "--hole absent.png: no such file"),
        (["--hole", "wrong.png"], 3, "--hole wrong.png: is 7 x 7 px, the picture 28 x 20 px; give a mask of its size"),
        (["--hole", "black.png"], 3, "--hole black.png: marks no pixel"),
        (["--hole", "white.png"], 3, "--hole white.png: covers the whole picture"),
        (["--hole", "page.png"], 3, "--hole page.png: HTML, not a picture"),
        (["--out", "done.jpg"], 2, "--out done.jpg: is written as PNG; let its name end in .png"),
        (["--out", "page.png/done.png"], 5, "page.png"),
        (["--artifact", "absent"], 4, "absent: no such artifact"),
        (["--method", "mean", "--artifact", "absent"], 2, "--artifact absent: --method mean takes no artifact"),
        (["--method", "magic"], 2, "--method: 'magic' is not one of"),
    ],
)
def test_bad_input_is_refused_in_one_line(command: Command, photo: Path, options: list[str], code: int, said: str) -> None:
    for name, picture in {"wrong": Image.new("L", (7, 7), 255), "black": Image.new("L", (28, 20)), "white": Image.new("L", (28, 20), 255)}.items():
        picture.save(f"{name}.png")
    Path("page.png").write_text("<html>")
    done = command("inpaint", photo, *options)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(said)
    assert len(done.err.splitlines()) == 1
    assert not list(Path.cwd().glob("inpainted*"))


def test_other_artifacts_and_pictures_are_refused_by_name(command: Command, photo: Path, artifacts: dict[str, Path], inpainter: Path) -> None:
    for options, said in (
        (["--artifact", artifacts["bg"]], "is a generator, which fills no holes; give a run of `mitlgan train inpaint/context-32`"),
        (["--method", "embed", "--artifact", inpainter], "is an inpainter, which makes no pictures of its own"),
        (["--method", "embed", "--artifact", artifacts["fg"]], ""),
    ):
        done = command("inpaint", photo, *options)
        assert (done.code, len(done.err.splitlines())) == (4, 1) if said else done.code == 0
        assert said in done.err
    done = command("inpaint", "absent.png")
    assert (done.code, done.err) == (3, "absent.png: no such picture\n")
    done = command("sample", inpainter)
    assert done.code == 4
    assert "`mitlgan inpaint IMAGE --artifact" in done.err


def test_the_score_prints_every_method_and_its_protocol(command: Command, folder: Path, inpainter: Path, artifacts: dict[str, Path]) -> None:
    options = ["--artifact", inpainter, "--embed", artifacts["bg"], "-n", 4, "--extractor", "efficientnet-lite0@32", "--threads", 1]
    done = command("inpaint-score", *options, "--sheet", "sheet.png", "--write-card", "--json")
    assert done.code == 0, done.err
    assert "has no validation pictures: its train pictures stand in" in done.err
    assert list(done.json["methods"]) == ["context", "opencv", "opencv-ns", "mean", "embed"]
    protocol = done.json["protocol"]
    assert (protocol["count"], protocol["split"], protocol["hole"], protocol["extractor"]) == (4, "train", "center", "efficientnet-lite0@32")
    assert read_card(inpainter / "inpainter.safetensors").metrics["inpainting"] == done.json
    assert json.loads((inpainter / "card.json").read_text())["metrics"]["inpainting"] == done.json
    assert Image.open(io.BytesIO(Path("sheet.png").read_bytes())).width > 7 * 8
    table = command("inpaint-score", *options[:2], "-n", 4, "--extractor", "efficientnet-lite0@32", "--method", "mean", "--method", "context")
    assert table.code == 0, table.err
    assert [line.split()[0] for line in table.out.splitlines()] == ["4", "method", "mean", "context", "context,"]
    numbers = done.json["methods"]["mean"]
    assert f"{numbers['psnr_db']['value']:.2f} ± {numbers['psnr_db']['std_error']:.2f}" in table.out
