"""A text in a picture's file: written, read, and damaged in every way."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
import torch
from helpers.mutations import mutated
from PIL import Image

from mitlgan.errors import DataError
from mitlgan.images.encode import encode_with_text
from mitlgan.images.metadata import KEYWORD, MAX_TEXT_CHARS, read_text_chunk

TEXT = '{"seed": 7, "note": "\\u00fc"}'


def image(channels: int = 4) -> torch.Tensor:
    return (torch.rand(channels, 5, 6, generator=torch.Generator().manual_seed(2)) * 255).to(torch.uint8)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_text_comes_back_and_no_pixel_changes(form: str, channels: int) -> None:
    content = encode_with_text(image(channels), form, TEXT)
    assert read_text_chunk(content, "x") == TEXT
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == form
        pixels = np.asarray(picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])).reshape(5, 6, channels)
    assert np.array_equal(pixels, image(channels).permute(1, 2, 0).numpy())
    assert read_text_chunk(encode_with_text(image(channels), form, None), "x") is None


def test_the_png_chunk_is_plain_text_that_any_tool_shows() -> None:
    content = encode_with_text(image(), "PNG", TEXT)
    assert b"tEXt" + KEYWORD.encode() + b"\0" + TEXT.encode() in content
    assert content.index(b"tEXt") < content.index(b"IDAT")


def test_a_comment_of_another_program_is_none_of_ours() -> None:
    exif = Image.Exif()
    exif[0x0131] = "camera"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + TEXT.encode()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "WEBP", exif=exif.tobytes())
    assert read_text_chunk(buffer.getvalue(), "x") is None


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    plain = encode_with_text(image(), "PNG", None)
    return plain[:33] + b"".join(chunks) + plain[33:]  # after the header


def test_hostile_texts_are_refused() -> None:
    bomb = zlib.compress(b"a" * 300_000_000, 9)
    for content in (
        png_with(chunk(b"zTXt", KEYWORD.encode() + b"\0\0" + bomb)),
        png_with(chunk(b"iTXt", KEYWORD.encode() + b"\0\1\0\0\0" + bomb)),
        png_with(chunk(b"tEXt", KEYWORD.encode() + b"\0" + b"a" * (MAX_TEXT_CHARS + 1))),
        png_with(chunk(b"tEXt", KEYWORD.encode() + b"\0" + "ü".encode("latin-1"))),
        b"",
        b"<html>",
        b"GIF89a" + b"\0" * 50,
        encode_with_text(image(), "PNG", TEXT)[:30],
    ):
        with pytest.raises(DataError, match=r"^--like x\.png: "):
            read_text_chunk(content, "--like x.png")


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_damage_gives_a_text_none_or_one_line(form: str) -> None:
    valid, draw = encode_with_text(image(), form, TEXT), random.Random(3)
    for _ in range(1500):
        try:
            text = read_text_chunk(mutated(valid, draw), "x")
        except DataError:
            continue
        assert text is None or isinstance(text, str)
