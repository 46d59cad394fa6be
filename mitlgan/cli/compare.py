"""compare: arms on the same scenes, and the report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result

RUNS = Path("runs")


class Equal(StrEnum):
    """What all arms of a comparison get alike."""

    time = "time"
    kimg = "kimg"
    seconds = "seconds"
    cpu_seconds = "cpu-seconds"
    macs = "macs"


def compare(
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="NAME|RECIPE|ARTIFACT",
            help="wgan (tuned, beside a composition by mattes; beside the thesis' the plain one), plain-wgan (by the composition's settings or "
            "the demo's), wgan-finetuned (from the foreground's weights), plain (the same without layers, by the composition's own objective), "
            "paste (the frozen layers, nothing trained), a recipe, an artifact or a run; "
            "repeatable. Default: wgan.",
        ),
    ] = None,
    composed: Annotated[Path | None, typer.Option("--composed", metavar="RUN", help="A composition's run. Default: the newest.")] = None,
    baseline_run: Annotated[Path | None, typer.Option("--baseline-run", metavar="RUN", help="Take this trained baseline.")] = None,
    equal: Annotated[
        Equal | None,
        typer.Option(
            "--equal",
            help="What all arms get alike; by CPU seconds, trainings may share the cores (--jobs). Default: time (of the CPU, where all stages "
            "know theirs), or kimg with --budgets.",
        ),
    ] = None,
    count_pretraining: Annotated[
        bool | None,
        typer.Option(
            "--count-pretraining/--stage-only",
            help="Baselines get what all stages took together, and stand beside as long as the composition's stage (default, where the layers' cards "
            "say what they took); or as long as that stage alone.",
        ),
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option("--budgets", metavar="A,B,C", help="Train every arm anew for the longest (kimg, seconds or tera-MACs), and compare at each."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Train every arm anew N times.", min=1, max=100)] = 1,
    pretrain_seeds: Annotated[bool, typer.Option("--pretrain-seeds", help="Train the layers anew for each seed, too.")] = False,
    triple: Annotated[
        list[str] | None,
        typer.Option("--triple", metavar="NAME=FG,BG,SCENE", help="A domain: pictures or artifacts of layers, pictures of scenes; repeatable."),
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", metavar="NAME|FILE", help="Of the composition that is trained here.")] = None,
    fg: Annotated[Path | None, typer.Option("--fg", metavar="ARTIFACT", help="Its foreground generator.")] = None,
    bg: Annotated[Path | None, typer.Option("--bg", metavar="ARTIFACT", help="Its background generator.")] = None,
    layer: options.LayerNames = None,
    data: options.Data = None,
    settings: options.Settings = None,
    trials: Annotated[
        list[str] | None, typer.Option("--trials", metavar="ARM=N", help="Recipes tried for an arm before this one, for the report; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Trainings at a time, which share the cores.", min=1, max=64)] = 1,
    extractor: options.Extractors = None,
    weights: options.Weights = None,
    samples: options.Samples = None,
    form: Annotated[options.Form, typer.Option("--format", help="What is printed: the report's place, or its numbers.")] = options.Form.html,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Train or take baselines on the same scenes, measure all alike, write the report. A second call goes on where the first was stopped."""
    from mitlgan import compare as comparing
    from mitlgan.compare.plan import parse_budgets, parse_trials

    plan = comparing.ComparisonPlan(
        composed=composed,
        baselines=tuple(baseline or ("wgan",)),
        baseline_run=baseline_run,
        equal=equal.value if equal is not None else "",
        count_pretraining=count_pretraining,
        budgets=parse_budgets(budgets),
        seeds=seeds,
        pretrain_seeds=pretrain_seeds,
        recipe=recipe,
        layers=options.layers_from(layer, fg, bg),
        data=data,
        settings=tuple(settings or ()),
        domains=tuple(comparing.parse_domain(text) for text in triple or ()),
        trials=parse_trials(tuple(trials or ())),
        extractors=tuple(extractor or ()),
        weights=weights,
        samples=samples,
        jobs=jobs,
    )
    with options.environment(device, "compare", out, threads) as environment:
        result = comparing.run_comparison(plan, environment)
    text = (
        f"{result.verdict}\n{result.html}" if form is options.Form.html else getattr(result.paths, form.value).read_text(encoding="utf-8").rstrip("\n")
    )
    print_result(as_json, result.summary(), text)
