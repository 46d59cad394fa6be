"""Picture records: what a picture's file says of how it was made, so that the picture can be made again.

The record is one line of JSON in ASCII: in PNG the tEXt chunk `mitlgan`, in WebP the EXIF comment. It holds no path, no name of a file and no date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact, render_evenly
from mitlgan.artifacts.rendering_arguments import MAX_OFFSET, MAX_SCALE, LayerTransforms
from mitlgan.data.decode.image_file import UnreadableImageError, read_file
from mitlgan.errors import ArtifactError, DataError
from mitlgan.images.metadata import MAX_TEXT_CHARS, read_text_chunk
from mitlgan.images.resize import FILTERS, MAX_SIZE_PX, OWN_SIZE, PictureSize
from mitlgan.latents import SEED_LIMIT, latents_from_seeds, split_by_layer, truncate
from mitlgan.latents.files import MAX_LATENT_VALUE
from mitlgan.latents.paths import MAX_TRUNCATION
from mitlgan.networks import CompositionStages, EffectStrengths, LayerTransform
from mitlgan.networks.placement import MIN_SCALE
from mitlgan.version import __version__

SCHEMA_VERSION = 1
MAX_LAYERS = 17
_Share = Annotated[float, Field(ge=0, le=1)]
_Name = Annotated[str, Field(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RecordedSeed(_Model):
    """A latent given by its seed."""

    seed: Annotated[StrictInt, Field(ge=0, lt=SEED_LIMIT)]


class RecordedValues(_Model):
    """A latent given by its numbers, each with the fewest digits that give the same float32."""

    values: Annotated[list[Annotated[float, Field(ge=-MAX_LATENT_VALUE, le=MAX_LATENT_VALUE)]], Field(min_length=1, max_length=65536)]


class RecordedTransform(_Model):
    """Size and position of a layer; see `mitlgan.networks.LayerTransform`."""

    scale: Annotated[float, Field(ge=MIN_SCALE, le=MAX_SCALE)]
    x: Annotated[float, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)]
    y: Annotated[float, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)]
    flip: StrictBool = False


class PictureRecord(_Model):
    """Everything that determines a picture.

    Attributes:
        made_by: Product and version that wrote it.
        artifact: Hash of the artifact's tensors; see `LoadedArtifact.tensors_sha256`.
        latents: Seed or numbers by latent, all of the artifact's, in its order.
        truncation: See `mitlgan.latents.truncate`; it is applied to these latents.
        transforms: Transforms that replaced those of the latents, by layer.
        matte: Factor of the frontmost layer's opacity.
        harmonise: Share of harmonization and correction.
        size_px: Longer side of the file's picture, if it was resized; `filter` is the filter.
    """

    schema_version: Annotated[StrictInt, Field(ge=1)]
    made_by: Annotated[str, Field(max_length=200)]
    artifact: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    latents: Annotated[dict[_Name, RecordedSeed | RecordedValues], Field(min_length=1, max_length=MAX_LAYERS)]
    truncation: Annotated[float, Field(ge=0, le=MAX_TRUNCATION)] = 1.0
    transforms: Annotated[dict[_Name, RecordedTransform], Field(max_length=MAX_LAYERS)] = {}
    matte: _Share = 1.0
    harmonise: _Share = 1.0
    size_px: Annotated[StrictInt, Field(ge=1, le=MAX_SIZE_PX)] | None = None
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None

    def to_text(self) -> str:
        """Return the record as one line of ASCII, without defaults."""
        return self.model_dump_json(exclude_defaults=True, ensure_ascii=True)

    @property
    def size(self) -> PictureSize:
        """Size of the file's picture."""
        return PictureSize(size_px=self.size_px, filter=self.filter)

    def with_size(self, size: PictureSize, own_px: int) -> PictureRecord:
        """Return the record of the same picture, `own_px` wide, written at another size."""
        longer_px = max(size.target(own_px, own_px))
        changes = {"size_px": None, "filter": None} if longer_px == own_px else {"size_px": longer_px, "filter": size.filter_name}
        return self.model_copy(update=changes)

    def with_transforms(self, transforms: LayerTransforms) -> PictureRecord:
        """Return the record with other transforms of these layers."""
        return self.model_copy(update={"transforms": {**self.transforms, **_recorded_transforms(transforms)}})


assert set(FILTERS) == {"nearest", "bilinear", "bicubic", "lanczos"}


def make_record(
    artifact: LoadedArtifact,
    latents: Mapping[str, int | Tensor],
    *,
    truncation: float = 1.0,
    transforms: LayerTransforms | None = None,
    matte: float = 1.0,
    harmonise: float = 1.0,
    size: PictureSize = OWN_SIZE,
) -> PictureRecord:
    """Return the record of one picture.

    Args:
        artifact: The artifact that makes it.
        latents: Seed or latent (dim,) by layer, before truncation.
        truncation: See `mitlgan.latents.truncate`.
        transforms: As `LoadedArtifact.layers` takes them, for one picture.
        matte: Factor of the frontmost layer's opacity.
        harmonise: Share of harmonization and correction.
        size: Size at which the picture is written.
    """
    record = PictureRecord(
        schema_version=SCHEMA_VERSION,
        made_by=f"mitlgan {__version__}",
        artifact=artifact.tensors_sha256,
        latents={name: _recorded_latent(latents[name]) for name in artifact.card.latent_dims},
        truncation=truncation,
        transforms=_recorded_transforms(transforms or {}),
        matte=matte,
        harmonise=harmonise,
    )
    return record.with_size(size, artifact.card.size_px)


def latents_by_layer(artifact: LoadedArtifact, z: Tensor) -> dict[str, Tensor]:
    """Split a latent (sum of the layers' lengths,) by layer, as `make_record` takes it."""
    return split_by_layer(z, artifact.card.latent_dims)


def parse_record(text: str, source: str) -> PictureRecord:
    """Parse the text of a record.

    Args:
        text: See `PictureRecord.to_text`.
        source: File or option that begins error messages.

    Raises:
        DataError: It is no record, or that of a newer version.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise DataError(f"{source}: its record of {len(text)} characters is longer than {MAX_TEXT_CHARS}")
    try:
        record = PictureRecord.model_validate_json(text)
    except (ValidationError, RecursionError) as error:
        raise DataError(f"{source}: its record of how it was made is damaged ({_reason(error)}); give the seed or a latent file instead") from None
    if record.schema_version > SCHEMA_VERSION:
        raise DataError(f"{source}: its record has schema_version {record.schema_version}, newer than {SCHEMA_VERSION}; upgrade mitlgan")
    return record


def read_record(path: Path, option: str = "") -> PictureRecord:
    """Read the record of a PNG or WebP file; no pixel is decoded.

    Args:
        path: The picture.
        option: Option that begins error messages.

    Raises:
        DataError: The file cannot be read, or holds no record.
    """
    source = f"{option} {path}".strip()
    try:
        content = read_file(path)
    except UnreadableImageError as error:
        raise DataError(f"{source}: {error}") from None
    return record_in(content, source)


def record_in(content: bytes, source: str) -> PictureRecord:
    """Return the record in the content of a PNG or WebP file; see `read_record`.

    Raises:
        DataError: There is none.
    """
    text = read_text_chunk(content, source)
    if text is None:
        raise DataError(f"{source}: does not say how it was made; give a PNG or WebP as mitlgan writes it, unedited and without --no-metadata")
    return parse_record(text, source)


def recorded_latent(artifact: LoadedArtifact, record: PictureRecord, source: str) -> Tensor:
    """Return the latent (sum of the layers' lengths,) of a recorded picture, truncated as it enters the network.

    Raises:
        ArtifactError: The record belongs to another artifact, or does not fit it.
    """
    if record.artifact != artifact.tensors_sha256:
        raise ArtifactError(
            f"{source}: was made by another artifact, whose tensors have the SHA-256 {record.artifact[:12]}...; with this one it shows another picture"
        )
    dims = artifact.card.latent_dims
    lengths = {name: len(latent.values) if isinstance(latent, RecordedValues) else dims.get(name) for name, latent in record.latents.items()}
    if lengths != dict(dims):
        raise ArtifactError(f"{source}: its latents are not those of the artifact, {', '.join(f'{name} ({dim})' for name, dim in dims.items())}")
    parts = [
        torch.tensor(latent.values, dtype=torch.float64).float() if isinstance(latent, RecordedValues) else _seeded(name, dim, latent.seed)
        for name, dim, latent in ((name, dim, record.latents[name]) for name, dim in dims.items())
    ]
    return truncate(torch.cat(parts), record.truncation)


def render_record(artifact: LoadedArtifact, record: PictureRecord, source: str) -> CompositionStages:
    """Return every stage of a recorded picture, one image each, equal to what was written to the bit.

    Raises:
        ArtifactError: See `recorded_latent`.
        UsageError: The artifact takes no such transforms or strengths.
    """
    z = recorded_latent(artifact, record, source)[None]
    is_unchanged = (record.matte, record.harmonise) == (1.0, 1.0)
    strengths = None if is_unchanged else EffectStrengths(*(torch.tensor([share], dtype=torch.float32) for share in (record.matte, record.harmonise)))
    return render_evenly(artifact, z, recorded_transforms(record), strengths)


def recorded_transforms(record: PictureRecord) -> LayerTransforms:
    """Return the transforms of a record as `LoadedArtifact.layers` takes them."""
    return {name: (transform.scale, transform.x, transform.y, transform.flip) for name, transform in record.transforms.items()}


def _recorded_latent(latent: int | Tensor) -> RecordedSeed | RecordedValues:
    if isinstance(latent, Tensor):
        return RecordedValues(values=[float(str(number)) for number in latent.detach().to(torch.float32).cpu().numpy()])
    return RecordedSeed(seed=latent)


def _recorded_transforms(transforms: LayerTransforms) -> dict[str, RecordedTransform]:
    return {name: _recorded_transform(transform) for name, transform in transforms.items()}


def _recorded_transform(transform: Sequence[float] | LayerTransform) -> RecordedTransform:
    if isinstance(transform, LayerTransform):
        scale, x, y, flip = (float(values[0]) for values in transform)
        return RecordedTransform(scale=scale, x=x, y=y, flip=flip < 0)
    return RecordedTransform(scale=transform[0], x=transform[1], y=transform[2], flip=bool(transform[3:] and transform[3]))


def _seeded(name: str, dim: int, seed: int) -> Tensor:
    return latents_from_seeds({name: [seed]}, {name: dim})[0]


def _reason(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"])
    return f"{where + ': ' if where else ''}{first['msg']}".replace("\n", " ")[:200]
