"""How near an artifact comes to pictures that it did not make: error of the pixels and distance in an extractor's features, held out from training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import ImagePack, to_float, to_uint8
from mitlgan.errors import ArtifactError
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.inversion.embed import Embedded, embed
from mitlgan.inversion.progress import Watcher
from mitlgan.inversion.settings import Settings
from mitlgan.metrics.extractors.features import Extractor
from mitlgan.metrics.feature_cache import BACKDROP, select_pictures
from mitlgan.metrics.psnr import psnrs_db


@dataclass(frozen=True, eq=False)
class Nearness:
    """What embedding made of each of some pictures.

    Attributes:
        targets: (N, C, H, W) in [-1, 1].
        found: What was found for them.
        psnr_db: Peak signal-to-noise ratios (N,) of the found pictures, rounded to 8 bits.
        distance: Euclidean distances (N,) of the found pictures' features from the true pictures'.
    """

    targets: Tensor
    found: Embedded
    psnr_db: NDArray[np.float64]
    distance: NDArray[np.float64]

    def numbers(self) -> dict[str, float]:
        """Median and worst of both, and the median of the seconds that a picture took."""
        return {
            "psnr_db_median": float(np.median(self.psnr_db)),
            "psnr_db_worst": float(self.psnr_db.min()),
            "distance_median": float(np.median(self.distance)),
            "distance_worst": float(self.distance.max()),
            "seconds_median": float(np.median(self.found.seconds)),
        }


def score(
    artifact: LoadedArtifact, pictures: ImagePack, network: Extractor, settings: Settings, *, count: int, seed: int = 0, progress: Watcher | None = None
) -> Nearness:
    """Embed pictures, and measure how near they come.

    Args:
        artifact: A generator or composer.
        pictures: Held out from whatever it was trained on, of its size.
        network: The extractor of the features.
        settings: Of the embedding.
        count: How many pictures; at most all are taken.
        seed: Chooses which.
        progress: As `embed` takes it.

    Raises:
        ArtifactError: It makes pictures of another size.
    """
    if pictures.size_px != artifact.card.size_px:
        sizes = f"makes pictures of {artifact.card.size_px} px, those of {pictures.path} have {pictures.size_px} px"
        raise ArtifactError(f"ARTIFACT: {sizes}; give one of that size")
    truth = pictures.batch(select_pictures(len(pictures), count, seed), channels=artifact.card.image_channels, backdrop=BACKDROP)
    targets = to_float(truth)
    found = embed(artifact, targets, settings, progress=progress)
    made = to_uint8(found.images)
    psnr = psnrs_db((made.double() - truth.double()).flatten(1).square().mean(1) / 255**2)
    apart = network(to_uint8(to_opaque_rgb(to_float(made)))).double() - network(to_uint8(to_opaque_rgb(targets))).double()
    return Nearness(targets, found, psnr, apart.norm(dim=1).cpu().numpy())


def as_json(near: Nearness, network: Extractor, pictures: ImagePack, settings: Settings, **protocol: Any) -> dict[str, Any]:
    """All figures with what it takes to compare them."""
    carried = {
        "extractor": network.name,
        "weights_sha256": network.weights_sha256,
        "data_sha256": pictures.content_sha256,
        "size_px": pictures.size_px,
        "perceptual": settings.perceptual,
        "limit_s": settings.seconds,
        **protocol,
    }
    rows = [
        {"psnr_db": psnr, "distance": distance, "ended": ended}
        for psnr, distance, ended in zip(near.psnr_db.tolist(), near.distance.tolist(), near.found.ended, strict=True)
    ]
    return {"schema_version": 1, "protocol": carried, **near.numbers(), "pictures": rows}
