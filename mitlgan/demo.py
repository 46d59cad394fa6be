"""demo: pretrain both layers, compose, compare, in one command that goes on where it was stopped.

The two pretrainings share nothing, nor do composition and baseline, so each pair runs as two processes with half of the threads: at 32 px that is
faster than one after the other with all of them. Every stage is an ordinary run, which `mitlgan resume` and the other commands understand.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mitlgan import artifact, stages
from mitlgan.artifact import Card, LayerCard
from mitlgan.compare import Plan, Result, baseline_recipe, compare
from mitlgan.distributed import World
from mitlgan.errors import ArtifactError, MitlganError, Stopped
from mitlgan.files import locked, make_folder, write_atomically
from mitlgan.progress import PlainReporter, duration, reporter
from mitlgan.recipe import Recipe, changed, dump, load
from mitlgan.runs import Run
from mitlgan.signals import StopSignals
from mitlgan.stages import Environment
from mitlgan.train import updates_of

QUICK = {"training__kimg": 1.0, "training__snapshot_kimg": 1.0, "training__checkpoint_kimg": 1.0, "evaluation__samples": 256}
POLL_S = 0.25
CHILD_GRACE_S = 60


@dataclass
class Job:
    """One stage in a process of its own.

    Attributes:
        label: What the user sees.
        recipe: What is trained.
        arguments: Of `mitlgan`, without `--recipe` and `--out`.
    """

    label: str
    recipe: Recipe
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None


def demo(out: Path, *, quick: bool = False, pretrained: bool = False) -> Result:
    """Run the four stages at 32 px on the demo pictures.

    Args:
        out: Everything is written under it; what is there already is taken or gone on with.
        quick: A few updates only, 256 images evaluated.
        pretrained: Start from the shipped generators.

    Raises:
        Stopped: By a signal; the same command goes on.
        MitlganError: As the stages.
    """
    make_folder(out)
    started = time.monotonic()
    with locked(out):
        show = reporter("demo").say
        roles = ("fg", "bg")
        recipes = {name: _recipe(name, quick) for name in ("pretrain_fg", "pretrain_bg", "compose")}
        if pretrained:
            layers = {role: stages.shipped_artifact(role, recipes["compose"].size_px) for role in roles}
        else:
            show("1/3 pretraining the foreground and the background generator")
            _run_side_by_side(out, [Job(f"pretrain {role}", recipes[f"pretrain_{role}"], ["pretrain", role]) for role in roles])
            layers = {role: _finished(out, recipes[f"pretrain_{role}"]).artifact for role in roles}
        paths = {role: path for role, path in layers.items() if path is not None}
        if len(paths) < len(roles):
            raise ArtifactError("--from pretrained: no generators of 32 px are shipped; run the demo without it")
        show("2/3 training the composition and the plain WGAN at equal kimg")
        wanted = _baseline(recipes["compose"], paths)
        flags = [argument for role, path in paths.items() for argument in (f"--{role}", str(path))]
        _run_side_by_side(out, [Job("compose", recipes["compose"], ["compose", *flags]), Job("baseline wgan", wanted, ["pretrain", "scene"])])
        show("3/3 measuring and writing the report")
        composed, baseline = _finished(out, recipes["compose"]), _finished(out, wanted)
        environment = Environment(World(0, 1, torch.device("cpu")), PlainReporter("compare"), out / "runs")
        result = compare(Plan(composed=composed.path, baseline_run=baseline.path), environment)
        show(f"done in {duration(time.monotonic() - started)}")
    return result


def _recipe(name: str, quick: bool) -> Recipe:
    recipe = load(f"demo/{name}")
    return changed(recipe, **QUICK) if quick else recipe


def _baseline(recipe: Recipe, layers: dict[str, Path]) -> Recipe:
    """The baseline's recipe, before the composition that it is compared with exists: the clock decides both lengths."""
    images = updates_of(recipe) * recipe.training.batch * recipe.objective.critic_steps
    cards = {name: artifact.read_card(path) for name, path in layers.items()}
    frozen = {
        name: LayerCard(role=card.role, generator=card.generator, sha256_before="", sha256_after="") for name, card in cards.items() if card.generator
    }
    planned = Card(kind="composer", role="scene", size_px=recipe.size_px, latent_dims={"all": 1}, layers=frozen, kimg=images / 1000)
    return baseline_recipe(recipe, planned)


def _finished(out: Path, recipe: Recipe) -> Run:
    run = stages.matching_run(out / "runs", recipe)
    if run is None or run.artifact is None:
        raise ArtifactError(f"{out}: the run of {recipe.name} is not finished; call `mitlgan demo` again")
    return run


def _run_side_by_side(out: Path, jobs: list[Job]) -> None:
    """Run the jobs that are not finished yet, each in a process, and wait.

    Raises:
        Stopped: A signal came; the processes saved and ended.
        MitlganError: One of them failed; carries its line and exit code.
    """
    waiting = [job for job in jobs if not _is_done(out, job)]
    threads = max(1, (os.cpu_count() or 1) // max(1, len(waiting)))
    bars = {job.label: reporter(job.label) if len(waiting) == 1 else PlainReporter(job.label) for job in waiting}
    make_folder(out / "logs")
    with StopSignals() as signals:
        try:
            for job in waiting:
                job.process = _start(out, job, threads)
            while any(job.process is not None and job.process.poll() is None for job in waiting) and signals.received is None:
                time.sleep(POLL_S)
                for job in waiting:
                    _show(out, job, bars[job.label])
        finally:
            _end(waiting, signals.received)
            for bar in bars.values():
                bar.close()
    if signals.received is not None:
        raise Stopped(f"{out}: stopped and saved; the same command goes on from here", signals.received)
    for job in waiting:
        _check(out, job)


def _is_done(out: Path, job: Job) -> bool:
    run = stages.matching_run(out / "runs", job.recipe)
    return run is not None and run.artifact is not None


def _start(out: Path, job: Job, threads: int) -> subprocess.Popen[bytes]:
    unfinished = stages.matching_run(out / "runs", job.recipe)
    if unfinished is not None:
        arguments = ["resume", str(unfinished.path)]
    else:
        file = out / "recipes" / f"{job.recipe.name}.toml"
        make_folder(file.parent)
        write_atomically(file, dump(job.recipe))
        arguments = [*job.arguments, "--recipe", str(file), "--out", str(out / "runs"), "--threads", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with _log(out, job).open("wb") as log:
        command = [sys.executable, "-m", "mitlgan", *arguments, "--json"]
        # A session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)


def _log(out: Path, job: Job) -> Path:
    return out / "logs" / f"{job.label.replace(' ', '-')}.log"


def _show(out: Path, job: Job, bar: Any) -> None:
    run = stages.matching_run(out / "runs", job.recipe)
    if run is not None and (status := run.status()):
        bar.update(status)


def _end(jobs: list[Job], received: int | None) -> None:
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


def _check(out: Path, job: Job) -> None:
    assert job.process is not None
    code = job.process.returncode
    if code == 0:
        return
    lines = [line for line in _log(out, job).read_text(errors="replace").splitlines() if line.strip()]
    error = MitlganError(f"{job.label}: {lines[-1] if lines else 'ended without a word'} (log: {_log(out, job)})")
    error.exit_code = code if code > 0 else 1
    raise error
