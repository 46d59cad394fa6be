"""Frames to moving pictures, in memory: GIF, WebP and APNG by Pillow, MP4 by PyAV."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.errors import UsageError

Frames = NDArray[np.uint8]
PALETTE, PALETTE_PIXELS = 256, 4_000_000
GIF_TICKS_PER_S = 100
MAX_GIF_FPS = 50
"""Browsers play a GIF whose frames last less than two ticks at a tenth of its speed."""
MP4_QUALITY = 12
"""Constant rate factor of x264: 0 is lossless, 23 its default; small pictures are enlarged, so every artefact would show."""


def encode_animation(frames: Frames, form: str, fps: float) -> bytes:
    """Encode frames; all but MP4 are played over and over.

    Args:
        frames: (F, H, W, 3) RGB.
        form: `gif` (256 colours for all frames together), `webp`, `png` (an APNG) or `mp4`. WebP and APNG keep every pixel.
        fps: Frames per second, from 1 to 120; in a GIF rounded to whole hundredths of a second per frame.

    Raises:
        UsageError: The form is unknown or fps out of range, or it is mp4 without the extra `video`.
    """
    return ENCODERS[validate_format(form, fps)](frames, fps)


def validate_format(form: str, fps: float) -> str:
    """The form, once it is known that it can be made here: before anything is rendered.

    Raises:
        UsageError: See `animation`.
    """
    if form not in ENCODERS:
        raise UsageError(f"--out: there is no {form or 'ending'!r} for moving pictures; choose one of {', '.join(f'.{name}' for name in ENCODERS)}")
    if not 1 <= fps <= 120:
        raise UsageError(f"--fps: {fps:g} is not from 1 to 120")
    if form == "gif" and fps > MAX_GIF_FPS:
        raise UsageError(f"--fps: {fps:g} is more than browsers play of a GIF; choose at most {MAX_GIF_FPS}, or a .webp")
    if form == "mp4" and find_spec("av") is None:
        raise UsageError("--out: .mp4 needs PyAV; `pip install 'mitlgan[video]'`, or choose .webp, .gif or .png")
    return form


def _gif(frames: Frames, fps: float) -> bytes:
    # One palette for all, and no dithering: what stands still in the frames stands still in the GIF.
    colours, indices = _indexed(frames)
    pictures = [Image.fromarray(picture, "P") for picture in indices]
    for picture in pictures:
        picture.putpalette(colours.tobytes())
    return _saved(pictures, "GIF", fps, duration=round(GIF_TICKS_PER_S / fps) * 1000 // GIF_TICKS_PER_S, optimize=False, disposal=1)


def _indexed(frames: Frames) -> tuple[Frames, Frames]:
    """Frames in at most 256 colours.

    Where they have no more, they keep their own; else the colours are those of a median cut, improved by k-means, and each pixel gets the nearest,
    which Pillow's own mapping, of 6 bits a channel, only comes near.

    Returns:
        The colours (at most 256, 3), and the index (F, H, W) of each pixel's.
    """
    codes, inverse = np.unique(frames.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32), return_inverse=True)
    found = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)  # (K, 3)
    if len(found) <= PALETTE:
        return found, inverse.reshape(frames.shape[:3]).astype(np.uint8)
    pixels = frames.reshape(-1, 3)
    pixels = np.ascontiguousarray(pixels[:: max(1, len(pixels) // PALETTE_PIXELS)])
    cut = Image.fromarray(pixels[None]).quantize(PALETTE, method=Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE).getpalette()
    colours = np.array(cut, dtype=np.uint8).reshape(-1, 3)[:PALETTE]
    light = colours.astype(np.float32)
    parts = [((light**2).sum(1) - 2 * part.astype(np.float32) @ light.T).argmin(1) for part in np.array_split(found, 1 + len(found) // 65536)]
    return colours, np.concatenate(parts).astype(np.uint8)[inverse].reshape(frames.shape[:3])


def _webp(frames: Frames, fps: float) -> bytes:
    return _saved([Image.fromarray(frame) for frame in frames], "WEBP", fps, lossless=True, quality=80, method=4)


def _apng(frames: Frames, fps: float) -> bytes:
    return _saved([Image.fromarray(frame) for frame in frames], "PNG", fps)


def _saved(pictures: list[Image.Image], form: str, fps: float, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pictures[0].save(buffer, form, **{"save_all": True, "append_images": pictures[1:], "duration": round(1000 / fps), "loop": 0, **options})
    return buffer.getvalue()


def _mp4(frames: Frames, fps: float) -> bytes:
    import av

    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # chroma of half the size needs even sides
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": str(MP4_QUALITY), "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
        for frame in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[Frames, float], bytes]] = {"gif": _gif, "webp": _webp, "png": _apng, "mp4": _mp4}
