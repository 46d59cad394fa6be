"""Which extractors may judge: never one whose network a critic looks through, because its figures would flatter what that critic taught."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

EQUAL_NETWORKS = {"timm:tf_efficientnet_lite0": "efficientnet-lite0"}
"""Extractors that are a critic's network by another name; weights in another file may be the same."""
INDEPENDENT_EXTRACTORS = {"mobilenet-v2": "efficientnet-lite0", "efficientnet-lite0": "mobilenet-v2"}
"""The extractor that may judge, for each network that a critic can look through."""


def network_of_extractor(extractor: str) -> str:
    """Return the name of an extractor's network: without its input size, and the critics' name of one that has two."""
    base = extractor.partition("@")[0]
    return EQUAL_NETWORKS.get(base, base)


def critic_networks(recipes: Iterable[Any]) -> frozenset[str]:
    """Return the networks that the critics of recipes look through.

    Args:
        recipes: As dictionaries, of cards that may come from anywhere; what is no recipe has no critic.
    """
    critics = [recipe.get("critic") for recipe in recipes if isinstance(recipe, Mapping)]
    return frozenset(str(critic.get("network")) for critic in critics if isinstance(critic, Mapping) and critic.get("kind") == "projected")


def independent_extractor(networks: Collection[str]) -> str | None:
    """Return an extractor that is none of the networks that critics look through; None if all of them are."""
    return next((other for name, other in INDEPENDENT_EXTRACTORS.items() if name in networks and other not in networks), None)
