"""File systems without locks, and files that their writers hold locked."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mitlgan.data.pack.cache import open_temporary as open_pack_temporary
from mitlgan.errors import ResourceError
from mitlgan.runtime.claimed_names import claim_name, remove_abandoned_claim
from mitlgan.runtime.file_locks import acquire_exclusive_lock, remove_abandoned
from mitlgan.runtime.files import LOCK_FILE, ensure_folder, is_locked, lock_folder, write_atomically


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


USES: dict[str, Callable[[Path], object]] = {
    "write": lambda folder: write_atomically(folder / "a", "x"),
    "new file": lambda folder: write_atomically(folder / "a", "x", is_new=True),
    "folder": ensure_folder,
    "lock": lambda folder: lock_folder(folder).__enter__(),
    "claim": lambda folder: claim_name(folder / "a"),
    "pack": lambda folder: open_pack_temporary(folder / "a.npy"),
}


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("use", USES)
def test_a_file_system_without_locks_is_refused_in_one_line_and_nothing_stays(use: str, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"^\S+: cannot be locked \(.*\), and without locks .*; choose a folder on another disk$"):
        USES[use](tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_locks")
def test_where_there_are_no_locks_looking_says_so_or_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).touch()
    assert not is_locked(tmp_path)
    (tmp_path / ".a.claim").touch()
    remove_abandoned_claim(tmp_path / "a")
    with pytest.raises(ResourceError, match="cannot be locked"):
        remove_abandoned(tmp_path / LOCK_FILE)
    assert (tmp_path / LOCK_FILE).exists()


def test_only_what_nobody_writes_is_removed(tmp_path: Path) -> None:
    path = tmp_path / ".a.part"
    with path.open("wb") as file:
        assert acquire_exclusive_lock(file, tmp_path)
        assert not remove_abandoned(path)
        assert path.exists()
    assert remove_abandoned(path)
    assert remove_abandoned(path)
    assert not list(tmp_path.iterdir())
