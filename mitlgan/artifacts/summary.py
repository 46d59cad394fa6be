"""Summary of a recipe or an artifact: parameters, multiply-accumulates and blocks of its networks, without allocating weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from mitlgan import networks
from mitlgan.artifacts.card import Card, GeneratorSpec, build_network, read_card
from mitlgan.errors import UsageError
from mitlgan.networks.fusion.interface import CONCATENATION
from mitlgan.recipe import (
    REACHABLE_PX,
    AnyGenerator,
    Recipe,
    UpsampledGeneratorRecipe,
    belonging_recipe,
    display_name,
    display_name_of,
    ladder_steps,
    load_recipe,
    thesis_generator,
)

THESIS_LAYERS = ("fg", "bg")


def describe(target: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Describe a recipe (name or file) or an artifact (file or run).

    Args:
        target: Its name, file or folder.
        settings: Changes, `a.b=v`, of a recipe.

    Returns:
        `name`, `kind`, `size_px`, `networks` by name and `total`; see `describe_recipe`.

    Raises:
        UsageError: The target is neither a recipe nor an artifact, or a setting does not fit.
        ArtifactError: The artifact is damaged.
    """
    from mitlgan.artifacts.known_artifacts import with_shipped
    from mitlgan.artifacts.loaded_artifact import artifact_path, is_artifact_reference

    path = with_shipped(Path(target))
    if is_artifact_reference(target) or path.suffix == ".safetensors" or (path.is_dir() and not (path / "recipes").is_dir()):
        if settings:
            raise UsageError(f"--set {settings[0]}: changes a recipe, and {target} is trained; leave it out, or name a recipe")
        file = artifact_path(path)
        card = read_card(file)
        return {**_describe_card(card, str(file)), "card": card.model_dump(mode="json", exclude_none=True)}
    return describe_recipe(load_recipe(target, settings, "RECIPE"), name=target)


def describe_recipe(recipe: Recipe, layers: Mapping[str, GeneratorSpec] | None = None, name: str | None = None) -> dict[str, Any]:
    """Describe the networks of a recipe.

    Args:
        recipe: Any recipe; of one with [[grow]], the networks of its last step.
        layers: Generators of a composition's layers; by default `assumed_layers`.
        name: As the user named the recipe; None: unknown.

    Returns:
        `networks`: for each network `parameters` (with BatchNorm statistics, as in the thesis), `trainable`, `multiply_accumulates` of one image
        and `rows` (name, type, output shape, parameters); `total`: the whole generator or composer, without the critic; of a composition also
        `joint`: how its layers come together, and the shape of that;
        where its layers are assumed, `layers`: the recipe that makes each of them, or None.
    """
    assumed: dict[str, AssumedLayer] = {}
    whole_name, recipe = display_name(recipe), ladder_steps(recipe)[-1]  # generator and critic grow with a ladder's steps
    with torch.random.fork_rng(devices=[]):
        critic = networks.build_critic(recipe.critic, recipe.size_px)  # with weights: spectral normalization takes long without
    with torch.device("meta"):
        if recipe.generator is not None:
            whole: networks.Network = networks.build_generator(recipe.generator, recipe.size_px)
        elif recipe.inpainter is not None:
            whole = networks.build_inpainter(recipe.inpainter, recipe.size_px)
        else:
            assert recipe.composer is not None
            assumed = {} if layers else assumed_layers(recipe, name)
            specs = layers or {layer: one.spec for layer, one in assumed.items()}
            generators = {layer: spec.build() for layer, spec in specs.items()}
            whole = networks.build_composer(recipe.composer, generators, recipe.size_px)
    parts, total = _parts(whole)
    parts["critic"] = _numbers(critic)
    assumption = {"layers": {layer: one.recipe for layer, one in assumed.items()}} if assumed else {}
    result = {"name": whole_name, "kind": recipe.command, "size_px": recipe.size_px, "networks": parts, "total": total}
    return {**result, **_joint(whole), **assumption}


class AssumedLayer(NamedTuple):
    """Generator of a layer of a composition whose layers are unknown.

    Attributes:
        spec: The generator.
        recipe: Name of the shipped recipe that makes it; None: none belongs to the composition, and it is of the thesis' family.
    """

    spec: GeneratorSpec
    recipe: str | None


def assumed_layers(recipe: Recipe, name: str | None = None) -> dict[str, AssumedLayer]:
    """Return generators for describing a composition whose layers are unknown: as the recipes that belong to its own make them.

    They are the layers that its fusion names, else two as in the thesis.

    Args:
        recipe: Of the composition.
        name: As the user named that recipe; None: unknown.
    """
    assert recipe.composer is not None
    names = recipe.composer.order or THESIS_LAYERS
    front = networks.back_to_front(recipe.composer.order, dict.fromkeys(names))[1:]
    return {layer: _assumed_layer("fg" if layer in front else "bg", recipe, name) for layer in names}


def _assumed_layer(role: str, recipe: Recipe, name: str | None) -> AssumedLayer:
    assert recipe.composer is not None
    channels = 4 if role == "fg" and recipe.composer.fusion.kind == "alpha" else 3
    try:
        belonging, change = belonging_recipe(role, recipe, name)
        generator = ladder_steps(load_recipe(belonging, change))[-1].generator
    except UsageError:
        generator = None
    if generator is not None and generator.image_channels == channels:
        return AssumedLayer(GeneratorSpec(generator, recipe.size_px), belonging)
    size_px = recipe.size_px
    other: AnyGenerator = thesis_generator(size_px) if size_px in REACHABLE_PX else _any_size_generator(size_px)
    return AssumedLayer(GeneratorSpec(other.model_copy(update={"image_channels": channels}), size_px), None)


def _any_size_generator(size_px: int) -> UpsampledGeneratorRecipe:
    """Return a generator for sizes that are not a power of two, with up to three doublings."""
    doublings = next(count for count in (3, 2, 1, 0) if size_px % 2**count == 0)
    return UpsampledGeneratorRecipe(widths=(128,) * (doublings + 1))


def _describe_card(card: Card, source: str) -> dict[str, Any]:
    with torch.device("meta"):
        network = build_network(card, source)
    name = display_name_of(card.recipe, card.role)
    parts, total = _parts(network)
    return {"name": name, "kind": card.kind, "size_px": card.size_px, "networks": parts, "total": total, **_joint(network)}


def _joint(whole: networks.Network) -> dict[str, Any]:
    """Return how the layers of a composition come together, and the shape of that; empty for other networks."""
    if not isinstance(whole, networks.Composer):
        return {}
    channels = sum(generator.image_channels for generator in whole.generators.values()) if whole.joint == CONCATENATION else whole.image_channels
    return {"joint": {"name": whole.joint, "output": [channels, whole.size_px, whole.size_px]}}


def _parts(whole: networks.Network) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the account of each part by name, and the totals."""
    table = networks.summarize_blocks(whole, whole.input_shape)
    account = _account(whole, table)
    total = {key: account[key] for key in ("parameters", "trainable", "multiply_accumulates")}
    if not isinstance(whole, networks.Composer):
        return {whole.kind: account}, total
    modules: dict[str, tuple[str, nn.Module]] = {f"layer {name}": (f"generators.{name}.", generator) for name, generator in whole.generators.items()}
    modules |= {"adapters": ("adapters.", whole.adapters)} if whole.adapters else {}
    modules |= {"fusion": ("fusion.", whole.fusion), "translator": ("translator.", whole.translator)}
    parts = {name: _account(module, [row for row in table if f"{row.name}.".startswith(prefix)]) for name, (prefix, module) in modules.items()}
    return parts, total


def _numbers(network: networks.Network) -> dict[str, Any]:
    return _account(network, networks.summarize_blocks(network, network.input_shape))


def _account(network: nn.Module, table: list[networks.BlockSummary]) -> dict[str, Any]:
    count = networks.count_parameters(network)
    rows = [
        {"name": row.name, "type": row.type, "output": list(row.output_shape), "parameters": row.parameters, "trainable": row.trainable,
         "input": list(row.input_shape), "setting": row.setting}
        for row in table
    ]  # fmt: skip
    return {
        "parameters": count.parameters,
        "trainable": count.trainable,
        "multiply_accumulates": sum(row.multiply_accumulates for row in table),
        "rows": rows,
    }
