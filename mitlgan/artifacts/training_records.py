"""Records of the trainings that an artifact came from, each counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.artifacts.card import Card


def uncounted_records(weights_sha256: str, records: Sequence[Mapping[str, Any]], counted: set[str]) -> list[Mapping[str, Any]]:
    """Return the training records of a layer whose generators are not counted yet, and count them.

    Args:
        weights_sha256: Hash of the layer's weights.
        records: Its own record, then those of the generators that it grew from.
        counted: Hashes of the generators that are counted.
    """
    hashes = [weights_sha256, *(str(record.get("tensors_sha256") or "") for record in records[1:])][: len(records)]
    uncounted = [record for sha256, record in zip(hashes, records, strict=True) if not sha256 or sha256 not in counted]
    counted |= set(filter(None, hashes))
    return uncounted


def pretraining_records(card: Card) -> dict[str, list[Mapping[str, Any]]]:
    """Return the training records of each layer of a composition; a generator that several layers are, or grew from, is of the first of them."""
    counted = set[str]()
    return {name: uncounted_records(layer.sha256_before, layer.training_records(), counted) for name, layer in card.layers.items()}
