"""`mitlgan describe`: count parameters and multiply-accumulates."""

from __future__ import annotations

from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


def describe(
    target: Annotated[str, typer.Argument(metavar="RECIPE|ARTIFACT", help="A recipe's name or file, an artifact, a run, or its step.")],
    as_json: options.Json = False,
) -> None:
    """Count parameters and multiply-accumulates.

    Of the networks of a recipe, an artifact or a run.
    """
    from mitlgan.artifacts.summary import describe as described
    from mitlgan.errors import to_one_line

    values = described(target)
    lines = [
        to_one_line(f"{values['name']}: {values['kind']}, {values['size_px']} px"),
        f"{'':<12}{'parameters':>14}{'trainable':>14}{'multiply-accumulates':>24}",
    ]
    for name, part in [*values["networks"].items(), ("total", values["total"])]:
        lines.append(f"{name:<12}{part['parameters']:>14,}{part['trainable']:>14,}{part['multiply_accumulates']:>24,}")
    print_result(as_json, values, "\n".join(lines))
