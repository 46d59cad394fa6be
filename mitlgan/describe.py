"""What a recipe or an artifact amounts to: parameters, multiply-accumulates and layers of its networks, without allocating a weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mitlgan import artifact, networks
from mitlgan.artifact import Card
from mitlgan.networks.fusion import back_to_front
from mitlgan.recipe import AnyGenerator, GeneratorRecipe, Recipe, load

THESIS_LAYERS = ("fg", "bg")


def describe(target: str) -> dict[str, Any]:
    """Describe a recipe (name or file) or an artifact (file or run).

    Returns:
        `name`, `kind`, `size_px`, `networks` by name and `total`; see `describe_recipe`.

    Raises:
        UsageError: Neither a recipe nor an artifact.
        ArtifactError: A damaged artifact.
    """
    from mitlgan.sample import artifact_file

    path = Path(target)
    if path.suffix == ".safetensors" or (path.is_dir() and not (path / "recipes").is_dir()):
        file = artifact_file(path)
        card = artifact.read_card(file)
        return {**_described_card(card, str(file)), "card": card.model_dump(mode="json", exclude_none=True)}
    return describe_recipe(load(target))


def describe_recipe(recipe: Recipe, layers: Mapping[str, AnyGenerator] | None = None) -> dict[str, Any]:
    """Describe the networks of a recipe.

    Args:
        recipe: Any.
        layers: Generators of a composition's layers; by default those of `assumed_layers`.

    Returns:
        `networks`: for each, `parameters` (BatchNorm statistics counted, as the thesis does), `trainable`, `multiply_accumulates` of one forward
        image and `rows` (name, type, output shape, parameters); `total`: the generator or composer as a whole, without the critic.
    """
    with torch.device("meta"):
        critic = networks.build_critic(recipe.critic, recipe.size_px)
        if recipe.generator is not None:
            whole: nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
        else:
            assert recipe.composer is not None
            chosen = layers or assumed_layers(recipe)
            generators = {name: networks.build_generator(layer, recipe.size_px) for name, layer in chosen.items()}
            whole = networks.build_composer(recipe.composer, generators, recipe.size_px)
    parts = _parts(whole)
    parts["critic"] = _numbers(critic, (critic.image_channels, recipe.size_px, recipe.size_px))
    return {"name": recipe.name, "kind": recipe.command, "size_px": recipe.size_px, "networks": parts, "total": _total(whole)}


def assumed_layers(recipe: Recipe) -> dict[str, GeneratorRecipe]:
    """The layers of a composition that names none: two of the thesis' family at the recipe's size; with a matte each, where the fusion asks for it."""
    assert recipe.composer is not None
    fusion, generator = recipe.composer.fusion, thesis_generator(recipe.size_px)
    order = back_to_front(getattr(fusion, "order", None), dict.fromkeys(THESIS_LAYERS))
    matted = generator.model_copy(update={"image_channels": 4})
    return {name: matted if fusion.kind == "alpha" and name in order[1:] else generator for name in (THESIS_LAYERS if len(order) == 2 else order)}


def thesis_generator(size_px: int) -> GeneratorRecipe:
    """The thesis' generator at a size: Table 7.1 with as many halvings of its 96 channels as the size has doublings."""
    widths = []
    width, size = 96, 4
    while size < size_px:
        widths.append(max(1, width))
        width, size = width // 2, size * 2
    return GeneratorRecipe(latent_dim=1536, widths=tuple(widths))


def _described_card(card: Card, source: str) -> dict[str, Any]:
    with torch.device("meta"):
        network = artifact.network_from(card, source)
    name = card.recipe.get("name", card.role)  # as it is: a recipe that another version wrote need not be valid here
    return {"name": name, "kind": card.kind, "size_px": card.size_px, "networks": _parts(network), "total": _total(network)}


def _parts(whole: nn.Module) -> dict[str, Any]:
    if not isinstance(whole, networks.Composer):
        return {"generator": _numbers(whole, (int(whole.latent_dim),))}  # type: ignore[arg-type]
    modules: dict[str, tuple[str, nn.Module]] = {f"layer {name}": (f"layers.{name}.", generator) for name, generator in whole.generators.items()}
    modules |= {"fusion": ("fusion.", whole.fusion), "translator": ("translator.", whole.translator)}
    table = networks.rows(whole, (whole.latent_dim,))
    return {name: _account(module, [row for row in table if f"{row.name}.".startswith(prefix)]) for name, (prefix, module) in modules.items()}


def _total(whole: nn.Module) -> dict[str, int]:
    numbers = _numbers(whole, (int(whole.latent_dim),))  # type: ignore[arg-type]
    return {key: numbers[key] for key in ("parameters", "trainable", "multiply_accumulates")}


def _numbers(network: nn.Module, shape: tuple[int, ...]) -> dict[str, Any]:
    return _account(network, networks.rows(network, shape))


def _account(network: nn.Module, table: list[networks.Row]) -> dict[str, Any]:
    count = networks.count_parameters(network)
    rows = [{"name": row.name, "type": row.type, "output": list(row.output_shape), "parameters": row.parameters} for row in table]
    return {
        "parameters": count.parameters,
        "trainable": count.trainable,
        "multiply_accumulates": sum(row.multiply_accumulates for row in table),
        "rows": rows,
    }
