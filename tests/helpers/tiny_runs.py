"""The real loop on a dozen pictures of 8 px: what the tests of training share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from helpers import short_exports  # noqa: F401  (for children of tests, which import this module alone)
from mitlgan.data.pack.image_pack import FourthChannel
from mitlgan.data.pack.writer import PackWriter
from mitlgan.recipe import Recipe, as_dict, parse_recipe
from mitlgan.runtime.distributed import World
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.context import RunContext
from mitlgan.training.checkpoint import load_checkpoint
from mitlgan.training.counters import Counters
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run, list_runs

StartRun = Callable[..., Run]
SIZE_PX = 8
BATCH = 4
CRITIC_STEPS = 2
PER_UPDATE = BATCH * CRITIC_STEPS  # real images per generator update


def pixels(count: int, seed: int, channels: int = 3, size_px: int = SIZE_PX) -> NDArray[np.uint8]:
    """Smooth coloured blobs; a fourth channel is as smooth, and above the others, as alpha is above premultiplied colours."""
    small = torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(small, (size_px, size_px), mode="bilinear")
    if channels == 4:
        images[:, :3] *= images[:, 3:]
    return (images * 255).to(torch.uint8).numpy()


def pack(path: Path, *, count: int = 12, seed: int = 0, fourth: FourthChannel | None = None, size_px: int = SIZE_PX) -> Path:
    """A pack of such pictures."""
    with PackWriter(path, size_px, fourth) as writer:
        for index, picture in enumerate(pixels(count, seed, 4 if fourth else 3, size_px)):
            writer.append(picture, {"name": f"{index}.png", "sha256": "0" * 64, "width": size_px, "height": size_px})
        return writer.publish(resize="lanczos", crop="centre", licence="CC0", made_by={"command": "test"}, skipped=[]).path


def recipe(role: str, source: Path, *, updates: float = 3, compose: bool = False, seed: int = 5, **training: Any) -> Recipe:
    """A recipe of a few generator updates, with dropout in the critic, checkpoints at start and end only.

    Args:
        role: fg, bg or scene.
        source: A pack.
        updates: Length in generator updates.
        compose: A composition in place of a pretraining.
        seed: Of everything.
        training: More keys of [training].
    """
    tree: dict[str, Any] = {
        "name": f"tiny-{'composed' if compose else role}",
        "command": "compose" if compose else "pretrain",
        "role": role,
        "size_px": SIZE_PX,
        "seed": seed,
        "data": {"source": str(source)},
        "critic": {"widths": [4, 6], "dropout": [0.0, 0.3], "flatten_dropout": 0.2},
        "objective": {"critic_steps": CRITIC_STEPS},
        "generator_optimiser": {"learning_rate": 1e-3, "beta1": 0.5},
        "critic_optimiser": {"learning_rate": 1e-3, "beta1": 0.5},
        "training": {"kimg": updates * PER_UPDATE / 1000, "batch": BATCH, "ema_halflife_kimg": 0.02, **training},
        "evaluation": {"extractor": "efficientnet-lite0@32", "samples": 12, "split": "train"},
    }
    if compose:
        tree["composer"] = {"translator": {"widths": [4, 4, 4], "blocks": 1}}
    else:
        tree["generator"] = {"latent_dim": {"fg": 3, "bg": 2}.get(role, 4), "widths": [6]}
    return parse_recipe(tree, "tiny")


def inpaint_recipe(source: Path, **settings: Any) -> Recipe:
    """A recipe of a context encoder, otherwise as `recipe` for backgrounds; settings as it takes them."""
    tree = as_dict(recipe("bg", source, **settings))
    del tree["generator"]
    return parse_recipe({**tree, "name": "tiny-inpaint", "command": "inpaint", "inpainter": {"widths": [4, 6], "code_dim": 3}}, "tiny")


class Listener:
    """A reporter that keeps everything."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.updates: list[dict[str, Any]] = []
        self.closed = False

    def update(self, values: Mapping[str, Any]) -> None:
        self.updates.append(dict(values))

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        self.closed = True


def run_context(root: Path, *, rank: int = 0, size: int = 1) -> RunContext:
    """An environment on the CPU whose reporter is a `Listener`."""
    return RunContext(World(rank, size, torch.device("cpu")), Listener(), root)


def said(environment: RunContext) -> str:
    """All that an environment's listener was told to show, line by line."""
    assert isinstance(environment.reporter, Listener)
    return "\n".join(environment.reporter.said)


def layers(runs: Mapping[str, Run]) -> dict[str, Path]:
    """The artifacts of finished runs."""
    return {name: run.artifact_file for name, run in runs.items() if run.artifact_file is not None}


def before_step(monkeypatch: pytest.MonkeyPatch, action: Callable[[TrainingLoop], None], *, at: int) -> None:
    """Run an action once, before the step that would make iteration `at` + 1."""
    step = TrainingLoop.train_iteration
    done: list[bool] = []

    def with_action(self: TrainingLoop) -> dict[str, Tensor]:
        if self.state.counters.iteration == at and not done:
            done.append(True)
            action(self)
        return step(self)

    monkeypatch.setattr(TrainingLoop, "train_iteration", with_action)


def send(number: signal.Signals, times: int = 1) -> Callable[[TrainingLoop], None]:
    """An action for `before_step`: this process gets a signal."""

    def action(_: TrainingLoop) -> None:
        for _turn in range(times):
            os.kill(os.getpid(), number)

    return action


def path_of(descriptor: int) -> Path:
    """The file behind an open descriptor."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def trace(run: Run) -> tuple[dict[str, Tensor], dict[str, Any], bytes]:
    """All that must be equal to the bit, however often a run was interrupted: its state's tensors, its counters less the clock, its statistics."""
    checkpoint = load_checkpoint(run.path)
    assert checkpoint is not None
    tensors, header = checkpoint
    counters = asdict(Counters(**header["counters"]))
    for clock in ("seconds", "cpu_seconds", "step_seconds", "step_cpu_seconds"):
        del counters[clock]
    return tensors, counters, run.stats_file.read_bytes()


def assert_same_trace(first: Run, second: Run) -> None:
    """Both runs hold equal bits."""
    (tensors, counters, stats), (others, other_counters, other_stats) = trace(first), trace(second)
    assert counters == other_counters
    assert stats.decode() == other_stats.decode()
    assert tensors.keys() == others.keys()
    different = [name for name in tensors if not torch.equal(tensors[name], others[name])]
    assert not different


def only_run(root: Path) -> Run:
    """Return the only run under a root."""
    (run,) = list_runs(root)
    return run


def read_stats(run: Run) -> list[dict[str, Any]]:
    """Return a run's statistics, one dictionary per line."""
    return list(read_jsonl(run.stats_file))
