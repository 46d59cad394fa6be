"""Endpoints of files: pictures and layers to download, and the state of a picture that was downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from mitlgan.artifacts.layered_files import encode_layered, layered_picture
from mitlgan.images.resize import MAX_SIZE_PX, PictureSize
from mitlgan.networks import CompositionStages
from mitlgan.studio import encoding, records, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.context import ContextDep, StateQuery, StudioContext
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import State, StateAnswer
from mitlgan.studio.worker import CancelToken

router = APIRouter(prefix="/api")
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Encode = Callable[[ActiveArtifact, CompositionStages, str | None], bytes]
"""Artifact, stages, and how the picture was made, to the bytes of a file."""


def _parse_size(
    size: Annotated[int | None, Query(ge=1, le=MAX_SIZE_PX)] = None, filter_name: Annotated[Filter | None, Query(alias="filter")] = None
) -> PictureSize:
    return PictureSize(size_px=size, filter=filter_name)


SizeQuery = Annotated[PictureSize, Depends(_parse_size)]
"""Longer side of the file's picture, by default the artifact's, and the filter."""
MetadataQuery = Annotated[bool, Query()]
"""Whether the file says how it was made."""


@router.get("/picture.png")
async def picture_png(
    request: Request,
    state: StateQuery,
    context: ContextDep,
    size: SizeQuery,
    what: Annotated[str, Query(max_length=100)] = "output",
    metadata: MetadataQuery = True,
) -> Response:
    """Download one stage of a picture as PNG. `s` is the state as JSON; `size` is the longer side in pixels."""

    def encode(_loaded: ActiveArtifact, stages: CompositionStages, text: str | None) -> bytes:
        return encoding.stage_png(stages, what, size, text if what == "output" else None)

    content = await _file(request, context, state, size, encode, metadata=metadata)
    return _download(content, encoding.PNG, f"{what.replace(':', '-')}.png")


@router.get("/layers.zip")
async def layers_zip(request: Request, state: StateQuery, context: ContextDep, size: SizeQuery, metadata: MetadataQuery = True) -> Response:
    """Download every stage of a picture and its state as a zip."""

    def encode(loaded: ActiveArtifact, stages: CompositionStages, text: str | None) -> bytes:
        return encoding.stages_zip(stages, render.fill_in_latents(loaded, state), size, text)

    return _download(await _file(request, context, state, size, encode, metadata=metadata), "application/zip", "layers.zip")


@router.get("/layers.ora")
async def layers_ora(request: Request, state: StateQuery, context: ContextDep, size: SizeQuery, metadata: MetadataQuery = True) -> Response:
    """Download a picture in layers as OpenRaster, which GIMP, Krita and MyPaint open."""

    def encode(loaded: ActiveArtifact, stages: CompositionStages, text: str | None) -> bytes:
        return encode_layered(layered_picture(loaded.artifact, stages, size), "ora", text)

    return _download(await _file(request, context, state, size, encode, metadata=metadata), "image/openraster", "layers.ora")


@router.post("/record")
async def record(request: Request, context: ContextDep) -> StateAnswer:
    """Return the state of a picture that was downloaded, whose bytes are the body."""
    if not request.headers.get("content-type", "").startswith("image/"):
        raise RequestRefused(415, "Content-Type: is no picture's; send the picture's bytes as image/png or image/webp")
    content = await request.body()
    dropped = await context.worker.run(request, lambda _: records.read_dropped_record(content), quick=True)
    artifact_id = context.catalogue.id_of_tensors(dropped.artifact)

    def work(loaded: ActiveArtifact, _token: CancelToken) -> StateAnswer:
        return StateAnswer(state=encoding.state_json(records.state_of(loaded, dropped)))

    return await context.run_with_artifact(request, artifact_id, work, quick=True)


async def _file(
    request: Request, context: StudioContext, state: State, size: PictureSize, encode: Encode, *, metadata: bool
) -> bytes:  # fmt: skip
    def work(loaded: ActiveArtifact, _token: CancelToken) -> bytes:
        stages = render.render_state(loaded, state)
        return encode(loaded, stages, records.record_of(loaded, state, size).to_text() if metadata else None)

    return await context.run_with_artifact(request, state.artifact, work, quick=True)


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'inline; filename="{name}"'})
