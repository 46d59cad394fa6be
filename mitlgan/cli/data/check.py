"""`mitlgan data check`: find what will hurt training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result, progress_bar
from mitlgan.cli.output_files import claim_file


def check(
    sets: Annotated[
        list[str],
        typer.Argument(metavar="DIR...", help="Folders (with train/, validation/, test/, if any), packs, archives, parquet files, lists of paths."),
    ],
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Also write a page with histograms and pictures.")] = None,
    as_json: options.Json = False,
) -> None:
    """Find what in these sets will hurt training.

    Duplicates, training pictures among the held-out ones, objects cut off by the frame, and more.
    """
    from mitlgan.data.curate.check import check_datasets as run
    from mitlgan.data.curate.check import to_json
    from mitlgan.report.data_check_page import write_check_page

    claim_file(page, "--page")
    with progress_bar("check") as callback:
        result = run(sets, callback)
    values = to_json(result)
    if page is not None:
        values["page"] = str(write_check_page(page, result, is_new=True))
    lines = [f"{'!' if bad else ' '} {text}" for text, bad in result.verdict]
    print_result(as_json, values, "\n".join(lines + ([str(page)] if page else [])))
