"""The results of the time to quality as a table and as curves."""

from __future__ import annotations

import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mitlgan.bench.quality.tasks import TASKS
from mitlgan.report.formatting import two_digits
from mitlgan.runtime.files import write_atomically

TABLE_FILE, PLOT_FILE = "quality.md", "quality.png"
TEXTBOOK_COLOR, RECIPE_COLOR = "#b3541e", "#1f5f99"
COLUMNS = ("task", "seeds", "textbook loop: KID", "after, CPU s", "recipe: as good after, CPU s", "times sooner", "with reading the pictures")


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the results as lines of a Markdown table: medians over seeds of one length, with the smallest and the largest."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|" + "--:|" * (len(COLUMNS) - 1)]
    for name in (name for name in TASKS if results["tasks"].get(name)):
        lines += ["| " + " | ".join(_cells(label, rows)) + " |" for label, rows in _by_length(name, results["tasks"][name])]
    return lines


def _by_length(name: str, rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the rows of each length of training, whose seeds alone can be compared; the label names it if there are several."""
    lengths = sorted({float(row.get("minutes", 0.0)) for row in rows})
    groups = [(minutes, [row for row in rows if float(row.get("minutes", 0.0)) == minutes]) for minutes in lengths]
    return [(f"{name}, {minutes:g} min" if len(lengths) > 1 else name, group) for minutes, group in groups]


def _cells(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    reached = [row["reached_cpu_s"] for row in rows]
    cells = [name, str(len(rows)), spread([row["target_kid"] for row in rows], 2), spread([row["target_cpu_s"] for row in rows], 0)]
    if None in reached:
        missed, longest_s = reached.count(None), max(row["recommended"][-1]["cpu_s"] for row in rows if row["recommended"])
        note = f"not reached within {two_digits(longest_s, 0)} s" + (f" by {missed} of {len(rows)}" if len(rows) > 1 else "")
        return [*cells, note, "", ""]
    at_most, at_least = ("at most ", "at least ") if any(_is_first_point(row) for row in rows) else ("", "")
    sooner = [at_least + spread([row[key] for row in rows], 0) for key in ("ratio", "ratio_with_reading")]
    return [*cells, at_most + spread(reached, 1), *sooner]


def _is_first_point(row: Mapping[str, Any]) -> bool:
    """Whether a recipe was as good at the first point that was measured, and so perhaps before it."""
    return bool(row["reached_cpu_s"] == row["recommended"][0]["cpu_s"])


def spread(values: Sequence[float], decimals: int) -> str:
    """Return the median of values, with the smallest and the largest if there are several; each has at least two significant digits.

    >>> spread([3.0, 1.0, 2.0], 1), spread([0.375], 0), spread([12.3], 0)
    ('2.0 (1.0 to 3.0)', '0.38', '12')
    """
    text = two_digits(statistics.median(values), decimals)
    return text if len(values) == 1 else f"{text} ({two_digits(min(values), decimals)} to {two_digits(max(values), decimals)})"


def write_page(folder: Path, results: Mapping[str, Any]) -> None:
    """Write the table and the curves next to the results.

    Raises:
        ResourceError: The folder cannot be written.
    """
    write_atomically(folder / TABLE_FILE, "\n".join(table_lines(results)) + "\n", root=folder)
    if any(results["tasks"].values()):
        write_atomically(folder / PLOT_FILE, draw_curves(results), root=folder)


def draw_curves(results: Mapping[str, Any]) -> bytes:
    """Return the KID over CPU seconds as a PNG: a panel for each task, a line for each seed of both sides."""
    names = [name for name in TASKS if results["tasks"].get(name)]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(1.2 + 3.6 * columns, 0.6 + 3.0 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        for panel, name in zip(panels, names, strict=False):
            _draw_task(panel, name, results["tasks"][name])
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()


def _draw_task(panel: Axes, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for index, row in enumerate(rows):
        sides = (("textbook", TEXTBOOK_COLOR, "textbook WGAN-GP loop", "s"), ("recommended", RECIPE_COLOR, "recommended recipe", "o"))
        for side, color, label, marker in sides:
            times_s, kids = ([point[key] for point in row[side]] for key in ("cpu_s", "kid"))
            panel.plot(times_s, kids, color=color, marker=marker, markersize=3, linewidth=1.3, alpha=0.85, label=label if index == 0 else None)
        panel.axhline(row["target_kid"], color=TEXTBOOK_COLOR, linewidth=0.7, linestyle=":", label="its best KID" if index == 0 else None)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_ylim(bottom=0)
    panel.set_title(f"{name}: {rows[0]['recipe']}", fontsize=10, loc="left")
    panel.set_xlabel("CPU seconds of training")
    panel.set_ylabel("KID to held-out pictures")
