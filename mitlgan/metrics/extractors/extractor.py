"""Feature extractors in use: uint8 images in, one feature vector per image out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.names import OFFLINE_EXTRACTOR
from mitlgan.networks.feature_networks.spec import FeatureNetworkSpec
from mitlgan.runtime.distributed import World, gather_objects

CHUNK = 256
"""Images that are made, or read, at a time."""


@dataclass(frozen=True)
class Resize:
    """How images are resized to the network's input."""

    mode: str
    antialias: bool


RESIZES = {
    "bilinear": Resize("bilinear", antialias=False),
    "bilinear-antialias": Resize("bilinear", antialias=True),
    "bicubic-antialias": Resize("bicubic", antialias=True),
}


class Extractor:
    """A frozen network that turns images into features.

    Attributes:
        name: Name that each number carries, e.g. "efficientnet-lite0@96"; a resize filter other than the network's default is part of it.
        dim: Length of a feature vector.
        weights_sha256: Hash of the weights file.
        resize: Name of the resize filter, a key of `RESIZES`.
        size_px: Input size of the network.
    """

    def __init__(self, network: nn.Module, spec: FeatureNetworkSpec, *, size_px: int, resize: str, weights_sha256: str, device: torch.device) -> None:
        self.name = f"{spec.name}@{size_px}" if resize == spec.resize else f"{spec.name}@{size_px}-{resize}"
        self.spec = spec
        self.is_inception = spec.name == "inception"
        self.dim = spec.dim
        self.resize = resize
        self.size_px = size_px
        self.weights_sha256 = weights_sha256
        self.device = device
        # Fixed batches, so that features depend only on the images and their order. Channels last and 32 were fastest on two cores.
        self.batch_size = 32 if device.type == "cpu" else 256
        self._network = network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._scale = torch.tensor([1 / (255 * std) for std in spec.std], device=device).view(1, 3, 1, 1)
        self._shift = torch.tensor([-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], device=device).view(1, 3, 1, 1)

    @property
    def distance_name(self) -> str:
        """FID for the FID Inception network, else FD (name)."""
        return "FID" if self.is_inception else f"FD ({self.name})"

    @property
    def class_weights(self) -> npt.NDArray[np.float32] | None:
        """Weights (classes, dim) of the classifier, which an Inception Score needs; None for all but the FID Inception network."""
        weights = getattr(self._network, "class_weights", None)
        return weights.cpu().numpy() if self.is_inception and isinstance(weights, Tensor) else None

    def require_pictures(self, size_px: int, channels: int) -> None:
        """Refuse pictures that the network does not take.

        Args:
            size_px: Their height and width.
            channels: 1 for grey, 3 for colour, 4 with alpha.

        Raises:
            UsageError: It takes grey pictures of another size only.
        """
        grey_px = self.spec.grey_px
        if grey_px is not None and (size_px, channels) != (grey_px, 1):
            raise UsageError(
                f"--extractor {self.spec.name}: takes grey pictures of {grey_px} px, not {'grey' if channels == 1 else 'colour'} ones of {size_px} px; "
                f"name --extractor {OFFLINE_EXTRACTOR}, which takes all"
            )

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Compute features of images.

        Args:
            images: uint8 (N, 3, H, W), on any device.

        Returns:
            float32 (N, dim) on the CPU.

        Raises:
            UsageError: The network does not take such pictures.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be uint8 (N, 3, H, W), not {images.dtype} {tuple(images.shape)}")
        if self.spec.grey_px is not None and len(images):
            is_grey = bool((images == images[:, :1]).all())
            self.require_pictures(max(images.shape[-2:]), 1 if is_grey else 3)
        with _full_precision(self.device):
            parts = [self._features(part.to(self.device).float()).float().cpu() for part in torch.split(images, self.batch_size)]
        return torch.cat(parts) if parts else torch.empty(0, self.dim)

    def differentiable(self, images: Tensor) -> Tensor:
        """Compute features of images that are not rounded to 8 bits, with gradients.

        Args:
            images: float32 (N, 3, H, W) in [-1, 1], on the extractor's device.

        Returns:
            float32 (N, dim) on that device.
        """
        with _full_precision(self.device):
            return self._features((images + 1) * 127.5)

    def _features(self, pixels: Tensor) -> Tensor:
        resize = RESIZES[self.resize]
        if pixels.shape[-2:] != (self.size_px, self.size_px):
            size = (self.size_px, self.size_px)
            pixels = functional.interpolate(pixels, size, mode=resize.mode, align_corners=False, antialias=resize.antialias)
        pixels = (pixels * self._scale + self._shift).contiguous(memory_format=torch.channels_last)
        return self._network(pixels).flatten(1)  # type: ignore[no-any-return]


def extract_features(extractor: Extractor, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None) -> npt.NDArray[np.float32]:
    """Compute features of a stream of images; memory holds one batch and the features.

    Args:
        extractor: The network.
        batches: uint8 (n, 3, H, W) each, of any length; they are regrouped, so that features do not depend on how the stream was cut.
        progress: Called with the number of images after each batch.

    Returns:
        float32 (N, dim).
    """
    parts: list[npt.NDArray[np.float32]] = []
    done = 0
    for batch in _rebatch(batches, extractor.batch_size):
        parts.append(extractor(batch).numpy())
        done += len(batch)
        if progress is not None:
            progress(done)
    return np.concatenate(parts) if parts else np.empty((0, extractor.dim), np.float32)


def extract_chunks(
    extractor: Extractor, chunk: Callable[[int], Tensor], count: int, world: World, progress: Callable[[int], None] | None = None
) -> npt.NDArray[np.float32]:
    """Compute features of numbered chunks of images, which the ranks share; every rank must call this.

    Args:
        extractor: The network.
        chunk: Returns a chunk by its number, uint8 (`CHUNK`, 3, H, W); the last one may be shorter. `CHUNK` is a multiple of the batch size, so that
            features are the same to the bit for any number of ranks.
        count: Number of chunks.
        world: This process's rank.
        progress: Called with the number of this rank's images after each batch.

    Returns:
        float32 (N, dim), in the order of the chunks, on every rank.
    """
    features = extract_features(extractor, map(chunk, range(world.rank, count, world.size)), progress)
    if world.size == 1:
        return features
    gathered = gather_objects(features, world)
    parts = [gathered[number % world.size][number // world.size * CHUNK :][:CHUNK] for number in range(count)]
    return np.concatenate(parts) if parts else features


def _rebatch(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    count = 0
    for batch in batches:
        for part in torch.split(batch, size):
            waiting.append(part)
            count += len(part)
            if count >= size:
                joined = torch.cat(waiting)
                yield joined[:size]
                waiting, count = [joined[size:]], count - size
    if count:
        yield torch.cat(waiting)


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Disable TF32 convolutions on CUDA: they would change the third digit of a distance."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
