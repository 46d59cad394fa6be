"""What training commands print: the finished run, or what a dry run would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.cli.output import log, print_result

if TYPE_CHECKING:
    from mitlgan.artifacts.card import GeneratorSpec
    from mitlgan.compare.plan import ComparisonPlan
    from mitlgan.recipe import Recipe
    from mitlgan.stages.context import RunContext
    from mitlgan.stages.estimate import WorkEstimate
    from mitlgan.training.run_directory import Run


def print_run(run: Run, context: RunContext, as_json: bool) -> None:
    """Print where the run's artifact is, its status, and as JSON what else it left; the leading rank alone prints."""
    if not context.world.is_leader:
        return
    from mitlgan.report.run_files import list_run_files

    status = run.read_status()
    values: dict[str, Any] = {"run": str(run.path), "artifact": str(run.artifact_file) if run.artifact_file else None, **status}
    values["left"] = [str(path) for path in list_run_files(run)]
    print_result(as_json, values, f"{run.artifact_file or run.path}")


def print_dry_run(
    recipe: Recipe, device: str, as_json: bool, out: Path, layers: Mapping[str, GeneratorSpec] | None = None, *, data: str | None
) -> None:
    """Check everything that training needs, measure a few steps, and print what the run would do and take; leaves nothing behind."""
    from mitlgan.artifacts.summary import describe_recipe
    from mitlgan.data.recipe_data import note_demo_data, open_recipe_data
    from mitlgan.recipe import as_dict
    from mitlgan.recipe.advice import training_advice
    from mitlgan.runtime.distributed import World, resolve_device
    from mitlgan.stages.estimate import busy_note, disk_warning, estimate_run
    from mitlgan.training.schedule import count_generator_updates

    world = World(0, 1, resolve_device(device))
    pixels = open_recipe_data(recipe, say=log)
    updates = count_generator_updates(recipe)
    described = describe_recipe(recipe, layers)
    estimate = estimate_run(recipe, world, layers=layers, pack=pixels)
    note_demo_data(recipe, data, log)
    advice = training_advice(recipe, len(pixels))
    for note in (*advice, disk_warning(estimate.disk_bytes, out), busy_note([estimate]) if world.device.type == "cpu" else None):
        if note is not None:
            log(note)
    values = {
        "recipe": as_dict(recipe),
        "pictures": len(pixels),
        "data_sha256": pixels.content_sha256,
        "generator_updates": updates,
        **described,
        "advice": advice,
    }
    total = described["total"]
    text = (
        f"{recipe.command} {recipe.role}: {len(pixels)} pictures of {recipe.size_px} px, {updates} generator updates, "
        f"{total['trainable']:,} trainable parameters; {estimate.describe()}; nothing was written"
    )
    print_result(as_json, {**values, "estimate": estimate.to_json()}, text)


def print_comparison_estimate(plan: ComparisonPlan, device: str, out: Path, threads: int | None, as_json: bool) -> None:
    """Measure a few steps of each training of a comparison, and print what it would take; leaves nothing behind."""
    from mitlgan.cli.options import open_run_context
    from mitlgan.compare.dry_run import estimate_comparison

    with open_run_context(device, "compare", out, threads) as context:
        work = estimate_comparison(plan, context)
    print_work_estimate(work, out, as_json)


def print_work_estimate(work: WorkEstimate, out: Path, as_json: bool) -> None:
    """Print what several trainings would take."""
    from mitlgan.stages.estimate import busy_note, disk_warning

    for note in (disk_warning(work.disk_bytes, out), busy_note(work.trainings)):
        if note is not None:
            log(note)
    print_result(as_json, {"estimate": work.to_json()}, "\n".join([*work.lines(), "nothing was written"]))
