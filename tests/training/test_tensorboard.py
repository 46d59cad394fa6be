"""TensorBoard gets the numbers of `stats.jsonl`, and training does not change by it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.errors import UsageError
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.training import tensorboard


def test_the_same_numbers_go_to_tensorboard(packs: dict[str, Path], environment: RunContext, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = tiny_runs.recipe("scene", packs["scene"], updates=3)
    plain = pretrain(recipe, environment)
    logger = tensorboard.TensorBoardLogger()
    run = pretrain(recipe, RunContext(environment.world, environment.reporter, tmp_path / "logged", logger.log))
    logger.close()
    tiny_runs.assert_same_trace(plain, run)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    rows = list(read_jsonl(run.stats_file))
    for name in ("critic_loss", "generator_loss", "wasserstein", "penalty", "fakes_passed"):
        assert [(event.step, event.value) for event in events.Scalars(name)] == [(row["iteration"], pytest.approx(row[name])) for row in rows]


def test_its_absence_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *_: Any) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    with pytest.raises(UsageError, match=r"--log tensorboard: is not installed; pip install 'mitlgan\[tensorboard\]'"):
        tensorboard.TensorBoardLogger()
