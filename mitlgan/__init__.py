"""mitlgan: compose generators.

Pretrain a foreground and a background image generator, freeze them, join them by a learnable fusion and a translator, and compare the result with a
plain WGAN. Each function is explained by its own docstring, with shapes, ranges, errors and an example.

    >>> import mitlgan
    >>> layers = mitlgan.split("photographs", "layers")  # doctest: +SKIP
    >>> fg = mitlgan.pretrain("fg", layers.fg, recipe="recommended/fg-32")  # doctest: +SKIP
    >>> bg = mitlgan.pretrain("bg", layers.bg, recipe="recommended/bg-32")  # doctest: +SKIP
    >>> scenes = mitlgan.compose({"fg": fg.artifact, "bg": bg.artifact}, layers.scene, recipe="recommended/compose-32")  # doctest: +SKIP
    >>> mitlgan.evaluate(scenes.artifact).metrics["kid"]  # doctest: +SKIP
    >>> images = scenes.load().sample([0, 1, 2])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitlgan.runtime.lazy import lazy_attributes
from mitlgan.version import __version__

if TYPE_CHECKING:
    from mitlgan.api.artifacts import export, load
    from mitlgan.api.editing import directions, interpolate, mix
    from mitlgan.api.measurements import compare, evaluate
    from mitlgan.api.photographs import split
    from mitlgan.api.pictures import animate, grid, sheet
    from mitlgan.api.trainings import compose, make, pretrain

__all__ = [
    "__version__",
    "animate",
    "compare",
    "compose",
    "directions",
    "evaluate",
    "export",
    "grid",
    "interpolate",
    "load",
    "make",
    "mix",
    "pretrain",
    "sheet",
    "split",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        **dict.fromkeys(("directions", "interpolate", "mix"), "mitlgan.api.editing"),
        **dict.fromkeys(("export", "load"), "mitlgan.api.artifacts"),
        **dict.fromkeys(("compare", "evaluate"), "mitlgan.api.measurements"),
        **dict.fromkeys(("compose", "make", "pretrain"), "mitlgan.api.trainings"),
        **dict.fromkeys(("animate", "grid", "sheet"), "mitlgan.api.pictures"),
        "split": "mitlgan.api.photographs",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
