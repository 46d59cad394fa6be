"""The composer: frozen generators, fusion, translator (thesis, Table 7.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn

from mitlgan.networks.adapters import FeatureAffineAdapter
from mitlgan.networks.blocks import Generator
from mitlgan.networks.fusion.fusions import Fusion, FusionInput, FusionOutput
from mitlgan.networks.placement import EffectStrengths, LayerTransform
from mitlgan.networks.resample import resize_image
from mitlgan.networks.translators.bounded_residual import BoundedResidual

Latents = Tensor | Mapping[str, Tensor]
PLACEMENT_LATENT = "place"
"""The latent that places layers, beside those of the generators."""


@dataclass(frozen=True, eq=False)
class CompositionStages:
    """Every stage of one composition.

    Attributes:
        layers: Image of each frozen generator, by layer name, (N, C, H, W) in [-1, 1].
        fused: What the fusion made of them, (N, 3, H, W).
        matte: Per-pixel opacity (N, 1, H, W) in [0, 1], if the fusion makes one.
        output: The composed image, (N, 3, H, W).
        placed: Each layer before the backmost where it stands, premultiplied RGB and opacity, (N, 4, H, W) in [-1, 1], if the fusion makes mattes.
        stands: Where each of them stands, of those that were moved.
    """

    layers: dict[str, Tensor]
    fused: Tensor
    matte: Tensor | None
    output: Tensor
    placed: Mapping[str, Tensor] = field(default_factory=dict)
    transforms: Mapping[str, LayerTransform] = field(default_factory=dict)

    def image(self, index: int) -> CompositionStages:
        """Every stage of one image, (1, C, H, W)."""
        return self.images(slice(index, index + 1))

    def images(self, chosen: slice) -> CompositionStages:
        """Every stage of some of the images."""
        return CompositionStages(
            layers={name: image[chosen] for name, image in self.layers.items()},
            fused=self.fused[chosen],
            matte=None if self.matte is None else self.matte[chosen],
            output=self.output[chosen],
            placed={name: image[chosen] for name, image in self.placed.items()},
            transforms={name: LayerTransform(*(number[chosen] for number in stand)) for name, stand in self.transforms.items()},
        )


class FrozenGenerators(nn.ModuleDict):
    """Generators that nothing can train: no gradient, no graph, and eval mode, so that BatchNorm's statistics do not move.

    Called with latents it gives every stage of the composer that it belongs to. So `composer.layers` is both this table, under whose name
    the state's keys and `get_submodule` find the generators, and the method that everything reads.

    Args:
        generators: By layer name, in the order of their latents.
        compose: The composer's own way from latents to stages.
        adapters: The composer's table of what it learned about them, by layer name; a layer may have none.
        size_px: Height and width of the composition.
        resample: How images of another size get it; see `resample.resampled`.
    """

    def __init__(
        self,
        generators: Mapping[str, Generator],
        compose: Callable[..., CompositionStages],
        adapters: nn.ModuleDict,
        size_px: int,
        resample: str | None,
    ) -> None:
        super().__init__(dict(generators))
        self._compose = compose
        self._adapters = [adapters]  # in a list: they are the composer's, and their names in its state are there
        self._size_px = size_px
        self._resample = resample
        self.requires_grad_()
        self.eval()

    def images(self, latents: Mapping[str, Tensor], *, through: bool = False) -> dict[str, Tensor]:
        """Image of each generator at the composition's size, by layer name, outside of the graph unless gradients go `through` to the latents."""
        with _grad_context(through):
            return {name: self.image(name, latents[name]) for name in self}

    def image(self, name: str, z: Tensor) -> Tensor:
        """Image of one generator at the composition's size, with gradients to its latents (N, d)."""
        adapters, generator = self._adapters[0], cast(Generator, self[name])
        return self._sized(cast(FeatureAffineAdapter, adapters[name]).render(generator, z) if name in adapters else generator(z))

    def with_features(self, latents: Mapping[str, Tensor], *, through: bool = False) -> tuple[dict[str, Tensor], dict[str, Sequence[Tensor]]]:
        """The same, and the activations of each, at their own sizes."""
        with _grad_context(through):
            both = {name: self._with_features(name, latents[name]) for name in self}
            images = {name: self._sized(image) for name, (image, _) in both.items()}
        return images, {name: features for name, (_, features) in both.items()}

    def _with_features(self, name: str, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        adapters, generator = self._adapters[0], cast(Generator, self[name])
        return (
            cast(FeatureAffineAdapter, adapters[name]).forward_with_features(generator, z) if name in adapters else generator.forward_with_features(z)
        )

    def _sized(self, image: Tensor) -> Tensor:
        return image if self._resample is None else resize_image(image, self._size_px, self._resample)

    def forward(self, z: Latents, stands: Mapping[str, LayerTransform] | None = None, strengths: EffectStrengths | None = None) -> CompositionStages:
        """Return every stage; see `Composer.split`, `Composer.movable_layers` and `Composer.can_scale_harmonization`."""
        return self._compose(z, stands, strengths)

    if TYPE_CHECKING:

        def __call__(
            self, z: Latents, stands: Mapping[str, LayerTransform] | None = None, strengths: EffectStrengths | None = None
        ) -> CompositionStages:
            """Typed, where `nn.Module` has Any."""
            ...

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever is asked."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Stay without gradients, whatever is asked."""
        return super().requires_grad_(False)


class Composer(nn.Module):
    """Latents to a composed image, through frozen layers.

    `composer.layers(z)` gives every stage as `Layers`. `train()` and `requires_grad_()` leave the frozen generators as they are.

    Args:
        generators: By layer name, in the order of their latents; this composer freezes them for good.
        fusion: Mapping of layers to `Fused`.
        translator: Image to image.
        size_px: Height and width of the composed image.
        image_channels: Channels of the composed image.
        resample: How layers of another size get it.
        adapters: What it may learn about its frozen generators, by layer name.
    """

    def __init__(
        self, generators: Mapping[str, Generator], fusion: nn.Module, translator: nn.Module, size_px: int, image_channels: int = 3,
        resample: str | None = None, adapters: Mapping[str, FeatureAffineAdapter] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        table = nn.ModuleDict(dict(adapters or {}))
        self.layers = FrozenGenerators(generators, self._stages, table, size_px, resample)
        self.adapters = table
        self.fusion = fusion
        self.translator = translator
        self.image_channels = image_channels
        self.size_px = size_px
        self.latent_dims = {name: generator.latent_dim for name, generator in generators.items()}
        if self._fusion.placement_dim:
            self.latent_dims[PLACEMENT_LATENT] = self._fusion.placement_dim
        self.latent_dim = sum(self.latent_dims.values())

    @property
    def _fusion(self) -> Fusion:
        return cast(Fusion, self.fusion)

    @property
    def movable_layers(self) -> tuple[str, ...]:
        """Layers that can be given a stand, which then takes the place of what the placement's latent says."""
        return self._fusion.movable_layers

    @property
    def can_scale_harmonization(self) -> bool:
        """Whether there is something that can be applied in part: harmonising, or a translator that corrects its image rather than paint it anew."""
        return self._fusion.has_harmonizer or isinstance(self.translator, BoundedResidual)

    @property
    def frontmost_layer(self) -> str:
        """The layer that stands before all others: whose seed places it where none is given for the placement."""
        return self.movable_layers[-1] if self.movable_layers else next(iter(self.latent_dims))

    @property
    def generators(self) -> dict[str, Generator]:
        """The frozen generators by layer name."""
        return {name: cast(Generator, generator) for name, generator in self.layers.items()}

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for gradients of adapters, fusion and translator, or for none; the frozen generators never have any."""
        for parameter in self.trainable_parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of adapters, fusion and translator: all that an optimiser may touch."""
        return chain(self.adapters.parameters(), self.fusion.parameters(), self.translator.parameters())

    def split(self, z: Latents) -> dict[str, Tensor]:
        """Give the latent of each layer.

        Args:
            z: (N, latent_dim), concatenated in the order of the layers (and of the placement, where there is one), or each (N, d) by name.

        Raises:
            ValueError: Names or sizes are not those of the layers.
        """
        if isinstance(z, Tensor):
            if z.ndim != 2 or z.shape[1] != self.latent_dim:
                raise ValueError(f"latents have shape {tuple(z.shape)}, expected (N, {self.latent_dim})")
            return dict(zip(self.latent_dims, torch.split(z, list(self.latent_dims.values()), dim=1), strict=True))
        if set(z) != set(self.latent_dims):
            raise ValueError(f"latents are given for {sorted(z)}, expected {sorted(self.latent_dims)}")
        for name, dim in self.latent_dims.items():
            if z[name].ndim != 2 or z[name].shape[1] != dim:
                raise ValueError(f"latents of {name} have shape {tuple(z[name].shape)}, expected (N, {dim})")
        return {name: z[name] for name in self.latent_dims}

    def forward(self, z: Latents) -> Tensor:
        """Give the composed image.

        Args:
            z: Standard normal; see `split`.

        Returns:
            (N, 3, H, W); in [-1, 1] when the translator ends in tanh or a residual, not negative when in ReLU, the fusion's own without one.
        """
        return self._stages(z).output

    def forward_with_aux_loss(self, z: Latents, kimg: float) -> tuple[Tensor, Tensor | None]:
        """Give the composed image, and what the fusion's own mattes cost in training, if they are learned.

        Args:
            z: As `forward` takes it.
            kimg: The clock.
        """
        _, fused = self._run_fusion(z, {}, kimg, through=bool(self.adapters))
        return self.translator(fused.image), fused.loss

    def layers_with_grad(self, z: Latents) -> CompositionStages:
        """Every stage, as `layers` gives it, with gradients to the latents: the generators stay frozen, but pictures can be looked for in them."""
        return self._stages(z, through=True)

    def render_layer(self, name: str, z: Tensor) -> Tensor:
        """Image (N, C, H, W) of one layer at the composition's size, of its latents (N, d), with gradients to them."""
        return self.layers.image(name, z)

    def fuse(self, images: Mapping[str, Tensor], place: Tensor | None = None) -> FusionOutput:
        """What a fusion that looks at no activations makes of the layers' images, before the translator.

        Args:
            images: By layer, (N, C, H, W) at the composition's size.
            place: Latent of the placement (N, d), if there is one.
        """
        return self._fusion(FusionInput(images, placement_latent=place))

    def _run_fusion(
        self, z: Latents, stands: Mapping[str, LayerTransform], kimg: float, strengths: EffectStrengths | None = None, *, through: bool = False
    ) -> tuple[dict[str, Tensor], FusionOutput]:  # fmt: skip
        latents = self.split(z)
        place = latents.get(PLACEMENT_LATENT)
        features: Mapping[str, Sequence[Tensor]] = {}
        if self._fusion.needs_features:
            images, features = self.layers.with_features(latents, through=through)
        else:
            images = self.layers.images(latents, through=through)
        return images, self._fusion(FusionInput(images, features, place, stands, kimg, strengths))

    def _stages(
        self, z: Latents, stands: Mapping[str, LayerTransform] | None = None, strengths: EffectStrengths | None = None, *, through: bool = False
    ) -> CompositionStages:
        images, fused = self._run_fusion(z, stands or {}, 0.0, strengths, through=through)
        share = () if strengths is None or not isinstance(self.translator, BoundedResidual) else (strengths.harmonise,)
        output = self.translator(fused.image, *share)
        return CompositionStages(layers=images, fused=fused.image, matte=fused.matte, output=output, placed=fused.placed, transforms=fused.transforms)


def _grad_context(wanted: bool) -> torch.autograd.grad_mode.no_grad | nullcontext[None]:
    return nullcontext() if wanted else torch.no_grad()
