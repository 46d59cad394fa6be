"""Animations from frames, in memory: GIF, WebP and APNG by Pillow, MP4 by PyAV."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.errors import UsageError

Frames = NDArray[np.uint8]
PALETTE_SIZE, MAX_PALETTE_PIXELS = 256, 4_000_000
GIF_TICKS_PER_S, TICKS_PER_S = 100, 1000
"""Of the clocks of a GIF, and of WebP and APNG."""
DEFAULT_FPS = 25.0
MAX_GIF_FPS = 50
"""Browsers play GIFs with frames shorter than two ticks at a tenth of their speed."""
MP4_QUALITY = 12
"""Constant rate factor of x264: 0 is lossless, 23 its default. Small pictures are enlarged, which would show every artifact."""


SMALL_QUALITY = 85
"""Quality, of 100, of WebP that is not lossless."""


def encode_animation(frames: Frames, extension: str, fps: float) -> bytes:
    """Encode frames as an animation; all but MP4 loop.

    Equal frames in a row become one in the file, shown as long as all of them; if all are equal, WebP and PNG are still pictures without a duration.

    Args:
        frames: (F, H, W, 3) RGB.
        extension: `gif` (256 colors for all frames together), `webp`, `png` (APNG) or `mp4`. WebP and APNG are lossless.
        fps: Frames per second, from 1 to 120; frames of a GIF end at hundredths of a second, those of WebP and APNG at thousandths.

    Raises:
        UsageError: The extension is unknown, fps is out of range, or mp4 lacks the extra `video`.
    """
    return ENCODERS[validate_format(extension, fps)](frames, fps)


def validate_format(extension: str, fps: float) -> str:
    """Check that an animation can be encoded, before anything is rendered, and return its extension.

    Raises:
        UsageError: See `encode_animation`.
    """
    if extension not in ENCODERS:
        raise UsageError(
            f"--out: there is no {extension or 'ending'!r} for moving pictures; choose one of {', '.join(f'.{name}' for name in ENCODERS)}"
        )
    if not 1 <= fps <= 120:
        raise UsageError(f"--fps: {fps:g} is not from 1 to 120")
    if extension == "gif" and fps > MAX_GIF_FPS:
        raise UsageError(f"--fps: {fps:g} is more than browsers play of a GIF; choose at most {MAX_GIF_FPS}, or a .webp")
    if extension == "mp4" and find_spec("av") is None:
        raise UsageError("--out: .mp4 needs PyAV; `pip install 'mitlgan[video]'`, or choose .webp, .gif or .png")
    return extension


def encode_webp(pictures: Sequence[Image.Image], durations_ms: Sequence[int]) -> bytes:
    """Encode pictures, each shown for a time of its own, as a small WebP that loops; it is not lossless, but nearly so to the eye.

    Args:
        pictures: At least one, all RGB and of one size.
        durations_ms: Of each.
    """
    buffer = io.BytesIO()
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=list(durations_ms), loop=0, quality=SMALL_QUALITY, method=4)
    return buffer.getvalue()


def _gif(frames: Frames, fps: float) -> bytes:
    # One palette for all frames and no dithering: still areas stay still in the GIF.
    colors, indices = _quantize(frames)
    pictures = [Image.fromarray(picture, "P") for picture in indices]
    for picture in pictures:
        picture.putpalette(colors.tobytes())
    return _save(pictures, "GIF", fps, GIF_TICKS_PER_S, optimize=False, disposal=1)


def _durations_ms(count: int, fps: float, ticks_per_s: int) -> list[int]:
    """Return the time of each frame: it ends at the tick of the file's clock that is nearest to its end, so that the mean rate is right."""
    ends = [round(ticks_per_s * number / fps) for number in range(count + 1)]
    return [(end - start) * 1000 // ticks_per_s for start, end in itertools.pairwise(ends)]


def _quantize(frames: Frames) -> tuple[Frames, Frames]:
    """Quantize frames to at most 256 colors.

    Frames with no more colors keep them. Else the palette is a median cut, improved by k-means, and each pixel gets the nearest color; Pillow's
    own mapping, with 6 bits per channel, is less exact.

    Returns:
        The colors (at most 256, 3), and the color index (F, H, W) of each pixel.
    """
    codes, inverse = np.unique(frames.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32), return_inverse=True)
    palette = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)  # (K, 3)
    if len(palette) <= PALETTE_SIZE:
        return palette, inverse.reshape(frames.shape[:3]).astype(np.uint8)
    pixels = frames.reshape(-1, 3)
    pixels = np.ascontiguousarray(pixels[:: max(1, len(pixels) // MAX_PALETTE_PIXELS)])
    palette_values = (
        Image.fromarray(pixels[None]).quantize(PALETTE_SIZE, method=Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE).getpalette()
    )
    colors = np.array(palette_values, dtype=np.uint8).reshape(-1, 3)[:PALETTE_SIZE]
    values = colors.astype(np.float32)
    parts = [((values**2).sum(1) - 2 * part.astype(np.float32) @ values.T).argmin(1) for part in np.array_split(palette, 1 + len(palette) // 65536)]
    return colors, np.concatenate(parts).astype(np.uint8)[inverse].reshape(frames.shape[:3])


def _webp(frames: Frames, fps: float) -> bytes:
    return _save([Image.fromarray(frame) for frame in frames], "WEBP", fps, lossless=True, quality=80, method=4)


def _apng(frames: Frames, fps: float) -> bytes:
    return _save([Image.fromarray(frame) for frame in frames], "PNG", fps)


def _save(pictures: list[Image.Image], extension: str, fps: float, ticks_per_s: int = TICKS_PER_S, **options: Any) -> bytes:
    buffer = io.BytesIO()
    durations_ms = _durations_ms(len(pictures), fps, ticks_per_s)
    pictures[0].save(buffer, extension, save_all=True, append_images=pictures[1:], duration=durations_ms, loop=0, **options)
    return buffer.getvalue()


def _mp4(frames: Frames, fps: float) -> bytes:
    import av

    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # chroma has half the size, so sides must be even
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": str(MP4_QUALITY), "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
        for frame in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[Frames, float], bytes]] = {"gif": _gif, "webp": _webp, "png": _apng, "mp4": _mp4}
