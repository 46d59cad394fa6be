"""`mitlgan export`: write an artifact for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result
from mitlgan.cli.output_files import claim_file, new_file
from mitlgan.cli.picture_options import FilterName, NoMetadata, Scale, Size, picture_size


class Target(StrEnum):
    """Export formats."""

    onnx = "onnx"
    torch_export = "torch-export"
    png_sheet = "png-sheet"
    card = "card"
    slim = "slim"
    ora = "ora"
    psd = "psd"
    hub_folder = "hub-folder"


def export(
    context: typer.Context,
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help=options.ARTIFACT_HELP)],
    to: Annotated[
        Target,
        typer.Option(
            "--to",
            help="onnx (extra `export`), torch-export, png-sheet (all stages), card (Markdown), slim (a composition without its generators), "
            "ora or psd (one picture in layers for a picture editor; psd needs the extra `psd`), hub-folder (to upload to the Hugging Face Hub).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Must not exist. Default: the artifact's kind with the format's suffix, in this folder, numbered."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the picture in layers.", min=0)] = 0,
    like: Annotated[Path | None, typer.Option("--like", metavar="FILE", help="A PNG or WebP of this artifact to write in layers.")] = None,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    no_metadata: NoMetadata = False,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="TEXT", help="For hub-folder and card: licence of an artifact that has none, such as CC-BY-4.0.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write an artifact, or a picture in layers, for others.

    Exported programs are checked to give the same pictures. In ora and psd, the background and each object are layers, under a correction that makes
    them the composed picture to the last bit.
    """
    from mitlgan.artifacts.export import EXPORT_SUFFIXES, slim_companions
    from mitlgan.artifacts.export import export_artifact as exported
    from mitlgan.artifacts.layered_files import LAYERED_FORMATS
    from mitlgan.artifacts.loaded_artifact import load_artifact

    if to not in LAYERED_FORMATS:
        reason = "is of a picture in layers, --to ora or psd; leave it out"
        options.refuse_given(context, ("seed", "like", "scale", "size", "filter_name", "no_metadata"), reason)
    elif like is not None:
        options.refuse_given(context, ("seed",), "cannot go with --like, which makes one picture as it was made; leave one out")
    if to == Target.psd:
        options.refuse_given(context, ("no_metadata",), "is of OpenRaster; a PSD never says how it was made")
    claim_file(out, "--out")
    loaded = load_artifact(artifact)
    target = picture_size(scale, size, filter_name, loaded.card.size_px, like=like, has_sheet=False)
    path = new_file(out, f"{loaded.card.kind}{EXPORT_SUFFIXES[to.value]}")
    path = exported(loaded, to.value, path, seed=seed, like=like, size=target, has_metadata=not no_metadata, licence=licence)
    files = sorted(file for file in path.iterdir()) if path.is_dir() else [path]
    files += [file for file in slim_companions(path) if file.exists()] if to == Target.slim else []
    values = {"file": str(path), "to": to.value, "bytes": sum(file.stat().st_size for file in files)}
    print_result(as_json, values, "\n".join(map(str, files)))
