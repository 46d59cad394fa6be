"""Parts of the benchmark: which are measured, and what commands cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mitlgan.bench import growth, parts, startup
from mitlgan.bench.parts import PARTS, BenchPart, format_parts, run_parts
from mitlgan.bench.timing import CommandCost, run_command, spread_of, time_alternately
from mitlgan.errors import ResourceError, UsageError


def test_long_parts_are_measured_when_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def part(name: str, is_long: bool) -> BenchPart:
        def measure(quick: bool) -> dict[str, Any]:
            measured.append(name)
            return {"quick": quick}

        def show(results: Mapping[str, Any]) -> list[str]:
            return [f"{name} {results}"]

        return BenchPart(measure, show, is_long)

    monkeypatch.setattr(parts, "PARTS", {"fast": part("fast", False), "long": part("long", True)})
    assert run_parts([], str, quick=True)["fast"] == {"quick": True}
    assert measured == ["fast"]
    results = run_parts(["long"], str)
    assert measured == ["fast", "long"]
    assert format_parts(results)[1:] == ["long {'quick': False}"]
    with pytest.raises(UsageError, match="--only sky: no such part; give some of fast, long"):
        run_parts(["sky"], str)


def test_only_growth_is_long() -> None:
    assert [name for name, part in PARTS.items() if part.is_long] == ["growth"]


def test_two_functions_are_timed_in_turns() -> None:
    calls: list[str] = []
    first, second = time_alternately(lambda: calls.append("a"), lambda: calls.append("b"), 2)
    assert calls == ["a", "b"] * 3
    assert len(first) == len(second) == 2
    assert spread_of([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_a_command_costs_cpu_time_and_memory(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text("import time\nblock = bytearray(60_000_000)\nwhile time.process_time() < 0.2: pass\nprint('done')\n")
    cost = run_command(["work"], tmp_path)
    assert cost.out == "done\n"
    assert 0.2 <= cost.cpu_s < 2.0
    assert 60e6 < cost.memory_bytes < 200e6
    with pytest.raises(ResourceError, match=r"absent: ended with 1: .*No module named absent"):
        run_command(["absent"], tmp_path)


def test_startup_measures_each_command_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(arguments: list[str], folder: Path) -> CommandCost:
        commands.append(" ".join(map(str, arguments)))
        return CommandCost(len(commands) / 100, 10, "")

    monkeypatch.setattr(startup, "run_command", run)
    results = startup.measure_startup(True)
    assert len(commands) == 2 * len(results)
    assert commands[1] == commands[1 + len(results)] == "mitlgan --help"
    assert results["--help"] == {"cpu_s": spread_of([(2 + len(results)) / 100]), "bound_s": 0.3}
    (picture,) = [row for label, row in results.items() if label.startswith("sample ARTIFACT")]
    assert picture["bound_s"] == 2.5
    assert len(startup.format_startup(results)) == len(results)


def test_many_pictures_are_few_files(tmp_path: Path) -> None:
    growth.link_pictures(tmp_path, 120)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 120
    assert len({path.stat().st_ino for path in files}) == 100


def test_growth_has_rows_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(arguments: list[str], folder: Path) -> CommandCost:
        commands.append(" ".join(map(str, arguments)))
        return CommandCost(2.0, 500_000_000, '{"estimate": {"cpu_seconds": 10.0, "updates": 200}}')

    monkeypatch.setattr(growth, "run_command", run)
    results = growth.measure_growth(True, 100)
    assert results["pictures"] == [{"pictures": 100, "cpu_s": 2.0, "memory_mb": 500.0, "ms_per_picture": 20.0}]
    assert [(row["recipe"], row["ms_per_step"]) for row in results["pixels"]] == [("recommended/bg-32", 50.0), ("recommended/bg-64", 50.0)]
    assert [row["layers"] for row in results["layers"]] == [2, 3]
    assert [row["processes"] for row in results["processes"]] == [1, 2]
    assert sum("--nproc-per-node 2" in command for command in commands) == 1
    assert growth.format_growth(results)[0] == "100 pictures packed       2.0 s CPU, 500 MB"
