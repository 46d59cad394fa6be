"""Packages whose names are imported when they are first asked for: `import mitlgan` and every `--help` would wait seconds for torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_attributes(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562), which imports a name from its home and keeps it.

    Args:
        package: Its `__name__`.
        homes: The module where each name is defined, with `:NAME` after it where it has another name there.
    """

    def found(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = homes[name].partition(":")
        value = getattr(import_module(module), attribute or name)
        setattr(sys.modules[package], name, value)
        return value

    return found
