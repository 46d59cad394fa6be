"""Which recipe an arm trains: a baseline must not lose by settings that were chosen for another arm."""

from __future__ import annotations

import pytest

from mitlgan.artifact import LayerForm
from mitlgan.compare.arms import resolve
from mitlgan.recipe import Recipe, load


@pytest.fixture
def composition() -> Recipe:
    return load("modern/compose-32")


@pytest.fixture
def layers() -> dict[str, LayerForm]:
    found = {}
    for name in ("fg", "bg"):
        generator = load(f"modern/{name}-32").generator
        assert generator is not None
        found[name] = LayerForm(generator, 32)
    return found


def test_a_wgan_stays_one_beside_a_composition_by_another_objective(composition: Recipe, layers: dict[str, LayerForm]) -> None:
    ours, demo = resolve("wgan", composition, layers).recipe, load("demo/wgan")
    assert ours is not None
    assert composition.objective.kind == "minimax"
    assert ours.objective == demo.objective
    assert ours.critic == demo.critic
    assert ours.generator == demo.generator
    assert ours.training.batch == demo.training.batch
    assert ours.generator_optimiser == composition.generator_optimiser


def test_plain_is_the_compositions_own_training_without_layers(composition: Recipe, layers: dict[str, LayerForm]) -> None:
    ours = resolve("plain", composition, layers).recipe
    assert ours is not None
    assert (ours.command, ours.role, ours.composer) == ("pretrain", "scene", None)
    assert (ours.objective, ours.critic, ours.training.batch) == (composition.objective, composition.critic, composition.training.batch)
    assert ours.generator == layers["bg"].generator


def test_beside_a_wasserstein_composition_both_are_the_same(layers: dict[str, LayerForm]) -> None:
    composition = load("demo/compose")
    wgan, plain = (resolve(name, composition, layers).recipe for name in ("wgan", "plain"))
    assert wgan is not None
    assert plain is not None
    assert wgan.model_copy(update={"name": "plain"}) == plain
