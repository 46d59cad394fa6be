"""How long a project takes on this machine, and what it needs: measured in seconds before it begins; lengths are fitted to the time that there is."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.layers.cut import CutResult, CutSettings, cut_picture
from mitlgan.data.layers.matting import matting_methods
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.errors import DataError, ResourceError, UsageError
from mitlgan.metrics.extractors.extractor import extract_features
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.project.recipe_families import RecipeFamily
from mitlgan.project.steps import step_label
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, as_dict, load_recipe, with_overrides
from mitlgan.runtime.progress import format_duration, ignore_message
from mitlgan.stages.pretrain import with_start
from mitlgan.stages.training_speed import TrainingSpeed, measure_training_speed, measure_work, on_free_cores, peak_memory_bytes

ROLES = ("fg", "bg")
EVALUATED_SAMPLES = 500
"""Generated pictures that are measured; far fewer real ones are held out of most projects."""
CUT_SAMPLES, SIZE_SAMPLES = 4, 24
MIN_DECODED_PX = 32
EXTRACTED_SAMPLES = 16
PARALLEL_FACTOR = 1.15
"""Trainings that run at a time share memory and caches."""
START_S = 8.0
"""A training's process loads libraries and packs its pictures."""
REPORT_S = 12.0
SAFETY_FACTOR = 1.08
MIN_FACTOR, MAX_FACTOR = 0.2, 4.0
"""Range of a training's length over that of its recipe: shorter ones learn nothing, longer ones gain nothing."""
CHECKPOINTS, PACKED_LAYERS = 3, 3


@dataclass(frozen=True)
class Measurements:
    """What was measured on this machine.

    Attributes:
        cut_s: Time to cut one photograph, on one core.
        cut_bytes: Size of what is cut out of it.
        speeds: Of each training, by label.
        recipe_kimg: The recipes' own lengths, by label.
        evaluation_s: Time to measure the composition.
        waiting_factor: How many times as long it took because other programs use the cores.
        memory_bytes: Peak memory of one training.
    """

    cut_s: float
    cut_bytes: float
    speeds: Mapping[str, TrainingSpeed]
    recipe_kimg: Mapping[str, float]
    evaluation_s: float
    waiting_factor: float
    memory_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Time and space that a project takes.

    Attributes:
        lengths_kimg: Length of each training by label.
        seconds: Of each part, in order, for people.
        memory_bytes: Peak memory.
        disk_bytes: What it writes.
    """

    lengths_kimg: Mapping[str, float]
    seconds: Mapping[str, float]
    memory_bytes: int
    disk_bytes: int

    @property
    def total_s(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())


def measure_project(source: ImageSource, family: RecipeFamily, size_px: int, cut: CutSettings, jobs: int) -> Measurements:
    """Cut some photographs and run some iterations of each training; nothing is kept.

    Args:
        source: The photographs.
        family: The recipes.
        size_px: Size of the composition's pictures.
        cut: How photographs are cut.
        jobs: Trainings that run at a time.
    """
    threads = torch.get_num_threads() if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)  # as `run_trainings` trains
    cut_s, cut_bytes = _measure_cutting(source, cut)
    speeds, lengths, recipes = dict[str, TrainingSpeed](), dict[str, float](), dict[str, Recipe]()
    for step in family.steps_to(size_px):
        recipes = {role: _with_networks(load_recipe(step.recipes[role]), step.start(role), recipes.get(role)) for role in ROLES}
        for role, recipe in recipes.items():
            label = step_label(role, step.size_px)
            speeds[label], lengths[label] = measure_training_speed(recipe, threads=threads), recipe.training.kimg
    composition, label = load_recipe(family.compositions[size_px]), step_label("scene", size_px)
    layers = {role: GeneratorSpec(recipe.generator, recipe.size_px) for role, recipe in recipes.items() if recipe.generator is not None}
    speeds[label], lengths[label] = measure_training_speed(composition, layers, threads=threads), composition.training.kimg
    waiting = max(speed.waiting_factor for speed in speeds.values())
    return Measurements(cut_s, cut_bytes, speeds, lengths, _measure_evaluation(composition), waiting, peak_memory_bytes())


def median_shorter_side_px(source: ImageSource) -> int:
    """Return the median of the shorter sides of some photographs.

    Raises:
        DataError: None of them can be read.
    """
    sides = []
    for entry in evenly_spaced(source.entries, SIZE_SAMPLES):
        with suppress(UnreadableImageError):
            decoded = decode_bytes(entry.read(), keep_alpha=False, size_px=MIN_DECODED_PX)
            sides.append(min(decoded.width, decoded.height))
    if not sides:
        raise DataError(
            f"PHOTOS {source.spec}: none of {min(SIZE_SAMPLES, len(source.entries))} pictures can be read; see `mitlgan data check` for why"
        )
    return int(statistics.median(sides))


def fit_lengths(measured: Measurements, family: RecipeFamily, size_px: int, count: int, minutes: float | None, jobs: int) -> Estimate:
    """Return the lengths of the trainings, and what all of it takes.

    Args:
        measured: On this machine.
        family: The recipes.
        size_px: Size of the composition's pictures.
        count: Number of photographs.
        minutes: Time for all of it; None takes the recipes' own lengths.
        jobs: Trainings that run at a time.

    Raises:
        UsageError: There is too little time; says how much is needed.
    """
    factor = 1.0
    if minutes is not None:
        factor = _factor_for(measured, family, size_px, count, minutes * 60 / SAFETY_FACTOR, jobs)
    lengths = {label: round(max(kimg * _of_training(label, factor), 0.1), 1) for label, kimg in measured.recipe_kimg.items()}
    states = sum(speed.state_bytes for speed in measured.speeds.values())
    pixels = count * PACKED_LAYERS * 4 * sum(step.size_px**2 for step in family.steps_to(size_px))
    disk = round(count * measured.cut_bytes + pixels + CHECKPOINTS * states)
    memory = measured.memory_bytes * (1 if jobs == 1 else 1 + jobs)
    return Estimate(lengths, _seconds(measured, family, size_px, count, factor, jobs), memory, disk)


def require_space(estimate: Estimate, out: Path) -> None:
    """Refuse a project that does not fit on the disk.

    Raises:
        ResourceError: There is too little space.
    """
    free = _free_bytes(out)
    if free < estimate.disk_bytes:
        raise ResourceError(
            f"--out {out}: needs about {format_bytes(estimate.disk_bytes)}, and {format_bytes(free)} are free; free some, or give another"
        )


def describe_estimate(estimate: Estimate, measured: Measurements, out: Path) -> list[str]:
    """Return for people how long it takes and what it needs."""
    parts = ", ".join(f"{part} {format_duration(seconds)}" for part, seconds in estimate.seconds.items())
    lines = [f"about {format_duration(estimate.total_s)} on this machine: {parts}"]
    if measured.waiting_factor > 1:
        lines.append(f"other programs use its cores now: while they do, it takes about {measured.waiting_factor:.0f} times as long")
    disk = f"{format_bytes(estimate.disk_bytes)} of disk ({format_bytes(_free_bytes(out))} are free)"
    return [*lines, f"about {format_bytes(estimate.memory_bytes)} of memory and {disk}"]


def format_bytes(size: float) -> str:
    """Return a size such as `85 MB` or `1.2 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _free_bytes(out: Path) -> int:
    return shutil.disk_usage(next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())).free


def _factor_for(measured: Measurements, family: RecipeFamily, size_px: int, count: int, available_s: float, jobs: int) -> float:
    """Return by how much trainings are longer than their recipes, so that all of it takes the available time."""

    def total_s(factor: float) -> float:
        return sum(_seconds(measured, family, size_px, count, factor, jobs).values())

    if total_s(MIN_FACTOR) > available_s:
        needed = -(-total_s(MIN_FACTOR) * SAFETY_FACTOR // 60)
        sizes = [px for px in family.sizes_px if px < size_px and _smaller_s(measured, family, px, size_px, count, jobs) <= available_s]
        smaller = f", or --size {sizes[-1]}" if sizes else ""
        raise UsageError(f"--minutes {available_s * SAFETY_FACTOR / 60:g}: {size_px} px need at least {needed:.0f} on this machine; give more{smaller}")
    low, high = MIN_FACTOR, MAX_FACTOR
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if total_s(middle) <= available_s else (low, middle)
    return low


def _of_training(label: str, factor: float) -> float:
    """Return by how much one training is longer than its recipe; compositions of good layers gain nothing by longer training."""
    return min(factor, 1.0) if label.startswith("scene-") else factor


def _seconds(measured: Measurements, family: RecipeFamily, size_px: int, count: int, factor: float, jobs: int) -> dict[str, float]:
    def training_s(label: str) -> float:
        return START_S + measured.speeds[label].seconds_per_kimg * measured.recipe_kimg[label] * _of_training(label, factor)

    seconds = {"cutting": count * measured.cut_s / (os.cpu_count() or 1)}
    for step in family.steps_to(size_px):
        both = [training_s(step_label(role, step.size_px)) for role in ROLES]
        seconds[_layers_part(step.size_px)] = sum(both) if jobs == 1 else max(both) * PARALLEL_FACTOR
    seconds["composing"] = training_s(step_label("scene", size_px))
    return seconds | {"measuring": measured.evaluation_s + REPORT_S}


def _smaller_s(measured: Measurements, family: RecipeFamily, smaller_px: int, size_px: int, count: int, jobs: int) -> float:
    """Return the most that a project of smaller pictures needs; its composing, which was not measured, counts as that of the larger."""
    seconds = _seconds(measured, family, size_px, count, MIN_FACTOR, jobs)
    left_out = [_layers_part(step.size_px) for step in family.steps_to(size_px) if step.size_px > smaller_px]
    return sum(seconds.values()) - sum(seconds[part] for part in left_out)


def _layers_part(size_px: int) -> str:
    return f"layers of {size_px} px"


def _with_networks(recipe: Recipe, start: Path | None, before: Recipe | None) -> Recipe:
    """Return a recipe with the networks that it trains: those of the shipped layer that it goes on from, or the parent of the step before."""
    if start is not None:
        recipe, _ = with_start(recipe, start, None, ignore_message)
    elif before is not None and isinstance(recipe.generator, ParentedGeneratorRecipe):
        assert before.generator is not None
        recipe = with_overrides(recipe, generator__parent=as_dict(before.generator), generator__parent_px=before.size_px)
    return recipe


def _measure_cutting(source: ImageSource, settings: CutSettings) -> tuple[float, float]:
    """Return the seconds and bytes of one photograph, from some of them."""
    methods = matting_methods(settings.matting)
    entries, results = evenly_spaced(source.entries, CUT_SAMPLES), list[CutResult]()
    seconds, _ = on_free_cores(*measure_work(lambda: results.extend(cut_picture(entry, methods, settings) for entry in entries)), threads=1)
    return seconds / len(entries), sum(len(content) for result in results for content in result.pieces.values()) / len(entries)


def _measure_evaluation(composition: Recipe) -> float:
    extractor = open_extractor(composition.evaluation.extractors[0])
    images = torch.zeros(EXTRACTED_SAMPLES, 3, composition.size_px, composition.size_px, dtype=torch.uint8)
    seconds, _ = on_free_cores(*measure_work(lambda: extract_features(extractor, [images])), torch.get_num_threads())
    return seconds / EXTRACTED_SAMPLES * EVALUATED_SAMPLES
