"""Modes of torch that a caller may be in, each as a context."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype, "the caller's comes back"
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.set_deterministic_debug_mode("warn")
    try:
        yield
        assert torch.is_deterministic_algorithms_warn_only_enabled(), "the caller's comes back"
    finally:
        torch.set_deterministic_debug_mode("default")


CALLERS_MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "a device": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic,
}


@contextmanager
def every_mode() -> Iterator[None]:
    """All of them at a time, with float64."""
    with ExitStack() as modes:
        for name, mode in CALLERS_MODES.items():
            if name != "bfloat16":
                modes.enter_context(mode())
        yield
