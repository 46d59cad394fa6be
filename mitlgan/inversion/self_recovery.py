"""What comes back of pictures that an artifact made itself: the picture, and each layer where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import to_float, to_uint8
from mitlgan.inversion.embed import Embedded, embed
from mitlgan.inversion.progress import Watcher
from mitlgan.inversion.settings import Settings
from mitlgan.metrics.psnr import psnrs_db
from mitlgan.networks import CompositionStages

WHOLE = "output"


@dataclass(frozen=True, eq=False)
class Recovered:
    """What was found of each picture.

    Attributes:
        seeds: Of the pictures.
        found: By embedding.
        psnr_db: Peak signal-to-noise ratios (N,) by part: `output`, the picture, and of a composition each layer over all of its channels, where it
            stands and with what is hidden of it.
    """

    seeds: range
    found: Embedded
    psnr_db: dict[str, NDArray[np.float64]]

    def as_json(self, settings: Settings) -> dict[str, Any]:
        """All figures with what it takes to have them again."""
        seconds = self.found.seconds
        rows = [
            {"seed": seed, "psnr_db": {name: float(values[index]) for name, values in self.psnr_db.items()}, "ended": ended, "seconds": seconds[index]}
            for index, (seed, ended) in enumerate(zip(self.seeds, self.found.ended, strict=True))
        ]
        return {
            "schema_version": 1,
            "protocol": {"own": True, "attempts": settings.attempts, "limit_s": settings.seconds, "perceptual": settings.perceptual},
            "parts": {name: {"median": float(np.median(values)), "worst": float(values.min())} for name, values in self.psnr_db.items()},
            "seconds_median": float(np.median(seconds)),
            "seconds_longest": max(seconds),
            "pictures": rows,
        }


def recovered(artifact: LoadedArtifact, settings: Settings, *, count: int, seed: int, progress: Watcher | None = None) -> Recovered:
    """Embed pictures of an artifact in itself, rounded to 8 bits as files are.

    Args:
        artifact: A generator or composer.
        settings: Of the embedding.
        count: How many pictures.
        seed: Of the first; the others' follow it.
        progress: As `embed` takes it.
    """
    seeds = range(seed, seed + count)
    true = artifact.layers(seeds)
    found = embed(artifact, to_float(to_uint8(true.output)), settings, progress=progress)
    pairs = {WHOLE: (true.output, found.images)}
    if len(true.layers) > 1:
        pairs |= {name: (_standing(true, name), _standing(found.stages, name)) for name in true.layers}
    return Recovered(seeds, found, {name: _psnr_db(*pair) for name, pair in pairs.items()})


def _standing(stages: CompositionStages, name: str) -> Tensor:
    return stages.placed.get(name, stages.layers[name])


def _psnr_db(one: Tensor, other: Tensor) -> NDArray[np.float64]:
    """Over [0, 1] of images (N, C, H, W) in [-1, 1]."""
    return psnrs_db(((one.double() - other.double()) / 2).flatten(1).square().mean(1))
