"""Folders of pictures into packs: read, check, crop, resize; decoded once, in order, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.cache import cache_dir
from mitlgan.data.decode import Decoded, UnreadableError, decode, has_alpha
from mitlgan.data.demo import LAYER_SPLITS, demo_pack
from mitlgan.data.frame import RESIZES, fit, to_planes
from mitlgan.data.packed import PREPARED, Packed
from mitlgan.data.parallel import in_order
from mitlgan.data.readers.cifar import is_cifar, pack_cifar
from mitlgan.data.readers.idx import is_idx, pack_idx
from mitlgan.data.sources import BAD_SHARE, list_pictures, matte_beside, printable_name
from mitlgan.data.writer import PackWriter
from mitlgan.errors import DataError, UsageError

DEMO = "demo"
SPLITS = ("train", "validation", "test")
PACK_VERSION = 3  # raise it when the same folder and arguments make other pixels
_ALPHA_PROBES = 64
Progress = Callable[[int, int], None]
Result = tuple[dict[str, Any], NDArray[np.uint8]] | UnreadableError  # what the manifest says of a file, and its pixels; or why not


def open_data(spec: str, role: str, size_px: int, *, resize: str = "lanczos", split: str = "train", progress: Progress | None = None) -> Packed:
    """The pack of a `--data` value; a folder is packed once and then taken from the cache, until a file in it changes.

    Args:
        spec: `demo`, a folder of pictures or one that `data prepare` made, a pack (`.npy`), an IDX file such as MNIST's, or CIFAR-10's binary folder.
        role: `fg`, `bg` or `scene`. A `fg` folder in which half of the pictures or more are cut-outs makes an alpha pack.
        size_px: Height and width.
        resize: Name of the filter.
        split: See `resolved_split`.
        progress: Told how many files of how many are done.

    Raises:
        DataError: Nothing usable there, or a pack of another size.
    """
    split = resolved_split(spec, role, split)
    if spec == DEMO:
        return demo_pack(role, size_px, split=split, resize=resize)
    path = Path(spec)
    if (path / PREPARED).is_file():
        path /= PREPARED
    if is_idx(path) or is_cifar(path):
        return _known_format(path, size_px, resize, split)
    if path.is_file() and path.suffix != ".npy":
        raise DataError(f"--data {path}: a single file; name the folder of the pictures, or a pack (.npy)")
    if path.is_file():
        packed = Packed.open(path)
        if packed.size_px != size_px:
            raise DataError(f"--data {path}: holds {packed.size_px} px pictures; give one of {size_px} px, or the folder itself")
        return packed
    folder = path / split if (path / split).is_dir() else path
    files = list_pictures(folder)
    # The name does not say whether there is alpha: to find out costs reading pictures, which a start from the cache must not.
    target = cache_dir() / f"{_safe(path.name)}-{role}-{size_px}px-{_listing_key(folder, files, size_px, resize, role == 'fg')}.npy"
    try:
        return Packed.open(target)
    except DataError:  # not made yet, or damaged: make it
        keep_alpha = role == "fg" and mostly_cut_out(files)
        return pack_folder(folder, target, size_px=size_px, resize=resize, keep_alpha=keep_alpha, progress=progress)


def _known_format(path: Path, size_px: int, resize: str, split: str) -> Packed:
    """A set in a format of its own, packed once and then taken from the cache."""
    status = path.stat()
    digest = hashlib.sha256(f"{path.resolve()}/{status.st_size}/{status.st_mtime_ns}/{size_px}/{resize}/{split}".encode()).hexdigest()[:16]
    target = cache_dir() / f"{_safe(path.name)}-{size_px}px-{digest}.npy"
    try:
        return Packed.open(target)
    except DataError:  # not made yet, or damaged: make it
        if is_idx(path):
            return pack_idx(path, target, size_px=size_px, resize=resize)
        return pack_cifar(path, target, size_px=size_px, resize=resize, split=split)


def resolved_split(spec: str, role: str, wanted: str) -> str:
    """The split that a `--data` value really has: the demo's scenes have all three, a folder those of its subfolders, anything else `train` alone.

    The demo's backgrounds have `validation`, too: places of panoramas that none of the training pictures is of.
    """
    if wanted not in SPLITS:
        raise UsageError(f"--split {wanted}: not one of {', '.join(SPLITS)}")
    if spec == DEMO:
        return wanted if role == "scene" or wanted in LAYER_SPLITS.get(role, ()) else "train"
    return wanted if (Path(spec) / wanted).is_dir() else "train"


def mostly_cut_out(files: list[Path]) -> bool:
    """Whether at least half of the pictures, by a sample of them, are objects on transparency."""
    found: list[bool] = []
    for file in _spread(files, _ALPHA_PROBES):
        with suppress(UnreadableError):
            found.append(has_alpha(file))
    return 2 * sum(found) >= len(found) > 0


def pack_folder(
    source: Path,
    out: Path,
    *,
    size_px: int,
    resize: str = "lanczos",
    keep_alpha: bool = False,
    allow_bad: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Decode every picture under a folder into one pack; the order is that of the names, whatever the number of threads.

    Where every picture `NAME.jpg` has a matte `NAME.matte.png` beside it, and transparency is not kept, the pack holds the mattes.

    Args:
        source: The folder; subfolders are walked, symbolic links are not followed.
        out: The pack, ending in `.npy`; it appears whole or not at all.
        size_px: Height and width.
        resize: Name of the filter.
        keep_alpha: Keep transparency, premultiplied, as a fourth channel.
        allow_bad: Go on when more than 5 % of the files are no usable pictures.
        progress: Told how many files of how many are done.

    Raises:
        DataError: No folder, no pictures, or too many bad ones.
        ResourceError: The pack cannot be written.
    """
    if resize not in RESIZES:
        raise UsageError(f"--resize {resize}: no such filter; choose {', '.join(RESIZES)}")
    files = list_pictures(source)
    with_matte = not keep_alpha and all(os.path.lexists(matte_beside(file)) for file in files)
    skipped: list[dict[str, str]] = []
    with PackWriter(out, size_px, "alpha" if keep_alpha else "matte" if with_matte else None) as writer:
        for done, (file, result) in enumerate(in_order(files, _work(size_px, resize, keep_alpha, with_matte)), start=1):
            name = printable_name(file.relative_to(source))
            if isinstance(result, UnreadableError):
                skipped.append({"name": name, "reason": str(result)})
            else:
                about, pixels = result
                writer.append(pixels, {"name": name, **about})
            if progress is not None:
                progress(done, len(files))
        _refuse_bad(source, len(files), skipped, allow_bad)
        made_by = {"command": "pack", "version": PACK_VERSION, "size_px": size_px, "resize": resize, "keep_alpha": keep_alpha}
        return writer.publish(resize=resize, crop="centred square", licence="", made_by=made_by, skipped=skipped)


def _work(size_px: int, resize: str, keep_alpha: bool, with_matte: bool) -> Callable[[Path], Result]:
    """What is done to one file, on any core; only the small picture is kept."""

    def work(file: Path) -> Result:
        try:
            decoded = decode(file, keep_alpha=keep_alpha, size_px=size_px)
            about: dict[str, Any] = {"sha256": decoded.sha256, "width": decoded.width, "height": decoded.height}
            planes = to_planes(fit(decoded.picture, size_px, resize))
            if with_matte:
                planes = np.concatenate([planes, _matte_plane(file, decoded, size_px, resize)])
            return about | ({"note": decoded.note} if decoded.note else {}), planes
        except UnreadableError as error:
            return error

    return work


def _matte_plane(file: Path, picture: Decoded, size_px: int, resize: str) -> NDArray[np.uint8]:
    """The matte beside a picture, cut as the picture is: (1, H, W)."""
    try:
        found = decode(matte_beside(file), keep_alpha=False)
    except UnreadableError as error:
        raise UnreadableError(f"its matte: {error}") from None
    if (found.width, found.height) != (picture.width, picture.height):
        raise UnreadableError(f"its matte is {found.width} x {found.height} px, itself {picture.width} x {picture.height}")
    return to_planes(fit(found.picture, size_px, resize))[:1]


def _refuse_bad(source: Path, total: int, skipped: list[dict[str, str]], allow_bad: bool) -> None:
    if len(skipped) == total:
        raise DataError(f"--data {source}: none of its {total} files is a usable picture; the first, {skipped[0]['name']!r}: {skipped[0]['reason']}")
    if len(skipped) > BAD_SHARE * total and not allow_bad:
        first = skipped[0]
        raise DataError(
            f"--data {source}: {len(skipped)} of {total} files are no usable pictures, the first {first['name']!r}: {first['reason']}; "
            "remove them, or pack with `mitlgan data pack --allow-bad`"
        )


def _listing_key(folder: Path, files: list[Path], size_px: int, resize: str, keep_alpha: bool) -> str:
    digest = hashlib.sha256(json.dumps([PACK_VERSION, size_px, resize, keep_alpha]).encode())
    for file in files:
        for part in (file, matte_beside(file)):
            try:
                status = part.lstat()
                digest.update(f"{os.fsencode(part.relative_to(folder))!r}/{status.st_size}/{status.st_mtime_ns}\n".encode())
            except OSError:
                digest.update(b"absent\n")
    return digest.hexdigest()[:16]


def _spread(files: list[Path], count: int) -> list[Path]:
    step = max(1, len(files) // count)
    return files[::step][:count]


def _safe(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:40] or "pictures"
