"""Colors on the command line."""

from __future__ import annotations

from PIL import ImageColor

from mitlgan.errors import UsageError


def parse_color(option: str, text: str) -> tuple[int, int, int]:
    """Return red, green and blue, each 0 to 255, of a name (`white`) or `#rrggbb`.

    Raises:
        UsageError: The text names no color.
    """
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise UsageError(f"{option} {text}: no colour; give a name such as white, or #rrggbb") from None
    return red, green, blue
