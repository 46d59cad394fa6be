"""What to do when memory gives out, in the options of the command that was run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from mitlgan.errors import ShortageError

COMMAND_VARIABLE = "MITLGAN_COMMAND"
"""Environment variable with the command that the user ran: a training that it starts in a process of its own gives that command's advice."""
GROUPS = ("cache", "data", "pretrain", "recipes", "runs", "study")
TAKES_SETTINGS = ("pretrain", "compose", "train", "sweep", "compare")
"""Commands with `--set`, whose trainings may be told a smaller batch."""
KEEPS_OWN_ADVICE = (*TAKES_SETTINGS, "resume")
ADVICE: Mapping[str, str] = {
    "sample": "make fewer pictures at a time with --count",
    "grid": "make fewer pictures with --rows and --columns",
    "interpolate": "make fewer or smaller frames with --frames and --size",
    "mix": "make a smaller picture with --scale",
    "directions": "make fewer pictures with --count, or smaller ones with --scale",
    "embed": "search with fewer starts with --starts",
    "evaluate": "measure fewer pictures with --samples",
    "inpaint-score": "measure fewer pictures with --samples",
    "embed-score": "measure fewer pictures with --samples",
    "bench": "measure less with --quick, or fewer pictures with --samples",
    "demo": "free some, and run the same command again, which continues",
    "sweep": "run fewer trainings at a time with --jobs, or smaller ones with --set",
    "compare": "run fewer trainings at a time with --jobs, or measure fewer pictures with --samples",
    "data prepare": "free some, and run the same command again, which continues; a picture that is too large is left out with --exclude",
    "data split": "free some, and run the same command again, which continues; a picture that is too large is left out with --exclude",
    "data augment": "free some, and run the same command again, or make smaller pictures of the source first",
}
DEFAULT_ADVICE = "free some, and run the same command again"


def command_name(arguments: Sequence[str]) -> str:
    """Return the command of a command line, such as "sample" or "data split"; a command started by another one is that other."""
    words = [word for word in arguments if not word.startswith("-")]
    group = words[0] if words else ""
    name = " ".join(words[:2]) if group in GROUPS and group != "pretrain" else group
    return os.environ.get(COMMAND_VARIABLE) or name


@contextmanager
def remember_command(arguments: Sequence[str]) -> Iterator[str]:
    """Let processes that start during the context know the command."""
    before = os.environ.get(COMMAND_VARIABLE)
    name = command_name(arguments)
    os.environ[COMMAND_VARIABLE] = name
    try:
        yield name
    finally:
        if before is None:
            os.environ.pop(COMMAND_VARIABLE, None)


def describe_shortage(error: ShortageError, command: str) -> str:
    """Return the line for a shortage of memory, with advice that the command can follow."""
    is_of_training = "--set" in error.advice or "resume" in error.advice
    if command in KEEPS_OWN_ADVICE and is_of_training:
        return f"{error.fault}; {error.advice}"
    advice = ADVICE.get(command, DEFAULT_ADVICE)
    exclude = error.advice.partition(", or leave it out")  # of one picture
    return f"{error.fault}; {advice if not exclude[1] else error.advice}"
