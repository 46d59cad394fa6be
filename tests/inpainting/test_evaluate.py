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
from mitlgan.inpainting.evaluate import InpaintScore, describe_scores
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
    assert first.beats(second)
    assert not second.beats(first)


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
    assert describe_scores(scores) == ["context beats mean in both PSNR and distance", "embed does not beat mean in both PSNR and distance"]
    assert describe_scores(scores[:2]) == []


def test_what_cannot_be_measured_is_refused(pictures: ImagePack, network: Extractor) -> None:
    with pytest.raises(ArtifactError, match="other takes 16 px, the pictures have 8 px"):
        measured(pictures, [Filler("other", 16, lambda given, _: given)], network)
    with pytest.raises(DataError, match="needs at least 2"):
        score_fillers(pictures, [make_filler("mean")], HOLE, network, count=1)
