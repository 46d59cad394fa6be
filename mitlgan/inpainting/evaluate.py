"""How well holes are filled, on pictures whose truth is known: error inside the hole, and distance of the whole picture in an extractor's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, DataError
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inpainting.fillers import Filler
from mitlgan.inpainting.poisson import poisson_blend
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.feature_cache import select_pictures
from mitlgan.metrics.psnr import psnrs_db

"""Of a hole that is filled without any error."""
BASELINES = ("mean", "opencv", "opencv-ns")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MeanWithError:
    """A mean over pictures, and its standard error."""

    value: float
    std_error: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> MeanWithError:
        """Of one number per picture."""
        return cls(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


@dataclass(frozen=True)
class InpaintScore:
    """How well one method fills.

    Attributes:
        method: Its name.
        psnr_db: Peak signal-to-noise ratio inside the hole, mean over pictures.
        distance: Euclidean distance of the filled picture's features from the true picture's, mean over pictures.
        blended_psnr_db: The same with the seam evened out, as `mitlgan inpaint` writes pictures.
        blended_distance: Likewise.
    """

    method: str
    psnr_db: MeanWithError
    distance: MeanWithError
    blended_psnr_db: MeanWithError
    blended_distance: MeanWithError

    def beats(self, other: InpaintScore) -> bool:
        """Whether it, blended, has both a higher PSNR and a smaller distance than another method that is not."""
        return self.blended_psnr_db.value > other.psnr_db.value and self.blended_distance.value < other.distance.value


def score_fillers(
    pictures: ImagePack,
    fillers: Sequence[Filler],
    hole: NDArray[np.bool_],
    network: Extractor,
    *,
    count: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[list[InpaintScore], Tensor]:
    """Measure methods on the same pictures with the same hole.

    Args:
        pictures: Held out from whatever was trained.
        fillers: The methods.
        hole: (H, W), as large as the pictures.
        network: The extractor.
        count: How many pictures; at most all are taken.
        seed: Chooses which.
        progress: Told the method, how many are done, how many there are.

    Returns:
        A score of each method, in order, and pictures for a sheet: of each method the blended ones, after what is left and the truth,
        (methods + 2, N, 3, H, W) uint8.

    Raises:
        ArtifactError: A method takes another size than the pictures'.
        DataError: Fewer than two pictures.
    """
    if min(count, len(pictures)) < 2:
        raise DataError(f"{pictures.path}: {min(count, len(pictures))} pictures; a mean with its error takes at least 2")
    for filler in fillers:
        if filler.size_px not in (None, pictures.size_px):
            raise ArtifactError(f"--artifact: {filler.name} takes {filler.size_px} px, the pictures have {pictures.size_px} px; give one of that size")
    truth = pictures.batch(select_pictures(len(pictures), count, seed))  # (N, 3, H, W) uint8
    wanted = network(truth).double().numpy()
    holes = torch.from_numpy(hole).float().expand(len(truth), 1, -1, -1)
    left = torch.where(holes > 0, 128, truth)
    shown, scores = [left, truth], []
    for index, filler in enumerate(fillers):
        if progress is not None:
            progress(filler.name, index, len(fillers))
        drawn = filler.fill(to_float(left), holes)  # what is hidden is not even handed over
        filled = torch.where(holes > 0, to_uint8(drawn), truth)
        smooth = _blended(truth, drawn, hole)
        numbers = [measured for made in (filled, smooth) for measured in (_psnr(made, truth, hole), _distance(network, made, wanted))]
        scores.append(InpaintScore(filler.name, *(MeanWithError.of(values) for values in numbers)))
        shown.append(smooth)
    return scores, torch.stack(shown)


def describe_scores(scores: Sequence[InpaintScore]) -> list[str]:
    """In a sentence for each trained method, whether it beats the baselines that were measured beside it."""
    baselines = [found for found in scores if found.method in BASELINES]
    lines = []
    for found in scores:
        if found.method in BASELINES or not baselines:
            continue
        lost = [other.method for other in baselines if not found.beats(other)]
        said = f"does not beat {', '.join(lost)}" if lost else f"beats {', '.join(other.method for other in baselines)}"
        lines.append(f"{found.method} {said} in both PSNR and distance")
    return lines


def scores_json(scores: Sequence[InpaintScore], network: Extractor, pictures: ImagePack, **protocol: Any) -> dict[str, Any]:
    """All figures with what it takes to compare them."""
    carried = {
        "extractor": network.name,
        "weights_sha256": network.weights_sha256,
        "data_sha256": pictures.content_sha256,
        "size_px": pictures.size_px,
        **protocol,
    }
    rows = {
        found.method: {
            key: {"value": getattr(found, key).value, "std_error": getattr(found, key).std_error}
            for key in ("psnr_db", "distance", "blended_psnr_db", "blended_distance")
        }
        for found in scores
    }
    return {"schema_version": 1, "protocol": carried, "methods": rows}


def _blended(truth: Tensor, drawn: Tensor, hole: NDArray[np.bool_]) -> Tensor:
    values = drawn.add(1).mul(127.5).permute(0, 2, 3, 1).double().numpy()
    pixels = truth.permute(0, 2, 3, 1).numpy()
    made = np.stack([poisson_blend(picture, source, hole) for picture, source in zip(pixels, values, strict=True)])
    return torch.from_numpy(made).permute(0, 3, 1, 2).contiguous()


def _psnr(made: Tensor, truth: Tensor, hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each picture, inside the hole (dB)."""
    return psnrs_db((made.double() - truth.double())[:, :, torch.from_numpy(hole)].square().mean((1, 2)) / 255**2)


def _distance(network: Extractor, made: Tensor, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(network(made).double().numpy() - wanted, axis=1)
    return distances
