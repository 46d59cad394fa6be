"""The manifest of a pack, read with care: it may be torn, edited, or not a manifest at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mitlgan.errors import DataError, MitlganError, resource_fault
from mitlgan.runtime.files import ForeignFileError, open_regular

SCHEMA_VERSION = 1
SOURCES_LINE = ' "sources": ['  # the manifest's last key, one source per line: everything before it can be read alone
MAX_LINE_BYTES = 10_000_000
TAIL_BYTES = 64

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1, le=2**40)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Omission(_Model):
    name: str
    reason: str


class _Group(_Omission):
    name: str = ""
    kind: str
    count: Count
    names: list[str]


class _Leftovers(_Model):
    left_out: list[_Group] = []
    others: dict[str, Count] = {}
    hidden: Count = 0
    remarks: list[str] = []


class _Manifest(_Model):
    """Fields that readers rely on; others are free. Earlier versions lacked those with a default."""

    schema_version: int
    count: Positive
    size_px: Positive
    channels: Literal[1, 3, 4]
    fourth_channel: Literal["alpha", "matte"] | None
    content_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str = ""
    made_by: dict[str, Any] = {}
    split: dict[str, Any] | None = None
    leftovers: _Leftovers = _Leftovers()
    skipped: list[_Omission] = []


class _Source(_Model):
    name: str
    sha256: str = ""
    width: Positive = 1
    height: Positive = 1
    note: str = ""


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest without its sources, so that memory does not grow with the number of pictures.

    Raises:
        DataError: The manifest is absent, damaged, or of a newer version.
    """
    try:
        manifest = json.loads(_read_head(path))
        del manifest["sources"]
        version = int(manifest["schema_version"])
        if version <= SCHEMA_VERSION:
            _check_manifest(manifest)
    except FileNotFoundError:
        raise DataError(
            f"{path}: absent; a pack is a .npy file with its .json manifest next to it: make one with `mitlgan data pack`, of pictures, not of arrays"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        raise _refusal(error, f"{path}: not a pack's manifest; make the pack again with `mitlgan data pack`") from None
    if version > SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version} is newer than this program reads ({SCHEMA_VERSION}); update mitlgan")
    return {"made_by": {}, "skipped": [], **manifest}


def is_manifest(path: Path) -> bool:
    """Return whether a file is a manifest that `read_manifest` reads."""
    try:
        read_manifest(path)
    except DataError:
        return False
    return True


def read_sources(path: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield the origin of each picture of a manifest, in order.

    Args:
        path: The manifest.
        count: Number of pictures in the pack.

    Raises:
        DataError: A line is damaged, or there are more or fewer than pictures.
    """
    number = 0
    for line in read_source_lines(path):
        number += 1
        yield parse_source(path, number, line)
    if number != count:
        raise DataError(f"{path}: names the sources of {number} pictures, its pack holds {count}; make the pack again with `mitlgan data pack`")


def read_source_lines(path: Path) -> Iterator[str]:
    """Yield the lines of the sources; see `parse_source`.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with open_regular(path, root=None) as file:
            while (line := file.readline(MAX_LINE_BYTES)) and not line.startswith(SOURCES_LINE.encode()):
                pass
            while (line := file.readline(MAX_LINE_BYTES)) and not line.startswith(b" ]"):
                yield line.decode().strip().rstrip(",")
    except (OSError, ValueError) as error:
        raise _refusal(error, f"{path}: its sources cannot be read; make the pack again with `mitlgan data pack`") from None


def parse_source(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return the origin in a line of a manifest: name, sha256 of the file, width and height before the crop (px).

    Args:
        path: The manifest; begins the message.
        number: Which of its sources this is, from 1.
        line: The line.

    Raises:
        DataError: The line is damaged.
    """
    try:
        _Source.model_validate_json(line)
        source: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{path}: the source of picture {number} is damaged; make the pack again with `mitlgan data pack`") from None
    return source


def _refusal(error: BaseException, message: str) -> MitlganError:
    """Return the machine's failure, or else an error that blames the manifest."""
    fault = None if isinstance(error, ForeignFileError) else resource_fault(error)
    return fault or DataError(message)


def _read_head(path: Path) -> bytes:
    """Return the manifest without its sources.

    Raises:
        ValueError: Its end is missing.
    """
    head: list[bytes] = []
    with open_regular(path, root=None) as file:
        while line := file.readline(MAX_LINE_BYTES):
            if line.startswith(SOURCES_LINE.encode()):
                head.append(b' "sources": []}')
                break
            head.append(line)
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        if not b"".join(file.read().split()).endswith(b"]}"):  # of the sources, and of the manifest
            raise ValueError
    return b"".join(head)


def _check_manifest(manifest: dict[str, Any]) -> None:
    """Raise ValueError unless the fields that readers rely on are valid."""
    fields = _Manifest.model_validate(manifest)
    if (fields.channels == 4) != (fields.fourth_channel is not None):
        raise ValueError
