"""Independent trainings in parallel processes, faster than one after the other with all threads.

Every training is an ordinary run under one root, which `mitlgan resume` and the other commands understand. A second call skips finished runs and
resumes stopped ones. The processes end with the process that started them, even if that is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan.errors import MitlganError, ResourceError, Stopped
from mitlgan.recipe import Recipe, to_toml
from mitlgan.runtime.child_processes import Lifeline
from mitlgan.runtime.distributed import ALONE
from mitlgan.runtime.files import create_file, ensure_folder, is_locked, lock_folder, read_bytes, translate_disk_errors, write_atomically
from mitlgan.runtime.progress import PlainReporter, Reporter, make_reporter
from mitlgan.runtime.signals import StopSignals
from mitlgan.stages.existing_runs import find_matching_run, warn_if_data_changed
from mitlgan.stages.resume import record_pictures
from mitlgan.training.run_directory import Run

POLL_S = 0.25
STATUS_INTERVAL_S = 1.0
CHILD_GRACE_S = 60
MAX_WARNINGS = 10
"""Warnings of one process that are shown."""


@dataclass
class TrainingProcess:
    """A training that runs in a process of its own.

    Attributes:
        label: Name shown to the user.
        recipe: All settings.
        arguments: Command line of `mitlgan`, without `--recipe` and `--out`.
        inputs: Hashes of the artifacts that the run is made from; they distinguish runs of one recipe. None accepts any.
        process: The process, once it has started.
    """

    label: str
    recipe: Recipe
    arguments: Sequence[str]
    inputs: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def file_name(self) -> str:
        """The label as part of a file name."""
        return self.label.replace(" ", "-").replace("/", "-")

    @property
    def is_running(self) -> bool:
        """Whether its process has started and not ended."""
        return self.process is not None and self.process.poll() is None

    def find_run(self, root: Path) -> Run | None:
        """Return the training's run under a root, if it has started."""
        return find_matching_run(root, self.recipe, self.inputs)

    def is_done(self, root: Path) -> bool:
        """Whether the training's artifact exists under a root."""
        run = self.find_run(root)
        return run is not None and run.is_finished

    def show_status(self, root: Path, reporter: Reporter) -> None:
        """Show the last status that the run wrote."""
        run = self.find_run(root)
        if run is not None and (status := run.read_status()):
            reporter.update(status)


def run_parallel(
    workdir: Path,
    root: Path,
    trainings: Sequence[TrainingProcess],
    *,
    max_parallel: int | None = None,
    threads: int | None = None,
    on_failure: Callable[[TrainingProcess, MitlganError], None] | None = None,
) -> None:
    """Run all trainings that are not finished yet, and wait for them.

    Args:
        workdir: Folder for their recipes and logs.
        root: Folder of the runs.
        trainings: In the order in which they start.
        max_parallel: Maximum number of processes at a time; None starts all.
        threads: CPU threads of each process; None divides the cores among them.
        on_failure: Called with a training that failed, and the others continue. Without it, a failure stops them.

    Raises:
        Stopped: A signal came; the processes saved and ended.
        ResourceError: Another process runs trainings in the folder.
        MitlganError: A training failed, or another process holds its run, and the others were stopped; has its message and exit code.
    """
    waiting = []
    for training in trainings:
        run = training.find_run(root)
        if run is None or not run.is_finished:
            waiting.append(training)
        else:
            warn_if_data_changed(run, training.recipe, PlainReporter(training.label).say)
    if max_parallel is None:
        max_parallel = len(waiting)
    threads = threads or max(1, (os.cpu_count() or 1) // max(1, max_parallel))
    ensure_folder(workdir)
    ensure_folder(workdir / "logs", root=workdir)
    with lock_folder(workdir / "logs"), Lifeline() as lifeline, StopSignals() as signals:
        supervisor = _Supervisor(workdir, root, waiting, threads, lifeline, with_bar=max_parallel == 1)
        try:
            supervisor.run(max_parallel, signals, on_failure)
        finally:
            supervisor.close(signals.received)
    if signals.received is not None:
        raise Stopped(f"{workdir}: stopped and saved; the same command continues from here", signals.received)


def locked_message(run: Run) -> str:
    """Say that another process works on a run."""
    return f"{run.path} is held by another process, which works on it; wait for that, then call this again"


class _Supervisor:
    """Starts trainings, shows their status, and checks how they end."""

    def __init__(self, workdir: Path, root: Path, waiting: Sequence[TrainingProcess], threads: int, lifeline: Lifeline, *, with_bar: bool) -> None:
        self.workdir, self.root, self.threads, self.lifeline = workdir, root, threads, lifeline
        self.trainings = waiting
        self.reporters = {training.label: make_reporter(training.label) if with_bar else PlainReporter(training.label) for training in waiting}

    def run(
        self, max_parallel: int, signals: StopSignals, on_failure: Callable[[TrainingProcess, MitlganError], None] | None
    ) -> None:  # fmt: skip
        """Run all trainings until they end or a signal comes.

        Raises:
            MitlganError: A training failed and `on_failure` is None.
        """
        waiting, running = list(self.trainings), list[TrainingProcess]()
        status_time_s = 0.0
        while (waiting or running) and signals.received is None:
            while waiting and len(running) < max_parallel:
                training = waiting.pop(0)
                with _handle_failure(training, on_failure):
                    training.process = self._start(training)
                    running.append(training)
            time.sleep(POLL_S)
            if time.monotonic() - status_time_s > STATUS_INTERVAL_S:
                status_time_s = time.monotonic()
                for training in running:
                    training.show_status(self.root, self.reporters[training.label])
            for training in [training for training in running if not training.is_running]:
                running.remove(training)
                self._show_warnings(training)
                if signals.received is None:
                    with _handle_failure(training, on_failure):
                        self._check_exit_code(training)

    def close(self, signal_number: int | None) -> None:
        """Pass a signal on, SIGTERM by default, and wait for the processes to save; kill those that do not end in time."""
        processes = [training.process for training in self.trainings if training.process is not None and training.is_running]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal_number or signal.SIGTERM)
        for process in processes:
            try:
                process.wait(CHILD_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reporter in self.reporters.values():
            reporter.close()

    def _start(self, training: TrainingProcess) -> subprocess.Popen[bytes]:
        """Start a training's process, or resume its run.

        Raises:
            ResourceError: Another process holds the run, or the disk refuses to write.
        """
        unfinished = training.find_run(self.root)
        if unfinished is not None:
            if is_locked(unfinished.path):
                raise ResourceError(f"{training.label}: {locked_message(unfinished)}")
            record_pictures(unfinished, training.recipe, ALONE)
            arguments = ["resume", str(unfinished.path)]
        else:
            recipe = self.workdir / "recipes" / f"{training.file_name}.toml"
            ensure_folder(recipe.parent, root=self.workdir)
            write_atomically(recipe, to_toml(training.recipe), root=self.workdir)
            arguments = [*training.arguments, "--recipe", str(recipe), "--out", str(self.root), "--threads", str(self.threads)]
        command = [sys.executable, "-m", "mitlgan", *arguments, "--json"]
        options = self.lifeline.popen_options()
        options["env"] |= {"OMP_NUM_THREADS": str(self.threads)}
        log_path = self._log_path(training)
        with translate_disk_errors(log_path), create_file(log_path, root=self.workdir) as log:
            # In a session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def _show_warnings(self, training: TrainingProcess) -> None:
        """Show the warnings in a process's log."""
        say = self.reporters[training.label].say
        warnings = list(dict.fromkeys(line for line in self._log_lines(training) if line.startswith("warning: ")))
        for line in warnings[:MAX_WARNINGS]:
            say(f"{training.label}: {line}")
        if len(warnings) > MAX_WARNINGS:
            say(f"{training.label}: more warnings in {self._log_path(training)}")

    def _check_exit_code(self, training: TrainingProcess) -> None:
        """Raise the error that a process ended with, if any."""
        assert training.process is not None
        code = training.process.returncode
        if code == 0:
            return
        lines = self._log_lines(training)
        if code == -signal.SIGKILL:
            raise ResourceError(f"{training.label}: was killed, as the system does when memory gives out; free some, and run the same command again")
        error = MitlganError(f"{training.label}: {lines[-1] if lines else 'ended without a message'} (log: {self._log_path(training)})")
        error.exit_code = code if code > 0 else 1
        raise error

    def _log_path(self, training: TrainingProcess) -> Path:
        return self.workdir / "logs" / f"{training.file_name}.log"

    def _log_lines(self, training: TrainingProcess) -> list[str]:
        text = read_bytes(self._log_path(training), root=self.workdir).decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]


@contextlib.contextmanager
def _handle_failure(training: TrainingProcess, on_failure: Callable[[TrainingProcess, MitlganError], None] | None) -> Iterator[None]:
    """Hand a failure to the caller, if it takes them."""
    try:
        yield
    except MitlganError as error:
        if on_failure is None:
            raise
        on_failure(training, error)
