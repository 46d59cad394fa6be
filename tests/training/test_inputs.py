"""What networks in training are given."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.pixels import to_float
from mitlgan.latents import latents_from_seeds
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.runtime.randomness import random_generator
from mitlgan.training.inputs import GeneratorInputs, HoledImageInputs, make_inputs

CPU = torch.device("cpu")


def holed(recipe: Recipe, *, rank: int = 0) -> GeneratorInputs:
    assert recipe.inpainter is not None
    network = networks.build_inpainter(recipe.inpainter, recipe.size_px)
    return make_inputs(network, recipe, ImagePack.open(recipe.data.source), World(rank, 2, CPU))


@pytest.fixture
def recipe(packs: dict[str, Path]) -> Recipe:
    return tiny_runs.inpaint_recipe(packs["bg"])


@pytest.fixture
def real(recipe: Recipe) -> Tensor:
    return to_float(ImagePack.open(recipe.data.source).batch(range(12)))


def test_latents_are_those_of_their_purpose_update_and_samples(packs: dict[str, Path], real: Tensor) -> None:
    recipe = tiny_runs.recipe("bg", packs["bg"])
    assert recipe.generator is not None
    generator: nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
    inputs = make_inputs(generator, recipe, ImagePack.open(packs["bg"]), World(1, 2, CPU))
    wanted = torch.randn(24, 2, generator=random_generator(recipe.seed, "critic latents", 5))[12:]
    assert torch.equal(inputs.sample("critic", 5, real), wanted)
    assert not torch.equal(inputs.sample("generator", 5, real), wanted)
    assert torch.equal(inputs.fixed_samples(7), latents_from_seeds(range(7), {"bg": 2}))


def test_holes_come_from_seed_purpose_update_and_rank_and_the_truth_stays_under_them(recipe: Recipe, real: Tensor) -> None:
    plain = with_overrides(recipe, inpainter__mirror=False)
    first = holed(plain).sample("critic", 3, real)
    assert torch.equal(first[:, :3], real)
    assert set(first[:, 3].unique().tolist()) == {0.0, 1.0}
    assert bool((first[:, 3].mean((1, 2)) > 0).all())
    assert torch.equal(first, holed(plain).sample("critic", 3, real))
    others = [
        holed(plain).sample("generator", 3, real),
        holed(plain).sample("critic", 4, real),
        holed(plain, rank=1).sample("critic", 3, real),
        holed(with_overrides(plain, seed=plain.seed + 1)).sample("critic", 3, real),
    ]
    assert not [other for other in others if torch.equal(other[:, 3], first[:, 3])]


def test_half_of_the_pictures_are_mirrored(recipe: Recipe, real: Tensor) -> None:
    inputs = holed(recipe)
    mirrored = []
    for update in range(40):
        samples = inputs.sample("critic", update, real)[:, :3]
        for picture, truth in zip(samples, real, strict=True):
            mirrored.append(torch.equal(picture, truth.flip(2)))
            assert mirrored[-1] or torch.equal(picture, truth)
    assert 0.4 < sum(mirrored) / len(mirrored) < 0.6


def test_the_fixed_ones_do_not_depend_on_the_seed(recipe: Recipe, real: Tensor) -> None:
    inputs = holed(recipe)
    assert isinstance(inputs, HoledImageInputs)
    assert inputs.fixed_samples(64).shape == (12, 4, 8, 8), "no more than there are pictures"
    assert torch.equal(inputs.fixed_samples(12)[:, :3], real)
    assert torch.equal(inputs.fixed_samples(5), holed(with_overrides(recipe, seed=99), rank=1).fixed_samples(5))
