"""`data prepare`: any pictures into a pack with a manifest of every decision; resumable, in bounded memory, on all cores."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mitlgan.data.build.journal import Journal
from mitlgan.data.build.matte_rules import use_mattes
from mitlgan.data.build.parallel import WorkerDiedError, in_order, in_processes, processes_for
from mitlgan.data.build.pixel_file import BLOCK_BYTES, PixelFile
from mitlgan.data.build.prepare_image import ImagePreparer, JournalEntry, PrepareSettings, Task
from mitlgan.data.build.resize import RESIZE_FILTERS
from mitlgan.data.curate.exclude_list import describe_unknown_names
from mitlgan.data.curate.perceptual_hash import PictureHash, are_blank, find_near_pairs, hash_from_json
from mitlgan.data.curate.table_selection import Selection, select_pictures
from mitlgan.data.decode.image_file import UnreadableImageError
from mitlgan.data.layers.holdout import (
    HELD_OUT,
    HoldoutSize,
    Photograph,
    SplitAssignment,
    assign_splits,
    augmented_families,
    describe_splits,
    splits_by_folder,
)
from mitlgan.data.pack.image_pack import PREPARED_PACK, FourthChannel, ImagePack
from mitlgan.data.pack.writer import PackWriter, pack_header
from mitlgan.data.sources.image_source import MAX_UNREADABLE_FRACTION, ImageEntry, ImageSource, contents, open_source
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.data.splits import split_source
from mitlgan.errors import DataError, ResourceError, Stopped, UsageError
from mitlgan.runtime.files import disk_errors, ensure_folder, folder_lock
from mitlgan.runtime.signals import StopSignals

VERSION = 4  # raise it when the same pictures and settings make other pixels or records
DEDUPE = ("exact", "near", "none")
SYNC_EVERY = 512
MAX_BATCH = 8  # pictures that a worker process gets at once
MAX_BATCH_BYTES = 1 << 20
FLUSH_INTERVAL_S = 0.1  # a kill costs so much work at the most
Progress = Callable[[int, int], None]


def prepare_pack(
    spec: str | Path,
    out: Path,
    settings: PrepareSettings,
    *,
    selection: Selection | None = None,
    allow_bad: bool = False,
    progress: Progress | None = None,
) -> ImagePack:
    """Read, check, choose, crop, resize and pack; killed, it goes on where it stopped and ends with the same bytes.

    Args:
        spec: See `open_source`; with a selection, the folder of its pictures.
        out: Folder for the pack.
        settings: How.
        selection: Which, by tables.
        allow_bad: Go on when more than 5 % of the files are no usable pictures.
        progress: Told how many of how many are done.

    Returns:
        The pack of the training pictures; its manifest lists every picture taken, and every one left out with the reason. What is held out lies beside
        it, as `test/prepared.npy` (and `validation/prepared.npy`, where the source has such pictures).

    Raises:
        DataError: Nothing usable, or too many bad files.
        UsageError: Settings that do not exist, or a folder with other work.
        ResourceError: The folder cannot be written.
    """
    if settings.resize not in RESIZE_FILTERS:
        raise UsageError(f"--resize {settings.resize}: no such filter; choose {', '.join(RESIZE_FILTERS)}")
    if settings.dedupe not in DEDUPE:
        raise UsageError(f"--dedupe {settings.dedupe}: choose {', '.join(DEDUPE)}")
    HoldoutSize.parse(settings.holdout)  # says now whether it can be had
    source = select_pictures(selection, Path(spec)) if selection else open_source(spec)
    listing_sha256 = source.listing_sha256()
    unknown = describe_unknown_names(settings.exclude, (entry.name for entry in source.entries), "--exclude")
    source, with_matte = use_mattes(source, "--keep-alpha keeps transparency in their place" if settings.keep_alpha else "")
    others = _others(settings)
    source = source.subset(source.entries, remarks=[*unknown, *(remark for *_, remarks in others for remark in remarks)])
    ensure_folder(out)
    header = {
        "work": "prepare",
        "version": VERSION,
        "listing_sha256": listing_sha256,
        "settings": json.loads(json.dumps(asdict(settings))),
        "selection": selection.plain() if selection else None,
        "against_sha256": [digest for _, digest, _, _ in others],
    }
    with folder_lock(out), Journal(out / ".journal.jsonl", header) as journal:
        made = _already(out, header)
        if made is not None:
            return made
        fourth: FourthChannel | None = "alpha" if settings.keep_alpha else "matte" if with_matte else None
        rows = _rows(out, settings, fourth)
        _read_all(source, rows, journal, settings, with_matte, progress)
        left_out = _decide(journal.lines, settings, [(other, found) for other, _, found, _ in others])
        _leave_beside(source, left_out)
        _refuse_bad(source, left_out, allow_bad)
        packed = _publish_splits(source, out, header, journal, rows, left_out, fourth, settings)
        rows.path.unlink(missing_ok=True)
        return packed


def _leave_beside(source: ImageSource, left_out: dict[int, dict[str, Any]]) -> None:
    """Leave out the pictures that lie beside split folders, in no split."""
    _, found = split_source(source)
    for position in found.unassigned:
        left_out.setdefault(position, {"name": source.entries[position].name, "reason": "beside the split folders, in none of them"})


def _others(settings: PrepareSettings) -> list[tuple[str, str, list[tuple[str, PictureHash]], list[str]]]:
    """The sets that no picture may also be in: as they were named, a hash of what they are, what is in them, and what of them is not known."""
    if not settings.against:
        return []
    from mitlgan.data.curate.reference_sets import read_reference_set  # brings all readers

    return [(other, *read_reference_set(other)) for other in settings.against]


def _already(out: Path, header: dict[str, Any]) -> ImagePack | None:
    with suppress(DataError):
        packed = ImagePack.open(out / PREPARED_PACK)
        if packed.manifest["made_by"] | header == packed.manifest["made_by"]:
            return packed
    return None


def _rows(out: Path, settings: PrepareSettings, fourth: FourthChannel | None) -> PixelFile:
    """Where the pixels go: of equal files the later ones are left out in any case, unless equal ones are wanted."""
    channels = 4 if fourth else 3
    room = len(pack_header(0, channels, settings.size_px))
    return PixelFile(out / ".prepared.npy", room, channels * settings.size_px**2, first_only=settings.dedupe != "none")


def _read_all(source: ImageSource, rows: PixelFile, journal: Journal, settings: PrepareSettings, with_matte: bool, progress: Progress | None) -> None:
    """Decode what the journal does not have yet; pixels go to their file before the journal says so."""
    with disk_errors(rows.path), rows:
        count = rows.keep(journal.lines)
        if count < len(journal.lines):
            journal.truncate(count)
        flushed = time.monotonic()
        with closing(_shaped(source, count, settings, with_matte)) as results, StopSignals() as stop:
            for number, (record, planes) in enumerate(results, start=count + 1):
                if planes is not None:
                    rows.add(number - 1, record, planes)
                flush = time.monotonic() - flushed >= FLUSH_INTERVAL_S
                if flush:
                    flushed = time.monotonic()
                    rows.flush()  # before the journal: what it names is there
                journal.append(record, flush=flush)
                if number % SYNC_EVERY == 0:
                    rows.sync(then=journal.sync)
                if progress is not None:
                    progress(number, len(source.entries))
                if stop.received is not None and number < len(source.entries):
                    raise Stopped(f"prepare: stopped at {number} of {len(source.entries)}; the same command goes on", stop.received)


def _shaped(source: ImageSource, start: int, settings: PrepareSettings, with_matte: bool) -> Generator[JournalEntry, None, None]:
    """The rest of the pictures, shaped in order, by threads or, where they are many, by processes."""
    shaper = ImagePreparer(settings, with_matte)  # says now whether it can be had
    count = processes_for(len(source.entries) - start)
    if not count:
        yield from (shaped for _, (shaped,) in in_order(_tasks(source, start), lambda task: shaper([task])))
        return
    try:
        with closing(in_processes(_batches(_tasks(source, start)), partial(ImagePreparer, settings, with_matte), count)) as results:
            yield from results
    except WorkerDiedError as error:
        who = f"picture {error.item.name!r}: the process that read it" if error.item else "worker processes: the first"
        raise ResourceError(f"{who} was killed; free some memory, or leave such a picture out with --exclude (in another folder)") from None


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    batch, size = list[Task](), 0
    for task in tasks:
        batch.append(task)
        size += len(task.content or b"")
        if len(batch) == MAX_BATCH or size >= MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _tasks(source: ImageSource, start: int) -> Iterator[Task]:
    for found in contents(source, source.entries[start:]):
        matte = None if found.entry.matte is None else _task(found.entry.matte, found.matte)
        yield replace(_task(found.entry, found.picture), matte=matte)


def _task(entry: ImageEntry, content: bytes | UnreadableImageError | None) -> Task:
    if isinstance(content, UnreadableImageError):
        return Task(entry.name, entry.file, fault=str(content))
    return Task(entry.name, entry.file, content)


def _decide(
    lines: list[dict[str, Any]], settings: PrepareSettings, others: list[tuple[str, list[tuple[str, PictureHash]]]]
) -> dict[int, dict[str, Any]]:
    """What is left out of the whole set, by position, with the reason; of what looks alike the first stays."""
    left_out = {position: line for position, line in enumerate(lines) if "outline" not in line}
    known = [(position, found) for position, line in enumerate(lines) if (found := hash_from_json(line))]
    copies = Counter(found.sha256 for _, found in known)

    def leave(position: int, reason: str) -> None:
        left_out.setdefault(position, {"name": lines[position]["name"], "reason": reason})

    for (position, found), one_colour in zip(known, are_blank([found for _, found in known]), strict=True):
        if settings.placeholder_copies and copies[found.sha256] >= settings.placeholder_copies:
            leave(position, f"placeholder: the same file comes {copies[found.sha256]} times")
        elif one_colour and not settings.keep_blank:
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
        for one, other in find_near_pairs([found for _, found in kept]):
            if kept[one][0] not in left_out:
                leave(kept[other][0], f"near duplicate: looks like {lines[kept[one][0]]['name']!r}")
    return left_out


def _leave_known(
    known: list[tuple[int, PictureHash]], others: list[tuple[str, list[tuple[str, PictureHash]]]], dedupe: str, leave: Callable[[int, str], None]
) -> None:
    """Leave out what another set has."""
    for spec, members in others:
        names = {found.sha256: name for name, found in members}
        for position, found in known:
            if found.sha256 in names:
                leave(position, f"held out: the same file as {names[found.sha256]!r} in {spec}")
        if dedupe == "near":
            both = [found for _, found in members] + [found for _, found in known]
            for one, other in find_near_pairs(both):
                if one < len(members) <= other:
                    leave(known[other - len(members)][0], f"held out: looks like {members[one][0]!r} in {spec}")


def _refuse_bad(source: ImageSource, left_out: dict[int, dict[str, Any]], allow_bad: bool) -> None:
    total, bad = len(source.entries), [line for line in left_out.values() if line.get("bad")]
    if len(left_out) == total:
        first = next(iter(left_out.values()))
        raise DataError(f"SRC {source.spec}: none of its {total} files can be taken; the first, {first['name']!r}: {first['reason']}")
    if len(bad) > MAX_UNREADABLE_FRACTION * total and not allow_bad:
        raise DataError(
            f"SRC {source.spec}: {len(bad)} of {total} files are no usable pictures, the first {bad[0]['name']!r}: {bad[0]['reason']}; "
            "remove them, or go on with --allow-bad"
        )


def _publish_splits(
    source: ImageSource,
    out: Path,
    header: dict[str, Any],
    journal: Journal,
    rows: PixelFile,
    left_out: dict[int, dict[str, Any]],
    fourth: FourthChannel | None,
    settings: PrepareSettings,
) -> ImagePack:
    """A pack for each split, that for training last: where it is, all are."""
    kept = [position for position in rows.positions if position not in left_out]
    assignment = _assigned(source, [journal.lines[position] for position in kept], settings)
    skipped = [{"name": line["name"], "reason": line["reason"]} for _, line in sorted(left_out.items())]
    for split in HELD_OUT:
        if split in assignment.splits:
            ensure_folder(out / split)
            chosen = {position for position, found in zip(kept, assignment.splits, strict=True) if found == split}
            _publish(out / split / PREPARED_PACK, header | {"split": split}, journal, rows, chosen, fourth, settings)
    chosen = {position for position, found in zip(kept, assignment.splits, strict=True) if found not in HELD_OUT}
    made_by = header | {"held_out": describe_splits(assignment.splits), "note": assignment.note}
    return _publish(out / PREPARED_PACK, made_by, journal, rows, chosen, fourth, settings, skipped + source.leftovers.skipped(), source.leftovers)


def _assigned(source: ImageSource, lines: list[dict[str, Any]], settings: PrepareSettings) -> SplitAssignment:
    names = [line["name"] for line in lines]
    looks = [look for line in lines if (look := hash_from_json(line))]
    known = dict(zip((entry.name for entry in source.entries), splits_by_folder([entry.name for entry in source.entries]), strict=True))
    photographs = [Photograph(*values) for values in zip(looks, [known[name] for name in names], augmented_families(source.spec, names), strict=True)]
    return assign_splits(photographs, HoldoutSize.parse(settings.holdout))


def _publish(
    path: Path,
    made_by: dict[str, Any],
    journal: Journal,
    rows: PixelFile,
    chosen: set[int],
    fourth: FourthChannel | None,
    settings: PrepareSettings,
    skipped: Sequence[dict[str, str]] = (),
    leftovers: Leftovers | None = None,
) -> ImagePack:
    with PackWriter(path, settings.size_px, fourth) as writer:
        if len(chosen) == len(rows.positions):
            writer.adopt_file(rows.path, rows.digest, [journal.lines[position] for position in rows.positions])
        else:
            _copy_chosen(writer, rows, journal, chosen)
        crop = {"center": "centred square", "entropy": "busiest square", "face": "square around the largest face"}[settings.crop]
        return writer.publish(resize=settings.resize, crop=crop, licence="", made_by=made_by, skipped=list(skipped), leftovers=leftovers)


def _copy_chosen(writer: PackWriter, rows: PixelFile, journal: Journal, chosen: set[int]) -> None:
    shape = (writer.channels, writer.size_px, writer.size_px)
    step = max(1, BLOCK_BYTES // rows.row_bytes)
    with rows.path.open("rb") as pixels:
        pixels.seek(rows.room)
        for start in range(0, len(rows.positions), step):
            block = rows.positions[start : start + step]
            found = np.frombuffer(pixels.read(len(block) * rows.row_bytes), np.uint8).reshape(-1, *shape)
            kept = [index for index, position in enumerate(block) if position in chosen]
            writer.extend(found if len(kept) == len(block) else found[kept], [journal.lines[block[index]] for index in kept])
