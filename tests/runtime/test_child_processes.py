"""Children end with their parent, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from helpers import tiny_runs

from mitlgan.recipe import to_toml, with_overrides
from mitlgan.runtime.files import is_locked
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.training import run_directory

CHILD = (
    "import os, time; from mitlgan.runtime.child_processes import end_with_parent; end_with_parent(); "
    "print(os.getpid(), 'MITLGAN_LIFELINE' in os.environ, flush=True); "
)
PARENT = """
import subprocess, sys, time
from mitlgan.runtime.child_processes import Lifeline
with Lifeline() as lifeline:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=sys.stdout, **lifeline.popen_options())
    child.wait()
"""
END_S = 60


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within some time."""
    until = time.monotonic() + END_S
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def ended(pid: int) -> bool:
    """Whether a process is no more, within some time."""

    def is_gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return becomes_true(is_gone)


@pytest.mark.parametrize(
    "work",
    [
        "time.sleep(600)",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        "print(sum(range(10**12)))",  # not one instruction of Python's
    ],
    ids=["asleep", "deaf", "busy"],
)
def test_a_child_ends_when_its_parent_is_killed(work: str) -> None:
    if "sum" in work and sys.platform != "linux":
        pytest.skip("only Linux ends a process that does not read")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD + work], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child, inherits = parent.stdout.readline().split()
    assert inherits == "False"  # its own children do not take it for theirs
    assert psutil.pid_exists(int(child))
    parent.kill()
    parent.wait()
    try:
        assert ended(int(child))
    finally:
        parent.stdout.close()


def test_the_pipe_alone_ends_it_too() -> None:
    """As where there is no prctl."""
    child = "import os, time; from mitlgan.runtime import child_processes as c; c._set_parent_death_signal = lambda: None; c.end_with_parent()\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, child + "print(os.getpid(), flush=True); time.sleep(600)"], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert ended(pid)


def test_a_child_that_is_done_is_not_disturbed() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT, CHILD + "time.sleep(0.5); print('whole')"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "whole"


@pytest.mark.parametrize("value", ["", "x", "-1", "999"])
def test_a_process_without_a_parent_to_follow_goes_on(value: str) -> None:
    environment = {**os.environ, "MITLGAN_LIFELINE": value}
    done = subprocess.run(
        [sys.executable, "-c", CHILD + "time.sleep(0.2); print('whole')"], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout.splitlines()[1], done.stderr) == ("whole", "")


RUN_PARALLEL = """
import sys
from pathlib import Path
from mitlgan.stages.parallel import TrainingProcess, run_parallel
from mitlgan.recipe import load_recipe
out = Path(sys.argv[1])
trainings = [TrainingProcess(name, load_recipe(str(out / f"{name}.toml")), ["pretrain", "scene"]) for name in ("one", "two")]
run_parallel(out, out / "runs", trainings)
"""
"""What sweep, demo and compare do."""


@pytest.mark.slow
def test_trainings_side_by_side_end_with_the_process_that_began_them(tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "p.npy", count=40)
    recipes = {name: with_overrides(tiny_runs.recipe("scene", source, updates=1e6, checkpoint_iterations=20), name=name) for name in ("one", "two")}
    for name, recipe in recipes.items():
        (tmp_path / f"{name}.toml").write_text(to_toml(recipe))
    parent = subprocess.Popen([sys.executable, "-c", RUN_PARALLEL, tmp_path])
    until = time.monotonic() + 200
    while len({path.parent for path in tmp_path.glob("runs/pretrain/*/checkpoints/*[2-9]0.safetensors")}) < 2:
        assert time.monotonic() < until
        assert parent.poll() is None
        time.sleep(0.05)
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == 2
    parent.kill()
    parent.wait()
    assert [ended(child.pid) for child in children] == [True, True]
    for recipe in recipes.values():  # nothing holds its run, so that the same call goes on with it
        run = find_matching_run(tmp_path / "runs", recipe)
        assert run is not None
        # a process is a zombie as soon as its main thread is; its other threads may hold the lock for a moment longer
        assert becomes_true(lambda path=run.path: not is_locked(path))
        assert run.read_state() == run_directory.KILLED
