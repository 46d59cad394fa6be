"""Real trainings that are killed at random moments, half of them just after a checkpoint, and continued, end as an undisturbed one.

`pytest -m slow -s tests/test_crashes.py` kills 200; `pytest` kills two.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import disk_states, tiny_runs
from helpers.crash_server import CrashServer

from mitlgan.recipe import Recipe, to_toml
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run, list_runs

UPDATES = 8
CHECKPOINT_ITERATIONS = 2
DEADLINE_S = 120.0
kills = pytest.mark.parametrize(
    "count", [pytest.param(1, marks=pytest.mark.timeout(900)), pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(0)])]
)


@pytest.fixture(scope="module")
def server() -> Iterator[CrashServer]:
    server = CrashServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def recipe(packs: dict[str, Path]) -> Recipe:
    step = tiny_runs.PER_UPDATE / 1000
    points = [0.0, 2 * step, 3 * step, 6 * step]
    return tiny_runs.recipe("bg", packs["bg"], updates=UPDATES, keep_kimg=points, checkpoint_iterations=CHECKPOINT_ITERATIONS, snapshot_iterations=1)


def wait_for(path: Path, deadline_s: float = DEADLINE_S) -> bool:
    """Wait, without a pause, until a file appears."""
    end_s = time.monotonic() + deadline_s
    while not os.path.exists(path):  # noqa: PTH110  (the quickest test there is)
        if time.monotonic() > end_s:
            return False
    return True


@kills
def test_killed_trainings_end_equally(count: int, server: CrashServer, recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(to_toml(recipe))
    start_s = time.monotonic()
    server.start(file, tmp_path / "whole")
    assert server.wait() == 0
    duration_s = time.monotonic() - start_s
    whole = tiny_runs.only_run(tmp_path / "whole")
    expected = disk_states.without_times(whole.path)
    chance = random.Random(3)
    ends: Counter[str] = Counter()
    for number in range(count):
        root = tmp_path / f"{number}"
        process = server.start(file, root)
        if number % 2:
            iteration = chance.randrange(0, UPDATES + 1, CHECKPOINT_ITERATIONS)
            assert wait_for(root / "pretrain" / "tiny-bg-001" / "checkpoints" / f"{iteration:09d}.safetensors")
        else:
            time.sleep(chance.uniform(0, duration_s))
        os.kill(process, signal.SIGKILL)
        ends["killed" if server.wait() == -signal.SIGKILL else "finished first"] += 1
        newest = max([int(path.stem) for run in list_runs(root) for path in list_checkpoints(run.path)], default=None)
        ends["before the first checkpoint" if newest is None else f"after checkpoint {newest}"] += 1
        server.start(file, root)
        assert server.wait() == 0, number
        run = Run(sorted((root / "pretrain").iterdir())[-1])
        assert run.read_state() == "done"
        found = disk_states.without_times(run.path)
        assert sorted(found) == sorted(expected), number
        assert [name for name in expected if found[name] != expected[name]] == [], number
        tiny_runs.assert_same_trace(whole, run)
        if number % 20 == 19:
            print(f"{number + 1} killed and ended equally", flush=True)
    print(f"\n{count} trainings, {dict(sorted(ends.items()))}; all ended equally")
    assert ends["killed"] >= count / 2
