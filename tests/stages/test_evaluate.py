"""evaluate: the extractors that a recipe names where the weights of one are absent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from helpers import tiny_runs
from PIL import Image

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import Score, load_network, record_metrics, save_network
from mitlgan.data.open import open_data
from mitlgan.errors import UsageError
from mitlgan.networks.feature_networks import mobilenet_v2
from mitlgan.recipe import as_dict, parse_recipe, shipped_folder, with_overrides
from mitlgan.stages.evaluate import _ground_note, evaluate_artifact, record_evaluation

FIRST, SECOND = "efficientnet-lite0@32", "mobilenet-v2@32"


@pytest.fixture
def artifact(tmp_path: Path, artifacts: dict[str, Path]) -> Path:
    """A background generator whose recipe names two extractors."""
    path = Path(shutil.copytree(artifacts["bg"].parent, tmp_path / "artifact")) / "generator.safetensors"
    network, card = load_network(path)
    recipe = with_overrides(parse_recipe(card.recipe, "card"), evaluation__extractor=(FIRST, SECOND), evaluation__samples=12)
    save_network(path, network, card.model_copy(update={"recipe": as_dict(recipe)}))
    assert read_card(path).recipe["evaluation"]["extractor"] == [FIRST, SECOND]
    return path


def test_a_second_extractor_that_is_not_installed_is_left_out_in_one_line(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(mobilenet_v2, "packaged_file", lambda *_: None)
    pictures = str(tiny_runs.pack(tmp_path / "p.npy"))
    lines: list[str] = []
    figures = evaluate_artifact(artifact, data=pictures, say=lines.append).figures
    assert figures["protocol"]["extractor"] == FIRST
    assert set(figures.get("by_extractor", {FIRST: {}})) == {FIRST}
    line = f"measured without the recipe's {SECOND}: its weights are absent; {mobilenet_v2.INSTALL}"
    assert [text for text in lines if "measured without" in text] == [line]
    with pytest.raises(UsageError, match="its weights are absent"):
        evaluate_artifact(artifact, data=pictures, extractors=[FIRST, SECOND])


def test_real_pictures_stand_before_the_colour_that_the_generator_learned(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    network, card = load_network(artifact)
    for number in range(12):
        cutout = Image.new("RGBA", (card.size_px, card.size_px), (0, 0, 0, 0))
        cutout.putpixel((4, number % 8), (250, 0, 0, 255))
        (tmp_path / "objects").mkdir(exist_ok=True)
        cutout.save(tmp_path / "objects" / f"{number}.png")
    recipe = with_overrides(parse_recipe(card.recipe, "card"), data__backdrop=(0, 0, 0), evaluation__extractor=FIRST)
    distances = []
    for colored in (recipe, with_overrides(recipe, data__backdrop=(255, 255, 255))):
        save_network(artifact, network, card.model_copy(update={"recipe": as_dict(colored)}))
        measured = evaluate_artifact(artifact, data=str(tmp_path / "objects"), split="train")
        assert measured.real.batch([0])[0, :, 0, 0].tolist() == list(colored.data.backdrop)
        distances.append(measured.figures["frechet"]["value"])
    assert abs(distances[0] - distances[1]) > 1  # the same samples, other real pictures


@pytest.mark.parametrize(
    ("ground", "mode", "expected"),
    [
        ((255, 255, 255), "RGB", ""),
        ((250, 252, 251), "RGB", ""),  # a photograph's white
        ((0, 0, 0), "RGB", "most of them stand before (0, 0, 0): the figures compare the grounds as well as the objects"),
        (None, "RGB", "they do not stand before one colour: the figures"),
        ((0, 0, 0), "RGBA", ""),  # laid on white, as the samples are
    ],
)
def test_the_ground_of_opaque_pictures_is_told_if_samples_are_laid_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ground: tuple[int, int, int] | None, mode: str, expected: str
) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "objects").mkdir()
    noise = np.random.default_rng(0)
    for number in range(6):
        picture = Image.fromarray(noise.integers(0, 256, (32, 32, 3), dtype=np.uint8)).convert(mode)
        if ground is not None:
            around = Image.new(mode, (32, 32), (*ground, 0) if mode == "RGBA" else ground)
            around.paste(picture.crop((8, 8, 20, 20)), (8, 8 + number))
            picture = around
        picture.save(tmp_path / "objects" / f"{number}.png")
    lines: list[str] = []
    for name in ("modern-fg-32", "modern-bg-32"):
        path = shipped_folder("pretrained") / name
        evaluate_artifact(path, data=str(tmp_path / "objects"), split="train", samples=4, extractors=[FIRST], say=lines.append)
    notes = [line for line in lines if "the artifact's pictures are transparent" in line]
    assert len(notes) == bool(expected), "of the foregrounds alone"
    assert all(expected in note for note in notes)


@pytest.mark.parametrize(
    ("white", "black", "expected"),
    [
        (10, 0, ""),
        (19, 1, ""),
        (9, 1, ""),
        (43, 5, "only 89% of them"),
        (4, 4, "only 50% of them stand before it"),
        (6, 2, "only 75% of"),
        (2, 6, "most of them stand before (0, 0, 0)"),
    ],
)
def test_a_set_of_several_grounds_is_told(tmp_path: Path, white: int, black: int, expected: str) -> None:
    """Of each picture its own ground counts; an object may reach a border of it."""
    levels = np.array([255] * white + [0] * black, np.uint8)
    pixels = np.broadcast_to(levels[:, None, None, None], (len(levels), 16, 16, 3)).copy()
    pixels[:, 4:12, 4:] = 120
    for index, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{index:02d}.png")
    pack = open_data(str(tmp_path), "fg", 16)
    note = _ground_note(read_card(shipped_folder("pretrained") / "modern-fg-32" / "generator.safetensors"), pack, "SET")
    assert bool(note) == bool(expected)
    assert expected in note


def test_the_first_extractor_is_never_left_out(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mobilenet_v2, "packaged_file", lambda *_: None)
    network, card = load_network(artifact)
    recipe = with_overrides(parse_recipe(card.recipe, "card"), evaluation__extractor=(SECOND, FIRST))
    save_network(artifact, network, card.model_copy(update={"recipe": as_dict(recipe)}))
    with pytest.raises(UsageError, match="--extractor mobilenet-v2: its weights are absent"):
        evaluate_artifact(artifact, data=str(tiny_runs.pack(tmp_path / "p.npy")))


def test_an_evaluation_takes_the_place_of_an_earlier_one_and_scores_stay(artifact: Path) -> None:
    scores = {name: {"value": 0.5, "name": name} for name in get_args(Score)}
    first = {"frechet": {"value": 9.0}, "separation": {"swaps": 4}, "by_extractor": {"other": {"frechet": {"value": 1.0}}}}
    record_metrics(artifact, {**first, **scores}, read_weights_hash(artifact))
    second = {"frechet": {"value": 8.0}, "kid": {"value": 0.1, "std": 0.0}}
    record_evaluation(artifact, second, read_weights_hash(artifact))
    assert read_card(artifact).metrics == {**second, **scores}
    record_evaluation(artifact, {"frechet": {"value": 7.0}}, read_weights_hash(artifact))
    assert read_card(artifact).metrics == {"frechet": {"value": 7.0}, **scores}
