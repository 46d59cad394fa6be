"""sweep: trains many recipes, or one recipe varied, evaluates all alike and ranks them in one table.

Everything is in one folder. A second call continues there, and takes finished trainings and measurements as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from mitlgan import networks
from mitlgan.artifacts.card import Card, make_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, load_artifact
from mitlgan.artifacts.run_steps import list_steps
from mitlgan.compare.reproduce import sweep_command
from mitlgan.compare.sweep_plan import SweepPlan, describe_equal_trainings, plan_recipes
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import naming_option
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.open_extractors import open_extractors
from mitlgan.metrics.protocol import EvalProtocol, evaluate, flat_metrics, measure_anchors
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import Recipe, as_dict, changes_from_shipped, ladder_steps, require_trainable
from mitlgan.recipe.advice import training_advice
from mitlgan.recipe.display_name import shipped_of_name
from mitlgan.recipe.schema.judges import critic_networks
from mitlgan.report.formatting import number, share
from mitlgan.report.ranking import RankedRun, Ranking, RankingPaths, tell_sets_apart, write_ranking
from mitlgan.report.run_files import write_run_files
from mitlgan.runtime.files import ensure_folder, is_locked, read_bytes, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import Reporter
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.parallel import TrainingProcess, locked_message, run_parallel
from mitlgan.stages.pretrain import check_new_start
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import count_generator_updates
from mitlgan.version import __version__

RESULTS_FOLDER = "results"
"""Folder of a sweep's figures, next to that of its runs."""
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
        train: False ranks what is there: an unfinished training is measured at its newest step.

    Raises:
        UsageError: There is nothing to sweep, a pattern or variation does not fit, or weights are missing; raised before any training.
        Stopped: By a signal, after saving; the same call continues.
        MitlganError: As raised by training and evaluation.
    """
    recipes = plan_recipes(plan)
    for line in describe_equal_trainings(recipes):
        reporter.say(line)
    protocol = EvalProtocol(extractor=plan.extractors[0], samples=plan.samples, split="train")
    taught_by = critic_networks(as_dict(recipe) for recipe in recipes)
    extractors = list(open_extractors(protocol, plan.extractors, weights=plan.weights, critic_networks=taught_by).values())
    root = out / "runs"
    for recipe in recipes:
        networks.require_critic_weights(recipe.critic)
        for extractor in extractors:
            extractor.require_pictures(recipe.size_px, recipe.critic.image_channels)
        pack = open_recipe_data(recipe, say=reporter.say)  # a wrong --data is refused now, not after hours
        if train and find_matching_run(root, recipe) is None:
            _check_training(recipe, len(pack), reporter)
    ensure_folder(out / RESULTS_FOLDER)
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
        network = _network_file(run, is_unfinished_allowed=not train)
        if run is None or network is None:
            rows.append(_ranked_run(recipe, run, [], failures.get(recipe.name) or _unfinished_note(run)))
            continue
        if run.is_finished:
            write_run_files(run)
        reporter.say(f"measuring {recipe.name}")
        artifact = load_artifact(network)
        figures = [
            _measure(recipe, artifact, out, replace(protocol, extractor=name), extractor, is_first=number == 0)
            for number, (name, extractor) in enumerate(zip(plan.extractors, extractors, strict=True))
        ]
        card = None if run.is_finished else artifact.card
        rows.append(_ranked_run(recipe, run, figures, "" if card is None else _share_note(recipe, run, card.iterations), card))
    made_by = f"mitlgan {__version__}, torch {torch.__version__}"
    names = [extractor.name for extractor in extractors]
    account = {"extractor": names[0], **asdict(protocol), "extractors": names}
    ranking = Ranking(tell_sets_apart(rows), account, sweep_command(plan, out, train=train), made_by)
    return ranking, write_ranking(out, ranking)


def _check_training(recipe: Recipe, pictures: int, reporter: Reporter) -> None:
    """Refuse a recipe whose training would be refused in its turn, and say what will hurt it."""
    require_trainable(recipe)
    with naming_option(recipe.name):
        check_new_start(recipe, "train it by itself, and leave it out of the sweep")
    for line in training_advice(recipe, pictures):
        reporter.say(f"{recipe.name}: {line}")


def untrained_artifact(recipe: Recipe) -> LoadedArtifact:
    """Return the recipe's generator before its first update, with BatchNorm statistics measured as for a trained one."""
    recipe = ladder_steps(recipe)[-1]
    assert recipe.generator is not None
    torch.manual_seed(derived_seed(recipe.seed, f"initial generator {recipe.role}"))
    network = recalibrate_batchnorm(networks.build_generator(recipe.generator, recipe.size_px), recipe.seed).requires_grad_(False)
    return LoadedArtifact(network, make_card(network, recipe))


def _network_file(run: Run | None, *, is_unfinished_allowed: bool) -> Path | None:
    """Return the artifact of a finished run, or the newest step of an unfinished one."""
    if run is None or run.is_finished:
        return None if run is None else run.artifact_file
    steps = list_steps(run.path) if is_unfinished_allowed else []
    return steps[-1].path if steps else None


def _measure(
    recipe: Recipe, artifact: LoadedArtifact, out: Path, protocol: EvalProtocol, extractor: Extractor, *, is_first: bool
) -> dict[str, Any]:  # fmt: skip
    """Return the figures of the trained and the untrained network and of real halves, from the folder if they are there."""
    real = open_recipe_data(recipe)
    data = {
        "name": Path(recipe.data.source).name, "count": len(real), "size_px": real.size_px, "channels": real.channels,
        "split": protocol.split, "real": min(protocol.samples, len(real)), "sha256": real.measured_sha256,
    }  # fmt: skip
    inputs = {"artifact": artifact.tensors_sha256, "data": real.measured_sha256, "weights": extractor.weights_sha256}
    key = {**inputs, **asdict(protocol), "extractor": extractor.name}
    path = out / RESULTS_FOLDER / (f"{recipe.name}.json" if is_first else f"{recipe.name}-{extractor.name.replace('/', '_')}.json")
    saved = read_json(path)
    if saved.get("key") == key:
        return {**saved, "data": data}
    halves_path = (
        out
        / RESULTS_FOLDER
        / f"halves-{real.measured_sha256[:16]}-{protocol.samples}-{extractor.name.replace('/', '_')}-{extractor.weights_sha256[:16]}.json"
    )
    halves = read_json(halves_path)
    if not halves:
        halves = {name: flat_metrics(result) for name, result in measure_anchors(real, protocol, extractor=extractor).items()}.get("real_halves", {})
        write_json(halves_path, halves, root=path.parent)
    figures = {
        "key": key,
        "extractor": extractor.name,
        "trained": flat_metrics(evaluate(artifact, real, protocol, extractor=extractor)),
        "untrained": flat_metrics(evaluate(untrained_artifact(recipe), real, protocol, extractor=extractor)),
        "real_halves": halves,
        "data": data,
    }
    write_json(path, figures, root=path.parent)
    return figures


def _ranked_run(
    recipe: Recipe, run: Run | None, measured: Sequence[Mapping[str, Any]], problem: str, step: Card | None = None
) -> RankedRun:  # fmt: skip
    """Return the row of a run; `step`: the card of the network that was measured, unless that is the last one."""
    figures: Mapping[str, Any] = measured[0] if measured else {}
    status = run.read_status() if run is not None else {}
    snapshots = run.list_snapshots() if run is not None else []
    diagnosis = str(status.get("diagnosis") or "")
    settings = ", ".join(f"{key}={value}" for key, value in changes_from_shipped(recipe).items())
    notes = (f"changed: {settings}" if settings else "", problem, _collapse_note(status), "" if diagnosis in problem else diagnosis)
    data = figures.get("data", {})
    steps = int(status.get("iteration") or 0) if step is None else step.iterations
    seconds = float(status.get("seconds") or 0.0) if step is None else step.seconds
    assert recipe.generator is not None
    return RankedRun(
        name=recipe.name, size_px=recipe.size_px, channels=recipe.generator.image_channels,
        data=str(data.get("name") or Path(recipe.data.source).name), objective=recipe.objective.kind,
        networks=f"{recipe.generator.kind} / {recipe.critic.kind}", batch=recipe.training.batch,
        iterations=steps,
        seconds=seconds, trained=figures.get("trained", {}), untrained=figures.get("untrained", {}),
        real_halves=figures.get("real_halves", {}), by_extractor={str(further["extractor"]): _distances(further) for further in measured[1:]},
        printed=PUBLISHED_FIGURES.get(recipe.name, ""), is_whole=steps in map(count_generator_updates, shipped_of_name(recipe.name)),
        notes=[note for note in notes if note],
        split=str(data.get("split", "")), real=int(data.get("real", 0)),
        source=recipe.data.source, role=recipe.role, data_sha256=str(data.get("sha256", "")),
        diverged=status.get("diverged_at_kimg") is not None, run_dir=str(run.path) if run is not None else "",
        grid=read_bytes(snapshots[-1], root=run.path) if run is not None and snapshots else None,
    )  # fmt: skip


def _distances(figures: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    return {side: figures[side] for side in ("trained", "untrained", "real_halves")}


def _share_note(recipe: Recipe, run: Run, iterations: int) -> str:
    """Return how far an unfinished training had come when its network was kept, and whether it goes on now."""
    whole = count_generator_updates(recipe)
    note = f"unfinished: measured at {share(iterations / whole)} of its {whole:,} iterations"
    return f"{note}; in training" if is_locked(run.path) else note


def _unfinished_note(run: Run | None) -> str:
    return locked_message(run) if run is not None and is_locked(run.path) else "not finished"


def _collapse_note(status: Mapping[str, Any]) -> str:
    kimg = status.get("collapsed_at_kimg")
    return "" if kimg is None else f"collapsed at {number(kimg)} kimg"
