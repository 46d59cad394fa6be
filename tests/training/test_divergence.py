"""A run that diverges reports it from its first iterations on and ends by a rule; a healthy run is left alone."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import nn

from mitlgan import objectives
from mitlgan.errors import DivergedError, NanError, UsageError
from mitlgan.recipe import LsganRecipe, MinimaxRecipe, Recipe, RelativisticRecipe, WganClipRecipe, WganGpRecipe, load_recipe, with_overrides
from mitlgan.report.run_report import write_run_report as run_report
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.runtime.progress import format_status
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import monitor, run_directory
from mitlgan.training.counters import Counters
from mitlgan.training.monitor import DIVERGED, DIVERGING, FLAG_ITERATIONS, PATIENCE, TrainingMonitor, midtone_ratio, root_mean_square
from mitlgan.training.run_directory import Run
from mitlgan.training.state import TrainingState

OBJECTIVES: dict[str, Any] = {
    "wgan_gp": WganGpRecipe(),
    "wgan_clip": WganClipRecipe(),
    "minimax": MinimaxRecipe(),
    "lsgan": LsganRecipe(),
    "relativistic": RelativisticRecipe(),
}
DIAMETER = 2 * math.sqrt(3 * 32 * 32)
SOUND = {
    "critic_loss": 1.3, "generator_loss": 0.8, "score_real": 2.0, "score_fake": -1.0, "wasserstein": 3.0, "penalty": 0.4,
    "critic_grad_norm": 2.0, "generator_grad_norm": 0.5,
}  # fmt: skip
WEIGHTS = [nn.Parameter(torch.full((4, 4), 0.1))]


def watch(kind: str = "minimax", messages: list[str] | None = None, *, stops: bool = True) -> TrainingMonitor:
    return TrainingMonitor(objectives.build(OBJECTIVES[kind]), 1, (messages if messages is not None else []).append, DIAMETER, stops)


def scaled(times: float) -> dict[str, float]:
    """Sound numbers, losses and scores of which are so many times as large."""
    return {key: value if key.endswith("_norm") else value * times for key, value in SOUND.items()}


def follow(
    watcher: TrainingMonitor, rows: Iterator[dict[str, float]] | list[dict[str, float]], counters: Counters | None = None
) -> tuple[Counters, int | None]:
    """The counters after a course of iterations, and the iteration that would have ended the run."""
    counters = counters or Counters()
    watcher.record_initial_weights(WEIGHTS, WEIGHTS, counters)
    for numbers in rows:
        counters.iteration += 1
        counters.images_shown += 100
        watcher.check_divergence(numbers, WEIGHTS, WEIGHTS, counters)
        if watcher.has_diverged(counters, is_last=False):
            return counters, counters.iteration
    return counters, None


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_what_explodes_is_flagged_after_a_few_iterations_and_ends_the_run(kind: str) -> None:
    messages: list[str] = []
    counters, ended = follow(watch(kind, messages), [scaled(1e13)] * 200)
    assert counters.diverged_at_kimg == FLAG_ITERATIONS / 10
    assert counters.divergence.startswith(f"diverged at iteration {FLAG_ITERATIONS} (0.5 kimg): ")
    assert messages == [f"warning: {counters.divergence}; lower the learning rate"]
    assert ended == PATIENCE


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_beyond_all_scale(kind: str, value: float) -> None:
    numbers = {**SOUND, "critic_loss": value, "score_fake": value, "wasserstein": value, "generator_loss": value}
    counters, ended = follow(watch(kind), [numbers] * 200)
    assert (counters.diverged_at_kimg, ended) == (FLAG_ITERATIONS / 10, PATIENCE)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_sound_numbers_and_lone_spikes_are_not_flagged(kind: str) -> None:
    messages: list[str] = []
    course = [scaled(1e9 if index % FLAG_ITERATIONS == 0 else 1.0) for index in range(1, 1000)]
    counters, ended = follow(watch(kind, messages), course)
    assert (counters.diverged_at_kimg, counters.divergence, ended, messages) == (None, "", None, [])


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_slow_drift_is_flagged_when_it_has_left_the_scale_and_ends_later(kind: str) -> None:
    watcher = watch(kind)
    course = [scaled(1.1**index) for index in range(400)]
    strains = [watcher.objective.divergence(numbers, DIAMETER).ratio for numbers in course]
    flagged = next(index for index, times in enumerate(strains, start=1) if times >= DIVERGING)
    severe = next(index for index, times in enumerate(strains, start=1) if times >= DIVERGED)
    assert flagged < severe
    counters, ended = follow(watcher, course)
    assert counters.diverged_at_kimg == (flagged + FLAG_ITERATIONS - 1) / 10
    assert ended == severe + PATIENCE - 1


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_the_scale_is_that_of_the_objective(kind: str) -> None:
    """A lost game, a critic that has just begun, a Wasserstein distance of the whole image: large, and no divergence."""
    usual = {
        "minimax": {"critic_loss": 30.0, "generator_loss": 27.0},
        "lsgan": {"critic_loss": 12.0, "generator_loss": 20.0},
        "relativistic": {"wasserstein": 30.0, "generator_loss": 30.0, "critic_loss": 5000.0, "r1": 20.0, "r2": 15.0},
        "wgan_gp": {"critic_loss": 300.0, "penalty": 30.0, "wasserstein": DIAMETER, "score_real": 900.0, "score_fake": 800.0},
        "wgan_clip": {"critic_loss": -700.0, "wasserstein": 700.0, "score_real": 900.0},
    }
    counters, ended = follow(watch(kind), [{**SOUND, **usual[kind]}] * 300)
    assert (counters.diverged_at_kimg, ended) == (None, None)


def test_the_penalty_is_measured_by_its_weight_and_the_images() -> None:
    """(d / 2w)^2 is the most that descending w (s - 1)^2 - s d allows."""
    for weight, diameter in ((10.0, 111.0), (10.0, 443.0), (1.0, 111.0), (100.0, 111.0)):
        objective = objectives.build(WganGpRecipe(penalty_weight=weight))
        most = max(1.0, (diameter / (2 * weight)) ** 2)
        assert objective.divergence({**SOUND, "wasserstein": 0.0, "penalty": 7 * most}, diameter).ratio == pytest.approx(7.0)
    lazy = {key: value for key, value in SOUND.items() if key != "penalty"}
    assert objectives.build(WganGpRecipe()).divergence(lazy, DIAMETER).ratio < 1  # between two lazy penalties
    assert objectives.build(WganGpRecipe(penalty_weight=0.0)).divergence({**SOUND, "penalty": 1e30}, DIAMETER).ratio < 1


def test_what_a_generator_adds_by_itself_is_none_of_the_games() -> None:
    numbers = {**SOUND, "generator_loss": 3000.0, "own_loss": 2999.5}
    assert objectives.build(MinimaxRecipe()).divergence(numbers, DIAMETER).ratio == pytest.approx(0.13)


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_a_gradient_that_is_gone_is_an_end(name: str) -> None:
    counters, ended = follow(watch(), [{**SOUND, f"{name}_grad_norm": 0.0}] * 100)
    assert f"no gradient reaches the {name}" in counters.divergence
    assert ended == PATIENCE
    counters, ended = follow(watch(), [{**SOUND, f"{name}_grad_norm": 1e-9}] * 100)
    assert (counters.divergence, ended) == ("", None)


def test_weights_that_grow_out_of_scale_are_flagged_whatever_they_began_with() -> None:
    for start, times, flagged in ((0.1, 50.0, False), (0.1, 150.0, True), (0.0, 50.0, False), (0.0, 150.0, True)):
        counters, watcher = Counters(), watch("wgan_clip")
        watcher.record_initial_weights([nn.Parameter(torch.full((9,), start))], WEIGHTS, counters)
        grown = [nn.Parameter(torch.full((9,), times * max(start, monitor.MIN_INITIAL_RMS)))]
        for counters.iteration in range(1, FLAG_ITERATIONS + 1):
            watcher.check_divergence(SOUND, grown, WEIGHTS, counters)
        assert bool(counters.divergence) is flagged
    assert root_mean_square([nn.Parameter(torch.tensor([3.0, -3.0])), nn.Parameter(torch.full((2,), 3.0))]) == pytest.approx(3.0)
    assert root_mean_square([nn.Parameter(torch.tensor([1.0, math.nan]))]) == math.inf


def test_it_can_be_told_to_go_on() -> None:
    counters, ended = follow(watch(stops=False), [scaled(1e13)] * 200)
    assert ended is None
    assert counters.diverged_at_kimg is not None


def test_a_run_that_ends_far_beyond_scale_has_diverged_however_short() -> None:
    watcher = watch()
    counters, _ = follow(watcher, [scaled(1e13)] * FLAG_ITERATIONS)
    assert watcher.has_diverged(counters, is_last=True)
    counters, _ = follow(watcher, [SOUND], counters)
    assert not watcher.has_diverged(counters, is_last=True)
    assert counters.diverged_at_kimg is not None  # what was seen stays said


def test_midtones_are_those_of_the_real_pictures() -> None:
    real = torch.rand(4, 3, 8, 8) - 0.5
    ends = torch.where(real > 0, 1.0, -1.0)
    half = torch.cat([real[:2], ends[:2]])
    assert midtone_ratio(real, real).item() == 1.0
    assert midtone_ratio(ends, real).item() == 0.0
    assert midtone_ratio(half, real).item() == pytest.approx(0.5)
    assert midtone_ratio(ends, ends).item() == 1.0  # drawings in black and white have none themselves


def test_an_output_that_stays_saturated_is_dated_and_told_once() -> None:
    messages: list[str] = []
    watcher, counters = watch(messages=messages), Counters()
    fair = {**SOUND, "diversity": 1.0, "probability_real": 0.6, "probability_fake": 0.4}
    for share in (0.04, 0.16, *[0.04] * (PATIENCE + 20)):
        counters.iteration += 1
        counters.images_shown += 100
        watcher.check({**fair, "midtones": share}, counters)
    assert counters.saturation == f"{monitor.SATURATED}, since iteration 3 (0.3 kimg)"
    assert messages == [f"warning: {counters.saturation}"]


def test_the_progress_line_says_it() -> None:
    values = {"kimg": 2.0, "target_kimg": 4.0, "critic_loss": 3.6e13, "diverged_at_kimg": 0.1, "diagnosis": "diverged", "state": "running"}
    assert format_status(values) == "2.0/4 kimg, critic +3.60e+13, DIVERGED at 0.1 kimg"


# --- The loop

BAD = {"both": ("generator", "critic"), "generator": ("generator",), "critic": ("critic",)}


def objective_of(kind: str) -> dict[str, object]:
    settings: dict[str, object] = {"kind": kind, "critic_steps": 1}
    return settings | ({"r1_weight": 1.0, "r2_weight": 1.0} if kind == "relativistic" else {})


def recipe(packs: dict[str, Path], kind: str = "wgan_gp", *, updates: int = 60, sides: tuple[str, ...] = (), **training: object) -> Recipe:
    """A tiny run of an objective, with learning rates of 1 for some sides."""
    found = tiny_runs.recipe("fg", packs["fg"], updates=updates, **training)
    found = with_overrides(found, objective=objective_of(kind), training__kimg=updates * tiny_runs.BATCH / 1000)
    return with_overrides(found, **{f"{side}_optimiser__learning_rate": 1.0 for side in sides})


def rows(run: Run) -> list[dict[str, Any]]:
    return list(read_jsonl(run.stats_file))


def only_run(environment: RunContext) -> Run:
    (run,) = run_directory.list_runs(environment.root)
    return run


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_sound_run_of_each_objective_is_not_flagged(packs: dict[str, Path], environment: RunContext, kind: str) -> None:
    run = pretrain(recipe(packs, kind), environment)
    status = run.read_status()
    assert (status["state"], status["diverged_at_kimg"]) == ("done", None)
    assert not any("diverged" in row.get("diagnosis", "") for row in rows(run))
    assert "diverged" not in tiny_runs.said(environment)


@pytest.fixture
def critic_rate(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the critic's learning rate, higher than recipes take it: what a recipe cannot ask for, a bug or a schedule may do."""

    def set_rate(rate: float) -> None:
        def follow(self: TrainingState, share: float) -> None:
            for group in self.critic_optimiser.param_groups:
                group["lr"] = rate

        monkeypatch.setattr(TrainingState, "apply_lr_schedules", follow)

    return set_rate


@pytest.mark.parametrize("rate", [1.0, 10.0, 1e3])
@pytest.mark.parametrize("kind", ["minimax", "lsgan", "wgan_gp", "relativistic"])
def test_a_wild_learning_rate_is_told_early(
    packs: dict[str, Path], environment: RunContext, critic_rate: Callable[[float], None], kind: str, rate: float
) -> None:
    critic_rate(rate)
    with contextlib.suppress(DivergedError, NanError):
        pretrain(recipe(packs, kind, updates=30, divergence="continue"), environment)
    status = only_run(environment).read_status()
    assert status["diagnosis"].startswith("diverged at iteration ")
    assert status["diverged_at_kimg"] <= 20 * tiny_runs.BATCH / 1000
    assert f"warning: {status['diagnosis'].split('; ')[0]}; lower the learning rate" in tiny_runs.said(environment)


@pytest.mark.parametrize(("kind", "rate"), [("minimax", 1e3), ("lsgan", 30.0)])
def test_a_run_that_stays_out_of_scale_ends_with_its_state(
    packs: dict[str, Path], environment: RunContext, critic_rate: Callable[[float], None], kind: str, rate: float
) -> None:
    critic_rate(rate)
    messages = r"diverged at iteration \d .*; ended without an artifact at iteration \d+; lower the learning rate, or continue in spite of it by --set"
    with pytest.raises(DivergedError, match=messages) as error:
        pretrain(recipe(packs, kind, updates=200), environment)
    assert error.value.exit_code == 6
    run = only_run(environment)
    status = run.read_status()
    assert status["state"] == run.read_state() == "diverged"
    assert status["iteration"] < 2 * PATIENCE
    assert run.artifact_file is None
    assert rows(run)[-1]["diagnosis"].startswith("diverged at iteration ")


@pytest.mark.parametrize("rate", ["10", "1e3"])
def test_a_recipe_cannot_ask_for_more_than_1(rate: str) -> None:
    with pytest.raises(UsageError, match="learning_rate"):
        load_recipe("thesis-32/wgan", [f"generator_optimiser.learning_rate={rate}"])


@pytest.mark.parametrize("sides", BAD.values(), ids=BAD)
@pytest.mark.parametrize("kind", ["wgan_gp", "relativistic", "wgan_clip"])
def test_no_explosion_is_silent(packs: dict[str, Path], environment: RunContext, kind: str, sides: tuple[str, ...]) -> None:
    """Constraints that bring a critic back from time to time keep the run alive, but not without a word."""
    if kind == "wgan_clip" and "generator" not in sides:
        return  # clipped weights cannot explode
    updates = 300 if kind == "wgan_clip" else 140  # a generator saturates slowly against a clipped critic
    run = pretrain(recipe(packs, kind, updates=updates, sides=sides, divergence="continue"), environment)
    assert run.read_status()["diagnosis"]
    assert run.read_status()["diagnosis"] in json.loads((run.path / "card.json").read_text())["notes"]


def test_a_short_run_that_ends_diverged_is_not_done(packs: dict[str, Path], environment: RunContext, critic_rate: Callable[[float], None]) -> None:
    critic_rate(1e3)
    with pytest.raises(DivergedError):
        pretrain(recipe(packs, "minimax", updates=8), environment)
    assert only_run(environment).read_status()["state"] == "diverged"
    flagged = [bool(row.get("diagnosis")) for row in rows(only_run(environment))]
    assert flagged == sorted(flagged)
    assert flagged[-1]


def test_on_request_it_goes_on_and_everything_says_so(
    packs: dict[str, Path], environment: RunContext, tmp_path: Path, critic_rate: Callable[[float], None]
) -> None:
    critic_rate(1e3)
    run = pretrain(recipe(packs, "minimax", updates=12, divergence="continue"), environment)
    status = run.read_status()
    assert status["state"] == "done"
    assert status["diagnosis"].startswith("diverged at iteration ")
    assert json.loads((run.path / "card.json").read_text())["notes"].startswith("diverged at iteration ")
    page, findings = run_report(run.path)
    assert any("iverged at iteration" in sentence for sentence in findings)
    assert "diverged at iteration" in page.html.read_text()
    later = tiny_runs.run_context(tmp_path)
    resume(run.path, later, more_kimg=0.016)
    assert run.read_status()["diagnosis"] == status["diagnosis"], "a resumed run keeps the flag"
    assert rows(run)[-1]["diagnosis"] == status["diagnosis"]
    assert "warning: diverged" not in tiny_runs.said(later)


def test_a_diverged_run_is_resumed_to_the_bit_and_ends_at_the_same_place(
    packs: dict[str, Path], tmp_path: Path, critic_rate: Callable[[float], None]
) -> None:
    critic_rate(1e3)
    diverging = recipe(packs, "minimax", updates=200, checkpoint_iterations=7)
    whole, parts = tiny_runs.run_context(tmp_path / "whole"), tiny_runs.run_context(tmp_path / "parts")
    with pytest.raises(DivergedError) as first:
        pretrain(diverging, whole)
    with pytest.raises(DivergedError):
        pretrain(diverging, parts)
    with pytest.raises(DivergedError) as second:
        resume(only_run(parts).path, parts)
    assert str(second.value).split(": ", 1)[1] == str(first.value).split(": ", 1)[1]
    tiny_runs.assert_same_trace(only_run(whole), only_run(parts))


def test_a_checkpoint_of_an_earlier_version_begins_to_be_watched(packs: dict[str, Path], environment: RunContext) -> None:
    counters = Counters(**{"iteration": 7, "images_shown": 28, "diagnosis": "", "seconds": 1.0})
    assert (counters.generator_start, counters.diverged_at_kimg, counters.trouble) == (None, None, "")
    watch().record_initial_weights(WEIGHTS, WEIGHTS, counters)
    assert counters.generator_start == counters.critic_start == pytest.approx(0.1)


def test_a_critic_that_learns_alone_may_win_as_far_as_it_will() -> None:
    watcher, counters = watch(), Counters()
    watcher.record_initial_weights(WEIGHTS, WEIGHTS, counters)
    alone = {**scaled(1e4), "generator_grad_norm": 0.0}
    for counters.iteration in range(1, 100):
        watcher.check_divergence(alone, WEIGHTS, WEIGHTS, counters, ("critic",))
    assert counters.divergence == ""
    watcher.check_divergence({**alone, "critic_grad_norm": 0.0}, WEIGHTS, WEIGHTS, counters, ("critic",))
    assert counters.severe_in_a_row == 1
