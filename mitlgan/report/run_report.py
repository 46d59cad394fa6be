"""The report of one run: its curves, its snapshots, what its own numbers say, and what was measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mitlgan.artifacts.card import Card, read_card
from mitlgan.artifacts.loaded_artifact import load_artifact as load_artifact
from mitlgan.artifacts.summary import describe_recipe
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.data.sources.split_folders import with_correct_splits
from mitlgan.errors import MitlganError
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.recipe import Recipe, display_name
from mitlgan.report import ArmResult, Comparison, Cost, ReportPaths, StageCost, diagnose, write_report
from mitlgan.report.schema import Pixels
from mitlgan.runtime.json_files import read_json, read_jsonl
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run
from mitlgan.version import __version__

PICTURES = 25


def write_run_report(path: Path) -> tuple[ReportPaths, list[str]]:
    """Write the report of one run, finished or not, into its directory.

    Args:
        path: The run directory.

    Returns:
        Where it lies, and what the run's own numbers say, in sentences.

    Raises:
        UsageError: Not a run directory.
    """
    run = run_directory.open_run(path)
    recipe = run.load_recipe()
    stats, evaluations = list(read_jsonl(run.stats_file)), list(read_jsonl(run.evaluations_file))
    findings = diagnose(stats, evaluations).sentences()
    card = read_card(run.artifact_file) if run.artifact_file is not None else None
    measured = _figures(run, card)
    layers, samples = _drawn(run.artifact_file, card)
    arm = ArmResult(
        name=recipe.name, label=display_name(recipe),
        role="composed" if recipe.composer is not None else "baseline", run_dir=str(run.path), stats=stats,
        timing=list(read_jsonl(run.timing_file)), evaluations=evaluations,
        cost=_cost(run.read_status(), recipe, card), layers=layers, samples=samples,
        metrics=flat_metrics(measured) if "frechet" in measured else {}, seeds=(recipe.seed,), notes=[card.notes] if card and card.notes else [],
    )  # fmt: skip
    findings += _splits(measured, evaluations)
    protocol = {**measured.get("protocol", {}), **_measured_on(measured)}
    whole = Comparison(
        title=f"{display_name(recipe)}: {recipe.command} {recipe.role}, {recipe.size_px} px", arms=[arm], findings=findings,
        protocol={"extractor": recipe.evaluation.extractors[0], **protocol}, shipped=[], real=_real(recipe),
        environment={"state": run.read_state(), "data": recipe.data.source, "seed": recipe.seed},
        commands=[f"mitlgan report {path}"], made_by=f"mitlgan {__version__}",
    )  # fmt: skip
    return write_report(run.path, whole, json_name="report.json"), findings  # metrics.json is the run's own


def _figures(run: Run, card: Card | None) -> dict[str, Any]:
    """What was measured of the run, each figure with the split that it was measured on, whatever an earlier version called that."""
    known = read_json(run.path / "metrics.json")
    if not known:
        return {} if card is None else card.metrics
    found: dict[str, Any] = with_correct_splits(known, "" if card is None else str(card.data.get("content_sha256", "")))
    return found


def _measured_on(measured: dict[str, Any]) -> dict[str, Any]:
    """Of the figures: the split, and how many generated and real pictures."""
    first = measured.get("frechet", {})
    return {key: first[key] for key in ("split", "generated", "real", "data_sha256") if key in first}


def _splits(measured: dict[str, Any], evaluations: list[dict[str, Any]]) -> list[str]:
    """What is to be said of the splits of figures and evaluations."""
    said = []
    first = measured.get("frechet", {})
    if "split_recorded" in first:
        said.append(f"The figures were recorded as of {first['split_recorded']}, but are of the pictures that the network was trained on.")
    splits = dict.fromkeys((row.get("split"), row.get("real")) for row in evaluations if row.get("split"))
    said += [f"Evaluations on the way are against {real:,} real {split} pictures." for split, real in splits]
    return said


def _drawn(file: Path | None, card: Card | None) -> tuple[dict[str, Pixels], Pixels | None]:
    """Every stage of a composition's pictures, and the pictures of any artifact that makes some of latents."""
    if file is None or card is None or card.kind == "inpainter":
        return {}, None
    loaded = load_artifact(file)
    stage = loaded.layers(range(PICTURES))
    pictures: dict[str, Pixels] = {}
    if loaded.composer is not None:
        pictures = {name: to_uint8(image) for name, image in stage.layers.items()}
        pictures |= {} if stage.matte is None else {"matte": to_uint8(stage.matte * 2 - 1)}
        pictures |= {"fused": to_uint8(stage.fused), "output": to_uint8(stage.output)}
    return pictures, to_uint8(stage.output)


def _real(recipe: Recipe) -> Pixels | None:
    try:
        pictures = open_recipe_data(recipe)
    except MitlganError:  # a run can be read where its pictures are not
        return None
    return pictures.batch(np.linspace(0, len(pictures) - 1, PICTURES).astype(np.int64))


def _cost(status: dict[str, Any], recipe: Recipe, card: Card | None) -> Cost:
    total = describe_recipe(recipe, None if card is None else card.generator_specs())["total"]
    stage = StageCost(recipe.command, status.get("kimg"), status.get("seconds"))
    return Cost([stage], total["trainable"], total["parameters"], total["multiply_accumulates"])
