"""`mitlgan data chess`: draw the chess domain."""

from __future__ import annotations

from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import OutFolder
from mitlgan.cli.output import print_result, progress_bar


def chess(
    out: OutFolder,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Pictures per set.", min=1, max=1_000_000)] = 2000,
    size: Annotated[int, typer.Option("--size", metavar="N", help="Height and width in px.", min=8, max=1024)] = 64,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed.", min=0)] = 0,
    as_json: options.Json = False,
) -> None:
    """Draw chess scenes with exact mattes, free of any licence.

    Writes near pieces (fg/), far pieces (far/), boards (bg/) and scenes.
    """
    from mitlgan.data.demo.chess import write_chess

    with progress_bar("chess") as callback:
        counts = write_chess(out, count, size, seed, callback)
    print_result(as_json, {"out": str(out), "files": counts}, f"{out}: {count} pictures each in {', '.join(counts)}")
