"""Files for the reader of a run: summaries of its networks, a diagram of their structure, plots, and its settings, as in Akel 2022 (section 4.4)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mitlgan.artifacts.card import GeneratorSpec, LayerCard, read_card
from mitlgan.artifacts.safetensors_io import read_header
from mitlgan.artifacts.summary import describe_recipe
from mitlgan.artifacts.times import add_times
from mitlgan.errors import MitlganError, UnknownPicturesError, to_one_line
from mitlgan.recipe import Recipe, as_dict, display_name
from mitlgan.report.structure_diagram import structure_diagram
from mitlgan.runtime.files import is_regular, write_atomically
from mitlgan.runtime.json_files import read_json, read_log
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

LOSSES = (("critic_loss", "critic"), ("generator_loss", "generator"))
SCORES = (("probability_real", "D(x)"), ("probability_fake", "D(G(z))")), (("score_real", "real"), ("score_fake", "generated"))
MAX_POINTS = 600
PANEL_IN = 5.0, 3.2
"""Width and height of one plot, inches."""
MARGINS_IN = 0.85, 0.15, 0.5, 0.12
"""Left, right, bottom and top margin of a plot, for labels of up to nine characters."""
RUN_FILES = ("summary.txt", "structure.svg", "hyperparameters.md", "losses.svg", "scores.svg")
"""What every run leaves besides its artifact; the plots only if it has statistics."""


def write_run_files(run: Run) -> list[Path]:
    """Write `summary.txt`, `structure.svg` and `hyperparameters.md` into a run, and, if it has statistics, `losses.svg` and `scores.svg`.

    Returns:
        The files.

    Raises:
        UsageError: The run's recipe is not valid.
        ResourceError: A file cannot be written.
    """
    recipe = run.recorded_recipe()
    with suppress(UnknownPicturesError):  # no picture is read here
        recipe = run.load_recipe()
    description = describe_recipe(recipe, run_layers(run, recipe))
    card = read_json(run.path / "card.json")
    card = add_times(card, run.path / "card.json", str(card.get("tensors_sha256")))
    texts = {
        "summary.txt": network_summary(description),
        "structure.svg": structure_diagram(description),
        "hyperparameters.md": hyperparameters(recipe, card),
    }
    rows = list(read_log(run.stats_file))
    if rows:
        count = card.get("data", {}).get("count") if isinstance(card.get("data"), dict) else None
        kind = SCORES[0] if any("probability_real" in row for row in rows[:1]) else SCORES[1]
        texts["losses.svg"] = plot_statistics(rows, LOSSES, "loss", count)
        texts["scores.svg"] = plot_statistics(rows, kind, "mean score" if kind is SCORES[1] else "probability", count)
    for name, text in texts.items():
        write_atomically(run.path / name, text, root=run.path)
    return [run.path / name for name in texts]


def list_run_files(run: Run) -> list[Path]:
    """Return those of `RUN_FILES` that are in a run."""
    return [path for name in RUN_FILES if is_regular(path := run.path / name, root=run.path)]


def run_layers(run: Run, recipe: Recipe) -> Mapping[str, GeneratorSpec] | None:
    """Return the generators of a composition's layers, before it has an artifact by its newest checkpoint; None if it has neither, or no layers."""
    if run.artifact_file is not None:
        return read_card(run.artifact_file).generator_specs() or None
    with suppress(MitlganError, ValueError, LookupError, AttributeError):  # damage is for `resume` to report
        header = read_header(list_checkpoints(run.path)[-1], root=run.path)
        layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in header["layers"].items()}
        return {name: layer.generator_spec(recipe.size_px) for name, layer in layers.items()} or None
    return None


def network_summary(description: Mapping[str, Any]) -> str:
    """Return every network's blocks with output and parameters, as Keras prints them, then the totals.

    The whole counts the critic's parameters as not trainable, as the source's figures do.
    """
    lines = []
    for name, part in description["networks"].items():
        lines += [f"{name}", f"{'block':<44}{'type':<24}{'output':<20}{'parameters':>12}", "-" * 100]
        lines += [f"{row['name']:<44}{row['type']:<24}{' x '.join(map(str, row['output'])):<20}{row['parameters']:>12,}" for row in part["rows"]]
        lines += ["-" * 100, *_totals(part["parameters"], part["trainable"]), ""]
    whole, critic = description["total"], description["networks"]["critic"]
    totals = _totals(whole["parameters"] + critic["parameters"], whole["trainable"])
    return "\n".join([*lines, "whole, with the critic frozen, as the generator's updates see it", *totals, ""])


def _totals(parameters: int, trainable: int) -> list[str]:
    return [f"parameters {parameters:,}, trainable {trainable:,}, not trainable {parameters - trainable:,}"]


def hyperparameters(recipe: Recipe, card: Mapping[str, Any]) -> str:
    """Return every setting of the resolved recipe, and what the run's card records, as Markdown."""
    rows = [("size_px", recipe.size_px), ("seed", recipe.seed), *_flat(as_dict(recipe))]
    record = {key: card[key] for key in ("kimg", "iterations", "seconds", "made_by", "notes") if card.get(key)}
    rows += [*record.items(), *((f"data.{key}", value) for key, value in dict(card.get("data") or {}).items() if key != "source")]
    lines = [f"| {to_one_line(key)} | {to_one_line(str(value)).replace('|', ' ')} |" for key, value in dict(rows).items()]
    return "\n".join([f"# {to_one_line(display_name(recipe))}: settings", "", "| setting | value |", "|---|---|", *lines, ""])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return rows


def plot_statistics(rows: Sequence[Mapping[str, Any]], keys: Sequence[tuple[str, str]], label: str, pictures: int | None) -> str:
    """Return a plot of statistics over iterations as SVG and, if the number of pictures is known, of their means over each epoch."""
    panels = 2 if pictures else 1
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mitlgan", "font.size": 9}):
        figure = Figure(figsize=(PANEL_IN[0] * panels, PANEL_IN[1]))
        FigureCanvasSVG(figure)
        left, right, bottom, top = MARGINS_IN  # fixed: finding them costs as much as drawing
        figure.subplots_adjust(
            left=left / figure.get_figwidth(), right=1 - right / figure.get_figwidth(), bottom=bottom / PANEL_IN[1], top=1 - top / PANEL_IN[1],
            wspace=(left + right) / (PANEL_IN[0] - left - right),
        )  # fmt: skip
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for key, name in keys:
            points = [(row["iteration"], row["kimg"], row[key]) for row in rows if isinstance(row.get(key), (int, float))]
            if not points:
                continue
            values = np.array(points, dtype=np.float64)
            marker = "o" if len(points) == 1 else None  # one point makes no line
            axes[0].plot(*_thin(values[:, 0], values[:, 2]), label=name, marker=marker, markersize=2.5, linewidth=1.0)
            if pictures:
                epochs = np.floor(values[:, 1] * 1000 / pictures - 1e-9)
                each = np.unique(epochs)
                axes[1].plot(each + 1, [values[epochs == epoch, 2].mean() for epoch in each], label=name, marker="o", markersize=2.5, linewidth=1.0)
        for axis, unit in zip(axes, ("iteration", "epoch (mean)"), strict=False):
            axis.set_xlabel(unit)
            axis.set_ylabel(label)
            axis.locator_params(axis="x", nbins=5)  # numbers of six digits fit
            axis.grid(alpha=0.3)
            if axis.lines:
                axis.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _thin(x: Any, y: Any) -> tuple[Any, Any]:
    """Return at most `MAX_POINTS` points, each the mean of its neighbors."""
    width = -(-len(x) // MAX_POINTS)
    starts = range(0, len(x), width)
    return np.array([x[start : start + width].mean() for start in starts]), np.array([y[start : start + width].mean() for start in starts])
