"""Prepares one picture for a pack. Imports little, since every worker process imports it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mitlgan.data.build.crops import Box, SquareCrop
from mitlgan.data.build.mattes import decode_matte
from mitlgan.data.build.resize import RESIZE_FILTERS, center_square, to_planes
from mitlgan.data.curate.cutout_agreement import reduce_cutout
from mitlgan.data.curate.perceptual_hash import SQUARE, WHOLE, PictureHash, hash_thumbnails, is_blank, look_to_json, thumbnail
from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes
from mitlgan.data.layers.holdout import DEFAULT_HOLDOUT
from mitlgan.data.pack.kept_square import KEPT_PX
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.errors import translate_resource_faults

ON_BACKDROP = "on_backdrop"
"""In the journal line of a picture whose transparency was composited on the backdrop."""
CUTOUT_VERSION = 9
"""Of `prepare`: earlier ones recorded the hash of such a picture on its backdrop, not that of the cut-out."""
BACKDROP_VERSION = 8
"""Of `prepare` and of `pack`: not all earlier ones recorded whether transparency was composited on the backdrop."""
BLANK = "blank"
"""In the journal line of such a picture that has one colour on it, as white on white."""
MIDDLE_VERSION = 10
"""Of `prepare`: earlier ones did not record the hash of the square in the middle where another one was cropped."""
_CHOICES = ("excluded", "small", "elongated", "placeholder", "blank", "held out", "duplicate", "near duplicate")
JournalEntry = tuple[dict[str, Any], bytes | None]
"""A picture's journal line and, if it is used, its pixels (C, H, W)."""


@dataclass(frozen=True)
class PrepareSettings:
    """Settings of `data prepare`.

    Attributes:
        size_px: Height and width.
        resize: Name of the filter.
        crop: See `crops.CROPS`.
        keep_alpha: Keep transparency as a fourth channel.
        backdrop: Color behind transparent pixels otherwise (red, green, blue, 0 to 255).
        blur_px: Standard deviation of a Gaussian blur of the prepared picture; the thesis blurred its photographs for backgrounds.
        min_size_px: Pictures with a smaller side are left out.
        max_aspect: Pictures with a larger ratio of longer to shorter side are left out; 0 for no limit.
        dedupe: `exact`: equal files; of these the first stays; `near`: also those that look alike, of which that of the most pixels stays.
        placeholder_copies: A file that occurs so often is a placeholder ("no image available"): all copies are left out; 0 for never.
        keep_blank: Keep pictures of one colour.
        exclude: Names to leave out.
        against: Other sets (folders or packs) whose pictures are left out, so that held-out pictures stay held out.
        holdout: What is held out of training: a share such as `10%`, a number of pictures, or `0`; see `holdout.assign_splits`.
    """

    size_px: int = 128
    resize: str = "lanczos"
    crop: str = "center"
    keep_alpha: bool = False
    backdrop: tuple[int, int, int] = (255, 255, 255)
    blur_px: float = 0.0
    min_size_px: int = 0
    max_aspect: float = 0.0
    dedupe: str = "exact"
    placeholder_copies: int = 5
    keep_blank: bool = False
    exclude: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    holdout: str = DEFAULT_HOLDOUT


@dataclass(frozen=True)
class PreparedImage:
    """A picture that is ready for the pack, but for its hash.

    Attributes:
        record: Its journal line, without the hash.
        sha256: Hash of its file.
        planes: (C, H, W) uint8.
        looks: What its perceptual hash is computed from, `thumbnail` and `reduce_cutout`; then the same of its other looks, by their key in the line.
    """

    record: dict[str, Any]
    sha256: str
    planes: NDArray[np.uint8]
    looks: dict[str, tuple[bytes, bytes]]

    def finish_record(self, hashes: Sequence[PictureHash]) -> dict[str, Any]:
        """Return its journal line, with the hash of each of its looks."""
        others = {key: look_to_json(one) for key, one in zip(self.looks, hashes, strict=True) if key}
        return {"name": self.record["name"], **hashes[0].to_json()} | self.record | others


class ImagePreparer:
    """Turns files into rows of a pack, or says why not.

    Args:
        settings: How.
        with_matte: Whether the matte next to each picture becomes the fourth channel.

    Raises:
        UsageError: There is no such crop, or it needs a package that is not installed.
    """

    def __init__(self, settings: PrepareSettings, with_matte: bool) -> None:
        self._settings, self._with_matte = settings, with_matte
        self._excluded = frozenset(settings.exclude)
        self._crop = SquareCrop(settings.crop)

    def __call__(self, entries: Iterable[ImageEntry]) -> list[JournalEntry]:
        """Return the journal line and the pixels of each file."""
        results = [self.prepare(entry) for entry in entries]
        images = [result for result in results if isinstance(result, PreparedImage)]
        hashes = iter(_hash_looks(images))
        return [
            (result.finish_record(next(hashes)), result.planes.tobytes()) if isinstance(result, PreparedImage) else (result, None) for result in results
        ]

    def prepare(self, entry: ImageEntry) -> PreparedImage | dict[str, Any]:
        """Return one file's picture, or the journal line that says why it is left out."""
        record: dict[str, Any] = {"name": entry.name}
        if entry.name in self._excluded:
            return record | {"reason": "excluded: named in --exclude"}
        with translate_resource_faults(f"picture {entry.name!r}", ", or leave it out with --exclude (in another folder)"):
            try:
                decoded = self._decode(entry)
                if reason := self._reject_reason(decoded):
                    return record | {"reason": reason, "sha256": decoded.sha256}
                return self._crop_and_resize(entry, decoded)
            except UnreadableImageError as error:
                return record | {"reason": str(error), "bad": True}

    def hash(self, entry: ImageEntry) -> list[PictureHash]:
        """Return the hashes of a picture of another set, as its journal line would have them: of two copies both are of the same square.

        Raises:
            UnreadableImageError: The file is no usable picture.
        """
        image = self._crop_and_resize(replace(entry, matte=None), self._decode(entry))
        return _hash_looks([image])[0]

    def _decode(self, entry: ImageEntry) -> DecodedImage:
        settings = self._settings
        size_px = settings.size_px * (4 if settings.crop == "face" else 1)
        return decode_bytes(entry.read(), keep_alpha=settings.keep_alpha, size_px=size_px, backdrop=settings.backdrop)

    def _reject_reason(self, decoded: DecodedImage) -> str:
        min_px, max_aspect = self._settings.min_size_px, self._settings.max_aspect
        shorter, longer = sorted((decoded.width, decoded.height))
        if shorter < min_px:
            return f"small: {decoded.width} x {decoded.height} px, less than {min_px}"
        if max_aspect and longer > max_aspect * shorter:
            return f"elongated: {decoded.width} x {decoded.height} px, more than {max_aspect:g} to 1"
        return ""

    def _crop_and_resize(self, entry: ImageEntry, decoded: DecodedImage) -> PreparedImage:
        size_px, resample = self._settings.size_px, RESIZE_FILTERS[self._settings.resize]
        box = self._crop(decoded.picture)
        whole = _premultiply(decoded.picture)
        picture = whole.resize((size_px, size_px), resample, box=box)
        lost = {}
        if decoded.transparent is not None:  # of a cut-out on a backdrop, the hash is that of the cut-out
            lost = {ON_BACKDROP: True} | ({BLANK: True} if is_blank(picture) else {})
            whole = _premultiply(decoded.transparent)
        looks = {key: (thumbnail(one), reduce_cutout(one)) for key, one in _find_looks(whole, box).items()}  # now: the pixels are still in the cache
        if self._settings.blur_px:
            picture = picture.filter(ImageFilter.GaussianBlur(self._settings.blur_px))
        planes = to_planes(picture)
        if self._with_matte and entry.matte is not None:
            matte = decode_matte(entry.matte, decoded)
            across, down = (one / other for one, other in zip(matte.size, decoded.picture.size, strict=True))  # a JPEG may be decoded smaller
            scaled_box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            planes = np.concatenate([planes, np.asarray(matte.resize((size_px, size_px), resample, box=scaled_box))[None]])
        note = {"note": decoded.note} if decoded.note else {}
        kept_px, whole_px = box[2] - box[0], min(whole.size)
        crop = {KEPT_PX: round(kept_px * min(decoded.width, decoded.height) / whole_px)} if kept_px < whole_px else {}
        record = {"name": entry.name, "width": decoded.width, "height": decoded.height, **crop, **note, **lost}
        return PreparedImage(record, decoded.sha256, planes, looks)


def _hash_looks(images: Sequence[PreparedImage]) -> list[list[PictureHash]]:
    """Return the hash of each look of each picture."""
    looks = [(*look, image.sha256) for image in images for look in image.looks.values()]
    hashes = iter(hash_thumbnails([one for one, _, _ in looks], [sha256 for _, _, sha256 in looks], [cutout for _, cutout, _ in looks]))
    return [[next(hashes) for _ in image.looks] for image in images]


def _find_looks(whole: Image.Image, box: Box) -> dict[str, Image.Image]:
    """Return what copies are told by, under the keys of a line: the square in a box, and what `hash_looks` hashes, which depends on no size."""
    middle, all_of_it = center_square(*whole.size), (0, 0, *whole.size)
    looks = {"": whole} if box == all_of_it else {"": whole.crop(box), WHOLE: whole}
    return looks if middle in (box, all_of_it) else looks | {SQUARE: whole.crop(middle)}


def _premultiply(picture: Image.Image) -> Image.Image:
    return picture.convert("RGBa") if picture.mode == "RGBA" else picture


def is_choice(reason: str) -> bool:
    """Return whether a picture is left out by what the settings choose, by its reason; else it is no usable picture."""
    return reason.split(": ")[0] in _CHOICES
