"""Updates whose loss or gradient is not finite are skipped, and end a training if they last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.errors import NanError
from mitlgan.objectives.wasserstein import WganGp
from mitlgan.stages.context import RunContext
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.loop import TrainingLoop


def poisoned(
    monkeypatch: pytest.MonkeyPatch, which: Callable[[int], bool], poison: Callable[[Tensor, nn.Module], Tensor], loss: str = "critic_loss"
) -> None:
    """Change the losses of some calls, counted from 0."""
    real, calls = getattr(WganGp, loss), []

    def changed_loss(self: WganGp, critic: nn.Module, *args: Any) -> tuple[Tensor, dict[str, Tensor]]:
        value, stats = real(self, critic, *args)
        calls.append(1)
        return (poison(value, critic) if which(len(calls) - 1) else value), stats

    monkeypatch.setattr(WganGp, loss, changed_loss)


def nan_loss(loss: Tensor, critic: nn.Module) -> Tensor:
    return loss * torch.nan


def infinite_gradient(loss: Tensor, critic: nn.Module) -> Tensor:
    """A finite loss with an infinite gradient: the root of zero."""
    return loss + (next(critic.parameters()).sum() * 0).sqrt()


@pytest.mark.parametrize("poison", [nan_loss, infinite_gradient])
def test_an_update_that_is_not_finite_is_counted_and_left_out(pretrain_fg: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch, poison: Any) -> None:
    poisoned(monkeypatch, lambda call: call == 2, poison)
    run = pretrain_fg(updates=3)
    assert [row["nan_skipped"] for row in tiny_runs.read_stats(run)] == [0, 1, 1]
    assert run.read_status()["state"] == "done"
    tensors, counters, lines = tiny_runs.trace(run)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    assert (counters["nan_skipped"], counters["nan_in_a_row"]) == (1, 0)
    assert b"NaN" not in lines
    assert tensors["critic_optimiser.0.step"] == 5  # of 6 critic updates
    assert tensors["generator_optimiser.0.step"] == 3


@pytest.mark.parametrize("loss", ["critic_loss", "generator_loss"])
def test_training_ends_when_values_stay_not_finite(
    pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """Of one network alone, too: a good update of the other does not start the count anew."""
    first = 4 if loss == "critic_loss" else 2
    poisoned(monkeypatch, lambda call: call >= first, nan_loss, loss)
    with pytest.raises(NanError, match="the last checkpoint is from before; lower the learning rate") as ended:
        pretrain_fg(updates=100, nan_patience=5, checkpoint_kimg=tiny_runs.PER_UPDATE / 1000)
    assert ended.value.exit_code == 6
    run = tiny_runs.only_run(environment.root)
    assert run.read_status()["state"] == "nan"
    assert run.read_status()["nan_skipped"] == 5
    assert run.artifact_file is None
    assert len(tiny_runs.read_stats(run)) < 10
    for path in list_checkpoints(run.path):
        assert all(torch.isfinite(tensor).all() for tensor in read_tensors(path)[0].values())
    assert [row["nan_skipped"] for row in tiny_runs.read_stats(run)][:2] == [0, 0]
    json.loads((run.path / "stats.jsonl").read_text().splitlines()[-1], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_values_that_fail_now_and_then_do_not_end_training(pretrain_fg: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, lambda call: call % 4 == 0, nan_loss)  # one of the critic's two updates in every second iteration
    assert pretrain_fg(updates=10, nan_patience=2).read_status()["nan_skipped"] == 5


@pytest.mark.parametrize("what", ["weight", "statistic"])
def test_a_checkpoint_never_holds_nan(pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def poison(loop: TrainingLoop) -> None:
        tensors = loop.state.critic.parameters() if what == "weight" else iter(loop.state.running_statistics)
        with torch.no_grad():
            next(tensors).view(-1)[0] = torch.nan

    tiny_runs.before_step(monkeypatch, poison, at=2)
    with pytest.raises(NanError, match="not finite"):
        pretrain_fg(updates=100, checkpoint_kimg=tiny_runs.PER_UPDATE / 1000)
    run = tiny_runs.only_run(environment.root)
    assert [path.stem for path in list_checkpoints(run.path)] == ["000000001", "000000002"]
    assert run.read_status()["state"] == "nan"
    assert run.artifact_file is None
    for path in list_checkpoints(run.path):
        assert all(torch.isfinite(tensor).all() for tensor in read_tensors(path)[0].values())


def test_a_critic_without_any_slope_trains(pretrain_fg: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    real = networks.build_critic

    def flat(*args: Any) -> nn.Module:
        critic = real(*args)
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.zero_()
        return critic

    monkeypatch.setattr(networks, "build_critic", flat)
    run = pretrain_fg(updates=3)
    assert tiny_runs.read_stats(run)[-1]["nan_skipped"] == 0
    assert tiny_runs.read_stats(run)[0]["penalty"] == pytest.approx(1.0, abs=1e-4)  # the norm's distance from 1, squared
