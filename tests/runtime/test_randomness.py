"""Every random number comes from (seed, purpose, step, rank)."""

from __future__ import annotations

import itertools

import pytest
import torch

from mitlgan.runtime.randomness import derived_seed, random_generator, sample_normal


def test_no_two_uses_share_a_stream() -> None:
    uses = [*itertools.product((0, 1, 12), ("a", "b", "a/1", "1"), (0, 1, 12), (0, 1, 2))]
    assert len({derived_seed(*use) for use in uses}) == len(uses)
    assert all(0 <= derived_seed(*use) < 2**63 for use in uses)


def test_they_stay_what_they_are() -> None:
    """A resume on another day, or a later version, goes on with the same numbers."""
    assert derived_seed(0, "latent/fg") == 3591551328748591959
    assert derived_seed(5, "critic", 7, 1) == 6345100410109648421


def test_a_stream_is_its_own() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = sample_normal((3, 4), random_generator(1, "x"))
    assert torch.equal(first, sample_normal((3, 4), random_generator(1, "x")))
    assert not torch.equal(first, sample_normal((3, 4), random_generator(1, "x", 1)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_on_the_device_asked_for(device: str) -> None:
    sample = sample_normal((2, 3), random_generator(0, "x"), device)
    assert (sample.shape, sample.device.type, sample.dtype) == ((2, 3), device, torch.float32)
