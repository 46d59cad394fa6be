"""demo: pretrain both layers, compose, compare, in one command that goes on where it was stopped.

The two pretrainings share nothing, nor do composition and baseline, so each pair runs as two processes with half of the threads: at 32 px that is
faster than one after the other with all of them. Every stage is an ordinary run, which `mitlgan resume` and the other commands understand.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from mitlgan import artifact, stages
from mitlgan.artifact import Card, LayerCard
from mitlgan.compare import Plan, Result, baseline_recipe, compare
from mitlgan.distributed import World
from mitlgan.errors import ArtifactError
from mitlgan.files import locked, make_folder
from mitlgan.jobs import Job, run_side_by_side
from mitlgan.progress import PlainReporter, duration, reporter
from mitlgan.recipe import Recipe, changed, load
from mitlgan.runs import Run
from mitlgan.stages import Environment
from mitlgan.train import updates_of

QUICK = {"training__kimg": 1.0, "training__snapshot_kimg": 1.0, "training__checkpoint_kimg": 1.0, "evaluation__samples": 256}


def demo(out: Path, *, quick: bool = False, pretrained: bool = False) -> Result:
    """Run the four stages at 32 px on the demo pictures.

    Args:
        out: Everything is written under it; what is there already is taken or gone on with.
        quick: A few updates only, 256 images evaluated.
        pretrained: Start from the shipped generators.

    Raises:
        Stopped: By a signal; the same command goes on.
        MitlganError: As the stages.
    """
    make_folder(out)
    started = time.monotonic()
    with locked(out):
        show = reporter("demo").say
        roles = ("fg", "bg")
        recipes = {name: _recipe(name, quick) for name in ("pretrain_fg", "pretrain_bg", "compose")}
        if pretrained:
            layers = {role: stages.shipped_artifact(role, recipes["compose"].size_px) for role in roles}
        else:
            show("1/3 pretraining the foreground and the background generator")
            run_side_by_side(out, out / "runs", [Job(f"pretrain {role}", recipes[f"pretrain_{role}"], ["pretrain", role]) for role in roles])
            layers = {role: _finished(out, recipes[f"pretrain_{role}"]).artifact for role in roles}
        paths = {role: path for role, path in layers.items() if path is not None}
        if len(paths) < len(roles):
            raise ArtifactError("--from pretrained: no generators of 32 px are shipped; run the demo without it")
        show("2/3 training the composition and the plain WGAN at equal kimg")
        wanted = _baseline(recipes["compose"], paths)
        flags = [argument for role, path in paths.items() for argument in (f"--{role}", str(path))]
        made_from = {role: artifact.tensors_hash(path) for role, path in paths.items()}  # a composition of other layers is another one
        jobs = [Job("compose", recipes["compose"], ["compose", *flags], made_from), Job("baseline wgan", wanted, ["pretrain", "scene"])]
        run_side_by_side(out, out / "runs", jobs)
        show("3/3 measuring and writing the report")
        composed, baseline = _finished(out, recipes["compose"], made_from), _finished(out, wanted)
        environment = Environment(World(0, 1, torch.device("cpu")), PlainReporter("compare"), out / "runs")
        result = compare(Plan(composed=composed.path, baseline_run=baseline.path), environment)
        show(f"done in {duration(time.monotonic() - started)}")
    return result


def _recipe(name: str, quick: bool) -> Recipe:
    recipe = load(f"demo/{name}")
    return changed(recipe, **QUICK) if quick else recipe


def _baseline(recipe: Recipe, layers: dict[str, Path]) -> Recipe:
    """The baseline's recipe, before the composition that it is compared with exists: the clock decides both lengths."""
    images = updates_of(recipe) * recipe.training.batch * recipe.objective.critic_steps
    cards = {name: artifact.read_card(path) for name, path in layers.items()}
    frozen = {
        name: LayerCard(role=card.role, generator=card.generator, size_px=card.size_px, sha256_before="", sha256_after="")
        for name, card in cards.items()
        if card.generator
    }
    planned = Card(kind="composer", role="scene", size_px=recipe.size_px, latent_dims={"all": 1}, layers=frozen, kimg=images / 1000)
    return baseline_recipe(recipe, planned)


def _finished(out: Path, recipe: Recipe, made_from: dict[str, str] | None = None) -> Run:
    run = stages.matching_run(out / "runs", recipe, made_from)
    if run is None or run.artifact is None:
        raise ArtifactError(f"{out}: the run of {recipe.name} is not finished; call `mitlgan demo` again")
    return run
