"""Inversion of held-out pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import ArtifactError
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inversion import InversionSettings
from mitlgan.inversion.evaluate import as_json, fit_held_out
from mitlgan.metrics.extractors.registry import open_extractor

QUICK = InversionSettings(starts=64, restarts=4, attempts=1, steps=20, polish_steps=20)


@pytest.fixture
def pictures(tmp_path: Path, fg: LoadedArtifact) -> ImagePack:
    """One that the generator made, two of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    with PackWriter(tmp_path / "pack.npy", 8, None) as writer:
        for picture in (to_uint8(fg.sample([1]))[0].numpy(), *noise):
            writer.append(picture, {"name": "x", "sha256": "0", "width": 8, "height": 8})
        return writer.publish(resize="none", crop="none", licence="none", made_by={}, skipped=[])


def test_the_figures_match_the_inversions(pictures: ImagePack, fg: LoadedArtifact) -> None:
    network = open_extractor("efficientnet-lite0@32")
    fit = fit_held_out(fg, pictures, network, QUICK, count=3)
    truth = pictures.batch(range(3))
    assert torch.equal(fit.targets, to_float(truth))
    rounded = to_uint8(fit.result.images)
    errors = ((rounded.numpy().astype(float) - truth.numpy()) ** 2).mean((1, 2, 3)) / 255**2
    assert np.allclose(fit.psnr_db, -10 * np.log10(np.maximum(errors, 1e-12)))
    assert fit.psnr_db[0] > 45 > 30 > fit.psnr_db[1:].max(), "no latent gives noise"
    assert np.allclose(fit.distance, (network(rounded) - network(truth)).norm(dim=1).numpy(), atol=1e-4)
    figures = as_json(fit, network, pictures, QUICK, split="test")
    assert (figures["psnr_db_median"], figures["psnr_db_worst"]) == (np.median(fit.psnr_db), fit.psnr_db.min())
    assert figures["distance_worst"] == fit.distance.max()
    kinds = [(weight, extractor) for weight in (0.0, 0.5) for extractor in ("efficientnet-lite0", "mobilenet-v2")]
    settings = {kind: replace(QUICK, perceptual=kind[0], extractor=kind[1]) for kind in kinds}
    minimised = [kind for kind in kinds if as_json(fit, network, pictures, settings[kind])["protocol"]["distance_was_minimised"]]
    assert minimised == [(0.5, "efficientnet-lite0")]
    assert json.loads(json.dumps(figures))["protocol"]["data_sha256"] == pictures.content_sha256


def test_pictures_of_another_size_are_refused(packs: dict[str, Path], linear: LoadedArtifact) -> None:
    bigger = LoadedArtifact(linear.network, linear.card.model_copy(update={"size_px": 16}))
    with pytest.raises(ArtifactError, match=r"ARTIFACT: makes pictures of 16 px, those of .* have 8 px"):
        fit_held_out(bigger, ImagePack.open(packs["bg"]), open_extractor("efficientnet-lite0@32"), QUICK, count=2)
