"""Whether a composer keeps its layers apart: swaps foregrounds and backgrounds, and measures what moves with which."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import UsageError
from mitlgan.images.alpha import PremultipliedLayer, to_opaque_rgb
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.feature_cache import BACKDROP
from mitlgan.metrics.layer_separation import boundary_contrast, change_outside_mattes, chroma_key_matte, separation_scores, swap_grid
from mitlgan.metrics.protocol import EvalProtocol, to_rgb
from mitlgan.networks import Composer, LayerTransform
from mitlgan.networks.placement import transform_layer

PROBE_POSITIONS = ((-0.4, -0.4), (0.4, -0.4), (-0.4, 0.4), (0.4, 0.4))
"""Centres, across and down from -1 to 1, between which a layer is moved."""
REAL_SCENES = 1000
"""Real scenes, at most, whose boundaries are measured."""
KEY_TOLERANCE = 0.1
"""Difference from the backdrop, on the scale of [-1, 1], up to which a pixel of a foreground without alpha is backdrop: 13 of 255."""


class LayeredSource(typing.Protocol):
    """A composer in use: its stages at seeds given by layer."""

    def layers(self, seeds: Mapping[str, Sequence[int]]) -> Any:
        """An object with `layers` (name -> (N, C, H, W)) and `output` (N, 3, H, W), all in [-1, 1]."""
        ...


@dataclass(frozen=True)
class SwapSpec:
    """Which layers are swapped, and what becomes of the others.

    Attributes:
        front: The layer that stands before all others.
        back: The backmost one.
        others: Those between, which stay as they are.
        covering: Those of them whose opacity is known: what they cover shows no background either, so they are part of the reference matte.
    """

    front: str = "fg"
    back: str = "bg"
    others: Sequence[str] = ()
    covering: Sequence[str] = ()


def swap_for(card: Card) -> SwapSpec:
    """The frontmost and the backmost layer of a composer.

    A layer between is known to cover where it brings a matte, or was trained on objects before a plain backdrop.

    Raises:
        UsageError: It has one layer only.
    """
    back, *between = card.back_to_front()
    if not between:
        raise UsageError("--separation: the composition has one layer; give one of two or more")
    *others, front = between
    covering = [name for name in others if card.layers[name].role == "fg" or card.layers[name].generator.image_channels == 4]
    return SwapSpec(front, back, others, covering)


@dataclass(frozen=True)
class SeparationResult:
    """How well a composer keeps its layers apart.

    Attributes:
        numbers: The measures of `metrics.separation.Separation`, and "reference_matte": what they were held against.
        grid: The swap as pictures in [-1, 1], (N, 3, H, W), row by row: rows share a foreground, columns a background.
        columns: Pictures in a row of the grid.
    """

    numbers: dict[str, Any]
    grid: Tensor
    columns: int


def measure_separation(
    composer: LayeredSource,
    real: ImagePack | None = None,
    *,
    foregrounds: int = 16,
    backgrounds: int = 16,
    seed: int = 0,
    swap: SwapSpec = SwapSpec(),
    tolerance: float = KEY_TOLERANCE,
) -> SeparationResult:
    """Swaps a composer's layers and measures what moves with which.

    Args:
        composer: Any composer, with or without a matte of its own.
        real: Scenes with reference mattes, which the boundaries are held against.
        foregrounds: K.
        backgrounds: J.
        seed: As of a protocol: decides the latents.
        swap: Which layers are swapped.
        tolerance: For foregrounds without alpha, whose matte is keyed against `BACKDROP`: largest difference that still is backdrop, on the
            scale of [-1, 1].
    """
    first = EvalProtocol(seed=seed).seeds().start
    fg_seeds, bg_seeds = range(first, first + foregrounds), range(first, first + backgrounds)
    fixed = {name: [first] * (foregrounds * backgrounds) for name in swap.others}
    stages = composer.layers({swap.front: [k for k in fg_seeds for _ in bg_seeds], swap.back: list(bg_seeds) * foregrounds, **fixed})
    size = stages.output.shape[-2:]
    outputs = stages.output.reshape(foregrounds, backgrounds, 3, *size).numpy()
    objects = stages.layers[swap.front][::backgrounds].numpy()  # (K, 1, 3 or 4, H, W)
    places = to_opaque_rgb(stages.layers[swap.back][:backgrounds]).numpy()
    held_against = "the foreground's own alpha"
    if objects.shape[1] != 4:
        held_against = f"the foreground keyed against its backdrop {BACKDROP}, tolerance {tolerance * 127.5:.0f} of 255"
    clear = np.ones_like(objects[:, 0])
    for name in (swap.front, *swap.covering):
        clear *= 1 - _standing(stages, name, backgrounds, tolerance)
    mattes = 1 - clear
    if swap.others:
        held_against += "".join(f", with {name}" for name in swap.covering)
        held_against += "".join(f"; what {name} covers is not known" for name in swap.others if name not in swap.covering)
    numbers = asdict(separation_scores(outputs, places, mattes, real_contrast=None if real is None else real_contrast(real)))
    shown = to_rgb(to_uint8(torch.from_numpy(objects))).float().numpy() / 127.5 - 1
    grid = torch.from_numpy(swap_grid(outputs, shown, places))
    return SeparationResult(numbers | {"reference_matte": held_against}, grid, backgrounds + 1)


def change_when_moved(composer: LoadedArtifact, *, scenes: int = 16, seed: int = 0) -> float | None:
    """How much changes far from a layer that is moved while all else is held; see `metrics.separation.moved_change`.

    The frontmost movable layer of each scene stands, as large as it is there, at each of `CORNERS`.

    Args:
        composer: A composition.
        scenes: How many.
        seed: As of a protocol: decides the latents.

    Returns:
        In 1/255; None where no layer can be moved, or all of every picture is covered.
    """
    network = composer.network
    if not isinstance(network, Composer) or not network.movable_layers:
        return None
    seeds = [one for one in list(EvalProtocol(seed=seed).seeds())[:scenes] for _ in PROBE_POSITIONS]
    z, count = composer.latents(seeds), len(PROBE_POSITIONS)
    still, front = composer.layers_from_latents(z), network.movable_layers[-1]
    across, down = (torch.tensor(numbers).repeat(scenes) for numbers in zip(*PROBE_POSITIONS, strict=True))
    ones = torch.ones(len(z))
    own = still.transforms.get(front, LayerTransform(ones, across, down, ones))
    there = composer.layers_from_latents(z, {front: LayerTransform(own.scale, across, down, own.flip)})
    mattes = (there.placed[front][:, 3] + 1) / 2
    size = there.output.shape[-2:]
    changed = change_outside_mattes(there.output.view(scenes, count, 3, *size).numpy(), mattes.view(scenes, count, *size).numpy())
    return None if changed is None else changed * 127.5


def _standing(stages: Any, name: str, backgrounds: int, tolerance: float) -> NDArray[Any]:
    """Reference mattes (K, H, W) of a layer where it stands."""
    mattes = reference_matte(stages.layers[name][::backgrounds].numpy(), tolerance)
    if name in stages.transforms:
        mattes = transform_mattes(mattes, LayerTransform(*(number[::backgrounds] for number in stages.transforms[name])))
    return mattes


def reference_matte(objects: NDArray[Any], tolerance: float = KEY_TOLERANCE) -> NDArray[Any]:
    """Opacity of foreground layers: their own alpha, else what differs from `BACKDROP`.

    Args:
        objects: (K, 1, 3 or 4, H, W) in [-1, 1].
        tolerance: See `TOLERANCE`; of no effect on foregrounds with alpha.

    Returns:
        (K, H, W) in [0, 1].
    """
    if objects.shape[1] == 4:
        matte: NDArray[Any] = (objects[:, 3] + 1) / 2
        return matte
    red, green, blue = (value / 127.5 - 1 for value in BACKDROP)
    return chroma_key_matte(objects, (red, green, blue), tolerance)


def transform_mattes(mattes: NDArray[Any], stand: LayerTransform) -> NDArray[Any]:
    """Mattes (K, H, W) in [0, 1] where the layer stands."""
    matte = torch.from_numpy(mattes).float()[:, None]  # (K, 1, H, W)
    found: NDArray[Any] = transform_layer(PremultipliedLayer(matte.expand(-1, 3, -1, -1), matte), stand).alpha[:, 0].numpy()
    return found


def real_contrast(real: ImagePack) -> float | None:
    """`boundary_contrast` of a pack's pictures with their mattes; None where the pack has none."""
    if real.fourth_channel != "matte":
        return None
    pixels = real.batch(np.arange(min(REAL_SCENES, len(real))), channels=4).numpy()
    return boundary_contrast(pixels[:, :3], pixels[:, 3] / 255)
