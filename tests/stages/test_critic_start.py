"""A critic that begins with another run's: its weights, its frozen blocks, what is recorded, what is refused, and the resume."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from helpers.baselines import baseline_recipe
from torch import Tensor

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.safetensors_io import read_tensors, tensors_sha256
from mitlgan.compare import fairness
from mitlgan.compare.arms import ArmSpec
from mitlgan.compare.trained_arms import TrainedArm
from mitlgan.errors import ArtifactError, Stopped, UsageError
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.stages.compose import compose
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

SHIFT = "critic.stages.score.dense.bias"
"""What shifts all scores alike, which no Wasserstein loss sees."""


@pytest.fixture(scope="module")
def wgan(tmp_path_factory: pytest.TempPathFactory, packs: dict[str, Path]) -> Run:
    """A finished pretraining on scenes, whose critic the others begin with."""
    return pretrain(tiny_runs.recipe("scene", packs["scene"], updates=2), tiny_runs.run_context(tmp_path_factory.mktemp("wgan")))


def recipe(packs: dict[str, Path], **change: Any) -> Recipe:
    return with_overrides(tiny_runs.recipe("scene", packs["scene"], compose=True, updates=4), **change)


def critic_of(path: Path) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in read_tensors(path)[0].items() if name.startswith("critic.")}


def test_a_composition_begins_with_the_runs_critic_and_says_which(
    wgan: Run, packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path
) -> None:
    given = critic_of(list_checkpoints(wgan.path)[-1])
    scene_recipe = recipe(packs, training__checkpoints_kept=9)
    run = compose(scene_recipe, tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path / "warm"), critic=wgan.path)
    first, last = critic_of(list_checkpoints(run.path)[0]), critic_of(list_checkpoints(run.path)[-1])
    assert first.keys() == given.keys()
    assert all(torch.equal(first[name], given[name]) for name in given)
    assert all(not torch.equal(last[name], given[name]) for name in given if name != SHIFT)
    bare = {name.removeprefix("critic."): tensor for name, tensor in given.items()}
    assert run.read_inputs()["critic"] == tensors_sha256(bare)
    assert {"fg", "bg"} < run.read_inputs().keys()
    fresh = compose(scene_recipe, tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path / "fresh"))
    assert "critic" not in fresh.read_inputs()
    assert not any(torch.equal(tensor, given[name]) for name, tensor in critic_of(list_checkpoints(fresh.path)[0]).items())
    assert find_matching_run(tmp_path / "warm", scene_recipe, fresh.read_inputs()) is None  # a comparison does not take it for the thesis' own


@pytest.mark.parametrize("critic", [{}, {"critic__spectral": True}])
def test_frozen_blocks_stay_to_the_bit_and_a_resume_keeps_them(
    critic: dict[str, Any], packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pretrain(with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=1), **critic), tiny_runs.run_context(tmp_path / "source"))
    frozen = recipe(packs, critic_start={"freeze": 1}, **critic)
    straight = compose(frozen, tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path / "straight"), critic=source.path)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=1)
        with pytest.raises(Stopped):
            compose(frozen, tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path / "stopped"), critic=source.path)
    (stopped,) = (tmp_path / "stopped").glob("*/*")
    tiny_runs.assert_same_trace(straight, resume(stopped, tiny_runs.run_context(tmp_path)))
    given, last = critic_of(list_checkpoints(source.path)[-1]), critic_of(list_checkpoints(straight.path)[-1])
    # The power iteration only refines the same weight's norm.
    weights = [name for name in given if name.rsplit(".", 1)[-1] not in ("_u", "_v") and name != SHIFT]
    assert {name for name in weights if torch.equal(given[name], last[name])} == {name for name in weights if ".to_4px." in name}
    assert len([name for name in weights if ".to_4px." in name]) == 2


def test_a_comparison_gives_the_baseline_a_new_critic_and_says_so(wgan: Run, packs: dict[str, Path], composed: Run, tmp_path: Path) -> None:
    assert composed.artifact_file is not None
    baseline = baseline_recipe(recipe(packs, critic_start={"freeze": 1}), read_card(composed.artifact_file))
    assert baseline.critic_start is None
    warm = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=1), tiny_runs.run_context(tmp_path), critic=wgan.path)
    arms = [TrainedArm(arm=ArmSpec(name, name, None), runs=[run], snapshots=[]) for name, run in (("warm", warm), ("new", wgan))]
    domain = SimpleNamespace(arms=arms, setup=SimpleNamespace(recipe=recipe(packs)), pretraining_costs={})
    clauses = fairness._inherent_differences(domain, "validation")  # type: ignore[arg-type]
    assert [clause for clause in clauses if "critic" in clause] == ["warm: its critic started from another run's weights, not from scratch"]


def test_a_baseline_can_begin_with_it_too(wgan: Run, packs: dict[str, Path], tmp_path: Path) -> None:
    run = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=1), tiny_runs.run_context(tmp_path), critic=wgan.path)
    assert run.read_inputs().keys() == {"critic"}


def test_another_critic_is_refused(
    wgan: Run, packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mitlgan.stages.compose.start_run", lambda *_: pytest.fail("it began"))
    layers, environment = tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path)
    with pytest.raises(ArtifactError, match=r"^--critic .*another architecture than the recipe's \[critic\] at 8 px"):
        compose(recipe(packs, critic__kernel=3), layers, environment, critic=wgan.path)
    with pytest.raises(UsageError, match="not a run directory"):
        compose(recipe(packs), layers, environment, critic=tmp_path)
    with pytest.raises(UsageError, match=r"^critic_start\.freeze: .*--critic"):
        compose(recipe(packs, critic_start={"freeze": 1}), layers, environment)
    with pytest.raises(UsageError, match=r"^critic_start\.freeze: its critic goes on from a trained one; .*--critic"):
        compose(recipe(packs, critic_start={"freeze": 0}), layers, environment)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "recipe.toml").write_text(wgan.recipe_file.read_text())
    with pytest.raises(ArtifactError, match=r"^--critic .*has no checkpoint"):
        compose(recipe(packs), layers, environment, critic=tmp_path / "empty")


def test_more_convolutions_than_there_are_cannot_be_frozen(packs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"critic_start\.freeze is 3, but the critic has 2 convolutions"):
        recipe(packs, critic_start={"freeze": 3})
    with pytest.raises(UsageError, match="critic has 0 convolutions"):
        recipe(packs, critic_start={"freeze": 1}, critic={"kind": "mlp", "widths": [4]})
