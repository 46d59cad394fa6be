"""`data augment`: adds mirrored, slightly rotated, sheared and distorted copies to a set; with `flip` as in the thesis."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mitlgan.data.build.journal import EarlierWork, open_journal
from mitlgan.data.build.mattes import decode_matte
from mitlgan.data.build.notes import summarize_notes
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes, is_cutout
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import ImageSource, open_source, output_stem, refuse_output_inside
from mitlgan.data.splits import training_source
from mitlgan.errors import DataError, UsageError, translate_resource_faults
from mitlgan.images.encode import encode_dataset_png
from mitlgan.images.pixels import to_uint8
from mitlgan.runtime.files import translate_disk_errors, write_atomically
from mitlgan.runtime.output_folders import write_unless_other
from mitlgan.runtime.progress import ProgressCallback, Say, ignore_message, ignore_progress

VERSION = 5  # raise it when the same pictures and settings make other files
EARLIER_VERSION = 4
"""Its work goes on where copies are not only mirrored and flipped: since then these do not repeat."""
STREAM_ID = 0xA06  # separates this stream of random numbers from others of the same seed

REPEATED = "repeated"
"""In the line of a picture: how many of its files repeat another; lines of earlier calls may lack it."""


@dataclass(frozen=True)
class AugmentSettings:
    """How far pictures are changed.

    Attributes:
        factor: Pictures made of each, including the unchanged one.
        seed: Decides every change.
        mirror: Mirror half of the copies left to right.
        flip: Mirror half of the copies top to bottom, as the thesis did; most objects have an up and a down.
        degrees: Maximum rotation.
        shear_degrees: Maximum shear.
        distortion: Maximum shift of the elastic distortion / side of the picture.
    """

    factor: int = 4
    seed: int = 0
    mirror: bool = True
    flip: bool = False
    degrees: float = 10.0
    shear_degrees: float = 6.0
    distortion: float = 0.03

    @property
    def is_by_degrees(self) -> bool:
        """Whether changes are drawn from a range, so that no two are the same."""
        return any((self.degrees, self.shear_degrees, self.distortion))

    def describe_repeats(self) -> str:
        """Return why copies of a picture may be the same, and the way out."""
        if self.is_by_degrees:
            reason = "are symmetric, or --degrees, --shear and --distortion change too little at their size"
            return f"these have one colour, {reason}: raise these, or lower --factor"
        return f"these are symmetric, so that fewer differ by {self._reversals} alone: raise --degrees, --shear or --distortion, or lower --factor"

    @property
    def _reversals(self) -> str:
        """The options that mirror copies, of those allowed."""
        return " and ".join(option for option, is_allowed in (("--mirror", self.mirror), ("--flip", self.flip)) if is_allowed)

    def require_differing_copies(self) -> None:
        """Check that a picture and its copies can all differ.

        Raises:
            UsageError: Too few changes are allowed for the factor; names the way out.
        """
        count = 2 ** (self.mirror + self.flip)
        if self.factor <= count or self.is_by_degrees:
            return
        reason, advice = "all copies would be the same as their original", "allow --mirror or --flip, or raise"
        if count > 1:
            reason, advice = f"with {self._reversals} alone, at most {count} pictures made of one differ", "raise"
        raise UsageError(f"--factor {self.factor}: {reason}; {advice} --degrees, --shear or --distortion, or give --factor {count}")


@dataclass(frozen=True)
class Warp:
    """The change of one copy."""

    mirror: bool
    flip: bool
    degrees: float
    shear: tuple[float, float]
    shifts: Tensor  # (1, 2, 4, 4), horizontal and vertical, in shares of the side


def augment_pictures(
    spec: str | Path, out: Path, settings: AugmentSettings, progress: ProgressCallback = ignore_progress, say: Say = ignore_message
) -> dict[str, Any]:
    """Write `factor` PNG copies of each picture of a set and its matte; an interrupted call can be resumed, and files that are gone are made again.

    Args:
        spec: See `open_source`; if it has split folders, its training pictures are used. Transparency is kept.
        out: Folder, new or empty, or with the same work.
        settings: How far pictures are changed.
        progress: Receives the number of finished and of all pictures.
        say: Receives which part of a source is used, and notes about the pictures.

    Returns:
        Counts (pictures, made, mattes, unreadable), name and reason of each skipped picture, and the source's other files.

    Raises:
        DataError: There is no readable picture.
        UsageError: Copies would be the same as their original or as others, or the folder holds other work or other files.
        ResourceError: The folder cannot be written.
    """
    settings.require_differing_copies()
    source, part = training_source(open_source(spec))
    refuse_output_inside(source, out)
    if part:
        say(part)
    header = {"work": "augment", "version": VERSION, "listing_sha256": source.listing_sha256(), "settings": asdict(settings)}
    is_as_before = settings.is_by_degrees or settings.factor == 1
    earlier = [EarlierWork({**header, "version": EARLIER_VERSION}, lambda line: line)] if is_as_before else []
    with open_journal(out, header, earlier=earlier) as journal:
        done = len(journal.lines)
        _restore_missing(source, out, settings, journal.lines, say)
        results = in_order(source.iterate(source.entries[done:]), partial(_augment, settings))
        for number, (_, (record, files)) in enumerate(results, start=done + 1):
            for name, content in files.items():
                write_unless_other(out / name, content, "--out", root=out)
            journal.append(record)
            progress(number, len(source.entries))
        bad = [line for line in journal.lines if line["reason"]]
        if len(bad) == len(journal.lines):
            raise DataError(f"SRC {source.spec}: none of {len(bad)} files is a usable picture; the first, {bad[0]['name']!r}: {bad[0]['reason']}")
        for sentence in summarize_notes((line["name"], line.get("note", "")) for line in journal.lines):
            say(sentence)
        if repeated := sum(line.get(REPEATED, 0) for line in journal.lines):
            say(f"pictures made that are the same as another one of their original: {repeated:,}; {settings.describe_repeats()}")
        skipped = [{"name": line["name"], "reason": line["reason"]} for line in bad]
        left = source.leftovers.extended(remarks=_describe_bare(source))
        sums = {key: sum(line[key] for line in journal.lines) for key in ("made", "mattes")}
        counts = {"pictures": len(journal.lines) - len(bad), **sums, "unreadable": len(bad)}
        return {**counts, "skipped": skipped + left.skipped(), "leftovers": left.to_json()}


def _restore_missing(source: ImageSource, out: Path, settings: AugmentSettings, lines: Sequence[Mapping[str, Any]], say: Say) -> None:
    """Make the files again that an earlier call made and that are gone, with the same bytes.

    Raises:
        DataError: A picture cannot be read as it was then.
    """
    with translate_disk_errors(out):
        names = {path.name for path in out.iterdir()}
    expected = [{file for copy in range(line["made"]) for file in _file_names(line["name"], copy, with_matte=bool(line["mattes"]))} for line in lines]
    line_of = {line["name"]: line for line, files in zip(lines, expected, strict=True) if files - names}
    gone = [entry for entry in source.entries[: len(lines)] if entry.name in line_of]
    restored = 0
    for entry, (record, files) in in_order(source.iterate(gone), partial(_augment, settings)):
        if {**record, REPEATED: 0} != {**line_of[entry.name], REPEATED: 0}:
            raise DataError(f"SRC {source.spec}: {entry.name!r} is not as it was when its copies were made, and some of these are gone; remove {out}")
        for name in files.keys() - names:
            write_atomically(out / name, files[name], root=out)
            restored += 1
    if restored:
        say(f"{restored:,} files of an earlier call were gone from {out} and are made again")


def _file_names(name: str, copy: int, *, with_matte: bool) -> list[str]:
    """Return the names of the files of one copy of a picture: the picture's, and its matte's if it has one."""
    stem = f"{output_stem(name)}-{copy:02d}"
    return [f"{stem}.png", *([f"{stem}{MATTE_SUFFIX}"] if with_matte else [])]


def _describe_bare(source: ImageSource) -> list[str]:
    """Return in a sentence how many pictures have no matte, if others do."""
    bare = [entry.name for entry in source.entries if entry.matte is None]
    total = len(source.entries)
    return [f"{len(bare):,} of {total:,} pictures have no matte, nor have their copies; the first, {bare[0]!r}"] if 0 < len(bare) < total else []


def draw_warp(settings: AugmentSettings, name: str, copy: int) -> Warp:
    """Return the change of copy 1, 2, ... of a picture, which depends on seed, name and copy alone."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    rng = np.random.default_rng([settings.seed, STREAM_ID, digest, copy])
    if not settings.is_by_degrees:
        mirror, flip = _draw_turn(settings, digest, copy)
        return Warp(mirror, flip, 0.0, (0.0, 0.0), torch.zeros(1, 2, 4, 4))
    shifts = torch.from_numpy(rng.uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)) * settings.distortion
    return Warp(
        mirror=settings.mirror and bool(rng.random() < 0.5),
        flip=settings.flip and bool(rng.random() < 0.5),
        degrees=float(rng.uniform(-1, 1) * settings.degrees),
        shear=(float(rng.uniform(-1, 1) * settings.shear_degrees), float(rng.uniform(-1, 1) * settings.shear_degrees)),
        shifts=shifts,
    )


def _draw_turn(settings: AugmentSettings, digest: int, copy: int) -> tuple[bool, bool]:
    """Return whether a copy is mirrored and flipped: each copy of a picture otherwise, and none not at all."""
    turns = [(mirror, flip) for mirror in (False, True)[: 1 + settings.mirror] for flip in (False, True)[: 1 + settings.flip]][1:] or [(False, False)]
    order = np.random.default_rng([settings.seed, STREAM_ID, digest]).permutation(len(turns))
    return turns[int(order[(copy - 1) % len(turns)])]


def warp(planes: Tensor, change: Warp, *, edge: str) -> Tensor:
    """Apply a change; rotation, shear and distortion are combined, so that each pixel is sampled once.

    Args:
        planes: (C, H, W) in [-1, 1]; -1 is transparent.
        change: The change.
        edge: `reflect` continues the picture beyond its edges by mirroring, `constant` by transparency.
    """
    grid = _origins(change, planes.shape[1], planes.shape[2])
    padding = {"reflect": "reflection", "constant": "zeros"}[edge]
    result: Tensor = torch.nn.functional.grid_sample(planes[None] + 1, grid, "bilinear", padding, align_corners=False)[0] - 1  # 0 is transparent
    if change.mirror:
        result = result.flip(2)
    return result.flip(1) if change.flip else result


def _origins(change: Warp, height: int, width: int) -> Tensor:
    """Return where each pixel of the changed picture comes from: (1, H, W, 2), x and y, -1 and 1 at the picture's edges."""
    across, down = (torch.arange(side) + 0.5 - side / 2 for side in (width, height))  # px from the centre
    points = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)  # (H, W, 2)
    angle = math.radians(change.degrees)
    slant_x, slant_y = (math.tan(math.radians(degrees)) for degrees in change.shear)
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = torch.tensor([[1.0, slant_x], [0.0, 1.0]]) @ torch.tensor([[1.0, 0.0], [slant_y, 1.0]])  # keeps areas
    size = torch.tensor([width, height])
    undistorted = points @ torch.linalg.inv(rotation @ shear).T / size * 2
    limit = change.shifts.abs().max()
    field = torch.nn.functional.interpolate(change.shifts, (height, width), mode="bicubic", align_corners=True).clamp(-limit, limit)
    shifts = torch.nn.functional.grid_sample(field, undistorted[None], "bilinear", "border", align_corners=False)  # (1, 2, H, W)
    origins: Tensor = undistorted[None] + 2 * shifts.permute(0, 2, 3, 1)
    return origins


def _augment(settings: AugmentSettings, entry: ImageEntry) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the journal line of a picture, and its files."""
    name = entry.name
    try:
        with translate_resource_faults(f"picture {name!r}"):
            decoded = decode_bytes(entry.read(), keep_alpha=True)
            matte = None if entry.matte is None else decode_matte(entry.matte, decoded)
            return _make_copies(settings, name, decoded, matte)
    except UnreadableImageError as error:
        return {"name": name, "made": 0, "mattes": 0, "reason": str(error)}, {}


def _make_copies(settings: AugmentSettings, name: str, decoded: DecodedImage, matte: Image.Image | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    picture = decoded.picture
    alpha = picture.getchannel("A").getextrema() != (255, 255)
    edge = "constant" if is_cutout(picture) else "reflect"
    picture = picture.convert("RGBa" if alpha else "RGB")
    planes = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    layers = planes if matte is None else torch.cat([planes, torch.from_numpy(np.array(matte))[None]])
    files: dict[str, bytes] = {}
    for copy in range(settings.factor):
        planes = layers
        if copy:
            floats = layers.to(torch.float32) / 127.5 - 1
            planes = to_uint8(warp(floats, draw_warp(settings, name, copy), edge=edge))
        parts = [planes[:4] if alpha else planes[:3], *([] if matte is None else [planes[-1:]])]
        files |= zip(_file_names(name, copy, with_matte=matte is not None), map(_png, parts), strict=True)
    copies = {tuple(files[file] for file in _file_names(name, copy, with_matte=matte is not None)) for copy in range(settings.factor)}
    remarks: dict[str, Any] = {"note": decoded.note} if decoded.note else {}
    if len(copies) < settings.factor:
        remarks[REPEATED] = settings.factor - len(copies)
    return {"name": name, "made": settings.factor, "mattes": 0 if matte is None else settings.factor, "reason": "", **remarks}, files


def _png(planes: Tensor) -> bytes:
    pixels = planes.permute(1, 2, 0).contiguous().numpy()
    if len(planes) == 4:
        np.minimum(pixels[..., :3], pixels[..., 3:], out=pixels[..., :3])
        picture = Image.frombytes("RGBa", (pixels.shape[1], pixels.shape[0]), pixels.tobytes()).convert("RGBA")
    else:
        picture = Image.fromarray(pixels[..., 0] if len(planes) == 1 else pixels)
    return encode_dataset_png(picture)
