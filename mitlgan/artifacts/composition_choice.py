"""Which of several compositions is meant where the user names none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from mitlgan.artifacts.card import build_network, read_card
from mitlgan.errors import MitlganError


def composition_rank(movable_layers: Collection[str]) -> bool:
    """Return what compositions are ordered by, before their age: those whose layers can be moved come first.

    A comparison and the demo also train others, as baselines, and those last.
    """
    return not movable_layers


def choose_composition(files: Sequence[Path]) -> Path | None:
    """Return the composition that is meant: the newest whose layers can be moved, else the newest; None if there is none.

    Args:
        files: Artifacts of compositions, the newest first. One that cannot be read is taken only if all are such.
    """
    readable: list[Path] = []
    for path in files:
        try:
            with torch.device("meta"):
                rank = composition_rank(build_network(read_card(path), str(path)).movable_layers)
        except (OSError, MitlganError):
            continue
        if not rank:
            return path
        readable.append(path)
    return next(iter([*readable, *files]), None)
