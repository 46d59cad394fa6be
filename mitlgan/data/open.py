"""Opens the pictures of a `--data` value as a pack, from the cache if it was packed before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import __version__ as PIL_VERSION

from mitlgan.data.build.pack_folder import PACK_VERSION, pack_split
from mitlgan.data.decode.image_file import UnreadableImageError, is_cutout_file
from mitlgan.data.demo import demo_pack
from mitlgan.data.layers.split_output import describe_added_pictures
from mitlgan.data.newer_pictures import find_newer_pictures
from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import BACKDROP, Color, ImagePack
from mitlgan.data.readers.cifar import TEST as CIFAR_TEST
from mitlgan.data.readers.cifar import TRAIN as CIFAR_TRAIN
from mitlgan.data.readers.cifar import is_cifar, pack_cifar
from mitlgan.data.readers.common import VERSION as READERS_VERSION
from mitlgan.data.readers.idx import is_idx, pack_idx
from mitlgan.data.sources.entry import ImageEntry, file_stamp
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.formats import IMAGE_SUFFIXES
from mitlgan.data.sources.image_source import safe_name
from mitlgan.data.sources.leftovers import describe_leftovers, describe_unreadable
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.data.splits import DEMO, DataSplits, find_splits, parse_split
from mitlgan.errors import DataError, to_one_line
from mitlgan.runtime.progress import ProgressCallback, Say, ignore_message, ignore_progress

_CUTOUT_SAMPLES = 64


def open_data(
    spec: str,
    role: str,
    size_px: int,
    *,
    resize: str = "lanczos",
    split: str = TRAIN,
    backdrop: Color = BACKDROP,
    progress: ProgressCallback | None = None,
    say: Say | None = None,
) -> ImagePack:
    """Open the pictures of a `--data` value as a pack.

    Args:
        spec: `demo`, a folder of pictures or one that `data prepare` made, an archive, a parquet file or a list of paths (see `open_source`), a pack
            (`.npy`), an IDX file such as MNIST's, or CIFAR-10's binary folder.
        role: `fg`, `bg` or `scene`. A `fg` folder in which half of the pictures or more are cut-outs makes an alpha pack.
        size_px: Height and width.
        resize: Name of the filter.
        split: The split to use, see `DataSplits.resolve`.
        backdrop: What transparency is composited on; a pack of pictures that were composited before stays as it is.
        progress: Receives the number of finished and of all files.
        say: Receives which part of a folder is used, and notes about its pictures.

    Raises:
        DataError: There are no usable pictures, or the pack has another size.
    """
    say, requested = say or ignore_message, parse_split(split)
    splits = find_splits(spec, role)
    split = splits.require(requested)
    if sentence := splits.describe(split):
        say(sentence)
    pack = _open_split(spec, splits, split, role, size_px, resize, backdrop, progress or ignore_progress, say)
    if sentence := pack.describe_enlarged():
        say(to_one_line(f"{spec}: {sentence}"))
    return pack.with_backdrop(backdrop)


def _open_split(
    spec: str, splits: DataSplits, split: str, role: str, size_px: int, resize: str, backdrop: Color, progress: ProgressCallback, say: Say
) -> ImagePack:
    if spec == DEMO:
        return demo_pack(role, size_px, split=split, resize=resize)
    part = splits.parts[split]
    if part.source is not None:
        pack = _open_folder(splits, split, role, size_px, resize, backdrop, progress, say)
        for line in [*describe_unreadable(pack.manifest), *describe_leftovers(pack.manifest.get("leftovers", {}), include_counts=False)]:
            say(to_one_line(f"{spec}: {line}"))
        if added := describe_added_pictures(part.path, [entry.name for entry in splits.source(split).entries]):
            say(to_one_line(f"{spec}: {added}"))
        return pack
    if is_idx(part.path) or is_cifar(part.path):
        return _open_known_format(part.path, size_px, resize, split)
    pack = ImagePack.open(part.path)
    for line in find_newer_pictures(Path(spec)).describe():
        say(to_one_line(f"{spec}: {line}"))
    if pack.size_px != size_px:
        raise DataError(f"--data {part.path}: holds {pack.size_px} px pictures; give one of {size_px} px, or the folder itself")
    return pack


def _open_folder(
    splits: DataSplits, split: str, role: str, size_px: int, resize: str, backdrop: Color, progress: ProgressCallback, say: Say
) -> ImagePack:
    source, folder = splits.source(split), splits.parts[split].path
    # The key leaves open whether there is alpha: to find out, pictures must be read, which is too slow for a pack in the cache.
    settings = [PACK_VERSION, PIL_VERSION, *sorted(IMAGE_SUFFIXES), role == "fg", size_px, resize, source.listing_sha256()]
    if backdrop != BACKDROP:
        settings.append(backdrop)
    identity = _cache_identity(folder, split, settings, ())
    path = cache_dir() / f"{safe_name(folder.name, 40)}-{split}-{role}-{size_px}px-{identity[:24]}.npy"
    cached = ImagePack.open_cached(path, {"identity": identity})
    if cached is not None:
        return cached
    keep_alpha = role == "fg" and are_mostly_cutouts(source.entries)
    return pack_split(
        splits, split, path, size_px=size_px, resize=resize, keep_alpha=keep_alpha, progress=progress, say=say, identity=identity, backdrop=backdrop
    )


def _open_known_format(path: Path, size_px: int, resize: str, split: str) -> ImagePack:
    files = [path] if path.is_file() else [path / name for name in (CIFAR_TEST if split == "test" else CIFAR_TRAIN)]
    identity = _cache_identity(path, split, [READERS_VERSION, PIL_VERSION, size_px, resize], files)
    pack = cache_dir() / f"{safe_name(path.name, 40)}-{split}-{size_px}px-{identity[:24]}.npy"
    cached = ImagePack.open_cached(pack, {"identity": identity})
    if cached is not None:
        return cached
    if is_idx(path):
        return pack_idx(path, pack, size_px=size_px, resize=resize, identity=identity)
    return pack_cifar(path, pack, size_px=size_px, resize=resize, split=split, identity=identity)


def are_mostly_cutouts(entries: Sequence[ImageEntry]) -> bool:
    """Whether at least half of the pictures, by an evenly spaced sample, are objects on transparency."""
    is_cutout: list[bool] = []
    for entry in evenly_spaced(entries, _CUTOUT_SAMPLES):
        with suppress(UnreadableImageError):
            is_cutout.append(is_cutout_file(entry.read()))
    return 2 * sum(is_cutout) >= len(is_cutout) > 0


def _cache_identity(path: Path, split: str, settings: list[Any], files: Iterable[Path]) -> str:
    """Return a hash of all that decides a pack's content: the path, the split, the settings, and the state of the files."""
    digest = hashlib.sha256(json.dumps([os.fsencode(path.resolve()).hex(), split, *settings]).encode())
    for file in files:
        digest.update(os.fsencode(file.relative_to(path) if file != path else file.name) + f"\0{file_stamp(file)}\n".encode())
    return digest.hexdigest()
