"""One picture of `data prepare`: decoded, judged, cropped, resized, and described. Loads little, since every worker process loads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mitlgan.data.build.crops import SquareCrop
from mitlgan.data.build.matte_rules import fitting_matte
from mitlgan.data.build.resize import RESIZE_FILTERS, to_planes
from mitlgan.data.curate.perceptual_hash import PictureHash, hash_thumbnails, thumbnail
from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes, read_file
from mitlgan.data.layers.holdout import DEFAULT_HOLDOUT
from mitlgan.errors import naming_faults

LOOK_PX = 64  # smaller pictures tell too little to find look-alikes by
JournalEntry = tuple[dict[str, Any], bytes | None]


@dataclass(frozen=True)
class PrepareSettings:
    """How pictures are prepared.

    Attributes:
        size_px: Height and width.
        resize: Name of the filter.
        crop: See `crops.CROPS`.
        keep_alpha: Keep transparency as a fourth channel.
        backdrop: What transparent pixels are laid on otherwise.
        blur_px: Gaussian blur of the prepared picture; the thesis blurred its photographs for backgrounds.
        min_size_px: Smaller sides are left out.
        max_aspect: Longer pictures (longer side / shorter side) are left out; 0 for any.
        dedupe: `exact`: equal files; `near`: also those that look alike; of each group the first stays.
        placeholder_copies: A file that comes so often is a placeholder ("no image available"): all copies are left out; 0 for never.
        keep_blank: Keep pictures of one colour.
        exclude: Names to leave out.
        against: Other sets (folders or packs) that no picture may also be in: so held-out pictures stay held out.
        holdout: What is held out of training: a share such as `10%`, a number of pictures, or `0`; see `holdout.assign`.
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
class Task:
    """One file to prepare.

    Attributes:
        name: In the source.
        path: The file's, where it is one.
        content: What it holds, where that was read already.
        fault: Why it could not be read.
        matte: The task of its matte, where that is used.
    """

    name: str
    path: str | None
    content: bytes | None = None
    fault: str = ""
    matte: Task | None = None

    def read(self) -> bytes:
        """Its content.

        Raises:
            UnreadableImageError: It cannot be had.
        """
        if self.fault or (self.content is None and self.path is None):
            raise UnreadableImageError(self.fault or "cannot be read")
        return read_file(self.path) if self.content is None and self.path is not None else self.content or b""


@dataclass(frozen=True)
class PreparedImage:
    """A row of the pack, not described yet.

    Attributes:
        record: Its line of the journal, as far as it goes.
        sha256: Of its file.
        planes: (C, H, W).
        glance: What look-alikes are found by.
    """

    record: dict[str, Any]
    sha256: str
    planes: NDArray[np.uint8]
    glance: bytes


class ImagePreparer:
    """Makes of a file a row of the pack, or says why not.

    Args:
        settings: How.
        with_matte: Whether the matte beside each picture becomes the fourth channel.

    Raises:
        UsageError: No such crop, or it needs what is not installed.
    """

    def __init__(self, settings: PrepareSettings, with_matte: bool) -> None:
        self._settings, self._with_matte = settings, with_matte
        self._excluded = frozenset(settings.exclude)
        self._cropper = SquareCrop(settings.crop)

    def __call__(self, tasks: Iterable[Task]) -> list[JournalEntry]:
        """Of each file its line of the journal, and, where it is taken, the bytes of its planes, (C, H, W)."""
        made = [self.drawn(task) for task in tasks]
        drawn = [one for one in made if isinstance(one, PreparedImage)]
        found = iter(hash_thumbnails([one.glance for one in drawn], [one.sha256 for one in drawn]))
        return [_described(one, next(found)) if isinstance(one, PreparedImage) else (one, None) for one in made]

    def drawn(self, task: Task) -> PreparedImage | dict[str, Any]:
        """One file's picture; or its line of the journal, which says why it is left out."""
        settings = self._settings
        record: dict[str, Any] = {"name": task.name}
        if task.name in self._excluded:
            return record | {"reason": "excluded: named in --exclude"}
        with naming_faults(f"picture {task.name!r}", ", or leave it out with --exclude (in another folder)"):
            try:
                decoded = decode_bytes(
                    task.read(),
                    keep_alpha=settings.keep_alpha,
                    size_px=settings.size_px * (4 if settings.crop == "face" else 1),
                    backdrop=settings.backdrop,
                )
                reason = self._unfit(decoded)
                if reason:
                    return record | {"reason": reason, "sha256": decoded.sha256}
                return self._prepared(task, decoded)
            except UnreadableImageError as error:
                return record | {"reason": str(error), "bad": True}

    def _unfit(self, decoded: DecodedImage) -> str:
        least, most = self._settings.min_size_px, self._settings.max_aspect
        shorter, longer = sorted((decoded.width, decoded.height))
        if shorter < least:
            return f"small: {decoded.width} x {decoded.height} px, less than {least}"
        if most and longer > most * shorter:
            return f"elongated: {decoded.width} x {decoded.height} px, more than {most:g} to 1"
        return ""

    def _matte(self, task: Task, picture: DecodedImage) -> Image.Image:
        try:
            content = task.read()
        except UnreadableImageError as error:
            raise UnreadableImageError(f"its matte: {error}") from None
        return fitting_matte(content, picture)

    def _prepared(self, task: Task, decoded: DecodedImage) -> PreparedImage:
        size_px, resample = self._settings.size_px, RESIZE_FILTERS[self._settings.resize]
        box = self._cropper(decoded.picture)
        whole = decoded.picture.convert("RGBa") if decoded.picture.mode == "RGBA" else decoded.picture
        picture = whole.resize((size_px, size_px), resample, box=box)
        looked_at = picture if size_px >= LOOK_PX else whole.resize((LOOK_PX, LOOK_PX), Image.Resampling.BOX, box=box)
        look = thumbnail(looked_at)  # here, and not of several together: a picture that was just made is still in the processor's cache
        if self._settings.blur_px:
            picture = picture.filter(ImageFilter.GaussianBlur(self._settings.blur_px))
        planes = to_planes(picture)
        if self._with_matte and task.matte is not None:
            matte = self._matte(task.matte, decoded)
            across, down = (one / other for one, other in zip(matte.size, decoded.picture.size, strict=True))  # a JPEG may be decoded smaller
            moved = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            planes = np.concatenate([planes, np.asarray(matte.resize((size_px, size_px), resample, box=moved))[None]])
        note = {"note": decoded.note} if decoded.note else {}
        record = {"name": task.name, "width": decoded.width, "height": decoded.height, **note}
        return PreparedImage(record, decoded.sha256, planes, look)


def _described(drawn: PreparedImage, found: PictureHash) -> JournalEntry:
    return {"name": drawn.record["name"], **found.to_json()} | drawn.record, drawn.planes.tobytes()
