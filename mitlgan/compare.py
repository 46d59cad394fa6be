"""compare: a composition and a baseline on the same scenes, measured alike, into one report."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mitlgan import artifact, runs, stages
from mitlgan.artifact import Card
from mitlgan.data.demo.pasted import pasted_pack
from mitlgan.data.packed import Packed, to_uint8
from mitlgan.data.prepare import open_data, resolved_split
from mitlgan.describe import describe
from mitlgan.errors import ArtifactError, DataError, UsageError
from mitlgan.evaluate import Protocol, anchors, evaluate, headline, open_extractor
from mitlgan.files import write_json
from mitlgan.metrics.features import Extractor
from mitlgan.recipe import Recipe, load, parse, plain
from mitlgan.report import Anchor, Arm, Comparison, Cost, Domain, Paths, Picture, StageCost, judge, summary, write_report
from mitlgan.runs import Run
from mitlgan.sample import Artifact
from mitlgan.sample import load as load_artifact
from mitlgan.stages import Environment
from mitlgan.version import __version__

SHOWN = 25
SHORT_KIMG = 10.0
LAYER_LABELS = {"fg": "foreground", "bg": "background"}
NO_LIMIT_KIMG = 1e6
MINIMUM_S = 0.1


@dataclass(frozen=True)
class Plan:
    """What is compared, and how.

    Attributes:
        composed: A composition's run; None takes the newest.
        baseline_run: A trained baseline; None takes the matching one, or trains it.
        equal: `kimg` or `seconds`: what both arms get alike.
        count_pretraining: Whether the baseline also gets what the pretrainings took.
        extractor: Of the metrics; None is the recipe's.
        weights: The extractor's weights file.
        samples: Images evaluated; None is the recipe's.
    """

    composed: Path | None = None
    baseline_run: Path | None = None
    equal: str = "kimg"
    count_pretraining: bool = False
    extractor: str | None = None
    weights: Path | None = None
    samples: int | None = None


@dataclass(frozen=True)
class Result:
    """A finished comparison.

    Attributes:
        run: Where the report lies.
        paths: The report's files.
        comparison: Everything in it.
    """

    run: Path
    paths: Paths
    comparison: Comparison

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        return self.comparison.verdict.headline if self.comparison.verdict else ""

    @property
    def html(self) -> Path:
        """The page."""
        return self.paths.html

    def summary(self) -> dict[str, Any]:
        """The report's numbers, and where it lies."""
        return {"run": str(self.run), "report": str(self.paths.html), **summary(self.comparison)}


def compare(plan: Plan, environment: Environment) -> Result:
    """Train or take a baseline, measure both arms, write the report.

    Raises:
        UsageError: No composition, or the extractor's weights are absent: told before any training.
        MitlganError: As training and evaluation.
    """
    if environment.world.size > 1:
        raise UsageError("torchrun: compare works in one process; only its trainings (`pretrain scene`, `compose`) take several")
    composed = _composition(plan.composed, environment.root)
    recipe = load(composed.recipe)
    card = _card(composed)
    if card.kind != "composer":
        raise ArtifactError(f"--composed {composed.path}: a run of `pretrain {card.role}`; give one that `mitlgan compose` made")
    protocol = Protocol(
        extractor=plan.extractor or recipe.evaluation.extractor,
        samples=plan.samples or recipe.evaluation.samples,
        split=resolved_split(recipe.data.source, recipe.role, recipe.evaluation.split),
    )
    extractor = open_extractor(protocol, weights=plan.weights, device=str(environment.world.device))
    real = stages.pictures(recipe, protocol.split)
    environment.reporter.say(f"composition: {composed.path}")
    baseline = _baseline(plan, recipe, card, environment)
    environment.reporter.say(f"baseline: {baseline.path}")
    arms = [
        _arm(composed, "composed", f"Composition ({_shape(recipe)})", real, protocol, extractor, environment),
        _arm(baseline, "baseline", "WGAN", real, protocol, extractor, environment),
    ]
    known = _anchors(card, recipe, real, protocol, extractor, environment)
    comparison = _comparison(plan, recipe, arms, known, real, protocol, extractor)
    out = runs.create(environment.root, "compare", recipe.name)
    paths = write_report(out.path, comparison)
    write_json(out.path / "status.json", {"state": "done", "command": "compare", "composed": str(composed.path), "baseline": str(baseline.path)})
    return Result(out.path, paths, comparison)


def baseline_recipe(recipe: Recipe, card: Card, *, equal: str = "kimg", count_pretraining: bool = False) -> Recipe:
    """The plain WGAN that a composition is compared with: the layers' generator, and everything else as the composition has it.

    Args:
        recipe: The composition's.
        card: The composition's, or one that has its layers, kimg and seconds.
        equal: `kimg` or `seconds`.
        count_pretraining: Whether the pretrainings' cost is added to the budget.
    """
    generator = next(layer.generator for layer in reversed(card.layers.values()) if layer.generator.image_channels == 3)
    tree = plain(recipe)
    del tree["composer"]
    tree |= {"name": "wgan", "command": "pretrain", "generator": plain(generator)}
    extra = {key: sum(float(layer.card.get(key, 0.0)) for layer in card.layers.values()) if count_pretraining else 0.0 for key in ("kimg", "seconds")}
    if equal == "seconds":
        tree["training"] |= {"kimg": NO_LIMIT_KIMG, "limit_s": max(MINIMUM_S, round(card.seconds + extra["seconds"], 1))}
    else:
        tree["training"] |= {"kimg": card.kimg + extra["kimg"]}
        tree["training"].pop("limit_s", None)
    return parse(tree, "baseline")


def _composition(given: Path | None, root: Path) -> Run:
    if given is not None:
        return runs.at(given)
    found = [run for run in runs.find(root, "compose") if run.artifact is not None]
    if not found:
        raise UsageError(f"--composed: no finished composition under {root}; run `mitlgan compose` first")
    return found[-1]


def _card(run: Run) -> Card:
    if run.artifact is None:
        raise ArtifactError(f"{run.path}: not finished; go on with `mitlgan resume {run.path}`")
    return artifact.read_card(run.artifact)


def _baseline(plan: Plan, recipe: Recipe, card: Card, environment: Environment) -> Run:
    if plan.baseline_run is None:
        wanted = baseline_recipe(recipe, card, equal=plan.equal, count_pretraining=plan.count_pretraining)
        return stages.resumed_or_new(wanted, environment)
    run = runs.at(plan.baseline_run)
    given = _card(run)
    if given.role != "scene" or given.size_px != card.size_px:
        raise ArtifactError(f"--baseline-run {run.path}: makes {given.role} images of {given.size_px} px; give one of scenes of {card.size_px} px")
    return run


def _arm(run: Run, role: str, label: str, real: Packed, protocol: Protocol, extractor: Extractor, environment: Environment) -> Arm:
    assert run.artifact is not None
    loaded = load_artifact(run.artifact, device=str(environment.world.device))
    environment.reporter.say(f"measuring {label}: {protocol.samples} images")
    measured = evaluate(loaded, real, protocol, network=extractor)
    write_json(run.path / "metrics.json", measured)
    stage_layers = loaded.layers(range(SHOWN))
    composed = role == "composed"
    layers = {**stage_layers.layers, "fused": stage_layers.fused, "output": stage_layers.output} if composed else {}
    pixels: dict[str, Any] = {name: to_uint8(image) for name, image in layers.items()}
    if composed and stage_layers.matte is not None:
        pixels["matte"] = to_uint8(stage_layers.matte * 2 - 1)
    return Arm(
        name=role, label=label, role="composed" if composed else "baseline", run_dir=str(run.path), stats=list(runs.read_lines(run.stats)),
        timing=list(runs.read_lines(run.timing)), cost=_cost(loaded, run.artifact), metrics=headline(measured), layers=pixels,
        samples=to_uint8(stage_layers.output), seeds=(int(loaded.card.recipe.get("seed", 0)),),
        notes=[loaded.card.notes] if loaded.card.notes else [],
    )  # fmt: skip


def _cost(loaded: Artifact, path: Path) -> Cost:
    card = loaded.card
    before = [
        StageCost(LAYER_LABELS.get(name, name), float(layer.card.get("kimg", 0.0)), float(layer.card.get("seconds", 0.0)), pretraining=True)
        for name, layer in card.layers.items()
    ]
    total = describe(str(path))["total"]
    trained = sum(parameter.numel() for parameter in loaded.network.parameters())
    if card.kind == "composer":
        trained -= sum(p.numel() for generator in loaded.network.generators.values() for p in generator.parameters())  # type: ignore[operator]
    name = "composition" if card.kind == "composer" else "baseline"
    return Cost([*before, StageCost(name, card.kimg, card.seconds)], trained, total["parameters"], total["multiply_accumulates"])


def _anchors(card: Card, recipe: Recipe, real: Packed, protocol: Protocol, extractor: Extractor, environment: Environment) -> list[Anchor]:
    """Real halves; and, where the layers' pictures are at hand, real objects pasted on real backgrounds, and bare backgrounds."""
    pools = {name: pack for name in ("fg", "bg") if (pack := _pool(card, name, recipe)) is not None}
    others: dict[str, Packed | Iterable[Tensor]] = {}
    if recipe.data.source == "demo" and all(_source(card, name) == "demo" for name in ("fg", "bg")):
        others["real_pasted"] = pasted_pack(recipe.size_px, count=protocol.samples, resize=recipe.data.resize)
    if "bg" in pools:
        others["bare_backgrounds"] = pools["bg"]
    environment.reporter.say("measuring anchors")
    found = anchors(real, protocol, others, network=extractor)
    labels = {
        "real_halves": ("Real halves", "two halves of the real scenes: as near as it gets"),
        "real_pasted": ("Real layers, pasted", "real objects on real backgrounds from the generators' pools: perfect layers, no composition"),
        "bare_backgrounds": ("Bare real backgrounds", "no object at all: what a composition must beat"),
    }
    return [Anchor(name, labels[name][0], headline(result), labels[name][1]) for name, result in found.items()]


def _pool(card: Card, layer: str, recipe: Recipe) -> Packed | None:
    if layer not in card.layers:
        return None
    try:
        return open_data(_source(card, layer), layer, recipe.size_px, resize=recipe.data.resize)
    except DataError:
        return None


def _source(card: Card, layer: str) -> str:
    return str(card.layers[layer].card.get("data", {}).get("source", "")) if layer in card.layers else ""


def _comparison(
    plan: Plan, recipe: Recipe, arms: list[Arm], known: list[Anchor], real: Packed, protocol: Protocol, extractor: Extractor
) -> Comparison:
    budget = "seconds" if plan.equal == "seconds" else "kimg"
    counted = "pretraining counted" if plan.count_pretraining else "of this stage"
    training = recipe.training
    equal = [
        f"the {len(stages.pictures(recipe)):,} scenes that both trained on",
        f"{budget} {counted}",
        f"critic, objective ({recipe.objective.kind}, {recipe.objective.critic_steps} critic steps), optimisers, batch {training.batch}, averaging",
        "the measurement: extractor, number of images, seeds, resize",
    ]
    unequal = [
        "the composition's generators were pretrained on foregrounds and backgrounds that the baseline never saw",
        "trained parameters and multiply-accumulates per image: see the table",
    ]
    return Comparison(
        title=f"Composition against a plain WGAN, {recipe.size_px} px", arms=arms, anchors=known,
        verdict=judge(arms, known, extractor=extractor.name, budget=f"at equal {budget}, {counted}"),
        equal=equal, unequal=unequal, environment=environment_facts(),
        protocol={"extractor": extractor.name, "samples": protocol.samples, "split": protocol.split, "resize": protocol.resize or "the extractor's",
                  "seed": protocol.seed, "data_sha256": real.content_sha256},
        real=real.batch(np.linspace(0, len(real) - 1, SHOWN).astype(np.int64)), domains=_domains(arms[0], recipe),
        shipped=shipped_pictures(recipe.size_px), trust=_short_training(arms),
        commands=[f"mitlgan compare --baseline wgan --composed {arms[0].run_dir}"], made_by=f"mitlgan {__version__}",
    )  # fmt: skip


def _short_training(arms: list[Arm]) -> list[str]:
    shortest = min(arm.cost.kimg(total=False) or 0.0 for arm in arms)
    if shortest >= SHORT_KIMG:
        return []
    return [f"The arms saw {shortest:.1f} kimg: this shows that the machinery works, and says nothing about which network is better."]


def _same_pictures(protocol: Protocol) -> list[str]:
    if protocol.split != "train":
        return []
    return ["The real side are the training scenes themselves (the folder has no `test` subfolder): an arm that learns them by heart scores well."]


def _domains(arm: Arm, recipe: Recipe) -> list[Domain]:
    card = _card(Run(Path(str(arm.run_dir))))
    pictures = []
    for name in card.layers:
        pool = _pool(card, name, recipe)
        if pool is not None:
            pictures.append(Picture(f"Real {LAYER_LABELS.get(name, name)}s", pool.batch(np.linspace(0, len(pool) - 1, SHOWN).astype(np.int64))))
    scenes = stages.pictures(recipe)
    pictures.append(Picture("Real scenes", scenes.batch(np.linspace(0, len(scenes) - 1, SHOWN).astype(np.int64))))
    return [Domain(Path(recipe.data.source).name, pictures)]


def shipped_pictures(size_px: int) -> list[Picture]:
    """Samples of the shipped artifacts of a size: what longer training gives."""
    pictures = []
    for role, label in LAYER_LABELS.items():
        path = stages.shipped_artifact(role, size_px)
        if path is not None:
            loaded = load_artifact(path)
            pictures.append(Picture(f"Shipped {label} generator, {loaded.card.kimg:,.0f} kimg", to_uint8(loaded.sample(range(SHOWN)))))
    return pictures


def environment_facts() -> Mapping[str, Any]:
    """Versions, threads and device, for a report."""
    return {
        "mitlgan": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else "not used",
    }


def _shape(recipe: Recipe) -> str:
    assert recipe.composer is not None
    return recipe.name if recipe.name != "compose" else recipe.composer.fusion.kind


__all__ = ["Plan", "Result", "baseline_recipe", "compare", "environment_facts", "shipped_pictures"]
