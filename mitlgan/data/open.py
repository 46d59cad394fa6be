"""Folders of pictures into packs: read, check, crop, resize; decoded once, in order, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as PIL_VERSION

from mitlgan.data.build.matte_rules import fitting_matte, use_mattes
from mitlgan.data.build.notes import summarize_notes
from mitlgan.data.build.parallel import in_order
from mitlgan.data.build.resize import RESIZE_FILTERS, crop_and_resize, to_planes
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, is_cutout_file
from mitlgan.data.demo import demo_pack
from mitlgan.data.pack.cache import cache_dir
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.data.readers.cifar import TEST as CIFAR_TEST
from mitlgan.data.readers.cifar import TRAIN as CIFAR_TRAIN
from mitlgan.data.readers.cifar import is_cifar, pack_cifar
from mitlgan.data.readers.common import VERSION as READERS_VERSION
from mitlgan.data.readers.idx import is_idx, pack_idx
from mitlgan.data.sources.formats import IMAGE_SUFFIXES
from mitlgan.data.sources.image_source import MAX_UNREADABLE_FRACTION, Contents, ImageEntry, ImageSource, contents, file_stamp
from mitlgan.data.sources.leftovers import describe_leftovers
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.data.splits import DEMO, DataSplits, find_folder_splits, find_splits, parse_split
from mitlgan.errors import DataError, UsageError, naming_faults, to_one_line

PACK_VERSION = 4  # raise it when the same folder and arguments make other pixels
_ALPHA_PROBES = 64
Progress = Callable[[int, int], None]
Say = Callable[[str], None]
Result = tuple[dict[str, Any], NDArray[np.uint8]] | UnreadableImageError  # what the manifest says of a file, and its pixels; or why not


def open_data(
    spec: str, role: str, size_px: int, *, resize: str = "lanczos", split: str = TRAIN, progress: Progress | None = None, say: Say | None = None
) -> ImagePack:
    """The pack of a `--data` value; a folder is packed once and then taken from the cache, until a file in it changes.

    Args:
        spec: `demo`, a folder of pictures or one that `data prepare` made, a pack (`.npy`), an IDX file such as MNIST's, or CIFAR-10's binary folder.
        role: `fg`, `bg` or `scene`. A `fg` folder in which half of the pictures or more are cut-outs makes an alpha pack.
        size_px: Height and width.
        resize: Name of the filter.
        split: See `splits.resolved_split`.
        progress: Told how many files of how many are done.
        say: Told in one line which part of a folder was taken and which was left, where it has parts, and what is to be known of its pictures.

    Raises:
        DataError: Nothing usable there, or a pack of another size.
    """
    wanted = parse_split(split)
    path = Path(spec)
    if path.is_file() and path.suffix != ".npy" and not is_idx(path) and not is_cifar(path):
        raise DataError(f"--data {path}: a single file; name the folder of the pictures, or a pack (.npy)")
    found = find_splits(spec, role)
    split = found.require(wanted)
    if say is not None and (sentence := found.describe(split)):
        say(sentence)
    if spec == DEMO:
        return demo_pack(role, size_px, split=split, resize=resize)
    part = found.parts[split]
    if part.source is not None:
        packed = _packed_folder(found, split, role, size_px, resize, progress, say)
        if say is not None:
            for line in describe_leftovers(packed.manifest.get("leftovers", {}), quiet=False):
                say(to_one_line(f"{spec}: {line}"))
        return packed
    if is_idx(part.path) or is_cifar(part.path):
        return _known_format(part.path, size_px, resize, split)
    packed = ImagePack.open(part.path)
    if packed.size_px != size_px:
        raise DataError(f"--data {part.path}: holds {packed.size_px} px pictures; give one of {size_px} px, or the folder itself")
    return packed


def _packed_folder(found: DataSplits, split: str, role: str, size_px: int, resize: str, progress: Progress | None, say: Say | None) -> ImagePack:
    """A split of a folder, packed once and then taken from the cache."""
    source, folder = found.source(split), found.parts[split].path
    # The name does not say whether there is alpha: to find out costs reading pictures, which a start from the cache must not.
    settings = [PACK_VERSION, PIL_VERSION, *sorted(IMAGE_SUFFIXES), role == "fg", size_px, resize, source.listing_sha256()]
    identity = _identity(folder, split, settings, ())
    target = cache_dir() / f"{_safe(folder.name)}-{split}-{role}-{size_px}px-{identity[:24]}.npy"
    cached = ImagePack.open_cached(target, {"identity": identity})
    if cached is not None:
        return cached
    keep_alpha = role == "fg" and mostly_cut_out(source.entries)
    return _pack(found, split, target, size_px=size_px, resize=resize, keep_alpha=keep_alpha, progress=progress, say=say, identity=identity)


def _known_format(path: Path, size_px: int, resize: str, split: str) -> ImagePack:
    """A set in a format of its own, packed once and then taken from the cache."""
    files = [path] if path.is_file() else [path / name for name in (CIFAR_TEST if split == "test" else CIFAR_TRAIN)]
    identity = _identity(path, split, [READERS_VERSION, PIL_VERSION, size_px, resize], files)
    target = cache_dir() / f"{_safe(path.name)}-{split}-{size_px}px-{identity[:24]}.npy"
    cached = ImagePack.open_cached(target, {"identity": identity})
    if cached is not None:
        return cached
    if is_idx(path):
        return pack_idx(path, target, size_px=size_px, resize=resize, identity=identity)
    return pack_cifar(path, target, size_px=size_px, resize=resize, split=split, identity=identity)


def mostly_cut_out(entries: Sequence[ImageEntry]) -> bool:
    """Whether at least half of the pictures, by a sample of them, are objects on transparency."""
    found: list[bool] = []
    for entry in _spread(entries, _ALPHA_PROBES):
        with suppress(UnreadableImageError):
            found.append(is_cutout_file(entry.read()))
    return 2 * sum(found) >= len(found) > 0


def pack_folder(
    source: str | Path,
    out: Path,
    *,
    size_px: int,
    resize: str = "lanczos",
    keep_alpha: bool = False,
    allow_bad: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> ImagePack:
    """Decode every picture of a folder, archive or list into one pack, in its order, which is that of the names in a folder.

    Of a folder that has split folders the training pictures are taken; name one of them itself for the others.

    Where pictures `NAME.jpg` have mattes `NAME.matte.png` beside them, and transparency is not kept, the pack holds the mattes, see `with_mattes`.

    Args:
        source: See `open_source`.
        out: The pack, ending in `.npy`; it appears whole or not at all.
        size_px: Height and width.
        resize: Name of the filter.
        keep_alpha: Keep transparency, premultiplied, as a fourth channel.
        allow_bad: Go on when more than 5 % of the files are no usable pictures.
        limit: At most so many, the first ones.
        progress: Told how many files of how many are done.
        say: See `open_data`.

    Raises:
        DataError: No folder, no pictures, or too many bad ones.
        ResourceError: The pack cannot be written.
    """
    found = find_folder_splits(source)
    split = found.require(TRAIN)
    if say is not None and (sentence := found.describe(split)):
        say(sentence)
    return _pack(found, split, out, size_px=size_px, resize=resize, keep_alpha=keep_alpha, allow_bad=allow_bad, limit=limit, progress=progress, say=say)


def _pack(
    found: DataSplits,
    split: str,
    out: Path,
    *,
    size_px: int,
    resize: str,
    keep_alpha: bool,
    allow_bad: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    identity: str = "",
) -> ImagePack:
    if resize not in RESIZE_FILTERS:
        raise UsageError(f"--resize {resize}: no such filter; choose {', '.join(RESIZE_FILTERS)}")
    source, with_matte = use_mattes(found.source(split), "transparency is kept in their place" if keep_alpha else "")
    if limit is not None and limit < len(source.entries):
        source = source.subset(source.entries[:limit], remarks=[f"the first {limit:,} of {len(source.entries):,} pictures are taken"])
    total, skipped = len(source.entries), list[dict[str, str]]()
    notes: list[tuple[str, str]] = []
    with PackWriter(out, size_px, "alpha" if keep_alpha else "matte" if with_matte else None) as writer:
        results = in_order(contents(source), _work(size_px, resize, keep_alpha, with_matte))
        for done, (content, result) in enumerate(results, start=1):
            name = content.entry.name
            if isinstance(result, UnreadableImageError):
                skipped.append({"name": name, "reason": str(result)})
            else:
                about, pixels = result
                writer.append(pixels, {"name": name, **about})
                notes.append((name, about.get("note", "")))
            if progress is not None:
                progress(done, total)
        _refuse_bad(source, skipped, allow_bad)
        if say is not None:
            for line in summarize_notes(notes):
                say(line)
        left = source.leftovers
        made_by = {"command": "pack", "version": PACK_VERSION, "size_px": size_px, "resize": resize, "keep_alpha": keep_alpha}
        made_by |= {"identity": identity} if identity else {}
        return writer.publish(
            resize=resize,
            crop="centred square",
            licence="",
            made_by=made_by,
            skipped=skipped + left.skipped(),
            split=found.manifest_record(split),
            leftovers=left,
        )


def _work(size_px: int, resize: str, keep_alpha: bool, with_matte: bool) -> Callable[[Contents], Result]:
    """What is done to one picture, on any core; only the small picture is kept."""

    def work(content: Contents) -> Result:
        with naming_faults(f"picture {content.entry.name!r}"):
            try:
                decoded = decode_bytes(content.read(), keep_alpha=keep_alpha, size_px=size_px)
                about: dict[str, Any] = {"sha256": decoded.sha256, "width": decoded.width, "height": decoded.height}
                planes = to_planes(crop_and_resize(decoded.picture, size_px, resize))
                if with_matte:
                    matte = fitting_matte(content.read_matte() or b"", decoded)
                    planes = np.concatenate([planes, np.asarray(crop_and_resize(matte, size_px, resize))[None]])
                return about | ({"note": decoded.note} if decoded.note else {}), planes
            except UnreadableImageError as error:
                return error

    return work


def _refuse_bad(source: ImageSource, skipped: list[dict[str, str]], allow_bad: bool) -> None:
    total = len(source.entries)
    if len(skipped) == total:
        raise DataError(
            f"--data {source.spec}: none of its {total} files is a usable picture; the first, {skipped[0]['name']!r}: {skipped[0]['reason']}"
        )
    if len(skipped) > MAX_UNREADABLE_FRACTION * total and not allow_bad:
        first = skipped[0]
        raise DataError(
            f"--data {source.spec}: {len(skipped)} of {total} files are no usable pictures, the first {first['name']!r}: {first['reason']}; "
            "remove them, or pack with `mitlgan data pack --allow-bad`"
        )


def _identity(place: Path, split: str, settings: list[Any], files: Iterable[Path]) -> str:
    """All that decides a pack's content: where the pictures lie, which of them, what is done to them by which code, and every file as it is now."""
    digest = hashlib.sha256(json.dumps([os.fsencode(place.resolve()).hex(), split, *settings]).encode())
    for file in files:
        digest.update(os.fsencode(file.relative_to(place) if file != place else file.name) + f"\0{file_stamp(file)}\n".encode())
    return digest.hexdigest()


def _spread(entries: Sequence[ImageEntry], count: int) -> Sequence[ImageEntry]:
    step = max(1, len(entries) // count)
    return entries[::step][:count]


def _safe(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:40] or "pictures"
