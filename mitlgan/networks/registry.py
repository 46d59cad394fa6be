"""The registries of networks; each network's file registers its builder for the schema of its recipe table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from mitlgan.recipe.registry import Registry

if TYPE_CHECKING:
    from mitlgan.networks.blocks import Critic, Generator
    from mitlgan.networks.fusion.interface import Fusion

GENERATORS: Registry[Callable[[Any, int], Generator]] = Registry("mitlgan.networks.generators", "generator.kind")
"""Builders by recipe and size in pixels."""
CRITICS: Registry[Callable[[Any, int], Critic]] = Registry("mitlgan.networks.critics", "critic.kind")
"""Builders by recipe and size in pixels."""
FUSIONS: Registry[type[Fusion]] = Registry("mitlgan.networks.fusion", "composer.fusion.kind")
TRANSLATORS: Registry[Callable[[Any, int], nn.Module]] = Registry("mitlgan.networks.translators", "composer.translator.kind")
"""Builders by recipe and number of image channels."""
