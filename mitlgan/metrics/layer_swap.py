"""Layer swap: composes foregrounds with other backgrounds, and measures how well the layers stay apart."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.data.pack.image_pack import BACKDROP, Color, ImagePack
from mitlgan.data.recipe_data import recorded_backdrop
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.errors import UsageError
from mitlgan.images.alpha import PremultipliedLayer, to_opaque_rgb
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.layer_separation import boundary_contrast, change_outside_mattes, chroma_key_matte, separation_scores, swap_grid
from mitlgan.metrics.protocol import EvalProtocol, to_rgb
from mitlgan.networks import LayerTransform
from mitlgan.networks.placement import transform_layer

PROBE_POSITIONS = ((-0.4, -0.4), (0.4, -0.4), (-0.4, 0.4), (0.4, 0.4))
"""Centers (x, y), from -1 to 1, to which a layer is moved."""
REAL_SCENES = 1000
"""Maximum number of real scenes whose boundaries are measured."""
KEY_TOLERANCE = 0.1
"""Largest difference from the backdrop, on the scale of [-1, 1], at which a pixel of a foreground without alpha counts as backdrop: 13 of 255."""
MIN_PLAIN_SHARE = 0.5
"""Share of the pixels along the borders of pictures that have a colour if objects stand before it."""


class LayeredSource(typing.Protocol):
    """A composer in use: makes all stages from seeds by layer."""

    def layers(self, seeds: Mapping[str, Sequence[int]]) -> Any:
        """Return an object with `layers` (name -> (N, C, H, W)) and `output` (N, 3, H, W), all in [-1, 1]."""
        ...


@dataclass(frozen=True)
class SwapSpec:
    """Which layers are swapped.

    Attributes:
        front: The frontmost layer.
        back: The backmost layer.
        others: Layers between them, which do not change.
        covering: Those of `others` whose opacity is known: no background shows behind them either, so they are part of the reference matte.
        declared: What each layer's pictures stood before, by its recipe; white for those that it lacks.
    """

    front: str = "fg"
    back: str = "bg"
    others: Sequence[str] = ()
    covering: Sequence[str] = ()
    declared: Mapping[str, Color] = field(default_factory=dict)


def swap_for(card: Card) -> SwapSpec:
    """Return which layers of a composer are swapped: the frontmost and the backmost.

    The opacity of a layer between is known if it has its own matte or was trained on objects in front of a plain backdrop.

    Raises:
        UsageError: The composer has only one layer.
    """
    back, *between = card.back_to_front()
    if not between:
        raise UsageError("--separation: the composition has one layer; give one of two or more")
    *others, front = between
    covering = [name for name in others if card.layers[name].role == "fg" or card.layers[name].generator.image_channels == 4]
    return SwapSpec(front, back, others, covering, declared_backdrops(card))


def declared_backdrops(card: Card) -> dict[str, Color]:
    """Return what the pictures of each layer of a composer stood before, by the recipes of its generators; those on white are left out."""
    colors = {name: recorded_backdrop(layer.card.get("made_by") or {}, layer.generator.image_channels) for name, layer in card.layers.items()}
    return {name: color for name, color in colors.items() if color != BACKDROP}


@dataclass(frozen=True)
class SeparationResult:
    """How well a composer keeps its layers apart.

    Attributes:
        numbers: Fields of `layer_separation.SeparationScores`, and "reference_matte": a description of the reference.
        grid: The swap as images in [-1, 1], (N, 3, H, W), row by row: rows share a foreground, columns a background.
        columns: Images per row of the grid.
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
    """Swap a composer's layers and measure what changes with which.

    Args:
        composer: Any composer, with or without its own matte.
        real: Scenes with reference mattes, for comparing boundaries.
        foregrounds: K.
        backgrounds: J.
        seed: Protocol seed; decides the latents.
        swap: Which layers are swapped.
        tolerance: See `KEY_TOLERANCE`; has no effect on foregrounds with alpha.
    """
    first = EvalProtocol(seed=seed).seeds().start
    fg_seeds, bg_seeds = range(first, first + foregrounds), range(first, first + backgrounds)
    fixed = {name: [first] * (foregrounds * backgrounds) for name in swap.others}
    stages = composer.layers({swap.front: [k for k in fg_seeds for _ in bg_seeds], swap.back: list(bg_seeds) * foregrounds, **fixed})
    outputs = stages.output.reshape(foregrounds, backgrounds, 3, *stages.output.shape[-2:]).numpy()
    objects = stages.layers[swap.front][::backgrounds].numpy()  # (K, C, H, W), C = 1, 3 or 4
    background_images = to_opaque_rgb(stages.layers[swap.back][:backgrounds]).numpy()
    transparency = np.ones_like(objects[:, 0])
    for name in (swap.front, *swap.covering):
        transparency *= 1 - _placed_matte(stages, name, backgrounds, tolerance, swap.declared.get(name, BACKDROP))
    contrast = None if real is None else real_contrast(real)
    scores = separation_scores(outputs, background_images, 1 - transparency, real_contrast=contrast)
    margin = to_rgb(to_uint8(torch.from_numpy(objects))).float().numpy() / 127.5 - 1
    grid = torch.from_numpy(swap_grid(outputs, margin, background_images))
    reference = _describe_reference(swap, objects, tolerance)
    return SeparationResult(asdict(scores) | {"reference_matte": reference}, grid, backgrounds + 1)


def _describe_reference(swap: SwapSpec, objects: NDArray[Any], tolerance: float) -> str:
    text = "the foreground's own alpha"
    if objects.shape[1] != 4:
        backdrop, share = find_backdrop(objects, swap.declared.get(swap.front, BACKDROP))
        text = f"the foreground keyed against its backdrop {backdrop}, tolerance {tolerance * 127.5:.0f} of 255{doubt_about_key(share)}"
    text += "".join(f", with {name}" for name in swap.covering)
    return text + "".join(f"; what {name} covers is not known" for name in swap.others if name not in swap.covering)


def change_when_moved(composer: LoadedArtifact, *, scenes: int = 16, seed: int = 0) -> float | None:
    """Measure how much changes away from a layer when only that layer moves; see `layer_separation.change_outside_mattes`.

    The frontmost movable layer of each scene is moved to each of `PROBE_POSITIONS` at its own scale.

    Args:
        composer: A composition.
        scenes: Number of scenes.
        seed: Protocol seed; decides the latents.

    Returns:
        In 1/255; None if no layer can be moved or every picture is fully covered.
    """
    network = composer.network
    if not network.movable_layers:
        return None
    seeds = [scene_seed for scene_seed in list(EvalProtocol(seed=seed).seeds())[:scenes] for _ in PROBE_POSITIONS]
    z, count = composer.latents(seeds), len(PROBE_POSITIONS)
    original, front = composer.layers_from_latents(z), network.movable_layers[-1]
    x, y = (torch.tensor(centers).repeat(scenes) for centers in zip(*PROBE_POSITIONS, strict=True))
    ones = torch.ones(len(z))
    own = original.transforms.get(front, LayerTransform(ones, x, y, ones))
    moved = composer.layers_from_latents(z, {front: LayerTransform(own.scale, x, y, own.flip)})
    mattes = (moved.placed[front][:, 3] + 1) / 2
    size = moved.output.shape[-2:]
    change = change_outside_mattes(moved.output.view(scenes, count, 3, *size).numpy(), mattes.view(scenes, count, *size).numpy())
    return None if change is None else change * 127.5


def find_backdrop(objects: NDArray[Any], declared: Color = BACKDROP) -> tuple[Color, float]:
    """Find the plain colour that objects without alpha stand before, by the pixels along the borders of their pictures.

    Args:
        objects: (K, C, H, W) in [-1, 1], C = 1 or 3.
        declared: By their recipe; taken if it is there, or if no other colour is.

    Returns:
        Red, green, blue, each 0 to 255, and the share of the border's pixels that have it, but for `KEY_TOLERANCE`.
    """
    colors = np.broadcast_to(objects, (len(objects), 3, *objects.shape[2:]))
    border = np.concatenate([colors[:, :, 0], colors[:, :, -1], colors[:, :, 1:-1, 0], colors[:, :, 1:-1, -1]], axis=2)  # (K, 3, pixels)
    red, green, blue = (round((float(value) + 1) * 127.5) for value in np.median(border, axis=(0, 2)))
    shares = {color: _share_of_color(border, color) for color in (declared, (red, green, blue))}
    likely = next((color for color, share in shares.items() if share >= MIN_PLAIN_SHARE), declared)
    return likely, shares[likely]


def _share_of_color(border: NDArray[Any], color: Color) -> float:
    reference = np.array(color, np.float64)[None, :, None] / 127.5 - 1
    return float((np.abs(border - reference).max(axis=1) <= KEY_TOLERANCE).mean())


def doubt_about_key(share: float) -> str:
    """Return what is to be said if too small a share of the border has the colour that a foreground is keyed against; else nothing."""
    if share >= MIN_PLAIN_SHARE:
        return ""
    return f"; no plain backdrop: {share:.0%} of its border has that colour, so what is keyed is not the object"


def reference_matte(objects: NDArray[Any], tolerance: float = KEY_TOLERANCE, backdrop: Color = BACKDROP) -> NDArray[Any]:
    """Return the opacity of foreground layers: their own alpha, else what differs from the backdrop.

    Args:
        objects: (K, C, H, W) in [-1, 1], C = 1, 3 or 4.
        tolerance: See `KEY_TOLERANCE`; has no effect on foregrounds with alpha.
        backdrop: See `find_backdrop`; has no effect on foregrounds with alpha.

    Returns:
        (K, H, W) in [0, 1].
    """
    if objects.shape[1] == 4:
        matte: NDArray[Any] = (objects[:, 3] + 1) / 2
        return matte
    red, green, blue = (value / 127.5 - 1 for value in backdrop)
    return chroma_key_matte(objects, (red, green, blue), tolerance)


def _placed_matte(stages: Any, name: str, backgrounds: int, tolerance: float, declared: Color) -> NDArray[Any]:
    """Return the reference mattes (K, H, W) of a layer as placed in the composition."""
    objects = stages.layers[name][::backgrounds].numpy()
    backdrop = BACKDROP if objects.shape[1] == 4 else find_backdrop(objects, declared)[0]
    mattes = reference_matte(objects, tolerance, backdrop)
    if name not in stages.transforms:
        return mattes
    alpha = torch.from_numpy(mattes).float()[:, None]  # (K, 1, H, W)
    transform = LayerTransform(*(values[::backgrounds] for values in stages.transforms[name]))
    moved = transform_layer(PremultipliedLayer(alpha.expand(-1, 3, -1, -1), alpha), transform, antialias=getattr(stages, "antialias", False))
    placed: NDArray[Any] = moved.alpha[:, 0].numpy()
    return placed


def real_contrast(real: ImagePack) -> float | None:
    """Return the `boundary_contrast` of a pack's images with their mattes, of `REAL_SCENES` over all of it; None if the pack has none."""
    if real.fourth_channel != "matte":
        return None
    pixels = real.batch(np.array(evenly_spaced(range(len(real)), REAL_SCENES)), channels=4).numpy()
    return boundary_contrast(pixels[:, :3], pixels[:, 3] / 255)
