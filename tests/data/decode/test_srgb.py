"""Pictures come out in the colours that they show, whatever their numbers mean: by formulas of our own, not by what converts them."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image, ImageCms

from mitlgan.data.build.offline_augment import AugmentSettings, augment_pictures
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.decode import color_profile as profiles
from mitlgan.data.decode.color_profile import ADOBE_GAMMA, ADOBE_RGB, DISPLAY_P3, SRGB, SRGB_CURVE, build_matrix_profile
from mitlgan.data.decode.image_file import decode_bytes
from mitlgan.data.sources.formats import unsupported_reason

SHOWN = np.array([[(200, 100, 50), (60, 170, 90), (30, 90, 160), (128, 128, 128)], [(255, 255, 255), (0, 0, 0), (90, 60, 140), (240, 230, 210)]])
ADOBE, P3, PLAIN = build_matrix_profile(ADOBE_RGB, ADOBE_GAMMA), build_matrix_profile(DISPLAY_P3, SRGB_CURVE), build_matrix_profile(SRGB, SRGB_CURVE)
# From linear sRGB to linear Adobe RGB (1998) and Display P3, as their specifications have it; all three have one white.
TO_ADOBE = np.array([[0.71512, 0.28488, 0], [0, 1, 0], [0, 0.04117, 0.95883]])
TO_P3 = np.array([[0.82246, 0.17754, 0], [0.03319, 0.96681, 0], [0.01708, 0.07240, 0.91052]])


def linear(numbers: np.ndarray) -> np.ndarray:
    shares = numbers / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def curved(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def as_adobe(shown: np.ndarray) -> np.ndarray:
    return np.rint((linear(shown) @ TO_ADOBE.T).clip(0, 1) ** (1 / ADOBE_GAMMA) * 255).astype(np.uint8)


def as_p3(shown: np.ndarray) -> np.ndarray:
    return np.rint(curved(linear(shown) @ TO_P3.T)).astype(np.uint8)


def tiled(values: np.ndarray) -> np.ndarray:
    """Each colour on 16 x 16 px, which JPEG leaves alone."""
    return values.astype(np.uint8).repeat(16, 0).repeat(16, 1)


def middles(picture: Image.Image, step: int = 16) -> np.ndarray:
    return np.asarray(picture)[step // 2 :: step, step // 2 :: step].astype(int)


def error(content: bytes, shown: np.ndarray = SHOWN) -> float:
    found = decode_bytes(content, keep_alpha=False)
    assert found.note == ""
    assert found.picture.info == {}
    return float(np.abs(middles(found.picture) - shown).max())


FORMS: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wide", ["Adobe RGB", "Display P3", "sRGB"])
def test_wide_colours_come_out_as_they_are_shown(form: str, wide: str) -> None:
    stored, profile = {"Adobe RGB": (as_adobe(SHOWN), ADOBE), "Display P3": (as_p3(SHOWN), P3), "sRGB": (SHOWN, PLAIN)}[wide]
    if unsupported_reason(f".{form.lower()}"):
        pytest.skip(f"{form} is not taken")
    content = images.encoded(Image.fromarray(tiled(stored)), form, icc_profile=profile, **FORMS[form])
    assert error(content) <= (4 if form in ("JPEG", "AVIF") else 2)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_stays_and_so_do_the_colours_under_it(form: str) -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(8, 32).repeat(4, 0).repeat(2, 1)[..., None]
    picture = Image.fromarray(np.concatenate([tiled(as_adobe(SHOWN)), alpha], axis=2))
    content = images.encoded(picture, form, icc_profile=ADOBE, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    found = np.asarray(decode_bytes(content, keep_alpha=True).picture)
    assert (found[..., 3:] == alpha).all()
    assert np.abs(found[..., :3].astype(int) - tiled(SHOWN)).max() <= 2


def test_of_srgb_by_any_maker_no_number_changes() -> None:
    """Nor does the picture pass through the converter: for most files that is what there is to be done."""
    picture = images.smooth(1)
    for profile in (PLAIN, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        for kind in (picture, picture.convert("L"), images.smooth(2, mode="RGBA"), picture.quantize(16)):
            content = images.encoded(kind, "PNG", icc_profile=profile)
            assert decode_bytes(content, keep_alpha=True).picture.tobytes() == kind.convert("RGBA").tobytes()


def test_a_palette_is_converted() -> None:
    flat = Image.fromarray(tiled(as_adobe(SHOWN))).quantize(256)
    assert error(images.encoded(flat, "PNG", icc_profile=ADOBE)) <= 2


def grey_profile(gamma: float) -> bytes:
    """As `matrix_profile` writes them, of one curve."""
    xyz = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    tags = [(b"desc", profiles._description_tag()), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", xyz), (b"kTRC", profiles._curve_tag(gamma))]
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags:
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(">I", start + len(body)) + ADOBE[4:16] + b"GRAY" + ADOBE[20:128]
    return header + table + body


@pytest.mark.parametrize("profile", ["grey", "Adobe RGB"])
@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_by_a_grey_profile_and_by_one_of_colours(mode: str, profile: str) -> None:
    gamma = 1.8 if profile == "grey" else ADOBE_GAMMA
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (8, 1))
    picture = Image.fromarray(ramp.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(ramp).convert(mode)
    found = decode_bytes(images.encoded(picture, "PNG", icc_profile=grey_profile(1.8) if profile == "grey" else ADOBE), keep_alpha=True)
    assert found.note == ""
    pixels = np.asarray(found.picture).astype(int)
    assert np.abs(pixels[..., :3] - curved((ramp / 255) ** gamma)[..., None]).max() <= 2
    assert (pixels[..., 3] == 255).all()


def test_lab() -> None:
    stored = ImageCms.profileToProfile(Image.fromarray(tiled(SHOWN)), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")
    assert stored is not None
    assert error(images.encoded(stored, "TIFF")) <= 3


def cmyk_profile() -> bytes:
    """Inks that are nothing like what a conversion by formula takes them for: cyan shows as yellow, yellow as cyan (a table of Lab, version 2)."""
    corners = np.array([[float(bit) for bit in f"{number:04b}"] for number in range(16)])  # cyan changes slowest
    lights = (1 - corners[:, 3:]) * (1 - corners[:, [2, 1, 0]])
    lab = ImageCms.profileToProfile(
        Image.fromarray((lights * 255).astype(np.uint8)[None]), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    values = np.asarray(lab).reshape(16, 3) ^ np.array([0, 128, 128], np.uint8)  # a and b are signed in a picture, and from 128 in a profile
    table = struct.pack(">BBBx9i", 4, 3, 2, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    mft1 = b"mft1\0\0\0\0" + table + bytes(range(256)) * 4 + values.tobytes() + bytes(range(256)) * 3
    xyz = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    tags = [(b"desc", profiles._description_tag()), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", xyz), (b"A2B0", mft1)]
    index, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags:
        index += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    return struct.pack(">I", start + len(body)) + ADOBE[4:12] + b"prtr" + b"CMYK" + b"Lab " + ADOBE[24:128] + index + body


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_by_its_profile(form: str) -> None:
    inks = np.zeros((4, 4, 4), np.uint8)
    inks[:2, :2, 0], inks[2:, :2, 2], inks[2:, 2:, 3] = 255, 255, 255  # cyan, nothing; yellow, black
    picture = Image.fromarray(inks.repeat(8, 0).repeat(8, 1), "CMYK")
    found = decode_bytes(images.encoded(picture, form, icc_profile=cmyk_profile(), **({"quality": 100} if form == "JPEG" else {})), keep_alpha=False)
    assert found.note == ""
    assert np.abs(middles(found.picture) - [[(255, 255, 0), (255, 255, 255)], [(0, 255, 255), (0, 0, 0)]]).max() <= 6


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ({b"gAMA": struct.pack(">I", 100_000)}, curved(SHOWN / 255)),
        ({b"gAMA": struct.pack(">I", 45_455)}, SHOWN),
        ({b"gAMA": struct.pack(">I", 100_000), b"sRGB": b"\0"}, SHOWN),
        ({b"gAMA": struct.pack(">I", 45_470), b"cHRM": struct.pack(">8I", *(round(value * 100_000) for value in DISPLAY_P3))}, None),
        ({b"cHRM": struct.pack(">8I", *(round(value * 100_000) for value in SRGB))}, SHOWN),
        ({b"cHRM": bytes(32)}, SHOWN),
        ({b"gAMA": bytes(4)}, SHOWN),
        ({b"cICP": bytes([12, 13, 0, 1])}, None),
        ({b"cICP": bytes([1, 13, 0, 1]), b"gAMA": struct.pack(">I", 100_000)}, SHOWN),
    ],
)
def test_what_png_says_in_chunks(chunks: dict[bytes, bytes], shown: np.ndarray | None) -> None:
    """None: the numbers are Display P3's."""
    stored = SHOWN if shown is not None else as_p3(SHOWN)
    content = images.png_of(tiled(stored).astype(int), 8, 2, tuple(chunks.items()))
    assert error(content, SHOWN if shown is None else shown) <= 2


def test_hdr_is_said() -> None:
    content = images.png_of(tiled(SHOWN).astype(int), 8, 2, ((b"cICP", bytes([9, 16, 0, 1])),))
    found = decode_bytes(content, keep_alpha=False)
    assert "9/16 (such as HDR)" in found.note
    assert (np.asarray(found.picture) == tiled(SHOWN)).all()


def test_a_camera_that_names_adobe_rgb_in_its_exif_alone() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    content = images.encoded(Image.fromarray(tiled(as_adobe(SHOWN))), "JPEG", exif=exif, **FORMS["JPEG"])
    assert error(content) <= 4
    exif.get_ifd(0x8769)[0xA001] = 1
    assert error(images.encoded(Image.fromarray(tiled(SHOWN)), "JPEG", exif=exif, **FORMS["JPEG"])) <= 4


BROKEN = {"cut off": ADOBE[:200], "noise": bytes(range(256)) * 3, "empty": b"", "abstract": ADOBE[:12] + b"abst" + ADOBE[16:]}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", [*BROKEN, "grey's", "CMYK's"])
def test_a_profile_that_cannot_be_followed_is_said_and_the_numbers_are_taken(form: str, name: str) -> None:
    profile = {**BROKEN, "grey's": grey_profile(1.8), "CMYK's": cmyk_profile()}[name]
    picture = Image.fromarray(tiled(SHOWN))
    found = decode_bytes(images.encoded(picture, form, icc_profile=profile, **FORMS[form]), keep_alpha=False)
    assert np.abs(middles(found.picture) - SHOWN).max() <= 2
    if profile:  # an empty one is not even written
        assert ("damaged" if name in BROKEN else "is one of") in found.note
        assert "taken as sRGB" in found.note


def test_an_iccp_chunk_that_does_not_unpack_is_said() -> None:
    content = images.png_of(tiled(SHOWN).astype(int), 8, 2, ((b"iCCP", b"name\0\0not zlib"),))
    assert "profile is damaged" in decode_bytes(content, keep_alpha=False).note


def test_cmyk_without_a_fitting_profile_is_as_without_any() -> None:
    picture = Image.fromarray(tiled(SHOWN)).convert("CMYK")
    found = decode_bytes(images.encoded(picture, "TIFF", icc_profile=ADOBE), keep_alpha=False)
    assert "one of RGB pixels, its own are CMYK" in found.note
    assert (middles(found.picture) == SHOWN).all()


def test_a_large_jpeg_decoded_at_a_fraction_is_converted_too() -> None:
    large = Image.fromarray(tiled(as_adobe(SHOWN)).repeat(16, 0).repeat(16, 1))
    found = decode_bytes(images.encoded(large, "JPEG", icc_profile=ADOBE, **FORMS["JPEG"]), keep_alpha=False, size_px=16)
    assert found.picture.width < large.width
    assert np.abs(middles(found.picture, found.picture.width // 4) - SHOWN).max() <= 4


def test_profiles_that_pillow_leaves_alone() -> None:
    """Of JPEG 2000, in place of its enumerated colour space; of a BMP's fifth header; and an AVIF's coding points."""
    picture = Image.fromarray(tiled(as_adobe(SHOWN)))
    jp2 = images.encoded(picture, "JPEG2000", irreversible=False)
    place = jp2.index(b"colr") - 4
    box = struct.pack(">I4sBBB", 11 + len(ADOBE), b"colr", 2, 0, 0) + ADOBE
    header = jp2.index(b"jp2h") - 4
    (size,), (old,) = struct.unpack_from(">I", jp2, header), struct.unpack_from(">I", jp2, place)
    jp2 = jp2[:header] + struct.pack(">I", size - old + len(box)) + jp2[header + 4 : place] + box + jp2[place + old :]
    assert error(jp2) <= 2
    pixels = tiled(as_adobe(SHOWN))[::-1, :, ::-1].tobytes()  # 64 px wide: rows need no padding
    head = struct.pack("<IiiHHIIIIII", 124, 64, 32, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + bytes(16) + b"DEBM" + bytes(48)
    head += struct.pack("<IIII", 4, 124 + len(pixels), len(ADOBE), 0)
    bmp = b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(ADOBE), 0, 0, 138) + head + pixels + ADOBE
    assert error(bmp) <= 2
    avif = images.encoded(Image.fromarray(tiled(as_p3(SHOWN))), "AVIF", **FORMS["AVIF"])
    place = avif.index(b"colrnclx") + 8
    assert error(avif[:place] + struct.pack(">H", 12) + avif[place + 2 :]) <= 4


def test_threads_share_one_converter() -> None:
    content = images.encoded(Image.fromarray(tiled(as_adobe(SHOWN)).repeat(4, 0)), "PNG", icc_profile=ADOBE)
    wanted, wrong = decode_bytes(content, keep_alpha=False).picture.tobytes(), []

    def work() -> None:
        wrong.extend(turn for turn in range(40) if decode_bytes(content, keep_alpha=False).picture.tobytes() != wanted)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_packs_and_files_made_of_pictures_hold_srgb_and_say_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(tiled(as_adobe(SHOWN[:, :2]))).save(tmp_path / "in" / "a.png", icc_profile=ADOBE)
    Image.fromarray(tiled(SHOWN[:, :2])).save(tmp_path / "in" / "b.png", icc_profile=ADOBE[:150])
    pack = pack_folder(tmp_path / "in", tmp_path / "a.npy", size_px=32)
    assert np.abs(np.asarray(pack.pixels[0])[:, 8::16, 8::16].transpose(1, 2, 0).astype(int) - SHOWN[:, :2]).max() <= 2
    assert [("damaged" in str(source.get("note"))) for source in pack.sources()] == [False, True]
    augment_pictures(tmp_path / "in", tmp_path / "out", AugmentSettings(factor=1))
    made = Image.open(next((tmp_path / "out").glob("a-*.png")))
    assert "icc_profile" not in made.info
    assert np.abs(middles(made) - SHOWN[:, :2]).max() <= 2


def test_the_converter_costs_little() -> None:
    """Of a photograph from a camera, reduced to what is trained on: less than decoding it."""
    photograph = images.smooth(5, (3000, 2000))
    contents = [images.encoded(photograph, "JPEG", quality=90, icc_profile=profile) for profile in (None, PLAIN, P3)]
    costs = []
    for content in contents:
        decode_bytes(content, keep_alpha=False, size_px=256)
        started = time.process_time()
        for _ in range(5):
            decode_bytes(content, keep_alpha=False, size_px=256)
        costs.append(time.process_time() - started)
    assert costs[1] < 1.5 * costs[0] + 0.02
    assert costs[2] < 3 * costs[0] + 0.05
