"""Moving pictures: what is read back is what was given, as far as the form allows."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from mitlgan.errors import UsageError
from mitlgan.images.animation import encode_animation, validate_format

Frames = NDArray[np.uint8]


def frames(count: int = 5, height: int = 12, width: int = 10, *, colours: int = 256) -> Frames:
    """Noise on the right half; the left half stands still."""
    noise = np.random.default_rng(0)
    found = noise.integers(0, colours, (count, height, width, 3), dtype=np.uint8)
    found[:, :, : width // 2] = found[:1, :, : width // 2]
    return found


def read(data: bytes, form: str) -> tuple[Frames, list[float]]:
    """Frames and the milliseconds that each lasts."""
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == form
        assert picture.info.get("loop") == 0, "played over and over"
        found = [(np.asarray(frame.convert("RGB")), float(frame.info["duration"])) for frame in ImageSequence.Iterator(picture)]
    return np.stack([pixels for pixels, _ in found]), [duration for _, duration in found]


@pytest.mark.parametrize(("form", "name"), [("webp", "WEBP"), ("png", "PNG")])
def test_webp_and_apng_keep_every_pixel(form: str, name: str) -> None:
    given = frames()
    found, durations = read(encode_animation(given, form, 25), name)
    assert np.array_equal(found, given)
    assert durations == [40.0] * 5


def test_a_gif_of_few_colours_keeps_them() -> None:
    given = frames(colours=6)
    found, durations = read(encode_animation(given, "gif", 25), "GIF")
    assert np.array_equal(found, given)
    assert durations == [40.0] * 5


def test_a_gif_of_many_colours_is_near_and_stands_still() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    given = np.zeros((6, 64, 64, 3), dtype=np.uint8)
    for index, frame in enumerate(given):
        frame[..., 0], frame[..., 1], frame[..., 2] = ramp[None], ramp[:, None], 40
        frame[:, 32:, 2] = 40 * index
    found, _ = read(encode_animation(given, "gif", 20), "GIF")
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(found.astype(int) - given).mean() < 8
    assert (found[:, :, :32] == found[:1, :, :32]).all(), "no dithering and no palette that changes: what stands still does not flicker"


CLOCKS = {"gif": ("GIF", 10), "webp": ("WEBP", 1), "png": ("PNG", 1)}
"""Pillow's name of each form, and the milliseconds of a tick of its clock."""
RATES = [1, 7, 12, 24, 25, 29.97, 30, 40, 45, 50, 60, 75, 120]


@pytest.mark.parametrize(("form", "fps"), [(form, fps) for form in CLOCKS for fps in RATES if form != "gif" or fps <= 50])
def test_each_form_lasts_as_long_as_its_rate_says(form: str, fps: float) -> None:
    """Each frame ends at the nearest tick of the form's clock."""
    name, tick_ms = CLOCKS[form]
    durations = read(encode_animation(frames(20), form, fps), name)[1]
    assert all(duration % tick_ms == 0 and abs(duration - 1000 / fps) < tick_ms for duration in durations)
    ends = np.cumsum(durations)
    assert np.abs(ends - 1000 * np.arange(1, 21) / fps).max() <= tick_ms / 2


@pytest.mark.parametrize("form", CLOCKS)
def test_equal_frames_in_a_row_last_as_long_as_all_of_them(form: str) -> None:
    given = frames(3, colours=6)[[0, 0, 1, 1, 1, 0, 2]]
    found, durations = read(encode_animation(given, form, 45), CLOCKS[form][0])
    assert np.array_equal(found, given[[0, 2, 5, 6]])
    assert np.abs(np.cumsum(durations) - 1000 * np.array([2, 5, 6, 7]) / 45).max() <= CLOCKS[form][1] / 2


def test_a_film_is_as_long_and_nearly_the_same() -> None:
    av = pytest.importorskip("av")
    given = np.repeat(np.repeat(frames(4, 9, 15), 6, 1), 5, 2)  # 54 x 75, one side odd
    data = encode_animation(given, "mp4", 12.5)
    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams.video
        assert (stream.width, stream.height) == (76, 54)
        assert float(stream.average_rate) == 12.5
        found = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert found.shape[0] == 4
    grey, wanted = found[:, :, :75].astype(float).mean(3), given.astype(float).mean(3)
    assert np.abs(grey - wanted).mean() < 12, "colours are stored at half the size, light is not"


@pytest.mark.parametrize(("form", "fps", "message"), [
    ("avi", 25, r"^--out: there is no 'avi' for moving pictures; choose one of \.gif, \.webp, \.png, \.mp4$"), ("", 25, "^--out: there is no 'ending'"),
    ("webp", 0, r"^--fps: 0 is not from 1 to 120$"), ("webp", float("nan"), "^--fps: nan is not"), ("gif", 60, "^--fps: 60 is more than browsers play"),
])  # fmt: skip
def test_what_cannot_be_made(form: str, fps: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encode_animation(frames(), form, fps)


def test_a_film_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"^--out: \.mp4 needs PyAV; `pip install 'mitlgan\[video\]'`"):
        validate_format("mp4", 25)
