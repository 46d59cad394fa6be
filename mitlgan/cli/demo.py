"""`mitlgan demo`: all stages on the demo pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


class Start(StrEnum):
    """What the demo starts from."""

    scratch = "scratch"
    pretrained = "pretrained"


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Everything in about a minute, with poor pictures.")] = False,
    start: Annotated[
        Start, typer.Option("--from", help="pretrained: use the shipped generators; train compositions and baseline only.")
    ] = Start.scratch,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the demo's runs and report.")] = Path("mitlgan-demo"),
    as_json: options.Json = False,
) -> None:
    """Run all stages on the demo pictures, at 32 px.

    Pretrains both layers, composes, compares, and prints the path of the report. An interrupted demo continues when the same command runs
    again.
    """
    from mitlgan.compare import demo as demonstration

    result = demonstration.run_demo(out, quick=quick, pretrained=start is Start.pretrained)
    print_result(as_json, result.summary(), f"{result.verdict}\n{result.html}")
