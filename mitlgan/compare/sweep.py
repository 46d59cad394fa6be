"""sweep: many recipes, or one recipe varied, trained one after the other or side by side, measured alike, ranked in one table.

Everything lies in one folder and a second call goes on there: finished trainings and measurements are taken as they are.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mitlgan import networks
from mitlgan.artifacts.card import make_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.protocol import EvalProtocol, evaluate, flat_metrics, measure_anchors
from mitlgan.recipe import Recipe, changes_from_shipped, load_recipe, shipped_recipe_names, with_overrides
from mitlgan.report.ranking import RankedRun, Ranking, RankingPaths, write_ranking
from mitlgan.report.run_files import write_run_files
from mitlgan.runtime.files import ensure_folder, is_locked, read_bytes, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import Reporter
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.parallel import TrainingProcess, locked_message, run_parallel
from mitlgan.training.batchnorm import recalibrate_batchnorm
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import count_generator_updates
from mitlgan.version import __version__

PUBLISHED_FIGURES: dict[str, str] = {
    **{f"akel-{number:02d}": f"FID {value}" for number, value in enumerate(
        ("53.70", "62.02", "52.45", "55.57", "53.38", "53.11", "53.89", "52.59", "56.32", "55.40",
         "0.457", "18.57", "0.562", "0.161", "0.079", "0.102", "0.084", "0.068", "0.284", "0.258"), start=1)},
}  # fmt: skip
"""What the recipes' authors print of their own runs (Akel 2022: FID of 5,000 samples; MNIST and CelebA on different scales)."""


@dataclass(frozen=True)
class SweepPlan:
    """What is swept.

    Attributes:
        recipes: Names or files; a pattern takes all shipped ones that match, such as `classic/akel-*`.
        data: `SOURCE` for all, or `PATTERN=SOURCE` for recipes whose name matches; the first that matches counts.
        scale: `FACTOR` of the recipes' length, likewise.
        vary: `a.b=v1,v2`: each recipe with each value, every combination of several.
        settings: `a.b=v` for all.
        jobs: Trainings at a time, one CPU thread each.
        samples: Images evaluated.
        extractor: Of the metrics.
        weights: The extractor's weights file.
    """

    recipes: Sequence[str]
    data: Sequence[str] = ()
    scale: Sequence[str] = ()
    vary: Sequence[str] = ()
    settings: Sequence[str] = ()
    jobs: int = 1
    samples: int = 1000
    extractor: str = "efficientnet-lite0"
    weights: Path | None = None


def run_sweep(plan: SweepPlan, out: Path, reporter: Reporter, *, train: bool = True) -> tuple[Ranking, RankingPaths]:
    """Train, measure and rank.

    Args:
        plan: What.
        out: Folder of runs, results and ranking; a second call goes on there.
        reporter: Who is told.
        train: Without, rank what is finished.

    Raises:
        UsageError: Nothing to sweep, a pattern or variation that does not fit, an extractor without weights: all before any training.
        Stopped: By a signal, after saving; the same call goes on.
        MitlganError: As training and evaluation.
    """
    recipes = plan_recipes(plan)
    protocol = EvalProtocol(extractor=plan.extractor, samples=plan.samples, split="train")
    extractor = protocol.open_extractor(weights=plan.weights)
    for recipe in recipes:
        open_recipe_data(recipe, say=reporter.say)  # a wrong --data is told now, not after hours
    root = out / "runs"
    ensure_folder(out / "results")
    failed: dict[str, str] = {}
    if train:
        jobs = [TrainingProcess(recipe.name, recipe, ["pretrain", recipe.role]) for recipe in recipes]
        run_parallel(out, root, jobs, max_parallel=plan.jobs, threads=1, on_failure=lambda job, error: failed.update({job.label: str(error)}))
    ranked = []
    for recipe in recipes:
        run = find_matching_run(root, recipe)
        if run is None or run.artifact_file is None:
            ranked.append(_row(recipe, run, {}, failed.get(recipe.name) or _unfinished(run)))
            continue
        write_run_files(run)
        reporter.say(f"measuring {recipe.name}")
        ranked.append(_row(recipe, run, _measured(recipe, run, out, protocol, extractor), ""))
    ranking = Ranking(
        ranked, {"extractor": extractor.name, **asdict(protocol)}, _command(plan, out), f"mitlgan {__version__}, torch {torch.__version__}"
    )
    return ranking, write_ranking(out, ranking)


def plan_recipes(plan: SweepPlan) -> list[Recipe]:
    """The recipes of a sweep, with their data, length and variations.

    Raises:
        UsageError: Nothing to do, or something that does not fit.
    """
    if not plan.recipes:
        raise UsageError("RECIPES: none given; name some, such as classic/akel-01")
    found: list[Recipe] = []
    for name in _expanded(plan.recipes):
        for suffix, settings in _variations(plan.vary):
            recipe = load_recipe(name, [*plan.settings, *settings], "RECIPE")
            if recipe.generator is None:
                raise UsageError(f"{name}: is for `{recipe.command}`; a sweep trains recipes with a [generator]")
            source = _for(plan.data, recipe.name, "--data")
            if source is not None:
                recipe = with_overrides(recipe, data__source=source if source == "demo" else str(Path(source).resolve()))
            scale = _for(plan.scale, recipe.name, "--scale")
            recipe = scale_length(recipe, _factor(scale)) if scale is not None else recipe
            found.append(with_overrides(recipe, name=f"{recipe.name}{suffix}"[:64]))
    given = [recipe.name for recipe in found]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"RECIPES: two are named {twice}; give each a name of its own")
    return found


def scale_length(recipe: Recipe, factor: float) -> Recipe:
    """The recipe at a part of its length, with as many snapshots and lines of statistics; checkpoints keep their distance, for each costs the same."""
    updates = max(1, round(count_generator_updates(recipe) * factor))
    training = recipe.training
    values: dict[str, object] = {"training__kimg": updates * training.batch * recipe.objective.critic_steps / 1000}
    for key in ("snapshot_iterations", "log_iterations"):
        interval = getattr(training, key)
        if interval is not None:
            values[f"training__{key}"] = max(1, round(interval * factor))
    return with_overrides(recipe, **values)


def untrained_artifact(recipe: Recipe) -> LoadedArtifact:
    """The recipe's generator before its first update, its BatchNorm statistics measured as a trained one's are."""
    assert recipe.generator is not None
    torch.manual_seed(derived_seed(recipe.seed, f"initial generator {recipe.role}"))
    network = recalibrate_batchnorm(networks.build_generator(recipe.generator, recipe.size_px), recipe.seed).requires_grad_(False)
    return LoadedArtifact(network, make_card(network, recipe))


def _measured(recipe: Recipe, run: Run, out: Path, protocol: EvalProtocol, extractor: Extractor) -> dict[str, Any]:
    """Figures of the trained and the untrained network and of real halves; from the folder where they are known."""
    assert run.artifact_file is not None
    real = open_recipe_data(recipe)
    data = {
        "name": Path(recipe.data.source).name, "count": len(real), "size_px": real.size_px, "channels": real.channels,
        "split": protocol.split, "real": min(protocol.samples, len(real)),
    }  # fmt: skip
    key = {"artifact": read_weights_hash(run.artifact_file), "data": real.content_sha256, "extractor": extractor.name, **asdict(protocol)}
    path = out / "results" / f"{recipe.name}.json"
    known = read_json(path)
    if known.get("key") == key:
        return {**known, "data": data}
    halves_path = out / "results" / f"halves-{real.content_sha256[:16]}-{protocol.samples}-{extractor.name.replace('/', '_')}.json"
    halves = read_json(halves_path)
    if not halves:
        halves = {name: flat_metrics(result) for name, result in measure_anchors(real, protocol, extractor=extractor).items()}.get("real_halves", {})
        write_json(halves_path, halves)
    network, card = load_network(run.artifact_file)
    found = {
        "key": key,
        "trained": flat_metrics(evaluate(LoadedArtifact(network, card), real, protocol, extractor=extractor)),
        "untrained": flat_metrics(evaluate(untrained_artifact(recipe), real, protocol, extractor=extractor)),
        "real_halves": halves,
        "data": data,
    }
    write_json(path, found)
    return found


def _row(recipe: Recipe, run: Run | None, measured: Mapping[str, Any], problem: str) -> RankedRun:
    status = run.read_status() if run is not None else {}
    snapshots = run.list_snapshots() if run is not None else []
    diagnosis = str(status.get("diagnosis") or "")
    settings = ", ".join(f"{key}={value}" for key, value in changes_from_shipped(recipe).items())
    told = (f"changed: {settings}" if settings else "", problem, _collapse(status), "" if diagnosis in problem else diagnosis)
    notes = [text for text in told if text]
    assert recipe.generator is not None
    return RankedRun(
        name=recipe.name, size_px=recipe.size_px, channels=recipe.generator.image_channels,
        data=str(measured.get("data", {}).get("name") or Path(recipe.data.source).name), objective=recipe.objective.kind,
        networks=f"{recipe.generator.kind} / {recipe.critic.kind}", batch=recipe.training.batch, iterations=int(status.get("iteration") or 0),
        seconds=float(status.get("seconds") or 0.0), trained=measured.get("trained", {}), untrained=measured.get("untrained", {}),
        real_halves=measured.get("real_halves", {}), printed=PUBLISHED_FIGURES.get(recipe.name, ""), notes=notes,
        split=str(measured.get("data", {}).get("split", "")), real=int(measured.get("data", {}).get("real", 0)),
        diverged=status.get("diverged_at_kimg") is not None, run_dir=str(run.path) if run is not None else "",
        grid=read_bytes(snapshots[-1], root=run.path) if run is not None and snapshots else None,
    )  # fmt: skip


def _unfinished(run: Run | None) -> str:
    return locked_message(run) if run is not None and is_locked(run.path) else "not finished"


def _collapse(status: Mapping[str, Any]) -> str:
    at = status.get("collapsed_at_kimg")
    return "" if at is None else f"collapsed at {float(at):.1f} kimg"


def _expanded(recipes: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in recipes:
        matching = [known for known in shipped_recipe_names() if fnmatch.fnmatchcase(known, name)] if "*" in name or "?" in name else []
        found += matching or [name]
    return found


def _variations(vary: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Every combination: what it adds to the name, and its settings."""
    choices = []
    for text in vary:
        key, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise UsageError(f"--vary {text}: write it as key=value,value, such as critic.kernel=3,5,7")
        try:
            parsed = [json.dumps(value) for value in tomllib.loads(f"v = [{values}]")["v"]]
        except (ValueError, RecursionError):
            parsed = [value.strip() for value in values.split(",")]
        choices.append([(_slug(f"-{key.split('.')[-1]}-{value}"), f"{key}={value}") for value in parsed])
    return [("".join(part[0] for part in chosen), [part[1] for part in chosen]) for chosen in itertools.product(*choices)]


def _slug(text: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in text.lower()).replace('"', "")


def _for(rules: Sequence[str], name: str, option: str) -> str | None:
    """The value of the first rule for a recipe: a bare value fits all."""
    for rule in rules:
        pattern, equals, value = rule.partition("=")
        if not equals or Path(rule).exists():
            return rule
        if fnmatch.fnmatchcase(name, pattern):
            return value
    if rules:
        raise UsageError(f"{option}: none of {', '.join(rules)} is for {name}; add one, or one without a pattern")
    return None


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise UsageError(f"--scale {text}: write a positive number, such as 0.1, or PATTERN=0.1")
    return value


def _command(plan: SweepPlan, out: Path) -> str:
    words = ["mitlgan sweep", *plan.recipes]
    for option, values in (("--data", plan.data), ("--scale", plan.scale), ("--vary", plan.vary), ("--set", plan.settings)):
        words += [f"{option} {value}" for value in values]
    return " ".join([*words, f"--samples {plan.samples} --jobs {plan.jobs} --out {out}"])
