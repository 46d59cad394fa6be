"""`data check`: measures the pictures of sets, finds duplicates, and says what will hurt training."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.mattes import decode_matte
from mitlgan.data.build.parallel import in_order
from mitlgan.data.curate.check_advice import advise
from mitlgan.data.curate.cutout_agreement import MEASURED_PX, MIN_OPAQUE
from mitlgan.data.curate.duplicates import DuplicatePair, find_duplicates
from mitlgan.data.curate.perceptual_hash import PictureHash, hash_looks
from mitlgan.data.curate.reference_sets import NamedSet, hash_packed_looks, open_named_sets
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, flatten_on
from mitlgan.data.newer_pictures import find_newer_pictures
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.kept_square import kept_size_px
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.errors import translate_resource_faults
from mitlgan.runtime.progress import ProgressCallback, ignore_progress

BINS = 32
MAX_LISTED_PAIRS = 200


@dataclass(frozen=True)
class PictureStats:
    """Measurements of one picture.

    Attributes:
        name: Name in its set.
        hashes: Of all its looks, which find duplicates: first that of the whole file, or of what a pack keeps of it.
        width: Width of the upright picture (px).
        height: Height of the upright picture (px).
        mode: `RGB` or `RGBA`.
        mean: Mean red, green and blue (0 to 255) of its opaque pixels.
        histogram: (3, BINS) shares.
        coverage: Area of the object, 0 to 1; None if there is no matte.
        border: Share of the picture's edge that the object touches.
        note: What a user should know of the file.
    """

    name: str
    hashes: tuple[PictureHash, ...]
    width: int
    height: int
    mode: str
    mean: tuple[float, float, float]
    histogram: NDArray[np.float64]
    coverage: float | None
    border: float
    note: str = ""

    @property
    def hash(self) -> PictureHash:
        """The first of its hashes."""
        return self.hashes[0]


@dataclass
class SetReport:
    """Findings about one set.

    Attributes:
        name: The set as the user named it, with the split's folder.
        split: `train`, `validation`, `test`, or empty.
        content: Where its pictures are read.
        pictures: Its readable pictures.
        unreadable: Name and reason of each of the others.
        leftovers: Other files.
        spec: The whole set, as the user named it.
        remark: See `NamedSet`.
    """

    name: str
    split: str
    content: ImageSource | ImagePack
    pictures: list[PictureStats] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    leftovers: Leftovers = field(default_factory=Leftovers)
    spec: str = ""
    remark: str = ""


@dataclass(frozen=True)
class CheckResult:
    """All findings.

    Attributes:
        sets: Findings about each set.
        pairs: At most `MAX_LISTED_PAIRS` pairs of duplicates.
        verdict: Sentences, each with whether it may hurt training.
        pair_count: Number of all pairs of duplicates.
    """

    sets: list[SetReport]
    pairs: list[DuplicatePair]
    verdict: list[tuple[str, bool]]
    pair_count: int = 0

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        hurting = sum(hurts for _, hurts in self.verdict)
        return f"{hurting} {'thing' if hurting == 1 else 'things'} may hurt training" if hurting else "Nothing was found that will hurt training"


def check_datasets(specs: list[str], progress: ProgressCallback = ignore_progress) -> CheckResult:
    """Measure every picture of the sets.

    Args:
        specs: Folders, archives, lists or packs; split folders in them are sets of their own, see `split_folders`.
        progress: Receives the number of finished and of all pictures of the current set.

    Raises:
        DataError: A set is missing or holds no pictures.
    """
    opened = [(spec, *open_named_sets(spec, "DIR")) for spec in specs]
    sets = [_measure_set(one, spec, progress) for spec, named_sets, _ in opened for one in named_sets]
    files = [(report.name, one.name) for report in sets for one in report.pictures]
    duplicates = find_duplicates(files, [one.hashes for report in sets for one in report.pictures])
    pairs = list(itertools.islice(duplicates.pairs(), MAX_LISTED_PAIRS))
    verdict = [(f"{spec}: {sentence}", hurts) for spec, _, sentences in opened for sentence, hurts in sentences]
    verdict += advise(sets, duplicates)
    if not any(hurts for _, hurts in verdict):
        verdict.insert(0, (f"{CheckResult(sets, pairs, verdict).headline}.", False))
    return CheckResult(sets, pairs, verdict, duplicates.count())


def to_json(result: CheckResult) -> dict[str, Any]:
    """Return the findings as JSON."""
    return {
        "schema_version": 1,
        "sets": [summarize_set(report) for report in result.sets],
        "pairs": [vars(pair) for pair in result.pairs],
        "pair_count": result.pair_count,
        "verdict": [{"text": text, "hurts": hurts} for text, hurts in result.verdict],
    }


def summarize_set(report: SetReport) -> dict[str, Any]:
    """Return counts, sizes, channels and colors of one set as JSON."""
    pictures = report.pictures
    sizes = Counter(f"{one.width}x{one.height}" for one in pictures)
    coverage = [one.coverage for one in pictures if one.coverage is not None]
    shorter = sorted(min(one.width, one.height) for one in pictures)
    means = np.array([one.mean for one in pictures]) if pictures else np.zeros((1, 3))
    return {
        "name": report.name,
        "split": report.split,
        "count": len(pictures),
        "unreadable": len(report.unreadable),
        "skipped": [{"name": name, "reason": reason} for name, reason in report.unreadable] + report.leftovers.skipped(),
        "leftovers": report.leftovers.to_json(),
        "remark": report.remark,
        "sizes": dict(sizes.most_common(5)),
        "distinct_sizes": len(sizes),
        "shorter_side_px": {"least": shorter[0], "median": int(statistics.median(shorter)), "most": shorter[-1]} if shorter else None,
        "channels": dict(Counter(one.mode for one in pictures)),
        "mean_rgb": [round(float(value), 1) for value in means.mean(0)],
        "spread_rgb": [round(float(value), 1) for value in means.std(0)],
        "blank": sum(one.hash.is_blank for one in pictures),
        "with_matte": len(coverage),
        "coverage": {"mean": round(float(np.mean(coverage)), 4), "least": round(min(coverage), 4), "most": round(max(coverage), 4)}
        if coverage
        else None,
        "touching_border": sum(one.border > 0 for one in pictures),
    }


def _measure_set(one: NamedSet, spec: str, progress: ProgressCallback) -> SetReport:
    content = one.content
    report = SetReport(one.name, one.split, content, spec=spec, remark=one.remark)
    if isinstance(content, ImagePack):
        report.leftovers = find_newer_pictures(Path(spec)) if one.split in ("", TRAIN) else Leftovers()  # of a whole set once
        for index, line in enumerate(content.sources()):
            report.pictures.append(_measure_packed(content, index, line))
            progress(index + 1, len(content))
        return report
    report.leftovers = content.leftovers
    for number, (entry, result) in enumerate(in_order(content.entries, _measure_entry), start=1):
        if isinstance(result, UnreadableImageError):
            report.unreadable.append((entry.name, str(result)))
        else:
            report.pictures.append(result)
        progress(number, len(content.entries))
    return report


def _measure_entry(entry: ImageEntry) -> PictureStats | UnreadableImageError:
    try:
        with translate_resource_faults(f"picture {entry.name!r}"):
            decoded = decode_bytes(entry.read(), keep_alpha=True, size_px=MEASURED_PX)
            matte = None if entry.matte is None else decode_matte(entry.matte, decoded)
    except UnreadableImageError as error:
        return error
    hashes = hash_looks(decoded.picture, decoded.sha256)
    stats = measure_picture(entry.name, decoded.picture, hashes, (decoded.width, decoded.height), matte)
    return replace(stats, note=decoded.note)


def _measure_packed(pack: ImagePack, index: int, line: dict[str, Any]) -> PictureStats:
    picture = pack.picture(index)
    picture = picture.convert("RGBA" if picture.mode == "RGBa" else "RGB")
    matte = Image.fromarray(pack.pixels[index, 3]) if pack.fourth_channel else None
    return measure_picture(str(line["name"]), picture, hash_packed_looks(pack, index, line), kept_size_px(line, pack.size_px), matte)


def measure_picture(name: str, picture: Image.Image, hashes: Sequence[PictureHash], size: tuple[int, int], matte: Image.Image | None) -> PictureStats:
    """Measure one picture.

    Args:
        name: Name in its set.
        picture: RGB or RGBA.
        hashes: Of all its looks.
        size: Width and height of the upright file (px), or of the square of it that was kept.
        matte: Matte of its object; None for its transparency, if it has any.
    """
    scale = MEASURED_PX / max(picture.size)
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BOX)
    alpha = np.asarray(small.getchannel("A")) if small.mode == "RGBA" else None
    if alpha is not None and (alpha >= MIN_OPAQUE).all():
        alpha = None
    pixels = np.asarray(small.convert("RGB"))
    opaque = pixels.reshape(-1, 3) if alpha is None else pixels[alpha > 127]  # (N, 3)
    opaque = opaque if len(opaque) else np.asarray(flatten_on(small, (128, 128, 128))).reshape(-1, 3)  # hidden colors do not count
    histogram = np.stack([np.bincount(opaque[:, channel].astype(np.int64) * BINS // 256, minlength=BINS) / len(opaque) for channel in range(3)])
    plane = alpha if matte is None else np.asarray(matte.resize(small.size, Image.Resampling.BOX))
    coverage = None if plane is None else float((plane > 127).mean())
    border = 0.0 if plane is None else float((np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]) > 127).mean())
    red, green, blue = (float(value) for value in opaque.mean(0))
    mode = "RGB" if alpha is None else "RGBA"
    return PictureStats(name, tuple(hashes), *size, mode, (red, green, blue), histogram, coverage, border)
