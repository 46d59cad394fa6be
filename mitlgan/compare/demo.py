"""demo: pretrain both layers, compose, compare, in one command that goes on where it was stopped.

The recommended composition leads; the thesis' fusion and translator over the same frozen layers stand beside it for the same time, and the tuned WGAN
beside both, for the time of all stages together. The trainings of a step share nothing, so two run at a time, each with half of the threads: at 32 px
that is faster than one after the other with all of them. Every stage is an ordinary run, which `mitlgan resume` and the other commands understand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mitlgan.artifacts.card import LAYER_ROLES, read_weights_hash
from mitlgan.compare import ComparisonPlan, ComparisonResult, baseline_jobs, run_comparison, tolerate_divergence
from mitlgan.errors import ArtifactError
from mitlgan.recipe import Recipe, load_recipe, to_toml, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.files import ensure_folder, folder_lock, write_atomically
from mitlgan.runtime.progress import PlainReporter, format_duration, make_reporter
from mitlgan.stages.context import RunContext
from mitlgan.stages.default_layers import shipped_layer
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.parallel import TrainingProcess, run_parallel
from mitlgan.training.run_directory import Run

RECIPES = {"fg": "recommended/fg-32", "bg": "recommended/bg-32", "compose": "recommended/compose-32", "thesis": "thesis-32/compose"}
"""What each stage is trained by."""
LENGTHS_KIMG = {"fg": 40.0, "bg": 40.0, "compose": 16.0}
"""Lengths for some ten minutes on two cores; the WGAN takes as long as all three together."""
QUICK = {"training__kimg": 1.0, "training__snapshot_kimg": 1.0, "training__checkpoint_kimg": 1.0, "evaluation__samples": 256}
AT_ONCE = 2


def run_demo(out: Path, *, quick: bool = False, pretrained: bool = False) -> ComparisonResult:
    """Run the four stages at 32 px on the demo pictures.

    Args:
        out: Everything is written under it; what is there already is taken or gone on with.
        quick: A few updates only, 256 images evaluated.
        pretrained: Start from the shipped generators; a layer of which none ships is pretrained.

    Raises:
        Stopped: By a signal; the same command goes on.
        MitlganError: As the stages.
    """
    ensure_folder(out)
    started = time.monotonic()
    with folder_lock(out):
        show = make_reporter("demo").say
        recipes = {name: _recipe(name, quick) for name in RECIPES}
        layers = _layers(out, recipes, pretrained, show)
        show("2/4 training the composition")
        made_from = {role: read_weights_hash(path) for role, path in layers.items()}  # a composition of other layers is another one
        flags = [argument for role, path in layers.items() for argument in (f"--{role}", str(path))]
        run_parallel(out, out / "runs", [TrainingProcess("compose", recipes["compose"], ["compose", *flags], made_from)], max_parallel=AT_ONCE)
        composed = _finished(out, recipes["compose"], made_from)
        beside = out / f"{recipes['thesis'].name}.toml"
        write_atomically(beside, to_toml(recipes["thesis"]))
        stage_only = any(made != _run_file(out, recipes[role]) for role, made in layers.items())
        plan = ComparisonPlan(composed=composed.path, baselines=(str(beside), "wgan"), count_pretraining=False if stage_only else None)
        environment = RunContext(World(0, 1, torch.device("cpu")), PlainReporter("compare"), out / "runs")
        show(
            "3/4 training the thesis' composition and the WGAN, "
            + ("as long as the composition alone" if stage_only else "the WGAN as long as all stages")
        )
        run_parallel(out, out / "runs", baseline_jobs(plan, environment), max_parallel=AT_ONCE, on_failure=tolerate_divergence(show))
        show("4/4 measuring and writing the report")
        result = run_comparison(plan, environment)
        show(f"done in {format_duration(time.monotonic() - started)}")
    return result


def _layers(out: Path, recipes: Mapping[str, Recipe], pretrained: bool, show: Callable[[str], None]) -> dict[str, Path]:
    """The frozen generators: those that ship, where they are asked for, and those that are trained here."""
    composition = recipes["compose"]
    matted = composition.composer is not None and composition.composer.fusion.kind == "alpha"
    shipped = {role: path for role in LAYER_ROLES if pretrained and (path := shipped_layer(role, composition.size_px, with_alpha=matted)) is not None}
    wanted = [role for role in LAYER_ROLES if role not in shipped]
    if wanted:
        show(f"1/4 pretraining the {' and the '.join({'fg': 'foreground', 'bg': 'background'}[role] for role in wanted)} generator")
        trainings = [TrainingProcess(f"pretrain {role}", recipes[role], ["pretrain", role]) for role in wanted]
        run_parallel(out, out / "runs", trainings, max_parallel=AT_ONCE)
    made = {role: shipped.get(role) or _finished(out, recipes[role]).artifact_file for role in LAYER_ROLES}
    return {role: path for role, path in made.items() if path is not None}


def _recipe(name: str, quick: bool) -> Recipe:
    recipe = load_recipe(RECIPES[name])
    recipe = with_overrides(recipe, training__kimg=LENGTHS_KIMG[name]) if name in LENGTHS_KIMG else recipe
    return with_overrides(recipe, **QUICK) if quick else recipe


def _run_file(out: Path, recipe: Recipe) -> Path | None:
    """The artifact of a layer that was trained here; shipped layers were trained for longer than a demo may take."""
    run = find_matching_run(out / "runs", recipe)
    return None if run is None else run.artifact_file


def _finished(out: Path, recipe: Recipe, made_from: dict[str, str] | None = None) -> Run:
    run = find_matching_run(out / "runs", recipe, made_from)
    if run is None or run.artifact_file is None:
        raise ArtifactError(f"{out}: the run of {recipe.name} is not finished; call `mitlgan demo` again")
    return run
