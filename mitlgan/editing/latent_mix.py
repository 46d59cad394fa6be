"""The child of two parents: their latents mixed layer by layer, or what a generator has made of them halfway."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mitlgan.artifacts.loaded_artifact import LoadedArtifact, run_network
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import UsageError
from mitlgan.latents import concat_layers, interpolate_latents, split_by_layer, truncate
from mitlgan.latents.paths import require_layer
from mitlgan.networks import CompositionStages, Generator

DEFAULT_WEIGHT = 0.5


class MixResult(NamedTuple):
    """A mixed picture.

    Attributes:
        stages: Every stage of it, one image each; see `Artifact.layers`.
        z: Its latent (sum of the layers' lengths,), or None where features were mixed: no latent need lead there.
    """

    stages: CompositionStages
    z: Tensor | None


def mix(
    artifact: LoadedArtifact,
    first: Point,
    second: Point,
    *,
    weight: float | Mapping[str, float] = DEFAULT_WEIGHT,
    layers: Collection[str] | None = None,
    features: int | str | None = None,
    straight: bool = False,
    truncation: float = 1.0,
) -> MixResult:
    """The child of two points.

    Latents are mixed along the arc between them, so that the child's is as long as theirs: the mean of two normal latents is shorter by sqrt(2), and
    its picture more average than either parent.

    These generators take their latent at the first stage alone, so there is no style to take from one parent early and from the other late (Karras et
    al. 2019). What they allow instead is `features`: both parents run up to a stage, their activations there are mixed, weight by weight along the
    straight line (activations have no sphere to stay on), and the later stages go on from the mixture. Early stages lay out, late ones paint: after
    an early stage the child is a shape between both, after a late one the two pictures laid over each other.

    Args:
        artifact: Generator or composer.
        first: As `mitlgan.editing.point_of` takes it.
        second: Likewise.
        weight: Share of the second, from 0 to 1, for all layers or by layer; a layer that is not named gets the half.
        layers: Which are mixed; the others stay the first's. None: all.
        features: Mix after this stage, by its number from 1 or its name, in every mixed layer that has a generator; None: latents.
        straight: Mix latents along the straight line.
        truncation: Of both parents; see `mitlgan.latents.truncated`.

    Raises:
        UsageError: An unknown layer or stage, or a weight out of range.
        ArtifactError: A latent file that cannot be read or does not fit.
    """
    dims = artifact.card.latent_dims
    weights = weights_of(weight, layers, dims)
    parents = [truncate(to_latent(artifact, point), truncation) for point in (first, second)]
    z = interpolate_latents(parents[0], parents[1], {name: [share] for name, share in weights.items()}, dims, straight=straight)[0]
    if features is None:
        return MixResult(artifact.layers_from_latents(z[None]), z)
    generators = {name: generator for name, generator in generators_of(artifact).items() if name in weights}
    if not generators:
        raise UsageError(f"features: no generator is behind {', '.join(weights)}, so there are none to mix; leave it out")
    stages = {name: stage_index(generator, features, "features") for name, generator in generators.items()}
    child, own = split_by_layer(z, dims), [split_by_layer(parent, dims) for parent in parents]
    both = torch.stack([concat_layers({name: parent[name] if name in stages else child[name] for name in dims}, dims) for parent in own])
    with _mixed_after(generators, stages, weights), torch.inference_mode():
        rows = run_network(artifact.network, both.to(artifact.device), artifact.card.role)
    return MixResult(rows[0], None)


def weights_of(weight: float | Mapping[str, float], layers: Collection[str] | None, dims: Mapping[str, int]) -> dict[str, float]:
    """Share of the second parent by mixed layer.

    Raises:
        UsageError: A layer is unknown, or has a weight but is not mixed.
    """
    chosen = list(dims) if layers is None else list(layers)
    given = dict(weight) if isinstance(weight, Mapping) else dict.fromkeys(chosen, weight)
    for name in chosen:
        require_layer(name, dims, "layer")
    for name in given:
        require_layer(name, dims, "weight")
        if name not in chosen:
            raise UsageError(f"weight: {name} is not among the mixed layers ({', '.join(chosen)})")
    return {name: given.get(name, DEFAULT_WEIGHT) for name in chosen}


def generators_of(artifact: LoadedArtifact) -> dict[str, Generator]:
    """The generators behind an artifact's latents, by the latent's name; a latent such as a place has none."""
    return artifact.network.generators_for(artifact.card.role)


def stage_index(generator: Generator, wanted: int | str, option: str) -> int:
    """Which stage of a generator is meant: its number from 1 to the last but one, or its name, such as `to_8px`.

    Raises:
        UsageError: There is none, or it is the last, whose output is the image.
    """
    names = [name for name, _ in generator.stages.named_children()][:-1]
    if str(wanted) in names:
        return names.index(str(wanted)) + 1
    number = int(wanted) if str(wanted).isdecimal() and len(str(wanted)) < 9 else 0
    if not 1 <= number <= len(names):
        known = ", ".join(f"{index} ({name})" for index, name in enumerate(names, start=1))
        raise UsageError(f"{option} {wanted}: choose a stage before the image: {known}" if names else f"{option}: the generator has but one stage")
    return number


@contextmanager
def _mixed_after(generators: Mapping[str, Generator], stages: Mapping[str, int], weights: Mapping[str, float]) -> Iterator[None]:
    """While it lasts, both rows of a batch go on from the mixture of their activations after the stages.

    By hooks, because whatever stands around the generators, a fusion that reads their features included, then sees the child as well.
    """

    def hook(share: float) -> Any:
        def mixed(_module: nn.Module, _args: Any, rows: Tensor) -> Tensor:
            child = rows[:1] if share == 0 else rows[1:] if share == 1 else torch.lerp(rows[:1], rows[1:], share)
            return child.expand_as(rows).contiguous()

        return mixed

    handles = [generator.stages[stages[name] - 1].register_forward_hook(hook(weights[name])) for name, generator in generators.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
