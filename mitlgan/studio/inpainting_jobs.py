"""Inpainting as a job: a hole in a picture of any size is filled, and the picture comes back at its own size, unchanged outside of the hole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from mitlgan.errors import DataError
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.images.encode import encode_image
from mitlgan.inpainting import Filler, Original, inpaint, make_filler
from mitlgan.inpainting.fillers import EMBEDDING_SETTINGS
from mitlgan.inpainting.window import window
from mitlgan.studio import encoding
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.inversion_jobs import search_latent
from mitlgan.studio.jobs import StudioJob
from mitlgan.studio.worker import Worker

Hole = NDArray[np.bool_]
Area = tuple[slice, slice]
PREVIEW_PX = 1024
"""Longer side of a picture as the page shows it; the whole one is a file of its own."""
MAX_BLEND_PX = 384
"""Longer side of a hole whose seam is blended at full size; larger ones are blended at this size, which is far above an artifact's."""
RIM_PX = 2
"""Rows and columns around a window that the blending needs."""
ShowImage = Callable[[Tensor], bytes]
"""An image of the artifact's size (1, 3, S, S) in [-1, 1] to the PNG for the page."""


@dataclass(frozen=True)
class InpaintingTask:
    """A picture and its hole.

    Attributes:
        original: The picture, upright.
        hole: (H, W), True inside.
    """

    original: Original
    hole: Hole

    def reduced(self, longest_px: int) -> InpaintingTask:
        """Return the task with its longer side at most this long; a pixel that is partly hole counts as hole."""
        width, height = self.original.picture.size
        if max(width, height) <= longest_px:
            return self
        size = max(2, round(width * longest_px / max(width, height))), max(2, round(height * longest_px / max(width, height)))
        shares = np.asarray(Image.fromarray(self.hole.astype(np.float32)).resize(size, Image.Resampling.BOX))
        return InpaintingTask(replace(self.original, picture=self.original.picture.resize(size, Image.Resampling.BOX)), shares > 0)

    def cut(self, area: Area) -> InpaintingTask:
        """Return a part of the task."""
        rows, columns = area
        box = columns.start, rows.start, columns.stop, rows.stop
        return InpaintingTask(replace(self.original, picture=self.original.picture.crop(box)), self.hole[area])


def run_inpainting(
    task: InpaintingTask, job: StudioJob, *, loaded: ActiveArtifact | None, seconds: float, worker: Worker, encoder: Filler | None = None
) -> dict[str, Any]:
    """Fill a hole; the whole picture becomes the job's file.

    Args:
        task: The picture and its hole.
        job: Receives the progress, and may be cancelled.
        loaded: The artifact to search for the rest of the picture; None if there is an encoder.
        seconds: Time limit of the search.
        worker: Runs pending short requests between the steps.
        encoder: Fills in place of a search.

    Returns:
        `picture`, reduced for display if it is large, the size of the whole one, and what of the file it could not keep, `note`.

    Raises:
        Cancelled: The job was cancelled.
        RequestRefused: 422, the hole leaves too little of the picture.
    """
    try:
        if encoder is None:
            assert loaded is not None
            encoder = _searching_filler(loaded, seconds, job, worker, _shower(task, loaded.artifact.card.size_px))
        filled = fill(task, encoder)
    except DataError:
        raise RequestRefused(422, "hole: leaves too little of the picture around it; fill it in parts") from None
    content = encode_image(filled, icc_profile=task.original.profile)
    preview = content if max(filled.size) <= PREVIEW_PX else encode_image(_fit(filled, PREVIEW_PX), icc_profile=task.original.profile)
    job.file = content
    return {"picture": encoding.data_uri(preview), "width": filled.width, "height": filled.height, "bytes": len(content), "note": task.original.note}


def load_context_encoder() -> Filler:
    """Return the shipped context encoder.

    Raises:
        ArtifactError: No context encoder is shipped.
    """
    return make_filler("context")


def fill(task: InpaintingTask, filler: Filler) -> Image.Image:
    """Return the whole picture with its hole filled; only the surroundings of the hole are worked on.

    Raises:
        DataError: No square of the picture contains the hole and some of its surroundings.
    """
    area = _padded(window(task.hole, filler.size_px), task.hole.shape)
    part = task.cut(area)
    small = (
        part.reduced(max(1, round(max(part.hole.shape) * MAX_BLEND_PX / _longer_side(part.hole)))) if _longer_side(part.hole) > MAX_BLEND_PX else part
    )
    colors = inpaint(small.original.on_white, small.hole, filler).blended
    if small is not part:
        colors = np.asarray(Image.fromarray(colors).resize(part.original.picture.size, Image.Resampling.BICUBIC))
    whole = _in_mode(task.original)
    whole.paste(part.original.filled(colors, part.hole), (area[1].start, area[0].start))
    return whole


def _searching_filler(loaded: ActiveArtifact, seconds: float, job: StudioJob, worker: Worker, show: ShowImage) -> Filler:
    card = loaded.artifact.card

    def fill(pictures: Tensor, holes: Tensor) -> Tensor:
        gray = pictures.mean(1, keepdim=True)
        target = {1: gray, 4: torch.cat([pictures, torch.ones_like(gray)], dim=1)}.get(card.image_channels, pictures)
        settings = replace(EMBEDDING_SETTINGS, seconds=seconds)
        result = search_latent(loaded, target, settings, job, worker, 1 - holes, lambda image: show(to_opaque_rgb(image)))
        return to_opaque_rgb(result.images)

    return Filler("embed", card.size_px, fill)


def _shower(task: InpaintingTask, size_px: int) -> ShowImage:
    """Return a function that shows the picture with the search's image in the hole, not blended."""
    small = task.reduced(PREVIEW_PX)
    rows, columns = window(small.hole, size_px)
    surroundings = small.original.on_white

    def show(image: Tensor) -> bytes:
        size = rows.stop - rows.start, columns.stop - columns.start
        colors = surroundings.copy()
        enlarged = image if image.shape[-2:] == size else interpolate(image, size, mode="bicubic", antialias=True)
        colors[rows, columns] = enlarged.add(1).mul(127.5).round().clamp(0, 255)[0].permute(1, 2, 0).byte().numpy()
        return encode_image(small.original.filled(colors, small.hole), icc_profile=small.original.profile)

    return show


def _padded(area: Area, shape: tuple[int, ...]) -> Area:
    """Return an area with its rim, as far as the picture goes."""
    rows, columns = (slice(max(0, side.start - RIM_PX), min(length, side.stop + RIM_PX)) for side, length in zip(area, shape, strict=True))
    return rows, columns


def _longer_side(hole: Hole) -> int:
    return max(int(np.ptp(np.flatnonzero(hole.any(axis=axis)))) + 1 for axis in (0, 1))


def _in_mode(original: Original) -> Image.Image:
    """Return a copy of a picture in the mode in which it is written."""
    bands = original.picture.split()
    return Image.merge(original.mode, bands[: len(original.mode)] if original.mode.startswith("RGB") else (bands[0], bands[3])[: len(original.mode)])


def _fit(picture: Image.Image, longest_px: int) -> Image.Image:
    copy = picture.copy()
    copy.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    return copy
