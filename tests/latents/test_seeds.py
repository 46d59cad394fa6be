"""Latents are a pure function of seed and layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mitlgan.errors import UsageError
from mitlgan.latents import SEED_LIMIT, latents_from_seeds

seeds = st.integers(0, SEED_LIMIT - 1)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
FIRST_OF_SEED_3 = [-0.6336798071861267, -0.6515171527862549, 2.4152889251708984]

dims = st.dictionaries(names, st.integers(1, 20), min_size=1, max_size=4)


def column(z: torch.Tensor, sizes: dict[str, int], name: str) -> torch.Tensor:
    """The part of latents that is one layer's."""
    return dict(zip(sizes, torch.split(z, [*sizes.values()], dim=1), strict=True))[name]


@settings(deadline=None)
@given(sizes=dims, wanted=st.lists(seeds, min_size=1, max_size=8), at=st.integers(0, 7))
def test_property_a_seed_is_independent_of_its_neighbours(sizes: dict[str, int], wanted: list[int], at: int) -> None:
    at %= len(wanted)
    assert torch.equal(latents_from_seeds(wanted, sizes)[at : at + 1], latents_from_seeds([wanted[at]], sizes))
    assert torch.equal(latents_from_seeds(wanted[::-1], sizes), latents_from_seeds(wanted, sizes).flip(0))


@settings(deadline=None)
@given(sizes=dims, wanted=st.lists(seeds, min_size=1, max_size=4), data=st.data())
def test_property_a_layer_is_independent_of_the_others(sizes: dict[str, int], wanted: list[int], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(sizes)))
    alone = latents_from_seeds(wanted, {name: sizes[name]})
    assert torch.equal(column(latents_from_seeds(wanted, sizes), sizes, name), alone)
    others = {other: [data.draw(seeds) for _ in wanted] for other in sizes if other != name}
    mixed = {other: values for other, values in [*others.items(), (name, wanted)]}  # noqa: C416  (in another order than the layers)
    assert torch.equal(column(latents_from_seeds(mixed, sizes), sizes, name), alone)


@settings(deadline=None)
@given(sizes=dims, wanted=st.lists(seeds, min_size=1, max_size=4))
def test_property_shape_type_and_repetition(sizes: dict[str, int], wanted: list[int]) -> None:
    z = latents_from_seeds(wanted, sizes)
    assert z.shape == (len(wanted), sum(sizes.values()))
    assert z.dtype == torch.float32
    assert z.device.type == "cpu"
    assert bool(torch.isfinite(z).all())
    assert torch.equal(z, latents_from_seeds(wanted, sizes))


def test_layers_of_one_seed_differ() -> None:
    z = latents_from_seeds([7], {"fg": 16, "bg": 16})
    assert not torch.equal(z[:, :16], z[:, 16:])


def test_seeds_far_apart_and_near_give_different_latents() -> None:
    wanted = [*range(200), 2**31, 2**31 - 1, 2**32, 2**53, 2**53 + 1, SEED_LIMIT - 1]
    assert len({tuple(row.tolist()) for row in latents_from_seeds(wanted, {"fg": 4})}) == len(wanted)


def test_they_are_standard_normal() -> None:
    z = latents_from_seeds(range(1000), {"fg": 64})
    n = z.numel()
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    across = torch.corrcoef(z.T) - torch.eye(64)
    assert across.abs().max() < 5 / math.sqrt(1000)


def test_the_same_for_ever() -> None:
    """A seed in a caption or a paper stands for one picture; changing these numbers changes them all."""
    assert latents_from_seeds([3], {"fg": 3})[0].tolist() == pytest.approx(FIRST_OF_SEED_3, abs=1e-6)


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), latents_from_seeds([5], {"fg": 8})
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, latents_from_seeds([5], {"fg": 8}))


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), torch.tensor(3), True + 2])
def test_whole_numbers_of_all_kinds(seed: Any) -> None:
    assert torch.equal(latents_from_seeds([seed], {"fg": 2}), latents_from_seeds([3], {"fg": 2}))


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT, 10**5000, 1.5, 3.0, float("nan"), float("inf"), "3", None, [3]], ids=range(10))
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(UsageError, match=r"^seed .*: must be a whole number from 0 to 2\^63 - 1$") as caught:
        latents_from_seeds([0, seed], {"fg": 2})
    assert caught.value.exit_code == 2


def test_layers_must_be_those_of_the_network() -> None:
    missing, unknown = "none given for {}; give some for each of fg, bg", "given for {}, which no layer is called; the layers are fg, bg"
    for given_seeds, message in (
        ({"fg": [1]}, missing.format("bg")),
        ({}, missing.format("fg, bg")),
        ({"fg": [1], "bg": [1], "sky": [1]}, unknown.format("sky")),
        ({"fg": [1], "Bg": [1]}, unknown.format("Bg")),
    ):
        with pytest.raises(UsageError, match=f"^seeds: {message}$"):
            latents_from_seeds(given_seeds, {"fg": 2, "bg": 2})
    with pytest.raises(UsageError, match=r"^seeds: every layer needs as many as the others$"):
        latents_from_seeds({"fg": [1, 2], "bg": [1]}, {"fg": 2, "bg": 2})


def test_no_seeds_no_latents() -> None:
    assert latents_from_seeds([], {"fg": 2, "bg": 3}).shape == (0, 5)
