"""`mitlgan cache`: what is kept is shown with its size, and only that is cleared."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import Command

from mitlgan.data.open import open_data


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MITLGAN_CACHE", str(folder))
    return folder


def test_an_empty_cache_holds_nothing(command: Command, cache: Path) -> None:
    assert command("cache", "ls", "--json").json == {"folder": str(cache), "bytes": 0, "kinds": []}


def test_packs_are_counted_and_cleared_and_other_files_stay(command: Command, cache: Path) -> None:
    pack = open_data("demo", "bg", 8)
    own = cache / "letter.txt"
    own.write_text("dear")
    (row,) = command("cache", "ls", "--json").json["kinds"]
    assert row["kind"] == "packs"
    assert row["bytes"] >= pack.path.stat().st_size
    assert command("cache", "clear").out.startswith(f"{cache}: cleared ")
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["letter.txt"]
    assert open_data("demo", "bg", 8).content_sha256 == pack.content_sha256
