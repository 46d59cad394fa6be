"""data: pictures into packs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.options import finish, note

app = options.group("Prepare pictures for training.")


@app.callback()
def _root() -> None:
    pass


@app.command()
def pack(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of pictures, subfolders included.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The pack, a .npy file; its manifest lies beside it.")],
    size: Annotated[int, typer.Option("--size", metavar="N", help="Height and width in px.", min=4, max=1024)],
    resize: Annotated[str, typer.Option("--resize", metavar="FILTER", help="lanczos, bicubic, bilinear, box or nearest.")] = "lanczos",
    keep_alpha: Annotated[bool, typer.Option("--keep-alpha", help="Keep transparency as a fourth channel.")] = False,
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Go on even if more than 5 % of the files cannot be read.")] = False,
    as_json: options.Json = False,
) -> None:
    """Decode a folder once into a memory-mapped pack."""
    from mitlgan.data.prepare import pack_folder

    packed = pack_folder(source, out, size_px=size, resize=resize, keep_alpha=keep_alpha, allow_bad=allow_bad)
    skipped = packed.manifest["skipped"]
    for entry in skipped[:20]:
        note(f"skipped {entry['name']!r}: {entry['reason']}")
    values = {"pack": str(packed.path), "count": len(packed), "skipped": skipped, "content_sha256": packed.content_sha256}
    finish(as_json, values, f"{packed.path}: {len(packed)} pictures of {size} px, {len(skipped)} skipped")
