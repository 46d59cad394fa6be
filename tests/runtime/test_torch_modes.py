"""Within a call there are torch's defaults, and after it the caller's modes and random numbers."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
import torch
from helpers.torch_modes import CALLERS_MODES, default_dtype

from mitlgan.runtime import torch_modes
from mitlgan.runtime.torch_modes import call_with_shared_defaults, torch_defaults


def modes() -> tuple[object, ...]:
    return (
        torch.get_default_device(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"),
        *shared_modes(),
    )  # fmt: skip


def shared_modes() -> tuple[object, ...]:
    return torch.get_default_dtype(), torch.get_deterministic_debug_mode()


DEFAULTS = (torch.device("cpu"), True, False, False)
SHARED_DEFAULTS = (torch.float32, 0)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    torch.set_deterministic_debug_mode("default")
    yield
    assert (torch_modes._shared._threads, torch_modes._shared._modes, torch_modes._shared._numbers) == ({}, {}, [])


@pytest.mark.parametrize("mode", CALLERS_MODES.values(), ids=CALLERS_MODES)
@pytest.mark.parametrize("is_error", [False, True])
def test_defaults_hold_within_and_the_callers_modes_after(mode: Callable[[], AbstractContextManager[object]], is_error: bool) -> None:
    def check() -> None:
        assert modes() == (*DEFAULTS, *SHARED_DEFAULTS)

    def nest() -> None:
        check()
        call_with_shared_defaults(check)
        check()
        if is_error:
            raise KeyError

    with mode():
        before, shared = modes(), shared_modes()
        assert before != (*DEFAULTS, *SHARED_DEFAULTS)
        with suppress(KeyError), torch_defaults():
            assert modes() == (*DEFAULTS, *shared), "what all threads share is left alone"
            with torch_defaults():
                assert modes() == (*DEFAULTS, *shared)
            call_with_shared_defaults(nest)
        assert modes() == before
    assert modes() == (*DEFAULTS, *SHARED_DEFAULTS)


def test_random_numbers_are_those_of_before() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    call_with_shared_defaults(lambda: torch.manual_seed(1))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("is_first_out_first", [False, True])
def test_what_all_threads_share_comes_back_when_the_last_call_ends(is_first_out_first: bool) -> None:
    first, second = object(), object()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with default_dtype(torch.float64):
        for call in (first, second):
            torch_modes._shared.begin(call)
        torch.manual_seed(1)
        torch_modes._shared.end(first if is_first_out_first else second)
        assert torch.get_default_dtype() == torch.float32
        torch.rand(5)
        torch_modes._shared.end(second if is_first_out_first else first)
    assert torch.equal(torch.rand(2), expected)


def test_a_mode_that_another_thread_changed_meanwhile_stays() -> None:
    with default_dtype(torch.bfloat16), default_dtype(torch.float64):
        call_with_shared_defaults(lambda: torch.set_default_dtype(torch.bfloat16))
        assert torch.get_default_dtype() == torch.bfloat16
        torch.set_default_dtype(torch.float64)


def interrupted_at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is interrupted after so many calls of it, once."""
    calls = iter(range(1000))

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        result = function(*args)
        if next(calls) == count:
            raise KeyboardInterrupt
        return result

    return call


@pytest.mark.parametrize("name", ["get_rng_state", "set_rng_state", "get_default_dtype", "set_default_dtype", "get_deterministic_debug_mode"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_interruption_anywhere_leaves_the_callers_modes(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    interrupted = interrupted_at(count, getattr(torch, name))
    shared = [tuple(interrupted if part is getattr(torch, name) else part for part in mode) for mode in torch_modes._SHARED_MODES]
    with default_dtype(torch.float64), monkeypatch.context() as patch:
        patch.setattr(torch_modes, "_SHARED_MODES", shared)
        if name.endswith("rng_state"):
            patch.setattr(torch, name, interrupted)
        with suppress(KeyboardInterrupt):
            call_with_shared_defaults(lambda: None)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("is_own", [False, True], ids=["of another thread", "of the thread that forks"])
def test_a_forked_child_has_the_modes_of_its_own_calls(is_own: bool) -> None:
    """A call of a thread that the child does not have has ended there, even if it held the lock; a loader's workers keep those of their training."""

    def dtype_in_child() -> int:
        if not (pid := os.fork()):
            is_float64 = torch.get_default_dtype() == torch.float64
            call_with_shared_defaults(lambda: None)
            os._exit(is_float64)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with default_dtype(torch.float64):
        if is_own:
            assert call_with_shared_defaults(dtype_in_child) == 0
        else:
            call = object()
            thread = threading.Thread(target=torch_modes._shared.begin, args=(call,))
            thread.start()
            thread.join()
            torch_modes._shared._threads[call] = -1  # else the next thread may be called the same
            with torch_modes._shared._lock:
                assert dtype_in_child() == 1
            torch_modes._shared.end(call)
