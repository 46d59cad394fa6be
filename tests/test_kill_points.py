"""Whatever work is killed between any two system calls that write, the same call ends as undisturbed work does, and leaves no temporary file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers import disk_states, tiny_runs

from mitlgan.artifacts.card import read_card
from mitlgan.recipe import with_overrides
from mitlgan.stages.existing_runs import get_or_train
from mitlgan.stages.resume import resume
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

CI_POINTS = 10
"""States that are checked unless the slow tests run."""
points = pytest.mark.parametrize("count", [CI_POINTS, pytest.param(0, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["some", "all"])


def last_run(root: Path) -> dict[str, Any]:
    """What the run holds that the last call worked on; a run that was killed before its first checkpoint stays as it is."""
    runs = sorted(path.parent for path in root.glob("*/*/recipe.toml"))
    assert all(not list_checkpoints(run) for run in runs[:-1])
    assert sorted(path.name for path in (root / "pretrain").iterdir()) == sorted(run.name for run in runs)
    return disk_states.without_times(runs[-1])


@points
def test_training(packs: dict[str, Path], tmp_path: Path, count: int) -> None:
    step = tiny_runs.PER_UPDATE / 1000
    training: Mapping[str, Any] = {"keep_kimg": [0.0, step, 3 * step], "checkpoint_iterations": 2, "snapshot_iterations": 1}
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=4, **training), evaluation__best_by="fd")
    root = tmp_path / "runs"

    def work() -> None:
        run = get_or_train(recipe, tiny_runs.run_context(root))
        assert run.is_finished
        assert run.read_state() == "done"

    states = disk_states.check_every_kill(root, work, count=count, look=last_run)
    assert states > 60


@points
def test_a_training_that_is_made_longer(packs: dict[str, Path], tmp_path: Path, count: int) -> None:
    """The shorter artifact is never taken for the longer one."""
    short = tiny_runs.recipe("bg", packs["bg"], updates=2)
    longer = with_overrides(short, training__kimg=4 * tiny_runs.PER_UPDATE / 1000)
    root = tmp_path / "runs"
    first = get_or_train(short, tiny_runs.run_context(root))

    def work() -> None:
        if Run(first.path).load_recipe() == short:
            resume(first.path, tiny_runs.run_context(root), more_kimg=2 * tiny_runs.PER_UPDATE / 1000)
        run = get_or_train(longer, tiny_runs.run_context(root))
        assert run.path == first.path
        assert read_card(run.path / "generator.safetensors").iterations == 4

    disk_states.check_every_kill(root, work, count=count, look=last_run)
