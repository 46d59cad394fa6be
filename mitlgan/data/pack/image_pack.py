"""The packed dataset: one memory-mapped file of uint8 pixels with a manifest next to it.

A pack is `NAME.npy`, pixels (N, C, H, W) with H = W, and `NAME.json`, its manifest. Pictures were decoded once, when the pack was made; training
reads memory only. Channels: 1 (grey), 3 (RGB), or 4, where the fourth is the *alpha* of an object whose RGB is premultiplied by it, or the reference
*matte* of a complete picture.
"""

from __future__ import annotations

import hashlib
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.pack.kept_square import FACE_CROP
from mitlgan.data.pack.manifest import parse_source, read_manifest, read_source_lines, read_sources
from mitlgan.data.pack.verification import verify_pixels
from mitlgan.errors import DataError, resource_fault
from mitlgan.images.pixels import composite_on, to_grayscale

if TYPE_CHECKING:
    import torch

PREPARED_PACK = "prepared.npy"  # what `data prepare` leaves in its folder
FourthChannel = Literal["alpha", "matte"]
Color = tuple[int, int, int]
BACKDROP: Color = (255, 255, 255)
"""What lies behind objects with alpha, unless `data.backdrop` of a recipe says otherwise."""
NO_MATTE = "has no alpha or matte, but 4 channels are needed; use pictures with transparency (`mitlgan data split` makes them), or 3 image channels"
# What numpy.load raises for damaged files.
DAMAGE_ERRORS = (OSError, EOFError, ValueError, SyntaxError, tokenize.TokenError, TypeError, KeyError, OverflowError, MemoryError, RecursionError,
          AttributeError)  # fmt: skip


class ImagePack:
    """A pack, open for reading; no picture is held in memory.

    Attributes:
        path: The `.npy` file.
        manifest: The manifest without its list of sources (`sources` yields those).
        pixels: (N, C, H, W) uint8, memory-mapped, read-only.
        backdrop: Red, green, blue, each 0 to 255: what objects with alpha are composited on, in training and in every measurement alike.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], pixels: NDArray[np.uint8], backdrop: Color = BACKDROP) -> None:
        self.path = path
        self.manifest = manifest
        self.pixels = pixels
        self.backdrop = backdrop

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> ImagePack:
        """Open a pack by its `.npy` file.

        Args:
            path: The file.
            verify: Check the pixels against the manifest's hash, unless that was done for this very file; see `verify_pixels`.

        Raises:
            DataError: There is no pack, it is damaged or was changed, or a newer version made it.
        """
        path = Path(path)
        if path.is_dir():
            raise DataError(f"{path}: a folder, not a pack (a .npy file); make one with `mitlgan data pack`")
        manifest = read_manifest(path.with_suffix(".json"))
        try:
            if path.exists() and not path.is_file():
                raise ValueError("a pipe or device, which would be waited for")
            pixels: np.memmap[Any, np.dtype[np.uint8]] = np.load(path, mmap_mode="r", allow_pickle=False)
            shape, dtype, ordered = pixels.shape, pixels.dtype, pixels.flags.c_contiguous
        except DAMAGE_ERRORS as error:
            raise resource_fault(error) or DataError(
                f"{path}: not a readable pack (a .npy file of uint8 pixels); make it again with `mitlgan data pack`"
            ) from None
        declared = tuple(manifest[key] for key in ("count", "channels", "size_px", "size_px"))
        if dtype != np.uint8 or shape != declared or not ordered:
            raise DataError(f"{path}: holds {dtype} {shape}, but its manifest declares uint8 {declared}; make it again with `mitlgan data pack`")
        if verify:
            verify_pixels(path, pixels.offset, manifest)
        return cls(path, manifest, pixels)

    @classmethod
    def open_cached(cls, path: Path, made_by: Mapping[str, Any]) -> ImagePack | None:
        """Open a pack in the cache; None unless it exists, is whole, and was made as its name says.

        Args:
            path: The `.npy` file.
            made_by: Entries that the manifest's `made_by` must have.
        """
        try:
            packed = cls.open(path)
        except DataError:
            return None
        recorded = packed.manifest.get("made_by")
        same = isinstance(recorded, dict) and all(recorded.get(key) == value for key, value in made_by.items())
        return packed if same else None

    def with_backdrop(self, backdrop: Color) -> ImagePack:
        """Return the same pictures on another colour: red, green, blue, each 0 to 255."""
        return ImagePack(self.path, self.manifest, self.pixels, backdrop)

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
        """What the fourth channel is; None if there is none."""
        fourth: FourthChannel | None = self.manifest["fourth_channel"]
        return fourth

    @property
    def content_sha256(self) -> str:
        """Hash of the pixels in their order; tells whether a dataset changed."""
        return str(self.manifest["content_sha256"])

    @property
    def enlarged_count(self) -> int:
        """How many pictures were smaller than the pack's size; 0, too, where an earlier version did not count them."""
        made_by = self.manifest.get("made_by")
        is_enlarged_demo = isinstance(made_by, dict) and str(made_by.get("note", "")).startswith("enlarged")
        return int(self.manifest.get("enlarged", len(self) if is_enlarged_demo else 0))

    def describe_enlarged(self) -> str:
        """Return that pictures were enlarged, which makes them no sharper; empty if none was."""
        if not self.enlarged_count:
            return ""
        count = "all" if self.enlarged_count == len(self) else f"{self.enlarged_count:,} of"
        cropped = ", as cropped," if self.manifest.get("crop") == FACE_CROP else ""
        return f"{count} {len(self):,} pictures{cropped} are smaller than {self.size_px} px and were enlarged: blurred, as nothing sharper is in them"

    @property
    def measured_sha256(self) -> str:
        """Hash of the pixels and of what lies behind transparency; tells whether a measurement against these pictures can be used again."""
        if self.fourth_channel != "alpha" or self.backdrop == BACKDROP:
            return self.content_sha256
        return hashlib.sha256(f"{self.content_sha256} on {self.backdrop}".encode()).hexdigest()

    def sources(self) -> Iterator[dict[str, Any]]:
        """Yield the origin of each picture, in order; see `mitlgan.data.pack.manifest.parse_source`.

        Raises:
            DataError: The manifest's list of sources is damaged.
        """
        yield from read_sources(self.path.with_suffix(".json"), len(self))

    def sources_at(self, positions: Collection[int]) -> dict[int, dict[str, Any]]:
        """Return the origins of some pictures by position; the lines of the others are not parsed."""
        path = self.path.with_suffix(".json")
        return {position: parse_source(path, position + 1, line) for position, line in enumerate(read_source_lines(path)) if position in positions}

    def picture(self, index: int) -> Image.Image:
        """Return one picture: grey, RGB, or RGBa (premultiplied) with alpha; a matte is dropped."""
        planes = self.pixels[index]  # (C, H, W)
        if len(planes) == 1:
            return Image.fromarray(planes[0])
        if self.fourth_channel == "alpha":
            return Image.frombytes("RGBa", (self.size_px, self.size_px), planes.transpose(1, 2, 0).tobytes())
        return Image.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0)))

    def batch(self, indices: Sequence[int] | NDArray[np.int64], channels: int = 3) -> torch.Tensor:
        """Copy pictures out of the pack.

        Args:
            indices: Positions of the pictures, in [0, len).
            channels: 3: objects with alpha are composited on the pack's backdrop, mattes are dropped, grey is repeated; 4: as stored; 1: as stored, or
                converted to grey.

        Returns:
            (N, channels, H, W) uint8.

        Raises:
            DataError: Four channels are requested, and the pack has fewer.
        """
        import torch  # takes two seconds, which writing a pack does not need

        pixels = self.pixels[np.asarray(indices, dtype=np.int64)]  # (N, C, H, W), a copy
        if channels == 4 and self.channels != 4:
            raise DataError(f"{self.path}: {NO_MATTE}")
        if channels == self.channels:
            return torch.from_numpy(pixels)
        if self.channels == 1:
            return torch.from_numpy(np.repeat(pixels, 3, axis=1))
        if self.fourth_channel == "matte":
            pixels = np.ascontiguousarray(pixels[:, :3])
        elif self.fourth_channel == "alpha":
            pixels = composite_on(pixels, self.backdrop)
        return torch.from_numpy(pixels if channels == 3 else to_grayscale(pixels))

    def mattes(self, indices: Sequence[int] | NDArray[np.int64]) -> torch.Tensor | None:
        """Return the opacity of the pictures' foregrounds, (N, 1, H, W) uint8 (255 opaque); None if the pack has no mattes."""
        import torch

        if self.channels != 4:
            return None
        return torch.from_numpy(np.ascontiguousarray(self.pixels[np.asarray(indices, dtype=np.int64), 3:]))
