"""The entry point: registers every command, and prints each error in one line with its exit code."""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from mitlgan import __version__
from mitlgan.cli import (
    bench,
    cache,
    compare,
    completion,
    compose,
    data,
    demo,
    describe,
    directions,
    doctor,
    embed,
    embed_score,
    evaluate,
    export,
    grid,
    inpaint,
    inpaint_score,
    interpolate,
    make,
    mix,
    options,
    pretrain,
    recipes,
    report,
    resume,
    runs,
    sample,
    studio,
    study,
    sweep,
    train,
)
from mitlgan.cli.memory_advice import DEFAULT_ADVICE, describe_shortage, remember_command
from mitlgan.cli.output import log
from mitlgan.cli.torchrun import is_leading_process, refuse_ranks
from mitlgan.errors import MitlganError, ResourceError, ShortageError, UnwritableError, UsageError, resource_fault, to_one_line, unusable_path
from mitlgan.runtime.child_processes import end_with_parent
from mitlgan.runtime.claimed_names import release_names
from mitlgan.runtime.signals import TerminationInterrupt, TerminationSignals
from mitlgan.runtime.standard_streams import lasting_standard_streams

INTERRUPTED = 130
CHECKPOINTING = frozenset({"pretrain", "compose", "train", "resume", "demo", "compare", "sweep"})
"""Commands that train, and keep checkpoints."""
STOPPED = {**dict.fromkeys(CHECKPOINTING, "stopped at once; the last checkpoint is intact"), "make": "stopped; the same command goes on"}
"""What is said of an interrupt, by the command; of `make`, most time may pass before the first checkpoint."""
SERVERS = frozenset({"studio"})
"""Commands whose server handles signals itself."""

# What the parser says, and the same with the option first.
OPTION_FIRST = (
    (r"^Invalid value for (?:'-\w' / )?'(.+?)': (?:Value error, )?", r"\1: "),
    (r"^No such option: (\S+)", r"\1: no such option"),
    (r"^Option '(.+?)'", r"\1:"),
    (r"^Missing (?:option|argument) '(.+?)'\.?(?: Choose from:)?", r"\1: is missing; give"),
    (r"; give$", "; give one"),
    (r"\s+", " "),
)

# Options that had another name in the last release. The old names go with the next one.
OLD_OPTIONS = {
    "--stand": "--transform",
    "--there-and-back": "--ping-pong",
    "--straight": "--lerp",
    "--own": "--self",
    "--attempts": "--max-attempts",
    "--record": "--write-card",
    "--triple": "--domain",
}


class RootGroup(options.Group):
    """The root command: lists commands in the order of work, and takes options by their old names."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of `HELP_SECTIONS`."""
        return [name for commands in HELP_SECTIONS.values() for name in commands]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace old option names, with a note for each, and refuse empty values: as a path, one would name the current folder."""
        for before, argument in zip(["", *args], args, strict=False):
            name, equals, value = argument.partition("=")
            if not argument or (name.startswith("--") and equals and not value):
                option = name or (before if before.startswith("-") else "an argument")
                raise UsageError(f"{option}: is empty; give a value, or leave it out")
        return super().parse_args(ctx, [_current_option(argument) for argument in args])


def _current_option(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name not in OLD_OPTIONS:
        return argument
    log(f"{name}: is now called {OLD_OPTIONS[name]}; the old name goes with the next release")
    return OLD_OPTIONS[name] + equals + value


app = options.group("Train layers, join them into scenes, and compare with a WGAN.", RootGroup)


def _version(is_set: bool) -> None:
    if is_set:
        print(f"mitlgan {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False) -> None:
    pass


# The commands in the order of work, under the headings of `mitlgan --help`.
HELP_SECTIONS: dict[str, dict[str, Callable[..., Any] | typer.Typer]] = {
    "Start here": {"make": make.make, "demo": demo.demo},
    "Train": {
        "pretrain": pretrain.app,
        "compose": compose.compose,
        "resume": resume.resume,
        "train": train.train,
        "sweep": sweep.sweep,
    },
    "Make pictures": {
        "sample": sample.sample,
        "interpolate": interpolate.interpolate,
        "mix": mix.mix,
        "grid": grid.grid,
        "directions": directions.directions,
        "embed": embed.embed,
        "inpaint": inpaint.inpaint,
        "export": export.export,
        "studio": studio.studio,
    },
    "Measure and compare": {
        "compare": compare.compare,
        "evaluate": evaluate.evaluate,
        "report": report.report,
        "inpaint-score": inpaint_score.inpaint_score,
        "embed-score": embed_score.embed_score,
        "study": study.app,
    },
    "Data, recipes, runs": {
        "data": data.app,
        "recipes": recipes.app,
        "runs": runs.app,
        "describe": describe.describe,
        "doctor": doctor.doctor,
        "bench": bench.bench,
        "cache": cache.app,
        "completion": completion.completion,
    },
}

for heading, commands in HELP_SECTIONS.items():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=heading)
        else:
            app.command(name, rich_help_panel=heading)(command)


@functools.cache
def parser() -> Any:
    """Return the parser of all commands, which keeps nothing of a call; it takes a tenth of a second to build."""
    return get_command(app)


def main() -> None:
    """Run a command; end with its exit code (see `mitlgan.errors`). Signals that come once the command has ended are ignored: the process ends."""
    end_with_parent()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it needs no home folder, and warns where there is none
    with lasting_standard_streams(), remember_command(sys.argv[1:]) as name, TerminationSignals(is_active=name not in SERVERS) as signals:
        try:
            try:
                code = _run(name, signals)
            finally:
                signals.ignore_from_now_on()
        except BaseException as error:
            signals.ignore_from_now_on()  # a second signal may have come just before they were
            if os.environ.get("MITLGAN_DEBUG") == "1":
                raise
            code = _report(error, name)
        finally:
            release_names()
    sys.exit(code if isinstance(code, int) else 0)


def _run(name: str, signals: TerminationSignals) -> Any:
    """Run a command, and return what it or the parser returns."""
    refuse_ranks(name, sys.argv[1:])
    code = parser()(standalone_mode=False)
    if code == INTERRUPTED:  # the parser has caught the interrupt already, and says nothing
        raise KeyboardInterrupt if signals.received is None else TerminationInterrupt(signals.received)
    sys.stdout.flush()
    return code


def _report(error: BaseException, name: str) -> int:
    """Print one line for an error of a command, and return its exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, ShortageError) and error.is_memory:
        return _say(describe_shortage(error, name), error.exit_code)
    if isinstance(error, UsageError) and not is_leading_process():  # every rank meets it
        return error.exit_code
    if isinstance(error, UnwritableError) and not _has_out(parser(), name.split()):
        return _say(f"{error.fault}; make it writable, and run the same command again", error.exit_code)
    if isinstance(error, MitlganError):
        return _say(str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        code = error.exit_code if isinstance(error, TerminationInterrupt) else INTERRUPTED
        return _say(STOPPED.get(name, "stopped"), code)
    if isinstance(error, BrokenPipeError):
        return 1
    if hasattr(error, "format_message"):  # the command line parser's own errors
        return _report_usage(error)
    if type(error).__name__ == "Abort":
        return _say("stopped", INTERRUPTED)
    if (fault := resource_fault(error)) is not None:
        return _report_fault(error, fault, name)
    if (refusal := unusable_path(error)) is not None:
        return _say(str(refusal), refusal.exit_code)
    return _say(f"bug: {type(error).__name__}: {error}; MITLGAN_DEBUG=1 shows where", 1)


def _has_out(command: Any, path: Sequence[str]) -> bool:
    """Return whether a command, or one of a group, has the option `--out`."""
    inner = getattr(command, "commands", {})
    if path and path[0] in inner:
        return _has_out(inner[path[0]], path[1:])
    return any("--out" in parameter.opts for parameter in command.params) or any(_has_out(one, ()) for one in inner.values())


def _report_fault(error: BaseException, fault: ResourceError, name: str) -> int:
    """Print one line for memory, disk or files that gave out where no part of the program expected it."""
    if isinstance(fault, ShortageError) and fault.is_memory:
        advice = DEFAULT_ADVICE if isinstance(error, ImportError) else describe_shortage(fault, name).partition("; ")[2]
        return _say(f"memory: not enough for `{f'mitlgan {name}'.rstrip()}`; {advice}", fault.exit_code)
    return _say(f"{getattr(error, 'filename', None) or f'mitlgan {name}'.rstrip()}: {fault}", fault.exit_code)


def _report_usage(error: Any) -> int:
    """Print the parser's error with the option first, or the help for a command without arguments."""
    text = str(error.format_message())
    if type(error).__name__ == "NoArgsIsHelpError":
        print(text, file=sys.stderr)
        return 2
    text = text.rstrip(".")
    for pattern, replacement in OPTION_FIRST:
        text = re.sub(pattern, replacement, text)
    context = getattr(error, "ctx", None)
    return _say(text + (f" (see `{context.command_path} --help`)" if context is not None else ""), 2)


def _say(message: str, code: int) -> int:
    print(to_one_line(" ".join(message.split("\n"))), file=sys.stderr)
    return code
