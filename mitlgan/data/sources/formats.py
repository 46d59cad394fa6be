"""Which files are pictures, by their suffix or their first bytes, and what to do about others."""

from __future__ import annotations

import re
from functools import cache
from importlib import util
from pathlib import PurePosixPath

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "DIB")
"""Formats of Pillow that are recognised by their first bytes and decoded by maintained code without other programs; TGA is neither."""
HEIC_INSTALL_COMMAND = "pip install 'mitlgan[heic]'"
HEAD_BYTES = 64  # enough to recognise every format
_SUFFIXES_BY_FORMAT = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jfi .jif .pjpeg .pjp .mpo",
    "PNG": ".png .apng",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "AVIF": ".avif .avifs",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "PPM": ".ppm .pgm .pbm .pnm",
    "HEIF": ".heic .heif .hif .heics .heifs",
}
IMAGE_SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES_BY_FORMAT.values() for suffix in suffixes.split())
"""Suffixes of pictures; `unsupported_reason` says what some of them need."""
_FORMAT_OF = {suffix: format_name for format_name, suffixes in _SUFFIXES_BY_FORMAT.items() for suffix in suffixes.split()}
_SUFFIXES_TO_CONVERT = (
    ".tga .icb .vda .vst .psd .psb .ico .icns .cur .pcx .dcx .sgi .rgb .rgba .dds .exr .hdr .pfm .qoi .xbm .xpm .svg .svgz .eps .ai .wmf .emf .pdf "
    ".jxl .jxr .wdp .hdp .jpm .flif .bpg .xcf .kra .ora .dcm .fits .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .x3f .3fr "
    ".erf .kdc .mrw .rwl .iiq .raw"
)
_ARCHIVE_SUFFIXES = ".zip .tar .tgz .tbz .tbz2 .txz .7z .rar"
_OTHER_SUFFIXES = (
    ".txt .csv .tsv .json .jsonl .ndjson .xml .html .htm .md .rst .yaml .yml .toml .ini .cfg .conf .log .lst .db .sqlite .py .ipynb .sh .bat .m .js "
    ".css .npy .npz .pt .pth .pkl .pickle .h5 .hdf5 .mat .parquet .arrow .safetensors .onnx .doc .docx .xls .xlsx .ppt .pptx .odt .url .lnk .mov .mp4 "
    ".m4v .avi .mkv .webm .mpg .mpeg .3gp .mp3 .wav .m4a .flac .ogg .aae .xmp .thm .gz .bz2 .xz .zst .md5 .sha1 .sha256 .license .bak .old .orig "
    ".tmp .part .crdownload .download .swp .lock"
)
_KIND_OF_SUFFIX = {
    suffix: kind
    for kind, suffixes in (("convert", _SUFFIXES_TO_CONVERT), ("archive", _ARCHIVE_SUFFIXES), ("other", _OTHER_SUFFIXES))
    for suffix in suffixes.split()
}
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_MAGIC_NUMBERS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"BM.{4}\0\0\0\0.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), ".bmp"),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), ".tif"),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), ".jp2"),
    (re.compile(rb"P[1-6]\s(#|\s|\d)"), ".ppm"),
)


class MissingCodecError(Exception):
    """A picture needs a codec that is not installed; the message says how to get it."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name, in lower case, with its dot; empty if it has none."""
    return PurePosixPath(name).suffix.lower()


def detect_suffix(head: bytes) -> str:
    """Return the suffix of a picture by its first `HEAD_BYTES`; empty unless they are those of a known format."""
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return ".avif"
    if brands & _HEIF_BRANDS:
        return ".heic"
    return next((suffix for start, suffix in _MAGIC_NUMBERS if start.match(head)), "")


def is_known_suffix(suffix: str) -> bool:
    """Whether a suffix tells what a file is; otherwise its first bytes must."""
    return suffix in IMAGE_SUFFIXES or suffix in _KIND_OF_SUFFIX


def unsupported_reason(suffix: str) -> str:
    """Return why pictures with a suffix are not read, and what to do; empty if they are read, or if they are no pictures."""
    if _KIND_OF_SUFFIX.get(suffix) == "convert":
        return "not a format that is read; convert to PNG or JPEG"
    if _KIND_OF_SUFFIX.get(suffix) == "archive":
        return "an archive inside of the source is not opened; unpack it, or give it as a source of its own"
    return _missing_codec_hint(_FORMAT_OF[suffix]) if suffix in _FORMAT_OF else ""


def allowed_formats(content: bytes) -> tuple[str, ...]:
    """Return Pillow's names of the formats that a file may be opened as; loads the codec of HEIC if needed.

    Raises:
        MissingCodecError: The file is a HEIC picture and the extra `heic` is not installed.
    """
    if detect_suffix(content[:HEAD_BYTES]) != ".heic":
        return FORMATS
    if missing := _missing_codec_hint("HEIF"):
        raise MissingCodecError(f"HEIC: {missing}")
    return _load_heif()


@cache
def _load_heif() -> tuple[str, ...]:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


@cache
def _missing_codec_hint(format_name: str) -> str:
    if format_name == "HEIF":
        return "" if util.find_spec("pillow_heif") else HEIC_INSTALL_COMMAND
    if format_name not in ("AVIF", "JPEG2000"):
        return ""
    from PIL import features

    codec = {"AVIF": "avif", "JPEG2000": "jpg_2000"}[format_name]
    return "" if features.check(codec) else "this Pillow cannot read it; pip install --upgrade --force-reinstall pillow"


def _brands(head: bytes) -> set[bytes]:
    """Return the own and the compatible brands of an ISO media file."""
    if head[4:8] != b"ftyp":
        return set()
    brands = head[8 : min(len(head), int.from_bytes(head[:4], "big"))]
    return {brands[start : start + 4] for start in (0, *range(8, len(brands), 4))}
