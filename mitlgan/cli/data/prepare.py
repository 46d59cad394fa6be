"""`mitlgan data prepare`: build a pack from any pictures."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import LEFT_OUT, UNREADABLE, Exclude, HoldOut, OutFolder, Source, leftover_text, log_left_out
from mitlgan.cli.output import log, print_result, progress_bar

if TYPE_CHECKING:
    from mitlgan.data.pack.image_pack import ImagePack

PlaceholderCopies = Annotated[
    int,
    typer.Option("--placeholder-copies", metavar="N", help="Treat a file that occurs N times as a placeholder and leave it out; 0: off.", min=0),
]

MaxAspect = Annotated[
    float, typer.Option("--max-aspect", metavar="X", help="Leave out pictures whose longer / shorter side is above this; 0: off.", min=0.0)
]

Against = Annotated[list[str] | None, typer.Option("--against", metavar="SET", help="Leave out pictures that this folder or pack has; repeatable.")]


def prepare(
    context: typer.Context,
    source: Source,
    out: OutFolder,
    size: Annotated[int, typer.Option("--size", metavar="N", help="Height and width in px.", min=4, max=1024)],
    resize: Annotated[str, typer.Option("--resize", metavar="FILTER", help="lanczos, bicubic, bilinear, box or nearest.")] = "lanczos",
    crop: Annotated[str, typer.Option("--crop", metavar="KIND", help="center, entropy (the busiest part), or face (needs OpenCV).")] = "center",
    keep_alpha: Annotated[bool, typer.Option("--keep-alpha", help="Keep transparency as a fourth channel.")] = False,
    backdrop: Annotated[str, typer.Option("--backdrop", metavar="COLOUR", help="Colour behind transparent pixels: a name or #rrggbb.")] = "white",
    blur: Annotated[float, typer.Option("--blur", metavar="PX", help="Gaussian blur in px, for backgrounds; 0: off.", min=0.0, max=100.0)] = 0.0,
    min_size: Annotated[int, typer.Option("--min-size", metavar="PX", help="Leave out pictures with a shorter side below this; 0: off.", min=0)] = 0,
    max_aspect: MaxAspect = 0.0,
    dedupe: Annotated[str, typer.Option("--dedupe", metavar="KIND", help="Remove duplicates: exact, near (also look-alikes) or none.")] = "exact",
    against: Against = None,
    placeholder_copies: PlaceholderCopies = 5,
    keep_blank: Annotated[bool, typer.Option("--keep-blank", help="Keep pictures of a single colour.")] = False,
    metadata: Annotated[Path | None, typer.Option("--metadata", metavar="FILE", help="Table that chooses pictures: .csv, .tsv or .jsonl.")] = None,
    join: Annotated[Path | None, typer.Option("--join", metavar="FILE", help="Second table, joined to the first.")] = None,
    on: Annotated[str, typer.Option("--on", metavar="COLUMN", help="Column that both tables share.")] = "",
    aggregates: Annotated[str, typer.Option("--agg", metavar="TEXT", help="New columns: rating=mean(overall), reviews=count()")] = "",
    where: Annotated[str, typer.Option("--where", metavar="TEXT", help="Which rows: rating >= 4.0 and reviews >= 12")] = "",
    image_column: Annotated[str, typer.Option("--image-column", metavar="COLUMN", help="Column with the picture's path, relative to SRC.")] = "image",
    exclude: Exclude = None,
    holdout: HoldOut = "10%",
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Continue even if more than 5 % of the files cannot be read.")] = False,
    as_json: options.Json = False,
) -> None:
    """Build a pack: read, check, choose, crop, resize.

    Takes any pictures. An interrupted build continues when the same command runs again.
    """
    from mitlgan.data.build.prepare import prepare_pack as run
    from mitlgan.data.build.prepare_image import PrepareSettings
    from mitlgan.data.curate.exclude_list import read_names
    from mitlgan.data.curate.table_selection import Selection
    from mitlgan.errors import UsageError
    from mitlgan.images.colors import parse_color
    from mitlgan.report.data_prepare_page import write_pack_page

    gc.freeze()  # what was loaded stays: it need not be looked through again and again
    if metadata is None and (join or on or aggregates or where):
        raise UsageError("--metadata: --join, --on, --agg and --where choose rows of a table; name it")
    if metadata is None:
        options.refuse_given(context, ("image_column",), "is a column of --metadata; give that, too, or leave it out")
    if keep_alpha:
        options.refuse_given(context, ("backdrop",), "cannot go with --keep-alpha, under which nothing is put behind; leave one out")
    settings = PrepareSettings(
        size_px=size, resize=resize, crop=crop, keep_alpha=keep_alpha, backdrop=parse_color("--backdrop", backdrop), blur_px=blur,
        min_size_px=min_size, max_aspect=max_aspect, dedupe=dedupe, placeholder_copies=placeholder_copies, keep_blank=keep_blank,
        exclude=read_names(*(exclude or [])), against=tuple(against or []), holdout=holdout,
    )  # fmt: skip
    selection = None if metadata is None else Selection(metadata, join, on, aggregates, where, image_column)
    with progress_bar("prepare") as callback:
        packed = run(source, out, settings, selection=selection, allow_bad=allow_bad, progress=callback)
    page = write_pack_page(out, packed)
    _print_prepared(packed, page, as_json)


def _print_prepared(packed: ImagePack, page: Path, as_json: bool) -> None:
    from mitlgan.data.build.notes import summarize_notes
    from mitlgan.data.build.prepare_image import is_choice
    from mitlgan.data.curate.reference_sets import find_held_out_packs
    from mitlgan.data.sources.leftovers import divide_skipped

    skipped = packed.manifest["skipped"]
    unpacked, others = divide_skipped(packed.manifest)
    bad = [entry for entry in unpacked if not is_choice(entry["reason"])]
    unchosen = [entry for entry in unpacked if is_choice(entry["reason"])]
    log_left_out({UNREADABLE: bad, LEFT_OUT: [*unchosen, *others]}, str(packed.path.with_suffix(".json")))
    held_out = {split: len(pack) for split, pack in find_held_out_packs(packed.path).items()}
    apart = ", ".join(f"{number} more held out in {packed.path.parent / split}" for split, number in held_out.items())
    remark = packed.manifest["made_by"].get("note", "")
    for line in filter(None, (remark, packed.describe_enlarged())):
        log(line)
    for line in summarize_notes((str(source["name"]), str(source.get("note", ""))) for source in packed.sources()):
        log(line)
    values = {"pack": str(packed.path), "page": str(page), "count": len(packed), "held_out": held_out, "skipped": skipped}
    left = packed.manifest.get("leftovers", {})
    values |= {"note": remark, "enlarged": packed.enlarged_count, "leftovers": left, "content_sha256": packed.content_sha256}
    text = f"{packed.path}: {len(packed)} pictures of {packed.size_px} px, {apart or 'none held out'}, {_count_left_out(len(unpacked), len(bad))}"
    print_result(as_json, values, f"{text}{leftover_text(left)}\n{page}")


def _count_left_out(count: int, bad: int) -> str:
    return f"{count} left out" + (f" ({bad} unreadable)" if bad else "")
