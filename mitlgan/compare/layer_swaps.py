"""How far layers stay apart: numbers of a large layer swap, and the picture of a small one."""

from __future__ import annotations

from typing import Any

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.paste_baseline import PastedLayers
from mitlgan.images.grid import grid_png
from mitlgan.metrics.layer_swap import measure_separation, swap_for

MEASURED_LAYERS, SHOWN_LAYERS = 16, 8
"""Foregrounds, and as many backgrounds, that are swapped for the numbers and for the picture."""


def measure_layer_swap(composer: LoadedArtifact | PastedLayers, card: Card, evaluator: CachedEvaluator, key: str) -> tuple[dict[str, Any], bytes]:
    """Return the numbers of a swap of layers, and its picture as a PNG.

    Args:
        composer: Makes the compositions.
        card: Of the composition; says which layers are swapped.
        evaluator: Its real images are the reference.
        key: Identifies the composer in the cache.
    """
    swap = swap_for(card)
    numbers = evaluator.cached(
        {"separation": key, "swaps": MEASURED_LAYERS},
        lambda: measure_separation(composer, evaluator.real, foregrounds=MEASURED_LAYERS, backgrounds=MEASURED_LAYERS, swap=swap).numbers,
    )
    small_swap = measure_separation(composer, None, foregrounds=SHOWN_LAYERS, backgrounds=SHOWN_LAYERS, swap=swap)
    return numbers, grid_png(small_swap.grid, columns=small_swap.columns)
