"""data split, matte-iou: one folder of ordinary pictures into the sets that composition needs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.options import finish, note
from mitlgan.cli.progress_bar import counted

if TYPE_CHECKING:
    from mitlgan.data.layers.split import SplitSettings

Matting = Annotated[
    str,
    typer.Option(
        "--matting",
        metavar="METHOD|FILE.onnx",
        help="auto, alpha, backdrop, grabcut, or the file of a U2-Net or IS-Net model; auto needs no weights.",
    ),
]
Exclude = Annotated[
    list[Path] | None, typer.Option("--exclude", metavar="FILE", help="Names to leave out, one a line, as contact sheets write them; repeatable.")
]
Source = Annotated[str, typer.Argument(metavar="SRC", help="Folder, zip or tar archive, or a .txt list of paths.")]
HoldOut = Annotated[
    str,
    typer.Option("--holdout", metavar="N|N%", help="Photographs held out of training, look-alikes together; 0: none. Splits of SRC are kept."),
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Made where absent; interrupted work in it goes on.")]


def split(
    source: Source,
    out: OutFolder,
    matting: Matting = "auto",
    size: Annotated[int, typer.Option("--size", metavar="N", help="Larger pictures are reduced to this (px).", min=16, max=1024)] = 256,
    background: Annotated[str, typer.Option("--background", metavar="KIND", help="fill (the object's hole), patch (beside it), or both.")] = "both",
    max_hole: Annotated[
        float, typer.Option("--max-hole", metavar="X", help="Larger holes are not filled (share of the picture).", min=0.0, max=1.0)
    ] = 0.65,
    blur: Annotated[float, typer.Option("--blur", metavar="PX", help="Blur backgrounds by this much.", min=0.0, max=100.0)] = 0.0,
    backdrop: Annotated[str | None, typer.Option("--backdrop", metavar="COLOUR", help="Lay foregrounds on this colour, a name or #rrggbb.")] = None,
    centre: Annotated[bool, typer.Option("--centre", help="Centre foregrounds, longest side 86 %.")] = False,
    min_object_area: Annotated[float, typer.Option("--min-object-area", metavar="X", help="Share of the picture.", min=0.0, max=1.0)] = 0.02,
    max_object_area: Annotated[float, typer.Option("--max-object-area", metavar="X", help="Share of the picture.", min=0.0, max=1.0)] = 0.85,
    max_border: Annotated[float, typer.Option("--max-border", metavar="X", help="Share of the edge it may touch.", min=0.0, max=1.0)] = 0.25,
    exclude: Exclude = None,
    keep: Annotated[
        list[Path] | None, typer.Option("--keep", metavar="FILE", help="Names to use all the same, or again, one a line; repeatable.")
    ] = None,
    holdout: HoldOut = "10%",
    min_confidence: Annotated[
        float | None,
        typer.Option("--min-confidence", metavar="X", help="Set aside cuts trusted less, 0 to 1. Default: 0.8.", min=0, max=1),
    ] = None,
    min_fill_confidence: Annotated[
        float | None,
        typer.Option("--min-fill-confidence", metavar="X", help="Leave out filled backgrounds trusted less, 0 to 1. Default: 0.75.", min=0, max=1),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Cut ordinary pictures into fg/ (objects), bg/ (places without them) and scene/ (pictures with mattes), ready for --data.

    Run again on the same --out, with --exclude, --keep, --holdout or --min-confidence, it moves files and cuts nothing again.
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
        matte_filter=MatteFilter(min_area=min_object_area, max_area=max_object_area, max_border=max_border),
    )
    _split(source, out, settings, as_json)


def _split(source: str, out: Path, settings: SplitSettings, as_json: bool) -> None:
    from mitlgan.data.build.notes import summarize_notes
    from mitlgan.data.layers.split import split_pictures as run
    from mitlgan.report.contact_sheets import write_split_page

    with counted("split") as told:
        manifest = run(source, out, settings, told)
    page = write_split_page(out, manifest)
    counts, splits = manifest["counts"], manifest["splits"]
    for record in [line for line in manifest["records"] if line["decision"] != "used"][:20]:
        note(f"{record['decision']} {record['name']!r}: {record['reason']}")
    for line in [*summarize_notes((record["name"], record.get("note", "")) for record in manifest["records"]), *_remarks(manifest)]:
        note(line)
    keys = ("counts", "doubtful", "methods", "files", "splits", "holdout", "unfilled", "fills_left_out", "unknown", "gone", "leftovers", "skipped")
    values: dict[str, Any] = {"out": str(out), "page": str(page)} | {key: manifest[key] for key in keys}
    files = manifest["files"]
    held_out = ", ".join(f"{number} for {name}" for name, number in splits.items() if name != "train")
    apart = f"{splits.get('train', 0)} photographs for training, {held_out}" if splits else "nothing held out"
    text = (
        f"{counts['used']} of {sum(counts.values())} pictures cut: {files['fg']} foregrounds, {files['bg']} backgrounds, {files['scene']} scenes"
        f" ({manifest['doubtful']} doubtful, shown first); {counts['set aside']} set aside, {counts['duplicate']} duplicates, "
        f"{counts['unreadable']} unreadable, {counts['excluded']} excluded; {manifest['unfilled']} holes too large to fill, "
        f"{manifest['fills_left_out']} fillings not good enough; "
        f"{apart}{_told(manifest['leftovers'])}\n{page}"
    )
    finish(as_json, values, text)


def _remarks(manifest: dict[str, Any]) -> Iterator[str]:
    if manifest["holdout"]["note"]:
        yield manifest["holdout"]["note"]
    if beside := manifest["methods"].get("matte"):
        yield f"{beside:,} are cut by the mattes beside them (NAME.matte.png)"
    for key, words in (("unknown", "named in --exclude or --keep, and not in SRC"), ("gone", "cut earlier, and gone from --out since")):
        names = manifest[key]
        if names:
            yield f"{len(names):,} {words}: {', '.join(map(repr, names[:3]))}{' and more' if len(names) > 3 else ''}"


def matte_iou(
    scenes: Annotated[str, typer.Argument(metavar="SCENES|demo", help="Folder of pictures, or the demo's scenes.")] = "demo",
    truth: Annotated[Path | None, typer.Option("--truth", metavar="DIR", help="True mattes by file stem. Default: NAME.matte.png beside.")] = None,
    matting: Annotated[
        list[str] | None, typer.Option("--matting", metavar="METHOD|FILE.onnx", help="Methods to measure; repeatable. Default: grabcut.")
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Pictures, drawn by the seed.", min=1)] = 200,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0)] = 0,
    as_json: options.Json = False,
) -> None:
    """Measure matting against true mattes: intersection over union, per method; `rectangle`, the simplest, is the floor."""
    from mitlgan.data.layers.matte_iou import measure_matte_iou

    with counted("matte-iou") as told:
        rows = measure_matte_iou(
            scenes, truth, list(dict.fromkeys(["rectangle", *(matting or ["grabcut"])])), count=count, seed=seed, progress=told, say=note
        )
    head = f"{'method':<16}{'pictures':>10}{'mean IoU':>10}{'median':>9}{'small objects':>15}{'below 0.5':>11}{'ms/picture':>12}"
    lines = [
        f"{row['method']:<16}{row['count']:>10}{row['mean']:>10.3f}{row['median']:>9.3f}"
        f"{'-' if row['small'] is None else format(row['small'], '.3f'):>15}{row['failed']:>11}{row['ms']:>12.0f}"
        for row in rows
    ]
    finish(as_json, {"rows": rows}, "\n".join([head, *lines]))


def prepare(
    source: Source,
    out: OutFolder,
    size: Annotated[int, typer.Option("--size", metavar="N", help="Height and width in px.", min=4, max=1024)],
    resize: Annotated[str, typer.Option("--resize", metavar="FILTER", help="lanczos, bicubic, bilinear, box or nearest.")] = "lanczos",
    crop: Annotated[str, typer.Option("--crop", metavar="KIND", help="center, entropy (most to see), or face (needs OpenCV).")] = "center",
    keep_alpha: Annotated[bool, typer.Option("--keep-alpha", help="Keep transparency as a fourth channel.")] = False,
    backdrop: Annotated[str, typer.Option("--backdrop", metavar="COLOUR", help="What transparency is laid on, a name or #rrggbb.")] = "white",
    blur: Annotated[float, typer.Option("--blur", metavar="PX", help="Blur, for backgrounds.", min=0.0, max=100.0)] = 0.0,
    min_size: Annotated[int, typer.Option("--min-size", metavar="PX", help="Leave out smaller pictures.", min=0)] = 0,
    max_aspect: Annotated[float, typer.Option("--max-aspect", metavar="X", help="Leave out longer ones (longer / shorter side).", min=0.0)] = 0.0,
    dedupe: Annotated[str, typer.Option("--dedupe", metavar="KIND", help="exact, near (also look-alikes) or none.")] = "exact",
    against: Annotated[list[str] | None, typer.Option("--against", metavar="SET", help="Leave out what this folder or pack has; repeatable.")] = None,
    placeholder_copies: Annotated[int, typer.Option("--placeholder-copies", metavar="N", help="A file that comes N times is none; 0: off.", min=0)] = 5,
    keep_blank: Annotated[bool, typer.Option("--keep-blank", help="Keep pictures of one colour.")] = False,
    metadata: Annotated[Path | None, typer.Option("--metadata", metavar="FILE", help="Choose by a table: .csv, .tsv or .jsonl.")] = None,
    join: Annotated[Path | None, typer.Option("--join", metavar="FILE", help="A second table.")] = None,
    on: Annotated[str, typer.Option("--on", metavar="COLUMN", help="The column that both tables have.")] = "",
    aggregates: Annotated[str, typer.Option("--agg", metavar="TEXT", help="New columns: rating=mean(overall), reviews=count()")] = "",
    where: Annotated[str, typer.Option("--where", metavar="TEXT", help="Which rows: rating >= 4.0 and reviews >= 12")] = "",
    image_column: Annotated[str, typer.Option("--image-column", metavar="COLUMN", help="Path of the picture, relative to SRC.")] = "image",
    exclude: Exclude = None,
    holdout: HoldOut = "10%",
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Go on even if more than 5 % of the files cannot be read.")] = False,
    as_json: options.Json = False,
) -> None:
    """Read, check, choose, crop, resize and pack any pictures; interrupted, the same command goes on."""
    from mitlgan.data.build.notes import summarize_notes
    from mitlgan.data.build.prepare import prepare_pack as run
    from mitlgan.data.build.prepare_image import PrepareSettings
    from mitlgan.data.curate.exclude_list import read_names
    from mitlgan.data.curate.reference_sets import find_held_out_packs
    from mitlgan.data.curate.table_selection import Selection
    from mitlgan.errors import UsageError
    from mitlgan.images.colors import parse_color
    from mitlgan.report.contact_sheets import write_pack_page

    gc.freeze()  # what was loaded stays: it need not be looked through again and again
    if metadata is None and (join or on or aggregates or where):
        raise UsageError("--metadata: --join, --on, --agg and --where choose rows of a table; name it")
    settings = PrepareSettings(
        size_px=size, resize=resize, crop=crop, keep_alpha=keep_alpha, backdrop=parse_color("--backdrop", backdrop), blur_px=blur,
        min_size_px=min_size, max_aspect=max_aspect, dedupe=dedupe, placeholder_copies=placeholder_copies, keep_blank=keep_blank,
        exclude=read_names(*(exclude or [])), against=tuple(against or []), holdout=holdout,
    )  # fmt: skip
    selection = None if metadata is None else Selection(metadata, join, on, aggregates, where, image_column)
    with counted("prepare") as told:
        packed = run(source, out, settings, selection=selection, allow_bad=allow_bad, progress=told)
    page = write_pack_page(out, packed)
    skipped = packed.manifest["skipped"]
    for entry in skipped[:20]:
        note(f"left out {entry['name']!r}: {entry['reason']}")
    held_out = {split: len(pack) for split, pack in find_held_out_packs(packed.path).items()}
    apart = ", ".join(f"{number} more held out in {packed.path.parent / split}" for split, number in held_out.items())
    remark = packed.manifest["made_by"]["note"]
    if remark:
        note(remark)
    for line in summarize_notes((str(source["name"]), str(source.get("note", ""))) for source in packed.sources()):
        note(line)
    values = {"pack": str(packed.path), "page": str(page), "count": len(packed), "held_out": held_out, "skipped": skipped}
    left = packed.manifest.get("leftovers", {})
    values |= {"note": remark, "leftovers": left, "content_sha256": packed.content_sha256}
    finish(
        as_json, values, f"{packed.path}: {len(packed)} pictures of {size} px, {apart or 'none held out'}, {len(skipped)} left out{_told(left)}\n{page}"
    )


def _told(leftovers: dict[str, Any]) -> str:
    """What of a source was not taken, in lines of their own."""
    from mitlgan.data.sources.leftovers import describe_leftovers

    return "".join(f"\n  {line}" for line in describe_leftovers(leftovers))


def augment(
    source: Source,
    out: OutFolder,
    factor: Annotated[int, typer.Option("--factor", metavar="K", help="Pictures made of each, itself among them.", min=1, max=1000)] = 4,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides every change.", min=0)] = 0,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="Left to right.")] = True,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Top to bottom.")] = True,
    degrees: Annotated[float, typer.Option("--degrees", metavar="X", help="Largest turn.", min=0.0, max=180.0)] = 10.0,
    shear: Annotated[float, typer.Option("--shear", metavar="X", help="Largest shear, degrees.", min=0.0, max=60.0)] = 6.0,
    distortion: Annotated[float, typer.Option("--distortion", metavar="X", help="Largest elastic shift / side.", min=0.0, max=0.2)] = 0.03,
    as_json: options.Json = False,
) -> None:
    """Enlarge a set as the thesis did: mirrored, turned, sheared, distorted; transparency and mattes go along."""
    from mitlgan.data.build.offline_augment import AugmentSettings
    from mitlgan.data.build.offline_augment import augment_pictures as run

    settings = AugmentSettings(factor, seed, mirror, flip, degrees, shear, distortion)
    with counted("augment") as told:
        counts = run(source, out, settings, told, note)
    for entry in counts["skipped"][:20]:
        note(f"skipped {entry['name']!r}: {entry['reason']}")
    with_mattes = f" and {counts['mattes']} mattes" if counts["mattes"] else ""
    text = f"{out}: {counts['made']} pictures{with_mattes} made of {counts['pictures']}; {counts['unreadable']} unreadable{_told(counts['leftovers'])}"
    finish(as_json, {"out": str(out), **counts}, text)


def check(
    sets: Annotated[list[str], typer.Argument(metavar="DIR...", help="Folders (with train/, validation/, test/, if any), packs, archives.")],
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Also a page with histograms and pictures.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say what in these sets will hurt training: duplicates, leaks into held-out pictures, objects cut off, and more."""
    from mitlgan.data.curate.check import check_datasets as run
    from mitlgan.data.curate.check import to_json
    from mitlgan.report.data_check_page import write_check_page

    with counted("check") as told:
        result = run(sets, told)
    values = to_json(result)
    if page is not None:
        values["page"] = str(write_check_page(page, result))
    lines = [f"{'!' if bad else ' '} {text}" for text, bad in result.verdict]
    finish(as_json, values, "\n".join(lines + ([str(page)] if page else [])))


def stats(
    sets: Annotated[list[str], typer.Argument(metavar="DIR...", help="Folders, packs, archives.")],
    as_json: options.Json = False,
) -> None:
    """Count and measure sets: pictures, sizes, channels, colours, mattes."""
    from mitlgan.data.curate.check import check_datasets as run
    from mitlgan.data.curate.check import summarize_set
    from mitlgan.data.sources.leftovers import describe_leftovers

    with counted("stats") as told:
        found = [summarize_set(report) for report in run(sets, told).sets]
    lines = []
    for values in found:
        side, cover = values["shorter_side_px"], values["coverage"]
        lines.append(values["name"])
        lines.append(f"  pictures      {values['count']:,} ({values['unreadable']:,} unreadable, {values['blank']:,} of one colour)")
        lines += [f"  not taken     {line}" for line in describe_leftovers(values["leftovers"])]
        lines.append(f"  sizes         {values['distinct_sizes']:,} kinds" + (f", shorter side {side['least']} to {side['most']} px" if side else ""))
        lines.append(f"  channels      {', '.join(f'{number:,} {mode}' for mode, number in values['channels'].items())}")
        lines.append(f"  mean colour   {values['mean_rgb']}, spread {values['spread_rgb']}")
        lines.append(f"  mattes        {values['with_matte']:,}" + (f", covering {cover['mean']:.1%} on average" if cover else ""))
    finish(as_json, {"sets": found}, "\n".join(lines))


def fetch(
    addresses: Annotated[Path, typer.Argument(metavar="LIST", help="Text file of addresses, or a table with --url-column.")],
    out: OutFolder,
    url_column: Annotated[str, typer.Option("--url-column", metavar="COLUMN", help="Of a .csv, .tsv or .jsonl table.")] = "",
    max_mb: Annotated[float, typer.Option("--max-mb", metavar="X", help="Largest file.", min=0.001)] = 20.0,
    max_total_gb: Annotated[float, typer.Option("--max-total-gb", metavar="X", help="Of all files together.", min=0.001)] = 50.0,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="S", help="Longest wait for an answer.", min=0.1)] = 15.0,
    deadline_s: Annotated[float, typer.Option("--deadline", metavar="S", help="Longest time for one file.", min=0.1)] = 120.0,
    tries: Annotated[int, typer.Option("--tries", metavar="N", help="Attempts at each.", min=1, max=20)] = 3,
    as_json: options.Json = False,
) -> None:
    """Download pictures from an explicit list; interrupted or repeated, only what is missing is asked for."""
    from mitlgan.data.curate.fetch import FetchSettings, read_urls
    from mitlgan.data.curate.fetch import fetch_pictures as run

    settings = FetchSettings(int(max_mb * 1e6), int(max_total_gb * 1e9), timeout_s, deadline_s, tries)
    with counted("fetch") as told:
        found = run(read_urls(addresses, url_column), out, settings, told)
    for reason, number in found["reasons"].items():
        note(f"{number} failed: {reason}")
    counts = found["counts"]
    if counts["changed"]:
        note(f"{counts['changed']} files are not as they were fetched; they are kept as they are, and fetch.json says what they hold now")
    text = f"{out}: {counts['fetched']} fetched, {counts['had']} there already, {counts['failed']} of {counts['asked']} unreachable (unreachable.txt)"
    finish(as_json, {"out": str(out), **found}, text)


def chess(
    out: OutFolder,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Pictures of each set.", min=1, max=1_000_000)] = 2000,
    size: Annotated[int, typer.Option("--size", metavar="N", help="Height and width in px.", min=8, max=1024)] = 64,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides every picture.", min=0)] = 0,
    as_json: options.Json = False,
) -> None:
    """Draw a domain free of any licence, with exact mattes: chess pieces near (fg/) and far (far/), boards (bg/), and scenes."""
    from mitlgan.data.demo.chess import write_chess

    with counted("chess") as told:
        counts = write_chess(out, count, size, seed, told)
    finish(as_json, {"out": str(out), "files": counts}, f"{out}: {count} pictures each in {', '.join(counts)}")


COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare, "split": split, "matte-iou": matte_iou, "augment": augment, "check": check, "stats": stats, "fetch": fetch, "chess": chess,
}  # fmt: skip
