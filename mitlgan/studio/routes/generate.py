"""Endpoints of the Generate tab: artifacts, pictures, grids and downloads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request

from mitlgan.studio import encoding, family, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.context import ContextDep
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import (
    MAX_PICTURES,
    ArtifactAnswer,
    ChildrenRequest,
    DirectionAnswer,
    DirectionNameRequest,
    GridAnswer,
    GridPicture,
    GridRequest,
    PictureAnswer,
    PictureRequest,
    State,
)
from mitlgan.studio.worker import CancelToken

SHOWN_SIGMAS = 3.0
"""Distance of a direction's two pictures from the middle, in standard deviations."""
ArtifactQuery = Annotated[str, Query(min_length=1, max_length=200)]
router = APIRouter(prefix="/api")


@router.get("/artifacts")
def artifacts(context: ContextDep) -> list[ArtifactAnswer]:
    """List the artifacts, compositions first."""
    return context.catalogue.refresh()


@router.post("/picture")
async def picture(request: Request, query: PictureRequest, context: ContextDep) -> PictureAnswer:
    """Render one picture, stage by stage."""

    def work(loaded: ActiveArtifact, _token: CancelToken) -> PictureAnswer:
        stages = render.render_state(loaded, query.state)
        state = render.fill_in_latents(loaded, query.state)
        images = encoding.stage_images(stages)
        names = [what for what in images if what in query.want or ("layers" in query.want and what.startswith("layer:"))]
        uris = {what: encoding.data_uri(encoding.image_png(images[what])) for what in names}
        layers = {name: uris[f"layer:{name}"] for name in stages.layers} if "layers" in query.want else None
        others = {what: uris.get(what) for what in ("output", "matte", "fused") if what in query.want}
        return PictureAnswer(
            **others,
            layers=layers,
            stand=render.front_transform(loaded, stages),
            state=encoding.state_json(state),
            link=encoding.state_link(family.page_state(loaded, state)),
        )

    return await context.run_with_artifact(request, query.state.artifact, work, quick=True)


@router.post("/grid")
async def grid(request: Request, query: GridRequest, context: ContextDep) -> GridAnswer:
    """Render pictures that differ in seeds."""

    def work(loaded: ActiveArtifact, token: CancelToken) -> GridAnswer:
        states = render.grid_states(loaded, query, MAX_PICTURES)
        return _grid(loaded, states, token)

    return await context.run_with_artifact(request, query.state.artifact, work)


@router.post("/children")
async def children(request: Request, query: ChildrenRequest, context: ContextDep) -> GridAnswer:
    """Render children of two pictures."""

    def work(loaded: ActiveArtifact, token: CancelToken) -> GridAnswer:
        return _grid(loaded, family.children(loaded, query), token)

    return await context.run_with_artifact(request, query.parents[0].artifact, work)


@router.get("/directions")
async def directions(request: Request, context: ContextDep, artifact: ArtifactQuery) -> dict[str, list[DirectionAnswer]]:
    """Return each latent's principal directions, with pictures of what they change."""

    def work(loaded: ActiveArtifact, token: CancelToken) -> dict[str, list[DirectionAnswer]]:
        answers = {}
        for latent, count in loaded.direction_counts.items():
            names = context.direction_names.of(artifact, latent, count)
            inputs = [render.render_input(loaded, state) for ends in family.direction_states(loaded, latent, SHOWN_SIGMAS) for state in ends]
            images = [stages.layers.get(latent, stages.output) for stages in render.render_stages(loaded, inputs, token.check)]
            uris = [encoding.data_uri(encoding.image_png(image)) for image in images]
            answers[latent] = [DirectionAnswer(name=name, low=low, high=high) for name, low, high in zip(names, uris[::2], uris[1::2], strict=True)]
        return answers

    return await context.run_with_artifact(request, artifact, work)


@router.post("/directions/name", status_code=204)
def name_direction(query: DirectionNameRequest, context: ContextDep) -> None:
    """Name a direction; an empty name removes its name."""
    counts = context.catalogue.entry(query.artifact).answer.directions or {}
    if query.index >= counts.get(query.latent, 0):
        raise RequestRefused(422, f"index: this artifact has {counts.get(query.latent, 0)} directions of that latent")
    context.direction_names.give(query.artifact, query.latent, query.index, counts[query.latent], query.name)


def _grid(loaded: ActiveArtifact, states: Sequence[State], token: CancelToken) -> GridAnswer:
    inputs = [render.render_input(loaded, state) for state in states]
    uris = [encoding.data_uri(encoding.image_png(stages.output)) for stages in render.render_stages(loaded, inputs, token.check)]
    states_json = [encoding.state_json(render.fill_in_latents(loaded, state)) for state in states]
    return GridAnswer(pictures=[GridPicture(state=state, output=output) for state, output in zip(states_json, uris, strict=True)])
