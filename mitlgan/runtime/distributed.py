"""Devices, and training in several processes under torchrun.

Gradients are averaged by one flat all-reduce after the backward pass, because DDP's wrapper fails on the second backward of a gradient penalty.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mitlgan.errors import ArtifactError, ResourceError, UsageError
from mitlgan.runtime.randomness import BatchShare

DEVICES = ("auto", "cpu", "cuda", "mps")
MAX_INDEX = 127
"""Highest number of a device that torch can hold; it counts on from -128."""
TIMEOUT_S = 120


@dataclass(frozen=True)
class World:
    """This process's rank and device.

    Attributes:
        rank: Number of this process, from 0; rank 0 writes files.
        size: Number of processes.
        device: Device of this process.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def share(self) -> BatchShare:
        """This process's rows of a batch."""
        return BatchShare(self.rank, self.size)

    @property
    def is_leader(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


ALONE = World(0, 1, torch.device("cpu"))
"""One process."""


def resolve_device(name: str | torch.device) -> torch.device:
    """Return the torch device of a `--device` value, or of torch's own, checked.

    Raises:
        UsageError: The device is unknown, or not available on this machine.
    """
    name = str(name)
    kind, colon, index = name.partition(":")
    if kind not in DEVICES or (colon and not re.fullmatch("0|[1-9][0-9]*", index)):
        raise UsageError(f"--device {name}: not one of {', '.join(DEVICES)}")
    if kind == "auto" and colon:
        raise UsageError(f"--device {name}: auto takes no number; use --device auto, or a kind with a number, such as cuda:0")
    if kind == "auto":
        kind = name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: torch sees no CUDA device here; use --device cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--device {name}: torch sees no Apple GPU here; use --device cpu")
    highest = {"cuda": torch.cuda.device_count() - 1, "mps": 0}.get(kind, MAX_INDEX)
    if colon and (len(index) > len(str(MAX_INDEX)) or int(index) > highest):
        raise UsageError(f"--device {name}: its number is too high; use --device {kind}, or one up to {kind}:{highest}")
    return torch.device(name)


@contextmanager
def join_world(device: str | torch.device) -> Iterator[World]:
    """Join torchrun's other ranks during the context, or stay alone.

    Raises:
        UsageError: The device is not available, or torchrun's environment variables are incomplete.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, resolve_device(device))
        return
    if "RANK" not in os.environ:  # some schedulers set WORLD_SIZE for every job
        raise UsageError(f"WORLD_SIZE={size}: set without RANK; start by `torchrun -m mitlgan ...`, or unset it")
    rank, local_rank = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    torch_device = resolve_device(device)
    if torch_device.type == "cuda":
        torch_device = torch.device("cuda", local_rank)
        torch.cuda.set_device(torch_device)
    backend, timeout = "nccl" if torch_device.type == "cuda" else "gloo", datetime.timedelta(seconds=TIMEOUT_S)
    dist.init_process_group(backend, store=_open_store(timeout), rank=rank, world_size=size, timeout=timeout)
    try:
        yield World(rank, size, torch_device)
    finally:
        dist.destroy_process_group()


def _open_store(timeout: datetime.timedelta) -> Store:
    """Return the store by which ranks find each other.

    On one machine, torchrun keeps its store when it restarts the ranks, with the addresses of those that died; so each start has keys of its own.
    """
    store, _, _ = next(rendezvous("env://", timeout=timeout))
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    is_one_machine = os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")
    return PrefixStore(f"start {start}", store) if is_one_machine else store


def average_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Replace each gradient by its mean over all ranks, in one flat all-reduce."""
    if world.size == 1:
        return
    average_tensors([parameter.grad for parameter in parameters if parameter.grad is not None], world)


def average_tensors(tensors: Sequence[Tensor], world: World) -> None:
    """Replace each tensor by its mean over all ranks, in one flat all-reduce."""
    if world.size == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _translate_backend_errors():
        dist.all_reduce(flat)
    flat /= world.size
    offset = 0
    for tensor in tensors:
        tensor.copy_(flat[offset : offset + tensor.numel()].view_as(tensor))
        offset += tensor.numel()


class _SumOverRanks(torch.autograd.Function):
    """The sum over all ranks; its gradient is the sum of their gradients, so it has derivatives of any order."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        with _translate_backend_errors():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_ranks(gradients[0])


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of all ranks' tensors, with gradients; every rank must call this. Outside torchrun it is the tensor itself."""
    if not dist.is_initialized():
        return tensor
    total: Tensor = _SumOverRanks.apply(tensor)
    return total


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """Return the mean of all ranks' tensors, with gradients; see `sum_over_ranks`."""
    return sum_over_ranks(tensor) / dist.get_world_size() if dist.is_initialized() else tensor


def gather_rows(tensor: Tensor) -> Tensor:
    """Return the rows of all ranks, in their order, with gradients; every rank must call this with equally many. Outside torchrun it is the tensor."""
    if not dist.is_initialized():
        return tensor
    own = dist.get_rank()
    return sum_over_ranks(torch.cat([tensor if rank == own else torch.zeros_like(tensor) for rank in range(dist.get_world_size())]))


def gather_objects(value: Any, world: World) -> list[Any]:
    """Return every rank's value, in their order; every rank must call this. Values travel pickled, between processes of one training only.

    Raises:
        ResourceError: Another rank has ended.
    """
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    with _translate_backend_errors("run the same command again"):
        dist.all_gather_object(values, value)
    return values


def broadcast(tensors: Iterable[Tensor], world: World) -> None:
    """Copy rank 0's values to all ranks."""
    if world.size > 1:
        for tensor in tensors:
            with _translate_backend_errors():
                dist.broadcast(tensor, 0)


def wait_for_all_ranks(world: World) -> None:
    """Wait until every rank has come here."""
    any_rank(False, world)


def any_rank(flag: bool, world: World) -> bool:
    """Return whether the flag is set on any rank; every rank must call this."""
    if world.size == 1:
        return flag
    shared = torch.tensor([int(flag)], device=world.device)
    with _translate_backend_errors():
        dist.all_reduce(shared, dist.ReduceOp.MAX)
    return bool(shared.item())


def text_from_leader(text: str, world: World) -> str:
    """Return rank 0's text on every rank: what is decided by looking at files must be decided once."""
    if world.size == 1:
        return text
    shared: list[str | None] = [text]
    with _translate_backend_errors():
        dist.broadcast_object_list(shared, 0)
    return shared[0] or ""


def require_same_on_all_ranks(digest: str, what: str, world: World) -> None:
    """Check that all ranks have the same hash.

    Raises:
        ArtifactError: They have not.
    """
    if world.size == 1:
        return
    gathered: list[str | None] = [None] * world.size
    with _translate_backend_errors():
        dist.all_gather_object(gathered, digest)
    if len(set(gathered)) > 1:
        raise ArtifactError(f"{what}: ranks hold different tensors; nothing was saved")


@contextmanager
def _translate_backend_errors(advice: str = "the last checkpoint is whole: continue with `mitlgan resume RUN`") -> Iterator[None]:
    """Translate the backends' plain `RuntimeError` into one line that says that another rank has ended or hangs."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ResourceError(f"torchrun: lost another process ({reason}); {advice}") from None
