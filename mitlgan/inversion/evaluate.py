"""Inversion of held-out pictures: error of the pixels, and distance in the features of an extractor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inversion.embed import InversionResult, embed
from mitlgan.inversion.progress import StatusCallback
from mitlgan.inversion.settings import InversionSettings
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.feature_cache import select_pictures
from mitlgan.metrics.psnr import psnrs_db


@dataclass(frozen=True, eq=False)
class HeldOutFit:
    """How well held-out pictures can be inverted.

    Attributes:
        targets: (N, C, H, W) in [-1, 1].
        result: Their inversions.
        psnr_db: Peak signal-to-noise ratios (N,) of the inversions' images, rounded to 8 bits.
        distance: Euclidean distances (N,) of these images' features from the targets'.
    """

    targets: Tensor
    result: InversionResult
    psnr_db: NDArray[np.float64]
    distance: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """Return median and worst of both measures, and the median time of a picture."""
        return {
            "psnr_db_median": float(np.median(self.psnr_db)),
            "psnr_db_worst": float(self.psnr_db.min()),
            "distance_median": float(np.median(self.distance)),
            "distance_worst": float(self.distance.max()),
            "seconds_median": float(np.median(self.result.seconds)),
        }


def fit_held_out(
    artifact: LoadedArtifact,
    pictures: ImagePack,
    network: Extractor,
    settings: InversionSettings,
    *,
    count: int,
    seed: int = 0,
    progress: StatusCallback | None = None,
) -> HeldOutFit:
    """Invert held-out pictures, and measure how well they fit.

    Args:
        artifact: A generator or composer.
        pictures: Pictures of its size that it was not trained on.
        network: Extractor of the features.
        settings: Effort of the inversions.
        count: Number of pictures, at most all.
        seed: Decides which pictures are taken.
        progress: See `embed`.

    Raises:
        ArtifactError: The artifact makes pictures of another size.
    """
    if pictures.size_px != artifact.card.size_px:
        sizes = f"makes pictures of {artifact.card.size_px} px, those of {pictures.path} have {pictures.size_px} px"
        raise ArtifactError(f"ARTIFACT: {sizes}; give one of that size")
    truth = pictures.batch(select_pictures(len(pictures), count, seed), channels=artifact.card.image_channels)
    targets = to_float(truth)
    result = embed(artifact, targets, settings, progress=progress)
    rounded = to_uint8(result.images)
    psnr = psnrs_db((rounded.double() - truth.double()).flatten(1).square().mean(1) / 255**2)
    differences = network(to_uint8(to_opaque_rgb(to_float(rounded)))).double() - network(to_uint8(to_opaque_rgb(targets))).double()
    return HeldOutFit(targets, result, psnr, differences.norm(dim=1).cpu().numpy())


def as_json(fit: HeldOutFit, network: Extractor, pictures: ImagePack, settings: InversionSettings, **protocol: Any) -> dict[str, Any]:
    """Return all figures, with the protocol that makes them comparable."""
    judged_by_itself = settings.perceptual > 0 and network.name.split("@")[0] == settings.extractor.split("@")[0]
    full_protocol = {
        "extractor": network.name,
        "weights_sha256": network.weights_sha256,
        "data_sha256": pictures.content_sha256,
        "size_px": pictures.size_px,
        "perceptual": settings.perceptual,
        "distance_was_minimised": judged_by_itself,
        "limit_s": settings.seconds,
        **protocol,
    }
    rows = [
        {"psnr_db": psnr, "distance": distance, "ended": stop_reason}
        for psnr, distance, stop_reason in zip(fit.psnr_db.tolist(), fit.distance.tolist(), fit.result.stop_reasons, strict=True)
    ]
    return {"schema_version": 1, "protocol": full_protocol, **fit.summary(), "pictures": rows}
