"""The tour, `recipes/tour.ipynb`, executed as JupyterLab would with lengths of a few updates: what it made, and that it shows what it says."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image

import mitlgan
from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.animation import encode_animation
from mitlgan.images.grid import enlarge, grid_png
from mitlgan.recipe import load_recipe, shipped_folder
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

TOUR = shipped_folder("recipes") / "tour.ipynb"
SCALE = 0.005
SIZE_PX = 32
SHORT_EXPORTS = "from mitlgan.networks import batchnorm; batchnorm.RECALIBRATION_BATCHES = 1"


def test_it_is_kept_clean() -> None:
    nbformat.validate(json.loads(TOUR.read_text(encoding="utf-8")))
    kept = nbformat.read(TOUR, as_version=nbformat.NO_CONVERT)
    assert (kept.nbformat, kept.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in kept.cells]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all((cell.outputs, cell.execution_count) == ([], None) for cell in code)
    told = {ids[index + 1] for index, cell in enumerate(kept.cells[:-1]) if cell.cell_type == "markdown"}
    assert {cell.id for cell in code} <= told  # each is explained by the one before


def test_it_uses_only_what_the_package_offers() -> None:
    code = [line for cell in nbformat.read(TOUR, as_version=4).cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert [line for line in code if "mitlgan" in line and line.startswith(("import", "from"))] == ["import mitlgan"]
    names = {name for line in code for name in re.findall(r"\bmitlgan\.(\w+)", line)}
    assert names <= set(mitlgan.__all__)


class Walked:
    """The notebook with its outputs, and the folder in which it ran."""

    def __init__(self, notebook: Any, folder: Path) -> None:
        self.folder = folder
        self.outputs: dict[str, list[Any]] = {cell.id: cell.get("outputs", []) for cell in notebook.cells}

    def pictures(self, cell: str, kind: str = "png") -> list[bytes]:
        """What a cell shows, as it was encoded."""
        found = [output["data"] for output in self.outputs[cell] if "data" in output]
        return [base64.b64decode(data[f"image/{kind}"]) for data in found if f"image/{kind}" in data]

    def text(self, cell: str) -> str:
        """What a cell prints."""
        return "".join(output["text"] for output in self.outputs[cell] if output["output_type"] == "stream" and output["name"] == "stdout")

    def run(self, command: str, name: str) -> Run:
        """The only run of a name."""
        (found,) = (run for run in run_directory.list_all(self.folder / "runs") if run.path.parent.name == command and run.path.name.startswith(name))
        return found


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("tour")
    notebook = nbformat.read(TOUR, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MITLGAN_TOUR_SCALE", str(SCALE))
        patch.setenv("OMP_NUM_THREADS", "1")
        notebook.cells.insert(0, nbformat.v4.new_code_cell(SHORT_EXPORTS))
        NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return Walked(notebook, folder)


@pytest.fixture(scope="module")
def scene(walked: Walked) -> LoadedArtifact:
    return mitlgan.load(walked.run("compose", "modern").path)


def size_of(picture: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture)).size


def grid_size(columns: int, rows: int, scale: int) -> tuple[int, int]:
    """Of a grid of pictures, each with a rim of two pixels, enlarged."""
    return scale * (columns * (SIZE_PX + 2) + 2), scale * (rows * (SIZE_PX + 2) + 2)


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.slow  # a minute of one core
@pytest.mark.timeout(600)
def test_four_stages_were_trained_as_long_as_was_asked(walked: Walked, scene: LoadedArtifact) -> None:
    trained = {name: walked.run("pretrain", name) for name in ("modern-fg", "modern-bg", "wgan")} | {"modern": walked.run("compose", "modern")}
    assert {run.read_state() for run in trained.values()} == {"done"}
    assert {name: load_recipe(run.recipe_file).training.kimg for name, run in trained.items() if name != "wgan"} == {
        "modern-fg": 40 * SCALE, "modern-bg": 40 * SCALE, "modern": 24 * SCALE,
    }  # fmt: skip
    last = {name: json.loads((run.path / "timing.jsonl").read_text(encoding="utf-8").splitlines()[-1]) for name, run in trained.items()}
    stages_s = sum(last[name]["cpu_seconds"] for name in ("modern-fg", "modern-bg", "modern"))
    assert last["wgan"]["cpu_seconds"] > 0.9 * stages_s  # the WGAN has the time of all stages
    for layer in ("fg", "bg"):
        path = trained[f"modern-{layer}"].artifact_file
        assert path is not None
        made, used = read_weights_hash(path), scene.card.layers[layer]
        assert made == used.sha256_before == used.sha256_after  # frozen means frozen


@pytest.mark.slow  # a minute of one core
@pytest.mark.timeout(600)
def test_the_report_holds_every_arm_with_finite_figures(walked: Walked) -> None:
    compared = walked.run("compare", "modern")
    assert compared.report_file is not None
    page = compared.report_file.read_text(encoding="utf-8")
    found = json.loads((compared.path / "metrics.json").read_text(encoding="utf-8"))
    assert [arm["name"] for arm in found["arms"]] == ["composed", "baseline+pretraining", "baseline", "paste"]
    for arm in found["arms"]:
        assert arm["label"] in page
        assert {"fd", "kid"} <= arm["metrics"].keys()
        assert all(math.isfinite(number) for number in leaves(arm["metrics"]))
        assert 0 < arm["metrics"]["fd"] < 1e5
    assert found["protocol"]["samples"] == 64
    assert walked.text("compare").splitlines() == [found["verdict"]["headline"], f"The whole report: {compared.report_file.relative_to(walked.folder)}"]


@pytest.mark.slow  # a minute of one core
@pytest.mark.timeout(600)
def test_layers_and_mattes_are_those_of_the_artifact(walked: Walked, scene: LoadedArtifact) -> None:
    seen = scene.layers(range(8))
    (sheet,) = walked.pictures("layers")
    assert sheet == mitlgan.sheet(seen, scale=2, columns=4)
    width, height = grid_size(4, 2, 2)
    assert size_of(sheet) == (5 * width + 4 * 18, height + 30)  # foreground, background, matte, fused, composed
    drawn, placed = walked.pictures("mattes")
    assert size_of(drawn) == size_of(placed) == grid_size(8, 1, 2)
    assert (drawn, placed) == (grid_png(seen.layers["fg"], scale=2), grid_png(seen.placed["fg"], scale=2))
    assert seen.matte is not None
    assert 0 <= seen.matte.min() < seen.matte.max() <= 1
    assert walked.text("mattes") == f"Opaque on average: {seen.matte.mean():.2f} of a picture\n"


@pytest.mark.slow  # a minute of one core
@pytest.mark.timeout(600)
def test_a_held_layer_stays_while_the_other_changes(walked: Walked, scene: LoadedArtifact) -> None:
    rows = [scene.layers({"fg": [5] * 8, "bg": range(8)}), scene.layers({"fg": range(8), "bg": [2] * 8})]
    (picture,) = walked.pictures("hold")
    assert size_of(picture) == grid_size(8, 2, 3)
    assert picture == grid_png(torch.cat([row.output for row in rows]), scale=3)
    assert walked.text("hold") == "A held layer differs from picture to picture by at most 0\n"
    for row, held, free in zip(rows, ("fg", "bg"), ("bg", "fg"), strict=True):
        assert torch.equal(row.layers[held], row.layers[held][:1].expand(8, -1, -1, -1))
        assert all((row.layers[free][0] - other).abs().mean() > 0.01 for other in row.layers[free][1:])


@pytest.mark.slow  # a minute of one core
@pytest.mark.timeout(600)
def test_an_object_walks_and_grows(walked: Walked) -> None:
    (picture,) = walked.pictures("stand")
    assert size_of(picture) == grid_size(4, 1, 3)


@pytest.mark.slow  # a minute of one core
@pytest.mark.timeout(600)
def test_the_morph_moves_the_foreground_alone_between_its_two_seeds(walked: Walked, scene: LoadedArtifact) -> None:
    frames = mitlgan.interpolate(scene, [5, 9], frames=24, layers=["fg"], ping_pong=True)
    (moving,) = walked.pictures("morph", "gif")
    assert moving == encode_animation(enlarge(frames, scale=4).permute(0, 2, 3, 1).numpy(), "gif", 12)
    shown = Image.open(io.BytesIO(moving))
    assert (shown.size, shown.n_frames) == ((4 * SIZE_PX, 4 * SIZE_PX), 24 + 22)
    assert torch.equal(frames[0], scene.sample([5])[0])
    assert not torch.equal(frames[0], frames[23])
