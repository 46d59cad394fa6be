"""Errors are one printable line with an exit code."""

from __future__ import annotations

import pickle

import pytest

from mitlgan import errors
from mitlgan.artifacts.markdown_card import escape_markdown
from mitlgan.cli.output import log, print_result
from mitlgan.errors import MitlganError, ShortageError, Stopped, UnwritableError, to_terminal_text
from mitlgan.runtime.progress import PlainReporter, format_status

EXAMPLES = {
    ShortageError: ShortageError("picture 'a': no memory", "free some", is_memory=True), Stopped: Stopped("saved", 15),
    UnwritableError: UnwritableError("runs: a link"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MitlganError)])
def test_every_error_crosses_from_a_worker_process_whole(kind: type[MitlganError]) -> None:
    """One that does not looks like a worker that was killed."""
    error = EXAMPLES[kind] if kind in EXAMPLES else kind("wrong")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.exit_code, vars(copy)) == (str(error), error.exit_code, vars(error))


def test_exit_codes() -> None:
    codes = {name: value.exit_code for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, MitlganError)}
    assert codes == {
        "MitlganError": 1, "UsageError": 2, "DataError": 3, "ArtifactError": 4, "ResourceError": 5, "ShortageError": 5, "NanError": 6,
        "DivergedError": 6, "Stopped": 1, "UnwritableError": 5, "UnknownPicturesError": 4,
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


HOSTILE = "a\x1b[2J\x07\u202eb\x9b\udcff\u2028\r"
SHOWN = r"a\x1b[2J\x07\u202eb\x9b\udcff\u2028\r"


def test_what_is_printed_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and columns stay as they are meant."""
    assert to_terminal_text(f"one\n\ttwo\u00a0{HOSTILE}") == f"one\n\ttwo\u00a0{SHOWN}"
    log(HOSTILE)
    PlainReporter("x").say(HOSTILE)
    print_result(False, {}, HOSTILE)
    told = capsys.readouterr()
    assert (told.err, told.out) == (f"{SHOWN}\n{SHOWN}\n", f"{SHOWN}\n")
    assert SHOWN in format_status({"state": HOSTILE})
    assert "\n" not in format_status({"state": "a\nb"})
    assert not set(escape_markdown(HOSTILE)) & set("\x1b\u202e\x9b")
