"""Comparison -> report.html, metrics.json and report.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from mitlgan.files import make_folder, write_atomically
from mitlgan.report.curves import curves
from mitlgan.report.model import Arm, Comparison, Picture, Pixels
from mitlgan.report.pictures import Embedded, embed
from mitlgan.report.plain import markdown, summary
from mitlgan.report.tables import bars, marks, table
from mitlgan.report.verdict import caveats, warnings
from mitlgan.report.wording import count, distance_name, duration, number, printable

LAYER_WORDS = {"fg": "Foreground", "bg": "Background", "output": "Composed"}


class Paths(NamedTuple):
    """Where a report lies."""

    html: Path
    json: Path
    md: Path


@dataclass(frozen=True)
class Figure:
    """A grid with its caption; `arm` gives the colour of its dot, `step` its number in a strip of layers."""

    caption: str
    picture: Embedded
    alt: str
    arm: int | None = None
    step: int = 0


def write_report(out: Path, comparison: Comparison) -> Paths:
    """Render a comparison. No file but the package's own template is read, and no network used.

    Args:
        out: Directory, made where absent; each of the three files is replaced whole.
        comparison: What to show. Names in it may be hostile: they are escaped.

    Returns:
        The three paths.

    Raises:
        ResourceError: The directory cannot be written.
        ValueError: Pixels of a wrong type or shape.
    """
    data = json.dumps(summary(comparison), indent=2, allow_nan=False) + "\n"
    paths = Paths(out / "report.html", out / "metrics.json", out / "report.md")
    texts = (_html(comparison), data, markdown(comparison))
    make_folder(out)
    for path, text in zip(paths, texts, strict=True):
        write_atomically(path, text)
    return paths


def _html(comparison: Comparison) -> str:
    loader = jinja2.PackageLoader("mitlgan", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "duration": duration, "count": count}
    distance = distance_name(comparison.protocol.get("extractor"))
    headings, rows = table(comparison)
    return environment.get_template("page.html.j2").render(
        c=comparison,
        style=Markup(loader.get_source(environment, "page.css")[0]),
        distance=distance,
        headings=headings,
        rows=rows,
        marks=marks(comparison),
        heroes=_heroes(comparison),
        strips=[(arm.label, _strip(arm)) for arm in comparison.arms if arm.layers],
        curves=[(curve, Markup(curve.svg)) for curve in curves(comparison.arms, distance)],
        bars=bars(comparison),
        domains=[(domain.name, [_figure(picture) for picture in domain.pictures]) for domain in comparison.domains],
        shipped=[_figure(picture) for picture in comparison.shipped],
        caveats=caveats(comparison),
        warnings=warnings(comparison),
    )


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
    shown = embed(pixels)
    return Figure(label, shown, f"{label}: {_how_many(shown)} generated from the shared seeds.", arm=arm)


def _figure(picture: Picture) -> Figure:
    shown = embed(picture.pixels)
    return Figure(picture.caption, shown, picture.alt or f"{picture.caption}: {_how_many(shown)}.")


def _strip(arm: Arm) -> list[Figure]:
    """Every stage of one arm's pictures, in the order in which the composer makes them."""
    figures = []
    for step, (name, pixels) in enumerate(arm.layers.items(), start=1):
        word = LAYER_WORDS.get(name, name[:1].upper() + name[1:])
        shown = embed(pixels, columns=2, rows=4, wide_px=200, narrow_px=164)
        figures.append(Figure(word, shown, f"{word}: {_how_many(shown)}, in the same order as the other steps.", step=step))
    return figures


def _how_many(shown: Embedded) -> str:
    return f"{shown.count} pictures" if shown.count > 1 else "one picture" if shown.count else "a grid of pictures"
