"""Work in processes: order, contents, and what becomes of workers that die."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from mitlgan.data.build import processes
from mitlgan.data.build.processes import WorkerDiedError, in_processes
from mitlgan.data.build.serving import Item

HOME = "worker_for_tests"


def plain(*items: Any) -> list[Item]:
    return [(item, None) for item in items]


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_results_come_in_order_from_several_processes() -> None:
    slow_first = plain(0.1, 0.1, *range(300))
    found = [value for value, _ in in_processes(slow_first, HOME, {"a": [1]}, 2)]
    assert [item for _, item, _ in found] == [item for item, _ in slow_first]
    assert all(setup == {"a": [1]} for setup, _, _ in found)
    workers = {process for _, _, process in found}
    assert len(workers) == 2
    assert all(map(gone, workers))


def test_contents_of_any_length_go_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than any pipe holds, both ways at once."""
    contents = [None, b"", b"ab", os.urandom(5_000_000), b"c", os.urandom(5_000_000), None, *[os.urandom(300_000)] * 20]
    monkeypatch.setattr(processes, "REQUEST_S", 100.0)
    results = in_processes([("x", content) for content in contents], HOME, None, 2)
    assert [None if content is None else bytes(content)[::-1] for _, content in results] == contents


def test_items_are_drawn_only_a_bounded_number_ahead() -> None:
    drawn = [0]

    def items() -> Any:
        for number in range(10_000):
            drawn[0] += 1
            yield number, None

    results = in_processes(items(), HOME, None, 2)
    for _ in range(3):
        next(results)
    assert drawn[0] <= processes.MOST_ITEMS * 20
    results.close()


def test_what_a_library_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    assert len(list(in_processes(plain("print", 1, "print"), HOME, None, 1))) == 3
    assert "C's" in capfd.readouterr().err


@pytest.mark.parametrize(("item", "how"), [("kill", "was killed by SIGKILL"), ("memory", "ran out of memory")])
@pytest.mark.parametrize("together", [1, 100])
def test_the_item_that_a_worker_dies_of_is_named(monkeypatch: pytest.MonkeyPatch, item: str, how: str, together: int) -> None:
    monkeypatch.setattr(processes, "MOST_ITEMS", together)
    done: list[int] = []
    results = in_processes(plain(*range(50), item, *range(50)), HOME, None, 2)
    with pytest.raises(WorkerDiedError, match=how) as died:
        done.extend(value for (_, value, _), _ in results)
    assert died.value.item == item
    assert done == list(range(len(done)))


def test_a_worker_that_never_begins_is_no_items_fault() -> None:
    with pytest.raises(WorkerDiedError, match="ended with code 7") as died:
        list(in_processes(plain(1, 2), HOME, "no start", 1))
    assert died.value.item is None


def test_a_bug_comes_back_with_its_trace() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: of a picture by none") as bug:
        list(in_processes(plain(1, "bug"), HOME, None, 1))
    assert "worker_for_tests.py" in "".join(bug.value.__notes__)


def test_left_early_it_ends_its_workers_at_once() -> None:
    results = in_processes(plain(0.0, *[60.0] * 8), HOME, None, 2)
    (_, _, process), _ = next(results)
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 5
    assert gone(process)
