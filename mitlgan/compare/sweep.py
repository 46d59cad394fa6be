"""sweep: trains many recipes, or one recipe varied, evaluates all alike and ranks them in one table.

Everything is in one folder. A second call continues there, and takes finished trainings and measurements as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mitlgan import networks
from mitlgan.artifacts.card import make_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.compare.sweep_plan import SweepPlan, plan_recipes
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.protocol import EvalProtocol, evaluate, flat_metrics, measure_anchors
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import Recipe, changes_from_shipped, ladder_steps
from mitlgan.report.ranking import RankedRun, Ranking, RankingPaths, write_ranking
from mitlgan.report.run_files import write_run_files
from mitlgan.runtime.files import ensure_folder, is_locked, read_bytes, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import Reporter
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.parallel import TrainingProcess, locked_message, run_parallel
from mitlgan.training.run_directory import Run
from mitlgan.version import __version__

PUBLISHED_FIGURES: dict[str, str] = {
    **{f"akel-{number:02d}": f"FID {value}" for number, value in enumerate(
        ("53.70", "62.02", "52.45", "55.57", "53.38", "53.11", "53.89", "52.59", "56.32", "55.40",
         "0.457", "18.57", "0.562", "0.161", "0.079", "0.102", "0.084", "0.068", "0.284", "0.258"), start=1)},
}  # fmt: skip
"""Figures that the authors of the recipes published for their own runs (Akel 2022: FID of 5,000 samples; MNIST and CelebA on different scales)."""


def run_sweep(plan: SweepPlan, out: Path, reporter: Reporter, *, train: bool = True) -> tuple[Ranking, RankingPaths]:
    """Train, measure and rank.

    Args:
        plan: What is swept.
        out: Folder of runs, results and ranking; a second call continues there.
        reporter: Logs what is measured.
        train: False ranks what is finished.

    Raises:
        UsageError: There is nothing to sweep, a pattern or variation does not fit, or weights are missing; raised before any training.
        Stopped: By a signal, after saving; the same call continues.
        MitlganError: As raised by training and evaluation.
    """
    recipes = plan_recipes(plan)
    protocol = EvalProtocol(extractor=plan.extractor, samples=plan.samples, split="train")
    extractor = protocol.open_extractor(weights=plan.weights)
    for recipe in recipes:
        open_recipe_data(recipe, say=reporter.say)  # a wrong --data is refused now, not after hours
    root = out / "runs"
    ensure_folder(out / "results")
    failures: dict[str, str] = {}
    if train:
        trainings = [TrainingProcess(recipe.name, recipe, ["pretrain", recipe.role]) for recipe in recipes]
        run_parallel(
            out, root, trainings, max_parallel=plan.jobs, threads=1,
            on_failure=lambda process, error: failures.update({process.label: str(error)}),
        )  # fmt: skip
    rows = []
    for recipe in recipes:
        run = find_matching_run(root, recipe)
        if run is None or not run.is_finished:
            rows.append(_ranked_run(recipe, run, {}, failures.get(recipe.name) or _unfinished_note(run)))
            continue
        write_run_files(run)
        reporter.say(f"measuring {recipe.name}")
        rows.append(_ranked_run(recipe, run, _measure(recipe, run, out, protocol, extractor), ""))
    made_by = f"mitlgan {__version__}, torch {torch.__version__}"
    ranking = Ranking(rows, {"extractor": extractor.name, **asdict(protocol)}, _command_line(plan, out), made_by)
    return ranking, write_ranking(out, ranking)


def untrained_artifact(recipe: Recipe) -> LoadedArtifact:
    """Return the recipe's generator before its first update, with BatchNorm statistics measured as for a trained one."""
    recipe = ladder_steps(recipe)[-1]
    assert recipe.generator is not None
    torch.manual_seed(derived_seed(recipe.seed, f"initial generator {recipe.role}"))
    network = recalibrate_batchnorm(networks.build_generator(recipe.generator, recipe.size_px), recipe.seed).requires_grad_(False)
    return LoadedArtifact(network, make_card(network, recipe))


def _measure(recipe: Recipe, run: Run, out: Path, protocol: EvalProtocol, extractor: Extractor) -> dict[str, Any]:
    """Return the figures of the trained and the untrained network and of real halves, from the folder if they are there."""
    assert run.artifact_file is not None
    real = open_recipe_data(recipe)
    data = {
        "name": Path(recipe.data.source).name, "count": len(real), "size_px": real.size_px, "channels": real.channels,
        "split": protocol.split, "real": min(protocol.samples, len(real)),
    }  # fmt: skip
    key = {"artifact": read_weights_hash(run.artifact_file), "data": real.content_sha256, "extractor": extractor.name, **asdict(protocol)}
    path = out / "results" / f"{recipe.name}.json"
    saved = read_json(path)
    if saved.get("key") == key:
        return {**saved, "data": data}
    halves_path = out / "results" / f"halves-{real.content_sha256[:16]}-{protocol.samples}-{extractor.name.replace('/', '_')}.json"
    halves = read_json(halves_path)
    if not halves:
        halves = {name: flat_metrics(result) for name, result in measure_anchors(real, protocol, extractor=extractor).items()}.get("real_halves", {})
        write_json(halves_path, halves)
    figures = {
        "key": key,
        "trained": flat_metrics(evaluate(LoadedArtifact(*load_network(run.artifact_file)), real, protocol, extractor=extractor)),
        "untrained": flat_metrics(evaluate(untrained_artifact(recipe), real, protocol, extractor=extractor)),
        "real_halves": halves,
        "data": data,
    }
    write_json(path, figures)
    return figures


def _ranked_run(recipe: Recipe, run: Run | None, figures: Mapping[str, Any], problem: str) -> RankedRun:
    status = run.read_status() if run is not None else {}
    snapshots = run.list_snapshots() if run is not None else []
    diagnosis = str(status.get("diagnosis") or "")
    settings = ", ".join(f"{key}={value}" for key, value in changes_from_shipped(recipe).items())
    notes = (f"changed: {settings}" if settings else "", problem, _collapse_note(status), "" if diagnosis in problem else diagnosis)
    data = figures.get("data", {})
    assert recipe.generator is not None
    return RankedRun(
        name=recipe.name, size_px=recipe.size_px, channels=recipe.generator.image_channels,
        data=str(data.get("name") or Path(recipe.data.source).name), objective=recipe.objective.kind,
        networks=f"{recipe.generator.kind} / {recipe.critic.kind}", batch=recipe.training.batch, iterations=int(status.get("iteration") or 0),
        seconds=float(status.get("seconds") or 0.0), trained=figures.get("trained", {}), untrained=figures.get("untrained", {}),
        real_halves=figures.get("real_halves", {}), printed=PUBLISHED_FIGURES.get(recipe.name, ""), notes=[note for note in notes if note],
        split=str(data.get("split", "")), real=int(data.get("real", 0)),
        diverged=status.get("diverged_at_kimg") is not None, run_dir=str(run.path) if run is not None else "",
        grid=read_bytes(snapshots[-1], root=run.path) if run is not None and snapshots else None,
    )  # fmt: skip


def _unfinished_note(run: Run | None) -> str:
    return locked_message(run) if run is not None and is_locked(run.path) else "not finished"


def _collapse_note(status: Mapping[str, Any]) -> str:
    kimg = status.get("collapsed_at_kimg")
    return "" if kimg is None else f"collapsed at {float(kimg):.1f} kimg"


def _command_line(plan: SweepPlan, out: Path) -> str:
    words = ["mitlgan sweep", *plan.recipes]
    for option, values in (("--data", plan.data), ("--scale", plan.scale), ("--vary", plan.vary), ("--set", plan.settings)):
        words += [f"{option} {value}" for value in values]
    return " ".join([*words, f"--samples {plan.samples} --jobs {plan.jobs} --out {out}"])
