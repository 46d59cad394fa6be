"""What a report says of samples that are near to training pictures."""

from __future__ import annotations

import pytest

from mitlgan.metrics.memorization import Memorization
from mitlgan.report.nearest_pictures import describe_memorization


@pytest.mark.parametrize(
    ("memorization", "split", "sentence"),
    [
        (
            Memorization(share=0.07, usual_share=0.0589, ratio=0.959, samples=200, unseen=100, left_out=0),
            "test",
            "7% of 200 samples are nearer to a training picture than 95 % of unseen real pictures are (5.9 % would be usual with 100 unseen ones). "
            "Their median distance is 0.959 times that of unseen real pictures (copies: 0).",
        ),
        (
            Memorization(share=None, usual_share=None, ratio=0.0, samples=200, unseen=10, left_out=90),
            "test",
            "Left out here, because they are (nearly) among the training pictures: 90 of 100 test pictures. "
            "The nearest of 200 samples. How many are nearer than usual can be said with at least 20 unseen real pictures (there are 10). "
            "Their median distance is 0.000 times that of unseen real pictures (copies: 0).",
        ),
        (
            Memorization(share=None, usual_share=None, ratio=None, samples=200, unseen=0, left_out=100),
            "validation",
            "Left out here, because they are (nearly) among the training pictures: 100 of 100 validation pictures. "
            "The nearest of 200 samples. How many are nearer than usual can be said with at least 20 unseen real pictures (there are 0).",
        ),
        (
            Memorization(share=None, usual_share=None, ratio=None, samples=200, unseen=0, left_out=100),
            "train",
            "The nearest of 200 samples. Without unseen real pictures it is unknown how near is usual.",
        ),
    ],
)
def test_what_is_usual_and_what_is_not_known_is_said(memorization: Memorization, split: str, sentence: str) -> None:
    assert describe_memorization(memorization, split) == sentence
