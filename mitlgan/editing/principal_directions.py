"""Principal directions: latent directions in which a layer's image changes most, from its generator's first weights or from its features.

*weights*: SeFa (Shen & Zhou 2021, "Closed-form factorization of latent semantics in GANs"). The generator begins with an affine map A z + b; the unit
vectors that A lengthens most are the eigenvectors of A^T A with the largest eigenvalues. BatchNorm after the dense layer belongs to the map here,
because it cancels the length of each row of the raw weights.

*features*: GANSpace (Härkönen et al. 2020). Principal components of the activations at a stage over many latents, and for each the latent direction
that raises it, by linear regression. Latents are standard normal, of every family (a style generator's too: its styles are its first stage), so the
regression may lean on that where the samples alone say too little; see `ganspace`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mitlgan.artifacts.loaded_artifact import BATCH, LoadedArtifact
from mitlgan.artifacts.safetensors_io import read_tensors, write_tensors
from mitlgan.editing.latent_mix import generators_of, stage_index
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.latents import split_by_layer, truncate
from mitlgan.latents.paths import require_layer
from mitlgan.networks import Generator
from mitlgan.runtime.arguments import require_choice, require_whole
from mitlgan.runtime.randomness import random_generator

log = logging.getLogger(__name__)
SCHEMA_VERSION = 1
MIN_SAMPLES, MAX_SAMPLES = 2, 16384
SAMPLES, SAMPLES_PER_NUMBER, ROUGH_SAMPLES_PER_NUMBER = 1024, 4, 2
"""By default there are so many samples in all, or for each number of the latent if that is more; with fewer than the last for each number, directions
are rough."""
COMPONENT_SAMPLES = 2048
"""Samples that the components come from, at most: more change them little, and take as many times the memory and the cube of the time."""
RIDGE = 0.25
"""Weight of the ridge, for each number of the latent: the variance that a component's linear part leaves, as a share of what it explains. With about as
many samples as numbers, least squares alone would invert noise, and give random directions."""
DEFAULT_COUNT = 8
MIN_REST = 0.3
"""Length that a unit row must keep after its projection on earlier rows is removed."""
MAX_SIGMAS = 20.0
AFFINE = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Flatten, nn.Unflatten, nn.Upsample, nn.Identity)
By = Literal["weights", "features"]


class Directions(NamedTuple):
    """Principal directions of one layer's latent, the strongest first.

    Attributes:
        layer: Name of the latent.
        by: Method: `weights` or `features`.
        stage: Stage of the features, or None.
        vectors: (k, dim), float32, orthonormal; the largest entry of each is positive. A latent is standard normal, so 1 is one standard deviation.
        shares: (k,), share of the first map's squared length, or of the features' variance, that each explains; they sum to at most 1.
    """

    layer: str
    by: By
    stage: str | None
    vectors: Tensor
    shares: Tensor


class DirectionSweep(NamedTuple):
    """Images along directions.

    Attributes:
        images: (k * steps, C, H, W) in [-1, 1], direction by direction.
        sigmas: Steps, in standard deviations.
    """

    images: Tensor
    sigmas: list[float]


def directions(
    artifact: LoadedArtifact,
    *,
    layer: str | None = None,
    by: By = "weights",
    count: int | None = None,
    stage: int | str | None = None,
    samples: int | None = None,
) -> Directions:
    """Compute principal directions of a layer's latent.

    Args:
        artifact: Generator or composer.
        layer: Name of a latent that has a generator; None: the first.
        by: `weights` (SeFa) or `features` (GANSpace); see the module.
        count: Number of directions, from 1 to the latent's length; None: 8, or all of a shorter latent.
        stage: Stage of the features, by its number from 1 or its name; None: the last before the image.
        samples: Number of latents whose features are analyzed, always the same ones: from 2 to 16384, and more than `count`. With fewer than twice the
            latent's length, directions are rough, and a warning says so. None: 1024, or four times the latent's length if that is more; 1536
            numbers then take ten seconds or so on one core of a CPU.

    Raises:
        UsageError: The layer or stage is unknown, a number out of range, or `count` is larger than the number of ways in which the features change.
        ArtifactError: The generator's first stage is not affine.

    Example:
        >>> import mitlgan
        >>> axes = mitlgan.directions(mitlgan.load("pretrained/modern-32"), layer="fg", count=3)
        >>> axes.vectors.shape == (3, mitlgan.load("pretrained/modern-32").card.latent_dims["fg"])
        True
    """
    dims = artifact.card.latent_dims
    generators = generators_of(artifact)
    name = next(iter(generators)) if layer is None else layer
    require_layer(name, dims, "layer")
    if name not in generators:
        raise UsageError(f"layer {name}: no generator is behind this latent; choose from {', '.join(generators)}")
    count = min(DEFAULT_COUNT, dims[name]) if count is None else count
    if not 1 <= count <= dims[name]:
        raise UsageError(f"--count: {count} directions of a latent of {dims[name]} numbers; choose from 1 to {dims[name]}")
    samples = default_samples(dims[name]) if samples is None else samples
    require_whole("--samples", samples, MIN_SAMPLES, MAX_SAMPLES)
    generator = generators[name]
    if by == "weights":
        if stage is not None:
            raise UsageError("stage: weights are always those of the first stage; leave it out, or take them by features")
        return Directions(name, by, None, *sefa(generator, count))
    require_choice("--by", by, ("features", "weights"))
    names = [part for part, _ in generator.stages.named_children()]
    index = stage_index(generator, len(names) - 1 if stage is None else stage, "stage")
    _check_samples(samples, count, dims[name])
    return Directions(name, by, names[index - 1], *ganspace(generator, index, count, samples))


def _check_samples(samples: int, count: int, dim: int) -> None:
    """Refuse so few samples that they cannot have so many components, and warn of directions that will be rough."""
    if samples <= count:
        raise UsageError(f"--samples: {samples} are too few for {count} directions; choose from {count + 1} to {MAX_SAMPLES}")
    enough = min(MAX_SAMPLES, ROUGH_SAMPLES_PER_NUMBER * dim)
    if samples < enough:
        log.warning("warning: directions from %d samples are rough for a latent of %d numbers; give %d samples or more", samples, dim, enough)


@torch.no_grad()
def sefa(generator: Generator, k: int) -> tuple[Tensor, Tensor]:
    """Return the right singular vectors of a generator's affine first layers, and their shares of the squared length.

    Raises:
        ArtifactError: The generator does not begin with an affine map.
    """
    if not has_affine_input(generator):
        raise ArtifactError("by weights: this generator does not begin with weights that take the latent; take directions by features")
    leading = nn.Sequential(*_affine_beginning(generator))
    device = next(generator.parameters()).device
    points = torch.cat([torch.zeros(1, generator.latent_dim), torch.eye(generator.latent_dim)]).to(device, torch.float32)
    outputs = leading(points).flatten(1).double().cpu()
    columns = outputs[1:] - outputs[:1]  # (dim, features): transpose of the map
    values, vectors = torch.linalg.eigh(columns @ columns.T)
    order = values.argsort(descending=True)[:k]
    return _signed(vectors.T[order]), (values[order].clamp_min(0) / values.clamp_min(0).sum()).float()


def default_samples(dim: int) -> int:
    """Return how many latents of a length are analyzed unless a number is given."""
    return min(MAX_SAMPLES, max(SAMPLES, SAMPLES_PER_NUMBER * dim))


@torch.no_grad()
def ganspace(generator: Generator, stage: int, k: int, samples: int) -> tuple[Tensor, Tensor]:
    """Return the latent directions of the principal components of a stage's activations, and the components' shares of the variance.

    The components are those of the first `COMPONENT_SAMPLES` at most. Each component's coordinate is regressed on all latents; the slopes, made
    orthonormal in the components' order, are the directions.
    """
    z = torch.randn(samples, generator.latent_dim, generator=random_generator(0, "directions"), dtype=torch.float32)
    features = torch.cat(list(_features(generator, stage, z[:COMPONENT_SAMPLES])))  # (samples, features)
    mean = features.mean(0)
    features -= mean
    axes, shares = _components(features, 4 * k)
    rest = [(part - mean) @ axes for part in _features(generator, stage, z[COMPONENT_SAMPLES:])]
    chosen = _orthonormal(_slopes(z, torch.cat([features @ axes, *rest])), k, samples)
    return _signed(torch.stack([vector for _, vector in chosen])), torch.stack([shares[index] for index, _ in chosen]).float()


def _features(generator: Generator, stage: int, z: Tensor) -> Iterator[Tensor]:
    """Yield the activations at a stage, (n, features) on the CPU, of a batch of latents at a time."""
    device = next(generator.parameters()).device
    for part in torch.split(z, BATCH) if len(z) else ():
        yield generator.features_after(part.to(device), stage).flatten(1).cpu()


def _components(features: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the first principal axes (features, at most k) of centred features, and their shares of the variance.

    They come from the covariance or from the samples' Gram matrix, whichever is smaller. Axes along which nothing but rounding varies are left out.
    """
    wide = features.shape[1] > len(features)
    values, vectors = torch.linalg.eigh((features @ features.T if wide else features.T @ features).double())
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    count = min(k, int((values > torch.finfo(torch.float32).eps * values[0]).sum()))
    axes = vectors[:, :count].float()
    return features.T @ axes / values[:count].sqrt().float() if wide else axes, values[:count] / values.sum()


def _slopes(z: Tensor, coordinates: Tensor) -> Tensor:
    """Return the slopes (components, dim) of coordinates (samples, components) on latents (samples, dim) by ridge regression.

    With many samples they are those of least squares, with few those of the covariance, which are the same for an infinite number of them: latents are
    standard normal.
    """
    latents, targets = (values.double() - values.double().mean(0) for values in (z, coordinates))
    count, dim = latents.shape
    weight = RIDGE * dim * torch.eye(min(count, dim), dtype=torch.float64)
    slopes: Tensor
    if count < dim:
        slopes = latents.T @ torch.linalg.solve(latents @ latents.T + weight, targets)
    else:
        slopes = torch.linalg.solve(latents.T @ latents + weight, latents.T @ targets)
    return slopes.T


def has_affine_input(generator: Generator) -> bool:
    """Return whether a generator begins with an affine map of the latent."""
    return any(isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) for module in _affine_beginning(generator))


def _affine_beginning(generator: Generator) -> Iterator[nn.Module]:
    """Yield the modules of a generator in order, up to the first that is not affine."""
    for module in _unpacked(generator.stages):
        if not isinstance(module, AFFINE):
            return
        yield module


def _unpacked(sequence: nn.Sequential) -> Iterator[nn.Module]:
    for module in sequence:
        if isinstance(module, nn.Sequential):
            yield from _unpacked(module)
        else:
            yield module


def _orthonormal(rows: Tensor, k: int, samples: int) -> list[tuple[int, Tensor]]:
    """Orthonormalize rows in order (Gram-Schmidt) with their indices; rows nearly spanned by earlier ones are skipped, because their rest is noise."""
    basis: list[tuple[int, Tensor]] = []
    for index, row in enumerate(rows):
        rest = row / row.norm().clamp_min(1e-30)
        for _ in range(2):  # the second time removes rounding errors
            for _, other in basis:
                rest = rest - (rest @ other) * other
        if float(rest.norm()) > MIN_REST:
            basis.append((index, rest / rest.norm()))
        if len(basis) == k:
            break
    if len(basis) < k:
        raise UsageError(
            f"--count: the features of {samples} samples have only {len(basis)} directions that differ; "
            "choose at most as many, give more --samples, or take them by weights"
        )
    return basis


def _signed(vectors: Tensor) -> Tensor:
    largest = vectors.abs().argmax(1, keepdim=True)
    return (vectors * vectors.gather(1, largest).sign()).float()


def traverse(
    artifact: LoadedArtifact,
    axes: Directions,
    *,
    at: Point = 0,
    sigmas: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3),
    truncation: float = 1.0,
    alone: bool = False,
) -> DirectionSweep:
    """Render images along directions, from one point.

    Args:
        artifact: Artifact that the directions belong to.
        axes: Directions, as `directions` returns them.
        at: Starting point; the other layers stay there.
        sigmas: Steps, in standard deviations of the latent; 0 is the point itself.
        truncation: Truncation of the point; see `mitlgan.latents.truncate`.
        alone: Return the layer's own images instead of the composition's.

    Raises:
        UsageError: A step is out of range, or the directions do not fit.
        ArtifactError: A latent file cannot be read or does not fit.
    """
    if not sigmas or not all(abs(step) <= MAX_SIGMAS for step in sigmas):
        raise UsageError(f"sigmas: give steps from -{MAX_SIGMAS:g} to {MAX_SIGMAS:g}")
    dims = artifact.card.latent_dims
    require_layer(axes.layer, dims, "layer")
    if axes.vectors.shape[1] != dims[axes.layer]:
        raise UsageError(f"directions: have {axes.vectors.shape[1]} numbers, the artifact's {axes.layer} has {dims[axes.layer]}")
    point = truncate(to_latent(artifact, at), truncation)
    z = point.repeat(len(axes.vectors), len(sigmas), 1)  # (k, steps, D)
    split_by_layer(z, dims)[axes.layer].add_(torch.tensor(sigmas, dtype=torch.float32)[None, :, None] * axes.vectors[:, None])
    stages = artifact.layers_from_latents(z.flatten(0, 1))
    return DirectionSweep(stages.layers[axes.layer] if alone else stages.output, [float(step) for step in sigmas])


def write_directions(path: Path, axes: Directions, tensors_sha256: str, *, is_new: bool = False) -> None:
    """Write directions as safetensors: `vectors` (k, dim), `shares` (k,), and a header with layer, by, stage and the artifact's hash.

    `is_new` as of `mitlgan.runtime.files.write_atomically`.

    Raises:
        ResourceError: The disk refuses.
    """
    header = {"schema_version": SCHEMA_VERSION, "kind": "directions", "layer": axes.layer, "by": axes.by, "stage": axes.stage}
    write_tensors(path, {"vectors": axes.vectors, "shares": axes.shares}, {**header, "artifact_sha256": tensors_sha256}, is_new=is_new)


def read_directions(path: Path, artifact: LoadedArtifact) -> Directions:
    """Read a file that `write_directions` wrote.

    Raises:
        ArtifactError: The file is damaged, holds no directions, or those of another artifact.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != "directions" or set(tensors) != {"vectors", "shares"}:
        raise ArtifactError(f"{path}: holds no directions; give what `mitlgan directions` wrote")
    if header["schema_version"] > SCHEMA_VERSION:
        raise ArtifactError(f"{path}: its schema_version {header['schema_version']} is newer than {SCHEMA_VERSION}; upgrade mitlgan")
    layer, vectors = str(header.get("layer")), tensors["vectors"]
    fits = layer in artifact.card.latent_dims and vectors.ndim == 2 and tuple(tensors["shares"].shape) == (len(vectors),)
    if header.get("artifact_sha256") != artifact.tensors_sha256 or not fits or vectors.shape[1] != artifact.card.latent_dims[layer]:
        raise ArtifactError(f"{path}: its directions are another artifact's; make this one's with `mitlgan directions`")
    return Directions(layer, "features" if header.get("by") == "features" else "weights", header.get("stage"), vectors, tensors["shares"])
