"""Comparisons -> report.html, metrics.json, report.md, table.csv and table.tex."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from mitlgan.report.caveats import caveats, warnings
from mitlgan.report.formatting import count, distance_name, duration, number, printable
from mitlgan.report.inline_images import InlineImage, inline_png
from mitlgan.report.plots import Curve, curves
from mitlgan.report.schema import ArmResult, Comparison, Picture, Pixels
from mitlgan.report.tables import (
    DistanceMark,
    Table,
    TimeBar,
    budget_table,
    cost_table,
    distance_line,
    domain_table,
    kid_ratio_table,
    numbers_table,
    separation_table,
    time_bars,
)
from mitlgan.report.text import csv_table, latex_table, report_markdown, report_summary
from mitlgan.runtime.files import ensure_folder, write_atomically

LAYER_WORDS = {"fg": "Foreground", "bg": "Background", "output": "Composed"}


class ReportPaths(NamedTuple):
    """Where a report lies."""

    html: Path
    json: Path
    md: Path
    csv: Path
    tex: Path


@dataclass(frozen=True)
class Figure:
    """A grid with its caption; `arm` gives the colour of its dot, `step` its number in a strip of layers."""

    caption: str
    picture: InlineImage
    alt: str
    arm: int | None = None
    step: int = 0


@dataclass(frozen=True)
class View:
    """One comparison, all of it in words and pictures, as the template shows it; `prefix` keeps its identifiers apart from other domains'."""

    c: Comparison
    prefix: str
    alone: bool
    distance: str
    numbers: Table
    marks: list[DistanceMark]
    standings: Table | None
    shares: Table | None
    separation: Table | None
    swaps: list[Figure]
    heroes: list[Figure]
    strips: list[tuple[str, list[Figure]]]
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
    """Several domains at a glance."""

    verdicts: list[tuple[str, str]]
    table: Table


def write_report(out: Path, comparison: Comparison, *, json_name: str = "metrics.json") -> ReportPaths:
    """Render a comparison. No file but the package's own templates is read, and no network used.

    Args:
        out: Directory, made where absent; each of the files is replaced whole.
        comparison: What to show. Names in it may be hostile: they are escaped.
        json_name: Name of the file with the numbers.

    Returns:
        The paths.

    Raises:
        ResourceError: The directory cannot be written.
        ValueError: Pixels of a wrong type or shape.
    """
    return write_reports(out, [comparison], json_name=json_name)


def write_reports(out: Path, comparisons: Sequence[Comparison], *, json_name: str = "metrics.json") -> ReportPaths:
    """Render the comparisons of one or several domains into one page, and likewise the other forms; see `write_report`.

    Args:
        out: Directory.
        comparisons: At least one.
        json_name: See `write_report`.
    """
    first = report_summary(comparisons[0])
    data = first if len(comparisons) == 1 else {"schema_version": first["schema_version"], "domains": [report_summary(c) for c in comparisons]}
    paths = report_paths(out, json_name)
    texts = (
        _html(comparisons),
        json.dumps(data, indent=2, allow_nan=False) + "\n",
        "\n\n".join(report_markdown(comparison) for comparison in comparisons),
        csv_table(comparisons),
        latex_table(comparisons),
    )
    ensure_folder(out)
    for path, text in zip(paths, texts, strict=True):
        write_atomically(path, text)
    return paths


def report_paths(out: Path, numbers: str = "metrics.json") -> ReportPaths:
    """Where a report's files lie in a directory.

    Args:
        out: The directory.
        numbers: Name of the JSON file.
    """
    return ReportPaths(*(out / name for name in ("report.html", numbers, "report.md", "table.csv", "table.tex")))


def _html(comparisons: Sequence[Comparison]) -> str:
    loader = jinja2.PackageLoader("mitlgan", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "duration": duration, "count": count}
    alone = len(comparisons) == 1
    verdicts = [(c.title, c.verdict.headline) for c in comparisons if c.verdict]
    return environment.get_template("page.html.j2").render(
        title=comparisons[0].title if alone else f"Compositions and baselines in {len(comparisons)} domains",
        made_by=comparisons[0].made_by,
        style=Markup(loader.get_source(environment, "page.css")[0]),
        overview=None if alone else Overview(verdicts, domain_table(comparisons)),
        views=[_view(comparison, "" if alone else f"d{index}-", alone) for index, comparison in enumerate(comparisons)],
    )


def _view(comparison: Comparison, prefix: str, alone: bool) -> View:
    distance = distance_name(comparison.protocol.get("extractor"))
    return View(
        c=comparison, prefix=prefix, alone=alone, distance=distance, numbers=numbers_table(comparison), marks=distance_line(comparison),
        standings=budget_table(comparison), shares=kid_ratio_table(comparison), separation=separation_table(comparison), swaps=_swaps(comparison),
        heroes=_heroes(comparison),
        strips=[(arm.label, _strip(arm)) for arm in comparison.arms if arm.layers],
        curves=[(curve, Markup(curve.svg)) for curve in curves(comparison.arms, distance, prefix)],
        bars=time_bars(comparison), costs=cost_table(comparison),
        neighbours=[(arm.label, arm.memorised, [_figure(p) for p in arm.neighbours]) for arm in comparison.arms if arm.neighbours],
        domains=[(domain.name, [_figure(picture) for picture in domain.pictures]) for domain in comparison.domains],
        shipped=[_figure(picture) for picture in comparison.shipped], caveats=caveats(comparison), warnings=warnings(comparison),
    )  # fmt: skip


def _swaps(comparison: Comparison) -> list[Figure]:
    """The swap grids: rows share a foreground, columns a background."""
    found = []
    for index, arm in enumerate(comparison.arms):
        if arm.separation_grid is not None:
            shown = inline_png(arm.separation_grid)
            caption = f"{arm.label}: rows share a foreground, columns a background"
            found.append(Figure(caption, shown, f"Grid of swapped layers of {arm.label}: the margins show the layers.", arm=index))
    return found


def _finalize(value: Any) -> Any:
    """Every string that a template prints, but not what is HTML already."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _heroes(comparison: Comparison) -> list[Figure]:
    """The arms' pictures at the same seeds, and real ones beside them."""
    found = [_samples(arm.label, arm.samples, index) for index, arm in enumerate(comparison.arms) if arm.samples is not None]
    if comparison.real is not None:
        found.append(_figure(Picture("Real pictures", comparison.real)))
    return found


def _samples(label: str, pixels: Pixels, arm: int) -> Figure:
    shown = inline_png(pixels)
    return Figure(label, shown, f"{label}: {_how_many(shown)} generated from the shared seeds.", arm=arm)


def _figure(picture: Picture) -> Figure:
    shown = inline_png(picture.pixels)
    return Figure(picture.caption, shown, picture.alt or f"{picture.caption}: {_how_many(shown)}.")


def _strip(arm: ArmResult) -> list[Figure]:
    """Every stage of one arm's pictures, in the order in which the composer makes them."""
    figures = []
    for step, (name, pixels) in enumerate(arm.layers.items(), start=1):
        word = LAYER_WORDS.get(name, name[:1].upper() + name[1:])
        shown = inline_png(pixels, columns=2, rows=4, wide_px=200, narrow_px=164)
        figures.append(Figure(word, shown, f"{word}: {_how_many(shown)}, in the same order as the other steps.", step=step))
    return figures


def _how_many(shown: InlineImage) -> str:
    return f"{shown.count} pictures" if shown.count > 1 else "one picture" if shown.count else "a grid of pictures"
