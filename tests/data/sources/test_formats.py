"""Every format comes out with its right pixels, by any of its endings; what is not read says how it can be."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, is_cutout_file
from mitlgan.data.sources import formats
from mitlgan.data.sources.formats import FORMATS, HEAD_BYTES, IMAGE_SUFFIXES, detect_suffix, is_known_suffix, suffix_of, unsupported_reason

pillow_heif = pytest.importorskip("pillow_heif")
UPRIGHT = images.quadrants()


def heic(picture: Image.Image, *, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow_heif.register_heif_opener(thumbnails=False)
    return images.encoded(picture, "HEIF", quality=-1, chroma=444, **({"exif": exif.tobytes()} if orientation != 1 else {}))


# what it is saved as, with which options, the ending that its content tells, and how far a value may be off
FORMS: dict[str, tuple[str, dict[str, object], str, float]] = {
    "JPEG": ("JPEG", {"quality": 98, "subsampling": 0}, ".jpg", 3),
    "MPO": ("MPO", {"quality": 98, "save_all": True, "append_images": [Image.new("RGB", (8, 8))]}, ".jpg", 4),
    "PNG": ("PNG", {}, ".png", 0),
    "APNG": ("PNG", {"save_all": True, "append_images": [Image.new("RGB", (80, 60))]}, ".png", 0),
    "WebP": ("WEBP", {"lossless": True}, ".webp", 0),
    "GIF": ("GIF", {}, ".gif", 0),
    "BMP": ("BMP", {}, ".bmp", 0),
    "DIB": ("DIB", {}, "", 0),
    "TIFF": ("TIFF", {"compression": "tiff_lzw"}, ".tif", 0),
    "BigTIFF": ("TIFF", {"big_tiff": True}, ".tif", 0),
    "AVIF": ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, ".avif", 3),
    "AVIF, animated": ("AVIF", {"quality": 100, "subsampling": "4:4:4", "save_all": True, "append_images": [Image.new("RGB", (80, 60))]}, ".avif", 3),
    "JPEG 2000": ("JPEG2000", {"no_jp2": False}, ".jp2", 0),
    "JPEG 2000, bare": ("JPEG2000", {"no_jp2": True}, ".jp2", 0),
    "PPM": ("PPM", {}, ".ppm", 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_format_has_its_right_pixels(form: str) -> None:
    name, options, suffix, off = FORMS[form]
    content = images.encoded(UPRIGHT, name, **options)
    decoded = decode_bytes(content, keep_alpha=False)
    assert (decoded.width, decoded.height) == (80, 60)
    if form == "MPO":  # Pillow writes it with half the colours
        assert images.mean_difference(decoded.picture, UPRIGHT) < off
    else:
        assert np.abs(np.asarray(decoded.picture).astype(int) - np.asarray(UPRIGHT)).max() <= off
    assert detect_suffix(content[:HEAD_BYTES]) == suffix


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000", "WEBP", "PNG", "TIFF"])
def test_transparency_comes_along(form: str) -> None:
    picture = UPRIGHT.convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 40, 30))
    options: dict[str, object] = {"AVIF": {"quality": 100, "subsampling": "4:4:4"}, "WEBP": {"lossless": True}}.get(form, {})
    content = images.encoded(picture, form, **options)
    alpha = np.asarray(decode_bytes(content, keep_alpha=True).picture.getchannel("A"))
    assert np.array_equal(alpha, np.asarray(picture.getchannel("A")))
    laid = np.asarray(decode_bytes(content, keep_alpha=False).picture)
    assert np.abs(laid[:28, :38].astype(int) - 255).max() <= 3
    assert is_cutout_file(content)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
def test_exif_rotation_is_undone(form: str, orientation: int) -> None:
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turned = UPRIGHT if orientation == 1 else UPRIGHT.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = (
        heic(turned, orientation=orientation)
        if form == "HEIC"
        else images.encoded(turned, "AVIF", quality=100, subsampling="4:4:4", exif=exif.tobytes())
    )
    decoded = decode_bytes(content, keep_alpha=False)
    assert (decoded.width, decoded.height) == UPRIGHT.size
    assert images.mean_difference(decoded.picture, UPRIGHT) < 2


def test_heic_with_and_without_transparency() -> None:
    picture = UPRIGHT.convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 40, 30))
    assert np.abs(np.asarray(decode_bytes(heic(UPRIGHT), keep_alpha=False).picture).astype(int) - np.asarray(UPRIGHT)).max() <= 3
    alpha = np.asarray(decode_bytes(heic(picture), keep_alpha=True).picture.getchannel("A"))
    assert np.abs(alpha.astype(int) - np.asarray(picture.getchannel("A"))).max() <= 2
    assert detect_suffix(heic(UPRIGHT)[:HEAD_BYTES]) == ".heic"


def test_of_several_heic_pictures_the_one_that_it_shows_is_taken() -> None:
    container = pillow_heif.from_pillow(Image.new("RGB", (80, 60), "white"))
    container.add_from_pillow(UPRIGHT)
    target = io.BytesIO()
    container.save(target, quality=-1, chroma=444, primary_index=1)
    decoded = decode_bytes(target.getvalue(), keep_alpha=False)
    assert images.mean_difference(decoded.picture, UPRIGHT) < 2
    assert decoded.note == ""


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    content = heic(UPRIGHT)
    formats._missing_codec_hint.cache_clear()
    monkeypatch.setattr(formats.util, "find_spec", lambda name: None)
    try:
        with pytest.raises(UnreadableImageError, match=r"^HEIC: pip install 'mitlgan\[heic\]'$"):
            decode_bytes(content, keep_alpha=False)
        assert unsupported_reason(".heic") == "pip install 'mitlgan[heic]'"
    finally:
        formats._missing_codec_hint.cache_clear()


def test_the_package_of_heic_is_loaded_for_the_first_such_picture_only(tmp_path: Path) -> None:
    program = (
        "import sys; from mitlgan.data.decode.image_file import decode_bytes; from pathlib import Path\n"
        "decode_bytes(Path(sys.argv[1]).read_bytes(), keep_alpha=False); print('pillow_heif' in sys.modules)"
    )
    for content, loaded in ((images.encoded(UPRIGHT, "AVIF"), "False"), (heic(UPRIGHT), "True")):
        (tmp_path / "a").write_bytes(content)
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], capture_output=True, check=True)
        assert done.stdout.decode().strip() == loaded


@pytest.mark.parametrize(("grey", "content"), [(128, b"P5\n4 4\n65535\n" + b"\x80\x80" * 16), (51, b"P5\n4 4\n1000\n" + b"\x00\xc8" * 16),
                                               (255, b"P1\n4 4\n" + b"0 " * 16), (0, b"P4\n4 4\n" + b"\xf0" * 4)])  # fmt: skip
def test_grey_portable_maps(grey: int, content: bytes) -> None:
    assert (np.asarray(decode_bytes(content, keep_alpha=False).picture) == grey).all()


def test_jpeg_2000_of_16_bits_is_scaled() -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    found = np.asarray(decode_bytes(images.encoded(Image.fromarray(values), "JPEG2000"), keep_alpha=False).picture)[..., 0]
    assert np.abs(found.astype(int) - np.round(values / 257).astype(int)).max() <= 1


@pytest.mark.parametrize("size", [(9000, 9000), (20_000, 20_000)])
@pytest.mark.parametrize("form", ["PPM", "JPEG2000", "DIB"])
def test_bombs_are_refused_by_their_headers(form: str, size: tuple[int, int]) -> None:
    content = bytearray(images.encoded(UPRIGHT, form, **({"no_jp2": True} if form == "JPEG2000" else {})))
    if form == "PPM":
        content = bytearray(b"P6\n%d %d\n255\n" % size)
    elif form == "DIB":
        content[4:12] = size[0].to_bytes(4, "little") + size[1].to_bytes(4, "little")
    else:
        content[8:16] = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big")
    with pytest.raises(UnreadableImageError, match=r"^(9000 x 9000 px|400 million px) are more than 64 million pixels; reduce it first$"):
        decode_bytes(bytes(content), keep_alpha=False)


def test_no_ending_is_of_two_kinds_and_every_one_is_told() -> None:
    endings = [*IMAGE_SUFFIXES, *" ".join((formats._SUFFIXES_TO_CONVERT, formats._ARCHIVE_SUFFIXES, formats._OTHER_SUFFIXES)).split()]
    assert len(endings) == len(set(endings))
    for suffix in IMAGE_SUFFIXES:
        assert is_known_suffix(suffix)
        assert unsupported_reason(suffix) == ""
    for suffix in (".tga", ".svg", ".cr2", ".jxl", ".psd"):
        assert "convert" in unsupported_reason(suffix)
    assert "unpack" in unsupported_reason(".zip")
    assert unsupported_reason(".csv") == unsupported_reason(".unknown") == unsupported_reason("") == ""
    assert suffix_of("a/b.C.JPG") == ".jpg"
    assert suffix_of("a.b/c") == ""


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"BM is a text", b"P1 is one too, is it not", b"<html>", b"\0\0\0\x18ftypmp42\0\0\0\0mp41isom", bytes(64)]
)
def test_what_is_no_picture_has_no_picture_s_ending(content: bytes) -> None:
    assert detect_suffix(content[:HEAD_BYTES]) == ""


def test_the_allowed_formats_are_all_there() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    assert not {"EPS", "PSD", "TGA", "FITS", "WMF"} & set(FORMATS)
