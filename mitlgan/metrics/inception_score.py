"""Inception Score: how certain a classifier is of each picture, and how evenly its classes are met. No real picture is looked at."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitlgan.errors import DataError

SPLITS = 10


class InceptionScore(NamedTuple):
    """Mean and standard deviation over splits; from 1 to the number of classes."""

    mean: float
    std: float


def inception_score(features: NDArray[Any], class_weights: NDArray[Any], *, splits: int = SPLITS, seed: int = 0) -> InceptionScore:
    """exp(E KL(p(y|x) || p(y))), mean over splits of the samples.

    The classifier's bias is left out, as in the original implementation and in torch-fidelity, with whose `inception_score` this agrees.

    Args:
        features: (N, dim), pooled features of the FID Inception network.
        class_weights: (classes, dim), of its last, dense layer.
        splits: Parts of the samples, each scored apart.
        seed: Of the shuffle before they are cut.

    Raises:
        DataError: Fewer samples than splits.

    Source: Salimans et al. 2016 (Improved Techniques for Training GANs), section 4.
    """
    if len(features) < splits:
        raise DataError(f"samples: {len(features)} images are too few for an Inception Score over {splits} splits")
    order = np.random.RandomState(seed).permutation(len(features))
    logits = np.asarray(features, np.float64)[order] @ np.asarray(class_weights, np.float64).T
    logits -= logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))  # (N, classes)
    count = len(log_p)
    scores = [_score(log_p[index * count // splits : (index + 1) * count // splits]) for index in range(splits)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _score(log_p: NDArray[np.float64]) -> float:
    p = np.exp(log_p)
    mean = p.mean(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (log_p - np.log(mean)), 0.0)
    return float(np.exp(terms.sum(1).mean()))
