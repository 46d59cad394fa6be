"""Ordinary pictures into the three sets that composition needs: `fg/`, `bg/` and `scene/`, with what is unusable in `set-aside/`."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data import holes
from mitlgan.data.decode import UnreadableError, decode_bytes
from mitlgan.data.frame import centred_square
from mitlgan.data.gate import Gate
from mitlgan.data.journal import Journal
from mitlgan.data.listing import MATTE_SUFFIX
from mitlgan.data.mattes import with_mattes
from mitlgan.data.matting import Method, choose, find_matte, opencv
from mitlgan.data.parallel import in_order
from mitlgan.data.sources import Entry, Source, open_source, output_stem
from mitlgan.errors import DataError, UsageError
from mitlgan.files import disk_errors, locked, make_folder, write_atomically, write_json

VERSION = 4  # raise it when the same pictures and settings make other files
FOLDERS = ("fg", "bg", "scene", "set-aside")
BACKGROUNDS = ("both", "fill", "patch")
SMALLEST_PATCH = 0.4  # side of a background patch / side of the picture
CENTRED_SIDE = 0.86  # longest side of a centred object / side of its picture
Progress = Callable[[int, int], None]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class SplitSettings:
    """How pictures are cut.

    Attributes:
        matting: See `matting.choose`.
        size_px: Larger pictures are reduced to this.
        background: `fill`: the scene with the object's hole filled; `patch`: only crops that miss the object; `both`.
        max_hole: Larger holes (share of the picture) are not filled: what would stand there is invented, and repeats itself.
        blur_px: Gaussian blur of backgrounds, as the thesis prepared its own; 0 for none.
        backdrop: Lay foregrounds on this colour and write their mattes beside them; None keeps them transparent.
        centre: Centre foregrounds, longest side 86 %; otherwise they stay where the scene has them.
        exclude: Names to leave out.
        gate: What a usable matte is.
    """

    matting: str = "auto"
    size_px: int = 256
    background: str = "both"
    max_hole: float = 0.65
    blur_px: float = 0.0
    backdrop: tuple[int, int, int] | None = None
    centre: bool = False
    exclude: tuple[str, ...] = ()
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True)
class Cut:
    """What became of one picture.

    Attributes:
        record: The journal's line: name, decision, reason, method, coverage, files.
        files: Relative path to content.
    """

    record: dict[str, Any]
    files: dict[str, bytes]


def split(spec: str | Path, out: Path, settings: SplitSettings, progress: Progress | None = None) -> dict[str, Any]:
    """Cut every picture of a source; goes on where it was stopped.

    Args:
        spec: See `open_source`.
        out: Folder for `fg/`, `bg/`, `scene/`, `set-aside/` and `split.json`.
        settings: How.
        progress: Told how many of how many are done.

    Returns:
        The manifest: counts by decision, holes left unfilled, and one record per picture, in the source's order.

    Raises:
        DataError: Nothing readable, or nothing usable.
        UsageError: A method that does not exist, or a folder with other work.
        ResourceError: The folder cannot be written.
    """
    if settings.background not in BACKGROUNDS:
        raise UsageError(f"--background {settings.background}: choose {', '.join(BACKGROUNDS)}")
    opencv()
    methods = choose(settings.matting)
    source, _ = with_mattes(open_source(spec), "the cuts' own mattes are found anew")
    for folder in FOLDERS:
        make_folder(out / folder)
    header = {"work": "split", "version": VERSION, "listing_sha256": source.listing_sha256(), "settings": _plain(settings)}
    with locked(out), Journal(out / ".journal.jsonl", header) as journal:
        _cut_all(source, out, methods, settings, journal, progress)
        return _finish(source, out, header, journal)


def _cut_all(source: Source, out: Path, methods: list[Method], settings: SplitSettings, journal: Journal, progress: Progress | None) -> None:
    done = {line["name"] for line in journal.lines}
    left = [entry for entry in source.entries if entry.name not in done]
    total = len(source.entries)

    def read() -> Iterator[tuple[Entry, bytes | UnreadableError | None]]:
        for entry in left:
            try:
                yield entry, entry.read() if source.sequential else None
            except UnreadableError as error:
                yield entry, error

    def work(item: tuple[Entry, bytes | UnreadableError | None]) -> Cut:
        return cut(item[0], item[1], methods, settings)

    for number, (_, made) in enumerate(in_order(read(), work), start=total - len(left) + 1):
        for name, content in made.files.items():
            write_atomically(out / name, content)
        journal.append(made.record)
        if progress is not None:
            progress(number, total)


def cut(entry: Entry, content: bytes | UnreadableError | None, methods: list[Method], settings: SplitSettings) -> Cut:
    """Cut one picture in three, or set it aside with a reason."""
    record: dict[str, Any] = {"name": entry.name}
    if entry.name in settings.exclude:
        return Cut(record | {"decision": "excluded", "reason": "named in --exclude"}, {})
    try:
        if isinstance(content, UnreadableError):
            raise content
        decoded = decode_bytes(entry.read() if content is None else content, keep_alpha=True, size_px=settings.size_px)
    except UnreadableError as error:
        return Cut(record | {"decision": "unreadable", "reason": str(error)}, {})
    whole = _reduced(decoded.picture, settings.size_px)
    record |= {"sha256": decoded.sha256, "width": decoded.width, "height": decoded.height} | ({"note": decoded.note} if decoded.note else {})
    found = find_matte(whole, methods)
    stem = output_stem(entry.name)
    if found is None:
        record |= {"decision": "set aside", "reason": "no matte: the picture has neither transparency nor a plain backdrop"}
        return Cut(record, {f"set-aside/{stem}.png": _png(whole.crop(centred_square(*whole.size)).convert("RGB"))})
    matte, method = found
    record |= {"method": method, "coverage": round(float((matte > 127).mean()), 4)}
    box = square_around(matte)
    inner = matte[box[1] : box[3], box[0] : box[2]]
    fits = (inner > 127).sum() >= 0.99 * (matte > 127).sum()
    picture, judged = (whole.crop(box), inner) if fits else (whole, matte)
    reason = settings.gate.judge(judged)
    if reason:
        record |= {"decision": "set aside", "reason": reason}
        return Cut(record, {f"set-aside/{stem}.png": _png(marked(picture, judged))})
    rgb = np.array(picture.convert("RGB"))
    cutout = Image.fromarray(np.dstack([rgb if method == "alpha" else own_colours(rgb, judged), judged]))
    files = dict(_foreground(cutout if fits else _padded(cutout, settings.size_px), stem, settings))
    # A cut-out has no scene. An object longer than the square is a whole foreground, and a scene only if enough of it is in the square.
    if method != "alpha" and (fits or not settings.gate.judge(inner)):
        files |= dict(_places(np.array(whole.crop(box).convert("RGB")), inner, stem, settings))
        record["hole"] = round(float(holes.hole_of(inner).mean()), 4)
    return Cut(record | {"decision": "used", "reason": "", "files": sorted(files)}, files)


def _places(rgb: Pixels, matte: Pixels, stem: str, settings: SplitSettings) -> Iterator[tuple[str, bytes]]:
    """The scene with its matte, and the backgrounds that it gives."""
    yield f"scene/{stem}.png", _png(Image.fromarray(rgb))
    yield f"scene/{stem}{MATTE_SUFFIX}", _png(Image.fromarray(matte))
    hole = holes.hole_of(matte)
    if settings.background in ("fill", "both") and hole.mean() <= settings.max_hole:
        yield f"bg/{stem}.png", _png(_blurred(holes.fill(rgb, hole), settings.blur_px))
    if settings.background in ("patch", "both"):
        top, left, side = holes.largest_free_square(hole)
        if side >= SMALLEST_PATCH * min(hole.shape):
            patch = Image.fromarray(rgb[top : top + side, left : left + side]).resize(hole.shape, Image.Resampling.LANCZOS)
            yield f"bg/{stem}-patch.png", _png(_blurred(np.array(patch), settings.blur_px))


def _foreground(cutout: Image.Image, stem: str, settings: SplitSettings) -> Iterator[tuple[str, bytes]]:
    if settings.centre:
        cutout = centred(cutout)
    if settings.backdrop is None:
        yield f"fg/{stem}.png", _png(cutout)
        return
    laid = Image.new("RGBA", cutout.size, (*settings.backdrop, 255))
    laid.alpha_composite(cutout)
    yield f"fg/{stem}.png", _png(laid.convert("RGB"))
    yield f"fg/{stem}{MATTE_SUFFIX}", _png(cutout.getchannel("A"))


def own_colours(rgb: Pixels, matte: Pixels) -> Pixels:
    """The object's colours without its background's: at a soft edge a pixel takes the colour of the opaque ones near it."""
    cv2 = opencv()
    sigma = max(1.0, min(matte.shape) / 80)
    sure = (matte > 242).astype(np.float32)
    weight = cv2.GaussianBlur(sure, (0, 0), sigma)
    near = cv2.GaussianBlur(rgb.astype(np.float32) * sure[..., None], (0, 0), sigma) / np.maximum(weight, 1e-4)[..., None]
    edge = (sure == 0) & (weight > 1e-3)
    colours: Pixels = np.where(edge[..., None], np.clip(near, 0, 255), rgb).astype(np.uint8)
    colours[matte == 0] = 0
    return colours


def centred(cutout: Image.Image) -> Image.Image:
    """The object in the middle, its longest side 86 % of the picture."""
    box = cutout.getchannel("A").point(lambda value: 255 if value > 25 else 0).getbbox()
    piece = cutout.crop(box).convert("RGBa")
    scale = CENTRED_SIDE * cutout.width / max(piece.size)
    piece = piece.resize((max(1, round(piece.width * scale)), max(1, round(piece.height * scale))), Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", cutout.size)
    canvas.paste(piece, ((canvas.width - piece.width) // 2, (canvas.height - piece.height) // 2))
    return canvas


def _padded(cutout: Image.Image, size_px: int) -> Image.Image:
    """A cut-out in the middle of a transparent square, reduced to at most `size_px`."""
    side = max(cutout.size)
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(cutout, ((side - cutout.width) // 2, (side - cutout.height) // 2))
    return _reduced(canvas, size_px)


def marked(picture: Image.Image, matte: Pixels) -> Image.Image:
    """A picture with its matte shown in red, for people to judge."""
    rgb = np.array(picture.convert("RGB")).astype(np.float32)
    share = matte[..., None].astype(np.float32) / 255 * 0.55
    return Image.fromarray((rgb * (1 - share) + np.array([230, 30, 30]) * share).astype(np.uint8))


def square_around(matte: Pixels) -> tuple[int, int, int, int]:
    """The largest square of a picture, moved along its longer side to where the object is: left, top, right, bottom (px).

    Args:
        matte: (H, W) of the whole picture; empty, it gives the centred square.
    """
    left, top, right, bottom = centred_square(matte.shape[1], matte.shape[0])
    side = right - left
    inside = matte > 127
    if not inside.any():
        return left, top, right, bottom
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top = min(max(0, (int(rows[0] + rows[-1]) + 1 - side) // 2), matte.shape[0] - side)
    left = min(max(0, (int(columns[0] + columns[-1]) + 1 - side) // 2), matte.shape[1] - side)
    return left, top, left + side, top + side


def _reduced(picture: Image.Image, size_px: int) -> Image.Image:
    """The whole picture, its shorter side at most `size_px`: mattes are better where all of the object is seen."""
    scale = min(1.0, size_px / min(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def _blurred(rgb: Pixels, sigma_px: float) -> Image.Image:
    return Image.fromarray(opencv().GaussianBlur(rgb, (0, 0), sigma_px) if sigma_px > 0 else rgb)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _plain(settings: SplitSettings) -> dict[str, Any]:
    values = asdict(settings)
    values["exclude"] = sorted(settings.exclude)
    if settings.backdrop is not None:
        values["backdrop"] = list(settings.backdrop)
    return values


def _finish(source: Source, out: Path, header: dict[str, Any], journal: Journal) -> dict[str, Any]:
    order = {entry.name: number for number, entry in enumerate(source.entries)}
    records = sorted(journal.lines, key=lambda line: order.get(line["name"], -1))
    counts = Counter(line["decision"] for line in records)
    manifest = {
        "schema_version": 1,
        "made_by": header,
        "counts": {decision: counts.get(decision, 0) for decision in ("used", "set aside", "unreadable", "excluded")},
        "methods": dict(sorted(Counter(line["method"] for line in records if "method" in line).items())),
        "files": {folder: len(pictures_in(out / folder)) for folder in FOLDERS},
        "unfilled": sum(line.get("hole", 0) > header["settings"]["max_hole"] for line in records) if header["settings"]["background"] != "patch" else 0,
        "leftovers": source.leftovers.plain(),
        "skipped": source.leftovers.skipped(),
        "records": records,
    }
    write_json(out / "split.json", manifest)
    if not counts.get("used"):
        first = next((line for line in records if line["decision"] != "used"), {"name": "", "reason": ""})
        raise DataError(f"SRC {source.spec}: none of {len(records)} pictures can be cut; the first, {first['name']!r}: {first['reason']}")
    return manifest


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of one of the sets, without mattes."""
    with disk_errors(folder):
        return sorted(path for path in folder.iterdir() if path.suffix == ".png" and not path.name.endswith(MATTE_SUFFIX))
