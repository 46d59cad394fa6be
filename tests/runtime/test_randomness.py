"""Every random number comes from (seed, purpose, step), and belongs to a sample of the whole batch."""

from __future__ import annotations

import itertools

import pytest
import torch

from mitlgan.runtime.randomness import BatchShare, derived_seed, draw_integers, draw_uniform, random_generator, sample_normal, seed_global_generators


def test_no_two_uses_share_a_stream() -> None:
    uses = [*itertools.product((0, 1, 12), ("a", "b", "a/1", "1"), (0, 1, 12))]
    assert len({derived_seed(*use) for use in uses}) == len(uses)
    assert all(0 <= derived_seed(*use) < 2**63 for use in uses)


def test_they_stay_what_they_are() -> None:
    """A resume on another day, or a later version, goes on with the same numbers."""
    assert derived_seed(0, "latent/fg") == 3591551328748591959
    assert derived_seed(5, "critic", 7) == 6007595606243609640


def test_a_stream_is_its_own() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = sample_normal((3, 4), random_generator(1, "x"))
    assert torch.equal(first, sample_normal((3, 4), random_generator(1, "x")))
    assert not torch.equal(first, sample_normal((3, 4), random_generator(1, "x", 1)))
    assert torch.equal(before, torch.get_rng_state())


def test_global_numbers_are_those_of_a_manual_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    expected = torch.nn.functional.dropout(torch.ones(40))
    monkeypatch.setattr(torch, "manual_seed", None)  # which also formats tracebacks, for devices that are not there
    seed_global_generators(7, torch.device("cpu"))
    assert torch.equal(torch.nn.functional.dropout(torch.ones(40)), expected)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_on_the_device_asked_for(device: str) -> None:
    sample = sample_normal((2, 3), random_generator(0, "x"), device)
    assert (sample.shape, sample.device.type, sample.dtype) == ((2, 3), device, torch.float32)


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_draw_the_rows_of_one_process(size: int) -> None:
    def of(share: BatchShare) -> torch.Generator:
        return random_generator(3, "x", 1, share)

    shares = [BatchShare(rank, size) for rank in range(size)]
    count = 8 // size
    normal = torch.cat([sample_normal((count, 5), of(share)) for share in shares])
    assert torch.equal(normal, sample_normal((8, 5), random_generator(3, "x", 1)))
    pairs = torch.cat([draw_uniform((2, count, 1), of(share), dim=1) for share in shares], 1)
    assert torch.equal(pairs, torch.rand(2, 8, 1, generator=random_generator(3, "x", 1)))
    integers = torch.cat([draw_integers(-2, 2, (count, 1), of(share)) for share in shares])
    assert torch.equal(integers, torch.randint(-2, 3, (8, 1), generator=random_generator(3, "x", 1)))


def test_a_plain_generator_draws_for_all() -> None:
    drawn = draw_uniform((3, 1), torch.Generator().manual_seed(1))
    assert torch.equal(drawn, torch.rand(3, 1, generator=torch.Generator().manual_seed(1)))
