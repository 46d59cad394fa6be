"""Keys that have no effect: every key of a network changes it, or is told to be idle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, load_recipe, parse_recipe, shipped_recipe_names
from mitlgan.recipe.advice import training_advice
from mitlgan.recipe.idle_keys import IDLE_RULES, idle_keys, without_idle_keys

SIZE_PX = 16
NETWORKS: dict[str, tuple[dict[str, Any], ...]] = {
    "generator": (
        {"kind": "thesis", "latent_dim": 3, "widths": [4, 3]},
        {"kind": "mlp", "latent_dim": 3, "widths": [4]},
        {"kind": "mlp", "latent_dim": 3, "widths": [4], "normalisation": "none", "init": "normal"},
        {"kind": "upsampled", "latent_dim": 3, "widths": [4, 3]},
        {"kind": "upsampled", "latent_dim": 3, "widths": [4, 3], "normalisation": "none", "activation": "leaky_relu", "init": "normal"},
        {"kind": "dcgan", "latent_dim": 3, "base_width": 6, "narrowest": 2},
        {"kind": "dcgan", "latent_dim": 3, "widths": [4, 3], "activation": "leaky_relu", "normalisation": "none"},
    ),
    "critic": (
        {"kind": "thesis", "widths": [4, 3], "dropout": [0.0, 0.0]},
        {"kind": "thesis", "widths": [4, 3], "dropout": [0.0, 0.0], "normalisation": "batch", "init": "normal"},
        {"kind": "mlp", "widths": [4]},
        {"kind": "strided", "widths": [4, 3]},
        {"kind": "strided", "base_width": 6, "narrowest": 2, "normalisation": "none", "init": "normal"},
    ),
}
OTHER = {"leak": 0.7, "init_std": 0.3, "norm_momentum": 0.7, "norm_eps": 0.4, "base_width": 9, "narrowest": 5, "widths": [5, 2]}
"""Values that differ from the defaults and from those above."""


def recipe(part: str, table: dict[str, Any], **change: Any) -> Recipe:
    tables = {"generator": {"kind": "mlp", "latent_dim": 3, "widths": [4]}, "critic": {"kind": "mlp", "widths": [4]}, part: {**table, **change}}
    return parse_recipe({"name": "a", "command": "pretrain", "role": "bg", "size_px": SIZE_PX, "objective": {"kind": "lsgan"}, **tables})


def changes(part: str, table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each key of a table with another value."""
    base = getattr(recipe(part, table), part)
    for key, field in type(base).model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        if key in OTHER:
            yield key, OTHER[key]
        elif choices and key not in ("kind", "image_channels"):
            yield from ((key, choice) for choice in choices if choice != getattr(base, key))
        elif isinstance(getattr(base, key), bool):
            yield key, not getattr(base, key)


def account(part: str, made: Recipe) -> list[torch.Tensor]:
    """Return what a network gives in training and after it, and all that it then holds."""
    torch.manual_seed(1)
    network: nn.Module = networks.build_generator(made.generator, SIZE_PX) if part == "generator" else networks.build_critic(made.critic, SIZE_PX)  # type: ignore[arg-type]
    torch.manual_seed(2)
    values = torch.randn(4, 3) if part == "generator" else torch.randn(4, 3, SIZE_PX, SIZE_PX)
    with torch.no_grad():
        trained = network(values)
        return [trained, network.eval()(values), *network.state_dict().values()]


@pytest.mark.parametrize(("part", "table"), [(part, table) for part, tables in NETWORKS.items() for table in tables])
def test_every_key_of_a_network_changes_it_or_is_told_to_be_idle(part: str, table: dict[str, Any]) -> None:
    base = account(part, recipe(part, table))
    for key, value in changes(part, table):
        try:
            changed = recipe(part, table, **{key: value})
        except UsageError:
            continue
        other = account(part, changed)
        is_same = len(base) == len(other) and all(map(torch.equal, base, other))
        assert is_same == (f"{part}.{key}" in idle_keys(changed)), (key, value)


@pytest.mark.parametrize(
    ("name", "settings", "keys", "decider"),
    [
        ("classic/akel-05", ("training.snapshot_kimg=1",), ["training.snapshot_kimg"], "training.snapshot_iterations = "),
        ("classic/akel-05", ("training.artifact_kimg=1",), ["training.artifact_kimg"], "training.artifact_iterations = "),
        ("classic/akel-05", ("training.checkpoint_kimg=1", "training.checkpoint_iterations=3"), ["training.checkpoint_kimg"], "training.checkpoint_it"),
        ("recommended/fg-64-sharp", ("generator.parent_rate=0.5",), ["generator.parent_rate"], "generator.adversarial = false"),
        (
            "recommended/fg-64-sharp",
            ("generator.adversarial=true", "generator.parent_norm=batch"),
            ["generator.parent_norm"],
            "generator.parent_rate = 0",
        ),
        ("few/fg-64", ("generator.parent_rate=0", "generator.parent_norm=batch"), ["generator.parent_norm"], "generator.parent_rate = 0"),
        ("classic/benedetti-cifar10", ("generator.base_width=1024",), ["generator.base_width"], "generator.widths = "),
    ],
)
def test_what_decides_is_told_with_the_keys(name: str, settings: tuple[str, ...], keys: list[str], decider: str) -> None:
    changed = load_recipe(name, list(settings))
    assert list(idle_keys(changed)) == keys
    (line,) = [line for line in training_advice(changed) if "no effect" in line]
    assert line.startswith(f"advice: {', '.join(keys)}: no effect, since {decider}")
    assert not idle_keys(without_idle_keys(changed))


def test_no_shipped_recipe_has_an_idle_key_and_every_rule_names_keys() -> None:
    assert [name for name in shipped_recipe_names() if idle_keys(load_recipe(name))] == []
    for rule in IDLE_RULES:
        for table in rule.tables:
            assert {*rule.keys, rule.decider} <= table.model_fields.keys()
