"""Of any tree of files, as a folder, a zip or a tar: pictures taken, left out by name, and counted others are all the files that are there."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.data.build.mattes import use_mattes
from mitlgan.data.build.offline_augment import AugmentSettings, augment_pictures
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.check import check_datasets, summarize_set
from mitlgan.data.curate.reference_sets import find_held_out_packs
from mitlgan.data.open import open_data
from mitlgan.data.sources import formats
from mitlgan.data.sources.file_classifier import is_hidden_name
from mitlgan.data.sources.folders import LINK
from mitlgan.data.sources.image_source import ImageSource, open_source
from mitlgan.errors import DataError

SEEDS = range(24)
SIZE = (12, 8)
GOOD = {".png": "PNG", ".PNG": "PNG", ".JPG": "JPEG", ".jfif": "JPEG", ".jpe": "JPEG", ".avif": "AVIF", ".jp2": "JPEG2000", ".ppm": "PPM",
        ".dib": "DIB", ".webp": "WEBP", "": "PNG", ".weird": "JPEG", ".2024": "PNG"}  # fmt: skip
LEFT = (".tga", ".svg", ".CR2", ".zip", ".jxl")
OTHER = (".txt", ".csv", ".json", ".db", "", ".unheard-of")
FLAT = ("", "a/", "b/c/", "ü [x]/")
SPLIT = ("train/", "train/x/", "VAL/", "test/", "")
HIDDEN = (".thumbs/", "__MACOSX/a/", "a/.cache/", "a/@eaDir/n.jpg/")


def tree(seed: int, *, utf8: bool = True) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files by name, and what each is."""
    rng = np.random.default_rng(seed)
    folders = SPLIT if seed % 3 == 0 else FLAT
    files: dict[str, bytes] = {}
    kinds: dict[str, str] = {}

    def add(name: str, kind: str, content: bytes) -> None:
        files[name], kinds[name] = content, kind

    def picture(form: str, mode: str = "RGB", size: tuple[int, int] = SIZE) -> bytes:
        return images.encoded(images.smooth(int(rng.integers(1 << 30)), size, mode), form)

    first = "train/" if folders is SPLIT else ""
    for index in range(3):
        add(f"{first}sure{index}.png", "picture", picture("PNG"))
    for index in range(int(rng.integers(8, 20))):
        stem = f"{folders[rng.integers(len(folders))]}n{index}" + ("" if utf8 or index % 3 else os.fsdecode(b"\xe9"))
        match rng.choice(["good", "good", "good", "bad", "left", "other", "orphan", "hidden", "hidden folder"]):
            case "good":
                suffix = list(GOOD)[rng.integers(len(GOOD))]
                add(stem + suffix, "picture", picture(GOOD[suffix]))
            case "bad":
                add(stem + ".png", "picture", b"no picture")
            case "left":
                add(stem + LEFT[rng.integers(len(LEFT))], "left", b"x")
            case "other":
                add(stem + OTHER[rng.integers(len(OTHER))], "other", b"words")
            case "orphan":
                add(stem + ".matte.png", "left", picture("PNG", "L"))
            case "hidden":
                add(f"{stem.rpartition('/')[0]}/.n{index}.png".lstrip("/"), "hidden", picture("PNG"))
            case _:
                add(f"{HIDDEN[rng.integers(len(HIDDEN))]}n{index}.png", "hidden", picture("PNG"))
    share = rng.choice([0.0, 0.3, 0.8, 1.0])  # of pictures with a matte
    for name in [name for name, kind in kinds.items() if kind == "picture"]:
        if rng.random() < share:
            size = SIZE if rng.random() < 0.8 else (8, 8)
            add(str(Path(name).with_suffix("")) + ".matte.png", "matte", picture("PNG", "L", size))
    return files, kinds


def laid(place: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def stored(folder: Path, form: str, files: dict[str, bytes]) -> Path:
    if form == "folder":
        return laid(folder / "in", files)
    path = folder / f"in.{form}"
    names = list(files)
    np.random.default_rng(len(names)).shuffle(names)  # archives need not be sorted
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, files[name])
        return path
    with tarfile.open(path, "w:gz" if form.endswith("gz") else "w") as archive:
        for name in names:
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return path


def accounted(source: ImageSource) -> int:
    left = source.leftovers
    mattes = {entry.matte.name for entry in source.entries if entry.matte is not None}
    return len(source.entries) + len(mattes) + len(left.named) + sum(left.others.values()) + left.hidden


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_file_of_a_tree_is_what_it_is(tmp_path: Path, seed: int, form: str) -> None:
    files, kinds = tree(seed, utf8=form == "zip")
    source = open_source(stored(tmp_path, form, files))

    def names(kind: str) -> list[str]:
        return sorted(os.fsencode(name).decode("utf-8", "backslashreplace") for name, one in kinds.items() if one == kind)

    assert sorted(entry.name for entry in source.entries) == names("picture")
    assert sorted({entry.matte.name for entry in source.entries if entry.matte}) == names("matte")
    assert sorted(left.name for left in source.leftovers.named) == names("left")
    assert (sum(source.leftovers.others.values()), source.leftovers.hidden) == (len(names("other")), len(names("hidden")))
    assert accounted(source) == len(files)
    contents = {os.fsencode(name).decode("utf-8", "backslashreplace"): content for name, content in files.items()}
    for entry in source.entries:
        assert entry.read() == contents[entry.name]
        if entry.matte is not None:
            assert entry.matte.read() == contents[entry.matte.name]


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize("seed", range(0, 24, 3))
def test_every_command_accounts_for_every_picture(tmp_path: Path, seed: int, form: str) -> None:
    files, _ = tree(seed // 2, utf8=form == "zip")
    path = stored(tmp_path, form, files)
    whole = open_source(path)
    there = len(whole.entries) + len(whole.leftovers.named)

    packed = pack_folder(path, tmp_path / "a.npy", size_px=8, allow_bad=True)
    elsewhere = sum((packed.manifest.get("split") or {"left": {}})["left"].values())
    assert len(packed) + len(packed.manifest["skipped"]) + elsewhere == there
    left = packed.manifest["leftovers"]
    assert (sum(left["others"].values()), left["hidden"]) == (sum(whole.leftovers.others.values()), whole.leftovers.hidden)

    settings = PrepareSettings(size_px=8, dedupe="none", placeholder_copies=0, keep_blank=True, holdout="0")
    prepared = prepare_pack(path, tmp_path / "prepared", settings, allow_bad=True)
    held_out = sum(len(pack) for pack in find_held_out_packs(prepared.path).values())
    assert len(prepared) + held_out + len(prepared.manifest["skipped"]) == there
    assert (prepared.fourth_channel, prepared.manifest["leftovers"]["others"]) == ((use_mattes(whole)[1] and "matte") or None, left["others"])

    made = augment_pictures(path, tmp_path / "augmented", AugmentSettings(factor=1))
    assert made["pictures"] + len(made["skipped"]) + elsewhere == there
    written = Counter("matte" if name.name.endswith(".matte.png") else "picture" for name in (tmp_path / "augmented").glob("*.png"))
    assert (written["picture"], written["matte"]) == (made["made"], made["mattes"])

    sets = [summarize_set(report) for report in check_datasets([str(path)]).sets]
    assert sum(one["count"] + len(one["skipped"]) for one in sets) == there


@pytest.mark.parametrize("seed", SEEDS)
def test_trees_with_links_end_and_take_every_file_once(tmp_path: Path, seed: int) -> None:
    files, kinds = tree(seed, utf8=False)
    place, rng = laid(tmp_path / "in", files), np.random.default_rng(seed)
    laid(tmp_path / "outside", {"z.png": files[next(iter(files))]})
    folders = [Path(parent) for parent, _, _ in os.walk(place)]
    targets = [*folders, tmp_path / "outside", tmp_path, Path("/"), place / "gone"]
    links = 0
    for index in range(int(rng.integers(1, 7))):
        parent = folders[rng.integers(len(folders))]
        (parent / f"link{index}").symlink_to(targets[rng.integers(len(targets))], target_is_directory=True)
    some = next(name for name, kind in kinds.items() if kind == "picture")
    (place / "linked.png").symlink_to(place / some)
    os.mkfifo(place / "pipe")
    total = 0
    for _parent, inner, names in os.walk(place):
        linked = [name for name in inner if (Path(_parent) / name).is_symlink()]
        links += len(linked)
        total += len(names) + len(linked)
    source = open_source(place)
    unfollowed = [left for left in source.leftovers.named if left.kind == LINK]
    into_hidden = sum(_fate(place, path) == "followed" for path in place.rglob("*") if path.is_symlink() and path.is_dir())
    real = [os.path.realpath(entry.file) for entry in source.entries if entry.file and not Path(entry.file).is_symlink()]
    assert len(real) == len(set(real))  # no picture twice
    assert all(os.path.realpath(place) in one for one in real)  # none from outside
    taken_links = total - accounted(source)
    assert 0 <= taken_links <= into_hidden
    assert len(unfollowed) + taken_links <= links
    reasons = {left.name: left.reason for left in source.leftovers.named}
    printed = os.fsencode(some).decode("utf-8", "backslashreplace")
    assert reasons["linked.png"] == f"leads to {printed!r}, which is in the folder already"
    assert "pipe" in reasons


def _fate(place: Path, link: Path) -> str:
    """Whether a linked folder leads where nothing else does: into a hidden folder of the tree."""
    inside = Path(os.path.relpath(os.path.realpath(link), os.path.realpath(place))).parts
    return "followed" if ".." not in inside and any(part != "." and is_hidden_name(part) for part in inside) else "left"


LINKS = {
    "a.png": ("sure.png", "leads to 'sure.png', which is in the folder already"),
    "b/B.JPG": ("../sure.png", "leads to 'sure.png', which is in the folder already"),
    "c.png": ("../outside/0000.png", "leads to a file elsewhere; put a copy there"),
    "chain.png": ("c.png", "leads to a file elsewhere; put a copy there"),
    "no-ending": ("../outside/0000.png", "leads to a file elsewhere; put a copy there"),
    "hidden.png": (".cache/0005.png", "leads to a file elsewhere; put a copy there"),
    "hidden2.png": (".0000.png", "leads to a file elsewhere; put a copy there"),
    "sure.matte.png": ("../outside/0000.png", "leads to a file elsewhere; put a copy there"),
    "gone.png": ("nowhere.png", "leads nowhere; put the file itself there, or remove the link"),
    "loop.png": ("loop.png", "leads nowhere; put the file itself there, or remove the link"),
    "notes.txt": ("../outside/0000.png", ""),
    ".link.png": ("sure.png", ""),
}
"""Where links lead, and why they are left out; those without a reason are counted."""


def test_links_to_files_are_left_out_as_links_to_folders_are_and_are_no_unreadable_pictures(tmp_path: Path) -> None:
    images.fill(tmp_path / "outside", 1)
    place = images.fill(tmp_path / "in", 1)
    (place / "0000.png").rename(place / "sure.png")
    images.fill(place / ".cache", 1, first=5)
    (place / "b").mkdir()
    for name in (".0000.png",):
        images.smooth(9).save(place / name)
    for name, (target, _) in LINKS.items():
        (place / name).symlink_to(target)
    source = open_source(place)
    assert [(entry.name, entry.matte) for entry in source.entries] == [("sure.png", None)]
    left = {one.name: (one.kind, one.reason) for one in source.leftovers.named}
    assert left == {name: ("linked file", reason) for name, (_, reason) in LINKS.items() if reason}
    assert (source.leftovers.others, source.leftovers.hidden) == ({".txt": 1}, 3)
    packed = pack_folder(place, tmp_path / "a.npy", size_px=8)  # no more than 5 % are unreadable
    assert len(packed) == 1
    assert packed.manifest["skipped"] == source.leftovers.skipped()
    lines = source.leftovers.describe()
    assert "2 linked files left out: leads to 'sure.png', which is in the folder already (a.png, b/B.JPG)" in lines
    assert summarize_set(check_datasets([str(place)]).sets[0])["unreadable"] == 0


class TestLinkedFolders:
    def test_a_folder_that_only_a_link_leads_to_is_taken_once(self, tmp_path: Path) -> None:
        images.fill(tmp_path / ".store" / "cats", 2)
        images.fill(tmp_path / "dogs", 1)
        (tmp_path / "cats").symlink_to(tmp_path / ".store" / "cats")
        (tmp_path / "again").symlink_to(tmp_path / "cats")
        source = open_source(tmp_path)
        assert [entry.name for entry in source.entries] == ["again/0000.png", "again/0001.png", "dogs/0000.png"]
        assert [(left.name, left.reason) for left in source.leftovers.named] == [("cats", "leads to '.store/cats', which is taken already")]
        assert source.leftovers.hidden == 0

    def test_those_that_lead_out_or_around_are_named(self, tmp_path: Path) -> None:
        images.fill(tmp_path / "outside", 3)
        place = images.fill(tmp_path / "in", 1)
        (place / "cats").symlink_to(tmp_path / "outside")
        (place / "loop").symlink_to(place)
        packed = pack_folder(place, tmp_path / "a.npy", size_px=8)
        assert len(packed) == 1
        reasons = {line["name"]: line["reason"] for line in packed.manifest["skipped"]}
        assert reasons["cats"].startswith("leads out of the folder; put a copy there")
        assert "taken already" in reasons["loop"]
        assert packed.manifest["leftovers"]["left_out"][0]["kind"] == "linked folder"


def with_some_mattes(place: Path, pictured: int, matted: int, *, turned: bool = False) -> Path:
    images.fill(place, pictured, size=(20, 10))
    for index in range(matted):
        Image.new("L", (10, 20) if turned else (20, 10), 255).save(place / f"{index:04d}.matte.png")
    return place


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "list"])
@pytest.mark.parametrize(("matted", "fourth", "taken"), [(0, None, 6), (2, None, 6), (3, "matte", 3), (5, "matte", 5), (6, "matte", 6)])
def test_mattes_are_used_where_half_of_the_pictures_have_one(tmp_path: Path, form: str, matted: int, fourth: str | None, taken: int) -> None:
    place = with_some_mattes(tmp_path / "in", 6, matted)
    files = {path.name: path.read_bytes() for path in sorted(place.iterdir())}
    if form == "list":
        (tmp_path / "in.txt").write_text("".join(f"in/{name}\n" for name in files))
    path = tmp_path / "in.txt" if form == "list" else place if form == "folder" else stored(tmp_path, form, files)
    packed = pack_folder(path, tmp_path / "a.npy", size_px=8)
    prepared = prepare_pack(path, tmp_path / "out", PrepareSettings(size_px=8, dedupe="none", holdout="0"))
    for pack in (packed, prepared):
        assert (pack.fourth_channel, len(pack)) == (fourth, taken)
        assert len(pack.manifest["skipped"]) == 6 - taken
        assert all("no matte next to it" in line["reason"] for line in pack.manifest["skipped"])
        remarks = pack.manifest["leftovers"]["remarks"]
        assert remarks == (["2 mattes are not used: 4 of 6 pictures have none next to them (NAME.matte.png)"] if matted == 2 else [])
    made = augment_pictures(path, tmp_path / "augmented", AugmentSettings(factor=2))
    assert (made["made"], made["mattes"]) == (12, 2 * matted)
    assert bool(made["leftovers"]["remarks"]) == (0 < matted < 6)


def test_kept_transparency_tells_that_mattes_are_not_used(tmp_path: Path) -> None:
    place = with_some_mattes(tmp_path / "in", 2, 2)
    packed = pack_folder(place, tmp_path / "a.npy", size_px=8, keep_alpha=True)
    assert packed.fourth_channel == "alpha"
    assert packed.manifest["leftovers"]["remarks"] == ["2 mattes are not used: transparency is kept in their place"]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_matte_of_another_shape_leaves_its_picture_out_everywhere(tmp_path: Path, form: str) -> None:
    place = with_some_mattes(tmp_path / "in", 24, 24)
    Image.new("L", (10, 20), 255).save(place / "0007.matte.png")
    path = place if form == "folder" else stored(tmp_path, form, {one.name: one.read_bytes() for one in place.iterdir()})
    reason = "its matte is 10 x 20 px, itself 20 x 10; pictures are turned upright by their EXIF, so its matte must be upright, too"
    skipped = [{"name": "0007.png", "reason": reason}]
    assert pack_folder(path, tmp_path / "a.npy", size_px=8).manifest["skipped"] == skipped
    assert prepare_pack(path, tmp_path / "out", PrepareSettings(size_px=8, holdout="0")).manifest["skipped"] == skipped
    assert augment_pictures(path, tmp_path / "augmented", AugmentSettings(factor=1))["skipped"] == skipped
    assert summarize_set(check_datasets([str(path)]).sets[0])["skipped"] == skipped


def test_a_picture_turned_by_exif_has_an_upright_matte(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("upright", "stored"):
        images.smooth(len(name), (40, 20)).save(place / f"{name}.jpg", exif=exif)
    matte = Image.new("L", (20, 40))
    matte.paste(255, (0, 0, 20, 10))
    matte.save(place / "upright.matte.png")
    matte.transpose(Image.Transpose.ROTATE_90).save(place / "stored.matte.png")
    packed = pack_folder(place, tmp_path / "a.npy", size_px=20, allow_bad=True)
    assert [source["name"] for source in packed.sources()] == ["upright.jpg"]
    assert packed.manifest["skipped"][0]["name"] == "stored.jpg"
    prepared = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=20, holdout="0"), allow_bad=True)
    assert (packed.pixels[0, 3] == prepared.pixels[0, 3]).all()  # of the upper quarter the centred square shows nothing
    assert packed.pixels[0, 3].max() == 0


@pytest.mark.parametrize("name", ["a.matte.png", "a.MATTE.PNG", "a.matte.webp"])
def test_a_matte_may_be_white_on_transparency_and_of_any_case(tmp_path: Path, name: str) -> None:
    picture = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255), (0, 0, 4, 8))
    images.smooth(1, (8, 8)).save(tmp_path / "a.png")
    picture.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    packed = pack_folder(tmp_path, tmp_path / "out" / "a.npy", size_px=8)
    assert (packed.pixels[0, 3, 0] == [255] * 4 + [0] * 4).all()


def test_what_is_left_out_says_how_to_get_it_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = images.fill(tmp_path / "in", 2)
    for name in ("a.heic", "b.HEIC", "c.tga", "d.csv", "e.csv", "notes", ".f.png"):
        (place / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (place / "notes").write_bytes(b"words")
    monkeypatch.setattr(formats.util, "find_spec", lambda name: None)
    formats._missing_codec_hint.cache_clear()
    try:
        packed = pack_folder(place, tmp_path / "a.npy", size_px=8)
        said: list[str] = []
        open_data(str(place), "scene", 8, say=said.append)
        (place / "0000.png").unlink()
        (place / "0001.png").unlink()
        with pytest.raises(DataError, match=r"no pictures in it; 2 \.heic left out: pip install 'mitlgan\[heic\]'"):
            pack_folder(place, tmp_path / "b.npy", size_px=8)
    finally:
        formats._missing_codec_hint.cache_clear()
    assert packed.manifest["leftovers"] == {
        "left_out": [
            {"kind": ".heic", "reason": "pip install 'mitlgan[heic]'", "count": 2, "names": ["a.heic", "b.HEIC"]},
            {"kind": ".tga", "reason": "not a format that is read; convert to PNG or JPEG", "count": 1, "names": ["c.tga"]},
        ],
        "others": {".csv": 2, "without an ending": 1},
        "hidden": 1,
        "remarks": [],
    }
    assert said == [
        f"{place}: 2 .heic left out: pip install 'mitlgan[heic]' (a.heic, b.HEIC)",
        f"{place}: 1 .tga left out: not a format that is read; convert to PNG or JPEG (c.tga)",
    ]


def test_of_members_with_one_name_the_last_is_taken(tmp_path: Path) -> None:
    first, last = (images.encoded(images.smooth(seed), "PNG") for seed in (1, 2))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", first)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", last)
    source = open_source(tmp_path / "a.zip")
    assert [entry.read() for entry in source.entries] == [last]
    assert [left.reason for left in source.leftovers.named] == ["a later member of the archive has the same name"]
