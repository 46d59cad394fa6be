"""Checkpoints and the safetensors files under them: atomic, hashed, without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mitlgan.errors import ArtifactError, raise_resource_fault
from mitlgan.runtime.files import ForeignFileError, open_regular, write_atomically
from mitlgan.runtime.signals import HeldSignals

SCHEMA_VERSION = 1
HEADER_LIMIT_BYTES = 2_000_000
TENSOR_LIMIT = 10_000


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the sorted names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors with NaN or infinity, before anything is written to a path.

    Raises:
        ArtifactError: A tensor holds such a value.
    """
    bad = first_nonfinite(tensors)
    if bad is not None:
        raise ArtifactError(f"{path}: {bad} holds a value that is not finite; nothing was written")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, root: Path | None = None, is_new: bool = False) -> None:
    """Write tensors and a JSON header as one safetensors file, atomically.

    Args:
        path: File to write.
        tensors: Tensors by name.
        header: JSON values.
        root: Folder that the file must belong to; see `mitlgan.runtime.files.open_regular`.
        is_new: As of `mitlgan.runtime.files.write_atomically`.

    Raises:
        ArtifactError: A tensor holds NaN or infinity; nothing is written.
        ResourceError: The file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    require_finite(path, plain)
    # Keys keep their order: a composer's layers are in the order of their latents and of the fusion's channels.
    account = {**header, "tensors_sha256": tensors_sha256(plain)}
    metadata = {"mitlgan": json.dumps({**account, "header_sha256": _header_sha256(account)}, allow_nan=False)}
    write_atomically(path, safetensors.torch.save(plain, metadata), root=root, is_new=is_new)


def read_tensors(path: Path, *, root: Path | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that `write_tensors` wrote; nothing in it is executed.

    Args:
        path: The file.
        root: Folder that the file must belong to; see `mitlgan.runtime.files.open_regular`. None follows links.

    Returns:
        The tensors, on the CPU, and the header.

    Raises:
        ArtifactError: The file is damaged or of another format; the message says how.
    """
    header = read_header(path, root=root)
    try:
        with HeldSignals():  # the library would report an interrupt as damage
            tensors = safetensors.torch.load_file(path)
        bad = first_nonfinite(tensors)
        digest = tensors_sha256(tensors)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError, RuntimeError, OverflowError) as error:
        raise_resource_fault(error, str(path))
        raise ArtifactError(f"{path}: damaged ({_first_line(error)}); take it from its source again") from None
    if bad is not None:
        raise ArtifactError(f"{path}: tensor {bad} holds a value that is not finite")
    if digest != header.get("tensors_sha256"):
        raise ArtifactError(f"{path}: its tensors do not match their SHA-256; the file is damaged or was edited")
    return tensors, header


def read_header(path: Path, *, root: Path | None = None) -> dict[str, Any]:
    """Read the JSON header alone; its size is checked before anything is allocated, and the file's size against the tensors that it describes.

    Args:
        path: The file.
        root: See `read_tensors`.

    Raises:
        ArtifactError: See `read_tensors`; a file that was cut short, or goes on after its last tensor, is refused here, too.
    """
    try:
        with open_regular(path, root=root) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(128)
            _reject_foreign_format(path, start)
            length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
            if length < 2 or length > min(HEADER_LIMIT_BYTES, size - 8):
                raise ArtifactError(f"{path}: not a safetensors file of this project (a header of {length} bytes in a file of {size})")
            file.seek(8)
            raw = file.read(length)
    except ForeignFileError as error:
        raise ArtifactError(str(error) if root else f"{path}: not a file; give a .safetensors artifact") from None
    except OSError as error:
        raise_resource_fault(error, str(path))
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
    return _parse_header(path, raw, size - 8 - length)


def first_nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first floating-point tensor that holds NaN or infinity."""
    return next((name for name, tensor in tensors.items() if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())), None)


def _parse_header(path: Path, raw: bytes, tensors_bytes: int) -> dict[str, Any]:
    try:
        entries = json.loads(raw)
        if len(entries) > TENSOR_LIMIT:
            raise ArtifactError(f"{path}: names {len(entries)} tensors, more than {TENSOR_LIMIT}")
        header = json.loads(entries["__metadata__"]["mitlgan"])
        if not isinstance(header, dict) or not isinstance(header.get("schema_version"), int):
            raise ValueError
        digest = header.pop("header_sha256", None)
        whole = digest is None or digest == _header_sha256(header)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArtifactError(f"{path}: a safetensors file without this project's card; give one that `mitlgan` wrote") from None
    if not whole:
        raise ArtifactError(f"{path}: its card does not match its SHA-256; the file is damaged or was edited")
    _check_extent(path, entries, tensors_bytes)
    return header


def _check_extent(path: Path, entries: Mapping[str, Any], tensors_bytes: int) -> None:
    """Refuse a file whose tensors do not fill what follows the header, one after another, as safetensors itself would when it reads them.

    Args:
        path: The file.
        entries: Tensors by name, as the header describes them, and `__metadata__`.
        tensors_bytes: Size of what follows the header.

    Raises:
        ArtifactError: The file is too short or too long, or there is a gap between two tensors.
    """
    end = 0
    try:
        for first, last in sorted(entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"):
            if type(first) is not int or type(last) is not int or first != end or last < first:
                raise ValueError
            end = last
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{path}: damaged (its tensors do not follow each other); take it from its source again") from None
    if end != tensors_bytes:
        fault = "cut short" if tensors_bytes < end else "too long"
        raise ArtifactError(f"{path}: damaged ({fault}: {tensors_bytes:,} bytes of tensors, not {end:,}); take it from its source again")


def _header_sha256(header: Mapping[str, Any]) -> str:
    """Return the hash of the rest of a header: a flipped bit there could turn "fg" into "bg", or change a LeakyReLU, without a trace in the tensors."""
    as_read = json.loads(json.dumps(header))  # keys become text and sort as text
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def _reject_foreign_format(path: Path, start: bytes) -> None:
    if start[8:9] == b"{":  # safetensors; its length may look like the first bytes of a pickle: 640 is 80 02
        return
    if start.startswith(b"version https://git-lfs"):
        raise ArtifactError(f"{path}: a Git-LFS pointer instead of weights; run `git lfs pull`")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x1f\x8b")):
        raise ArtifactError(f"{path}: a pickle or archive, not safetensors; it was not opened")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
