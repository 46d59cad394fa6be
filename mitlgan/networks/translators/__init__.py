"""Translators: image to image, after fusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from mitlgan.networks.translators.dense import build_dense
from mitlgan.networks.translators.densenet import build_densenet
from mitlgan.networks.translators.encoder_decoder import check_translator
from mitlgan.networks.translators.guided import build_guided
from mitlgan.networks.translators.resnet import build_resnet

if TYPE_CHECKING:
    from mitlgan.recipe import NoTranslatorRecipe

__all__ = ["TRANSLATORS", "build_none", "check_translator"]


def build_none(recipe: NoTranslatorRecipe, size_px: int, image_channels: int) -> nn.Module:
    """Leave the fused image as it is.

    Args:
        recipe: Has nothing to say.
        size_px: Any.
        image_channels: Any.
    """
    return nn.Identity()


TRANSLATORS: dict[str, Callable[[Any, int, int], nn.Module]] = {
    "dense": build_dense,
    "resnet": build_resnet,
    "densenet": build_densenet,
    "light": build_guided,
    "none": build_none,
}
