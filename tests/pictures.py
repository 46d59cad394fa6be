"""Small pictures, good and hostile, made when a test needs them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def smooth(seed: int, size: tuple[int, int] = (64, 64), mode: str = "RGB") -> Image.Image:
    """Colourful blobs; no two seeds look alike."""
    bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    values = np.random.default_rng(seed).integers(0, 256, (4, 4, bands), dtype=np.uint8)
    planes = [Image.fromarray(values[..., band]).resize(size, Image.Resampling.BICUBIC) for band in range(bands)]
    return Image.merge(mode, planes)


def quadrants(size: tuple[int, int] = (80, 60)) -> Image.Image:
    """Red, green, blue and yellow corners: whatever turns it the wrong way shows."""
    picture = Image.new("RGB", size)
    width, height = size[0] // 2, size[1] // 2
    for index, colour in enumerate([(220, 20, 20), (20, 200, 20), (20, 20, 220), (220, 220, 20)]):
        picture.paste(colour, (index % 2 * width, index // 2 * height, (index % 2 + 1) * width, (index // 2 + 1) * height))
    return picture


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"", *, more: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG by hand: its header may promise anything."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *more, (b"IDAT", data or zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)) for name, content in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def bombs() -> dict[str, bytes]:
    """Small files that want to become large."""
    text = b"comment\0\0" + zlib.compress(b"x" * 100_000_000, 9)
    return {
        "10k": png(10_000, 10_000, zlib.compress(b"\0" * 10_000)),
        "20k": png(20_000, 20_000, zlib.compress(b"\0" * 10_000)),
        "zTXt": png(8, 8, zlib.compress(b"\0" * 72), more=((b"zTXt", text),)),
    }


def mean_difference(first: Image.Image, second: Image.Image) -> float:
    assert first.size == second.size
    return float(np.abs(np.asarray(first, dtype=np.int16) - np.asarray(second, dtype=np.int16)).mean())


def fill(folder: Path, count: int, *, size: tuple[int, int] = (16, 16), first: int = 0) -> Path:
    """PNG pictures 0000.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        smooth(index, size).save(folder / f"{index:04d}.png")
    return folder
