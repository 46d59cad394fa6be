"""demo: pretrains both layers, draws them larger, composes and compares in one command, which continues where it was stopped.

Layers learn at 32 px, where that is ten times cheaper. Then the foreground is drawn at 64 px by a small network, and the composition enlarges the
background. The composition is compared with the tuned WGAN and with one generator of whole scenes, which grow from 32 to 64 px and train for the time
of all stages together. Trainings of a step are independent, so two run at a time, each with half of the threads. The quick demo stays at 32 px, and is
compared with the thesis' fusion and translator over the same layers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mitlgan.artifacts.card import LAYER_ROLES
from mitlgan.compare.arm_training import ArmTraining, run_trainings
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.runner import ComparisonResult, run_comparison
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.recipe import Recipe, load_recipe, to_toml, with_overrides
from mitlgan.report.run_files import write_run_files
from mitlgan.runtime.distributed import World
from mitlgan.runtime.files import ensure_folder, lock_folder, write_atomically
from mitlgan.runtime.progress import PlainReporter, Say, format_duration, make_reporter
from mitlgan.stages.context import RunContext
from mitlgan.stages.default_layers import shipped_layer
from mitlgan.stages.pretrain import with_start
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

LENGTHS_KIMG = {"recommended/fg-32": 30.0, "recommended/bg-32": 30.0, "recommended/fg-64-sharp": 8.0}
"""Lengths of layers for at most twelve minutes on two cores; the composition has its recipe's, the baselines the time of all stages together."""
QUICK_KIMG = 1.0
QUICK = {"training__kimg": QUICK_KIMG, "training__snapshot_kimg": 1.0, "training__checkpoint_kimg": 1.0, "evaluation__samples": 256}
JOBS = 2
LAYER_NAMES = {"fg": "foreground", "bg": "background"}


@dataclass(frozen=True)
class DemoRecipes:
    """What the demo trains.

    Attributes:
        layers: Recipe of each layer, which learns from nothing.
        larger: Recipe by which a layer is drawn at the composition's size; the composition enlarges those without one.
        composition: Recipe of the composition.
        baseline: What it is compared with besides the WGAN.
    """

    layers: Mapping[str, Recipe]
    composition: Recipe
    baseline: Recipe
    larger: Mapping[str, Recipe] = field(default_factory=dict)


def run_demo(out: Path, *, quick: bool = False, pretrained: bool = False) -> ComparisonResult:
    """Run all stages on the demo images.

    Args:
        out: Folder for everything; finished runs there are taken, stopped ones continued.
        quick: Stay at 32 px, train for a few updates only, and evaluate 256 images.
        pretrained: Start from the shipped generators; a layer without one is pretrained.

    Raises:
        Stopped: By a signal; the same command continues.
        MitlganError: As raised by the stages.
    """
    ensure_folder(out)
    started = time.monotonic()
    with lock_folder(out):
        log = make_reporter("demo").say
        recipes = demo_recipes(quick)
        context = RunContext(World(0, 1, torch.device("cpu")), PlainReporter("compare"), out / "runs", on_end=write_run_files, device="cpu")
        if not quick and (earlier := _find_earlier_demo(context.root, recipes.composition)) is not None:
            log(f"{out}: holds a demo of {earlier.size_px} px by an earlier version, which stays as it is; --out NEW begins in an empty folder")
        steps = _Steps(log, 4 if recipes.larger else 3)
        layers = _train_layers(recipes, context, pretrained, steps)
        composition = ArmTraining("compose", recipes.composition, layers)
        _run({"scene": composition}, context, steps, f"training the composition at {recipes.composition.size_px} px")
        shipped = [path for path in find_shipped_layers(recipes, pretrained).values() if path is not None]
        # Shipped layers took longer than a demo may.
        length = "as long as the composition alone" if shipped else f"{'both' if recipes.larger else 'the WGAN'} as long as all stages"
        baseline = "the thesis' composition" if recipes.baseline.command == "compose" else "a plain generator of scenes"
        steps.begin(f"training {baseline} and the WGAN, {length}; then measuring and writing the report")
        file = out / f"{recipes.baseline.name}.toml"
        write_atomically(file, to_toml(recipes.baseline))
        composed = _finished(composition, context).path
        plan = ComparisonPlan(composed=composed, baselines=(str(file), "wgan"), count_pretraining=False if shipped else None, jobs=JOBS)
        result = run_comparison(plan, context)
        log(f"done in {format_duration(time.monotonic() - started)}")
    return result


def demo_recipes(quick: bool) -> DemoRecipes:
    """Return what the demo trains, each at its length."""
    if quick:
        layers = {role: _recipe(f"recommended/{role}-32", quick) for role in LAYER_ROLES}
        return DemoRecipes(layers, _recipe("recommended/compose-32", quick), _recipe("thesis-32/compose", quick))
    layers = {role: _recipe(f"recommended/{role}-32", quick) for role in LAYER_ROLES}
    larger = {"fg": _recipe("recommended/fg-64-sharp", quick)}
    return DemoRecipes(layers, _recipe("recommended/compose-64-grown", quick), _recipe("recommended/scene-64-grown", quick), larger)


def find_shipped_layers(recipes: DemoRecipes, pretrained: bool) -> dict[str, Path | None]:
    """Return the shipped artifact of each layer if shipped ones are asked for; None for a layer that is trained.

    A composition that enlarges smaller layers takes one of half its size where none of its own ships.
    """
    composition = recipes.composition
    with_alpha = composition.composer is not None and composition.composer.fusion.kind == "alpha"
    enlarges = composition.composer is not None and composition.composer.resample is not None
    sizes_px = [composition.size_px, *([composition.size_px // 2] if enlarges else [])]
    paths = {role: [shipped_layer(role, size_px, with_alpha=with_alpha) for size_px in sizes_px if pretrained] for role in recipes.layers}
    return {role: next((path for path in candidates if path is not None), None) for role, candidates in paths.items()}


class _Steps:
    """Says which step of how many begins."""

    def __init__(self, log: Say, count: int) -> None:
        self.log, self.count, self.number = log, count, 0

    def begin(self, title: str) -> None:
        """Say the next step's title."""
        self.number += 1
        self.log(f"{self.number}/{self.count} {title}")


def _train_layers(recipes: DemoRecipes, context: RunContext, pretrained: bool, steps: _Steps) -> dict[str, Path]:
    """Return the artifact of each layer: the shipped ones if they are asked for, the others trained here."""
    shipped = find_shipped_layers(recipes, pretrained)
    trained = [role for role, path in shipped.items() if path is None]
    artifacts = {role: path for role, path in shipped.items() if path is not None}
    names = " and the ".join(LAYER_NAMES[role] for role in trained)
    small = {role: ArmTraining(f"pretrain {role}", recipes.layers[role]) for role in trained}
    artifacts |= _run(small, context, steps, f"pretraining the {names} generator at {recipes.layers['fg'].size_px} px")
    larger = {role: _larger_training(recipes, role, artifacts[role], context) for role in trained if role in recipes.larger}
    names = " and the ".join(LAYER_NAMES[role] for role in larger)
    artifacts |= _run(larger, context, steps, f"drawing the {names} at {recipes.composition.size_px} px")
    return {role: artifacts[role] for role in recipes.layers}


def _larger_training(recipes: DemoRecipes, role: str, parent: Path, context: RunContext) -> ArmTraining:
    recipe, critic = with_start(recipes.larger[role], parent, None, context.reporter.say)
    return ArmTraining(f"enlarge {role}", recipe, {}, parent, critic)


def _run(trainings: Mapping[str, ArmTraining], context: RunContext, steps: _Steps, title: str) -> dict[str, Path]:
    """Run the trainings of a step and return their artifacts."""
    if not trainings:
        return {}
    steps.begin(title)
    run_trainings(list(trainings.values()), context, jobs=JOBS)
    runs = {role: _finished(training, context) for role, training in trainings.items()}
    return {role: run.artifact_file for role, run in runs.items() if run.artifact_file is not None}


def _finished(training: ArmTraining, context: RunContext) -> Run:
    if training.find_artifact(context.root) is None:
        raise ArtifactError(f"{context.root}: the run of {training.recipe.name} is not finished; call `mitlgan demo` again")
    return training.finished_run(context.root)


def _find_earlier_demo(root: Path, composition: Recipe) -> Recipe | None:
    """Return the recipe of a smaller composition that an earlier version's demo trained here at its full length; None if there is none."""
    for run in run_directory.list_runs(root, composition.command):
        with suppress(MitlganError):
            recipe = run.recorded_recipe()
            if recipe.size_px < composition.size_px and recipe.training.limit_s is None and recipe.training.kimg > QUICK_KIMG:
                return recipe
    return None


def _recipe(name: str, quick: bool) -> Recipe:
    recipe = load_recipe(name)
    recipe = with_overrides(recipe, training__kimg=LENGTHS_KIMG[name]) if name in LENGTHS_KIMG else recipe
    return with_overrides(recipe, **QUICK) if quick else recipe
