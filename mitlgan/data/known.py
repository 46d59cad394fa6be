"""The looks of a set that is there already: a folder, a pack, or what `data prepare` made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mitlgan.data.decode import UnreadableError, decode_bytes
from mitlgan.data.holdout import HELD_OUT
from mitlgan.data.packed import PREPARED, Packed
from mitlgan.data.parallel import in_order
from mitlgan.data.signature import Signature, from_plain, signature
from mitlgan.data.sources import Entry, open_source


def signatures_of(spec: str | Path) -> tuple[str, list[tuple[str, Signature]]]:
    """Name and look of every readable picture of a set.

    Returns:
        A hash that tells whether the set is still the same, and the names with their looks; what `data prepare` held out is part of its folder's set.

    Raises:
        DataError: There is no such set.
    """
    pack = pack_at(Path(spec))
    if pack is not None:
        packs = [pack] if Path(spec).is_file() else [pack, *packs_beside(pack.path).values()]
        digest = pack.content_sha256 if len(packs) == 1 else hashlib.sha256("".join(one.content_sha256 for one in packs).encode()).hexdigest()
        return digest, [(str(source["name"]), look(one, index, source)) for one in packs for index, source in enumerate(one.sources())]
    source = open_source(spec, "--against")

    def work(entry: Entry) -> Signature | None:
        try:
            decoded = decode_bytes(entry.read(), keep_alpha=True, size_px=64)
        except UnreadableError:
            return None
        return signature(decoded.picture, decoded.sha256)

    found = [(entry.name, seen) for entry, seen in in_order(source.entries, work) if seen is not None]
    return source.listing_sha256(), found


def pack_at(path: Path) -> Packed | None:
    """The pack that a path names: a `.npy` file, or a folder that `data prepare` made."""
    if path.suffix == ".npy" and path.is_file():
        return Packed.open(path)
    inside = path / PREPARED
    return Packed.open(inside) if inside.is_file() else None


def packs_beside(training: Path) -> dict[str, Packed]:
    """The held-out packs of what `data prepare` made, by split."""
    return {split: Packed.open(path) for split in HELD_OUT if (path := training.parent / split / PREPARED).is_file()}


def look(pack: Packed, index: int, source: dict[str, Any]) -> Signature:
    """The look of a packed picture, as its manifest has it or from its pixels."""
    recorded = from_plain(source)
    if recorded is not None:
        return recorded
    planes = np.asarray(pack.pixels[index])
    digest = str(source.get("sha256") or hashlib.sha256(planes.tobytes()).hexdigest())
    if len(planes) == 1:
        return signature(Image.fromarray(planes[0]), digest)
    if pack.fourth_channel == "alpha":  # laid on what files are
        return signature(Image.frombytes("RGBa", (pack.size_px, pack.size_px), planes.transpose(1, 2, 0).tobytes()), digest)
    return signature(Image.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0))), digest)
