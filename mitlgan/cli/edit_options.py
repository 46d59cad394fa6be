"""Options and parsing that interpolate, mix, grid and directions share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact

ALL = "all"


POINT = "SEED|LAYER=SEED,...|FILE"


ArtifactPath = Annotated[Path, typer.Argument(metavar="ARTIFACT", help=options.ARTIFACT_HELP)]


Layer = Annotated[
    list[str] | None, typer.Option("--layer", metavar="NAME|all", help="Layer whose latent changes: fg, bg, ...; repeatable. The others stay.")
]


def load_artifact(artifact: Path, device: str) -> LoadedArtifact:
    """Load an artifact or a run's artifact on a device, such as `auto`."""
    from mitlgan.artifacts.loaded_artifact import load_artifact

    return load_artifact(artifact, device)


def layer_names(requested: list[str] | None) -> list[str] | None:
    """Layers that `--layer` names; None for all of them."""
    return None if requested is None or ALL in requested else requested
