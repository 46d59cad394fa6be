"""A context encoder trained by the one loop, and what its artifact is to every command that takes artifacts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.artifacts import loaded_artifact
from mitlgan.artifacts.load_save import load_layer, load_network
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.artifacts.summary import describe
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, Stopped, UsageError
from mitlgan.images.pixels import to_float
from mitlgan.inpainting import context_filler
from mitlgan.networks import ContextEncoder
from mitlgan.recipe import with_overrides
from mitlgan.report import run_report
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.context import RunContext
from mitlgan.stages.existing_runs import get_or_train
from mitlgan.stages.inpainter import train_inpainter
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

UPDATES = 5
Start = Callable[..., Run]


@pytest.fixture
def start(packs: dict[str, Path], tmp_path: Path) -> Start:
    return lambda root, **settings: train_inpainter(tiny_runs.inpaint_recipe(packs["bg"], **settings), tiny_runs.run_context(tmp_path / root))


@pytest.fixture(scope="module")
def trained(packs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Read it."""
    return train_inpainter(tiny_runs.inpaint_recipe(packs["bg"], updates=UPDATES), tiny_runs.run_context(tmp_path_factory.mktemp("inpainter")))


@pytest.mark.parametrize("at", [0, 3])
def test_a_stopped_and_resumed_run_equals_one_in_one_go_to_the_bit(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    straight = start("straight", updates=UPDATES)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=at)
        with pytest.raises(Stopped):
            start("stopped", updates=UPDATES)
    (stopped,) = run_directory.list_runs(tmp_path / "stopped")
    torch.manual_seed(1234)  # no generator state is needed
    resumed = resume(stopped.path, tiny_runs.run_context(tmp_path))
    tiny_runs.assert_same_trace(straight, resumed)
    assert len(list(read_jsonl(resumed.stats_file))) == UPDATES
    assert straight.artifact_file is not None
    assert resumed.artifact_file is not None
    (first, _), (second, _) = read_tensors(straight.artifact_file), read_tensors(resumed.artifact_file)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_other_weights(start: Start) -> None:
    first, other = (tiny_runs.trace(start(f"seed-{seed}", seed=seed))[0] for seed in (5, 6))
    assert not torch.equal(first["generator.encoder.0.0.weight"], other["generator.encoder.0.0.weight"])


def test_both_losses_are_logged_and_reconstruction_gets_better(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = with_overrides(
        tiny_runs.inpaint_recipe(packs["bg"], updates=60),
        inpainter__reconstruction_weight=500.0,
        generator_optimiser__learning_rate=1e-2,
        inpainter__holes={"centre": 1.0, "box": 0.0, "strokes": 0.0},
    )
    rows: list[dict[str, Any]] = list(read_jsonl(train_inpainter(recipe, environment).stats_file))
    assert {"own_loss", "generator_loss", "critic_loss", "wasserstein", "diversity"} <= rows[-1].keys()
    early, late = (sum(row["own_loss"] for row in part) / 15 for part in (rows[:15], rows[-15:]))
    assert late < 0.9 * early


def test_the_artifact_fills_holes(trained: Run, packs: dict[str, Path]) -> None:
    assert trained.artifact_file == trained.path / "inpainter.safetensors"
    network, card = load_network(trained.artifact_file)
    assert isinstance(network, ContextEncoder)
    assert (card.kind, card.role, card.size_px, card.latent_dims, card.iterations) == ("inpainter", "bg", 8, {}, UPDATES)
    assert card.inpainter == tiny_runs.inpaint_recipe(packs["bg"]).inpainter
    pictures = to_float(ImagePack.open(packs["bg"]).batch(range(12)))
    holes = torch.zeros(12, 1, 8, 8)
    holes[:, :, 2:6, 2:6] = 1
    filler = context_filler(trained.path)
    assert filler.size_px == 8
    filled = filler.fill(pictures, holes)
    assert torch.equal(filled, network.predict(torch.cat([pictures, holes], 1)).clamp(-1, 1))
    assert torch.equal(filled, filler.fill(torch.where(holes > 0, 0.5, pictures), holes))
    assert (trained.path / "snapshots" / "000000.png").is_file()


def test_an_average_follows_the_weights(trained: Run) -> None:
    tensors = tiny_runs.trace(trained)[0]
    name = "to_image.weight"
    assert bool(tensors[f"generator.{name}"].abs().sum() > 0)
    assert not torch.equal(tensors[f"ema.{name}"], tensors[f"generator.{name}"])


def test_it_is_described_and_reported(trained: Run) -> None:
    described = describe(str(trained.path))
    assert described["kind"] == "inpainter"
    network, _ = load_network(trained.path / "inpainter.safetensors")
    assert described["total"]["trainable"] == sum(parameter.numel() for parameter in network.parameters())
    assert described["total"]["multiply_accumulates"] > 0
    paths, _ = run_report.write_run_report(trained.path)
    assert "tiny-inpaint" in paths.html.read_text()


def test_what_makes_pictures_of_latents_refuses_it(trained: Run) -> None:
    with pytest.raises(ArtifactError, match=r"is an inpainter, which makes no pictures of its own; `mitlgan inpaint IMAGE --artifact .*` uses it"):
        loaded_artifact.load_artifact(trained.path)
    with pytest.raises(ArtifactError, match="is an inpainter; give a generator"):
        load_layer(trained.path / "inpainter.safetensors", "bg", 8)


def test_recipes_that_contradict_themselves(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = tiny_runs.inpaint_recipe(packs["bg"])
    for values, message in (
        ({"command": "pretrain"}, r'command = "pretrain" needs a \[generator\]'),
        ({"generator": {"widths": [6]}}, r"takes no \[generator\] table; remove it"),
        ({"inpainter": None}, r'command = "inpaint" needs a \[inpainter\] table'),
        ({"inpainter": {"widths": [4, 4, 4]}}, "inpainter.widths: 3 widths halve the picture 3 times"),
        ({"inpainter": {"holes": {"centre": 0.0, "box": 0.0, "strokes": 0.0}}}, "leaves no hole to draw"),
        ({"inpainter__skip": True}, "the closest known one is 'inpainter.skips'"),
        ({"evaluation__best_by": "fd"}, "see `mitlgan inpaint-score`"),
    ):
        with pytest.raises(UsageError, match=message):
            with_overrides(recipe, **values)
    with pytest.raises(UsageError, match=r"has no \[inpainter\]"):
        train_inpainter(tiny_runs.recipe("bg", packs["bg"]), environment)
    with pytest.raises(UsageError, match=r"has no \[generator\]"):
        pretrain(recipe, environment)


def test_a_finished_run_of_the_same_recipe_is_found(trained: Run, packs: dict[str, Path]) -> None:
    environment = tiny_runs.run_context(trained.path.parent.parent)
    assert get_or_train(tiny_runs.inpaint_recipe(packs["bg"], updates=UPDATES), environment).path == trained.path
