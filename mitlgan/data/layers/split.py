"""Ordinary pictures into the three sets that composition needs: `fg/`, `bg/` and `scene/`, with what is unusable in `set-aside/`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.build.journal import Journal
from mitlgan.data.build.matte_rules import use_mattes
from mitlgan.data.build.parallel import in_order
from mitlgan.data.layers.arrange import FOLDERS, UNUSED_FOLDER, ConfidenceLimits, ManualChoices, assign_pictures, decide, move_pieces
from mitlgan.data.layers.cut import CutResult, CutSettings, cut_picture
from mitlgan.data.layers.cut_confidence import MAX_DOUBTFUL_CONFIDENCE, MIN_CONFIDENCE, MIN_FILL_CONFIDENCE
from mitlgan.data.layers.holdout import DEFAULT_HOLDOUT, HoldoutSize
from mitlgan.data.layers.matting import MattingMethod, import_opencv, matting_methods
from mitlgan.data.layers.siblings import SPLIT_MANIFEST
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import ImageSource, open_source, refuse_output_inside
from mitlgan.data.sources.split_folders import SPLITS
from mitlgan.errors import DataError, UsageError, naming_faults
from mitlgan.runtime.files import disk_errors, ensure_folder, folder_lock, write_atomically, write_json
from mitlgan.runtime.progress import ProgressCallback

VERSION = 6  # raise it when the same pictures and settings make other files
OWN_MATTES = ("auto",)  # methods that begin with what the user has: mattes beside the pictures, transparency
BACKGROUNDS = ("both", "fill", "patch")
DECISIONS = ("used", "set aside", "duplicate", "unreadable", "excluded")


@dataclass(frozen=True)
class SplitSettings(CutSettings):
    """How pictures are cut, and which cuts are used; the latter may change from call to call, and nothing is cut again.

    Attributes:
        exclude: Names to leave out, of pictures or of single backgrounds (`bg/NAME.png`); they stay left out in later calls.
        keep: Names to use, whatever speaks against them, or again; likewise.
        holdout: What is held out of training: a share such as `10%`, a number of photographs, or `0`; see `holdout.assign`.
        min_confidence: Cuts that are trusted less are set aside; see `confidence.cut_confidence`.
        min_fill_confidence: Filled backgrounds that are trusted less are not used.
    """

    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    holdout: str = DEFAULT_HOLDOUT
    min_confidence: float = MIN_CONFIDENCE
    min_fill_confidence: float = MIN_FILL_CONFIDENCE

    def cutting(self) -> dict[str, Any]:
        """What decides the cuts, as JSON has it."""
        values = asdict(self)
        values["gate"] = values.pop("matte_filter")  # as it was called in earlier journals
        for name in ("exclude", "keep", "holdout", "min_confidence", "min_fill_confidence"):
            del values[name]
        if self.backdrop is not None:
            values["backdrop"] = list(self.backdrop)
        return values


def split_pictures(spec: str | Path, out: Path, settings: SplitSettings, progress: ProgressCallback | None = None) -> dict[str, Any]:
    """Cut every picture of a source; goes on where it was stopped.

    A later call on the same folder with other choices (`exclude`, `keep`, `holdout`, confidences) moves files, and cuts nothing again.

    Args:
        spec: See `open_source`.
        out: Folder for `fg/`, `bg/`, `scene/` (each with `train/` and `test/`, where pictures are held out), `set-aside/` and `split.json`.
        settings: How.
        progress: Told how many of how many are done.

    Returns:
        The manifest: counts by decision, holes left unfilled, splits, and one record per picture, in the source's order.

    Raises:
        DataError: Nothing readable, or nothing usable.
        UsageError: A method that does not exist, or a folder with other work.
        ResourceError: The folder cannot be written.
    """
    if settings.background not in BACKGROUNDS:
        raise UsageError(f"--background {settings.background}: choose {', '.join(BACKGROUNDS)}")
    holdout = HoldoutSize.parse(settings.holdout)
    import_opencv()
    methods = matting_methods(settings.matting)
    source = _source(spec, settings)
    refuse_output_inside(source, out)
    for folder in FOLDERS:
        ensure_folder(out / folder)
    header = {"work": "split", "version": VERSION, "listing_sha256": source.listing_sha256(), "settings": settings.cutting()}
    with folder_lock(out), Journal(out / ".journal.jsonl", header) as journal:
        _cut_all(source, out, methods, settings, journal, progress)
        choices = ManualChoices.read(out).updated(settings.exclude, settings.keep)
        choices.write(out)
        return _finish(source, out, header, journal, _Arrangement(choices, holdout, settings))


def _source(spec: str | Path, settings: SplitSettings) -> ImageSource:
    """The pictures, with the mattes beside them; where a method is named that finds its own, without."""
    source = open_source(spec)
    if settings.matting in OWN_MATTES or settings.matting.lower().endswith(".onnx"):
        return source
    return use_mattes(source, f"--matting {settings.matting} finds its own; --matting auto takes them")[0]


def _cut_all(
    source: ImageSource, out: Path, methods: list[MattingMethod], settings: SplitSettings, journal: Journal, progress: ProgressCallback | None
) -> None:
    done = {line["name"] for line in journal.lines}
    left = [entry for entry in source.entries if entry.name not in done]
    total = len(source.entries)

    def work(entry: ImageEntry) -> CutResult:
        with naming_faults(f"picture {entry.name!r}", ", or leave it out with --exclude"):
            return cut_picture(entry, methods, settings)

    cuts = in_order(source.iterate(left), work)
    for number, (_, made) in enumerate(cuts, start=total - len(left) + 1):
        for name, content in made.pieces.items():
            piece = out / UNUSED_FOLDER / name
            with disk_errors(piece):
                piece.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(piece, content)
        journal.append(made.record)
        if progress is not None:
            progress(number, total)


@dataclass(frozen=True)
class _Arrangement:
    """By what pictures are chosen and divided."""

    choices: ManualChoices
    holdout: HoldoutSize
    settings: SplitSettings


def _finish(source: ImageSource, out: Path, header: dict[str, Any], journal: Journal, by: _Arrangement) -> dict[str, Any]:
    order = {entry.name: number for number, entry in enumerate(source.entries)}
    lines = sorted(journal.lines, key=lambda line: order.get(line["name"], -1))
    limits = ConfidenceLimits(by.settings.min_confidence, by.settings.min_fill_confidence, MAX_DOUBTFUL_CONFIDENCE)
    records = decide(lines, by.choices, limits)
    assignment = assign_pictures(source.spec, records, lines, by.holdout)
    gone = move_pieces(out, records, assignment.splits, lines)
    counts = Counter(record["decision"] for record in records)
    used = [record for record in records if record["decision"] == "used"]
    manifest = {
        "schema_version": 1,
        "made_by": header,
        "source": str(source.spec),
        "choices": {"exclude": sorted(by.choices.exclude), "keep": sorted(by.choices.keep), **asdict(limits)},
        "holdout": {"asked": str(by.holdout), "note": assignment.note},
        "counts": {decision: counts.get(decision, 0) for decision in DECISIONS},
        "doubtful": sum(record["doubtful"] for record in records),
        "methods": dict(sorted(Counter(record["method"] for record in records if "method" in record).items())),
        "files": {folder: len(list_layer(out / folder)) for folder in FOLDERS},
        "splits": dict(Counter(record["split"] for record in used if "split" in record)),
        "unfilled": sum(record.get("hole", 0) > by.settings.max_hole for record in used) if by.settings.background != "patch" else 0,
        "fills_left_out": sum(_fill_left_out(record) for record in used),
        "unknown": sorted((by.choices.exclude | by.choices.keep) - {name for line in lines for name in (line["name"], *line.get("pieces", ()))}),
        "gone": gone,
        "leftovers": source.leftovers.to_json(),
        "skipped": source.leftovers.skipped(),
        "records": records,
    }
    write_json(out / SPLIT_MANIFEST, manifest)
    if not counts.get("used"):
        first = next((record for record in records if record["decision"] != "used"), {"name": "", "reason": ""})
        raise DataError(f"SRC {source.spec}: none of {len(records)} pictures can be cut; the first, {first['name']!r}: {first['reason']}")
    return manifest


def _fill_left_out(record: dict[str, Any]) -> bool:
    """Whether a picture has a filled background that is not used."""
    return "fill_confidence" in record and not any(name.startswith("bg/") and not name.endswith("-patch.png") for name in record["files"])


def list_layer(folder: Path) -> list[Path]:
    """The pictures of one of the sets, of all splits, without mattes."""
    with disk_errors(folder):
        found = [path for place in (folder, *(folder / split for split in SPLITS)) if place.is_dir() for path in place.iterdir()]
        return sorted(path for path in found if path.suffix == ".png" and not path.name.endswith(MATTE_SUFFIX))
