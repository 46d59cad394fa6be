"""The plots of a run."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.summary import describe_recipe
from mitlgan.report.run_files import plot_statistics, run_layers
from mitlgan.report.run_report import write_run_report
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run


def test_a_plot_of_statistics_that_an_objective_does_not_log_is_empty_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = plot_statistics([{"iteration": 1, "kimg": 0.1, "critic_loss": 2.0}], [("score_real", "real")], "mean score", pictures=10)
    assert "mean score" in svg
    assert ">real<" not in svg


def test_one_point_of_statistics_is_drawn() -> None:
    row = {"iteration": 3, "kimg": 0.1, "critic_loss": 2.0}
    one, two = (plot_statistics(rows, [("critic_loss", "critic")], "loss", pictures=None) for rows in ([row], [row, {**row, "iteration": 6}]))
    marks = [svg.partition('id="legend_1"')[0].count("fill: #1f77b4") for svg in (one, two)]
    assert marks[0] > marks[1] == 0, "a line of one point has no length"


def test_an_unfinished_compositions_cost_is_that_of_its_own_layers(composed: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(composed.path, tmp_path / "unfinished")))
    recipe = run.load_recipe()
    (run.path / "composer.safetensors").unlink()
    assert composed.artifact_file is not None
    specs = read_card(composed.artifact_file).generator_specs()
    assert run_layers(run, recipe) == run_layers(composed, recipe) == specs
    write_run_report(run.path)
    (arm,) = json.loads((run.path / "report.json").read_text())["arms"]
    own, assumed = describe_recipe(recipe, specs)["total"], describe_recipe(recipe)["total"]
    assert arm["cost"]["macs_per_image"] == own["multiply_accumulates"] != assumed["multiply_accumulates"]
    for checkpoint in list_checkpoints(run.path):
        checkpoint.write_bytes(b"damaged")
    assert run_layers(run, recipe) is None
