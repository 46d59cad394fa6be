"""One picture of `data split`: cut into foreground, background and scene, with how far each can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.build.matte_rules import decode_matte
from mitlgan.data.build.resize import center_square
from mitlgan.data.curate.perceptual_hash import hash_picture
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
CENTERED_FRACTION = 0.86  # longest side of a centred object / side of its picture
WHITE = (255, 255, 255)  # what stray transparency is laid on, in every piece
OVERLAY_PX = 192  # side of the pictures in `set-aside/`, which are for people to look at
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class CutSettings:
    """How a picture is cut.

    Attributes:
        matting: See `matting.choose`.
        size_px: Larger pictures are reduced to this.
        background: `fill`: the scene with the object's hole filled; `patch`: only crops that miss the object; `both`.
        max_hole: Larger holes (share of the picture) are not filled: what would stand there is invented, and repeats itself.
        blur_px: Gaussian blur of backgrounds, as the thesis prepared its own; 0 for none.
        backdrop: Lay foregrounds on this colour and write their mattes beside them; None keeps them transparent.
        centre: Centre foregrounds, longest side 86 %; otherwise they stay where the scene has them.
        matte_filter: What a usable matte is.
    """

    matting: str = "auto"
    size_px: int = 256
    background: str = "both"
    max_hole: float = 0.65
    blur_px: float = 0.0
    backdrop: tuple[int, int, int] | None = None
    centre: bool = False
    matte_filter: MatteFilter = field(default_factory=MatteFilter)


@dataclass(frozen=True)
class CutResult:
    """What became of one picture.

    Attributes:
        record: The journal's line: name, look, method, coverage, `fault` (why the gate does not take it), `confidence` and `doubt` of the cut and of
            its fill, and `pieces`.
        pieces: The files that it gives, `fg/STEM.png` and so on, whether they are used or not.
    """

    record: dict[str, Any]
    pieces: dict[str, bytes]


def cut_picture(entry: ImageEntry, methods: list[MattingMethod], settings: CutSettings) -> CutResult:
    """Cut one picture in three, with what speaks against it; by the matte beside it, where it has one, else by the first method that applies."""
    name = entry.name
    record: dict[str, Any] = {"name": name}
    try:
        decoded = decode_bytes(entry.read(), keep_alpha=True, size_px=settings.size_px)
        own = None if entry.matte is None else decode_matte(entry.matte, decoded)
    except UnreadableImageError as error:
        return CutResult(record | {"unreadable": str(error)}, {})
    whole = _reduced(_picture(decoded, own is None, methods), settings.size_px)
    if own is not None:
        methods = [MatteFile(np.array(own.resize(whole.size, Image.Resampling.LANCZOS)))]
    record |= {"width": decoded.width, "height": decoded.height, **hash_picture(decoded.picture, decoded.sha256).to_json()}
    record |= {"note": decoded.note} if decoded.note else {}
    found = find_matte(whole, methods)
    stem = output_stem(name)
    if found is None:
        square = whole.crop(center_square(*whole.size)).convert("RGB")
        fault = "no matte: the picture has neither transparency nor a plain backdrop"
        return _with(record | {"fault": fault}, {f"set-aside/{stem}.png": encode_dataset_png(_reduced(square, OVERLAY_PX))})
    matte, method = found
    record |= {"method": method.name, "coverage": round(float((matte > 127).mean()), 4)}
    box = square_around_object(matte)
    inner = matte[box[1] : box[3], box[0] : box[2]]
    fits = bool((inner > 127).sum() >= 0.99 * (matte > 127).sum())
    picture, judged = (whole.crop(box), inner) if fits else (whole, matte)
    record["fault"] = settings.matte_filter.reject_reason(judged)
    pieces = {f"set-aside/{stem}.png": encode_dataset_png(_reduced(overlay_matte(picture, judged), OVERLAY_PX))}
    if not (judged > 127).any():
        return _with(record, pieces)
    measured = PERFECT_CUT
    if not isinstance(method, AlphaMatting | MatteFile):
        measured = measure_cut(whole, matte, method)
        trusted = estimate_cut_confidence(measured, method)
        record |= {"confidence": round(trusted.value, 4), "doubt": trusted.doubt}
    rgb = np.array(picture.convert("RGB"))
    cutout = Image.fromarray(np.dstack([rgb if method.name == "alpha" else estimate_object_colors(rgb, judged), judged]))
    pieces |= dict(_foreground(cutout if fits else _padded(cutout, settings.size_px), stem, settings))
    # A cut-out has no scene. An object longer than the square is a whole foreground, and a scene only if enough of it is in the square.
    if method.name != "alpha" and (fits or not settings.matte_filter.reject_reason(inner)):
        pieces |= _scene(np.array(whole.crop(box).convert("RGB")), inner, stem, settings, measured, record)
    return _with(record, pieces)


def _picture(decoded: DecodedImage, unmatted: bool, methods: list[MattingMethod]) -> Image.Image:
    """RGBA: a cut-out that is cut by its own transparency as it is; any other on white, or its stray transparent pixels would come out black."""
    if unmatted and is_cutout(decoded.picture) and any(isinstance(method, AlphaMatting) for method in methods):
        return decoded.picture
    return flatten_on(decoded.picture, WHITE).convert("RGBA")


def _with(record: dict[str, Any], pieces: dict[str, bytes]) -> CutResult:
    return CutResult(record | {"pieces": sorted(pieces)}, pieces)


def _scene(rgb: Pixels, matte: Pixels, stem: str, settings: CutSettings, measured: CutMeasures, record: dict[str, Any]) -> dict[str, bytes]:
    """The scene with its matte, and the backgrounds that it gives; the record is told of the hole and its fill."""
    pieces = {f"scene/{stem}.png": encode_dataset_png(Image.fromarray(rgb)), f"scene/{stem}{MATTE_SUFFIX}": encode_dataset_png(Image.fromarray(matte))}
    hole = background_fill.object_hole(matte)
    record["hole"] = round(float(hole.mean()), 4)
    if settings.background in ("fill", "both") and hole.mean() <= settings.max_hole:
        filled = background_fill.fill_hole(rgb, hole)
        trusted = estimate_fill_confidence(rgb, filled, hole, measured)
        record |= {"fill_confidence": round(trusted.value, 4), "fill_doubt": trusted.doubt}
        pieces[f"bg/{stem}.png"] = encode_dataset_png(_blurred(filled, settings.blur_px))
    if settings.background in ("patch", "both"):
        top, left, side = background_fill.find_free_square(hole)
        if side >= MIN_PATCH_FRACTION * min(hole.shape):
            patch = Image.fromarray(rgb[top : top + side, left : left + side]).resize(hole.shape, Image.Resampling.LANCZOS)
            pieces[f"bg/{stem}-patch.png"] = encode_dataset_png(_blurred(np.array(patch), settings.blur_px))
    return pieces


def _foreground(cutout: Image.Image, stem: str, settings: CutSettings) -> Iterator[tuple[str, bytes]]:
    if settings.centre:
        cutout = center_object(cutout)
    if settings.backdrop is None:
        yield f"fg/{stem}.png", encode_dataset_png(cutout)
        return
    laid = Image.new("RGBA", cutout.size, (*settings.backdrop, 255))
    laid.alpha_composite(cutout)
    yield f"fg/{stem}.png", encode_dataset_png(laid.convert("RGB"))
    yield f"fg/{stem}{MATTE_SUFFIX}", encode_dataset_png(cutout.getchannel("A"))


def estimate_object_colors(rgb: Pixels, matte: Pixels) -> Pixels:
    """The object's colours without its background's: at a soft edge a pixel takes the colour of the opaque ones near it."""
    cv2 = import_opencv()
    sigma = max(1.0, min(matte.shape) / 80)
    sure = (matte > 242).astype(np.float32)
    weight = cv2.GaussianBlur(sure, (0, 0), sigma)
    near = cv2.GaussianBlur(rgb.astype(np.float32) * sure[..., None], (0, 0), sigma) / np.maximum(weight, 1e-4)[..., None]
    edge = (sure == 0) & (weight > 1e-3)
    colours: Pixels = np.where(edge[..., None], np.clip(near, 0, 255), rgb).astype(np.uint8)
    colours[matte == 0] = 0
    return colours


def center_object(cutout: Image.Image) -> Image.Image:
    """The object in the middle, its longest side 86 % of the picture."""
    box = cutout.getchannel("A").point(lambda value: 255 if value > 25 else 0).getbbox()
    piece = cutout.crop(box).convert("RGBa")
    scale = CENTERED_FRACTION * cutout.width / max(piece.size)
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


def overlay_matte(picture: Image.Image, matte: Pixels) -> Image.Image:
    """A picture with its matte shown in red, for people to judge."""
    rgb = np.array(flatten_on(picture, WHITE)).astype(np.float32)
    share = matte[..., None].astype(np.float32) / 255 * 0.55
    return Image.fromarray((rgb * (1 - share) + np.array([230, 30, 30]) * share).astype(np.uint8))


def square_around_object(matte: Pixels) -> tuple[int, int, int, int]:
    """The largest square of a picture, moved along its longer side to where the object is: left, top, right, bottom (px).

    Args:
        matte: (H, W) of the whole picture; empty, it gives the centred square.
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


def _reduced(picture: Image.Image, size_px: int) -> Image.Image:
    """The whole picture, its shorter side at most `size_px`: mattes are better where all of the object is seen."""
    scale = min(1.0, size_px / min(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if picture.mode == "RGB":
        return picture.resize(size, Image.Resampling.LANCZOS)
    return picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def _blurred(rgb: Pixels, sigma_px: float) -> Image.Image:
    return Image.fromarray(import_opencv().GaussianBlur(rgb, (0, 0), sigma_px) if sigma_px > 0 else rgb)
