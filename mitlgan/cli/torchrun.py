"""Which commands torchrun may start in several processes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mitlgan.errors import UsageError

TAKES_RANKS = ("pretrain", "compose", "train", "resume", "evaluate")
"""Commands that share their work among ranks. Each rank would do all the work of any other, and write over the others' files."""
TAKES_JOBS = ("make", "sweep", "compare")


def is_leading_process() -> bool:
    """Whether this process prints: it is alone, or torchrun's first."""
    return os.environ.get("RANK", "0") == "0"


def refuse_ranks(command: str, arguments: Sequence[str]) -> None:
    """Refuse a command that torchrun started in several processes, but cannot share its work.

    Args:
        command: Such as "data prepare".
        arguments: The command line.

    Raises:
        UsageError: One line with the way out.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1" or "RANK" not in os.environ or not command or "--help" in arguments:
        return
    if "--dry-run" in arguments:
        raise UsageError(f"torchrun: --dry-run measures one process, not {size}; run it without torchrun")
    if command not in TAKES_RANKS:
        jobs = "; --jobs N trains N at a time" if command in TAKES_JOBS else ""
        raise UsageError(f"torchrun: `mitlgan {command}` is the work of one process, not {size}; run it without torchrun{jobs}")
