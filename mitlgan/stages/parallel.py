"""Trainings side by side, each in a process of its own: what share nothing is done sooner so than one after the other with all threads.

Every training is an ordinary run under one root, which `mitlgan resume` and the other commands understand; a second call takes what is finished
and goes on with what was stopped. They end with the process that began them, even where that is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitlgan.errors import MitlganError, ResourceError, Stopped
from mitlgan.recipe import Recipe, to_toml
from mitlgan.runtime.child_processes import Lifeline
from mitlgan.runtime.files import create_file, disk_errors, ensure_folder, folder_lock, is_locked, read_bytes, write_atomically
from mitlgan.runtime.progress import PlainReporter, make_reporter
from mitlgan.runtime.signals import StopSignals
from mitlgan.stages.existing_runs import find_matching_run, warn_if_data_changed
from mitlgan.training.run_directory import Run

POLL_S = 0.25
SHOW_S = 1.0
CHILD_GRACE_S = 60
MAX_WARNINGS = 10
"""Of one process, that are passed on."""


@dataclass
class TrainingProcess:
    """One training in a process of its own.

    Attributes:
        label: What the user sees.
        recipe: What is trained.
        arguments: Of `mitlgan`, without `--recipe` and `--out`.
        inputs: Hashes of the artifacts that it is made from, which tell its run apart from others of the same recipe; None takes any.
    """

    label: str
    recipe: Recipe
    arguments: Sequence[str]
    inputs: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self, root: Path) -> Run | None:
        """The job's run, if it has begun."""
        return find_matching_run(root, self.recipe, self.inputs)

    def is_done(self, root: Path) -> bool:
        """Whether its artifact is there."""
        run = self.run(root)
        return run is not None and run.artifact is not None


def run_parallel(
    workdir: Path,
    root: Path,
    trainings: Sequence[TrainingProcess],
    *,
    max_parallel: int | None = None,
    threads: int | None = None,
    on_failure: Callable[[TrainingProcess, MitlganError], None] | None = None,
) -> None:
    """Run the jobs that are not finished yet, and wait.

    Args:
        workdir: For their recipes and logs.
        root: Runs are made and looked for under it.
        trainings: In the order in which they begin.
        max_parallel: Most processes at a time, which share the cores; None takes all jobs.
        threads: CPU threads of each; None shares the cores out.
        on_failure: Told of a job that failed, and the others go on; without it they are stopped.

    Raises:
        Stopped: A signal came; the processes saved and ended.
        ResourceError: Another process runs jobs there.
        MitlganError: One of them failed, or its run is held by another process, and the others were stopped; carries its line and exit code.
    """
    waiting = []
    for job in trainings:
        if not job.is_done(root):
            waiting.append(job)
        elif (run := job.run(root)) is not None:
            warn_if_data_changed(run, job.recipe, PlainReporter(job.label).say)
    most = len(waiting) if max_parallel is None else max_parallel
    threads = threads or max(1, (os.cpu_count() or 1) // max(1, most))
    bars = {job.label: make_reporter(job.label) if most == 1 else PlainReporter(job.label) for job in waiting}
    ensure_folder(workdir)
    ensure_folder(workdir / "logs", root=workdir)
    with folder_lock(workdir / "logs"), Lifeline() as lifeline, StopSignals() as signals:
        try:
            _work(workdir, root, waiting, most, lambda job: _start(workdir, root, job, threads, lifeline), bars, signals, on_failure)
        finally:
            _end(waiting, signals.received)
            for bar in bars.values():
                bar.close()
    if signals.received is not None:
        raise Stopped(f"{workdir}: stopped and saved; the same command goes on from here", signals.received)


def _work(
    place: Path,
    root: Path,
    waiting: Sequence[TrainingProcess],
    most: int,
    start: Callable[[TrainingProcess], subprocess.Popen[bytes]],
    bars: Mapping[str, Any],
    signals: StopSignals,
    on_failure: Callable[[TrainingProcess, MitlganError], None] | None,
) -> None:
    def failed(job: TrainingProcess, error: MitlganError) -> None:
        if on_failure is None:
            raise error
        on_failure(job, error)

    ahead, running, shown = list(waiting), list[TrainingProcess](), 0.0
    while (ahead or running) and signals.received is None:
        while ahead and len(running) < most:
            job = ahead.pop(0)
            try:
                job.process = start(job)
                running.append(job)
            except MitlganError as error:
                failed(job, error)
        time.sleep(POLL_S)
        if time.monotonic() - shown > SHOW_S:
            shown = time.monotonic()
            for job in running:
                _show(root, job, bars[job.label])
        for job in [job for job in running if job.process is not None and job.process.poll() is not None]:
            running.remove(job)
            _tell_warnings(place, job, bars[job.label].say)
            if signals.received is None:
                try:
                    _check(place, job)
                except MitlganError as error:
                    failed(job, error)


def _start(place: Path, root: Path, job: TrainingProcess, threads: int, lifeline: Lifeline) -> subprocess.Popen[bytes]:
    unfinished = job.run(root)
    if unfinished is not None:
        if is_locked(unfinished.path):
            raise ResourceError(f"{job.label}: {locked_message(unfinished)}")
        arguments = ["resume", str(unfinished.path)]
    else:
        file = place / "recipes" / f"{_slug(job)}.toml"
        ensure_folder(file.parent, root=place)
        write_atomically(file, to_toml(job.recipe), root=place)
        arguments = [*job.arguments, "--recipe", str(file), "--out", str(root), "--threads", str(threads)]
    command = [sys.executable, "-m", "mitlgan", *arguments, "--json"]
    options = lifeline.popen_options()
    options["env"] |= {"OMP_NUM_THREADS": str(threads)}
    with disk_errors(_log(place, job)), create_file(_log(place, job), root=place) as log:
        # A session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def locked_message(run: Run) -> str:
    """What there is to say of a run that another process works on."""
    return f"{run.path} is held by another process, which works on it; wait for that, then call this again"


def _slug(job: TrainingProcess) -> str:
    return job.label.replace(" ", "-").replace("/", "-")


def _log(place: Path, job: TrainingProcess) -> Path:
    return place / "logs" / f"{_slug(job)}.log"


def _show(root: Path, job: TrainingProcess, bar: Any) -> None:
    run = job.run(root)
    if run is not None and (status := run.status()):
        bar.update(status)


def _end(jobs: Sequence[TrainingProcess], received: int | None) -> None:
    """Pass a signal on and wait for the processes to save; what does not end in time is killed."""
    running = [job.process for job in jobs if job.process is not None and job.process.poll() is None]
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(received or signal.SIGTERM)
    for process in running:
        try:
            process.wait(CHILD_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell_warnings(place: Path, job: TrainingProcess, say: Callable[[str], None]) -> None:
    """What the process warned of, which would lie in its log alone."""
    warned = [line for line in _lines(place, job) if line.startswith("warning: ")]
    for line in list(dict.fromkeys(warned))[:MAX_WARNINGS]:
        say(f"{job.label}: {line}")
    if len(set(warned)) > MAX_WARNINGS:
        say(f"{job.label}: more warnings in {_log(place, job)}")


def _lines(place: Path, job: TrainingProcess) -> list[str]:
    return [line for line in read_bytes(_log(place, job), root=place).decode(errors="replace").splitlines() if line.strip()]


def _check(place: Path, job: TrainingProcess) -> None:
    assert job.process is not None
    code = job.process.returncode
    if code == 0:
        return
    lines = _lines(place, job)
    error = MitlganError(f"{job.label}: {lines[-1] if lines else 'ended without a word'} (log: {_log(place, job)})")
    error.exit_code = code if code > 0 else 1
    raise error
