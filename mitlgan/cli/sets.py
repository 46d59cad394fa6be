"""data split, matte-iou: one folder of ordinary pictures into the sets that composition needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.counting import counted
from mitlgan.cli.options import finish, note

if TYPE_CHECKING:
    from mitlgan.data.split import SplitSettings

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
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Made where absent; interrupted work in it goes on.")]


def split(
    source: Source,
    out: OutFolder,
    matting: Matting = "auto",
    size: Annotated[int, typer.Option("--size", metavar="N", help="Larger pictures are reduced to this (px).", min=16, max=1024)] = 256,
    background: Annotated[str, typer.Option("--background", metavar="KIND", help="fill (the object's hole), patch (beside it), or both.")] = "both",
    blur: Annotated[float, typer.Option("--blur", metavar="PX", help="Blur backgrounds by this much.", min=0.0, max=100.0)] = 0.0,
    backdrop: Annotated[str | None, typer.Option("--backdrop", metavar="COLOUR", help="Lay foregrounds on this colour, a name or #rrggbb.")] = None,
    centre: Annotated[bool, typer.Option("--centre", help="Centre foregrounds, longest side 86 %.")] = False,
    min_object_area: Annotated[float, typer.Option("--min-object-area", metavar="X", help="Share of the picture.", min=0.0, max=1.0)] = 0.02,
    max_object_area: Annotated[float, typer.Option("--max-object-area", metavar="X", help="Share of the picture.", min=0.0, max=1.0)] = 0.85,
    max_border: Annotated[float, typer.Option("--max-border", metavar="X", help="Share of the edge it may touch.", min=0.0, max=1.0)] = 0.25,
    exclude: Exclude = None,
    as_json: options.Json = False,
) -> None:
    """Cut ordinary pictures into fg/ (objects), bg/ (places without them) and scene/ (pictures with mattes), ready for --data."""
    from mitlgan.data.colours import colour
    from mitlgan.data.curate import read_names
    from mitlgan.data.gate import Gate
    from mitlgan.data.split import SplitSettings

    settings = SplitSettings(
        matting=matting,
        size_px=size,
        background=background,
        blur_px=blur,
        backdrop=None if backdrop is None else colour("--backdrop", backdrop),
        centre=centre,
        exclude=read_names(*(exclude or [])),
        gate=Gate(min_area=min_object_area, max_area=max_object_area, max_border=max_border),
    )
    _split(source, out, settings, as_json)


def _split(source: str, out: Path, settings: SplitSettings, as_json: bool) -> None:
    from mitlgan.data.split import split as run
    from mitlgan.report.sheets import write_split_page

    with counted("split") as told:
        manifest = run(source, out, settings, told)
    page = write_split_page(out, manifest)
    counts = manifest["counts"]
    for record in [line for line in manifest["records"] if line["decision"] != "used"][:20]:
        note(f"{record['decision']} {record['name']!r}: {record['reason']}")
    values: dict[str, Any] = {"out": str(out), "page": str(page), "counts": counts, "methods": manifest["methods"], "files": manifest["files"]}
    files = manifest["files"]
    text = (
        f"{counts['used']} of {sum(counts.values())} pictures cut: {files['fg']} foregrounds, {files['bg']} backgrounds, {files['scene']} scenes; "
        f"{counts['set aside']} set aside, {counts['unreadable']} unreadable\n{page}"
    )
    finish(as_json, values, text)


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
    """Measure matting against true mattes: intersection over union, per method."""
    from mitlgan.data.agreement import measure

    with counted("matte-iou") as told:
        rows = measure(scenes, truth, matting or ["grabcut"], count=count, seed=seed, progress=told)
    head = f"{'method':<16}{'pictures':>10}{'mean IoU':>10}{'median':>9}{'small objects':>15}{'below 0.5':>11}{'ms/picture':>12}"
    lines = [
        f"{row['method']:<16}{row['count']:>10}{row['mean']:>10.3f}{row['median']:>9.3f}"
        f"{'-' if row['small'] is None else format(row['small'], '.3f'):>15}{row['failed']:>11}{row['ms']:>12.0f}"
        for row in rows
    ]
    finish(as_json, {"rows": rows}, "\n".join([head, *lines]))


COMMANDS: dict[str, Callable[..., None]] = {"split": split, "matte-iou": matte_iou}
