"""Arms with their trainings, ready to be measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mitlgan.artifacts.card import Card
from mitlgan.compare.arm_training import ArmTraining, explain_divergence
from mitlgan.compare.arms import COMPOSED, PRETRAINING_SUFFIX, ArmSpec
from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.snapshots import Snapshot, snapshot_of_artifact
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run


@dataclass(frozen=True)
class TrainedArm:
    """One arm with its trainings.

    Attributes:
        arm: Its specification.
        runs: One per seed; empty if nothing is trained.
        snapshots: Those of each training, in time order.
        extra_budget: Added to its budgets if pretraining is counted.
        length: As in `report.ArmResult`.
        failure: Why it cannot be measured: one of its trainings diverged.
    """

    arm: ArmSpec
    runs: Sequence[Run]
    snapshots: Sequence[Sequence[Snapshot]]
    extra_budget: float = 0.0
    length: Literal["total", "stage", ""] = ""
    failure: str = ""


@dataclass(frozen=True)
class DomainRun:
    """One domain with all its arms.

    Attributes:
        setup: What is composed.
        card: Of the composition with the first seed.
        arms: The composition first.
        budgets: Empty if arms are compared at one length only.
        resource: What all arms get the same amount of, a key of `plan.RESOURCE_UNITS` other than time.
        pretraining_costs: What the training of each layer took of it; empty if pretraining is not counted.
    """

    setup: DomainSetup
    card: Card
    arms: Sequence[TrainedArm]
    budgets: tuple[float, ...] = ()
    resource: str = "kimg"
    pretraining_costs: Mapping[str, float] = field(default_factory=dict)


def with_both_lengths(
    arm: ArmSpec,
    runs: Sequence[Run],
    snapshots: Sequence[Sequence[Snapshot]],
    extra: float,
    *,
    counts_pretraining: bool,
    stage_snapshots: Sequence[Sequence[Snapshot]] | None = None,
) -> list[TrainedArm]:
    """Return an arm as long as all stages of the composition and as long as its last one, if it has both lengths.

    Args:
        arm: Its specification.
        runs: One per seed.
        snapshots: Those of each training.
        extra: Length beyond the composition's stage; 0 gives one arm.
        counts_pretraining: Whether the comparison counts pretraining.
        stage_snapshots: Snapshots for the shorter length; None takes `snapshots`.
    """
    if not extra:
        length: Literal["total", "stage", ""] = "total" if counts_pretraining and arm.uses_layers else "stage"
        return [TrainedArm(arm, runs, snapshots, length="" if arm.name == COMPOSED else length)]
    whole = dataclasses.replace(arm, name=f"{arm.name}{PRETRAINING_SUFFIX}", label=f"{arm.label}, as long as all stages", counts_pretraining=True)
    stage_only = dataclasses.replace(arm, label=f"{arm.label}, this stage alone")
    return [
        TrainedArm(whole, runs, snapshots, extra_budget=extra, length="total"),
        TrainedArm(stage_only, runs, stage_snapshots or snapshots, length="stage"),
    ]


def failed_arm(arm: ArmSpec, trainings: Sequence[ArmTraining], context: RunContext) -> TrainedArm | None:
    """Return an arm that cannot be measured because a training diverged, or None if all its trainings are finished."""
    unfinished = [training for training in trainings if training.find_artifact(context.root) is None]
    diverged = [run for training in unfinished if (run := training.find_diverged_run(context.root)) is not None]
    return TrainedArm(arm, diverged, [], failure=explain_divergence(diverged, len(trainings))) if diverged else None


def untrained_arm(arm: ArmSpec, *, counts_pretraining: bool) -> TrainedArm:
    """Return an arm that trains nothing: an artifact that is taken as it is, or the pasted layers."""
    return TrainedArm(arm, [], [] if arm.artifact is None else [[snapshot_of_artifact(arm.artifact, counts_pretraining=counts_pretraining)]])
