"""Packs the pictures of a folder, archive or list: decoded, cropped and resized, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.build.mattes import decode_matte, use_mattes
from mitlgan.data.build.notes import describe_lost_transparency, summarize_notes
from mitlgan.data.build.parallel import in_order
from mitlgan.data.build.resize import check_filter, crop_and_resize, to_planes
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.pack.image_pack import BACKDROP, Color, ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import refuse_unreadable
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.data.splits import DataSplits, find_folder_splits
from mitlgan.errors import DataError, translate_resource_faults
from mitlgan.runtime.progress import ProgressCallback, Say, ignore_message, ignore_progress

PACK_VERSION = 9  # raise it when the same folder and arguments make other pixels, or another manifest
Result = tuple[dict[str, Any], NDArray[np.uint8], bool] | UnreadableImageError
"""A picture's record for the manifest, its pixels (C, H, W), and whether they are on the backdrop; or why it is unusable."""


def pack_folder(
    source: str | Path,
    out: Path,
    *,
    size_px: int,
    resize: str = "lanczos",
    keep_alpha: bool = False,
    allow_bad: bool = False,
    limit: int | None = None,
    progress: ProgressCallback = ignore_progress,
    say: Say = ignore_message,
) -> ImagePack:
    """Pack the training pictures of a folder, archive or list, in the order of their names or of the list.

    To pack another split, name its folder. Mattes `NAME.matte.png` next to the pictures become the fourth channel, unless transparency is kept; see
    `use_mattes`.

    Args:
        source: See `open_source`.
        out: The pack, ending in `.npy`; it appears whole or not at all.
        size_px: Height and width.
        resize: Name of the filter.
        keep_alpha: Keep transparency, premultiplied, as a fourth channel.
        allow_bad: Continue if more than 5 % of the files are not usable pictures.
        limit: Maximum number of pictures; the first ones are used.
        progress: Receives the number of finished and of all files.
        say: Receives which split is used, and notes about the pictures.

    Raises:
        DataError: There are no pictures, or too many bad ones.
        ResourceError: The pack cannot be written.
    """
    splits = find_folder_splits(source)
    split = splits.require(TRAIN)
    if sentence := splits.describe(split):
        say(sentence)
    return pack_split(
        splits, split, out, size_px=size_px, resize=resize, keep_alpha=keep_alpha, allow_bad=allow_bad, limit=limit, progress=progress, say=say
    )


def pack_split(
    splits: DataSplits,
    split: str,
    out: Path,
    *,
    size_px: int,
    resize: str,
    keep_alpha: bool,
    allow_bad: bool = False,
    limit: int | None = None,
    progress: ProgressCallback = ignore_progress,
    say: Say = ignore_message,
    identity: str = "",
    backdrop: Color = BACKDROP,
) -> ImagePack:
    """Pack one split of a source; see `pack_folder`.

    `identity` is recorded in the manifest of a pack in the cache, of a training whose recipe chose the backdrop. Transparency that is not kept is
    composited on `backdrop`.
    """
    check_filter(resize)
    source, with_matte = use_mattes(splits.source(split), "transparency is kept in their place" if keep_alpha else "")
    if limit is not None and limit < len(source.entries):
        source = source.subset(source.entries[:limit], remarks=[f"the first {limit:,} of {len(source.entries):,} pictures are taken"])
    total, label = len(source.entries), f"--data {source.spec}"
    skipped, notes, transparent_count = list[dict[str, str]](), list[tuple[str, str]](), 0
    with PackWriter(out, size_px, "alpha" if keep_alpha else "matte" if with_matte else None) as writer:
        results = in_order(source.iterate(), _picture_packer(size_px, resize, keep_alpha, backdrop))
        for done, (entry, result) in enumerate(results, start=1):
            if isinstance(result, UnreadableImageError):
                skipped.append({"name": entry.name, "reason": str(result)})
            else:
                record, pixels, is_on_backdrop = result
                transparent_count += is_on_backdrop
                writer.append(pixels, {"name": entry.name, **record})
                notes.append((entry.name, record.get("note", "")))
            progress(done, total)
        if len(skipped) == total:
            raise DataError(f"{label}: none of its {total} files is a usable picture; the first, {skipped[0]['name']!r}: {skipped[0]['reason']}")
        refuse_unreadable(label, total, skipped, "" if allow_bad else "remove them, or pack with `mitlgan data pack --allow-bad`")
        for line in summarize_notes(notes):
            say(line)
        lost = [] if identity else describe_lost_transparency(transparent_count, writer.count, backdrop, "pack")
        made_by = {"command": "pack", "version": PACK_VERSION, "size_px": size_px, "resize": resize, "keep_alpha": keep_alpha}
        return writer.publish(
            resize=resize,
            crop="centred square",
            licence="",
            made_by=made_by | ({"identity": identity} if identity else {}),
            skipped=skipped + source.leftovers.skipped(),
            split=splits.manifest_record(split),
            leftovers=source.leftovers.extended(remarks=lost),
            composited_on=backdrop if transparent_count else None,
        )


def _picture_packer(size_px: int, resize: str, keep_alpha: bool, backdrop: Color) -> Callable[[ImageEntry], Result]:
    """Return the function that decodes and reduces one picture, in any thread."""

    def pack(entry: ImageEntry) -> Result:
        with translate_resource_faults(f"picture {entry.name!r}"):
            try:
                decoded = decode_bytes(entry.read(), keep_alpha=keep_alpha, size_px=size_px, backdrop=backdrop)
                record: dict[str, Any] = {"sha256": decoded.sha256, "width": decoded.width, "height": decoded.height}
                planes = to_planes(crop_and_resize(decoded.picture, size_px, resize))
                if entry.matte is not None:
                    planes = np.concatenate([planes, to_planes(crop_and_resize(decode_matte(entry.matte, decoded), size_px, resize))])
                return record | ({"note": decoded.note} if decoded.note else {}), planes, decoded.is_on_backdrop
            except UnreadableImageError as error:
                return error

    return pack
