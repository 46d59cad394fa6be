"""Ways that are gone side by side find what they would find one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.inversion.cost import Aim, renderer
from mitlgan.inversion.decompose.layers import Splitter
from mitlgan.inversion.decompose.parallel import abreast
from mitlgan.inversion.progress import Clock, Progress, Teller
from mitlgan.inversion.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def nobody() -> Clock:
    return Clock(None, None, 1)


def until_over(clock: Teller) -> str:
    """Goes on until it is told to end, as every search does."""
    deadline = time.monotonic() + 10
    while clock.over is None:
        assert time.monotonic() < deadline, "nobody ended it"
        time.sleep(0.001)
    return str(clock.over)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(("enough", "found"), [(0, [0]), (2, [0, 1, 2]), (9, [0, 1, 2, 3])])
def test_what_was_found_up_to_the_first_that_is_enough(threads: int, enough: int, found: list[int]) -> None:
    torch.set_num_threads(threads)

    def way(index: int, clock: Teller) -> int:
        time.sleep(0.02 * (4 - index))  # those that are begun later end sooner
        return index

    ways = [lambda clock, index=index: way(index, clock) for index in range(4)]
    assert abreast(ways, lambda one: one >= enough, nobody(), CPU) == found
    assert torch.get_num_threads() == threads


def test_each_has_one_thread_and_as_many_go_as_there_are() -> None:
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=10)

    def way(clock: Teller) -> int:
        both.wait()  # passed only if the other one is on its way, too
        return torch.get_num_threads()

    assert abreast([way, way], lambda _: False, nobody(), CPU) == [1, 1]
    assert torch.get_num_threads() == 2


def test_those_that_are_left_are_ended() -> None:
    torch.set_num_threads(2)
    ended: list[str] = []
    assert abreast([lambda _: 1, lambda clock: ended.append(until_over(clock)) or 2], bool, nobody(), CPU) == [1]
    assert ended in (["cancelled"], []), "or it had not begun"


@pytest.mark.parametrize("threads", [1, 2])
def test_when_time_is_over_those_on_their_way_give_what_they_have(threads: int) -> None:
    torch.set_num_threads(threads)
    clock = Clock(None, 0.5, 1)
    begun: list[int] = []

    def way(index: int, clock: Teller) -> str:
        begun.append(index)
        return until_over(clock)

    ways = [lambda clock, index=index: way(index, clock) for index in range(5)]
    assert abreast(ways, lambda _: False, clock, CPU) == ["time"] * threads
    assert sorted(begun) == list(range(threads))
    assert abreast(ways, lambda _: False, clock, CPU) == ["time"], "one is begun in any case"


def test_what_goes_wrong_is_told_and_ends_the_others() -> None:
    torch.set_num_threads(2)
    ended: list[str] = []

    def wrong(clock: Teller) -> str:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        abreast([wrong, lambda clock: ended.append(until_over(clock)) or ""], lambda _: False, nobody(), CPU)
    assert ended in (["cancelled"], [])
    assert torch.get_num_threads() == 2


def test_the_watcher_hears_of_one_at_a_time() -> None:
    torch.set_num_threads(3)
    told: list[tuple[int, int]] = []

    def watch(state: Progress) -> None:
        told.append((state.total, state.done))

    def way(index: int, clock: Teller) -> int:
        for step in range(20):
            clock.tell("search", step, index)
            time.sleep(0.002 * (3 - index))
        return index

    abreast([lambda clock, index=index: way(index, clock) for index in range(3)], lambda _: False, Clock(watch, None, 1), CPU)
    assert told == sorted(told), "the first one's steps in order, then what is left of the second's, and so on"
    assert [step for index, step in told if index == 0] == list(range(20))


def test_the_watcher_ends_all() -> None:
    torch.set_num_threads(2)

    def way(clock: Teller) -> str:
        deadline = time.monotonic() + 10
        while clock.tell("search", 1, 2) is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return str(clock.over)

    assert abreast([way, way], lambda _: False, Clock(lambda _: False, None, 1), CPU) in (["cancelled"], ["cancelled"] * 2), (
        "the other may not have begun"
    )


def test_a_picture_is_split_as_it_is_by_one_thread(placed: LoadedArtifact) -> None:
    settings = Settings(starts=64, restarts=4, attempts=2, steps=20, polish_steps=40)
    splitter = Splitter.of(placed.network)
    assert splitter is not None
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(splitter.split(Aim(renderer(placed), placed.sample([2])[0].clone(), None, settings, None), settings, nobody()))
    assert torch.equal(*found)
