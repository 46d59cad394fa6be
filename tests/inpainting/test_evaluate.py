"""Figures against closed forms, with fillers whose errors are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, DataError
from mitlgan.images.pixels import to_float
from mitlgan.inpainting import Filler, make_filler, parse_hole, score_fillers
from mitlgan.inpainting.evaluate import InpaintScore, MeanWithError, PairedDifference, describe_scores, scores_json
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.psnr import MAX_DB

HOLE = parse_hole("center", 8, 8)


@pytest.fixture(scope="module")
def network() -> Extractor:
    return open_extractor("efficientnet-lite0@32")


@pytest.fixture(scope="module")
def pictures(packs: dict[str, Path]) -> ImagePack:
    return ImagePack.open(packs["bg"])


def off_by(levels: float, truth: Tensor) -> Filler:
    """Fills with the truth, moved by so many levels."""
    return Filler("moved", None, lambda pictures, holes: truth + levels / 127.5)


def measured(pictures: ImagePack, fillers: list[Filler], network: Extractor) -> tuple[list[InpaintScore], Tensor]:
    return score_fillers(pictures, fillers, HOLE, network, count=len(pictures))


def test_a_known_error_has_the_psnr_of_its_formula_and_blending_takes_a_constant_away(pictures: ImagePack, network: Extractor) -> None:
    truth = to_float(pictures.batch(range(len(pictures))))
    (found,), shown = measured(pictures, [off_by(10, truth)], network)
    expected = [  # saturated where 255 is near
        -10 * np.log10(((np.minimum(plane + 10, 255) - plane) ** 2).mean() / 255**2) for plane in pictures.pixels[:, :, HOLE].astype(np.float64)
    ]
    assert found.psnr_db.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.psnr_db.std_error == pytest.approx(np.std(expected, ddof=1) / len(expected) ** 0.5, abs=1e-6)
    assert found.distance.value > 0
    assert (found.blended_psnr_db.value, found.blended_distance.value) == (MAX_DB, pytest.approx(0, abs=1e-3))
    assert torch.equal(shown[1], shown[2]), "the truth, and what blending made"
    assert bool((shown[0][:, :, torch.from_numpy(HOLE)] == 128).all())


def test_the_distance_is_that_of_the_features(pictures: ImagePack, network: Extractor) -> None:
    (found,), _ = measured(pictures, [make_filler("mean")], network)
    truth = pictures.batch(range(len(pictures)))
    filled = truth.clone()
    for picture in filled:
        picture[:, torch.from_numpy(HOLE)] = picture[:, torch.from_numpy(~HOLE)].float().mean(1, keepdim=True).round().byte()
    distances = (network(filled) - network(truth)).norm(dim=1)
    assert found.distance.value == pytest.approx(float(distances.mean()), rel=1e-3)


def test_nearer_to_the_truth_scores_better_in_both(pictures: ImagePack, network: Extractor) -> None:
    truth = to_float(pictures.batch(range(len(pictures))))
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    near, far = (Filler(name, None, lambda _, __, size=size: truth + size * noise) for name, size in (("near", 0.05), ("far", 0.5)))
    (first, second), _ = measured(pictures, [near, far], network)
    assert first.psnr_db.value > second.psnr_db.value + 10
    assert first.distance.value < second.distance.value
    assert [difference.outcome for difference in first.against(second)] == ["better", "better"]
    assert [difference.outcome for difference in second.against(first)] == ["worse", "worse"]


def test_the_truth_is_not_handed_to_a_filler(pictures: ImagePack, network: Extractor) -> None:
    seen: list[Tensor] = []

    def spy(given: Tensor, holes: Tensor) -> Tensor:
        seen.append(given[:, :, torch.from_numpy(HOLE)])
        return given

    measured(pictures, [Filler("spy", 8, spy)], network)
    assert len(seen[0].unique()) == 1


def test_the_verdict_names_what_is_not_beaten(pictures: ImagePack, network: Extractor) -> None:
    truth = to_float(pictures.batch(range(len(pictures))))
    perfect, hopeless = Filler("context", None, lambda *_: truth), Filler("embed", None, lambda *_: -truth)
    scores, _ = measured(pictures, [perfect, hopeless, make_filler("mean")], network)
    assert describe_scores(scores) == [
        "context, blended, beats mean in both PSNR and distance (difference per picture, 95% confidence)",
        "embed, blended, does not beat mean in both: PSNR worse, distance not told apart (difference per picture, 95% confidence)",
    ]
    assert describe_scores(scores[:2]) == []


def score(method: str, psnrs_db: list[float], distances: list[float]) -> InpaintScore:
    """Return scores of which the unblended ones say the contrary of all that is compared."""
    blended = np.array([psnrs_db, distances])
    unblended = MeanWithError(-blended[0].mean(), 0.0), MeanWithError(-blended[1].mean(), 0.0)
    return InpaintScore(method, *unblended, *map(MeanWithError.of, blended), blended)


SPREAD = [10.0, 20.0, 30.0, 40.0, 50.0]
SLIGHTLY_HIGHER = [value + gain for value, gain in zip(SPREAD, (0.1, 0.2, 0.1, 0.2, 0.1), strict=True)]
HIGHER_AND_LOWER = [value + gain for value, gain in zip(SPREAD, (0.9, -0.2, 0.8, -0.5, 0.1), strict=True)]


@pytest.mark.parametrize(
    ("psnrs_db", "distances", "clause"),
    [
        (SLIGHTLY_HIGHER, [value - 1 for value in SPREAD], "beats mean in both PSNR and distance"),
        (SPREAD, SPREAD, "is not told apart from mean"),
        (HIGHER_AND_LOWER, HIGHER_AND_LOWER, "is not told apart from mean"),
        (SLIGHTLY_HIGHER, SPREAD, "does not beat mean in both: PSNR better, distance not told apart"),
        (HIGHER_AND_LOWER, SLIGHTLY_HIGHER, "does not beat mean in both: PSNR not told apart, distance worse"),
        ([value - 1 for value in SPREAD], SLIGHTLY_HIGHER, "is worse than mean in both PSNR and distance"),
    ],
)
def test_methods_are_told_apart_by_their_differences_on_each_picture(psnrs_db: list[float], distances: list[float], clause: str) -> None:
    """Far less than the standard error of either mean is told apart if it is the same on all pictures; a larger mean alone is not."""
    scores = [score("context", psnrs_db, distances), score("mean", SPREAD, SPREAD)]
    assert describe_scores(scores) == [f"context, blended, {clause} (difference per picture, 95% confidence)"]


def test_two_pictures_tell_apart_only_what_hardly_varies() -> None:
    assert PairedDifference.of(np.array([1.0, 3.0])) == PairedDifference(2.0, 1.0, "not told apart")
    assert PairedDifference.of(np.array([2.0, 2.1])).outcome == "better"


def test_the_comparison_is_in_the_json_too(pictures: ImagePack, network: Extractor) -> None:
    scores = [score("context", SLIGHTLY_HIGHER, SPREAD), score("mean", SPREAD, SPREAD)]
    against = scores_json(scores, network, pictures)["against"]
    assert list(against) == ["context"]
    error = pytest.approx(0.0245, abs=1e-4)
    assert against["context"]["mean"]["blended_psnr_db"] == {"advantage": pytest.approx(0.14), "std_error": error, "outcome": "better"}
    assert against["context"]["mean"]["blended_distance"] == {"advantage": 0.0, "std_error": 0.0, "outcome": "not told apart"}


def test_what_cannot_be_measured_is_refused(pictures: ImagePack, network: Extractor) -> None:
    with pytest.raises(ArtifactError, match="other takes 16 px, the pictures have 8 px"):
        measured(pictures, [Filler("other", 16, lambda given, _: given)], network)
    with pytest.raises(DataError, match="needs at least 2"):
        score_fillers(pictures, [make_filler("mean")], HOLE, network, count=1)
