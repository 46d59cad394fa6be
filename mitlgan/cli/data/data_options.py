"""Options and output that the data commands share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mitlgan.cli.output import log

MATTING_HELP = "auto, alpha, backdrop, grabcut, or a U2-Net or IS-Net model file. auto needs no weights."
MAX_NAMED, MAX_NAMES = 20, 3
"""Files that a command names on the console, and masks of other pictures among them."""
UNREADABLE, LEFT_OUT = "unreadable", "left out"
SOURCE_HELP = "Folder, zip or tar archive, parquet file, or a .txt list of paths."
HOLDOUT_HELP = "Photographs to hold out of training, look-alikes together; 0 for none. Splits that the source has are kept."


Matting = Annotated[str, typer.Option("--matting", metavar="METHOD|FILE.onnx", help=MATTING_HELP)]


Exclude = Annotated[
    list[Path] | None,
    typer.Option(
        "--exclude", metavar="FILE", help="File of names to leave out, one per line, as contact sheets write it, or an earlier split.json; repeatable."
    ),
]


Source = Annotated[str, typer.Argument(metavar="SRC", help=SOURCE_HELP)]


HoldOut = Annotated[str, typer.Option("--holdout", metavar="N|N%", help=HOLDOUT_HELP)]


OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Output folder, new or empty. Interrupted work in it continues.")]


def leftover_text(leftovers: dict[str, Any]) -> str:
    """Return what was left of a source, one line each."""
    from mitlgan.data.sources.leftovers import describe_leftovers

    return "".join(f"\n  {line}" for line in describe_leftovers(leftovers))


def log_left_out(groups: Mapping[str, Iterable[Mapping[str, str]]], all_names: str) -> None:
    """Print which files were left out and why: the first ones, unreadable ones before others, and how many more of each kind there are.

    Masks of other pictures share a line, which names the first of them.

    Args:
        groups: Records with `name` and `reason`, by what was done with them, such as `set aside`.
        all_names: Where all of them are named, with their reasons.
    """
    from mitlgan.data.sources.file_classifier import MASK_REASON

    records = [(word, record) for word, group in groups.items() for record in group]
    masks = [record["name"] for _, record in records if record["reason"] == MASK_REASON]
    if len(masks) > MAX_NAMES:
        records = [pair for pair in records if pair[1]["reason"] != MASK_REASON]
    records.sort(key=lambda pair: pair[0] != UNREADABLE)
    for word, record in records[:MAX_NAMED]:
        log(f"{word} {record['name']!r}: {record['reason']}")
    more = Counter(word for word, _ in records[MAX_NAMED:])
    if more:
        log(f"and {more.total():,} more ({', '.join(f'{count:,} {word}' for word, count in more.items())}): {all_names}")
    if len(masks) > MAX_NAMES:
        log(f"{LEFT_OUT} {', '.join(map(repr, masks[:MAX_NAMES]))} and {len(masks) - MAX_NAMES:,} more: {MASK_REASON} (all names: {all_names})")
