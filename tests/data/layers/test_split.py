"""`data split`: three sets out of one, mattes kept, unusable pictures aside; and the sets train unchanged."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import images, tiny_runs
from PIL import Image, ImageChops, ImageDraw

from mitlgan.data.build.journal import JOURNAL_FILE
from mitlgan.data.curate.exclude_list import escape_name, read_names
from mitlgan.data.layers import background_fill, cut, split
from mitlgan.data.layers.cut import center_object, estimate_object_colors
from mitlgan.data.layers.matte_filter import MatteFilter
from mitlgan.data.layers.split import SplitSettings
from mitlgan.data.open import open_data
from mitlgan.data.sources.image_source import find_bad_starts, open_source
from mitlgan.errors import DataError, ResourceError, UsageError
from mitlgan.report.data_split_page import write_split_page
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain

pytest.importorskip("cv2")


def scenes(folder: Path, count: int = 6, size: int = 64) -> Path:
    """Yellow discs on dark smooth places."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        picture = images.smooth(index, (size, size)).point(lambda value: value // 2)
        left = 12 + 3 * index
        ImageDraw.Draw(picture).ellipse((left, 16, left + 24, 48), fill=(240, 200, 60))
        picture.save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("split")
    place = scenes(folder / "in")
    Image.new("RGB", (64, 64), "grey").save(place / "nothing.png")
    (place / "bad.png").write_bytes(b"")
    return folder / "out", split.split_pictures(place, folder / "out", SplitSettings(size_px=48, min_fill_confidence=0, allow_bad=True))


def test_three_sets(made: tuple[Path, dict[str, Any]]) -> None:
    out, manifest = made
    assert manifest["counts"] == {"used": 6, "set aside": 1, "duplicate": 0, "unreadable": 1, "excluded": 0}
    assert manifest["files"]["fg"] == manifest["files"]["scene"] == 6
    assert manifest["files"]["bg"] >= 6
    assert manifest["files"]["set-aside"] == 1
    assert manifest == json.loads((out / "split.json").read_text())
    for line in manifest["records"][:6]:
        foreground, scene, matte = (Image.open(out / next(name for name in line["files"] if name.startswith(start) and (".matte." in name) == is_matte))
                                    for start, is_matte in (("fg/", False), ("scene/", False), ("scene/", True)))  # fmt: skip
        assert (foreground.mode, scene.mode, matte.mode) == ("RGBA", "RGB", "L")
        assert foreground.size == scene.size == matte.size == (48, 48)
        assert foreground.getchannel("A").tobytes() == matte.tobytes()
        yellow = np.asarray(foreground)[np.asarray(matte) > 250][:, :3]
        assert np.abs(yellow.astype(int) - (240, 200, 60)).max() < 30


def test_the_background_has_no_object_left(made: tuple[Path, dict[str, Any]]) -> None:
    out, _ = made
    for path in (out / "bg").glob("*.png"):
        pixels = np.asarray(Image.open(path)).astype(int)
        assert not ((pixels[..., 0] > 180) & (pixels[..., 1] > 150) & (pixels[..., 2] < 110)).any()


def test_splits_of_the_source_are_kept_and_what_is_in_none_is_left_out(tmp_path: Path) -> None:
    place = scenes(tmp_path / "all")
    for name, inside in (("0", "train"), ("1", "train"), ("2", "test"), ("3", ""), ("0", "")):
        (tmp_path / "in" / inside).mkdir(parents=True, exist_ok=True)
        shutil.copy(place / f"{name}.png", tmp_path / "in" / inside)
    manifest = split.split_pictures(tmp_path / "in", tmp_path / "out", SplitSettings(size_px=48, min_confidence=0))
    found = {line["name"]: (line["decision"], line.get("split")) for line in manifest["records"]}
    assert found == {
        "0.png": ("excluded", None),  # though it is equal to one that is used
        "3.png": ("excluded", None),
        "test/2.png": ("used", "test"),
        "train/0.png": ("used", "train"),
        "train/1.png": ("used", "train"),
    }
    assert len(list((tmp_path / "out" / "fg" / "train").glob("*[!e].png"))) == 2
    assert manifest["holdout"]["note"] == (
        "the splits that the source has already are kept; 2 pictures next to the split folders are left out (0.png, 3.png)"
    )
    shutil.move(tmp_path / "in" / "train", tmp_path / "in" / "bus")
    manifest = split.split_pictures(tmp_path / "in", tmp_path / "other", SplitSettings(size_px=48, min_confidence=0))
    assert manifest["holdout"]["note"].endswith("test/ is taken for a class, as bus/ next to it: all are one set")


def test_reasons_are_recorded(made: tuple[Path, dict[str, Any]]) -> None:
    records = {line["name"]: line for line in made[1]["records"]}
    assert records["bad.png"]["decision"] == "unreadable"
    assert records["nothing.png"]["decision"] == "set aside"
    assert records["nothing.png"]["reason"]


def test_the_sheet_shows_all_and_writes_an_exclude_list(made: tuple[Path, dict[str, Any]]) -> None:
    page = write_split_page(*made).read_text()
    for words in ("Foregrounds", "Backgrounds", "Scenes", "Set aside", "exclude.txt", "nothing.png", "data:image/jpeg"):
        assert words in page
    assert "and the same --out: nothing is cut a second time" in page
    assert 'data-list="keep"' in page
    assert "Save keep.txt" in page
    assert "http" not in page


def test_sets_become_packs_of_the_right_kind(made: tuple[Path, dict[str, Any]]) -> None:
    out, _ = made
    assert open_data(str(out / "fg"), "fg", 8).fourth_channel == "alpha"
    assert open_data(str(out / "bg"), "bg", 8).fourth_channel is None
    scene = open_data(str(out / "scene"), "scene", 8)
    assert scene.fourth_channel == "matte"
    assert len(scene) == 6


def test_pretrain_and_compose_run_on_the_sets(made: tuple[Path, dict[str, Any]], environment: RunContext) -> None:
    out, _ = made
    runs = {role: pretrain(tiny_runs.recipe(role, out / role, updates=1), environment) for role in ("fg", "bg")}
    run = compose(tiny_runs.recipe("scene", out / "scene", updates=1, compose=True), tiny_runs.layers(runs), environment)
    assert run.artifact_file is not None
    assert run.read_status()["state"] == "done"


def test_plain_colour_and_matte_instead_of_transparency(tmp_path: Path) -> None:
    split.split_pictures(scenes(tmp_path / "in", 3), tmp_path / "out", SplitSettings(size_px=32, backdrop=(0, 255, 0), background="patch"))
    foregrounds = sorted(path for path in (tmp_path / "out" / "fg").iterdir() if ".matte." not in path.name)
    assert len(foregrounds) == 3
    picture = np.asarray(Image.open(foregrounds[0]))
    assert picture[0, 0].tolist() == [0, 255, 0]
    assert open_data(str(tmp_path / "out" / "fg"), "fg", 8).fourth_channel == "matte"
    assert all(path.stem.endswith("-patch") for path in (tmp_path / "out" / "bg").iterdir())


def test_cut_outs_give_foregrounds_only(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = Image.new("RGBA", (40, 40))
    ImageDraw.Draw(picture).ellipse((8, 8, 30, 30), fill=(200, 30, 30, 255))
    picture.save(tmp_path / "in" / "a.png")
    manifest = split.split_pictures(tmp_path / "in", tmp_path / "out", SplitSettings())
    assert manifest["methods"] == {"alpha": 1}
    assert manifest["files"] == {"fg": 1, "bg": 0, "scene": 0, "set-aside": 0}


def files_of(out: Path) -> dict[str, bytes]:
    """All that is shown, by path; what is kept apart is hidden."""
    shown = [path for path in sorted(out.rglob("*.png")) if not any(part.startswith(".") for part in path.relative_to(out).parts)]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in shown}


def test_mattes_beside_pictures_are_the_cuts(tmp_path: Path) -> None:
    """They are the user's own; pictures without one are cut as ever, and one of another size leaves its picture out by name."""
    place = scenes(tmp_path / "in", 4)
    for name, size in (("0", 64), ("1", 32)):
        matte = Image.new("L", (size, size))
        ImageDraw.Draw(matte).rectangle((20, 20, 43, 43), fill=255)
        matte.save(place / f"{name}.matte.png")
    found = split.split_pictures(place, tmp_path / "auto", SplitSettings(holdout="0", allow_bad=True))
    by_name = {record["name"]: record for record in found["records"]}
    assert [by_name[f"{index}.png"].get("method") for index in range(4)] == ["matte", None, "grabcut", "grabcut"]
    assert by_name["0.png"]["coverage"] == round(24**2 / 64**2, 4)
    assert "confidence" not in by_name["0.png"]
    assert "its matte is 32 x 32 px" in by_name["1.png"]["reason"]
    scene = next(file for file in by_name["0.png"]["files"] if file.endswith(".matte.png"))
    assert np.array_equal(np.array(Image.open(tmp_path / "auto" / scene)), np.array(Image.open(place / "0.matte.png")))
    named = split.split_pictures(place, tmp_path / "grabcut", SplitSettings(holdout="0", matting="grabcut"))
    assert named["methods"] == {"grabcut": 4}
    assert named["leftovers"]["remarks"] == ["2 mattes are not used: --matting grabcut finds its own; --matting auto takes them"]


@pytest.mark.parametrize("matting", ["auto", "grabcut"])
def test_stray_transparency_is_white_in_every_piece(tmp_path: Path, matting: str) -> None:
    """A rounded corner makes no cut-out of a photograph."""
    place = scenes(tmp_path / "in", 1)
    picture = Image.open(place / "0.png").convert("RGBA")
    for spot in ((0, 0), (1, 0), (0, 1)):
        picture.putpixel(spot, (9, 9, 9, 0))
    picture.save(place / "0.png")
    found = split.split_pictures(place, tmp_path / "out", SplitSettings(holdout="0", matting=matting, min_confidence=0, min_fill_confidence=0))
    assert found["methods"] == {"grabcut": 1}
    for kind in ("scene", "bg"):
        shown = Image.open(next(file for file in (tmp_path / "out" / kind).iterdir() if not file.name.endswith((".matte.png", "-patch.png"))))
        assert shown.getpixel((0, 0)) == (255, 255, 255), kind


def test_choices_are_made_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = scenes(tmp_path / "in", 6)
    Image.new("RGB", (64, 64), "grey").save(place / "nothing.png")
    first = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, min_fill_confidence=0))
    before = files_of(tmp_path / "out")
    monkeypatch.setattr(split, "cut_picture", lambda *_: pytest.fail("cut again"))
    background = next(name for record in first["records"] if record["name"] == "2.png" for name in record["files"] if name.startswith("bg/"))
    manifest = split.split_pictures(
        place, tmp_path / "out", SplitSettings(size_px=32, min_fill_confidence=0, exclude=("1.png", background, "typo.png"))
    )
    assert manifest["counts"] == {"used": 5, "set aside": 1, "duplicate": 0, "unreadable": 0, "excluded": 1}
    assert manifest["unknown"] == ["typo.png"]
    gone = before.keys() - files_of(tmp_path / "out").keys()
    assert gone == {background, *next(record["files"] for record in first["records"] if record["name"] == "1.png")}
    later = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, min_fill_confidence=0))
    assert later["counts"]["excluded"] == 1, "what was left out stays out"
    split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, min_fill_confidence=0, keep=("1.png", background)))
    assert files_of(tmp_path / "out") == before
    monkeypatch.undo()
    fresh = split.split_pictures(place, tmp_path / "fresh", SplitSettings(size_px=32, min_fill_confidence=0, exclude=("1.png", background)))
    again = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, min_fill_confidence=0, exclude=("1.png", background)))
    assert files_of(tmp_path / "fresh") == files_of(tmp_path / "out")
    assert fresh["records"] == again["records"]


def test_what_is_kept_is_used_whatever_speaks_against_it(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    strict = SplitSettings(size_px=32, min_confidence=1.0)
    with pytest.raises(DataError, match=r"none of 3 pictures can be cut; .*doubtful: .* less than 1\.00"):
        split.split_pictures(place, tmp_path / "out", strict)
    assert {path.name for path in (tmp_path / "out" / "fg").iterdir()} == set()
    assert len(list((tmp_path / "out" / "set-aside").iterdir())) == 3
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, min_confidence=1.0, keep=("1.png",)))
    assert (manifest["counts"]["used"], manifest["files"]["fg"], manifest["files"]["set-aside"]) == (1, 1, 2)


@pytest.mark.parametrize("moves", [0, 1, 4, 9])
def test_stopped_while_files_are_moved_it_ends_with_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    place = scenes(tmp_path / "in", 4)
    split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32))
    split.split_pictures(place, tmp_path / "whole", SplitSettings(size_px=32, exclude=("0.png", "2.png"), holdout="1"))
    replace, done = Path.replace, [0]

    def stopping(self: Path, target: Path) -> Path:
        done[0] += self.suffix == ".png"
        if done[0] > moves:
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stopping)
        with pytest.raises(Killed):
            split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, exclude=("0.png", "2.png"), holdout="1"))
    manifest = split.split_pictures(
        place, tmp_path / "out", SplitSettings(size_px=32, holdout="1")
    )  # the choices were kept before the first file moved
    assert manifest["counts"]["excluded"] == 2
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_the_same_photographs_are_held_out_in_all_sets(tmp_path: Path) -> None:
    place = images.write_varied_objects(tmp_path / "in", 24)
    flat = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=64, holdout="0"))
    assert flat["counts"]["used"] >= 20
    assert flat["splits"] == {}
    assert not (tmp_path / "out" / "fg" / "train").exists()
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=64))
    held_out = {record["name"] for record in manifest["records"] if record.get("split") == "test"}
    assert held_out
    for record in manifest["records"]:
        assert record["files"]
        for name in record["files"] if record["decision"] == "used" else ():
            assert name.split("/")[1] == ("test" if record["name"] in held_out else "train")
            assert (tmp_path / "out" / name).is_file()
    assert manifest["files"]["fg"] == flat["files"]["fg"]
    counts = [len(open_data(str(tmp_path / "out" / folder), "scene", 8, split=part)) for folder in ("fg", "scene") for part in ("train", "test")]
    assert counts == 2 * [manifest["splits"]["train"], manifest["splits"]["test"]]
    assert open_data(str(tmp_path / "out" / "scene"), "scene", 8, split="test").fourth_channel == "matte"


def test_splits_of_the_source_are_kept(tmp_path: Path) -> None:
    scenes(tmp_path / "in" / "train", 3)
    place = scenes(tmp_path / "in" / "Test", 5)
    for index in range(3):
        (place / f"{index}.png").unlink()
    manifest = split.split_pictures(tmp_path / "in", tmp_path / "out", SplitSettings(size_px=32))
    assert manifest["splits"] == {"train": 3, "test": 2}
    assert "kept" in manifest["holdout"]["note"]


def test_few_photographs_are_all_for_training(made: tuple[Path, dict[str, Any]]) -> None:
    assert made[1]["splits"] == {}
    assert "6 photographs are too few for 10%; --holdout 2 holds out two" in made[1]["holdout"]["note"]


def test_a_fill_that_is_trusted_too_little_is_not_used(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=48, background="fill", min_fill_confidence=1.0))
    assert (manifest["files"]["bg"], manifest["fills_left_out"], manifest["files"]["scene"]) == (0, 3, 3)
    assert "3 have no filled background: the hole could not be filled well" in write_split_page(tmp_path / "out", manifest).read_text()
    kept = next(piece for piece in manifest["records"][1]["pieces"] if piece.startswith("bg/"))
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=48, background="fill", min_fill_confidence=1.0, keep=(kept,)))
    assert manifest["files"]["bg"] == 1


def test_a_photograph_counts_once(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 4)
    shutil.copy(place / "1.png", place / "copy.png")
    Image.open(place / "2.png").save(place / "saved-again.jpg", quality=95)
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32))
    reasons = {record["name"]: record["reason"] for record in manifest["records"] if record["decision"] == "duplicate"}
    assert reasons.pop("copy.png") == "the same file as '1.png'"
    ((name, reason),) = reasons.items()
    assert {name, reason.removeprefix("the same picture as ")} in ({"saved-again.jpg", "'2.png'"}, {"2.png", "'saved-again.jpg'"})
    assert manifest["files"]["fg"] == 4
    kept = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, keep=("copy.png",)))
    assert kept["counts"]["duplicate"] == 2
    assert {record["name"]: record["decision"] for record in kept["records"]}["1.png"] == "duplicate"
    out = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, exclude=("1.png",)))
    assert next(record["decision"] for record in out["records"] if record["name"] == "copy.png") == "used", "it was asked for by name"


def test_an_archive_gives_the_same_files(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(place.iterdir()):
            archive.write(file, file.name)
    for spec, out in ((place, "one"), (tmp_path / "a.zip", "other")):
        split.split_pictures(spec, tmp_path / out, SplitSettings(size_px=32))
    assert files_of(tmp_path / "one")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")


class Killed(BaseException):
    pass


def test_stopped_it_goes_on_and_ends_with_the_same_files(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 5)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Killed

    split.split_pictures(place, tmp_path / "whole", SplitSettings(size_px=32))
    with pytest.raises(Killed):
        split.split_pictures(place, tmp_path / "cut", SplitSettings(size_px=32), stop)
    told: list[int] = []
    split.split_pictures(place, tmp_path / "cut", SplitSettings(size_px=32), lambda done, _: told.append(done))
    assert told == [3, 4, 5]
    names = [path.relative_to(tmp_path / "whole") for path in sorted((tmp_path / "whole").rglob("*.*")) if path.name != ".lock" and path.is_file()]
    assert names
    for name in names:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("is_killed", [False, True])
def test_of_the_version_before_all_goes_on_that_would_be_the_same(is_killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts on mattes, on files that could not be read and on TIFF are given again; other cuts are kept."""
    place, settings = scenes(tmp_path / "in", 6), SplitSettings(size_px=32, allow_bad=True, holdout="0")
    for name in ("0", "1", "2"):
        matte = Image.new("L", (64, 64))
        ImageDraw.Draw(matte).rectangle((20, 20, 43, 43), fill=255)
        matte.save(place / f"{name}.matte.png")
    (place / "bad.png").write_bytes(b"")
    Image.open(place / "5.png").save(place / "5.tif")
    (place / "5.png").unlink()
    expected = split.split_pictures(place, tmp_path / "fresh", settings)["counts"]
    split.split_pictures(place, tmp_path / "out", settings)
    out, journal = tmp_path / "out", tmp_path / "out" / JOURNAL_FILE
    header, *lines = map(json.loads, journal.read_text().splitlines())
    by_name = {line["name"]: line for line in lines}
    for piece in by_name["0.png"]["pieces"]:  # it was refused
        for path in out.rglob(Path(piece).name):
            path.unlink()
    by_name["0.png"] = {"name": "0.png", "unreadable": "its matte is odd"}
    by_name["1.png"] |= {"coverage": 0.9}  # it was cut otherwise
    for path in out.rglob("1-*.png"):
        path.write_bytes(b"as it was cut before")
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": 7}, *by_name.values())))
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png") if path.name[0] in "234"}
    assert len(times) > 6
    again: list[str] = []
    original = split.cut_picture

    def cut_and_note(entry: Any, *arguments: Any) -> Any:
        again.append(entry.name)
        return original(entry, *arguments)

    def stop(*_: int) -> None:
        raise Killed

    monkeypatch.setattr(split, "cut_picture", cut_and_note)
    if is_killed:
        with pytest.raises(Killed):
            split.split_pictures(place, out, settings, stop)
        again.clear()
    assert split.split_pictures(place, out, settings)["counts"] == expected
    assert sorted(again) == ["0.png", "1.png", "2.png", "5.tif", "bad.png"][is_killed:]
    assert files_of(out) == files_of(tmp_path / "fresh")
    assert times == {path: path.stat().st_mtime_ns for path in times}  # cut again or not, it is the same
    again.clear()
    split.split_pictures(place, out, settings)
    assert not again
    assert json.loads(journal.read_text().splitlines()[0]) == header


def test_pieces_of_a_cut_that_is_refused_now_are_removed(tmp_path: Path) -> None:
    place, out, settings = scenes(tmp_path / "in", 4), tmp_path / "out", SplitSettings(size_px=32, allow_bad=True, holdout="25%")
    matte = Image.new("L", (64, 64))
    ImageDraw.Draw(matte).rectangle((20, 20, 43, 43), fill=255)
    matte.save(place / "0.matte.png")
    good = (place / "0.matte.png").read_bytes()
    split.split_pictures(place, tmp_path / "good", settings)
    matte.point(lambda level: level // 255 * 3).save(place / "0.matte.png")  # numbers of objects
    split.split_pictures(place, tmp_path / "fresh", settings)
    header = json.loads((tmp_path / "fresh" / JOURNAL_FILE).read_text().splitlines()[0])
    shutil.copytree(tmp_path / "good", out)
    assert good != (place / "0.matte.png").read_bytes()
    lines = (out / JOURNAL_FILE).read_text().splitlines()[1:]
    (out / JOURNAL_FILE).write_text("".join(f"{line}\n" for line in (json.dumps({**header, "version": 7}), *lines)))
    assert list((out / "fg").rglob("0-*.png"))
    assert split.split_pictures(place, out, settings)["counts"]["unreadable"] == 1
    assert files_of(out) == files_of(tmp_path / "fresh")
    assert not [path for path in out.rglob("0-*.png") if path.parent.name != "set-aside"]


class _Piece(NamedTuple):
    """What one piece was before the call, and after it; None if it was not there."""

    before: bytes | None
    expected: bytes | None


OTHER_WORDS: dict[str, tuple[dict[str, Any], Callable[[bytes], _Piece], int]] = {
    "other words": ({"doubt": "said otherwise"}, lambda fresh: _Piece(fresh, fresh), 0),
    "other numbers": ({"coverage": 0.9}, lambda fresh: _Piece(fresh, fresh), 0),
    "the same pixels in other bytes": ({}, lambda fresh: _Piece(_packed_again(fresh), _packed_again(fresh)), 0),
    "other words, and a piece that somebody removed": ({"doubt": "said otherwise"}, lambda _: _Piece(None, None), 0),
    "other pixels under the same words": ({}, lambda fresh: _Piece(_inverted(fresh), fresh), 1),
    "no picture under the same words": ({}, lambda fresh: _Piece(b"torn", fresh), 1),
    "one piece more": ({"pieces": ["fg/0-old.png"]}, lambda fresh: _Piece(fresh, fresh), 1),
}
"""What a line of the version before says otherwise, a piece then and now, and how many pictures have other files."""


def _packed_again(content: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, "PNG", compress_level=0)
    return file.getvalue()


def _inverted(content: bytes) -> bytes:
    file = io.BytesIO()
    ImageChops.invert(Image.open(io.BytesIO(content)).convert("RGB")).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("line", "piece", "changed"), OTHER_WORDS.values(), ids=OTHER_WORDS)
def test_a_picture_has_other_files_only_if_its_files_differ(
    line: dict[str, Any], piece: Callable[[bytes], _Piece], changed: int, tmp_path: Path
) -> None:
    place, out, settings = scenes(tmp_path / "in", 3), tmp_path / "out", SplitSettings(size_px=32, holdout="0", allow_bad=True)
    matte = Image.new("L", (64, 64))
    ImageDraw.Draw(matte).rectangle((20, 20, 43, 43), fill=255)
    matte.save(place / "0.matte.png")
    for name in ("bad.png", "bad.tif"):
        (place / name).write_bytes(b"II*\0 junk")
    split.split_pictures(place, out, settings)
    journal, scene = out / JOURNAL_FILE, next((out / "scene").glob("0-????????.png"))
    header, *lines = map(json.loads, journal.read_text().splitlines())
    for one in lines:
        if "unreadable" in one:
            one["unreadable"] = "as it was said before"
        elif one["name"] == "0.png":
            one |= line | {"pieces": sorted({*one["pieces"], *line.get("pieces", ())})}
    journal.write_text("".join(f"{json.dumps(one)}\n" for one in ({**header, "version": 7}, *lines)))
    before, expected = piece(scene.read_bytes())
    scene.unlink()
    if before is not None:
        scene.write_bytes(before)
    then = time.time() - 3600
    for path in (*out.rglob("*.png"), journal):
        os.utime(path, (then, then))
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png") if path != scene}
    said: list[str] = []
    manifest = split.split_pictures(place, out, settings, say=said.append)
    assert [text.rsplit(": ", 1)[1] for text in said] == [f"3; {changed} of them have other files now"]
    assert (scene.read_bytes() if scene.exists() else None) == expected
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert "as it was said before" not in json.dumps(manifest)


@pytest.mark.parametrize("written", range(5))
def test_pieces_that_are_replaced_are_whole_after_a_kill_between_any_two(written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, out, settings = scenes(tmp_path / "in", 3), tmp_path / "out", SplitSettings(size_px=32, holdout="0")
    matte = Image.new("L", (64, 64))
    ImageDraw.Draw(matte).rectangle((20, 20, 43, 43), fill=255)
    matte.save(place / "0.matte.png")
    split.split_pictures(place, out, settings)
    fresh = files_of(out)
    then = of_version_before(out, ())
    for path in out.rglob("0-*.png"):
        path.write_bytes(_inverted(path.read_bytes()))
        os.utime(path, (then, then))
    left = iter(range(written))
    original = split.write_atomically

    def write(path: Path, content: bytes, **options: Any) -> None:
        if path.suffix == ".png" and next(left, None) is None:
            raise Killed
        original(path, content, **options)

    monkeypatch.setattr(split, "write_atomically", write)
    with pytest.raises(Killed):
        split.split_pictures(place, out, settings)
    monkeypatch.undo()
    split.split_pictures(place, out, settings)
    assert files_of(out) == fresh


def of_version_before(out: Path, names: tuple[str, ...]) -> float:
    """Turn work into that of the version before, an hour ago, with another verdict on some pictures; return when it was done."""
    journal = out / JOURNAL_FILE
    header, *lines = map(json.loads, journal.read_text().splitlines())
    lines = [line | {"coverage": 0.9} if line["name"] in names else line for line in lines]
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": 7}, *lines)))
    then = time.time() - 3600
    for path in (*out.rglob("*.png"), journal):
        os.utime(path, (then, then))
    return then


@pytest.mark.parametrize("is_called_later", [False, True])
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_piece_that_was_retouched_is_kept_and_named_where_its_picture_is_cut_again(is_killed: bool, is_called_later: bool, tmp_path: Path) -> None:
    place, out, settings = scenes(tmp_path / "in", 4), tmp_path / "out", SplitSettings(size_px=32, holdout="0")
    for name in ("0", "1", "2"):
        matte = Image.new("L", (64, 64))
        ImageDraw.Draw(matte).rectangle((20, 20, 43, 43), fill=255)
        matte.save(place / f"{name}.matte.png")
    split.split_pictures(place, out, settings)
    fresh = files_of(out)
    then = of_version_before(out, ("0.png", "1.png"))
    mine, gone = next((out / "fg").glob("0*.png")), next((out / "scene").glob("2*.png"))
    mine.write_bytes(b"retouched")
    for path in (*out.rglob("1*.png"), *(out / "scene").rglob("0*.png")):
        path.write_bytes(b"as it was cut before")
        os.utime(path, (then, then))
    gone.unlink()
    if is_called_later:  # such as by a version whose every call wrote the journal
        os.utime(out / JOURNAL_FILE)
    said: list[str] = []

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise Killed

    if is_killed:
        with pytest.raises(Killed):
            split.split_pictures(place, out, settings, stop, said.append)
    manifest = split.split_pictures(place, out, settings, say=said.append)
    name = mine.relative_to(out).as_posix()
    del fresh[gone.relative_to(out).as_posix()]
    assert files_of(out) == fresh | {name: b"retouched"}
    assert manifest["gone"] == [f"scene/{gone.name}"]
    kept = f"files of pictures cut again that were changed since the first cut stay as they are: {name}; remove those that you do not want"
    counts = "pictures of an earlier version's work that are cut again, as this version may judge them otherwise"
    assert said == ([kept, f"{counts}: 1; 0 of them have other files now"] if is_killed else [kept, f"{counts}: 3; 2 of them have other files now"])
    said.clear()
    written = (out / JOURNAL_FILE).stat().st_mtime_ns
    split.split_pictures(place, out, settings, say=said.append)
    assert (said, (out / JOURNAL_FILE).stat().st_mtime_ns) == ([], written)


def without_cutouts(out: Path, version: int) -> None:
    """Turn work into that of an earlier version, which recorded no cut-outs, and decided and wrote as it did then."""
    journal = out / JOURNAL_FILE
    header, *lines = map(json.loads, journal.read_text().splitlines())
    lines = [{key: value for key, value in line.items() if key != "cutout"} for line in lines]
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": version}, *lines)))


@pytest.mark.parametrize("version", [7, 8])
@pytest.mark.parametrize("is_killed", [False, True])
def test_cutouts_of_the_versions_before_are_told_from_each_other(
    version: int, is_killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what may be transparent is cut again; what was made then becomes what is made now, and no piece is written again."""
    place, out, settings = scenes(tmp_path / "in", 4), tmp_path / "out", SplitSettings(size_px=32, holdout="4")
    for seed in range(3, 13):
        images.garment(seed).save(place / f"garment{seed:02d}.png")
    images.garment(3).resize((96, 96)).save(place / "garment03-copy.webp", lossless=True)
    images.garment(21).quantize().save(place / "palette.png")
    images.smooth(90).convert("RGBA").save(place / "opaque.png")
    expected = split.split_pictures(place, tmp_path / "fresh", settings)
    assert expected["counts"]["used"] >= 14
    with monkeypatch.context() as before:
        original = split.cut_picture

        def cut_without(*arguments: Any) -> Any:
            result = original(*arguments)
            return replace(result, record={key: value for key, value in result.record.items() if key != "cutout"})

        before.setattr(split, "cut_picture", cut_without)
        then = split.split_pictures(place, out, settings)
    others = [record["reason"] for record in then["records"] if record["name"] == "garment10.png"]
    assert others == ["the same picture as 'garment09.png'"]  # which it is not
    without_cutouts(out, version)
    retouched = next((out / "fg").rglob("garment05-*.png"))
    retouched.write_bytes(b"retouched")
    os.utime(retouched, (time.time() + 5,) * 2)
    times = sorted((path.name, path.stat().st_mtime_ns) for path in out.rglob("*.png"))
    said: list[str] = []

    def stop(*_: int) -> None:
        raise Killed

    if is_killed:
        with pytest.raises(Killed):
            split.split_pictures(place, out, settings, stop)
    assert split.split_pictures(place, out, settings, say=said.append) == expected
    fresh = {path: b"retouched" if Path(path).match(f"fg/*/{retouched.name}") else content for path, content in files_of(tmp_path / "fresh").items()}
    assert files_of(out) == fresh
    assert sorted((path.name, path.stat().st_mtime_ns) for path in out.rglob("*.png")) == times
    counts = "pictures of an earlier version's work that are cut again, as this version may judge them otherwise"
    assert said == [f"{counts}: {13 - is_killed}; 0 of them have other files now"]
    said.clear()
    split.split_pictures(place, out, settings, say=said.append)
    assert not said


def test_excluded_names(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    (tmp_path / "exclude.txt").write_text("1.png\n", encoding="utf-8-sig")
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(exclude=read_names(tmp_path / "exclude.txt")))
    assert [line["name"] for line in manifest["records"] if line["decision"] == "excluded"] == ["1.png"]


@pytest.mark.parametrize("name", ["plain.png", "a\nb.png", "a\\nb.png", "\\", "\\\\n", "c\r.png", "ü <b>.png"])
def test_names_survive_an_exclude_list(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text(f"{escape_name(name)}\nother\n", newline="")
    assert read_names(tmp_path / "a.txt", tmp_path / "a.txt") == (name, "other", name, "other")


def test_an_unreadable_exclude_list(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\xffb")
    for path in (tmp_path / "a.txt", tmp_path / "gone.txt"):
        with pytest.raises(DataError, match=f"--exclude {path}"):
            read_names(path)


def test_names_are_taken_from_what_an_earlier_call_recorded(tmp_path: Path) -> None:
    record, pack, other = tmp_path / "split.json", tmp_path / "prepared.json", tmp_path / "other.json"
    record.write_text(json.dumps({"made_by": {"work": "split", "settings": {}}, "choices": {"exclude": ["a\nb.png"], "keep": ["c.png"]}}))
    pack.write_text(json.dumps({"made_by": {"work": "prepare", "settings": {"exclude": ["d.png"]}}}))
    assert read_names(record, pack) == ("a\nb.png", "d.png")
    assert read_names(record, option="--keep") == ("c.png",)
    other.write_text("a.png\nb.png\n")
    assert read_names(other) == ("a.png", "b.png")  # whatever it is called
    for content in ("{}", '{"made_by": {"work": "split"}}', '{"made_by": {"work": "augment", "settings": {}}}', '{"made_by": 3}'):
        other.write_text(content)
        with pytest.raises(DataError, match=rf"^--exclude {other}: neither a list of names, one a line, nor a split\.json or prepared\.json"):
            read_names(other)


def test_nothing_usable(tmp_path: Path) -> None:
    images.fill(tmp_path / "in", 2, size=(32, 32))
    with pytest.raises(DataError, match="none of 2 pictures can be cut"):
        split.split_pictures(tmp_path / "in", tmp_path / "out", SplitSettings(matting="alpha"))
    assert (tmp_path / "out" / "split.json").is_file()  # says why, picture by picture


def test_senseless_settings(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 1)
    with pytest.raises(UsageError, match="--background x"):
        split.split_pictures(place, tmp_path / "out", SplitSettings(background="x"))
    split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32))
    with pytest.raises(UsageError, match=r"was made with other settings \(--min-object-area 0\.02, now 0\.1\);"):
        split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32, matte_filter=MatteFilter(min_area=0.1)))


def portrait(place: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    place.mkdir()
    picture = images.smooth(3, size).point(lambda value: value // 2)
    ImageDraw.Draw(picture).ellipse(box, fill=(240, 200, 60))
    picture.save(place / "a.png")


@pytest.mark.parametrize(("size", "box"), [((64, 120), (16, 78, 48, 112)), ((120, 64), (6, 16, 40, 50))])
def test_the_square_is_taken_where_the_object_is(tmp_path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    portrait(tmp_path / "in", size, box)
    split.split_pictures(tmp_path / "in", tmp_path / "out", SplitSettings(size_px=64))
    (path,) = (tmp_path / "out" / "fg").glob("*.png")
    with Image.open(path) as cutout:
        assert cutout.size == (64, 64)
        inside = np.asarray(cutout.getchannel("A")) > 127
    truth = np.pi / 4 * (box[2] - box[0]) * (box[3] - box[1])
    assert abs(inside.sum() / truth - 1) < 0.1, "whole, though the centred square would cut it"


def test_an_object_longer_than_the_square_is_a_whole_foreground(tmp_path: Path) -> None:
    portrait(tmp_path / "in", (64, 120), (20, 8, 46, 112))
    manifest = split.split_pictures(tmp_path / "in", tmp_path / "out", SplitSettings(size_px=64))
    (path,) = (tmp_path / "out" / "fg").glob("*.png")
    with Image.open(path) as cutout:
        assert cutout.size == (64, 64)
        box = cutout.getchannel("A").point(lambda value: 255 if value > 127 else 0).getbbox()
    assert box is not None
    assert abs((box[3] - box[1]) - 104 * 64 / 120) <= 2
    assert abs(box[0] + box[2] - 64) <= 3
    assert manifest["files"]["scene"] == 1, "though cut off at two sides, most of it is seen"
    strict = split.split_pictures(tmp_path / "in", tmp_path / "strict", SplitSettings(size_px=64, matte_filter=MatteFilter(max_border=0.05)))
    assert strict["files"] == {"fg": 1, "bg": 0, "scene": 0, "set-aside": 0}


def test_the_square_around_a_matte() -> None:
    matte = np.zeros((100, 60), np.uint8)
    assert cut.square_around_object(matte) == (0, 20, 60, 80)
    matte[70:90, 20:40] = 255
    assert cut.square_around_object(matte) == (0, 40, 60, 100)
    assert cut.square_around_object(matte.T) == (40, 0, 100, 60)
    matte[:] = 255
    assert cut.square_around_object(matte) == (0, 20, 60, 80)


def test_the_background_is_the_square_that_the_object_covers_least(tmp_path: Path) -> None:
    rows = np.linspace(60, 220, 96, dtype=np.uint8)
    picture = Image.fromarray(np.repeat(rows[:, None, None], 48, axis=1).repeat(3, axis=2))
    ImageDraw.Draw(picture).rectangle((4, 34, 43, 93), fill=(220, 30, 30))
    matte = Image.new("L", picture.size)
    ImageDraw.Draw(matte).rectangle((4, 34, 43, 93), fill=255)
    (place := tmp_path / "in").mkdir()
    picture.save(place / "long.png")
    matte.save(place / "long.matte.png")
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=48, min_fill_confidence=0, holdout="0"))
    (record,) = manifest["records"]
    assert record["hole"] < 0.35  # the object covers more than 80 % of the square around it
    (name,) = (file for file in record["files"] if file.startswith("bg/") and "patch" not in file)
    with Image.open(tmp_path / "out" / name) as background:
        assert background.size == (48, 48)
        assert np.abs(np.array(background)[:28, :, 0].astype(int) - rows[:28, None]).max() <= 1  # the upper end of the picture


def test_the_emptiest_square_is_as_near_to_the_middle_as_may_be() -> None:
    hole = np.zeros((100, 60), dtype=bool)
    assert background_fill.find_emptiest_square(hole) == (0, 20, 60, 80)
    assert background_fill.find_emptiest_square(hole.T) == (20, 0, 80, 60)
    hole[70:] = True
    assert background_fill.find_emptiest_square(hole) == (0, 10, 60, 70)
    hole[:5] = True
    assert background_fill.find_emptiest_square(hole.T) == (10, 0, 70, 60)
    assert background_fill.find_emptiest_square(np.ones((40, 40), dtype=bool)) == (0, 0, 40, 40)


def test_holes_too_large_are_not_filled(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    manifest = split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=48, background="fill", max_hole=0.1))
    assert (manifest["unfilled"], manifest["files"]["bg"], manifest["files"]["scene"]) == (3, 0, 3)
    assert all(line["hole"] > 0.1 for line in manifest["records"])
    assert "3 have no filled background" in write_split_page(tmp_path / "out", manifest).read_text()


class TestHoles:
    def test_outside_nothing_changes_and_inside_the_place_goes_on(self) -> None:
        rows, columns = np.mgrid[0:96, 0:96]
        place = np.dstack([rows * 2, columns * 2, 40 * ((columns // 8) % 2)]).astype(np.uint8)
        hole = np.zeros((96, 96), bool)
        hole[30:66, 36:60] = True
        scene = place.copy()
        scene[hole] = (255, 0, 255)
        filled = background_fill.fill_hole(scene, hole)
        assert (filled[~hole] == place[~hole]).all()
        assert np.abs(filled[hole].astype(int) - place[hole]).mean() < 12

    def test_two_copies_meet_without_a_seam(self) -> None:
        """A hole wider than any one copy, in light that changes by one from pixel to pixel: uncorrected, the copies would meet in steps of 20 to 36."""
        rows, columns = np.mgrid[0:96, 0:96]
        place = np.dstack([60 + rows, 60 + columns, 90 + 20 * np.sin(columns / 3)]).astype(np.uint8)
        hole = np.zeros((96, 96), bool)
        hole[12:84, 12:84] = True
        filled = background_fill.fill_hole(np.where(hole[..., None], 255, place).astype(np.uint8), hole).astype(int)
        for axis in (0, 1):
            assert np.abs(np.diff(filled[..., :2], axis=axis)).max() <= 6

    def test_light_flows_on_from_the_rim(self) -> None:
        """Laplace's equation keeps a plane a plane."""
        rows, columns = np.mgrid[0:64, 0:64]
        plane = np.dstack([rows, columns, rows + columns]).astype(np.float32)
        region = np.zeros((64, 64), bool)
        region[16:44, 20:50] = True
        found = background_fill._membrane(np.where(region[..., None], 0, plane), ~region, region)
        assert np.abs(found - plane)[region].max() < 1.5

    def test_lines_meet_to_the_pixel(self) -> None:
        columns = np.arange(128)[None].repeat(128, 0)
        place = np.dstack([np.where(columns % 11 < 3, 40, 210)] * 3).astype(np.uint8)
        hole = np.zeros((128, 128), bool)
        hole[40:88, 44:84] = True
        filled = background_fill.fill_hole(np.where(hole[..., None], 120, place).astype(np.uint8), hole)
        assert np.abs(filled[hole].astype(int) - place[hole]).mean() < 4

    def test_the_shadow_around_an_object_is_not_copied(self) -> None:
        place = np.full((100, 100, 3), 180, np.uint8)
        place += np.random.default_rng(0).integers(0, 12, place.shape, dtype=np.uint8)
        hole = np.zeros((100, 100), bool)
        hole[30:70, 30:70] = True
        shadow = np.zeros_like(hole)
        shadow[29:71, 29:71] = True
        place[shadow] //= 3
        inner = np.zeros_like(hole)
        inner[38:62, 38:62] = True
        assert background_fill.fill_hole(place, hole)[inner].std() < 12

    @pytest.mark.parametrize("kind", ["none", "all", "border", "most"])
    def test_any_hole(self, kind: str) -> None:
        picture = np.asarray(images.smooth(1, (40, 40)))
        hole = np.zeros((40, 40), bool)
        hole[{"none": np.s_[0:0], "all": np.s_[:], "border": np.s_[:, 20:], "most": np.s_[2:, 1:]}[kind]] = True
        filled = background_fill.fill_hole(picture, hole)
        assert filled.shape == picture.shape
        assert (filled[~hole] == picture[~hole]).all()

    def test_the_largest_free_square(self) -> None:
        hole = np.zeros((50, 60), bool)
        hole[:, 20:35] = True
        top, left, side = background_fill.find_free_square(hole)
        assert (left, side) == (35, 25)
        assert not hole[top : top + side, left : left + side].any()
        assert background_fill.find_free_square(np.ones((5, 5), bool))[2] == 0
        assert background_fill.find_free_square(np.zeros((5, 9), bool))[2] == 5


def test_soft_edges_take_the_objects_own_colours() -> None:
    rgb = np.zeros((60, 60, 3), np.uint8)
    matte = np.zeros((60, 60), np.uint8)
    rgb[:], rgb[20:40, 20:40] = (0, 0, 255), (255, 0, 0)
    matte[20:40, 20:40], matte[19, 20:40] = 255, 128
    rgb[19, 20:40] = (128, 0, 127)
    found = estimate_object_colors(rgb, matte)
    assert np.abs(found[19, 21:39].astype(int) - (255, 0, 0)).max() <= 2
    assert (found[0, 0] == 0).all()


def test_centring() -> None:
    picture = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(picture).rectangle((5, 5, 24, 44), fill="red")
    box = center_object(picture).getchannel("A").point(lambda value: 255 if value > 127 else 0).getbbox()
    assert box is not None
    left, top, right, bottom = box
    assert abs((bottom - top) - 86) <= 1
    assert abs(left + right - 100) <= 1
    assert abs(top + bottom - 100) <= 1


def test_of_equal_files_the_kept_one_alone_is_used(tmp_path: Path) -> None:
    source = scenes(tmp_path / "in", 6)
    shutil.copyfile(source / "0.png", source / "copy.png")
    for keep, used in ((("copy.png",), "copy.png"), (("0.png", "copy.png"), "0.png"), ((), "0.png")):
        out = tmp_path / f"out{len(keep)}"
        manifest = split.split_pictures(source, out, SplitSettings(size_px=64, holdout="0", keep=keep))
        decisions = {record["name"]: record["decision"] for record in manifest["records"]}
        assert {name for name in ("0.png", "copy.png") if decisions[name] == "used"} == {used}


def test_more_than_a_twentieth_of_bad_files_is_refused_unless_allowed(tmp_path: Path) -> None:
    source = scenes(tmp_path / "in", 6)
    (source / "page.jpg").write_text("<html>")
    with pytest.raises(DataError, match=r"1 of 7 files are not usable pictures, the first 'page.jpg': .*; remove them, or continue with --allow-bad"):
        split.split_pictures(source, tmp_path / "out", SplitSettings(size_px=64))
    manifest = split.split_pictures(source, tmp_path / "out", SplitSettings(size_px=64, allow_bad=True))
    assert manifest["counts"]["unreadable"] == 1
    assert manifest["counts"]["used"] > 0


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("kind", ["another kind", "torn"])
def test_too_many_bad_files_are_refused_before_all_is_cut(
    kind: str, form: str, is_resumed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their first bytes before anything is cut or written; torn ones and those of archives as soon as there are more than a twentieth."""
    place = scenes(tmp_path / "in", 6)
    whole = (place / "5.png").read_bytes()
    for number in range(3):
        (place / f"1-{number}.png").write_bytes(b"<html>" if kind == "another kind" else whole[: len(whole) // 2])
    if form == "zip":
        shutil.make_archive(str(tmp_path / "in"), "zip", place)
    cut: list[str] = []
    original = split.cut_picture

    def cut_and_note(entry: Any, *arguments: Any) -> Any:
        cut.append(entry.name)
        return original(entry, *arguments)

    def stop(*_: int) -> None:
        raise Killed

    monkeypatch.setattr(split, "cut_picture", cut_and_note)
    monkeypatch.setattr(split, "in_order", lambda entries, work: ((entry, work(entry)) for entry in entries))
    source, out, settings = place if form == "folder" else tmp_path / "in.zip", tmp_path / "out", SplitSettings(size_px=32, holdout="0")
    if is_resumed:
        with pytest.raises(Killed):
            split.split_pictures(source, out, SplitSettings(size_px=32, holdout="0", allow_bad=True), stop)
    is_known = kind == "another kind" and form == "folder" and not is_resumed
    counted = 3 if is_known else 1
    with pytest.raises(DataError, match=rf"^SRC .*: {counted} of 9 files are not usable pictures, the first '1-0.png': .*--allow-bad$"):
        split.split_pictures(source, out, settings)
    assert cut == ([] if is_known else ["0.png", "1-0.png"])
    assert out.exists() != is_known
    manifest = split.split_pictures(source, out, SplitSettings(size_px=32, holdout="0", allow_bad=True))
    assert (manifest["counts"]["unreadable"], manifest["counts"]["used"]) == (3, 6)
    assert len(cut) == 9


def test_good_pictures_whose_header_is_at_the_end_are_no_bad_ones(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for number, image in enumerate((images.smooth(1, (400, 400)), images.smooth(2, (300, 500)))):
        image.save(place / f"{number}.tif", compression=None)
    content = bytearray((place / "0.tif").read_bytes())
    start = int.from_bytes(content[4:8], "little")
    end = content[start : start + 2 + 12 * int.from_bytes(content[start : start + 2], "little") + 4]
    (place / "0.tif").write_bytes(bytes(content[:4]) + len(content).to_bytes(4, "little") + bytes(content[8:]) + bytes(end))
    Image.open(place / "0.tif").load()
    (place / "z.png").write_bytes(b"<html>")
    assert find_bad_starts(open_source(place).entries) == [{"name": "z.png", "reason": "HTML, not a picture"}]


def test_other_pictures_or_settings_in_one_folder_are_named(tmp_path: Path) -> None:
    source = scenes(tmp_path / "in", 6)
    split.split_pictures(source, tmp_path / "out", SplitSettings(size_px=64))
    with pytest.raises(UsageError, match=r"was made with other settings \(--size 64, now 48\); give another folder, or remove this one first"):
        split.split_pictures(source, tmp_path / "out", SplitSettings(size_px=48))
    (source / "0.png").unlink()
    with pytest.raises(UsageError, match="added, removed or changed since, or are taken otherwise by this version; give another folder"):
        split.split_pictures(source, tmp_path / "out", SplitSettings(size_px=64))


def test_a_file_of_ones_own_in_the_place_of_a_piece_is_not_written_over(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32))
    (piece,) = (tmp_path / "out" / "fg").glob("1*.png")
    (tmp_path / "out" / "fg" / "train").mkdir()
    mine = tmp_path / "out" / "fg" / "train" / piece.name
    shutil.copy(piece, mine)
    split.split_pictures(place, tmp_path / "out", SplitSettings(size_px=32))  # a copy is the same piece
    (tmp_path / "out" / "fg" / "train").mkdir(exist_ok=True)
    mine.write_bytes(b"mine")
    before = files_of(tmp_path / "out")
    for settings in (SplitSettings(size_px=32, exclude=("1.png",)), SplitSettings(size_px=32, holdout="1")):
        with pytest.raises(UsageError, match=rf"^--out .*fg/{piece.name} and fg/train/{piece.name} differ, but have the name of one piece; move"):
            split.split_pictures(place, tmp_path / "out", settings)
        assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["bg/a.png", "bg/test/a.png", "fg/test/a.png"])
def test_a_layers_folder_may_be_a_link_to_another_disk_and_one_that_is_gone_is_not_made_again(tmp_path: Path, name: str) -> None:
    out, disk = tmp_path / "out", tmp_path / "disk"
    out.mkdir()
    disk.mkdir()
    (out / "bg").symlink_to(disk)
    split._write_piece(out, out / name, b"piece")
    assert (out / name).read_bytes() == b"piece"
    assert (disk / name.removeprefix("bg/")).exists() == name.startswith("bg/")
    shutil.rmtree(out)
    with pytest.raises(ResourceError, match="the folder is gone"):
        split._write_piece(out, out / name, b"piece")
    assert not out.exists()


def test_the_other_copy_is_used_where_one_is_excluded(tmp_path: Path) -> None:
    place = scenes(tmp_path / "in", 3)
    with Image.open(place / "1.png") as picture:
        picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS).save(place / "0-small.png")
    settings = SplitSettings(size_px=32, min_confidence=0)
    first = split.split_pictures(place, tmp_path / "out", settings)
    assert {record["name"]: record["reason"] for record in first["records"]}["0-small.png"] == "the same picture as '1.png'"
    then = split.split_pictures(place, tmp_path / "out", replace(settings, exclude=("1.png",)))
    assert {record["name"]: record["decision"] for record in then["records"]} == {
        "0-small.png": "used",
        "0.png": "used",
        "1.png": "excluded",
        "2.png": "used",
    }
    Image.open(place / "2.png").save(place / "2-again.bmp")
    (place / "bad.png").write_bytes(b"no picture")
    again = split.split_pictures(place, tmp_path / "new", replace(settings, allow_bad=True))
    page = write_split_page(tmp_path / "new", again).read_text()
    assert "2 duplicates." in page
    assert "1 file that cannot be read." in page
