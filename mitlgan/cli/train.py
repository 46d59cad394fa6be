"""`mitlgan train`: train one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.run_output import print_dry_run

RUNS = Path("runs")


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe or a file, with a [generator] or an [inpainter].")],
    data: options.Data = None,
    settings: options.Settings = None,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    seed: options.Seed = None,
    threads: options.Threads = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Train any recipe with a generator or an inpainter.

    Leaves summaries, a diagram and plots in the run.
    """
    from mitlgan.errors import UsageError
    from mitlgan.report.run_files import write_run_files
    from mitlgan.stages.existing_runs import get_or_train
    from mitlgan.stages.initial_critic import with_critic_parent

    chosen = options.recipe_from(recipe, recipe, data=data, seed=seed, settings=settings, option="RECIPE")
    if chosen.composer is not None:
        raise UsageError(f"RECIPE {recipe}: is for `mitlgan {chosen.command}`; give one with a [generator] or an [inpainter]")
    if dry_run:
        options.use_threads(threads)
        return print_dry_run(with_critic_parent(chosen, None, log), device, as_json, out, data=data)
    with options.open_run_context(device, chosen.name, out, threads, has_data_option=data is not None) as context:
        run = get_or_train(chosen, context)
    if context.world.is_leader:
        left = write_run_files(run)
        status = run.read_status()
        values = {"run": str(run.path), "artifact": str(run.artifact_file), **status, "left": [str(path) for path in left]}
        print_result(as_json, values, f"{run.artifact_file}")
    return None
