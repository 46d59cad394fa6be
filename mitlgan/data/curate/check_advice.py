"""The sentences of `data check`: findings with numbers; each warning has the command that helps."""

from __future__ import annotations

import itertools
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.data.build.journal import read_work
from mitlgan.data.build.notes import summarize_notes
from mitlgan.data.curate.remedies import (
    MIN_PX,
    PICTURES,
    PLACEHOLDER_COPIES,
    FreeNames,
    PrepareRemedy,
    Remedy,
    SplitRemedy,
    augment_command,
    recorded_split_options,
)
from mitlgan.data.layers.holdout import copy_family
from mitlgan.data.layers.split_output import SplitOutput, find_split_output, is_leak
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.image_source import output_stem
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.runtime.command_line import command_line

if TYPE_CHECKING:
    from mitlgan.data.curate.check import SetReport
    from mitlgan.data.curate.duplicates import Duplicates, File

Sentence = tuple[str, bool]
MIN_PICTURES = 500  # fewer are memorised
MIN_HELD_OUT = 500  # pictures; a distance to fewer is uncertain
COVERAGE_RANGE = (0.03, 0.8)
MAX_BORDER = 0.02
MIN_TRAINED_PX = 32
MAX_ASPECT = 2
_LEAVE_OUT = "to leave them out"


@dataclass(frozen=True)
class Finding:
    """What was found in a set.

    Attributes:
        words: In words, without what helps.
        hurts: Whether it may hurt training.
        aim: What the remedy is for.
        remedy: The command that helps; None if there is none.
    """

    words: str
    hurts: bool
    aim: str = ""
    remedy: Remedy | None = None


def advise(sets: Sequence[SetReport], duplicates: Duplicates) -> list[Sentence]:
    """Return the sentences about some sets: about each, and about duplicates within and across them.

    One command mends all that `data prepare` or `data split` can mend of a set. The first sentence that needs it prints it.
    """
    advisor = _Advisor(sets)
    findings = [finding for report in sets for finding in advisor.advise_on_set(report)] + advisor.advise_on_duplicates(duplicates)
    printed: set[Remedy] = set()
    sentences: list[Sentence] = []
    for finding in findings:
        text = finding.words
        if finding.remedy is not None:
            known = f"the command with --out {shlex.quote(finding.remedy.out)}"
            text += f"; {finding.aim}: {known if finding.remedy in printed else finding.remedy.command()}"
            printed.add(finding.remedy)
        sentences.append((text, finding.hurts))
    return sentences


class _Advisor:
    """Finds what is wrong with some sets, and collects for each what one command is to mend."""

    def __init__(self, sets: Sequence[SetReport]) -> None:
        self._sets, self._names = sets, FreeNames()
        self._outputs = {report.name: _find_output(report) for report in sets}
        self._copies = {report.name: work for report in sets if (work := _find_copies(report))}
        self._prepare: dict[str, PrepareRemedy] = {}
        self._split: dict[object, SplitRemedy] = {}

    def _prepare_of(self, report: SetReport) -> PrepareRemedy:
        spec = report.spec
        if spec not in self._prepare:
            reports = [one for one in self._sets if one.spec == spec]
            self._prepare[spec] = PrepareRemedy(reports, self._names.beside(spec, "clean"))
        return self._prepare[spec]

    def _split_of(self, report: SetReport, output: SplitOutput | None) -> SplitRemedy:
        key = output.out if output else report.spec
        if key not in self._split:
            neighbor = output.source if output and Path(output.source).exists() else str(output.shown_out) if output else report.spec
            self._split[key] = SplitRemedy(report, output, self._names.beside(neighbor, "layers"))
        return self._split[key]

    def advise_on_set(self, report: SetReport) -> Iterator[Finding]:
        """Yield what was found in one set."""
        name, total = report.name, len(report.pictures)
        if report.unreadable:
            bad = len(report.unreadable)
            first, reason = report.unreadable[0]
            words = f"{bad:,} of {total + bad:,} files are not usable pictures and will be skipped, the first {first!r}: {reason}"
            yield Finding(f"{name}: {words}", True, "to pack the others", self._prepare_of(report) if total else None)
        for line in replace(report.leftovers, remarks=()).describe(include_counts=False):
            yield Finding(f"{name}: {line}; the names of all: {command_line(['data', 'stats', report.spec, '--json'])}", True)
        for line in Leftovers(remarks=report.leftovers.remarks).describe():
            yield Finding(f"{name}: {line}", True)
        yield from self._advise_on_count(report)
        yield from self._advise_on_sizes(report)
        for line in summarize_notes((one.name, one.note) for one in report.pictures):
            yield Finding(f"{name}: {line}.", False)
        mixed = Counter(one.mode for one in report.pictures)
        if len(mixed) > 1:
            words = f"{mixed['RGBA']:,} pictures have transparency and {mixed['RGB']:,} have none; a generator needs all of one kind"
            yield Finding(f"{name}: {words}", True, "to cut the objects out of those without", self._split_of(report, None))
        yield from self._advise_on_objects(report)
        long = [one for one in report.pictures if max(one.width, one.height) > MAX_ASPECT * min(one.width, one.height)]
        if long:
            words = f"{len(long):,} of {total:,} pictures are more than twice as long as wide; half of each will be cropped away"
            yield self._leave_out(report, words, len(long) > 0.1 * total, long, {"--max-aspect": str(MAX_ASPECT)})

    def _advise_on_sizes(self, report: SetReport) -> Iterator[Finding]:
        total = len(report.pictures)
        blank = [one for one in report.pictures if one.hash.is_blank]
        if blank:
            yield self._leave_out(report, f"{len(blank):,} of {total:,} pictures are one colour", True, blank, {})
        small = [one for one in report.pictures if min(one.width, one.height) < MIN_PX]
        if small:
            tiny = [one for one in small if min(one.width, one.height) < MIN_TRAINED_PX]
            words = f"{len(small):,} of {total:,} pictures are smaller than {MIN_PX} px: enough for {MIN_TRAINED_PX} px, blurred in larger trainings"
            if tiny:
                words = f"{len(tiny):,} of {total:,} pictures are smaller than {MIN_TRAINED_PX} px and blurred in any training"
            limit = MIN_TRAINED_PX if tiny else MIN_PX
            yield self._leave_out(report, words, len(tiny) > 0.05 * total, tiny or small, {"--min-size": str(limit)})

    def _leave_out(self, report: SetReport, words: str, hurts: bool, pictures: Iterable[Any], options: dict[str, str]) -> Finding:
        """Return a finding about pictures that `data prepare` can leave out; without a command if none would be left."""
        remedy = self._prepare_of(report)
        return Finding(f"{report.name}: {words}", hurts, _LEAVE_OUT, remedy if remedy.leave_out(pictures, options) else None)

    def _advise_on_count(self, report: SetReport) -> Iterator[Finding]:
        name, total = report.name, len(report.pictures)
        if report.split not in ("", TRAIN) and 0 < total < MIN_HELD_OUT:
            words = f"{total:,} held-out pictures; a distance to fewer than {MIN_HELD_OUT:,} is uncertain"
            yield Finding(f"{name}: {words}: add photographs, or hold out more of them by --holdout", False)
        if report.split not in ("", TRAIN) or not 0 < total < MIN_PICTURES:
            return
        copies = self._copies.get(name, {})
        count = len({copy_family(one.name) for one in report.pictures}) if copies else total
        factor = math.ceil(MIN_PICTURES / count)
        pictures = PICTURES if copies or isinstance(report.content, ImagePack) else _place(report)
        out = self._names.beside(report.spec, "" if copies else "more")
        measure = f", and measure with --data {shlex.quote(report.spec)}" if report.split == TRAIN else ""
        words = f"{name}: {total:,} pictures are few; a generator may memorise fewer than {MIN_PICTURES:,}"
        if copies:
            words += f", and these are copies of {count:,}"
        make = f"make {factor} of each{' original' if copies else ''} to train with --data {shlex.quote(out)}{measure}"
        command = augment_command(pictures, out, factor, copies.get("settings") or {})
        yield Finding(f"{words}. Add {MIN_PICTURES - total:,}, or {make}: {command}", True)

    def _advise_on_objects(self, report: SetReport) -> Iterator[Finding]:
        objects = [one for one in report.pictures if one.coverage is not None]
        coverages = [one.coverage for one in objects if one.coverage is not None]
        low, high = COVERAGE_RANGE
        output = self._outputs[report.name]
        for count, words, option, limit, value in (
            (sum(one.border > MAX_BORDER for one in objects), "touch the border, as if cut off", "--max-border", "max_border", MAX_BORDER),
            (sum(one < low for one in coverages), f"cover less than {low:.0%} of their picture", "--min-object-area", "min_area", low),
            (sum(one > high for one in coverages), f"cover more than {high:.0%} of their picture", "--max-object-area", "max_area", high),
        ):
            if not count:
                continue
            text, hurts = f"{report.name}: {count:,} of {len(objects):,} foregrounds {words}", count > 0.03 * len(objects)
            if report.name in self._copies:
                yield Finding(f"{text}, as their originals do: set these aside, and make the copies of the others", hurts)
            elif (remedy := self._split_of(report, output)).limit(option, limit, value, is_maximum=limit != "min_area"):
                yield Finding(text, hurts, "to set them aside", remedy)
            else:
                yield Finding(f"{text}, though {option} was given; leave those out by --exclude that you do not want", hurts)

    def advise_on_duplicates(self, duplicates: Duplicates) -> list[Finding]:
        """Return what was found of duplicates: within a set, in training and held-out pictures, or in two sets.

        What `data split` made of one photograph may be in `fg`, `bg` and `scene`, as long as it is in the same split of each; copies by `data augment`
        may look like each other and like their original.
        """
        reports = {report.name: report for report in self._sets}
        findings = self._advise_on_siblings()
        frequent = _find_frequent_files(self._sets, duplicates)
        for (one, other), kinds in duplicates.count_by_sets(_origins(self._sets, self._outputs, self._copies)).items():
            first, second = reports[one], reports[other]
            counted = " and ".join(f"{number:,} {'equal' if exact else 'look-alike'}" for exact, number in sorted(kinds.items(), reverse=True))
            pair, leak, are = ("pair", "leaks", "is") if kinds.total() == 1 else ("pairs", "leak", "are")
            if one == other:
                words = f"{counted} {pair} within the set; look-alikes are weighted more than once{_describe_frequent(frequent.get(first.spec, ()))}"
                hurts, place, cleaned, against, aim = kinds.total() > 0.02 * len(first.pictures), one, first, "", "to keep one of each"
            elif is_leak(first.split, second.split):
                cleaned, held_out = (first, second) if first.split == TRAIN else (second, first)
                words = f"{counted} {pair} {leak} from training into held-out pictures; measurements will flatter"
                hurts, place, against, aim = True, f"{one} and {other}", _against(cleaned, held_out), _LEAVE_OUT
            else:
                words, cleaned, against = f"{counted} {pair} {are} in both sets", first, _against(first, second)
                hurts, place, aim = True, f"{one} and {other}", "to leave them out of the first"
            if cleaned.name in self._copies:  # one of each would be no copies at all
                findings.append(
                    Finding(f"{place}: {words}; leave them out of the originals of {cleaned.name}, and make the copies of the others", hurts)
                )
                continue
            remedy = self._prepare_of(cleaned)
            remedy.dedupe(against, keep_copies=cleaned.spec in frequent)
            findings.append(Finding(f"{place}: {words}", hurts, aim, remedy))
        return findings

    def _advise_on_siblings(self) -> list[Finding]:
        """Return what was found of photographs that are, by the manifest, in training in one set and held out in another."""
        photographs: dict[str, set[str]] = defaultdict(set)  # by set
        for report in self._sets:
            output = self._outputs[report.name]
            if output is not None and report.split:
                names = (output.photograph(Path(report.name), one.name) for one in report.pictures)
                photographs[report.name] = {f"{output.out}\n{name}" for name in names if name is not None}
        findings: list[Finding] = []
        for first, second in itertools.combinations(self._sets, 2):
            both = photographs[first.name] & photographs[second.name]
            output = self._outputs[first.name]
            if both and output is not None and is_leak(first.split, second.split):
                photographs_leak = "photograph leaks" if len(both) == 1 else "photographs leak"
                words = f"{len(both):,} {photographs_leak} from training into held-out pictures; measurements will flatter"
                options = recorded_split_options(output, with_choices=False)
                command = command_line(["data", "split", output.source or "PHOTOS", "--out", output.shown_out, *options])
                findings.append(Finding(f"{first.name} and {second.name}: {words}; to put every file back where it belongs: {command}", True))
        return findings


def _find_output(report: SetReport) -> SplitOutput | None:
    """Return the call of `data split` that made a set; None for a set of other pictures, such as copies next to those that it wrote."""
    folder = Path(report.name)
    output = find_split_output(folder)
    if output is None or not any(output.photograph(folder, one.name) for one in report.pictures):
        return None
    return output


def _find_copies(report: SetReport) -> dict[str, Any]:
    """Return what is known of the call of `data augment` that made a set; empty for any other set."""
    work = read_work(Path(report.spec))
    return work if work.get("work") == "augment" else {}


def _origins(sets: Sequence[SetReport], outputs: dict[str, SplitOutput | None], copies: dict[str, dict[str, Any]]) -> Callable[[File], object]:
    """Return the function that tells what a file was made of: a photograph, or the picture that it is a copy of; itself, if it may have copies."""
    originals: dict[str, File] = {}
    for report in sets if copies else ():
        prefix = Path(report.name).relative_to(report.spec).as_posix() if Path(report.name).is_relative_to(report.spec) else "."
        for one in report.pictures if report.name not in copies else ():
            for name in (one.name, f"{prefix}/{one.name}"):
                originals.setdefault(output_stem(name), (report.name, one.name))

    def origin_of(file: File) -> object:
        if file[0] in copies:
            family = copy_family(file[1])
            return origin_of(originals[family]) if family in originals else family
        return _photograph(file, outputs) or (file if copies else None)

    return origin_of


def _find_frequent_files(sets: Sequence[SetReport], duplicates: Duplicates) -> dict[str, list[tuple[str, int]]]:
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


def _against(report: SetReport, other: SetReport) -> str:
    """Return the set that a set is kept free of; empty for a split of the same one, whose pictures are compared anyway."""
    return "" if report.spec == other.spec else _place(other)


def _place(report: SetReport) -> str:
    """Return what a command can read: the set's own folder, or else the whole of which it is a split, such as an archive."""
    return report.name if Path(report.name).is_dir() else report.spec
