"""Latent files: exact, checked, bounded; whatever is in them, one line."""

from __future__ import annotations

import contextlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.mutations import counts, mutated, mutated_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mitlgan.errors import ArtifactError
from mitlgan.latents import latents_from_seeds, read_latent, write_latent

DIMS = {"fg": 3, "bg": 2}
GOOD: dict[str, Any] = {"schema_version": 1, "kind": "latent", "latents": {"fg": [1, 2.5, -3], "bg": [0, 1e-3]}}


@settings(deadline=None, max_examples=50)
@given(values=arrays("float32", 5, elements=st.floats(-1000, 1000, width=32)))
def test_property_what_is_written_is_read_to_the_bit(values: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "latent.json"
    z = torch.from_numpy(values.copy())
    write_latent(path, z, DIMS, "ab" * 32, "of a test")
    assert torch.equal(read_latent(path, DIMS, "ab" * 32), z)
    written = json.loads(path.read_text())
    assert set(written) == {"schema_version", "kind", "latents", "tensors_sha256", "note"}
    assert list(written["latents"]) == ["fg", "bg"]


def test_layers_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "latent.json"
    path.write_text(json.dumps({**GOOD, "latents": dict(reversed(GOOD["latents"].items()))}))
    assert read_latent(path, DIMS).tolist() == pytest.approx([1, 2.5, -3, 0, 1e-3])


def refusal(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(ArtifactError) as caught:
        read_latent(path, DIMS, sha256)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(("content", "message"), [
    ("", "not a latent file"), ("{", "not a latent file"), ("[]", "not a latent file"), ("[" * 100_000, "not a latent file"),
    ("\ufeff{}", "not a latent file"),
    (json.dumps(GOOD | {"kind": "checkpoint"}), "not a latent file: kind"), (json.dumps(GOOD | {"latents": {}}), "not a latent file: latents"),
    (json.dumps(GOOD | {"extra": 1}), "not a latent file: extra"), (json.dumps(GOOD | {"note": "x" * 10_001}), "not a latent file: note"),
    (json.dumps(GOOD | {"schema_version": 2}), "its schema_version 2 is newer than 1; upgrade mitlgan"),
    (json.dumps(GOOD | {"latents": {"fg": [1, 2, 3]}}), "has latents of fg (3); the artifact takes fg (3), bg (2)"),
    (json.dumps(GOOD | {"latents": {"fg": [1, 2], "bg": [1, 2]}}), "has latents of fg (2), bg (2); the artifact takes"),
    (json.dumps(GOOD | {"latents": {"fg": [1, 2, "x"], "bg": [1, 2]}}), "not a latent file: latents.fg.2"),
    (json.dumps(GOOD).replace("2.5", "NaN"), "not a latent file"), (json.dumps(GOOD).replace("2.5", "1e400"), "not a latent file"),
    (json.dumps(GOOD).replace("2.5", "1e300"), "holds a number that is not from -1000 to 1000"),
], ids=range(16))  # fmt: skip
def test_other_files_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "latent.json"
    path.write_text(content)
    assert refusal(path).startswith(message)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_picture_in_its_place_is_told_as_one_whatever_its_name(form: str, tmp_path: Path) -> None:
    path = tmp_path / "latent.json"
    Image.new("RGB", (2, 2)).save(path, form)
    advice = "`mitlgan embed` finds the latent of a picture, and `mitlgan sample --like` makes a picture of mitlgan again"
    assert refusal(path) == f"is a picture, not a latent file; {advice}"


def test_a_latent_of_another_artifact_is_another_picture(tmp_path: Path) -> None:
    path = tmp_path / "latent.json"
    write_latent(path, latents_from_seeds([1], DIMS)[0], DIMS, "a" * 64)
    assert "another artifact" in refusal(path, "b" * 64)
    assert torch.equal(read_latent(path, DIMS), latents_from_seeds([1], DIMS)[0])
    path.write_text(json.dumps(GOOD))
    assert len(read_latent(path, DIMS, "b" * 64)) == 5, "a file that names no artifact is anyone's"


def test_what_is_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path / "absent.json").startswith("cannot be read (No such file")
    assert refusal(tmp_path).startswith("not a file")
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo").startswith("not a file")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(32_000_001)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("read"))
    assert refusal(huge) == "32000001 bytes, more than 32000000; such a file is smaller"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1001.0])
def test_numbers_that_no_latent_has_are_not_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds a number that is not from -1000 to 1000"):
        write_latent(tmp_path / "latent.json", torch.full((5,), value), DIMS, None)
    assert not list(tmp_path.iterdir())


@counts
def test_mutated_files_end_in_one_line_or_a_latent(tmp_path: Path, count: int) -> None:
    path, whole = tmp_path / "latent.json", json.dumps(GOOD).encode()
    for seed in range(count):
        draw = random.Random(seed)
        path.write_bytes(json.dumps(mutated_tree(GOOD, draw)).encode() if seed % 2 else mutated(whole, draw))
        with contextlib.suppress(ArtifactError):
            assert bool(torch.isfinite(read_latent(path, DIMS)).all())
