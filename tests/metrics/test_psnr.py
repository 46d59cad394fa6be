"""Peak signal-to-noise ratio, against OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mitlgan.metrics.psnr import MAX_DB, psnr_db, psnrs_db


@pytest.mark.parametrize(("error", "decibels"), [(1.0, 0.0), (0.1, 10.0), (1e-3, 30.0), (0.25, 6.0206), (0.0, MAX_DB), (1e-30, MAX_DB)])
def test_decibels_of_a_mean_squared_error(error: float, decibels: float) -> None:
    assert psnr_db(error) == pytest.approx(decibels, abs=1e-4)


def test_opencv_says_the_same() -> None:
    truth, made = np.random.default_rng(0).integers(0, 256, (2, 4, 8, 8, 3), dtype=np.uint8)
    errors = torch.from_numpy(np.square((truth.astype(float) - made) / 255).mean((1, 2, 3)))
    assert psnrs_db(errors) == pytest.approx([cv2.PSNR(one, other) for one, other in zip(truth, made, strict=True)])
