"""`mitlgan data augment`: enlarge a set by changed copies."""

from __future__ import annotations

from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import LEFT_OUT, UNREADABLE, OutFolder, Source, leftover_text, log_left_out
from mitlgan.cli.output import log, print_result, progress_bar

Distortion = Annotated[float, typer.Option("--distortion", metavar="X", help="Maximum elastic shift, share of the side; 0: off.", min=0.0, max=0.2)]


def augment(
    source: Source,
    out: OutFolder,
    factor: Annotated[int, typer.Option("--factor", metavar="K", help="Pictures per original, including the original.", min=1, max=1000)] = 4,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed.", min=0)] = 0,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="Mirror left to right.")] = True,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Also flip half of the copies top to bottom, as the thesis did.")] = False,
    degrees: Annotated[float, typer.Option("--degrees", metavar="X", help="Maximum rotation, degrees; 0: off.", min=0.0, max=180.0)] = 10.0,
    shear: Annotated[float, typer.Option("--shear", metavar="X", help="Maximum shear, degrees; 0: off.", min=0.0, max=60.0)] = 6.0,
    distortion: Distortion = 0.03,
    as_json: options.Json = False,
) -> None:
    """Enlarge a set with changed copies, to train on in its place.

    Copies are mirrored left to right, rotated, sheared and distorted, and stay upright. Transparency and mattes change with them. Of a set with splits,
    the training pictures alone are used. The thesis also flipped copies top to bottom: --flip.
    """
    from mitlgan.data.build.offline_augment import AugmentSettings
    from mitlgan.data.build.offline_augment import augment_pictures as run

    settings = AugmentSettings(factor, seed, mirror, flip, degrees, shear, distortion)
    with progress_bar("augment") as callback:
        counts = run(source, out, settings, callback, log)
    bad, others = counts["skipped"][: counts["unreadable"]], counts["skipped"][counts["unreadable"] :]
    log_left_out({UNREADABLE: bad, LEFT_OUT: others}, "the same command with --json names all")
    with_mattes = f" and {counts['mattes']} mattes" if counts["mattes"] else ""
    text = f"{out}: {counts['made']} pictures{with_mattes} made of {counts['pictures']}; {counts['unreadable']} unreadable"
    text += leftover_text(counts["leftovers"])
    print_result(as_json, {"out": str(out), **counts}, text)
