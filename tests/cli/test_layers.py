"""Compositions of more than two layers, of any size and family, on the command line: from pictures of chess to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny_runs
from helpers.commands import Command
from PIL import Image

from mitlgan.artifacts.card import Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_layer
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.safetensors_io import read_header, read_tensors, write_tensors
from mitlgan.compare.finished_runs import extract_layers
from mitlgan.compare.paste_baseline import PastedLayers
from mitlgan.data.demo.chess import write_chess
from mitlgan.images.grid import GAP_PX
from mitlgan.training.checkpoint import load_checkpoint
from mitlgan.training.run_directory import Run

SIZE_PX = 16
TRAINED = {
    "critic.widths": [4, 6], "critic.dropout": [0.0, 0.0], "training.kimg": 0.016, "training.batch": 4, "objective.critic_steps": 2,
    "training.snapshot_kimg": 0.008, "training.checkpoint_kimg": 0.008,
    "evaluation.samples": 12, "evaluation.extractor": "efficientnet-lite0@32", "evaluation.split": "train",
}  # fmt: skip
LIGHT = {"critic.image_channels": 4, "generator.image_channels": 4}
# A family and a size for each: none but the piece in front has the composition's.
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "board": ("bg", {"generator": "{kind='dcgan', latent_dim=4, base_width=6, narrowest=4}", "size_px": 32}),
    "far": ("fg", {"generator": "{kind='upsampled', latent_dim=3, widths=[4, 4], image_channels=4}", "size_px": 20, "critic.image_channels": 4}),
    "near": ("fg", {"generator.widths": [6, 4], "generator.latent_dim": 3, "generator.blocks": 1, "size_px": SIZE_PX, **LIGHT}),
}
FOLDERS = {"board": "bg", "far": "far", "near": "fg"}
COMPOSED = {"size_px": SIZE_PX, "composer.fusion": "{kind='over'}", "composer.placement": "{}", "composer.resample": "bilinear",
            "composer.translator": "{kind='none'}"}  # fmt: skip


def settings(*tables: dict[str, Any]) -> list[str]:
    return [part for table in tables for key, value in table.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def chess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chess")
    write_chess(folder, 12, 32)
    return folder


def pretrain(command: Command, chess: Path, *names: str) -> dict[str, str]:
    """`NAME=ARTIFACT` of each layer."""
    made = {}
    for name in names:
        role, form = FORMS[name]
        done = command("pretrain", role, "--data", chess / FOLDERS[name], *settings(TRAINED, form), "--json")
        assert done.code == 0, done.err
        made[name] = f"{name}={done.json['artifact']}"
    return made


def flags(made: dict[str, str]) -> list[str]:
    return [part for text in made.values() for part in ("--layer", text)]


def test_rows_11_and_33_three_layers_of_three_sizes(command: Command, folder: Path, chess: Path) -> None:
    made = pretrain(command, chess, "board", "far", "near")
    ours = ["compose", *flags(made), "--data", chess / "scene"]
    refused = command(*ours, *settings(TRAINED, COMPOSED | {"composer.resample": "lanczos"}))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    unsaid = {key: value for key, value in COMPOSED.items() if key != "composer.resample"}
    refused = command(*ours, *settings(TRAINED, unsaid))
    assert (refused.code, refused.err.count("\n")) == (4, 1 + 3)  # it says which layers it takes, first
    assert refused.err.splitlines()[-1].startswith(f"--layer {made['board']}: makes 32 px, the composition 16 px; ")
    assert "composer.resample" in refused.err
    dry = command(*ours, *settings(TRAINED, COMPOSED), "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert {"layer board", "layer far", "layer near"} <= dry.json["networks"].keys()
    done = command(*ours, *settings(TRAINED, COMPOSED), "--json")
    assert done.code == 0, done.err
    card = read_card(Path(done.json["artifact"]))
    assert {name: layer.size_px for name, layer in card.layers.items()} == {"board": 32, "far": 20, "near": 16}
    assert all(layer.sha256_before == layer.sha256_after for layer in card.layers.values())  # row 11
    for name, text in made.items():
        assert card.layers[name].sha256_before == read_weights_hash(Path(text.partition("=")[2]))
    assert card.back_to_front() == ("board", "far", "near")
    _is_known_everywhere(command, Run(Path(done.json["run"])), card)
    _is_sampled(command, done.json["run"])
    _is_pasted(command, done.json["run"])


def test_one_foreground_twice_over_a_background(command: Command, folder: Path, chess: Path) -> None:
    """The recipe of three layers, shrunk: a latent and a place for each name, nothing trained but the light."""
    made = pretrain(command, chess, "board", "near")
    front = made["near"].partition("=")[2]
    layers = ["--layer", made["board"].replace("board=", "bg="), "--layer", f"far={front}", "--layer", f"near={front}"]
    shrunk = {**TRAINED, "size_px": SIZE_PX, "composer.resample": "bilinear"}
    done = command("compose", "--recipe", "recommended/three-32", *layers, "--data", chess / "scene", *settings(shrunk), "--json")
    assert done.code == 0, done.err
    made_of = load_artifact(done.json["artifact"])
    assert made_of.card.back_to_front() == ("bg", "far", "near")
    assert made_of.card.latent_dims == {"bg": 4, "far": 3, "near": 3, "place": 8}
    assert made_of.card.layers["far"].sha256_after == made_of.card.layers["near"].sha256_after
    assert sum(parameter.numel() for parameter in made_of.network.trainable_parameters()) < 2000  # type: ignore[operator]
    stages = made_of.layers([0, 1])
    assert not torch.equal(stages.layers["far"], stages.layers["near"])
    assert not torch.equal(stages.transforms["far"].x, stages.transforms["near"].x)
    held = made_of.layers({"bg": [0, 0], "far": [0, 0], "near": [0, 1], "place": [0, 0]})
    assert torch.equal(held.placed["far"][0], held.placed["far"][1])
    assert not torch.equal(held.output[0], held.output[1])
    assert torch.equal(held.output, held.fused)  # no translator follows
    sheet = command("sample", done.json["run"], "-n", "4", "--sheet", "three.png")
    assert sheet.code == 0
    with Image.open("three.png") as drawn:
        scale = 96 // SIZE_PX
        grid = 4 * (SIZE_PX * scale + 2 * scale) + 2 * scale
        assert drawn.width == 5 * grid + 4 * GAP_PX  # three layers, matte, composed: the fused image would be the composed one again


def _is_known_everywhere(command: Command, run: Run, card: Card) -> None:
    """Built from its card, described, resumed from its checkpoint, and taken apart into its layers."""
    described = command("describe", run.path, "--json").json
    rows = described["networks"]["layer board"]["rows"]
    assert rows[-1]["output"][-1] == 32  # its own size
    found = load_checkpoint(run.path)
    assert found is not None
    assert {name: layer["size_px"] for name, layer in found[1]["layers"].items()} == {"board": 32, "far": 20, "near": 16}
    done = command("resume", run.path, "--kimg", "+0.008", "--json")
    assert (done.code, done.json["kimg"]) == (0, 0.024), done.err
    assert run.artifact_file is not None
    for name, file in extract_layers(run.artifact_file).items():
        own = read_card(file)
        assert (own.size_px, own.role) == (card.layers[name].size_px, FORMS[name][0])
        assert read_weights_hash(file) == card.layers[name].sha256_before
        assert load_layer(file, name, SIZE_PX, "area")[0].size_px == own.size_px


def _is_sampled(command: Command, run: str) -> None:
    done = command("sample", run, "-n", "2", "--layers", "--lock", "near=7", "--transform", "near=0.6,0.2,0,flip", "--out", "pictures", "--json")
    assert done.code == 0, done.err
    assert {"board", "far", "near", "matte", "far-matte", "near-placed", "fused"} <= done.json["stages"].keys()
    first, second = (np.asarray(Image.open(f"pictures-layers/near-placed/00000{seed}.png")) for seed in (0, 1))
    assert np.abs(first[:, :, 3].astype(int) - second[:, :, 3]).max() == 0  # held, and at the same place
    assert Image.open("pictures-layers/near/000000.png").mode == "RGBA"
    assert Image.open("pictures-layers/board/000000.png").size == (SIZE_PX, SIZE_PX)
    for wrong, begins in (
        (("--transform", "near=1,0"), "--transform near=1,0: write it as"),
        (("--transform", "near=1,0,0,flop"), "--transform near=1,0,0,flop: write it as"),
        (("--transform", "near=99,0,0"), "--transform near=99,0,0: the scale must lie"),
        (("--transform", "board=1,0,0"), "--transform board: board cannot be moved; give one of far, near"),
        (("--lock", "near=x"), "--lock near=x: write it as"),
        (("--lock", "moon=1"), "--lock moon=1: no such layer"),
    ):
        refused = command("sample", run, *wrong, "--out", "nowhere")
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert refused.err.startswith(begins)
    assert not Path("nowhere").exists()
    assert command("sample", run, "--sheet", "sheet.png", "-n", "2").code == 0


def _is_pasted(command: Command, run: str) -> None:
    pasted = PastedLayers(load_artifact(run), 0.1).layers([0, 1])
    assert [*pasted.placed] == ["far", "near"]
    assert pasted.output.shape == (2, 3, SIZE_PX, SIZE_PX)
    refused = command("compare", "--composed", run, "--baseline", "wgan-finetuned")
    assert (refused.code, refused.err.splitlines()[-1].startswith("--baseline wgan-finetuned: the foreground generator makes alpha")) == (2, True)


@pytest.mark.slow
def test_pools_pasted_layers_separation_and_baselines_do_not_ask_for_fg_and_bg(command: Command, folder: Path, chess: Path) -> None:
    layers = flags(pretrain(command, chess, "board", "far", "near"))
    done = command("compose", *layers, "--data", chess / "scene", *settings(TRAINED, COMPOSED), "--json")
    assert done.code == 0, done.err
    _is_compared(command, "--composed", done.json["run"])
    recipe = Path(done.json["run"]) / "recipe.toml"
    _is_compared(command, *layers, "--recipe", recipe, "--budgets", "0.016", "--seeds", "2", "--pretrain-seeds", "--jobs", "2")


def _is_compared(command: Command, *arguments: object) -> None:
    done = command("compare", *arguments, "--baseline", "paste", "--baseline", "wgan", "--json")
    assert done.code == 0, done.err
    report = json.loads((Path(done.json["run"]) / "metrics.json").read_text())
    assert [arm["name"] for arm in report["arms"]][:2] == ["composed", "paste"]
    assert {"real_halves", "bare_backgrounds"} <= {anchor["name"] for anchor in report["anchors"]}
    page = Path(done.json["report"]).read_text()
    assert "far, near: their own alpha" in page
    assert "Real pictures of far" in page


def test_a_card_without_sizes_has_the_compositions(composed: Run, tmp_path: Path) -> None:
    """As those have that were made before layers could be of other sizes."""
    assert composed.artifact_file is not None
    tensors, header = read_tensors(composed.artifact_file)[0], read_header(composed.artifact_file)
    for layer in header["layers"].values():
        del layer["size_px"]
    write_tensors(tmp_path / "composer.safetensors", tensors, header)
    card = load_artifact(tmp_path / "composer.safetensors").card
    assert {form.size_px for form in card.generator_specs().values()} == {tiny_runs.SIZE_PX}
    assert card.layers["fg"].size_px is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--layer", "sky"], "--layer sky: write it as NAME=ARTIFACT"),
        (["--layer", "sky="], "--layer sky=: write it as NAME=ARTIFACT"),
        (["--layer", "Sky={fg}"], "--layer Sky={fg}: layer 'Sky': not a name that a layer can have"),
        (["--layer", "matte={fg}"], "--layer matte={fg}: layer 'matte': not a name"),
        (["--layer", "sky={fg}", "--layer", "sky={bg}"], "--layer sky={bg}: sky is given twice"),
        (["--layer", "sky={fg}", "--fg", "{fg}"], "--layer: names every layer, --fg and --bg are its short form"),
        (
            ["--layer", "one={bg}", "--set", "composer.fusion={{kind='alpha'}}"],
            "composer.fusion.kind: alpha lays one layer over another, but there is only one",
        ),
        (
            ["--layer", "one={bg}", "--layer", "two={fg}", "--set", "composer.fusion={{kind='over', order=['two', 'three']}}"],
            "composer.fusion.order: names two, three, but the layers are one, two",
        ),
    ],
)
@pytest.mark.parametrize("name", ["compose", "compare"])
def test_layers_that_contradict_are_refused(
    command: Command, folder: Path, packs: dict[str, Path], pretrained: dict[str, Run], given: list[str], told: str, name: str
) -> None:
    if name == "compare" and "composer" in "".join(given):
        pytest.skip("told by the composition, as before")
    paths = tiny_runs.layers(pretrained)
    small = settings({"size_px": 8, "critic.widths": [4, 6], "critic.dropout": [0.0, 0.0]})
    done = command(name, *(text.format(**paths) for text in given), *small, "--data", packs["scene"])
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(told.format(**paths))
    assert not Path("runs").exists()


def test_one_artifact_as_two_layers_and_any_role_under_a_name_of_ones_own(
    command: Command, folder: Path, packs: dict[str, Path], pretrained: dict[str, Run]
) -> None:
    bg = tiny_runs.layers(pretrained)["bg"]
    small = settings(TRAINED, {"size_px": 8, "composer.translator.widths": [4, 4, 4], "composer.translator.blocks": 1})
    done = command("compose", "--layer", f"one={bg}", "--layer", f"two={bg}", "--data", packs["scene"], *small, "--json")
    assert done.code == 0, done.err
    card = read_card(Path(done.json["artifact"]))
    assert card.latent_dims == {"one": 2, "two": 2}
    assert [layer.role for layer in card.layers.values()] == ["bg", "bg"]


@pytest.mark.slow
def test_chess_in_three_layers(command: Command, folder: Path) -> None:
    """The domain of three layers, with pictures and networks of an honest size, for as long as shows that it learns."""
    made = command("data", "chess", "--out", "chess", "-n", "200", "--size", "32", "--json")
    assert made.code == 0, made.err
    layers = {}
    for name in ("board", "far", "near"):
        role = FORMS[name][0]
        own = LIGHT if role == "fg" else {}
        done = command("pretrain", role, "--data", Path("chess") / FOLDERS[name], *settings({"training.kimg": 2.0, **own}), "--json")
        assert done.code == 0, done.err
        layers[name] = f"{name}={done.json['artifact']}"
    wanted = {"training.kimg": 1.0, "composer.fusion": "{kind='over'}", "composer.translator": "{kind='none'}"}
    done = command("compose", *flags(layers), "--data", "chess/scene", *settings(wanted), "--json")
    assert done.code == 0, done.err
    assert command("sample", done.json["run"], "-n", "4", "--layers", "--out", "pictures").code == 0
    measured = command("evaluate", done.json["artifact"], "-n", "200", "--split", "train", "--separation", "--json")
    assert measured.code == 0, measured.err
    assert measured.json["separation"]["reference_matte"] == "the foreground's own alpha, with far"
    assert measured.json["separation"]["matte_iou"] > 0.9  # true by construction, unless layers are taken for others
