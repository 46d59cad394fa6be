"""The progress of a run: an animation of its snapshots, which show the same latents at all times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.errors import MitlganError
from mitlgan.images.animation import encode_webp
from mitlgan.runtime.files import read_bytes, write_atomically
from mitlgan.training.run_directory import Run, snapshot_position

MAX_FRAMES = 40
MAX_SIDE_PX = 540
"""Snapshots of larger images lose rows and columns until they fit."""
GUTTER_PX = 2
MIN_SIDE_PX = 96
FRAME_MS, LAST_FRAME_MS = 400, 2000
CAPTION_PX, CAPTION_TEXT_PX = 20, 13
INK = (40, 40, 40)


def write_progress(run: Run) -> None:
    """Write `progress.webp` from a run's snapshots; without any that can be read, nothing is written.

    Raises:
        ResourceError: It cannot be written.
    """
    animation = encode_progress(run)
    if animation is not None:
        write_atomically(run.progress_file, animation, root=run.path)


def encode_progress(run: Run) -> bytes | None:
    """Return the animation of a run's snapshots as WebP, or None if there are none that can be read.

    Each frame says how long the training was; the last one stays longest. If there are more than `MAX_FRAMES` snapshots, the first ones, at which a
    training changes fastest, and an even selection of the others are shown.

    Args:
        run: Finished or not; its files may come from anywhere.
    """
    try:
        size_px = run.recorded_recipe().size_px
    except MitlganError:
        return None
    frames = list(_frames(run, {path: _size_px(path, size_px) for path in run.list_snapshots() if snapshot_position(path) is not None}))
    if not frames:
        return None
    return encode_webp(frames, [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS])


def _frames(run: Run, sizes_px: Mapping[Path, int]) -> Iterator[Image.Image]:
    """Return a picture for each snapshot, all of one size; those of smaller images, of a ladder of sizes, are enlarged.

    Args:
        run: Its root holds the snapshots.
        sizes_px: Size of the images of each snapshot, in the order of the training.
    """
    largest_px = max(sizes_px.values(), default=1)
    cells = max(1, (MAX_SIDE_PX - GUTTER_PX) // (largest_px + GUTTER_PX))
    size: tuple[int, int] | None = None
    for path in _chosen(list(sizes_px)):
        try:
            picture = decode_bytes(read_bytes(path, root=run.path), keep_alpha=False, ignore_profile=True).picture
        except (UnreadableImageError, OSError):
            continue
        pitch, side = sizes_px[path] + GUTTER_PX, cells * (sizes_px[path] + GUTTER_PX) + GUTTER_PX
        picture = picture.crop((0, 0, min(picture.width, side), min(picture.height, side)))
        shape = tuple((length - GUTTER_PX) // pitch * (largest_px + GUTTER_PX) + GUTTER_PX for length in picture.size)
        size = size or (shape[0], shape[1])
        if shape != size or min(picture.size) < pitch:  # of another run
            continue
        unit = "iterations" if path.stem.startswith("i") else "kimg"
        yield _captioned(picture if picture.size == size else picture.resize(size, Image.Resampling.NEAREST), f"{snapshot_position(path):g} {unit}")


def _chosen(paths: Sequence[Path]) -> list[Path]:
    """Return at most `MAX_FRAMES` paths: the first ones and an even selection of the others, with the last."""
    if len(paths) <= MAX_FRAMES:
        return list(paths)
    first = MAX_FRAMES // 4
    return [*paths[:first], *(paths[index] for index in np.linspace(first, len(paths) - 1, MAX_FRAMES - first).astype(int))]


def _size_px(path: Path, default_px: int) -> int:
    """Return the size of a snapshot's images from its name, which says it in a run with a ladder of sizes."""
    match = re.search(r"-([0-9]{4})px$", path.stem)
    return int(match.group(1)) if match else default_px


def _captioned(picture: Image.Image, caption: str) -> Image.Image:
    """Return a picture, enlarged by a whole factor if it is tiny, over a line of text."""
    factor = max(1, -(-MIN_SIDE_PX // picture.width))
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    frame = Image.new("RGB", (picture.width, picture.height + CAPTION_PX), "white")
    frame.paste(picture)
    font = ImageFont.load_default(CAPTION_TEXT_PX)
    ImageDraw.Draw(frame).text((GUTTER_PX, picture.height + CAPTION_PX // 2), caption, fill=INK, font=font, anchor="lm")
    return frame
