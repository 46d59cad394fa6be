"""The sentences of `data check`: findings with numbers; each warning has the command that helps."""

from __future__ import annotations

import itertools
import math
import shlex
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mitlgan.data.build.notes import summarize_notes
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.layers.split_output import SplitOutput, find_split_output, is_leak
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.runtime.files import sibling_path

if TYPE_CHECKING:
    from mitlgan.data.curate.check import SetReport
    from mitlgan.data.curate.duplicates import Duplicates, File

Sentence = tuple[str, bool]
MIN_PICTURES = 500  # fewer are memorised
MIN_HELD_OUT = 500  # pictures; a distance to fewer is uncertain
COVERAGE_RANGE = (0.03, 0.8)
MIN_PX, MIN_TRAINED_PX = 64, 32
MAX_ASPECT = 2
PLACEHOLDER_COPIES = PrepareSettings().placeholder_copies
PICTURES = "PICTURES"
"""Placeholder in commands for the source of a pack, which is unknown: a pack itself can be neither prepared nor split."""


def advise_on_set(report: SetReport) -> Iterator[Sentence]:
    """Yield the sentences about one set."""
    name, total = report.name, len(report.pictures)
    if report.unreadable:
        bad = len(report.unreadable)
        first, reason = report.unreadable[0]
        words = f"{bad:,} of {total + bad:,} files are not usable pictures and will be skipped, the first {first!r}: {reason}"
        helps = f"; to pack the others: {_prepare(report)}" if total else ""
        yield f"{name}: {words}{helps}", True
    for line in replace(report.leftovers, remarks=()).describe(include_counts=False):
        yield f"{name}: {line}; the names of all: mitlgan data stats {shlex.quote(report.spec)} --json", True
    for line in Leftovers(remarks=report.leftovers.remarks).describe():
        yield f"{name}: {line}", True
    yield from _advise_on_count(report)
    blank = sum(one.hash.is_blank for one in report.pictures)
    if blank:
        yield f"{name}: {blank:,} of {total:,} pictures are one colour; to leave them out: {_prepare(report)}", True
    small = sum(min(one.width, one.height) < MIN_PX for one in report.pictures)
    if small:
        tiny = sum(min(one.width, one.height) < MIN_TRAINED_PX for one in report.pictures)
        words = f"{small:,} of {total:,} pictures are smaller than {MIN_PX} px: enough for {MIN_TRAINED_PX} px, blurred in larger trainings"
        if tiny:
            words = f"{tiny:,} of {total:,} pictures are smaller than {MIN_TRAINED_PX} px and blurred in any training"
        limit = MIN_TRAINED_PX if tiny else MIN_PX
        yield f"{name}: {words}; to leave them out: {_prepare(report, f'--min-size {limit}', size_px=limit)}", tiny > 0.05 * total
    for line in summarize_notes((one.name, one.note) for one in report.pictures):
        yield f"{name}: {line}.", False
    mixed = Counter(one.mode for one in report.pictures)
    if len(mixed) > 1:
        words = f"{mixed['RGBA']:,} pictures have transparency and {mixed['RGB']:,} have none; a generator needs all of one kind"
        yield f"{name}: {words}; to cut the objects out of those without: {_split(report, _pictures(report), neighbor=report.spec)}", True
    yield from _advise_on_objects(report)
    sides = [one.width / one.height for one in report.pictures]
    long = sum(side > MAX_ASPECT or side < 1 / MAX_ASPECT for side in sides)
    if long:
        words = f"{long:,} of {total:,} pictures are more than twice as long as wide; half of each will be cropped away"
        yield f"{name}: {words}; to leave them out: {_prepare(report, f'--max-aspect {MAX_ASPECT}')}", long > 0.1 * total


def _advise_on_count(report: SetReport) -> Iterator[Sentence]:
    name, total = report.name, len(report.pictures)
    if report.split in ("", TRAIN) and 0 < total < MIN_PICTURES:
        factor = math.ceil(MIN_PICTURES / total)
        words = f"{name}: {total:,} pictures are few; a generator may memorise fewer than {MIN_PICTURES:,}"
        out = shlex.quote(_sibling(report.spec, "more"))
        command = f"mitlgan data augment {shlex.quote(_pictures(report, _place(report)))} --out {out} --factor {factor}"
        measure = f", and measure with --data {shlex.quote(report.spec)}" if report.split == TRAIN else ""
        yield f"{words}. Add {MIN_PICTURES - total:,}, or make {factor} of each to train with --data {out}{measure}: {command}", True
    elif report.split not in ("", TRAIN) and 0 < total < MIN_HELD_OUT:
        words = f"{total:,} held-out pictures; a distance to fewer than {MIN_HELD_OUT:,} is uncertain"
        yield f"{name}: {words}: add photographs, or hold out more of them by --holdout", False


def _advise_on_objects(report: SetReport) -> Iterator[Sentence]:
    borders = [one.border for one in report.pictures if one.coverage is not None]
    coverages = [one.coverage for one in report.pictures if one.coverage is not None]
    low, high = COVERAGE_RANGE
    total = len(coverages)
    output = find_split_output(Path(report.spec))
    spec = output.source if output and output.source else _pictures(report)
    neighbor = report.spec if spec == PICTURES else spec
    for count, words, option in (
        (sum(border > 0.02 for border in borders), "touch the border, as if cut off", "--max-border 0.02"),
        (sum(coverage < low for coverage in coverages), f"cover less than {low:.0%} of their picture", f"--min-object-area {low:g}"),
        (sum(coverage > high for coverage in coverages), f"cover more than {high:.0%} of their picture", f"--max-object-area {high:g}"),
    ):
        if count:
            command = _split(report, spec, option, neighbor=neighbor)
            yield f"{report.name}: {count:,} of {total:,} foregrounds {words}; to set them aside: {command}", count > 0.03 * total


def advise_on_duplicates(sets: list[SetReport], duplicates: Duplicates) -> list[Sentence]:
    """Return the sentences about duplicates: within a set, in training and held-out pictures, or in two sets.

    What `data split` made of one photograph may be in `fg`, `bg` and `scene`, as long as it is in the same split of each.
    """
    reports = {report.name: report for report in sets}
    outputs = {report.name: find_split_output(Path(report.name)) for report in sets}
    sentences = _advise_on_siblings(sets, outputs)
    frequent = _find_frequent_files(sets, duplicates)
    for (one, other), kinds in duplicates.count_by_sets(lambda file: _photograph(file, outputs)).items():
        first, second = reports[one], reports[other]
        counted = " and ".join(f"{number:,} {'equal' if exact else 'look-alike'}" for exact, number in sorted(kinds.items(), reverse=True))
        total = sum(kinds.values())
        pairs, leak, are = ("pair", "leaks", "is") if total == 1 else ("pairs", "leak", "are")
        if one == other:
            words = f"{counted} {pairs} within the set; look-alikes are weighted more than once{_describe_frequent(frequent.get(first.spec, ()))}"
            helps = _prepare(first, "--dedupe near", keep_copies=first.spec in frequent)
            sentences.append((f"{one}: {words}; to keep one of each: {helps}", total > 0.02 * len(first.pictures)))
        elif is_leak(first.split, second.split):
            train, held_out = (first, second) if first.split == TRAIN else (second, first)
            helps = _prepare(train, _dedupe(train, held_out), keep_copies=train.spec in frequent)
            words = f"{counted} {pairs} {leak} from training into held-out pictures; measurements will flatter"
            sentences.append((f"{one} and {other}: {words}; to leave them out: {helps}", True))
        else:
            helps = _prepare(first, _dedupe(first, second), keep_copies=first.spec in frequent)
            sentences.append((f"{one} and {other}: {counted} {pairs} {are} in both sets; to leave them out of the first: {helps}", True))
    return sentences


def _find_frequent_files(sets: list[SetReport], duplicates: Duplicates) -> dict[str, list[tuple[str, int]]]:
    """Return the files that come so often in what a user named that `data prepare` leaves out all copies, each with how often, by the spec."""
    spec_of = {report.name: report.spec for report in sets}
    frequent: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for group in duplicates.groups:
        for spec, number in Counter(spec_of[name] for name, _ in group).items():
            if number >= PLACEHOLDER_COPIES:
                frequent[spec].append((next(picture for name, picture in group if spec_of[name] == spec), number))
    return frequent


def _describe_frequent(files: Sequence[tuple[str, int]]) -> str:
    """Return in words which file may be a placeholder, such as "no image available", with a semicolon before; empty if there is none."""
    if not files:
        return ""
    name, number = max(files, key=lambda file: file[1])
    if len(files) == 1:
        return f"; {name!r} comes {number:,} times: a placeholder?"
    return f"; {len(files):,} files come {PLACEHOLDER_COPIES} times or more, {name!r} {number:,} times: placeholders?"


def _photograph(file: File, outputs: dict[str, SplitOutput | None]) -> tuple[Path, str] | None:
    """Return of which photograph `data split` made a file, and where it wrote; None if it did not make it."""
    name, picture = file
    output = outputs[name]
    photograph = None if output is None else output.photograph(Path(name), picture)
    return None if output is None or photograph is None else (output.out, photograph)


def _advise_on_siblings(sets: list[SetReport], outputs: dict[str, SplitOutput | None]) -> list[Sentence]:
    """Return the sentences about photographs that are, by the manifest, in training in one set and held out in another."""
    photographs: dict[str, set[str]] = defaultdict(set)  # by set
    for report in sets:
        output = outputs[report.name]
        if output is not None and report.split:
            names = (output.photograph(Path(report.name), one.name) for one in report.pictures)
            photographs[report.name] = {f"{output.out}\n{name}" for name in names if name is not None}
    sentences: list[Sentence] = []
    for first, second in itertools.combinations(sets, 2):
        both = photographs[first.name] & photographs[second.name]
        output = outputs[first.name]
        if both and output is not None and is_leak(first.split, second.split):
            photographs_leak = "photograph leaks" if len(both) == 1 else "photographs leak"
            words = f"{len(both):,} {photographs_leak} from training into held-out pictures; measurements will flatter"
            command = f"mitlgan data split {shlex.quote(output.source or 'PHOTOS')} --out {shlex.quote(str(output.out))}"
            sentences.append((f"{first.name} and {second.name}: {words}; to put every file back where it belongs: {command}", True))
    return sentences


def _prepare(report: SetReport, options: str = "", *, size_px: int = 0, keep_copies: bool = False) -> str:
    """Return the `data prepare` command that makes a better pack of a set, of the size that suits the pictures by default.

    A file that comes as often as a placeholder is left out, unless nothing else would be left, or `keep_copies` is set: then one of them stays.
    """
    copies = Counter(one.hash.sha256 for one in report.pictures)
    if keep_copies or min(copies.values(), default=0) >= PLACEHOLDER_COPIES:
        options = f"{options} --placeholder-copies 0".lstrip()
    shorter = [min(one.width, one.height) for one in report.pictures] or [MIN_PX]
    size_px = size_px or 2 ** max(3, min(7, int(math.log2(statistics.median(shorter)))))
    alpha = " --keep-alpha" if any(one.mode == "RGBA" for one in report.pictures) else ""
    out = shlex.quote(_sibling(report.spec, "clean"))
    return f"mitlgan data prepare {shlex.quote(_pictures(report))} --out {out} --size {size_px}{alpha}{_options(report, options)}"


def _dedupe(report: SetReport, other: SetReport) -> str:
    """Return the options that keep a set free of another's pictures; if both are splits of one, its pictures are compared anyway."""
    return "--dedupe near" if report.spec == other.spec else f"--dedupe near --against {shlex.quote(_place(other))}"


def _place(report: SetReport) -> str:
    """Return what a command can read: the set's own folder, or else the whole of which it is a split, such as an archive."""
    return report.name if Path(report.name).is_dir() else report.spec


def _pictures(report: SetReport, name: str = "") -> str:
    """Return the argument of a command that makes a set again: the set, or a placeholder for the source of a pack."""
    return PICTURES if isinstance(report.content, ImagePack) else name or report.spec


def _split(report: SetReport, spec: str, options: str = "", *, neighbor: str) -> str:
    return f"mitlgan data split {shlex.quote(spec)} --out {shlex.quote(_sibling(neighbor, 'layers'))}{_options(report, options)}"


def _options(report: SetReport, options: str) -> str:
    """Return the options of a command with a blank before each, and the one without which it would stop at unreadable files."""
    return "".join(f" {option}" for option in (options, "--allow-bad" if report.unreadable else "") if option)


def _sibling(spec: str, word: str) -> str:
    path = Path(spec)
    return str(sibling_path(path.with_suffix("") if path.is_file() else path, f"-{word}"))
