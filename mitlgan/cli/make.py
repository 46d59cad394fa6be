"""`mitlgan make`: from photographs to a composition in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import HOLDOUT_HELP, MATTING_HELP, SOURCE_HELP
from mitlgan.cli.output import labeled_progress, print_result

Photographs = Annotated[str, typer.Argument(metavar="PHOTOS", help=SOURCE_HELP)]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for everything, new or empty. Default: mitlgan-PHOTOS.")]
Size = Annotated[int | None, typer.Option("--size", metavar="N", help="Pictures of 32 or 64 px. Default: what the photographs have pixels for.")]
Minutes = Annotated[
    float | None, typer.Option("--minutes", metavar="N", help="Fit the length of the trainings to this time. Default: the recipes' own lengths.")
]
HoldOut = Annotated[str | None, typer.Option("--holdout", metavar="N|N%", help=f"{HOLDOUT_HELP} Default: 10%.")]
Matting = Annotated[str | None, typer.Option("--matting", metavar="METHOD|FILE.onnx", help=f"{MATTING_HELP} Default: auto.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", metavar="N", help="Trainings that run at a time and share the cores. Default: 2; 1 on one core.", min=1, max=2)
]


def make(
    photographs: Photographs,
    out: Out = None,
    size: Size = None,
    minutes: Minutes = None,
    holdout: HoldOut = None,
    matting: Matting = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Random seed of all trainings. Default: 0.", min=0)] = None,
    licence: options.Licence = None,
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Continue even if more than 5 % of the files cannot be read.")] = False,
    jobs: Jobs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, say how long it takes and what it needs; write nothing.")] = False,
    as_json: options.Json = False,
) -> None:
    """Turn a folder of photographs into scenes, in one command.

    Cuts objects and backgrounds, trains a generator for each, joins them, and measures the result on photographs that were held out. Says first
    how long that takes on this machine, and prints the commands that it stands for. If it is stopped or killed, the same command
    continues it.
    """
    import torch

    from mitlgan.project.make import JOBS, make_project
    from mitlgan.project.plan import ProjectRequest, default_folder, full_path
    from mitlgan.runtime.distributed import World
    from mitlgan.runtime.progress import PlainReporter
    from mitlgan.stages.context import RunContext

    request = ProjectRequest(full_path(photographs), size, minutes, holdout, matting, licence, seed, allow_bad)
    context = RunContext(World(0, 1, torch.device("cpu")), PlainReporter("make"), on_end=options.write_run_files)
    with labeled_progress() as progress:
        result = make_project(request, out or default_folder(photographs), context, jobs=jobs or JOBS, dry_run=dry_run, progress=progress)
    if result is None:
        return print_result(as_json, {"dry_run": True}, "nothing was written")
    from mitlgan.project.outcome import describe_outcome, outcome_to_json

    return print_result(as_json, outcome_to_json(result), describe_outcome(result))
