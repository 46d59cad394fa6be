"""embed-score, as a user calls it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.commands import Command
from PIL import Image

from mitlgan.artifacts.card import read_card
from mitlgan.cli.embed import _output_paths
from mitlgan.errors import UsageError


def test_the_score_tells_how_near_held_out_pictures_are(command: Command, folder: Path, packs: dict[str, Path], artifacts: dict[str, Path]) -> None:
    shutil.copytree(artifacts["bg"].parent, folder / "bg")
    options = ["--data", packs["bg"], "-n", 2, "--extractor", "efficientnet-lite0@32", "--threads", 1]
    done = command("embed-score", "bg/generator.safetensors", *options, "--sheet", "sheet.png", "--write-card", "--json")
    assert done.code == 0, done.err
    assert "has no validation pictures: its train pictures stand in" in done.err
    protocol, rows = done.json["protocol"], done.json["pictures"]
    assert (protocol["count"], protocol["split"], protocol["limit_s"], protocol["extractor"]) == (2, "train", 60, "efficientnet-lite0@32")
    assert len(rows) == 2
    assert done.json["psnr_db_worst"] == min(row["psnr_db"] for row in rows)
    assert done.json["distance_median"] == pytest.approx(sum(row["distance"] for row in rows) / 2)
    assert read_card(folder / "bg" / "generator.safetensors").metrics["embedding"] == done.json
    assert Image.open("sheet.png").height > 2 * 8


@pytest.mark.parametrize("weight", [0, 0.5])
def test_a_distance_that_the_search_minimised_is_said_to_flatter(
    weight: float, command: Command, folder: Path, packs: dict[str, Path], artifacts: dict[str, Path]
) -> None:
    shutil.copytree(artifacts["bg"].parent, folder / "bg")
    options = ["--data", packs["bg"], "-n", 1, "--seconds", 2, "--extractor", "efficientnet-lite0@32", "--threads", 1, "--perceptual", weight]
    done = command("embed-score", "bg/generator.safetensors", *options)
    assert done.code == 0, done.err
    assert ("the search minimised this very distance (--perceptual)" in done.out) == (weight > 0)


@pytest.mark.parametrize("start", [("embed", "x.png", "--artifact", "y"), ("embed-score", "y")], ids=["embed", "embed-score"])
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--seconds", "0", "--seconds: 0 is not from 0.1 to 1e+06"),
        ("--seconds", "nan", "--seconds: nan is not from 0.1 to 1e+06"),
        ("--seconds", "1e7", "--seconds: 1e+07 is not from 0.1 to 1e+06"),
        ("--max-attempts", "2000", "--max-attempts: 2000 is not from 1 to 1000"),
        ("--max-attempts", "900", "--restarts: 8 in each of 900 attempts are more than the 1024 starts that they are chosen from"),
        ("--perceptual", "1e7", "--perceptual: 1e+07 is not from 0 to 1e+06"),
    ],
)
def test_a_setting_out_of_its_range_is_named_as_the_option(
    start: tuple[str, ...], option: str, value: str, said: str, command: Command, folder: Path
) -> None:
    done = command(*start, option, value)
    assert (done.code, done.err) == (2, f"{said}\n")


@pytest.mark.parametrize("sheet", [None, Path("l-sheet.png")])
def test_a_sheet_in_the_way_is_told_by_the_option_that_named_it(sheet: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l-sheet.png").touch()
    with pytest.raises(UsageError, match=f"^--{'out' if sheet is None else 'sheet'} l-sheet.png: "):
        _output_paths([Path("x.png")], Path("l.json"), sheet)
