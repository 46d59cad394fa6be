"""Manners of the command line: instant help, one line for an error, exit codes, JSON alone on stdout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from helpers.commands import Command, start

import mitlgan
from mitlgan.cli.main import app, main
from mitlgan.errors import DataError, NanError, ResourceError, Stopped, UsageError
from mitlgan.images.encode import encode_png
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run

HEAVY = ("torch", "numpy", "pydantic", "rich", "PIL", "matplotlib", "timm")


def commands() -> Iterator[list[str]]:
    """Every command and group, as it is typed."""
    from typer.main import get_command

    def walk(found: Any, path: list[str]) -> Iterator[list[str]]:
        yield path
        for name, inner in getattr(found, "commands", {}).items():
            yield from walk(inner, [*path, name])

    yield from walk(get_command(app), [])


COMMANDS = list(commands())


def test_the_promised_commands_are_there() -> None:
    found = {" ".join(path) for path in COMMANDS}
    promised = "pretrain fg, pretrain bg, compose, compare, resume, runs ls, runs rm, sample, evaluate, data pack, describe, recipes ls, recipes cat, "
    promised += "recipes cp, recipes validate, doctor, demo, bench"
    for name in promised.split(", "):
        assert name in found


def test_help_of_every_command_explains_every_option_and_loads_nothing_heavy() -> None:
    program = f"""
import contextlib, io, sys
from mitlgan.cli import main
for path in {COMMANDS!r}:
    sys.argv = ["mitlgan", *path, "--help" if len(path) % 2 else "-h"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        main()
    assert "Usage: " in out.getvalue() and not err.getvalue(), (path, out.getvalue(), err.getvalue())
    unexplained = [line for line in out.getvalue().splitlines() if line.startswith("  --") and len(line.split("  ")) < 3 and len(line) < 30]
    assert not unexplained, (path, unexplained)
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)


def test_the_version_is_the_packages(command: Command) -> None:
    assert command("--version").out == f"mitlgan {mitlgan.__version__}\n"


def test_the_module_is_the_command(folder: Path) -> None:
    process = start("recipes", "ls", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert err == ""
    assert "thesis-32/compose" in json.loads(out)["recipes"]


WRONG = {
    ("--nope",): (2, "--nope: no such option"),
    ("pretrain", "fg", "--nope"): (2, "--nope: no such option"),
    ("pretrain", "cat"): (2, "No such command 'cat'"),
    ("compare", "--equal", "hours"): (2, "--equal: 'hours' is not one of 'time', 'kimg', 'seconds', 'cpu-seconds'"),
    ("compare", "--equal"): (2, "--equal: requires an argument"),
    ("compare", "--baseline", "dcgan"): (2, "--baseline: 'dcgan' is not"),
    ("pretrain", "fg", "--seed", "x"): (2, "--seed: "),
    ("pretrain", "fg", "--seed", "-1"): (2, "fg: seed"),
    ("pretrain", "fg", "--device", "tpu"): (2, "--device tpu: not one of auto, cpu, cuda, mps"),
    ("pretrain", "fg", "--recipe", "nope"): (2, "--recipe nope: no such file or shipped recipe"),
    ("pretrain", "fg", "--recipe", "thesis-32/compose"): (2, "--recipe thesis-32/compose: is for `compose` of scene; give one for `pretrain fg`"),
    ("pretrain", "bg", "--recipe", "thesis-32/pretrain_fg"): (2, "--recipe thesis-32/pretrain_fg: is for `pretrain` of fg"),
    ("pretrain", "fg", "--set", "training.kimgs=3"): (
        2,
        "--set training.kimgs: unknown key 'training.kimgs'; the closest known one is 'training.kimg'",
    ),
    ("pretrain", "fg", "--set", "training.batch=1"): (2, "--set training.batch: "),
    ("pretrain", "fg", "--set", "size_px"): (2, "--set size_px: write it as key=value"),
    ("pretrain", "fg", "--threads", "0"): (2, "--threads: "),
    ("pretrain", "fg", "--data", "nowhere"): (3, "--data "),
    ("compose", "--fg", "nowhere"): (4, "nowhere: no such artifact"),
    ("pretrain", "scene", "--critic", "nowhere"): (2, "nowhere: not a run directory"),
    ("pretrain", "scene", "--set", "critic_start.freeze=1"): (2, "critic_start.freeze: a new critic must train"),
    ("compare",): (2, "--composed: no finished composition under runs; run `mitlgan compose` first"),
    ("compare", "--composed", "nowhere"): (2, "nowhere: not a run directory"),
    ("resume", "nowhere"): (2, "nowhere: not a run directory (it has no recipe.toml)"),
    ("resume", "nowhere", "--kimg", "5"): (2, "--kimg 5: write it as +N, such as +100"),
    ("resume", "nowhere", "--kimg", "+nan"): (2, "--kimg +nan: write it as +N"),
    ("resume", "nowhere", "--kimg", "+-5"): (2, "--kimg +-5: write it as +N"),
    ("sample", "nowhere"): (4, "nowhere: no such artifact"),
    ("sample", "."): (4, ".: holds no artifact yet"),
    ("sample", "nowhere", "-n", "0"): (2, "--count: Input should be greater"),
    ("sample",): (2, "ARTIFACT: is missing; give one (see"),
    ("evaluate", "nowhere"): (4, "nowhere: no such artifact"),
    ("embed-score", "nowhere"): (4, "nowhere: no such artifact"),
    ("describe", "nowhere"): (2, "RECIPE nowhere: "),
    ("recipes", "cat", "nowhere"): (2, "NAME nowhere: "),
    ("train", "nowhere"): (2, "RECIPE nowhere: no such file or shipped recipe"),
    ("sweep", "nowhere"): (2, "RECIPE nowhere: no such file or shipped recipe"),
    ("runs", "rm", "nowhere"): (2, "nowhere: not a run directory"),
    ("data", "pack", "nowhere", "--out", "x.npy", "--size", "8"): (3, "--data nowhere: "),
    ("make", ""): (2, "an argument: is empty; give a value, or leave it out"),
    ("pretrain", "fg", "--data", ""): (2, "--data: is empty"),
    ("pretrain", "fg", "--data="): (2, "--data: is empty"),
    ("pretrain", "fg", "--licence", ""): (2, "--licence: is empty"),
    ("evaluate", "nowhere", "--data", ""): (2, "--data: is empty"),
    ("recipes", "cat", ""): (2, "an argument: is empty"),
    ("data", "prepare", "", "--out", "x", "--size", "8"): (2, "an argument: is empty"),
    ("pretrain", "fg", "--set", 'data.source=""'): (3, "--data: is empty; name a folder of pictures"),
}


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_what_is_wrong_is_one_line_with_its_exit_code(arguments: tuple[str, ...], command: Command, folder: Path) -> None:
    code, beginning = WRONG[arguments]
    done = command(*arguments)
    assert done.code == code
    assert done.out == ""
    assert done.err.startswith(beginning), done.err
    assert done.err.count("\n") == 1
    assert list(folder.iterdir()) == []  # nothing half-written


EMPTY: dict[tuple[str, ...], tuple[int, str]] = {
    ("study", "make", "a=", "--each", "2"): (2, "study make a=: write it as NAME=ARTIFACT, such as wgan=runs/pretrain/scene-001"),
    ("study", "make", "=RUN", "--each", "2"): (2, "study make =RUN: write it as NAME=ARTIFACT"),
    ("study", "make", "RUN", "--each", "2"): (2, "study make RUN: write it as NAME=ARTIFACT"),
    ("study", "make", "a=RUN", "a=RUN", "--each", "2"): (2, "study make a=RUN: a is given twice; give each a name of its own"),
    ("compose", "--layer", "fg=", "--layer", "bg=RUN"): (2, "--layer fg=: write it as NAME=ARTIFACT"),
    ("compose", "--layer", "=RUN"): (2, "--layer =RUN: write it as NAME=ARTIFACT"),
    ("train", "thesis-32/compose", "--layer", "fg="): (2, "--layer fg=: write it as NAME=ARTIFACT"),
    ("compare", "--layer", "fg="): (2, "--layer fg=: write it as NAME=ARTIFACT"),
    ("compare", "--domain", "x=a,,c"): (2, "--domain x=a,,c: write it as NAME=FG,BG,SCENE"),
    ("compare", "--domain", "x=a, ,c"): (2, "--domain x=a, ,c: write it as NAME=FG,BG,SCENE"),
    ("compare", "--domain", "x=bg=,fg=a,c"): (2, "--domain x=bg=,fg=a,c: bg has no pictures"),
    ("compare", "--trials", "wgan="): (2, "--trials wgan=: write it as ARM=N"),
    ("sweep", "classic/akel-01", "--data", "akel*="): (2, "--data akel*=: is empty after the =; write it as PATTERN=VALUE"),
    ("sweep", "classic/akel-01", "--data", "="): (2, "--data =: is empty after the =; write it as PATTERN=VALUE"),
    ("sweep", "classic/akel-01", "--scale", "akel*="): (2, "--scale akel*=: is empty after the =; write it as PATTERN=VALUE"),
    ("sweep", "classic/akel-01", "--vary", "data.source="): (2, "--vary data.source=: write it as key=value,value"),
    ("pretrain", "fg", "--set", "data.source="): (3, "--data: is empty; name a folder of pictures"),
    ("sample", "RUN", "--lock", "fg="): (2, "--lock fg=: write it as LAYER=SEED"),
    ("sample", "RUN", "--transform", "fg="): (2, "--transform fg=: write it as LAYER=SCALE,X,Y"),
    ("mix", "RUN", "1", "2", "--weight", "fg="): (2, "--weight fg=: write it as W or LAYER=W"),
    ("sample", "@best"): (4, "@best: no such artifact"),
}
"""What stands on one side of an equals sign only; as a path, it would name the current folder."""


@pytest.mark.parametrize("arguments", EMPTY, ids=" ".join)
def test_an_empty_part_does_not_mean_the_current_folder(
    arguments: tuple[str, ...], command: Command, folder: Path, pretrained: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(pretrained["fg"].path, folder / "RUN")
    (run / "RUN").symlink_to(run)
    monkeypatch.chdir(run)
    before = sorted(run.iterdir())
    code, beginning = EMPTY[arguments]
    done = command(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(beginning), done.err
    assert done.err.count("\n") == 1
    assert sorted(run.iterdir()) == before
    assert [path.name for path in folder.iterdir()] == ["RUN"]


PATHS = {
    "sample": ("sample", "PATH"), "out": ("sample", "FG", "-n", "1", "--out", "PATH"), "grid": ("grid", "SCENE", "--out", "PATH/grid.png"),
    "resume": ("resume", "PATH"), "report": ("report", "PATH"), "make": ("make", "PATH"), "describe": ("describe", "PATH"), "train": ("train", "PATH"),
    "data": ("pretrain", "fg", "--data", "PATH", "--dry-run"), "runs": ("pretrain", "fg", "--out", "PATH"),
    "evaluate": ("evaluate", "FG", "--data", "PATH"), "compose": ("compose", "--fg", "PATH", "--bg", "BG"), "check": ("data", "check", "PATH"),
    "prepare": ("data", "prepare", "PATH", "--out", "x", "--size", "8"), "prepared": ("data", "prepare", "in", "--out", "PATH", "--size", "8"),
    "read": ("data", "read", "products", "PATH", "--reviews", "PATH", "--write-urls", "x.jsonl"), "fetch": ("data", "fetch", "PATH", "--out", "x"),
    "recipe": ("recipes", "cp", "recommended/fg-32", "PATH"), "embed": ("embed", "PATH", "--artifact", "FG"),
    "inpaint": ("inpaint", "PATH", "--method", "mean"), "hole": ("inpaint", "in/0.png", "--method", "mean", "--hole", "PATH"),
    "study": ("study", "score", "PATH", "PATH"), "like": ("sample", "FG", "--like", "PATH"),
}  # fmt: skip
"""Commands with a path that no disk takes."""


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("path", ["a" * 300, f"{'b' * 300}/c", "loop", "loop/inside"], ids=["long", "long-folder", "loop", "in-loop"])
def test_a_path_that_no_disk_takes_is_one_line(key: str, path: str, command: Command, folder: Path, artifacts: dict[str, Path]) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "in").mkdir()
    (folder / "in" / "0.png").write_bytes(encode_png(torch.zeros(3, 8, 8, dtype=torch.uint8)))
    before = sorted(folder.rglob("*"))
    roles = {"FG": str(artifacts["fg"]), "BG": str(artifacts["bg"]), "SCENE": str(artifacts["scene"])}
    done = command(*(roles.get(word, word.replace("PATH", path)) for word in PATHS[key]))
    assert done.code in (2, 3, 4, 5)
    lines = done.err.splitlines()
    assert path.split("/")[0][:20] in lines[-1]
    assert "bug" not in lines[-1]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("arguments", "message"), [
    (["--help"], "mitlgan: no space left on device; free some space, and run the same command again\n"),
    (["sample", "--help"], "mitlgan sample: no space left on device; free some space, and run the same command again\n"),
])  # fmt: skip
def test_help_that_cannot_be_printed_names_the_command_and_what_lacks(arguments: list[str], message: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "mitlgan", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, message)


@pytest.mark.parametrize("group", [[], ["pretrain"], ["runs"], ["recipes"], ["data"]])
def test_a_group_alone_shows_its_help(group: list[str], command: Command) -> None:
    done = command(*group)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: ")
    heading = "Commands" if group else "Make pictures"  # those of the whole stand under several headings
    assert f"\n\n{heading}:\n" in done.err


ERRORS: list[tuple[BaseException, int, str]] = [
    (DataError("a\nb"), 3, "a\\nb\n"),
    (ResourceError("disk: full"), 5, "disk: full\n"),
    (NanError("x"), 6, "x\n"),
    (Stopped("y", 15), 143, "y\n"),
    (KeyboardInterrupt(), 130, "stopped at once; the last checkpoint is intact"),
    (MemoryError(), 5, "memory: "),
    (ZeroDivisionError("division\nby zero"), 1, "bug: ZeroDivisionError: division by zero; MITLGAN_DEBUG=1 shows where\n"),
]


@pytest.mark.parametrize(("error", "code", "line"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_become_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Run:
        raise error

    monkeypatch.setattr("mitlgan.stages.pretrain.pretrain", fails)
    done = command("pretrain", "fg")
    assert done.code == code
    assert done.out == ""
    assert done.err.strip("\n").startswith(line.strip("\n"))
    assert len([text for text in done.err.splitlines() if text]) == 1


def test_an_interrupt_speaks_of_a_checkpoint_only_where_there_is_one(
    command: Command, artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mitlgan.artifacts.samples.samples_of_seeds", stops)
    done = command("sample", artifacts["fg"], "-n", 1)
    assert (done.code, done.err.strip()) == (130, "stopped")


def test_an_interrupt_of_make_says_that_it_goes_on(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no checkpoint while it cuts photographs."""

    def stops(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mitlgan.project.make.make_project", stops)
    done = command("make", "photographs")
    assert (done.code, done.err.strip()) == (130, "stopped; the same command goes on")


def test_debug_shows_where(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["mitlgan", "resume", "nowhere"])
    with pytest.raises(UsageError):
        main()


def test_a_reader_that_goes_away_is_no_error_with_a_traceback(folder: Path) -> None:
    done = subprocess.run(f"{sys.executable} -m mitlgan recipes cat thesis-32/compose | true", shell=True, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_names_with_control_characters_are_escaped(command: Command, folder: Path) -> None:
    done = command("sample", "a\x1b[31m\nb")
    assert done.code == 4
    assert done.err.startswith(r"a\x1b[31m\nb: no such artifact")


def test_torchruns_other_ranks_say_nothing(command: Command, folder: Path, packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitlgan.stages.pretrain.pretrain", lambda recipe, environment, **starts: Run(folder))
    monkeypatch.setattr("mitlgan.runtime.distributed.join_world", lambda device: _world(tiny_runs.run_context(folder, rank=1, size=2)))
    done = command("pretrain", "fg", "--json")
    assert (done.code, done.out) == (0, "")


class _world:  # noqa: N801  (a context manager, as `joined` is)
    def __init__(self, environment: RunContext) -> None:
        self.world = environment.world

    def __enter__(self) -> Any:
        return self.world

    def __exit__(self, *_: object) -> None:
        pass
