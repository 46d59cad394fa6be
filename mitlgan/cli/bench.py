"""`mitlgan bench`: measure speed against plain code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result


def bench(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    quality: Annotated[bool, typer.Option("--quality", help="Time to quality: the recommended recipes against a textbook WGAN-GP loop.")] = False,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="PART", help="Measure this part alone; repeatable.")] = None,
    max_pictures: Annotated[
        int | None, typer.Option("--max-pictures", metavar="N", min=1, max=10_000_000, help="growth: the largest folder, such as 1000000.")
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="X", min=0.01, max=10000, help="--quality: CPU minutes of the textbook loop, for each seed.")
    ] = 2.0,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, max=100, help="--quality: trainings of each side.")] = 3,
    samples: Annotated[int, typer.Option("--samples", metavar="N", min=16, max=100_000, help="--quality: pictures of each measurement.")] = 500,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="--quality: holds fg/, bg/, scene/ as `data split` makes them; else the demo's.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="--quality: results; the same command continues them.")] = Path("bench"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="--quality: say how long it takes at most; write nothing.")] = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure speed, start-up and growth on this machine.

    Parts: loading, critic_update and loop, in turns with plain hand-written code; step, by part; startup; growth, which takes minutes and has to be
    named by --only. --quality trains both sides and takes long: see --minutes, --seeds, --only and --dry-run.
    """
    if quality:
        options.refuse_given(context, ("quick", "max_pictures"), "is of the other parts, without --quality; leave one out")
        return _measure_quality(only or [], minutes, seeds, samples, data, out, threads, dry_run, as_json)
    options.refuse_given(context, ("minutes", "seeds", "samples", "data", "out", "dry_run"), "belongs to --quality; give that, too, or leave it out")
    if "growth" not in (only or []):
        options.refuse_given(context, ("max_pictures",), "belongs to --only growth; give that, too, or leave it out")
    from mitlgan.bench.parts import format_parts, run_parts

    options.use_threads(threads)
    results = run_parts(only or [], log, quick=quick, max_pictures=max_pictures)
    return print_result(as_json, results, "\n".join(format_parts(results)))


def _measure_quality(
    only: list[str], minutes: float, seeds: int, samples: int, data: Path | None, out: Path, threads: int | None, dry_run: bool, as_json: bool
) -> None:
    from mitlgan.bench.quality.benchmark import QualityPlan, describe_estimate, estimate_cpu_s, run_quality
    from mitlgan.bench.quality.page import table_lines, write_page
    from mitlgan.bench.quality.tasks import choose_tasks

    options.use_threads(threads or 1)
    plan = QualityPlan(choose_tasks(only), minutes, seeds, samples, data, out)
    if dry_run:
        cpu_s = estimate_cpu_s(plan)
        return print_result(as_json, {"cpu_seconds_at_most": cpu_s}, describe_estimate(plan, cpu_s))
    results = run_quality(plan, log, lambda results: write_page(out, results))
    return print_result(as_json, results, "\n".join(table_lines(results)))
