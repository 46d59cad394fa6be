"""Errors are one printable line with an exit code."""

from __future__ import annotations

import pytest

from mitlgan import errors
from mitlgan.errors import MitlganError, Stopped


def test_exit_codes() -> None:
    codes = {name: value.exit_code for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, MitlganError)}
    assert codes == {
        "MitlganError": 1, "UsageError": 2, "DataError": 3, "ArtifactError": 4, "ResourceError": 5, "NanError": 6,
        "DivergedError": 6, "Stopped": 1,
    }  # fmt: skip
    assert [Stopped("saved", number).exit_code for number in (2, 15)] == [130, 143]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("plain, with é and 図", "plain, with é and 図"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("not UTF-8: \udcff", r"not UTF-8: \udcff"),
        ("turned \u202e around, \u2028 broken", r"turned \u202e around, \u2028 broken"),
        ("[red]<script>", "[red]<script>"),
        ("", ""),
    ],
)
def test_row_25_whatever_a_name_holds_the_message_is_one_printable_line(message: str, shown: str) -> None:
    assert str(MitlganError(message)) == shown
    assert str(Stopped(message, 2)) == shown


def test_a_very_long_message_keeps_its_begin_and_end() -> None:
    message = str(MitlganError(f"begin {'x' * 10**6} end"))
    assert message.startswith("begin ")
    assert message.endswith(" end")
    assert len(message) < 2100
