"""What `data check` counts as copies is what `data prepare` leaves out, by whatever way the pictures come."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import images
from PIL import Image

from mitlgan.cli.main import app
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.build.resize import center_square
from mitlgan.data.curate.check import CheckResult, check_datasets
from mitlgan.data.demo import archive
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack

OBJECTS = 60


def real_object(index: int) -> Image.Image:
    return archive.read_pool(archive.FOREGROUNDS, OBJECTS, 128)[index][2].convert("RGBA")


def photograph(*size: int) -> Callable[[int], Image.Image]:
    return lambda seed: images.smooth(seed, (size[0], size[1]))


def off_centre(seed: int) -> Image.Image:
    """A garment in a frame that is no square, all in its middle."""
    picture = Image.new("RGBA", (180, 128))
    picture.paste(images.garment(seed), (26, 0))
    return picture


def smaller(picture: Image.Image) -> Image.Image:
    size = (picture.width * 3 // 4, picture.height * 3 // 4)
    return picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA") if picture.mode == "RGBA" else picture.resize(size)


SETS: dict[str, Callable[[int], Image.Image]] = {
    "garments of one outline and colour": images.garment,
    "such garments in a wide frame": off_centre,
    "real objects": real_object,
    "square photographs": photograph(96, 96),
    "wide photographs": photograph(150, 96),
    "tall photographs": photograph(88, 128),
}
sets = pytest.mark.parametrize("made", SETS.values(), ids=SETS)


def fill(folder: Path, pictures: dict[str, Image.Image]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")


def follow(result: CheckResult) -> None:
    """Do what the one sentence about look-alikes says."""
    (text,) = [text for text, _ in result.verdict if "--dedupe near" in text]
    app([*shlex.split(text[text.index("mitlgan data") :])[1:], "--holdout", "0", "--json"], standalone_mode=False)


def alter_manifest(pack: Path, version: int | str | None = None, without: Sequence[str] = ()) -> None:
    """Make a pack's manifest that of an earlier version, which recorded less of each picture and of all."""
    path = pack.with_suffix(".json")
    manifest = json.loads(path.read_text())
    lines = [{key: value for key, value in line.items() if key not in without} for line in manifest.pop("sources")]
    manifest = {key: value for key, value in manifest.items() if key not in without}
    if version is not None:
        manifest["made_by"]["version"] = version
    listed = ",\n".join(f"  {json.dumps(line)}" for line in lines)
    path.write_text(f'{json.dumps(manifest, indent=1)[:-2]},\n "sources": [\n{listed}\n ]\n}}\n')


def left_out(out: Path) -> dict[str, str]:
    """Names that a pack's manifest does not have among its pictures, with what they look like."""
    return {record["name"]: record["reason"].split("'")[1] for record in ImagePack.open(out / PREPARED_PACK).manifest["skipped"]}


@sets
def test_of_each_pair_that_check_counts_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[int], Image.Image]) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("set"), {f"{seed:02d}": made(seed) for seed in range(20)} | {"copy": smaller(made(3))})
    result = check_datasets(["set"])
    pairs = {frozenset((pair.first, pair.second)) for pair in result.pairs}
    assert len(pairs) == result.pair_count
    assert {"03.png", "copy.png"} in pairs
    follow(result)
    omitted = left_out(Path("set-clean"))
    assert {frozenset(names) for names in omitted.items()} <= pairs, "only what check counts"
    assert not any(name in omitted for name in omitted.values()), "what it looks like stays"
    assert all(len(pair & omitted.keys()) == 1 for pair in pairs)
    assert check_datasets(["set-clean"]).pair_count == 0


@sets
def test_what_leaks_and_nothing_else_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[int], Image.Image]) -> None:
    """Of one set against another, in a folder or a pack."""
    monkeypatch.chdir(tmp_path)
    seeds = [seed for seed in range(OBJECTS) if made is not real_object or seed % 4 == 0][:14]  # copies of one object are rendered from four sides
    fill(Path("set"), {f"{seed:02d}": made(seed) for seed in seeds[:8]} | {f"leak{seed:02d}": smaller(made(seed)) for seed in seeds[10:]})
    fill(Path("held-out"), {f"{seed:02d}": made(seed) for seed in seeds[8:]})
    result = check_datasets(["set", "held-out"])
    expected = {f"leak{seed:02d}.png": f"{seed:02d}.png" for seed in seeds[10:]}
    assert {pair.first: pair.second for pair in result.pairs} == expected
    follow(result)
    assert left_out(Path("set-clean")) == expected
    assert check_datasets(["set-clean", "held-out"]).pair_count == 0
    settings = PrepareSettings(size_px=64, keep_alpha=True, dedupe="near", holdout="0")
    prepare_pack("held-out", Path("pack"), settings)
    against = PrepareSettings(size_px=64, keep_alpha=True, dedupe="near", holdout="0", against=("pack",))
    prepare_pack("set", Path("against-pack"), against)
    assert left_out(Path("against-pack")) == expected


@pytest.mark.parametrize("size", [16, 64, 128])
@pytest.mark.parametrize("keep_alpha", [True, False])
def test_garments_stay_at_every_size_and_on_a_backdrop(tmp_path: Path, keep_alpha: bool, size: int) -> None:
    fill(tmp_path / "set", {f"{seed:02d}": images.garment(seed) for seed in range(12)} | {"copy": smaller(images.garment(3))})
    prepare_pack(tmp_path / "set", tmp_path / "out", PrepareSettings(size_px=size, keep_alpha=keep_alpha, dedupe="near", holdout="0"))
    assert left_out(tmp_path / "out") == {"copy.png": "03.png"}
    assert check_datasets([str(tmp_path / "out")]).pair_count == 0


ORIGINALS = range(6)
KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": smaller,
    "cropped": lambda picture: picture.crop((0, 5, *picture.size)),
    "narrower": lambda picture: picture.crop((6, 0, *picture.size)),
    "its middle": lambda picture: picture.crop(center_square(*picture.size)),
    "saved again": lambda picture: Image.open(io.BytesIO(images.encoded(picture, "JPEG", quality=80))).convert("RGB"),
}
"""What was done to copies; a crop may leave the whole alike, or the square in the middle, or neither."""


@pytest.fixture(scope="module", params=[(96, 96), (150, 96), (88, 128)], ids=["square", "wide", "tall"])
def photographs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Originals in `held-out`, others and copies in `set`, all in `all` and `all.zip`."""
    folder, made = tmp_path_factory.mktemp("photographs"), photograph(*request.param)
    originals = {f"{seed:02d}": made(seed) for seed in ORIGINALS}
    copies = {f"{seed:02d}-{kind}": copy(made(seed)) for seed in ORIGINALS for kind, copy in KINDS.items()}
    others = {f"{seed:02d}": made(seed) for seed in range(20, 24)}
    for name, pictures in (("held-out", originals), ("set", copies | others), ("all", originals | copies | others)):
        fill(folder / name, pictures)
    shutil.make_archive(str(folder / "all"), "zip", folder / "all")
    return folder


def across(*specs: Path) -> set[tuple[str, str]]:
    """Pairs that are counted of two sets."""
    return {(pair.first, pair.second) for pair in check_datasets(list(map(str, specs))).pairs if pair.first_set != pair.second_set}


def test_what_is_counted_of_files_is_counted_of_packs_and_left_out(photographs: Path, tmp_path: Path) -> None:
    counted = across(photographs / "set", photographs / "held-out")
    assert {first.split("-")[1] for first, _ in counted if "-" in first} == {f"{kind}.png" for kind in KINDS}
    settings = PrepareSettings(size_px=16, holdout="0")
    for name in ("set", "held-out"):
        prepare_pack(photographs / name, tmp_path / name, settings)
    pack_folder(photographs / "held-out", tmp_path / "packed.npy", size_px=64)
    packed = across(photographs / "set", tmp_path / "packed.npy")
    assert packed >= {pair for pair in counted if "-smaller" in pair[0]}, "though only a square of each is there"
    for one in (photographs, tmp_path):
        for other in (photographs, tmp_path):
            assert across(one / "set", other / "held-out") == counted
    for against in (photographs / "held-out", tmp_path / "held-out"):
        out = tmp_path / f"without-{against.parent.name}"
        prepare_pack(photographs / "set", out, replace(settings, dedupe="near", against=(str(against),)))
        assert not across(out, photographs / "held-out")
        assert left_out(out).keys() >= {first for first, _ in counted}


@pytest.mark.parametrize(("source", "crop"), [("all", "center"), ("all.zip", "entropy")])
def test_what_is_counted_is_held_out_together_or_kept_once(photographs: Path, tmp_path: Path, source: str, crop: str) -> None:
    pairs = {(pair.first, pair.second) for pair in check_datasets([str(photographs / source)]).pairs}
    assert len(pairs) >= 2 * len(ORIGINALS)
    settings = PrepareSettings(size_px=16, holdout="30%", crop=crop)
    prepare_pack(photographs / source, tmp_path / "out", settings)
    trained, held_out = ({line["name"] for line in ImagePack.open(tmp_path / "out" / split / PREPARED_PACK).sources()} for split in ("", "test"))
    assert trained
    assert held_out
    used = {pair for pair in pairs if set(pair) <= trained | held_out}  # one of equal files is left out
    assert not [pair for pair in used if len(trained & set(pair)) == 1]
    packed = {(pair.first, pair.second) for pair in check_datasets([str(tmp_path / "out")]).pairs}
    assert packed == used if crop == "center" else packed >= used
    prepare_pack(photographs / source, tmp_path / "near", replace(settings, holdout="0", dedupe="near"))
    omitted = left_out(tmp_path / "near").keys()
    assert all(omitted & set(pair) for pair in pairs)


MODES = {"kept": PrepareSettings(keep_alpha=True), "white": PrepareSettings(), "black": PrepareSettings(backdrop=(0, 0, 0))}
"""What becomes of transparency."""


@pytest.mark.parametrize("size", [32, 64, 100])
@pytest.mark.parametrize("own", MODES)
@pytest.mark.parametrize("other", MODES)
def test_leaks_are_found_whatever_became_of_transparency(tmp_path: Path, own: str, other: str, size: int) -> None:
    """In what is packed, and in the pack that must not have it; by the files of either, too."""
    held_out = {f"{seed:02d}": images.garment(seed) for seed in range(10)}
    leaks = {f"leak{seed}": smaller(images.garment(seed)) for seed in (3, 5, 7)}
    fill(tmp_path / "held-out", held_out)
    fill(tmp_path / "set", {f"{seed:02d}": images.garment(seed) for seed in range(20, 30)} | leaks)
    how = {"size_px": size, "dedupe": "near", "holdout": "0"}
    prepare_pack(tmp_path / "held-out", tmp_path / "pack", replace(MODES[other], **how))
    prepare_pack(tmp_path / "set", tmp_path / "leaking", replace(MODES[own], **how))
    expected = {f"leak{seed}.png": f"{seed:02d}.png" for seed in (3, 5, 7)}
    for one in ("set", "leaking"):
        for another in ("held-out", "pack"):
            pairs = check_datasets([str(tmp_path / one), str(tmp_path / another)]).pairs
            assert {pair.first: pair.second for pair in pairs if pair.first_set != pair.second_set} == expected
    for against in ("held-out", "pack"):
        out = tmp_path / f"without-{against}"
        pack = prepare_pack(tmp_path / "set", out, replace(MODES[own], **how, against=(str(tmp_path / against),)))
        assert left_out(out) == expected
        assert not any("not recognised" in line for line in pack.manifest["leftovers"]["remarks"])


def test_an_object_of_the_colour_of_its_backdrop_is_blank_on_it_alone(tmp_path: Path) -> None:
    picture = images.garment(1)
    picture.paste((255, 255, 255), (0, 0), Image.new("L", picture.size, 255))
    picture.putalpha(images.garment(1).getchannel("A"))
    fill(tmp_path / "set", {"white": picture, "other": images.garment(2)})
    for name, settings in MODES.items():
        pack = prepare_pack(tmp_path / "set", tmp_path / name, replace(settings, size_px=64, holdout="0"))
        skipped = {"name": "white.png", "reason": "blank: one colour"}
        assert pack.manifest["skipped"] == ([skipped] if name == "white" else [])
    assert len(prepare_pack(tmp_path / "set", tmp_path / "all", PrepareSettings(size_px=64, holdout="0", keep_blank=True))) == 2


@pytest.mark.parametrize("made_by_pack", [False, True])
def test_it_is_said_that_a_pack_has_no_hashes_of_its_cutouts(tmp_path: Path, made_by_pack: bool) -> None:
    """That of an earlier version, and that of `data pack`, if transparency was laid on a backdrop; if it may have been, where that is not recorded."""
    fill(tmp_path / "cutouts", {f"{seed:02d}": images.garment(seed) for seed in range(4)})
    fill(tmp_path / "photographs", {f"{seed:02d}": images.smooth(seed) for seed in range(4)})
    fill(tmp_path / "set", {f"{seed:02d}": images.smooth(seed) for seed in range(10, 14)})
    for kind in ("cutouts", "photographs"):
        path = tmp_path / f"{kind}-pack" / PREPARED_PACK
        if made_by_pack:
            path.parent.mkdir()
            pack_folder(tmp_path / kind, path, size_px=64)
        else:
            prepare_pack(tmp_path / kind, path.parent, PrepareSettings(size_px=64, holdout="0"))
            alter_manifest(path, version=8)
        settings = PrepareSettings(size_px=64, holdout="0", dedupe="near", against=(str(path.parent),))
        for name, words, expected in (("now", "are not recognised", kind == "cutouts"), ("then", "may not be recognised", True)):
            pack = prepare_pack(tmp_path / "set", tmp_path / f"{kind}-{name}", settings)
            assert sum(words in line for line in pack.manifest["leftovers"]["remarks"]) == expected
            assert sum(words in text for text, _ in check_datasets([str(path.parent)]).verdict) == expected
            alter_manifest(path, version=5, without=("on_backdrop", "composited_on"))


@pytest.mark.parametrize(
    ("crop", "size", "version", "is_said"),
    [
        ("entropy", (60, 40), 9, True),
        ("entropy", (60, 40), "v9", True),
        ("entropy", (60, 40), 10, False),
        ("entropy", (40, 40), 9, False),
        ("center", (60, 40), 9, False),
    ],
)
def test_it_is_said_that_a_pack_of_other_squares_has_no_hashes_of_the_middles(
    tmp_path: Path, crop: str, size: tuple[int, int], version: int | str, is_said: bool
) -> None:
    fill(tmp_path / "set", {f"{seed:02d}": images.smooth(seed, size) for seed in range(3)})
    prepare_pack(tmp_path / "set", tmp_path / "pack", PrepareSettings(size_px=16, holdout="0", crop=crop))
    alter_manifest(tmp_path / "pack" / PREPARED_PACK, version=version)
    words = "copies of which only the middle is alike are not recognised; `mitlgan data prepare`, into a new folder, makes a pack that tells them"
    assert sum(words in text for text, _ in check_datasets([str(tmp_path / "pack")]).verdict) == is_said


@pytest.mark.parametrize("made_by_pack", [False, True])
def test_an_early_pack_that_kept_its_transparency_tells_its_cutouts(tmp_path: Path, made_by_pack: bool) -> None:
    fill(tmp_path / "cutouts", {f"{seed:02d}": images.garment(seed) for seed in range(4)})
    path = tmp_path / "pack" / PREPARED_PACK
    if made_by_pack:
        path.parent.mkdir()
        pack_folder(tmp_path / "cutouts", path, size_px=64, keep_alpha=True)
    else:
        prepare_pack(tmp_path / "cutouts", path.parent, PrepareSettings(size_px=64, keep_alpha=True, holdout="0"))
    alter_manifest(path, version=5)
    assert not any("recognised" in text for text, _ in check_datasets([str(path)]).verdict)


def test_garments_are_held_out_and_copies_with_their_originals(tmp_path: Path) -> None:
    """By `data prepare` and by `data split`, of which none takes them all for one."""
    fill(tmp_path / "set", {f"{seed:02d}": images.garment(seed) for seed in range(30)} | {"copy": smaller(images.garment(3))})
    packed = prepare_pack(tmp_path / "set", tmp_path / "out", PrepareSettings(size_px=32, keep_alpha=True))
    held_out = ImagePack.open(tmp_path / "out" / "test" / PREPARED_PACK)
    names, others = ({line["name"] for line in pack.sources()} for pack in (packed, held_out))
    assert 2 <= len(others) <= 15
    assert len(names) + len(others) == 31
    assert ("copy.png" in names) == ("03.png" in names)
    manifest = split_pictures(tmp_path / "set", tmp_path / "layers", SplitSettings())
    assert not any("cutout" in record for record in manifest["records"])
    assert manifest["counts"]["used"] >= 30
    assert 2 <= manifest["splits"]["test"] <= 15


def test_packs_of_earlier_versions_have_their_cutouts_in_their_pixels(tmp_path: Path) -> None:
    fill(tmp_path / "set", {f"{seed:02d}": images.garment(seed) for seed in range(8)})
    prepare_pack(tmp_path / "set", tmp_path / "old", PrepareSettings(size_px=64, keep_alpha=True, holdout="0"))
    assert all("cutout" in line for line in ImagePack.open(tmp_path / "old" / PREPARED_PACK).sources())
    alter_manifest(tmp_path / "old" / PREPARED_PACK, without=("cutout",))
    assert check_datasets([str(tmp_path / "old")]).pair_count == 0
    fill(tmp_path / "new", {f"{seed:02d}": images.garment(seed) for seed in range(10, 15)} | {"leak": smaller(images.garment(5))})
    settings = PrepareSettings(size_px=64, keep_alpha=True, dedupe="near", holdout="0", against=(str(tmp_path / "old"),))
    prepare_pack(tmp_path / "new", tmp_path / "out", settings)
    assert left_out(tmp_path / "out") == {"leak.png": "05.png"}


def test_stopped_among_cutouts_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    fill(tmp_path / "set", {f"{seed:02d}": images.garment(seed) for seed in range(12)} | {"copy": smaller(images.garment(3))})
    settings = PrepareSettings(size_px=32, keep_alpha=True, dedupe="near", holdout="3")
    prepare_pack(tmp_path / "set", tmp_path / "whole", settings)

    def stop(done: int, _: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_pack(tmp_path / "set", tmp_path / "cut", settings, progress=stop)
    prepare_pack(tmp_path / "set", tmp_path / "cut", settings)
    for file in (tmp_path / "whole").rglob("prepared.*"):
        assert (tmp_path / "cut" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("order", [(96, 48, 72), (48, 96, 72), (72, 48, 96), (48, 72, 96)])
def test_the_sharpest_of_look_alikes_stays(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Whatever their names; equal files of one that looks like a better one are left out with it."""
    whole = images.smooth(3, (96, 96))
    pictures = {f"{number}-{side}": whole.resize((side, side), Image.Resampling.LANCZOS) for number, side in enumerate(order)}
    fill(tmp_path / "set", pictures | {"other": images.smooth(7, (96, 96))})
    best = next(f"{name}.png" for name in pictures if name.endswith("-96"))
    for name in pictures:
        shutil.copy(tmp_path / "set" / f"{name}.png", tmp_path / "set" / f"z{name}.png")
    pack = prepare_pack(tmp_path / "set", tmp_path / "out", PrepareSettings(size_px=96, dedupe="near", holdout="0"))
    assert {source["name"] for source in pack.sources()} == {best, "other.png"}
    assert set(left_out(tmp_path / "out").values()) == {best}
    assert not pack.enlarged_count
    assert check_datasets([str(tmp_path / "out")]).pair_count == 0


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_held_out_picture_stays_held_out_though_a_sharper_one_is_trained_on(tmp_path: Path, held_out: str) -> None:
    whole = images.smooth(3, (96, 96))
    fill(tmp_path / "set" / "train", {"a": whole, "b": images.smooth(5, (96, 96))})
    fill(tmp_path / "set" / held_out, {"c": smaller(whole), "d": images.smooth(9, (96, 96))})
    pack = prepare_pack(tmp_path / "set", tmp_path / "out", PrepareSettings(size_px=32, dedupe="near"))
    assert [source["name"] for source in pack.sources()] == ["train/b.png"]
    assert left_out(tmp_path / "out") == {"train/a.png": f"{held_out}/c.png"}
