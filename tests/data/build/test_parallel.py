"""Work in processes: order, contents, and what becomes of workers that die."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import worker_for_tests
from loky.backend import fork_exec

from mitlgan.data.build.parallel import WorkerDiedError, in_processes


def run(items: list[Any], setup: Any = None, count: int = 2, size: int = 1) -> Any:
    batches = (items[start : start + size] for start in range(0, len(items), size))
    return in_processes(batches, partial(worker_for_tests.make, setup), count)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_results_come_in_order_from_several_processes() -> None:
    slow_first = [0.1, 0.1, *range(300)]
    results = list(run(slow_first, {"a": [1]}, size=3))
    assert [item for _, item, _ in results] == slow_first
    assert all(setup == {"a": [1]} for setup, _, _ in results)
    workers = {process for _, _, process in results}
    assert len(workers) == 2
    assert all(map(gone, workers))


def test_contents_of_any_length_go_there_and_back() -> None:
    """More than any pipe holds, both ways at once."""
    contents = [b"", b"ab", os.urandom(5_000_000), b"c", os.urandom(5_000_000), *[os.urandom(300_000)] * 20]
    assert [content[::-1] for _, content, _ in run(contents)] == contents


def test_batches_are_drawn_only_a_bounded_number_ahead() -> None:
    drawn = [0]

    def batches() -> Iterator[list[int]]:
        for number in range(10_000):
            drawn[0] += 1
            yield [number]

    results = in_processes(batches(), partial(worker_for_tests.make, None), 2)
    for _ in range(3):
        next(results)
    assert drawn[0] <= 12
    results.close()


def test_what_a_library_prints_is_no_output_of_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert len(list(run(["print", 1, "print"], count=1))) == 3
    output = capfd.readouterr()
    assert output.out == ""
    assert "C's" in output.err


@pytest.mark.parametrize("size", [1, 7])
def test_the_item_that_a_worker_dies_of_is_named(size: int) -> None:
    done: list[int] = []
    with pytest.raises(WorkerDiedError) as died:
        done.extend(item for _, item, _ in run([*range(50), "kill", *range(50)], size=size))
    assert died.value.item == "kill"
    assert done == list(range(50))


def test_what_a_worker_dies_of_once_only_is_done_all_the_same(tmp_path: Path) -> None:
    items = [*range(20), tmp_path / "first", *range(100), tmp_path / "second", *range(20)]
    assert [item for _, item, _ in run(items, size=3)] == items


def test_a_worker_that_never_begins_is_no_items_fault(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkerDiedError) as died:
        list(run([1, 2], "no start", count=1))
    assert died.value.item is None


@pytest.mark.parametrize("fault", [errno.EAGAIN, errno.EMFILE, errno.ENOMEM])
def test_a_worker_that_cannot_be_started_is_no_items_fault(monkeypatch: pytest.MonkeyPatch, fault: int) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(fork_exec, "fork_exec", refuse)
    with pytest.raises(WorkerDiedError) as died:
        list(run([1, 2]))
    assert died.value.item is None


def test_a_bug_comes_back_with_its_trace() -> None:
    with pytest.raises(ZeroDivisionError, match="of a picture by none") as bug:
        list(run([1, "bug"], count=1))
    assert "worker_for_tests.py" in str(bug.value.__cause__)


def test_left_early_it_ends_its_workers_at_once() -> None:
    results = run([0.0, *[60.0] * 8])
    _, _, process = next(results)
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 5
    assert gone(process)


PROGRAM = """
import sys
from functools import partial
from helpers import worker_for_tests
from mitlgan.data.build.parallel import in_processes
for _, _, process in in_processes([[0.0]] * 4 + [[60.0]] * 4, partial(worker_for_tests.make, None), 2):
    print(process, flush=True)
"""


def test_workers_of_a_script_without_a_guard_do_not_outlive_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(worker_for_tests.__file__).parents[1]), *sys.path])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        workers = {int(parent.stdout.readline()) for _ in range(4)}
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not all(map(gone, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert all(map(gone, workers))
