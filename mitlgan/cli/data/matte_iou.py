"""`mitlgan data matte-iou`: measure a matting method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result, progress_bar


def matte_iou(
    scenes: Annotated[str, typer.Argument(metavar="SCENES|demo", help="Folder of pictures, or the demo's scenes.")] = "demo",
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            metavar="DIR",
            help="Folder of true mattes: of the pictures' paths, or of names that occur once. Default: NAME.matte.png.",
        ),
    ] = None,
    matting: Annotated[
        list[str] | None, typer.Option("--matting", metavar="METHOD|FILE.onnx", help="Methods to measure; repeatable. Default: grabcut.")
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Number of pictures, drawn by the seed.", min=1)] = 200,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed of the choice.", min=0)] = 0,
    as_json: options.Json = False,
) -> None:
    """Measure matting methods against true mattes.

    Prints the intersection over union of each method. `rectangle` is the simplest method: the floor.
    """
    from mitlgan.data.layers.matte_iou import measure_matte_iou

    with progress_bar("matte-iou") as callback:
        rows = measure_matte_iou(
            scenes, truth, list(dict.fromkeys(["rectangle", *(matting or ["grabcut"])])), count=count, seed=seed, progress=callback, say=log
        )
    head = f"{'method':<16}{'pictures':>10}{'mean IoU':>10}{'median':>9}{'small objects':>15}{'below 0.5':>11}{'ms/picture':>12}"
    lines = [
        f"{row['method']:<16}{row['count']:>10}{row['mean']:>10.3f}{row['median']:>9.3f}"
        f"{'-' if row['small'] is None else format(row['small'], '.3f'):>15}{row['failed']:>11}{row['ms']:>12.0f}"
        for row in rows
    ]
    print_result(as_json, {"rows": rows}, "\n".join([head, *lines]))
