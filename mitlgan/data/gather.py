"""`data prepare`: any pictures into a pack with a manifest of every decision; resumable, in bounded memory, on all cores."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mitlgan.data.crops import Cropper
from mitlgan.data.decode import Decoded, UnreadableError, decode, decode_bytes
from mitlgan.data.frame import RESIZES, to_planes
from mitlgan.data.journal import Journal
from mitlgan.data.known import signatures_of
from mitlgan.data.packed import FourthChannel, Packed
from mitlgan.data.parallel import in_order
from mitlgan.data.prepare import BAD_SHARE, PREPARED
from mitlgan.data.select import Selection, selected
from mitlgan.data.signature import Signature, from_plain, near_pairs, signature
from mitlgan.data.sources import Entry, Source, matte_beside, open_source
from mitlgan.data.writer import PackWriter
from mitlgan.errors import DataError, UsageError
from mitlgan.files import disk_errors, locked, make_folder

VERSION = 2  # raise it when the same pictures and settings make other pixels
DEDUPE = ("exact", "near", "none")
SYNC_EVERY = 512
FLUSH_INTERVAL_S = 0.1  # a kill costs so much work at the most
LOOK_PX = 64  # smaller pictures tell too little to find look-alikes by
Progress = Callable[[int, int], None]
Work = tuple[dict[str, Any], NDArray[np.uint8] | None]


@dataclass(frozen=True)
class PrepareSettings:
    """How pictures are prepared.

    Attributes:
        size_px: Height and width.
        resize: Name of the filter.
        crop: See `crops.CROPS`.
        keep_alpha: Keep transparency as a fourth channel.
        backdrop: What transparent pixels are laid on otherwise.
        blur_px: Gaussian blur of the prepared picture; the thesis blurred its photographs for backgrounds.
        min_size_px: Smaller sides are left out.
        max_aspect: Longer pictures (longer side / shorter side) are left out; 0 for any.
        dedupe: `exact`: equal files; `near`: also those that look alike; of each group the first stays.
        placeholder_copies: A file that comes so often is a placeholder ("no image available"): all copies are left out; 0 for never.
        keep_blank: Keep pictures of one colour.
        exclude: Names to leave out.
        against: Other sets (folders or packs) that no picture may also be in: so held-out pictures stay held out.
    """

    size_px: int = 128
    resize: str = "lanczos"
    crop: str = "center"
    keep_alpha: bool = False
    backdrop: tuple[int, int, int] = (255, 255, 255)
    blur_px: float = 0.0
    min_size_px: int = 0
    max_aspect: float = 0.0
    dedupe: str = "exact"
    placeholder_copies: int = 5
    keep_blank: bool = False
    exclude: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def prepare(
    spec: str | Path,
    out: Path,
    settings: PrepareSettings,
    *,
    selection: Selection | None = None,
    allow_bad: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Read, check, choose, crop, resize and pack; killed, it goes on where it stopped and ends with the same bytes.

    Args:
        spec: See `open_source`; with a selection, the folder of its pictures.
        out: Folder for the pack.
        settings: How.
        selection: Which, by tables.
        allow_bad: Go on when more than 5 % of the files are no usable pictures.
        progress: Told how many of how many are done.

    Returns:
        The pack; its manifest lists every picture taken, and every one left out with the reason.

    Raises:
        DataError: Nothing usable, or too many bad files.
        UsageError: Settings that do not exist, or a folder with other work.
        ResourceError: The folder cannot be written.
    """
    if settings.resize not in RESIZES:
        raise UsageError(f"--resize {settings.resize}: no such filter; choose {', '.join(RESIZES)}")
    if settings.dedupe not in DEDUPE:
        raise UsageError(f"--dedupe {settings.dedupe}: choose {', '.join(DEDUPE)}")
    source = selected(selection, Path(spec)) if selection else open_source(spec)
    others = [(other, *signatures_of(other)) for other in settings.against]
    make_folder(out)
    header = {
        "work": "prepare",
        "version": VERSION,
        "listing_sha256": source.listing_sha256(),
        "settings": json.loads(json.dumps(asdict(settings))),
        "selection": selection.plain() if selection else None,
        "against_sha256": [digest for _, digest, _ in others],
    }
    with locked(out), Journal(out / ".journal.jsonl", header) as journal:
        made = _already(out, header)
        if made is not None:
            return made
        with_matte = not settings.keep_alpha and all(entry.path is not None and matte_beside(entry.path).is_file() for entry in source.entries)
        channels = 4 if settings.keep_alpha or with_matte else 3
        _read_all(source, out, settings, journal, channels, progress)
        left_out = _decide(journal.lines, settings, [(other, found) for other, _, found in others])
        _refuse_bad(source, left_out, allow_bad)
        fourth: FourthChannel | None = "alpha" if settings.keep_alpha else "matte" if with_matte else None
        packed = _publish(out, header, journal, left_out, fourth, settings)
        (out / ".pixels").unlink(missing_ok=True)
        return packed


def _already(out: Path, header: dict[str, Any]) -> Packed | None:
    with suppress(DataError):
        packed = Packed.open(out / PREPARED)
        if packed.manifest["made_by"] == header:
            return packed
    return None


def _read_all(source: Source, out: Path, settings: PrepareSettings, journal: Journal, channels: int, progress: Progress | None) -> None:
    """Decode what the journal does not have yet; pixels go to a file, one row per usable picture, before the journal says so."""
    row_bytes = channels * settings.size_px**2
    path = out / ".pixels"
    with disk_errors(path):
        path.touch()
        whole = path.stat().st_size // row_bytes
        count = rows = 0
        for line in journal.lines:  # after a power cut the journal may be ahead of the pixels
            if "outline" in line and rows == whole:
                break
            rows += "outline" in line
            count += 1
        if count < len(journal.lines):
            journal.keep(count)
        with path.open("r+b") as pixels:
            pixels.truncate(rows * row_bytes)
            pixels.seek(0, 2)
            cropper = Cropper(settings.crop)
            flushed = time.monotonic()
            for number, (_, (record, planes)) in enumerate(in_order(_contents(source, count), _worker(settings, cropper, channels)), start=count + 1):
                if planes is not None:
                    pixels.write(planes.tobytes())
                flush = time.monotonic() - flushed >= FLUSH_INTERVAL_S
                if flush:
                    flushed = time.monotonic()
                    pixels.flush()  # before the journal: what it names is there
                journal.append(record, flush=flush)
                if number % SYNC_EVERY == 0:
                    journal.sync()
                if progress is not None:
                    progress(number, len(source.entries))


def _contents(source: Source, start: int) -> Iterator[tuple[Entry, bytes | UnreadableError | None]]:
    for entry in source.entries[start:]:
        try:
            yield entry, entry.read() if source.sequential else None
        except UnreadableError as error:
            yield entry, error


def _worker(settings: PrepareSettings, cropper: Cropper, channels: int) -> Callable[[tuple[Entry, bytes | UnreadableError | None]], Work]:
    excluded = set(settings.exclude)

    def work(item: tuple[Entry, bytes | UnreadableError | None]) -> Work:
        entry, content = item
        record: dict[str, Any] = {"name": entry.name}
        if entry.name in excluded:
            return record | {"reason": "excluded: named in --exclude"}, None
        try:
            if isinstance(content, UnreadableError):
                raise content
            decoded = decode_bytes(
                entry.read() if content is None else content,
                keep_alpha=settings.keep_alpha,
                size_px=settings.size_px * (4 if settings.crop == "face" else 1),
                backdrop=settings.backdrop,
            )
            reason = _unfit(decoded, settings)
            if reason:
                return record | {"reason": reason, "sha256": decoded.sha256}, None
            with_matte = channels == 4 and not settings.keep_alpha
            return _prepared(entry, decoded, settings, cropper, with_matte)
        except UnreadableError as error:
            return record | {"reason": str(error), "bad": True}, None

    return work


def _unfit(decoded: Decoded, settings: PrepareSettings) -> str:
    shorter, longer = sorted((decoded.width, decoded.height))
    if shorter < settings.min_size_px:
        return f"small: {decoded.width} x {decoded.height} px, less than {settings.min_size_px}"
    if settings.max_aspect and longer > settings.max_aspect * shorter:
        return f"elongated: {decoded.width} x {decoded.height} px, more than {settings.max_aspect:g} to 1"
    return ""


def _prepared(entry: Entry, decoded: Decoded, settings: PrepareSettings, cropper: Cropper, with_matte: bool) -> Work:
    box = cropper(decoded.picture)
    whole = decoded.picture.convert("RGBa") if decoded.picture.mode == "RGBA" else decoded.picture
    picture = whole.resize((settings.size_px, settings.size_px), RESIZES[settings.resize], box=box)
    looked_at = picture if settings.size_px >= LOOK_PX else whole.resize((LOOK_PX, LOOK_PX), Image.Resampling.BOX, box=box)
    found = signature(looked_at, decoded.sha256)
    if settings.blur_px:
        picture = picture.filter(ImageFilter.GaussianBlur(settings.blur_px))
    planes = to_planes(picture)
    if with_matte and entry.path is not None:
        matte = decode(matte_beside(entry.path), keep_alpha=False)
        scale = matte.picture.width / decoded.picture.width
        moved = (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)
        cut = matte.picture.resize((settings.size_px, settings.size_px), RESIZES[settings.resize], box=moved)
        planes = np.concatenate([planes, to_planes(cut)[:1]])
    note = {"note": decoded.note} if decoded.note else {}
    size = {"width": decoded.width, "height": decoded.height}
    return {"name": entry.name, **found.plain(), **size, **note}, planes


def _decide(lines: list[dict[str, Any]], settings: PrepareSettings, others: list[tuple[str, list[tuple[str, Signature]]]]) -> dict[int, dict[str, Any]]:
    """What is left out of the whole set, by position, with the reason; of what looks alike the first stays."""
    left_out = {position: line for position, line in enumerate(lines) if "outline" not in line}
    known = [(position, found) for position, line in enumerate(lines) if (found := from_plain(line))]
    copies = Counter(found.sha256 for _, found in known)

    def leave(position: int, reason: str) -> None:
        left_out.setdefault(position, {"name": lines[position]["name"], "reason": reason})

    for position, found in known:
        if settings.placeholder_copies and copies[found.sha256] >= settings.placeholder_copies:
            leave(position, f"placeholder: the same file comes {copies[found.sha256]} times")
        elif found.blank and not settings.keep_blank:
            leave(position, "blank: one colour")
    _leave_known(known, others, settings.dedupe, leave)
    if settings.dedupe == "none":
        return left_out
    first: dict[str, int] = {}
    for position, found in known:
        if position in left_out:
            continue
        if found.sha256 in first:
            leave(position, f"duplicate: the same file as {lines[first[found.sha256]]['name']!r}")
        first.setdefault(found.sha256, position)
    if settings.dedupe == "near":
        kept = [(position, found) for position, found in known if position not in left_out]
        for one, other in near_pairs([found for _, found in kept]):
            if kept[one][0] not in left_out:
                leave(kept[other][0], f"near duplicate: looks like {lines[kept[one][0]]['name']!r}")
    return left_out


def _leave_known(
    known: list[tuple[int, Signature]], others: list[tuple[str, list[tuple[str, Signature]]]], dedupe: str, leave: Callable[[int, str], None]
) -> None:
    """Leave out what another set has."""
    for spec, members in others:
        names = {found.sha256: name for name, found in members}
        for position, found in known:
            if found.sha256 in names:
                leave(position, f"held out: the same file as {names[found.sha256]!r} in {spec}")
        if dedupe == "near":
            both = [found for _, found in members] + [found for _, found in known]
            for one, other in near_pairs(both):
                if one < len(members) <= other:
                    leave(known[other - len(members)][0], f"held out: looks like {members[one][0]!r} in {spec}")


def _refuse_bad(source: Source, left_out: dict[int, dict[str, Any]], allow_bad: bool) -> None:
    total, bad = len(source.entries), [line for line in left_out.values() if line.get("bad")]
    if len(left_out) == total:
        first = next(iter(left_out.values()))
        raise DataError(f"SRC {source.spec}: none of its {total} files can be taken; the first, {first['name']!r}: {first['reason']}")
    if len(bad) > BAD_SHARE * total and not allow_bad:
        raise DataError(
            f"SRC {source.spec}: {len(bad)} of {total} files are no usable pictures, the first {bad[0]['name']!r}: {bad[0]['reason']}; "
            "remove them, or go on with --allow-bad"
        )


def _publish(
    out: Path, header: dict[str, Any], journal: Journal, left_out: dict[int, dict[str, Any]], fourth: FourthChannel | None, settings: PrepareSettings
) -> Packed:
    shape = (4 if fourth else 3, settings.size_px, settings.size_px)
    length = int(np.prod(shape))
    with PackWriter(out / PREPARED, settings.size_px, fourth) as writer, (out / ".pixels").open("rb") as pixels:
        for position, line in enumerate(journal.lines):
            if "outline" not in line:
                continue
            content = pixels.read(length)
            if position not in left_out:
                writer.append(np.frombuffer(content, np.uint8).reshape(shape), line)
        skipped = [{"name": line["name"], "reason": line["reason"]} for _, line in sorted(left_out.items())]
        crop = {"center": "centred square", "entropy": "busiest square", "face": "square around the largest face"}[settings.crop]
        return writer.publish(resize=settings.resize, crop=crop, licence="", made_by=header, skipped=skipped)
