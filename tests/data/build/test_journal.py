"""Journals: which folders work may begin in, and whose work a folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitlgan.data.build.journal import JOURNAL_FILE, EarlierWork, open_journal
from mitlgan.errors import UsageError

HEADER = {"work": "test", "version": 1}


def begin(out: Path) -> list[dict[str, object]]:
    with open_journal(out, HEADER) as journal:
        journal.append({"name": str(len(journal.lines))})
        return journal.lines


def test_work_begins_in_an_empty_folder_and_is_gone_on_with_among_files_that_came_later(tmp_path: Path) -> None:
    assert begin(tmp_path / "out") == [{"name": "0"}]
    (tmp_path / "out" / "photo.jpg").touch()
    assert begin(tmp_path / "out") == [{"name": "0"}, {"name": "1"}]


@pytest.mark.parametrize("content", [b"", b'{"work": "te', b"[]\n", b"\0" * 30 + b"\n", b"[" * 100_000 + b"\n", b"\0" * 30])
def test_a_journal_whose_first_line_was_lost_is_begun_again_in_an_empty_folder_only(tmp_path: Path, content: bytes) -> None:
    for out, is_empty in ((tmp_path / "empty", True), (tmp_path / "full", False)):
        out.mkdir()
        (out / JOURNAL_FILE).write_bytes(content)
        if is_empty:
            assert begin(out) == [{"name": "0"}]
            continue
        (out / "photo.jpg").touch()
        no_work = r"holds other files, such as photo\.jpg, and no work of an earlier call; give a new"
        damaged = rf"the first line of {JOURNAL_FILE} is damaged, so that nothing says what work is in it; give another folder"
        with pytest.raises(UsageError, match=rf"^--out .*full: {damaged if content[-1:] == bytes([10]) else no_work}"):
            begin(out)
        assert (out / JOURNAL_FILE).read_bytes() == content


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_journal_that_is_damaged_before_its_end_is_refused_and_stays(tmp_path: Path, line: int) -> None:
    """What follows would be done again, or for want of it be lost."""
    for _ in range(3):
        begin(tmp_path)
    path = tmp_path / JOURNAL_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[: line - 1], b"{" + lines[line - 1], *lines[line:]])
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match=rf"^--out .*: line {line} of {JOURNAL_FILE} is damaged, and .* would be lost; mend it, or remove it and all"):
        begin(tmp_path)
    assert path.read_bytes() == damaged
    path.write_bytes(b"".join(lines[: line - 1]))  # as it advises
    assert begin(tmp_path)[-1] == {"name": str(max(0, line - 2))}


def test_what_is_in_the_way_is_asked_only_where_there_is_no_journal(tmp_path: Path) -> None:
    asked: list[tuple[Path, str]] = []
    for _ in range(2):
        with open_journal(tmp_path, HEADER, "--to", check_new=lambda folder, option: asked.append((folder, option))):
            pass
    assert asked == [(tmp_path, "--to")]


def test_work_of_the_version_before_goes_on_with_revised_lines(tmp_path: Path) -> None:
    begin(tmp_path)
    begin(tmp_path)
    earlier = EarlierWork(HEADER, lambda line: line | {"old": line["name"] == "1"})
    for _ in range(2):  # the second time it is of this version
        with open_journal(tmp_path, {"work": "test", "version": (2,)}, earlier=[earlier]) as journal:
            assert journal.lines == [{"name": "0", "old": False}, {"name": "1", "old": True}]
    with pytest.raises(UsageError, match="holds work of another version of mitlgan"):
        begin(tmp_path)
    other = {"work": "test", "version": 1, "settings": {"size_px": 8}}
    with open_journal(tmp_path / "other", other):
        pass
    made_otherwise = pytest.raises(UsageError, match=r"was made with other settings \(--size 8, now without it\)")
    with made_otherwise, open_journal(tmp_path / "other", {**HEADER, "version": 2}, earlier=[earlier]):
        pass
    with (
        pytest.raises(UsageError, match="holds work of another version of mitlgan"),
        open_journal(tmp_path, {**HEADER, "version": 3}, earlier=[earlier]),
    ):
        pass
