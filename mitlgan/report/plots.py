"""Training curves as inline SVG. Their colors come from the page, so that one drawing works in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mitlgan.objectives import all_statistics
from mitlgan.objectives.score_stats import SCORE_STATISTICS
from mitlgan.report.schema import ArmResult, Row
from mitlgan.runtime.progress import finite

INK, RULE = "#010203", "#040506"
ARM_COLORS = tuple(f"#0708{index:02x}" for index in range(1, 11))
STYLES = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (7, 2, 2, 2)))
"""Drawn in colors that nothing else has, which are then replaced by the page's own; dashes tell the arms apart without color."""

MAX_POINTS = 360
RC: Any = {"svg.fonttype": "none", "svg.hashsalt": "mitlgan", "font.family": "sans-serif", "font.size": 10, "axes.unicode_minus": True}


@dataclass(frozen=True)
class Curve:
    """One drawing.

    Args:
        title: Its heading.
        hint: How to read it, in one sentence.
        svg: Inline SVG.
        alt: Alternative text, with first and last values.
    """

    title: str
    hint: str
    svg: str
    alt: str


CURVES = (
    ("wasserstein", *SCORE_STATISTICS["wasserstein"]),
    ("critic_loss", "Critic loss", "Negative Wasserstein estimate plus penalty, which rises towards zero; a relativistic loss of 0.69 is a draw."),
    (
        "generator_loss",
        "Generator loss",
        "Negative score of generated pictures: jumps matter, the level does not; a relativistic loss of 0.69 is a draw.",
    ),
)


INDICATORS = (
    ("critic_grad_norm", "Critic's gradient norm", "Spikes are steps that are too large."),
    ("generator_grad_norm", "Generator's gradient norm", "Near 0, it learns nothing."),
    ("augment_sign", "Overfitting", "Mean sign of real pictures' scores; above the recipe's target, augmentation becomes stronger."),
    ("augment_probability", "Augmentation's probability", "Probability of each transform."),
    ("diversity", "Spread of a batch", "Standard deviation of generated pixels relative to real ones; near 0, all samples are identical."),
)
"""Statistics of a training besides the objective's, for a report on one run: key, title, how to read it."""

AXES = (("kimg", "kimg"), ("seconds", "seconds"), ("cpu_seconds", "CPU seconds"), ("macs", "tera-MACs"))
"""Axes along which arms are compared: key of a row, and unit."""


def curves(arms: Sequence[ArmResult], distance: str, prefix: str = "") -> list[Curve]:
    """Draw loss curves over kimg, and the distance during training if it was measured; empty drawings are left out.

    Args:
        arms: In the page's order, which gives their colors.
        distance: Name of the distance.
        prefix: Distinguishes identifiers from those of other domains on the page.
    """
    evaluations = [arm.evaluations for arm in arms]
    drawings = []
    for axis, unit in AXES if any(len(rows) and "macs" in rows[0] for rows in evaluations) else AXES[:1]:
        title = f"{distance} during training" + ("" if axis == "kimg" else f", by {unit}")
        drawings.append(_draw(f"{prefix}d-{axis}", arms, evaluations, "fd", title, "Who is ahead when; lower is better.", (axis, unit)))
    pretraining_kimg = [sum(stage.kimg or 0.0 for stage in arm.cost.stages if stage.pretraining) for arm in arms]
    if any(pretraining_kimg) and sum(1 for rows in evaluations if rows) > 1:
        shifted = [[{**row, "kimg": row["kimg"] + start} for row in rows] for rows, start in zip(evaluations, pretraining_kimg, strict=True)]
        title = f"{distance}, pretraining included"
        drawings.append(_draw(f"{prefix}d-in", arms, shifted, "fd", title, "The same, with the training of the layers included.", ("kimg", "kimg")))
    for index, (key, title, hint) in enumerate(CURVES if len(arms) > 1 else _indicators()):
        drawings.append(_draw(f"{prefix}c{index}", arms, [arm.stats for arm in arms], key, title, hint))
    return [curve for curve in drawings if curve is not None]


def _indicators() -> list[tuple[str, str, str]]:
    """Return all statistics of a training, those of the objectives before the others."""
    own = ((key, *statistic) for key, statistic in all_statistics().items() if key not in {curve[0] for curve in CURVES})
    return [*CURVES, *own, *INDICATORS]


def _draw(
    prefix: str, arms: Sequence[ArmResult], rows: Sequence[Sequence[Row]], key: str, title: str, hint: str, axis: tuple[str, str] = ("kimg", "kimg")
) -> Curve | None:
    along, unit = axis
    lines = [_points(arm_rows, key, along) for arm_rows in rows]
    if not any(len(kimg) for kimg, _ in lines):
        return None
    with mpl.rc_context(RC):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for index, (kimg, values) in enumerate(lines):
            color, style = ARM_COLORS[index % len(ARM_COLORS)], STYLES[index % len(STYLES)]
            smooth = _smooth(values)
            if len(values) > 8:
                axes.plot(kimg, values, color=color, alpha=0.22, linewidth=0.8)
            axes.plot(kimg, smooth, color=color, linestyle=style, linewidth=1.8, marker="o" if len(kimg) <= 12 else None, markersize=3)
            spread = _spread(rows[index], key, along)
            if spread is not None:
                axes.fill_between(*spread, color=color, alpha=0.12, linewidth=0)
        low, high = _limits([values for _, values in lines if len(values)])
        axes.set_ylim(low, high)
        axes.set_xlabel(unit, color=INK)
        axes.tick_params(colors=INK, length=0, pad=5)
        axes.grid(axis="y", color=RULE, linewidth=0.8)
        axes.locator_params(axis="both", nbins=5)
        for name, spine in axes.spines.items():
            spine.set_visible(name == "bottom")
            spine.set_color(RULE)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    ranges = [f"{arm.label} from {values[0]:.3g} to {values[-1]:.3g}" for arm, (_, values) in zip(arms, lines, strict=True) if len(values)]
    return Curve(title, hint, _inline(buffer.getvalue(), prefix), f"{title} over {unit}: {'; '.join(ranges)}.")


def _points(rows: Sequence[Row], key: str, along: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the finite points of one line, thinned to at most `MAX_POINTS` by averaging neighbors."""
    pairs = [(finite(row.get(along)), finite(row.get(key))) for row in rows]
    points = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
    if len(points) > MAX_POINTS:
        width = -(-len(points) // MAX_POINTS)
        points = np.array([points[start : start + width].mean(axis=0) for start in range(0, len(points), width)])
    return points[:, 0], points[:, 1]


def _spread(rows: Sequence[Row], key: str, along: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return positions and the band of one standard deviation over seeds, if it is known."""
    spread_rows = [row for row in rows if finite(row.get(f"{key}_std")) is not None and finite(row.get(key)) is not None]
    if len(spread_rows) < 2 or key != "fd":
        return None
    x, y, spread = (np.array([float(row[name]) for row in spread_rows]) for name in (along, key, f"{key}_std"))
    return x, y - spread, y + spread


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return the centered moving average over a twentieth of the line, shortened at its ends."""
    half = len(values) // 40
    if half < 1:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return np.asarray((total[last] - total[first]) / (last - first))


def _limits(lines: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return limits that a few extreme values at the start do not stretch."""
    low = min(float(np.percentile(values, 1)) for values in lines)
    high = max(float(np.percentile(values, 99)) for values in lines)
    margin = 0.08 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - margin, high + margin


def _inline(svg: str, prefix: str) -> str:
    """Remove the XML prolog, make identifiers unique in the page, replace the colors, and leave the size to CSS."""
    box = re.search(r'viewBox="([^"]*)"', svg)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    svg = f'<svg viewBox="{box[1] if box else "0 0 331.2 194.4"}" aria-hidden="true" focusable="false">{body}'
    for index, color in enumerate(ARM_COLORS):
        svg = svg.replace(color, f"var(--arm-{index})")
    return svg.replace(INK, "var(--muted)").replace(RULE, "var(--rule)")
