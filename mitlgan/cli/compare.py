"""`mitlgan compare`: compositions and baselines on the same scenes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result
from mitlgan.cli.run_output import print_comparison_estimate

if TYPE_CHECKING:
    from mitlgan.compare.runner import ComparisonResult

RUNS = Path("runs")


class Equal(StrEnum):
    """The resource of which every arm gets the same amount."""

    time = "time"
    kimg = "kimg"
    seconds = "seconds"
    cpu_seconds = "cpu-seconds"
    macs = "macs"


Baseline = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="NAME|RECIPE|ARTIFACT",
        help="wgan: the tuned WGAN for a composition with mattes, the thesis' plain one for the thesis' composition. plain-wgan: always the "
        "plain one. wgan-finetuned: starts from the foreground's weights. plain: the same generator without layers, by the composition's "
        "objective. Where layers grew from small ones, so do wgan, plain-wgan and plain. paste: the frozen layers, untrained. Or a recipe, artifact "
        "or run. Repeatable. Default: wgan.",
    ),
]

EqualOption = Annotated[
    Equal | None,
    typer.Option(
        "--equal",
        help="Resource of which every arm gets the same amount. With cpu-seconds, runs may run in parallel (--jobs). Default: time (CPU time if all "
        "stages recorded it), or kimg with --budgets.",
    ),
]

CountPretraining = Annotated[
    bool | None,
    typer.Option(
        "--count-pretraining/--stage-only",
        help="Give baselines the time of all stages (default if the layers' cards record it), or of the composition's stage alone.",
    ),
]

Budgets = Annotated[
    str | None,
    typer.Option("--budgets", metavar="A,B,C", help="Train new arms for the longest budget (kimg, seconds or tera-MACs); compare at each."),
]

Triple = Annotated[
    list[str] | None,
    typer.Option(
        "--domain",
        metavar="NAME=FG,BG,SCENE",
        help="One domain: data or artifacts of two layers, data of scenes; repeatable. More layers, from back to "
        "front: NAME=bg=ROOMS,cat=CATS,hat=HATS,SCENE.",
    ),
]

FgRecipe = Annotated[
    str | None,
    typer.Option("--fg-recipe", metavar="NAME|FILE", help="Recipe of a domain's foregrounds. Default: the one that belongs to --recipe."),
]

BgRecipe = Annotated[str | None, typer.Option("--bg-recipe", metavar="NAME|FILE", help="The same of its background.")]

Trials = Annotated[
    list[str] | None,
    typer.Option("--trials", metavar="ARM=N", help="Number of recipes tried for an arm before this one; the report prints it. Repeatable."),
]


def compare(
    baseline: Baseline = None,
    composed: Annotated[
        Path | None, typer.Option("--composed", metavar="RUN", help="The composition's run. Default: the newest whose layers can be moved.")
    ] = None,
    baseline_run: Annotated[Path | None, typer.Option("--baseline-run", metavar="RUN", help="Use this trained baseline.")] = None,
    equal: EqualOption = None,
    count_pretraining: CountPretraining = None,
    budgets: Budgets = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Train every arm with N seeds.", min=1, max=100)] = 1,
    pretrain_seeds: Annotated[bool, typer.Option("--pretrain-seeds", help="Also train new layers for each seed.")] = False,
    triple: Triple = None,
    recipe: Annotated[str | None, typer.Option("--recipe", metavar="NAME|FILE", help="Recipe of a composition to train here.")] = None,
    fg_recipe: FgRecipe = None,
    bg_recipe: BgRecipe = None,
    fg: Annotated[Path | None, typer.Option("--fg", metavar="ARTIFACT", help="Foreground generator of that composition.")] = None,
    bg: Annotated[Path | None, typer.Option("--bg", metavar="ARTIFACT", help="Background generator of that composition.")] = None,
    layer: options.LayerNames = None,
    data: options.Data = None,
    settings: options.Settings = None,
    trials: Trials = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Trainings that run in parallel and share the cores.", min=1, max=64)] = 1,
    extractor: options.Extractors = None,
    weights: options.Weights = None,
    samples: options.Samples = None,
    form: Annotated[options.Form, typer.Option("--format", help="Print the report's path (html), or its numbers.")] = options.Form.html,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    threads: options.Threads = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Compare compositions with baselines, and write the report.

    Trains the baselines on the same scenes, or takes trained ones, and measures all alike. The same command continues an interrupted comparison.
    """
    from mitlgan.compare.plan import ComparisonPlan, parse_budgets, parse_domain, parse_trials
    from mitlgan.compare.runner import run_comparison

    plan = ComparisonPlan(
        composed=composed,
        baselines=tuple(baseline or ("wgan",)), baseline_run=baseline_run,
        equal=equal.value if equal is not None else "", count_pretraining=count_pretraining, budgets=parse_budgets(budgets),
        seeds=seeds, pretrain_seeds=pretrain_seeds, recipe=recipe,
        layers=options.layers_from(layer, fg, bg),
        data=data,
        settings=tuple(settings or ()),
        fg_recipe=fg_recipe, bg_recipe=bg_recipe,
        domains=tuple(parse_domain(text) for text in triple or ()),
        trials=parse_trials(tuple(trials or ())),
        extractors=tuple(extractor or ()),
        weights=weights,
        samples=samples,
        jobs=jobs,
    )  # fmt: skip
    if dry_run:
        return print_comparison_estimate(plan, device, out, options.threads_of_each(jobs, threads), as_json)
    with options.open_run_context(device, "compare", out, threads) as context:
        result = run_comparison(plan, context)
    return print_result(as_json, result.summary(), _report_text(result, form))


def _report_text(result: ComparisonResult, form: options.Form) -> str:
    """Return the verdict and the path of the page, or the report in another form."""
    if form is options.Form.html:
        return f"{result.verdict}\n{result.html}"
    path: Path = getattr(result.paths, form.value)
    return path.read_text(encoding="utf-8").rstrip("\n")
