"""Files: a download is the picture that was shown, at any size, in layers, and says how it was made; dropped on the page, it opens again."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers.studio_requests import asked, read
from PIL import Image, PngImagePlugin

import mitlgan
from mitlgan.artifacts.picture_record import record_in, render_record
from mitlgan.images.pixels import to_uint8

STATES: dict[str, dict[str, Any]] = {
    "seeds": {"latents": {"fg": {"seed": 4}, "bg": {"seed": 9}}},
    "follows": {"latents": {"fg": {"seed": 2**53 - 1}}, "truncation": 0.7},
    "large": {"latents": {"fg": {"seed": 2**63 - 1}, "bg": {"seed": 9}}, "truncation": 0.7},
    "edited": {
        "latents": {"fg": {"mix": [{"seed": 1}, {"seed": 2}, 0.4]}, "bg": {"seed": 3}},
        "directions": {"bg": [1.5, -0.5]},
        "truncation": 0.8,
        "stand": {"scale": 0.75, "across": 0.25, "down": -0.5, "flip": True},
        "matte_strength": 0.5,
        "harmonise": 0.25,
    },
}


def dropped(client: TestClient, content: bytes, kind: str = "image/png") -> Any:
    return client.post("/api/record", content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize("name", STATES)
def test_a_download_that_is_dropped_on_the_page_opens_as_the_same_picture(
    client: TestClient, shown: Any, ids: dict[str, str], matted: Path, name: str
) -> None:
    state = {"artifact": ids["matted"], **STATES[name]}
    content = client.get("/api/picture.png", params=asked(state)).content
    before = shown(state)
    assert np.array_equal(read(content), read(before["output"]))
    opened = dropped(client, content)
    assert opened.status_code == 200, opened.text
    again = shown(json.loads(opened.text, parse_int=lambda digits: int(float(digits)))["state"])  # as a browser reads it
    assert [again[part] for part in ("output", "layers", "matte", "stand")] == [before[part] for part in ("output", "layers", "matte", "stand")]
    assert ("seed" in again["state"]["latents"]["fg"]) == (name not in ("edited", "large"))
    assert ("seed" in again["state"]["latents"]["bg"]) == (name != "edited")
    # The command makes the same picture of it.
    record = record_in(content, "picture")
    assert np.array_equal(to_uint8(render_record(mitlgan.load(matted), record, "picture").output)[0].permute(1, 2, 0).numpy(), read(content))
    assert "runs" not in record.to_text()
    larger = client.get("/api/picture.png", params=asked(state, size="24", filter="bicubic")).content
    assert read(larger).shape == (24, 24, 3)
    assert dropped(client, larger).json() == opened.json()
    bare = client.get("/api/picture.png", params=asked(state, metadata="false")).content
    assert "does not say how it was made" in dropped(client, bare).json()["error"]


def test_every_download_has_the_size_that_is_asked_for(client: TestClient, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 4}}}
    own = client.get("/api/picture.png", params=asked(state)).content
    squares = client.get("/api/picture.png", params=asked(state, size="16", filter="nearest")).content
    assert np.array_equal(read(squares), read(own).repeat(2, 0).repeat(2, 1))
    archive = zipfile.ZipFile(io.BytesIO(client.get("/api/layers.zip", params=asked(state, size="20")).content))
    assert {read(archive.read(name)).shape[:2] for name in archive.namelist() if name.endswith(".png")} == {(20, 20)}
    assert dropped(client, archive.read("output.png")).status_code == 200
    transparent = client.get("/api/picture.png", params=asked(state, what="transparent:fg", size="32")).content
    assert read(transparent).shape == (32, 32, 4)
    for change in ({"size": "0"}, {"size": "100000"}, {"size": "x"}, {"filter": "magic"}):
        for path in ("picture.png", "layers.zip", "layers.ora"):
            assert client.get(f"/api/{path}", params=asked(state, **change)).status_code == 422


def test_open_raster_has_the_layers_and_the_picture_to_the_bit(client: TestClient, ids: dict[str, str]) -> None:
    state = {"artifact": ids["matted"], **STATES["edited"]}
    answer = client.get("/api/layers.ora", params=asked(state))
    assert answer.headers["content-type"] == "image/openraster"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist()[0] == "mimetype"
    assert archive.read("mimetype") == b"image/openraster"
    picture = client.get("/api/picture.png", params=asked(state)).content
    assert np.array_equal(read(archive.read("mergedimage.png"))[..., :3], read(picture))
    layers = [read(archive.read(name)) for name in archive.namelist() if name.startswith("data/")]
    assert len(layers) == 3  # background, foreground, correction
    assert {layer.shape for layer in layers} == {(8, 8, 4)}
    assert dropped(client, archive.read("mergedimage.png")).json()["state"]["stand"]["scale"] == 0.75


def with_text(content: bytes, text: str) -> bytes:
    """The picture with another record."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("mitlgan", text)
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def test_hostile_metadata_is_refused_in_a_line(client: TestClient, ids: dict[str, str], tmp_path: Path) -> None:
    state = {"artifact": ids["matted"], **STATES["edited"]}
    content = client.get("/api/picture.png", params=asked(state)).content
    record = json.loads(Image.open(io.BytesIO(content)).info["mitlgan"])
    bad: list[Any] = [
        {"artifact": "/etc/passwd"}, {"artifact": "../" * 20}, {"artifact": "0" * 64}, {"artifact": "<script>alert(1)</script>"},
        {"latents": {"fg": {"values": [1e308] * 16}}}, {"latents": {"fg": {"seed": -1}}}, {"latents": {"fg": {"seed": 2**70}}}, {"latents": {}},
        {"latents": {f"x{number}": {"seed": 1} for number in range(500)}}, {"latents": {"fg": {"values": [0.0] * 70_000}}},
        {"transforms": {"bg": {"scale": 1, "x": 0, "y": 0}}}, {"transforms": {"fg": {"scale": 1e9, "x": 0, "y": 0}}},
        {"transforms": {"fg": {"scale": 1, "x": 999, "y": 0}}}, {"matte": 7}, {"truncation": -1}, {"schema_version": 99}, {"more": "x" * 1000},
        {"size_px": 10**9}, {"filter": "magic"},
    ]  # fmt: skip
    texts = [json.dumps({**record, **change}) for change in bad]
    texts += ["", "null", "[]", "{", "[" * 100_000, '{"a":' * 50_000, "x" * 900_000, '{"matte": NaN}', '{"artifact": 1e400}', "\x00", "‮"]
    for text in texts:
        answer = dropped(client, with_text(content, text))
        assert answer.status_code == 422, text[:100]
        line = answer.json()["error"]
        assert line.startswith("picture:")
        assert len(line) < 600
        assert "\n" not in line
        assert not any(secret in line for secret in ("passwd", "<script>", str(tmp_path), "Traceback"))
    bomb = zlib.compress(b"x" * 200_000_000, 9)
    for kind, data in ((b"zTXt", b"mitlgan\0\0" + bomb), (b"iTXt", b"mitlgan\0\1\0\0\0" + bomb)):
        chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        assert dropped(client, content[:33] + chunk + content[33:]).status_code == 422
    for other, status in ((b"", 422), (b"<svg/>", 422), (content[:60], 422)):
        assert dropped(client, other).status_code == status
    assert dropped(client, content, "text/html").status_code == 415
    assert dropped(client, content + b"\0" * 33_000_000).status_code == 413
    assert dropped(client, content).status_code == 200  # the server lives on
