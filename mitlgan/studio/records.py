"""Picture records of the studio's states: what a downloaded file says of how it was made, and the state of a file that is dropped on the page."""

from __future__ import annotations

from pydantic import ValidationError

from mitlgan.artifacts.picture_record import PictureRecord, RecordedSeed, latents_by_layer, make_record, record_in, recorded_latent
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.images.resize import OWN_SIZE, PictureSize
from mitlgan.networks import LayerTransform
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.family import page_state, values_of
from mitlgan.studio.render import fill_in_latents, render_input, transform_tensor
from mitlgan.studio.schemas import SeedLatent, State, TransformState

SOURCE = "picture"
"""Begins the messages about a dropped file, whose name is the client's own affair."""


def record_of(loaded: ActiveArtifact, state: State, size: PictureSize = OWN_SIZE) -> PictureRecord:
    """Return the record of a state's picture: of its seeds if it has nothing else, else of its numbers."""
    whole = render_input(loaded, state)
    filled = fill_in_latents(loaded, state)
    seeds = {name: latent.seed for name, latent in filled.latents.items() if isinstance(latent, SeedLatent)}
    front = None if loaded.composer is None else loaded.composer.frontmost_layer
    is_plain = set(seeds) == set(filled.latents) and not any(amount for amounts in state.directions.values() for amount in amounts)
    transforms: dict[str, LayerTransform] = {} if whole.stand is None or front is None else {front: transform_tensor([whole.stand])}
    return make_record(
        loaded.artifact, seeds if is_plain else latents_by_layer(loaded.artifact, whole.z), truncation=state.truncation if is_plain else 1.0,
        transforms=transforms, matte=whole.matte, harmonise=whole.harmonise, size=size,
    )  # fmt: skip


def read_dropped_record(content: bytes) -> PictureRecord:
    """Return the record in a file that was dropped on the page; no pixel is decoded.

    Raises:
        RequestRefused: 422, the file has none, or it is damaged.
    """
    try:
        return record_in(content, SOURCE)
    except MitlganError as error:
        raise RequestRefused(422, str(error)) from None


def state_of(loaded: ActiveArtifact, record: PictureRecord) -> State:
    """Return the state that makes a recorded picture, to the bit, as the page can hold it.

    Raises:
        RequestRefused: 422, the record does not fit the artifact, or what the page can show.
    """
    try:
        z = recorded_latent(loaded.artifact, record, SOURCE)
    except ArtifactError as error:
        raise RequestRefused(422, str(error)) from None
    front = None if loaded.composer is None or not loaded.composer.movable_layers else loaded.composer.frontmost_layer
    if set(record.transforms) - {front}:
        raise RequestRefused(422, f"{SOURCE}: moves a layer that the page cannot move; use `mitlgan sample --like`")
    has_seeds = 0 < record.truncation <= 1 and all(isinstance(latent, RecordedSeed) for latent in record.latents.values())
    seeds = {name: SeedLatent(seed=latent.seed) for name, latent in record.latents.items() if isinstance(latent, RecordedSeed)}
    transform = record.transforms.get(front or "")
    try:
        state = State(
            artifact=loaded.id,
            latents=seeds if has_seeds else values_of(loaded, z),
            truncation=record.truncation if has_seeds else 1.0,
            stand=None if transform is None else TransformState(scale=transform.scale, across=transform.x, down=transform.y, flip=transform.flip),
            matte_strength=record.matte,
            harmonise=record.harmonise,
        )
    except ValidationError:
        raise RequestRefused(422, f"{SOURCE}: its object is placed where the page cannot show it; use `mitlgan sample --like`") from None
    render_input(loaded, state)  # refuses what the artifact does not support
    return page_state(loaded, state)
