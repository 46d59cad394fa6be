"""export: an artifact for other programs and for people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


class Target(StrEnum):
    """What an artifact is exported to."""

    onnx = "onnx"
    torch_export = "torch-export"
    png_sheet = "png-sheet"
    card = "card"
    slim = "slim"


def export(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A .safetensors artifact, or a run.")],
    to: Annotated[
        Target,
        typer.Option(
            "--to",
            help="onnx (extra `export`) and torch-export, both checked; a sheet of every stage; a card in Markdown; a composition without its "
            "generators, which must lie beside it (slim).",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: the artifact's name with the target's ending, here.")] = None,
    as_json: options.Json = False,
) -> None:
    """Write an artifact as ONNX, torch.export program, sheet, card or without its generators, after checking that it gives the same pictures."""
    from mitlgan.artifacts.export import EXPORT_SUFFIXES
    from mitlgan.artifacts.export import export_artifact as exported
    from mitlgan.artifacts.loaded_artifact import load_artifact

    loaded = load_artifact(artifact)
    place = exported(loaded, to.value, out or Path(f"{loaded.card.kind}{EXPORT_SUFFIXES[to.value]}"))
    print_result(as_json, {"file": str(place), "to": to.value, "bytes": place.stat().st_size}, str(place))
