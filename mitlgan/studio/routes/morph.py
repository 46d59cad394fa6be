"""Endpoints of the Morph tab: frames from one picture to another, or an animation."""

from __future__ import annotations

from typing import Literal

import torch
from fastapi import APIRouter, Request
from starlette.responses import Response

from mitlgan.images.animation import encode_animation, validate_format
from mitlgan.images.grid import display_scale, enlarge
from mitlgan.images.resize import MAX_SIZE_PX
from mitlgan.studio import encoding, family, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.context import ContextDep
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import MorphAnswer, MorphFileRequest, MorphFrameRequest, MorphRequest, StateAnswer
from mitlgan.studio.worker import CancelToken

MAX_BYTES = 200_000_000
router = APIRouter(prefix="/api")


@router.post("/morph")
async def morph(request: Request, query: MorphRequest, context: ContextDep) -> MorphAnswer:
    """Render the frames of a morph; first and last are the two pictures to the bit."""

    def work(loaded: ActiveArtifact, token: CancelToken) -> MorphAnswer:
        stages = render.render_stages(loaded, render.morph_inputs(loaded, query), token.check)
        return MorphAnswer(frames=[encoding.data_uri(encoding.image_png(frame.output)) for frame in stages])

    return await context.run_with_artifact(request, query.start.artifact, work)


@router.post("/morph.gif")
async def morph_gif(request: Request, query: MorphFileRequest, context: ContextDep) -> Response:
    """Render a morph as a GIF of 256 colors."""
    return await _file(request, query, context, "gif")


@router.post("/morph.webp")
async def morph_webp(request: Request, query: MorphFileRequest, context: ContextDep) -> Response:
    """Render a morph as a lossless WebP."""
    return await _file(request, query, context, "webp")


@router.post("/morph.mp4")
async def morph_mp4(request: Request, query: MorphFileRequest, context: ContextDep) -> Response:
    """Render a morph as a video; needs PyAV."""
    return await _file(request, query, context, "mp4")


@router.post("/morph/frame")
async def morph_frame(request: Request, query: MorphFrameRequest, context: ContextDep) -> StateAnswer:
    """Return the state of one frame, to edit it as any other picture."""

    def work(loaded: ActiveArtifact, _token: CancelToken) -> StateAnswer:
        return StateAnswer(state=encoding.state_json(family.frame_state(loaded, query)))

    return await context.run_with_artifact(request, query.start.artifact, work, quick=True)


async def _file(request: Request, query: MorphFileRequest, context: ContextDep, extension: Literal["gif", "webp", "mp4"]) -> Response:
    validate_format(extension, query.fps)

    def work(loaded: ActiveArtifact, token: CancelToken) -> bytes:
        size_px = loaded.artifact.card.size_px
        scale = query.scale or display_scale(size_px)
        if scale * size_px > MAX_SIZE_PX or 3 * (scale * size_px) ** 2 * 2 * query.frames > MAX_BYTES:
            raise RequestRefused(422, f"scale: {query.frames} frames of {scale * size_px} px are too large; ask for fewer, or a smaller scale")
        stages = render.render_stages(loaded, render.morph_inputs(loaded, query), token.check)
        pixels = enlarge(torch.cat([frame.output for frame in stages]), scale=scale)
        frames = torch.cat([pixels, pixels[1:-1].flip(0)]) if query.there_and_back else pixels
        token.check()
        return encode_animation(frames.permute(0, 2, 3, 1).contiguous().numpy(), extension, query.fps)

    content = await context.run_with_artifact(request, query.start.artifact, work)
    media_type = "video/mp4" if extension == "mp4" else f"image/{extension}"
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="morph.{extension}"'})
