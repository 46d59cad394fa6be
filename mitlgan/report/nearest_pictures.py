"""Samples next to the training pictures that they are nearest to, and in words how usual such nearness is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.extractors.extractor import Extractor, extract_features
from mitlgan.metrics.feature_cache import cached_pack_features, select_pictures
from mitlgan.metrics.memorization import MIN_UNSEEN, Memorization, measure_memorization, nearest_neighbors
from mitlgan.metrics.protocol import ImageSource, to_rgb
from mitlgan.report.formatting import number, share

NEAREST_SAMPLES = 200
"""Samples whose nearest training pictures are looked up."""
MAX_TRAINING_PICTURES = 10_000
"""Training pictures that are searched."""
PAIRS = 5
"""Pairs that a report shows of an arm."""


def find_nearest(source: ImageSource, seeds: Sequence[int], training: ImagePack, unseen: NDArray[Any], extractor: Extractor) -> dict[str, Any]:
    """Find the samples that are nearest to training pictures.

    Args:
        source: Makes the samples.
        seeds: Their seeds.
        training: The pictures that it was trained on.
        unseen: Features of real pictures that it was not trained on, (N, dim).
        extractor: Gives the features.

    Returns:
        As JSON: positions in `seeds`, the nearest first (`samples`), indices of their training pictures (`pictures`), both `PAIRS` at most, and the
        values of `Memorization`.
    """
    samples = extract_features(extractor, [to_rgb(to_uint8(source.sample(seeds)))])
    features = cached_pack_features(training, extractor, count=MAX_TRAINING_PICTURES)
    positions = select_pictures(len(training), MAX_TRAINING_PICTURES)
    index, distance = nearest_neighbors(samples, features)
    order = np.argsort(distance)[:PAIRS]
    memorization = asdict(measure_memorization(samples, features, unseen))
    return {"samples": order.tolist(), "pictures": positions[index[order]].tolist(), "memorization": memorization}


def pictures_of_pairs(source: ImageSource, seeds: Sequence[int], training: ImagePack, pairs: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """Return the samples and the training pictures of `find_nearest`, (caption, uint8 images) each."""
    samples = to_rgb(to_uint8(source.sample([seeds[index] for index in pairs["samples"]])))
    captions = ("The samples nearest to a training picture", "Their nearest training pictures")
    return list(zip(captions, (samples, training.batch(pairs["pictures"])), strict=True))


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
