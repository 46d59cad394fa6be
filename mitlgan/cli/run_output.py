"""What training commands print: the finished run, or what a dry run would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mitlgan.cli.output import log, print_result

if TYPE_CHECKING:
    from mitlgan.artifacts.card import GeneratorSpec
    from mitlgan.recipe import Recipe
    from mitlgan.stages.context import RunContext
    from mitlgan.training.run_directory import Run


def print_run(run: Run, context: RunContext, as_json: bool) -> None:
    """Print where the run's artifact is, and its status; the leading rank alone prints."""
    if not context.world.is_leader:
        return
    status = run.read_status()
    values: dict[str, Any] = {"run": str(run.path), "artifact": str(run.artifact_file) if run.artifact_file else None, **status}
    print_result(as_json, values, f"{run.artifact_file or run.path}")


def print_dry_run(recipe: Recipe, device: str, as_json: bool, layers: Mapping[str, GeneratorSpec] | None = None) -> None:
    """Check everything that training needs and print what it would do; writes nothing."""
    from mitlgan.artifacts.summary import describe_recipe
    from mitlgan.data.recipe_data import open_recipe_data
    from mitlgan.recipe import as_dict
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.training.schedule import count_generator_updates

    resolve_device(device)
    pixels = open_recipe_data(recipe, say=log)
    updates = count_generator_updates(recipe)
    described = describe_recipe(recipe, layers)
    values = {"recipe": as_dict(recipe), "pictures": len(pixels), "data_sha256": pixels.content_sha256, "generator_updates": updates, **described}
    total = described["total"]
    text = (
        f"{recipe.command} {recipe.role}: {len(pixels)} pictures of {recipe.size_px} px, {updates} generator updates, "
        f"{total['trainable']:,} trainable parameters; nothing was written"
    )
    print_result(as_json, values, text)
