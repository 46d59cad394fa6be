"""Inception Score: how certain a classifier is of each image, and how evenly its classes occur. Real images are not used."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitlgan.errors import DataError
from mitlgan.metrics.feature_arrays import FeatureSets

SPLITS = 10


class InceptionScore(NamedTuple):
    """Mean and standard deviation over splits; from 1 to the number of classes."""

    mean: float
    std: float


def measure_inception_score(sets: FeatureSets) -> dict[str, dict[str, Any]]:
    """Return the metric `inception_score` if the extractor has a classifier and there are enough images."""
    weights = sets.extractor.class_weights
    if weights is None or len(sets.fake) < SPLITS:
        return {}
    score = inception_score(sets.fake, weights, seed=sets.seed)
    return {"inception_score": {"value": score.mean, "std": score.std, "splits": SPLITS}}


def inception_score(features: NDArray[Any], class_weights: NDArray[Any], *, splits: int = SPLITS, seed: int = 0) -> InceptionScore:
    """Compute exp(E KL(p(y|x) || p(y))), averaged over splits of the samples.

    The classifier's bias is left out, as in the original implementation and in torch-fidelity, whose `inception_score` gives the same.

    Args:
        features: (N, dim), pooled features of the FID Inception network.
        class_weights: (classes, dim), weights of its last, dense layer.
        splits: Parts of the samples that are scored separately.
        seed: Seed of the shuffle before splitting.

    Raises:
        DataError: There are fewer samples than splits.

    Source: Salimans et al. 2016 (Improved Techniques for Training GANs), section 4.
    """
    if len(features) < splits:
        raise DataError(f"samples: {len(features)} images are too few for an Inception Score over {splits} splits")
    order = np.random.RandomState(seed).permutation(len(features))
    logits = np.asarray(features, np.float64)[order] @ np.asarray(class_weights, np.float64).T
    logits -= logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))  # (N, classes)
    count = len(log_p)
    scores = [_split_score(log_p[index * count // splits : (index + 1) * count // splits]) for index in range(splits)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _split_score(log_p: NDArray[np.float64]) -> float:
    p = np.exp(log_p)
    mean = p.mean(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (log_p - np.log(mean)), 0.0)
    return float(np.exp(terms.sum(1).mean()))
