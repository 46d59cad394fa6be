"""What a person sees: always on stderr, plain where there is no terminal."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mitlgan.runtime.progress import (
    UNBOUNDED_KIMG,
    BarReporter,
    PlainReporter,
    SilentReporter,
    format_duration,
    format_status,
    make_reporter,
    progress_logger,
)

STATUS: dict[str, Any] = {
    "state": "running", "kimg": 12.34, "target_kimg": 40.0, "images_per_s": 456.7, "critic_loss": -1.23456, "generator_loss": 0.5, "eta_s": 200.0,
    "collapsed_at_kimg": None,
}  # fmt: skip


def test_a_state_has_clock_speed_losses_and_time_left() -> None:
    assert format_status(STATUS) == "12.3/40 kimg, 457 images/s, critic -1.235, generator +0.500, 3 min 20 s left"


def test_a_collapse_and_an_end_are_told() -> None:
    line = format_status({**STATUS, "collapsed_at_kimg": 3.04, "state": "stopped"})
    assert line == "12.3/40 kimg, 457 images/s, critic -1.235, generator +0.500, COLLAPSED at 3.0 kimg, stopped"


def test_a_state_before_the_first_numbers_is_short() -> None:
    empty = {"state": "running", "kimg": 0.0, "target_kimg": 0.5, "images_per_s": 0.0, "critic_loss": None, "generator_loss": None, "eta_s": None}
    assert format_status(empty) == "0.0/0.5 kimg"
    assert format_status({}) == "0.0/0 kimg"
    assert format_status({"kimg": 0.032, "target_kimg": 0.5}) == "0.032/0.5 kimg"  # a tenth would be none
    assert format_status({"kimg": 1.25, "target_kimg": UNBOUNDED_KIMG}) == "1.2 kimg"  # a clock ends it


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (45.4, "45 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3599.6, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_plain_lines_come_now_and_then_and_once_at_the_end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("mitlgan.runtime.progress.time.monotonic", lambda: clock[0])
    reporter = PlainReporter("pretrain fg", interval_s=10.0)
    for seconds in (0, 9, 10, 19, 20):
        clock[0] = 100.0 + seconds
        reporter.update({**STATUS, "kimg": seconds})
    reporter.update({**STATUS, "kimg": 40.0, "state": "done"})
    reporter.update({**STATUS, "kimg": 40.0, "state": "done"})
    reporter.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split("/")[0] for line in captured.err.splitlines()] == [f"pretrain fg: {kimg}" for kimg in ("0.0", "10.0", "20.0", "40.0")]
    assert captured.err.endswith("done\n")


def test_silent_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    reporter = SilentReporter()
    reporter.say("x")
    reporter.update(STATUS)
    reporter.close()
    assert capfd.readouterr() == ("", "")


def test_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_reporter("x"), PlainReporter)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    reporter = make_reporter("x")
    assert isinstance(reporter, BarReporter)
    reporter.close()


def test_a_bar_shows_all_and_markup_as_it_is_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # too narrow for one line
    reporter = BarReporter("resume [red]")
    reporter.say("warning: /data/[bold]x[/bold]")
    reporter.update({**STATUS, "collapsed_at_kimg": 3.04})
    reporter.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "warning: /data/[bold]x[/bold]" in captured.err
    assert "resume [red]" in captured.err
    assert "elapsed" in captured.err
    for word in format_status({**STATUS, "collapsed_at_kimg": 3.04}).split():
        assert word in captured.err


def test_counted_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 10.5, 11.0, 21.0])
    monkeypatch.setattr("mitlgan.runtime.progress.time.monotonic", lambda: next(clock))
    messages: list[str] = []
    log = progress_logger("reading", messages.append, 10.0)
    for done in (1, 2, 3, 4):
        log(done, 9)
    assert messages == ["reading: 2 of 9, 37 s left", "reading: 4 of 9, 26 s left"]


@pytest.mark.parametrize("value", ["much", [1], {"a": 1}, float("nan"), float("inf"), 10**400, True, None])
def test_a_hostile_status_is_shown_without_its_numbers(value: object) -> None:
    keys = ("kimg", "target_kimg", "images_per_s", "critic_loss", "generator_loss", "eta_s")
    assert format_status(dict.fromkeys(keys, value) | {"state": "running"}) == "0.0/0 kimg"
    if value is not None:
        line = format_status({"diverged_at_kimg": value, "collapsed_at_kimg": value})
        assert line == "0.0/0 kimg, DIVERGED at an unknown time, COLLAPSED at an unknown time"


@pytest.mark.parametrize("label", ["fg", "pretrain fg", "baseline+pretraining wgan-tuned, seed 3"])
def test_a_line_of_progress_fits_80_columns_and_keeps_the_time_left(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = {**STATUS, "kimg": 1234.5, "target_kimg": 4000.0, "critic_loss": -123.456, "generator_loss": 9876.5, "eta_s": 80_000.0}
    PlainReporter(label).update(status)
    line = capsys.readouterr().err.rstrip("\n")
    assert len(line) <= 80
    assert line.endswith("22 h 13 min left")
    assert "1234.5/4000 kimg" in line


def test_progress_of_pictures_says_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    clock = iter([0.0, 30.0, 60.0])
    monkeypatch.setattr("mitlgan.runtime.progress.time.monotonic", lambda: next(clock))
    callback = progress_logger("cut", lines.append)
    callback(50, 200)
    callback(200, 200)
    assert lines == ["cut: 50 of 200, 1 min 30 s left", "cut: 200 of 200"]
