"""The monitor reports collapse and games that one network has won."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import nn

from mitlgan import networks, objectives
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES
from mitlgan.recipe import MinimaxRecipe, with_overrides
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import loop, monitor
from mitlgan.training.counters import Counters
from mitlgan.training.monitor import TrainingMonitor, batch_diversity
from mitlgan.training.run_directory import Run

FAIR = {"diversity": 1.0, "midtones": 1.0, "probability_real": 0.6, "probability_fake": 0.4, "critic_loss": 1.2, "generator_loss": 0.9}
LOST = {**FAIR, "probability_real": 0.999, "probability_fake": 0.001, "critic_loss": 0.002, "generator_loss": 7.0}
BLOWN = {**FAIR, "probability_real": 1.0, "probability_fake": 1.0, "critic_loss": 27.0, "generator_loss": 0.0}


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def watch(messages: list[str], monkeypatch: pytest.MonkeyPatch) -> TrainingMonitor:
    """Of a minimax game that is looked at every second iteration; three bad looks are believed."""
    monkeypatch.setattr(monitor, "PATIENCE", 3)
    return TrainingMonitor(objectives.build(MinimaxRecipe()), 2, messages.append)


def look(watch: TrainingMonitor, counters: Counters, *rows: dict[str, float]) -> None:
    for numbers in rows:
        counters.iteration += 2
        counters.images_shown += 200
        watch.check(numbers, counters)


def test_diversity_is_the_ratio_of_spreads() -> None:
    real = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)  # a standard deviation of 1 everywhere
    half = torch.cat([real[..., :2], torch.zeros(2, 3, 4, 2)], dim=-1)
    assert batch_diversity(real, real).item() == 1.0
    assert batch_diversity(real * 0.25 + 7, real).item() == pytest.approx(0.25)
    assert batch_diversity(half, real).item() == pytest.approx(0.5)
    assert batch_diversity(torch.ones_like(real), real).item() == 0.0
    assert batch_diversity(real, torch.zeros_like(real)).item() == pytest.approx(1e6)  # real pictures that are all alike divide nothing by zero


def test_a_game_that_stays_lost_is_dated_back_to_its_first_look(watch: TrainingMonitor, messages: list[str]) -> None:
    counters = Counters()
    look(watch, counters, FAIR, LOST, LOST, FAIR, LOST, LOST)
    assert (counters.symptom_in_a_row, counters.diagnosis, messages) == (2, "", [])
    look(watch, counters, LOST, LOST, FAIR)
    assert counters.diagnosis == f"{CRITIC_DOMINATES.text}, since iteration 10 (1.0 kimg)"
    assert messages == [f"warning: {counters.diagnosis}"]
    assert counters.collapsed_at_kimg is None
    look(watch, counters, *[BLOWN] * 5)  # the first that stayed is the one that is kept
    assert counters.diagnosis.startswith(CRITIC_DOMINATES.text)


def test_a_game_that_opens_again_is_dated_at_both_ends(watch: TrainingMonitor, messages: list[str]) -> None:
    counters = Counters()
    look(watch, counters, FAIR, LOST, LOST, LOST, FAIR, FAIR, LOST, FAIR, FAIR)
    assert counters.diagnosis == f"{CRITIC_DOMINATES.text}, since iteration 4 (0.4 kimg)"
    look(watch, counters, FAIR)
    assert counters.diagnosis == f"{CRITIC_DOMINATES.text}, from iteration 4 (0.4 kimg) to iteration 14"
    assert messages[1:] == [f"this has passed: {counters.diagnosis}"]
    look(watch, counters, *[FAIR] * 9)
    assert len(messages) == 2
    look(watch, counters, BLOWN, BLOWN, BLOWN)  # what is lost later is not hidden by what has passed
    assert counters.diagnosis == f"{GENERATOR_DOMINATES.text}, since iteration 40 (4.0 kimg)"


def test_another_symptom_is_counted_anew(watch: TrainingMonitor) -> None:
    counters = Counters()
    look(watch, counters, LOST, LOST, BLOWN, BLOWN)
    assert (counters.symptom, counters.symptom_in_a_row, counters.diagnosis) == (GENERATOR_DOMINATES.text, 2, "")
    look(watch, counters, BLOWN)
    assert counters.diagnosis == f"{GENERATOR_DOMINATES.text}, since iteration 6 (0.6 kimg)"
    assert counters.collapsed_at_kimg == 1.0


def test_sameness_must_last_and_is_told_once(watch: TrainingMonitor, messages: list[str]) -> None:
    counters, alike = Counters(), {**FAIR, "diversity": 0.049}
    look(watch, counters, alike, alike, {**FAIR, "diversity": 0.05}, alike, alike)
    assert (counters.low_diversity_in_a_row, counters.collapsed_at_kimg, messages) == (2, None, [])
    look(watch, counters, alike, alike)
    assert counters.collapsed_at_kimg == 1.2
    assert messages == ["warning: the samples have been nearly alike for 3 logged iterations, at 1.2 kimg"]
    assert counters.diagnosis == ""


def rows(run: Run) -> list[dict[str, Any]]:
    return list(read_jsonl(run.stats_file))


def test_a_collapsed_generator_is_flagged_with_its_kimg(
    packs: dict[str, Path], environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = networks.build_generator

    def blind(*args: Any) -> nn.Module:
        generator = real(*args)
        with torch.no_grad():
            dense = next(module for module in generator.modules() if isinstance(module, nn.Linear))
            dense.weight.zero_()  # the latent decides nothing
        return generator

    monkeypatch.setattr(networks, "build_generator", blind)
    monkeypatch.setattr(monitor, "PATIENCE", 3)
    monkeypatch.setattr(loop, "STATUS_INTERVAL_S", 0.0)
    recipe = with_overrides(tiny_runs.recipe("fg", packs["fg"], updates=5), generator_optimiser__learning_rate=1e-12)
    run = pretrain(recipe, environment)
    assert [row["collapsed"] for row in rows(run)] == [False, False, True, True, True]
    assert rows(run)[2]["kimg"] == 0.024
    assert run.read_status()["collapsed_at_kimg"] == 0.024
    assert "warning: the samples have been nearly alike for 3 logged iterations, at 0.024 kimg" in tiny_runs.said(environment)
    assert isinstance(environment.reporter, tiny_runs.Listener)
    assert [values["collapsed_at_kimg"] for values in environment.reporter.updates][-3:] == [0.024] * 3
    assert "collapsed at 0.024 kimg" in json.loads((run.path / "card.json").read_text())["notes"]
    later = tiny_runs.run_context(tmp_path)
    resume(run.path, later, more_kimg=0.008)  # it stays flagged, and is told once
    assert rows(run)[-1]["collapsed"] is True
    assert run.read_status()["collapsed_at_kimg"] == 0.024
    assert "nearly alike" not in tiny_runs.said(later)


def test_a_sound_generator_is_not_flagged(packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "PATIENCE", 2)
    run = pretrain(tiny_runs.recipe("fg", packs["fg"], updates=6), environment)
    assert not any(row["collapsed"] for row in rows(run))
    assert run.read_status()["collapsed_at_kimg"] is None
