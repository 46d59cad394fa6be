"""Networks and objective of a training, new or as a checkpoint describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from mitlgan import networks, objectives
from mitlgan.artifacts.card import LayerCard, check_critic_network, critic_network_card, read_critic_network
from mitlgan.artifacts.picture_sets import HEADER_KEY, PictureSet, followed_by, sets_of_header, sets_record
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.networks import GrownCritic
from mitlgan.recipe import Recipe, as_dict
from mitlgan.runtime.randomness import derived_seed
from mitlgan.training.counters import Counters
from mitlgan.training.setup import TrainingSetup

NEW_BLOCK_KEY = "trains_new_block"
"""Of a checkpoint's header: whether a grown critic's new block learns although the convolutions next to it are frozen; earlier versions froze it."""


def make_setup(
    recipe: Recipe, network: networks.Network, pack: ImagePack, layers: Mapping[str, LayerCard], parent: Mapping[str, Any] | None = None,
    *, has_new_block: bool = False,
) -> TrainingSetup:  # fmt: skip
    """Return the setup of a network's training, with a new critic and the recipe's objective.

    Args:
        recipe: All settings.
        network: Generator, composer or inpainter.
        pack: The real pictures.
        layers: Cards of the frozen layers by name; empty unless the network is a composer.
        parent: Account of the generator that the network begins with or grows from; see `describe_parent`.
        has_new_block: Whether the critic has just grown; convolutions that are frozen are then those of its parent, and its new block learns.
    """
    # The purpose names the stage, so that critics of a composition and of a pretraining differ even for equal seeds.
    torch.manual_seed(derived_seed(recipe.seed, f"initial critic {recipe.command} {recipe.role}"))
    critic = networks.build_critic(recipe.critic, recipe.size_px)
    objective = objectives.build(recipe.objective)
    objectives.check_critic(recipe.objective, critic)
    if recipe.critic_start is not None and recipe.critic_start.freeze:
        critic.freeze_first_blocks(recipe.critic_start.freeze)
    header: dict[str, Any] = {"layers": {name: as_dict(card) for name, card in layers.items()}, **({"parent": dict(parent)} if parent else {})}
    if has_new_block and isinstance(critic, GrownCritic):
        critic.train_new_block()
        header[NEW_BLOCK_KEY] = True
    if (frozen := critic_network_card(recipe.critic)) is not None:
        header["critic_network"] = as_dict(frozen)
    return TrainingSetup(network, critic, objective, pack, header)


def setup_from_checkpoint(recipe: Recipe, pack: ImagePack, header: Mapping[str, Any]) -> TrainingSetup:
    """Return the setup that a checkpoint's header describes, with new networks; the checkpoint's tensors are not loaded.

    Raises:
        ArtifactError: Its critic looked through other weights of a frozen network than those that are here, or its header was edited.
    """
    check_critic_network("checkpoint", read_critic_network(header), recipe.critic)
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in header["layers"].items()}
    if recipe.generator is not None:
        network: networks.Network = networks.build_generator(recipe.generator, recipe.size_px)
    elif recipe.inpainter is not None:
        network = networks.build_inpainter(recipe.inpainter, recipe.size_px)
    else:
        assert recipe.composer is not None
        generators = {name: layer.generator_spec(recipe.size_px).build() for name, layer in layers.items()}
        network = networks.build_composer(recipe.composer, generators, recipe.size_px)
    sets = followed_by(sets_of_header(header), current_set(pack, Counters(**header["counters"])))
    setup = make_setup(recipe, network, pack, layers, header.get("parent"), has_new_block=bool(header.get(NEW_BLOCK_KEY)))
    return with_sets(setup, sets)


def current_set(pack: ImagePack, counters: Counters) -> PictureSet:
    """Return the pictures that a training is shown from its present length on."""
    return PictureSet(content_sha256=pack.content_sha256, count=len(pack), from_iteration=counters.iteration, from_kimg=counters.kimg)


def with_sets(setup: TrainingSetup, sets: Sequence[PictureSet]) -> TrainingSetup:
    """Return a setup that knows which pictures its training is shown, from the first iteration on; unchanged if they are the same all along."""
    return replace(setup, header={**setup.header, **sets_record(HEADER_KEY, sets)})
