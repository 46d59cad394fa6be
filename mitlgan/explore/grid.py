"""Crossing layers: each row one latent of a layer, each column one of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.explore.points import Point, point_of
from mitlgan.latent import by_layer, joined, latents, truncated
from mitlgan.latent.paths import require_layer
from mitlgan.sample import Artifact

MOST_PICTURES = 10_000


def cross(artifact: Artifact, rows: tuple[str, Sequence[int]], columns: tuple[str, Sequence[int]], *, at: Point = 0, truncation: float = 1.0) -> Tensor:
    """Latents of every row's layer with every column's.

    Args:
        artifact: With at least two latents.
        rows: The name of a latent, and its seeds, one per row.
        columns: The name of another, and its seeds.
        at: Where the other latents stay.
        truncation: See `mitlgan.latent.truncated`.

    Returns:
        (rows * columns, sum of the layers' lengths), row by row.

    Raises:
        UsageError: A name is unknown, both are the same, or there are no seeds or too many.
    """
    dims = artifact.card.latent_dims
    for option, (name, seeds) in {"rows": rows, "columns": columns}.items():
        require_layer(name, dims, option)
        if not seeds:
            raise UsageError(f"{option}: no seeds are given; give at least one")
    if rows[0] == columns[0]:
        others = ", ".join(name for name in dims if name != rows[0])
        wanted = f"choose from {others}" if others else "an artifact of one latent has none; use `mitlgan sample`"
        raise UsageError(f"columns: {columns[0]} is in the rows already; {wanted}")
    if len(rows[1]) * len(columns[1]) > MOST_PICTURES:
        raise UsageError(f"rows: {len(rows[1])} x {len(columns[1])} pictures are more than {MOST_PICTURES}; give fewer seeds")
    count = len(rows[1]) * len(columns[1])
    parts: dict[str, Tensor] = {name: own.expand(count, -1) for name, own in by_layer(point_of(artifact, at), dims).items()}
    parts[rows[0]] = _drawn(rows, dims).repeat_interleave(len(columns[1]), dim=0)
    parts[columns[0]] = _drawn(columns, dims).repeat(len(rows[1]), 1)
    return truncated(joined(parts, dims), truncation)


def _drawn(axis: tuple[str, Sequence[int]], dims: Mapping[str, int]) -> Tensor:
    return latents(axis[1], {axis[0]: dims[axis[0]]})
