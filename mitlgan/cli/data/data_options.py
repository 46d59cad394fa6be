"""Options and output that the data commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    pass

Matting = Annotated[
    str,
    typer.Option(
        "--matting",
        metavar="METHOD|FILE.onnx",
        help="auto, alpha, backdrop, grabcut, or the file of a U2-Net or IS-Net model; auto needs no weights.",
    ),
]


Exclude = Annotated[
    list[Path] | None, typer.Option("--exclude", metavar="FILE", help="Names to leave out, one a line, as contact sheets write them; repeatable.")
]


Source = Annotated[str, typer.Argument(metavar="SRC", help="Folder, zip or tar archive, or a .txt list of paths.")]


HoldOut = Annotated[
    str,
    typer.Option("--holdout", metavar="N|N%", help="Photographs held out of training, look-alikes together; 0: none. Splits of SRC are kept."),
]


OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Made where absent; interrupted work in it goes on.")]


def leftover_text(leftovers: dict[str, Any]) -> str:
    """What of a source was not taken, in lines of their own."""
    from mitlgan.data.sources.leftovers import describe_leftovers

    return "".join(f"\n  {line}" for line in describe_leftovers(leftovers))
