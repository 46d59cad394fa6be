"""`data check` and `data stats`: what is found, in words and on a page; FAULTS 25 and 28."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pictures
import pytest
from PIL import Image, ImageDraw

from mitlgan.data.check import Pair, check, statistics, summary
from mitlgan.data.gather import prepare
from mitlgan.data.prepare import pack_folder
from mitlgan.data.shape import PrepareSettings
from mitlgan.errors import DataError
from mitlgan.report.checked import write_check_page


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
    verdict = check([str(place)]).verdict
    assert f"{place}: 2 of 10 foregrounds touch the border, as if cut off." in bad(verdict)


def test_coverage_and_modes(tmp_path: Path) -> None:
    place = objects(objects(tmp_path / "fg", 3, (30, 30, 33, 33)), 3, (1, 1, 62, 62))
    pictures.smooth(1).save(place / "photo.png")
    found = "\n".join(bad(check([str(place)]).verdict))
    for words in ("3 of 6 foregrounds cover less than 3%", "3 of 6 foregrounds cover more than 80%", "6 pictures have transparency and 1 have none"):
        assert words in found


def test_duplicates_within_and_across(tmp_path: Path) -> None:
    fg, bg = pictures.fill(tmp_path / "fg", 6, size=(64, 64)), pictures.fill(tmp_path / "bg", 3, size=(64, 64), first=50)
    shutil.copy(fg / "0001.png", fg / "again.png")
    shutil.copy(fg / "0002.png", bg / "stray.png")
    pictures.smooth(3, (64, 64)).resize((80, 80)).save(bg / "like.jpg", quality=90)
    result = check([str(fg), str(bg)])
    assert set(result.pairs) == {
        Pair(str(fg), "0001.png", str(fg), "again.png", exact=True),
        Pair(str(fg), "0002.png", str(bg), "stray.png", exact=True),
        Pair(str(fg), "0003.png", str(bg), "like.jpg", exact=False),
    }
    assert f"{fg} and {bg}: 1 equal and 1 look-alike pairs are in both sets." in bad(result.verdict)


def test_leaks_into_held_out_pictures(tmp_path: Path) -> None:
    pictures.fill(tmp_path / "train", 5)
    pictures.fill(tmp_path / "test", 2, first=20)
    shutil.copy(tmp_path / "train" / "0001.png", tmp_path / "test" / "x.png")
    result = check([str(tmp_path)])
    assert [report.split for report in result.sets] == ["train", "test"]
    assert any("leak from training into held-out" in text for text in bad(result.verdict))


def test_a_sound_set_is_called_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitlgan.data.check.FEW", 3)
    verdict = check([str(pictures.fill(tmp_path / "in", 5, size=(64, 64)))]).verdict
    assert bad(verdict) == []
    assert verdict[0] == ("Nothing was found that will hurt training.", False)


def test_statistics(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    Image.new("RGB", (100, 80), (10, 20, 30)).save(place / "a.png")
    pictures.smooth(1, (60, 70)).save(place / "b.png")
    (place / "c.png").write_bytes(b"")
    found = statistics(check([str(place)]).sets[0])
    assert (found["count"], found["unreadable"], found["blank"]) == (2, 1, 1)
    assert found["sizes"] == {"100x80": 1, "60x70": 1}
    assert found["shorter_side_px"] == {"least": 60, "median": 80, "most": 80}
    assert found["channels"] == {"RGB": 2}


def test_packs_are_looked_at_too(tmp_path: Path) -> None:
    place = objects(tmp_path / "fg", 4, (20, 20, 40, 40))
    packs = [pack_folder(place, tmp_path / "a.npy", size_px=32, keep_alpha=True).path, tmp_path / "prepared"]
    prepare(place, tmp_path / "prepared", PrepareSettings(size_px=32, keep_alpha=True))
    for pack in packs:
        (report,) = check([str(pack)]).sets
        assert len(report.seen) == 4
        assert all(one.coverage == pytest.approx(0.107, abs=0.03) for one in report.seen)


def test_no_such_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"DIR {tmp_path / 'gone'}"):
        check([str(tmp_path / "gone")])


def test_the_page_escapes_hostile_names(tmp_path: Path) -> None:
    place = tmp_path / "<script>alert(0)<"
    place.mkdir()
    content = pictures.encoded(pictures.smooth(1), "PNG")
    for name in (b'"><img src=x onerror=alert(1)>.png', b"a\nb.png", b"\xff'.png", b"</script>.png".replace(b"/", b"_"), b"[red].png"):
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(content)
    result = check([str(place)])
    page = write_check_page(tmp_path / "page.html", result).read_text()
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert "&#34;&gt;&lt;img" in page
    assert "will hurt training" in page
    assert "Pictures that are in twice" in page
    json.dumps(summary(result))


def test_the_page_shows_histograms_and_pictures(tmp_path: Path) -> None:
    place = objects(tmp_path / "fg", 4, (20, 20, 40, 40))
    page = write_check_page(tmp_path / "page.html", check([str(place), str(pictures.fill(tmp_path / "bg", 3))])).read_text()
    for words in ("Red", "Green", "Blue", "Foreground coverage", "<svg", "data:image/jpeg;base64,"):
        assert words in page
    assert "http" not in page
