"""`data prepare`: packs pictures with a manifest of every decision; can be resumed, in bounded memory, on all cores."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mitlgan.data.build.journal import Journal, open_journal
from mitlgan.data.build.mattes import use_mattes
from mitlgan.data.build.notes import describe_lost_transparency
from mitlgan.data.build.omissions import Omissions
from mitlgan.data.build.parallel import WorkerDiedError, in_order, in_processes, processes_for
from mitlgan.data.build.pixel_file import BLOCK_BYTES, PixelFile
from mitlgan.data.build.prepare_image import ON_BACKDROP, ImagePreparer, JournalEntry, PrepareSettings
from mitlgan.data.build.resize import check_filter
from mitlgan.data.curate.exclude_list import describe_unknown_names
from mitlgan.data.curate.perceptual_hash import hashes_from_json
from mitlgan.data.curate.table_selection import Selection, select_pictures
from mitlgan.data.kept_splits import KeptSplits, find_kept_splits
from mitlgan.data.layers.holdout import (
    HELD_OUT,
    HoldoutSize,
    Photograph,
    SplitAssignment,
    assign_splits,
    describe_splits,
    find_families,
)
from mitlgan.data.pack.cache import remove_abandoned_temporaries
from mitlgan.data.pack.image_pack import PREPARED_PACK, FourthChannel, ImagePack
from mitlgan.data.pack.kept_square import FACE_CROP
from mitlgan.data.pack.manifest import is_manifest
from mitlgan.data.pack.writer import PackWriter, pack_header
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import ImageSource, open_source, refuse_unreadable
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.errors import DataError, ResourceError, Stopped, UsageError
from mitlgan.runtime.claimed_names import refuse_existing
from mitlgan.runtime.files import ensure_folder, translate_disk_errors
from mitlgan.runtime.output_folders import require_empty_folder
from mitlgan.runtime.progress import ProgressCallback, ignore_progress
from mitlgan.runtime.signals import StopSignals

if TYPE_CHECKING:
    from mitlgan.data.curate.reference_sets import ReferenceSet

VERSION = 10  # raise it when the same pictures and settings make other pixels or records
PIXEL_FILE = ".prepared.npy"  # the rows so far; it becomes the pack, or is copied
PAGE_FILE = "sheet.html"  # next to the pack
DEDUPE = ("exact", "near", "none")
SYNC_EVERY = 512  # pictures
MAX_BATCH = 8  # pictures that a worker process gets at once
MAX_BATCH_BYTES = 1 << 20
FLUSH_INTERVAL_S = 0.1  # a kill loses at most so much work
_CROP_NAMES = {"center": "centred square", "entropy": "busiest square", "face": FACE_CROP}


def prepare_pack(
    spec: str | Path,
    out: Path,
    settings: PrepareSettings,
    *,
    selection: Selection | None = None,
    allow_bad: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> ImagePack:
    """Prepare and pack pictures; after an interruption, the same call resumes and ends with the same bytes.

    Args:
        spec: See `open_source`; with a selection, the folder of its pictures.
        out: Folder for the pack: new or empty, with the same work, or that of the pictures themselves.
        settings: How.
        selection: Chooses pictures by tables.
        allow_bad: Continue if more than 5 % of the files are not usable pictures.
        progress: Receives the number of finished and of all pictures.

    Returns:
        The pack of the training pictures. Its manifest lists every picture, and every one left out with the reason. Held-out pictures are in packs of
        their own, `test/prepared.npy` and `validation/prepared.npy`.

    Raises:
        DataError: There is no usable picture, all are in folders of held-out ones, or there are too many bad files.
        UsageError: A setting does not exist, or the folder holds other work or other files, or such have come into the place of a pack since.
        ResourceError: The folder cannot be written.
    """
    check_filter(settings.resize)
    if settings.dedupe not in DEDUPE:
        raise UsageError(f"--dedupe {settings.dedupe}: choose {', '.join(DEDUPE)}")
    HoldoutSize.parse(settings.holdout)  # refuses a wrong value before any work
    source = select_pictures(selection, Path(spec)) if selection else open_source(spec)
    listing_sha256 = source.listing_sha256()
    unknown = describe_unknown_names(settings.exclude, (entry.name for entry in source.entries), "--exclude")
    kept = find_kept_splits(source)
    source, with_matte = use_mattes(kept.select(source), "--keep-alpha keeps transparency in their place" if settings.keep_alpha else "")
    references = _read_references(settings)
    source = source.subset(source.entries, remarks=[*unknown, *(remark for reference in references for remark in reference.remarks)])
    header = {
        "work": "prepare",
        "version": VERSION,
        "listing_sha256": listing_sha256,
        "settings": json.loads(json.dumps(asdict(settings))),
        "selection": selection.to_json() if selection else None,
        "against_sha256": [reference.sha256 for reference in references],
    }
    with open_journal(out, header, check_new=lambda folder, option: _check_new(folder, option, Path(spec), header)) as journal:
        finished = _open_finished(out, header)
        if finished is not None:
            _remove_leftovers(out)
            return finished
        _refuse_foreign_files(out, settings.size_px)
        work = _Preparation(source, out, settings, header, journal, with_matte, kept)
        work.read_pictures(progress)
        omissions = Omissions(journal.lines, settings, references, kept.split_of).records
        _refuse_bad(source, omissions, allow_bad)
        return work.publish(omissions)


def _read_references(settings: PrepareSettings) -> list[ReferenceSet]:
    if not settings.against:
        return []
    from mitlgan.data.curate.reference_sets import read_reference_set  # imports all readers

    return [read_reference_set(spec, ImagePreparer(settings, with_matte=False).hash) for spec in settings.against]


def _check_new(out: Path, option: str, pictures: Path, header: dict[str, Any]) -> None:
    """Refuse a folder without a journal, unless it holds the finished work, or is the folder of the pictures and has none of the files to write."""
    if _open_finished(out, header) is not None:
        return
    if not (pictures.is_dir() and out.is_dir() and pictures.samefile(out)):
        require_empty_folder(out, option)
    for path in [out / PAGE_FILE, *((out / split / PREPARED_PACK).with_suffix(suffix) for split in ("", *HELD_OUT) for suffix in (".npy", ".json"))]:
        refuse_existing(path, option)


def _refuse_foreign_files(out: Path, size_px: int) -> None:
    """Refuse to go on where a file of another program is in the place of a pack; a pack that lost its manifest or its pixels is none."""
    for pack in [out / split / PREPARED_PACK for split in ("", *HELD_OUT)]:
        manifest = pack.with_suffix(".json")
        if not is_manifest(manifest):
            refuse_existing(manifest, "--out")
            if not _are_pixels(pack, size_px):
                refuse_existing(pack, "--out")


def _are_pixels(path: Path, size_px: int) -> bool:
    """Whether a file holds pixels as those of a pack of this size."""
    with suppress(OSError, ValueError, EOFError):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == 4 and array.shape[2:] == (size_px, size_px)
    return False


def _open_finished(out: Path, header: dict[str, Any]) -> ImagePack | None:
    """Return the pack that an earlier call of the same work finished, with those of all held-out pictures."""
    with suppress(DataError):
        pack = ImagePack.open(out / PREPARED_PACK)
        held_out = str(pack.manifest["made_by"].get("held_out", ""))
        packs = [pack, *(ImagePack.open(out / split / PREPARED_PACK) for split in HELD_OUT if f"for {split}" in held_out)]
        if all(one.manifest["made_by"] | header == one.manifest["made_by"] for one in packs):
            return pack
    return None


def _remove_leftovers(out: Path) -> None:
    """Remove what a call that was killed after the last pack appeared did not come to remove."""
    (out / PIXEL_FILE).unlink(missing_ok=True)
    for folder in (out, *(out / split for split in HELD_OUT)):
        remove_abandoned_temporaries(folder)


def _refuse_bad(source: ImageSource, omissions: dict[int, dict[str, Any]], allow_bad: bool) -> None:
    total, label = len(source.entries), f"SRC {source.spec}"
    if len(omissions) == total:
        first = next(iter(omissions.values()))
        raise DataError(f"{label}: none of its {total} files can be taken; the first, {first['name']!r}: {first['reason']}")
    unreadable = [record for record in omissions.values() if record.get("bad")]
    refuse_unreadable(label, total, unreadable, "" if allow_bad else "remove them, or continue with --allow-bad")


@dataclass
class _Preparation:
    """The work of one call of `prepare_pack`.

    Attributes:
        source: The pictures.
        out: Folder of the packs.
        settings: How.
        header: First line of the journal, and part of the manifest.
        journal: A line for each picture.
        with_matte: Whether the mattes next to pictures are the fourth channel.
        kept: The splits that the source has already.
    """

    source: ImageSource
    out: Path
    settings: PrepareSettings
    header: dict[str, Any]
    journal: Journal
    with_matte: bool
    kept: KeptSplits

    def __post_init__(self) -> None:
        self._fourth: FourthChannel | None = "alpha" if self.settings.keep_alpha else "matte" if self.with_matte else None
        channels, size_px = 4 if self._fourth else 3, self.settings.size_px
        header_bytes = len(pack_header(0, channels, size_px))
        is_unique = self.settings.dedupe != "none"
        self._pixels = PixelFile(self.out / PIXEL_FILE, header_bytes, channels * size_px**2, is_unique=is_unique)

    def read_pictures(self, progress: ProgressCallback) -> None:
        """Decode the pictures that the journal does not have yet; their pixels are written before their journal lines."""
        pixels, journal, total = self._pixels, self.journal, len(self.source.entries)
        with translate_disk_errors(pixels.path), pixels:
            count = pixels.resume(journal.lines)
            if count < len(journal.lines):
                journal.truncate(count)
            flush_time = time.monotonic()
            with closing(self._prepare_images(count)) as results, StopSignals() as stop:
                for number, (record, planes) in enumerate(results, start=count + 1):
                    if planes is not None:
                        pixels.add(number - 1, record, planes)
                    flush = time.monotonic() - flush_time >= FLUSH_INTERVAL_S
                    if flush:
                        flush_time = time.monotonic()
                        pixels.flush()  # before the journal, which must name no missing pixels
                    journal.append(record, flush=flush)
                    if number % SYNC_EVERY == 0:
                        pixels.sync(then=journal.sync)
                    progress(number, total)
                    if stop.received is not None and number < total:
                        raise Stopped(f"prepare: stopped at {number} of {total}; the same command resumes", stop.received)
            pixels.flush()
            journal.flush()  # before a pack appears: a kill after that leaves a whole journal

    def _prepare_images(self, start: int) -> Generator[JournalEntry, None, None]:
        """Yield the results for the pictures from `start`, in order; computed by threads, or by processes if there are many."""
        prepare = ImagePreparer(self.settings, self.with_matte)  # refuses what is not installed before any work
        entries = self.source.iterate(self.source.entries[start:])
        count = processes_for(len(self.source.entries) - start)
        if not count:
            yield from (result for _, (result,) in in_order(entries, lambda entry: prepare([entry])))
            return
        try:
            with closing(in_processes(_batches(entries), partial(ImagePreparer, self.settings, self.with_matte), count)) as results:
                yield from results
        except WorkerDiedError as error:
            if error.item is None:
                raise ResourceError("prepare: a worker process cannot be started; free some memory or processes") from None
            who = f"picture {error.item.name!r}: the process that read it"
            raise ResourceError(f"{who} was killed; free some memory, or leave such a picture out with --exclude (in another folder)") from None

    def publish(self, omissions: dict[int, dict[str, Any]]) -> ImagePack:
        """Write a pack for each split, that for training last: if it exists, all do."""
        used = [position for position in self._pixels.positions if position not in omissions]
        assignment = self._assign_splits(used)
        skipped = [{"name": record["name"], "reason": record["reason"]} for _, record in sorted(omissions.items())]
        for split in HELD_OUT:
            if split in assignment.splits:
                ensure_folder(self.out / split)
                positions = {position for position, own in zip(used, assignment.splits, strict=True) if own == split}
                self._publish_split(self.out / split, self.header | {"split": split}, positions)
        positions = {position for position, own in zip(used, assignment.splits, strict=True) if own not in HELD_OUT}
        made_by = self.header | {"held_out": describe_splits(assignment.splits), "note": assignment.note}
        transparent_count = sum(ON_BACKDROP in self.journal.lines[position] for position in used)
        lost = describe_lost_transparency(transparent_count, len(used), self.settings.backdrop, "prepare")
        leftovers = self.source.leftovers.extended(remarks=lost)
        pack = self._publish_split(self.out, made_by, positions, skipped + leftovers.skipped(), leftovers)
        self._pixels.path.unlink(missing_ok=True)
        return pack

    def _assign_splits(self, positions: Sequence[int]) -> SplitAssignment:
        lines = [self.journal.lines[position] for position in positions]
        names = [line["name"] for line in lines]
        looks = [hashes_from_json(line) for line in lines]
        splits = [self.kept.split_of.get(name, "") for name in names]
        photographs = [Photograph(*values) for values in zip(looks, splits, find_families(self.source.spec, names), strict=True)]
        assignment = assign_splits(photographs, HoldoutSize.parse(self.settings.holdout))
        return SplitAssignment(assignment.splits, self.kept.annotate(assignment.note))

    def _publish_split(
        self, folder: Path, made_by: dict[str, Any], positions: set[int], skipped: Sequence[dict[str, str]] = (), leftovers: Leftovers | None = None
    ) -> ImagePack:
        """Write a pack of the pictures at some positions in the journal."""
        with PackWriter(folder / PREPARED_PACK, self.settings.size_px, self._fourth) as writer:
            if len(positions) == len(self._pixels.positions):
                writer.adopt_file(self._pixels.path, self._pixels.digest, [self.journal.lines[position] for position in self._pixels.positions])
            else:
                self._copy_pixels(writer, positions)
            crop = _CROP_NAMES[self.settings.crop]
            return writer.publish(resize=self.settings.resize, crop=crop, licence="", made_by=made_by, skipped=list(skipped), leftovers=leftovers)

    def _copy_pixels(self, writer: PackWriter, positions: set[int]) -> None:
        source, lines = self._pixels, self.journal.lines
        step = max(1, BLOCK_BYTES // source.row_bytes)
        with source.path.open("rb") as file:
            file.seek(source.header_bytes)
            for start in range(0, len(source.positions), step):
                block = source.positions[start : start + step]
                rows = np.frombuffer(file.read(len(block) * source.row_bytes), np.uint8)
                rows = rows.reshape(-1, writer.channels, writer.size_px, writer.size_px)  # (N, C, H, W)
                used = [index for index, position in enumerate(block) if position in positions]
                writer.extend(rows if len(used) == len(block) else rows[used], [lines[block[index]] for index in used])


def _batches(entries: Iterable[ImageEntry]) -> Iterator[list[ImageEntry]]:
    batch, size = list[ImageEntry](), 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.content) if isinstance(entry.content, bytes) else 0
        if len(batch) == MAX_BATCH or size >= MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
