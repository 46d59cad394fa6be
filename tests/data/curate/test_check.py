"""`data check` and `data stats`: findings in words and on a page."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
from helpers import images
from PIL import Image, ImageDraw

from mitlgan.cli.main import app
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.check import CheckResult, check_datasets, summarize_set, to_json
from mitlgan.data.curate.duplicates import DuplicatePair
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack
from mitlgan.errors import DataError
from mitlgan.report.data_check_page import write_check_page


def objects(folder: Path, count: int, box: tuple[int, int, int, int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        picture = Image.new("RGBA", (64, 64))
        ImageDraw.Draw(picture).rectangle(box, fill=(20 * index, 100, 200, 255))
        picture.save(folder / f"{len(list(folder.iterdir()))}.png")
    return folder


def bad(result: list[tuple[str, bool]]) -> list[str]:
    return [text for text, hurts in result if hurts]


def test_foregrounds_that_touch_the_border(tmp_path: Path) -> None:
    place = objects(objects(tmp_path / "fg", 8, (20, 20, 40, 40)), 2, (0, 10, 30, 50))
    verdict = check_datasets([str(place)]).verdict
    start = f"{place}: 2 of 10 foregrounds touch the border, as if cut off; to set them aside: mitlgan data split {place} --out "
    assert any(text.startswith(start) and text.endswith(" --max-border 0.02") for text in bad(verdict))


def test_coverage_and_modes(tmp_path: Path) -> None:
    place = objects(objects(tmp_path / "fg", 3, (30, 30, 33, 33)), 3, (1, 1, 62, 62))
    images.smooth(1).save(place / "photo.png")
    found = "\n".join(bad(check_datasets([str(place)]).verdict))
    for words in ("3 of 6 foregrounds cover less than 3%", "3 of 6 foregrounds cover more than 80%", "6 pictures have transparency and 1 have none"):
        assert words in found


def test_duplicates_within_and_across(tmp_path: Path) -> None:
    fg, bg = images.fill(tmp_path / "fg", 6, size=(64, 64)), images.fill(tmp_path / "bg", 3, size=(64, 64), first=50)
    shutil.copy(fg / "0001.png", fg / "again.png")
    shutil.copy(fg / "0002.png", bg / "stray.png")
    images.smooth(3, (64, 64)).resize((80, 80)).save(bg / "like.jpg", quality=90)
    result = check_datasets([str(fg), str(bg)])
    assert set(result.pairs) == {
        DuplicatePair(str(fg), "0001.png", str(fg), "again.png", exact=True),
        DuplicatePair(str(fg), "0002.png", str(bg), "stray.png", exact=True),
        DuplicatePair(str(fg), "0003.png", str(bg), "like.jpg", exact=False),
    }
    start = f"{fg} and {bg}: 1 equal and 1 look-alike pairs are in both sets; to leave them out of the first: the command with --out {fg}-clean"
    assert start in bad(result.verdict)
    (within,) = [text for text in bad(result.verdict) if f" mitlgan data prepare {fg} --out {fg}-clean " in text]
    assert within.endswith(f" --dedupe near --against {bg}")


def test_leaks_into_held_out_pictures(tmp_path: Path) -> None:
    images.fill(tmp_path / "train", 5)
    images.fill(tmp_path / "test", 2, first=20)
    shutil.copy(tmp_path / "train" / "0001.png", tmp_path / "test" / "x.png")
    result = check_datasets([str(tmp_path)])
    assert [report.split for report in result.sets] == ["train", "test"]
    assert any("leaks from training into held-out" in text for text in bad(result.verdict))


def test_a_sound_set_is_called_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitlgan.data.curate.check_advice.MIN_PICTURES", 3)
    result = check_datasets([str(images.fill(tmp_path / "in", 5, size=(64, 64)))])
    assert bad(result.verdict) == []
    assert result.verdict[0] == ("Nothing was found that will hurt training.", False)
    assert result.headline == "Nothing was found that will hurt training"


@pytest.mark.parametrize(("count", "headline"), [(1, "1 thing may hurt training"), (5, "5 things may hurt training")])
def test_what_may_hurt_is_counted_in_the_same_words_everywhere(tmp_path: Path, count: int, headline: str) -> None:
    result = CheckResult([], [], [*((f"{number}", True) for number in range(count)), ("of no harm", False)])
    assert result.headline == headline
    assert f'<h1 class="large">{headline}</h1>' in write_check_page(tmp_path / "check.html", result).read_text()


def test_statistics(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    Image.new("RGB", (100, 80), (10, 20, 30)).save(place / "a.png")
    images.smooth(1, (60, 70)).save(place / "b.png")
    (place / "c.png").write_bytes(b"")
    found = summarize_set(check_datasets([str(place)]).sets[0])
    assert (found["count"], found["unreadable"], found["blank"]) == (2, 1, 1)
    assert found["sizes"] == {"100x80": 1, "60x70": 1}
    assert found["shorter_side_px"] == {"least": 60, "median": 70, "most": 80}
    assert found["channels"] == {"RGB": 2}


def test_packs_are_looked_at_too(tmp_path: Path) -> None:
    place = objects(tmp_path / "fg", 4, (20, 20, 40, 40))
    packs = [pack_folder(place, tmp_path / "a.npy", size_px=32, keep_alpha=True).path, tmp_path / "prepared"]
    prepare_pack(place, tmp_path / "prepared", PrepareSettings(size_px=32, keep_alpha=True))
    for pack in packs:
        (report,) = check_datasets([str(pack)]).sets
        assert len(report.pictures) == 4
        assert all(one.coverage == pytest.approx(0.107, abs=0.03) for one in report.pictures)


def test_no_such_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"DIR {tmp_path / 'gone'}"):
        check_datasets([str(tmp_path / "gone")])


def test_the_page_escapes_hostile_names(tmp_path: Path) -> None:
    place = tmp_path / "<script>alert(0)<"
    place.mkdir()
    content = images.encoded(images.smooth(1), "PNG")
    for name in (b'"><img src=x onerror=alert(1)>.png', b"a\nb.png", b"\xff'.png", b"</script>.png".replace(b"/", b"_"), b"[red].png"):
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(content)
    result = check_datasets([str(place)])
    page = write_check_page(tmp_path / "page.html", result).read_text()
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert "&#34;&gt;&lt;img" in page
    assert f'<h1 class="large">{result.headline}</h1>' in page
    assert "Pictures that occur twice" in page
    json.dumps(to_json(result))


def test_the_page_shows_histograms_and_pictures(tmp_path: Path) -> None:
    place = objects(tmp_path / "fg", 4, (20, 20, 40, 40))
    page = write_check_page(tmp_path / "page.html", check_datasets([str(place), str(images.fill(tmp_path / "bg", 3))])).read_text()
    for words in ("Red", "Green", "Blue", "Foreground coverage", "<svg", "data:image/jpeg;base64,"):
        assert words in page
    assert "http" not in page


def test_every_warning_ends_with_a_command_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One set with every fault; each command is run as it is printed, and the fault is gone from what it makes."""
    place = images.fill(tmp_path / "my set", 40, size=(64, 64))
    Image.new("RGB", (64, 64), "red").save(place / "blank.png")
    shutil.copy(place / "0001.png", place / "again.png")
    images.smooth(90, (20, 20)).save(place / "small.png")
    images.smooth(91, (200, 64)).save(place / "long.png")
    (place / "bad.png").write_bytes(b"")
    verdict = check_datasets([str(place)]).verdict
    again = f"the command with --out '{place}-clean'"
    assert all("mitlgan data" in text or text.endswith(again) for text in bad(verdict))
    few = f"{place}: 44 pictures are few; a generator may memorise fewer than 500. Add 456, or make 12 of each to train with --data '{place}-more': "
    assert few in bad(verdict)[1]
    (prepare,) = [text for text, _ in verdict if "mitlgan data prepare" in text]
    helped = (
        "to pack the others",
        "one colour; to leave",
        "32 px and blurred in any training; to leave",
        "twice as long as wide",
        "to keep one of each",
    )
    assert [sum(words in text for text, _ in verdict) for words in helped] == [1] * len(helped)
    assert sum(text.endswith(again) for text, _ in verdict) == len(helped) - 1
    for text in (prepare, next(text for text in bad(verdict) if "data augment" in text)):
        app([*shlex.split(text[text.index("mitlgan data") :])[1:], "--json"], standalone_mode=False)
    names = {source["name"] for folder in ("", "test") for source in ImagePack.open(Path(f"{place}-clean") / folder / PREPARED_PACK).sources()}
    assert names == {f"{number:04d}.png" for number in range(40)}
    assert len(list(Path(f"{place}-more").glob("*.png"))) == 44 * 12


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    pytest.importorskip("cv2")
    split_pictures(
        images.write_varied_objects(tmp_path / "photos", 24),
        tmp_path / "layers",
        SplitSettings(size_px=64, holdout="4", min_confidence=0, min_fill_confidence=0),
    )
    return tmp_path / "layers"


def test_what_split_wrote_is_no_leak(layers: Path) -> None:
    result = check_datasets([str(layers / layer) for layer in ("fg", "bg", "scene")])
    assert [(report.name, report.split) for report in result.sets][:2] == [(str(layers / "fg/train"), "train"), (str(layers / "fg/test"), "test")]
    assert not [text for text in bad(result.verdict) if "leak" in text]
    assert not [text for text, _ in result.verdict if str(layers / "fg/train") in text and "in both sets" in text]


def test_a_photograph_that_is_trained_on_and_held_out_is_a_leak(layers: Path) -> None:
    scene = next(path for path in (layers / "scene" / "train").iterdir() if ".matte." not in path.name)
    for name in (scene.name, f"{scene.stem}.matte.png"):
        (layers / "scene" / "train" / name).rename(layers / "scene" / "test" / name)
    sets = [str(layers / "fg"), str(layers / "scene")]
    (text,) = [text for text in bad(check_datasets(sets).verdict) if "leak" in text]
    photos = layers.parent / "photos"
    assert text.startswith(f"{layers / 'fg/train'} and {layers / 'scene/test'}: 1 photograph leaks from training into held-out pictures")
    command = shlex.split(text[text.index("mitlgan data") :])
    assert command[:6] == ["mitlgan", "data", "split", str(photos), "--out", str(layers)]
    app([*command[1:], "--json"], standalone_mode=False)  # of the same size and holdout: else it would be refused, or hold out others
    assert not [text for text in bad(check_datasets(sets).verdict) if "leak" in text]


def test_a_copy_under_another_name_is_a_leak(layers: Path) -> None:
    held_out = next(path for path in (layers / "scene" / "test").iterdir() if ".matte." not in path.name)
    shutil.copy(held_out, layers / "scene" / "train" / "copy.png")
    text = next(text for text in bad(check_datasets([str(layers / "scene")]).verdict) if "leak" in text)
    assert "1 equal" in text
    assert text.endswith("--dedupe near")


def test_splits_by_other_names_and_of_packs(tmp_path: Path) -> None:
    images.fill(tmp_path / "in" / "Train", 5)
    images.fill(tmp_path / "in" / "val", 3, first=20)
    shutil.copy(tmp_path / "in" / "Train" / "0001.png", tmp_path / "in" / "val" / "x.png")
    result = check_datasets([str(tmp_path / "in")])
    assert [report.split for report in result.sets] == ["train", "validation"]
    assert any("leak" in text for text in bad(result.verdict))
    assert "<img" in write_check_page(tmp_path / "page.html", result).read_text()
    prepare_pack(images.fill(tmp_path / "many", 30), tmp_path / "pack", PrepareSettings(size_px=16, holdout="4"))
    result = check_datasets([str(tmp_path / "pack")])
    assert [(report.split, len(report.pictures)) for report in result.sets] == [("train", 26), ("test", 4)]
    assert "<img" in write_check_page(tmp_path / "page.html", result).read_text()
