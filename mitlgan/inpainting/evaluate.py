"""Evaluation of inpainting on known pictures: error inside the hole, and distance of the whole picture in features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
from mitlgan.runtime.progress import LabeledProgressCallback

BASELINES = ("mean", "opencv", "opencv-ns")
CONFIDENCE = 0.95
"""Of the interval by which two methods are told apart."""
BETTER, WORSE, NOT_TOLD_APART = "better", "worse", "not told apart"


@dataclass(frozen=True)
class MeanWithError:
    """A mean over pictures and its standard error."""

    value: float
    std_error: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> MeanWithError:
        """Compute both from one number per picture."""
        return cls(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


@dataclass(frozen=True, eq=False)
class InpaintScore:
    """Scores of one filling method.

    Attributes:
        method: Its name.
        psnr_db: Peak signal-to-noise ratio inside the hole, mean over pictures.
        distance: Euclidean distance of the filled and the true picture's features, mean over pictures.
        blended_psnr_db: PSNR with the seam blended, as `mitlgan inpaint` writes pictures.
        blended_distance: Distance with the seam blended.
        blended_by_picture: PSNR and distance of each picture with the seam blended, (2, N).
    """

    method: str
    psnr_db: MeanWithError
    distance: MeanWithError
    blended_psnr_db: MeanWithError
    blended_distance: MeanWithError
    blended_by_picture: NDArray[np.float64]

    def against(self, other: InpaintScore) -> list[PairedDifference]:
        """Return how this method compares with another on the same pictures, both blended: in PSNR, and in distance."""
        (psnr_db, distance), (other_psnr_db, other_distance) = self.blended_by_picture, other.blended_by_picture
        return [PairedDifference.of(psnr_db - other_psnr_db), PairedDifference.of(other_distance - distance)]


@dataclass(frozen=True)
class PairedDifference:
    """By how much one method is better than another on the same pictures.

    Attributes:
        advantage: Mean over pictures of the difference; above 0, the first method is better.
        std_error: Its standard error.
        outcome: "better" or "worse" if 0 lies outside the difference's 95 % confidence interval (Student's t), else "not told apart".
    """

    advantage: float
    std_error: float
    outcome: str

    @classmethod
    def of(cls, advantages: NDArray[np.float64]) -> PairedDifference:
        """Judge the differences of at least two pictures."""
        from scipy.stats import t

        mean = MeanWithError.of(advantages)
        is_apart = abs(mean.value) > mean.std_error * float(t.ppf((1 + CONFIDENCE) / 2, len(advantages) - 1))
        outcome = NOT_TOLD_APART if not is_apart else BETTER if mean.value > 0 else WORSE
        return cls(mean.value, mean.std_error, outcome)


def score_fillers(
    pictures: ImagePack,
    fillers: Sequence[Filler],
    hole: NDArray[np.bool_],
    network: Extractor,
    *,
    count: int,
    seed: int = 0,
    progress: LabeledProgressCallback | None = None,
) -> tuple[list[InpaintScore], Tensor]:
    """Score methods on the same pictures with the same hole.

    Args:
        pictures: Pictures that no method was trained on.
        fillers: The methods.
        hole: (H, W), of the pictures' size.
        network: The extractor.
        count: Number of pictures; at most all are taken.
        seed: Seed of the choice of pictures.
        progress: Called with the method, how many methods are done, and how many there are.

    Returns:
        The score of each method, and pictures for a sheet: masked pictures, true pictures, then each method's blended pictures,
        (methods + 2, N, 3, H, W) uint8.

    Raises:
        ArtifactError: A method takes another size than the pictures'.
        DataError: There are fewer than two pictures.
    """
    if min(count, len(pictures)) < 2:
        raise DataError(f"{pictures.path}: {min(count, len(pictures))} pictures; a mean with its error needs at least 2")
    for filler in fillers:
        if filler.size_px not in (None, pictures.size_px):
            raise ArtifactError(f"--artifact: {filler.name} takes {filler.size_px} px, the pictures have {pictures.size_px} px; give one of that size")
    truth = pictures.batch(select_pictures(len(pictures), count, seed))  # (N, 3, H, W) uint8
    true_features = network(truth).double().numpy()
    holes = torch.from_numpy(hole).float().expand(len(truth), 1, -1, -1)
    masked = torch.where(holes > 0, 128, truth)
    sheet, scores = [masked, truth], []
    for index, filler in enumerate(fillers):
        if progress is not None:
            progress(filler.name, index, len(fillers))
        generated = filler.fill(to_float(masked), holes)  # hidden pixels are not passed on
        filled = torch.where(holes > 0, to_uint8(generated), truth)
        blended = _blended(truth, generated, hole)
        numbers = [
            measured
            for filled_pixels in (filled, blended)
            for measured in (_psnr(filled_pixels, truth, hole), _distance(network, filled_pixels, true_features))
        ]
        psnr_db, distance, blended_psnr_db, blended_distance = (MeanWithError.of(values) for values in numbers)
        scores.append(InpaintScore(filler.name, psnr_db, distance, blended_psnr_db, blended_distance, np.stack(numbers[2:])))
        sheet.append(blended)
    return scores, torch.stack(sheet)


def describe_scores(scores: Sequence[InpaintScore]) -> list[str]:
    """Return a sentence for each trained method that says which of the measured baselines it beats, both blended as `mitlgan inpaint` writes them."""
    baselines = [score for score in scores if score.method in BASELINES]
    lines = []
    for score in scores:
        if score.method in BASELINES or not baselines:
            continue
        groups: dict[tuple[str, str], list[str]] = {}
        for other in baselines:
            psnr, distance = score.against(other)
            groups.setdefault((psnr.outcome, distance.outcome), []).append(other.method)
        clauses = [_clause(outcomes, ", ".join(methods)) for outcomes, methods in groups.items()]
        lines.append(f"{score.method}, blended, {'; '.join(clauses)} (difference per picture, {CONFIDENCE:.0%} confidence)")
    return lines


def _clause(outcomes: tuple[str, str], methods: str) -> str:
    """Return the outcomes in PSNR and distance against some methods."""
    same = {
        (BETTER, BETTER): f"beats {methods} in both PSNR and distance",
        (WORSE, WORSE): f"is worse than {methods} in both PSNR and distance",
        (NOT_TOLD_APART, NOT_TOLD_APART): f"is not told apart from {methods}",
    }
    return same.get(outcomes, f"does not beat {methods} in both: PSNR {outcomes[0]}, distance {outcomes[1]}")


def scores_json(scores: Sequence[InpaintScore], network: Extractor, pictures: ImagePack, **protocol: Any) -> dict[str, Any]:
    """Return all scores with what is needed to compare them."""
    provenance = {
        "extractor": network.name,
        "weights_sha256": network.weights_sha256,
        "data_sha256": pictures.content_sha256,
        "size_px": pictures.size_px,
        **protocol,
    }
    rows = {
        score.method: {
            key: {"value": getattr(score, key).value, "std_error": getattr(score, key).std_error}
            for key in ("psnr_db", "distance", "blended_psnr_db", "blended_distance")
        }
        for score in scores
    }
    comparisons = {
        score.method: {
            other.method: dict(zip(("blended_psnr_db", "blended_distance"), map(asdict, score.against(other)), strict=True))
            for other in scores
            if other.method in BASELINES
        }
        for score in scores
        if score.method not in BASELINES
    }
    return {"schema_version": 1, "protocol": provenance, "methods": rows, "against": comparisons}


def _blended(truth: Tensor, generated: Tensor, hole: NDArray[np.bool_]) -> Tensor:
    values = generated.add(1).mul(127.5).permute(0, 2, 3, 1).double().numpy()
    pixels = truth.permute(0, 2, 3, 1).numpy()
    filled_pixels = np.stack([poisson_blend(picture, source, hole) for picture, source in zip(pixels, values, strict=True)])
    return torch.from_numpy(filled_pixels).permute(0, 3, 1, 2).contiguous()


def _psnr(filled_pixels: Tensor, truth: Tensor, hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the PSNR of each picture inside the hole (dB)."""
    return psnrs_db((filled_pixels.double() - truth.double())[:, :, torch.from_numpy(hole)].square().mean((1, 2)) / 255**2)


def _distance(network: Extractor, filled_pixels: Tensor, true_features: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(network(filled_pixels).double().numpy() - true_features, axis=1)
    return distances
