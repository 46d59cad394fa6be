"""Decodes a file to an upright RGB or RGBA picture in sRGB, or says why not."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
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
from mitlgan.data.decode.jpeg_scans import with_unread_end
from mitlgan.data.decode.srgb import to_srgb
from mitlgan.data.decode.tiff_strips import check_strips
from mitlgan.data.sources.formats import HEAD_BYTES, MissingCodecError, allowed_formats, detect_suffix, unsupported_reason
from mitlgan.errors import resource_fault

MAX_PIXELS = 64_000_000  # more than a camera's picture; a larger one is refused by its header
MAX_FILE_BYTES = 256_000_000
HEADER_BYTES = 65_536  # hold the size and the kind of pixels of nearly every picture
MIN_TRANSPARENT_FRACTION = 0.01  # of the pixels; fewer may be a rounded corner or a stray edge
_MAX_ASPECT = 100  # longer side / shorter side; the centered square of a thinner picture shows nothing
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_SIDEWAYS_ORIENTATIONS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_UPRIGHT_ORIENTATIONS = (None, 1)
_STILL_MULTIFRAME_FORMATS = ("MPO", "HEIF")  # further frames are previews or a burst, not an animation
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MIN_DRAFT_SCALE = 1.9
"""A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size that is still at least so many times the requested one: resizing that gives nearly the same
result as resizing the whole picture. Pillow's own thumbnails use 2.0, which 500 px to 128 px just misses."""
_EXIF_ORIENTATION = 0x0112
_TOO_MANY_PIXELS = f"are more than {MAX_PIXELS // 1_000_000} million pixels; reduce it first"
_UNKNOWN_PIXELS = "unknown raw mode"
"""In what Pillow raises for pixels that it has no reader for, though it takes the file's header."""
# What Pillow warns about is refused here by its size, or harmless. Set once, since `warnings.catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# What Pillow raises for damaged or hostile files.
_DECODE_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
           OverflowError, MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning, AttributeError, RuntimeError)  # fmt: skip


class UnreadableImageError(Exception):
    """A file that is no usable picture; the message is the reason, in a few words."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded picture.

    Attributes:
        picture: RGB, or RGBA if transparency is kept; a large JPEG may be smaller than `width` and `height`.
        sha256: Hash of the file.
        width: Width of the upright picture (px).
        height: Height of the upright picture (px).
        note: What a user should know, such as that only the first frame was used, or that a damaged profile was ignored.
        transparent: RGBA, what was composited on the backdrop; None if it has no transparency, or keeps it.
    """

    picture: Image.Image
    sha256: str
    width: int
    height: int
    note: str = ""
    transparent: Image.Image | None = None

    @property
    def is_on_backdrop(self) -> bool:
        """Whether it has transparency that was composited on the backdrop."""
        return self.transparent is not None


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes of a picture and the size of its file tell, without its pixels.

    Attributes:
        form: Format, kind of pixels, how a TIFF is compressed, and whether they may be transparent, such as `PNG L` or `TIFF L tiff_lzw`.
        size: Shorter and longer side (px).
        bytes_per_pixel: Size of the file over the number of pixels.
    """

    form: str
    size: tuple[int, int]
    bytes_per_pixel: float

    @property
    def may_be_transparent(self) -> bool:
        """Whether it has an alpha channel, or a transparent colour."""
        _, mode, *more = self.form.split()
        return mode in _ALPHA_MODES or "transparent" in more


def decode(
    path: Path, *, keep_alpha: bool, size_px: int = 0, backdrop: tuple[int, int, int] = (255, 255, 255), ignore_profile: bool = False
) -> DecodedImage:
    """Read and decode a file, turn it upright, and convert its colors to sRGB.

    Args:
        path: A regular file.
        keep_alpha: Return RGBA for every picture; otherwise transparency is composited on `backdrop`.
        size_px: Size that the picture will be reduced to: large JPEGs are decoded at a fraction of their size; 0 for the full size.
        backdrop: Red, green, blue, each 0 to 255.
        ignore_profile: Keep the numbers in the file, whatever a color profile says; for mattes and masks, which have no colors.

    Raises:
        UnreadableImageError: The file is not a picture of an allowed format, is damaged, too large, or too thin.
    """
    return decode_bytes(read_file(path), keep_alpha=keep_alpha, size_px=size_px, backdrop=backdrop, ignore_profile=ignore_profile)


def decode_bytes(
    content: bytes, *, keep_alpha: bool, size_px: int = 0, backdrop: tuple[int, int, int] = (255, 255, 255), ignore_profile: bool = False
) -> DecodedImage:
    """Decode the content of a file; see `decode`."""
    if not content:
        raise UnreadableImageError("empty file")
    try:
        return _decode(content, keep_alpha, size_px, backdrop, ignore_profile)
    except UnreadableImageError:
        raise
    except UnknownScaleError as error:
        raise UnreadableImageError(str(error)) from None
    except _DECODE_ERRORS as error:
        raise resource_fault(error) or UnreadableImageError(_failure_reason(content, error)) from None


def is_cutout_file(content: bytes) -> bool:
    """Whether the content of a file is a cut-out, see `is_cutout`; an alpha channel may be opaque everywhere.

    Raises:
        UnreadableImageError: See `decode`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_check_formats(content)) as picture:
            may_be_transparent = picture.mode in _ALPHA_MODES or "transparency" in picture.info
    except _DECODE_ERRORS as error:
        raise resource_fault(error) or UnreadableImageError(_failure_reason(content, error)) from None
    return may_be_transparent and is_cutout(decode_bytes(content, keep_alpha=True).picture)


def is_cutout(picture: Image.Image) -> bool:
    """Whether at least `MIN_TRANSPARENT_FRACTION` of an RGBA picture's pixels are more transparent than opaque."""
    return sum(picture.getchannel("A").histogram()[:128]) >= MIN_TRANSPARENT_FRACTION * picture.width * picture.height


def read_head(path: str | Path) -> bytes:
    """Return the first `HEAD_BYTES` of a regular file.

    Raises:
        UnreadableImageError: The file cannot be read, or is not a regular file.
    """
    with os.fdopen(_open_regular_file(path), "rb") as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise resource_fault(error) or UnreadableImageError(f"cannot be read ({error.strerror})") from None


def read_header(path: str | Path) -> ImageHeader:
    """Return what the first bytes of a regular file and its size tell of a picture.

    Raises:
        UnreadableImageError: The file cannot be read, is not a regular file, too large, or too thin, or its first bytes tell nothing.
    """
    with os.fdopen(_open_regular_file(path), "rb") as file:
        try:
            start, size_bytes = file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size
        except OSError as error:
            raise resource_fault(error) or UnreadableImageError(f"cannot be read ({error.strerror})") from None
    return parse_header(start, size_bytes)


def parse_header(start: bytes, size_bytes: int) -> ImageHeader:
    """Return what the first bytes of a picture tell; see `read_header`.

    Args:
        start: The first `HEADER_BYTES` of the file, or all of it.
        size_bytes: Size of the whole file.
    """
    try:
        with Image.open(io.BytesIO(start), formats=_check_formats(start)) as picture:
            width, height = picture.size
            _require_usable_size(width, height)
            codec = f" {picture.info.get('compression', 'raw')}" if picture.format == "TIFF" else ""
            form = f"{picture.format} {picture.mode}{codec}{' transparent' if 'transparency' in picture.info else ''}"
            return ImageHeader(form, (min(width, height), max(width, height)), size_bytes / max(1, width * height))
    except _DECODE_ERRORS as error:
        raise resource_fault(error) or UnreadableImageError(_failure_reason(start, error)) from None


def read_file(path: str | Path) -> bytes:
    """Return the content of a regular file; links are not followed, and a pipe or device in its place cannot block.

    Raises:
        UnreadableImageError: The file cannot be read, is not a regular file, too large, or changes while it is read.
    """
    descriptor = _open_regular_file(path)
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


def _open_regular_file(path: str | Path) -> int:
    """Return the descriptor of a regular file, without following links or waiting for a pipe or device."""
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


def _decode(content: bytes, keep_alpha: bool, size_px: int, backdrop: tuple[int, int, int], ignore_profile: bool) -> DecodedImage:
    with Image.open(io.BytesIO(with_unread_end(content)), formats=_check_formats(content)) as opened:
        width, height = opened.size
        _require_usable_size(width, height)
        animated = opened.format not in _STILL_MULTIFRAME_FORMATS and bool(getattr(opened, "is_animated", False))
        if animated:
            opened.seek(0)
        if size_px and opened.format in ("JPEG", "MPO"):
            draft = [math.ceil(MIN_DRAFT_SCALE * size_px * side / min(width, height)) for side in (width, height)]
            opened.draft(None, (draft[0], draft[1]))
        depth = read_bit_depth(opened, content)
        check_strips(opened, content)
        opened.load()  # the whole file: verify() accepts truncated ones
        profile, note = (None, "") if ignore_profile else find_profile(opened, content)
        orientation = opened.getexif().get(_EXIF_ORIENTATION)
        if orientation in _SIDEWAYS_ORIENTATIONS:
            width, height = height, width
        picture: Image.Image = to_eight_bits(opened, depth, content)
        if picture is opened and orientation not in _UPRIGHT_ORIENTATIONS:
            ImageOps.exif_transpose(opened, in_place=True)  # a copy of 24 megapixels takes 72 MB
        elif orientation in _TRANSPOSE_BY_ORIENTATION:
            picture = picture.transpose(_TRANSPOSE_BY_ORIENTATION[orientation])
    picture, profile_note = to_srgb(picture, profile)
    transparency = picture.getchannel("A").getextrema() if picture.mode == "RGBA" else (255, 255)
    if transparency in ((0, 1), (1, 1)):
        raise UnreadableImageError("its transparency has no values but 0 and 1 of 255; scale it to 0..255")
    picture.info = {}  # its profile no longer applies, and would be saved with the picture
    notes = ["several frames: the first was taken"] * animated + [text for text in (note, profile_note) if text]
    transparent = None if keep_alpha or transparency == (255, 255) else picture
    requested = _to_requested_mode(picture, keep_alpha, backdrop)
    return DecodedImage(requested, hashlib.sha256(content).hexdigest(), width, height, "; ".join(notes), transparent)


def _require_usable_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} x {height} px {_TOO_MANY_PIXELS}")
    if max(width, height) > _MAX_ASPECT * min(width, height) or min(width, height) < 2:
        raise UnreadableImageError(f"{width} x {height} px: nothing to see in its centred square")


def _to_requested_mode(picture: Image.Image, keep_alpha: bool, backdrop: tuple[int, int, int]) -> Image.Image:
    """Return RGBA, or RGB with transparency composited on a backdrop."""
    if keep_alpha:
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    return flatten_on(picture, backdrop) if picture.mode == "RGBA" else picture


def flatten_on(picture: Image.Image, backdrop: tuple[int, int, int]) -> Image.Image:
    """Composite an RGBA picture on a backdrop color and return RGB."""
    canvas = Image.new("RGBA", picture.size, (*backdrop, 255))
    canvas.alpha_composite(picture)
    return canvas.convert("RGB")


def _check_formats(content: bytes) -> tuple[str, ...]:
    try:
        return allowed_formats(content)
    except MissingCodecError as error:
        raise UnreadableImageError(str(error)) from None


def too_large_reason(error: Image.DecompressionBombError) -> str:
    """Return why Pillow does not open a picture of far too many pixels; its message has only their number."""
    count = re.search(r"\d+", str(error))
    return f"{int(count[0]) // 1_000_000:,} million px {_TOO_MANY_PIXELS}" if count else _TOO_MANY_PIXELS


def _failure_reason(content: bytes, error: BaseException) -> str:
    suffix = detect_suffix(content[:HEAD_BYTES])
    if suffix == ".tif" and (isinstance(error, UnidentifiedImageError) or _UNKNOWN_PIXELS in str(error)):
        return "a kind of TIFF that cannot be read, or damaged; save it as PNG"
    if isinstance(error, UnidentifiedImageError) and suffix and not unsupported_reason(suffix):
        return "damaged: it begins as a picture, but none can be read"
    if isinstance(error, UnidentifiedImageError):
        return "HTML, not a picture" if content.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")) else "not a picture of an allowed format"
    if isinstance(error, Image.DecompressionBombError):
        return too_large_reason(error)
    return f"damaged: {' '.join(str(error).split())[:120] or type(error).__name__}"
