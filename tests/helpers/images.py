"""Small pictures, good and hostile, made when a test needs them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


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


def garment(seed: int, *, narrower: int = 0, colour: tuple[int, int, int] = (235, 220, 200)) -> Image.Image:
    """A cut-out whose outline is that of the others, with folds of its own."""
    coarse = np.random.default_rng(seed).integers(-40, 41, (19, 19, 1))
    pixels = np.clip(np.array(colour) + coarse, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC)
    matte = Image.new("L", (128, 128))
    ImageDraw.Draw(matte).polygon([(20, 14), (70, 20), (110 - narrower, 60), (90, 116), (40, 100), (30 + narrower, 60)], fill=255)
    picture.putalpha(matte)
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


def png_of(samples: np.ndarray, depth: int, colour: int, more: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG of (H, W, C) samples of any depth; `colour` is the number of PNG's colour type, `more` are chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row for row in _packed_rows(samples, depth, ">"))
    content = png(width, height, zlib.compress(rows), more=more)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return content[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + content[33:]


def tiff_of(
    samples: np.ndarray, bits: int, photometric: int, *, order: str = "<", sample_format: int = 1, extra: tuple[int, ...] = (), planar: bool = False
) -> bytes:
    """A TIFF of (H, W, C) samples by hand, uncompressed, in one strip, or in one for each channel."""
    height, width, channels = samples.shape
    planes = [samples[..., [channel]] for channel in range(channels)] if planar else [samples]
    strips = [b"".join(_packed_rows(plane, bits, order)) for plane in planes]
    starts = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    tags = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits] * channels), 259: ("H", [1]), 262: ("H", [photometric]),
        273: ("I", starts), 277: ("H", [channels]), 278: ("I", [height]), 279: ("I", list(map(len, strips))), 284: ("H", [1 + planar]),
        338: ("H", extra), 339: ("H", [sample_format] * channels),
    }  # fmt: skip
    body = b"".join(strips)
    body += bytes(len(body) % 2)
    entries = b""
    for tag, (kind, values) in tags.items():
        if not values:
            continue
        value = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(value) > 4:
            place, body = 8 + len(body), body + value + bytes(len(value) % 2)
            value = struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + value.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(entries) // 12) + entries + bytes(4)


def _packed_rows(samples: np.ndarray, bits: int, order: str) -> list[bytes]:
    if samples.dtype.kind == "f":
        return [row.astype(f"{order}f4").tobytes() for row in samples]
    if bits >= 8 and bits != 12:
        kind = "i" if samples.min() < 0 else "u"
        return [row.astype(f"{order}{kind}{bits // 8}").tobytes() for row in samples]
    bytewise = [np.packbits((row.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1) for row in samples]
    return [row.tobytes() for row in bytewise]


def write_varied_objects(folder: Path, count: int) -> Path:
    """Objects of many colours, sizes and places, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        rng = np.random.default_rng([3, index])
        picture = smooth(index, (64, 64)).point(lambda value: value // 3)
        left, top, width, height = rng.integers((8, 8, 20, 20), (20, 20, 34, 34))
        colour = tuple(int(value) for value in rng.permutation([255, int(rng.integers(80, 256)), int(rng.integers(0, 256))]))
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if index % 2 else draw.rectangle)((left, top, left + width, top + height), fill=colour)
        picture.save(folder / f"{index:02d}.png")
    return folder
