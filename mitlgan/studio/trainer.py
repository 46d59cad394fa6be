"""Trains in a process of its own, one at a time, by the same commands as in a terminal. It ends with the studio, after saving."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from mitlgan.errors import MitlganError, to_one_line, to_terminal_text
from mitlgan.recipe import Recipe, is_relative_source, to_toml
from mitlgan.runtime.child_processes import Lifeline
from mitlgan.runtime.files import is_locked, read_bytes
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.training_plan import CurrentTraining, State, TrainingPlan
from mitlgan.studio.training_sets import TrainingSet
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

COMMAND = (sys.executable, "-m", "mitlgan")
POLL_S = 0.2
GRACE_S, END_S = 60.0, 10.0
"""Time for a training to save and end; and for which the next one waits for that."""
TAIL_BYTES, MAX_MESSAGE_CHARS = 8192, 500
STOPPED_CODES = (128 + signal.SIGTERM, 128 + signal.SIGINT)
PATH = re.compile(r"(?<![\w.])(?:/[^/\s:;,'\"()]+)+/([^/\s:;,'\"()]+)")


class TrainingThread(threading.Thread):
    """Starts one training's process, and waits for it. On Linux a child ends with the thread that started it, so the thread lives as long.

    Args:
        number: Of the studio's trainings, from 1.
        plan: The training.
        root: Folder of the runs.
        device: Device to compute on.
        threads: CPU threads.
    """

    def __init__(self, number: int, plan: TrainingPlan, root: Path, device: str, threads: int) -> None:
        super().__init__(name="studio-training", daemon=True)
        self.number = number
        self.plan = plan
        self.run_path = plan.run
        self.state: State = "starting"
        self.message = ""
        self._root, self._device, self._threads = root, device, threads
        self._before = {run.path for run in run_directory.list_runs(root)}
        self._is_stopping = threading.Event()

    @property
    def is_active(self) -> bool:
        """Whether its process has not ended."""
        return self.state in ("starting", "running", "stopping")

    def stop(self) -> None:
        """Let the process save and end."""
        self._is_stopping.set()

    def run(self) -> None:
        """Train. Call `start`, not this."""
        try:
            with tempfile.TemporaryDirectory(prefix="mitlgan-studio-") as folder, tempfile.TemporaryFile("a+b") as log, Lifeline() as lifeline:
                options = lifeline.popen_options()
                options["env"] |= {"OMP_NUM_THREADS": str(self._threads)}
                command = [*COMMAND, *self._arguments(Path(folder))]
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True, **options
                )  # fmt: skip
                self._watch(process, log)
        except OSError as error:
            self.state, self.message = "failed", f"the training could not be started: {error.strerror}"

    def _arguments(self, folder: Path) -> list[str]:
        options = ["--device", self._device, "--json"]
        if self.plan.recipe is None:
            return [*self.plan.arguments, *options]
        recipe = folder / "recipe.toml"
        recipe.write_text(to_toml(self.plan.recipe), encoding="utf-8")
        return [*self.plan.arguments, "--recipe", str(recipe), "--out", str(self._root), "--threads", str(self._threads), *options]

    def _watch(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        kill_at_s: float | None = None
        while process.poll() is None:
            time.sleep(POLL_S)
            self.run_path = self.run_path or self._find_run()
            self.message = _last_line(log)
            if not self._is_stopping.is_set():
                self.state = "starting" if self.run_path is None else "running"
            elif kill_at_s is None:
                self.state, kill_at_s = "stopping", time.monotonic() + GRACE_S
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            elif time.monotonic() > kill_at_s:
                process.kill()
        self.run_path = self.run_path or self._find_run()
        self.message = _last_line(log) if process.returncode else ""
        is_stopped = self._is_stopping.is_set() or process.returncode in STOPPED_CODES
        self.state = "done" if process.returncode == 0 else "stopped" if is_stopped else "failed"

    def _find_run(self) -> Path | None:
        """Return the run that the process has made."""
        recipe = self.plan.recipe
        if recipe is None:
            return None
        runs = [run for run in run_directory.list_runs(self._root, recipe.command) if run.path not in self._before]
        return next((run.path for run in reversed(runs) if _has_same_work(run, recipe)), None)


class Trainer:
    """The studio's trainings, one at a time.

    Args:
        root: Folder of the runs.
        sets: The sets on offer.
        device: Device to compute on.
    """

    def __init__(self, root: Path, sets: Mapping[str, TrainingSet], device: str) -> None:
        self.sets = sets
        self._root, self._device = root, device
        self._current: TrainingThread | None = None
        self._sources: dict[Path, tuple[int, str | None]] = {}
        self._lock = threading.Lock()

    @property
    def is_training(self) -> bool:
        """Whether a training has not ended."""
        return self._current is not None and self._current.is_active

    def begin(self, plan: TrainingPlan) -> None:
        """Start a training.

        Raises:
            RequestRefused: 409, one is running, or another process holds the run.
        """
        with self._lock:
            if self._current is not None and self._current.state == "stopping":
                self._current.join(END_S)  # it has saved, and is about to end
            if self.is_training:
                raise RequestRefused(409, "training: one is running already; stop it first, or wait for its end")
            if plan.run is not None and is_locked(plan.run):
                raise RequestRefused(409, "run: another process works on it; wait for that")
            number = 1 if self._current is None else self._current.number + 1
            self._current = TrainingThread(number, plan, self._root, self._device, max(1, (os.cpu_count() or 1) - 1))
            self._current.start()

    def stop(self, number: int | None = None) -> None:
        """Let the training save and end.

        Args:
            number: The training that is meant; None: the current one.

        Raises:
            RequestRefused: 409, none is running, or it is another one.
        """
        with self._lock:
            if self._current is not None and number not in (None, self._current.number):
                raise RequestRefused(409, "training: this one has ended; another has been started since")
            if self._current is None or not self._current.is_active:
                raise RequestRefused(409, "training: none is running that the studio has started")
            self._current.stop()

    def plan_resume(self, run: Run, *, end: bool) -> TrainingPlan:
        """Return the plan that continues a run, or ends it at its newest checkpoint.

        Raises:
            RequestRefused: 403, it was trained on pictures that the studio was not started with; 409, it is finished or has no checkpoint.
        """
        if not self.trains_on_offer(run):
            raise RequestRefused(403, "run: its pictures are none that the studio was started with; start it with `--data`, or use `mitlgan resume`")
        if run.artifact_file is not None or not (run.path / "checkpoints").is_dir():
            raise RequestRefused(409, "run: is finished, or has nothing to continue from")
        return TrainingPlan(f"{'finish' if end else 'resume'} {run.path.name}", ["resume", str(run.path), *(["--end"] if end else [])], run=run.path)

    def trains_on_offer(self, run: Run) -> bool:
        """Return whether a run's pictures are among the sets on offer."""
        with suppress(OSError):
            stamp = run.recipe_file.lstat().st_mtime_ns
            if self._sources.get(run.path, (None, None))[0] != stamp:
                self._sources[run.path] = stamp, run_source(run)
            source = self._sources[run.path][1]
            return source is not None and any(one.covers(source) for one in self.sets.values())
        return False

    def describe(self, run_id: Mapping[Path, str]) -> CurrentTraining | None:
        """Return the current training; None if none has been started.

        Args:
            run_id: Ids of runs by their paths.
        """
        current = self._current
        if current is None:
            return None
        run = None if current.run_path is None else run_id.get(current.run_path)
        return CurrentTraining(number=current.number, label=current.plan.label, state=current.state, run=run, message=_without_paths(current.message))

    def close(self) -> None:
        """Stop the training, and wait until it has saved."""
        self.stop_if_active()
        if self._current is not None:
            self._current.join(GRACE_S + POLL_S)

    def stop_if_active(self) -> None:
        """Let a training save and end, if one is running."""
        if self._current is not None:
            self._current.stop()


def _has_same_work(run: Run, recipe: Recipe) -> bool:
    """Return whether a run has the pictures and the length of a recipe; parents and fitted placements may have been added to the rest."""
    with suppress(MitlganError):
        own = run.load_recipe(asked=recipe.data.source)
        return (own.name, own.role, own.data, own.training) == (recipe.name, recipe.role, recipe.data, recipe.training)
    return False


def _without_paths(text: str) -> str:
    """Shorten paths to their last part: clients must not learn where things are."""
    return PATH.sub(r"\1", text)


def run_source(run: Run) -> str | None:
    """Return where a run's pictures come from, as its recipe says, and of a relative path those that it means; None if that cannot be read."""
    with suppress(OSError, ValueError, RecursionError, AttributeError, MitlganError):
        data = tomllib.loads(read_bytes(run.recipe_file, root=run.path).decode()).get("data", {})
        source = str(data.get("source", ""))
        return run.load_recipe().data.source if is_relative_source(source) else source or None
    return None


def _last_line(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - TAIL_BYTES))
    lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    log.seek(0, os.SEEK_END)
    return to_one_line(to_terminal_text(lines[-1]))[:MAX_MESSAGE_CHARS] if lines else ""
