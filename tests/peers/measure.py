"""Peers on the same pictures: each trains for some CPU seconds on one thread, and so does the recommended recipe; the product's KID measures all.

PYTHONPATH=tests python -m peers.measure --out peers                                           # all sides of four tasks
PYTHONPATH=tests python -m peers.measure --out peers --task bg-32 --side recipe --side sngan    # the recipe and one peer

README.md says how to install the peers.

What is measured already is not measured again: the same command goes on. Several may run at a time, each with other tasks or sides, after the first has
written the pictures.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peers.loops import PEERS, Peer

from mitlgan import networks
from mitlgan.bench.quality.page import spread
from mitlgan.bench.quality.pictures import TaskPictures, open_pictures, write_demo_pictures
from mitlgan.bench.quality.sides import EnlargedSamples, KidMeter, QualityPoint, best_point, first_as_good, ratios, train_recommended
from mitlgan.bench.quality.tasks import TASKS, QualityTask
from mitlgan.bench.quality.textbook import load_on_backdrop
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import MitlganError, UsageError
from mitlgan.images.grid import grid_png
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import EvalProtocol, to_rgb
from mitlgan.networks import Network
from mitlgan.runtime.allocator import keep_freed_memory
from mitlgan.runtime.files import ensure_folder, write_atomically, write_json
from mitlgan.runtime.json_files import read_json

RECIPE = "recipe"
SHARES = (0.25, 0.5, 1.0)
"""Shares of the time at which a peer is measured unless --end-only; the recipe is measured at these and at others."""
DEFAULT_TASKS = ("bg-32", "scene-32", "bg-64", "scene-64")
GRID_SEEDS = range(64)
COLUMNS = (
    "task", "side", "CPU s", "images/s", "generator updates", "parameters of generator + critic, million", "KID at 1/4", "1/2", "all of the time",
    "recipe: as good as its best, CPU s", "times sooner", "with reading the pictures",
)  # fmt: skip


@dataclass(frozen=True)
class PeerPlan:
    """A request.

    Attributes:
        tasks: What is trained.
        sides: Names of peers, or `RECIPE`.
        seconds: CPU seconds of each side, by size in px.
        seeds: Seeds of each side.
        samples: Generated pictures of each measurement.
        shares: Shares of the time at which peers are measured.
        out: Folder for rows, grids, runs, table.
    """

    tasks: Sequence[QualityTask]
    sides: Sequence[str]
    seconds: Mapping[int, float]
    seeds: Sequence[int]
    samples: int
    shares: Sequence[float]
    out: Path


class GridMeter(KidMeter):
    """Measures generators, and keeps a grid of the last one's samples.

    Attributes:
        grid: File of the grid.
        parameters: Parameters of the last generator.
    """

    grid: Path
    parameters = 0

    def measure(self, network: Network, role: str, held_out: ImagePack) -> float:
        """Return the KID of a generator."""
        images = to_rgb(to_uint8(EnlargedSamples(network, role, held_out.size_px).sample(GRID_SEEDS)))
        write_atomically(self.grid, grid_png(images, columns=8, scale=2))
        self.parameters = count_parameters(network)
        return super().measure(network, role, held_out)


def count_parameters(network: torch.nn.Module) -> int:
    """Return the number of a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def measure_all(plan: PeerPlan) -> dict[str, Any]:
    """Train and measure each side of each task, and return the results.

    Raises:
        UsageError: A peer is not installed, or the folder holds results of other settings.
    """
    for peer in (PEERS[side] for side in plan.sides if side != RECIPE):
        peer.require()
    meter = GridMeter(plan.samples, EvalProtocol().open_extractor())
    for folder in ("rows", "grids"):
        ensure_folder(plan.out / folder)
    for task in plan.tasks:
        for seed in plan.seeds:
            for side in plan.sides:
                if side == RECIPE or task.size_px in PEERS[side].sizes_px:
                    measure_row(plan, task, side, seed, meter)
    return write_results(plan.out)


def measure_row(plan: PeerPlan, task: QualityTask, side: str, seed: int, meter: GridMeter) -> None:
    """Train one side of a task and write its row, unless it is there.

    Raises:
        UsageError: The row is there, of other settings.
    """
    name, seconds = f"{task.name}--{side}--{seed}", plan.seconds[task.size_px]
    file = plan.out / "rows" / f"{name}.json"
    settings: dict[str, Any] = {"seconds": seconds, "samples": plan.samples, "threads": torch.get_num_threads(), "torch": torch.__version__}
    if side != RECIPE:
        settings["shares"] = list(plan.shares)
    if row := read_json(file):
        if row.get("settings") != settings:
            raise UsageError(f"--out {plan.out}: {file.name} is of other settings ({row.get('settings')}); give another folder")
        return
    print(f"{name}: {seconds:.0f} CPU s", file=sys.stderr, flush=True)
    meter.grid = plan.out / "grids" / f"{name}.png"
    write_demo_pictures(plan.out / "pictures" / task.role, task.role)
    with tempfile.TemporaryDirectory() as scratch:
        pictures = open_pictures(plan.out / "pictures" / task.role, task.role, task.size_px, Path(scratch) / "packs")
        if side == RECIPE:
            row = measure_recipe(task, pictures, seed, seconds, meter, Path(scratch) / "runs")
        else:
            points_s = [seconds * share for share in plan.shares]
            row = measure_peer(PEERS[side], task, pictures, seed, points_s, meter, Path(scratch))
    write_json(file, {"task": task.name, "side": side, "seed": seed, "settings": settings, **row})
    print(f"{name}: KID " + ", ".join(f"{point['kid']:.2f} after {point['cpu_s']:.0f} s" for point in row["points"]), file=sys.stderr, flush=True)


def measure_peer(
    peer: Peer, task: QualityTask, pictures: TaskPictures, seed: int, points_s: Sequence[float], meter: GridMeter, scratch: Path
) -> dict[str, Any]:  # fmt: skip
    """Train a peer and return its part of the row; it learns from the files, without their transparency."""
    folder = flatten(pictures.folder, scratch / "flat") if task.role == "fg" else pictures.folder
    loop = peer.open(folder, task.size_px, seed, scratch)
    points: list[QualityPoint] = []
    measured_updates = None
    for cpu_s in points_s:
        loop.train_until(cpu_s)
        if loop.generator_updates != measured_updates:  # else it is the same generator, and a wide one takes a minute to measure
            kid, measured_updates = meter.measure(loop.generator_for_use(), task.role, pictures.held_out), loop.generator_updates
        points.append(QualityPoint(loop.cpu_s, loop.images_shown / 1000, kid))
    generator, critic = map(count_parameters, loop.networks())
    return {
        "generator_updates": loop.generator_updates,
        "parameters": [generator, critic],
        "points": [point.to_json() for point in points],
    }


def measure_recipe(task: QualityTask, pictures: TaskPictures, seed: int, seconds: float, meter: GridMeter, runs: Path) -> dict[str, Any]:
    """Train the recommended recipe for all of the time, and return its part of the row."""
    points = train_recommended(task, pictures, seed, seconds, meter, -math.inf, runs)
    critic = count_parameters(networks.build_critic(task.load_recipe().critic, task.size_px))
    return {
        "recipe": task.recipe_name,
        "parameters": [meter.parameters, critic],
        "reading_s": pictures.reading_s,
        "points": [point.to_json() for point in points],
    }


def flatten(folder: Path, target: Path) -> Path:
    """Write the training pictures of a folder on the backdrop on which pictures are compared; peers know no transparency."""
    ensure_folder(target / "train")
    for file in sorted((folder / "train").iterdir()):
        load_on_backdrop(str(file)).save(target / "train" / file.name, compress_level=1)
    return target


def write_results(out: Path) -> dict[str, Any]:
    """Write all rows of a folder as `peers.json`, and their table as `peers.md`; return the former."""
    results = {"rows": [json.loads(file.read_text()) for file in sorted((out / "rows").glob("*.json"))]}
    write_json(out / "peers.json", results)
    write_atomically(out / "peers.md", "\n".join(table_lines(results["rows"])) + "\n")
    return results


def table_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as lines of a Markdown table: medians over seeds, with the smallest and the largest."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "--:|" * (len(COLUMNS) - 2)]
    for task in TASKS:
        for side in (RECIPE, *PEERS):
            if group := [row for row in rows if (row["task"], row["side"]) == (task, side)]:
                recipes = [find_row(rows, task, RECIPE, row["seed"]) for row in group]
                lines.append("| " + " | ".join(table_cells(group, recipes)) + " |")
    return lines


def find_row(rows: Sequence[Mapping[str, Any]], task: str, side: str, seed: int) -> Mapping[str, Any] | None:
    """Return the row of a side and a seed; None if it is not measured."""
    return next((row for row in rows if (row["task"], row["side"], row["seed"]) == (task, side, seed)), None)


def table_cells(group: Sequence[Mapping[str, Any]], recipes: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """Return a line of the table, from the rows of one side and the recipe's of the same seeds."""
    first = group[0]
    title = f"`{first['recipe']}`" if first["side"] == RECIPE else PEERS[first["side"]].title
    curves = [read_points(row) for row in group]
    updates = "" if first["side"] == RECIPE else _count([row["generator_updates"] for row in group])
    generator, critic = (number / 1e6 for number in first["parameters"])
    cells = [
        first["task"], title, spread([points[-1].cpu_s for points in curves], 0),
        spread([1000 * points[-1].kimg / points[-1].cpu_s for points in curves], 0), updates, f"{generator:.2f} + {critic:.2f}",
        *(kid_cell(group, curves, share) for share in SHARES),
    ]  # fmt: skip
    if first["side"] == RECIPE or None in recipes:
        return [*cells, "", "", ""]
    return cells + sooner_cells(curves, [recipe for recipe in recipes if recipe is not None])


def _count(values: Sequence[int]) -> str:
    """Return the median of counts, with the smallest and the largest if there are several."""
    text = f"{statistics.median(values):,.0f}"
    return text if len(values) == 1 else f"{text} ({min(values):,} to {max(values):,})"


def kid_cell(group: Sequence[Mapping[str, Any]], curves: Sequence[Sequence[QualityPoint]], share: float) -> str:
    """Return the KID of one side at a share of the time; nothing if a peer was not measured there."""
    if any(row["side"] != RECIPE and share not in row["settings"]["shares"] for row in group):
        return ""
    return spread([point_at(points, share * row["settings"]["seconds"]).kid for row, points in zip(group, curves, strict=True)], 2)


def sooner_cells(curves: Sequence[Sequence[QualityPoint]], recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return when the recipe is as good as a peer at its best, how many times sooner, and that with the time of packing the pictures."""
    others = [read_points(recipe) for recipe in recipes]
    reached = [first_as_good(points, best_point(curve).kid) for curve, points in zip(curves, others, strict=True)]
    times_s = [point.cpu_s for point in reached if point is not None]
    if len(times_s) < len(curves):
        return ["not reached", "", ""]
    factors = [ratios(curve, points, recipe["reading_s"]) for curve, points, recipe in zip(curves, others, recipes, strict=True)]
    is_first = any(point == points[0] for point, points in zip(reached, others, strict=True))
    at_most, at_least = ("at most ", "at least ") if is_first else ("", "")
    return [at_most + spread(times_s, 1), *(at_least + spread(values, 0) for values in zip(*factors, strict=True))]


def read_points(row: Mapping[str, Any]) -> list[QualityPoint]:
    """Return the measured points of a row."""
    return [QualityPoint(**point) for point in row["points"]]


def point_at(points: Sequence[QualityPoint], cpu_s: float) -> QualityPoint:
    """Return the first point at or after a time; the last one if a training ended before."""
    return next((point for point in points if point.cpu_s >= cpu_s), points[-1])


def parse(arguments: Sequence[str]) -> PeerPlan:
    """Return what is asked for; exits with 2 on wrong options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for rows, grids and table")
    parser.add_argument("--task", action="append", choices=TASKS, help=f"repeatable; else {', '.join(DEFAULT_TASKS)}")
    parser.add_argument("--side", action="append", choices=[RECIPE, *PEERS], help="the recipe or a peer, repeatable; else all")
    parser.add_argument("--seconds-32", type=float, default=120.0, help="CPU seconds of each side at 32 px")
    parser.add_argument("--seconds-64", type=float, default=180.0, help="CPU seconds of each side at 64 px")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; else 0")
    parser.add_argument("--samples", type=int, default=500, help="generated pictures of each measurement")
    parser.add_argument("--end-only", action="store_true", help="measure peers at the end alone: a wide generator takes minutes to measure")
    options = parser.parse_args(arguments)
    return PeerPlan(
        [TASKS[name] for name in options.task or DEFAULT_TASKS],
        options.side or [RECIPE, *PEERS],
        {32: options.seconds_32, 64: options.seconds_64},
        options.seed or [0],
        options.samples,
        SHARES[-1:] if options.end_only else SHARES,
        options.out,
    )


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, and return the exit code."""
    torch.set_num_threads(1)
    keep_freed_memory()  # for all sides
    try:
        results = measure_all(parse(arguments))
    except MitlganError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("\n".join(table_lines(results["rows"])))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
