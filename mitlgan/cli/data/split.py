"""`mitlgan data split`: cut photographs into foregrounds, backgrounds and scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import LEFT_OUT, Exclude, HoldOut, Matting, OutFolder, Source, leftover_text, log_left_out
from mitlgan.cli.output import log, print_result, progress_bar

if TYPE_CHECKING:
    from mitlgan.data.layers.split import SplitSettings

MinFillConfidence = Annotated[
    float | None,
    typer.Option(
        "--min-fill-confidence", metavar="X", help="Leave out filled backgrounds whose confidence (0 to 1) is lower. Default: 0.75.", min=0, max=1
    ),
]

MinConfidence = Annotated[
    float | None,
    typer.Option("--min-confidence", metavar="X", help="Set aside cuts whose confidence (0 to 1) is lower. Default: 0.8.", min=0, max=1),
]

Blur = Annotated[float, typer.Option("--blur", metavar="PX", help="Standard deviation of a blur of backgrounds, px; 0: off.", min=0.0, max=100.0)]

Keep = Annotated[
    list[Path] | None,
    typer.Option("--keep", metavar="FILE", help="File of names to use despite doubts, one per line, or an earlier split.json; repeatable."),
]

Background = Annotated[
    str, typer.Option("--background", metavar="KIND", help="fill (the hole that the object leaves), patch (a crop next to it), or both.")
]


def split(
    source: Source,
    out: OutFolder,
    matting: Matting = "auto",
    size: Annotated[int, typer.Option("--size", metavar="N", help="Shrink larger pictures to this size, px.", min=16, max=1024)] = 256,
    background: Background = "both",
    max_hole: Annotated[
        float, typer.Option("--max-hole", metavar="X", help="Do not fill holes larger than this share of the picture.", min=0.0, max=1.0)
    ] = 0.65,
    blur: Blur = 0.0,
    backdrop: Annotated[
        str | None, typer.Option("--backdrop", metavar="COLOUR", help="Put foregrounds on this colour: a name or #rrggbb. Default: transparent.")
    ] = None,
    centre: Annotated[bool, typer.Option("--centre", help="Centre foregrounds, longest side 86 % of the frame.")] = False,
    min_object_area: Annotated[
        float, typer.Option("--min-object-area", metavar="X", help="Minimum share of the picture that the object covers.", min=0.0, max=1.0)
    ] = 0.02,
    max_object_area: Annotated[
        float, typer.Option("--max-object-area", metavar="X", help="Maximum share of the picture that the object covers.", min=0.0, max=1.0)
    ] = 0.85,
    max_border: Annotated[
        float, typer.Option("--max-border", metavar="X", help="Maximum share of the frame's edge that the object touches.", min=0.0, max=1.0)
    ] = 0.25,
    exclude: Exclude = None,
    keep: Keep = None,
    holdout: HoldOut = "10%",
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Continue even if more than 5 % of the files cannot be read.")] = False,
    min_confidence: MinConfidence = None,
    min_fill_confidence: MinFillConfidence = None,
    as_json: options.Json = False,
) -> None:
    """Cut photographs into objects, backgrounds and scenes.

    Writes fg/, bg/ and scene/, and sets aside what cannot be cut well. An interrupted split continues when the same command runs again.
    """
    from mitlgan.data.curate.exclude_list import read_names
    from mitlgan.data.layers.cut_confidence import MIN_CONFIDENCE, MIN_FILL_CONFIDENCE
    from mitlgan.data.layers.matte_filter import MatteFilter
    from mitlgan.data.layers.split import SplitSettings
    from mitlgan.images.colors import parse_color

    settings = SplitSettings(
        matting=matting,
        size_px=size,
        background=background,
        max_hole=max_hole,
        blur_px=blur,
        backdrop=None if backdrop is None else parse_color("--backdrop", backdrop),
        centre=centre,
        exclude=read_names(*(exclude or [])),
        keep=read_names(*(keep or []), option="--keep"),
        holdout=holdout,
        min_fill_confidence=MIN_FILL_CONFIDENCE if min_fill_confidence is None else min_fill_confidence,
        min_confidence=MIN_CONFIDENCE if min_confidence is None else min_confidence,
        allow_bad=allow_bad,
        matte_filter=MatteFilter(min_area=min_object_area, max_area=max_object_area, max_border=max_border),
    )
    _split(source, out, settings, as_json)


def _split(source: str, out: Path, settings: SplitSettings, as_json: bool) -> None:
    from mitlgan.data.build.notes import summarize_notes
    from mitlgan.data.layers.split import split_pictures as run
    from mitlgan.data.layers.split_output import SPLIT_MANIFEST
    from mitlgan.report.data_split_page import write_split_page

    with progress_bar("split") as callback:
        manifest = run(source, out, settings, callback, log)
    page = write_split_page(out, manifest)
    counts, splits = manifest["counts"], manifest["splits"]
    unused = [{key: record[key] for key in ("name", "decision", "reason")} for record in manifest["records"] if record["decision"] != "used"]
    groups = {decision: [record for record in unused if record["decision"] == decision] for decision in counts}
    log_left_out(groups | {LEFT_OUT: manifest["skipped"]}, str(out / SPLIT_MANIFEST))
    for line in [*summarize_notes((record["name"], record.get("note", "")) for record in manifest["records"]), *_remarks(manifest)]:
        log(line)
    keys = ("counts", "doubtful", "methods", "files", "splits", "holdout", "unfilled", "fills_left_out", "unknown", "gone", "leftovers", "skipped")
    values: dict[str, Any] = {"out": str(out), "page": str(page)} | {key: manifest[key] for key in keys} | {"unused": unused}
    files = manifest["files"]
    held_out = ", ".join(f"{number} for {name}" for name, number in splits.items() if name != "train")
    apart = f"{splits.get('train', 0)} photographs for training, {held_out}" if splits else "nothing held out"
    text = (
        f"{counts['used']} of {sum(counts.values())} pictures cut: {files['fg']} foregrounds, {files['bg']} backgrounds, {files['scene']} scenes"
        f" ({manifest['doubtful']} doubtful, shown first); {counts['set aside']} set aside, {counts['duplicate']} duplicates, "
        f"{counts['unreadable']} unreadable, {counts['excluded']} excluded; {manifest['unfilled']} holes too large to fill, "
        f"{manifest['fills_left_out']} fillings not good enough; "
        f"{apart}{leftover_text(manifest['leftovers'])}\n{page}"
    )
    print_result(as_json, values, text)


def _remarks(manifest: dict[str, Any]) -> Iterator[str]:
    from mitlgan.data.layers.split_output import describe_missing_scenes

    if manifest["holdout"]["note"]:
        yield manifest["holdout"]["note"]
    if beside := manifest["methods"].get("matte"):
        yield f"{beside:,} are cut by the mattes beside them (NAME.matte.png)"
    yield from describe_missing_scenes(manifest["records"])
    for key, words in (("unknown", "named in --exclude or --keep, and not in SRC"), ("gone", "cut earlier, and gone from --out since")):
        names = manifest[key]
        if names:
            yield f"{len(names):,} {words}: {', '.join(map(repr, names[:3]))}{' and more' if len(names) > 3 else ''}"
