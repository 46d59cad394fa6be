"""`mitlgan demo`: all stages on the demo pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result

if TYPE_CHECKING:
    pass


class Start(StrEnum):
    """What the demo starts from."""

    scratch = "scratch"
    pretrained = "pretrained"


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="A look at the machinery in about a minute; the pictures will be poor.")] = False,
    start: Annotated[
        Start, typer.Option("--from", help="pretrained: take the shipped generators, train compositions and baseline only.")
    ] = Start.scratch,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the demo's runs and report go; a second call goes on there.")] = Path(
        "mitlgan-demo"
    ),
    as_json: options.Json = False,
) -> None:
    """Pretrain both layers, compose, compare, at 32 px on the demo pictures; ends with the report's path."""
    from mitlgan.compare import demo as demonstration

    result = demonstration.run_demo(out, quick=quick, pretrained=start is Start.pretrained)
    print_result(as_json, result.summary(), f"{result.verdict}\n{result.html}")
