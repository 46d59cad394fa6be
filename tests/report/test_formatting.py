"""Numbers in words and tables: none is rounded to a statement that is false."""

from __future__ import annotations

import math
from itertools import product

import pytest

from mitlgan.report.formatting import DASH, difference_and_noise, number, share, two_digits, with_spread


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


@pytest.mark.parametrize(
    ("difference", "noise", "decimals", "texts"),
    [
        (180.0, 159.0, 0, ("180", "160")),
        (138.0, 139.9, 0, ("138", "140")),
        (14.6, 14.73, 0, ("15", "15")),
        (90.0, 62.2, 0, ("90", "60")),
        (1000.0, 149.0, 0, ("1,000", "100")),
    ],
)
def test_noise_has_as_few_digits_as_keep_its_side(difference: float, noise: float, decimals: int | None, texts: tuple[str, str]) -> None:
    assert difference_and_noise(difference, noise, decimals) == texts


def test_a_printed_noise_never_contradicts_its_difference() -> None:
    values = [0.0, 0.00012, 0.2134, 0.2136, 1.0, 9.996, 14.3, 14.4, 15.4, 154.6, 180.0, 1499.0, 1501.0]
    for difference, noise, decimals in product(values, values, (0, None)):
        first, second = (float(text.replace(",", "")) for text in difference_and_noise(difference, noise, decimals))
        assert (first > second) == (difference > noise), (difference, noise)
