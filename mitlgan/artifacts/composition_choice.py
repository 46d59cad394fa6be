"""Which of several compositions is meant where the user names none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mitlgan.artifacts.card import build_network, read_card
from mitlgan.errors import MitlganError


def composition_rank(movable_layers: Collection[str]) -> bool:
    """Return what compositions are ordered by, before their age: those whose layers can be moved come first.

    A comparison and the demo also train others, as baselines, and those last.
    """
    return not movable_layers


@dataclass(frozen=True)
class CompositionChoice:
    """Which of several compositions is meant, and what was passed over for it.

    Attributes:
        path: The artifact.
        faults: Artifacts that might have been meant and cannot be read, with what is wrong with each.
        baselines: Newer artifacts whose layers cannot be moved; empty if those of the choice cannot either.
    """

    path: Path
    faults: Mapping[Path, str]
    baselines: Sequence[Path]


def choose_composition(files: Sequence[Path]) -> CompositionChoice | None:
    """Return the composition that is meant: the newest whose layers can be moved, else the newest; None if there is none.

    Args:
        files: Artifacts of compositions, the newest first. One that cannot be read is taken only if all are such.
    """
    baselines: list[Path] = []
    faults: dict[Path, str] = {}
    for path in files:
        try:
            with torch.device("meta"):
                rank = composition_rank(build_network(read_card(path), str(path)).movable_layers)
        except (OSError, MitlganError) as error:
            faults[path] = str(error)
            continue
        if not rank:
            return CompositionChoice(path, faults, baselines)
        baselines.append(path)
    if baselines:
        return CompositionChoice(baselines[0], faults, ())
    return CompositionChoice(files[0], {}, ()) if files else None  # who reads it says what is wrong
