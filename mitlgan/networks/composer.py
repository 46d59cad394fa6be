"""The composer: frozen generators, fusion, translator (thesis, Table 7.3)."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from mitlgan.networks.adapters import FeatureAffineAdapter
from mitlgan.networks.blocks import Generator
from mitlgan.networks.fusion.interface import Fusion, FusionInput, FusionOutput
from mitlgan.networks.interface import Kind, Network
from mitlgan.networks.placement import EffectStrengths, LayerTransform, placement_parts
from mitlgan.networks.resample import resize_image
from mitlgan.networks.translators.bounded_residual import BoundedResidual

Latents = Tensor | Mapping[str, Tensor]
PLACEMENT_LATENT = "place"
"""Name of the latent that places the layers, next to those of the generators."""
STATE_PREFIX, FILE_PREFIX = "generators.", "layers."
"""Key prefix of the frozen generators in the module, and in state dicts, whose keys artifacts and checkpoints hold."""


@dataclass(frozen=True, eq=False)
class CompositionStages:
    """Every stage of a batch of compositions; an index or slice picks images of all stages.

    Attributes:
        layers: Image of each frozen generator, by layer name, (N, C, H, W) in [-1, 1].
        fused: The fusion's image, (N, 3, H, W).
        matte: Opacity per pixel, (N, 1, H, W) in [0, 1], if the fusion makes one.
        output: The composed image, (N, 3, H, W).
        placed: Each layer in front of the background after its transform, premultiplied RGB and alpha, (N, 4, H, W) in [-1, 1]; only by matte fusions.
        transforms: Transform of each layer that was moved.
        antialias: Whether they were filtered; see `transform_layer`.
    """

    layers: dict[str, Tensor]
    fused: Tensor
    matte: Tensor | None
    output: Tensor
    placed: Mapping[str, Tensor] = field(default_factory=dict)
    transforms: Mapping[str, LayerTransform] = field(default_factory=dict)
    antialias: bool = False

    @property
    def layer_mattes(self) -> dict[str, Tensor]:
        """Matte of each placed layer, (N, 1, H, W) in [-1, 1]; empty with one, whose matte is that of the composition."""
        return {name: image[:, 3:] for name, image in self.placed.items()} if len(self.placed) > 1 else {}

    def __getitem__(self, images: int | slice) -> CompositionStages:
        """Return every stage of one image, still with a batch dimension, or of a slice of images."""
        if isinstance(images, int):
            images = slice(images, images + 1)
        return self.apply(lambda tensor: tensor[images])

    def apply(self, function: Callable[[Tensor], Tensor]) -> CompositionStages:
        """Return the stages after a function of each tensor."""
        return CompositionStages(
            layers={name: function(image) for name, image in self.layers.items()},
            fused=function(self.fused),
            matte=None if self.matte is None else function(self.matte),
            output=function(self.output),
            placed={name: function(image) for name, image in self.placed.items()},
            transforms={name: LayerTransform(*map(function, transform)) for name, transform in self.transforms.items()},
            antialias=self.antialias,
        )


class FrozenGenerators(nn.ModuleDict):
    """Generators by layer name that nothing can train: no gradients, and eval mode, so BatchNorm's statistics do not move.

    Args:
        generators: By layer name, in the order of their latents.
    """

    def __init__(self, generators: Mapping[str, Generator]) -> None:
        super().__init__(dict(generators))
        self.requires_grad_()
        self.eval()

    def __getitem__(self, name: str) -> Generator:
        """Return the generator of a layer."""
        return cast(Generator, super().__getitem__(name))

    def items(self) -> ItemsView[str, Generator]:
        """Return layer names and generators."""
        return cast(ItemsView[str, Generator], super().items())

    def values(self) -> ValuesView[Generator]:
        """Return the generators."""
        return cast(ValuesView[Generator], super().values())

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Stay without gradients."""
        return super().requires_grad_(False)


class Composer(Network):
    """Latents to a composed image, through frozen layers.

    `train()` and `requires_grad_()` leave the frozen generators as they are.

    Args:
        generators: By layer name, in the order of their latents; the composer freezes these very modules.
        fusion: Layers to `FusionOutput`.
        translator: Image to image.
        size_px: Height and width of the composed image.
        image_channels: Channels of the composed image.
        resample: Filter that resizes layers of another size; None: all have this size.
        adapters: Learned scales and shifts of the frozen generators, by layer name.
    """

    kind: ClassVar[Kind] = "composer"

    def __init__(
        self, generators: Mapping[str, Generator], fusion: nn.Module, translator: nn.Module, size_px: int, image_channels: int = 3,
        resample: str | None = None, adapters: Mapping[str, FeatureAffineAdapter] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.generators = FrozenGenerators(generators)
        self.adapters = nn.ModuleDict(dict(adapters or {}))
        self.fusion = fusion
        self.translator = translator
        self.image_channels = image_channels
        self.size_px = size_px
        self._resample = resample
        self.latent_dims = {name: generator.latent_dim for name, generator in generators.items()}
        if self._fusion.placement_dim:
            self.latent_dims[PLACEMENT_LATENT] = self._fusion.placement_dim
        self.latent_dim = sum(self.latent_dims.values())
        self.register_state_dict_post_hook(_to_file_keys)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_from_file_keys)  # type: ignore[no-untyped-call]

    @property
    def _fusion(self) -> Fusion:
        return cast(Fusion, self.fusion)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        return (self.latent_dim,)

    @property
    def movable_layers(self) -> tuple[str, ...]:
        """Layers that accept a transform, which then replaces the one drawn by the placement."""
        return self._fusion.movable_layers

    @property
    def can_scale_harmonization(self) -> bool:
        """Whether the fusion harmonizes colors, or the translator adds a bounded correction: both can be applied in part."""
        return self._fusion.has_harmonizer or isinstance(self.translator, BoundedResidual)

    @property
    def joint(self) -> str:
        """How the layers come together, in a word."""
        return self._fusion.joint

    @property
    def frontmost_layer(self) -> str:
        """The frontmost layer."""
        return self.movable_layers[-1] if self.movable_layers else next(iter(self.latent_dims))

    def join_places(self, places: Mapping[str, Tensor]) -> Tensor:
        """Return the latents that place each movable layer where its own does.

        Args:
            places: Latents (..., d) of the whole placement, by movable layer.

        Returns:
            (..., d).
        """
        return torch.cat([places[name][..., part] for name, part in placement_parts(self.movable_layers).items()], dim=-1)

    def latent_dims_for(self, role: str) -> dict[str, int]:
        """Return the latent length by layer, in order, the placement's last."""
        return dict(self.latent_dims)

    def generators_for(self, role: str) -> dict[str, Generator]:
        """Return the frozen generators by layer."""
        return dict(self.generators.items())

    def frozen_generators(self) -> dict[str, Generator]:
        """Return the frozen generators by layer."""
        return dict(self.generators.items())

    def adapted_generators(self) -> dict[str, Generator]:
        """Return the generators by layer as images are made with them: copies, with what the adapters change, of those that have one."""
        return {name: self._adapter(name).adapted(generator) if name in self.adapters else generator for name, generator in self.generators.items()}

    def compiled_parts(self) -> tuple[nn.Module, ...]:
        """Return the frozen generators and the translator; a fusion of named layers stays as it is."""
        return (*self.generators.values(), self.translator)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch gradients of adapters, fusion and translator; the frozen generators never have any."""
        for parameter in self.trainable_parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters of adapters, fusion and translator."""
        return chain(self.adapters.parameters(), self.fusion.parameters(), self.translator.parameters())

    def split(self, z: Latents) -> dict[str, Tensor]:
        """Return the latent of each layer.

        Args:
            z: (N, latent_dim), concatenated in the order of `latent_dims`, or each (N, d) by name.

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
        """Return the composed image.

        Args:
            z: Standard normal; see `split`.

        Returns:
            (N, 3, H, W); in [-1, 1] after tanh or a bounded residual, non-negative after ReLU, the fused image without a translator.
        """
        return self.layers(z).output

    def layers(
        self, z: Latents, transforms: Mapping[str, LayerTransform] | None = None, strengths: EffectStrengths | None = None, *, grad: bool = False
    ) -> CompositionStages:
        """Return every stage of the composition.

        Args:
            z: See `split`.
            transforms: Transforms of `movable_layers`, which replace those drawn from the latent.
            strengths: Opacity of the frontmost layer, and share of harmonization.
            grad: Let gradients flow through the frozen generators to the latents, to search for images in them.
        """
        images, fused = self._run_fusion(z, transforms or {}, 0.0, strengths, grad=grad)
        share = () if strengths is None or not isinstance(self.translator, BoundedResidual) else (strengths.harmonise,)
        output = self.translator(fused.image, *share)
        return CompositionStages(images, fused.image, fused.matte, output, fused.placed, fused.transforms, self._fusion.antialias)

    def forward_with_aux_loss(
        self, inputs: Latents, kimg: float, real: Tensor | None = None, rng: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the composed image, and the regularization of learned mattes, if any.

        Args:
            inputs: As `forward` takes them.
            kimg: Training so far.
            real: Not used.
            rng: Not used.
        """
        _, fused = self._run_fusion(inputs, {}, kimg, grad=bool(self.adapters))
        return self.translator(fused.image), fused.loss

    def render_layer(self, name: str, z: Tensor) -> Tensor:
        """Return images (N, C, H, W) of one layer at the composition's size, with gradients to its latents (N, d)."""
        generator = self.generators[name]
        return self._resize(self._adapter(name).render(generator, z) if name in self.adapters else generator(z))

    def fuse(self, images: Mapping[str, Tensor], placement_latent: Tensor | None = None) -> FusionOutput:
        """Fuse images of the layers, by a fusion that needs no features.

        Args:
            images: By layer, (N, C, H, W) at the composition's size.
            placement_latent: (N, d), if layers are placed.
        """
        return self._fusion(FusionInput(images, placement_latent=placement_latent))

    def _run_fusion(
        self, z: Latents, transforms: Mapping[str, LayerTransform], kimg: float, strengths: EffectStrengths | None = None, *, grad: bool = False
    ) -> tuple[dict[str, Tensor], FusionOutput]:  # fmt: skip
        latents = self.split(z)
        images: dict[str, Tensor] = {}
        features: dict[str, Sequence[Tensor]] = {}
        with nullcontext() if grad else torch.no_grad():
            for name in self.generators:
                if self._fusion.needs_features:
                    images[name], features[name] = self._render_with_features(name, latents[name])
                else:
                    images[name] = self.render_layer(name, latents[name])
        return images, self._fusion(FusionInput(images, features, latents.get(PLACEMENT_LATENT), transforms, kimg, strengths))

    def _render_with_features(self, name: str, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        generator = self.generators[name]
        adapted = name in self.adapters
        image, features = self._adapter(name).forward_with_features(generator, z) if adapted else generator.forward_with_features(z)
        return self._resize(image), features

    def _adapter(self, name: str) -> FeatureAffineAdapter:
        return cast(FeatureAffineAdapter, self.adapters[name])

    def _resize(self, image: Tensor) -> Tensor:
        return image if self._resample is None else resize_image(image, self.size_px, self._resample)


def _to_file_keys(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    _rename_keys(state, prefix + STATE_PREFIX, prefix + FILE_PREFIX)


def _from_file_keys(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    _rename_keys(state, prefix + FILE_PREFIX, prefix + STATE_PREFIX)


def _rename_keys(state: dict[str, Any], old: str, new: str) -> None:
    """Replace a prefix of keys in place, in the same order."""
    items = list(state.items())
    state.clear()
    state.update((new + key.removeprefix(old) if key.startswith(old) else key, value) for key, value in items)
