"""Morph: the way from one picture to another, as frames or as a file."""

from __future__ import annotations

from typing import Literal

import torch
from fastapi import APIRouter, Request
from starlette.responses import Response

from mitlgan.images.animation import encode_animation
from mitlgan.images.grid import MAX_SIZE_PX, display_scale, enlarge
from mitlgan.studio import encoding, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.context import ContextDep
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import MorphAnswer, MorphFileRequest, MorphRequest
from mitlgan.studio.worker import CancelToken

MAX_BYTES = 200_000_000
router = APIRouter(prefix="/api")


@router.post("/morph")
async def morph(request: Request, asked: MorphRequest, context: ContextDep) -> MorphAnswer:
    """The frames of a way; the first and the last are the two pictures to the bit."""

    def work(loaded: ActiveArtifact, ticket: CancelToken) -> MorphAnswer:
        stages = render.render_stages(loaded, render.morph_inputs(loaded, asked), ticket.check)
        return MorphAnswer(frames=[encoding.data_uri(encoding.image_png(frame.output)) for frame in stages])

    return await context.run_with_artifact(request, asked.start.artifact, work)


@router.post("/morph.gif")
async def morph_gif(request: Request, asked: MorphFileRequest, context: ContextDep) -> Response:
    """The same as a GIF, of 256 colours."""
    return await _file(request, asked, context, "gif")


@router.post("/morph.webp")
async def morph_webp(request: Request, asked: MorphFileRequest, context: ContextDep) -> Response:
    """The same as a WebP that keeps every pixel."""
    return await _file(request, asked, context, "webp")


async def _file(request: Request, asked: MorphFileRequest, context: ContextDep, form: Literal["gif", "webp"]) -> Response:
    def work(loaded: ActiveArtifact, ticket: CancelToken) -> bytes:
        size_px = loaded.artifact.card.size_px
        scale = asked.scale or display_scale(size_px)
        if scale * size_px > MAX_SIZE_PX or 3 * (scale * size_px) ** 2 * 2 * asked.frames > MAX_BYTES:
            raise RequestRefused(422, f"scale: {asked.frames} frames of {scale * size_px} px are too large; ask for fewer, or a smaller scale")
        stages = render.render_stages(loaded, render.morph_inputs(loaded, asked), ticket.check)
        pixels = enlarge(torch.cat([frame.output for frame in stages]), scale=scale)
        shown = torch.cat([pixels, pixels[1:-1].flip(0)]) if asked.there_and_back else pixels
        ticket.check()
        return encode_animation(shown.permute(0, 2, 3, 1).contiguous().numpy(), form, asked.fps)

    content = await context.run_with_artifact(request, asked.start.artifact, work)
    return Response(content, media_type=f"image/{form}", headers={"Content-Disposition": f'attachment; filename="morph.{form}"'})
