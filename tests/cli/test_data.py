"""The data commands: options reach the work, results are one JSON object, faults are one line."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers import images
from helpers.commands import Command
from PIL import Image, ImageDraw


def answer(command: Command, *arguments: object) -> dict[str, Any]:
    outcome = command("data", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    value = json.loads(outcome.out)
    assert isinstance(value, dict)
    return value


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    place = tmp_path / "scenes"
    place.mkdir()
    for index in range(4):
        picture = images.smooth(index).point(lambda value: value // 2)
        ImageDraw.Draw(picture).ellipse((12 + 4 * index, 16, 40 + 4 * index, 48), fill=(240, 200, 60))
        picture.save(place / f"{index}.png")
    return place


def test_prepare(command: Command, folder: Path, tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 6)
    shutil.copy(place / "0001.png", place / "again.png")
    (tmp_path / "a.csv").write_text("image,stars\n" + "".join(f"{index:04d}.png,{index}\n" for index in range(6)) + "again.png,5\n")
    (tmp_path / "no.txt").write_text("0005.png\n")
    found = answer(command, "prepare", place, "--out", "out", "--size", 8, "--metadata", tmp_path / "a.csv", "--where", "stars >= 1",
                   "--exclude", tmp_path / "no.txt", "--crop", "entropy", "--backdrop", "#102030")  # fmt: skip
    assert found["count"] == 4
    assert {entry["name"] for entry in found["skipped"]} == {"0005.png", "again.png"}
    assert Path(found["page"]).is_file()
    assert Path(found["pack"]) == Path("out/prepared.npy")
    text = command("data", "prepare", place, "--out", "out2", "--size", 8)
    assert "6 pictures of 8 px, none held out, 1 left out" in text.out
    assert "6 photographs are too few" in text.err
    many = images.fill(tmp_path / "many", 24)
    found = answer(command, "prepare", many, "--out", "out3", "--size", 8, "--holdout", 5)
    assert (found["count"], found["held_out"]) == (19, {"test": 5})
    assert "24 pictures of 8 px, none held out" in command("data", "prepare", many, "--out", "out4", "--size", 8, "--holdout", 0).out
    assert answer(command, "prepare", many, "--out", "out5", "--size", 8)["held_out"]["test"] >= 2
    assert "'again.png': duplicate: the same file as '0001.png'" in text.err


def test_split_and_its_page(command: Command, folder: Path, scenes: Path) -> None:
    found = answer(command, "split", scenes, "--out", "out", "--size", 48, "--backdrop", "white", "--centre", "--background", "fill", "--blur", 1,
                   "--min-fill-confidence", 0)  # fmt: skip
    assert found["counts"]["used"] == 4
    assert found["files"] == {"fg": 4, "bg": 4, "scene": 4, "set-aside": 0}
    assert Path(found["page"]).read_text().count("<img") >= 12
    text = command("data", "split", scenes, "--out", "other")
    assert "4 of 4 pictures cut" in text.out
    assert "nothing held out" in text.out
    assert "4 photographs are too few" in text.err
    (scenes.parent / "list.txt").write_text("1.png\ntypo.png\n")
    text = command("data", "split", scenes, "--out", "other", "--exclude", scenes.parent / "list.txt", "--holdout", 1)
    assert "3 of 4 pictures cut" in text.out
    assert "2 photographs for training, 1 for test" in text.out
    assert "1 named in --exclude or --keep, and not in SRC: 'typo.png'" in text.err
    (scenes.parent / "back.txt").write_text("1.png\n")
    found = answer(command, "split", scenes, "--out", "other", "--keep", scenes.parent / "back.txt")
    assert found["counts"]["used"] == 4


def test_matte_iou(command: Command, folder: Path, scenes: Path) -> None:
    for index in range(4):
        matte = Image.new("L", (64, 64))
        ImageDraw.Draw(matte).ellipse((12 + 4 * index, 16, 40 + 4 * index, 48), fill=255)
        matte.save(scenes / f"{index}.matte.png")
    floor, row = answer(command, "matte-iou", scenes)["rows"]
    assert (floor["method"], row["method"]) == ("rectangle", "grabcut")
    assert row["mean"] > 0.9
    table = command("data", "matte-iou", scenes, "--matting", "grabcut", "--matting", "backdrop").out.splitlines()
    assert [line.split()[0] for line in table] == ["method", "rectangle", "grabcut", "backdrop"]


def test_augment_check_and_stats(command: Command, folder: Path, tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 3)
    assert answer(command, "augment", place, "--out", "more", "--factor", 3)["made"] == 9
    found = answer(command, "check", place, "more", "--page", "page.html")
    assert found["pair_count"] == 0 or found["pairs"]
    assert Path(found["page"]).is_file()
    assert any(entry["hurts"] for entry in found["verdict"])
    assert "! " in command("data", "check", place).out
    assert answer(command, "stats", place)["sets"][0]["count"] == 3
    assert "3 RGB" in command("data", "stats", place).out
    assert "\n  sizes         1 kind, shorter side 16 to 16 px\n" in command("data", "stats", place).out
    assert "remark" not in command("data", "stats", place).out
    images.fill(place / "testA", 1, first=40)
    remark = "testA/ looks like a split, but all are one set; call the folders train/, validation/ and test/, or name one of them itself"
    assert f"\n  remark        {remark}\n" in command("data", "stats", place).out
    assert answer(command, "stats", place)["sets"][0]["remark"] == remark


def test_chess(command: Command, folder: Path) -> None:
    assert answer(command, "chess", "--out", "chess", "-n", 2, "--size", 16)["files"] == {"fg": 2, "far": 2, "bg": 2, "scene": 2}


@pytest.mark.parametrize(
    ("arguments", "code", "start"),
    [
        (("prepare", "gone", "--out", "x", "--size", "8"), 3, "SRC gone"),
        (("prepare", "in", "--out", "x", "--size", "8", "--where", "a > 1"), 2, "--metadata"),
        (("prepare", "in", "--out", "x", "--size", "8", "--backdrop", "nocolour"), 2, "--backdrop nocolour"),
        (("prepare", "in", "--out", "x", "--size", "8", "--exclude", "gone.txt"), 3, "--exclude gone.txt"),
        (("prepare", "in", "--out", "x", "--size", "8", "--holdout", "half"), 2, "--holdout half"),
        (("split", "in", "--out", "x", "--matting", "gone.onnx"), 2, "--matting gone.onnx"),
        (("split", "in", "--out", "x", "--background", "z"), 2, "--background z"),
        (("augment", "gone", "--out", "x"), 3, "SRC gone"),
        (("check", "gone"), 3, "DIR gone"),
        (("fetch", "gone.txt", "--out", "x"), 3, "LIST gone.txt"),
        (("matte-iou", "in"), 3, "SCENES in"),
    ],
)
def test_faults_are_one_line(command: Command, folder: Path, arguments: tuple[str, ...], code: int, start: str) -> None:
    images.fill(folder / "in", 1)
    outcome = command("data", *arguments)
    assert outcome.code == code
    assert outcome.err.startswith(start)
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_profiles_that_cannot_be_followed_are_told_and_counted(command: Command, scenes: Path, tmp_path: Path) -> None:
    """By every command that reads pictures; once, however many there are."""
    for number in (2, 3):
        with Image.open(scenes / f"{number}.png") as picture:
            picture.copy().save(scenes / f"{number}.png", icc_profile=b"no profile at all" * 20)
    line = "2 pictures, the first '2.png': its colour profile is damaged: its numbers were taken as sRGB"
    for arguments in (
        ("pack", scenes, "--out", tmp_path / "a.npy", "--size", 16),
        ("read", "folder", scenes, "--out", tmp_path / "b.npy", "--size", 16),
        ("prepare", scenes, "--out", tmp_path / "c", "--size", 16),
        ("augment", scenes, "--out", tmp_path / "d"),
        ("split", scenes, "--out", tmp_path / "e", "--matting", "grabcut"),
    ):
        outcome = command("data", *arguments)
        assert outcome.code == 0, outcome.err
        assert outcome.err.splitlines().count(line) == 1, (arguments[0], outcome.err)
    assert f"{scenes}: {line}." in command("data", "check", scenes).out


def test_a_matte_is_no_colour(command: Command, tmp_path: Path) -> None:
    """Its numbers are shares, whatever profile a program put into the file."""
    from mitlgan.data.decode.color_profile import ADOBE_RGB, build_matrix_profile
    from mitlgan.data.pack.image_pack import ImagePack

    place = images.fill(tmp_path / "in", 2)
    for number in range(2):
        Image.new("L", (16, 16), 100 + number).save(place / f"000{number}.matte.png", icc_profile=build_matrix_profile(ADOBE_RGB, 1.0))
    assert command("data", "pack", place, "--out", tmp_path / "a.npy", "--size", 16).code == 0
    assert command("data", "prepare", place, "--out", tmp_path / "b", "--size", 16).code == 0
    assert command("data", "augment", place, "--out", tmp_path / "d", "--factor", 1).code == 0
    for pack in (ImagePack.open(tmp_path / "a.npy"), ImagePack.open(tmp_path / "b" / "prepared.npy")):
        assert sorted(int(row[3].min()) for row in pack.pixels) == sorted(int(row[3].max()) for row in pack.pixels) == [100, 101]
    assert {Image.open(path).getextrema() for path in (tmp_path / "d").glob("*.matte.png")} == {(100, 100), (101, 101)}


def test_what_is_not_taken_stands_in_the_text_and_in_json(command: Command, folder: Path) -> None:
    place = images.fill(folder / "in", 3, size=(64, 64))
    for name in ("a.tga", "b.csv", "lone.matte.png", ".hidden.png"):
        (place / name).write_bytes(b"x")
    lines = [
        "1 .tga left out: not a format that is read; convert to PNG or JPEG (a.tga)",
        "1 matte left out: no picture next to it (lone.matte.png)",
    ]
    counted = "1 other file (1 .csv), 1 hidden"
    for arguments in (
        ("pack", "in", "--out", "a.npy", "--size", "8"), ("prepare", "in", "--out", "p", "--size", "8"), ("augment", "in", "--out", "g"),
        ("stats", "in"),
    ):  # fmt: skip
        outcome = command("data", *arguments)
        assert outcome.code == 0, outcome.err
        for line in (*lines, counted):
            assert line in outcome.out
        Path("a.npy").unlink(missing_ok=True)
        values = json.loads(command("data", *arguments, "--json").out)
        values = values["sets"][0] if "sets" in values else values
        assert {line["name"] for line in values["skipped"]} >= {"a.tga", "lone.matte.png"}
        assert (values["leftovers"]["others"], values["leftovers"]["hidden"]) == ({".csv": 1}, 1)
    outcome = command("data", "check", "in")
    assert all(f"! in: {line}; the names of all: mitlgan data stats in --json" in outcome.out for line in lines)


def test_names_to_leave_out_that_are_not_there_are_told(command: Command, folder: Path, tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 3)
    (tmp_path / "no.txt").write_text("0001.png\n0001.PNG\nnowhere.png\n")
    done = command("data", "prepare", place, "--out", "out", "--size", 8, "--exclude", tmp_path / "no.txt")
    assert done.code == 0, done.err
    assert "2 named in --exclude, and not in SRC: '0001.PNG', 'nowhere.png'" in done.out


def test_read_takes_no_option_of_another_format(command: Command, folder: Path, tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 3)
    found = answer(command, "read", "folder", place, "--out", "p.npy", "--size", 8, "--limit", 2)
    assert (found["count"], found["leftovers"]["remarks"]) == (2, ["the first 2 of 3 pictures are taken"])
    for option in (("--classes", "1,2"), ("--labels", "no"), ("--split", "test"), ("--attribute", "Male"), ("--min-rating", 3), ("--reviews", "x")):
        done = command("data", "read", "folder", place, "--out", "q.npy", "--size", 8, *option)
        assert done.code == 2
        assert done.err.startswith(f"{option[0]}: of ")
    shutil.make_archive(str(tmp_path / "in"), "zip", place)
    pytest.importorskip("cv2")
    done = command("data", "read", "folder", tmp_path / "in.zip", "--faces", "--out", "q.npy", "--size", 8)
    assert (done.code, done.err.startswith("--faces: ")) == (2, True)
    assert [path.name for path in folder.iterdir() if path.name.startswith("q")] == []


@pytest.mark.parametrize("make", ["augment", "split"])
def test_pictures_are_not_written_among_those_that_they_are_made_of(command: Command, folder: Path, make: str) -> None:
    """The next call would take them for more of these."""
    place = images.fill(folder / "in", 3)
    for out in ("in/out", "in"):
        done = command("data", make, "in", "--out", out)
        assert done.code == 2
        assert done.err.startswith(f"--out {out}: is inside SRC, in, ")
        assert len(list(place.iterdir())) == 3


@pytest.mark.parametrize("long", [0, 1, 3])
def test_split_says_why_there_are_fewer_scenes_than_foregrounds(long: int, command: Command, folder: Path) -> None:
    """A scene is a square of the photograph, in which an object that is longer has no room."""
    pytest.importorskip("cv2")
    (folder / "in").mkdir()
    for number in range(4):
        picture = images.smooth(number, (64, 160))
        matte = Image.new("L", picture.size)
        matte.paste(255, (10, 8, 54, 152) if number < long else (18, 60, 46, 100))
        picture.paste((250, 40 * number, 20), mask=matte)
        picture.save(folder / "in" / f"{number}.png")
        matte.save(folder / "in" / f"{number}.matte.png")
    done = command("data", "split", "in", "--out", "out", "--size", 64, "--min-fill-confidence", 0)
    assert done.code == 0, done.err
    assert "4 foregrounds, " in done.out
    counted = [path.name for path in (folder / "out" / "scene").glob("*.png") if ".matte." not in path.name]
    assert f"{len(counted)} scenes" in done.out
    said = [line for line in done.err.splitlines() if "no scene" in line]
    missing = 4 - len(counted)
    assert missing == long
    words = {0: [], 1: ["1 object is longer than a square of the picture: a foreground, and no scene"]}
    assert said == words.get(long, ["3 objects are longer than a square of the picture: a foreground, and no scene"])


def test_the_causes_that_split_tells_add_up_to_the_missing_scenes(command: Command, folder: Path) -> None:
    """Of a folder with every cause: long objects, cut-outs, a scene that is left out by name, and one that somebody removed."""
    pytest.importorskip("cv2")
    (folder / "in").mkdir()
    for number, kind in enumerate(["square"] * 4 + ["long"] * 2 + ["cut-out"] * 3):
        picture = images.smooth(number, (64, 160))
        matte = Image.new("L", picture.size)
        matte.paste(255, (10, 8, 54, 152) if kind == "long" else (18, 60, 46, 70 + 8 * number))
        picture.paste((250, 20 * number, 20), mask=matte)
        if kind == "cut-out":
            picture.putalpha(matte)
        else:
            matte.save(folder / "in" / f"{number}.matte.png")
        picture.save(folder / "in" / f"{number}.png")

    def told_causes(*more: object) -> list[int]:
        done = command("data", "split", "in", "--out", "out", "--size", 64, "--holdout", 0, *more)
        assert done.code == 0, done.err
        files = json.loads((folder / "out" / "split.json").read_text())["files"]
        assert f"{files['fg']} foregrounds, " in done.out
        assert f"{files['scene']} scenes" in done.out
        told = [line for line in done.err.splitlines() if "scene" in line and "'scene/" not in line]
        causes = [int(line.split()[0]) for line in told]
        assert sum(causes) == files["fg"] - files["scene"]
        assert told[0] == "3 have their own transparency: a foreground, and neither scene nor background"
        page = (folder / "out" / "sheet.html").read_text()
        assert all(line in page for line in told)
        return causes

    assert told_causes() == [3, 2]
    first, second, *_ = sorted(path.name for path in (folder / "out" / "scene").glob("*.png") if ".matte." not in path.name)
    (folder / "no.txt").write_text(f"scene/{first}\n")
    (folder / "out" / "scene" / second).unlink()
    (folder / "out" / "scene" / f"{second.removesuffix('.png')}.matte.png").unlink()
    assert told_causes("--exclude", "no.txt") == [3, 2, 2]


def spoiled(place: Path, bad: int, good: int) -> Path:
    images.fill(place, good, size=(64, 64))
    for number in range(bad):
        (place / f"z{number:02d}.png").write_bytes(b"no picture")
    return place


@pytest.mark.parametrize("bad", [0, 3, 20, 31])
def test_what_is_left_out_is_named_or_counted_with_where_its_names_are(bad: int, command: Command, folder: Path) -> None:
    """By all commands that read pictures: unreadable ones first, then the others, and none passes without a word."""
    place = spoiled(folder / "in", bad, 4)
    for number in range(3):
        shutil.copy(place / "0000.png", place / f"copy{number}.png")
    (place / "a.tga").write_bytes(b"x")
    with Image.open(place / "0001.png") as picture:
        matte = Image.new("L", picture.size)
        matte.paste(255, (20, 20, 44, 44))
        picture.putalpha(matte)
        picture.save(place / "0001.png")
    kinds = {
        "pack": (("--size", 8, "--allow-bad"), "a.npy", {"left out": 1}, "a.json"),
        "prepare": (("--size", 8, "--allow-bad"), "p", {"left out": 4}, "p/prepared.json"),
        "augment": ((), "g", {"left out": 1}, "the same command with --json names all"),
        "split": (("--allow-bad", "--matting", "alpha"), "s", {"set aside": 3, "duplicate": 3, "left out": 1}, "s/split.json"),
    }
    for name, (more, out, others, where) in kinds.items():
        expected = ["unreadable"] * bad + [word for word, count in others.items() for _ in range(count)]
        done = command("data", name, "in", "--out", out, *more)
        assert done.code == 0, done.err
        assert re.findall(r"^(unreadable|left out|set aside|duplicate) '[^']+': \S", done.err, re.MULTILINE) == expected[:20], name
        told = re.findall(r"^and (\d+) more \((.+)\): (.+)$", done.err, re.MULTILINE)
        rest = Counter(expected[20:])
        assert told == ([(str(rest.total()), ", ".join(f"{count} {word}" for word, count in rest.items()), where)] if rest else []), name
    for names in ("a.json", "p/prepared.json", "s/split.json"):
        assert all(f"z{number:02d}.png" in (folder / names).read_text() for number in range(bad))
    assert f"a2.npy: 7 pictures of 8 px, {bad} unreadable\n" in command("data", "pack", "in", "--out", "a2.npy", "--size", 8, "--allow-bad").out
    unused = answer(command, "split", "in", "--out", "s", "--allow-bad", "--matting", "alpha")["unused"]
    assert Counter(one["decision"] for one in unused) == +Counter({"unreadable": bad, "set aside": 3, "duplicate": 3})
    assert all(one["reason"] for one in unused)
    assert len(answer(command, "augment", "in", "--out", "g")["skipped"]) == bad + 1


def test_what_prepare_leaves_out_by_choice_is_no_unreadable_picture(command: Command, folder: Path) -> None:
    place = spoiled(folder / "in", 2, 3)
    images.fill(folder / "other", 1, size=(64, 64), first=40)
    shutil.copy(folder / "other" / "0040.png", place)
    shutil.copy(place / "0000.png", place / "again.png")
    images.smooth(0, (64, 64)).save(place / "alike.jpg", quality=97)
    images.smooth(7, (12, 12)).save(place / "small.png")
    images.smooth(8, (64, 400)).save(place / "long.png")
    Image.new("RGB", (64, 64), "red").save(place / "blank.png")
    for number in range(5):
        images.smooth(60, (64, 64)).save(place / f"holder{number}.png")
    (place / "torn.png").write_bytes((place / "0001.png").read_bytes()[:60])
    Image.new("RGB", (300, 1)).save(place / "line.png")
    (folder / "no.txt").write_text("0002.png\n")
    done = command("data", "prepare", "in", "--out", "p", "--size", 16, "--min-size", 32, "--max-aspect", 3, "--dedupe", "near", "--against", "other",
                   "--exclude", "no.txt", "--allow-bad")  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(re.findall(r"^unreadable '(.+)': ", done.err, re.MULTILINE)) == ["line.png", "torn.png", "z00.png", "z01.png"]
    heads = {line.split("': ")[1].split(":")[0] for line in done.err.splitlines() if line.startswith("left out '")}
    assert heads == {"excluded", "small", "elongated", "placeholder", "blank", "held out", "duplicate", "near duplicate"}
    assert "16 left out (4 unreadable)" in done.out


def test_masks_are_decided_alike_by_all_commands_and_said_in_one_line(command: Command, folder: Path) -> None:
    """Sharp photographs in `gt` stay, masks with a joined word are left out, and what only looks like masks stays and is said."""
    for number in range(6):
        mask = Image.new("L", (64, 64))
        ImageDraw.Draw(mask).ellipse((8 + number, 16, 40 + number, 48), fill=255)
        for place, picture in (
            ("input", images.smooth(number)),
            ("gt", images.smooth(number + 50)),
            ("shots", images.smooth(number + 90)),
            ("map", mask),
        ):
            (folder / "in" / place).mkdir(parents=True, exist_ok=True)
            picture.resize((64, 64)).save(folder / "in" / place / f"{number}.png")
        mask.save(folder / "in" / "shots" / f"{number}-masklabel.png")
    for name, more in (("prepare", ("--size", 16, "--holdout", 0)), ("pack", ("--size", 16)), ("check", ()), ("split", ("--size", 16, "--holdout", 0))):
        done = command("data", name, "in", *(() if name == "check" else ("--out", f"{name}.npy" if name == "pack" else name)), *more)
        text = done.out + done.err
        assert done.code == 0, text
        if name != "check":
            names = ", ".join(f"'shots/{number}-masklabel.png'" for number in range(3))
            assert done.err.count(f"left out {names} and 3 more: no picture to train on") == 1, text
            assert "24" in done.out, text
        if name != "pack":
            for part in (
                "6 files have the names of masks of another picture",
                "6 files look like masks of other pictures",
                "6 masks of other pictures left out",
            ):
                assert part in text, (name, text)


def test_check_says_what_to_do_with_the_copies(command: Command, folder: Path) -> None:
    """They take the place of the training pictures, and are no pictures to measure on."""
    for split, number in (("train", 4), ("test", 2)):
        images.fill(folder / "fg" / split, number)
    shown = command("data", "check", "fg").out
    augment = "mitlgan data augment fg/train --out fg-more --factor 125"
    assert f"make 125 of each to train with --data fg-more, and measure with --data fg: {augment}" in shown
    done = command("data", "augment", "fg", "--out", "more", "--factor", 2)
    assert (done.code, len(list((folder / "more").glob("*.png")))) == (0, 8)
    assert "left out: test/ (2, test)" in done.err


def test_check_sends_no_pack_to_a_command_that_takes_pictures(command: Command, folder: Path) -> None:
    images.fill(folder / "in", 3)
    assert command("data", "pack", "in", "--out", "few.npy", "--size", 8).code == 0
    shown = command("data", "check", "few.npy").out
    assert "mitlgan data augment PICTURES --out few-more --factor 167" in shown
    assert "mitlgan data prepare few.npy" not in shown


@pytest.mark.parametrize("named", [".", "./", "../in", "inner/..", "../in/inner/../"])
def test_check_names_folders_next_to_what_it_checked(named: str, command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (images.fill(folder / "in", 3) / "inner").mkdir()
    monkeypatch.chdir(folder / "in")
    done = command("data", "check", named)
    assert done.code == 0, done.err
    outs = set(re.findall(r"--out (\S+)", done.out))
    assert outs
    for out in outs:
        assert Path(out).resolve().parent == folder.resolve()
        assert Path(out).name in ("in-more", "in-clean")


def test_pictures_that_are_enlarged_are_told_by_data_commands_and_trainings(command: Command, tmp_path: Path) -> None:
    mixed = images.fill(tmp_path / "in", 4, size=(40, 20))
    sentence = "all 4 pictures are smaller than 32 px and were enlarged: blurred, as nothing sharper is in them"
    packed = command("data", "pack", mixed, "--out", tmp_path / "p.npy", "--size", 32, "--json")
    assert (packed.json["enlarged"], sentence in packed.err) == (4, True)
    prepared = command("data", "prepare", mixed, "--out", tmp_path / "prepared", "--size", 32, "--json")
    assert prepared.json["enlarged"] == prepared.json["count"] > 0
    dry = command("pretrain", "bg", "--data", tmp_path / "p.npy", "--set", "size_px=32", "--dry-run", "--out", tmp_path / "runs")
    assert f"p.npy: {sentence}" in dry.err
