"""Inversion as a job, which reports its progress and gives way to other requests."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Any

from torch import Tensor

from mitlgan.inversion import InversionResult, InversionSettings, InversionStatus, embed
from mitlgan.inversion.cost import BATCH
from mitlgan.latents import split_by_layer
from mitlgan.studio import encoding, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.errors import Cancelled
from mitlgan.studio.jobs import StudioJob
from mitlgan.studio.schemas import State, ValuesLatent
from mitlgan.studio.worker import Worker

ImageEncoder = Callable[[Tensor], bytes]
"""Image (1, C, H, W) in [-1, 1] to the PNG for the page."""


def run_embedding(loaded: ActiveArtifact, target: Tensor, seconds: float, job: StudioJob, worker: Worker) -> dict[str, Any]:
    """Embed a picture; return its state and how well it fits.

    Args:
        loaded: The artifact.
        target: (1, C, H, W) in [-1, 1].
        seconds: Time limit.
        job: Receives the progress, and may be cancelled.
        worker: Runs pending short requests between the steps.

    Raises:
        Cancelled: The job was cancelled.
    """
    result = search_latent(loaded, target, InversionSettings(seconds=seconds), job, worker)
    return _job_result(loaded, result)


def search_latent(
    loaded: ActiveArtifact,
    target: Tensor,
    settings: InversionSettings,
    job: StudioJob,
    worker: Worker,
    weight_mask: Tensor | None = None,
    encode: ImageEncoder = encoding.image_png,
) -> InversionResult:
    """Search for a picture in an artifact, and report the progress.

    Args:
        loaded: The artifact.
        target: (1, C, H, W) in [-1, 1].
        settings: Settings of the search.
        job: Receives the progress, and may be cancelled.
        worker: Runs pending short requests between the steps.
        weight_mask: (1, 1, H, W), 0 where pixels do not count.
        encode: Makes the preview of an image.

    Raises:
        Cancelled: The job was cancelled.
    """
    max_steps = math.ceil(settings.starts / BATCH) + settings.attempts * (settings.steps + settings.polish_steps)
    steps = count(1)  # of all phases and attempts; a status counts those of its phase only

    def report(status: InversionStatus) -> bool:
        worker.run_pending()
        step = next(steps)
        if job.is_event_due:
            psnr_db, image = status.psnr_db, status.image  # None during the random starts
            preview = None if image is None else encoding.data_uri(encode(image.detach().cpu()[None]))
            fit = {"error": None if psnr_db is None else _error(psnr_db), "psnr": psnr_db, "preview": preview}
            job.emit("progress", {"step": min(step, max_steps), "of": max_steps, "phase": status.phase, **fit})
        return job.is_wanted

    result = embed(loaded.artifact, target, settings, weight_mask, progress=report)
    if "cancelled" in result.stop_reasons:
        raise Cancelled
    return result


def _job_result(loaded: ActiveArtifact, result: InversionResult) -> dict[str, Any]:
    latents = encoding.shortest_floats(split_by_layer(result.z[0], loaded.artifact.card.latent_dims))
    state = State(artifact=loaded.id, latents={name: ValuesLatent(values=values) for name, values in latents.items()})
    picture = encoding.data_uri(encoding.image_png(render.render_state(loaded, state).output))
    figures = {"psnr": float(result.psnr_db[0]), "error": float(result.mse[0]), "ended": result.stop_reasons[0], "seconds": result.seconds[0]}
    return {"state": encoding.state_json(state), "link": encoding.state_link(state), "picture": picture, **figures}


def _error(psnr_db: float) -> float:
    return float(10 ** (-psnr_db / 10))
