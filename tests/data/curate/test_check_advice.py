"""Whatever command `data check` advises can be run as it stands, for any kind of source."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import images
from PIL import Image

from mitlgan.cli.main import app, main
from mitlgan.data.curate.check import check_datasets
from mitlgan.data.curate.check_advice import PICTURES
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack

COMMAND = re.compile(r"mitlgan data .*")


def fill(folder: Path, first: int) -> None:
    """Pictures that give reason to all kinds of advice: large, small, thin, blank, see-through, doubled, damaged."""
    images.fill(folder, 4, size=(70, 70), first=first)
    images.fill(folder, 1, size=(20, 20), first=first + 4)
    images.smooth(first + 5, (170, 70)).save(folder / f"wide{first}.png")
    Image.new("RGB", (70, 70), (first % 256, 9, 9)).save(folder / f"blank{first}.png")
    for name, place in (("free", (20, 20)), ("at-the-border", (0, 0))):
        picture = Image.new("RGBA", (70, 70))
        picture.paste(images.smooth(first + 6 + place[0], (30, 30)).convert("RGBA"), place)
        picture.save(folder / f"{name}{first}.png")
    shutil.copy(folder / f"{first:04d}.png", folder / f"double{first}.png")
    (folder / f"damaged{first}.png").write_bytes(b"no picture")


def split_folder(place: Path, *folders: str, first: int = 0) -> Path:
    for number, folder in enumerate(folders):
        fill(place / folder, first + 40 * number)
        images.smooth(500, (70, 70)).save(place / folder / "same.png")  # the same in training and held out
    return place


def zipped(folder: Path) -> Path:
    shutil.make_archive(str(folder), "zip", folder)
    return folder.with_suffix(".zip")


def tarred(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "set")
    return path


def listed(folder: Path) -> Path:
    path = folder.with_suffix(".txt")
    path.write_text("\n".join(str(file) for file in sorted(folder.rglob("*.png"))))
    return path


SOURCES: dict[str, Callable[[Path], list[Path]]] = {
    "folder": lambda here: [split_folder(here / "set", ".")],
    "folder with a blank and a quote": lambda here: [split_folder(here / "my 'set'", ".")],
    "splits": lambda here: [split_folder(here / "set", "train", "test")],
    "splits beside each other": lambda here: [split_folder(here / "set", "train", "test") / name for name in ("train", "test")],
    "three splits": lambda here: [split_folder(here / "set", "Training", "val", "test_set")],
    "splits in classes": lambda here: [split_folder(here / "set", "cat/train", "cat/test", "dog/train", "dog/test")],
    "zip": lambda here: [zipped(split_folder(here / "set", "."))],
    "zip with splits": lambda here: [zipped(split_folder(here / "set", "train", "test"))],
    "zip with splits in classes": lambda here: [zipped(split_folder(here / "set", "cat/train", "cat/test", "dog/train", "dog/test"))],
    "tar with splits": lambda here: [tarred(split_folder(here / "set", "train", "test"))],
    "list": lambda here: [listed(split_folder(here / "set", "."))],
    "two sets": lambda here: [split_folder(here / "a", "."), split_folder(here / "b", ".", first=200)],
    "folder and zip with splits": lambda here: [split_folder(here / "a", ".", first=200), zipped(split_folder(here / "b", "train", "test"))],
}

QUICK = ("three splits", "zip with splits")
"""Those of the usual tests; the others take a minute together."""


def run(text: str) -> None:
    """Run the command at the end of a sentence."""
    app([*shlex.split(text[text.index("mitlgan data") :])[1:], "--json"], standalone_mode=False)


def commands(verdict: list[tuple[str, bool]]) -> list[list[str]]:
    lines = dict.fromkeys(match.group() for text, _ in verdict if (match := COMMAND.search(text)))
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in SOURCES])
def test_every_command_that_is_advised_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    specs = [str(path) for path in SOURCES[kind](Path())]
    monkeypatch.setattr("mitlgan.data.curate.check_advice.MIN_PICTURES", 25)
    advised = commands(check_datasets(specs).verdict)
    assert {words[2] for words in advised} >= {"augment", "prepare", "split"}
    assert any("near" in words for words in advised)
    outs = [words[words.index("--out") + 1] for words in advised]
    assert len(set(outs)) == len(outs)  # none is in the way of another
    for words in advised:  # one after the other, as a user does
        assert PICTURES not in words
        assert not Path(words[words.index("--out") + 1]).exists()
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, words


@pytest.mark.parametrize("kind", ["folder", "splits"])
@pytest.mark.parametrize(("copies", "others"), [(2, 10), (4, 10), (5, 10), (9, 10), (5, 0), (6, 0)])
def test_one_of_each_is_kept_however_often_a_file_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: int, others: int, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    place = images.fill(Path("set") / ("train" if kind == "splits" else "."), others + 1, size=(64, 64))
    for number in range(copies - 1):
        shutil.copy(place / "0000.png", place / f"copy{number}.png")
    if kind == "splits":
        images.fill(Path("set/test"), 3, size=(64, 64), first=50)
    verdict = check_datasets(["set"]).verdict
    (text,) = [text for text, _ in verdict if "to keep one of each" in text]
    assert f"{copies - 1} equal {'pair' if copies == 2 else 'pairs'} within the set" in text
    name = "train/0000.png" if kind == "splits" else "0000.png"
    assert (f"; '0000.png' comes {copies} times: a placeholder?; to keep one of each" in text) == (copies >= 5)
    assert text.endswith(" --placeholder-copies 0") == (copies >= 5)
    run(text)
    names = [line["name"] for line in ImagePack.open(Path("set-clean") / PREPARED_PACK).sources()]
    expected = [name] + [f"{Path(name).parent / f'{number:04d}.png'}" for number in range(1, others + 1)]
    assert names == expected


def test_several_such_files_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images.fill(Path("set"), 3, size=(64, 64))
    for first, count in (("0000.png", 5), ("0001.png", 7)):
        for number in range(count - 1):
            shutil.copy(Path("set") / first, Path("set") / f"{first[:4]}x{number}.png")
    (text,) = [text for text, _ in check_datasets(["set"]).verdict if "to keep one of each" in text]
    assert "; 2 files come 5 times or more, '0001.png' 7 times: placeholders?; to keep one" in text
    run(text)
    assert len(ImagePack.open(Path("set-clean") / PREPARED_PACK)) == 3


def test_copies_in_two_splits_of_one_set_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`data prepare` sees them together, too: three in training and two held out are five."""
    monkeypatch.chdir(tmp_path)
    for place, first, copies in (("train", 1, 3), ("test", 20, 2)):
        images.fill(Path("set") / place, 4, size=(64, 64), first=first)
        for number in range(copies):
            images.smooth(99, (64, 64)).save(Path("set") / place / f"copy{number}.png")
    (text,) = [text for text, _ in check_datasets(["set"]).verdict if "leak" in text]
    assert "6 equal pairs leak" in text
    (text,) = [text for text, _ in check_datasets(["set"]).verdict if "data prepare" in text]
    assert text.endswith("--dedupe near --placeholder-copies 0")
    run(text)
    names = {Path(line["name"]).stem for place in ("", "test") for line in ImagePack.open(Path("set-clean") / place / PREPARED_PACK).sources()}
    assert sum(name.startswith("copy") for name in names) == 1


@pytest.mark.parametrize("size", [20, 48])
def test_advice_on_equal_files_alone_leaves_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Files of a size or shape that gives reason to other advice."""
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    for number in range(6):
        images.smooth(1, (size, 3 * size)).save(Path("set") / f"{number}.png")
    verdict = [text for text, _ in check_datasets(["set"]).verdict]
    assert len([text for text in verdict if "smaller than" in text or "long as wide" in text]) == 2
    (advised,) = [text for text in verdict if "data prepare" in text]  # to leave out all that are small or long would leave none
    assert advised.endswith("--dedupe near --placeholder-copies 0")
    run(advised)
    assert len(ImagePack.open(Path("set-clean") / PREPARED_PACK)) == 1


def test_only_files_that_are_left_out_have_their_names_told(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 4)
    for file in sorted(place.glob("*.png")):
        Image.open(file).convert("RGB").save(file.with_suffix(".jpg"))
    (place / "a.tga").write_bytes(b"x")
    lines = [text for text, _ in check_datasets([str(place)]).verdict]
    (left_out,) = [line for line in lines if "a.tga" in line]
    (twins,) = [line for line in lines if "several pictures in one folder" in line]
    assert left_out.endswith(f"; the names of all: mitlgan data stats {place} --json")
    assert twins.endswith("move masks or copies among them to another folder")


def photographs(place: Path, count: int = 24) -> Path:
    """Objects of many sizes, some at the border, some small, some large; and too many files that are none."""
    images.write_varied_objects(place, count)
    for number, box in enumerate([(0, 10, 60, 120), (40, 50, 52, 62), (4, 4, 124, 124)]):
        picture = images.smooth(900 + number, (128, 128)).point(lambda value: value // 2)
        matte = Image.new("L", picture.size)
        matte.paste(255, box)
        picture.paste((240, 200, 60 + 40 * number), mask=matte)
        picture.save(place / f"extra{number}.png")
        matte.save(place / f"extra{number}.matte.png")
    for number in range(3):
        (place / f"bad{number}.jpg").write_bytes(b"<html>")
    return place


SPLITS: dict[str, tuple[str, ...]] = {
    "sizes": ("--size", "48", "--holdout", "4", "--min-confidence", "0", "--min-fill-confidence", "0.2"),
    "looks": ("--size", "64", "--centre", "--backdrop", "#102030", "--background", "patch", "--blur", "0.5", "--holdout", "0",
              "--min-confidence", "0.1"),
    "cuts": ("--size", "64", "--matting", "grabcut", "--max-hole", "0.5", "--holdout", "25%", "--min-object-area", "0.001", "--max-object-area", "0.95",
             "--max-border", "0.9", "--min-confidence", "0"),
}  # fmt: skip


def read_split(out: Path) -> dict[str, Any]:
    record = json.loads((out / "split.json").read_text())
    assert isinstance(record, dict)
    return record


@pytest.mark.parametrize("is_old", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("kind", SPLITS)
def test_a_split_that_is_advised_is_the_earlier_one_but_for_what_was_found(
    kind: str, is_old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    photographs(Path("my photos"))
    Path("no.txt").write_text("extra1.png\nwith\\nbreak.png\n")
    Path("yes.txt").write_text("extra2.png\n")
    given = [*SPLITS[kind], "--exclude", "no.txt", "--keep", "yes.txt", "--allow-bad"]
    app(["data", "split", "my photos", "--out", "layers", *given, "--json"], standalone_mode=False)
    before = read_split(Path("layers"))
    if is_old:  # which recorded neither the lists as options, nor what else this version does
        assert "exclude" not in before["made_by"]["settings"]
        before.pop("skipped")
        Path("layers/split.json").write_text(json.dumps(before))
    Path("my photos-layers").mkdir()  # of something else
    verdict = [text for text, _ in check_datasets(["layers/fg", "layers/scene"]).verdict]
    (text,) = [text for text in verdict if "mitlgan data split" in text]
    again = [text for text in verdict if text.endswith("to set them aside: the command with --out 'my photos-layers-2'")]
    words = shlex.split(text[text.index("mitlgan data") :])
    assert again
    assert words[words.index("--out") + 1] == "my photos-layers-2"
    limits = {"--max-border": ("max_border", 0.02), "--min-object-area": ("min_area", 0.03), "--max-object-area": ("max_area", 0.8)}
    asked = {option for option, (_, limit) in limits.items() if option in words and words[words.index(option) + 1] == f"{limit:g}"}
    assert asked
    assert all(words.count(option) <= 1 for option in limits)
    run(text)
    after = read_split(Path("my photos-layers-2"))
    expected = before["made_by"]["settings"]
    expected["gate"] |= {limits[option][0]: limits[option][1] for option in asked}
    assert after["made_by"]["settings"] == expected
    assert (after["choices"], after["holdout"]["asked"]) == (before["choices"], before["holdout"]["asked"])
    decisions = {record["name"]: record["decision"] for record in after["records"]}
    assert decisions["extra1.png"] == "excluded"
    assert after["counts"]["unreadable"] == 3
    assert after["choices"]["exclude"] == ["extra1.png", "with\nbreak.png"]
    held_out = [{record["name"] for record in one["records"] if record.get("split") == "test"} for one in (before, after)]
    assert held_out[1] <= held_out[0] or kind == "sizes"  # a number is filled up by others


def test_a_limit_that_was_as_strict_is_not_advised_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    photographs(Path("photos"), 4)
    more = ("--max-border", "0.01", "--keep", "yes.txt", "--allow-bad", "--min-object-area", "0.2", "--max-object-area", "0.5")
    Path("yes.txt").write_text("extra0.png\nextra1.png\nextra2.png\n")
    app(["data", "split", "photos", "--out", "layers", "--size", "64", *more, "--json"], standalone_mode=False)
    verdict = [text for text, _ in check_datasets(["layers/fg"]).verdict]
    assert not [text for text in verdict if "data split" in text]
    for option in ("--max-border", "--min-object-area", "--max-object-area"):
        assert sum(text.endswith(f", though {option} was given; leave those out by --exclude that you do not want") for text in verdict) == 1


def test_nothing_is_advised_that_undoes_the_copies_that_were_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies look like each other and like their originals, and are made of the originals alone."""
    monkeypatch.chdir(tmp_path)
    place = Path("layers/fg/train")
    place.mkdir(parents=True)
    for number in range(4):
        picture = Image.new("RGBA", (64, 64))
        picture.paste(images.smooth(number, (40, 40)).convert("RGBA"), (0, 10 + number))
        picture.save(place / f"{number}.png")
    monkeypatch.setattr("mitlgan.data.curate.check_advice.MIN_PICTURES", 8)
    (text,) = [text for text, _ in check_datasets(["layers/fg/train"]).verdict if "data augment" in text]
    run(f"{text} --degrees 1 --shear 0 --distortion 0 --no-mirror")
    Path("layers/split.json").write_text(json.dumps({"made_by": {"work": "split"}, "source": "photos", "records": []}))
    out = shlex.split(text)[-3]
    assert Path(out) == Path("layers/fg/train-more")
    Path("layers/fg/train-more").rename("layers/fg-more")
    monkeypatch.setattr("mitlgan.data.curate.check_advice.MIN_PICTURES", 100)
    verdict = [text for text, _ in check_datasets(["layers/fg/train", "layers/fg-more"]).verdict]
    of_copies = [text for text in verdict if "fg-more" in text]
    assert not [text for text in of_copies if "look-alike" in text or "equal" in text or "data split" in text]
    (count,) = [text for text in of_copies if "are few" in text]
    assert "8 pictures are few; a generator may memorise fewer than 100, and these are copies of 4. Add 92, or make 25 of each original" in count
    command = f"mitlgan data augment {PICTURES} --out layers/fg-more-2 --factor 25 --no-mirror --degrees 1 --shear 0 --distortion 0"
    assert count.endswith(command)
    assert any(text.endswith("as their originals do: set these aside, and make the copies of the others") for text in of_copies)
    shutil.copy("layers/fg/train/1.png", "layers/fg/other.png")
    Path("layers/fg/test").mkdir()
    shutil.move("layers/fg/other.png", "layers/fg/test/other.png")
    leaks = [text for text, _ in check_datasets(["layers/fg/test", "layers/fg-more"]).verdict if "in both sets" in text]
    assert len(leaks) == 1  # a held-out picture that the copies were made of, too


def test_a_pack_is_made_again_with_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images.fill(Path("in"), 6, size=(64, 64))
    images.fill(Path("seen"), 1, size=(64, 64), first=40)
    images.smooth(0, (64, 64)).save(Path("in") / "alike.jpg", quality=97)
    for number in range(3):
        (Path("in") / f"bad{number}.jpg").write_bytes(b"<html>")
    Path("no.txt").write_text("0001.png\n")
    more = ["--size", "48", "--crop", "entropy", "--blur", "0.5", "--exclude", "no.txt", "--against", "seen", "--holdout", "2", "--allow-bad"]
    app(["data", "prepare", "in", "--out", "pack", *more, "--json"], standalone_mode=False)
    texts = [text for text, _ in check_datasets(["pack"]).verdict if "data prepare" in text]
    (text,) = texts
    assert PICTURES in text
    run(text.replace(PICTURES, "in"))
    before, after = (ImagePack.open(Path(name) / PREPARED_PACK).manifest["made_by"]["settings"] for name in ("pack", "pack-clean"))
    assert after == {**before, "dedupe": "near", "exclude": ["0001.png"]}
