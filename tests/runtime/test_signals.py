"""Signals become a wish to stop; a second interrupt is at once."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mitlgan.runtime import signals as runtime_signals
from mitlgan.runtime.signals import STOP_SIGNALS, HeldSignals, StopSignals, TerminationInterrupt, TerminationSignals


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_is_remembered_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert signals.received is None
        os.kill(os.getpid(), number)
        assert signals.received == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_is_at_once_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopSignals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_termination_and_one_after_an_interrupt_wait_for_the_save() -> None:
    """Schedulers send SIGTERM more than once, and a saving process must not die of it."""
    with StopSignals() as signals:
        for number in (signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert signals.received == signal.SIGTERM


def test_an_interrupt_by_hand_ends_what_a_termination_asked_for() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    states = []

    def work() -> None:
        with StopSignals() as signals:
            states.append((signals.received, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert states == [(None, before)]


@pytest.mark.parametrize("make", [StopSignals, TerminationSignals])
def test_a_hangup_that_is_ignored_stays_ignored(make: Callable[[], StopSignals | TerminationSignals]) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with make() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.received is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_ends_work_as_an_interrupt_does(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(number)
    with TerminationSignals() as signals:
        with pytest.raises(KeyboardInterrupt) as raised:
            os.kill(os.getpid(), number)
        assert isinstance(raised.value, TerminationInterrupt)
        assert (raised.value.exit_code, signals.received) == (128 + number, number)
        os.kill(os.getpid(), number)  # while what was begun is removed
        monkeypatch.setattr(runtime_signals, "CLEANUP_S", -1.0)
        with pytest.raises(TerminationInterrupt):  # what does not end is not beyond all signals
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_training_within_a_command_saves_at_a_termination() -> None:
    with TerminationSignals() as outer:
        handler = signal.getsignal(signal.SIGTERM)
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert (signals.received, outer.received) == (signal.SIGTERM, None)
        assert signal.getsignal(signal.SIGTERM) == handler


def test_a_server_keeps_the_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with TerminationSignals(is_active=False):
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_held_signals_come_once_at_the_end(number: signal.Signals) -> None:
    done: list[str] = []
    before = [signal.getsignal(one) for one in STOP_SIGNALS]

    def work() -> None:
        for step in ("first", "second"):
            signal.raise_signal(number)
            done.append(step)

    with TerminationSignals(), pytest.raises(KeyboardInterrupt), HeldSignals():
        work()
    assert done == ["first", "second"]
    assert [signal.getsignal(one) for one in STOP_SIGNALS] == before
    with HeldSignals():
        pass


def test_an_interrupt_while_handlers_are_exchanged_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another signal that raises meanwhile leaves a handler of a context that is over, or never began: it passes signals on."""
    before = signal.getsignal(signal.SIGINT)
    held = HeldSignals()
    held.__enter__()
    with monkeypatch.context() as patch:

        def interrupted(number: int, handler: object) -> None:
            raise TerminationInterrupt(signal.SIGTERM)

        patch.setattr(signal, "signal", interrupted)
        with pytest.raises(TerminationInterrupt):
            held.__exit__(None, None, None)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        for number, handler in held._previous.items():
            signal.signal(number, handler)


def test_a_process_that_ends_ignores_signals() -> None:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        with TerminationSignals() as signals:
            signals.ignore_from_now_on()
        for number in STOP_SIGNALS:
            signal.raise_signal(number)
            with HeldSignals():
                signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminationInterrupt)])
def test_a_signal_during_an_import_waits_for_its_end(
    number: signal.Signals, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A native library that imports another goes on without it, and without the interrupt, if that raises anything."""
    name = f"module_that_gets_{number.name.lower()}"
    lines = ["import os", "try:", f"    os.kill(os.getpid(), {int(number)})", "    is_whole = True", "except BaseException:", "    is_whole = False"]
    (tmp_path / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def import_and_wait() -> None:
        modules.append(importlib.import_module(name))
        time.sleep(10 * runtime_signals.RETRY_S)

    with TerminationSignals() as signals:
        with pytest.raises(error):
            import_and_wait()
        assert signals.received == (None if number == signal.SIGINT else number)
    assert modules[0].is_whole


def test_an_import_without_an_end_is_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime_signals, "MAX_DEFERRED_S", 3 * runtime_signals.RETRY_S)
    lines = ["import os, signal, time", "os.kill(os.getpid(), signal.SIGTERM)", "time.sleep(60)"]
    (tmp_path / "module_without_an_end.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    begun_s = time.monotonic()
    with TerminationSignals(), pytest.raises(TerminationInterrupt):
        importlib.import_module("module_without_an_end")
    assert time.monotonic() - begun_s < 30


def test_an_ignored_interrupt_stays_ignored() -> None:
    """A shell script's background commands ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with TerminationSignals():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
