"""What a failed command wrote is removed; what was there stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mitlgan.errors import ResourceError
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.runtime.signals import STOP_SIGNALS, TerminationSignals
from mitlgan.runtime.unfinished_outputs import remove_if_failed


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ResourceError("full"), ValueError("bug")])
def test_nothing_of_a_failed_command_stays(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "letter.txt").write_text("dear")
    (tmp_path / "old.png").write_bytes(b"old")
    (tmp_path / "link").symlink_to("old")
    outputs = [Path("new"), Path("old"), Path("old.png"), Path("new.png"), Path("link"), Path("absent/..")]
    with pytest.raises(type(error)), remove_if_failed(*outputs):
        _write_and_raise(error)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["link", "old", "old.png", "old/letter.txt"]


def test_what_a_command_has_finished_stays(tmp_path: Path) -> None:
    with remove_if_failed(tmp_path / "a"):
        write_atomically(tmp_path / "a", "whole")
    assert (tmp_path / "a").exists()


def _write_and_raise(error: BaseException) -> None:
    ensure_folder(Path("new/deep"))
    for file in ("new/deep/a", "old/b", "new.png", "old.png", "link/c", "absent/../d"):
        write_atomically(Path(file), "half")
    ensure_folder(Path("new/inner"), root=Path("new"))
    raise error


@pytest.mark.parametrize("is_new", [True, False])
def test_files_of_others_stay_with_their_folder(is_new: bool, tmp_path: Path) -> None:
    """Put there while the command ran: beside its files, in a folder of its own making, and in the place of a file that it had written."""
    out = tmp_path / "parent" / "results"
    if not is_new:
        out.mkdir(parents=True)

    def write() -> None:
        for name in ("0.png", "1.png", "layers/fg/0.png", "empty/0.png"):
            write_atomically(out / name, "picture")
        (out / "notes.txt").write_text("mine")
        (out / "layers" / "card.md").write_text("of another command")
        (out / "1.png").unlink()
        (out / "1.png").write_text("mine, too")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), remove_if_failed(out, tmp_path / "results-grid.png"):
        write()
    assert {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()} == {
        "notes.txt": "mine", "layers/card.md": "of another command", "1.png": "mine, too"
    }  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "layers", "notes.txt"]


def test_folders_made_for_the_outputs_go_and_what_else_was_written_stays(tmp_path: Path) -> None:
    def write() -> None:
        write_atomically(tmp_path / "new" / "deep" / "a", "half")
        write_atomically(tmp_path / "cache" / "whole", "of use to the next call")
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"), remove_if_failed(tmp_path / "new" / "deep" / "a"):
        write()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "whole"]


def test_an_outer_command_removes_what_an_inner_one_has_finished(tmp_path: Path) -> None:
    def write() -> None:
        with remove_if_failed(tmp_path / "a"):
            write_atomically(tmp_path / "a", "whole")
        assert (tmp_path / "a").exists()
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"), remove_if_failed(tmp_path / "a", tmp_path / "b"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_second_interrupt_does_not_cut_the_removal_short(number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = os.unlink

    def interrupted(path: Path) -> None:
        signal.raise_signal(number)
        remove(path)

    def write() -> None:
        for index in range(4):
            write_atomically(tmp_path / "out" / f"{index}.png", "picture")
        monkeypatch.setattr(Path, "unlink", interrupted)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), TerminationSignals(), remove_if_failed(tmp_path / "out"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_second_interrupt_leaves_no_temporary_file(number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = os.unlink

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        signal.raise_signal(number)
        remove(path)

    def stop(descriptor: int) -> None:
        monkeypatch.setattr(Path, "unlink", interrupted)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt), TerminationSignals():
        write_atomically(tmp_path / "a", "x")
    assert not list(tmp_path.iterdir())
