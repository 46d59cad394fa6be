"""Samples next to the training images that they are nearest to, and how usual such nearness is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.extractors.extractor import extract_features
from mitlgan.metrics.feature_cache import cached_pack_features, select_pictures
from mitlgan.metrics.memorization import MIN_UNSEEN, Memorization, measure_memorization, nearest_neighbors
from mitlgan.metrics.protocol import to_rgb
from mitlgan.report.formatting import number, share

NEAREST_SAMPLES = 200
"""Samples whose nearest training images are looked up."""

MAX_TRAINING_IMAGES = 10_000
"""Training images that are searched."""


def nearest_training_images(evaluator: CachedEvaluator, path: Path, training: ImagePack, count: int) -> tuple[list[tuple[str, Tensor]], str]:
    """Return the samples of an artifact that are nearest to training images, with those images.

    Args:
        evaluator: Its extractor gives the features.
        path: The artifact.
        training: The images that it was trained on.
        count: Number of pairs.

    Returns:
        (caption, uint8 images) of the samples and of their neighbors, and a sentence that says how usual such nearness is.
    """
    seeds = evaluator.protocol.seeds()[:NEAREST_SAMPLES]
    key = {"nearest": read_weights_hash(path), "training": training.measured_sha256, "of": NEAREST_SAMPLES, "count": count}
    pairs = evaluator.cached(key, lambda: _measure(evaluator, path, training, seeds, count))
    samples = to_rgb(to_uint8(load_artifact(path, device=evaluator.device).sample([seeds[index] for index in pairs["samples"]])))
    captions = ("The samples nearest to a training picture", "Their nearest training pictures")
    sentence = describe_memorization(Memorization(**pairs["memorization"]), evaluator.protocol.split)
    return list(zip(captions, (samples, training.batch(pairs["pictures"])), strict=True)), sentence


def _measure(evaluator: CachedEvaluator, path: Path, training: ImagePack, seeds: Sequence[int], count: int) -> dict[str, Any]:
    images = to_rgb(to_uint8(load_artifact(path, device=evaluator.device).sample(seeds)))
    samples = extract_features(evaluator.extractor, [images])
    training_features = cached_pack_features(training, evaluator.extractor, count=MAX_TRAINING_IMAGES)
    positions = select_pictures(len(training), MAX_TRAINING_IMAGES)
    unseen = cached_pack_features(evaluator.real, evaluator.extractor, count=evaluator.protocol.samples, seed=evaluator.protocol.seed)
    index, distance = nearest_neighbors(samples, training_features)
    order = np.argsort(distance)[:count]
    memorization = measure_memorization(samples, training_features, unseen)
    return {
        "samples": order.tolist(), "pictures": positions[index[order]].tolist(), "memorization": asdict(memorization),
    }  # fmt: skip


def describe_memorization(memorization: Memorization, split: str) -> str:
    """Return in words how usual it is that samples are so near to training pictures, and what is not known of it."""
    if split == "train":
        return f"The nearest of {memorization.samples} samples. Without unseen real pictures it is unknown how near is usual."
    sentences = []
    if memorization.left_out:
        of = memorization.left_out + memorization.unseen
        sentences.append(f"Left out here, because they are (nearly) among the training pictures: {memorization.left_out:,} of {of:,} {split} pictures.")
    if memorization.share is None or memorization.usual_share is None:
        sentences.append(
            f"The nearest of {memorization.samples} samples. How many are nearer than usual can be said with at least {MIN_UNSEEN} unseen real "
            f"pictures (there are {memorization.unseen})."
        )
    else:
        sentences.append(
            f"{share(memorization.share)} of {memorization.samples} samples are nearer to a training picture than 95 % of unseen real pictures are "
            f"({100 * memorization.usual_share:.2g} % would be usual with {memorization.unseen:,} unseen ones)."
        )
    if memorization.ratio is not None:
        sentences.append(f"Their median distance is {number(memorization.ratio)} times that of unseen real pictures (copies: 0).")
    return " ".join(sentences)
