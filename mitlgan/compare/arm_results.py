"""One arm, measured: where it stands at each budget, what it cost, what it shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mitlgan.artifacts.card import Card, LayerCard, read_card, read_weights_hash
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.loaded_artifact import load_artifact as load_artifact
from mitlgan.artifacts.summary import describe
from mitlgan.compare import arms
from mitlgan.compare.budgets import training_macs
from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.paste_baseline import KEY_THRESHOLDS, PastedLayers
from mitlgan.compare.plan import RESOURCE_UNITS, ComparisonPlan
from mitlgan.compare.selection import BudgetResult, Snapshot, best_within_budget, mean_curve, mean_over_seeds
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import DataError, UsageError
from mitlgan.images.grid import grid_png
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.layer_swap import measure_separation, swap_for
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.networks import CompositionStages
from mitlgan.recipe import Recipe, parse_recipe
from mitlgan.report import ArmResult, Cost, Picture, StageCost
from mitlgan.runtime.files import write_json
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.training.run_directory import Run

PICTURES = 25
LAYER_LABELS = {"fg": "foreground", "bg": "background"}
SWAPPED, DRAWN = 16, 8
NEIGHBOURS = 5
DIVERGED = "diverged at iteration"
"""As a card's notes say it (`Counters.divergence`) of an artifact that was kept after it."""


@dataclass(frozen=True)
class TrainedArm:
    """One arm with its trainings.

    Attributes:
        arm: What it is.
        runs: One per seed; none where nothing is trained.
        trainings: Snapshots of each, in time order.
        extra: What is added to its budgets, for pretraining that is counted.
        length: As in `report.Arm`.
        failure: Why nothing of it can be measured: a training of it diverged.
    """

    arm: arms.ArmSpec
    runs: Sequence[Run]
    snapshots: Sequence[Sequence[Snapshot]]
    extra_budget: float = 0.0
    length: Literal["total", "stage", ""] = ""
    failure: str = ""


@dataclass(frozen=True)
class DomainRun:
    """One domain with all its arms.

    Attributes:
        setting: What is composed.
        card: Of the composition at its first seed.
        contenders: The composition first.
        budgets: Empty where arms stand at one length only.
        equal: What arms got alike, a key of `plan.EQUAL` but time.
        before: What each layer's training took, in that unit; empty where it is not counted.
    """

    setup: DomainSetup
    card: Card
    arms: Sequence[TrainedArm]
    budgets: tuple[float, ...] = ()
    equal: str = "kimg"
    pretraining_costs: Mapping[str, float] = field(default_factory=dict)


def layer_training_data(card: Card, layer: str, recipe: Recipe) -> ImagePack | None:
    """The pictures that a layer's generator was trained on, where they are at hand."""
    try:
        return open_data(layer_data_source(card, layer), card.layers[layer].role, recipe.size_px, resize=recipe.data.resize)
    except (DataError, UsageError):
        return None


def layer_data_source(card: Card, layer: str) -> str:
    """Where those pictures came from."""
    return str(card.layers[layer].card.get("data", {}).get("source", ""))


def measure_arm(contender: TrainedArm, domain: DomainRun, plan: ComparisonPlan, ruler: CachedEvaluator) -> ArmResult:
    """Measure an arm where it stands, and all that the report shows of it."""
    if contender.arm.name == "paste":
        return _pasted(contender, domain, plan, ruler)
    if contender.failure:
        return _failed(contender, domain, plan)
    standings = _standings(contender, domain, ruler)
    last = standings[-1]
    loaded = load_artifact(last.chosen[0].path, device=ruler.device)
    run = contender.runs[0] if contender.runs else None
    if run is not None and run.artifact_file == last.chosen[0].path and not domain.budgets:
        write_json(run.path / "metrics.json", ruler.evaluate_artifact(last.chosen[0].path))
    others = {other.extractor.name: [flat_metrics(other.evaluate_artifact(point.path)) for point in last.chosen] for other in ruler.secondary}
    stage = loaded.layers(range(PICTURES))
    composes = loaded.composer is not None
    made = _drawn_layers(stage) if composes else {}
    cards = [read_card(point.path) for point in last.chosen]
    seeds = [int(card.recipe.get("seed", 0)) for card in cards]
    diverged = any(DIVERGED in card.notes for card in cards)
    arm = ArmResult(
        name=_name(contender, domain), label=f"{contender.arm.label} (diverged)" if diverged else contender.arm.label, diverged=diverged,
        role="composed" if contender.arm.name == arms.COMPOSED else "baseline", run_dir=str(run.path) if run else str(last.chosen[0].path),
        stats=list(read_jsonl(run.stats_file)) if run else (), timing=list(read_jsonl(run.timing_file)) if run else (),
        evaluations=mean_curve(contender.snapshots) if domain.budgets else (), cost=_cost(contender, domain, loaded, last.chosen[0].path),
        metrics=last.metrics, layers=made, samples=to_uint8(stage.output), seeds=seeds, notes=_notes(loaded, last, domain, ruler),
        budget_results=_rows(standings) if domain.budgets else (), recipes_tried=plan.trials.get(contender.arm.name, 1),
        snapshots_tried=max((len(points) for points in contender.snapshots), default=1), length=contender.length,
        values=_values(ruler, last.values, others), by_extractor={name: mean_over_seeds(rows) for name, rows in others.items()},
    )  # fmt: skip
    if composes:
        numbers, grid = _separated(loaded, ruler, read_weights_hash(last.chosen[0].path))
        arm = dataclasses.replace(arm, separation=numbers, separation_grid=grid)
    pictures, sentence = ruler.nearest_training_images(last.chosen[0].path, open_recipe_data(domain.setup.recipe), NEIGHBOURS)
    return dataclasses.replace(arm, neighbours=[Picture(*named) for named in pictures], memorised=sentence)


def _failed(contender: TrainedArm, domain: DomainRun, plan: ComparisonPlan) -> ArmResult:
    """An arm of which a training diverged: its curves, and no number."""
    run = contender.runs[0]
    return ArmResult(
        name=_name(contender, domain), label=f"{contender.arm.label} (diverged)", role="baseline", run_dir=str(run.path), diverged=True,
        stats=list(read_jsonl(run.stats_file)), timing=list(read_jsonl(run.timing_file)), notes=[contender.failure],
        seeds=[one.load_recipe().seed for one in contender.runs], recipes_tried=plan.trials.get(contender.arm.name, 1), length=contender.length,
    )  # fmt: skip


def _name(contender: TrainedArm, domain: DomainRun) -> str:
    """Where arms stand at one length, the WGAN is called `baseline`, as it always was."""
    name = contender.arm.name
    return name if domain.budgets else name.replace("wgan", "baseline") if name in ("wgan", f"wgan{arms.PRETRAINING_SUFFIX}") else name


def _values(ruler: CachedEvaluator, values: Sequence[float], others: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, list[float]]:
    """Distance of each seed, by extractor."""
    return {ruler.extractor.name: list(values), **{name: [row["fd"] for row in rows] for name, rows in others.items()}}


def _standings(contender: TrainedArm, domain: DomainRun, ruler: CachedEvaluator) -> list[BudgetResult]:
    found = []
    for budget in domain.budgets or (float("inf"),):
        allowed = budget + (contender.extra_budget if contender.arm.counts_pretraining else 0.0)
        chosen = [
            best_within_budget(points, allowed, domain.equal, _iteration(run, points, domain.equal)) for run, points in _with_runs(contender)
        ]  # fmt: skip
        rows = [flat_metrics(ruler.evaluate_artifact(point.path)) for point in chosen]
        found.append(BudgetResult(budget, mean_over_seeds(rows), tuple(chosen), tuple(row["fd"] for row in rows)))
    return found


def _with_runs(contender: TrainedArm) -> list[tuple[Run | None, Sequence[Snapshot]]]:
    listed: list[Run | None] = [*contender.runs] or [None] * len(contender.snapshots)
    return list(zip(listed, contender.snapshots, strict=True))


def _iteration(run: Run | None, points: Sequence[Snapshot], axis: str) -> float:
    """What one iteration comes to, on average."""
    if run is None or not points:
        return float("inf")  # an artifact that stands as it is
    end = points[-1]
    iterations = read_card(end.path).iterations
    return end.position(axis) / iterations if iterations else 0.0


def _pasted(contender: TrainedArm, domain: DomainRun, plan: ComparisonPlan, ruler: CachedEvaluator) -> ArmResult:
    """The frozen layers without fusion and translator, of each seed that has its own; mattes that they do not bring are keyed."""
    keyed = [name for name in domain.card.back_to_front()[1:] if domain.card.layers[name].generator.image_channels != 4]
    tolerances = KEY_THRESHOLDS if keyed else KEY_THRESHOLDS[:1]
    own = _composers(domain)
    found = [_best_paste(path, tolerances, ruler) for path in own.values()]
    rows, *further = [
        [flat_metrics(one.evaluate_sampler(key, lambda pasted=pasted: pasted, f"paste at {pasted.tolerance:g}")) for pasted, key in found]  # type: ignore[misc]
        for one in (ruler, *ruler.secondary)
    ]
    others = {one.extractor.name: measured for one, measured in zip(ruler.secondary, further, strict=True)}
    metrics, values = mean_over_seeds(rows), tuple(row["fd"] for row in rows)
    (pasted, key), *_ = found
    stage = pasted.layers(range(PICTURES))
    numbers, grid = _separated(pasted, ruler, key)
    drawn = {name: image for name, image in _drawn_layers(stage).items() if name != "fused"}  # which is the output here
    return ArmResult(
        name="paste", label=contender.arm.label, role="baseline", seeds=tuple(own) if len(own) > 1 else (), metrics=metrics, layers=drawn,
        samples=to_uint8(stage.output),
        cost=Cost([*_pretraining(domain.card), StageCost("no training", 0.0, 0.0, macs=0.0, cpu_seconds=0.0)], 0),
        notes=[_pasted_by(domain.card, keyed, [pasted.tolerance for pasted, _ in found], ruler.validation_split)],
        budget_results=[{"budget": budget, **metrics, "values": list(values)} for budget in domain.budgets], separation=numbers, separation_grid=grid,
        recipes_tried=plan.trials.get("paste", 1), snapshots_tried=len(tolerances), values=_values(ruler, values, others),
        by_extractor={name: mean_over_seeds(measured) for name, measured in others.items()},
    )  # fmt: skip


def _composers(domain: DomainRun) -> dict[int, Path]:
    """A composition with each set of frozen layers that there is, by the first seed that has it."""
    found: dict[str, tuple[int, Path]] = {}
    for run in domain.arms[0].runs:
        assert run.artifact_file is not None
        card = read_card(run.artifact_file)
        found.setdefault(_pasted_from(card), (int(card.recipe.get("seed", 0)), run.artifact_file))
    return dict(found.values())


def _best_paste(composed: Path, tolerances: Sequence[float], ruler: CachedEvaluator) -> tuple[PastedLayers, str]:
    """The layers of a composition pasted, by the threshold that is best on validation, and what tells that apart from all others."""
    loaded = load_artifact(composed, device=ruler.device)
    what = _pasted_from(loaded.card)
    tried: list[tuple[float, PastedLayers, str]] = []
    for tolerance in tolerances:
        pasted, key = PastedLayers(loaded, tolerance), f"paste {tolerance:g} {what}"
        numbers = ruler.evaluate_sampler(key, lambda pasted=pasted: pasted, f"paste at {tolerance:g}", validation=True)  # type: ignore[misc]
        tried.append((flat_metrics(numbers)["fd"], pasted, key))
    _, best, key = min(tried, key=lambda found: found[0])
    return best, key


def _pasted_from(card: Card) -> str:
    """All that decides the pasted pictures, beside the threshold."""
    order = card.back_to_front()
    hashes = "/".join(f"{name} {card.layers[name].sha256_before}" for name in order)
    placement, resample = (getattr(card.composer, key, None) for key in ("placement", "resample"))
    return f"{hashes} {placement} {resample}"


def _pasted_by(card: Card, keyed: Sequence[str], tolerances: Sequence[float], chosen_on: str) -> str:
    """What the mattes are, for the report.

    Args:
        card: Of the composition.
        keyed: Layers that bring none.
        tolerances: What was chosen, for each set of layers.
        chosen_on: The split on which it was.
    """
    fronts = card.back_to_front()[1:]
    chosen = ", ".join(dict.fromkeys(f"{tolerance * 127.5:.0f}" for tolerance in tolerances))
    threshold = f"what differs from the backdrop by more than {chosen} of 255, the best of {len(KEY_THRESHOLDS)} thresholds on {chosen_on}"
    if len(fronts) == 1:
        return f"The foreground's matte is {threshold if keyed else 'its own alpha'}."
    own = [name for name in fronts if name not in keyed]
    parts = [f"{', '.join(own)}: their own alpha" if own else "", f"{', '.join(keyed)}: {threshold}" if keyed else ""]
    return f"The layers' mattes, from the back to the front: {'; '.join(part for part in parts if part)}."


def _drawn_layers(stage: CompositionStages) -> dict[str, Any]:
    pixels: dict[str, Any] = {name: to_uint8(image) for name, image in stage.layers.items()}
    if stage.matte is not None:
        pixels["matte"] = to_uint8(stage.matte * 2 - 1)
    return pixels | {"fused": to_uint8(stage.fused), "output": to_uint8(stage.output)}


def _separated(composer: LoadedArtifact | PastedLayers, ruler: CachedEvaluator, key: str) -> tuple[dict[str, Any], bytes]:
    """Numbers of a large swap, and the picture of a small one."""
    swapped = swap_for((composer.composed if isinstance(composer, PastedLayers) else composer).card)
    numbers = ruler.cached(
        {"separation": key, "swaps": SWAPPED},
        lambda: measure_separation(composer, ruler.real, foregrounds=SWAPPED, backgrounds=SWAPPED, swap=swapped).numbers,
    )
    drawn = measure_separation(composer, None, foregrounds=DRAWN, backgrounds=DRAWN, swap=swapped)
    return numbers, grid_png(drawn.grid, columns=drawn.columns)


def _cost(contender: TrainedArm, domain: DomainRun, loaded: LoadedArtifact, path: Path) -> Cost:
    """What the arm's training took to its end, seconds as the mean over seeds; an arm that begins with a layer's weights has its pretraining, too."""
    card = loaded.card
    ends = [points[-1] for points in contender.snapshots]
    before_all = _pretraining(domain.card)
    before = before_all if card.kind == "composer" else []
    if contender.arm.from_foreground:
        first = arms.finetune_layer(domain.setup.recipe, domain.card.layers)
        before = [stage for name, stage in zip(domain.card.layers, before_all, strict=True) if name == first]
    name = "composition" if card.kind == "composer" else "baseline"
    total = describe(str(path))["total"]
    trained = sum(parameter.numel() for parameter in loaded.network.parameters())
    trained -= sum(p.numel() for generator in loaded.network.frozen_generators().values() for p in generator.parameters())
    end = ends[0]
    seconds, cpu_seconds = (float(np.mean([getattr(point, key) for point in ends])) for key in ("seconds", "cpu_seconds"))
    return Cost(
        [*before, StageCost(name, end.kimg, seconds, macs=end.macs, cpu_seconds=cpu_seconds or None)],
        trained,
        total["parameters"],
        total["multiply_accumulates"],
    )


def _pretraining(card: Card) -> list[StageCost]:
    return [
        StageCost(
            LAYER_LABELS.get(name, name), layer.total_spent("kimg"), layer.total_spent("seconds"), pretraining=True,
            macs=_pretraining_macs(layer), cpu_seconds=layer.total_spent("cpu_seconds") or None,
        )
        for name, layer in card.layers.items()
    ]  # fmt: skip


def _pretraining_macs(layer: LayerCard) -> float | None:
    total = 0.0
    for account in layer.training_records():
        tree = account.get("made_by")
        if not isinstance(tree, dict):
            return None
        try:
            total += float(account.get("kimg", 0.0)) * training_macs(parse_recipe(tree), {})
        except UsageError:
            return None
    return total


def _rows(standings: Sequence[BudgetResult]) -> list[dict[str, Any]]:
    return [
        {
            "budget": standing.budget,
            **standing.metrics,
            "chosen_kimg": [round(point.kimg, 3) for point in standing.chosen],
            "values": list(standing.values),
            "seconds": float(np.mean([point.seconds for point in standing.chosen])),
            "cpu_seconds": float(np.mean([point.cpu_seconds for point in standing.chosen])),
            "macs": float(np.mean([point.macs for point in standing.chosen])),
        }
        for standing in standings
    ]


def _notes(loaded: LoadedArtifact, last: BudgetResult, domain: DomainRun, ruler: CachedEvaluator) -> list[str]:
    found = [loaded.card.notes] if loaded.card.notes else []
    if domain.budgets:
        chosen = ", ".join(f"{point.kimg:g}" for point in last.chosen)
        within = f"the best on {ruler.validation_split} up to {last.budget:g} {RESOURCE_UNITS[domain.equal]}"
        found.append(f"Stands with its snapshots of {chosen} kimg, {within}; the samples are of the first.")
    if loaded.composer is not None and not _frozen(loaded.card):
        found.append("Its frozen layers moved.")
    return found


def _frozen(card: Card) -> bool:
    return all(layer.sha256_before == layer.sha256_after for layer in card.layers.values())


__all__ = ["DomainRun", "TrainedArm", "layer_data_source", "layer_training_data", "measure_arm"]
