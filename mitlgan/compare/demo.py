"""demo: pretrains both layers, composes and compares in one command, which continues where it was stopped.

The recommended composition comes first. It is compared with the thesis' fusion and translator over the same frozen layers, trained for the same time,
and with the tuned WGAN, trained for the time of all stages together. Trainings of a step are independent, so two run at a time, each with half of the
threads: at 32 px this is faster than running them in sequence with all threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mitlgan.artifacts.card import LAYER_ROLES
from mitlgan.compare.arm_training import ArmTraining, run_trainings
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.runner import ComparisonResult, run_comparison
from mitlgan.errors import ArtifactError
from mitlgan.recipe import Recipe, load_recipe, to_toml, with_overrides
from mitlgan.report.run_files import write_run_files
from mitlgan.runtime.distributed import World
from mitlgan.runtime.files import ensure_folder, lock_folder, write_atomically
from mitlgan.runtime.progress import PlainReporter, format_duration, make_reporter
from mitlgan.stages.context import RunContext
from mitlgan.stages.default_layers import shipped_layer
from mitlgan.training.run_directory import Run

RECIPES = {"fg": "recommended/fg-32", "bg": "recommended/bg-32", "compose": "recommended/compose-32", "thesis": "thesis-32/compose"}
"""Recipe of each stage."""
LENGTHS_KIMG = {"fg": 40.0, "bg": 40.0, "compose": 16.0}
"""Lengths for some ten minutes on two cores; the WGAN takes as long as all three together."""
QUICK = {"training__kimg": 1.0, "training__snapshot_kimg": 1.0, "training__checkpoint_kimg": 1.0, "evaluation__samples": 256}
JOBS = 2


def run_demo(out: Path, *, quick: bool = False, pretrained: bool = False) -> ComparisonResult:
    """Run the four stages at 32 px on the demo images.

    Args:
        out: Folder for everything; finished runs there are taken, stopped ones continued.
        quick: Train for a few updates only, and evaluate 256 images.
        pretrained: Start from the shipped generators; a layer without one is pretrained.

    Raises:
        Stopped: By a signal; the same command continues.
        MitlganError: As raised by the stages.
    """
    ensure_folder(out)
    started = time.monotonic()
    with lock_folder(out):
        log = make_reporter("demo").say
        recipes = stage_recipes(quick)
        context = RunContext(World(0, 1, torch.device("cpu")), PlainReporter("compare"), out / "runs", on_end=write_run_files)
        layers = _train_layers(recipes, context, pretrained, log)
        log("2/3 training the composition")
        composition = ArmTraining("compose", recipes["compose"], layers)
        run_trainings([composition], context, jobs=JOBS)
        thesis = out / f"{recipes['thesis'].name}.toml"
        write_atomically(thesis, to_toml(recipes["thesis"]))
        is_stage_only = any(path != _pretraining(role, recipes).find_artifact(context.root) for role, path in layers.items())
        length = "as long as the composition alone" if is_stage_only else "the WGAN as long as all stages"  # shipped layers took longer than a demo may
        log(f"3/3 training the thesis' composition and the WGAN, {length}; then measuring and writing the report")
        composed = _finished(composition, context).path
        counts = False if is_stage_only else None
        plan = ComparisonPlan(composed=composed, baselines=(str(thesis), "wgan"), count_pretraining=counts, jobs=JOBS)
        result = run_comparison(plan, context)
        log(f"done in {format_duration(time.monotonic() - started)}")
    return result


def stage_recipes(quick: bool) -> dict[str, Recipe]:
    """Return the recipe of each stage, at the demo's length."""
    return {name: _stage_recipe(name, quick) for name in RECIPES}


def find_shipped_layers(recipes: Mapping[str, Recipe], pretrained: bool) -> dict[str, Path | None]:
    """Return the shipped artifact of each layer if shipped ones are asked for; None for a layer that is trained."""
    composition = recipes["compose"]
    with_alpha = composition.composer is not None and composition.composer.fusion.kind == "alpha"
    return {role: shipped_layer(role, composition.size_px, with_alpha=with_alpha) if pretrained else None for role in LAYER_ROLES}


def _train_layers(recipes: Mapping[str, Recipe], context: RunContext, pretrained: bool, log: Callable[[str], None]) -> dict[str, Path]:
    """Return the artifact of each layer: the shipped ones if they are asked for, the others trained here."""
    shipped = find_shipped_layers(recipes, pretrained)
    trainings = {role: _pretraining(role, recipes) for role, path in shipped.items() if path is None}
    if trainings:
        names = " and the ".join({"fg": "foreground", "bg": "background"}[role] for role in trainings)
        log(f"1/3 pretraining the {names} generator")
        run_trainings(list(trainings.values()), context, jobs=JOBS)
    artifacts = {role: path or _finished(trainings[role], context).artifact_file for role, path in shipped.items()}
    return {role: path for role, path in artifacts.items() if path is not None}


def _pretraining(role: str, recipes: Mapping[str, Recipe]) -> ArmTraining:
    return ArmTraining(f"pretrain {role}", recipes[role])


def _stage_recipe(name: str, quick: bool) -> Recipe:
    recipe = load_recipe(RECIPES[name])
    recipe = with_overrides(recipe, training__kimg=LENGTHS_KIMG[name]) if name in LENGTHS_KIMG else recipe
    return with_overrides(recipe, **QUICK) if quick else recipe


def _finished(training: ArmTraining, context: RunContext) -> Run:
    if training.find_artifact(context.root) is None:
        raise ArtifactError(f"{context.root}: the run of {training.recipe.name} is not finished; call `mitlgan demo` again")
    return training.finished_run(context.root)
