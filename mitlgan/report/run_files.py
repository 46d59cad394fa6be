"""What a run leaves for its reader beside pictures and checkpoints: summaries, a diagram of the structure, plots, the record of its settings.

As Akel 2022 (section 4.4) keeps them: a summary of critic, generator and whole, a diagram of the structure, losses over iterations, the parameters in a
file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mitlgan.artifacts.summary import describe_recipe
from mitlgan.errors import to_one_line
from mitlgan.recipe import Recipe, as_dict, display_name
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.json_files import read_json, read_jsonl
from mitlgan.training.run_directory import Run

LOSSES = (("critic_loss", "critic"), ("generator_loss", "generator"))
SCORES = (("probability_real", "D(x)"), ("probability_fake", "D(G(z))")), (("score_real", "real"), ("score_fake", "generated"))
MAX_POINTS = 600
BOX_WIDTH, BOX_HEIGHT, GAP, COLUMN = 300, 34, 10, 340


def write_run_files(run: Run) -> list[Path]:
    """Write `summary.txt`, `structure.svg`, `hyperparameters.md` and, once there are statistics, `losses.svg` and `scores.svg` into a run.

    Returns:
        The files.

    Raises:
        UsageError: The run's recipe is not valid.
        ResourceError: The disk refuses.
    """
    recipe = run.load_recipe()
    described = describe_recipe(recipe)
    card = read_json(run.path / "card.json")
    texts = {"summary.txt": summary(described), "structure.svg": structure(described), "hyperparameters.md": hyperparameters(recipe, card)}
    rows = list(read_jsonl(run.stats_file))
    if rows:
        count = card.get("data", {}).get("count") if isinstance(card.get("data"), dict) else None
        kind = SCORES[0] if any("probability_real" in row for row in rows[:1]) else SCORES[1]
        texts["losses.svg"] = plot(rows, LOSSES, "loss", count)
        texts["scores.svg"] = plot(rows, kind, "mean score" if kind is SCORES[1] else "probability", count)
    for name, text in texts.items():
        write_atomically(run.path / name, text)
    return [run.path / name for name in texts]


def summary(described: Mapping[str, Any]) -> str:
    """Every network's blocks with output and parameters, as Keras prints them, then the whole."""
    lines = []
    for name, part in described["networks"].items():
        lines += [f"{name}", f"{'block':<44}{'type':<24}{'output':<20}{'parameters':>12}", "-" * 100]
        lines += [f"{row['name']:<44}{row['type']:<24}{' x '.join(map(str, row['output'])):<20}{row['parameters']:>12,}" for row in part["rows"]]
        lines += ["-" * 100, *_totals(part["parameters"], part["trainable"]), ""]
    critic = described["networks"]["critic"]
    total = {key: described["total"][key] + critic[key] for key in ("parameters", "trainable")}
    return "\n".join([*lines, "whole, critic included", *_totals(total["parameters"], total["trainable"]), ""])


def _totals(parameters: int, trainable: int) -> list[str]:
    return [f"parameters {parameters:,}, trainable {trainable:,}, not trainable {parameters - trainable:,}"]


def hyperparameters(recipe: Recipe, card: Mapping[str, Any]) -> str:
    """Every setting of the resolved recipe, and what the run's card says of it."""
    rows = [("size_px", recipe.size_px), ("seed", recipe.seed), *_flat(as_dict(recipe))]
    known = {key: card[key] for key in ("kimg", "iterations", "seconds", "made_by", "notes") if card.get(key)}
    rows += [*known.items(), *((f"data.{key}", value) for key, value in dict(card.get("data") or {}).items() if key != "source")]
    unique = dict(rows)
    lines = [f"| {to_one_line(key)} | {to_one_line(str(value)).replace('|', ' ')} |" for key, value in unique.items()]
    return "\n".join([f"# {to_one_line(display_name(recipe))}: settings", "", "| setting | value |", "|---|---|", *lines, ""])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found


def structure(described: Mapping[str, Any]) -> str:
    """A diagram of all networks side by side, from the latent to the image and from the image to the score, as SVG."""
    columns = [(name, _boxes(part["rows"])) for name, part in described["networks"].items()]
    height = 90 + max(len(boxes) for _, boxes in columns) * (BOX_HEIGHT + GAP)
    shapes = []
    for index, (name, boxes) in enumerate(columns):
        left, top = 20 + index * COLUMN, 60
        part = described["networks"][name]
        shapes.append(f'<text x="{left}" y="28" class="head">{escape(name)}</text>')
        shapes.append(f'<text x="{left}" y="46">{part["parameters"]:,} parameters, {part["trainable"]:,} trainable</text>')
        for number, (title, detail) in enumerate(boxes):
            y = top + number * (BOX_HEIGHT + GAP)
            if number:
                middle = left + BOX_WIDTH // 2
                shapes.append(f'<path d="M{middle} {y - GAP}V{y - 2}" marker-end="url(#tip)"/>')
            shapes.append(f'<rect x="{left}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>')
            shapes.append(f'<text x="{left + 8}" y="{y + 14}" class="title">{escape(title)}</text>')
            shapes.append(f'<text x="{left + 8}" y="{y + 28}">{escape(detail)}</text>')
    width = 20 + len(columns) * COLUMN
    style = (
        "text{font:11px sans-serif;fill:#333}.head{font-size:15px;font-weight:bold}.title{font-weight:bold}"
        "rect{fill:#eef3f8;stroke:#7c93ab}path{stroke:#7c93ab;fill:none}"
    )
    tip = '<marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6"/></marker>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{style}</style><defs>{tip}</defs><rect x="0" y="0" width="{width}" height="{height}" style="fill:#fff;stroke:none"/>'
        + "".join(shapes)
        + "</svg>\n"
    )


def _boxes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """One box per stage: its blocks, then output and parameters."""
    boxes = []
    for stage, blocks in groupby(rows, key=lambda row: ".".join(str(row["name"]).split(".")[:2])):
        members = list(blocks)
        shape = " x ".join(map(str, members[-1]["output"]))
        title = ", ".join(str(member["type"]).removeprefix("Parametrized") for member in members)
        boxes.append(
            (title if len(title) < 52 else title[:49] + "...", f"{stage.removeprefix('stages.')}: {shape}, {sum(m['parameters'] for m in members):,}")
        )
    return boxes


def plot(rows: Sequence[Mapping[str, Any]], keys: Sequence[tuple[str, str]], label: str, pictures: int | None) -> str:
    """Statistics over iterations and, where the number of pictures is known, their means over each epoch, as SVG."""
    panels = 2 if pictures else 1
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mitlgan", "font.size": 9}):
        figure = Figure(figsize=(5.0 * panels, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for key, name in keys:
            known = [(row["iteration"], row["kimg"], row[key]) for row in rows if isinstance(row.get(key), (int, float))]
            if not known:
                continue
            values = np.array(known, dtype=np.float64)
            axes[0].plot(*_thinned(values[:, 0], values[:, 2]), label=name, linewidth=1.0)
            if pictures:
                epochs = np.floor(values[:, 1] * 1000 / pictures - 1e-9)
                each = np.unique(epochs)
                axes[1].plot(each + 1, [values[epochs == epoch, 2].mean() for epoch in each], label=name, marker="o", markersize=2.5, linewidth=1.0)
        for axis, unit in zip(axes, ("iteration", "epoch (mean)"), strict=False):
            axis.set_xlabel(unit)
            axis.set_ylabel(label)
            axis.grid(alpha=0.3)
            axis.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _thinned(x: Any, y: Any) -> tuple[Any, Any]:
    """At most `MOST_POINTS`, each the mean of its neighbours."""
    width = -(-len(x) // MAX_POINTS)
    starts = range(0, len(x), width)
    return np.array([x[start : start + width].mean() for start in starts]), np.array([y[start : start + width].mean() for start in starts])
