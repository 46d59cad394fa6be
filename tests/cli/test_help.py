"""Help pages: complete sentences at 80 columns, commands in the order of work, options by their old names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import click
import pytest
import typer

from mitlgan.cli.main import HELP_SECTIONS, OLD_OPTIONS, app, main

ROOT = typer.main.get_command(app)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name in getattr(command, "commands", {}):
        yield from commands(command.commands[name], (*path, name))  # type: ignore[attr-defined]


ALL = dict(commands(ROOT))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_first_line_of_help_is_a_short_sentence(path: tuple[str, ...]) -> None:
    first = (ALL[path].help or "").strip().splitlines()[0]
    assert first.endswith(".")
    assert len(first) < (80 if not path else 61), first


@pytest.mark.parametrize("path", [path for path, command in ALL.items() if hasattr(command, "commands")], ids=" ".join)
def test_no_help_list_cuts_a_sentence_at_80_columns(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    context = click.Context(ALL[path], info_name="mitlgan", terminal_width=80, max_content_width=80)
    rows = ALL[path].get_help(context).splitlines()[1:]
    assert any(rows)
    assert not [row for row in rows if row.rstrip().endswith("...")]


def test_commands_stand_in_the_order_of_work() -> None:
    names = ROOT.list_commands(click.Context(ROOT))  # type: ignore[attr-defined]
    assert names[:2] == ["make", "demo"]
    assert names.index("pretrain") < names.index("compose") < names.index("sample") < names.index("compare") < names.index("data")
    assert sorted(names) == sorted(name for section in HELP_SECTIONS.values() for name in section)


@pytest.mark.parametrize(("old", "new"), OLD_OPTIONS.items())
def test_an_old_option_is_taken_with_a_note_and_not_shown(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    users = {path: {name: param for param in command.params for name in param.opts} for path, command in ALL.items()}
    path = next(path for path, options in users.items() if new in options)
    assert not [path for path, options in users.items() if old in options], "hidden"
    flag = users[path][new].is_flag  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", ["mitlgan", *path, old if flag else f"{old}=x", "--no-such-option"])
    with pytest.raises(SystemExit) as ended:
        main()
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"{old}: is now called {new}; the old name goes with the next release"
    assert re.match(r"--no-such-option: no such option", second)
    assert ended.value.code == 2
