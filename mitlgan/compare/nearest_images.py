"""The samples of an arm next to the training images that they are nearest to, cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.metrics.feature_cache import cached_pack_features
from mitlgan.metrics.memorization import Memorization
from mitlgan.report.nearest_pictures import NEAREST_SAMPLES, PAIRS, describe_memorization, find_nearest, pictures_of_pairs


def nearest_training_images(evaluator: CachedEvaluator, path: Path, training: ImagePack) -> tuple[list[tuple[str, Tensor]], str]:
    """Return the samples of an artifact that are nearest to training images, with those images.

    Args:
        evaluator: Its extractor gives the features.
        path: The artifact.
        training: The images that it was trained on.

    Returns:
        (caption, uint8 images) of the samples and of their neighbors, and a sentence that says how usual such nearness is.
    """
    seeds = evaluator.protocol.seeds()[:NEAREST_SAMPLES]
    loaded = load_artifact(path, device=evaluator.device)
    key = {"nearest": loaded.tensors_sha256, "training": training.measured_sha256, "of": NEAREST_SAMPLES, "count": PAIRS}

    def measure() -> dict[str, Any]:
        unseen = cached_pack_features(evaluator.real, evaluator.extractor, count=evaluator.protocol.samples, seed=evaluator.protocol.seed)
        return find_nearest(loaded, seeds, training, unseen, evaluator.extractor)

    pairs = evaluator.cached(key, measure)
    sentence = describe_memorization(Memorization(**pairs["memorization"]), evaluator.protocol.split)
    return pictures_of_pairs(loaded, seeds, training, pairs), sentence
