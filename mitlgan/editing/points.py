"""Points in an artifact's latent space, each given by a seed, a seed per layer, a latent file or a tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.errors import UsageError
from mitlgan.latents import read_latent
from mitlgan.runtime.arguments import finite_floats

Point = int | Mapping[str, int] | str | Path | Tensor


def to_latent(artifact: LoadedArtifact, point: Point, argument: str = "latent") -> Tensor:
    """Return the latent (sum of the layers' lengths,) of a point.

    Args:
        artifact: Decides the names and lengths of layers.
        point: A seed, a seed for each layer, the latent itself, or a text as in `parse_latent`.
        argument: Argument that begins error messages.

    Raises:
        UsageError: The point is none of these, or does not fit the artifact.
        ArtifactError: A latent file cannot be read or does not fit.
    """
    dims = artifact.card.latent_dims
    if isinstance(point, Tensor):
        if point.numel() != sum(dims.values()):
            raise UsageError(f"{argument}: has {point.numel()} numbers, the artifact takes {sum(dims.values())}")
        return finite_floats(argument, point.detach().cpu()).reshape(-1)
    if isinstance(point, str | Path):
        return parse_latent(artifact, str(point), argument)
    try:
        return artifact.latents({name: [seed] for name, seed in point.items()} if isinstance(point, Mapping) else [point])[0]
    except UsageError as error:
        raise UsageError(f"{argument}: {error}") from None


def parse_latent(artifact: LoadedArtifact, text: str, option: str) -> Tensor:
    """Return the latent of a point on the command line: `7`, `fg=7,bg=3` or `latent.json`.

    Args:
        artifact: See `to_latent`.
        text: Value of the option.
        option: Option that begins error messages.

    Raises:
        UsageError: The text is none of these, or gives a layer twice.
        ArtifactError: A latent file cannot be read or does not fit.
    """
    dims = artifact.card.latent_dims
    try:
        if re.fullmatch(r"\d+", text):
            return artifact.latents([int(text[:40])])[0]
        if re.fullmatch(r"\w+=\d+(,\w+=\d+)*", text):
            seeds: dict[str, list[int]] = {}
            for name, seed in (part.split("=") for part in text.split(",")):
                if name in seeds:
                    raise UsageError(f"{name} is given twice; give each layer one seed, such as {_example(dims)}")
                seeds[name] = [int(seed[:40])]
            return artifact.latents(seeds)[0]
    except UsageError as error:
        raise UsageError(f"{option} {text}: {error}") from None
    if not text or not _exists(Path(text)):
        raise UsageError(f"{option} {text}: give a seed, such as 7, one for each layer, such as {_example(dims)}, or a latent file")
    return read_latent(Path(text), dims, artifact.tensors_sha256)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a zero
        return False


def _example(dims: Mapping[str, int]) -> str:
    return ",".join(f"{name}={index}" for index, name in enumerate(dims, start=7))
