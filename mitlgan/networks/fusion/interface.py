"""What a fusion takes, returns and answers about itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mitlgan.networks.placement import EffectStrengths, LayerTransform

if TYPE_CHECKING:
    from mitlgan.recipe import PlacementRecipe

BACKGROUND = "bg"
CONCATENATION = "concatenation"
"""Of the layers' channels, as in the thesis."""


@dataclass(frozen=True)
class LayerSpec:
    """Properties of a layer that a fusion needs before it is built.

    Attributes:
        channels: Channels of its image.
        features: Channels of each intermediate activation of its generator, for a fusion that `may_need_features`.
    """

    channels: int
    features: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class FusionInput:
    """Input of a fusion.

    Attributes:
        images: By layer, (N, C, H, W) in [-1, 1].
        features: Activations of the generators by layer, (N, C, h, w) each; only if the fusion `needs_features`.
        placement_latent: (N, `placement_dim`).
        transforms: Transforms of layers, which replace those drawn from the latent.
        kimg: Training so far.
        strengths: Opacity and harmonization to apply; None: in full.
    """

    images: Mapping[str, Tensor]
    features: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    placement_latent: Tensor | None = None
    transforms: Mapping[str, LayerTransform] = field(default_factory=dict)
    kimg: float = 0.0
    strengths: EffectStrengths | None = None


@dataclass(frozen=True, eq=False)
class FusionOutput:
    """Output of a fusion.

    Attributes:
        image: (N, 3, H, W).
        matte: Opacity of all layers in front of the background together, (N, 1, H, W) in [0, 1], if the fusion has mattes.
        placed: Each of those layers after its transform, (N, 4, H, W) in [-1, 1], premultiplied RGB and alpha.
        transforms: Transform of each layer that was moved.
        loss: Regularization of learned mattes, in training.
    """

    image: Tensor
    matte: Tensor | None = None
    placed: Mapping[str, Tensor] = field(default_factory=dict)
    transforms: Mapping[str, LayerTransform] = field(default_factory=dict)
    loss: Tensor | None = None


class Fusion(nn.Module):
    """N layers to one image.

    Attributes:
        needs_features: Whether it reads the generators' activations.
        placement_dim: Length of the latent that places the layers; 0 without placement.
        order: Layers, from back to front if the fusion has such an order.
        movable_layers: Layers that accept a transform.
        has_harmonizer: Whether layers' colors follow what is behind them, or a learned mixture.
        antialias: Whether layers at less than half their size are filtered.
        joint: How the layers come together, in a word.
    """

    needs_features: bool = False
    placement_dim: int = 0
    order: tuple[str, ...]
    movable_layers: tuple[str, ...] = ()
    has_harmonizer: bool = False
    antialias: bool = False
    joint: str = "blending by mattes"

    @abstractmethod
    def __init__(self, recipe: Any, layers: Mapping[str, LayerSpec], size_px: int, placement: PlacementRecipe | None) -> None:
        super().__init__()

    @staticmethod
    def may_need_features(recipe: Any) -> bool:
        """Whether a fusion of this recipe may read the generators' activations."""
        return False

    @staticmethod
    def check(recipe: Any, layers: Mapping[str, LayerSpec]) -> None:
        """Refuse layers that the fusion cannot take, before anything is built; by default it takes any.

        Raises:
            UsageError: One line that begins with the recipe's key.
        """

    @abstractmethod
    def forward(self, inputs: FusionInput) -> FusionOutput:
        """Fuse the layers."""

    if TYPE_CHECKING:

        def __call__(self, inputs: FusionInput) -> FusionOutput:
            """Return what `forward` does; torch's own is untyped."""
            ...


def back_to_front(order: Sequence[str] | None, layers: Mapping[str, object]) -> tuple[str, ...]:
    """Return the layers from back to front: the recipe's order, else `bg` first and the others as they are given."""
    if order is not None:
        return tuple(order)
    return tuple(sorted(layers, key=lambda name: name != BACKGROUND))  # sorting is stable
