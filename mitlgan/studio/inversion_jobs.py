"""Inversion and inpainting as jobs, which report their progress and give way to other requests."""

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
from mitlgan.inpainting import Filler, Original, inpaint, make_filler, poisson_blend
from mitlgan.inpainting.fillers import EMBEDDING_SETTINGS
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
    result = _search_latent(loaded, target, InversionSettings(seconds=seconds), job, worker)
    return _job_result(loaded, result, encoding.image_png)


def run_inpainting(
    loaded: ActiveArtifact, target: Tensor, hole: Tensor, seconds: float, job: StudioJob, worker: Worker, original: Image.Image | None = None
) -> dict[str, Any]:
    """Fill a hole by embedding the rest of the picture; the result equals the original outside of the hole.

    Args:
        loaded: The artifact.
        target: (1, C, H, W) in [-1, 1].
        hole: (1, 1, H, W), 1 inside.
        seconds: Time limit.
        job: Receives the progress, and may be cancelled.
        worker: Runs pending short requests between the steps.
        original: The picture as RGBA, if it is transparent.

    Raises:
        Cancelled: The job was cancelled.
    """

    def encode_pasted(image: Tensor) -> bytes:
        return _png(torch.where(hole > 0, image, target), hole, original)

    def encode_blended(image: Tensor) -> bytes:
        planes = to_uint8(target)[0].permute(1, 2, 0).contiguous().numpy()  # (H, W, C)
        fill = image.add(1).mul(127.5)[0].permute(1, 2, 0).double().numpy()
        blended = poisson_blend(planes, fill, hole[0, 0].bool().numpy())
        return _png(clip_to_alpha(to_float(torch.from_numpy(blended).permute(2, 0, 1)[None])), hole, original)

    result = _search_latent(loaded, target, replace(EMBEDDING_SETTINGS, seconds=seconds), job, worker, 1 - hole, encode_pasted)
    return _job_result(loaded, result, encode_blended)


def fill_with_encoder(target: Tensor, hole: Tensor, encoder: Filler, original: Image.Image | None = None) -> dict[str, Any]:
    """Fill a hole by a trained context encoder.

    Args:
        target: (1, C, H, W) in [-1, 1]; a matte is composed on white.
        hole: (1, 1, H, W), 1 inside.
        encoder: The encoder.
        original: The picture as RGBA, if it is transparent.
    """
    planes = to_uint8(to_opaque_rgb(target))[0].permute(1, 2, 0).contiguous().numpy()
    blended = inpaint(planes, hole[0, 0].bool().numpy(), encoder).blended
    return {"picture": encoding.data_uri(_png(to_float(torch.from_numpy(blended).permute(2, 0, 1)[None]), hole, original))}


def load_context_encoder() -> Filler:
    """Return the shipped context encoder.

    Raises:
        ArtifactError: No context encoder is shipped.
    """
    return make_filler("context")


def _search_latent(
    loaded: ActiveArtifact,
    target: Tensor,
    settings: InversionSettings,
    job: StudioJob,
    worker: Worker,
    weight_mask: Tensor | None = None,
    encode: ImageEncoder = encoding.image_png,
) -> InversionResult:
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


def _job_result(loaded: ActiveArtifact, result: InversionResult, encode: ImageEncoder) -> dict[str, Any]:
    latents = encoding.shortest_floats(split_by_layer(result.z[0], loaded.artifact.card.latent_dims))
    state = State(artifact=loaded.id, latents={name: ValuesLatent(values=values) for name, values in latents.items()})
    picture = encoding.data_uri(encode(render.render_state(loaded, state).output))
    figures = {"psnr": float(result.psnr_db[0]), "error": float(result.mse[0]), "ended": result.stop_reasons[0], "seconds": result.seconds[0]}
    return {"state": encoding.state_json(state), "link": encoding.state_link(state), "picture": picture, **figures}


def _png(image: Tensor, hole: Tensor, original: Image.Image | None) -> bytes:
    """Return a filled picture; a transparent original keeps its exact pixels outside of the hole."""
    if original is None:
        return encoding.image_png(image)
    inside = hole[0, 0].bool().numpy()
    pixels = unpremultiply(to_uint8(image))[0].permute(1, 2, 0).contiguous().numpy()
    if pixels.shape[2] < 4:  # the fill belongs to the picture on white
        return Original(original, "RGBA", None, "").png(np.broadcast_to(pixels, (*inside.shape, 3)), inside)
    return encode_png(torch.from_numpy(np.where(inside[..., None], pixels, np.asarray(original))).permute(2, 0, 1))


def _error(psnr_db: float) -> float:
    return float(10 ** (-psnr_db / 10))
