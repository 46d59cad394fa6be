"""A comparison says which pictures its arms are measured on and chosen by, and how many those are."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import images, tiny_runs

from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.evaluator import CachedEvaluator
from mitlgan.compare.fairness import describe_fairness
from mitlgan.compare.open_evaluator import open_evaluator
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.report_builder import protocol_facts
from mitlgan.compare.trained_arms import DomainRun
from mitlgan.errors import DataError
from mitlgan.report.caveats import caveats
from mitlgan.report.schema import Comparison
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run


def ruler(source: Path, environment: RunContext, *settings: str) -> CachedEvaluator:
    recipe = tiny_runs.recipe("scene", source, compose=True)
    recipe = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"split": "test"})})
    return open_evaluator(ComparisonPlan(settings=settings), recipe, environment)


def divided(root: Path, **folders: int) -> Path:
    for index, (name, count) in enumerate(folders.items()):
        images.fill(root / name, count, first=40 * index)
    return root


@pytest.mark.parametrize(
    ("folders", "split", "real", "chosen_on", "said"),
    [
        ({"train": 4, "val": 3, "Test": 2}, "test", 2, "validation", ""),
        ({"train": 4, "val": 3}, "validation", 3, "validation", "has no test pictures: its validation pictures stand in"),
        ({"train": 4, "test": 2}, "test", 2, "train", ""),
        ({"photos": 4}, "train", 4, "train", ""),
    ],
)
def test_what_is_measured_on(
    tmp_path: Path, environment: RunContext, folders: dict[str, int], split: str, real: int, chosen_on: str, said: str
) -> None:
    found = ruler(divided(tmp_path / "set", **folders), environment)
    assert (found.protocol.split, len(found.real), found.validation_split) == (split, real, chosen_on)
    assert said in tiny_runs.said(environment)
    protocol = protocol_facts(found)
    assert (protocol["split"], protocol["real"], protocol["samples"], protocol["snapshots chosen on"]) == (split, real, 12, chosen_on)
    sentences = found.optimism_warnings(chooses_snapshots=True)
    assert any("training scenes themselves" in text for text in sentences) == (split == "train")
    assert any(f"({split}; there are no others)" in text for text in sentences) == (split == chosen_on)
    assert any(f"There are only {real} real {split} pictures. All of them are compared with 12 samples of each arm." in text for text in sentences)
    assert any(f"12 generated pictures against {real} real ones" in text for text in caveats(Comparison("x", [], protocol=protocol)))


def test_a_split_that_is_set_must_be_there(tmp_path: Path, environment: RunContext) -> None:
    place = divided(tmp_path / "set", train=4, val=3)
    with pytest.raises(DataError, match=r"--split test: .* it has train \(4 pictures\), validation \(3 pictures\)"):
        ruler(place, environment, "evaluation.split=test")


def test_pictures_of_training_count_as_such_whatever_their_folder_is_called(tmp_path: Path, environment: RunContext) -> None:
    """`--data set/test` trains its arms on what it measures them on."""
    place = divided(tmp_path / "set", train=4, test=3)
    assert ruler(place / "test", environment).protocol.split == "train"


def test_what_is_chosen_by_training_pictures_is_not_called_validation(composed: Run) -> None:
    from mitlgan.artifacts.card import read_card
    from mitlgan.compare.domains import load_recipe

    assert composed.artifact_file is not None
    domain = DomainRun(DomainSetup("", load_recipe(composed.recipe_file), {}, {}, composed), read_card(composed.artifact_file), [], budgets=(1.0,))
    assert "chosen on train" in " ".join(describe_fairness(ComparisonPlan(), domain, "train").equal)
