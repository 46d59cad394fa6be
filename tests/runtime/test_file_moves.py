"""Files that take a free name, and never another file's; folders that the disk cannot be asked to write."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest

from mitlgan.errors import ResourceError
from mitlgan.runtime import file_moves
from mitlgan.runtime.file_moves import move_to_free_name, sync_folder

LINKS = [None, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL]
"""What a file system says to a hard link; None makes it."""


def refuse(number: int) -> object:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


@pytest.fixture(params=[(link, renames) for link in LINKS for renames in ((True,) if link is None else (True, False))])
def temporary(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete file, where the disk makes hard links or not, and renames to free names in one step or not."""
    link, renames = request.param
    if link is not None:
        monkeypatch.setattr(os, "link", refuse(link))
    if not renames:
        monkeypatch.setattr(file_moves, "_rename_to_free_name", lambda *_: False)
    path = tmp_path / ".out.tmp"
    path.write_text("result")
    return path


def test_a_file_takes_a_free_name_with_and_without_hard_links(temporary: Path) -> None:
    move_to_free_name(temporary, temporary.with_name("out"))
    assert [path.name for path in temporary.parent.iterdir()] == ["out"]
    assert temporary.with_name("out").read_text() == "result"
    assert temporary.with_name("out").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link to nothing"])
def test_what_has_the_name_by_now_stays(temporary: Path, kind: str) -> None:
    path, other = temporary.with_name("out"), temporary.with_name("other")
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("precious")
    else:
        if kind == "link":
            other.write_text("precious")
        path.symlink_to(other)
    before = path.lstat()
    with pytest.raises(
        ResourceError, match=r"out: was free when the command began, and another program has written it in the meantime; that one stays"
    ):
        move_to_free_name(temporary, path)
    assert path.lstat().st_ino == before.st_ino
    assert path.is_dir() or not path.exists() or path.read_text() == "precious"
    assert temporary.read_text() == "result"


def test_a_move_that_fails_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    with pytest.raises(FileNotFoundError):
        move_to_free_name(tmp_path / "gone", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_rename_to_a_free_name_has_no_half_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no hard links, nothing is under the name before the whole file."""
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(file_moves, "_move_over_own_file", refuse(errno.EIO))
    temporary = tmp_path / ".out.tmp"
    temporary.write_text("result")
    move_to_free_name(temporary, tmp_path / "out")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize("moment", ["open", "close"])
def test_an_interrupt_during_a_move_over_an_own_file_leaves_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(file_moves, "_rename_to_free_name", lambda *_: False)
    temporary, real = tmp_path / ".out.tmp", getattr(os, moment)
    temporary.write_text("result")

    def interrupt(*arguments: object) -> object:
        result = real(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(os, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        move_to_free_name(temporary, tmp_path / "out")
    monkeypatch.undo()
    assert all(path.read_text() == "result" for path in tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EIO])
def test_folders_that_cannot_be_written_to_the_disk_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(OSError, match="Input/output") if number == errno.EIO else nullcontext():
        sync_folder(tmp_path)
