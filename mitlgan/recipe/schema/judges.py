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


def critic_networks(recipes: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the networks that the critics of recipes look through, the recipes given as dictionaries."""
    critics = [recipe.get("critic") or {} for recipe in recipes]
    return frozenset(str(critic.get("network")) for critic in critics if critic.get("kind") == "projected")


def independent_extractor(networks: Collection[str]) -> str | None:
    """Return an extractor that is none of the networks that critics look through; None if all of them are."""
    return next((INDEPENDENT_EXTRACTORS[name] for name in sorted(networks) if INDEPENDENT_EXTRACTORS[name] not in networks), None)
