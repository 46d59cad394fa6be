"""The table of faults: every row names tests, and every file that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)


def test_every_row_names_files_that_test_something() -> None:
    rows = ROW.findall((TESTS / "FAULTS.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 42
    for number, cell in rows:
        files = re.findall(r"`([\w/]+\.py)`", cell)
        assert files, f"row {number} names no test"
        for file in files:
            assert "def test_" in (TESTS / file).read_text(encoding="utf-8"), f"row {number}: {file}"
