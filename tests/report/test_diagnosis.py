"""What a training's numbers say: collapse with its date and witness, lost games, passing fakes, the best step; and the report of one run."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.loaded_artifact import artifact_path
from mitlgan.artifacts.run_steps import best_by_statistics, list_steps, nearest_step
from mitlgan.errors import UsageError
from mitlgan.recipe import with_overrides
from mitlgan.report import run_report
from mitlgan.report.diagnosis import Diagnosis, TrainingPosition, diagnose
from mitlgan.runtime.json_files import read_json, read_jsonl
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain


def stats(gaps: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"iteration": i, "kimg": i / 10, "wasserstein": gap, **more} for i, gap in enumerate(gaps, start=1)]


def evaluations(*diversities: float) -> list[dict[str, Any]]:
    return [{"iteration": i * 100, "kimg": i * 10.0, "fd": 50.0 + abs(i - 2), "diversity": d} for i, d in enumerate(diversities)]


def test_collapse_is_dated_by_the_features() -> None:
    found = diagnose(stats([1.0] * 30), evaluations(0.01, 0.9, 0.8, 0.1, 0.05))
    assert found.collapsed is not None
    assert (found.collapsed.iteration, found.collapsed.kimg, found.collapsed_by) == (300, 30.0, "features")
    assert "iteration 300" in found.sentences()[0]


def test_sameness_that_passed_or_of_the_untrained_network_is_no_collapse() -> None:
    assert diagnose([], evaluations(0.01, 0.9, 0.1, 0.8)).collapsed is None
    assert diagnose([], evaluations(0.01)).collapsed is None


def test_collapse_of_pixels_is_the_second_witness() -> None:
    rows = stats([1.0] * 10)
    for row in rows[6:]:
        row["collapsed"] = True
    found = diagnose(rows)
    assert found.collapsed is not None
    assert (found.collapsed.iteration, found.collapsed_by) == (7, "pixels")


def test_what_the_objective_said_is_told() -> None:
    text = "the critic tells real from generated without an error, so the generator learns nothing, since iteration 12 (1.0 kimg)"
    assert diagnose(stats([1.0] * 5, diagnosis=text)).sentences()[0].startswith("The critic tells real from generated")


def test_the_best_step_is_where_the_gap_is_smallest_after_its_peak() -> None:
    rise = [20 * i / 50 for i in range(50)]
    fall = [20 * math.exp(-i / 40) for i in range(150)]
    worse = [20 * math.exp(-150 / 40) + i / 20 for i in range(100)]
    best = diagnose(stats(rise + fall + worse)).best
    assert best is not None
    assert 185 <= best.iteration <= 205
    assert diagnose(stats([1.0] * 5)).best is None


def test_probabilities_go_before_scores() -> None:
    rows = stats([5.0 - i / 20 for i in range(60)])
    for i, row in enumerate(rows):
        row |= {"probability_real": 0.9, "probability_fake": 0.1 + 0.4 * math.exp(-(((i - 30) / 5) ** 2)) if i > 3 else 0.0}
    best = diagnose(rows).best
    assert best is not None
    assert 27 <= best.iteration <= 36


def test_passing_fakes_are_those_of_the_end() -> None:
    rows = [{"iteration": i, "kimg": float(i), "fakes_passed": 0.0 if i < 90 else 0.2} for i in range(100)]
    assert diagnose(rows).passing == pytest.approx(0.2)
    assert diagnose(stats([1.0] * 3)).passing is None


@pytest.mark.parametrize(("passed", "printed"), [(0.0, "0%"), (0.004, "<1%"), (0.5, "50%"), (0.81, "81%"), (0.998, ">99%"), (1.0, "100%")])
def test_half_of_the_fakes_passing_is_a_draw_and_more_is_not_worse_than_the_best(passed: float, printed: str) -> None:
    (sentence, *_) = diagnose([{"iteration": i, "kimg": float(i), "fakes_passed": passed} for i in range(100)]).sentences()
    assert sentence == (
        f"{printed} of the last generated images pass as real with the critic; 50 % is a draw, and more means that the critic no longer tells "
        "them apart."
    )


def test_the_report_of_one_run(packs: dict[str, Path], environment: RunContext) -> None:
    points = [0.0, tiny_runs.PER_UPDATE / 1000, 3 * tiny_runs.PER_UPDATE / 1000]
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=4, keep_kimg=points), evaluation__best_by="fd")
    run = pretrain(recipe, environment)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    paths, findings = run_report.write_run_report(run.path)
    html = paths.html.read_text()
    for title in ("Gradient penalty", "Critic&#39;s gradient norm", "Fakes that pass as real", "What its numbers show"):
        assert title in html
    assert "D(G(z))" not in html  # no probability was logged
    assert any("Best measured snapshot" in sentence for sentence in findings)
    (command,) = [sentence for sentence in findings if sentence.startswith("Go back to the best step")]
    best = re.search(rf"`mitlgan sample {re.escape(str(run.path))}@(\d+)`;", command)  # measured steps were all kept: none is only near
    assert best is not None
    assert f"<code>mitlgan sample {run.path}@{best[1]}</code>;" in html
    assert read_card(artifact_path(f"{run.path}@{best[1]}")).iterations == read_card(artifact_path(f"{run.path}@best")).iterations
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.name in before} == before


def test_the_report_names_the_nearest_step_that_was_kept(packs: dict[str, Path], environment: RunContext) -> None:
    run = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=24, artifact_iterations=10), environment)
    best = best_by_statistics(list(read_jsonl(run.stats_file)))
    assert best is not None
    step = nearest_step(list_steps(run.path), best["iteration"]).iteration
    sentences = [sentence for sentence in run_report.write_run_report(run.path)[1] if sentence.startswith("Go back")]
    if step in (0, 24):  # nobody goes back to the untrained network, or to the end
        assert not sentences
        return
    assert f"{run.path}@{step}`" in sentences[0]
    assert (f"{abs(step - best['iteration'])} iterations away" in sentences[0]) == (step != best["iteration"])


@pytest.mark.parametrize(
    ("best", "goes_back"), [(1, ""), (9, "@10` (the nearest step that was kept, 1 iterations away)"), (20, "@20`;"), (23, ""), (24, "")]
)
def test_nobody_goes_back_to_the_start_or_to_the_end(
    packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch, best: int, goes_back: str
) -> None:
    run = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=24, artifact_iterations=10, keep_kimg=[0.0]), environment)
    monkeypatch.setattr(run_report, "diagnose", lambda *_: Diagnosis(best=TrainingPosition(best, 0.1)))
    sentences = [sentence for sentence in run_report.write_run_report(run.path)[1] if sentence.startswith("Go back")]
    assert len(sentences) == bool(goes_back)
    assert all(goes_back in sentence for sentence in sentences)


def test_the_report_of_a_relativistic_run_shows_both_slopes(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = with_overrides(
        tiny_runs.recipe("scene", packs["scene"], updates=10),
        objective={"kind": "relativistic", "critic_steps": 1, "penalty_every": 2},
        augment={"probability": "auto", "speed_kimg": 1.0},
    )
    html = run_report.write_run_report(pretrain(recipe, environment).path)[0].html.read_text()
    for title in ("(R1)", "(R2)", "Critic loss", "Fakes that pass as real", "Overfitting", "Augmentation&#39;s probability"):
        assert title in html
    assert "Gradient penalty" not in html


def test_the_report_of_a_run_that_has_only_begun(packs: dict[str, Path], environment: RunContext) -> None:
    run = pretrain(tiny_runs.recipe("fg", packs["fg"], updates=1), environment)
    assert run.artifact_file is not None
    run.artifact_file.unlink()
    assert run_report.write_run_report(run.path)[0].html.is_file()
    with pytest.raises(UsageError):
        run_report.write_run_report(environment.root)
    assert read_json(run.path / "status.json")
