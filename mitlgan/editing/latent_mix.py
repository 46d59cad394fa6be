"""Mixing two images: their latents layer by layer, or their features after a stage of the generator."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.network_stages import run_network
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import UsageError
from mitlgan.latents import concat_layers, interpolate_latents, split_by_layer, truncate
from mitlgan.latents.paths import require_layer, require_layers
from mitlgan.networks import CompositionStages, Generator

DEFAULT_WEIGHT = 0.5


class MixResult(NamedTuple):
    """A mixed picture.

    Attributes:
        stages: Every stage, one image each; see `LoadedArtifact.layers`.
        z: Its latent (sum of the layers' lengths,); None if features were mixed, because no latent need give the same image.
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
    lerp: bool = False,
    truncation: float = 1.0,
) -> MixResult:
    """Mix two points.

    Latents are mixed along the arc between them, so that the result is as long as they are: the mean of two normal latents is shorter by sqrt(2), and
    its image more average than either parent.

    Generators other than the style generator, for which there is `mix_styles`, take their latent at the first stage alone, so styles of early and
    late stages cannot be combined (Karras et al. 2019). For them there is `features`: both parents run up to a stage, their activations there are
    mixed along the straight line (activations do not lie near a sphere), and the later stages continue from the mixture. Early stages decide
    layout, late ones appearance: after an early stage the result is a shape between both, after a late one the two images superimposed.

    Args:
        artifact: Generator or composer.
        first: A point; see `mitlgan.editing.to_latent`.
        second: Another point.
        weight: Share of the second, from 0 to 1, for all layers or by layer; layers without a weight get one half.
        layers: Layers to mix; the others stay those of the first. None: all.
        features: Mix after this stage, by its number from 1 or its name, in every mixed layer that has a generator; None: latents.
        lerp: Mix latents along the straight line; features always are.
        truncation: Truncation of both parents, from 0 to 2; see `mitlgan.latents.truncate`.

    Raises:
        UsageError: A layer or stage is unknown, a weight or the truncation out of range, or `lerp` goes with `features`.
        ArtifactError: A latent file cannot be read or does not fit.

    Example:
        >>> import mitlgan
        >>> child = mitlgan.mix(mitlgan.load("pretrained/modern-32"), 1, 2, weight={"fg": 0.0, "bg": 1.0})
        >>> child.stages.output.shape
        torch.Size([1, 3, 32, 32])
    """
    dims = artifact.card.latent_dims
    if features is not None and lerp:
        raise UsageError("--lerp: is a path between latents, and --features mixes activations; leave one out")
    weights = weights_of(weight, layers, dims)
    parents = [truncate(to_latent(artifact, point, name), truncation) for name, point in {"first": first, "second": second}.items()]
    z = interpolate_latents(parents[0], parents[1], {name: [share] for name, share in weights.items()}, dims, straight=lerp)[0]
    if features is None:
        return MixResult(artifact.layers_from_latents(z[None]), z)
    generators = {name: generator for name, generator in artifact.network.generators_for(artifact.card.role).items() if name in weights}
    if not generators:
        raise UsageError(f"features: no generator is behind {', '.join(weights)}, so there are none to mix; leave it out")
    stages = {name: stage_index(generator, features, "features") for name, generator in generators.items()}
    child, own = split_by_layer(z, dims), [split_by_layer(parent, dims) for parent in parents]
    both = torch.stack([concat_layers({name: parent[name] if name in stages else child[name] for name in dims}, dims) for parent in own])
    with _mixed_after(generators, stages, weights), torch.no_grad():
        rows = run_network(artifact.network, both.to(artifact.device), artifact.card.role)
    return MixResult(rows[0], None)


def weights_of(weight: float | Mapping[str, float], layers: Collection[str] | None, dims: Mapping[str, int]) -> dict[str, float]:
    """Return the share of the second parent by mixed layer.

    Raises:
        UsageError: A layer is unknown, or has a weight but is not mixed, or a weight is no share.
    """
    chosen = list(dims) if layers is None else list(layers)
    shares = dict(weight) if isinstance(weight, Mapping) else dict.fromkeys(chosen, weight)
    require_layers(chosen, dims)
    for name, share in shares.items():
        require_layer(name, dims, "weight")
        if not 0 <= share <= 1:
            raise UsageError(f"weight: {share:g} for {name} is not a share; choose from 0 (the first) to 1 (the second)")
        if name not in chosen:
            raise UsageError(f"weight: {name} is not among the mixed layers ({', '.join(chosen)})")
    return {name: shares.get(name, DEFAULT_WEIGHT) for name in chosen}


def generators_of(artifact: LoadedArtifact) -> dict[str, Generator]:
    """Return the generators of an artifact by the name of their latent, as its pictures are made with them; the placement latent has none.

    Those that a composition's adapters change are copies, which hooks do not reach.
    """
    return artifact.network.generators_for(artifact.card.role) if artifact.composer is None else artifact.composer.adapted_generators()


def stage_index(generator: Generator, requested: int | str, option: str) -> int:
    """Return the number of a stage that precedes the image, from its number (the first is 1) or its name, such as `to_8px`.

    Raises:
        UsageError: There is no such stage, or it is the last, whose output is the image.
    """
    names = [name for name, _ in generator.stages.named_children()][:-1]
    if str(requested) in names:
        return names.index(str(requested)) + 1
    number = int(requested) if str(requested).isdecimal() and len(str(requested)) < 9 else 0
    if not 1 <= number <= len(names):
        choices = ", ".join(f"{index} ({name})" for index, name in enumerate(names, start=1))
        raise UsageError(f"{option} {requested}: choose a stage before the image: {choices}" if names else f"{option}: the generator has but one stage")
    return number


@contextmanager
def _mixed_after(generators: Mapping[str, Generator], stages: Mapping[str, int], weights: Mapping[str, float]) -> Iterator[None]:
    """Within the context, both rows of a batch continue from the mixture of their activations after the chosen stages.

    Hooks are used so that everything else, including a fusion that reads features, sees the mixture as well. They leave other threads' pictures, which
    the same generators may make meanwhile, as they are.
    """
    own_thread = threading.get_ident()

    def hook(share: float) -> Any:
        def mixed(_module: nn.Module, _args: Any, rows: Tensor) -> Tensor | None:
            if threading.get_ident() != own_thread:
                return None
            child = rows[:1] if share == 0 else rows[1:] if share == 1 else torch.lerp(rows[:1], rows[1:], share)
            return child.expand_as(rows).contiguous()

        return mixed

    handles = [generator.stages[stages[name] - 1].register_forward_hook(hook(weights[name])) for name, generator in generators.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
