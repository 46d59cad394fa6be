"""An arm whose training diverges is shown as diverged, and does not end the comparison; a composition that does, does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.compare import ComparisonPlan, run_comparison
from mitlgan.compare.arm_training import ArmTraining, run_trainings, tolerate_divergence
from mitlgan.compare.finished_runs import extract_layers
from mitlgan.errors import ArtifactError, DivergedError, MitlganError, NanError, ResourceError
from mitlgan.recipe import Recipe, to_toml, with_overrides
from mitlgan.report.summary import report_summary
from mitlgan.runtime.json_files import read_json
from mitlgan.stages.context import RunContext
from mitlgan.stages.parallel import TrainingProcess
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run


@pytest.fixture
def wild(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Recipes of these names diverge with their last update; seeds of `seeds` alone, where it is there. Counts their trainings."""
    diverging: dict[str, Any] = {"names": {"mad"}, "count": 0, "error": DivergedError}

    def refuse(self: TrainingLoop, is_last: bool) -> None:
        if is_last and self.recipe.name in diverging["names"] and self.recipe.seed in diverging.get("seeds", {self.recipe.seed}):
            diverging["count"] += 1
            self.state.counters.divergence, self.state.counters.diverged_at_kimg = "diverged at iteration 2 (0.0 kimg): much", 0.016
            raise diverging["error"](f"{self.run_directory.path}: diverged at iteration 2 (0.0 kimg): much")

    monkeypatch.setattr(TrainingLoop, "_stop_if_diverged", refuse)
    return diverging


@pytest.fixture
def mad(packs: dict[str, Path], tmp_path: Path) -> str:
    return recipe_file(tmp_path, with_overrides(tiny_runs.recipe("scene", packs["scene"]), name="mad"))


def recipe_file(folder: Path, recipe: Recipe) -> str:
    path = folder / f"{recipe.name}.toml"
    path.write_text(to_toml(recipe))
    return str(path)


@pytest.mark.parametrize("error", [DivergedError, NanError])
def test_a_baseline_that_diverges_is_shown_and_not_ranked(
    composed: Run, environment: RunContext, mad: str, wild: dict[str, Any], error: type[MitlganError]
) -> None:
    wild["error"] = error
    plan = ComparisonPlan(composed=composed.path, baselines=(mad, "wgan"), equal="kimg", count_pretraining=False)
    result = run_comparison(plan, environment)
    ours, diverged, wgan = result.comparison.arms
    assert (diverged.name, diverged.label, diverged.diverged) == ("mad", "mad (diverged)", True)
    assert not diverged.metrics
    assert diverged.run_dir is not None
    assert "Its training diverged without leaving an artifact, so this arm is not measured" in diverged.notes[0]
    assert result.comparison.verdict is not None
    assert not result.verdict.startswith("No verdict")
    assert "mad (diverged): its training diverged, so its numbers are not compared." in result.comparison.verdict.reasons
    assert [ours.diverged, wgan.diverged] == [False, False]
    assert "; the comparison continues, and shows this arm as diverged" in tiny_runs.said(environment)
    for path in (result.paths.html, result.paths.md, result.paths.csv, result.paths.tex):
        assert "mad (diverged)" in path.read_text()
    assert json.loads(result.paths.json.read_text())["arms"][1]["metrics"] == {}
    again = run_comparison(plan, environment)  # what is known is not tried twice, and the way out is named
    assert wild["count"] == 1
    assert f"diverged before ({diverged.run_dir}) and is not trained again; delete that run to retry it" in tiny_runs.said(environment)
    assert [arm["label"] for arm in report_summary(again.comparison)["arms"]] == [arm["label"] for arm in report_summary(result.comparison)["arms"]]


def test_where_every_baseline_diverges_there_is_no_verdict(composed: Run, environment: RunContext, mad: str, wild: dict[str, Any]) -> None:
    result = run_comparison(ComparisonPlan(composed=composed.path, baselines=(mad,), equal="kimg"), environment)
    assert result.verdict == "No verdict: the training of every baseline diverged."


def test_one_seed_that_diverges_takes_its_arm_out(composed: Run, environment: RunContext, mad: str, wild: dict[str, Any]) -> None:
    wild["seeds"] = {composed.load_recipe().seed + 1}
    result = run_comparison(ComparisonPlan(composed=composed.path, baselines=(mad, "paste"), equal="kimg", seeds=2), environment)
    (diverged,) = (arm for arm in result.comparison.arms if arm.diverged)
    assert diverged.label == "mad (diverged)"
    assert diverged.notes[0].startswith("1 of its 2 trainings diverged without leaving an artifact")
    assert not diverged.budget_results


def test_a_composition_that_diverges_ends_the_comparison(composed: Run, environment: RunContext, wild: dict[str, Any]) -> None:
    wild["names"] = {composed.load_recipe().name}
    with pytest.raises(DivergedError, match="diverged at iteration 2"):
        run_comparison(ComparisonPlan(composed=composed.path, equal="kimg", seeds=2), environment)


def test_side_by_side_only_divergence_is_tolerated_and_not_of_what_is_needed(packs: dict[str, Path]) -> None:
    said: list[str] = []
    failed = tolerate_divergence(said.append, ["composed seed 0"])
    recipe = tiny_runs.recipe("scene", packs["scene"])
    failed(TrainingProcess("mad seed 0", recipe, []), DivergedError("mad seed 0: runs/x: diverged"))
    assert said == ["warning: mad seed 0: runs/x: diverged; the comparison continues, and shows this arm as diverged"]
    for label, error in (("composed seed 0", DivergedError("no")), ("mad seed 0", ResourceError("disk full")), ("mad seed 0", ArtifactError("no"))):
        with pytest.raises(type(error)):
            failed(TrainingProcess(label, recipe, []), error)


def test_a_finished_run_of_other_pictures_is_told_of_also_side_by_side(
    packs: dict[str, Path], environment: RunContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tiny_runs.pack(tmp_path / "scenes.npy", seed=1)
    training = ArmTraining("baseline", tiny_runs.recipe("scene", source, updates=1))
    run_trainings([training], environment)
    run_trainings([training], environment, jobs=2)
    assert "pictures changed" not in tiny_runs.said(environment) + capsys.readouterr().err
    tiny_runs.pack(source, seed=2, count=13)
    run_trainings([training], environment)
    told = "the pictures changed since this run began: 12"
    assert told in tiny_runs.said(environment)
    run_trainings([training], environment, jobs=2)
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_warnings_of_a_process_are_passed_on(packs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tiny_runs.pack(tmp_path / "few.npy", count=3)
    training = ArmTraining("baseline", tiny_runs.recipe("scene", few, updates=1))
    run_trainings([training], tiny_runs.run_context(tmp_path / "runs"), jobs=2)
    assert "baseline: warning: 3 pictures for batches of 4: each batch repeats some" in capsys.readouterr().err


def test_a_layer_with_another_account_is_another_file(composed: Run, tmp_path: Path) -> None:
    assert composed.artifact_file is not None
    network, card = load_network(composed.artifact_file)
    layer = card.layers["fg"]
    other = card.model_copy(update={"layers": {**card.layers, "fg": layer.model_copy(update={"card": {**layer.card, "seconds": 4321.0}})}})
    path = tmp_path / "composer.safetensors"
    save_network(path, network, other)
    before, after = extract_layers(composed.artifact_file)["fg"], extract_layers(path)["fg"]
    assert read_weights_hash(before) == read_weights_hash(after)
    assert (read_card(before).seconds, read_card(after).seconds) == (layer.card["seconds"], 4321.0)
    assert extract_layers(composed.artifact_file)["fg"] == before  # and equal ones are one file


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_plan_that_is_not_its_folders_own_is_told_and_left_alone(composed: Run, environment: RunContext, tmp_path: Path, kind: str) -> None:
    folder = environment.root / "compare" / "foreign-001"
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere.json").write_text("{}")
    if kind == "link":
        (folder / "plan.json").symlink_to(tmp_path / "elsewhere.json")
    else:
        os.mkfifo(folder / "plan.json")
    result = run_comparison(ComparisonPlan(composed=composed.path, baselines=("paste",), budgets=(0.024,)), environment)
    assert result.run.name != "foreign-001"
    assert str(folder / "plan.json") in tiny_runs.said(environment)
    assert "this comparison is not continued" in tiny_runs.said(environment)
    assert read_json(result.run / "plan.json")["baselines"] == ["paste"]
