"""What ships in pretrained/: loads, says where it came from, and its figures in the README are those of its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import mitlgan
from mitlgan import artifact
from mitlgan.checkpoint import tensors_sha256
from mitlgan.networks import Composer

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"
ARTIFACTS = sorted(PRETRAINED.glob("*/*.safetensors"))


def test_both_layers_and_a_composition_ship_at_32_px() -> None:
    assert {"fg-32", "bg-32", "thesis-narrow-32"} <= {path.parent.name for path in ARTIFACTS}


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.parent.name)
def test_an_artifact_ships_with_card_grid_licence_and_figures(path: Path) -> None:
    network, card = artifact.load(path)
    beside = json.loads((path.parent / "card.json").read_text())
    assert beside["tensors_sha256"] == tensors_sha256(artifact.tensors_of(network))
    assert card.licence == "MIT"
    assert "CC0" in card.credit or "Microsoft" in card.credit
    assert card.data["source"] == "demo"
    assert card.metrics["frechet"]["value"] > 0
    with Image.open(path.parent / "grid.png") as grid:
        assert min(grid.size) >= 100
    sampled = mitlgan.load(path.parent).sample(range(8))
    assert sampled.shape == (8, card.image_channels, card.size_px, card.size_px)
    assert float(sampled.std(0).mean()) > 0.1, "the samples differ"


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.parent.name)
def test_the_figures_beside_an_artifact_are_its_cards(path: Path) -> None:
    card = artifact.read_card(path)
    (row,) = [line for line in (PRETRAINED / "README.md").read_text().splitlines() if line.startswith(f"| `{path.parent.name}`")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"{card.kimg:.0f}"
    assert cells[2] == f"{card.metrics['frechet']['value']:.0f}"
    assert cells[3] == f"{card.metrics['kid']['value']:.3f}"


def test_the_composition_holds_the_shipped_layers() -> None:
    network, card = artifact.load(PRETRAINED / "thesis-narrow-32" / "composer.safetensors")
    assert isinstance(network, Composer)
    for name in ("fg", "bg"):
        alone, _ = artifact.load(PRETRAINED / f"{name}-32" / "generator.safetensors")
        digest = tensors_sha256(artifact.tensors_of(alone))
        assert card.layers[name].sha256_before == card.layers[name].sha256_after == digest
        for key, tensor in artifact.tensors_of(network.generators[name]).items():
            assert torch.equal(tensor, artifact.tensors_of(alone)[key])
