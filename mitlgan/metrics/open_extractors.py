"""Opens the extractors of an evaluation: those that a user names, or those of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.networks.feature_networks.spec import AbsentWeightsError
from mitlgan.runtime.progress import Say


def open_extractors(protocol: EvalProtocol, names: Sequence[str], *, weights: Path | None = None, device: str = "cpu") -> dict[str, Extractor]:
    """Open several extractors, by name, in the order of `names`.

    Args:
        protocol: Its resize filter is used.
        names: At least one name.
        weights: Weights file of the first extractor.
        device: Where the extractors run.

    Raises:
        UsageError: Two names mean the same extractor, or weights are missing or wrong.
    """
    extractors = {}
    for index, name in enumerate(names):
        extractors[name] = replace(protocol, extractor=name).open_extractor(weights=weights if index == 0 else None, device=device)
    if len({extractor.name for extractor in extractors.values()}) < len(names):
        raise UsageError(f"--extractor {', '.join(names)}: one of them is named twice; give each once")
    return extractors


def open_recipe_extractors(
    protocol: EvalProtocol, names: Sequence[str], *, weights: Path | None = None, device: str = "cpu", say: Say
) -> dict[str, Extractor]:
    """Open the extractors that a recipe names, as `open_extractors` does it; but one after the first whose weights are absent is left out.

    Nobody asked for it on this machine, and the first decides. Networks that a user names go through `open_extractors`.

    Args:
        protocol: Its resize filter is used.
        names: At least one name.
        weights: Weights file of the first extractor.
        device: Where the extractors run.
        say: Shows a line for each that is left out.

    Raises:
        UsageError: As `open_extractors`.
    """
    extractors = open_extractors(protocol, names[:1], weights=weights, device=device)
    for name in names[1:]:
        try:
            extractors |= open_extractors(protocol, [name], device=device)
        except AbsentWeightsError as error:
            say(f"measured without the recipe's {name}: {str(error).partition(': ')[2]}")
    return extractors
