"""How numbers and foreign names are printed, the same in HTML, Markdown and the verdict."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mitlgan.metrics import metric_table
from mitlgan.runtime.progress import finite, format_duration

DASH = "—"


@dataclass(frozen=True)
class Metric:
    """A column of the summary table.

    Args:
        key: Key in an arm's metrics.
        label: Heading; "{distance}" becomes FID or FD (extractor).
        std_key: Key of its spread, printed after it.
        better: Which way is good.
        decimals: Digits after the point; None lets the size decide.
    """

    key: str
    label: str
    std_key: str
    better: str
    decimals: int | None = None


METRICS = tuple(
    Metric(metric.column, metric.heading, f"{metric.column}_std", metric.better, metric.report_decimals)
    for metric in metric_table.METRICS
    if metric.heading is not None
)
"""Printed in this order; FD and KID always, the others where any arm has them."""


def number(value: Any, decimals: int | None = None) -> str:
    """Three significant digits, or the decimals asked for, thousands grouped: 1,244 / 31.5 / 1.35 / 0.213; a dash when not finite."""
    known = finite(value)
    if known is None:
        return DASH
    if decimals is not None:
        return f"{known:,.{decimals}f}"
    size = abs(known)
    if size >= 99.95:
        return f"{known:,.0f}"
    if 0 < size < 0.0005:
        return f"{known:.1e}"
    return f"{known:.{1 if size >= 9.995 else 2 if size >= 0.9995 else 3}f}"


def one_digit(value: float) -> str:
    """One significant digit above ten, as befits an estimate: 62.2 is about 60."""
    step = 10 ** math.floor(math.log10(value)) if value >= 10 else 0
    return f"{round(value / step) * step:,.0f}" if step else number(value)


def with_std(metrics: Mapping[str, Any], metric: Metric) -> str:
    """The metric and, where known, its spread: "1.352 ± 0.080"."""
    value, spread = (number(metrics.get(key), metric.decimals) for key in (metric.key, metric.std_key))
    return value if DASH in (value, spread) else f"{value} ± {spread}"


def count(value: Any) -> str:
    """A large count with its unit: 947, 18.5 M, 1.24 G."""
    known = finite(value)
    if known is None:
        return DASH
    for unit, letter in ((1, ""), (1e3, " k"), (1e6, " M")):
        if abs(known) / unit < 999.5:
            return f"{known / unit:.3g}{letter}"
    return f"{known / 1e9:.3g} G" if abs(known) < 999.5e9 else f"{known / 1e9:,.0f} G"


def duration(seconds: Any) -> str:
    """Seconds as people say them: 48 s, 4 min 12 s, 2 h 05 min."""
    known = finite(seconds)
    if known is None or known < 0:
        return DASH
    if known < 9.95:
        return f"{known:.1f} s"
    return format_duration(round(known))


def distance_name(extractor: Any) -> str:
    """FID on the FID Inception network and FD (name) on any other."""
    name = str(extractor or "")
    if not name:
        return "FD"
    return "FID" if name == "inception" or name.startswith("inception@") else f"FD ({name})"


def printable(text: Any) -> str:
    """Text that cannot steer a terminal or a reader's eye.

    Control, format (bidirectional overrides), surrogate and private characters become visible escapes: a hostile file name stays one line.
    """
    text = str(text)
    return text if text.isprintable() else "".join(_visible(char) for char in text)  # a picture's address may have a million characters


def markdown_text(text: Any) -> str:
    """Printable text in which nothing is taken as Markdown or HTML."""
    html_safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", html_safe)


def _visible(char: str) -> str:
    if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    if char in "\n\r\t":
        return repr(char)[1:-1]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
