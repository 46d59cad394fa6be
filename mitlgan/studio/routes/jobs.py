"""Endpoints of the Embed and Inpaint tabs: jobs, watched by server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from mitlgan.studio import inpainting_jobs, inversion_jobs, uploads
from mitlgan.studio.context import ContextDep
from mitlgan.studio.encoding import PNG
from mitlgan.studio.errors import RequestRefused, refuse_large_picture
from mitlgan.studio.jobs import StudioJob
from mitlgan.studio.schemas import MAX_JOB_S, InpaintRequest, JobAnswer

router = APIRouter(prefix="/api")


@router.post("/embed", status_code=202)
async def embed(
    request: Request,
    context: ContextDep,
    artifact: Annotated[str, Query(min_length=1, max_length=200)],
    seconds: Annotated[float, Query(ge=0.5, le=MAX_JOB_S, allow_inf_nan=False)] = 20.0,
) -> JobAnswer:
    """Start to embed a picture, whose bytes are the body."""
    card = context.catalogue.entry(artifact).card
    if not request.headers.get("content-type", "").startswith("image/"):
        raise RequestRefused(415, "Content-Type: is no picture's; send the picture's bytes as image/png, image/jpeg or the like")
    content = await request.body()
    target = await context.worker.run(request, lambda _: uploads.decode_picture(content, card, "picture"))
    job = context.jobs.start(lambda job: inversion_jobs.run_embedding(context.catalogue.load(artifact), target, seconds, job, context.worker))
    return JobAnswer(job=job.id)


@router.post("/inpaint", status_code=202)
async def inpaint(request: Request, query: InpaintRequest, context: ContextDep) -> JobAnswer:
    """Start to fill a hole in a picture."""
    context.catalogue.entry(query.artifact)
    image, mask = uploads.decode_data_uri(query.image, "image"), uploads.decode_data_uri(query.hole, "hole")
    if len(image) > context.settings.max_upload_bytes:
        raise refuse_large_picture(context.settings.max_upload_bytes)
    task = await context.worker.run(request, lambda _: uploads.decode_task(image, mask))

    def work(job: StudioJob) -> dict[str, Any]:
        encoder = inpainting_jobs.load_context_encoder() if query.method == "context" else None
        loaded = context.catalogue.load(query.artifact) if encoder is None else None
        return inpainting_jobs.run_inpainting(task, job, loaded=loaded, seconds=query.seconds, worker=context.worker, encoder=encoder)

    return JobAnswer(job=context.jobs.start(work).id)


def _job(context: ContextDep, job_id: str) -> StudioJob:
    return context.jobs.get(job_id)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def events(job: Annotated[StudioJob, Depends(_job)]) -> AsyncIterator[ServerSentEvent]:
    """Stream a job's events: progress, and finally done, failed or cancelled."""
    async for event in job.events():
        yield ServerSentEvent(event=event.kind, data=event.data)


@router.get("/jobs/{job_id}/picture.png")
async def picture(job: Annotated[StudioJob, Depends(_job)]) -> Response:
    """Download the whole picture that a job has filled."""
    if job.file is None:
        raise RequestRefused(404, "job: has no picture, or it is no longer kept; start it again")
    return Response(job.file, media_type=PNG, headers={"Content-Disposition": 'inline; filename="inpainted.png"'})


@router.delete("/jobs/{job_id}", status_code=204)
async def cancel(job: Annotated[StudioJob, Depends(_job)]) -> None:
    """End a job at its next step."""
    job.cancel()
