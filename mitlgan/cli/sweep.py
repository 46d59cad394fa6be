"""train and sweep: one recipe by its name, or many of them into one ranking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.options import finish, note

RUNS = Path("runs")


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name or a file, with a [generator] or an [inpainter].")],
    data: options.Data = None,
    settings: options.Settings = None,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    seed: options.Seed = None,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Train any recipe with a generator, such as the classic GANs, or with an inpainter, and leave summaries, a diagram and plots in its run."""
    from mitlgan.errors import UsageError
    from mitlgan.report.run_files import leave
    from mitlgan.stages import stages

    chosen = options.recipe_from(recipe, recipe, data=data, seed=seed, settings=settings, given="RECIPE")
    if chosen.composer is not None:
        raise UsageError(f"RECIPE {recipe}: is for `mitlgan {chosen.command}`; give one with a [generator] or an [inpainter]")
    with options.environment(device, chosen.name, out, threads) as environment:
        run = stages.get_or_train(chosen, environment)
    if environment.world.is_leader:
        left = leave(run)
        status = run.status()
        values = {"run": str(run.path), "artifact": str(run.artifact), **status, "left": [str(path) for path in left]}
        finish(as_json, values, f"{run.artifact}")


def sweep(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Shipped names or files, each with a [generator].")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="[PATTERN=]SOURCE", help="Pictures of all recipes, or of those whose name matches; repeatable."),
    ] = None,
    scale: Annotated[list[str] | None, typer.Option("--scale", metavar="[PATTERN=]FACTOR", help="Of the recipes' length, likewise.")] = None,
    vary: Annotated[list[str] | None, typer.Option("--vary", metavar="A.B=V,V", help="Each recipe with each of these values; repeatable.")] = None,
    settings: options.Settings = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Trainings at a time, one CPU thread each.", min=1, max=256)] = 1,
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", help="Images evaluated.", min=20)] = 1000,
    extractor: Annotated[str, typer.Option("--extractor", metavar="NAME", help="inception, efficientnet-lite0 or timm:NAME.")] = "efficientnet-lite0",
    weights: options.Weights = None,
    rank_only: Annotated[bool, typer.Option("--rank-only", help="Train nothing; measure and rank what is finished.")] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where all of it goes; a second call goes on there.")] = Path("sweep"),
    as_json: options.Json = False,
) -> None:
    """Train many recipes, or one varied, measure all alike, and rank them in one table."""
    from mitlgan.compare import sweep as sweeping
    from mitlgan.report.ranking import markdown, summary
    from mitlgan.runtime.progress import PlainReporter

    plan = sweeping.SweepPlan(
        recipes, data or [], scale or [], vary or [], settings or [], jobs=jobs, samples=samples, extractor=extractor, weights=weights
    )
    options.use_threads(1)
    reporter = PlainReporter("sweep")
    ranking, paths = sweeping.run_sweep(plan, out, reporter, train=not rank_only)
    note(str(paths.html))
    finish(as_json, {"html": str(paths.html), "md": str(paths.md), **summary(ranking)}, markdown(ranking))


COMMANDS: dict[str, Callable[..., None]] = {"train": train, "sweep": sweep}
