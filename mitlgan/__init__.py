"""mitlgan: compose generators.

Pretrain a foreground and a background image generator, freeze them, join them by a learnable fusion and a translator, and compare the result with a
plain WGAN.

    >>> import mitlgan
    >>> generator = mitlgan.load("runs/pretrain/demo-fg-001/generator.safetensors")  # doctest: +SKIP
    >>> images = generator.sample([0, 1, 2])  # doctest: +SKIP
    >>> frames = mitlgan.interpolate(generator, [0, 1], frames=24)  # doctest: +SKIP
    >>> child = mitlgan.mix(generator, 0, 1).stages.output  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mitlgan.version import __version__

if TYPE_CHECKING:
    from mitlgan.explore import directions, interpolate, mix
    from mitlgan.exports import export
    from mitlgan.sample import load

__all__ = ["__version__", "directions", "export", "interpolate", "load", "mix"]

HOMES = {
    "load": "mitlgan.sample",
    "interpolate": "mitlgan.explore",
    "mix": "mitlgan.explore",
    "directions": "mitlgan.explore",
    "export": "mitlgan.exports",
}
"""Where each function lives; it is imported when it is first asked for, so that `import mitlgan` loads no torch."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'mitlgan' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
