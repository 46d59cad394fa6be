"""The commands: in this process, so that torch is loaded once, and really apart where a process is what is tested."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.commands import Command, Outcome

from mitlgan.cli import main


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that name a file relative to the working directory, or write one by default, leave nothing in the project."""
    place = tmp_path / "working-directory"
    place.mkdir()
    monkeypatch.chdir(place)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `mitlgan ARGUMENTS` here: `command("runs", "ls")`."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mitlgan", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    place = tmp_path / "empty"
    place.mkdir()
    monkeypatch.chdir(place)
    return place
