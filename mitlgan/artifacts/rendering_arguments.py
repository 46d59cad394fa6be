"""What `LoadedArtifact` is given for its images: seeds, latents, transforms and strengths, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.networks import EffectStrengths, LayerTransform, Network
from mitlgan.networks.placement import MIN_SCALE
from mitlgan.runtime.arguments import describe_value, finite_floats, require_real, to_plain

MAX_SCALE = 4.0
MAX_OFFSET = 1000.0
"""Largest x and y of a transform, either way; from -1 to 1 the centre lies in the picture."""
TransformSpec = tuple[float, float, float] | tuple[float, float, float, bool]
"""Scale (1 is the layer's own size), x and y of its center (-1 to 1), and optionally whether it is mirrored."""
LayerTransforms = Mapping[str, TransformSpec | LayerTransform]


def seed_list(seeds: Iterable[int]) -> Sequence[int]:
    """Return seeds of one layer as a list, also those of an array or a generator.

    Raises:
        UsageError: They are no list of seeds.
    """
    if not isinstance(seeds, Iterable) or isinstance(seeds, str | bytes | Mapping) or getattr(seeds, "ndim", 1) != 1:
        raise UsageError(f"seeds: {describe_value(seeds)} is not a list of seeds; give one, such as [0, 1, 2]")
    return list(seeds)


def checked_latents(z: Tensor, length: int) -> Tensor:
    """Return latents (N, length) as float32.

    Raises:
        UsageError: They have another shape, there are none, or they are not finite numbers.
    """
    if not isinstance(z, Tensor) or z.ndim != 2 or z.shape[1] != length:
        shape = tuple(z.shape) if isinstance(z, Tensor) else describe_value(z)
        raise UsageError(f"latents: {shape} is not of the shape (N, {length}), a row per image; `latents` makes them of seeds")
    if len(z) == 0:
        raise UsageError("seeds: none given; give at least one")
    return finite_floats("latents", z)


def checked_strengths(strengths: EffectStrengths, network: Network, count: int) -> EffectStrengths:
    """Return strengths as float32, one number per image each.

    Raises:
        UsageError: They are none, are not in [0, 1], or are of something that the network does not have.
    """
    has_effect = {"matte": bool(network.movable_layers), "harmonise": network.can_scale_harmonization}
    if not isinstance(strengths, EffectStrengths):
        raise UsageError(f"strengths: {type(strengths).__name__} is no EffectStrengths; give one, of a tensor for {' and one for '.join(has_effect)}")
    for name, values in strengths._asdict().items():
        if not isinstance(values, Tensor):
            raise UsageError(f"strengths: {describe_value(values)} of {name} is not a tensor; give one number per image, torch.full(({count},), 0.5)")
        require_real(f"strengths: those of {name}", values)
        if values.shape != (count,) or not bool(((values >= 0) & (values <= 1)).all()):
            raise UsageError(f"strengths: those of {name} must lie between 0 and 1, one per image ({count})")
        if not has_effect[name] and not bool((values == 1).all()):
            raise UsageError(f"strengths: this artifact has nothing to weaken by {name}; leave it at 1")
    return EffectStrengths(*(values.float() for values in strengths))


def checked_transform(name: str, transform: TransformSpec | LayerTransform, count: int) -> LayerTransform:
    """Return the transform of a layer with one number per image.

    Raises:
        UsageError: It has another form, or a number that is out of range.
    """
    if not isinstance(transform, LayerTransform):
        scale, x, y, flip = _transform_numbers(name, transform)
        numbers = (scale, x, y, -1.0 if flip else 1.0)
        transform = LayerTransform(*(torch.full((count,), number, dtype=torch.float32) for number in numbers))
    for values in transform:
        if isinstance(values, Tensor):
            require_real(f"transforms: those of {name}", values)
        if not isinstance(values, Tensor) or values.shape != (count,) or not bool(torch.isfinite(values).all()):
            raise UsageError(f"transforms: those of {name} must be finite numbers, one per image ({count}) each")
    if not bool(((transform.scale >= MIN_SCALE) & (transform.scale <= MAX_SCALE)).all()):
        raise UsageError(f"transforms: the scale of {name} must lie between {MIN_SCALE:g} and {MAX_SCALE:g}")
    if bool((torch.stack([transform.x, transform.y]).abs() > MAX_OFFSET).any()):
        raise UsageError(f"transforms: x and y of {name} must lie between -{MAX_OFFSET:g} and {MAX_OFFSET:g}")
    if not bool((transform.flip.abs() == 1).all()):
        raise UsageError(f"transforms: the flip of {name} must be 1, or -1 for a mirrored layer")
    return transform


def _transform_numbers(name: str, transform: TransformSpec) -> tuple[float, float, float, bool]:
    """Return scale, x, y and whether it is mirrored; refuse a transform of another form."""
    try:
        scale, x, y, flip = (to_plain(value) for value in (transform if len(transform) == 4 else (*transform, False)))
        if isinstance(flip, bool | int | float) and not isinstance(transform, str):
            return float(scale), float(x), float(y), bool(flip)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"transforms: {describe_value(transform)} of {name} is not (scale, x, y) or (scale, x, y, mirrored); write it as (0.5, -0.2, 0.3)")
