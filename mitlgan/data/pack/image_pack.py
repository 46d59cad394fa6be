"""The packed dataset: one memory-mapped file of uint8 pixels with a manifest beside it, and the sampler that walks it.

A pack is `NAME.npy`, pixels (N, C, H, W) with H = W, and `NAME.json`, its manifest. Pictures were decoded once, when the pack was made; training
reads memory only. Channels: 1 (grey), 3 (RGB), or 4, where the fourth is the *alpha* of an object whose RGB is premultiplied by it, or the reference
*matte* of a complete picture.
"""

from __future__ import annotations

import json
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.errors import DataError, resource_fault

if TYPE_CHECKING:
    import torch

SCHEMA_VERSION = 1
PREPARED_PACK = "prepared.npy"  # what `data prepare` leaves in its folder
FourthChannel = Literal["alpha", "matte"]
SOURCES_LINE = ' "sources": ['  # the manifest's last key, one source per line: everything before it can be read alone
# What numpy.load and the JSON reader raise on damaged files.
DAMAGE = (OSError, EOFError, ValueError, SyntaxError, tokenize.TokenError, TypeError, KeyError, OverflowError, MemoryError, RecursionError,
          AttributeError)  # fmt: skip


class ImagePack:
    """A pack, open for reading; it holds no picture in memory.

    Attributes:
        path: The `.npy` file.
        manifest: The manifest without its list of sources (`sources` yields those).
        pixels: (N, C, H, W) uint8, memory-mapped, read-only.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], pixels: NDArray[np.uint8]) -> None:
        self.path = path
        self.manifest = manifest
        self.pixels = pixels

    @classmethod
    def open(cls, path: str | Path) -> ImagePack:
        """Open a pack by its `.npy` file.

        Raises:
            DataError: There is no pack, it is damaged, or a newer version made it.
        """
        path = Path(path)
        manifest = read_manifest(path.with_suffix(".json"))
        try:
            pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
            shape, dtype, ordered = pixels.shape, pixels.dtype, pixels.flags.c_contiguous
        except DAMAGE as error:
            raise resource_fault(error) or DataError(
                f"{path}: not a readable pack (a .npy file of uint8 pixels); make it again with `mitlgan data pack`"
            ) from None
        declared = tuple(manifest[key] for key in ("count", "channels", "size_px", "size_px"))
        if dtype != np.uint8 or shape != declared or not ordered:
            raise DataError(f"{path}: holds {dtype} {shape}, but its manifest declares uint8 {declared}; make it again with `mitlgan data pack`")
        return cls(path, manifest, pixels)

    @classmethod
    def open_cached(cls, path: Path, made_by: Mapping[str, Any]) -> ImagePack | None:
        """Open a pack of the cache, if it is there, whole, and made by what its name stands for.

        Args:
            path: The `.npy` file.
            made_by: Entries that its manifest's `made_by` must have.
        """
        try:
            packed = cls.open(path)
        except DataError:
            return None
        recorded = packed.manifest.get("made_by")
        same = isinstance(recorded, dict) and all(recorded.get(key) == value for key, value in made_by.items())
        return packed if same else None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size_px(self) -> int:
        """Height and width of a picture."""
        return int(self.pixels.shape[2])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB, or 4 with alpha or matte."""
        return int(self.pixels.shape[1])

    @property
    def fourth_channel(self) -> FourthChannel | None:
        """What the fourth channel is, or None where there is none."""
        fourth: FourthChannel | None = self.manifest["fourth_channel"]
        return fourth

    @property
    def content_sha256(self) -> str:
        """Hash of the pixels in their order: tells whether a dataset changed."""
        return str(self.manifest["content_sha256"])

    def sources(self) -> Iterator[dict[str, Any]]:
        """Where each picture came from, in order: name, sha256 of the file, width and height before the crop (px)."""
        for line in _source_lines(self.path.with_suffix(".json")):
            yield json.loads(line)

    def sources_at(self, positions: Collection[int]) -> dict[int, dict[str, Any]]:
        """The same of some pictures only, by position, in order; the others' are passed over unread."""
        lines = enumerate(_source_lines(self.path.with_suffix(".json")))
        return {position: json.loads(line) for position, line in lines if position in positions}

    def picture(self, index: int) -> Image.Image:
        """One picture: grey, RGB, or RGBa (premultiplied) with alpha; a matte is left out."""
        planes = self.pixels[index]  # (C, H, W)
        if len(planes) == 1:
            return Image.fromarray(planes[0])
        if self.fourth_channel == "alpha":
            return Image.frombytes("RGBa", (self.size_px, self.size_px), planes.transpose(1, 2, 0).tobytes())
        return Image.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0)))

    def batch(self, indices: Sequence[int] | NDArray[np.int64], channels: int = 3, backdrop: tuple[int, int, int] = (255, 255, 255)) -> torch.Tensor:
        """Copy pictures out of the pack.

        Args:
            indices: Which, in [0, len).
            channels: 3: objects with alpha are laid on `backdrop`, mattes are dropped, grey is repeated; 4: as stored; 1: as stored, or the
                brightness of colours.
            backdrop: Red, green, blue, each 0 to 255.

        Returns:
            (N, channels, H, W) uint8.

        Raises:
            DataError: Four channels asked of a pack that has fewer.
        """
        import torch  # two seconds, which making a pack need not wait for

        pixels = self.pixels[np.asarray(indices, dtype=np.int64)]  # (N, C, H, W), a copy
        if channels == 4 and self.channels != 4:
            raise DataError(f"{self.path}: has no alpha or matte, but 4 channels are needed; use pictures with transparency, or 3 image channels")
        if channels == self.channels:
            return torch.from_numpy(pixels)
        if self.channels == 1:
            return torch.from_numpy(np.repeat(pixels, 3, axis=1))
        if self.fourth_channel == "matte":
            pixels = np.ascontiguousarray(pixels[:, :3])
        elif self.fourth_channel == "alpha":
            pixels = composite_on(pixels, backdrop)
        return torch.from_numpy(pixels if channels == 3 else to_grayscale(pixels))

    def mattes(self, indices: Sequence[int] | NDArray[np.int64]) -> torch.Tensor | None:
        """The opacity of the pictures' foregrounds, (N, 1, H, W) uint8 (255 opaque), or None where the pack knows none."""
        import torch

        if self.channels != 4:
            return None
        return torch.from_numpy(np.ascontiguousarray(self.pixels[np.asarray(indices, dtype=np.int64), 3:]))


def composite_on(premultiplied: NDArray[np.uint8], backdrop: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Lay objects on a plain colour: P + (255 - A) * c / 255.

    Args:
        premultiplied: (N, 4, H, W), no colour above its alpha.
        backdrop: Red, green, blue, each 0 to 255.

    Returns:
        (N, 3, H, W).
    """
    transparency = 255 - premultiplied[:, 3]  # (N, H, W)
    laid = np.empty((len(premultiplied), 3, *premultiplied.shape[2:]), dtype=np.uint8)
    for channel, value in enumerate(backdrop):
        share = transparency
        if value != 255:  # rounded; at most 255 - A, so the sum never wraps
            share = np.take(((np.arange(256) * value + 127) // 255).astype(np.uint8), transparency)
        np.add(premultiplied[:, channel], share, out=laid[:, channel])
    return laid


def to_grayscale(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey of (N, 3, H, W) by ITU-R 601's weights, rounded: (N, 1, H, W)."""
    weighted: NDArray[np.uint32] = np.einsum("nchw,c->nhw", colours.astype(np.uint32), np.array([299, 587, 114], dtype=np.uint32))
    grey: NDArray[np.uint8] = ((weighted + 500) // 1000).astype(np.uint8)[:, None]
    return grey


def to_float(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pixels to float32 in [-1, 1], same shape."""
    return pixels.float().mul_(2 / 255).sub_(1)


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Floats to uint8 pixels, rounded, [-1, 1] to 0..255 and clamped; same shape."""
    return images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).byte()


class IndexSampler:
    """Endless order of pictures: a new permutation each epoch, without replacement across all ranks.

    Its position is a pure function of (seed, rank, step), so a resume needs no state. Where an epoch ends within a batch, the next permutation goes on
    (and a set smaller than a batch is repeated within it).

    Args:
        count: Pictures in the set.
        batch: Pictures per step and rank.
        seed: Not negative.
        rank: This process.
        world: Number of processes.
    """

    PURPOSE = 0x5A3D  # keeps this stream apart from others of the same seed

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if count < 1 or batch < 1 or not 0 <= rank < world:
            raise DataError(f"sampler: needs count >= 1, batch >= 1 and 0 <= rank < world, not {count}, {batch}, {rank}, {world}")
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def _draw(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, self.PURPOSE, epoch]).permutation(self.count)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Which pictures this rank takes at `step` (0, 1, ...): (batch,) int64."""
        start = (step * self.world + self.rank) * self.batch
        positions = np.arange(start, start + self.batch)
        chosen = np.empty(self.batch, dtype=np.int64)
        for epoch in range(start // self.count, (start + self.batch - 1) // self.count + 1):
            of_epoch = positions // self.count == epoch
            chosen[of_epoch] = self._permutation(epoch)[positions[of_epoch] % self.count]
        return chosen


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest without its sources, so that memory does not grow with the number of pictures.

    Raises:
        DataError: Absent, damaged, or of a newer version.
    """
    head: list[str] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(SOURCES_LINE):
                    head.append(' "sources": []}')
                    break
                head.append(line)
        manifest = json.loads("".join(head))
        del manifest["sources"]
        version = int(manifest["schema_version"])
        if version <= SCHEMA_VERSION:
            _check_manifest(manifest)
    except FileNotFoundError:
        raise DataError(f"{path}: absent; a pack is a .npy file with its .json manifest beside it: make one with `mitlgan data pack`") from None
    except DAMAGE as error:
        raise resource_fault(error) or DataError(f"{path}: not a pack's manifest; make the pack again with `mitlgan data pack`") from None
    if version > SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version} is newer than this program reads ({SCHEMA_VERSION}); update mitlgan")
    return dict(manifest)


def _check_manifest(manifest: dict[str, Any]) -> None:
    """Raise ValueError unless the fields that the reader relies on make sense."""
    channels, fourth = manifest["channels"], manifest["fourth_channel"]
    sensible = (
        all(type(manifest[key]) is int and manifest[key] > 0 for key in ("count", "size_px"))
        and (channels, fourth) in ((1, None), (3, None), (4, "alpha"), (4, "matte"))
        and isinstance(manifest["content_sha256"], str)
    )
    if not sensible:
        raise ValueError


def _source_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(SOURCES_LINE):
                break
        for line in lines:
            if line.startswith(" ]"):
                return
            yield line.strip().rstrip(",")
