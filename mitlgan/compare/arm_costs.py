"""What an arm's training cost, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from mitlgan.artifacts.card import Card, read_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.summary import describe
from mitlgan.artifacts.training_records import pretraining_records
from mitlgan.compare.arms import finetune_layer
from mitlgan.compare.budgets import records_macs
from mitlgan.compare.trained_arms import DomainRun, TrainedArm
from mitlgan.report.schema import Cost, StageCost

LAYER_LABELS = {"fg": "foreground", "bg": "background"}


def arm_cost(trained: TrainedArm, domain: DomainRun, loaded: LoadedArtifact, path: Path) -> Cost:
    """Return the cost of an arm's training to its end, with the pretrainings that it builds on.

    Args:
        trained: The arm; what its training and its pretrainings cost is a mean over its seeds.
        domain: Its composition has the layer that the arm begins from, if any.
        loaded: The arm's network.
        path: File of the network.
    """
    ends = [snapshots[-1] for snapshots in trained.snapshots]
    is_composer = loaded.card.kind == "composer"
    runs = trained.runs if is_composer else domain.arms[0].runs if trained.arm.from_foreground else ()
    cards = [read_card(run.artifact_file) for run in runs if run.artifact_file is not None]
    pretrainings = mean_pretraining_stages(cards or [loaded.card if is_composer else domain.card])
    used = set(pretrainings) if is_composer else set()
    if trained.arm.from_foreground:
        used = {finetune_layer(domain.setup.recipe, domain.card.layers)}
    kimg, seconds, macs, cpu_seconds = (float(np.mean([end.position(axis) for end in ends])) for axis in ("kimg", "seconds", "macs", "cpu_seconds"))
    own = StageCost("composition" if is_composer else "baseline", kimg, seconds, macs=macs or None, cpu_seconds=cpu_seconds or None)
    trainable = sum(parameter.numel() for parameter in loaded.network.trainable_parameters())
    total = describe(str(path))["total"]
    stages = [*(stage for name, stage in pretrainings.items() if name in used), own]
    return Cost(stages, trainable, total["parameters"], total["multiply_accumulates"])


def mean_pretraining_stages(cards: Sequence[Card]) -> dict[str, StageCost]:
    """Return the cost of pretraining each layer, as means over the compositions of several seeds, whose layers may be trained for each of them.

    Args:
        cards: Of compositions with the same names of layers. What one of them does not say has no mean.
    """
    by_card = [pretraining_stages(card) for card in cards]
    means = {}
    for name, first in by_card[0].items():
        stages = [stages[name] for stages in by_card if name in stages]
        kimg, seconds, macs, cpu_seconds = (_mean([getattr(stage, key) for stage in stages]) for key in ("kimg", "seconds", "macs", "cpu_seconds"))
        means[name] = replace(first, kimg=kimg, seconds=seconds, macs=macs, cpu_seconds=cpu_seconds)
    return means


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def pretraining_stages(card: Card) -> dict[str, StageCost]:
    """Return the cost of pretraining each layer of a composition; a generator that several layers are, or grew from, counts for the first of them."""
    stages = {}
    for name, records in pretraining_records(card).items():
        kimg, seconds, cpu_seconds = (sum(float(record.get(key) or 0.0) for record in records) for key in ("kimg", "seconds", "cpu_seconds"))
        stages[name] = StageCost(
            LAYER_LABELS.get(name, name), kimg, seconds, pretraining=True, macs=records_macs(records, {}), cpu_seconds=cpu_seconds or None
        )
    return stages
