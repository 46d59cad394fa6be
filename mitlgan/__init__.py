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

from typing import TYPE_CHECKING

from mitlgan.runtime.lazy import lazy_attributes
from mitlgan.version import __version__

if TYPE_CHECKING:
    from mitlgan.artifacts.export import export_artifact as export
    from mitlgan.artifacts.loaded_artifact import load_artifact as load
    from mitlgan.editing import directions, interpolate, mix

__all__ = ["__version__", "directions", "export", "interpolate", "load", "mix"]

__getattr__ = lazy_attributes(
    __name__,
    {
        "load": "mitlgan.artifacts.loaded_artifact:load_artifact",
        **dict.fromkeys(("directions", "interpolate", "mix"), "mitlgan.editing"),
        "export": "mitlgan.artifacts.export:export_artifact",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
