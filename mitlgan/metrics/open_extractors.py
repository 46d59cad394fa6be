"""Opens the extractors of an evaluation: those that a user names, or those of a recipe."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.networks.feature_networks.spec import AbsentWeightsError
from mitlgan.recipe.schema.judges import independent_extractor, network_of_extractor
from mitlgan.runtime.progress import Say


class DependentExtractorError(UsageError):
    """An extractor cannot judge, because a critic of what is measured looks through its network."""


def require_independent(extractor: str, critic_networks: Collection[str]) -> None:
    """Refuse an extractor whose network taught what is measured: its figures could not be compared with any others.

    Args:
        extractor: Its name.
        critic_networks: Networks that the critics of what is measured look through, such as those of `Card.critic_networks`.

    Raises:
        DependentExtractorError: One line that says which extractor can judge.
    """
    if network_of_extractor(extractor) in critic_networks:
        other = independent_extractor(critic_networks) or "inception"
        raise DependentExtractorError(
            f"--extractor {extractor}: cannot judge, because a critic looked through this network in training, and figures by it would flatter what "
            f"that critic taught; name another, such as --extractor {other}"
        )


def open_extractors(
    protocol: EvalProtocol, names: Sequence[str], *, weights: Path | None = None, device: str = "cpu", critic_networks: Collection[str] = ()
) -> dict[str, Extractor]:
    """Open several extractors, by name, in the order of `names`.

    Args:
        protocol: Its resize filter is used.
        names: At least one name.
        weights: Weights file of the first extractor.
        device: Where the extractors run.
        critic_networks: Networks that the critics of what is measured look through; see `require_independent`.

    Raises:
        UsageError: Two names mean the same extractor, one cannot judge, or weights are missing or wrong.
    """
    for name in names:
        require_independent(name, critic_networks)
    extractors = {}
    for index, name in enumerate(names):
        extractors[name] = replace(protocol, extractor=name).open_extractor(weights=weights if index == 0 else None, device=device)
    if len({extractor.name for extractor in extractors.values()}) < len(names):
        raise UsageError(f"--extractor {', '.join(names)}: one of them is named twice; give each once")
    return extractors


def open_recipe_extractors(
    protocol: EvalProtocol,
    names: Sequence[str],
    *,
    weights: Path | None = None,
    device: str = "cpu",
    critic_networks: Collection[str] = (),
    say: Say,
) -> dict[str, Extractor]:
    """Open the extractors that a recipe names, as `open_extractors` does it; but one after the first that cannot judge here is left out.

    Its weights are absent, or a critic looks through it. Nobody asked for it on this machine, and the first decides. Networks that a user names go
    through `open_extractors`.

    Args:
        protocol: Its resize filter is used.
        names: At least one name.
        weights: Weights file of the first extractor.
        device: Where the extractors run.
        critic_networks: As of `open_extractors`.
        say: Shows a line for each that is left out.

    Raises:
        UsageError: As `open_extractors`.
    """
    extractors = open_extractors(protocol, names[:1], weights=weights, device=device, critic_networks=critic_networks)
    for name in names[1:]:
        try:
            extractors |= open_extractors(protocol, [name], device=device, critic_networks=critic_networks)
        except (AbsentWeightsError, DependentExtractorError) as error:
            say(f"measured without the recipe's {name}: {str(error).partition(': ')[2]}")
    return extractors
