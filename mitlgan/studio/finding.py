"""Embedding as a job: what is found is told on the way, and what is shown meanwhile comes first."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mitlgan.embed import Embedded, Progress, Settings, embed
from mitlgan.latent import by_layer
from mitlgan.studio import pictures, render
from mitlgan.studio.catalogue import Loaded
from mitlgan.studio.contract import Found, State
from mitlgan.studio.faults import Cancelled
from mitlgan.studio.jobs import Job
from mitlgan.studio.worker import Worker


def found(loaded: Loaded, target: Tensor, seconds: float, job: Job, worker: Worker, known: Tensor | None = None) -> Embedded:
    """The latent of a picture.

    Args:
        loaded: In which it is looked for.
        target: (1, C, H, W) in [-1, 1].
        seconds: Time for it.
        job: Told of progress; decides whether it goes on.
        worker: Whose other, short work is done between the steps.
        known: (1, 1, H, W), 1 where the picture counts; None: everywhere.

    Raises:
        Cancelled: The job is not wanted any more.
    """
    settings = Settings(seconds=seconds)

    def watch(progress: Progress) -> bool:
        worker.give_way()
        if job.due and progress.psnr_db is not None and progress.image is not None:
            steps = {"step": progress.done + settings.steps * (progress.phase == "polish"), "of": settings.steps + settings.polish_steps}
            preview = pictures.data_uri(pictures.encoded(progress.image.detach().cpu()[None]))
            job.tell("progress", {**steps, "error": 10 ** (-progress.psnr_db / 10), "psnr": progress.psnr_db, "preview": preview})
        return job.wanted

    embedded = embed(loaded.artifact, target, settings, known, progress=watch)
    if "cancelled" in embedded.ended:
        raise Cancelled
    return embedded


def embedding(loaded: Loaded, target: Tensor, seconds: float, job: Job, worker: Worker) -> dict[str, Any]:
    """What the page is told of a picture's embedding: the state that makes it, and how near it is.

    Raises:
        Cancelled: See `found`.
    """
    embedded = found(loaded, target, seconds, job, worker)
    values = pictures.shortest(by_layer(embedded.z[0], loaded.artifact.card.latent_dims))
    state = State(artifact=loaded.id, latents={name: Found(values=numbers) for name, numbers in values.items()})
    picture = pictures.data_uri(pictures.encoded(render.stages_of_state(loaded, state).output))
    figures = {"psnr": float(embedded.psnr_db[0]), "error": float(embedded.mse[0]), "ended": embedded.ended[0], "seconds": embedded.seconds[0]}
    return {"state": pictures.plain(state), "link": pictures.link(state), "picture": picture, **figures}
