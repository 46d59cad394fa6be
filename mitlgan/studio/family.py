"""States that are computed from other states: children of two pictures, and the frames of a morph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mitlgan.latents import interpolate_latents, split_by_layer
from mitlgan.networks import PLACEMENT_LATENT
from mitlgan.runtime.randomness import random_generator
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.encoding import shortest_floats
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.render import RenderInput, fill_in_latents, lerp, morph_inputs, render_input, transform_of
from mitlgan.studio.schemas import (
    MAX_MIX_DEPTH,
    ChildrenRequest,
    Latent,
    MixLatent,
    MorphFrameRequest,
    SeedLatent,
    State,
    TransformState,
    ValuesLatent,
    mix_depth,
)

MIN_SHARE, MAX_SHARE = 0.15, 0.85
"""Range of the share that a child has of its second parent in each latent: it looks like both."""
MAX_PAGE_SEED = 2**53 - 1
"""Largest seed that a browser's numbers hold exactly; a larger one would come back as another."""


def children(loaded: ActiveArtifact, request: ChildrenRequest) -> list[State]:
    """Return the states of children of two pictures. In each latent a child is between both, by a share that its seed decides.

    Raises:
        RequestRefused: 422, the parents are pictures of two artifacts, or what `render_input` refuses.
    """
    first, second = (fill_in_latents(loaded, parent) for parent in request.parents)
    if first.artifact != second.artifact:
        raise RequestRefused(422, "parents: are pictures of two artifacts; mix two of the same one")
    inputs = render_input(loaded, first), render_input(loaded, second)
    return [_child(loaded, (first, second), inputs, seed) for seed in request.seeds]


def _child(loaded: ActiveArtifact, parents: tuple[State, State], inputs: tuple[RenderInput, RenderInput], seed: int) -> State:
    dims = loaded.artifact.card.latent_dims
    uniform = torch.rand(len(dims), generator=random_generator(seed, "shares of a child")).mul(MAX_SHARE - MIN_SHARE).add(MIN_SHARE)
    shares = {name: round(share, 3) for name, share in zip(dims, uniform.tolist(), strict=True)}
    front = PLACEMENT_LATENT if PLACEMENT_LATENT in dims else None if loaded.composer is None else loaded.composer.frontmost_layer
    share = shares.get(front or "", 0.5)
    first, second = inputs
    return State(
        artifact=loaded.id,
        latents=_mixed_latents(loaded, parents, inputs, shares),
        truncation=parents[0].truncation if _is_plain(parents) else 1.0,
        stand=_mixed_transform(loaded, inputs, share),
        matte_strength=lerp(first.matte, second.matte, share),
        harmonise=lerp(first.harmonise, second.harmonise, share),
    )


def _mixed_latents(
    loaded: ActiveArtifact, parents: tuple[State, State], inputs: tuple[RenderInput, RenderInput], shares: Mapping[str, float]
) -> dict[str, Latent]:
    """Return the latents as mixtures of the parents', or as numbers if mixtures would be nested too deep or the parents have been edited.

    Both parents name all latents: a placement left out would follow the child's objects, not the parent's.
    """
    depth = max(mix_depth(latent) for parent in parents for latent in parent.latents.values())
    if _is_plain(parents) and depth < MAX_MIX_DEPTH:
        return {name: MixLatent(mix=(parents[0].latents[name], parents[1].latents[name], share)) for name, share in shares.items()}
    z = interpolate_latents(inputs[0].z, inputs[1].z, {name: [share] for name, share in shares.items()}, loaded.artifact.card.latent_dims)[0]
    return values_of(loaded, z)


def _is_plain(parents: tuple[State, State]) -> bool:
    return parents[0].truncation == parents[1].truncation and not any(amount for one in parents for row in one.directions.values() for amount in row)


def _mixed_transform(loaded: ActiveArtifact, inputs: tuple[RenderInput, RenderInput], share: float) -> TransformState | None:
    if inputs[0].stand is None and inputs[1].stand is None:
        return None  # it is in the latent
    first, second = (transform_of(loaded, one) for one in inputs)
    values = {name: lerp(getattr(first, name), getattr(second, name), share) for name in ("scale", "across", "down")}
    return TransformState(**values, flip=(first if share < 0.5 else second).flip)


def frame_state(loaded: ActiveArtifact, request: MorphFrameRequest) -> State:
    """Return the state of one frame of a morph, which makes the same picture to the bit.

    Raises:
        RequestRefused: 422, there is no such frame, or what `morph_inputs` refuses.
    """
    inputs = morph_inputs(loaded, request)
    if request.index >= len(inputs):
        raise RequestRefused(422, f"index: the morph has {len(inputs)} frames; choose from 0 to {len(inputs) - 1}")
    if request.index == 0:
        return fill_in_latents(loaded, request.start)
    frame = inputs[request.index]
    latents = values_of(loaded, frame.z)
    return State(artifact=loaded.id, latents=latents, stand=frame.stand, matte_strength=frame.matte, harmonise=frame.harmonise)


def values_of(loaded: ActiveArtifact, z: torch.Tensor) -> dict[str, Latent]:
    """Return a whole latent (D,) as the numbers of each part."""
    return {name: ValuesLatent(values=values) for name, values in shortest_floats(split_by_layer(z, loaded.artifact.card.latent_dims)).items()}


def page_state(loaded: ActiveArtifact, state: State) -> State:
    """Return a state as the page can hold it: every latent is named, and seeds above `MAX_PAGE_SEED` become the numbers that they give.

    It makes the same picture to the bit.
    """
    state = fill_in_latents(loaded, state)
    large = {name for name, latent in state.latents.items() if _largest_seed(latent) > MAX_PAGE_SEED}
    if not large:
        return state
    whole = render_input(loaded, state.model_copy(update={"truncation": 1.0, "directions": {}}))
    numbers = {name: latent for name, latent in values_of(loaded, whole.z).items() if name in large}
    return state.model_copy(update={"latents": {**state.latents, **numbers}})


def _largest_seed(latent: SeedLatent | ValuesLatent | MixLatent) -> int:
    if isinstance(latent, MixLatent):
        return max(_largest_seed(parent) for parent in latent.mix[:2])
    return latent.seed if isinstance(latent, SeedLatent) else 0


def direction_states(loaded: ActiveArtifact, name: str, sigmas: float) -> Sequence[tuple[State, State]]:
    """Return for each principal direction of a latent the two states at both of its ends, from the artifact's first picture."""
    count = loaded.direction_counts[name]

    def at(index: int, amount: float) -> State:
        return State(artifact=loaded.id, directions={name: [amount if each == index else 0.0 for each in range(count)]})

    return [(at(index, -sigmas), at(index, sigmas)) for index in range(count)]
