"""Endpoints of the Generate tab: artifacts, pictures, grids and downloads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from mitlgan.studio import encoding, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.context import ContextDep, StateQuery
from mitlgan.studio.schemas import MAX_PICTURES, ArtifactAnswer, GridAnswer, GridPicture, GridRequest, PictureAnswer, PictureRequest
from mitlgan.studio.worker import CancelToken

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
        uris = {
            what: encoding.data_uri(encoding.image_png(image)) for what, image in encoding.stage_images(stages).items() if what.split(":")[0] in kinds
        }
        layers = {name: uris[f"layer:{name}"] for name in stages.layers} if "layers" in query.want else None
        others = {what: uris.get(what) for what in ("output", "matte", "fused") if what in query.want}
        return PictureAnswer(
            **others, layers=layers, stand=render.front_transform(loaded, stages), state=encoding.state_json(state), link=encoding.state_link(state)
        )

    kinds = {"layer" if what == "layers" else what for what in query.want}
    return await context.run_with_artifact(request, query.state.artifact, work, quick=True)


@router.post("/grid")
async def grid(request: Request, query: GridRequest, context: ContextDep) -> GridAnswer:
    """Render pictures that differ in seeds."""

    def work(loaded: ActiveArtifact, token: CancelToken) -> GridAnswer:
        states = render.grid_states(loaded, query, MAX_PICTURES)
        inputs = [render.render_input(loaded, state) for state in states]
        uris = [encoding.data_uri(encoding.image_png(stages.output)) for stages in render.render_stages(loaded, inputs, token.check)]
        states_json = [encoding.state_json(render.fill_in_latents(loaded, state)) for state in states]
        return GridAnswer(pictures=[GridPicture(state=state, output=output) for state, output in zip(states_json, uris, strict=True)])

    return await context.run_with_artifact(request, query.state.artifact, work)


@router.get("/picture.png")
async def picture_png(request: Request, state: StateQuery, context: ContextDep, what: Annotated[str, Query(max_length=100)] = "output") -> Response:
    """Download one stage of a picture."""

    def work(loaded: ActiveArtifact, _token: CancelToken) -> bytes:
        return encoding.stage_png(render.render_state(loaded, state), what)

    return _download(await context.run_with_artifact(request, state.artifact, work, quick=True), encoding.PNG, f"{what.replace(':', '-')}.png")


@router.get("/layers.zip")
async def layers_zip(request: Request, state: StateQuery, context: ContextDep) -> Response:
    """Download every stage of a picture and its state as a zip."""

    def work(loaded: ActiveArtifact, _token: CancelToken) -> bytes:
        return encoding.stages_zip(render.render_state(loaded, state), render.fill_in_latents(loaded, state))

    return _download(await context.run_with_artifact(request, state.artifact, work, quick=True), "application/zip", "layers.zip")


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'inline; filename="{name}"'})
