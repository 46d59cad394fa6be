"""`mitlgan bench`: measure speed against plain code."""

from __future__ import annotations

from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure speed against plain hand-written code.

    Times data loading, the critic update and the loop's overhead, in turns with the plain code.
    """
    from mitlgan.bench import format_results, run_benchmarks

    options.use_threads(threads)
    results = run_benchmarks(quick=quick)
    print_result(as_json, results, "\n".join(format_results(results)))
