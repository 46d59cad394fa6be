"""An artifact in use: a loaded network that turns seeds and latents into images and their layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.hub import fetch_hub_artifact, is_hub_reference
from mitlgan.artifacts.known_artifacts import composition_of_project, with_shipped
from mitlgan.artifacts.load_save import load_network, network_tensors
from mitlgan.artifacts.network_stages import concat_stages, run_network
from mitlgan.artifacts.rendering_arguments import LayerTransforms, TransformSpec, checked_latents, checked_strengths, checked_transform, seed_list
from mitlgan.artifacts.run_steps import is_step_reference, step_file
from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.latents import concat_layers, latents_from_seeds, split_by_layer
from mitlgan.networks import PLACEMENT_LATENT, Composer, CompositionStages, EffectStrengths, LayerTransform, Network
from mitlgan.runtime.arguments import describe_value, to_plain
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.distributed import resolve_device
from mitlgan.runtime.torch_modes import torch_defaults

BATCH = 64
EVEN_BATCH = 4
"""Pictures per batch of `render_evenly`. Convolutions sum in another order in batches of another size, so that a picture made alone would differ by
rounding from the same one among others. Padding costs a single picture 20 ms; sixteen pictures take half as long as one by one."""
Seeds = Sequence[int] | Mapping[str, Sequence[int]]


class LoadedArtifact:
    """A loaded generator or composer. Threads may share it, and torch's modes of the caller do not reach into its methods.

    Its pictures are float32 whatever the default type is; on a GPU, the caller's deterministic algorithms hold.

    Attributes:
        card: Its description.
        network: The module, in eval mode and without gradients.
        device: Device that it computes on.
    """

    def __init__(self, network: Network, card: Card, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.card = card

    @cached_property
    def tensors_sha256(self) -> str:
        """Hash of the network's tensors, as in the artifact's file; latent files name it."""
        return tensors_sha256(network_tensors(self.network))

    @property
    def composer(self) -> Composer | None:
        """The network, if it is a composer."""
        return self.network if isinstance(self.network, Composer) else None

    @torch_defaults()
    def latents(self, seeds: Seeds) -> Tensor:
        """Return latents (N, sum of the layers' lengths) of seeds; see `mitlgan.latents.latents_from_seeds`.

        If seeds are given by layer without one for the placement, each object's own seeds place it, so that it keeps its place.

        Raises:
            UsageError: A layer is unknown or missing, a seed out of range, or the counts differ.
        """
        if isinstance(seeds := to_plain(seeds), int):
            raise UsageError(f"seeds: {seeds} is one number; give a list, such as [{seeds}], or range({seeds})")
        seeds = {name: seed_list(values) for name, values in seeds.items()} if isinstance(seeds, Mapping) else seed_list(seeds)
        if isinstance(seeds, Mapping) and self.composer and PLACEMENT_LATENT in self.card.latent_dims and PLACEMENT_LATENT not in seeds:
            return self._placed_by_own_seeds(self.composer, seeds)
        return latents_from_seeds(seeds, self.card.latent_dims)

    @torch_defaults()
    def sample(self, seeds: Seeds, transforms: LayerTransforms | None = None) -> Tensor:
        """Return images of seeds.

        Args:
            seeds: One per image; for a composer also by layer, such as `{"fg": [1, 1], "bg": [1, 2]}`.
            transforms: See `layers`.

        Returns:
            (N, C, H, W), float32 in [-1, 1], on the CPU. The same seed gives the same image up to rounding, whatever else is in the batch.

        Raises:
            UsageError: The artifact cannot take these seeds or transforms.
        """
        return self.images_from_latents(self.latents(seeds), transforms)

    @torch_defaults()
    def layers(self, seeds: Seeds, transforms: LayerTransforms | None = None) -> CompositionStages:
        """Return every stage of the images of seeds; a generator has one layer, its image.

        Args:
            seeds: See `sample`.
            transforms: Where layers are placed, instead of where their latents place them: one for all images, such as `{"fg": (0.5, -0.2, 0.3)}`,
                or a `LayerTransform` with one number per image. Scales are from 0.05 to 4, x and y from -1000 to 1000, a flip is 1 or -1.

        Returns:
            Tensors in [-1, 1] (mattes in [0, 1]) on the CPU.

        Raises:
            UsageError: The composition cannot take these seeds or transforms.
        """
        return self.layers_from_latents(self.latents(seeds), transforms)

    @torch_defaults()
    def images_from_latents(self, z: Tensor, transforms: LayerTransforms | None = None) -> Tensor:
        """Return images of latents (N, sum of the layers' lengths), N at least 1; see `sample`.

        Raises:
            UsageError: The latents have another shape or are not finite, or the artifact cannot take these transforms.
        """
        return torch.cat([stages.output for stages in self._batches(z, transforms)])

    @torch_defaults()
    def layers_from_latents(
        self, z: Tensor, transforms: LayerTransforms | None = None, strengths: EffectStrengths | None = None
    ) -> CompositionStages:  # fmt: skip
        """Return every stage of the images of latents.

        Args:
            z: (N, sum of the layers' lengths), N at least 1.
            transforms: See `layers`.
            strengths: Shares of the matte and of the harmonization that are used, in [0, 1], a tensor (N,) each; None: all.

        Raises:
            UsageError: The latents have another shape or are not finite, or the composition cannot take these transforms or strengths.
        """
        return concat_stages(list(self._batches(z, transforms, strengths)))

    def lock_seeds(self, seeds: Sequence[int], locks: Mapping[str, int]) -> Seeds:
        """Return seeds by layer in which locked layers have the same seed in all images and the others follow `seeds`.

        Args:
            seeds: One per image.
            locks: Seed by locked layer. Each object's place follows its own seed, unless the placement ("place") is locked.

        Raises:
            UsageError: There is no such layer.
        """
        if not locks:
            return seeds
        self.check_locks(locks, "locks")
        seeds = seed_list(seeds)
        layers = [name for name in self.card.latent_dims if name != PLACEMENT_LATENT or PLACEMENT_LATENT in locks]
        return {name: [locks[name]] * len(seeds) if name in locks else seeds for name in layers}

    def check_locks(self, locks: Mapping[str, int], option: str) -> None:
        """Check that layers can be locked.

        Args:
            locks: As of `lock_seeds`.
            option: Option that begins the message.

        Raises:
            UsageError: There is no such layer.
        """
        for name, seed in locks.items():
            if name not in self.card.latent_dims or self.card.kind != "composer":
                names = ", ".join(self.card.latent_dims) if self.card.kind == "composer" else "none, being a generator; give a composition"
                raise UsageError(f"{option} {name}={seed}: no such layer; this artifact has {names}")

    def check_movable(self, name: str, option: str) -> None:
        """Check that a layer can be moved.

        Args:
            name: Name of the layer.
            option: Option that begins the message.

        Raises:
            UsageError: The layer does not exist or has no matte.
        """
        movable = self.network.movable_layers
        if not movable:
            raise UsageError(f"{option}: nothing can be moved in this artifact; only compositions by mattes can (alpha, matte, matte-features, over)")
        if name not in movable:
            raise UsageError(f"{option}: {name} cannot be moved; give one of {', '.join(movable)}")

    def _placed_by_own_seeds(self, composer: Composer, seeds: Mapping[str, Sequence[int]]) -> Tensor:
        layers = {name: dim for name, dim in self.card.latent_dims.items() if name != PLACEMENT_LATENT}
        own = latents_from_seeds(seeds, layers)
        placement = {PLACEMENT_LATENT: self.card.latent_dims[PLACEMENT_LATENT]}
        places = {name: latents_from_seeds({PLACEMENT_LATENT: seeds[name]}, placement) for name in composer.movable_layers}
        return concat_layers({**split_by_layer(own, layers), PLACEMENT_LATENT: composer.join_places(places)}, self.card.latent_dims)

    @torch.inference_mode()
    def _batches(self, z: Tensor, transforms: LayerTransforms | None, strengths: EffectStrengths | None = None) -> Iterator[CompositionStages]:
        z = checked_latents(z, sum(self.card.latent_dims.values()))
        strengths = None if strengths is None else checked_strengths(strengths, self.network, len(z))
        if not isinstance(transforms, Mapping | None):
            raise UsageError(f"transforms: {describe_value(transforms)} is not a dict; give a transform by layer, such as {{'fg': (0.5, -0.2, 0.3)}}")
        for name in transforms or {}:
            self.check_movable(name, "transforms")
        per_image = {name: checked_transform(name, transform, len(z)) for name, transform in (transforms or {}).items()}
        for start in range(0, len(z), BATCH):
            rows = slice(start, start + BATCH)
            batch_transforms = {name: LayerTransform(*(values[rows].to(self.device) for values in transform)) for name, transform in per_image.items()}
            batch_strengths = None if strengths is None else EffectStrengths(*(values[rows].to(self.device) for values in strengths))
            yield run_network(self.network, z[rows].to(self.device), self.card.role, batch_transforms, batch_strengths)


def render_evenly(
    artifact: LoadedArtifact, z: Tensor, transforms: LayerTransforms | None = None, strengths: EffectStrengths | None = None
) -> CompositionStages:  # fmt: skip
    """Return every stage as `LoadedArtifact.layers_from_latents` does, in batches of always the same size.

    A picture has the same bits whatever else is rendered with it.
    """
    parts = []
    for start in range(0, max(1, len(z)), EVEN_BATCH):
        count = min(EVEN_BATCH, len(z) - start)
        rows = torch.arange(start, start + EVEN_BATCH).clamp_max(len(z) - 1)  # the last image again, to fill the batch
        per_image = {name: _select(transform, rows) for name, transform in (transforms or {}).items()}
        shares = None if strengths is None else EffectStrengths(*(values[rows] for values in strengths))
        parts.append(artifact.layers_from_latents(z[rows] if len(z) else z, per_image, shares)[:count])
    return concat_stages(parts)


def _select(transform: TransformSpec | LayerTransform, rows: Tensor) -> TransformSpec | LayerTransform:
    return LayerTransform(*(values[rows] for values in transform)) if isinstance(transform, LayerTransform) else transform


def load_artifact(path: str | Path, device: str | torch.device = "cpu") -> LoadedArtifact:
    """Load an artifact from its file, from a run directory that holds one, from a step of a run, or from the Hugging Face Hub.

    Args:
        path: File, run, project of `mitlgan make`, `RUN@STEP` or `RUN@best` (see `mitlgan.artifacts.run_steps.step_file`), or
            `hf://OWNER/NAME[@REVISION][#sha256=HASH]` (see `mitlgan.artifacts.hub`).
        device: `cpu`, `cuda`, `mps`, or `auto` for the fastest of them; or a `torch.device`.

    Raises:
        ArtifactError: There is no artifact, it is damaged, or it does not make images from latents.
        UsageError: There is no such device, or the reference to the Hub is malformed.

    Example:
        >>> import mitlgan
        >>> mitlgan.load("pretrained/modern-32").sample([0, 1, 2]).shape
        torch.Size([3, 3, 32, 32])
    """
    chosen = str(resolve_device(device))
    network, card = load_network(artifact_path(path))
    if card.kind == "inpainter":
        raise ArtifactError(
            f"{path}: is an inpainter, which makes no pictures of its own; `{command_line(['inpaint', 'IMAGE', '--artifact', path])}` uses it"
        )
    if card.kind == "critic":
        raise ArtifactError(f"{path}: is a critic, which makes no pictures; `{command_line(['pretrain', card.role, '--critic', path])}` begins with it")
    return LoadedArtifact(network, card, device=chosen)


def is_artifact_reference(path: str | Path) -> bool:
    """Return whether a path names an artifact of the Hub, or a step of a run, in place of a file or folder."""
    return is_hub_reference(path) or is_step_reference(path)


def artifact_path(path: str | Path) -> Path:
    """Return the artifact's file: the path itself, the artifact in a run directory, one of its steps, or what was fetched from the Hub.

    The folder of a project of `mitlgan make` stands for its composition, `pretrained/NAME` for a shipped artifact where the working folder has none.

    Raises:
        ArtifactError: There is no artifact.
        UsageError: A reference to the Hub is malformed.
    """
    if is_hub_reference(path):
        return fetch_hub_artifact(path)
    if is_step_reference(path):
        return step_file(path)
    path = with_shipped(Path(path))
    if path.is_dir():
        for name in ("composer", "generator", "inpainter"):
            if (path / f"{name}.safetensors").is_file():
                return path / f"{name}.safetensors"
        if (composition := composition_of_project(path)) is not None:
            return composition
        raise ArtifactError(f"{path}: holds no artifact yet; {_way_to_artifact(path)}")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such artifact; `mitlgan runs ls` lists those of this folder")
    return path


def _way_to_artifact(folder: Path) -> str:
    """Return what to do about a folder without an artifact: a run is to be finished, and of a folder of runs one is to be named."""
    if (folder / "recipe.toml").is_file():
        return f"finish the run with `{command_line(['resume', folder])}`"
    if (folder / "runs").is_dir():
        return f"name one of its runs; `{command_line(['runs', 'ls', '--out', folder / 'runs'])}` lists them"
    return "it is no run; `mitlgan runs ls` lists those of this folder"
