"""The benchmark goes on where it stopped, refuses results of other settings, and writes table and curves."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mitlgan.bench.quality import benchmark
from mitlgan.bench.quality.benchmark import QualityPlan, estimate_cpu_s, run_quality
from mitlgan.bench.quality.page import draw_curves, spread, table_lines
from mitlgan.bench.quality.pictures import write_demo_pictures
from mitlgan.bench.quality.sides import KidMeter, QualityPoint
from mitlgan.bench.quality.tasks import TASKS, QualityTask
from mitlgan.data.demo import archive
from mitlgan.errors import DataError, UsageError


def make_plan(photos: Path, task: QualityTask, out: Path, **changes: Any) -> QualityPlan:
    return QualityPlan(**{"tasks": [task], "minutes": 0.002, "seeds": 2, "samples": 16, "data": photos, "out": out, **changes})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the textbook trainings, which are not done really."""
    seeds: list[int] = []

    def train(task: QualityTask, pictures: object, seed: int, seconds: float, meter: KidMeter) -> list[QualityPoint]:
        seeds.append(seed)
        return [QualityPoint(seconds / 2, 1.0, 3.0), QualityPoint(seconds, 2.0, 2.0)]

    def train_recipe(task: QualityTask, pictures: object, seed: int, seconds: float, meter: KidMeter, kid: float, root: Path) -> list[QualityPoint]:
        return [QualityPoint(seconds / 8, 0.1, kid + 1), QualityPoint(seconds / 4, 0.2, kid)] if seed == 0 else [QualityPoint(seconds, 1.0, kid + 1)]

    monkeypatch.setattr(benchmark, "train_textbook", train)
    monkeypatch.setattr(benchmark, "train_recommended", train_recipe)
    monkeypatch.setattr(benchmark.EvalProtocol, "open_extractor", lambda *_, **__: None)
    return seeds


def test_it_measures_what_is_missing(photos: Path, task: QualityTask, tmp_path: Path, trained: list[int]) -> None:
    lines: list[str] = []
    first = run_quality(make_plan(photos, task, tmp_path / "out", seeds=1), lines.append, lambda _: None)
    assert trained == [0]
    assert lines[0] == "bg-8, seed 0: textbook loop, KID 2.000 after 0 s"
    (row,) = first["tasks"]["bg-8"]
    assert (row["target_kid"], row["ratio"], row["pictures"], row["held_out"]) == (2.0, 4.0, 12, 12)
    assert 0 < row["ratio_with_reading"] < row["ratio"]
    both = run_quality(make_plan(photos, task, tmp_path / "out"), lines.append, lambda _: None)
    assert trained == [0, 1]
    assert both["tasks"]["bg-8"][0] == row
    assert both["tasks"]["bg-8"][1]["reached_cpu_s"] is None
    assert json.loads((tmp_path / "out" / "quality.json").read_text()) == both
    assert lines[-1].endswith("not as good within 0 s (KID 3.000)")
    damaged = (tmp_path / "out" / "quality.json").read_text()[:-9]
    (tmp_path / "out" / "quality.json").write_text(damaged)
    with pytest.raises(DataError, match=r"quality\.json: is damaged"):
        run_quality(make_plan(photos, task, tmp_path / "out"), lines.append, lambda _: None)
    assert (tmp_path / "out" / "quality.json").read_text() == damaged


def test_results_of_other_settings_are_refused(photos: Path, task: QualityTask, tmp_path: Path, trained: list[int]) -> None:
    run_quality(make_plan(photos, task, tmp_path / "out", seeds=1), str, lambda _: None)
    with pytest.raises(UsageError, match=r"--out .*: holds results of other settings .*; give another folder"):
        run_quality(make_plan(photos, task, tmp_path / "out", samples=17), str, lambda _: None)


def test_seeds_of_other_pictures_are_refused(
    photos: Path, task: QualityTask, tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_quality(make_plan(photos, task, out, seeds=1), str, lambda _: None)
    results = json.loads((out / "quality.json").read_text())
    (row,) = results["tasks"]["bg-8"]
    assert results["settings"]["data"] == str(photos.resolve())

    def go_on(change: dict[str, Any], folder: Path = photos, **settings: str) -> list[str]:
        lines: list[str] = []
        left = {key: value for key, value in {**row, **change}.items() if value is not None}
        (out / "quality.json").write_text(json.dumps({**results, "settings": {**results["settings"], **settings}, "tasks": {"bg-8": [left]}}))
        run_quality(make_plan(folder, task, out), lines.append, lambda _: None)
        return lines

    for change in ({"data_sha256": ["0" * 64, "1" * 64]}, {"data_sha256": None, "pictures": 11}, {"data_sha256": None, "held_out": 11}):
        with pytest.raises(UsageError, match=r"bg-8, seed 0, was measured with other pictures than those of now; give another folder"):
            go_on(change)
    monkeypatch.chdir(photos.parent)
    assert go_on({"data_sha256": None}, Path(photos.name), data=photos.name)[0].startswith("bg-8: an earlier version did not record")
    assert "an earlier version" not in go_on({}, Path(photos.name))[0]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="results of other settings"):
        go_on({}, Path(photos.name))


def test_the_estimate_leaves_out_what_is_done(
    photos: Path, task: QualityTask, tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "extract_features", lambda *_: None)
    plan = make_plan(photos, task, tmp_path / "out", minutes=1.0)
    assert estimate_cpu_s(plan) == pytest.approx(240, rel=0.05)
    assert not (tmp_path / "out").exists()
    run_quality(make_plan(photos, task, tmp_path / "out", minutes=1.0, seeds=1), str, lambda _: None)
    assert estimate_cpu_s(plan) == pytest.approx(120, rel=0.05)


def point(cpu_s: float, kid: float) -> dict[str, float]:
    return {"cpu_s": cpu_s, "kimg": 1.0, "kid": kid}


def row(seed: int, reached_s: float | None) -> dict[str, Any]:
    points = {"textbook": [point(30, 3), point(60, 2)], "recommended": [point(1, 2.5), point(reached_s or 60, 2 if reached_s else 2.2)]}
    numbers = {"ratio": 60 / reached_s if reached_s else 0, "ratio_with_reading": 60 / (reached_s + 1) if reached_s else 0}
    return {"seed": seed, "recipe": "recommended/bg-32", "target_kid": 2.0, "target_cpu_s": 60.0, "reached_cpu_s": reached_s, **numbers, **points}


def test_the_table_says_what_was_not_reached() -> None:
    results = {"tasks": {"bg-32": [row(0, 2.0), row(1, 3.0), row(2, 4.0)], "fg-64": [row(0, None)], "bg-64": [row(0, 3.0), row(1, None)]}}
    lines = table_lines(results)
    assert lines[2] == "| bg-32 | 3 | 2.00 (2.00 to 2.00) | 60 (60 to 60) | 3.0 (2.0 to 4.0) | 20 (15 to 30) | 15 (12 to 20) |"
    assert lines[3].startswith("| bg-64 | 2 | ")
    assert "not reached within 60 s by 1 of 2" in lines[3]
    assert lines[4] == "| fg-64 | 1 | 2.00 | 60 | not reached within 60 s |  |  |"
    assert spread([1.0], 1) == "1.0"
    assert spread([0.375], 0) == "0.38"
    assert spread([12.3, 0.375, 0.04], 0) == "0.38 (0.040 to 12)"


def test_seeds_of_other_lengths_have_rows_of_their_own() -> None:
    rows = [{**row(seed, 2.0), "minutes": minutes} for seed, minutes in ((0, 10.0), (1, 1.0), (2, 1.0))]
    assert [line.split(" | ")[:2] for line in table_lines({"tasks": {"bg-32": rows}})[2:]] == [["| bg-32, 1 min", "2"], ["| bg-32, 10 min", "1"]]
    assert [line.split(" | ")[:2] for line in table_lines({"tasks": {"bg-32": rows[1:]}})[2:]] == [["| bg-32", "2"]]


def test_the_table_says_where_the_first_point_was_good_already() -> None:
    first = row(0, 2.0)
    first["recommended"] = first["recommended"][1:]
    assert table_lines({"tasks": {"bg-32": [first]}})[2] == "| bg-32 | 1 | 2.00 | 60 | at most 2.0 | at least 30 | at least 20 |"


def test_curves_are_a_picture_of_all_tasks() -> None:
    results = {"tasks": {name: [row(0, 2.0)] for name in list(TASKS)[:2]}}
    with Image.open(io.BytesIO(draw_curves(results))) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 300


def test_held_out_objects_are_of_families_that_are_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = archive.read_pool(archive.FOREGROUNDS, 60)
    monkeypatch.setattr("mitlgan.bench.quality.pictures.read_pool", lambda *_: pool)
    write_demo_pictures(tmp_path, "fg")
    names = {split: {path.read_bytes() for path in (tmp_path / split).iterdir()} for split in ("train", "validation")}
    assert not names["train"] & names["validation"]
    assert sum(map(len, names.values())) == 60
    assert 5 <= len(names["validation"]) <= 30
    (tmp_path / "train" / "00000.png").unlink()
    write_demo_pictures(tmp_path, "fg")
    assert not (tmp_path / "train" / "00000.png").exists()  # what is whole is left
