"""Samples: named pictures of an artifact, from seeds, latent files or the record in a picture, each with its own record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.known_artifacts import known_artifacts
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, render_evenly
from mitlgan.artifacts.picture_record import PictureRecord, latents_by_layer, make_record, read_record, render_record
from mitlgan.artifacts.rendering_arguments import LayerTransforms
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.images.resize import PictureSize
from mitlgan.latents import read_latent, truncate
from mitlgan.networks import PLACEMENT_LATENT, CompositionStages

SAMPLES_PER_BATCH = 64


@dataclass(frozen=True, eq=False)
class Samples:
    """Rendered pictures.

    Attributes:
        names: One per picture.
        stages: Every stage of all of them.
        records: How each was made; see `mitlgan.artifacts.picture_record`.
    """

    names: list[str]
    stages: CompositionStages
    records: list[PictureRecord]

    def texts(self, size: PictureSize, own_px: int) -> list[str]:
        """Return the records' texts for files of this size."""
        return [record.with_size(size, own_px).to_text() for record in self.records]


def samples_of_seeds(
    artifact: LoadedArtifact,
    seeds: Sequence[int],
    locks: Mapping[str, int] | None = None,
    transforms: LayerTransforms | None = None,
    truncation: float = 1.0,
) -> Samples:
    """Render the pictures of seeds, named by six digits.

    Args:
        artifact: Generator or composer.
        seeds: One per picture.
        locks: See `LoadedArtifact.lock_seeds`.
        transforms: See `LoadedArtifact.layers`; one for all pictures.
        truncation: See `mitlgan.latents.truncate`.

    Raises:
        UsageError: The artifact cannot take these seeds or transforms.
    """
    chosen = artifact.lock_seeds(seeds, locks or {})
    z = artifact.latents(chosen)
    stages = render_evenly(artifact, truncate(z, truncation), transforms)
    records = [make_record(artifact, latents, truncation=truncation, transforms=transforms) for latents in _recorded_latents(artifact, chosen, z)]
    return Samples([f"{seed:06d}" for seed in seeds], stages, records)


def batches_of_seeds(
    artifact: LoadedArtifact,
    seeds: Sequence[int],
    locks: Mapping[str, int] | None = None,
    transforms: LayerTransforms | None = None,
    truncation: float = 1.0,
    *,
    one: bool = False,
) -> Iterator[Samples]:
    """Yield the pictures of seeds as `samples_of_seeds` returns them, to the bit, some at a time: the stages of thousands do not fit into memory.

    Args:
        artifact: See `samples_of_seeds`, as of what follows.
        seeds: One per picture.
        locks: Seeds of layers.
        transforms: Of layers.
        truncation: Of latents.
        one: Yield all in one batch.
    """
    step = max(1, len(seeds)) if one else SAMPLES_PER_BATCH
    for start in range(0, len(seeds), step):
        yield samples_of_seeds(artifact, seeds[start : start + step], locks, transforms, truncation)


def samples_of_files(
    artifact: LoadedArtifact, paths: Sequence[Path], transforms: LayerTransforms | None = None, truncation: float = 1.0
) -> Samples:  # fmt: skip
    """Render the pictures of latent files, named as these.

    Raises:
        ArtifactError: A file cannot be read or does not fit.
        UsageError: Two files have one name, or the artifact cannot take these transforms.
    """
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise UsageError("--latent: two files have one name, and so would their pictures; rename one")
    z = torch.stack([read_latent(path, artifact.card.latent_dims, artifact.tensors_sha256) for path in paths])
    records = [make_record(artifact, latents_by_layer(artifact, row), truncation=truncation, transforms=transforms) for row in z]
    return Samples(names, render_evenly(artifact, truncate(z, truncation), transforms), records)


def sample_like(artifact: LoadedArtifact, path: str | Path, transforms: LayerTransforms | None = None) -> Samples:
    """Render the picture of a PNG or WebP again, from the record in its file.

    Args:
        artifact: The artifact that made it; see `artifact_of`.
        path: The picture.
        transforms: Transforms of layers to change; the others stay.

    Raises:
        DataError: The file holds no record.
        ArtifactError: Another artifact made it.
        UsageError: The artifact cannot take these transforms.
    """
    path = Path(path)
    record = read_record(path, "--like").with_transforms(transforms or {})
    return Samples([path.stem], render_record(artifact, record, f"--like {path}"), [record])


def artifact_of(record: PictureRecord, source: str) -> Path:
    """Return the file of the artifact that made a picture: one of this folder's runs or projects, else a shipped one.

    Raises:
        ArtifactError: None of them did.
    """
    for path in known_artifacts():
        with suppress(ArtifactError, OSError):
            if read_weights_hash(path) == record.artifact:
                return path
    raise ArtifactError(
        f"{source}: no run of this folder and no shipped artifact made it; give the artifact whose tensors have the SHA-256 {record.artifact[:12]}..."
    )


def _recorded_latents(artifact: LoadedArtifact, seeds: Sequence[int] | Mapping[str, Sequence[int]], z: Tensor) -> list[Mapping[str, int | Tensor]]:
    """Return the seeds of each picture by layer; the numbers of a placement that follows objects of several seeds."""
    if not isinstance(seeds, Mapping):
        return [dict.fromkeys(artifact.card.latent_dims, seed) for seed in seeds]
    rows: list[Mapping[str, int | Tensor]] = []
    for index, row in enumerate(z):
        own = {name: values[index] for name, values in seeds.items()}
        followed = {own[name] for name in artifact.network.movable_layers}  # see `LoadedArtifact.latents`
        place = followed.pop() if len(followed) == 1 else latents_by_layer(artifact, row).get(PLACEMENT_LATENT)
        rows.append(own if place is None else {PLACEMENT_LATENT: place, **own})
    return rows
