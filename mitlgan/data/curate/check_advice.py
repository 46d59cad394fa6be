"""What `data check` says of sets: sentences with numbers, each that warns with the command that helps."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mitlgan.data.build.notes import summarize_notes
from mitlgan.data.layers.siblings import SplitOutput, find_split_output, is_leak
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.split_folders import TRAIN

if TYPE_CHECKING:
    from mitlgan.data.curate.check import DuplicatePair, SetReport

Sentence = tuple[str, bool]
FEW = 500  # pictures; fewer are learned by heart
FEW_HELD_OUT = 500  # pictures; a distance to fewer says little
COVERAGE_RANGE = (0.03, 0.8)
SMALL_PX = 64
MAX_ASPECT = 2
PICTURES = "PICTURES"
"""Stands in commands for what a pack was made of, which it does not say: a pack itself can be neither prepared nor split."""


def advise_on_set(report: SetReport) -> Iterator[Sentence]:
    """What one set says of itself, in words."""
    name, total = report.name, len(report.pictures)
    if report.unreadable:
        bad = len(report.unreadable)
        words = f"{bad:,} of {total + bad:,} files are no usable pictures and will be skipped"
        yield f"{name}: {words}; to pack the others: {_prepare(report, '--allow-bad')}", True
    for line in report.leftovers.describe(include_counts=False):
        yield f"{name}: {line}; the names of all: mitlgan data stats {_quoted(report.spec)} --json", True
    yield from _judge_numbers(report)
    blank = sum(one.hash.is_blank for one in report.pictures)
    if blank:
        yield f"{name}: {blank:,} of {total:,} pictures are one colour; to leave them out: {_prepare(report)}", True
    small = sum(min(one.width, one.height) < SMALL_PX for one in report.pictures)
    if small:
        helps = _prepare(report, f"--min-size {SMALL_PX}")
        words = f"{small:,} of {total:,} pictures are smaller than {SMALL_PX} px and would be enlarged above that"
        yield f"{name}: {words}; to leave them out: {helps}", small > 0.05 * total
    for line in summarize_notes((one.name, one.note) for one in report.pictures):
        yield f"{name}: {line}.", False
    mixed = Counter(one.mode for one in report.pictures)
    if len(mixed) > 1:
        words = f"{mixed['RGBA']:,} pictures have transparency and {mixed['RGB']:,} have none; a generator needs all of one kind"
        yield f"{name}: {words}; to cut the objects out of those without: {_split(_pictures(report), beside=report.spec)}", True
    yield from _judge_objects(report)
    sides = [one.width / one.height for one in report.pictures]
    long = sum(side > MAX_ASPECT or side < 1 / MAX_ASPECT for side in sides)
    if long:
        words = f"{long:,} of {total:,} pictures are more than twice as long as wide; half of each will be cropped away"
        yield f"{name}: {words}; to leave them out: {_prepare(report, f'--max-aspect {MAX_ASPECT}')}", long > 0.1 * total


def _judge_numbers(report: SetReport) -> Iterator[Sentence]:
    name, total = report.name, len(report.pictures)
    if report.split in ("", TRAIN) and 0 < total < FEW:
        factor = math.ceil(FEW / total)
        more = f"{name}: {total:,} pictures are few, {FEW:,} or more would do; a generator may learn them by heart. Add {FEW - total:,}, or make "
        enlarged = f"mitlgan data augment {_quoted(_pictures(report, name))} --out {_quoted(_beside(report.spec, 'more'))} --factor {factor}"
        yield f"{more}{factor} of each: {enlarged}", True
    elif report.split not in ("", TRAIN) and 0 < total < FEW_HELD_OUT:
        words = f"{total:,} held-out pictures; a distance to fewer than {FEW_HELD_OUT:,} is uncertain"
        yield f"{name}: {words}: add photographs, or hold out more of them by --holdout", False


def _judge_objects(report: SetReport) -> Iterator[Sentence]:
    name = report.name
    with_matte = [one for one in report.pictures if one.coverage is not None]
    least, most = COVERAGE_RANGE
    total = len(with_matte)
    found = (
        (sum(one.border > 0.02 for one in with_matte), "touch the border, as if cut off", "--max-border 0.02"),
        (sum(one.coverage < least for one in with_matte if one.coverage is not None), f"cover less than {least:.0%} of their picture",
         f"--min-object-area {least:g}"),
        (sum(one.coverage > most for one in with_matte if one.coverage is not None), f"cover more than {most:.0%} of their picture",
         f"--max-object-area {most:g}"),
    )  # fmt: skip
    known = find_split_output(Path(report.spec))
    spec = known.source if known and known.source else _pictures(report)
    beside = report.spec if spec == PICTURES else spec
    for number, words, option in found:
        if number:
            yield (
                f"{name}: {number:,} of {total:,} foregrounds {words}; to set them aside: {_split(spec, option, beside=beside)}",
                number > 0.03 * total,
            )


def advise_on_pairs(sets: list[SetReport], pairs: list[DuplicatePair]) -> list[Sentence]:
    """What pictures that are in twice mean: within a set, in training and held-out pictures, or in two sets.

    What `data split` made of one photograph may be in `fg`, `bg` and `scene`, as long as it is in the same split of them.
    """
    reports = {report.name: report for report in sets}
    known = {report.name: find_split_output(Path(report.name)) for report in sets}
    others = [pair for pair in pairs if not _same_photograph(pair, known)]
    found = _judge_siblings(sets, known)
    for (one, other), kinds in _by_sets(others).items():
        first, second = reports[one], reports[other]
        counted = " and ".join(f"{number:,} {'equal' if exact else 'look-alike'}" for exact, number in sorted(kinds.items(), reverse=True))
        total = sum(kinds.values())
        if one == other:
            words = f"{counted} pairs within the set; look-alikes are weighted more than once"
            found.append((f"{one}: {words}; to keep one of each: {_prepare(first, '--dedupe near')}", total > 0.02 * len(first.pictures)))
        elif is_leak(first.split, second.split):
            train, held_out = (first, second) if first.split == TRAIN else (second, first)
            within = first.spec == second.spec
            helps = _prepare(train, "--dedupe near" if within else f"--dedupe near --against {_quoted(held_out.name)}")
            words = f"{counted} pairs leak from training into held-out pictures; measurements will flatter"
            found.append((f"{one} and {other}: {words}; to leave them out: {helps}", True))
        else:
            helps = _prepare(first, f"--dedupe near --against {_quoted(second.name)}")
            found.append((f"{one} and {other}: {counted} pairs are in both sets; to leave them out of the first: {helps}", True))
    return found


def _same_photograph(pair: DuplicatePair, known: dict[str, SplitOutput | None]) -> bool:
    """Whether `data split` made both files of a pair of one photograph."""
    first, second = known[pair.first_set], known[pair.second_set]
    if first is None or second is None or first.out != second.out:
        return False
    one = first.photograph(Path(pair.first_set), pair.first)
    return one is not None and one == second.photograph(Path(pair.second_set), pair.second)


def _judge_siblings(sets: list[SetReport], known: dict[str, SplitOutput | None]) -> list[Sentence]:
    """Photographs that are in training in one set and held out in another, by the manifest, whether their files look alike or not."""
    found: list[Sentence] = []
    places: dict[str, dict[str, str]] = {}
    for report in sets:
        siblings = known[report.name]
        if siblings is not None and report.split:
            names = (siblings.photograph(Path(report.name), one.name) for one in report.pictures)
            places[report.name] = {f"{siblings.out}\n{name}": name for name in names if name is not None}
    for position, first in enumerate(sets):
        for second in sets[position + 1 :]:
            both = places.get(first.name, {}).keys() & places.get(second.name, {}).keys()
            siblings = known[first.name]
            if both and siblings is not None and is_leak(first.split, second.split):
                words = f"{len(both):,} photographs leak from training into held-out pictures; measurements will flatter"
                helps = f"mitlgan data split {_quoted(siblings.source or 'PHOTOS')} --out {_quoted(str(siblings.out))}"
                found.append((f"{first.name} and {second.name}: {words}; to put every file back where it belongs: {helps}", True))
    return found


def _by_sets(pairs: list[DuplicatePair]) -> dict[tuple[str, str], Counter[bool]]:
    found: dict[tuple[str, str], Counter[bool]] = {}
    for pair in pairs:
        found.setdefault((pair.first_set, pair.second_set), Counter())[pair.exact] += 1
    return found


def _prepare(report: SetReport, options: str = "") -> str:
    """The `data prepare` that makes a better pack of a set."""
    shorter = sorted(min(one.width, one.height) for one in report.pictures) or [SMALL_PX]
    size_px = 2 ** max(3, min(7, int(math.log2(shorter[len(shorter) // 2]))))
    alpha = " --keep-alpha" if any(one.mode == "RGBA" for one in report.pictures) else ""
    out = _quoted(_beside(report.spec, "clean"))
    return f"mitlgan data prepare {_quoted(_pictures(report))} --out {out} --size {size_px}{alpha}{f' {options}' if options else ''}"


def _pictures(report: SetReport, name: str = "") -> str:
    """What a command is given to make a set again: itself, or, of a pack, a word for the pictures that it was made of."""
    return PICTURES if isinstance(report.content, ImagePack) else name or report.spec


def _split(spec: str, options: str = "", *, beside: str) -> str:
    return f"mitlgan data split {_quoted(spec)} --out {_quoted(_beside(beside, 'layers'))}{f' {options}' if options else ''}"


def _beside(spec: str, word: str) -> str:
    path = Path(spec)
    return str(path.with_name(f"{path.stem if path.is_file() else path.name}-{word}"))


def _quoted(text: str) -> str:
    return shlex.quote(text)
