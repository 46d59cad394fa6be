"""The digit classifier: its shipped weights, what its features see, what it refuses, and its training."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from safetensors import safe_open
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur
from typer.testing import CliRunner

from mitlgan.artifacts.safetensors_io import read_tensors
from mitlgan.data.readers.idx import IMAGES, LABELS, read_idx
from mitlgan.errors import DataError, UsageError
from mitlgan.metrics.extractors.digits import train
from mitlgan.metrics.extractors.digits.network import SHA256, WEIGHTS, classify, digit_classifier
from mitlgan.metrics.extractors.extractor import extract_features
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.frechet import frechet_from_features
from mitlgan.metrics.kid import kernel_distance
from mitlgan.recipe import load_recipe

FIXTURE = Path(__file__).with_name("digits")
"""A hundred of the digits that were held out of the training, ten of each; see the licence next to them."""


@cache
def drawn_digits(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Digits of a font, light on dark, each with its own size, place and slant: uint8 (N, 1, 28, 28) and int64 (N,)."""
    rng = np.random.default_rng(seed)
    fonts = [ImageFont.load_default(size=size) for size in range(36, 47, 2)]
    images, labels = [], rng.permutation(np.arange(count) % 10)
    for label in labels:
        picture = Image.new("L", (56, 56))
        pen = ImageDraw.Draw(picture)
        pen.text((28, 28), str(label), fill=255, font=fonts[rng.integers(len(fonts))], anchor="mm", stroke_width=1)
        shear, angle = rng.uniform(-0.25, 0.25), rng.uniform(-10, 10)
        picture = picture.transform((56, 56), Image.Transform.AFFINE, (1, shear, -28 * shear, 0, 1, 0), Image.Resampling.BILINEAR)
        picture = picture.rotate(angle, Image.Resampling.BILINEAR).resize((28, 28), Image.Resampling.BOX)
        images.append(np.roll(np.asarray(picture), rng.integers(-1, 2, 2), (0, 1)))
    return torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(labels)


def classifier() -> torch.nn.Module:
    network = digit_classifier()
    network.load_state_dict(read_tensors(WEIGHTS)[0])
    return network.eval()


def features(images: Tensor) -> NDArray[np.float32]:
    return extract_features(open_extractor("digits"), [images.expand(-1, 3, -1, -1)])


def test_the_shipped_weights_are_those_that_are_named() -> None:
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert digest == SHA256 == open_extractor("digits").weights_sha256
    card = WEIGHTS.with_name("CARD.md").read_text()
    assert digest in card
    with safe_open(WEIGHTS, "pt") as file:
        header = json.loads(file.metadata()["mitlgan"])
    assert (header["licence"], "LeCun" in header["credit"]) == ("CC BY-SA 3.0", True)
    assert f"{header['right']} of 1,000 held-out digits are classified right" in card
    assert "CC BY-SA 3.0" in card
    assert "LeCun" in card


def test_held_out_digits_are_classified() -> None:
    images = torch.from_numpy(read_idx(FIXTURE / "digits-images-idx3-ubyte.gz", IMAGES).copy())[:, None]
    labels = torch.from_numpy(read_idx(FIXTURE / "digits-labels-idx1-ubyte.gz", LABELS).astype(np.int64))
    assert labels.bincount().tolist() == [10] * 10
    assert (classify(classifier(), images) == labels).float().mean() >= 0.97
    assert "CC BY-SA 3.0" in (FIXTURE / "LICENCE.md").read_text()


def test_digits_of_a_font_are_classified() -> None:
    images, labels = drawn_digits(400, seed=0)
    assert (classify(classifier(), images) == labels).float().mean() > 0.8


def test_features_are_of_the_network_and_named() -> None:
    ours = open_extractor("digits")
    assert (ours.name, ours.dim, ours.distance_name) == ("digits@28", 128, "FD (digits@28)")
    images, _ = drawn_digits(40, seed=0)
    with torch.no_grad():
        expected = classifier()[:-1](images.float() / 127.5 - 1)
    torch.testing.assert_close(torch.from_numpy(features(images)), expected, rtol=1e-4, atol=1e-5)


def noisy(images: Tensor, severity: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images.float() + severity * noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("kind", ["blur", "noise", "mixed halves", "digits dropped"])
def test_worse_digits_are_farther_away(kind: str) -> None:
    """By both distances, and in the order of severity."""
    real, (images, labels) = features(drawn_digits(300, seed=1)[0]), drawn_digits(1000, seed=2)
    halves = torch.cat([images[:300, :, :14], images[300:600, :, 14:]], 2)  # the upper half of one digit over the lower half of another
    spoilt = {
        "blur": [images[:300], *(gaussian_blur(images[:300], [9, 9], [sigma, sigma]) for sigma in (1.0, 1.8, 3.0))],
        "noise": [images[:300], *(noisy(images[:300], severity) for severity in (25, 60, 120))],
        "mixed halves": [torch.cat([halves[:count], images[count:300]]) for count in (0, 75, 150, 300)],
        "digits dropped": [images[labels < count][:300] for count in (10, 7, 4)],
    }[kind]
    sets = [features(part) for part in spoilt]
    for values in (
        [frechet_from_features(real, other) for other in sets],
        [kernel_distance(real, other, subsets=20, subset_size=150).mean for other in sets],
    ):
        assert all(better < worse for better, worse in pairwise(values)), values
        assert values[-1] > 3 * max(values[0], 0.01)


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (torch.zeros(2, 3, 40, 40, dtype=torch.uint8), "not grey ones of 40 px"),
        (torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 28, 28), "not colour ones of 28 px"),
    ],
)
def test_other_pictures_are_refused(images: Tensor, what: str) -> None:
    with pytest.raises(UsageError, match=f"^--extractor digits: takes grey pictures of 28 px, {what}; name --extractor efficientnet-lite0") as refusal:
        open_extractor("digits")(images)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("name", "resize"), [("digits@56", None), ("digits", "bilinear-antialias")])
def test_another_input_is_refused(name: str, resize: str | None) -> None:
    with pytest.raises(UsageError, match="--extractor digits: takes 28 px, bilinear only; leave out the size and --resize"):
        open_extractor(name, resize=resize)


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(UsageError, match=r"^--weights .*w\.safetensors: SHA-256 is "):
        open_extractor("digits", tmp_path / "w.safetensors")
    monkeypatch.setattr("mitlgan.metrics.extractors.digits.network.WEIGHTS", tmp_path / "none")
    with pytest.raises(UsageError, match="is missing; install mitlgan again"):
        open_extractor("digits")


def test_a_recipe_of_other_pictures_cannot_name_it() -> None:
    assert load_recipe("classic/akel-01", ['evaluation.extractor=["efficientnet-lite0", "digits"]']).evaluation.extractors[1] == "digits"
    for name in ("classic/akel-11", "recommended/fg-32"):
        with pytest.raises(UsageError, match=r'--set evaluation.extractor: .*"digits" takes grey pictures of 28 px, not colour ones of (40|32) px'):
            load_recipe(name, ["evaluation.extractor=digits"])


def test_evaluate_refuses_a_colour_artifact_in_one_line(shared_cache: Path) -> None:
    from mitlgan.cli.main import app

    artifact = Path(__file__).resolve().parents[3] / "pretrained" / "bg-32"
    result = CliRunner().invoke(app, ["evaluate", str(artifact), "--extractor", "digits", "-n", "8"])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith("--extractor digits: takes grey pictures of 28 px, not colour ones of 32 px")


def idx(path: Path, array: NDArray[np.uint8]) -> Path:
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return path


def test_training_is_the_same_to_the_bit_and_learns(tmp_path: Path) -> None:
    images, labels = drawn_digits(300, seed=3)
    files = idx(tmp_path / "i-idx3.gz", images[:, 0].numpy()), idx(tmp_path / "l-idx1.gz", labels.numpy().astype(np.uint8))
    settings = train.ClassifierSettings(epochs=2, batch=10, holdout=100)
    messages: list[str] = []
    digests = [train.build(*files, tmp_path / name, settings, messages.append) for name in ("one", "two")]
    assert digests[0] == digests[1] == hashlib.sha256((tmp_path / "one" / "weights.safetensors").read_bytes()).hexdigest()
    assert len(messages) == 4
    card = (tmp_path / "one" / "CARD.md").read_text()
    right = read_tensors(tmp_path / "one" / "weights.safetensors")[1]["right"]
    assert f"**{right} of 100 held-out digits are classified right**" in card
    assert right > 20  # of a hundred, in forty updates
    assert train.build(*files, tmp_path / "three", train.ClassifierSettings(epochs=1, batch=100, holdout=100, seed=1), messages.append) != digests[0]


def test_training_refuses_what_are_no_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square, wide = np.zeros((4, 28, 28), np.uint8), np.zeros((4, 20, 28), np.uint8)
    labels = idx(tmp_path / "l", np.zeros(4, np.uint8))
    with pytest.raises(DataError, match="holds pictures of 28 x 20 px, not of 28 px"):
        train.read_digits(idx(tmp_path / "wide", wide), labels)
    with pytest.raises(DataError, match="has 3 labels up to 0 for 4 digits"):
        train.read_digits(idx(tmp_path / "i", square), idx(tmp_path / "few", np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match="up to 11"):
        train.read_digits(tmp_path / "i", idx(tmp_path / "many", np.full(4, 11, np.uint8)))
    assert train.main([str(tmp_path / "i"), str(labels), str(tmp_path / "out")]) == 3
    assert "4 digits are too few to hold out 1000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert train.main([]) == 2
    assert "usage: " in capsys.readouterr().err


def test_shifts_keep_every_pixel() -> None:
    image = torch.zeros(50, 1, 28, 28, dtype=torch.uint8)
    image[:, 0, 14, 10] = 9
    shifted = train._shift(image, torch.Generator().manual_seed(0))
    places = shifted.nonzero()
    assert len(places) == 50
    assert set((places[:, 2] - 14).tolist()) == set((places[:, 3] - 10).tolist()) == {-2, -1, 0, 1, 2}


def test_the_interval_is_wilsons() -> None:
    assert train.accuracy_interval(988, 1000) == pytest.approx((0.9791, 0.9931), abs=2e-4)
    assert train.accuracy_interval(10, 10)[1] == 1.0
