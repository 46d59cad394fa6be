"""The table of metrics. To add one, write its `measure_...` function in a file of its own, and add a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mitlgan.metrics.clipping import measure_clipping
from mitlgan.metrics.diversity import measure_diversity
from mitlgan.metrics.extrapolation import measure_frechet_infinity
from mitlgan.metrics.feature_arrays import FeatureSets
from mitlgan.metrics.frechet import measure_frechet
from mitlgan.metrics.inception_score import measure_inception_score
from mitlgan.metrics.kid import measure_kid
from mitlgan.metrics.manifold import measure_manifold


@dataclass(frozen=True)
class Metric:
    """One metric of an evaluation.

    Attributes:
        key: Its key in results and on cards.
        measure: Function that computes it, and possibly others; returns numbers by key, "value" first, without undefined metrics.
        column: Its key in flat tables, such as `stats.jsonl` and a comparison's arms.
        title: Its full name in results; "{distance}" becomes FID or FD (extractor), "{extractor}" the extractor in parentheses unless it is Inception.
        better: The better direction.
        decimals: Digits after the point on the terminal.
        heading: Its heading in reports; None: reports leave it out.
        report_decimals: Digits after the point in reports; None: three significant digits.
        is_of_pixels: It is measured on pixels, so that its number needs no extractor and protocol to be compared.
    """

    key: str
    measure: Callable[[FeatureSets], dict[str, dict[str, Any]]]
    column: str
    title: str
    better: Literal["lower", "higher"]
    decimals: int = 4
    heading: str | None = None
    report_decimals: int | None = 3
    is_of_pixels: bool = False


METRICS = (
    Metric("frechet", measure_frechet, "fd", "{distance}", "lower", decimals=2, heading="{distance}", report_decimals=None),
    Metric("kid", measure_kid, "kid", "KID{extractor}", "lower", heading="KID"),
    Metric("precision", measure_manifold, "precision", "precision{extractor}", "higher", heading="Precision"),
    Metric("recall", measure_manifold, "recall", "recall{extractor}", "higher", heading="Recall"),
    Metric("density", measure_manifold, "density", "density{extractor}", "higher", heading="Density"),
    Metric("coverage", measure_manifold, "coverage", "coverage{extractor}", "higher", heading="Coverage"),
    Metric("diversity", measure_diversity, "diversity", "diversity{extractor}", "higher"),
    Metric("burnt_dark", measure_clipping, "burnt_dark", "Burnt-out pixels, dark end", "lower", heading="Burnt out, dark", is_of_pixels=True),
    Metric("burnt_bright", measure_clipping, "burnt_bright", "Burnt-out pixels, bright end", "lower", heading="Burnt out, bright", is_of_pixels=True),
    Metric("frechet_infinity", measure_frechet_infinity, "fd_infinity", "{distance}, infinite samples", "lower", decimals=2),
    Metric("inception_score", measure_inception_score, "inception_score", "Inception Score", "higher", decimals=2),
)


def measure_all(sets: FeatureSets, provenance: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Compute every metric of the table that is defined for these features.

    Args:
        sets: Features of real and generated images.
        provenance: Fields that each number carries so that it can be compared: extractor, counts, split and so on.

    Returns:
        By key: "name", "value", further numbers of the metric, and the provenance.
    """
    numbers: dict[str, dict[str, Any]] = {}
    for measure in dict.fromkeys(metric.measure for metric in METRICS):  # each function once
        numbers |= measure(sets)
    extractor = sets.extractor
    words = {"distance": extractor.distance_name, "extractor": "" if extractor.is_inception else f" ({extractor.name})"}
    return {
        metric.key: {"name": metric.title.format(**words), **numbers[metric.key], **({} if metric.is_of_pixels else provenance)}
        for metric in METRICS
        if metric.key in numbers
    }
