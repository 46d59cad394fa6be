"""`data prepare`: any pictures into a pack with a manifest of every decision; resumable, in bounded memory, on all cores."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mitlgan.data.decode import UnreadableError
from mitlgan.data.frame import RESIZES
from mitlgan.data.journal import Journal
from mitlgan.data.known import signatures_of
from mitlgan.data.packed import FourthChannel, Packed
from mitlgan.data.parallel import in_order
from mitlgan.data.prepare import BAD_SHARE, PREPARED
from mitlgan.data.select import Selection, selected
from mitlgan.data.shape import PrepareSettings, Shaped, Shaper, Task, in_workers
from mitlgan.data.signature import Signature, blanks, from_plain, near_pairs
from mitlgan.data.sources import Source, matte_beside, open_source
from mitlgan.data.writer import PackWriter
from mitlgan.errors import DataError, Stopped, UsageError
from mitlgan.files import disk_errors, locked, make_folder
from mitlgan.signals import StopSignals

VERSION = 2  # raise it when the same pictures and settings make other pixels
DEDUPE = ("exact", "near", "none")
SYNC_EVERY = 512
FEWEST_FOR_PROCESSES = 500  # below, starting them takes longer than they save
BLOCK_BYTES = 1 << 20  # stays in a processor's cache from the reading to the hash to the writing
FLUSH_INTERVAL_S = 0.1  # a kill costs so much work at the most
Progress = Callable[[int, int], None]


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
        with path.open("r+b") as pixels, closing(_shaped(source, count, settings, channels)) as results, StopSignals() as stop:
            pixels.truncate(rows * row_bytes)
            pixels.seek(0, 2)
            flushed = time.monotonic()
            for number, (record, planes) in enumerate(results, start=count + 1):
                if planes is not None:
                    pixels.write(planes)
                flush = time.monotonic() - flushed >= FLUSH_INTERVAL_S
                if flush:
                    flushed = time.monotonic()
                    pixels.flush()  # before the journal: what it names is there
                journal.append(record, flush=flush)
                if number % SYNC_EVERY == 0:
                    journal.sync()
                if progress is not None:
                    progress(number, len(source.entries))
                if stop.received is not None and number < len(source.entries):
                    raise Stopped(f"prepare: stopped at {number} of {len(source.entries)}; the same command goes on", stop.received)


def _shaped(source: Source, start: int, settings: PrepareSettings, channels: int) -> Generator[Shaped, None, None]:
    """The rest of the pictures, shaped in order, by threads or, where they are many, by processes."""
    with_matte = channels == 4 and not settings.keep_alpha
    shaper = Shaper(settings, with_matte)  # says now whether it can be had
    cores = os.cpu_count() or 1
    if cores > 1 and len(source.entries) - start >= FEWEST_FOR_PROCESSES:
        return in_workers(_tasks(source, start), settings, with_matte, cores)
    return (shaped for _, shaped in in_order(_tasks(source, start), shaper))


def _tasks(source: Source, start: int) -> Iterator[Task]:
    for entry in source.entries[start:]:
        try:
            read_here = source.sequential or entry.path is None
            yield Task(entry.name, entry.path, entry.read() if read_here else None)
        except UnreadableError as error:
            yield Task(entry.name, entry.path, fault=str(error))


def _decide(lines: list[dict[str, Any]], settings: PrepareSettings, others: list[tuple[str, list[tuple[str, Signature]]]]) -> dict[int, dict[str, Any]]:
    """What is left out of the whole set, by position, with the reason; of what looks alike the first stays."""
    left_out = {position: line for position, line in enumerate(lines) if "outline" not in line}
    known = [(position, found) for position, line in enumerate(lines) if (found := from_plain(line))]
    copies = Counter(found.sha256 for _, found in known)

    def leave(position: int, reason: str) -> None:
        left_out.setdefault(position, {"name": lines[position]["name"], "reason": reason})

    for (position, found), one_colour in zip(known, blanks([found for _, found in known]), strict=True):
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
        usable = [position for position, line in enumerate(journal.lines) if "outline" in line]
        step = max(1, BLOCK_BYTES // length)
        for start in range(0, len(usable), step):
            block = usable[start : start + step]
            rows = np.frombuffer(pixels.read(len(block) * length), np.uint8).reshape(-1, *shape)
            kept = [index for index, position in enumerate(block) if position not in left_out]
            writer.extend(rows if len(kept) == len(block) else rows[kept], [journal.lines[block[index]] for index in kept])
        skipped = [{"name": line["name"], "reason": line["reason"]} for _, line in sorted(left_out.items())]
        crop = {"center": "centred square", "entropy": "busiest square", "face": "square around the largest face"}[settings.crop]
        return writer.publish(resize=settings.resize, crop=crop, licence="", made_by=header, skipped=skipped)
