"""Checkpoints: which one is loaded, and what a crash, a full disk or damage leaves."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import crashes
from helpers.crashes import state
from helpers.mutations import counts, mutated

from mitlgan.artifacts import safetensors_io
from mitlgan.errors import ArtifactError, ResourceError
from mitlgan.runtime import files
from mitlgan.training.checkpoint import list_checkpoints, load_checkpoint, remove_old_checkpoints, save_checkpoint

HEADER: dict[str, Any] = {"recipe": {"name": "x"}, "counters": {"iteration": 3}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory without a checkpoint."""
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def loaded_iteration(run: Path) -> int:
    """The iteration of the checkpoint that loads, whose tensors must be that iteration's."""
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    tensors, header = checkpoint
    iteration = int(header["iteration"])
    assert tensors.keys() == state(iteration).keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in state(iteration).items())
    return iteration


def everything_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(run: Path) -> None:
    path = save_checkpoint(run, 7, state(7), HEADER)
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    tensors, header = checkpoint
    assert path.name == "000000007.safetensors"
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in state(7).items()
    }
    assert loaded_iteration(run) == 7
    assert header.pop("tensors_sha256") == safetensors_io.tensors_sha256(tensors)
    assert header == {**HEADER, "schema_version": 1, "kind": "checkpoint", "iteration": 7}


def test_memory_formats_and_slices_are_saved_by_value(run: Path) -> None:
    image = torch.randn(2, 3, 4, 5)
    odd = {"last": image.to(memory_format=torch.channels_last), "slice": image[:, 1], "scalar": torch.tensor(3.0), "same": image, "again": image}
    save_checkpoint(run, 1, odd, HEADER)
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    assert all(torch.equal(checkpoint[0][name], tensor) for name, tensor in odd.items())


def test_none_is_none(run: Path) -> None:
    assert load_checkpoint(run) is None
    assert load_checkpoint(run / "absent") is None


def test_the_newest_two_are_kept(run: Path) -> None:
    for iteration in (9, 10, 100, 1000):
        save_checkpoint(run, iteration, state(iteration), HEADER)
    assert [path.name for path in list_checkpoints(run)] == ["000000100.safetensors", "000001000.safetensors"]
    assert loaded_iteration(run) == 1000


def test_a_resume_removes_what_a_killed_process_did_not_come_to_remove(run: Path) -> None:
    for iteration in (1, 2, 3):
        save_checkpoint(run, iteration, state(iteration), HEADER, max_count=9)
    remove_old_checkpoints(run, 2, 2)  # the newest cannot be read
    assert [int(path.stem) for path in list_checkpoints(run)] == [1, 2, 3]
    remove_old_checkpoints(run, 3, 2)
    assert [int(path.stem) for path in list_checkpoints(run)] == [2, 3]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Path) -> None:
    for iteration in (1, 2):
        save_checkpoint(run, iteration, state(iteration), HEADER)
    newest = list_checkpoints(run)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert loaded_iteration(run) == 1
    messages: list[str] = []
    load_checkpoint(run, messages.append)
    (line,) = messages
    assert line.startswith(f"warning: the checkpoint of iteration 1 takes the place of the newest, which cannot be read: {newest}: damaged (")
    newest.unlink()
    load_checkpoint(run, messages.append)
    assert len(messages) == 1  # the newest that is there is whole


def test_only_damaged_ones_are_refused_with_the_newest_ones_fault(run: Path) -> None:
    for iteration in (1, 2):
        path = save_checkpoint(run, iteration, state(iteration), HEADER)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"000000002\.safetensors: damaged"):
        load_checkpoint(run)


@pytest.mark.parametrize(
    ("header", "expected"),
    [({"schema_version": 2}, "schema_version 2 is newer than 1; upgrade mitlgan"), ({"kind": "generator"}, "is a generator, not a checkpoint")],
)
def test_another_kind_or_a_newer_schema_is_refused_though_an_older_one_would_load(run: Path, header: dict[str, Any], expected: str) -> None:
    save_checkpoint(run, 1, state(1), HEADER)
    path = run / "checkpoints" / "000000002.safetensors"
    safetensors_io.write_tensors(path, state(2), {"schema_version": 1, "kind": "checkpoint", "iteration": 2} | header)
    with pytest.raises(ArtifactError, match=expected):
        load_checkpoint(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_never_holds_nan(run: Path, value: float) -> None:
    save_checkpoint(run, 1, state(1), HEADER)
    bad = state(2)
    bad["generator.weight"][50, 50] = value
    with pytest.raises(ArtifactError, match=r"generator\.weight holds a value that is not finite; nothing was written"):
        save_checkpoint(run, 2, bad, HEADER)
    assert everything_in(run / "checkpoints") == ["000000001.safetensors"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(run, 2, state(2), {"counters": {"seconds": value}})
    assert loaded_iteration(run) == 1


# Killed at any moment


@pytest.mark.parametrize("phase", crashes.PHASES)
def test_a_process_killed_while_saving_leaves_whole_checkpoints(run: Path, phase: str, children: ForkServerContext) -> None:
    for iteration in (1, 2):
        save_checkpoint(run, iteration, state(iteration), HEADER)
    child = children.Process(target=crashes.die_while_saving, args=(run, 3, phase))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    left = [name for name in everything_in(run / "checkpoints") if name.endswith(files.TEMPORARY_SUFFIX)]
    assert len(left) == (phase in crashes.LEAVES_A_TEMPORARY), "the test must leave what it is about"
    assert loaded_iteration(run) == (3 if phase in crashes.HAS_REPLACED else 2)
    assert not [name for name in everything_in(run / "checkpoints") if not name.startswith("0000")]
    save_checkpoint(run, 4, state(4), HEADER)
    assert loaded_iteration(run) == 4
    assert len(list_checkpoints(run)) == 2


# No room


def assert_refused_and_intact(run: Path, reason: str) -> None:
    """Checkpoint 3 is refused in one line, checkpoint 2 loads, and nothing else is there."""
    before = everything_in(run / "checkpoints")
    with pytest.raises(ResourceError) as caught:
        save_checkpoint(run, 3, state(3), HEADER)
    assert caught.value.exit_code == 5
    assert str(caught.value).startswith(str(run / "checkpoints" / "000000003.safetensors"))
    assert reason in str(caught.value)
    assert everything_in(run / "checkpoints") == before
    assert loaded_iteration(run) == 2


def test_a_full_disk_leaves_the_older_checkpoint(small_disk: Path) -> None:
    (small_disk / "checkpoints").mkdir()
    for iteration in (1, 2):
        save_checkpoint(small_disk, iteration, state(iteration), HEADER)
    (small_disk / "ballast").write_bytes(bytes(_free(small_disk) - 20_000))
    assert_refused_and_intact(small_disk, "no space left on the disk; free some, and run the same command again")
    (small_disk / "ballast").unlink()
    save_checkpoint(small_disk, 3, state(3), HEADER)
    assert loaded_iteration(small_disk) == 3


def _free(folder: Path) -> int:
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize


def test_a_file_size_limit_leaves_the_older_checkpoint(run: Path) -> None:
    for iteration in (1, 2):
        save_checkpoint(run, iteration, state(iteration), HEADER)
    with _file_size_limit(20_000):
        assert_refused_and_intact(run, "cannot be written (File too large)")


@contextmanager
def _file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_disk_error_leaves_the_older_checkpoint(run: Path, number: int, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for iteration in (1, 2):
        save_checkpoint(run, iteration, state(iteration), HEADER)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    if call == "fsync":
        monkeypatch.setattr(files.os, "fsync", refuse)
    else:
        monkeypatch.setattr(Path, "replace", refuse)
    assert_refused_and_intact(run, "cannot be written" if number == errno.EIO else "no space left")


# Fuzz


@counts
def test_mutated_checkpoints_load_equal_or_give_way(run: Path, count: int) -> None:
    """However the newest is damaged: it loads equal, or the one before does."""
    for iteration in (1, 2):
        save_checkpoint(run, iteration, {name: tensor[:3] for name, tensor in state(iteration).items()}, HEADER)
    newest = list_checkpoints(run)[-1]
    whole = newest.read_bytes()
    older = 0
    for seed in range(count):
        newest.write_bytes(mutated(whole, random.Random(seed)))
        checkpoint = load_checkpoint(run)
        assert checkpoint is not None
        tensors, header = checkpoint
        older += header["iteration"] == 1
        assert torch.equal(tensors["generator.weight"], state(header["iteration"])["generator.weight"][:3])
        assert header["recipe"] == HEADER["recipe"]
    assert older > 0.9 * count
