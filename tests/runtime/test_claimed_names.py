"""Names that commands are about to write under."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from helpers.unprivileged import unprivileged

from mitlgan.cli.output_files import claim_file, claim_pack, claim_picture, new_file, new_folder
from mitlgan.errors import ResourceError
from mitlgan.runtime import claimed_names
from mitlgan.runtime.claimed_names import CLAIM_SUFFIX, claim_name, release_names
from mitlgan.runtime.file_locks import acquire_exclusive_lock


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    yield
    release_names()


HOLD = """
import sys
from pathlib import Path
from mitlgan.runtime import claimed_names
from mitlgan.runtime.claimed_names import claim_name, release_names
print(claim_name(Path("samples")), flush=True)
sys.stdin.readline()
release_names()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_claimed_name_is_passed_over_until_its_process_ends(killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    assert not claim_name(Path("samples"))
    assert new_folder(None, "samples", ["-grid.png"]) == Path("samples-2")
    with pytest.raises(ResourceError, match=r"^--out samples: another command that runs now is going to write it; choose another name$"):
        new_folder(Path("samples"), "samples")
    if killed:
        other.kill()
    other.communicate("\n")
    release_names()
    assert new_folder(None, "samples", ["-grid.png"]) == Path("samples")


def test_names_of_one_process_are_claimed_once_and_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [new_file(None, "grid.png") for _ in range(2)] == [Path("grid.png")] * 2
    assert claim_name(Path("n" * 255))
    release_names()
    assert not list(tmp_path.iterdir())
    monkeypatch.chdir("/proc")
    with pytest.raises(ResourceError, match=r"grid\.png: cannot be written"):
        new_file(None, "grid.png")


CLAIMS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: new_file(path, "grid.png"),
    "new folder": lambda path: new_folder(path, "samples"),
    "plain file": lambda path: claim_file(path, "--out"),
    "picture": lambda path: claim_picture(path, "--out"),
    "pack": lambda path: claim_pack(path, "--out"),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_name_that_another_command_is_going_to_write_is_refused(kind: str, tmp_path: Path) -> None:
    """By whatever links it is reached; folders made for a claim go with it."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    path = tmp_path / "link" / "new" / "o.png"
    CLAIMS[kind](path)
    CLAIMS[kind](tmp_path / "real" / "new" / "o.png")  # its own
    assert [one.name for one in (tmp_path / "real" / "new").iterdir()] == [f".o.png{CLAIM_SUFFIX}"]
    release_names()
    assert not list((tmp_path / "real").iterdir())
    with (tmp_path / "real" / f".o.png{CLAIM_SUFFIX}").open("wb") as other:
        assert acquire_exclusive_lock(other, tmp_path)
        with pytest.raises(ResourceError, match=r"^--out \S+o\.png: another command that runs now is going to write it"):
            CLAIMS[kind](tmp_path / "link" / "o.png")
    CLAIMS[kind](tmp_path / "link" / "o.png")  # it was killed


def test_a_folder_is_filled_where_its_parent_cannot_be_written_and_ranks_claim_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert claim_name(Path("/proc/self/fdinfo"))
    monkeypatch.setenv("RANK", "1")
    new_file(tmp_path / "o.png", "grid.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("mode", "runs"), [(0o644, False), (0o644, True), (0o600, False)])
def test_another_users_claim_counts_while_its_command_runs(mode: int, runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file may not be changed; where it cannot even be read, the name is refused in one line, and a default one passed over."""
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        claim = Path(f".grid.png{CLAIM_SUFFIX}")
        claim.touch()
        with claim.open("rb") as other:
            assert not runs or acquire_exclusive_lock(other, folder)
            claim.chmod(0o444 if mode == 0o644 else 0)
            is_free = (mode, runs) == (0o644, False)
            assert new_file(None, "grid.png") == Path("grid.png" if is_free else "grid-2.png")
            said = "another command that runs now" if runs else r"another user's command may be about to write it: \.grid\.png\.claim says so, and"
            with nullcontext() if is_free else pytest.raises(ResourceError, match=said):
                claim_file(Path("grid.png"), "--out")
        release_names()
        monkeypatch.undo()


def test_an_abandoned_claim_does_not_make_a_folder_writable() -> None:
    with unprivileged() as folder:
        claim = folder / f".o.png{CLAIM_SUFFIX}"
        claim.touch(0o444)
        folder.chmod(0o555)
        with pytest.raises(ResourceError, match="cannot be written"):
            claim_name(folder / "o.png")


def test_a_claim_of_another_process_in_a_folder_that_was_made_again_stays(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a"
    assert claim_name(path)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    other = path.with_name(f".a{CLAIM_SUFFIX}")
    other.touch()
    release_names()
    assert other.exists()


def test_claims_of_killed_commands_go_as_their_names_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("grid.png", "grid-2.png"):
        Path(name).touch()
        Path(f".{name}{CLAIM_SUFFIX}").touch()
    assert new_file(None, "grid.png") == Path("grid-3.png")
    release_names()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid-2.png", "grid.png"]


def test_an_interrupt_comes_after_claim_and_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it falls: no claim and no folder is forgotten."""

    def interrupted(name: str) -> Callable[..., object]:
        work = getattr(claimed_names, name)

        def run(*arguments: object) -> object:
            signal.raise_signal(signal.SIGINT)
            return work(*arguments)

        return run

    def work() -> None:
        for path in ("new/a", "new/b", "new/deep/c"):
            claim_name(tmp_path / path)
        release_names()

    for name in ("_open_locked", "_release", "_remove_empty"):
        with monkeypatch.context() as patch:
            patch.setattr(claimed_names, name, interrupted(name))
            with pytest.raises(KeyboardInterrupt):
                work()
        release_names()
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("gone", ["new", "new/deep"])
def test_a_folder_that_another_command_removes_before_it_is_used_is_made_again(gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, removed = claimed_names._open_locked, []

    def remove(hidden: Path, path: Path) -> object:
        if not removed:
            removed.append(gone)
            shutil.rmtree(tmp_path / gone)
        return opened(hidden, path)

    (tmp_path / "new").mkdir()
    monkeypatch.setattr(claimed_names, "_open_locked", remove)
    assert claim_name(tmp_path / "new" / "deep" / "a")
    release_names()
    assert [path.name for path in tmp_path.iterdir()] == ["new"] * (gone != "new")


def test_a_refused_claim_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claimed_names, "_open_locked", lambda *arguments: None)
    assert not claim_name(tmp_path / "new" / "a")
    assert not list(tmp_path.iterdir())
