"""`data check`: what is in the sets, and in words what of it will hurt training."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.matte_rules import decode_matte
from mitlgan.data.build.parallel import in_order
from mitlgan.data.curate.check_advice import advise_on_pairs, advise_on_set
from mitlgan.data.curate.perceptual_hash import PictureHash, find_near_pairs, group_equal_files, hash_picture
from mitlgan.data.curate.reference_sets import NamedSet, hash_packed_picture, open_named_sets
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, flatten_on
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.errors import naming_faults
from mitlgan.runtime.progress import ProgressCallback

LOOK_PX = 64  # pictures are looked at in this size
BINS = 32
PAIRS_LISTED = 200


@dataclass(frozen=True)
class PictureStats:
    """One picture, looked at.

    Attributes:
        name: In its set.
        hash: For duplicates.
        width: Upright (px).
        height: Likewise.
        mode: `RGB` or `RGBA`.
        mean: Of red, green, blue (0 to 255), over what is opaque.
        histogram: (3, BINS) shares.
        coverage: Of the object, 0 to 1; None where no matte is known.
        border: Share of the picture's edge that the object touches.
        note: What is to be known of its file.
    """

    name: str
    hash: PictureHash
    width: int
    height: int
    mode: str
    mean: tuple[float, float, float]
    histogram: NDArray[np.float64]
    coverage: float | None
    border: float
    note: str = ""


@dataclass
class SetReport:
    """One set.

    Attributes:
        name: As the user named it, with the split's folder.
        split: `train`, `validation`, `test`, or empty.
        content: Where its pictures are read.
        pictures: Its readable pictures.
        unreadable: Name and reason of the others.
        leftovers: What else is there.
        spec: The set that it is part of, as the user named it.
    """

    name: str
    split: str
    content: ImageSource | ImagePack
    pictures: list[PictureStats] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    leftovers: Leftovers = field(default_factory=Leftovers)
    spec: str = ""


@dataclass(frozen=True)
class DuplicatePair:
    """Two pictures that are the same (`exact`) or look alike, in one set or in two."""

    first_set: str
    first: str
    second_set: str
    second: str
    exact: bool


@dataclass(frozen=True)
class CheckResult:
    """All that was found; `verdict` in sentences, each with whether it will hurt."""

    sets: list[SetReport]
    pairs: list[DuplicatePair]
    verdict: list[tuple[str, bool]]


def check_datasets(specs: list[str], progress: ProgressCallback | None = None) -> CheckResult:
    """Look at every picture of the sets.

    Args:
        specs: Folders and archives (with the folders of their splits where they have them, see `split_folders`), lists, packs.
        progress: Told how many of how many are done in the current set.

    Raises:
        DataError: A set is missing or holds no pictures.
    """
    known = [(spec, *open_named_sets(spec, "DIR")) for spec in specs]
    sets = [replace(_look_at(one, progress), spec=spec) for spec, found, _ in known for one in found]
    pairs = find_duplicate_pairs(sets)
    verdict = [(f"{spec}: {sentence}", bad) for spec, _, said in known for sentence, bad in said]
    verdict += [sentence for report in sets for sentence in advise_on_set(report)] + advise_on_pairs(sets, pairs)
    if not any(bad for _, bad in verdict):
        verdict.insert(0, ("Nothing was found that will hurt training.", False))
    return CheckResult(sets, pairs, verdict)


def to_json(result: CheckResult) -> dict[str, Any]:
    """The findings as JSON."""
    return {
        "schema_version": 1,
        "sets": [summarize_set(report) for report in result.sets],
        "pairs": [vars(pair) for pair in result.pairs[:PAIRS_LISTED]],
        "pair_count": len(result.pairs),
        "verdict": [{"text": text, "hurts": bad} for text, bad in result.verdict],
    }


def summarize_set(report: SetReport) -> dict[str, Any]:
    """Counts, sizes, channels and colours of one set."""
    seen = report.pictures
    sizes = Counter(f"{one.width}x{one.height}" for one in seen)
    coverage = [one.coverage for one in seen if one.coverage is not None]
    shorter = sorted(min(one.width, one.height) for one in seen)
    means = np.array([one.mean for one in seen]) if seen else np.zeros((1, 3))
    return {
        "name": report.name,
        "split": report.split,
        "count": len(seen),
        "unreadable": len(report.unreadable),
        "skipped": [{"name": name, "reason": reason} for name, reason in report.unreadable] + report.leftovers.skipped(),
        "leftovers": report.leftovers.to_json(),
        "sizes": dict(sizes.most_common(5)),
        "distinct_sizes": len(sizes),
        "shorter_side_px": {"least": shorter[0], "median": shorter[len(shorter) // 2], "most": shorter[-1]} if shorter else None,
        "channels": dict(Counter(one.mode for one in seen)),
        "mean_rgb": [round(float(value), 1) for value in means.mean(0)],
        "spread_rgb": [round(float(value), 1) for value in means.std(0)],
        "blank": sum(one.hash.is_blank for one in seen),
        "with_matte": len(coverage),
        "coverage": {"mean": round(float(np.mean(coverage)), 4), "least": round(min(coverage), 4), "most": round(max(coverage), 4)}
        if coverage
        else None,
        "touching_border": sum(one.border > 0 for one in seen),
    }


def find_duplicate_pairs(sets: list[SetReport]) -> list[DuplicatePair]:
    """All pairs of equal files, and of pictures that look alike, within sets and across them."""
    places = [(report.name, one.name) for report in sets for one in report.pictures]
    looks = [one.hash for report in sets for one in report.pictures]
    exact = {(group[0], other) for group in group_equal_files(looks) for other in group[1:]}
    in_group = {position: group[0] for group in group_equal_files(looks) for position in group}
    pairs = [DuplicatePair(*places[one], *places[other], exact=True) for one, other in sorted(exact)]
    for one, other in find_near_pairs(looks):
        if in_group.get(one, one) != in_group.get(other, other):
            pairs.append(DuplicatePair(*places[one], *places[other], exact=False))
    return pairs


def _look_at(one: NamedSet, progress: ProgressCallback | None) -> SetReport:
    content = one.content
    return _look_at_pack(one, content, progress) if isinstance(content, ImagePack) else _look_at_source(one, content, progress)


def _look_at_source(one: NamedSet, source: ImageSource, progress: ProgressCallback | None) -> SetReport:
    report = SetReport(one.name, one.split, content=source, leftovers=source.leftovers)
    for number, (entry, found) in enumerate(in_order(source.entries, _seen_or_reason), start=1):
        if isinstance(found, UnreadableImageError):
            report.unreadable.append((entry.name, str(found)))
        else:
            report.pictures.append(found)
        if progress is not None:
            progress(number, len(source.entries))
    return report


def _seen_or_reason(entry: ImageEntry) -> PictureStats | UnreadableImageError:
    try:
        with naming_faults(f"picture {entry.name!r}"):
            decoded = decode_bytes(entry.read(), keep_alpha=True, size_px=LOOK_PX)
            matte = None if entry.matte is None else decode_matte(entry.matte, decoded)
    except UnreadableImageError as error:
        return error
    one = measure_picture(entry.name, decoded.picture, hash_picture(decoded.picture, decoded.sha256), (decoded.width, decoded.height), matte)
    return replace(one, note=decoded.note)


def _look_at_pack(one: NamedSet, pack: ImagePack, progress: ProgressCallback | None) -> SetReport:
    report = SetReport(one.name, one.split, content=pack)
    for index, source in enumerate(pack.sources()):
        picture = pack.picture(index)
        picture = picture.convert("RGBA" if picture.mode == "RGBa" else "RGB")
        matte = Image.fromarray(pack.pixels[index, 3]) if pack.fourth_channel else None
        size = int(source.get("width") or pack.size_px), int(source.get("height") or pack.size_px)
        report.pictures.append(measure_picture(str(source["name"]), picture, hash_packed_picture(pack, index, source), size, matte))
        if progress is not None:
            progress(index + 1, len(pack))
    return report


def measure_picture(name: str, picture: Image.Image, known: PictureHash, size: tuple[int, int], matte: Image.Image | None) -> PictureStats:
    """Measure one picture.

    Args:
        name: In its set.
        picture: RGB or RGBA.
        known: Its look.
        size: Upright width and height of the file (px).
        matte: Of its object; None takes its transparency, where it has some.
    """
    scale = LOOK_PX / max(picture.size)
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BOX)
    alpha = np.asarray(small.getchannel("A")) if small.mode == "RGBA" else None
    transparent = alpha is not None and bool((alpha < 250).any())
    pixels = np.asarray(small.convert("RGB"))
    opaque = pixels[alpha > 127] if transparent and alpha is not None else pixels.reshape(-1, 3)
    opaque = opaque if len(opaque) else np.asarray(flatten_on(small, (128, 128, 128))).reshape(-1, 3)  # not what is hidden
    histogram = np.stack([np.bincount(opaque[:, channel].astype(np.int64) * BINS // 256, minlength=BINS) / len(opaque) for channel in range(3)])
    plane = np.asarray(matte.resize(small.size, Image.Resampling.BOX)) if matte is not None else alpha if transparent else None
    coverage = None if plane is None else float((plane > 127).mean())
    border = 0.0 if plane is None else float((np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]) > 127).mean())
    mean = opaque.mean(0)
    mode = "RGBA" if transparent else "RGB"
    return PictureStats(name, known, *size, mode, (float(mean[0]), float(mean[1]), float(mean[2])), histogram, coverage, border)
