"""`mitlgan demo`: all stages on the demo pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result
from mitlgan.cli.run_output import print_work_estimate


class Start(StrEnum):
    """What the demo starts from."""

    scratch = "scratch"
    pretrained = "pretrained"


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Everything in about a minute, at 32 px, with poor pictures.")] = False,
    start: Annotated[
        Start, typer.Option("--from", help="pretrained: use the shipped generators; train compositions and baseline only.")
    ] = Start.scratch,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the runs and report. Default: mitlgan-demo, or mitlgan-demo-quick.")
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Run all stages on the demo pictures, at 64 px.

    Pretrains both layers at 32 px, draws them larger, composes, compares, and prints the path of the report. With --quick all stays at 32 px. An
    interrupted demo continues when the same command runs again.
    """
    from mitlgan.compare import demo as demonstration

    out = out or Path("mitlgan-demo-quick" if quick else "mitlgan-demo")  # the studio would open the newest of both: poor pictures
    if dry_run:
        from mitlgan.compare.dry_run import estimate_demo

        options.use_threads(options.threads_of_each(demonstration.JOBS, None))
        return print_work_estimate(estimate_demo(quick=quick, pretrained=start is Start.pretrained), out, as_json)
    result = demonstration.run_demo(out, quick=quick, pretrained=start is Start.pretrained)
    return print_result(as_json, result.summary(), f"{result.verdict}\n{result.html}")
