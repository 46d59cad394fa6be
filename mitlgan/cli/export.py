"""`mitlgan export`: write an artifact for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


class Target(StrEnum):
    """Export formats."""

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
            help="onnx (extra `export`), torch-export, png-sheet (all stages), card (Markdown), slim (a composition without its generators).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: the artifact's kind with the format's suffix, in this folder.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write an artifact as ONNX, torch.export, sheet or card.

    `slim` writes a composition without its generators. Exported programs are checked to give the same pictures.
    """
    from mitlgan.artifacts.export import EXPORT_SUFFIXES
    from mitlgan.artifacts.export import export_artifact as exported
    from mitlgan.artifacts.loaded_artifact import load_artifact

    loaded = load_artifact(artifact)
    place = exported(loaded, to.value, out or Path(f"{loaded.card.kind}{EXPORT_SUFFIXES[to.value]}"))
    print_result(as_json, {"file": str(place), "to": to.value, "bytes": place.stat().st_size}, str(place))
