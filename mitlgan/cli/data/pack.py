"""`mitlgan data pack`: decode pictures once into a pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.data.data_options import LEFT_OUT, SOURCE_HELP, UNREADABLE, log_left_out
from mitlgan.cli.output import log, print_result, progress_bar
from mitlgan.cli.output_files import claim_pack

if TYPE_CHECKING:
    from mitlgan.data.pack.image_pack import ImagePack


def pack(
    source: Annotated[Path, typer.Argument(metavar="SRC", help=SOURCE_HELP)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The pack, a new .npy file; the manifest is written next to it.")],
    size: Annotated[int, typer.Option("--size", metavar="N", help="Height and width in px.", min=4, max=1024)],
    resize: Annotated[str, typer.Option("--resize", metavar="FILTER", help="lanczos, bicubic, bilinear, box or nearest.")] = "lanczos",
    keep_alpha: Annotated[bool, typer.Option("--keep-alpha", help="Keep transparency as a fourth channel.")] = False,
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Continue even if more than 5 % of the files cannot be read.")] = False,
    as_json: options.Json = False,
) -> None:
    """Decode pictures once into a memory-mapped pack."""
    from mitlgan.data.build.pack_folder import pack_folder

    claim_pack(out, "--out")
    with progress_bar("pack") as callback:
        packed = pack_folder(source, out, size_px=size, resize=resize, keep_alpha=keep_alpha, allow_bad=allow_bad, progress=callback, say=log)
    print_pack(packed, as_json)


def print_pack(packed: ImagePack, as_json: bool) -> None:
    """Print what a pack holds, and which files were skipped or left over."""
    from mitlgan.data.sources.leftovers import describe_leftovers, divide_skipped

    unpacked, others = divide_skipped(packed.manifest)
    word = UNREADABLE if packed.manifest["made_by"].get("command") == "pack" else "skipped"
    log_left_out({word: unpacked, LEFT_OUT: others}, str(packed.path.with_suffix(".json")))
    left = packed.manifest.get("leftovers", {})
    if sentence := packed.describe_enlarged():
        log(sentence)
    values = {"pack": str(packed.path), "count": len(packed), "enlarged": packed.enlarged_count}
    values |= {"skipped": packed.manifest["skipped"], "leftovers": left}
    values["content_sha256"] = packed.content_sha256
    text = f"{packed.path}: {len(packed)} pictures of {packed.size_px} px, {len(unpacked)} {word}"
    print_result(as_json, values, "\n".join([text, *(f"  {line}" for line in describe_leftovers(left))]))
