"""Under torchrun, a command shares its work among the ranks, or is refused in one line: never done twice, nor over another rank's files."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from mitlgan.cli.torchrun import TAKES_JOBS, TAKES_RANKS, refuse_ranks
from mitlgan.errors import UsageError


def leaves(command: Any, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command of the tree, as its words."""
    if not hasattr(command, "commands"):
        return [words]
    return [leaf for name, child in command.commands.items() for leaf in leaves(child, (*words, name))]


entry = importlib.import_module("mitlgan.cli.main")
COMMANDS = leaves(entry.parser())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_shares_its_work_or_is_refused(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mitlgan", *words, "x"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MITLGAN_COMMAND", raising=False)
    monkeypatch.setattr(entry, "parser", lambda: lambda **_: 0)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit) as ended:
            entry.main()
        err = capsys.readouterr().err
        if words[0] in TAKES_RANKS:
            assert (ended.value.code, err) == (0, "")
            continue
        assert ended.value.code == 2
        if rank == "1":
            assert err == ""  # the first rank says it for all
            continue
        name = " ".join(words)
        assert err.startswith(f"torchrun: `mitlgan {name}` is the work of one process, not 2; run it without torchrun")
        assert err.count("\n") == 1
        assert ("--jobs" in err) == (name in TAKES_JOBS)


@pytest.mark.parametrize("arguments", [["sweep", "--help"], [], ["--version"]])
def test_help_is_never_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    refuse_ranks(arguments[0] if arguments and "-" not in arguments[0] else "", arguments)


def test_a_dry_run_measures_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match=r"^torchrun: --dry-run measures one process, not 2; run it without torchrun$"):
        refuse_ranks("pretrain", ["pretrain", "fg", "--dry-run"])


def test_commands_that_have_jobs_name_them() -> None:
    root: Any = entry.parser()
    with_jobs = {" ".join(words) for words in COMMANDS if any("--jobs" in option.opts for option in find(root, words).params)}
    assert with_jobs == set(TAKES_JOBS)


def find(command: Any, words: tuple[str, ...]) -> Any:
    for word in words:
        command = command.commands[word]
    return command
