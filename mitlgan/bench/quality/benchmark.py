"""Runs the time to quality: each task and seed, both sides in turns; what is measured already is not measured again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mitlgan.bench.quality.pictures import TaskPictures, open_pictures, write_demo_pictures
from mitlgan.bench.quality.sides import (
    RECIPE_SHARES,
    TEXTBOOK_SHARES,
    KidMeter,
    QualityPoint,
    best_point,
    first_as_good,
    ratios,
    train_recommended,
    train_textbook,
)
from mitlgan.bench.quality.tasks import QualityTask
from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.extractor import extract_features
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.report.formatting import two_digits
from mitlgan.runtime.allocator import keep_freed_memory
from mitlgan.runtime.files import ensure_folder, lock_folder, write_json
from mitlgan.runtime.json_files import read_json_to_extend
from mitlgan.runtime.progress import Say, format_duration

SCHEMA_VERSION = 1
RESULTS_FILE = "quality.json"
TIMED_PICTURES = 64


@dataclass(frozen=True)
class QualityPlan:
    """A request for the time to quality.

    Attributes:
        tasks: What is trained.
        minutes: CPU minutes of the textbook loop, for each task and seed; the recipe gets at most as many.
        seeds: Number of seeds, from 0.
        samples: Generated pictures of each measurement.
        data: Folder with `fg`, `bg` and `scene`, as `mitlgan data split` makes it; None: the demo's pictures.
        out: Folder for the results.
    """

    tasks: Sequence[QualityTask]
    minutes: float
    seeds: int
    samples: int
    data: Path | None
    out: Path

    def settings(self) -> dict[str, Any]:
        """Return what results that may stand in one table share."""
        return {
            "samples": self.samples,
            "data": "demo" if self.data is None else str(self.data.resolve()),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def run_quality(plan: QualityPlan, say: Say, on_result: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Train and measure all that is missing in the results.

    Args:
        plan: The request.
        say: Shows progress.
        on_result: Called with the results so far after each task and seed, and with all at the end.

    Returns:
        The results, as in `quality.json`: "settings", and "tasks" by name with a row for each seed.

    Raises:
        UsageError: The folder holds results of other settings.
        MitlganError: Pictures are missing, or the machine gives out.
    """
    keep_freed_memory()  # for both sides
    ensure_folder(plan.out)
    with lock_folder(plan.out):
        results = read_results(plan)
        meter = KidMeter(plan.samples, EvalProtocol().open_extractor())
        pictures: dict[str, TaskPictures] = {}
        for seed in range(plan.seeds):
            for task in plan.tasks:
                rows = results["tasks"].setdefault(task.name, [])
                if _is_done(rows, seed, plan.minutes):
                    continue
                if task.name not in pictures:
                    pictures[task.name] = _open_pictures(plan, task)
                    _require_same_pictures(task, pictures[task.name], rows, plan, say)
                row = measure_pair(task, pictures[task.name], seed, plan, meter, say)
                rows[:] = sorted([other for other in rows if other["seed"] != seed] + [row], key=lambda row: int(row["seed"]))
                write_json(plan.out / RESULTS_FILE, results, root=plan.out)
                on_result(results)
        on_result(results)
    return results


def read_results(plan: QualityPlan) -> dict[str, Any]:
    """Return the results in the plan's folder; empty ones if there are none.

    Raises:
        UsageError: They are of other settings.
        DataError: They are damaged.
    """
    before = read_json_to_extend(plan.out / RESULTS_FILE)
    if not before:
        return {"schema_version": SCHEMA_VERSION, "settings": plan.settings(), "tasks": {}}
    settings = plan.settings()
    of_earlier_version = settings if plan.data is None else {**settings, "data": str(plan.data)}  # as it was given
    if (
        before.get("schema_version") != SCHEMA_VERSION
        or before.get("settings") not in (settings, of_earlier_version)
        or not isinstance(before.get("tasks"), dict)
    ):
        raise UsageError(f"--out {plan.out}: holds results of other settings ({before.get('settings')}); give another folder")
    return before


def measure_pair(task: QualityTask, pictures: TaskPictures, seed: int, plan: QualityPlan, meter: KidMeter, say: Say) -> dict[str, Any]:
    """Train both sides of a task with one seed, and return their row of the results."""
    seconds = plan.minutes * 60
    probes_ms = [_probe_ms()]
    textbook = train_textbook(task, pictures, seed, seconds, meter)
    target = best_point(textbook)
    say(f"{task.name}, seed {seed}: textbook loop, KID {two_digits(target.kid, 3)} after {target.cpu_s:.0f} s")
    probes_ms.append(_probe_ms())
    recommended = train_recommended(task, pictures, seed, seconds, meter, target.kid, plan.out / "runs")
    reached = first_as_good(recommended, target.kid)
    say(f"{task.name}, seed {seed}: {task.recipe_name}, " + _describe(reached, recommended))
    training, reading = ratios(textbook, recommended, pictures.reading_s)
    return {
        "seed": seed,
        "minutes": plan.minutes,
        "recipe": task.recipe_name,
        "target_kid": target.kid,
        "target_cpu_s": target.cpu_s,
        "reached_cpu_s": None if reached is None else reached.cpu_s,
        "ratio": training,
        "ratio_with_reading": reading,
        "reading_s": pictures.reading_s,
        "pictures": len(pictures.train),
        "held_out": len(pictures.held_out),
        "data_sha256": _hashes(pictures),
        "probe_ms": probes_ms,
        "textbook": [point.to_json() for point in textbook],
        "recommended": [point.to_json() for point in recommended],
    }


def estimate_cpu_s(plan: QualityPlan) -> float:
    """Return the CPU seconds that a plan takes at most: both sides have all the time, and are measured at all points."""
    extractor = EvalProtocol().open_extractor()
    images = torch.zeros(TIMED_PICTURES, 3, 32, 32, dtype=torch.uint8)
    start_s = time.process_time()
    extract_features(extractor, [images], None)
    measuring_s = (time.process_time() - start_s) * plan.samples / TIMED_PICTURES
    done = read_results(plan)["tasks"]
    pairs = sum(not _is_done(done.get(task.name, []), seed, plan.minutes) for seed in range(plan.seeds) for task in plan.tasks)
    return pairs * (2 * plan.minutes * 60 + measuring_s * (len(TEXTBOOK_SHARES) + len(RECIPE_SHARES)))


def describe_estimate(plan: QualityPlan, cpu_s: float) -> str:
    """Return an estimate in words."""
    return f"{len(plan.tasks)} tasks, {plan.seeds} seeds: at most {format_duration(cpu_s)} of CPU time; nothing was written"


def _is_done(rows: Sequence[Mapping[str, Any]], seed: int, minutes: float) -> bool:
    return any(row["seed"] == seed and row["minutes"] == minutes for row in rows)


def _require_same_pictures(task: QualityTask, pictures: TaskPictures, rows: Sequence[Mapping[str, Any]], plan: QualityPlan, say: Say) -> None:
    """Refuse results of other pictures, which may not stand in one table with those of these; say it of rows that do not name theirs."""
    now, counts = _hashes(pictures), (len(pictures.train), len(pictures.held_out))
    for row in rows:
        if row.get("data_sha256", now) != now or (row.get("pictures", counts[0]), row.get("held_out", counts[1])) != counts:
            raise UsageError(
                f"--out {plan.out}: {task.name}, seed {row['seed']}, was measured with other pictures than those of now; give another folder"
            )
    if unnamed := [str(row["seed"]) for row in rows if "data_sha256" not in row]:
        say(f"{task.name}: an earlier version did not record which pictures it took for seed {', '.join(unnamed)}; their number is the same")


def _hashes(pictures: TaskPictures) -> list[str]:
    """Return the hashes of the pictures for training, and of those that are held out."""
    return [pictures.train.content_sha256, pictures.held_out.content_sha256]


def _open_pictures(plan: QualityPlan, task: QualityTask) -> TaskPictures:
    folder = (plan.data or plan.out / "pictures") / task.role
    if plan.data is None:
        write_demo_pictures(folder, task.role)
    return open_pictures(folder, task.role, task.size_px, plan.out / "packs")


def _describe(reached: QualityPoint | None, points: Sequence[QualityPoint]) -> str:
    if reached is not None:
        return f"as good after {two_digits(reached.cpu_s, 1)} s"
    return f"not as good within {points[-1].cpu_s:.0f} s (KID {two_digits(best_point(points).kid, 3)})" if points else "not measured"


def _probe_ms() -> float:
    """Return the CPU time of a fixed convolution, which tells how fast the machine is at the moment; the median of several."""
    images, weight = torch.ones(32, 64, 16, 16), torch.ones(64, 64, 3, 3)
    times_ms = []
    for _ in range(11):
        start_s = time.process_time()
        torch.nn.functional.conv2d(images, weight)
        times_ms.append((time.process_time() - start_s) * 1000)
    return sorted(times_ms)[5]
