"""Options and output that the data commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MATTING_HELP = "auto, alpha, backdrop, grabcut, or a U2-Net or IS-Net model file. auto needs no weights."
SOURCE_HELP = "Folder, zip or tar archive, parquet file, or a .txt list of paths."
HOLDOUT_HELP = "Photographs to hold out of training, look-alikes together; 0 for none. Splits that the source has are kept."


Matting = Annotated[str, typer.Option("--matting", metavar="METHOD|FILE.onnx", help=MATTING_HELP)]


Exclude = Annotated[
    list[Path] | None,
    typer.Option("--exclude", metavar="FILE", help="File of names to leave out, one per line, as contact sheets write it; repeatable."),
]


Source = Annotated[str, typer.Argument(metavar="SRC", help=SOURCE_HELP)]


HoldOut = Annotated[str, typer.Option("--holdout", metavar="N|N%", help=HOLDOUT_HELP)]


OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Output folder, new or empty. Interrupted work in it continues.")]


def leftover_text(leftovers: dict[str, Any]) -> str:
    """Return what was left of a source, one line each."""
    from mitlgan.data.sources.leftovers import describe_leftovers

    return "".join(f"\n  {line}" for line in describe_leftovers(leftovers))
