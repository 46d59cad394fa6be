"""Cross grid: each row has one latent of a layer, each column one of another."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import UsageError
from mitlgan.latents import concat_layers, split_by_layer, truncate
from mitlgan.latents.paths import require_layer
from mitlgan.networks.composer import PLACEMENT_LATENT

MAX_PICTURES = 10_000


def cross(
    artifact: LoadedArtifact,
    rows: tuple[str, Sequence[int]],
    columns: tuple[str, Sequence[int]],
    *,
    at: Point | None = None,
    truncation: float = 1.0,
) -> Tensor:
    """Return latents that combine every row's layer with every column's.

    Args:
        artifact: An artifact with at least two latents.
        rows: Name of a latent, and its seeds, one per row.
        columns: Name of another latent, and its seeds.
        at: Point that gives the other latents. None: seed 0, except that an object keeps the placement of its own seed.
        truncation: See `mitlgan.latents.truncate`.

    Returns:
        (rows * columns, sum of the layers' lengths), row by row.

    Raises:
        UsageError: A name is unknown, both names are equal, or there are no or too many seeds.
    """
    dims = artifact.card.latent_dims
    for option, (name, seeds) in {"rows": rows, "columns": columns}.items():
        require_layer(name, dims, option)
        if not seeds:
            raise UsageError(f"{option}: no seeds are given; give at least one")
    if rows[0] == columns[0]:
        others = ", ".join(name for name in dims if name != rows[0])
        advice = f"choose from {others}" if others else "an artifact of one latent has none; use `mitlgan sample`"
        raise UsageError(f"columns: {columns[0]} is in the rows already; {advice}")
    if len(rows[1]) * len(columns[1]) > MAX_PICTURES:
        raise UsageError(f"rows: {len(rows[1])} x {len(columns[1])} pictures are more than {MAX_PICTURES}; give fewer seeds")
    count = len(rows[1]) * len(columns[1])
    seeds_by_layer: dict[str, Sequence[int]] = {name: [0] * count for name in dims if name != PLACEMENT_LATENT}
    seeds_by_layer[rows[0]] = [seed for seed in rows[1] for _ in columns[1]]
    seeds_by_layer[columns[0]] = [*columns[1]] * len(rows[1])
    z = artifact.latents(seeds_by_layer)
    if at is not None:
        fixed = {
            name: own.expand(count, -1) for name, own in split_by_layer(to_latent(artifact, at), dims).items() if name not in (rows[0], columns[0])
        }
        z = concat_layers(split_by_layer(z, dims) | fixed, dims)
    return truncate(z, truncation)
