"""Memory that gives out, in whatever words a library says so, ends every command with 5 and advice that the command can follow."""

from __future__ import annotations

import errno
import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from helpers.commands import Command
from typer.main import get_command

from mitlgan.cli.main import app, main
from mitlgan.cli.memory_advice import ADVICE, COMMAND_VARIABLE, TAKES_SETTINGS, command_name, remember_command
from mitlgan.errors import ArtifactError, ShortageError, UnwritableError, is_out_of_memory, resource_fault
from mitlgan.recipe import to_toml, with_overrides

main_module = sys.modules["mitlgan.cli.main"]  # the package has a function of that name

KINDS: list[BaseException] = [
    MemoryError(),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    RuntimeError("[enforce fail at alloc_cpu.cpp:125] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes. Error code 12"),
    RuntimeError("could not create a primitive"),
    RuntimeError("could not create a memory object"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("can't start new thread"),
    RuntimeError("unable to mmap 9 bytes from file <x>: Cannot allocate memory (12)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    SystemError("<built-in function convolution> returned NULL without setting an exception"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
]
BUGS = [
    RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
    RuntimeError("The size of tensor a (2) must match the size of tensor b (3)"),
    SystemError("bad argument to internal function"),
    OSError(errno.EACCES, "Permission denied", "out of memory.png"),
    ArtifactError("out of memory.png: is damaged"),
]


def leaf_commands() -> list[tuple[str, Any]]:
    """Every command that does something, with its parser."""
    found: list[tuple[str, Any]] = []

    def walk(parser: Any, path: list[str]) -> None:
        inner = getattr(parser, "commands", {})
        for name, command in inner.items():
            walk(command, [*path, name])
        if not inner:
            found.append((" ".join(path), parser))

    walk(get_command(app), [])
    return found


def options_of(parser: Any) -> set[str]:
    return {option for parameter in parser.params for option in parameter.opts}


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_every_kind_ends_every_command_with_5(kind: BaseException, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_out_of_memory(kind)

    def give_out(**_: Any) -> None:
        raise kind

    monkeypatch.setattr(main_module, "parser", lambda: give_out)
    for name, parser in leaf_commands():
        outcome = command(*name.split())
        assert outcome.code == 5, name
        (line,) = outcome.err.splitlines()
        shown = "pretrain" if name.startswith("pretrain") else name
        assert line.startswith(f"memory: not enough for `mitlgan {shown}`; "), name
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= options_of(parser), name
        assert "run `mitlgan resume" not in line, name


@pytest.mark.parametrize("error", BUGS, ids=repr)
def test_other_errors_stay_what_they_are(error: BaseException) -> None:
    assert not is_out_of_memory(error)
    assert not isinstance(resource_fault(error), ShortageError)


def test_advice_names_commands_that_exist() -> None:
    names = {name for name, _ in leaf_commands()} | {"pretrain"}
    assert set(ADVICE) | set(TAKES_SETTINGS) <= names


def test_a_process_of_a_command_gives_the_advice_of_that_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COMMAND_VARIABLE, raising=False)
    assert command_name(["data", "split", "pics", "--out", "x"]) == "data split"
    assert command_name(["pretrain", "fg"]) == "pretrain"
    with remember_command(["demo"]), remember_command(["pretrain", "fg"]) as inner:
        assert inner == "demo"
    assert COMMAND_VARIABLE not in os.environ


@pytest.mark.parametrize(("name", "advice"), [("pretrain fg", "try half: --set training.batch=32"), ("demo", "which continues")])
def test_the_batch_is_advised_where_it_can_be_set(name: str, advice: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_out(**_: Any) -> None:
        raise ShortageError("training.batch: out of memory with 64 images of 32 px", "try half: --set training.batch=32", is_memory=True)

    monkeypatch.setattr(main_module, "parser", lambda: give_out)
    outcome = command(*name.split())
    assert outcome.code == 5
    assert outcome.err.startswith("training.batch: out of memory with 64 images of 32 px; ")
    assert advice in outcome.err
    assert ("--set" in outcome.err) == (name != "demo")


def test_a_full_disk_behind_stdout_is_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_out(**_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(main_module, "parser", lambda: give_out)
    outcome = command("describe")
    assert outcome.code == 5
    assert outcome.err.startswith("mitlgan describe: no space left on device; free some")


# With a real limit


def end_of(arguments: list[object], megabytes: int, log: Path) -> tuple[int, list[str]]:
    """Run a command in a copy of this process that may take so much more memory; return its exit code and the lines on stderr."""
    process = os.fork()
    if process == 0:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 2)
        os.dup2(descriptor, 1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        sys.argv = ["mitlgan", *map(str, arguments)]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGESIZE") + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code: Any = 99
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), log.read_text().splitlines()


@pytest.fixture
def large_recipe(packs: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "large.toml"
    path.write_text(to_toml(with_overrides(tiny_runs.recipe("fg", packs["fg"]), training__batch=65_536, training__kimg=1e6)))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space as on Linux")
def test_a_limit_of_memory_is_told_by_real_commands(large_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cases: list[tuple[list[object], Callable[[str], bool]]] = [
        (["pretrain", "fg", "--recipe", large_recipe], lambda line: line.endswith("try half: --set training.batch=32768")),
    ]
    for arguments, fits in cases:
        code, lines = end_of(arguments, 60, tmp_path / "log")
        assert code == 5, lines
        assert fits(lines[-1]), lines
        assert not any("Traceback" in line for line in lines)
    assert not [path for pattern in ("*.tmp", "*.part") for path in tmp_path.rglob(pattern)]


@pytest.mark.parametrize(("name", "parser"), leaf_commands(), ids=[name for name, _ in leaf_commands()])
def test_only_a_command_with_out_is_told_to_choose_another_folder(name: str, parser: Any, capsys: pytest.CaptureFixture[str]) -> None:
    has_out = any("--out" in parameter.opts for parameter in parser.params) or name.startswith("pretrain")
    assert main_module._report(UnwritableError("a.png: cannot be written (why)"), command_name(name.split())) == 5
    advice = "choose another folder with --out" if has_out else "make it writable, and run the same command again"
    assert capsys.readouterr().err == f"a.png: cannot be written (why); {advice}\n"
