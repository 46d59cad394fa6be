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


def option_help(path: tuple[str, ...], option: str) -> str:
    """The help of an option or, by its metavar, of an argument."""
    for parameter in ALL[path].params:
        if option in parameter.opts or option == parameter.metavar:
            return str(getattr(parameter, "help", None))
    raise AssertionError(f"{path} has no {option}")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_and_argument_has_a_word_of_help(path: tuple[str, ...]) -> None:
    assert [parameter.name for parameter in ALL[path].params if parameter.name != "help" and not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize(
    ("option", "commands_with_it", "said"),
    [
        ("--data", "pretrain fg, compose, train, compare, evaluate, embed-score, inpaint-score, study make", ("parquet", ".txt list of paths", "IDX")),
        ("SRC", "data pack, data split, data prepare, data augment", ("parquet", ".txt list of paths", "zip or tar")),
        ("DIR...", "data check, data stats", ("parquet", "lists of paths")),
        ("--out", "data split, data prepare, data augment, data chess, data fetch, make, sample, study make", ("new or empty",)),
        ("--seconds", "embed, embed-score", ("0.1 to 1,000,000",)),
        ("--transform", "sample", ("0.05 to 4", "up to 1,000")),
        ("--split", "evaluate, study make", ("test, validation, train",)),
        ("--split", "embed-score, inpaint-score", ("validation, test, train",)),
        ("--shear", "data augment", ("0: off",)), ("--distortion", "data augment", ("0: off",)), ("--degrees", "data augment", ("0: off",)),
        ("--blur", "data prepare, data split", ("0: off",)), ("--min-size", "data prepare", ("0: off",)),
        ("--out", "sample, interpolate, mix, grid, directions, inpaint, embed, export, study make", ("numbered",)),
        ("--grid", "evaluate", ("numbered",)), ("--jobs", "make", ("1 on one core",)), ("--flip", "data augment", ("thesis",)),
        ("--data", "pretrain fg, train", ("CIFAR-10", "StyleGAN")), ("--max-attempts", "embed-score", ("3",)),
        ("--size", "data read", ("needed with --out",)), ("--out", "data read", ("Needed unless --write-urls",)),
    ],
)  # fmt: skip
def test_help_says_what_an_option_takes(option: str, commands_with_it: str, said: tuple[str, ...]) -> None:
    for command in commands_with_it.split(", "):
        text = option_help(tuple(command.split()), option)
        assert [words for words in said if words not in text] == [], (command, text)
