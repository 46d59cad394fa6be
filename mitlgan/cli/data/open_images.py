"""`mitlgan data open-images`: list the pictures of a class of Open Images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_file
from mitlgan.runtime.command_line import command_line


def open_images(
    name: Annotated[str, typer.Argument(metavar="CLASS", help="Name of the class, such as Dog, or its label.")],
    classes: Annotated[Path, typer.Option("--classes", metavar="FILE", help="Table of class names.")],
    labels: Annotated[Path, typer.Option("--labels", metavar="FILE", help="Table of image labels or of boxes, .csv or .csv.gz.")],
    images: Annotated[Path, typer.Option("--images", metavar="FILE", help="Table of images with their URLs.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The list, JSON lines with key, url, license, author.")],
    min_share: Annotated[
        float, typer.Option("--min-share", metavar="X", help="Least share of the picture that the object's box covers.", min=0.0, max=1.0)
    ] = 0.0,
    thumbnails: Annotated[bool, typer.Option("--thumbnails", help="Use the smaller copies, where there are any.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Maximum number of pictures.", min=1)] = None,
    as_json: options.Json = False,
) -> None:
    """List the pictures of a class of Open Images.

    For `data fetch OUT`; `data prepare` then writes a sheet on which you choose by hand. Downloads nothing.
    """
    from mitlgan.data.curate.open_images import ClassTables, list_class, write_addresses

    claim_file(out, "--out")
    addresses = list_class(name, ClassTables(classes, labels, images), min_share=min_share, thumbnails=thumbnails, limit=limit)
    listed = write_addresses(addresses, out)
    if len(addresses) > listed:
        log(f"{len(addresses) - listed} pictures have no address")
    text = f"{out}: {listed} pictures of {name}; fetch them by `{command_line(['data', 'fetch', out, '--out', 'DIR'])}`"
    print_result(as_json, {"out": str(out), "class": name, "pictures": listed, "without_url": len(addresses) - listed}, text)
