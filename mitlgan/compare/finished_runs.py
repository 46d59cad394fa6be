"""Finished runs that a comparison takes as they are, and the frozen layers of a composition as artifacts."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mitlgan.artifacts.card import Card, read_card
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.data.pack.cache import cache_dir
from mitlgan.errors import ArtifactError
from mitlgan.networks import Generator
from mitlgan.runtime.command_line import command_line
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

ACCOUNT_KEYS = ("data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit", "parent")


def read_finished_card(run: Run) -> Card:
    """Return the card of a finished run.

    Raises:
        ArtifactError: The run is not finished.
    """
    if run.artifact_file is None:
        raise ArtifactError(f"{run.path}: not finished; continue it with `{command_line(['resume', run.path])}`")
    return read_card(run.artifact_file)


def load_baseline_run(path: Path, card: Card) -> Run:
    """Return a trained baseline that is taken as it is.

    Args:
        path: A run directory.
        card: Of the composition.

    Raises:
        UsageError: The path is not a run.
        ArtifactError: The run is not finished, or makes images of another size or role.
    """
    run = run_directory.open_run(path)
    own = read_finished_card(run)
    if own.role != "scene" or own.size_px != card.size_px:
        raise ArtifactError(f"--baseline-run {path}: makes {own.role} images of {own.size_px} px; give a run that makes scenes of {card.size_px} px")
    return run


def extract_layers(composer: Path) -> dict[str, Path]:
    """Return the frozen generators of a composer as artifacts of their own, in the cache, by layer.

    Raises:
        ArtifactError: The file is not a composer, or is damaged.
    """
    network, card = load_network(composer)
    if network.kind != "composer":
        raise ArtifactError(f"{composer}: not a composer")
    generators = network.frozen_generators()
    return {name: _extract_layer(generators[name], card, name) for name in card.layers}


def _extract_layer(generator: Generator, card: Card, name: str) -> Path:
    layer = card.layers[name]
    own = Card(
        kind="generator", role=layer.role, size_px=layer.size_px or card.size_px, image_channels=layer.generator.image_channels,
        latent_dims={layer.role: layer.generator.latent_dim}, generator=layer.generator,
        recipe=layer.card.get("made_by") or {"name": layer.card.get("recipe", name)},
        **{key: layer.card[key] for key in ACCOUNT_KEYS if key in layer.card},
    )  # fmt: skip
    # Equal weights may come with different cards, such as one of an earlier version that recorded less: each card has its own file.
    card_hash = hashlib.sha256(own.model_dump_json().encode()).hexdigest()
    path = cache_dir() / "layers" / f"{layer.sha256_before[:32]}-{card_hash[:16]}" / "generator.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_network(path, generator, own)
    return path
