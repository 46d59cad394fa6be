"""What an arm cost is a mean over its seeds, in every unit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare import arm_costs, report_builder
from mitlgan.compare.arm_costs import arm_cost, mean_pretraining_stages
from mitlgan.compare.arms import ArmSpec
from mitlgan.compare.snapshots import Snapshot
from mitlgan.compare.trained_arms import TrainedArm
from mitlgan.report.schema import ArmResult, Cost, StageCost


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


def test_the_layers_of_all_seeds_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--pretrain-seeds`, each seed has layers of its own."""
    numbers = ((6.0, 2.0, 5.0), (4.0, None, 4.0))
    stages: list[Any] = [{"bg": StageCost("background", 0.1, seconds, True, macs, cpu_s)} for seconds, macs, cpu_s in numbers]
    monkeypatch.setattr(arm_costs, "pretraining_stages", lambda card: card)
    assert mean_pretraining_stages(stages) == {"bg": StageCost("background", 0.1, 5.0, True, None, 4.5)}
    assert mean_pretraining_stages(stages[:1]) == stages[0]


def test_an_arm_and_the_paste_take_the_layers_of_all_their_seeds(artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = artifacts["scene"]
    loaded = load_artifact(path)
    costs = iter([{"bg": StageCost("background", 0.1, seconds, True)} for seconds in (6.0, 4.0)])
    monkeypatch.setattr(arm_costs, "pretraining_stages", lambda _: next(costs))
    runs: Any = [SimpleNamespace(artifact_file=path)] * 2
    trained = TrainedArm(ArmSpec("composed", "Composition"), runs, [[Snapshot(1.0, 3.0, 1.0, 1.0, path)]] * 2)
    domain: Any = SimpleNamespace(card=loaded.card)
    cost = arm_cost(trained, domain, loaded, path)
    assert [stage.seconds for stage in cost.stages] == [5.0, 3.0]


@pytest.mark.parametrize(
    ("lengths", "start"),
    [
        ((60.0, 0.384, 0.0), "WGAN trained for only 0.384 kimg. A comparison with it says nothing"),
        ((0.5, 0.384, 60.0), "C trained for only 0.500 kimg; WGAN trained for only 0.384 kimg. A comparison with them says nothing"),
        ((0.5, 0.384, 0.0), "The arms trained for only 0.384 to 0.500 kimg. This shows that the program works, and says nothing"),
        ((60.0, 60.0, 60.0), ""),
        ((0.0, 0.0, 0.0), ""),
    ],
)
def test_only_arms_that_are_short_are_called_so(lengths: tuple[float, ...], start: str) -> None:
    by_label = zip(("C", "WGAN", "P"), lengths, strict=True)
    arms = [ArmResult(label, label, "baseline", cost=Cost([StageCost("own", kimg, 1.0)])) for label, kimg in by_label]
    sentences = report_builder._short_training(arms)
    assert len(sentences) == bool(start)
    assert "".join(sentences).startswith(start)
