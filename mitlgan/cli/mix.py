"""`mitlgan mix`: mix two pictures into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.edit_options import ArtifactPath, Layer, layer_names, load_artifact
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_picture, lines_of, new_file
from mitlgan.cli.picture_options import FilterName, NoMetadata, Scale, Size, picture_size

if TYPE_CHECKING:
    from torch import Tensor

    from mitlgan.artifacts.loaded_artifact import LoadedArtifact
    from mitlgan.editing import MixResult
    from mitlgan.images.resize import PictureSize


Weight = Annotated[list[str] | None, typer.Option("--weight", metavar="[LAYER=]W", help="Share of B, from 0 to 1; repeatable by layer. Default: 0.5.")]


def mix(
    artifact: ArtifactPath,
    first: Annotated[str | None, typer.Argument(metavar="A", help="First parent: a seed, fg=7,bg=3 or latent.json.")] = None,
    second: Annotated[str | None, typer.Argument(metavar="B", help="Second parent.")] = None,
    coarse: Annotated[str | None, typer.Option("--coarse", metavar="A", help="Style generators, instead of A and B: layout of this one.")] = None,
    fine: Annotated[str | None, typer.Option("--fine", metavar="B", help="Texture and colour of this one.")] = None,
    from_px: Annotated[int | None, typer.Option("--from-px", metavar="N", help="Size from which --fine counts.", min=4)] = None,
    weight: Weight = None,
    layer: Layer = None,
    features: Annotated[str | None, typer.Option("--features", metavar="K|NAME", help="Mix activations after this stage instead of latents.")] = None,
    straight: Annotated[bool, typer.Option("--lerp", help="Take the straight line between latents: a more average child.")] = False,
    truncation: options.Truncation = 1.0,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    no_metadata: NoMetadata = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The child's picture, a new file; its latent, if any, is written next to it, as .json. Default: child.png, numbered if it is there.",
        ),
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also write parents and child in one PNG.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Mix two pictures into one.

    Takes the midpoint on the arc between their latents, layer by layer.
    """
    from mitlgan.editing import mix as mixed
    from mitlgan.editing import mix_styles, parse_latent
    from mitlgan.runtime.files import write_atomically
    from mitlgan.runtime.unfinished_outputs import remove_if_failed

    out = new_file(out, "child.png", [".json"])
    claim_picture(sheet, "--sheet", out, out.with_suffix(".json"))
    names = _parents(first, second, coarse, fine, from_px)
    _check_exclusive(coarse is not None, features is not None, bool(weight or layer), straight)
    loaded = load_artifact(artifact, device)
    target = picture_size(scale, size, filter_name, loaded.card.size_px, has_sheet=sheet is not None)
    parents = [parse_latent(loaded, text, name) for name, text in names.items()]
    if coarse is not None:
        child = mix_styles(loaded, *parents, from_px=from_px, truncation=truncation)
    else:
        child = mixed(loaded, *parents, weight=_weights(weight), layers=layer_names(layer), features=features, lerp=straight, truncation=truncation)
    latent_path = None if child.z is None else out.with_suffix(".json")
    with remove_if_failed(*(path for path in (out, latent_path, sheet) if path is not None)):
        write_atomically(out, _single_png(loaded, child, target, no_metadata), is_new=True)
        if latent_path is not None and child.z is not None:
            _write_child_latent(latent_path, loaded, child.z, list(names.values()))
        if sheet is not None:
            _write_sheet(sheet, loaded, parents, child, target, truncation)
    if latent_path is None:
        log(f"{out}: activations were mixed, so there is no latent of the child, and `sample --like` cannot make it again")
    values = {"picture": str(out), "latent": str(latent_path) if latent_path else None, "sheet": str(sheet) if sheet else None}
    print_result(as_json, values, lines_of(out, latent_path, sheet))


def _check_exclusive(by_style: bool, by_features: bool, shares: bool, straight: bool) -> None:
    """Refuse options that exclude each other."""
    from mitlgan.errors import UsageError

    if by_style and (shares or by_features or straight):
        raise UsageError("--coarse: mixes styles by resolution; leave away --weight, --layer, --features and --lerp")
    if by_features and straight:
        raise UsageError("--lerp: is a path between latents, and --features mixes activations; leave one out")


def _write_child_latent(path: Path, loaded: LoadedArtifact, z: Tensor, names: list[str]) -> None:
    from mitlgan.latents import write_latent

    write_latent(path, z, loaded.card.latent_dims, loaded.tensors_sha256, f"child of {' and '.join(names)}", is_new=True)


def _write_sheet(path: Path, loaded: LoadedArtifact, parents: list[Tensor], child: MixResult, size: PictureSize, truncation: float) -> None:
    import torch

    from mitlgan.images.grid import labeled_grid_png
    from mitlgan.latents import truncate
    from mitlgan.runtime.files import write_atomically

    first, second = (loaded.images_from_latents(truncate(parent, truncation)[None]) for parent in parents)
    write_atomically(path, labeled_grid_png(torch.cat([first, child.stages.output, second]), [""], ["A", "child", "B"], size=size), is_new=True)


def _single_png(loaded: LoadedArtifact, child: MixResult, size: PictureSize, no_metadata: bool) -> bytes:
    from mitlgan.artifacts.loaded_artifact import render_evenly
    from mitlgan.artifacts.picture_record import latents_by_layer, make_record
    from mitlgan.images.alpha import unpremultiply
    from mitlgan.images.encode import encode_with_text
    from mitlgan.images.resize import resize_images

    # With the bits that `sample --like` gives again, if it has a latent.
    output = child.stages.output if child.z is None else render_evenly(loaded, child.z[None]).output
    record = None if no_metadata or child.z is None else make_record(loaded, latents_by_layer(loaded, child.z), size=size)
    return encode_with_text(unpremultiply(resize_images(output, size))[0], "PNG", None if record is None else record.to_text())


def _parents(first: str | None, second: str | None, coarse: str | None, fine: str | None, from_px: int | None) -> dict[str, str]:
    """Return both parents by the argument or option that named them."""
    from mitlgan.errors import UsageError

    if coarse is None and fine is None and from_px is None and first is not None and second is not None:
        return {"A": first, "B": second}
    if coarse is not None and fine is not None and first is None:
        return {"--coarse": coarse, "--fine": fine}
    raise UsageError("mix: give two parents, A and B, or --coarse A and --fine B for a style generator")


def _weights(texts: list[str] | None) -> float | dict[str, float]:
    from mitlgan.errors import UsageError

    shares: dict[str, float] = {}
    for text in texts or []:
        name, _, number = text.rpartition("=")
        if name in shares:
            raise UsageError(f"--weight {text}: {name or 'one for all'} is given twice; give each once")
        try:
            shares[name] = float(number)
        except ValueError:
            raise UsageError(f"--weight {text}: write it as W or LAYER=W, such as 0.3 or fg=0.3") from None
        if not 0 <= shares[name] <= 1:
            raise UsageError(f"--weight {text}: is not a share; choose from 0 (A) to 1 (B)")
    if "" in shares and len(shares) > 1:
        raise UsageError("--weight: one for all and some by layer; name the layer of each")
    return shares.get("", 0.5) if "" in shares or not shares else shares
