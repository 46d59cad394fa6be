"""The thesis' offline enlargement of a set: mirrored both ways, slightly turned, sheared and distorted; mattes go along."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mitlgan.data.build.journal import Journal
from mitlgan.data.build.matte_rules import decode_matte
from mitlgan.data.build.notes import summarize_notes
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, is_cutout
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import ImageSource, open_source, output_stem, refuse_output_inside
from mitlgan.data.splits import training_source
from mitlgan.errors import DataError, naming_faults
from mitlgan.images.encode import encode_dataset_png
from mitlgan.images.pixels import to_uint8
from mitlgan.runtime.files import ensure_folder, folder_lock, write_atomically
from mitlgan.runtime.progress import ProgressCallback

VERSION = 3  # raise it when the same pictures and settings make other files
PURPOSE = 0xA06


@dataclass(frozen=True)
class AugmentSettings:
    """How far pictures are changed.

    Attributes:
        factor: Pictures made of each, the unchanged one among them.
        seed: Decides every change.
        mirror: Left to right in half of the copies.
        flip: Top to bottom in half of the copies.
        degrees: Largest turn.
        shear_degrees: Largest shear.
        distortion: Largest shift of the elastic distortion / side of the picture.
    """

    factor: int = 4
    seed: int = 0
    mirror: bool = True
    flip: bool = True
    degrees: float = 10.0
    shear_degrees: float = 6.0
    distortion: float = 0.03


@dataclass(frozen=True)
class Warp:
    """What is done to one copy."""

    mirror: bool
    flip: bool
    degrees: float
    shear: tuple[float, float]
    shifts: Tensor  # (1, 2, 4, 4), across and down, in shares of the side


def augment_pictures(
    spec: str | Path, out: Path, settings: AugmentSettings, progress: ProgressCallback | None = None, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Write `factor` pictures for each of a set, as PNG, with their mattes (`NAME.matte.png`) changed alike; goes on where it was stopped.

    Args:
        spec: See `open_source`; of one that has split folders the training pictures are taken.
            Transparency is kept; a picture that has no matte beside it gets none.
        out: Folder.
        settings: How far.
        progress: Told how many of how many are done.
        say: Told in one line which part of a source was taken, and for each kind what is to be known of pictures that were taken.

    Returns:
        Counts (pictures, made, mattes, unreadable), the name and reason of each picture that is skipped, and the source's other files.

    Raises:
        DataError: Nothing readable.
        UsageError: A folder with other work.
        ResourceError: The folder cannot be written.
    """
    source, part = training_source(open_source(spec))
    refuse_output_inside(source, out)
    if part and say is not None:
        say(part)
    ensure_folder(out)
    header = {"work": "augment", "version": VERSION, "listing_sha256": source.listing_sha256(), "settings": asdict(settings)}
    with folder_lock(out), Journal(out / ".journal.jsonl", header) as journal:
        done = len(journal.lines)
        made = in_order(source.iterate(source.entries[done:]), partial(_made, settings))
        for number, (_, (record, files)) in enumerate(made, start=done + 1):
            for name, content in files.items():
                write_atomically(out / name, content)
            journal.append(record)
            if progress is not None:
                progress(number, len(source.entries))
        bad = [line for line in journal.lines if line["reason"]]
        if len(bad) == len(journal.lines):
            raise DataError(f"SRC {source.spec}: none of {len(bad)} files is a usable picture; the first, {bad[0]['name']!r}: {bad[0]['reason']}")
        if say is not None:
            for sentence in summarize_notes((line["name"], line.get("note", "")) for line in journal.lines):
                say(sentence)
        skipped = [{"name": line["name"], "reason": line["reason"]} for line in bad]
        left = source.leftovers.extended(remarks=_unmatched(source))
        sums = {key: sum(line[key] for line in journal.lines) for key in ("made", "mattes")}
        counts = {"pictures": len(journal.lines) - len(bad), **sums, "unreadable": len(bad)}
        return {**counts, "skipped": skipped + left.skipped(), "leftovers": left.to_json()}


def _unmatched(source: ImageSource) -> list[str]:
    bare = [entry.name for entry in source.entries if entry.matte is None]
    total = len(source.entries)
    return [f"{len(bare):,} of {total:,} pictures have no matte, nor have their copies; the first, {bare[0]!r}"] if 0 < len(bare) < total else []


def draw_warp(settings: AugmentSettings, name: str, copy: int) -> Warp:
    """What is done to copy 1, 2, ... of a picture: a function of seed, name and copy alone."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    rng = np.random.default_rng([settings.seed, PURPOSE, digest, copy])
    shifts = torch.from_numpy(rng.uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)) * settings.distortion
    return Warp(
        mirror=settings.mirror and bool(rng.random() < 0.5),
        flip=settings.flip and bool(rng.random() < 0.5),
        degrees=float(rng.uniform(-1, 1) * settings.degrees),
        shear=(float(rng.uniform(-1, 1) * settings.shear_degrees), float(rng.uniform(-1, 1) * settings.shear_degrees)),
        shifts=shifts,
    )


def warp(planes: Tensor, change: Warp, *, edge: str) -> Tensor:
    """Apply a change: each pixel is taken once, from where turn, shear and distortion together bring it from.

    Args:
        planes: (C, H, W) in [-1, 1]; -1 is transparent where planes end.
        change: What.
        edge: `reflect` continues the picture beyond its edge, mirrored as often as it takes; `constant` with transparency.
    """
    grid = _origins(change, planes.shape[1], planes.shape[2])
    beyond = {"reflect": "reflection", "constant": "zeros"}[edge]
    result: Tensor = torch.nn.functional.grid_sample(planes[None] + 1, grid, "bilinear", beyond, align_corners=False)[0] - 1  # 0 is transparent
    if change.mirror:
        result = result.flip(2)
    return result.flip(1) if change.flip else result


def _origins(change: Warp, height: int, width: int) -> Tensor:
    """Where in a picture each pixel of the changed one comes from: (1, H, W, 2), across and down, -1 and 1 being the picture's edges."""
    across, down = (torch.arange(side) + 0.5 - side / 2 for side in (width, height))  # px from the centre
    points = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)  # (H, W, 2)
    turn = math.radians(change.degrees)
    slant_x, slant_y = (math.tan(math.radians(degrees)) for degrees in change.shear)
    turned = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    sheared = torch.tensor([[1.0, slant_x], [0.0, 1.0]]) @ torch.tensor([[1.0, 0.0], [slant_y, 1.0]])  # areas stay
    size = torch.tensor([width, height])
    straight = points @ torch.linalg.inv(turned @ sheared).T / size * 2
    limit = change.shifts.abs().max()
    field = torch.nn.functional.interpolate(change.shifts, (height, width), mode="bicubic", align_corners=True).clamp(-limit, limit)
    shifts = torch.nn.functional.grid_sample(field, straight[None], "bilinear", "border", align_corners=False)  # (1, 2, H, W)
    origins: Tensor = straight[None] + 2 * shifts.permute(0, 2, 3, 1)
    return origins


def _made(settings: AugmentSettings, entry: ImageEntry) -> tuple[dict[str, Any], dict[str, bytes]]:
    with naming_faults(f"picture {entry.name!r}"):
        return _augmented(settings, entry)


def _augmented(settings: AugmentSettings, entry: ImageEntry) -> tuple[dict[str, Any], dict[str, bytes]]:
    name = entry.name
    try:
        decoded = decode_bytes(entry.read(), keep_alpha=True)
        matte = None if entry.matte is None else decode_matte(entry.matte, decoded)
    except UnreadableImageError as error:
        return {"name": name, "made": 0, "mattes": 0, "reason": str(error)}, {}
    picture = decoded.picture
    alpha = picture.getchannel("A").getextrema() != (255, 255)
    edge = "constant" if is_cutout(picture) else "reflect"
    picture = picture.convert("RGBa" if alpha else "RGB")
    planes = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    layers = planes if matte is None else torch.cat([planes, torch.from_numpy(np.array(matte))[None]])
    files: dict[str, bytes] = {}
    for copy in range(settings.factor):
        made = layers
        if copy:
            floats = layers.to(torch.float32) / 127.5 - 1
            made = to_uint8(warp(floats, draw_warp(settings, name, copy), edge=edge))
        stem = f"{output_stem(name)}-{copy:02d}"
        files[f"{stem}.png"] = _png(made[:4] if alpha else made[:3])
        if matte is not None:
            files[f"{stem}{MATTE_SUFFIX}"] = _png(made[-1:])
    note = {"note": decoded.note} if decoded.note else {}
    return {"name": name, "made": settings.factor, "mattes": 0 if matte is None else settings.factor, "reason": "", **note}, files


def _png(planes: Tensor) -> bytes:
    pixels = planes.permute(1, 2, 0).contiguous().numpy()
    if len(planes) == 4:
        np.minimum(pixels[..., :3], pixels[..., 3:], out=pixels[..., :3])
        picture = Image.frombytes("RGBa", (pixels.shape[1], pixels.shape[0]), pixels.tobytes()).convert("RGBA")
    else:
        picture = Image.fromarray(pixels[..., 0] if len(planes) == 1 else pixels)
    return encode_dataset_png(picture)
