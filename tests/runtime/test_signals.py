"""Signals become a wish to stop; a second interrupt is at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from mitlgan.runtime.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
