"""Generate and Morph: artifacts, pictures, grids, the way between two."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from mitlgan.studio import encoding, render
from mitlgan.studio.catalogue import Loaded
from mitlgan.studio.context import AskedState, OfDesk
from mitlgan.studio.schemas import MOST_PICTURES, ArtifactAnswer, GridAnswer, GridPicture, GridRequest, PictureAnswer, PictureRequest
from mitlgan.studio.worker import Ticket

router = APIRouter(prefix="/api")


@router.get("/artifacts")
def artifacts(desk: OfDesk) -> list[ArtifactAnswer]:
    """What is on offer, compositions first."""
    return desk.catalogue.refresh()


@router.post("/picture")
async def picture(request: Request, asked: PictureRequest, desk: OfDesk) -> PictureAnswer:
    """One picture, stage by stage."""

    def work(loaded: Loaded, _ticket: Ticket) -> PictureAnswer:
        stages = render.stages_of_state(loaded, asked.state)
        state = render.normalised(loaded, asked.state)
        shown = {what: encoding.data_uri(encoding.encoded(image)) for what, image in encoding.files_of(stages).items() if what.split(":")[0] in wanted}
        layers = {name: shown[f"layer:{name}"] for name in stages.layers} if "layers" in asked.want else None
        one = {what: shown.get(what) for what in ("output", "matte", "fused") if what in asked.want}
        return PictureAnswer(**one, layers=layers, stand=render.standing(loaded, stages), state=encoding.plain(state), link=encoding.link(state))

    wanted = {"layer" if what == "layers" else what for what in asked.want}
    return await desk.work(request, asked.state.artifact, work, quick=True)


@router.post("/grid")
async def grid(request: Request, asked: GridRequest, desk: OfDesk) -> GridAnswer:
    """Pictures that differ in seeds."""

    def work(loaded: Loaded, ticket: Ticket) -> GridAnswer:
        states = render.grid_states(loaded, asked, MOST_PICTURES)
        shots = [render.shot_of(loaded, state) for state in states]
        shown = [encoding.data_uri(encoding.encoded(stages.output)) for stages in render.stages_of_shots(loaded, shots, ticket.check)]
        found = [encoding.plain(render.normalised(loaded, state)) for state in states]
        return GridAnswer(pictures=[GridPicture(state=state, output=output) for state, output in zip(found, shown, strict=True)])

    return await desk.work(request, asked.state.artifact, work)


@router.get("/picture.png")
async def picture_png(request: Request, state: AskedState, desk: OfDesk, what: Annotated[str, Query(max_length=100)] = "output") -> Response:
    """One stage of a picture as a file."""

    def work(loaded: Loaded, _ticket: Ticket) -> bytes:
        return encoding.one_of(render.stages_of_state(loaded, state), what)

    return _download(await desk.work(request, state.artifact, work, quick=True), encoding.PNG, f"{what.replace(':', '-')}.png")


@router.get("/layers.zip")
async def layers_zip(request: Request, state: AskedState, desk: OfDesk) -> Response:
    """Every stage of a picture, and its state, in one file."""

    def work(loaded: Loaded, _ticket: Ticket) -> bytes:
        return encoding.zipped(render.stages_of_state(loaded, state), render.normalised(loaded, state))

    return _download(await desk.work(request, state.artifact, work, quick=True), "application/zip", "layers.zip")


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'inline; filename="{name}"'})
