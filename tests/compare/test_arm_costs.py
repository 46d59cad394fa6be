"""What an arm cost is a mean over its seeds, in every unit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare.arm_costs import arm_cost
from mitlgan.compare.arms import ArmSpec
from mitlgan.compare.snapshots import Snapshot
from mitlgan.compare.trained_arms import TrainedArm


def test_seeds_that_a_clock_stopped_at_other_lengths_are_averaged_in_every_unit(artifacts: dict[str, Path]) -> None:
    path = artifacts["bg"]
    loaded = load_artifact(path)
    early = Snapshot(0.5, 5.0, 4.0, 0.1, path)
    ends = [Snapshot(10.0, 100.0, 80.0, 2.0, path), Snapshot(14.0, 102.0, 90.0, 4.0, path)]
    trained = TrainedArm(ArmSpec("wgan", "WGAN-GP"), (), [[early, end] for end in ends])
    domain: Any = SimpleNamespace(card=loaded.card)
    (stage,) = arm_cost(trained, domain, loaded, path).stages
    assert (stage.kimg, stage.seconds, stage.cpu_seconds, stage.macs) == (12.0, 101.0, 85.0, 3.0)


def test_work_that_is_not_known_is_not_nothing(artifacts: dict[str, Path]) -> None:
    path = artifacts["bg"]
    loaded = load_artifact(path)
    domain: Any = SimpleNamespace(card=loaded.card)
    (stage,) = arm_cost(TrainedArm(ArmSpec("other", "Other"), (), [[Snapshot(10.0, 100.0, 80.0, 0.0, path)]]), domain, loaded, path).stages
    assert (stage.kimg, stage.macs) == (10.0, None)
