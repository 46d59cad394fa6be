"""The plots of a run."""

from __future__ import annotations

import warnings

from mitlgan.report.run_files import plot_statistics


def test_a_plot_of_statistics_that_an_objective_does_not_log_is_empty_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = plot_statistics([{"iteration": 1, "kimg": 0.1, "critic_loss": 2.0}], [("score_real", "real")], "mean score", pictures=10)
    assert "mean score" in svg
    assert ">real<" not in svg
