"""The arm that trains nothing, measured: the frozen layers pasted over each other, with the best threshold for mattes that have to be keyed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import Card, read_card
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.arm_costs import mean_pretraining_stages
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.layer_swaps import measure_layer_swap
from mitlgan.compare.paste_baseline import KEY_THRESHOLDS, PastedLayers
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.snapshots import extractor_fields, mean_over_seeds
from mitlgan.compare.trained_arms import DomainRun, TrainedArm
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.layer_swap import doubt_about_key
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.report.sample_pictures import PICTURES, stage_pictures
from mitlgan.report.schema import ArmResult, Cost, StageCost

NO_TRAINING = StageCost("no training", 0.0, 0.0, macs=0.0, cpu_seconds=0.0)


@dataclass(frozen=True)
class _Paste:
    """Pasted layers with the key of their measurements."""

    layers: PastedLayers
    key: str

    def measure(self, evaluator: CachedEvaluator, *, validation: bool = False) -> dict[str, float]:
        label = f"paste at {self.layers.threshold:g}"
        return flat_metrics(evaluator.evaluate_sampler(self.key, lambda: self.layers, label, validation=validation))


def measure_paste(trained: TrainedArm, domain: DomainRun, plan: ComparisonPlan, evaluator: CachedEvaluator) -> ArmResult:
    """Measure the frozen layers without fusion and translator, for each seed with layers of its own."""
    keyed = [name for name in domain.card.back_to_front()[1:] if domain.card.layers[name].generator.image_channels != 4]
    thresholds = KEY_THRESHOLDS if keyed else KEY_THRESHOLDS[:1]
    composers = _composers_by_seed(domain)
    pastes = [_best_paste(path, thresholds, evaluator) for path in composers.values()]
    rows = [paste.measure(evaluator) for paste in pastes]
    secondary = {one.extractor.name: [paste.measure(one) for paste in pastes] for one in evaluator.secondary}
    metrics, values = mean_over_seeds(rows), [row["fd"] for row in rows]
    first = pastes[0]
    images = first.layers.layers(range(PICTURES))
    numbers, grid = measure_layer_swap(first.layers, first.layers.composed.card, evaluator, first.key)
    return ArmResult(
        name="paste", label=trained.arm.label, role="baseline", seeds=tuple(composers) if len(composers) > 1 else (), metrics=metrics,
        layers={name: image for name, image in stage_pictures(images).items() if name != "fused"},  # fused is the output here
        samples=to_uint8(images.output),
        cost=Cost([*mean_pretraining_stages([read_card(path) for path in composers.values()]).values(), NO_TRAINING], 0),
        notes=[_matte_note(domain.card, keyed, [paste.layers for paste in pastes], evaluator.validation_split)],
        budget_results=[{"budget": budget, **metrics, "values": values} for budget in domain.budgets], separation=numbers, separation_grid=grid,
        recipes_tried=plan.trials.get("paste", 1), snapshots_tried=len(thresholds),
        **extractor_fields(evaluator.extractor.name, values, secondary),
    )  # fmt: skip


def _composers_by_seed(domain: DomainRun) -> dict[int, Path]:
    """Return a composition for each different set of frozen layers, by the first seed that has it."""
    composers: dict[str, tuple[int, Path]] = {}
    for run in domain.arms[0].runs:
        assert run.artifact_file is not None
        card = read_card(run.artifact_file)
        composers.setdefault(_paste_key(card), (int(card.recipe.get("seed", 0)), run.artifact_file))
    return dict(composers.values())


def _best_paste(composer: Path, thresholds: Sequence[float], evaluator: CachedEvaluator) -> _Paste:
    """Return the pasted layers of a composition with the threshold that is best on the validation images."""
    loaded = load_artifact(composer, device=evaluator.device)
    pastes = [_Paste(PastedLayers(loaded, threshold), f"paste {threshold:g} {_paste_key(loaded.card)}") for threshold in thresholds]
    return min(pastes, key=lambda paste: paste.measure(evaluator, validation=True)["fd"])


def _paste_key(card: Card) -> str:
    """Return everything that decides the pasted images except the threshold."""
    hashes = "/".join(f"{name} {card.layers[name].sha256_before}" for name in card.back_to_front())
    placement, resample = (getattr(card.composer, key, None) for key in ("placement", "resample"))
    return f"{hashes} {placement} {resample}"


def _matte_note(card: Card, keyed: Sequence[str], pasted: Sequence[PastedLayers], validation_split: str) -> str:
    """Return what the mattes are, for the report.

    Args:
        card: Of the composition.
        keyed: Layers without alpha.
        pasted: Each set of layers, with its best threshold.
        validation_split: The split on which thresholds were chosen.
    """
    fronts = card.back_to_front()[1:]
    levels = ", ".join(dict.fromkeys(f"{layers.threshold * 127.5:.0f}" for layers in pasted))
    key = f"what differs from the backdrop by more than {levels} of 255, the best of {len(KEY_THRESHOLDS)} thresholds on {validation_split}"
    shares = [share for layers in pasted for _, share in layers.backdrops.values()]
    key += doubt_about_key(min(shares, default=1.0))
    if len(fronts) == 1:
        return f"The foreground's matte is {key if keyed else 'its own alpha'}."
    own = [name for name in fronts if name not in keyed]
    parts = [f"{', '.join(own)}: their own alpha" if own else "", f"{', '.join(keyed)}: {key}" if keyed else ""]
    return f"The layers' mattes, from back to front: {'; '.join(part for part in parts if part)}."
