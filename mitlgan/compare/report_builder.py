"""From measured arms to the report: its rows, pictures, verdict and how far to trust it."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mitlgan.artifacts.loaded_artifact import load_artifact as load_artifact
from mitlgan.compare.arm_results import DomainRun, TrainedArm, layer_data_source, layer_training_data, measure_arm
from mitlgan.compare.arms import PRETRAINING_SUFFIX
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.fairness import describe_fairness
from mitlgan.compare.plan import KIMG, RESOURCE_UNITS, TIME, ComparisonPlan
from mitlgan.compare.selection import AXES, describe_intervals, lead_intervals
from mitlgan.data.demo.real_composite_anchor import composite_anchor_pack
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.recipe import Recipe
from mitlgan.report import Anchor, ArmResult, Comparison, Picture, decide_verdict
from mitlgan.report import DomainPictures as Pictures
from mitlgan.report.formatting import number
from mitlgan.stages.default_layers import shipped_layer
from mitlgan.version import __version__

PICTURES = 25
SHORT_KIMG = 10.0
LAYER_LABELS = {"fg": "foreground", "bg": "background"}
ANCHORS = {
    "real_halves": ("Real halves", "two halves of the real scenes: as near as it gets"),
    "real_pasted": ("Real layers, pasted", "real objects on real backgrounds from the generators' pools: perfect layers, no composition"),
    "bare_backgrounds": ("Bare real backgrounds", "no object at all: what a composition must beat"),
}

__all__ = ["DomainRun", "TrainedArm", "build_comparison", "environment_facts", "shipped_samples"]


def build_comparison(plan: ComparisonPlan, domain: DomainRun, ruler: CachedEvaluator) -> Comparison:
    """The report of one domain; what is not measured yet is measured here."""
    recipe = domain.setup.recipe
    arms = [measure_arm(contender, domain, plan, ruler) for contender in domain.arms]
    known = _anchors(domain, ruler)
    alike = describe_fairness(plan, domain, ruler.validation_split)
    if not alike.lengths:  # one that was given is longer or shorter
        arms = [dataclasses.replace(arm, length="") for arm in arms]
    protocol = _protocol(ruler)
    title = f"{report_title(domain.arms)}, {recipe.size_px} px" + (f", {domain.setup.name}" if domain.setup.name else "")
    return Comparison(
        title=title, arms=arms, anchors=known,
        verdict=decide_verdict(arms, known, protocol, resource=domain.equal), resource=domain.equal,
        equal=alike.equal, unequal=alike.unequal, environment=environment_facts(), protocol=protocol,
        real=ruler.real.batch(np.linspace(0, len(ruler.real) - 1, PICTURES).astype(np.int64)), domains=[_pictures(domain, recipe)],
        shipped=shipped_samples(recipe.size_px), trust=[*_short_training(arms), *ruler.optimism_warnings(chosen=bool(domain.budgets))],
        commands=[_command(plan, domain)], made_by=f"mitlgan {__version__}",
        budget_unit=RESOURCE_UNITS[domain.equal] if domain.budgets else "", lead_sentences=_ahead(arms, ruler.validation_split),
    )  # fmt: skip


def report_title(contenders: Sequence[TrainedArm]) -> str:
    """What is compared with what, by the names of the arms that are there."""
    ours, *others = contenders
    names = list(dict.fromkeys(one.arm.label.removesuffix(", as long as all stages").removesuffix(", this stage alone") for one in others))
    return f"{ours.arm.label} against {names[0]}" if len(names) == 1 else "Compositions and baselines" if names else ours.arm.label


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


def shipped_samples(size_px: int) -> list[Picture]:
    """Samples of the shipped artifacts of a size: what longer training gives."""
    pictures = []
    for role, label in LAYER_LABELS.items():
        path = shipped_layer(role, size_px)
        if path is not None:
            loaded = load_artifact(path)
            pictures.append(Picture(f"Shipped {label} generator, {loaded.card.kimg:,.0f} kimg", to_uint8(loaded.sample(range(PICTURES)))))
    return pictures


def _anchors(domain: DomainRun, ruler: CachedEvaluator) -> list[Anchor]:
    """Real halves; and, where the layers' pictures are at hand, real objects pasted on real backgrounds, and bare backgrounds."""
    recipe = domain.setup.recipe
    others: dict[str, ImagePack] = {}
    drawn = {layer.role for name, layer in domain.card.layers.items() if layer_data_source(domain.card, name) == "demo"}
    if recipe.data.source == "demo" and drawn >= {"fg", "bg"}:
        others["real_pasted"] = composite_anchor_pack(recipe.size_px, count=ruler.protocol.samples, resize=recipe.data.resize)
    backgrounds = layer_training_data(domain.card, domain.card.back_to_front()[0], recipe)
    if backgrounds is not None:
        others["bare_backgrounds"] = backgrounds
    further = {one.extractor.name: one.evaluate_anchors(others) for one in ruler.secondary}
    return [
        Anchor(name, ANCHORS[name][0], flat_metrics(result), ANCHORS[name][1], {other: flat_metrics(known[name]) for other, known in further.items()})
        for name, result in ruler.evaluate_anchors(others).items()
    ]


def _protocol(ruler: CachedEvaluator) -> dict[str, Any]:
    protocol = ruler.protocol
    return {
        "extractor": ruler.extractor.name,
        "extractors": [one.extractor.name for one in (ruler, *ruler.secondary)],
        "samples": protocol.samples,
        "real": ruler.real_count,
        "split": protocol.split,
        "snapshots chosen on": ruler.validation_split,
        "snapshots chosen by": ruler.extractor.name,
        "resize": protocol.resize or "the extractor's",
        "seed": protocol.seed,
        "data_sha256": ruler.real.content_sha256,
    }


def _pictures(domain: DomainRun, recipe: Recipe) -> Pictures:
    found = []
    for name in domain.card.layers:
        pictures = layer_training_data(domain.card, name, recipe)
        if pictures is not None:
            chosen = np.linspace(0, len(pictures) - 1, PICTURES).astype(np.int64)
            title = f"Real {LAYER_LABELS[name]}s" if name in LAYER_LABELS else f"Real pictures of {name}"
            found.append(Picture(title, pictures.batch(chosen)))
    scenes = open_recipe_data(recipe)
    found.append(Picture("Real scenes", scenes.batch(np.linspace(0, len(scenes) - 1, PICTURES).astype(np.int64))))
    return Pictures(domain.setup.name or Path(recipe.data.source).name, found)


def _short_training(arms: Sequence[ArmResult]) -> list[str]:
    lengths = [kimg for arm in arms if (kimg := arm.cost.kimg(total=False))]
    if not lengths or min(lengths) >= SHORT_KIMG:
        return []
    return [f"The arms saw {min(lengths):.1f} kimg: this shows that the machinery works, and says nothing about which network is better."]


def _ahead(found: Sequence[ArmResult], chosen_on: str) -> list[str]:
    """Who is ahead when, on each axis, with the composition's pretraining left out and counted in."""
    ours, *others = found
    sentences = []
    for other in (one for one in others if len(one.evaluations) > 1 and not one.name.endswith(PRETRAINING_SUFFIX)):
        clauses = []
        for axis, unit in AXES.items():
            if words := describe_intervals(lead_intervals(ours.evaluations, other.evaluations, axis), unit):
                clauses.append(words)
        if clauses:
            sentences.append(f"Composition against {other.label}, by {chosen_on} distance, pretraining left out: {'; '.join(clauses)}.")
        sentences += _counted_in(ours, other)
    return sentences


def _counted_in(ours: ArmResult, other: ArmResult) -> list[str]:
    before = sum(stage.kimg or 0.0 for stage in ours.cost.stages if stage.pretraining)
    if before <= 0 or not ours.evaluations or not other.evaluations:
        return []
    words = describe_intervals(lead_intervals(ours.evaluations, other.evaluations, "kimg", shift=before), "kimg")
    if words:
        return [f"With its {number(before)} kimg of pretraining counted in: {words}."]
    first, last = ours.evaluations[0], other.evaluations[-1]
    return [
        f"With its {number(before)} kimg of pretraining counted in, the composition is first measured at {number(before + first['kimg'])} kimg "
        f"({number(first['fd'])}); {other.label} ended at {number(last['kimg'])} kimg ({number(last['fd'])})."
    ]


def _command(plan: ComparisonPlan, domain: DomainRun) -> str:
    parts = ["mitlgan compare", *(f"--baseline {name}" for name in plan.baselines)]
    if domain.setup.composed is not None:
        parts.append(f"--composed {domain.setup.composed.path}")
    options: Sequence[tuple[str, Any]] = (
        ("--recipe", plan.recipe), *(("--layer", f"{name}={path}") for name, path in plan.layers.items()), ("--data", plan.data),
        ("--composed", plan.composed if domain.budgets else None),
        ("--budgets", ",".join(f"{budget:g}" for budget in plan.budgets)), ("--seeds", plan.seeds if plan.seeds > 1 else None),
        ("--equal", plan.equal if plan.equal != (KIMG if plan.budgets else TIME) else None), ("--samples", plan.samples),
        ("--jobs", plan.jobs if plan.jobs > 1 else None),
    )  # fmt: skip
    parts += [f"{name} {value}" for name, value in options if value]
    parts += [f"--domain {triple.name}={triple.fg},{triple.bg},{triple.scene}" for triple in plan.domains]
    parts += [f"--set {setting}" for setting in plan.settings]
    parts += [f"--extractor {name}" for name in plan.extractors]
    flags = {"--count-pretraining": plan.count_pretraining, "--stage-only": plan.count_pretraining is False, "--pretrain-seeds": plan.pretrain_seeds}
    parts += [name for name, asked in flags.items() if asked]
    return " ".join(parts)
