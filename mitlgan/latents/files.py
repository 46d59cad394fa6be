"""Latent files: one latent as JSON, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from torch import Tensor

from mitlgan.data.sources.formats import HEAD_BYTES, detect_suffix
from mitlgan.errors import ArtifactError
from mitlgan.latents.paths import split_by_layer
from mitlgan.runtime.files import ForeignFileError, open_regular, write_json
from mitlgan.runtime.text_files import read_text

SCHEMA_VERSION = 1
MAX_BYTES = 32_000_000
MAX_LATENT_VALUE = 1000.0
"""Largest absolute value of a latent; larger ones are never drawn, and their images overflow."""


class LatentFile(BaseModel):
    """Content of the file.

    Attributes:
        latents: One list of numbers per layer.
        tensors_sha256: Hash of the tensors of the artifact that it belongs to.
        note: Free text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    kind: Literal["latent"] = "latent"
    latents: Annotated[dict[str, list[FiniteFloat]], Field(min_length=1, max_length=64)]
    tensors_sha256: Annotated[str | None, Field(max_length=64)] = None
    note: Annotated[str, Field(max_length=10_000)] = ""


def write_latent(path: Path, z: Tensor, dims: Mapping[str, int], tensors_sha256: str | None, note: str = "", *, is_new: bool = False) -> None:
    """Write one latent atomically.

    Args:
        path: The JSON file.
        z: (sum of dims,), float32.
        dims: Latent length by layer, in order.
        tensors_sha256: Hash of the artifact's tensors; see `mitlgan.artifacts.loaded_artifact.LoadedArtifact.tensors_sha256`.
        note: At most 10,000 characters.
        is_new: As of `mitlgan.runtime.files.write_atomically`.

    Raises:
        ArtifactError: A number is not finite or too large; nothing is written.
        ResourceError: The disk is full or not writable.
    """
    _require_in_range(path, z)
    values = {name: part.tolist() for name, part in split_by_layer(z.detach().cpu().float(), dims).items()}
    write_json(path, LatentFile(latents=values, tensors_sha256=tensors_sha256, note=note).model_dump(exclude_none=True), is_new=is_new)


def read_latent(path: Path, dims: Mapping[str, int], tensors_sha256: str | None = None) -> Tensor:
    """Read one latent.

    Args:
        path: The JSON file, of at most 32 MB.
        dims: The artifact's latent length by layer, in order.
        tensors_sha256: Hash of the artifact's tensors; a file with another hash is refused. None: any is accepted.

    Returns:
        (sum of dims,), float32, equal to what was written to the bit.

    Raises:
        ArtifactError: The file cannot be read, is no latent file, or does not fit the artifact.
    """
    _refuse_picture(path)
    try:
        content = LatentFile.model_validate_json(read_text(path, str(path), ArtifactError, MAX_BYTES))
    except ValueError as error:
        raise ArtifactError(f"{path}: {_reason(error)}") from None
    if content.schema_version > SCHEMA_VERSION:
        raise ArtifactError(f"{path}: its schema_version {content.schema_version} is newer than {SCHEMA_VERSION}; upgrade mitlgan")
    lengths = {name: len(values) for name, values in content.latents.items()}
    if lengths != dict(dims):
        raise ArtifactError(f"{path}: has latents of {_dims_text(lengths)}; the artifact takes {_dims_text(dims)}")
    if None not in (tensors_sha256, content.tensors_sha256) and tensors_sha256 != content.tensors_sha256:
        raise ArtifactError(f'{path}: belongs to another artifact, where it shows another picture; remove its "tensors_sha256" to use it anyway')
    z = torch.cat([torch.tensor(content.latents[name], dtype=torch.float64) for name in dims]).float()
    _require_in_range(path, z)
    return z


def _refuse_picture(path: Path) -> None:
    """Refuse a picture in a latent file's place, by its first bytes; what cannot be read is refused where it is read whole."""
    head = b""
    with suppress(ForeignFileError, OSError), open_regular(path, root=None) as file:
        head = file.read(HEAD_BYTES)
    if detect_suffix(head):
        advice = "`mitlgan embed` finds the latent of a picture, and `mitlgan sample --like` makes a picture of mitlgan again"
        raise ArtifactError(f"{path}: is a picture, not a latent file; {advice}")


def _require_in_range(path: Path, z: Tensor) -> None:
    if not bool((z.abs() <= MAX_LATENT_VALUE).all()):
        raise ArtifactError(f"{path}: holds a number that is not from -{MAX_LATENT_VALUE:g} to {MAX_LATENT_VALUE:g}; a latent's are near 0")


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"not a latent file: {where + ': ' if where else ''}{first['msg']}".replace("\n", " ")
    return "not a latent file"


def _dims_text(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({length})" for name, length in lengths.items())
