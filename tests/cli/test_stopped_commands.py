"""Commands as processes whose output breaks, or that a signal ends: work goes on or is saved, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import torch
from helpers import tiny_runs
from helpers.commands import start

from mitlgan.images.encode import encode_png
from mitlgan.recipe import to_toml
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import list_checkpoints, load_checkpoint
from mitlgan.training.run_directory import Run

DEADLINE_S = 120.0


def wait_until(is_so: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.02)


def has_begun() -> bool:
    """Whether a training has written a checkpoint after its first."""
    return any(path.stem != "000000000" for run in run_directory.list_runs(Path("runs")) for path in list_checkpoints(run.path))


def without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def hung_up() -> int:
    master, slave = os.openpty()
    os.close(master)
    return slave


OUTPUTS: dict[str, Callable[[], int]] = {"pipe": without_reader, "full": lambda: os.open("/dev/full", os.O_WRONLY), "terminal": hung_up}


@pytest.fixture
def train(packs: dict[str, Path], folder: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], Run]]]:
    """Begins a training that would take hours, with these outputs, and returns it after its first checkpoints."""
    Path("endless.toml").write_text(to_toml(tiny_runs.recipe("fg", packs["fg"], updates=10**6, checkpoint_kimg=1.0)))
    processes: list[subprocess.Popen[str]] = []

    def begin(stdout: int | IO[str], stderr: int | IO[str], *, ignored: int | None = None) -> tuple[subprocess.Popen[str], Run]:
        command = [sys.executable, "-m", "mitlgan", "pretrain", "fg", "--recipe", "endless.toml"]
        if ignored is not None:  # as `nohup` begins it
            program = f"import os, signal, sys; signal.signal({ignored:d}, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
            command = [sys.executable, "-c", program, *command]
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        processes.append(process)
        wait_until(has_begun, process)
        return process, run_directory.list_runs(Path("runs"))[0]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def assert_saved(run: Run) -> None:
    assert run.read_status()["state"] == "stopped"
    checkpoint = load_checkpoint(run.path)
    assert checkpoint is not None
    assert checkpoint[1]["counters"]["iteration"] == len(list(read_jsonl(run.stats_file)))


@pytest.mark.parametrize("output", ["pipe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("full", "terminal"))])
def test_a_training_outlives_its_output(output: str, train: Callable[..., tuple[subprocess.Popen[str], Run]]) -> None:
    """`2>&1 | head`, a log on a full disk, a terminal that was closed: its first line cannot be written already."""
    descriptor = OUTPUTS[output]()
    process, run = train(descriptor, descriptor)
    os.close(descriptor)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM
    assert_saved(run)


@pytest.mark.slow
def test_a_training_under_nohup_outlives_its_terminal(train: Callable[..., tuple[subprocess.Popen[str], Run]]) -> None:
    process, run = train(subprocess.PIPE, subprocess.PIPE, ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    kimg = run.read_status()["kimg"]
    wait_until(lambda: run.read_status()["kimg"] > kimg, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM
    assert_saved(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGHUP, signal.SIGINT))])
@pytest.mark.parametrize("work", ["sample", "pack"])
def test_a_signal_leaves_nothing_half_written(work: str, number: signal.Signals, folder: Path, artifacts: dict[str, Path]) -> None:
    if work == "sample":
        process, begun = start("sample", artifacts["fg"], "-n", 20000), "samples/000003.png"
    else:
        (folder / "in").mkdir()
        picture = encode_png(torch.randint(0, 256, (3, 1500, 1500), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
        for index in range(60):
            (folder / "in" / f"{index:02d}.png").write_bytes(picture)
        process, begun = start("data", "pack", "in", "--size", 8, "--out", "p.npy"), ".p.npy.*.part"
    before = {path for path in folder.iterdir() if path.name == "in"}
    wait_until(lambda: any(folder.glob(begun)), process)
    for _ in range(1 if number == signal.SIGINT else 2):  # schedulers send more than one
        process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (128 + number, "")
    assert [line for line in err.splitlines() if line.strip()] == ["stopped"]
    assert set(folder.iterdir()) == before


@pytest.mark.slow
def test_a_home_folder_that_cannot_be_written_is_not_talked_about(packs: dict[str, Path], folder: Path) -> None:
    """Matplotlib, which draws what a run leaves, does."""
    Path("short.toml").write_text(to_toml(tiny_runs.recipe("fg", packs["fg"], updates=1)))
    environment = {"HOME": str(folder / "short.toml" / "home"), "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""}
    process = start("pretrain", "fg", "--recipe", "short.toml", **environment)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert [line for line in err.splitlines() if not line.startswith("pretrain fg: ")] == []


ENDING = """
import atexit, signal, sys
from pathlib import Path
from mitlgan.cli import main
from mitlgan.runtime.claimed_names import claim_name

entry, number = sys.modules["mitlgan.cli.main"], int(sys.argv[1])

def interrupted(work):
    def run(*arguments):
        signal.raise_signal(number)
        result = work(*arguments)
        signal.raise_signal(number)
        return result
    return run

def stop(*arguments):
    assert claim_name(Path("new/a")) and claim_name(Path("new/b"))
    signal.raise_signal(number)

for name in ("_report", "_say", "release_names"):
    setattr(entry, name, interrupted(getattr(entry, name)))
entry.refuse_ranks = stop
atexit.register(signal.raise_signal, number)
sys.argv = ["mitlgan", "sample"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_while_a_command_ends_change_nothing(number: signal.Signals, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENDING, str(int(number))], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "stopped\n")
    assert not list(folder.iterdir())
