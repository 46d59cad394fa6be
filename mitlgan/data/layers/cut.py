"""Cuts one picture of `data split` into foreground, background and scene, with the confidence of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.mattes import decode_matte
from mitlgan.data.build.resize import center_square
from mitlgan.data.curate.perceptual_hash import SQUARE, hash_looks, look_to_json
from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes, flatten_on, is_cutout
from mitlgan.data.layers import background_fill
from mitlgan.data.layers.cut_confidence import PERFECT_CUT, CutMeasures, estimate_cut_confidence, estimate_fill_confidence, measure_cut
from mitlgan.data.layers.matte_filter import MatteFilter
from mitlgan.data.layers.matting import AlphaMatting, MatteFile, MattingMethod, find_matte, import_opencv
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import output_stem
from mitlgan.images.encode import encode_dataset_png

MIN_PATCH_FRACTION = 0.4  # side of a background patch / side of the picture
CENTERED_FRACTION = 0.86  # longest side of a centered object / side of its picture
WHITE = (255, 255, 255)  # behind stray transparency, in every piece
OVERLAY_PX = 192  # side of the pictures in `set-aside/`, which people look at
Pixels = NDArray[np.uint8]
DEFAULT_MATTING = "auto"


@dataclass(frozen=True)
class CutSettings:
    """How a picture is cut.

    Attributes:
        matting: See `matting.matting_methods`.
        size_px: Larger pictures are reduced to this.
        background: `fill`: the scene with the object's hole filled; `patch`: only crops without the object; `both`.
        max_hole: Holes with a larger share of the picture are not filled: their content would be invented, and repeat itself.
        blur_px: Standard deviation of a Gaussian blur of backgrounds, as the thesis prepared its own; 0 for none.
        backdrop: Composite foregrounds on this color and write their mattes next to them; None keeps them transparent.
        centre: Center foregrounds, longest side 86 %; otherwise they keep their position in the scene.
        matte_filter: What a usable matte is.
    """

    matting: str = DEFAULT_MATTING
    size_px: int = 256
    background: str = "both"
    max_hole: float = 0.65
    blur_px: float = 0.0
    backdrop: tuple[int, int, int] | None = None
    centre: bool = False
    matte_filter: MatteFilter = field(default_factory=MatteFilter)


@dataclass(frozen=True)
class CutResult:
    """The result of cutting one picture.

    Attributes:
        record: Its journal line: name, hash, method, coverage, `fault` (why the matte filter rejects it), `confidence` and `doubt` of the cut and of
            its fill, and `pieces`.
        pieces: Content of its files, `fg/STEM.png` and so on, whether they are used or not.
    """

    record: dict[str, Any]
    pieces: dict[str, bytes]


def cut_picture(entry: ImageEntry, methods: list[MattingMethod], settings: CutSettings) -> CutResult:
    """Cut one picture, by the matte next to it if it has one, else by the first method that applies."""
    name = entry.name
    record: dict[str, Any] = {"name": name}
    try:
        decoded = decode_bytes(entry.read(), keep_alpha=True, size_px=settings.size_px)
        own = None if entry.matte is None else decode_matte(entry.matte, decoded)
    except UnreadableImageError as error:
        return CutResult(record | {"unreadable": str(error)}, {})
    whole = _reduce(_to_rgba(decoded, own is None, methods), settings.size_px)
    if own is not None:
        methods = [MatteFile(np.array(own.resize(whole.size, Image.Resampling.LANCZOS)))]
    record |= {"width": decoded.width, "height": decoded.height, **_hashes_to_json(decoded)}
    record |= {"note": decoded.note} if decoded.note else {}
    match = find_matte(whole, methods)
    stem = output_stem(name)
    if match is None:
        square = whole.crop(center_square(*whole.size)).convert("RGB")
        fault = "no matte: the picture has neither transparency nor a plain backdrop"
        return _result(record | {"fault": fault}, {f"set-aside/{stem}.png": encode_dataset_png(_reduce(square, OVERLAY_PX))})
    matte, method = match
    record |= {"method": method.name, "coverage": round(float((matte > 127).mean()), 4)}
    box = square_around_object(matte)
    inner = matte[box[1] : box[3], box[0] : box[2]]
    fits = bool((inner > 127).sum() >= 0.99 * (matte > 127).sum())
    picture, judged = (whole.crop(box), inner) if fits else (whole, matte)
    record["fault"] = settings.matte_filter.reject_reason(judged)
    pieces = {f"set-aside/{stem}.png": encode_dataset_png(_reduce(overlay_matte(picture, judged), OVERLAY_PX))}
    if not (judged > 127).any():
        return _result(record, pieces)
    measures = PERFECT_CUT
    if not isinstance(method, AlphaMatting | MatteFile):
        measures = measure_cut(whole, matte, method)
        confidence = estimate_cut_confidence(measures, method)
        record |= {"confidence": round(confidence.value, 4), "doubt": confidence.doubt}
    rgb = np.array(picture.convert("RGB"))
    cutout = Image.fromarray(np.dstack([rgb if method.name == "alpha" else estimate_object_colors(rgb, judged), judged]))
    pieces |= dict(_foreground_pieces(cutout if fits else _pad_to_square(cutout, settings.size_px), stem, settings))
    if method.name != "alpha":  # a cut-out has neither scene nor background
        # An object longer than the square is a foreground, and a scene only if enough of it is in the square.
        if fits or not settings.matte_filter.reject_reason(inner):
            pieces |= _scene_pieces(whole.crop(box), inner, stem)
        pieces |= _background_pieces(np.array(whole.convert("RGB")), matte, stem, settings, measures, record)
    return _result(record, pieces)


def _to_rgba(decoded: DecodedImage, unmatted: bool, methods: list[MattingMethod]) -> Image.Image:
    """Return RGBA on white, or stray transparent pixels would become black; a cut-out keeps its transparency."""
    if unmatted and is_cutout(decoded.picture) and any(isinstance(method, AlphaMatting) for method in methods):
        return decoded.picture
    return flatten_on(decoded.picture, WHITE).convert("RGBA")


def hash_middle(entry: ImageEntry, settings: CutSettings) -> dict[str, Any]:
    """Return what earlier versions did not record of a picture that is no square: the hash of the square in its middle, under its key in the line.

    Raises:
        UnreadableImageError: The file is no usable picture.
    """
    hashes = _hashes_to_json(decode_bytes(entry.read(), keep_alpha=True, size_px=settings.size_px))
    return {key: value for key, value in hashes.items() if key == SQUARE}


def _hashes_to_json(decoded: DecodedImage) -> dict[str, Any]:
    first, *others = hash_looks(decoded.picture, decoded.sha256)
    return first.to_json() | ({SQUARE: look_to_json(others[0])} if others else {})


def _result(record: dict[str, Any], pieces: dict[str, bytes]) -> CutResult:
    return CutResult(record | {"pieces": sorted(pieces)}, pieces)


def _scene_pieces(scene: Image.Image, matte: Pixels, stem: str) -> dict[str, bytes]:
    return {
        f"scene/{stem}.png": encode_dataset_png(scene.convert("RGB")),
        f"scene/{stem}{MATTE_SUFFIX}": encode_dataset_png(Image.fromarray(matte)),
    }


def _background_pieces(rgb: Pixels, matte: Pixels, stem: str, settings: CutSettings, measures: CutMeasures, record: dict[str, Any]) -> dict[str, bytes]:
    """Return the backgrounds of a whole picture; adds the hole and its fill to the record."""
    pieces = {}
    hole = background_fill.object_hole(matte)
    left, top, right, bottom = background_fill.find_emptiest_square(hole)
    square = np.s_[top:bottom, left:right]
    record["hole"] = round(float(hole[square].mean()), 4)
    if settings.background in ("fill", "both") and hole[square].mean() <= settings.max_hole:
        filled = background_fill.fill_hole(rgb, hole)[square]
        confidence = estimate_fill_confidence(rgb[square], filled, hole[square], measures)
        record |= {"fill_confidence": round(confidence.value, 4), "fill_doubt": confidence.doubt}
        pieces[f"bg/{stem}.png"] = encode_dataset_png(_blur(filled, settings.blur_px))
    if settings.background in ("patch", "both"):
        top, left, side = background_fill.find_free_square(hole)
        if side >= MIN_PATCH_FRACTION * min(hole.shape):
            patch = Image.fromarray(rgb[top : top + side, left : left + side]).resize((min(hole.shape),) * 2, Image.Resampling.LANCZOS)
            pieces[f"bg/{stem}-patch.png"] = encode_dataset_png(_blur(np.array(patch), settings.blur_px))
    return pieces


def _foreground_pieces(cutout: Image.Image, stem: str, settings: CutSettings) -> Iterator[tuple[str, bytes]]:
    if settings.centre:
        cutout = center_object(cutout)
    if settings.backdrop is None:
        yield f"fg/{stem}.png", encode_dataset_png(cutout)
        return
    yield f"fg/{stem}.png", encode_dataset_png(flatten_on(cutout, settings.backdrop))
    yield f"fg/{stem}{MATTE_SUFFIX}", encode_dataset_png(cutout.getchannel("A"))


def estimate_object_colors(rgb: Pixels, matte: Pixels) -> Pixels:
    """Estimate the object's colors without its background: soft edges take the color of opaque pixels near them."""
    cv2 = import_opencv()
    sigma = max(1.0, min(matte.shape) / 80)
    opaque = (matte > 242).astype(np.float32)
    weight = cv2.GaussianBlur(opaque, (0, 0), sigma)
    near = cv2.GaussianBlur(rgb.astype(np.float32) * opaque[..., None], (0, 0), sigma) / np.maximum(weight, 1e-4)[..., None]
    edge = (opaque == 0) & (weight > 1e-3)
    colours: Pixels = np.where(edge[..., None], np.clip(near, 0, 255), rgb).astype(np.uint8)
    colours[matte == 0] = 0
    return colours


def center_object(cutout: Image.Image) -> Image.Image:
    """Move the object to the middle, its longest side 86 % of the picture."""
    box = cutout.getchannel("A").point(lambda value: 255 if value > 25 else 0).getbbox()
    piece = cutout.crop(box).convert("RGBa")
    scale = CENTERED_FRACTION * cutout.width / max(piece.size)
    piece = piece.resize((max(1, round(piece.width * scale)), max(1, round(piece.height * scale))), Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", cutout.size)
    canvas.paste(piece, ((canvas.width - piece.width) // 2, (canvas.height - piece.height) // 2))
    return canvas


def _pad_to_square(cutout: Image.Image, size_px: int) -> Image.Image:
    """Put a cut-out in the middle of a transparent square, reduced to at most `size_px`."""
    side = max(cutout.size)
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(cutout, ((side - cutout.width) // 2, (side - cutout.height) // 2))
    return _reduce(canvas, size_px)


def overlay_matte(picture: Image.Image, matte: Pixels) -> Image.Image:
    """Show a matte in red over its picture, for people to judge."""
    rgb = np.array(flatten_on(picture, WHITE)).astype(np.float32)
    share = matte[..., None].astype(np.float32) / 255 * 0.55
    return Image.fromarray((rgb * (1 - share) + np.array([230, 30, 30]) * share).astype(np.uint8))


def square_around_object(matte: Pixels) -> tuple[int, int, int, int]:
    """Return the largest square of a picture, moved along its longer side to the object: left, top, right, bottom (px).

    Args:
        matte: (H, W) of the whole picture; if it is empty, the square is centered.
    """
    left, top, right, bottom = center_square(matte.shape[1], matte.shape[0])
    side = right - left
    inside = matte > 127
    if not inside.any():
        return left, top, right, bottom
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top = min(max(0, (int(rows[0] + rows[-1]) + 1 - side) // 2), matte.shape[0] - side)
    left = min(max(0, (int(columns[0] + columns[-1]) + 1 - side) // 2), matte.shape[1] - side)
    return left, top, left + side, top + side


def _reduce(picture: Image.Image, size_px: int) -> Image.Image:
    """Reduce the whole picture to a shorter side of at most `size_px`: mattes are better if all of the object is visible."""
    scale = min(1.0, size_px / min(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if picture.mode == "RGB":
        return picture.resize(size, Image.Resampling.LANCZOS)
    return picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def _blur(rgb: Pixels, sigma_px: float) -> Image.Image:
    return Image.fromarray(import_opencv().GaussianBlur(rgb, (0, 0), sigma_px) if sigma_px > 0 else rgb)
