"""Options of training that all arms share: each changes what it is there for, resumes to the bit, and is refused where it contradicts the rest."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor

from mitlgan.errors import Stopped, UsageError
from mitlgan.recipe import AdamRecipe, Recipe, load_recipe, to_toml, with_overrides
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.compose import compose
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import augmentation
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run

UPDATES = 7

OPTIONS: dict[str, dict[str, Any]] = {
    "lazy": {"objective__penalty_every": 3},
    "relativistic": {"objective": {"kind": "relativistic", "critic_steps": 2, "r1_weight": 0.5}},
    "lazy relativistic": {"objective": {"kind": "relativistic", "critic_steps": 2, "penalty_every": 3}},
    "augment": {"augment": {}},
    "adaptive augment": {"augment": {"probability": "auto", "speed_kimg": 0.05, "target": 0.01}},
    "relativistic augment": {"objective": {"kind": "relativistic", "critic_steps": 1}, "augment": {"policy": ["colour"], "probability": 0.5}},
    "linear": {"generator_optimiser__schedule": "linear", "critic_optimiser__schedule": "linear", "critic_optimiser__schedule_to": 0.5},
    "cosine rmsprop": {
        "generator_optimiser": {"kind": "rmsprop", "learning_rate": 1e-3, "schedule": "cosine", "schedule_from": 0.2},
        "critic_optimiser__schedule": "cosine",
    },
    "mirror": {"data__mirror": True},
    "spectral": {"critic__spectral": True},
    "spectral relativistic": {"critic__spectral": True, "objective": {"kind": "relativistic", "critic_steps": 2}},
}


def recipe_of(packs: dict[str, Path], role: str = "fg", updates: float = UPDATES, **change: Any) -> Recipe:
    """The critic is fast, so that a few updates suffice to tell real from generated."""
    return with_overrides(tiny_runs.recipe(role, packs[role], updates=updates, compose=role == "scene"), critic_optimiser__learning_rate=0.02, **change)


def train(recipe: Recipe, root: Path, pretrained: dict[str, Run] | None = None) -> Run:
    if recipe.command == "compose":
        assert pretrained is not None
        return compose(recipe, tiny_runs.layers(pretrained), tiny_runs.run_context(root))
    return pretrain(recipe, tiny_runs.run_context(root))


@pytest.fixture(scope="module")
def plain(packs: dict[str, Path], pretrained: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The runs without any option."""
    return {role: train(recipe_of(packs, role), tmp_path_factory.mktemp(role), pretrained) for role in ("fg", "scene")}


@pytest.mark.parametrize("role", ["fg", "scene"])
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_resumes_to_the_bit_and_changes_training(
    option: str,
    role: str,
    packs: dict[str, Path],
    pretrained: dict[str, Run],
    plain: dict[str, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With every option that changes what a training draws or writes."""
    monkeypatch.setattr(augmentation, "ADAPTATION_INTERVAL", 1)  # so few updates must do for a look above the target
    recipe = recipe_of(packs, role, **OPTIONS[option])
    straight = train(recipe, tmp_path / "straight", pretrained)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=1)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "stopped", pretrained)
    (stopped,) = (tmp_path / "stopped").glob("*/*")
    torch.manual_seed(99)
    tiny_runs.assert_same_trace(straight, resume(stopped, tiny_runs.run_context(tmp_path)))
    tensors, without = tiny_runs.trace(straight)[0], tiny_runs.trace(plain[role])[0]
    moved = [name for name in without if name.startswith("generator.") and name in tensors and not torch.equal(tensors[name], without[name])]
    assert moved


@pytest.mark.parametrize("option", OPTIONS)
def test_a_recipe_with_an_option_is_written_and_read_again(option: str, packs: dict[str, Path], tmp_path: Path) -> None:
    recipe = recipe_of(packs, **OPTIONS[option])
    (tmp_path / "r.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "r.toml") == recipe


def test_lines_have_a_lazy_penalty_where_one_was_due(packs: dict[str, Path], tmp_path: Path) -> None:
    """Two critic updates an iteration, a penalty at each fifth: updates 4 and 9 of 14, in iterations 3 and 5."""
    run = train(recipe_of(packs, objective__penalty_every=5), tmp_path)
    rows = list(read_jsonl(run.stats_file))
    assert [row["iteration"] for row in rows if "penalty" in row] == [3, 5]
    every = train(recipe_of(packs, objective__penalty_every=2), tmp_path)
    assert all("penalty" in row for row in read_jsonl(every.stats_file))


def rates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Learning rates of both optimisers in each iteration from now on."""
    found: list[tuple[float, float]] = []
    step = TrainingLoop.train_iteration

    def noted(self: TrainingLoop) -> dict[str, Tensor]:
        seen = step(self)
        found.append((self.state.generator_optimiser.param_groups[0]["lr"], self.state.critic_optimiser.param_groups[0]["lr"]))
        return seen

    monkeypatch.setattr(TrainingLoop, "train_iteration", noted)
    return found


def test_rates_follow_the_share_of_the_length_and_a_longer_run_its_new_one(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rates(monkeypatch)
    schedule = {"generator_optimiser__schedule": "linear", "generator_optimiser__schedule_from": 0.5, "generator_optimiser__schedule_to": 0.2}
    run = train(recipe_of(packs, updates=4, **schedule), tmp_path)
    assert [generator for generator, _ in found] == pytest.approx([1e-3, 1e-3, 1e-3, 0.6e-3])
    assert {critic for _, critic in found} == {0.02}
    found.clear()
    resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=4 * tiny_runs.PER_UPDATE / 1000)
    assert [generator for generator, _ in found] == pytest.approx([1e-3, 0.8e-3, 0.6e-3, 0.4e-3])  # of eight updates, the half has passed


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"schedule": "linear"}, [1, 0.75, 0.5, 0.25, 0]),
        ({"schedule": "cosine"}, [1, 0.8535534, 0.5, 0.1464466, 0]),
        ({"schedule": "linear", "schedule_from": 0.5, "schedule_to": 0.1}, [1, 1, 1, 0.55, 0.1]),
        ({"schedule": "cosine", "schedule_from": 0.5, "schedule_to": 0.1}, [1, 1, 1, 0.55, 0.1]),
    ],
)
def test_schedules_are_their_closed_forms(schedule: dict[str, Any], expected: list[float]) -> None:
    recipe = AdamRecipe(**schedule)
    assert [recipe.factor(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx(expected)
    assert recipe.factor(1.2) == pytest.approx(expected[-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective__penalty_every": 2, "objective__penalty_weight": 0.0}, "penalty_every = 2 spaces out a penalty that has no weight"),
        ({"objective": {"kind": "relativistic", "r1_weight": 0.0, "r2_weight": 0.0, "penalty_every": 2}}, "penalty_every = 2 spaces out"),
        ({"objective__penalty_every": 0}, "objective.penalty_every: .*greater than or equal to 1"),
        ({"objective": {"kind": "relativistic"}, "critic__normalisation": "batch"}, 'critic.normalisation = "batch" contradicts objective.kind = "rel'),
        ({"augment": {"policy": []}}, "augment.policy"),
        ({"augment": {"policy": ["blur"]}}, "augment.policy"),
        ({"augment": {"policy": ["colour", "colour"]}}, "policy names a transform twice"),
        ({"augment": {"probability": 0.0}}, "augment.probability"),
        ({"augment": {"probability": "sometimes"}}, "augment.probability"),
        ({"augment": {"target": 0.5}}, "target moves the probability, which is fixed at 1.0"),
        ({"augment": {"probability": 0.5, "speed_kimg": 5.0}}, "speed_kimg moves the probability, which is fixed at 0.5"),
        ({"critic_optimiser__schedule_to": 0.1}, "schedule_to belongs to a schedule, of which there is none"),
        ({"critic_optimiser": {"schedule": "linear", "schedule_from": 1.0}}, "critic_optimiser.schedule_from"),
        ({"generator_optimiser__schedule": "linear", "training__limit_s": 5.0}, "generator_optimiser.schedule follows the length in kimg"),
        ({"critic__spectral": True, "objective": {"kind": "wgan_clip"}}, 'critic.spectral = true contradicts objective.kind = "wgan_clip"'),
        ({"objective": {"kind": "relativistic", "penalty_weight": 1.0}}, "unknown key 'objective.penalty_weight'; only kind = 'wgan_gp' has it"),
    ],
)
def test_contradictions_are_refused_by_name(change: dict[str, Any], message: str, packs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_of(packs, **change)
