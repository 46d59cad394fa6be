"""A very long training: memory, time of a step and run directory stay as they are after its first part.

`MITLGAN_SOAK_ITERATIONS=1000000 pytest -m slow -s tests/training/test_soak.py -k dense` runs a million steps and prints the figures.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.recipe import Recipe, as_dict, parse_recipe, with_overrides
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.run_directory import Run

LOG_ITERATIONS = 100
SAMPLES = 40
MAX_GROWTH_MB = 8.0
MAX_SLOWDOWN = 1.25


@dataclass(frozen=True)
class Sample:
    """What the process and its run take at one moment."""

    iteration: int
    cpu_s: float
    resident_mb: float
    files: int
    bytes_without_logs: int
    log_bytes: int


def look(run: Path, iteration: int) -> Sample:
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    files = [path for path in run.rglob("*") if path.is_file() and not path.name.endswith(".tmp")]
    logs = [path for path in files if path.suffix == ".jsonl"]
    sizes = {path: path.stat().st_size for path in files}
    log_bytes = sum(sizes[path] for path in logs)
    return Sample(iteration, time.process_time(), resident, len(files), sum(sizes.values()) - log_bytes, log_bytes)


def soak_recipe(kind: str, pack: Path, iterations: int, interval: int) -> Recipe:
    """A recipe whose learning stays flat: of convolutions with a gradient penalty, or of dense layers, whose step takes half as long."""
    recipe = tiny_runs.recipe("bg", pack, log_iterations=LOG_ITERATIONS, checkpoint_iterations=interval, snapshot_kimg=1e6)
    tree = as_dict(with_overrides(recipe, objective__critic_steps=1, objective__penalty_every=4))
    if kind == "dense":
        tree |= {
            "generator": {"kind": "mlp", "latent_dim": 2, "widths": [4]}, "critic": {"kind": "mlp", "widths": [4]},
            "objective": {"kind": "lsgan", "critic_steps": 1},
        }  # fmt: skip
    tree["training"] |= {"kimg": iterations * tiny_runs.BATCH / 1000, "divergence": "continue"}
    recipe = parse_recipe(tree, f"soak of {kind} layers")
    return with_overrides(recipe, generator_optimiser__learning_rate=1e-6, critic_optimiser__learning_rate=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", ["convolutions", "dense"])
def test_nothing_grows(kind: str, tmp_path: Path) -> None:
    iterations = int(os.environ.get("MITLGAN_SOAK_ITERATIONS", "20000"))
    interval = max(LOG_ITERATIONS, iterations // SAMPLES // LOG_ITERATIONS * LOG_ITERATIONS)
    samples: list[Sample] = []

    def on_stats(run: Path, line: Mapping[str, Any]) -> None:
        if line["iteration"] % interval == 0:
            samples.append(look(run, int(line["iteration"])))
            print(samples[-1], flush=True)

    recipe = soak_recipe(kind, tiny_runs.pack(tmp_path / "p.npy"), iterations, interval)
    run = pretrain(recipe, replace(tiny_runs.run_context(tmp_path / "runs"), on_stats=on_stats))
    assert Run(run.path).read_status()["iteration"] == iterations

    warm = samples[len(samples) // 8 :]  # the allocator has grown to its size
    quarter = max(2, len(warm) // 4)
    steps_ms = [1000 * (after.cpu_s - before.cpu_s) / (after.iteration - before.iteration) for before, after in pairwise(warm)]
    growth_mb = statistics.median(sample.resident_mb for sample in warm[-quarter:]) - statistics.median(sample.resident_mb for sample in warm[:quarter])
    slowdown = statistics.median(steps_ms[-quarter:]) / statistics.median(steps_ms[:quarter])
    logs = {path.name: [len(line) for line in path.read_text().splitlines()] for path in run.path.glob("*.jsonl")}
    assert len(logs["stats.jsonl"]) == iterations // LOG_ITERATIONS
    print(
        f"\n{iterations} steps: {warm[0].resident_mb:.1f} MB at step {warm[0].iteration}, {warm[-1].resident_mb:.1f} MB at the end "
        f"(growth {growth_mb:+.2f}); "
        f"{statistics.median(steps_ms[:quarter]):.2f} ms a step, then {statistics.median(steps_ms[-quarter:]):.2f} ({slowdown:.3f} times); "
        f"{warm[0].files} files of {warm[0].bytes_without_logs} bytes, then {warm[-1].files} of {warm[-1].bytes_without_logs}; "
        f"logs of {warm[-1].log_bytes} bytes"
    )
    assert growth_mb < MAX_GROWTH_MB
    assert slowdown < MAX_SLOWDOWN
    assert warm[-1].files == warm[0].files
    assert abs(warm[-1].bytes_without_logs - warm[0].bytes_without_logs) < 4096  # headers hold numbers that become longer
    for name, lengths in logs.items():
        part = max(1, len(lengths) // 4)
        assert len(lengths) <= 1 + iterations // LOG_ITERATIONS, name
        assert statistics.median(lengths[-part:]) < 1.2 * statistics.median(lengths[:part]), name
