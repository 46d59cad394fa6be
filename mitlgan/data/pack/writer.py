"""Writes packs: pictures stream to disk, and a pack appears whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.pack.cache import flush_to_disk, open_temporary, remove_abandoned_temporaries
from mitlgan.data.pack.image_pack import Color, FourthChannel, ImagePack
from mitlgan.data.pack.kept_square import kept_size_px
from mitlgan.data.pack.manifest import SCHEMA_VERSION, SOURCES_LINE, is_manifest
from mitlgan.data.pack.verification import content_suffix
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.errors import DataError, ResourceError
from mitlgan.runtime.file_moves import appeared_meanwhile

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

MIN_THREADED_HASH_BYTES = 1 << 18


class PackWriter:
    """Writes one pack, in memory that does not grow with the number of pictures.

    As a context manager it removes what was written unless `publish` was called. Pixels and sources go to temporary files; `publish` moves first the
    manifest and then the pixels into place, so that a killed writer leaves no pixels and thus no pack.

    Args:
        path: The `.npy` file to write; its folder is created.
        size_px: Height and width of the pictures.
        fourth_channel: What the fourth channel is; None for three channels, or one.
        grey: Whether there is one channel.

    Raises:
        ResourceError: The folder cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, size_px: int, fourth_channel: FourthChannel | None, *, grey: bool = False) -> None:
        if path.suffix != ".npy":
            raise DataError(f"{path}: a pack's name ends in .npy")
        self.path, self.size_px, self.fourth_channel = path, size_px, fourth_channel
        self._free = [file for file in (path, path.with_suffix(".json")) if not os.path.lexists(file)]
        self.channels = 4 if fourth_channel else 1 if grey else 3
        self.count = self.enlarged = 0
        self._digest = hashlib.sha256()
        self._hash_thread = ThreadPoolExecutor(1)  # starts when it is first needed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{path.parent}: cannot be created ({error.strerror}); choose a writable folder") from None
        remove_abandoned_temporaries(path.parent)
        self._pixels_path, self._pixels = open_temporary(path)
        self._sources_path, self._sources = open_temporary(path.with_suffix(".sources"))
        self._temporary_paths = [self._pixels_path, self._sources_path]
        self._pixels.write(pack_header(0, self.channels, size_px))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._hash_thread.shutdown()
        for handle in (self._pixels, self._sources):
            with suppress(OSError):  # closing flushes, which fails on a full disk
                handle.close()
        for path in self._temporary_paths:
            path.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError) and Path(str(error.filename)).parent == self.path.parent:
            raise ResourceError(f"{self.path}: another program has removed what was written of the pack; run the same command again") from None
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise ResourceError(f"{self.path}: cannot write the pack ({error.strerror}); free some space or choose another folder") from None

    def append(self, pixels: NDArray[np.uint8], source: dict[str, Any]) -> None:
        """Add one picture, (C, H, W) uint8, and its origin."""
        self.extend(pixels[None], [source])

    def extend(self, pixels: NDArray[np.uint8], sources: Sequence[dict[str, Any]]) -> None:
        """Add pictures, (N, C, H, W) uint8, and the origin of each."""
        if pixels.shape != (len(sources), self.channels, self.size_px, self.size_px) or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(self.channels, self.size_px, self.size_px)}, got {pixels.dtype} {pixels.shape[1:]}")
        content = np.ascontiguousarray(pixels).data
        if content.nbytes < MIN_THREADED_HASH_BYTES:
            self._digest.update(content)
            self._pixels.write(content)
        else:  # both release the interpreter's lock
            hashing = self._hash_thread.submit(self._digest.update, content)
            self._pixels.write(content)
            hashing.result()
        self._append_sources(sources)

    def adopt_file(self, pixels: Path, digest: Hash, sources: Sequence[dict[str, Any]]) -> None:
        """Use a file in the same folder that is the whole pack except for its header; `publish` moves it.

        Args:
            pixels: The file: space for `pack_header`, and all pictures.
            digest: Hash of the pictures.
            sources: The origin of each picture.
        """
        self._pixels.close()
        self._pixels_path, self._pixels, self._digest = pixels, pixels.open("r+b"), digest.copy()
        self._append_sources(sources)

    def _append_sources(self, sources: Sequence[dict[str, Any]]) -> None:
        for source in sources:
            self._sources.write((b",\n  " if self.count else b"\n  ") + json.dumps(source, ensure_ascii=True).encode())
            self.count += 1
            self.enlarged += min(kept_size_px(source, self.size_px)) < self.size_px

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
        composited_on: Color | None = None,
    ) -> ImagePack:
        """Complete the pack, move it into place and open it; another file that has come there since this writer began stays, and is refused.

        Args:
            resize: Name of the resize filter.
            crop: Which part of each picture was kept.
            licence: Licence of the pictures.
            made_by: The command that made the pack, and its parameters.
            skipped: Name and reason of each file that was not used.
            split: Which part of a set the pack holds, see `SplitLayout.to_manifest`; None if that is unknown.
            leftovers: Other files of the source that were not used.
            composited_on: The backdrop on which transparency was composited; None if no picture had any.
        """
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "count": self.count,
            "size_px": self.size_px,
            "channels": self.channels,
            "fourth_channel": self.fourth_channel,
            "resize": resize,
            "crop": crop,
            **({"enlarged": self.enlarged} if self.enlarged else {}),
            **({} if composited_on is None else {"composited_on": list(composited_on)}),
            "content_sha256": "",
            "licence": licence,
            "made_by": made_by,
            **({} if split is None else {"split": split}),
            **({} if leftovers is None else {"leftovers": leftovers.to_json()}),
            "skipped": skipped,
        }
        self._digest.update(content_suffix(manifest))
        manifest["content_sha256"] = self._digest.hexdigest()
        self._pixels.seek(0)
        self._pixels.write(pack_header(self.count, self.channels, self.size_px))
        durable = self._hash_thread.submit(flush_to_disk, self._pixels)
        manifest_path = self.path.with_suffix(".json")
        temporary_manifest, handle = open_temporary(manifest_path)
        self._temporary_paths.append(temporary_manifest)
        with handle:  # until it has moved: another writer removes temporary files that nobody holds
            self._write_manifest(handle, manifest)
            durable.result()
            self._refuse_later_files(str(manifest["content_sha256"]))
            if not _has_same_content(self.path, str(manifest["content_sha256"])):
                self.path.unlink(missing_ok=True)  # never an old pack's pixels with the new manifest
            temporary_manifest.replace(manifest_path)
        self._pixels_path.replace(self.path)
        return ImagePack.open(self.path, verify=False)

    def _refuse_later_files(self, content_sha256: str) -> None:
        """Refuse to overwrite what another program has written since this writer began; the same pack of another process may take its place."""
        for file in filter(os.path.lexists, self._free):
            if not (file != self.path and is_manifest(file)) and not _has_same_content(self.path, content_sha256):
                raise appeared_meanwhile(file)

    def _write_manifest(self, handle: IO[bytes], manifest: dict[str, Any]) -> None:
        head = json.dumps(manifest, ensure_ascii=True, indent=1).removesuffix("\n}")
        handle.write(f"{head},\n{SOURCES_LINE}".encode())
        self._sources.seek(0)
        while block := self._sources.read(1 << 20):
            handle.write(block)
        handle.write(b"\n ]\n}\n")
        flush_to_disk(handle)


def pack_header(count: int, channels: int, size_px: int) -> bytes:
    """Return the header of a pack; its length does not depend on the count, since numpy leaves the first axis space to grow."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (count, channels, size_px, size_px)})
    return header.getvalue()


def _has_same_content(path: Path, content_sha256: object) -> bool:
    """Whether a pack of the same content exists already, perhaps from another process."""
    try:
        return ImagePack.open(path, verify=False).content_sha256 == content_sha256
    except DataError:
        return False
