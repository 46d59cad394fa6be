"""Measuring arms alike, and once: what was measured is kept in the cache by everything that decides it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.data.sources.split_folders import correct_split
from mitlgan.data.splits import choose_evaluation_split, resolve_split
from mitlgan.errors import DataError, ResourceError
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.extractors.extractor import Extractor, extract_features
from mitlgan.metrics.extractors.mobilenet_v2 import SECOND_EXTRACTOR, second_weights
from mitlgan.metrics.extractors.registry import OFFLINE_EXTRACTOR
from mitlgan.metrics.feature_cache import cached_pack_features, select_pictures
from mitlgan.metrics.memorization import measure_memorization, nearest_neighbors
from mitlgan.metrics.protocol import EvalProtocol, ImageSource, evaluate, measure_anchors, open_extractors, to_rgb
from mitlgan.recipe import Recipe
from mitlgan.runtime.files import ensure_folder, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import Reporter
from mitlgan.stages.context import RunContext

CACHE_VERSION = 2
"""Raised when the way to a number changes, so that older ones are not taken."""

NEAREST_SAMPLES = 200
"""Samples whose nearest training pictures are looked for."""

MAX_TRAINING_IMAGES = 10_000
"""Training pictures that are looked at, at most."""

VALIDATION_SEED = 1
"""The latents by which a snapshot is chosen are not those by which it is reported."""


@dataclasses.dataclass(frozen=True)
class CachedEvaluator:
    """How the arms of one domain are measured.

    Attributes:
        protocol: On the pictures that are reported.
        real: Those pictures.
        validation: The pictures by which snapshots are chosen.
        validation_split: What they are.
        extractor: The opened network.
        device: Where artifacts are sampled.
        reporter: Who is told.
        others: The same by further extractors, which choose no snapshots.
    """

    protocol: EvalProtocol
    real: ImagePack
    validation: ImagePack
    validation_split: str
    extractor: Extractor
    device: str
    reporter: Reporter
    secondary: tuple[CachedEvaluator, ...] = ()

    @property
    def real_count(self) -> int:
        """Real pictures that are measured."""
        return min(self.protocol.samples, len(self.real))

    def optimism_warnings(self, *, chosen: bool) -> list[str]:
        """Why the figures will flatter, if they will.

        Args:
            chosen: Whether snapshots are chosen by validation.
        """
        found = []
        if self.protocol.split == "train":
            found.append("The real side are the training scenes themselves (there are no held-out ones): an arm that memorizes them scores well.")
        if chosen and self.validation_split == self.protocol.split:
            found.append(
                f"Snapshots are chosen on the very pictures that are reported ({self.protocol.split}: there are no others), which flatters every arm."
            )
        if len(self.real) < self.protocol.samples:
            real = f"{len(self.real):,} real {self.protocol.split} pictures"
            found.append(f"There are {real}, all of which are compared with {self.protocol.samples:,} of each arm.")
        return found

    def evaluate_artifact(self, path: Path, *, validation: bool = False) -> dict[str, Any]:
        """Measures of an artifact; see `evaluate.evaluate`."""
        return self.evaluate_sampler(read_weights_hash(path), lambda: load_artifact(path, device=self.device), f"{path.parent}", validation=validation)

    def evaluate_sampler(self, key: str, make: Callable[[], ImageSource], what: str, *, validation: bool = False) -> dict[str, Any]:
        """Measures of whatever makes images.

        Args:
            key: Tells it apart from all others.
            make: Makes it, if it was not measured before.
            what: Its name, for the reporter.
            validation: Whether on the validation pictures, at other latents, and no more samples than there are such pictures.
        """
        protocol, real = self.protocol, self.real
        if validation:
            real = self.validation
            protocol = dataclasses.replace(
                protocol, split=self.validation_split, seed=protocol.seed + VALIDATION_SEED, samples=min(protocol.samples, max(2, len(real))),
                extrapolate=False,
            )  # fmt: skip
        return self._kept({"artifact": key}, protocol, real, lambda: self._evaluated(make, what, real, protocol))

    def evaluate_anchors(self, others: Mapping[str, ImagePack]) -> dict[str, dict[str, Any]]:
        """Measures of the anchors; see `evaluate.anchors`."""
        known: Mapping[str, ImagePack | Iterable[Tensor]] = others
        key = {"anchors": {name: pack.content_sha256 for name, pack in others.items()}}
        return self._kept(key, self.protocol, self.real, lambda: measure_anchors(self.real, self.protocol, known, extractor=self.extractor))

    def _evaluated(self, make: Callable[[], ImageSource], what: str, real: ImagePack, protocol: EvalProtocol) -> dict[str, Any]:
        against = f"{min(protocol.samples, len(real)):,} real ones of {protocol.split}"
        self.reporter.say(f"measuring {what}: {protocol.samples:,} images against {against}")
        return evaluate(make(), real, protocol, extractor=self.extractor)

    def cached(self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Whatever else is measured of an arm: known from before, or measured now."""
        return self._kept(key, self.protocol, self.real, measure)

    def nearest_training_images(self, path: Path, training: ImagePack, count: int) -> tuple[list[tuple[str, Tensor]], str]:
        """Samples of an artifact that lie nearest to training pictures, those pictures, and how usual such nearness is.

        Args:
            path: The artifact.
            training: The pictures that it was trained on.
            count: How many samples are shown.

        Returns:
            (caption, uint8 pictures) of the samples and of their neighbours, and a sentence.
        """
        seeds = self.protocol.seeds()[:NEAREST_SAMPLES]
        key = {"nearest": read_weights_hash(path), "training": training.content_sha256, "of": NEAREST_SAMPLES, "count": count}
        found = self.cached(key, lambda: self._nearest(path, training, seeds, count))
        samples = to_rgb(to_uint8(load_artifact(path, device=self.device).sample([seeds[place] for place in found["samples"]])))
        known = training.batch(found["pictures"])
        share = (
            f"{found['share']:.0%} of {found['of']} samples lie nearer to a training picture than 95 % of unseen real pictures do (5 % would be usual)"
        )
        sentence = f"{share}; the median distance is {found['ratio']:.2f} times that of unseen real pictures (copies: 0)."
        if self.protocol.split == "train":
            sentence = f"The nearest of {found['of']} samples; with no unseen real pictures at hand nothing says how near is usual."
        return [("The samples nearest to a training picture", samples), ("Their nearest training pictures", known)], sentence

    def _nearest(self, path: Path, training: ImagePack, seeds: Sequence[int], count: int) -> dict[str, Any]:
        drawn = to_rgb(to_uint8(load_artifact(path, device=self.device).sample(seeds)))
        samples = extract_features(self.extractor, [drawn])
        known = cached_pack_features(training, self.extractor, count=MAX_TRAINING_IMAGES)
        chosen = select_pictures(len(training), MAX_TRAINING_IMAGES)
        unseen = cached_pack_features(self.real, self.extractor, count=self.protocol.samples, seed=self.protocol.seed)
        index, distance = nearest_neighbors(samples, known)
        order = np.argsort(distance)[:count]
        found = measure_memorization(samples, known, unseen)
        return {
            "samples": order.tolist(), "pictures": chosen[index[order]].tolist(), "share": found.share, "ratio": found.ratio, "of": found.samples,
        }  # fmt: skip

    def _kept(self, key: Mapping[str, Any], protocol: EvalProtocol, real: ImagePack, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        path = _file(
            {
                **key,
                "form": CACHE_VERSION,
                "protocol": dataclasses.asdict(protocol),
                "data": real.content_sha256,
                "extractor": self.extractor.name,
                "weights": self.extractor.weights_sha256,
                # These change the last digits; without them a number would depend on who measured first.
                "device": self.device,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
        )
        if path is not None and (known := read_json(path)):
            return known
        found = measure()
        if path is not None:
            with suppress(ResourceError):
                write_json(path, found)
        return found


def open_evaluator(plan: ComparisonPlan, recipe: Recipe, environment: RunContext) -> CachedEvaluator:
    """How the arms of a composition are measured.

    Raises:
        UsageError: Weights are absent: told before any training.
        DataError: There are no pictures to measure against, or a single one.
    """
    source, device, say = recipe.data.source, str(environment.world.device), environment.reporter.say
    named = recipe.evaluation.split if any(text.partition("=")[0].strip() == "evaluation.split" for text in plan.settings) else None
    standing_in: list[str] = []
    split = choose_evaluation_split(source, recipe.role, named, recipe.evaluation.split, standing_in.append)
    real, training = open_recipe_data(recipe, split, say=say), open_recipe_data(recipe)
    split = correct_split(split, real.content_sha256, training.content_sha256)
    if len(real) < 2:
        raise DataError(f"{source}: a single {split} picture is too few to measure by; hold out more (`--holdout N` of `mitlgan data split`)")
    if split != "train":  # of which the ruler tells itself, here and in the report
        for sentence in standing_in:
            say(sentence)
    validation = resolve_split(source, recipe.role, "validation")
    chosen_by = open_recipe_data(recipe, validation)
    validation = correct_split(validation, chosen_by.content_sha256, training.content_sha256)
    names = plan.extractors or extractor_names(recipe)
    protocol = EvalProtocol(extractor=names[0], samples=plan.samples or recipe.evaluation.samples, split=split)
    networks = open_extractors(protocol, names, weights=plan.weights, device=device)
    first, *others = [
        CachedEvaluator(dataclasses.replace(protocol, extractor=name), real, chosen_by, validation, network, device, environment.reporter)
        for name, network in networks.items()
    ]
    return dataclasses.replace(first, secondary=tuple(others))


def extractor_names(recipe: Recipe) -> tuple[str, ...]:
    """A recipe's extractors and, where it names one, another that needs no network, if its weights are at hand, at the same input size."""
    names = recipe.evaluation.extractors
    base, at, size_px = names[0].partition("@")
    second = OFFLINE_EXTRACTOR if base != OFFLINE_EXTRACTOR else SECOND_EXTRACTOR
    if len(names) > 1 or (second == SECOND_EXTRACTOR and second_weights() is None):
        return names
    return (*names, f"{second}{at}{size_px}" if base in (OFFLINE_EXTRACTOR, SECOND_EXTRACTOR) else second)


def _file(key: Mapping[str, Any]) -> Path | None:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    with suppress(ResourceError, OSError):
        folder = cache_dir() / "measured"
        ensure_folder(folder)
        return folder / f"{name}.json"
    return None
