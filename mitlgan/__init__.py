"""mitlgan: compose generators.

Pretrain a foreground and a background image generator, freeze them, join them by a learnable fusion and a translator, and compare the result with a
plain WGAN.

    >>> import mitlgan
    >>> generator = mitlgan.load("runs/pretrain/demo-fg-001/generator.safetensors")  # doctest: +SKIP
    >>> images = generator.sample([0, 1, 2])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitlgan.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from mitlgan.sample import Artifact

__all__ = ["__version__", "load"]


def load(path: str | Path, device: str = "cpu") -> Artifact:
    """Load a generator or composer artifact.

    Args:
        path: A `.safetensors` artifact, or a run directory that holds one.
        device: Where its network goes, as torch names devices.

    Returns:
        The artifact; `.sample(seeds)` and `.layers(seeds)` give images in [-1, 1].

    Raises:
        ArtifactError: The file is not an artifact of this project, or it is damaged.
    """
    from mitlgan.sample import load as load_artifact

    return load_artifact(path, device=device)
