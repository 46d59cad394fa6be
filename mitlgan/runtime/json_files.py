"""JSON objects in files, and statistics as JSON lines that survive an interrupted write."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from mitlgan.errors import DataError, raise_resource_fault
from mitlgan.runtime.files import ForeignFileError, open_regular, read_bytes, translate_disk_errors, write_atomically
from mitlgan.runtime.progress import Say, ignore_message

MAX_LINE_BYTES = 10_000_000
LOG_TEXTS = frozenset({"diagnosis", "split", "data_sha256"})
"""Keys of a training's logs that are text; all others are numbers."""
MAX_NUMBER = 1e300


def read_json(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one if the file is absent or broken. What is written back is read by `read_json_to_extend`.

    Raises:
        ResourceError: The file is a link or not a regular file; see `mitlgan.runtime.files.open_regular`.
    """
    try:
        return read_json_to_extend(path)
    except DataError:
        return {}


def read_json_to_extend(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file that is written back with more in it; an empty one if the file is absent.

    Raises:
        DataError: The file cannot be read or is damaged, so that writing it back would lose what it holds.
        ResourceError: See `read_json`.
    """
    try:
        value = json.loads(read_bytes(path, root=path.parent))
        if not isinstance(value, dict):
            raise TypeError
    except ForeignFileError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise_resource_fault(error, str(path))  # memory or open files that gave out do not mean that it is damaged
        raise DataError(f"{path}: is damaged or cannot be read, so that what it holds would be lost; mend it, or remove it") from None
    return value


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a `.jsonl` file up to the first line that is torn or not an object.

    Raises:
        ResourceError: The file is a link or not a regular file; see `mitlgan.runtime.files.open_regular`.
    """
    try:
        with open_regular(path, root=path.parent) as file:
            while line := file.readline(MAX_LINE_BYTES):
                try:
                    value = json.loads(line.decode(errors="replace"))  # after a power cut a line may hold any bytes
                except (ValueError, RecursionError):
                    return
                if not isinstance(value, dict):
                    return
                yield value
    except ForeignFileError:
        raise
    except OSError as error:
        raise_resource_fault(error, str(path))


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a training's log that say their iteration and kimg, without values of a wrong type; see `read_jsonl` and `plain_values`."""
    for row in read_jsonl(path):
        plain = plain_values(row, LOG_TEXTS)
        if isinstance(plain.get("iteration"), int) and isinstance(plain.get("kimg"), int | float):
            yield plain


def plain_values(values: Mapping[str, Any], texts: Collection[str]) -> dict[str, Any]:
    """Return the values that can be calculated with and shown, since a file of a run may come from anywhere.

    Args:
        values: A JSON object.
        texts: Keys whose values are text; all others are finite numbers of usual size, truth values or null.
    """
    return {key: value for key, value in values.items() if value is None or (_is_text(value) if key in texts else _is_number(value))}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= MAX_NUMBER


def truncate_jsonl(path: Path, iteration: int, say: Say = ignore_message) -> None:
    """Remove the lines of a `.jsonl` file from the first one that is later than an iteration, and all that are torn or damaged.

    Args:
        path: The file; may be absent.
        iteration: Last one that stays.
        say: Receives a sentence on damaged lines that whole ones follow; half a line at the end is usual after a kill.

    Raises:
        ResourceError: The disk refuses to write, or the file is a link or not a regular file.
    """
    with translate_disk_errors(path):
        try:
            file = open_regular(path, "r+b", root=path.parent)
        except FileNotFoundError:
            return
        end, at, damaged = 0, 0, list[tuple[int, int]]()
        with file:
            pending = list[tuple[int, int]]()
            while line := file.readline(MAX_LINE_BYTES):
                start, at, position = at, at + len(line), _iteration_of(line)
                if position is None:
                    pending.append((start, at))
                elif position > iteration:
                    break
                else:
                    damaged, pending, end = damaged + pending, [], at
            if not damaged:
                file.truncate(end)
                return
            file.seek(0)
            content = file.read(end)
        edges = [0, *(edge for piece in damaged for edge in piece), end]
        write_atomically(path, b"".join(content[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)), root=path.parent)
    say(f"{path}: {len(damaged):,} damaged line{'s are' if len(damaged) > 1 else ' is'} left out; all others stay")


def _iteration_of(line: bytes) -> float | None:
    """Return the iteration of a line; None if it is torn or damaged."""
    try:
        iteration = json.loads(line)["iteration"] if line.endswith(b"\n") else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return iteration if _is_number(iteration) else None


class JsonlWriter:
    """Appends JSON objects to a file, one a line.

    Raises:
        ResourceError: The disk is full or refuses to write, at any call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with translate_disk_errors(path):
            self._file: IO[bytes] = open_regular(path, "ab", root=path.parent)

    def write(self, values: Mapping[str, Any]) -> None:
        """Append one object."""
        with translate_disk_errors(self._path):
            self._file.write(json.dumps(values).encode() + b"\n")

    def flush(self) -> None:
        """Hand what was written to the system."""
        with translate_disk_errors(self._path):
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        with translate_disk_errors(self._path):
            self._file.close()
