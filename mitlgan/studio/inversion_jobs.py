"""Embedding and inpainting as jobs: what is found is told on the way, and what is shown meanwhile comes first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mitlgan.images.alpha import clip_to_alpha, to_opaque_rgb, unpremultiply
from mitlgan.images.encode import encode_png
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.inpainting import Filler, Original, make_filler, poisson_blend
from mitlgan.inpainting import inpaint as filled_by
from mitlgan.inpainting.fillers import EMBEDDING_SETTINGS
from mitlgan.inversion import InversionResult, InversionStatus, Settings, embed
from mitlgan.inversion.cost import BATCH
from mitlgan.latents import split_by_layer
from mitlgan.studio import encoding, render
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.errors import Cancelled
from mitlgan.studio.jobs import StudioJob
from mitlgan.studio.schemas import State, ValuesLatent
from mitlgan.studio.worker import Worker

ImageEncoder = Callable[[Tensor], bytes]
"""The PNG of an image (1, C, H, W) in [-1, 1], as the page is to see it."""


def run_embedding(loaded: ActiveArtifact, target: Tensor, seconds: float, job: StudioJob, worker: Worker) -> dict[str, Any]:
    """What the page is told of a picture's embedding: the state that makes it, and how near it is.

    Args:
        loaded: In which its latent is looked for.
        target: (1, C, H, W) in [-1, 1].
        seconds: Time for it.
        job: Told of progress; decides whether it goes on.
        worker: Whose other, short work is done between the steps.

    Raises:
        Cancelled: The job is not wanted any more.
    """
    return _job_result(loaded, _search_latent(loaded, target, Settings(seconds=seconds), job, worker), encoding.image_png)


def run_inpainting(
    loaded: ActiveArtifact, target: Tensor, hole: Tensor, seconds: float, job: StudioJob, worker: Worker, given: Image.Image | None = None
) -> dict[str, Any]:
    """What the page is told of a hole that is filled by embedding what is left: the whole picture, which outside of the hole is what was given.

    Args:
        loaded: As in `embedding`, and so on.
        target: (1, C, H, W) in [-1, 1].
        hole: (1, 1, H, W), 1 where it is.
        seconds: Time for it.
        job: Likewise.
        worker: Likewise.
        given: The picture as RGBA, where it is transparent.

    Raises:
        Cancelled: The job is not wanted any more.
    """

    def pasted(image: Tensor) -> bytes:
        return _png(torch.where(hole > 0, image, target), hole, given)

    def evened(image: Tensor) -> bytes:
        planes = to_uint8(target)[0].permute(1, 2, 0).contiguous().numpy()  # (H, W, C)
        drawn = image.add(1).mul(127.5)[0].permute(1, 2, 0).double().numpy()
        found = to_float(torch.from_numpy(poisson_blend(planes, drawn, hole[0, 0].bool().numpy())).permute(2, 0, 1)[None])
        return _png(clip_to_alpha(found), hole, given)

    return _job_result(loaded, _search_latent(loaded, target, replace(EMBEDDING_SETTINGS, seconds=seconds), job, worker, 1 - hole, pasted), evened)


def fill_with_encoder(target: Tensor, hole: Tensor, by: Filler, given: Image.Image | None = None) -> dict[str, Any]:
    """What the page is told of a hole that a trained context encoder fills.

    Args:
        target: (1, C, H, W) in [-1, 1]; what has a matte is laid on white.
        hole: (1, 1, H, W), 1 where it is.
        by: The encoder.
        given: See `inpainting`.
    """
    planes = to_uint8(to_opaque_rgb(target))[0].permute(1, 2, 0).contiguous().numpy()
    found = filled_by(planes, hole[0, 0].bool().numpy(), by).blended
    return {"picture": encoding.data_uri(_png(to_float(torch.from_numpy(found).permute(2, 0, 1)[None]), hole, given))}


def load_context_encoder() -> Filler:
    """The shipped context encoder.

    Raises:
        ArtifactError: None is shipped.
    """
    return make_filler("context")


def _search_latent(
    loaded: ActiveArtifact,
    target: Tensor,
    settings: Settings,
    job: StudioJob,
    worker: Worker,
    known: Tensor | None = None,
    seen: ImageEncoder = encoding.image_png,
) -> InversionResult:
    most = math.ceil(settings.starts / BATCH) + settings.attempts * (settings.steps + settings.polish_steps)
    taken = count(1)

    def watch(progress: InversionStatus) -> bool:
        worker.run_pending()
        step = next(taken)  # of all phases and attempts; those of a phase alone would begin anew
        if job.is_event_due:
            psnr_db, image = progress.psnr_db, progress.image  # there are none while starts are looked through
            seen_now = None if image is None else encoding.data_uri(seen(image.detach().cpu()[None]))
            near = {"error": None if psnr_db is None else _error(psnr_db), "psnr": psnr_db, "preview": seen_now}
            job.emit("progress", {"step": min(step, most), "of": most, "phase": progress.phase, **near})
        return job.is_wanted

    embedded = embed(loaded.artifact, target, settings, known, progress=watch)
    if "cancelled" in embedded.stop_reasons:
        raise Cancelled
    return embedded


def _job_result(loaded: ActiveArtifact, embedded: InversionResult, seen: ImageEncoder) -> dict[str, Any]:
    values = encoding.shortest_floats(split_by_layer(embedded.z[0], loaded.artifact.card.latent_dims))
    state = State(artifact=loaded.id, latents={name: ValuesLatent(values=numbers) for name, numbers in values.items()})
    picture = encoding.data_uri(seen(render.render_state(loaded, state).output))
    figures = {"psnr": float(embedded.psnr_db[0]), "error": float(embedded.mse[0]), "ended": embedded.stop_reasons[0], "seconds": embedded.seconds[0]}
    return {"state": encoding.state_json(state), "link": encoding.state_link(state), "picture": picture, **figures}


def _png(image: Tensor, hole: Tensor, given: Image.Image | None) -> bytes:
    """A filled picture; outside of the hole a transparent one is what was given, to the number."""
    if given is None:
        return encoding.image_png(image)
    inside = hole[0, 0].bool().numpy()
    pixels = unpremultiply(to_uint8(image))[0].permute(1, 2, 0).contiguous().numpy()
    if pixels.shape[2] < 4:  # filled as it is seen on white
        return Original(given, "RGBA", None, "").png(np.broadcast_to(pixels, (*inside.shape, 3)), inside)
    return encode_png(torch.from_numpy(np.where(inside[..., None], pixels, np.asarray(given))).permute(2, 0, 1))


def _error(psnr_db: float) -> float:
    return float(10 ** (-psnr_db / 10))
