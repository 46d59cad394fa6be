"""How reports print numbers and names."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from mitlgan.runtime.progress import finite, format_duration

DASH = "—"
MAX_DECIMALS = 6
"""Digits after the point that a small number gets; smaller ones are rounding errors."""
BELOW_ZERO = "a KID below 0 is as good as 0: the estimate has no bias, so that chance moves it to both sides"


def number(value: Any, decimals: int | None = None) -> str:
    """Return a number with three significant digits or the given decimals: 1,244 / 31.5 / 1.35 / 0.213; a dash if it is not finite."""
    finite_value = finite(value)
    if finite_value is None:
        return DASH
    if decimals is not None:
        return f"{finite_value:z,.{decimals}f}"
    size = abs(finite_value)
    if size >= 99.95:
        return f"{finite_value:,.0f}"
    if 0 < size < 0.0005:
        return f"{finite_value:.1e}"
    return f"{finite_value:z.{1 if size >= 9.995 else 2 if size >= 0.9995 else 3}f}"


def with_spread(value: Any, spread: Any, decimals: int | None = None) -> str:
    """Return a number and, if it is known, its spread, with the given decimals or as many more as the spread needs to be seen: "0.0004 ± 0.0002".

    Without a spread, the number itself is given as many.
    """
    known_spread = finite(spread)
    size = abs((finite(value) or 0.0) if known_spread is None else known_spread)
    if decimals is not None and size:
        decimals = max(decimals, min(_first_decimal(size), MAX_DECIMALS))
    text = number(value, decimals)
    return text if known_spread is None or text == DASH else f"{text} ± {number(spread, decimals)}"


def two_digits(value: float, decimals: int) -> str:
    """Return a number with the given decimals, or with as many more as two significant digits need: 0.375 is "0.38"."""
    return number(value, max(decimals, min(_first_decimal(abs(value)) + 1, MAX_DECIMALS)) if value else decimals)


def _first_decimal(size: float) -> int:
    """Return the place after the point of the first digit that is not 0."""
    return -math.floor(math.log10(size))


def share(value: float) -> str:
    """Return a share in per cent; only none at all is "0%", and only all is "100%": 0.004 is "<1%", 0.998 ">99%"."""
    text = f"{value:z.0%}"
    return "<1%" if text == "0%" and value > 0 else ">99%" if text == "100%" and value < 1 else text


def probability(p_value: float) -> str:
    """Return a p-value as a clause: "p = 0.08"; none is 0, so that the smallest are "p < 0.01"."""
    return "p < 0.01" if p_value < 0.01 else f"p = {p_value:.2f}"


def difference_and_noise(difference: float, noise: float, decimals: int | None = None) -> tuple[str, str]:
    """Return a difference and its noise as few digits as keep the larger one larger: 180 and 154 are "180" and "150", 62.2 alone is about "60".

    Args:
        difference: Not negative, finite.
        noise: Not negative, finite; a difference of as much is noise.
        decimals: As of `number`, for the difference; more are given where both would be printed alike.

    >>> difference_and_noise(180.0, 159.0, 0), difference_and_noise(14.4, 14.3, 0)
    (('180', '160'), ('14.4', '14.3'))
    """
    text = number(difference, decimals)
    spellings = [(text, few_digits(noise, digits)) for digits in (1, 2, 3)]
    spellings += [(number(difference, places), number(noise, places)) for places in range(decimals or 0, MAX_DECIMALS + 1)]
    return next((pair for pair in spellings if (_value_of(pair[0]) > _value_of(pair[1])) == (difference > noise)), spellings[-1])


def few_digits(value: float, digits: int) -> str:
    """Return an estimate with so many significant digits if it is above ten, else as `number` does: 62.2 is about 60."""
    places = math.floor(math.log10(value)) + 1 - digits if value >= 10 else 0
    return number(value) if value < 10 else f"{round(value, -places):,.{max(0, -places)}f}"


def _value_of(text: str) -> float:
    return math.nan if text == DASH else float(text.replace(",", ""))


def count(value: Any) -> str:
    """Return a large count with its unit: 947, 18.5 M, 1.24 G."""
    finite_value = finite(value)
    if finite_value is None:
        return DASH
    for unit, letter in ((1, ""), (1e3, " k"), (1e6, " M")):
        if abs(finite_value) / unit < 999.5:
            return f"{finite_value / unit:.3g}{letter}"
    return f"{finite_value / 1e9:.3g} G" if abs(finite_value) < 999.5e9 else f"{finite_value / 1e9:,.0f} G"


def duration(seconds: Any) -> str:
    """Return seconds for people: 4.8 s, 48 s, 4 min 12 s, 2 h 05 min."""
    finite_value = finite(seconds)
    if finite_value is None or finite_value < 0:
        return DASH
    if finite_value < 9.95:
        return f"{finite_value:.1f} s"
    return format_duration(round(finite_value))


def distance_name(extractor: Any) -> str:
    """Return FID for the FID Inception network, and FD (name) for any other."""
    name = str(extractor or "")
    if not name:
        return "FD"
    return "FID" if name == "inception" or name.startswith("inception@") else f"FD ({name})"


def printable(text: Any) -> str:
    """Return text that cannot control a terminal or mislead a reader.

    Control, format (bidirectional overrides), surrogate and private characters become visible escapes: a hostile file name stays one line.
    """
    text = str(text)
    return text if text.isprintable() else "".join(_visible(char) for char in text)  # a picture's address may have a million characters


def markdown_text(text: Any) -> str:
    """Return printable text in which nothing counts as Markdown or HTML."""
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
