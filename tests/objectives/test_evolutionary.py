"""E-GAN: its three mutations, its fitness, and the choice of the fittest child in the one loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor, nn

from mitlgan import objectives
from mitlgan.objectives import evolutionary
from mitlgan.objectives.evolutionary import Evolutionary
from mitlgan.recipe import EvolutionaryRecipe, with_overrides
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.evolution import GeneratorSnapshot

FAKE = torch.full((2, 1, 1, 1), -0.5)
REAL = torch.full((2, 1, 1, 1), 2.0)


class Line(nn.Module):
    """Scores an image by its pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).sum(1) * self.weight


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def test_the_mutations_are_the_three_of_the_paper() -> None:
    critic = Line()
    losses = objectives.build(EvolutionaryRecipe()).mutations(critic)
    d = sigmoid(-0.5)
    expected = {"minimax": math.log(1 - d), "heuristic": -math.log(d), "least_squares": (d - 1) ** 2}
    assert {name: loss(FAKE).item() for name, loss in losses.items()} == pytest.approx(expected, rel=1e-5)
    fake = FAKE.clone().requires_grad_()
    losses["heuristic"](fake).backward()
    assert fake.grad is not None
    assert critic.weight.grad is None


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_fitness_is_quality_and_diversity(gamma: float) -> None:
    """Equations 6 to 8; the gradient of the critic's loss by its one weight is -x (1 - D(x)) for real and x D(x) for generated images."""
    stats = objectives.build(EvolutionaryRecipe(diversity_weight=gamma)).fitness(Line(), FAKE, REAL)
    quality = sigmoid(-0.5)
    gradient = -2.0 * (1 - sigmoid(2.0)) - 0.5 * sigmoid(-0.5)
    assert stats["fitness_quality"].item() == pytest.approx(quality)
    assert stats["fitness_diversity"].item() == pytest.approx(-math.log(abs(gradient)), rel=1e-5)
    assert stats["fitness"].item() == pytest.approx(quality - gamma * math.log(abs(gradient)), rel=1e-5)


def test_one_child_stays_in_each_update(tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "pack.npy")
    tables: dict[str, Any] = {"objective": {"kind": "evolutionary"}}
    run = pretrain(with_overrides(tiny_runs.recipe("scene", source), **tables), tiny_runs.run_context(tmp_path))
    rows = tiny_runs.read_stats(run)
    chosen = [[row[f"mutation_{name}"] for name in ("minimax", "heuristic", "least_squares")] for row in rows]
    assert len(chosen) == 6
    assert all(sorted(choice) == [0.0, 0.0, 1.0] for choice in chosen)
    assert all(math.isfinite(row["fitness"]) for row in rows)


def test_a_parent_can_be_put_back_with_its_moments() -> None:
    """Each mutation starts from the same weights and the same Adam; a child of a greater fitness stays as its own update made it."""
    state = SimpleNamespace(generator=nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    state.generator_optimiser = torch.optim.Adam(state.generator.parameters(), 0.1)

    def step(factor: float) -> list[Tensor]:
        state.generator_optimiser.zero_grad()
        (factor * state.generator(torch.tensor([[1.0, 2.0], [0.5, -1.0]]))[:, 0].square().sum() + state.generator[0].weight.sum()).backward()
        state.generator_optimiser.step()
        return [tensor.detach().clone() for tensor in state.generator.state_dict().values()]

    step(1.0)
    parent = GeneratorSnapshot(state)  # type: ignore[arg-type]
    first = step(2.0)
    parent.restore(state)  # type: ignore[arg-type]
    assert any(not torch.equal(one, other) for one, other in zip(first, step(-3.0), strict=True))
    parent.restore(state)  # type: ignore[arg-type]
    assert all(torch.equal(one, other) for one, other in zip(first, step(2.0), strict=True))


def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[int, Tensor], Tensor]) -> tuple[list[list[float]], list[str]]:
    """Train with three equal mutations and much dropout; return the fitness of the children of each update, as `change` makes it, and which stayed."""
    values: list[float] = []
    fitness = Evolutionary.fitness

    def recorded(self: Evolutionary, critic: nn.Module, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        stats = dict(fitness(self, critic, fake, real))
        stats["fitness"] = change(len(values), stats["fitness"])
        values.append(stats["fitness"].item())
        return stats

    monkeypatch.setattr(Evolutionary, "fitness", recorded)
    monkeypatch.setattr(evolutionary, "MUTATIONS", dict.fromkeys(evolutionary.MUTATIONS, evolutionary.MUTATIONS["heuristic"]))
    tables: dict[str, Any] = {"objective": {"kind": "evolutionary"}, "critic__dropout": 0.5}
    recipe = with_overrides(tiny_runs.recipe("scene", tiny_runs.pack(tmp_path / "pack.npy")), **tables)
    rows = tiny_runs.read_stats(pretrain(recipe, tiny_runs.run_context(tmp_path)))
    chosen = [next(name for name in evolutionary.MUTATIONS if row[f"mutation_{name}"]) for row in rows]
    return [values[start : start + 3] for start in range(0, len(values), 3)], chosen


def test_dropout_does_not_decide_between_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates, _ = judged(tmp_path, monkeypatch, lambda _, value: value)
    assert len({values[0] for values in updates}) == len(updates)
    assert all(len(set(values)) == 1 for values in updates)  # equal children are equally fit


def test_a_child_that_cannot_be_judged_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {0: math.nan, 1: 2.0, 2: math.inf}
    _, chosen = judged(tmp_path, monkeypatch, lambda index, value: torch.full_like(value, bad[index % 3]))
    assert set(chosen) == {"heuristic"}  # the second
