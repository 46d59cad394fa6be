"""`mitlgan data stats`: count and measure sets."""

from __future__ import annotations

from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result, progress_bar


def stats(
    sets: Annotated[list[str], typer.Argument(metavar="DIR...", help="Folders, packs, archives, parquet files, lists of paths.")],
    as_json: options.Json = False,
) -> None:
    """Count and measure the pictures of sets.

    Sizes, channels, colours, mattes.
    """
    from mitlgan.data.curate.check import check_datasets as run
    from mitlgan.data.curate.check import summarize_set
    from mitlgan.data.sources.leftovers import describe_leftovers
    from mitlgan.errors import to_one_line

    with progress_bar("stats") as callback:
        summaries = [summarize_set(report) for report in run(sets, callback).sets]
    lines = []
    for values in summaries:
        side, cover = values["shorter_side_px"], values["coverage"]
        lines.append(values["name"])
        lines.append(f"  pictures      {values['count']:,} ({values['unreadable']:,} unreadable, {values['blank']:,} of one colour)")
        lines += [f"  not taken     {line}" for line in describe_leftovers(values["leftovers"])]
        lines += [f"  remark        {to_one_line(values['remark'])}"] if values["remark"] else []
        kinds = "1 kind" if values["distinct_sizes"] == 1 else f"{values['distinct_sizes']:,} kinds"
        lines.append(f"  sizes         {kinds}" + (f", shorter side {side['least']} to {side['most']} px" if side else ""))
        lines.append(f"  channels      {', '.join(f'{number:,} {mode}' for mode, number in values['channels'].items())}")
        lines.append(f"  mean colour   {values['mean_rgb']}, spread {values['spread_rgb']}")
        lines.append(f"  mattes        {values['with_matte']:,}" + (f", covering {cover['mean']:.1%} on average" if cover else ""))
    print_result(as_json, {"sets": summaries}, "\n".join(lines))
