"""Atomic files, full disks, folders without permission, locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import IO

import pytest
from helpers import crashes
from helpers.unprivileged import unprivileged

from mitlgan.errors import ResourceError
from mitlgan.runtime import file_locks, files
from mitlgan.runtime.files import (
    create_file,
    ensure_folder,
    is_locked,
    is_regular,
    list_files,
    lock_folder,
    open_regular,
    open_temporary,
    read_bytes,
    remove_temporary_files,
    translate_disk_errors,
    write_atomically,
    write_json,
)


def test_writes_text_and_bytes(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"
    write_atomically(tmp_path / "a", b"\xff")
    assert (tmp_path / "a").read_bytes() == b"\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, "old")
    contents: list[str] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        contents.append(path.read_text())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(path, "new")
    assert contents == ["old", "new"]  # before the rename, and when the folder is made to last


def test_an_exception_leaves_the_old_file_and_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, "old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, "é"]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": [1, 2.5, "é"]}
    assert path.read_text().endswith("}\n")


def test_temporaries_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a.json.123.tmp", ".b.456.tmp", "keep.tmp", ".lock", "a.json"):
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path)
    remove_temporary_files(tmp_path / "absent")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a.json", "keep.tmp"]


@pytest.mark.parametrize("leftover", [".a.tmp", ".a.tmp .a.1.tmp"])
def test_what_a_killed_writer_left_is_used_again(tmp_path: Path, leftover: str) -> None:
    for name in leftover.split():
        (tmp_path / name).write_bytes(bytes(100))
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert not (tmp_path / ".a.tmp").exists()


def test_writers_of_one_file_do_not_share_a_temporary(tmp_path: Path) -> None:
    first, file = open_temporary(tmp_path / "a", root=tmp_path)
    second, other = open_temporary(tmp_path / "a", root=tmp_path)
    with file, other:
        assert (first.name, second.name) == (".a.tmp", ".a.1.tmp")
        file.write(b"first")
        file.flush()
        write_atomically(tmp_path / "a", "third")
        assert first.read_bytes() == b"first"
        assert {path.name for path in tmp_path.iterdir()} == {"a", ".a.tmp", ".a.1.tmp"}


def test_a_temporary_that_was_moved_into_place_meanwhile_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer opens the file, and then gets its lock because the first one has finished."""
    temporary, file = open_temporary(tmp_path / "a", root=tmp_path)
    file.write(b"whole")
    acquire = file_locks._acquire_lock

    def finish_first(opened: IO[bytes], kind: int, folder: Path) -> bool:
        if not file.closed:
            file.flush()
            temporary.replace(tmp_path / "a")
            file.close()
        return acquire(opened, kind, folder)

    monkeypatch.setattr(file_locks, "_acquire_lock", finish_first)
    other, second = open_temporary(tmp_path / "a", root=tmp_path)
    with second:
        assert (tmp_path / "a").read_bytes() == b"whole"
        assert other.exists()


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "x" * 251 + ".png"])
def test_names_of_255_bytes(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, "old")
    write_atomically(tmp_path / name, "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "new"
    (tmp_path / name).unlink()
    ensure_folder(tmp_path / name)
    assert list((tmp_path / name).iterdir()) == []


# What is not the folder's own


def foreign(place: Path, kind: str, target: Path) -> Path:
    """Something else where a file should be."""
    if kind == "link":
        place.symlink_to(target)
    elif kind == "dangling link":
        place.symlink_to(target.with_name("absent"))
    elif kind == "link to a pipe":
        os.mkfifo(target.with_name("pipe"))
        place.symlink_to(target.with_name("pipe"))
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        short = os.open(place.parent, os.O_RDONLY)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(f"/proc/self/fd/{short}/{place.name}")
        os.close(short)
    elif kind == "folder":
        place.mkdir()
    else:
        raise AssertionError(kind)
    return place


KINDS = ("link", "dangling link", "link to a pipe", "pipe", "socket", "folder")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("mode", ["rb", "r+b", "ab", "a+b"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_a_file_of_the_folder_is_opened(tmp_path: Path, kind: str, mode: files.Mode) -> None:
    (tmp_path / "run").mkdir()
    target = tmp_path / "precious"
    target.write_text("precious")
    place = foreign(tmp_path / "run" / "stats.jsonl", kind, target)
    with pytest.raises(files.ForeignFileError) as caught:
        open_regular(place, mode, root=tmp_path / "run")
    what = "is a symbolic link" if "link" in kind else "is not a regular file"
    assert caught.value.strerror == f"{what}, but a run's files must be its own; replace it by a copy, or remove it"
    assert str(caught.value) == f"{place}: {caught.value.strerror}"
    assert caught.value.exit_code == 5
    assert not is_regular(place, root=tmp_path / "run")
    assert target.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(["pipe"] if kind == "link to a pipe" else []), "precious", "run"]


@pytest.mark.parametrize("deep", ["checkpoints", "kept/1", "a/b/c"])
def test_no_folder_below_the_root_may_be_a_link_and_those_above_may(tmp_path: Path, deep: str) -> None:
    real = tmp_path / "disk" / "run"
    (real / deep).mkdir(parents=True)
    (real / deep / "x").write_text("own")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    root = tmp_path / "runs" / "run"
    assert read_bytes(root / deep / "x", root=root) == b"own"
    write_atomically(root / deep / "y", "new", root=root)
    ensure_folder(root / deep / "z", root=root)
    assert list_files(root / deep, "?", root=root) == [root / deep / name for name in "xyz"]
    elsewhere = tmp_path / "elsewhere"
    first = deep.split("/")[0]
    (real / first).rename(elsewhere)
    (real / first).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(files.ForeignFileError, match="is a symbolic link"):
        open_regular(root / deep / "x", root=root)
    for attempt in (
        lambda: write_atomically(root / deep / "y", "other", root=root),
        lambda: ensure_folder(root / deep / "new" / "w", root=root),
        lambda: remove_temporary_files(root / deep, root=root),
        lambda: list_files(root / deep, "*", root=root),
    ):
        with pytest.raises(ResourceError, match=f"^{root / first}: is a symbolic link, but a run's files must be its own; "):
            attempt()
    assert sorted(elsewhere.rglob("*")) == before
    assert (elsewhere / deep.removeprefix(first).lstrip("/") / "y").read_text() == "new"


def test_a_link_or_a_pipe_is_replaced_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "a").symlink_to(precious)
    os.mkfifo(tmp_path / "b")
    (tmp_path / ".c.tmp").symlink_to(precious)
    os.mkfifo(tmp_path / ".a.tmp")
    for name in "abc":
        write_atomically(tmp_path / name, "new")
    assert [(tmp_path / name).read_text() for name in "abc"] == ["new"] * 3
    assert not (tmp_path / "a").is_symlink()
    assert precious.read_text() == "precious"
    (tmp_path / "log").symlink_to(precious)
    with create_file(tmp_path / "log", root=tmp_path) as log:
        log.write(b"line")
    assert (precious.read_text(), (tmp_path / "log").read_text()) == ("precious", "line")


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_what_is_changed_in_place_is_not_shared_with_another_name(tmp_path: Path, mode: files.Mode) -> None:
    (tmp_path / "backup").write_bytes(b"old")
    (tmp_path / "own").hardlink_to(tmp_path / "backup")
    with open_regular(tmp_path / "own", mode, root=tmp_path) as file:
        file.write(b"new")
    assert (tmp_path / "backup").read_bytes() == b"old"
    assert (tmp_path / "own").read_bytes() == (b"oldnew" if mode == "ab" else b"new")


def test_a_file_that_a_user_names_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "b", root=None) == b"text"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(files.ForeignFileError, match="is not a regular file"):
        read_bytes(tmp_path / "pipe", root=None)


@pytest.mark.timeout(20)
def test_a_lock_is_no_link_and_a_pipe_is_no_lock(tmp_path: Path) -> None:
    for kind in ("link", "dangling link", "pipe"):
        folder = tmp_path / kind
        folder.mkdir()
        (tmp_path / "precious").write_text("precious")
        foreign(folder / ".lock", kind, tmp_path / "precious")
        assert not is_locked(folder)
        with pytest.raises(ResourceError, match=f"^{folder}/.lock: is "), lock_folder(folder):
            pass
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOENT, errno.EBUSY, errno.ESTALE])
def test_whatever_the_disk_says_is_one_line(tmp_path: Path, number: int) -> None:
    with pytest.raises(ResourceError) as caught, translate_disk_errors(tmp_path / "a\nb"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == rf"{tmp_path}/a\nb: cannot be written ({os.strerror(number)}); choose another folder with --out"
    assert caught.value.exit_code == 5


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("absent")
    for path, place in (("file", "file"), ("file/a/b", "file"), ("link/a", "link")):
        with pytest.raises(ResourceError) as caught:
            ensure_folder(tmp_path / path)
        reason = f"{tmp_path}/{place} is a file, not a folder"
        assert str(caught.value) == f"{tmp_path}/{path}: cannot be written ({reason}); choose another folder with --out"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "link"]


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), translate_disk_errors(tmp_path):
        raise ZeroDivisionError


# Row 5


def test_row_5_disk_full(small_disk: Path) -> None:
    path = small_disk / "a"
    write_atomically(path, b"old")
    with pytest.raises(ResourceError, match=f"{path}: no space left on the disk; free some, and run the same command again"):
        write_atomically(path, bytes(3_000_000))
    assert path.read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["a"]


# Row 6


def test_row_6_folder_that_cannot_be_written() -> None:
    with unprivileged() as folder:
        readonly = folder / "readonly"
        readonly.mkdir()
        readonly.chmod(0o555)
        for attempt in (
            lambda: ensure_folder(readonly),
            lambda: ensure_folder(readonly / "new"),
            lambda: write_atomically(readonly / "a", "x"),
            lambda: lock_folder(readonly).__enter__(),
        ):
            with pytest.raises(ResourceError, match=r"cannot be written \(Permission denied\); choose another folder with --out") as caught:
                attempt()
            assert str(caught.value).startswith(str(readonly))
        assert list(readonly.iterdir()) == []


def test_row_6_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ResourceError, match="cannot be written"):
            ensure_folder(place)


def test_a_folder_is_made_with_its_parents_and_no_probe_stays(tmp_path: Path) -> None:
    for _ in range(2):
        ensure_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="the name is too long for the disk; give a shorter one"):
        ensure_folder(tmp_path / ("x" * 300))


# Row 7


def test_row_7_the_second_process_is_refused_until_the_first_is_gone(tmp_path: Path, children: ForkServerContext) -> None:
    receiver, sender = children.Pipe(duplex=False)
    child = children.Process(target=crashes.hold, args=(tmp_path, sender))
    child.start()
    try:
        assert receiver.poll(60)
        with (
            pytest.raises(ResourceError, match="working on it; wait for it, or choose another run") as caught,
            lock_folder(tmp_path),
        ):
            pytest.fail("the lock was given twice")
        assert str(caught.value).startswith(str(tmp_path))
        assert caught.value.exit_code == 5
    finally:
        child.kill()
        child.join(60)
    assert child.exitcode == -signal.SIGKILL
    with lock_folder(tmp_path):  # the system let go of it, though the file is still there
        assert (tmp_path / ".lock").exists()


def test_a_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path):
        raise ZeroDivisionError
    with lock_folder(tmp_path), pytest.raises(ResourceError, match="another process"), lock_folder(tmp_path):
        pytest.fail("the lock was given twice")


def test_a_held_folder_is_seen_and_looking_holds_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with lock_folder(tmp_path):
        assert is_locked(tmp_path)
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "absent")
    with lock_folder(tmp_path):
        pass


def test_a_lock_waits_for_one_who_only_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock_folder(tmp_path):
        pass
    looking = (tmp_path / ".lock").open()
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(files.time, "sleep", lambda _: looking.close())
    with lock_folder(tmp_path):
        assert looking.closed


def test_a_lock_on_an_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="No such file or directory"), lock_folder(tmp_path / "absent"):
        pytest.fail("there is nothing to lock")


@pytest.mark.parametrize("is_new", [True, False])
def test_a_folder_that_was_removed_meanwhile_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool) -> None:
    out, sync = tmp_path / "out", os.fsync
    ensure_folder(out)

    def vanish(descriptor: int) -> None:
        sync(descriptor)
        shutil.rmtree(out)

    monkeypatch.setattr(os, "fsync", vanish)
    for _ in range(2):  # during the write, and before it
        with pytest.raises(ResourceError, match=r"out: the folder is gone; another program has removed or moved it$"):
            write_atomically(out / "a", "x", root=out, is_new=is_new)
        assert not list(tmp_path.iterdir())


def test_a_new_file_takes_the_place_of_none(tmp_path: Path) -> None:
    write_json(tmp_path / "a", [1], is_new=True)
    with pytest.raises(ResourceError, match="a: was free when the command began"):
        write_json(tmp_path / "a", [2], is_new=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "[\n  1\n]\n")]
