"""Start-up: the CPU time of commands that compute nothing, and of one picture from a cold start."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitlgan.bench.timing import run_command, spread_of
from mitlgan.runtime.shipped_files import shipped_folder

INSTANT_S, PICTURE_S = 0.3, 2.5
"""Bounds: of a command that computes nothing; of one picture, which has to load torch."""
INSTANT_COMMANDS = (
    "--version",
    "--help",
    "sample --help",
    "data split --help",
    "recipes ls",
    "recipes cat recommended/bg-32",
    "runs ls",
    "cache ls",
    "completion bash",
)


def measure_startup(quick: bool) -> dict[str, Any]:
    """Return by command the CPU seconds and its bound."""
    rounds = 1 if quick else 5
    commands = [(command, command.split(), INSTANT_S) for command in INSTANT_COMMANDS]
    artifact = str(shipped_folder("pretrained") / "modern-32")
    commands.append(("sample ARTIFACT -n 1", ["sample", artifact, "-n", "1", "--out", "picture"], PICTURE_S))
    times_s: dict[str, list[float]] = {label: [] for label, _, _ in commands}
    for round_ in range(rounds + 1):  # in turns; the first round loads files into memory
        for label, arguments, _ in commands:
            with tempfile.TemporaryDirectory() as folder:
                cpu_s = run_command(["mitlgan", *arguments], Path(folder)).cpu_s
            if round_:
                times_s[label].append(cpu_s)
    return {label: {"cpu_s": spread_of(times_s[label]), "bound_s": bound_s} for label, _, bound_s in commands}


def format_startup(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    return [
        f"start-up                  {row['cpu_s']['median']:.2f} s CPU ({row['cpu_s']['min']:.2f} to {row['cpu_s']['max']:.2f}), "
        f"bound {row['bound_s']} s: {label}"
        for label, row in results.items()
    ]
