"""The folders around runs, as they are named and where links lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitlgan.runtime.outer_folders import MAX_HEIGHT, both_names, folders_around_runs, searched_folders


def test_the_nearest_come_first_of_both_names_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk" / "runs").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "runs").symlink_to(tmp_path / "disk" / "runs")
    monkeypatch.chdir(tmp_path / "a")
    for root in (Path("runs"), Path("../a/runs"), tmp_path / "a" / "runs"):
        around = folders_around_runs(root)
        assert around[:4] == (tmp_path / "disk" / "runs", tmp_path / "a", tmp_path / "disk", tmp_path)
        assert len(set(around)) == len(around)
        assert both_names(root) == (tmp_path / "a" / "runs", tmp_path / "disk" / "runs")


def test_the_root_of_the_disk_and_what_is_far_are_not_searched(tmp_path: Path) -> None:
    far = tmp_path.joinpath(*"abcdefghijkl")
    assert searched_folders(folders_around_runs(far)) == [far, *far.parents][:MAX_HEIGHT]
    assert searched_folders(folders_around_runs(Path("/runs"))) == [Path("/runs")]
