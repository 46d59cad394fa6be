"""demo: pretrain both layers, compose, compare, in one command that goes on where it was stopped.

The recommended composition leads; the thesis' fusion and translator over the same frozen layers stand beside it, and the plain WGAN beside both, all
for the same number of real images. The trainings of a step share nothing, so two run at a time, each with half of the threads: at 32 px that is faster
than one after the other with all of them. Every stage is an ordinary run, which `mitlgan resume` and the other commands understand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mitlgan import artifact, stages
from mitlgan.artifact import LAYER_ROLES, Card, LayerCard
from mitlgan.compare import Plan, Result, as_long, baseline_recipe, compare
from mitlgan.distributed import World
from mitlgan.errors import ArtifactError
from mitlgan.files import locked, make_folder, write_atomically
from mitlgan.jobs import Job, run_side_by_side
from mitlgan.layers import shipped_artifact
from mitlgan.progress import PlainReporter, duration, reporter
from mitlgan.recipe import Recipe, changed, dump, load
from mitlgan.runs import Run
from mitlgan.stages import Environment
from mitlgan.train import updates_of

RECIPES = {"fg": "modern/fg-32", "bg": "modern/bg-32", "compose": "modern/compose-32", "thesis": "demo/compose"}
"""What each stage is trained by."""
LENGTHS_KIMG = {"fg": 40.0, "bg": 40.0, "compose": 16.0}
"""Lengths for some ten minutes on two cores; what is compared with the composition is as long as it."""
QUICK = {"training__kimg": 1.0, "training__snapshot_kimg": 1.0, "training__checkpoint_kimg": 1.0, "evaluation__samples": 256}
AT_ONCE = 2


def demo(out: Path, *, quick: bool = False, pretrained: bool = False) -> Result:
    """Run the four stages at 32 px on the demo pictures.

    Args:
        out: Everything is written under it; what is there already is taken or gone on with.
        quick: A few updates only, 256 images evaluated.
        pretrained: Start from the shipped generators; a layer of which none ships is pretrained.

    Raises:
        Stopped: By a signal; the same command goes on.
        MitlganError: As the stages.
    """
    make_folder(out)
    started = time.monotonic()
    with locked(out):
        show = reporter("demo").say
        recipes = {name: _recipe(name, quick) for name in RECIPES}
        layers = _layers(out, recipes, pretrained, show)
        show("2/3 training the composition, the thesis' and the plain WGAN at equal kimg")
        planned = _planned(recipes["compose"], layers)
        thesis, wgan = as_long(recipes["thesis"], recipes["compose"], planned), baseline_recipe(recipes["compose"], planned)
        flags = [argument for role, path in layers.items() for argument in (f"--{role}", str(path))]
        made_from = {role: artifact.tensors_hash(path) for role, path in layers.items()}  # a composition of other layers is another one
        jobs = [
            Job("thesis composition", thesis, ["compose", *flags], made_from),  # the longest first
            Job("compose", recipes["compose"], ["compose", *flags], made_from),
            Job("baseline wgan", wgan, ["pretrain", "scene"]),
        ]
        run_side_by_side(out, out / "runs", jobs, at_once=AT_ONCE)
        show("3/3 measuring and writing the report")
        composed, baseline = _finished(out, recipes["compose"], made_from), _finished(out, wgan)
        beside = out / f"{thesis.name}.toml"
        write_atomically(beside, dump(recipes["thesis"]))
        environment = Environment(World(0, 1, torch.device("cpu")), PlainReporter("compare"), out / "runs")
        result = compare(Plan(composed=composed.path, baselines=(str(beside), "wgan"), baseline_run=baseline.path), environment)
        show(f"done in {duration(time.monotonic() - started)}")
    return result


def _layers(out: Path, recipes: Mapping[str, Recipe], pretrained: bool, show: Callable[[str], None]) -> dict[str, Path]:
    """The frozen generators: those that ship, where they are asked for, and those that are trained here."""
    composition = recipes["compose"]
    matted = composition.composer is not None and composition.composer.fusion.kind == "alpha"
    shipped = {role: path for role in LAYER_ROLES if pretrained and (path := shipped_artifact(role, composition.size_px, matted=matted)) is not None}
    wanted = [role for role in LAYER_ROLES if role not in shipped]
    if wanted:
        show(f"1/3 pretraining the {' and the '.join({'fg': 'foreground', 'bg': 'background'}[role] for role in wanted)} generator")
        run_side_by_side(out, out / "runs", [Job(f"pretrain {role}", recipes[role], ["pretrain", role]) for role in wanted], at_once=AT_ONCE)
    made = {role: shipped.get(role) or _finished(out, recipes[role]).artifact for role in LAYER_ROLES}
    return {role: path for role, path in made.items() if path is not None}


def _recipe(name: str, quick: bool) -> Recipe:
    recipe = load(RECIPES[name])
    recipe = changed(recipe, training__kimg=LENGTHS_KIMG[name]) if name in LENGTHS_KIMG else recipe
    return changed(recipe, **QUICK) if quick else recipe


def _planned(recipe: Recipe, layers: Mapping[str, Path]) -> Card:
    """The card that a composition will have, as far as lengths go, before it exists: what it is compared with is trained beside it."""
    images = updates_of(recipe) * recipe.training.batch * recipe.objective.critic_steps
    cards = {name: artifact.read_card(path) for name, path in layers.items()}
    frozen = {
        name: LayerCard(role=card.role, generator=card.generator, size_px=card.size_px, sha256_before="", sha256_after="")
        for name, card in cards.items()
        if card.generator
    }
    return Card(kind="composer", role="scene", size_px=recipe.size_px, latent_dims={"all": 1}, layers=frozen, kimg=images / 1000)


def _finished(out: Path, recipe: Recipe, made_from: dict[str, str] | None = None) -> Run:
    run = stages.matching_run(out / "runs", recipe, made_from)
    if run is None or run.artifact is None:
        raise ArtifactError(f"{out}: the run of {recipe.name} is not finished; call `mitlgan demo` again")
    return run
