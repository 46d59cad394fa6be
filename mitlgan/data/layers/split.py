"""`data split`: cuts pictures into `fg/`, `bg/` and `scene/`; unusable ones go to `set-aside/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.build.journal import JOURNAL_FILE, Journal, open_journal
from mitlgan.data.build.mattes import use_mattes
from mitlgan.data.build.parallel import in_order
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.kept_splits import KeptSplits, find_kept_splits
from mitlgan.data.layers.arrange import (
    FOLDERS,
    UNUSED_FOLDER,
    ConfidenceLimits,
    ManualChoices,
    assign_pictures,
    decide,
    find_piece,
    find_retouched,
    is_fill,
    move_pieces,
    remove_pieces,
)
from mitlgan.data.layers.cut import CutResult, CutSettings, cut_picture
from mitlgan.data.layers.cut_confidence import MAX_DOUBTFUL_CONFIDENCE, MIN_CONFIDENCE, MIN_FILL_CONFIDENCE
from mitlgan.data.layers.earlier_splits import find_earlier_works
from mitlgan.data.layers.holdout import DEFAULT_HOLDOUT, HoldoutSize
from mitlgan.data.layers.matting import MattingMethod, import_opencv, matting_methods
from mitlgan.data.layers.split_output import SPLIT_MANIFEST
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import ImageSource, find_bad_starts, open_source, refuse_output_inside, refuse_unreadable
from mitlgan.data.sources.split_folders import SPLITS
from mitlgan.errors import DataError, UsageError, translate_resource_faults
from mitlgan.runtime.arguments import require_number, require_whole
from mitlgan.runtime.files import ensure_folder, translate_disk_errors, write_atomically, write_json
from mitlgan.runtime.progress import ProgressCallback, Say, ignore_message, ignore_progress

VERSION = 10  # raise it when the same pictures and settings make other files
METHODS_WITH_MATTES = ("auto",)  # methods that use mattes next to the pictures
BACKGROUNDS = ("both", "fill", "patch")
MIN_SIZE_PX, MAX_SIZE_PX, MAX_BLUR_PX = 16, 1024, 100
DECISIONS = ("used", "set aside", "duplicate", "unreadable", "excluded")


@dataclass(frozen=True)
class SplitSettings(CutSettings):
    """How pictures are cut, and which cuts are used; a later call may change the latter without cutting again.

    Attributes:
        exclude: Names to leave out, of pictures or of single backgrounds (`bg/NAME.png`); later calls remember them.
        keep: Names to use in any case, or again; later calls remember them.
        holdout: What is held out of training: a share such as `10%`, a number of photographs, or `0`; see `holdout.assign_splits`.
        min_confidence: Cuts with less confidence are set aside; see `cut_confidence.estimate_cut_confidence`.
        min_fill_confidence: Filled backgrounds with less confidence are not used.
        allow_bad: Continue if more than 5 % of the files are not usable pictures.
    """

    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    holdout: str = DEFAULT_HOLDOUT
    min_confidence: float = MIN_CONFIDENCE
    min_fill_confidence: float = MIN_FILL_CONFIDENCE
    allow_bad: bool = False

    def __post_init__(self) -> None:
        require_whole("--size", self.size_px, MIN_SIZE_PX, MAX_SIZE_PX)
        require_number("--max-hole", self.max_hole, 0, 1)
        require_number("--blur", self.blur_px, 0, MAX_BLUR_PX)
        require_number("--min-confidence", self.min_confidence, 0, 1)
        require_number("--min-fill-confidence", self.min_fill_confidence, 0, 1)
        if self.background not in BACKGROUNDS:
            raise UsageError(f"--background {self.background}: choose {', '.join(BACKGROUNDS)}")

    def cut_settings_to_json(self) -> dict[str, Any]:
        """Return the settings that decide the cuts."""
        values = asdict(self)
        values["gate"] = values.pop("matte_filter")  # as it was called in earlier journals
        for name in ("exclude", "keep", "holdout", "min_confidence", "min_fill_confidence", "allow_bad"):
            del values[name]
        if self.backdrop is not None:
            values["backdrop"] = list(self.backdrop)
        return values


def split_pictures(
    spec: str | Path, out: Path, settings: SplitSettings, progress: ProgressCallback = ignore_progress, say: Say = ignore_message
) -> dict[str, Any]:
    """Cut every picture of a source; after an interruption, the same call resumes.

    A later call on the same folder with other choices (`exclude`, `keep`, `holdout`, confidences) moves files without cutting again.

    Args:
        spec: See `open_source`.
        out: Folder for `fg/`, `bg/`, `scene/` (each with `train/` and `test/` if pictures are held out), `set-aside/` and `split.json`.
        settings: How.
        progress: Receives the number of finished and of all pictures.
        say: Receives how many pictures of an earlier version's work are cut again, and which pieces are kept because somebody has changed them.

    Returns:
        The manifest: counts by decision, holes left unfilled, splits, and one record per picture, in the source's order.

    Raises:
        DataError: There is no readable or no usable picture, or all are in folders of held-out ones.
        UsageError: The method does not exist, or the folder holds other work or other files.
        ResourceError: The folder cannot be written.
    """
    holdout = HoldoutSize.parse(settings.holdout)
    import_opencv()  # refuses before any work if it is not installed
    methods = matting_methods(settings.matting)
    source = open_source(spec)
    if settings.matting not in METHODS_WITH_MATTES and not settings.matting.lower().endswith(".onnx"):
        source, _ = use_mattes(source, f"--matting {settings.matting} finds its own; --matting auto takes them")
    refuse_output_inside(source, out)
    kept = find_kept_splits(source)
    if not settings.allow_bad and not (out / JOURNAL_FILE).exists():
        _refuse_bad(source, find_bad_starts(source.entries), settings)
    header = {"work": "split", "version": VERSION, "listing_sha256": source.listing_sha256(), "settings": settings.cut_settings_to_json()}
    with open_journal(out, header, earlier=find_earlier_works(source, out / JOURNAL_FILE, header, settings, say)) as journal:
        for folder in FOLDERS:
            ensure_folder(out / folder)
        _cut_all(source, out, methods, settings, journal, progress, say)
        lines = [line for line in journal.lines if "outdated" not in line]
        _refuse_bad(source, _unreadable(lines), settings)
        choices = ManualChoices.read(out).updated(settings.exclude, settings.keep)
        choices.write(out)
        return _arrange(source, out, header, lines, choices, holdout, settings, kept)


def _unreadable(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{"name": line["name"], "reason": line["unreadable"]} for line in lines if "unreadable" in line]


def _refuse_bad(source: ImageSource, unreadable: Sequence[dict[str, str]], settings: SplitSettings) -> None:
    way_out = "" if settings.allow_bad else "remove them, or continue with --allow-bad"
    refuse_unreadable(f"SRC {source.spec}", len(source.entries), unreadable, way_out)


def _cut_all(
    source: ImageSource, out: Path, methods: list[MattingMethod], settings: SplitSettings, journal: Journal, progress: ProgressCallback, say: Say
) -> None:
    """Cut the pictures that the journal does not have yet, until too many are unreadable; their pieces go to the folder of unused ones.

    A picture of an outdated line is cut again, and its pieces stay where they are if they are what they were, whatever its record says.
    """
    finished = {line["name"] for line in journal.lines if "outdated" not in line}
    outdated = {line["name"]: line for line in journal.lines if line["name"] not in finished}
    entries = [entry for entry in source.entries if entry.name not in finished]
    total = len(source.entries)
    changed, retouched = 0, list[Path]()
    unreadable = _unreadable(line for line in journal.lines if "outdated" not in line)

    def cut(entry: ImageEntry) -> CutResult:
        with translate_resource_faults(f"picture {entry.name!r}", ", or leave it out with --exclude"):
            return cut_picture(entry, methods, settings)

    try:
        for number, (entry, result) in enumerate(in_order(source.iterate(entries), cut), start=total - len(entries) + 1):
            before = outdated.get(entry.name)
            if before is None:
                for name, content in result.pieces.items():
                    _write_piece(out, out / UNUSED_FOLDER / name, content)
            elif not _has_same_pieces(out, before, result):
                changed += 1
                retouched += _replace_pieces(out, before, result)
            journal.append(result.record)
            progress(number, total)
            unreadable += _unreadable([result.record])
            _refuse_bad(source, unreadable, settings)  # as soon as there are too many, not when all is cut
    finally:  # the next call does not know of them
        if retouched:
            _say_kept([str(path.relative_to(out)) for path in retouched], say)
    if outdated:
        counts = f"cut again, as this version may judge them otherwise: {len(outdated):,}; {changed:,} of them have other files now"
        say(f"pictures of an earlier version's work that are {counts}")


def _say_kept(names: Sequence[str], say: Say) -> None:
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
    say(f"files of pictures cut again that were changed since the first cut stay as they are: {listed}; remove those that you do not want")


def _has_same_pieces(out: Path, before: Mapping[str, Any], result: CutResult) -> bool:
    """Whether the files of an outdated line are those of the new cut; what somebody has retouched or removed since stays so."""
    pieces = before.get("pieces", [])
    if list(pieces) != list(result.record.get("pieces", [])):
        return False
    retouched = find_retouched(out, pieces, before["outdated"]).values()
    earlier = [(piece, path) for piece in pieces for path in find_piece(out, piece) if path not in retouched]
    return all(_is_same_picture(path, result.pieces[piece]) for piece, path in earlier)


def _is_same_picture(path: Path, content: bytes) -> bool:
    """Whether a piece has the pixels of another; another Pillow writes the same ones as other bytes."""
    with translate_disk_errors(path):
        written = path.read_bytes()
    if written == content:
        return True
    with suppress(UnreadableImageError):
        return decode_bytes(written, keep_alpha=True).picture == decode_bytes(content, keep_alpha=True).picture
    return False


def _replace_pieces(out: Path, before: Mapping[str, Any], result: CutResult) -> list[Path]:
    """Replace the pieces of a picture whose cut has changed; return those that stay, which somebody has changed and which no new one equals.

    Old ones are written over where they are, after those that are missing were added: until the last one, a killed call leaves one that differs.
    """
    pieces = before.get("pieces", ())
    retouched = find_retouched(out, pieces, before["outdated"])
    kept = {piece: path for piece, path in retouched.items() if piece not in result.pieces or path.read_bytes() != result.pieces[piece]}
    paths = {piece: find_piece(out, piece) if piece in pieces else [] for piece in result.pieces if piece not in kept}
    for piece in sorted(paths, key=lambda piece: bool(paths[piece])):
        for path in paths[piece] or [out / UNUSED_FOLDER / piece]:
            if not paths[piece] or not _is_same_picture(path, result.pieces[piece]):
                _write_piece(out, path, result.pieces[piece])
    remove_pieces(out, [piece for piece in pieces if piece not in kept and piece not in result.pieces])
    return list(kept.values())


def _write_piece(out: Path, path: Path, content: bytes) -> None:
    if not path.parent.is_dir():  # if the folder of the work is gone, it is not made again; one inside it may be on another disk, by a link
        ensure_folder(path.parent, root=next((folder for folder in path.parents if folder.is_dir() and folder.is_relative_to(out)), out))
    write_atomically(path, content, root=path.parent)


def _arrange(
    source: ImageSource,
    out: Path,
    header: dict[str, Any],
    lines: list[dict[str, Any]],
    choices: ManualChoices,
    holdout: HoldoutSize,
    settings: SplitSettings,
    kept: KeptSplits,
) -> dict[str, Any]:
    """Decide what is used, move the pieces, and write the manifest."""
    order = {entry.name: number for number, entry in enumerate(source.entries)}
    lines = sorted(lines, key=lambda line: order.get(line["name"], -1))
    limits = ConfidenceLimits(settings.min_confidence, settings.min_fill_confidence, MAX_DOUBTFUL_CONFIDENCE)
    records = decide(lines, choices, limits, kept.unassigned)
    assignment = assign_pictures(source.spec, records, lines, holdout, kept)
    missing = move_pieces(out, records, assignment.splits, lines)
    counts = Counter(record["decision"] for record in records)
    used = [record for record in records if record["decision"] == "used"]
    names = {name for line in lines for name in (line["name"], *line.get("pieces", ()))}
    manifest = {
        "schema_version": 1,
        "made_by": header,
        "source": str(source.spec),
        "choices": {"exclude": sorted(choices.exclude), "keep": sorted(choices.keep), **asdict(limits)},
        "holdout": {"asked": str(holdout), "note": assignment.note},
        "counts": {decision: counts.get(decision, 0) for decision in DECISIONS},
        "doubtful": sum(record["doubtful"] for record in records),
        "methods": dict(sorted(Counter(record["method"] for record in records if "method" in record).items())),
        "files": {folder: len(list_layer(out / folder)) for folder in FOLDERS},
        "splits": dict(Counter(record["split"] for record in used if "split" in record)),
        "unfilled": sum(record.get("hole", 0) > settings.max_hole for record in used) if settings.background != "patch" else 0,
        "fills_left_out": sum("fill_confidence" in record and not any(map(is_fill, record["files"])) for record in used),
        "unknown": sorted((choices.exclude | choices.keep) - names),
        "gone": missing,
        "leftovers": source.leftovers.to_json(),
        "skipped": source.leftovers.skipped(),
        "records": records,
    }
    write_json(out / SPLIT_MANIFEST, manifest, root=out)
    if not used:
        first = next(iter(records), {"name": "", "reason": ""})
        raise DataError(f"SRC {source.spec}: none of {len(records)} pictures can be cut; the first, {first['name']!r}: {first['reason']}")
    return manifest


def list_layer(folder: Path) -> list[Path]:
    """Return the pictures of one of the sets, of all splits, without mattes."""
    with translate_disk_errors(folder):
        paths = [path for place in (folder, *(folder / split for split in SPLITS)) if place.is_dir() for path in place.iterdir()]
        return sorted(path for path in paths if path.suffix == ".png" and not path.name.endswith(MATTE_SUFFIX))
