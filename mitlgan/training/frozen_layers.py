"""Proof by hashes that a composition's frozen layers did not change during training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitlgan.artifacts.card import LayerCard
from mitlgan.artifacts.load_save import layer_hashes
from mitlgan.errors import ArtifactError
from mitlgan.networks import Composer


def verify_frozen_layers(run: Path, layers: Mapping[str, LayerCard], trained: Composer, average: Composer) -> dict[str, LayerCard]:
    """Compare the hashes of all frozen layers before and after training.

    Args:
        run: Named in the error.
        layers: Cards of the layers, with their hashes before training.
        trained: The composer after training.
        average: Its moving average, which becomes the artifact.

    Returns:
        The cards, with the hashes after training.

    Raises:
        ArtifactError: A frozen layer changed.
    """
    after = layer_hashes(average)
    for name, digest in layer_hashes(trained).items():
        before = layers[name].sha256_before
        if not before == digest == after[name]:
            raise ArtifactError(f"{run}: frozen layer {name} changed during training ({before[:12]} -> {digest[:12]}); no artifact was written")
    return {name: layer.model_copy(update={"sha256_after": after[name]}) for name, layer in layers.items()}
