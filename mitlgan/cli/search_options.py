"""Options of the commands that search latents, and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mitlgan.inversion import InversionSettings

Seconds = Annotated[float, typer.Option("--seconds", metavar="S", help="Maximum time per picture, seconds, 0.1 to 1,000,000.")]
OPTION_NAMES = {"attempts": "max-attempts", "goal-db": "goal"}
"""Options that are called otherwise than their setting."""


def search_settings(**values: Any) -> InversionSettings:
    """Return the settings of a search.

    Raises:
        UsageError: See `InversionSettings`; the message begins with the option.
    """
    from mitlgan.errors import UsageError
    from mitlgan.inversion import InversionSettings

    try:
        return InversionSettings(**values)
    except UsageError as error:
        name, _, reason = str(error).partition(": ")
        raise UsageError(f"--{OPTION_NAMES.get(name, name)}: {reason}") from None
