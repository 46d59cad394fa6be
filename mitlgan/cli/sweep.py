"""`mitlgan sweep`: train many recipes and rank them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result


def sweep(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Shipped recipes or files, each with a [generator].")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="[PATTERN=]SOURCE", help="Data of all recipes, or of those whose name matches; repeatable."),
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option("--scale", metavar="[PATTERN=]FACTOR", help="Factor on the length of all recipes, or of those whose name matches; repeatable."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="A.B=V,V",
            help="Train each recipe with each of these values, which may be lists; A=..;B=.. varies keys together; repeatable.",
        ),
    ] = None,
    settings: options.Settings = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Trainings that run in parallel, one CPU thread each.", min=1, max=256)] = 1,
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", help="Number of generated images.", min=20)] = 1000,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            "--extractor",
            metavar="NAME",
            help="inception, efficientnet-lite0, mobilenet-v2, digits (grey, 28 px) or timm:NAME; repeatable, the first orders the rows. "
            "Default: efficientnet-lite0.",
        ),
    ] = None,
    weights: options.Weights = None,
    rank_only: Annotated[
        bool, typer.Option("--rank-only", help="Train nothing; measure what is there, unfinished trainings as far as they came.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of all runs and the ranking; an unfinished sweep in it continues.")] = Path(
        "sweep"
    ),
    as_json: options.Json = False,
) -> None:
    """Train many recipes, or variants of one, and rank them.

    All are measured alike, in one table.
    """
    from mitlgan.compare.sweep import run_sweep
    from mitlgan.compare.sweep_plan import SweepPlan
    from mitlgan.metrics.extractors.names import OFFLINE_EXTRACTOR
    from mitlgan.report.ranking import ranking_markdown, ranking_summary
    from mitlgan.runtime.progress import PlainReporter

    plan = SweepPlan(
        recipes, data or [], scale or [], vary or [], settings or [], jobs=jobs, samples=samples, extractors=extractor or [OFFLINE_EXTRACTOR],
        weights=weights,
    )  # fmt: skip
    options.use_threads(1)
    reporter = PlainReporter("sweep")
    ranking, paths = run_sweep(plan, out, reporter, train=not rank_only)
    log(str(paths.html))
    print_result(as_json, {"html": str(paths.html), "md": str(paths.md), **ranking_summary(ranking)}, ranking_markdown(ranking))
