"""Every state of a folder that a kill can leave: the folder is copied before each system call that writes, which is what a SIGKILL there leaves.

An audit hook sees every `open` for writing, rename, removal and truncation in this process, whichever library calls it. Buffers reach the file at a
flush, so lines of logs also appear torn in half.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitlgan.artifacts.safetensors_io import read_header

WRITING_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
AGE_S = 10.0
"""Restored files are so much older, as they are when somebody calls again after a kill."""
TIMES = ("seconds", "cpu_seconds", "images_per_s", "eta_s", "overhead_fraction", "header_sha256", "mtime", "duration")
State = dict[str, bytes | None]
"""Content by path below the folder; None is a folder, or a pipe."""


@dataclass
class Recorder:
    """Copies a folder before each writing system call.

    Attributes:
        folder: What is copied.
        states: All states that differ, in order.
    """

    folder: Path
    states: list[State] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _busy: bool = False

    def look(self) -> None:
        """Copy the folder, if it changed."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                self._add(read_state(self.folder))
            finally:
                self._busy = False

    def _add(self, state: State) -> None:
        for variant in (*self._torn(state), state):
            key = hash(tuple(sorted(variant.items())))
            if key not in self._seen:
                self._seen.add(key)
                self.states.append(variant)

    def _torn(self, state: State) -> Iterator[State]:
        """Yield the state with half of what a log has grown by: the system may have written no more."""
        if not self.states:
            return
        before = self.states[-1]
        for path, content in state.items():
            old = before.get(path)
            if path.endswith(".jsonl") and content and content != old and content.startswith(old or b""):
                half = len(old or b"") + (len(content) - len(old or b"")) // 2
                yield {**state, path: content[:half]}


_active: list[Recorder] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _active and (event in WRITING_EVENTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING_FLAGS)):
        _active[-1].look()


_hooked: list[bool] = []


@contextmanager
def recording(folder: Path) -> Iterator[list[State]]:
    """Record every state of a folder during the context; the list is filled at its end."""
    if not _hooked:  # a hook cannot be removed
        _hooked.append(True)
        sys.addaudithook(_hook)
    fsync = os.fsync
    recorder = Recorder(folder)

    def look_and_sync(descriptor: int) -> None:
        recorder.look()
        fsync(descriptor)

    recorder.look()
    _active.append(recorder)
    os.fsync = look_and_sync
    try:
        yield recorder.states
    finally:
        os.fsync = fsync
        _active.pop()
        recorder.look()


def read_state(folder: Path) -> State:
    """Return the content of a folder."""
    state: State = {}
    for path in sorted(folder.rglob("*")):
        try:
            state[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else None
        except FileNotFoundError:  # another thread removed it
            continue
    return state


def restore(state: State, folder: Path) -> None:
    """Make a folder hold a state."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in state.items():
        path = folder / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in (folder, *folder.rglob("*")):
        status = path.stat()
        os.utime(path, (status.st_atime - AGE_S, status.st_mtime - AGE_S))


def sample(states: Sequence[State], count: int) -> list[State]:
    """Return some of the states, evenly spread, the first and the last included; 0 returns all."""
    if not count or count >= len(states):
        return list(states)
    return [states[round(index * (len(states) - 1) / (count - 1))] for index in range(count)]


def without_times(folder: Path) -> dict[str, Any]:
    """Return all that must be equal after a kill: the content of every file without measured times; locks are left out."""
    values: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name == ".lock":
            continue
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            values[name] = _strip(read_header(path))
        elif path.suffix == ".json":
            values[name] = _strip(json.loads(path.read_bytes()))
        elif path.suffix == ".jsonl":
            values[name] = [_strip(json.loads(line)) for line in path.read_bytes().splitlines()]
        else:
            values[name] = path.read_bytes()
    return values


def _strip(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strip(item) for key, item in value.items() if key not in TIMES}
    return [_strip(item) for item in value] if isinstance(value, list) else value


def check_every_kill(folder: Path, work: Callable[[], object], *, count: int, look: Callable[[Path], Mapping[str, Any]] = without_times) -> int:
    """Check that the same call ends equally, and leaves no temporary file, wherever it was killed before.

    Args:
        folder: Where the work writes; empty at first.
        work: The call.
        count: States to check, evenly spread; 0 checks all.
        look: Returns what must be equal.

    Returns:
        Number of states that were recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with recording(folder) as states:
        work()
    expected = look(folder)
    for number, state in enumerate(sample(states, count)):
        restore(state, folder)
        work()
        label = f"state {number}: {sorted(name for name, content in state.items() if content is not None)}"
        temporaries = [str(path) for pattern in ("*.tmp", "*.part") for path in folder.rglob(pattern)]
        assert not temporaries, label
        result = look(folder)
        assert sorted(result) == sorted(expected), label
        different = [name for name in expected if result[name] != expected[name]]
        assert not different, f"{label}: {different}: {[(expected[name], result[name]) for name in different][:1]}"
    return len(states)
