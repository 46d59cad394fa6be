"""One file to one upright RGB or RGBA picture in sRGB, or a reason why not; nothing hostile gets further than its header."""

from __future__ import annotations

import hashlib
import io
import math
import os
import stat
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from mitlgan.data.decode.bit_depth import UnknownScaleError, read_bit_depth, to_eight_bits
from mitlgan.data.decode.color_profile import find_profile
from mitlgan.data.decode.srgb import to_srgb
from mitlgan.data.sources.formats import HEAD_BYTES, MissingCodecError, allowed_formats
from mitlgan.errors import resource_fault

MAX_PIXELS = 64_000_000  # more than a camera's picture; a 10,000 x 10,000 bomb is refused by its header alone
MAX_FILE_BYTES = 256_000_000
MIN_TRANSPARENT_FRACTION = 0.01  # of the pixels; less may be a rounded corner or a stray edge
_TOO_THIN = 100  # width to height, or the other way: the centred square would show nothing
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_UPRIGHT = (None, 1)
_WITH_MORE = ("MPO", "HEIF")  # a photograph with previews, or the best of a burst, and no film
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MIN_DRAFT_SCALE = 1.9
"""A JPEG may be decoded at a half, a quarter or an eighth of its size that is still so many times what is wanted: the resize after it then gives
nearly the same as from the whole picture. Pillow's own thumbnails have 2.0, which 500 px to 128 px would just miss."""
_EXIF_ORIENTATION = 0x0112
# What Pillow warns of is either refused here by its size or of no consequence. Said once: `warnings.catch_warnings` is not safe across threads.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# What Pillow raises on damaged or hostile files.
_DAMAGE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
           OverflowError, MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning, AttributeError, RuntimeError)  # fmt: skip


class UnreadableImageError(Exception):
    """A file that is no usable picture; the message is the reason, in a few words."""


@dataclass(frozen=True)
class DecodedImage:
    """A picture, ready to be cropped.

    Attributes:
        picture: RGB, or RGBA where the file has transparency and it was asked for.
        sha256: Of the file.
        width: Upright, before the crop (px).
        height: Likewise.
        note: What a user should know, such as that only the first frame was taken, or that a damaged profile was passed over.
    """

    picture: Image.Image
    sha256: str
    width: int
    height: int
    note: str = ""


def decode(
    path: Path, *, keep_alpha: bool, size_px: int = 0, backdrop: tuple[int, int, int] = (255, 255, 255), as_numbers: bool = False
) -> DecodedImage:
    """Read a file, decode all of it, set it upright, and convert its colours to sRGB.

    Args:
        path: A regular file.
        keep_alpha: Give RGBA for every picture; otherwise transparency is laid on `backdrop`.
        size_px: Size that the picture will be reduced to; large JPEGs are then decoded at a fraction of theirs, never below twice this.
        backdrop: Red, green, blue, each 0 to 255.
        as_numbers: Leave the numbers as they stand, whatever a profile says: of a matte or a hole, which have no colours.

    Raises:
        UnreadableImageError: Not a picture of an allowed format, damaged, too large, too thin.
    """
    return decode_bytes(read_file(path), keep_alpha=keep_alpha, size_px=size_px, backdrop=backdrop, as_numbers=as_numbers)


def decode_bytes(
    content: bytes, *, keep_alpha: bool, size_px: int = 0, backdrop: tuple[int, int, int] = (255, 255, 255), as_numbers: bool = False
) -> DecodedImage:
    """As `decode`, of a file's content."""
    if not content:
        raise UnreadableImageError("empty file")
    try:
        return _decoded(content, keep_alpha, size_px, backdrop, as_numbers)
    except UnreadableImageError:
        raise
    except UnknownScaleError as error:
        raise UnreadableImageError(str(error)) from None
    except _DAMAGE as error:
        raise resource_fault(error) or UnreadableImageError(_reason(content, error)) from None


def is_cutout_file(content: bytes) -> bool:
    """Whether a file's content is a cut-out: transparent in `SEEN_THROUGH` of its pixels; many files carry an alpha that is opaque all over.

    Raises:
        UnreadableImageError: As `decode`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_formats(content)) as picture:
            promised = picture.mode in _ALPHA_MODES or "transparency" in picture.info
    except _DAMAGE as error:
        raise resource_fault(error) or UnreadableImageError(_reason(content, error)) from None
    if not promised:
        return False
    return is_cutout(decode_bytes(content, keep_alpha=True).picture)


def is_cutout(picture: Image.Image) -> bool:
    """Whether `SEEN_THROUGH` of an RGBA picture's pixels or more are rather transparent than opaque."""
    return sum(picture.getchannel("A").histogram()[:128]) >= MIN_TRANSPARENT_FRACTION * picture.width * picture.height


def read_head(path: str | Path) -> bytes:
    """The first bytes of a regular file, as `read_file` opens it.

    Raises:
        UnreadableImageError: It is none.
    """
    with os.fdopen(_opened(path), "rb") as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise resource_fault(error) or UnreadableImageError(f"cannot be read ({error.strerror})") from None


def read_file(path: str | Path) -> bytes:
    """The content of a regular file, no link followed; a pipe or device that takes its place meanwhile cannot hang it.

    Raises:
        UnreadableImageError: It is none, is too large, or changes while it is read.
    """
    descriptor = _opened(path)
    with os.fdopen(descriptor, "rb") as file:
        try:
            before = os.fstat(descriptor)
            if before.st_size > MAX_FILE_BYTES:
                raise UnreadableImageError(f"{before.st_size} bytes, more than {MAX_FILE_BYTES}")
            content = file.read(before.st_size + 1)
            after = os.fstat(descriptor)
        except OSError as error:
            raise resource_fault(error) or UnreadableImageError(f"cannot be read ({error.strerror})") from None
    if len(content) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise UnreadableImageError("changed while it was read")
    return content


def _opened(path: str | Path) -> int:
    """The descriptor of a regular file, no link followed, none of a pipe or device waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        with suppress(OSError):
            mode = Path(path).lstat().st_mode
            if stat.S_ISLNK(mode):
                raise UnreadableImageError("a symbolic link") from None
            if not stat.S_ISREG(mode):
                raise UnreadableImageError("not a regular file") from None
        raise resource_fault(error) or UnreadableImageError(f"cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableImageError("not a regular file")
    return descriptor


def _decoded(content: bytes, keep_alpha: bool, size_px: int, backdrop: tuple[int, int, int], as_numbers: bool) -> DecodedImage:
    with Image.open(io.BytesIO(content), formats=_formats(content)) as opened:
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise UnreadableImageError(f"{width} x {height} px, more than {MAX_PIXELS // 1_000_000} million: refused as a decompression bomb")
        if max(width, height) > _TOO_THIN * min(width, height) or min(width, height) < 2:
            raise UnreadableImageError(f"{width} x {height} px: nothing to see in its centred square")
        animated = opened.format not in _WITH_MORE and bool(getattr(opened, "is_animated", False))
        if animated:
            opened.seek(0)
        if size_px and opened.format in ("JPEG", "MPO"):
            shrunk = [math.ceil(MIN_DRAFT_SCALE * size_px * side / min(width, height)) for side in (width, height)]
            opened.draft(None, (shrunk[0], shrunk[1]))
        depth = read_bit_depth(opened, content)
        opened.load()  # all of it: verify() passes truncated files
        profile, note = (None, "") if as_numbers else find_profile(opened, content)
        orientation = opened.getexif().get(_EXIF_ORIENTATION)
        if orientation in _SIDEWAYS:
            width, height = height, width
        picture: Image.Image = to_eight_bits(opened, depth, content)
        if picture is opened and orientation not in _UPRIGHT:
            ImageOps.exif_transpose(opened, in_place=True)  # a copy of 24 megapixels is 72 MB
        elif orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
    picture, misfit = to_srgb(picture, profile)
    picture.info = {}  # what it says of colours is no longer so, and would be written into files made of it
    notes = ["several frames: the first was taken"] * animated + [said for said in (note, misfit) if said]
    return DecodedImage(_laid(picture, keep_alpha, backdrop), hashlib.sha256(content).hexdigest(), width, height, "; ".join(notes))


def _laid(picture: Image.Image, keep_alpha: bool, backdrop: tuple[int, int, int]) -> Image.Image:
    """RGBA for every picture, or RGB with transparency laid on a backdrop."""
    if keep_alpha:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    return flatten_on(picture, backdrop) if picture.mode == "RGBA" else picture


def flatten_on(picture: Image.Image, backdrop: tuple[int, int, int]) -> Image.Image:
    """What is seen of an RGBA picture before a backdrop, as RGB: colours under full transparency are not."""
    laid = Image.new("RGBA", picture.size, (*backdrop, 255))
    laid.alpha_composite(picture)
    return laid.convert("RGB")


def _formats(content: bytes) -> tuple[str, ...]:
    try:
        return allowed_formats(content)
    except MissingCodecError as error:
        raise UnreadableImageError(str(error)) from None


def _reason(content: bytes, error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "HTML, not a picture" if content.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")) else "not a picture of an allowed format"
    if isinstance(error, Image.DecompressionBombError):
        return "refused as a decompression bomb"
    return f"damaged: {' '.join(str(error).split())[:120] or type(error).__name__}"
