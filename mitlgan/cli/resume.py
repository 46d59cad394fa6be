"""`mitlgan resume`: continue a run, or end it early."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.run_output import print_run


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    kimg: Annotated[str | None, typer.Option("--kimg", metavar="+N", help="Make the run longer by N kimg.")] = None,
    end: Annotated[bool, typer.Option("--end", help="Stop training: freeze the newest checkpoint.")] = False,
    device: options.Device = "auto",
    log_to: options.Log = None,
    as_json: options.Json = False,
) -> None:
    """Continue a run, or end it early."""
    from mitlgan.errors import UsageError
    from mitlgan.stages.resume import finish_at_checkpoint
    from mitlgan.stages.resume import resume as resume_run

    more = _more_kimg(kimg)
    if end and more:
        raise UsageError("--end: contradicts --kimg, which makes the run longer; give one of them")
    with options.open_run_context(device, f"resume {run.name}", run.parent, None, log_to) as context:
        finished = finish_at_checkpoint(run, context) if end else resume_run(run, context, more_kimg=more)
    return print_run(finished, context, as_json)


def _more_kimg(text: str | None) -> float:
    from mitlgan.errors import UsageError

    if text is None:
        return 0.0
    try:
        value = float(text.removeprefix("+"))
    except ValueError:
        value = math.nan
    if not (text.startswith("+") and 0 < value < 1e7):
        raise UsageError(f"--kimg {text}: write it as +N, such as +100")
    return value
