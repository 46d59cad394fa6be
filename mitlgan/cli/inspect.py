"""sample, describe, doctor, bench, recipes, runs: looking at what is there."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.options import finish

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import TransformSpec
    from mitlgan.training.run_directory import Run

RUNS = Path("runs")
recipes_app = options.group("The shipped recipes: list, read, copy, check.")
runs_app = options.group("Runs: list, remove.")


def sample(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A .safetensors artifact, or a run.")],
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Images.", min=1, max=1_000_000)] = 16,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the first image; the others follow.", min=0)] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the PNGs go; a grid of them is DIR-grid.png.")] = Path("samples"),
    latent: Annotated[list[Path] | None, typer.Option("--latent", metavar="FILE", help="A latent file in place of seeds; repeatable.")] = None,
    truncation: options.Truncation = 1.0,
    layers: Annotated[bool, typer.Option("--layers", help="Also every layer, matte and fused image of a composition, in DIR-layers/.")] = False,
    lock: Annotated[
        list[str] | None, typer.Option("--lock", metavar="LAYER=SEED", help="Hold a layer of a composition while the others change; repeatable.")
    ] = None,
    stand: Annotated[
        list[str] | None,
        typer.Option(
            "--stand",
            metavar="LAYER=SCALE,ACROSS,DOWN[,flip]",
            help="Where a layer stands: 1 is its own size, its centre from -1 (left, top) to 1, mirrored with `flip`; repeatable.",
        ),
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Only one picture: every stage side by side, in titled grids.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Write images of an artifact as PNG."""
    import torch

    from mitlgan.artifacts.loaded_artifact import load_artifact, stages_sheet_png, write_sample_files
    from mitlgan.errors import UsageError
    from mitlgan.latents import read_latent, truncate
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.runtime.files import write_atomically

    locks, stands = _locks(lock or []), _stands(stand or [])
    loaded = load_artifact(artifact, device=str(resolve_device(device)))
    for name in stands:
        loaded.check_movable(name, f"--stand {name}")
    if latent:
        if locks:
            raise UsageError("--lock: holds a layer's seed, but --latent gives latents in place of seeds; leave one out")
        names = [path.stem for path in latent]
        if len(set(names)) < len(names):
            raise UsageError("--latent: two files have one name, and so would their pictures; rename one")
        z = torch.stack([read_latent(path, loaded.card.latent_dims, loaded.tensors_sha256) for path in latent])
    else:
        names = [f"{number:06d}" for number in range(seed, seed + count)]
        z = loaded.latents(loaded.lock_seeds(range(seed, seed + count), locks))
    stages = loaded.layers_from_latents(truncate(z, truncation), stands)
    if sheet is not None:
        write_atomically(sheet, stages_sheet_png(stages))
        return finish(as_json, {"sheet": str(sheet)}, f"{sheet}")
    files = write_sample_files(stages, names, out, every_layer=layers)
    values = {
        "grid": str(files.overview),
        "files": [str(file) for file in files.pictures],
        "stages": {name: str(folder) for name, folder in files.stages.items()},
    }
    return finish(as_json, values, "\n".join([f"{out}: {len(names)} pictures", *map(str, files.stages.values()), str(files.overview)]))


def _locks(texts: list[str]) -> dict[str, int]:
    from mitlgan.errors import UsageError
    from mitlgan.latents import SEED_LIMIT

    found: dict[str, int] = {}
    for text in texts:
        name, _, seed = text.partition("=")
        if not name or not (seed.isascii() and seed.isdecimal()) or len(seed) > 19 or int(seed) >= SEED_LIMIT or name in found:
            raise UsageError(f"--lock {text}: write it as LAYER=SEED, once for each layer, such as fg=7")
        found[name] = int(seed)
    return found


def _stands(texts: list[str]) -> dict[str, TransformSpec]:
    from mitlgan.artifacts.loaded_artifact import MAX_SCALE
    from mitlgan.errors import UsageError
    from mitlgan.networks.placement import MIN_SCALE

    found: dict[str, TransformSpec] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        parts = rest.split(",")
        try:
            scale, across, down = (float(part) for part in parts[:3])
        except ValueError:
            scale = math.nan
        if not name or not math.isfinite(scale) or parts[3:] not in ([], ["flip"]) or name in found or not math.isfinite(across + down):
            raise UsageError(f"--stand {text}: write it as LAYER=SCALE,ACROSS,DOWN or with ,flip, once for each layer, such as fg=0.5,-0.2,0.3")
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise UsageError(f"--stand {text}: the scale must lie between {MIN_SCALE:g} and {MAX_SCALE:g}")
        found[name] = (scale, across, down, len(parts) == 4)
    return found


def describe(
    target: Annotated[str, typer.Argument(metavar="RECIPE|ARTIFACT", help="A recipe's name or file, an artifact or a run.")],
    as_json: options.Json = False,
) -> None:
    """Count parameters and multiply-accumulates of a recipe's or an artifact's networks."""
    from mitlgan.artifacts.summary import describe as described
    from mitlgan.errors import to_one_line

    values = described(target)
    lines = [
        to_one_line(f"{values['name']}: {values['kind']}, {values['size_px']} px"),
        f"{'':<12}{'parameters':>14}{'trainable':>14}{'multiply-accumulates':>24}",
    ]
    for name, part in [*values["networks"].items(), ("total", values["total"])]:
        lines.append(f"{name:<12}{part['parameters']:>14,}{part['trainable']:>14,}{part['multiply_accumulates']:>24,}")
    finish(as_json, values, "\n".join(lines))


def doctor(as_json: options.Json = False) -> None:
    """Name device, threads, torch, measured speed, and what is missing."""
    from mitlgan.doctor import examine

    found = examine()
    finish(as_json, found, "\n".join(f"{key:<24} {value}" for key, value in found.items()))


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure loading, critic update and loop overhead against plain hand-written code, side by side."""
    from mitlgan.bench import format_results, run_benchmarks

    options.use_threads(threads)
    found = run_benchmarks(quick=quick)
    finish(as_json, found, "\n".join(format_results(found)))


@recipes_app.command("ls")
def recipes_ls(as_json: options.Json = False) -> None:
    """List the shipped recipes."""
    from mitlgan import recipe

    found = {name: _first_comment(recipe.find_recipe(name)) for name in recipe.shipped_recipe_names()}
    finish(as_json, {"recipes": found}, "\n".join(f"{name:<24} {comment}" for name, comment in found.items()))


@recipes_app.command("cat")
def recipes_cat(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: options.Json = False) -> None:
    """Print a recipe with its comments."""
    from mitlgan import recipe

    text = recipe.read_recipe_text(name, "NAME")
    finish(as_json, {"name": name, "text": text}, text.rstrip("\n"))


@recipes_app.command("cp")
def recipes_cp(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Must not exist.")],
    as_json: options.Json = False,
) -> None:
    """Copy a recipe, to change it."""
    from mitlgan import recipe
    from mitlgan.errors import UsageError
    from mitlgan.runtime.files import disk_errors

    source = recipe.find_recipe(name, "NAME")
    place = target / source.name if target.is_dir() else target
    if place.exists():
        raise UsageError(f"{place}: exists already; choose another name")
    with disk_errors(place):
        shutil.copyfile(source, place)
    finish(as_json, {"file": str(place)}, str(place))


@recipes_app.command("validate")
def recipes_validate(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")], settings: options.Settings = None, as_json: options.Json = False
) -> None:
    """Check a recipe as training would."""
    from mitlgan.artifacts.summary import describe_recipe
    from mitlgan.recipe import as_dict, load_recipe

    recipe = load_recipe(name, settings or [], "NAME")
    described = describe_recipe(recipe)
    finish(
        as_json,
        {"valid": True, "recipe": as_dict(recipe), "total": described["total"]},
        f"{name}: valid, {described['total']['trainable']:,} trainable parameters",
    )


@runs_app.command("ls")
def runs_ls(out: options.Out = RUNS, as_json: options.Json = False) -> None:
    """List the runs and comparisons of this folder, the newest last."""
    from mitlgan.errors import to_one_line
    from mitlgan.training import run_directory

    found = [_run_row(run) for run in run_directory.list_all(out)]
    lines = [to_one_line(f"{row['run']:<44} {row['state']:<16} {_length(row)}{_remarks(row)}") for row in found]
    finish(as_json, {"runs": found}, "\n".join(lines) if lines else f"no runs under {out}")


@runs_app.command("rm")
def runs_rm(run: Annotated[Path, typer.Argument(metavar="RUN")], as_json: options.Json = False) -> None:
    """Delete a run or a comparison that no process works on."""
    from mitlgan.runtime.files import folder_lock
    from mitlgan.training import run_directory

    found = run_directory.open_any(run)
    with folder_lock(found.path):
        run_directory.remove(found)
    finish(as_json, {"removed": str(run)}, f"{run}: removed")


def _run_row(run: Run) -> dict[str, Any]:
    status = run.status()
    return {
        "run": str(run.path),
        "state": run.state(),
        "kimg": None if run.is_comparison else float(status.get("kimg") or 0.0),
        "recipe": None if run.is_comparison else _recipe_name(run),
        "diagnosis": str(status.get("diagnosis") or ""),
        "artifact": str(run.artifact) if run.artifact else None,
        "report": str(run.report) if run.report else None,
    }


def _length(row: dict[str, Any]) -> str:
    return "comparison" if row["kimg"] is None else f"{row['kimg']:>10.1f} kimg"


def _recipe_name(run: Run) -> str:
    """The recipe's name with what was changed of it; empty where the file cannot be read any more."""
    from mitlgan.errors import UsageError
    from mitlgan.recipe import display_name

    try:
        return display_name(run.load_recipe())
    except UsageError:
        return ""


def _remarks(row: dict[str, Any]) -> str:
    """What a reader of the list must not miss: a recipe that is no longer what its name says, and what went wrong."""
    changed = row["recipe"] if row["recipe"] and ", changed: " in row["recipe"] else ""
    return "".join(f"  {remark}" for remark in (changed, row["diagnosis"]) if remark)


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# ") if first.startswith("#") else ""


COMMANDS: dict[str, Callable[..., None]] = {"sample": sample, "describe": describe, "doctor": doctor, "bench": bench}
