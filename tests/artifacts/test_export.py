"""Artifacts elsewhere: the same pictures, checked before anything is written; cards that are text."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import mitlgan
from mitlgan.artifacts import export as exports
from mitlgan.artifacts import hub_folder, load_save
from mitlgan.artifacts.export import ExportableNetwork, export_artifact
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, load_artifact
from mitlgan.artifacts.markdown_card import escape_markdown, markdown_card
from mitlgan.artifacts.sample_files import stages_sheet_png
from mitlgan.artifacts.times import TIME_KEYS
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.images.resize import PictureSize
from mitlgan.latents import split_by_layer


@pytest.fixture
def scene(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["scene"])


@pytest.fixture
def fg(artifacts: dict[str, Path]) -> LoadedArtifact:
    return mitlgan.load(artifacts["fg"])


@pytest.mark.parametrize(("form", "last"), [("hub-folder", (hub_folder, "hub_readme")), ("slim", (load_save, "write_json"))])
def test_an_interrupted_export_leaves_nothing(
    form: str, last: tuple[object, str], scene: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load_save, "_read_frozen_tensors", lambda path, card: {})
    monkeypatch.setattr(exports, "check_generators_found", lambda path, card: None)
    monkeypatch.setattr(*last, interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_artifact(scene, form, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def inputs(artifact: LoadedArtifact, seeds: Sequence[int]) -> list[Tensor]:
    return list(split_by_layer(artifact.latents(seeds), artifact.card.latent_dims).values())


def test_every_stage_has_its_output(fg: LoadedArtifact, scene: LoadedArtifact) -> None:
    assert (ExportableNetwork(fg).inputs, ExportableNetwork(fg).outputs) == (["latent_fg"], ["output"])
    network = ExportableNetwork(scene)
    assert network.inputs == ["latent_fg", "latent_bg"]
    assert network.outputs == ["output", "layer_fg", "layer_bg", "fused"]
    stages = scene.layers([1, 2])
    with torch.inference_mode():
        found = dict(zip(network.outputs, network(*inputs(scene, [1, 2])), strict=True))
    assert torch.equal(found["output"], stages.output)
    assert torch.equal(found["layer_bg"], stages.layers["bg"])


@pytest.mark.slow
def test_a_torch_export_program_gives_the_pictures(scene: LoadedArtifact, tmp_path: Path) -> None:
    out = mitlgan.export(scene, "torch-export", tmp_path / "new" / "scene.pt2")
    extra = {"card.json": "", "outputs.json": ""}
    program = torch.export.load(out, extra_files=extra).module()
    for seeds in ([3], [3, 4, 5, 6]):
        assert torch.allclose(program(*inputs(scene, seeds))[0], scene.sample(seeds), atol=1e-4)
    assert json.loads(extra["outputs.json"])[0] == "output"
    assert json.loads(extra["card.json"])["latent_dims"] == {"fg": 3, "bg": 2}
    assert not TIME_KEYS & json.loads(extra["card.json"]).keys()


@pytest.mark.slow
@pytest.mark.parametrize("role", ["fg", "scene"])
def test_onnx_gives_the_pictures(role: str, artifacts: dict[str, Path], tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    loaded = mitlgan.load(artifacts[role])
    out = export_artifact(loaded, "onnx", tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == [out], "one file, the weights within"
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    network = ExportableNetwork(loaded)
    assert [given.name for given in session.get_inputs()] == network.inputs
    assert [given.name for given in session.get_outputs()] == network.outputs
    for seeds in ([3], [3, 4, 5, 6]):
        given = {name: z.numpy() for name, z in zip(network.inputs, inputs(loaded, seeds), strict=True)}
        assert np.allclose(session.run(["output"], given)[0], loaded.sample(seeds).numpy(), atol=1e-4)
    assert session.get_modelmeta().custom_metadata_map["tensors_sha256"] == loaded.tensors_sha256


def test_an_exporter_that_fails_says_so_in_one_line(fg: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("torch.export.export", fails)
    with pytest.raises(ArtifactError, match=r"^to torch-export: the exporter cannot .* \(RuntimeError: first line\); nothing was written$"):
        export_artifact(fg, "torch-export", tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


def test_what_differs_is_not_written(fg: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(artifact: LoadedArtifact) -> bytes:
        network = ExportableNetwork(artifact)
        exports._check(network, artifact, lambda z: [network(*z)[0] + 2e-4], "onnx")
        return b""

    monkeypatch.setitem(exports.TARGETS, "onnx", elsewhere)
    with pytest.raises(ArtifactError, match=r"^to onnx: its output for 1 latents is 0\.0002 from torch's, more than 0\.0001; nothing was written$"):
        export_artifact(fg, "onnx", tmp_path / "x.onnx")
    for wrong in (lambda z: [torch.full((len(z[0]), 3, 8, 8), float("nan"))], lambda z: [torch.zeros(1, 3, 8, 8)]):
        with pytest.raises(ArtifactError, match="nothing was written"):
            exports._check(ExportableNetwork(fg), fg, wrong, "onnx")
    assert not list(tmp_path.iterdir())


def test_exports_that_cannot_be(fg: LoadedArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^to: there is no 'tflite'; choose one of onnx, torch-export, png-sheet, card, slim, ora, psd, hub-folder$"):
        export_artifact(fg, "tflite", tmp_path / "x")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"^--to: onnx needs onnxscript; `pip install 'mitlgan\[export\]'`$"):
        export_artifact(fg, "onnx", tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_the_sheet_is_that_of_sample(scene: LoadedArtifact, tmp_path: Path) -> None:
    data = export_artifact(scene, "png-sheet", tmp_path / "sheet.png").read_bytes()
    assert data == stages_sheet_png(scene.layers(range(16)))
    assert Image.open(io.BytesIO(data)).format == "PNG"


def test_the_card_says_what_a_user_asks(scene: LoadedArtifact, fg: LoadedArtifact) -> None:
    text = markdown_card(scene)
    assert text.startswith("# tiny-scene\n")
    for part in ("8 x 8 px, RGB", "fg (3), bg (2)", scene.tensors_sha256, "## Layers", "yes, by hash", '"fg": [7, 7], "bg": [1, 2]'):
        assert part in text
    assert "CC0" in markdown_card(fg)
    assert "## Layers" not in markdown_card(fg)
    assert "## Figures" not in markdown_card(fg)
    figures = {"frechet": {"name": "FD (x)", "value": 12.345, "generated": 10, "real": 9, "split": "test"}, "protocol": {"samples": 10}}
    assert "| FD (x) | 12.35 | 10 | 9, test |" in markdown_card(LoadedArtifact(fg.network, fg.card.model_copy(update={"metrics": figures})))


@pytest.mark.parametrize(
    ("kimg", "seconds", "text"),
    [
        (0.32, 2.4, "0.32 kimg, 20 generator updates, 2.4 s"),
        (12.34, 90.0, "12.3 kimg, 20 generator updates, 1 min 30 s"),
        (1234.0, 7200.0, "1,234 kimg, 20 generator updates, 120 min"),
        (0.0, 0.0, "0 kimg, 20 generator updates, 0 s"),
    ],
)
def test_a_short_length_is_not_rounded_to_nothing(kimg: float, seconds: float, text: str, fg: LoadedArtifact) -> None:
    card = fg.card.model_copy(update={"kimg": kimg, "seconds": seconds, "iterations": 20})
    assert text in markdown_card(LoadedArtifact(fg.network, card))


def test_fields_of_a_card_are_text(fg: LoadedArtifact) -> None:
    hostile = "<script>alert(1)</script>\n# Title | `code` [link](javascript:x) " + "x" * 1000
    fields = {"notes": hostile, "licence": hostile, "credit": hostile, "recipe": {"name": hostile}}
    text = markdown_card(LoadedArtifact(fg.network, fg.card.model_copy(update=fields)))
    assert "<script" not in text.replace("\\<", "")
    assert "\n# Title" not in text
    assert all(len(line) < 800 for line in text.splitlines())
    assert escape_markdown("a|b\n*c*") == r"a\|b \*c\*"


@pytest.mark.parametrize(
    "unused", [{"seed": 3}, {"like": Path("x.png")}, {"size": PictureSize(scale=2)}, {"has_metadata": False}], ids=lambda values: next(iter(values))
)
@pytest.mark.parametrize("to", ["card", "png-sheet", "slim", "hub-folder"])
def test_what_is_of_a_picture_in_layers_is_refused_elsewhere(to: str, unused: dict[str, Any], artifacts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^to: seed, like, size and metadata are of a picture in layers, ora or psd; leave them out for {to}$"):
        export_artifact(load_artifact(artifacts["scene"]), to, tmp_path / "out.png", **unused)
    assert not list(tmp_path.iterdir())
