"""`mitlgan data fetch`: download pictures from a list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import OutFolder
from mitlgan.cli.output import log, print_result, progress_bar


def fetch(
    addresses: Annotated[Path, typer.Argument(metavar="LIST", help="Text file of URLs, or a table with --url-column.")],
    out: OutFolder,
    url_column: Annotated[str, typer.Option("--url-column", metavar="COLUMN", help="Column of URLs in a .csv, .tsv or .jsonl table.")] = "",
    key_column: Annotated[
        str,
        typer.Option(
            "--key-column",
            metavar="COLUMN",
            help="Column of what each URL belongs to, such as asin; keys.jsonl says which file it has. Default: "
            "none, or that of a list by `data read products`.",
        ),
    ] = "",
    max_mb: Annotated[float, typer.Option("--max-mb", metavar="X", help="Maximum size of one file, MB.", min=0.001, max=1e6)] = 20.0,
    max_total_gb: Annotated[float, typer.Option("--max-total-gb", metavar="X", help="Maximum size of all files, GB.", min=0.001, max=1e6)] = 50.0,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="S", help="Maximum wait for an answer, seconds.", min=0.1, max=1e6)] = 15.0,
    deadline_s: Annotated[float, typer.Option("--deadline", metavar="S", help="Maximum time for one file, seconds.", min=0.1, max=1e6)] = 120.0,
    tries: Annotated[int, typer.Option("--tries", metavar="N", help="Attempts per file.", min=1, max=20)] = 3,
    as_json: options.Json = False,
) -> None:
    """Download pictures from a list of addresses.

    When it runs again, it asks only for the files that are missing.
    """
    from mitlgan.data.curate.fetch import FetchSettings, default_columns, read_keyed_urls
    from mitlgan.data.curate.fetch import fetch_pictures as run

    if not url_column:
        url_column, own_key = default_columns(addresses)
        key_column = key_column or own_key
    settings = FetchSettings(int(max_mb * 1e6), int(max_total_gb * 1e9), timeout_s, deadline_s, tries)
    with progress_bar("fetch") as callback:
        result = run(read_keyed_urls(addresses, url_column, key_column), out, settings, callback)
    for reason, number in result["reasons"].items():
        log(f"{number} failed: {reason}")
    counts = result["counts"]
    if counts["changed"]:
        log(f"{counts['changed']} files are not as they were fetched; they are kept as they are, and fetch.json says what they hold now")
    text = f"{out}: {counts['fetched']} fetched, {counts['had']} there already, {counts['failed']} of {counts['asked']} unreachable (unreachable.txt)"
    print_result(as_json, {"out": str(out), **result}, text)
