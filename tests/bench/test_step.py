"""A step's parts add up to the step, and its arithmetic is counted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs
from torch import nn

from mitlgan.bench import step
from mitlgan.bench.step import PARTS, OperationCounter, PartTimer, format_steps, watch_parts
from mitlgan.recipe import to_toml
from mitlgan.training.loop import TrainingLoop


def test_time_counts_for_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(time, "process_time", lambda: next(now))
    timer = PartTimer()
    inner = timer.around(lambda: None, lambda: "data")
    timer.around(inner, lambda: "generator")()
    timer.switch(PARTS[-1])
    assert timer.seconds["data"] == 3.0
    assert timer.seconds["generator"] == 2.0 + 4.0
    assert timer.seconds[PARTS[-1]] == 1.0 + 5.0


def test_operations_of_products_are_counted_in_second_gradients_too() -> None:
    image, conv = torch.rand(1, 1, 4, 4, requires_grad=True), nn.Conv2d(1, 1, 3, bias=False)
    with OperationCounter() as counter:
        torch.rand(2, 3) @ torch.rand(3, 5)
        assert counter.total == 2 * 2 * 3 * 5
        (gradient,) = torch.autograd.grad(conv(image).square().sum(), image, create_graph=True)
        before = counter.total
        gradient.square().sum().backward()
    assert counter.total > before


def test_watching_changes_nothing_and_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tiny_runs.pack(tmp_path / "pack.npy")
    file = tmp_path / "tiny.toml"
    file.write_text(to_toml(tiny_runs.recipe("bg", pack)))
    monkeypatch.setattr(step, "demo_pack", lambda *_: step_pack(pack))
    loops: list[TrainingLoop] = [step.make_loop(str(file), tmp_path / name) for name in ("watched", "plain")]
    timer = PartTimer()
    watch_parts(loops[0], timer)
    for loop in loops:
        loop.train_iteration()
    timer.switch(PARTS[-1])
    first, second = (loop.state.tensors() for loop in loops)
    assert all(torch.equal(first[name], second[name]) for name in second)
    assert [part for part, seconds in timer.seconds.items() if not seconds > 0] == []


def step_pack(path: Path) -> object:
    from mitlgan.data.pack.image_pack import ImagePack

    return ImagePack.open(path)


def test_results_are_shown_with_their_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tiny_runs.pack(tmp_path / "pack.npy")
    file = tmp_path / "tiny.toml"
    file.write_text(to_toml(tiny_runs.recipe("bg", pack)))
    monkeypatch.setattr(step, "demo_pack", lambda *_: step_pack(pack))
    row = step.measure_step(str(file), 2, {"matmul": 100.0, "convolution": 50.0})
    assert row["ms"]["min"] <= row["ms"]["median"] <= row["ms"]["max"]
    assert row["share_of"]["convolution"] == pytest.approx(row["gflops"] / 50)
    assert row["images_per_s"] == pytest.approx(tiny_runs.PER_UPDATE / row["ms"]["median"] * 1000)
    lines = format_steps({"gflops": {"matmul": 100.0, "convolution": 50.0}, "recipes": {"tiny": row}})
    assert lines[0].endswith("100 GFLOP/s matmul, 50 convolution")
    assert len(lines) == 2 + sum(1 for part in row["parts_ms"].values() if part["median"] > 0)
