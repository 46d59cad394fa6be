"""Files that commands write: each is named on stdout, and none is overwritten: a default name gets a number, a name of the user is refused."""

from __future__ import annotations

import ast
import os
import re
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from helpers.commands import Command, start
from PIL import Image

from mitlgan.cli.output_files import new_file, new_folder
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import UsageError
from mitlgan.runtime import files as runtime_files
from mitlgan.runtime.files import MAX_NAME_BYTES, TEMPORARY_SUFFIX, hidden_name

NAMED = {
    "sample": ("sample", "SCENE", "-n", 1, "--layers", "--out", "o"), "sheet": ("sample", "SCENE", "-n", 1, "--sheet", "o.png"),
    "grid": ("grid", "SCENE", "--seeds", "0,1", "--out", "o.png"), "mix": ("mix", "SCENE", 1, 2, "--out", "o.png", "--sheet", "s.png"),
    "interpolate": ("interpolate", "SCENE", "--from", 1, "--to", 2, "--frames", 2, "--out", "o.webp", "--sheet", "s.png"),
    "directions": ("directions", "SCENE", "-k", 1, "--out", "o.png"),
    "inpaint": ("inpaint", "photo.png", "--method", "mean", "--out", "o.png", "--sheet", "s.png"),
    "embed": ("embed", "small.png", "--artifact", "BG", "--starts", 4, "--restarts", 1, "--max-attempts", 1, "--steps", 1, "--polish-steps", 1,
              "--out", "o.json"),
    "export": ("export", "SCENE", "--to", "ora", "--out", "o.ora"), "card": ("export", "FG", "--to", "card", "--out", "o.md"),
    "hub": ("export", "FG", "--to", "hub-folder", "--out", "o"), "recipe": ("recipes", "cp", "recommended/fg-32", "o.toml"),
    "pack": ("data", "pack", "photos", "--size", 8, "--out", "o.npy"), "read": ("data", "read", "folder", "photos", "--size", 8, "--out", "o.npy"),
    "check": ("data", "check", "photos", "--page", "o.html"), "study": ("study", "make", "a=BG", "--data", "photos", "--each", 1, "--out", "o"),
}  # fmt: skip
UNNAMED = {key: tuple(word for index, word in enumerate(words) if word != "--out" and words[index - 1] != "--out")
           for key, words in NAMED.items() if "--out" in words and key not in ("pack", "read")}  # fmt: skip
WORK = {
    "split": ("data", "split", "photos", "--size", 32), "prepare": ("data", "prepare", "photos", "--size", 8),
    "augment": ("data", "augment", "photos", "--factor", 2), "chess": ("data", "chess", "-n", 1, "--size", 16),
    "fetch": ("data", "fetch", "list.txt", "--tries", 1), "sample": ("sample", "SCENE", "-n", 1), "study": NAMED["study"][:-2],
}  # fmt: skip
"""Commands that fill a folder, which `--out` names, without it."""
FOREIGN = ("notes.txt", "sheet.html", "split.json", "prepared.json", "prepared.npy", "chess.json", "fetch.json", "keys.jsonl", "fg/train/mine.png",
           "fg/00000.png", "test/prepared.npy", "scene/deep/photo.jpg", "0-00.png", "study.html", "000000.png")  # fmt: skip
"""Files of the user's: of any kind, and of names that these commands write."""
COMPANIONS = {"o.npy": "o.json"}
"""Manifests belong to their packs: one name stands for both."""


@pytest.fixture
def place(folder: Path) -> Path:
    (folder / "photos").mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{index}.png")
    Image.fromarray(pixels).save(folder / "photo.png")
    Image.fromarray(pixels[:8, :8]).save(folder / "small.png")
    return folder


def files(place: Path) -> dict[str, bytes]:
    """All visible files by relative path."""
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file() and "/." not in f"/{path}"}


def is_named(file: str, text: str) -> bool:
    """Whether a text names a file, or the folder that it is in."""
    names = {file, *(str(parent) for parent in Path(file).parents if str(parent) != ".")}
    return any(re.search(rf"(^|[\s/,]){re.escape(name)}([\s:,]|$)", text, re.MULTILINE) for name in names)


def words(command: tuple[object, ...], artifacts: dict[str, Path]) -> list[object]:
    roles = {role.upper(): str(path) for role, path in artifacts.items()}
    return [roles.get(word, f"a={artifacts['bg']}" if word == "a=BG" else word) if isinstance(word, str) else word for word in command]


@pytest.mark.parametrize("key", NAMED)
def test_what_the_user_names_is_written_and_said_and_a_second_time_refused(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    before = set(files(place))
    done = command(*words(NAMED[key], artifacts))
    assert done.code == 0, done.err
    after = files(place)
    new = set(after) - before
    assert new
    unsaid = {file for file in new if not is_named(file, done.out)} - {file for pack, file in COMPANIONS.items() if pack in new}
    assert not unsaid, done.out
    refused = command(*words(NAMED[key], artifacts))
    assert refused.code == 2
    assert re.search(r"o\S*: exists already; choose another name", refused.err)
    assert files(place) == after


@pytest.mark.parametrize("key", NAMED)
def test_a_folder_that_is_missing_is_made(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    before = set(files(place))
    moved = (f"new/deep/{word}" if isinstance(word, str) and re.match(r"[os](\.|$)", word) else word for word in words(NAMED[key], artifacts))
    done = command(*moved)
    assert done.code == 0, done.err
    new = set(files(place)) - before
    assert new
    assert all(file.startswith("new/deep/") for file in new)


PICTURES = {"sheet", "grid", "mix", "directions", "inpaint", "export"}
"""Commands of `NAMED` that write a picture of one format."""


@pytest.mark.parametrize("key", sorted(PICTURES))
@pytest.mark.parametrize("suffix", [".jpg", ".psd", ""])
def test_a_picture_is_not_written_under_the_name_of_another_format(
    key: str, suffix: str, command: Command, place: Path, artifacts: dict[str, Path]
) -> None:
    named = next(word for word in NAMED[key] if isinstance(word, str) and word.startswith("o."))
    before = files(place)
    done = command(*(f"o{suffix}" if word == named else word for word in words(NAMED[key], artifacts)))
    right = Path(named).suffix
    assert (done.code, files(place)) == (2, before)
    assert f" o{suffix}: is written as {right[1:].upper()}; let its name end in {right}" in done.err


@pytest.mark.parametrize("key", ["mix", "interpolate", "inpaint"])
def test_a_sheet_is_a_png_and_not_the_file_of_out(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    before, arguments = files(place), words(NAMED[key], artifacts)
    done = command(*("s.gif" if word == "s.png" else word for word in arguments))
    assert (done.code, "--sheet s.gif: is written as PNG" in done.err) == (2, True)
    done = command(*("./o.png" if word in ("s.png", "o.webp") else word for word in arguments))
    assert (done.code, "--sheet o.png: is the file of --out, too" in done.err) == (2, True)
    assert files(place) == before


@pytest.mark.parametrize(
    ("key", "out", "sheet", "said"),
    [
        *((key, "o.png", "../empty/o.png", "is the file of --out, too") for key in ("mix", "interpolate", "inpaint")),
        ("mix", "o.png", "link/o.png", "is the file of --out, too"),
        ("mix", "o.png", "o.png/s.png", "one would be in the other"),
        ("mix", "o.png", "o.json/s.png", "one would be in the other"),
        ("mix", "s.png/o.png", "s.png", "one would be in the other"),
        ("embed", "s.png/o.json", "s.png", "one would be in the other"),
    ],
)
def test_a_sheet_is_not_the_file_of_out_by_any_path(
    key: str, out: str, sheet: str, said: str, command: Command, place: Path, artifacts: dict[str, Path]
) -> None:
    (place / "link").symlink_to(place)
    before, arguments = sorted(place.iterdir()), words(NAMED[key], artifacts)
    arguments = [out if str(word).startswith("o.") else word for word in arguments if word not in ("--sheet", "s.png")]
    done = command(*arguments, "--sheet", sheet)
    assert (done.code, done.err.startswith(f"--sheet {sheet}: "), said in done.err) == (2, True, True), done.err
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("key", ["interpolate", "inpaint"])
def test_where_the_sheet_cannot_be_written_nothing_stays(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    (place / "file").touch()
    before = files(place)
    done = command(*("file/s.png" if word == "s.png" else word for word in words(NAMED[key], artifacts)))
    assert (done.code, files(place)) == (5, before)


@pytest.mark.parametrize("key", ["pack", "read"])
def test_a_manifest_takes_no_other_files_place(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    (place / "o.json").write_text('{"mine": 1}')
    before = files(place)
    refused = command(*words(NAMED[key], artifacts))
    assert (refused.code, refused.err) == (2, "--out o.json: exists already; choose another name, or remove it\n")
    assert files(place) == before
    (place / "o.json").unlink()
    assert command(*words(NAMED[key], artifacts)).code == 0
    (place / "o.npy").unlink()  # as if killed between the two
    assert command(*words(NAMED[key], artifacts)).code == 0


@pytest.mark.parametrize("key", UNNAMED)
def test_default_names_get_numbers(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    arguments = [word for word in words(UNNAMED[key], artifacts) if word not in ("--sheet", "s.png")]
    before = set(files(place))
    assert command(*arguments).code == 0
    first = files(place)
    done = command(*arguments)
    assert done.code == 0, done.err
    second = files(place)
    assert {name: second[name] for name in first} == first
    new = set(second) - set(first)
    assert len(new) == len(set(first) - before)
    assert all("-2" in file and is_named(file, done.out) for file in new), done.out


@pytest.mark.parametrize("key", ["sheet", "inpaint", "card", "recipe", "check", "pack", "read"])
def test_a_file_that_appears_while_the_command_runs_stays(
    key: str, command: Command, place: Path, artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = runtime_files.open_temporary
    named = place / next(word for word in NAMED[key] if isinstance(word, str) and word.startswith("o."))

    def appear(path: Path, *, root: Path) -> tuple[Path, IO[bytes]]:
        named.write_text("precious")
        return opened(path, root=root)

    monkeypatch.setattr(runtime_files, "open_temporary", appear)
    publish = PackWriter.publish

    def appear_before(writer: PackWriter, **values: Any) -> ImagePack:
        named.write_text("precious")
        return publish(writer, **values)

    monkeypatch.setattr(PackWriter, "publish", appear_before)
    before = files(place)
    done = command(*words(NAMED[key], artifacts))
    assert (done.code, files(place)) == (5, {**before, named.name: b"precious"})
    assert not list(place.glob(".*.part"))
    assert re.fullmatch(r"\S*o\.\w+: was free when the command began, .*; choose another name, or remove it\n", done.err), done.err


def test_all_that_commands_write_takes_the_place_of_nothing() -> None:
    writers = {"write_atomically", "write_latent", "write_directions", "write_json", "write_check_page"}
    calls = [
        (path.name, node)
        for path in (Path(runtime_files.__file__).parents[1] / "cli").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
        and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) in writers
    ]  # fmt: skip
    assert len(calls) > 10
    assert not [name for name, call in calls if "is_new" not in {keyword.arg for keyword in call.keywords}]


@pytest.mark.parametrize("key", ["sample", "hub", "augment", "chess"])
def test_a_folder_that_is_removed_while_a_command_fills_it_is_not_made_again(
    key: str, command: Command, place: Path, artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, left = os.fsync, [3 if key == "chess" else 1]

    def vanish(descriptor: int) -> None:
        sync(descriptor)
        left[0] -= Path(f"/proc/self/fd/{descriptor}").resolve().suffix == TEMPORARY_SUFFIX
        if not left[0]:
            shutil.rmtree("o", ignore_errors=True)

    monkeypatch.setattr(os, "fsync", vanish)
    given = (*WORK[key], "--out", "o") if key in WORK else NAMED[key]
    done = command(*words(given, artifacts))
    assert (done.code, (place / "o").exists()) == (5, False), done.err
    assert re.fullmatch(r"\S*: (the folder is gone; another program has removed or moved it|cannot be written .*)\n", done.err), done.err


def test_numbers_pass_over_names_whose_companions_exist(folder: Path) -> None:
    (folder / "x.json").touch()
    (folder / "x-2-sheet.png").touch()
    assert new_file(None, "x.png", [".json", "-sheet.png"]) == Path("x-3.png")
    (folder / "s-grid.png").touch()
    assert new_folder(None, "s", ["-grid.png"]) == Path("s-2")
    (folder / "empty").mkdir()
    assert new_folder(Path("empty"), "s") == Path("empty")
    for refused in (lambda: new_file(Path("x.png"), "y", [".json"]), lambda: new_folder(Path("s"), "y", ["-grid.png"])):
        with pytest.raises(UsageError, match=r"--out .*exists already"):
            refused()


def long_name(word: object) -> object:
    """The same name with 255 bytes, as long as a file system takes; other words as they are."""
    if not isinstance(word, str) or not re.fullmatch(r"[os](\.\w+)?", word):
        return word
    return word[0] * (MAX_NAME_BYTES - len(word) + 1) + word[1:]


def every_file(place: Path) -> set[str]:
    """All files and folders by relative path, hidden ones as well."""
    return {str(path.relative_to(place)) for path in place.rglob("*")}


@pytest.mark.parametrize("key", NAMED)
def test_names_as_long_as_a_disk_takes_are_written_or_refused_whole(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    """What a killed call left under such a name does not outlive the next call."""
    arguments = [long_name(word) for word in words(NAMED[key], artifacts)]
    wanted = [Path(word) for word in arguments if isinstance(word, str) and len(word) >= MAX_NAME_BYTES]
    before = every_file(place)
    for path in (path for path in wanted if path.suffix):  # folders have none of their own
        part = hidden_name(path.stem, f"{path.suffix}.01234567.part") if key in ("pack", "read") else hidden_name(path.name, TEMPORARY_SUFFIX)
        (place / part).write_bytes(b"half of a picture")
    done = command(*arguments)
    new = {name for name in every_file(place) - before if not (done.code and name.startswith("."))}
    assert not [name for name in new if name.endswith((TEMPORARY_SUFFIX, ".part"))]
    if done.code:
        assert done.code in (2, 5)
        assert len(done.err.splitlines()) == 1, done.err
        assert "the name is too long for the disk; give a shorter one" in done.err
        assert new == set()
    else:
        assert {str(path) for path in wanted} <= new


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("key", WORK)
def test_work_does_not_begin_in_a_folder_of_other_files(key: str, foreign: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    (place / "list.txt").write_text("http://localhost:1/a.png\n")
    (place / "o" / foreign).parent.mkdir(parents=True)
    (place / "o" / foreign).write_text("mine")
    before = every_file(place), files(place)
    refused = command(*words(WORK[key], artifacts), "--out", "o")
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1, refused.err
    assert "--out o: " in refused.err
    assert f"such as {foreign}" in refused.err or "exists already" in refused.err
    assert (every_file(place), files(place)) == before


@pytest.mark.parametrize("key", WORK)
def test_hidden_files_and_empty_folders_are_not_in_the_way_and_stay(key: str, command: Command, place: Path, artifacts: dict[str, Path]) -> None:
    (place / "list.txt").write_text("http://localhost:1/a.png\n")
    (place / "o" / "fg").mkdir(parents=True)
    hidden = {place / "o" / name for name in (".DS_Store", "Thumbs.db", "fg/.gitkeep")}
    for path in hidden:
        path.write_text("theirs")
    done = command(*words(WORK[key], artifacts), "--out", "o")
    assert done.code == (3 if key in ("fetch", "split") else 0), done.err  # nobody listens there, and in noise is no object
    assert {path.read_text() for path in hidden} == {"theirs"}
    if key in ("sample", "study"):
        return
    after = files(place)
    assert command(*words(WORK[key], artifacts), "--out", "o").code == done.code  # its own work is gone on with
    assert set(files(place)) == set(after)
    (place / "o" / "mine.txt").write_text("later")
    assert command(*words(WORK[key], artifacts), "--out", "o").code == done.code
    assert (place / "o" / "mine.txt").read_text() == "later"


def test_two_samples_at_once_write_two_folders(place: Path, artifacts: dict[str, Path]) -> None:
    del place  # the present folder
    processes = [start("sample", artifacts["bg"], "-n", 3, "--seed", seed) for seed in (0, 50)]
    ends = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [code for _, _, code in ends] == [0, 0], ends
    names = [sorted(path.name for path in Path(folder).iterdir()) for folder in ("samples", "samples-2")]
    assert sorted(names) == [["000000.png", "000001.png", "000002.png"], ["000050.png", "000051.png", "000052.png"]]
    assert Path("samples-grid.png").read_bytes() != Path("samples-2-grid.png").read_bytes()
    assert not [path.name for path in Path().glob(".*")]
