"""Whatever command `data check` advises can be run as it stands, for any kind of source."""

from __future__ import annotations

import re
import shlex
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

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
    for number, words in enumerate(advised):
        assert PICTURES not in words
        shutil.copytree(tmp_path / "here", tmp_path / str(number))
        monkeypatch.chdir(tmp_path / str(number))
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
    advised = [text for text, _ in check_datasets(["set"]).verdict if "data prepare" in text]
    assert len(advised) == 3
    assert all("--placeholder-copies 0" in text for text in advised)


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
