"""Writes packs: pictures stream to disk, and the pack appears whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.pack.cache import flush_to_disk, open_temporary, remove_abandoned_temporaries
from mitlgan.data.pack.image_pack import SCHEMA_VERSION, SOURCES_LINE, FourthChannel, ImagePack
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.errors import DataError, ResourceError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

HASHED_ASIDE_BYTES = 1 << 18


class PackWriter:
    """Makes one pack, in memory that does not grow with the number of pictures.

    Used as a context manager: leaving it without `publish` removes what was written. Pixels and sources go to temporary files; `publish` moves first
    the manifest and then the pixels into place, so that a pack whose writer was killed has no pixels and is no pack.

    Args:
        path: The `.npy` file to make; its folder is created.
        size_px: Height and width of the pictures.
        fourth_channel: What a fourth channel is; None for three channels, or one.
        grey: Whether there is one channel.

    Raises:
        ResourceError: The folder cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, size_px: int, fourth_channel: FourthChannel | None, *, grey: bool = False) -> None:
        if path.suffix != ".npy":
            raise DataError(f"{path}: a pack's name ends in .npy")
        self.path, self.size_px, self.fourth_channel = path, size_px, fourth_channel
        self.channels = 4 if fourth_channel else 1 if grey else 3
        self.count = 0
        self._digest = hashlib.sha256()
        self._aside = ThreadPoolExecutor(1)  # starts a thread when it is first needed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{path.parent}: cannot be created ({error.strerror}); choose a writable folder") from None
        remove_abandoned_temporaries(path.parent)
        self._pixels_part, self._pixels = open_temporary(path)
        self._sources_part, self._sources = open_temporary(path.with_suffix(".sources"))
        self._own = [self._pixels_part, self._sources_part]
        self._pixels.write(pack_header(0, self.channels, size_px))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._aside.shutdown()
        for handle in (self._pixels, self._sources):
            with suppress(OSError):  # closing flushes, which fails again on a full disk
                handle.close()
        for part in self._own:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise ResourceError(f"{self.path}: cannot write the pack ({error.strerror}); free some space or choose another folder") from None

    def append(self, pixels: NDArray[np.uint8], source: dict[str, Any]) -> None:
        """Add one picture, (C, H, W) uint8, and where it came from."""
        self.extend(pixels[None], [source])

    def extend(self, pixels: NDArray[np.uint8], sources: Sequence[dict[str, Any]]) -> None:
        """Add pictures, (N, C, H, W) uint8, and where each came from."""
        if pixels.shape != (len(sources), self.channels, self.size_px, self.size_px) or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(self.channels, self.size_px, self.size_px)}, got {pixels.dtype} {pixels.shape[1:]}")
        content = np.ascontiguousarray(pixels).data
        if content.nbytes < HASHED_ASIDE_BYTES:
            self._digest.update(content)
            self._pixels.write(content)
        else:  # neither holds the interpreter's lock
            hashing = self._aside.submit(self._digest.update, content)
            self._pixels.write(content)
            hashing.result()
        self._note(sources)

    def adopt_file(self, pixels: Path, digest: Hash, sources: Sequence[dict[str, Any]]) -> None:
        """Take over a file in the same folder that is the whole pack already, but for its header; until `publish` has moved it, it stays what it is.

        Args:
            pixels: The file: room for `pack_header`, and all pictures.
            digest: Of the pictures.
            sources: Where each came from.
        """
        self._pixels.close()
        self._pixels_part, self._pixels, self._digest = pixels, pixels.open("r+b"), digest.copy()
        self._note(sources)

    def _note(self, sources: Sequence[dict[str, Any]]) -> None:
        for source in sources:
            self._sources.write((b",\n  " if self.count else b"\n  ") + json.dumps(source, ensure_ascii=True).encode())
            self.count += 1

    def publish(
        self,
        *,
        resize: str,
        crop: str,
        licence: str,
        made_by: dict[str, Any],
        skipped: list[dict[str, str]],
        split: dict[str, Any] | None = None,
        leftovers: Leftovers | None = None,
    ) -> ImagePack:
        """Complete the pack, move it into place and open it.

        Args:
            resize: Name of the resize filter.
            crop: What was cut.
            licence: Of the pictures.
            made_by: What made the pack, with its parameters.
            skipped: Files not taken: name and reason.
            leftovers: What else of the source was not taken.
            split: Which part of a set it is and what was left, see `Layout.account`; None where that is not known.
        """
        self._digest.update(f"{self.channels} {self.size_px} {self.fourth_channel}".encode())
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "count": self.count,
            "size_px": self.size_px,
            "channels": self.channels,
            "fourth_channel": self.fourth_channel,
            "resize": resize,
            "crop": crop,
            "content_sha256": self._digest.hexdigest(),
            "licence": licence,
            "made_by": made_by,
            **({} if split is None else {"split": split}),
            **({} if leftovers is None else {"leftovers": leftovers.to_json()}),
            "skipped": skipped,
        }
        self._pixels.seek(0)
        self._pixels.write(pack_header(self.count, self.channels, self.size_px))
        durable = self._aside.submit(flush_to_disk, self._pixels)
        manifest_path = self.path.with_suffix(".json")
        manifest_part = self._write_manifest(manifest_path, manifest)
        durable.result()
        if not _same_content(self.path, manifest["content_sha256"]):
            self.path.unlink(missing_ok=True)  # never an old pack's pixels beside the new manifest
        manifest_part.replace(manifest_path)
        self._pixels_part.replace(self.path)
        return ImagePack.open(self.path)

    def _write_manifest(self, target: Path, manifest: dict[str, Any]) -> Path:
        part, handle = open_temporary(target)
        with handle:
            head = json.dumps(manifest, ensure_ascii=True, indent=1).removesuffix("\n}")
            handle.write(f"{head},\n{SOURCES_LINE}".encode())
            self._sources.seek(0)
            while block := self._sources.read(1 << 20):
                handle.write(block)
            handle.write(b"\n ]\n}\n")
            flush_to_disk(handle)
        return part


def pack_header(count: int, channels: int, size_px: int) -> bytes:
    """What a pack begins with; its length does not depend on the count, since numpy leaves the first axis room to grow."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (count, channels, size_px, size_px)})
    return header.getvalue()


def _same_content(path: Path, content_sha256: object) -> bool:
    """Whether a pack with this very content is there already (another process may have made it meanwhile)."""
    try:
        return ImagePack.open(path).content_sha256 == content_sha256
    except DataError:
        return False
