"""Writes the files of a report: report.html, metrics.json, report.md, table.csv and table.tex."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from mitlgan.report.caveats import caveats, warnings
from mitlgan.report.charts import DistanceMark, TimeBar, distance_line, time_bars
from mitlgan.report.formatting import count, distance_name, duration, number
from mitlgan.report.inline_images import InlineImage, inline_png, inline_webp
from mitlgan.report.markdown import reports_markdown
from mitlgan.report.plots import Curve, curves
from mitlgan.report.schema import ArmResult, Comparison, Picture, Pixels
from mitlgan.report.summary import SCHEMA_VERSION, report_summary
from mitlgan.report.table import Table
from mitlgan.report.table_files import csv_table, latex_table
from mitlgan.report.tables import budget_table, cost_table, domain_table, kid_ratio_table, numbers_table, separation_table
from mitlgan.report.templates import render
from mitlgan.runtime.files import ensure_folder, write_atomically

LAYER_LABELS = {"fg": "Foreground", "bg": "Background", "output": "Composed"}


class ReportPaths(NamedTuple):
    """Files of a report."""

    html: Path
    json: Path
    md: Path
    csv: Path
    tex: Path


@dataclass(frozen=True)
class Figure:
    """A grid with its caption; `arm` gives the color of its dot, `step` its number in a strip of layers."""

    caption: str
    picture: InlineImage
    alt: str
    arm: int | None = None
    step: int = 0


@dataclass(frozen=True)
class View:
    """One comparison as the template shows it; `prefix` keeps its identifiers apart from those of other domains."""

    c: Comparison
    prefix: str
    is_single: bool
    distance: str
    numbers: Table
    distances: list[DistanceMark]
    budgets: Table | None
    kid_ratios: Table | None
    separation: Table | None
    swaps: list[Figure]
    samples: list[Figure]
    strips: list[tuple[str, list[Figure]]]
    progress: list[Figure]
    curves: list[tuple[Curve, Markup]]
    bars: list[TimeBar]
    costs: Table | None
    neighbours: list[tuple[str, str, list[Figure]]]
    domains: list[tuple[str, list[Figure]]]
    shipped: list[Figure]
    caveats: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class Overview:
    """A summary of several domains."""

    verdicts: list[tuple[str, str]]
    table: Table


def write_report(out: Path, comparison: Comparison, *, json_name: str = "metrics.json") -> ReportPaths:
    """Write the report of one comparison; see `write_reports`."""
    return write_reports(out, [comparison], json_name=json_name)


def write_reports(out: Path, comparisons: Sequence[Comparison], *, json_name: str = "metrics.json") -> ReportPaths:
    """Write the report of one or several domains. It reads no file but the package's own templates, and uses no network.

    Args:
        out: Directory, created if it does not exist; each file is replaced as a whole.
        comparisons: At least one. Names in them may be hostile: they are escaped.
        json_name: Name of the JSON file.

    Returns:
        The paths.

    Raises:
        ResourceError: The directory cannot be written.
        ValueError: Pixels have the wrong type or shape.
    """
    summaries = [report_summary(comparison) for comparison in comparisons]
    values: dict[str, Any] = summaries[0] if len(summaries) == 1 else {"schema_version": SCHEMA_VERSION, "domains": summaries}
    paths = report_paths(out, json_name)
    texts = (
        _html(comparisons),
        json.dumps(values, indent=2, allow_nan=False) + "\n",
        reports_markdown(comparisons),
        csv_table(comparisons),
        latex_table(comparisons),
    )
    ensure_folder(out)
    for path, text in zip(paths, texts, strict=True):
        write_atomically(path, text)
    return paths


def report_paths(out: Path, json_name: str = "metrics.json") -> ReportPaths:
    """Return the files of a report in a directory."""
    return ReportPaths(*(out / name for name in ("report.html", json_name, "report.md", "table.csv", "table.tex")))


def _html(comparisons: Sequence[Comparison]) -> str:
    is_single = len(comparisons) == 1
    verdicts = [(comparison.title, comparison.verdict.headline) for comparison in comparisons if comparison.verdict]
    return render(
        "page.html.j2",
        filters={"number": number, "duration": duration, "count": count},
        title=comparisons[0].title if is_single else f"Compositions and baselines in {len(comparisons)} domains",
        made_by=comparisons[0].made_by,
        overview=None if is_single else Overview(verdicts, domain_table(comparisons)),
        views=[_view(comparison, "" if is_single else f"d{index}-", is_single) for index, comparison in enumerate(comparisons)],
    )


def _view(comparison: Comparison, prefix: str, is_single: bool) -> View:
    distance = distance_name(comparison.protocol.get("extractor"))
    return View(
        c=comparison, prefix=prefix, is_single=is_single, distance=distance, numbers=numbers_table(comparison), distances=distance_line(comparison),
        budgets=budget_table(comparison), kid_ratios=kid_ratio_table(comparison), separation=separation_table(comparison), swaps=_swaps(comparison),
        samples=_sample_figures(comparison),
        strips=[(arm.label, _strip(arm)) for arm in comparison.arms if arm.layers], progress=_progress(comparison),
        curves=[(curve, Markup(curve.svg)) for curve in curves(comparison.arms, distance, prefix)],
        bars=time_bars(comparison), costs=cost_table(comparison),
        neighbours=[(arm.label, arm.memorised, [_figure(p) for p in arm.neighbours]) for arm in comparison.arms if arm.neighbours],
        domains=[(domain.name, [_figure(picture) for picture in domain.pictures]) for domain in comparison.domains],
        shipped=[_figure(picture) for picture in comparison.shipped], caveats=caveats(comparison), warnings=warnings(comparison),
    )  # fmt: skip


def _swaps(comparison: Comparison) -> list[Figure]:
    """Return the swap grids: rows share a foreground, columns a background."""
    return [
        Figure(
            f"{arm.label}: rows share a foreground, columns a background", inline_png(arm.separation_grid),
            f"Grid of swapped layers of {arm.label}: the margins show the layers.", arm=index,
        )
        for index, arm in enumerate(comparison.arms)
        if arm.separation_grid is not None
    ]  # fmt: skip


def _progress(comparison: Comparison) -> list[Figure]:
    """Return the animations of the arms' trainings; arms of one run, which differ in length alone, share theirs."""
    return [
        Figure(arm.label, inline_webp(arm.progress), f"Animation: pictures of the same latents over the training of {arm.label}.", arm=index)
        for index, arm in enumerate(comparison.arms)
        if arm.progress is not None and arm.progress not in [other.progress for other in comparison.arms[:index]]
    ]  # fmt: skip


def _sample_figures(comparison: Comparison) -> list[Figure]:
    """Return samples of every arm from the same seeds, and real pictures."""
    figures = [_samples(arm.label, arm.samples, index) for index, arm in enumerate(comparison.arms) if arm.samples is not None]
    return figures if comparison.real is None else [*figures, _figure(Picture("Real pictures", comparison.real))]


def _samples(label: str, pixels: Pixels, arm: int) -> Figure:
    image = inline_png(pixels)
    return Figure(label, image, f"{label}: {_how_many(image)} generated from the shared seeds.", arm=arm)


def _figure(picture: Picture) -> Figure:
    image = inline_png(picture.pixels)
    return Figure(picture.caption, image, picture.alt or f"{picture.caption}: {_how_many(image)}.")


def _strip(arm: ArmResult) -> list[Figure]:
    """Return every stage of an arm's pictures, in the order in which the composer makes them."""
    figures = []
    for step, (name, pixels) in enumerate(arm.layers.items(), start=1):
        label = LAYER_LABELS.get(name, name[:1].upper() + name[1:])
        image = inline_png(pixels, columns=2, rows=4, wide_px=200, narrow_px=164)
        figures.append(Figure(label, image, f"{label}: {_how_many(image)}, in the same order as the other steps.", step=step))
    return figures


def _how_many(image: InlineImage) -> str:
    return f"{image.count} pictures" if image.count > 1 else "one picture" if image.count else "a grid of pictures"
