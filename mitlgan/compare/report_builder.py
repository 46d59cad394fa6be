"""Builds the report's content from the arms of a comparison."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.anchors import domain_pictures, measure_anchors
from mitlgan.compare.arm_costs import LAYER_LABELS
from mitlgan.compare.arm_results import measure_arm
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.fairness import describe_fairness
from mitlgan.compare.leads import lead_sentences
from mitlgan.compare.plan import RESOURCE_UNITS, ComparisonPlan
from mitlgan.compare.reproduce import comparison_command
from mitlgan.compare.trained_arms import DomainRun, TrainedArm
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.pixels import to_uint8
from mitlgan.recipe import shipped_folder
from mitlgan.report.formatting import number
from mitlgan.report.sample_pictures import PICTURES, evenly_chosen
from mitlgan.report.schema import ArmResult, Comparison, Picture
from mitlgan.report.verdict import decide_verdict
from mitlgan.runtime.progress import format_duration
from mitlgan.stages.context import RunContext
from mitlgan.stages.default_layers import shipped_layer
from mitlgan.version import __version__

SHORT_KIMG = 10.0
LARGE_COMPOSITION, LARGE_PICTURES = "modern-128", 9
"""The shipped composition whose scenes show what much longer training gives, and how many of them."""
SMALL_PX = 32
"""Compositions of this size and below are shown without it."""


def build_comparison(plan: ComparisonPlan, domain: DomainRun, evaluator: CachedEvaluator, context: RunContext) -> Comparison:
    """Return the report of one domain; what is not measured yet is measured here."""
    recipe = domain.setup.recipe
    arms = [measure_arm(trained, domain, plan, evaluator) for trained in domain.arms]
    anchors = measure_anchors(domain, evaluator)
    fairness = describe_fairness(plan, domain, evaluator.validation_split)
    if not fairness.lengths_match:
        arms = [dataclasses.replace(arm, length="") for arm in arms]
    protocol = protocol_facts(evaluator)
    title = f"{report_title(domain.arms)}, {recipe.size_px} px" + (f", {domain.setup.name}" if domain.setup.name else "")
    return Comparison(
        title=title, arms=arms, anchors=anchors,
        verdict=decide_verdict(arms, anchors, protocol, resource=domain.resource), resource=domain.resource,
        equal=fairness.equal, unequal=fairness.unequal, environment=environment_facts(), protocol=protocol,
        real=evenly_chosen(evaluator.real), domains=[domain_pictures(domain)],
        shipped=[*shipped_samples(recipe.size_px), *large_scenes(arms[0], recipe.size_px)],
        trust=[
            *fairness.other_pictures, *_short_training(arms), *_enlarged(evaluator.real),
            *evaluator.optimism_warnings(chooses_snapshots=bool(domain.budgets)),
        ],
        commands=[comparison_command(plan, context)], made_by=f"mitlgan {__version__}",
        budget_unit=RESOURCE_UNITS[domain.resource] if domain.budgets else "", lead_sentences=lead_sentences(arms, evaluator.validation_split),
    )  # fmt: skip


def report_title(arms: Sequence[TrainedArm]) -> str:
    """Return what is compared with what."""
    ours, *others = (trained.arm.label for trained in arms)
    names = list(dict.fromkeys(label.removesuffix(", as long as all stages").removesuffix(", this stage alone") for label in others))
    return f"{ours} against {names[0]}" if len(names) == 1 else "Compositions and baselines" if names else ours


def environment_facts() -> Mapping[str, Any]:
    """Return versions, threads and device."""
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
    """Return samples of the shipped generators of a size, which show what longer training gives."""
    pictures = []
    for role, label in LAYER_LABELS.items():
        path = shipped_layer(role, size_px)
        if path is not None:
            loaded = load_artifact(path)
            pictures.append(Picture(f"Shipped {label} generator, {loaded.card.kimg:,.0f} kimg", to_uint8(loaded.sample(range(PICTURES)))))
    return pictures


def large_scenes(composed: ArmResult, size_px: int) -> list[Picture]:
    """Return a composition's scenes, if they are larger than 32 px, and those of the shipped composition of 128 px, which trained for far longer."""
    path = shipped_folder("pretrained") / LARGE_COMPOSITION / "composer.safetensors"
    if size_px <= SMALL_PX or composed.samples is None or not path.is_file():
        return []
    loaded = load_artifact(path)
    card = loaded.card
    shipped_s = (card.cpu_seconds or 0.0) + sum(layer.total_spent("cpu_seconds") for layer in card.layers.values())
    own_s = composed.cost.cpu_seconds(total=True)
    own = f"{composed.label}: scenes of {size_px} px" + (f" after {format_duration(own_s)} of CPU time in all" if own_s else "")
    longer = f", for {number(shipped_s / own_s)} times as long" if own_s and shipped_s > own_s else ""
    large = f"The shipped {LARGE_COMPOSITION}: scenes of {card.size_px} px after {format_duration(shipped_s)} of CPU time in all{longer}"
    return [Picture(own, composed.samples), Picture(large, to_uint8(loaded.sample(range(LARGE_PICTURES))))]


def protocol_facts(evaluator: CachedEvaluator) -> dict[str, Any]:
    """Return how the arms are measured."""
    protocol = evaluator.protocol
    return {
        "extractor": evaluator.extractor.name,
        "extractors": [one.extractor.name for one in (evaluator, *evaluator.secondary)],
        "samples": protocol.samples,
        "real": evaluator.real_count,
        "split": protocol.split,
        "snapshots chosen on": evaluator.validation_split,
        "snapshots chosen by": evaluator.extractor.name,
        "resize": protocol.resize or "the extractor's",
        "seed": protocol.seed,
        "data_sha256": evaluator.real.content_sha256,
    }


def _enlarged(real: ImagePack) -> list[str]:
    return [f"Of the real pictures, {sentence}."] if (sentence := real.describe_enlarged()) else []


def _short_training(arms: Sequence[ArmResult]) -> list[str]:
    """Return which arms trained for so short a time that their numbers say nothing; arms without training have no length."""
    lengths = {arm.label: kimg for arm in arms if (kimg := arm.cost.kimg(total=False))}
    short = {label: kimg for label, kimg in lengths.items() if kimg < SHORT_KIMG}
    if not short:
        return []
    nothing = "This shows that the program works, and says nothing about which network is better."
    if len(short) == len(lengths):
        ends = list(dict.fromkeys(number(kimg) for kimg in (min(short.values()), max(short.values()))))
        return [f"The arms trained for only {' to '.join(ends)} kimg. {nothing}"]
    named = "; ".join(f"{label} trained for only {number(kimg)} kimg" for label, kimg in short.items())
    return [f"{named[:1].upper()}{named[1:]}. A comparison with {'it' if len(short) == 1 else 'them'} says nothing about which network is better."]
