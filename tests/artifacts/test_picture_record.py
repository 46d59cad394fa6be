"""Picture records: the picture comes back to the bit, and a hostile record is one line."""

from __future__ import annotations

import json
import random
import re
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from helpers.mutations import counts, mutated, mutated_tree

import mitlgan
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, render_evenly
from mitlgan.artifacts.picture_record import (
    PictureRecord,
    latents_by_layer,
    make_record,
    parse_record,
    read_record,
    record_in,
    render_record,
)
from mitlgan.errors import ArtifactError, DataError, UsageError
from mitlgan.images.encode import encode_with_text
from mitlgan.images.pixels import to_uint8
from mitlgan.images.resize import PictureSize
from mitlgan.latents import truncate
from mitlgan.networks import EffectStrengths
from mitlgan.recipe import shipped_folder


@pytest.fixture(scope="module")
def scene() -> LoadedArtifact:
    return mitlgan.load(shipped_folder("pretrained") / "modern-32")


def seeds(artifact: LoadedArtifact, seed: int) -> dict[str, int | torch.Tensor]:
    return dict.fromkeys(artifact.card.latent_dims, seed)


def test_a_picture_among_others_comes_back_alone_to_the_bit(scene: LoadedArtifact) -> None:
    together = render_evenly(scene, scene.latents(range(7)))
    for seed in range(7):
        text = make_record(scene, seeds(scene, seed)).to_text()
        assert torch.equal(render_record(scene, parse_record(text, "x"), "x").output[0], together.output[seed])


def test_numbers_truncation_transforms_and_strengths_come_back_to_the_bit(scene: LoadedArtifact) -> None:
    z = scene.latents([5])
    place, matte, harmonise = {"fg": (0.7, -0.3, 1 / 3, True)}, 0.3, 0.1
    strengths = EffectStrengths(torch.tensor([matte]), torch.tensor([harmonise]))
    expected = render_evenly(scene, truncate(z, 0.7), place, strengths).output
    record = make_record(scene, latents_by_layer(scene, z[0]), truncation=0.7, transforms=place, matte=matte, harmonise=harmonise)
    assert torch.equal(render_record(scene, parse_record(record.to_text(), "x"), "x").output, expected)
    seeded = make_record(scene, seeds(scene, 5), truncation=0.7, transforms=place, matte=matte, harmonise=harmonise)
    assert torch.equal(render_record(scene, parse_record(seeded.to_text(), "x"), "x").output, expected)


def test_a_record_is_small_and_says_what_it_is(scene: LoadedArtifact) -> None:
    text = make_record(scene, seeds(scene, 3)).to_text()
    assert len(text) < 250
    assert json.loads(text) == {
        "schema_version": 1,
        "made_by": f"mitlgan {mitlgan.__version__}",
        "artifact": scene.tensors_sha256,
        "latents": {"fg": {"seed": 3}, "bg": {"seed": 3}, "place": {"seed": 3}},
    }


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (PictureSize(), (None, None)),
        (PictureSize(scale=1), (None, None)),
        (PictureSize(scale=4), (128, "nearest")),
        (PictureSize(size_px=200, filter="lanczos"), (200, "lanczos")),
    ],
)
def test_a_record_says_the_size(scene: LoadedArtifact, size: PictureSize, expected: tuple[int | None, str | None]) -> None:
    record = parse_record(make_record(scene, seeds(scene, 3), size=size).to_text(), "x")
    assert (record.size_px, record.filter) == expected
    assert record.size.target(32, 32) == size.target(32, 32)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_files_carry_it(scene: LoadedArtifact, form: str, tmp_path: Path) -> None:
    record = make_record(scene, latents_by_layer(scene, scene.latents([2])[0]))
    path = tmp_path / "picture"
    path.write_bytes(encode_with_text(to_uint8(scene.sample([2]))[0], form, record.to_text()))
    assert read_record(path, "--like") == record


def test_files_without_a_record_say_so(scene: LoadedArtifact, tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    plain.write_bytes(encode_with_text(to_uint8(scene.sample([2]))[0], "PNG", None))
    (tmp_path / "text.png").write_text("hello")
    for name, message in (
        ("plain.png", "does not say how it was made"),
        ("text.png", "no PNG or WebP picture"),
        ("absent.png", "cannot be read"),
        (".", "not a regular file"),
    ):
        with pytest.raises(DataError, match=rf"^--like {re.escape(str(tmp_path / name))}: {message}"):
            read_record(tmp_path / name, "--like")


def test_another_artifact_is_refused(scene: LoadedArtifact) -> None:
    other = mitlgan.load(shipped_folder("pretrained") / "three-32")
    with pytest.raises(ArtifactError, match=r"^x\.png: was made by another artifact"):
        render_record(other, make_record(scene, seeds(scene, 1)), "x.png")


VALID = {
    "schema_version": 1,
    "made_by": "mitlgan 1.0",
    "artifact": "0" * 64,
    "latents": {"fg": {"seed": 3}, "bg": {"values": [0.5, 1.0]}},
    "truncation": 0.5,
    "transforms": {"fg": {"scale": 0.5, "x": 0.1, "y": 0.2, "flip": True}},
    "matte": 0.5,
    "harmonise": 0.5,
    "size_px": 64,
    "filter": "nearest",
}


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"schema_version": 0},
        {"schema_version": True},
        {"schema_version": "1"},
        {"artifact": "../../etc/passwd"},
        {"artifact": "0" * 63},
        {"artifact": "0" * 64 + "\n"},
        {"latents": {}},
        {"latents": {str(number): {"seed": 1} for number in range(18)}},
        {"latents": {"fg": {"seed": -1}}},
        {"latents": {"fg": {"seed": 2**63}}},
        {"latents": {"fg": {"seed": 1.5}}},
        {"latents": {"fg": {"seed": True}}},
        {"latents": {"fg": {"seed": 1, "values": [1.0]}}},
        {"latents": {"fg": {"values": []}}},
        {"latents": {"fg": {"values": [1001.0]}}},
        {"latents": {"fg": {"values": [0.0] * 65537}}},
        {"latents": {"": {"seed": 1}}},
        {"truncation": -0.1},
        {"truncation": 2.1},
        {"transforms": {"fg": {"scale": 0, "x": 0, "y": 0}}},
        {"transforms": {"fg": {"scale": 1, "x": 1e9, "y": 0}}},
        {"transforms": {"fg": {"scale": 1, "x": 0, "y": 0, "flip": "yes"}}},
        {"matte": 1.1},
        {"harmonise": -0.1},
        {"size_px": 5000},
        {"size_px": 0},
        {"filter": "sharp"},
        {"file": "/etc/passwd"},
    ],
)
def test_hostile_records_are_one_line(change: dict[str, object]) -> None:
    assert isinstance(parse_record(json.dumps(VALID), "x"), PictureRecord)
    with pytest.raises(DataError, match=r"^x: its record") as caught:
        parse_record(json.dumps({**VALID, **change}), "x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "NaN", '{"a":' * 100_000, "[" * 100_000, "9" * 100_000, '{"truncation": 1e999}', "x" * 1_000_001]
)
def test_texts_that_are_no_record(text: str) -> None:
    with pytest.raises(DataError, match=r"^x: its record"):
        parse_record(text, "x")


@counts
def test_mutated_records_give_a_picture_or_one_line(scene: LoadedArtifact, count: int) -> None:
    draw = random.Random(4)
    valid = make_record(scene, seeds(scene, 3), transforms={"fg": (0.5, 0.1, 0.2)}, truncation=0.5)
    tree = json.loads(valid.to_text())
    for index in range(count):
        with suppress(DataError, ArtifactError, UsageError):
            record = parse_record(json.dumps(mutated_tree(tree, draw)), "x")
            if index % 25 == 0:
                assert torch.isfinite(render_record(scene, record, "x").output).all()


@counts
def test_mutated_files_give_a_record_or_one_line(scene: LoadedArtifact, count: int) -> None:
    draw = random.Random(5)
    valid = encode_with_text(to_uint8(scene.sample([2]))[0], "PNG", make_record(scene, seeds(scene, 2)).to_text())
    for _ in range(count):
        with suppress(DataError):
            record_in(mutated(valid, draw), "x")
