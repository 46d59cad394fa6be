"""What a failed command wrote is removed; what was there stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitlgan.errors import ResourceError
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
        (tmp_path / "a").touch()
    assert (tmp_path / "a").exists()


def _write_and_raise(error: BaseException) -> None:
    Path("new/deep").mkdir(parents=True)
    Path("absent").mkdir()
    for file in ("new/deep/a", "old/b", "new.png", "link/c", "absent/../d"):
        Path(file).touch()
    raise error
