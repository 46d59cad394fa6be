"""Self-recovery: how well an artifact's own images, and their layers, are found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inversion.embed import InversionResult, embed
from mitlgan.inversion.progress import StatusCallback
from mitlgan.inversion.settings import InversionSettings
from mitlgan.metrics.psnr import psnrs_db
from mitlgan.networks import CompositionStages

WHOLE = "output"


@dataclass(frozen=True, eq=False)
class SelfRecovery:
    """Inversions of an artifact's own images.

    Attributes:
        seeds: Seeds of the images.
        result: Their inversions.
        psnr_db: Peak signal-to-noise ratios (N,) by part: `output`, the whole image, and each layer of a composition over all of its channels, as
            placed and including hidden pixels.
    """

    seeds: range
    result: InversionResult
    psnr_db: dict[str, NDArray[np.float64]]

    def as_json(self, settings: InversionSettings) -> dict[str, Any]:
        """Return all figures, with the protocol that reproduces them."""
        seconds = self.result.seconds
        rows = [
            {
                "seed": seed,
                "psnr_db": {name: float(values[index]) for name, values in self.psnr_db.items()},
                "ended": self.result.stop_reasons[index],
                "seconds": seconds[index],
            }
            for index, seed in enumerate(self.seeds)
        ]
        return {
            "schema_version": 1,
            "protocol": {"own": True, "attempts": settings.attempts, "limit_s": settings.seconds, "perceptual": settings.perceptual},
            "parts": {name: {"median": float(np.median(values)), "worst": float(values.min())} for name, values in self.psnr_db.items()},
            "seconds_median": float(np.median(seconds)),
            "seconds_longest": max(seconds),
            "pictures": rows,
        }


def measure_self_recovery(
    artifact: LoadedArtifact, settings: InversionSettings, *, count: int, seed: int, progress: StatusCallback | None = None
) -> SelfRecovery:  # fmt: skip
    """Invert images of an artifact, rounded to 8 bits as in files, and compare every part with the truth.

    Args:
        artifact: A generator or composer.
        settings: Effort of the inversions.
        count: Number of images.
        seed: Seed of the first image; later images use consecutive seeds.
        progress: See `embed`.
    """
    seeds = range(seed, seed + count)
    truth = artifact.layers(seeds)
    result = embed(artifact, to_float(to_uint8(truth.output)), settings, progress=progress)
    psnr = {WHOLE: _psnr_db(truth.output, result.images)}
    if len(truth.layers) > 1:
        psnr |= {name: _psnr_db(_as_placed(truth, name), _as_placed(result.stages, name)) for name in truth.layers}
    return SelfRecovery(seeds, result, psnr)


def _as_placed(stages: CompositionStages, name: str) -> Tensor:
    return stages.placed.get(name, stages.layers[name])


def _psnr_db(images: Tensor, others: Tensor) -> NDArray[np.float64]:
    """Return PSNR over [0, 1] of images (N, C, H, W) in [-1, 1]."""
    return psnrs_db(((images.double() - others.double()) / 2).flatten(1).square().mean(1))
