"""How CPU time and memory grow with pictures, pixels, layers and processes: each row is a command of its own."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mitlgan.bench.timing import CommandCost, run_command
from mitlgan.data.demo import archive
from mitlgan.recipe import load_recipe
from mitlgan.runtime.shipped_files import shipped_folder

DISTINCT_PICTURES = 100
PER_FOLDER = 10_000
PACK_PX = 32
MAX_PICTURES, MAX_PICTURES_QUICK = 100_000, 1_000
PIXEL_RECIPES = ("recommended/bg-32", "recommended/bg-64", "recommended/bg-128")
LAYER_RECIPE, LAYER_COUNTS = "recommended/three-32", (2, 3, 4)
RANKS = (1, 2, 4)
RANK_RECIPE, RANK_BATCH, RANK_STEPS = "recommended/wgan-32", 16, 20


def measure_growth(quick: bool, max_pictures: int | None = None) -> dict[str, Any]:
    """Return rows by what grows: "pictures", "pixels", "layers" and "processes"."""
    limit = max_pictures or (MAX_PICTURES_QUICK if quick else MAX_PICTURES)
    counts = [count for count in (1_000, 10_000, 100_000, 1_000_000) if count <= limit] or [limit]
    return {
        "pictures": [measure_packing(count) for count in counts],
        "pixels": [_measure_steps(name, ["pretrain", load_recipe(name).role]) for name in (PIXEL_RECIPES[:2] if quick else PIXEL_RECIPES)],
        "layers": [
            {**_measure_steps(LAYER_RECIPE, ["compose", *_layer_options(count)]), "layers": count}
            for count in (LAYER_COUNTS[:2] if quick else LAYER_COUNTS)
        ],
        "processes": [measure_processes(ranks) for ranks in (RANKS[:2] if quick else RANKS)],
    }


def measure_packing(count: int) -> dict[str, Any]:
    """Return the cost of packing a folder of many files, which are hard links to a hundred pictures."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        link_pictures(root / "pictures", count)
        cost = run_command(["mitlgan", "data", "pack", "pictures", "--size", str(PACK_PX), "--out", "pack.npy"], root)
    return {"pictures": count, **_numbers(cost), "ms_per_picture": cost.cpu_s / count * 1000}


def link_pictures(folder: Path, count: int) -> None:
    """Make a folder of hard links to `DISTINCT_PICTURES` of the demo's backgrounds, in folders of `PER_FOLDER`."""
    sources = folder / "train" / "sources"
    sources.mkdir(parents=True)
    files = []
    for index, (_, content, _) in enumerate(archive.read_pool(archive.BACKGROUNDS, min(DISTINCT_PICTURES, count))):
        files.append(sources / f"{index}.webp")
        files[-1].write_bytes(content)
    for index in range(len(files), count):
        place = folder / "train" / f"{index // PER_FOLDER}"
        if index % PER_FOLDER == 0 or index == len(files):
            place.mkdir(exist_ok=True)
        os.link(files[index % len(files)], place / f"{index}.webp")


def measure_processes(ranks: int) -> dict[str, Any]:
    """Return the cost of a training of `RANK_STEPS` steps by several processes with one whole batch."""
    recipe = load_recipe(RANK_RECIPE)
    kimg = RANK_STEPS * RANK_BATCH * recipe.objective.critic_steps / 1000
    settings = [f"training.kimg={kimg}", f"training.batch={RANK_BATCH}"]
    training = ["mitlgan", "pretrain", recipe.role, "--recipe", RANK_RECIPE, "--device", "cpu", "--threads", "1"]
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"] if ranks > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        cost = run_command([*launcher, *training, *(word for setting in settings for word in ("--set", setting))], Path(folder))
    return {"processes": ranks, **_numbers(cost)}


def _measure_steps(recipe_name: str, command: list[str]) -> dict[str, Any]:
    """Return what a training step costs, by the command's own dry run, and the memory of that process."""
    with tempfile.TemporaryDirectory() as folder:
        cost = run_command(["mitlgan", *command, "--recipe", recipe_name, "--threads", "1", "--dry-run", "--json"], Path(folder))
    estimate = json.loads(cost.out)["estimate"]
    return {"recipe": recipe_name, "ms_per_step": estimate["cpu_seconds"] / estimate["updates"] * 1000, "memory_mb": cost.memory_bytes / 1e6}


def _layer_options(count: int) -> Iterator[str]:
    """Yield the options that name so many shipped layers of 32 px: a background, and objects in front of it."""
    pretrained = shipped_folder("pretrained")
    yield from ("--layer", f"bg={pretrained / 'modern-bg-32'}")
    for index in range(1, count):
        yield from ("--layer", f"object{index}={pretrained / 'modern-fg-32'}")


def _numbers(cost: CommandCost) -> dict[str, float]:
    return {"cpu_s": cost.cpu_s, "memory_mb": cost.memory_bytes / 1e6}


def format_growth(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    rows = [(f"{row['pictures']:,} pictures packed", f"{row['cpu_s']:.1f} s CPU", row) for row in results["pictures"]]
    for row in (*results["pixels"], *results["layers"]):
        label = f"{row['layers']} layers of 32 px" if "layers" in row else row["recipe"]
        rows.append((label, f"{row['ms_per_step']:.0f} ms CPU a step", row))
    rows += [(f"{RANK_STEPS} steps, processes: {row['processes']}", f"{row['cpu_s']:.1f} s CPU in all", row) for row in results["processes"]]
    return [f"{label:<26}{cost}, {row['memory_mb']:,.0f} MB" for label, cost, row in rows]
