"""Numbers in words and tables: none is rounded to a statement that is false."""

from __future__ import annotations

import math

import pytest

from mitlgan.report.formatting import DASH, number, share, two_digits, with_spread


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (1.352, 0.08, "1.352 ± 0.080"),
        (0.004, 0.001, "0.004 ± 0.001"),
        (0.0004, 0.0002, "0.0004 ± 0.0002"),
        (-0.003, 0.00096, "-0.0030 ± 0.0010"),
        (-0.0001, 0.004, "0.000 ± 0.004"),
        (0.0004, None, "0.0004"),
        (-0.0004, None, "-0.0004"),
        (1.2, 0.0, "1.200 ± 0.000"),
        (0.0, 0.0, "0.000 ± 0.000"),
        (-1e-17, 0.0, "0.000 ± 0.000"),
        (0.5, math.nan, "0.500"),
        (math.nan, 0.1, DASH),
        (None, 0.1, DASH),
    ],
)
def test_a_number_has_as_many_digits_as_its_spread_needs(value: float | None, spread: float | None, text: str) -> None:
    assert with_spread(value, spread, 3) == text


@pytest.mark.parametrize("decimals", [0, 1, 3, None])
@pytest.mark.parametrize("value", [-0.0, 0.0])
def test_zero_has_no_sign(value: float, decimals: int | None) -> None:
    assert number(value, decimals) == number(0, decimals)
    assert "-" not in number(value, decimals)


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert [number(-0.0004, 3), number(-0.4, 0), number(-0.0006, 3), share(-0.004)] == ["0.000", "0", "-0.001", "0%"]


@pytest.mark.parametrize(
    ("value", "decimals", "text"), [(0.375, 0, "0.38"), (12.3, 0, "12"), (1234, 0, "1,234"), (3.0, 1, "3.0"), (0.0044, 2, "0.0044"), (0, 1, "0.0")]
)
def test_small_numbers_keep_two_digits(value: float, decimals: int, text: str) -> None:
    assert two_digits(value, decimals) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0%"), (0.005, "<1%"), (0.01, "1%"), (0.995, ">99%"), (1, "100%"), (1.001, "100%"), (-1.07, "-107%")])
def test_only_none_and_all_are_none_and_all(value: float, text: str) -> None:
    assert share(value) == text
