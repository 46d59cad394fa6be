"""The comparison with peers works as a script where no peer is installed: points, table, grids and refusals, with a peer made for the test."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny_runs
from peers import loops, measure
from peers.loops import PEERS, Peer, PeerGenerator, PeerLoop
from peers.measure import PeerPlan, measure_all, table_lines
from PIL import Image
from torch import nn

from mitlgan.bench.quality.sides import KidMeter, QualityPoint
from mitlgan.bench.quality.tasks import QualityTask
from mitlgan.data.pack.image_pack import BACKDROP
from mitlgan.recipe import to_toml


class TinyPeer(PeerLoop):
    """Trains nothing, and takes some time for it."""

    opened = 0

    def __init__(self, pictures: Path, size_px: int, seed: int, folder: Path) -> None:
        super().__init__()
        type(self).opened += 1
        self.pictures = sorted((pictures / "train").iterdir())
        self.module = nn.Sequential(nn.Linear(5, 3 * size_px**2), nn.Unflatten(1, (3, size_px, size_px)), nn.BatchNorm2d(3), nn.Sigmoid())
        self.size_px = size_px

    def update(self) -> None:
        torch.randn(200_000).sort()
        self.images_shown += len(self.pictures)
        self.generator_updates += 1

    def networks(self) -> tuple[nn.Module, nn.Module]:
        return self.module, nn.Linear(3, 1)

    def generator_for_use(self) -> PeerGenerator:
        return PeerGenerator(self.module, 5, self.size_px, lowest=0).eval()


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PeerPlan:
    """One task of 8 px, the recipe and a peer that is made for the test; KID is not measured."""
    for split, seed in (("train", 1), ("validation", 2)):
        folder = tmp_path / "out" / "pictures" / "bg" / split
        folder.mkdir(parents=True)
        for index, planes in enumerate(tiny_runs.pixels(12, seed)):
            Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0))).save(folder / f"{index}.png")
    (folder.parent / "done").touch()
    file = tmp_path / "tiny.toml"
    file.write_text(to_toml(tiny_runs.recipe("bg", Path("replaced"), updates=100_000)))
    kids = iter(range(1000, 0, -1))
    monkeypatch.setattr(KidMeter, "measure", lambda *_: float(next(kids)))
    monkeypatch.setattr(measure.EvalProtocol, "open_extractor", lambda *_, **__: None)
    monkeypatch.setattr(TinyPeer, "opened", 0)
    monkeypatch.setitem(PEERS, "sngan", Peer("tiny", (), (8,), TinyPeer))
    monkeypatch.setitem(PEERS, "lightweight", Peer("of another size", (), (64,), TinyPeer))
    return PeerPlan([QualityTask("bg-8", "bg", 8, str(file))], ["recipe", "sngan", "lightweight"], {8: 0.2}, [0], 8, measure.SHARES, tmp_path / "out")


def test_both_sides_are_measured_at_the_same_shares_of_the_time_and_only_once(plan: PeerPlan, capsys: pytest.CaptureFixture[str]) -> None:
    results = measure_all(plan)
    assert json.loads((plan.out / "peers.json").read_text()) == results
    recipe, peer = results["rows"]
    assert [point["kid"] for point in peer["points"]] == sorted((point["kid"] for point in peer["points"]), reverse=True)
    for share, point in zip(measure.SHARES, peer["points"], strict=True):
        assert 0.2 * share <= point["cpu_s"] < 0.2 * share + 0.5
        assert measure.point_at(measure.read_points(recipe), 0.2 * share).cpu_s >= 0.2 * share
    assert peer["points"][-1]["kimg"] * 1000 == 12 * peer["generator_updates"]
    assert peer["parameters"] == [6 * 3 * 64 + 6, 4]
    assert recipe["reading_s"] > 0
    for row in results["rows"]:
        with Image.open(plan.out / "grids" / f"bg-8--{row['side']}--0.png") as grid:
            assert grid.size == (8 * 20 + 4, 8 * 20 + 4)
    assert measure_all(plan) == results
    assert TinyPeer.opened == 1
    with pytest.raises(measure.UsageError, match=r"--out .*bg-8--recipe--0\.json is of other settings .*; give another folder"):
        measure_all(dataclasses.replace(plan, samples=16))
    assert "bg-8--sngan--0: KID" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sngan", "lightweight"):
        monkeypatch.setitem(PEERS, name, dataclasses.replace(PEERS[name], modules=("no_such_peer",)))
        assert measure.main(["--out", str(tmp_path / "out"), "--task", "bg-64", "--side", "recipe", "--side", name]) == 2
        printed = capsys.readouterr()
        assert printed.err == f"{PEERS[name].title}: no_such_peer is not installed; see tests/peers/README.md, or choose others by --side\n"
        assert printed.out == ""
    assert not (tmp_path / "out").exists()


def row(side: str, kids: list[float], seed: int = 0, **more: Any) -> dict[str, Any]:
    """A row of bg-32 whose points are at 30, 60, 120 seconds."""
    points = [QualityPoint(cpu_s, cpu_s / 10, kid).to_json() for cpu_s, kid in zip((30.0, 60.0, 120.0), kids, strict=True)]
    return {
        "task": "bg-32",
        "side": side,
        "seed": seed,
        "settings": {"seconds": 120.0, "shares": [0.25, 0.5, 1.0]},
        "parameters": [1_500_000, 250_000],
        "points": points,
        **more,
    }


def test_the_table_says_how_many_times_sooner() -> None:
    recipe = {"recipe": "recommended/bg-32", "reading_s": 20.0}
    rows = [
        row("recipe", [2.0, 1.0, 0.5], **recipe),
        row("sngan", [5.0, 3.0, 3.5], generator_updates=7),
        row("wgan-gp", [5.0, 3.0, 1.0], generator_updates=8),
        row("textbook", [0.4, 0.6, 0.7], generator_updates=9),
    ]
    assert [line.split(" | ", 1)[1] for line in table_lines(rows)[2:]] == [
        "`recommended/bg-32` | 120 | 100 |  | 1.50 + 0.25 | 2.00 | 1.00 | 0.50 |  |  |  |",
        "torch-mimicry SNGAN | 120 | 100 | 7 | 1.50 + 0.25 | 5.00 | 3.00 | 3.50 | at most 30.0 | at least 2.0 | at least 1.2 |",
        "torch-mimicry WGAN-GP | 120 | 100 | 8 | 1.50 + 0.25 | 5.00 | 3.00 | 1.00 | 60.0 | 2.0 | 1.5 |",
        "textbook WGAN-GP loop | 120 | 100 | 9 | 1.50 + 0.25 | 0.40 | 0.60 | 0.70 | not reached |  |  |",
    ]
    seeds = [row("recipe", [2.0, 1.0, 0.5], seed=1, **recipe), row("wgan-gp", [5.0, 3.0, 0.5], seed=1, generator_updates=8)]
    line = table_lines([*rows, *seeds])[4]
    assert line.endswith("| 0.75 (0.50 to 1.00) | 90.0 (60.0 to 120.0) | 1.5 (1.0 to 2.0) | 1.2 (0.86 to 1.5) |")
    assert table_lines(rows[1:2])[2].endswith("| 3.50 |  |  |  |")
    end_only = {**rows[2], "points": rows[2]["points"][-1:], "settings": {"seconds": 120.0, "shares": [1.0]}}
    assert table_lines([rows[0], end_only])[3].endswith("|  |  | 1.00 | 60.0 | 2.0 | 1.5 |")


def test_a_training_that_ends_early_counts_with_its_last_point() -> None:
    points = [QualityPoint(10.0, 1.0, 2.0), QualityPoint(20.0, 2.0, 1.0)]
    assert [measure.point_at(points, cpu_s).cpu_s for cpu_s in (5.0, 10.0, 15.0, 30.0)] == [10.0, 10.0, 20.0, 20.0]


def test_all_ranges_of_pixels_become_the_products() -> None:
    images = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0])
    as_module = nn.Identity()
    assert PeerGenerator(as_module, 6, 1, lowest=0)(images).tolist() == [-1, -1, -1, 0, 1, 1]
    assert PeerGenerator(as_module, 6, 1, lowest=-1)(images).tolist() == [-1, -1, 0, 0.5, 1, 1]


def test_absent_modules_have_a_stand_in_during_an_import_alone() -> None:
    with loops.stand_in(("no_such_package", "no_such_package.part", "json")):
        from no_such_package.part import thing  # type: ignore[import-not-found]

        assert thing is not None
        assert sys.modules["json"] is json
    assert "no_such_package" not in sys.modules
    assert sys.modules["json"] is json


def test_what_moves_to_cuda_stays_on_the_cpu() -> None:
    tensor, module = torch.ones(2), nn.Linear(2, 2)
    with loops.stay_on_cpu():
        assert tensor.cuda(0) is tensor
        assert module.cuda(0) is module
    cpu_torch = loops.CpuTorch("torch")
    assert cpu_torch.device("cuda:0") == torch.device("cpu")
    assert cpu_torch.zeros is torch.zeros


def test_widths_are_the_defaults_divided() -> None:
    class Wide(nn.Module):
        def __init__(self, ngf: int = 256) -> None:
            super().__init__()
            self.ngf = ngf

    assert loops.narrow(Wide, "ngf", 1).ngf == 256
    assert loops.narrow(Wide, "ngf", loops.NARROWING).ngf == 64


def test_peers_see_objects_on_the_backdrop(tmp_path: Path) -> None:
    (tmp_path / "fg" / "train").mkdir(parents=True)
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "fg" / "train" / "a.png")
    flat = measure.flatten(tmp_path / "fg", tmp_path / "flat")
    with Image.open(flat / "train" / "a.png") as picture:
        assert (picture.mode, picture.getpixel((0, 0))) == ("RGB", BACKDROP)
