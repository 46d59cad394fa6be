"""Mattes: every method on pictures whose truth is known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mitlgan.cli import main
from mitlgan.data.demo import demo_pack
from mitlgan.data.demo.chess import draw_position
from mitlgan.data.layers import matting
from mitlgan.data.layers.matte_filter import MatteFilter
from mitlgan.data.layers.matte_iou import match_truths, measure_matte_iou
from mitlgan.data.layers.matting import (
    AlphaMatting,
    BackdropMatting,
    GrabCutMatting,
    OnnxMatting,
    clean_mask,
    find_matte,
    intersection_over_union,
    matting_methods,
)
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.errors import DataError, UsageError

pytest.importorskip("cv2")


def disc(size: int = 96, box: tuple[int, int, int, int] = (28, 20, 70, 74)) -> Image.Image:
    """A soft-edged disc of opacity."""
    large = Image.new("L", (4 * size, 4 * size))
    ImageDraw.Draw(large).ellipse(tuple(4 * side for side in box), fill=255)
    return large.resize((size, size), Image.Resampling.BOX)


def scene(seed: int = 3, matte: Image.Image | None = None) -> tuple[Image.Image, NDArray[np.uint8]]:
    matte = matte or disc()
    place = images.smooth(seed, matte.size).point(lambda value: value // 2)
    place.paste((235, 190, 40), mask=matte)
    return place.convert("RGBA"), np.array(matte)


def test_own_transparency() -> None:
    picture, truth = scene()
    assert AlphaMatting()(picture) is None
    picture.putalpha(Image.fromarray(truth))
    assert (np.asarray(AlphaMatting()(picture)) == truth).all()


@pytest.mark.parametrize("colour", ["white", "black", "#00b140", "#e0d8c8"])
def test_a_plain_backdrop(colour: str) -> None:
    matte = disc()
    picture = Image.new("RGB", matte.size, colour)
    picture.paste((200, 60, 160), mask=matte)
    noise = np.random.default_rng(0).integers(-3, 4, (*matte.size, 3))
    noisy = Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)).convert("RGBA")
    found = BackdropMatting()(noisy)
    assert found is not None
    assert intersection_over_union(found, np.array(matte)) > 0.95


def test_what_is_inside_the_object_stays_though_it_has_the_backdrops_colour() -> None:
    picture = Image.new("RGBA", (64, 64), "white")
    ImageDraw.Draw(picture).ellipse((10, 10, 54, 54), fill="navy")
    ImageDraw.Draw(picture).ellipse((26, 26, 38, 38), fill="white")
    found = BackdropMatting()(picture)
    assert found is not None
    assert found[32, 32] == 255
    assert found[2, 2] == 0


def test_a_photograph_has_no_plain_backdrop() -> None:
    assert BackdropMatting()(scene()[0]) is None


def test_grabcut_finds_the_object_and_the_same_each_time() -> None:
    for box in ((28, 20, 70, 74), (40, 44, 66, 70)):
        picture, truth = scene(matte=disc(box=box))
        first, second = GrabCutMatting()(picture), GrabCutMatting()(picture)
        assert intersection_over_union(first, truth) > 0.9
        assert (first == second).all()
        assert first.shape == truth.shape


@pytest.mark.parametrize("picture", [Image.new("RGBA", (64, 64), "red"), Image.new("RGBA", (8, 300), "red"), images.smooth(0, (2, 2)).convert("RGBA")])
def test_grabcut_takes_any_picture(picture: Image.Image) -> None:
    assert GrabCutMatting()(picture).shape == (picture.height, picture.width)


def test_methods_are_tried_in_turn() -> None:
    picture, truth = scene()
    plain = Image.new("RGBA", (64, 64), "white")
    ImageDraw.Draw(plain).rectangle((16, 16, 48, 48), fill="green")
    cut = picture.copy()
    cut.putalpha(Image.fromarray(truth))
    names = [found[1].name for one in (picture, plain, cut) if (found := find_matte(one, matting_methods("auto")))]
    assert names == ["grabcut", "backdrop", "alpha"]
    assert find_matte(picture, matting_methods("backdrop")) is None
    assert find_matte(picture, matting_methods("alpha")) is None


@pytest.mark.parametrize("spec", ["magic", "model.pth", "/no/such/model.onnx"])
def test_no_such_method(spec: str) -> None:
    with pytest.raises(UsageError, match=f"--matting {spec}"):
        matting_methods(spec)


def test_an_extra_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(matting.importlib, "import_module", absent)
    with pytest.raises(UsageError, match=r"cv2: .*pip install 'mitlgan\[data\]'"):
        matting.import_opencv()


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor_type(*shape: int) -> bytes:
    dims = b"".join(field(1, field(1, side)) for side in shape)
    return field(1, field(1, 1) + field(2, dims))


def model(path: Path, size_px: int = 32, channels: int = 3) -> Path:
    """An ONNX file by hand: the mean of the channels, through a sigmoid; opaque is what is brighter than usual."""
    mean = field(1, "picture") + field(2, "grey") + field(4, "ReduceMean") + field(5, field(1, "axes") + field(20, 7) + field(8, 1))
    node = field(1, mean) + field(1, field(1, "grey") + field(2, "matte") + field(4, "Sigmoid"))
    inputs = field(11, field(1, "picture") + field(2, tensor_type(1, channels, size_px, size_px)))
    outputs = field(12, field(1, "matte") + field(2, tensor_type(1, 1, size_px, size_px)))
    graph = field(7, node + field(2, "g") + inputs + outputs)
    path.write_bytes(field(1, 8) + graph + field(8, field(1, "") + field(2, 13)))
    return path


def test_a_model_from_a_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    network = OnnxMatting(model(tmp_path / "tiny.onnx"))
    assert (network.name, network.size_px) == ("tiny", 32)
    picture = Image.new("RGBA", (50, 40), "black")
    ImageDraw.Draw(picture).rectangle((10, 10, 39, 29), fill="white")
    found = network(picture)
    assert found.shape == (40, 50)
    assert found[20, 25] > 200
    assert found[2, 2] < 60


@pytest.mark.parametrize("kind", ["text", "empty", "four channels", "torn"])
def test_what_is_no_such_model(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "bad.onnx"
    if kind == "four channels":
        model(path, channels=4)
    else:
        path.write_bytes({"text": b"hello", "empty": b"", "torn": model(path).read_bytes()[:60]}[kind])
    with pytest.raises(DataError, match=f"--matting {path}") as caught:
        OnnxMatting(path)
    assert "\n" not in str(caught.value)


def test_islands_go_and_holes_close() -> None:
    found = np.zeros((60, 60), bool)
    found[10:40, 10:40] = True
    found[20:22, 20:22] = False
    found[50:53, 50:53] = True
    expected = np.zeros((60, 60), bool)
    expected[10:40, 10:40] = True
    assert (clean_mask(found) == expected).all()


class TestGate:
    def matte(self, *boxes: tuple[int, int, int, int], value: int = 255) -> NDArray[np.uint8]:
        plane = np.zeros((100, 100), np.uint8)
        for top, bottom, left, right in boxes:
            plane[top:bottom, left:right] = value
        return plane

    @pytest.mark.parametrize(
        ("boxes", "reason"),
        [
            (((30, 70, 30, 70),), ""),
            (((50, 100, 30, 70),), ""),  # a person stands on the lower edge
            ((), "empty"),
            (((30, 40, 30, 40),), "empty"),
            (((2, 98, 2, 98),), "full"),
            (((0, 100, 0, 60),), "cut off"),
            (((10, 40, 10, 40), (60, 90, 60, 90)), ""),  # a pair of shoes
            (((10, 40, 10, 40), (60, 90, 60, 90), (10, 40, 60, 90)), "fragmented"),
        ],
    )
    def test_reasons(self, boxes: tuple[tuple[int, int, int, int], ...], reason: str) -> None:
        assert MatteFilter().reject_reason(self.matte(*boxes)).startswith(reason)
        assert bool(MatteFilter().reject_reason(self.matte(*boxes))) == bool(reason)

    def test_undecided(self) -> None:
        assert MatteFilter().reject_reason(self.matte((30, 70, 30, 70), value=140)).startswith("undecided")

    def test_limits_can_be_moved(self) -> None:
        assert MatteFilter(min_area=0.001).reject_reason(self.matte((30, 40, 30, 40))) == ""
        assert MatteFilter(max_border=1, max_area=1).reject_reason(self.matte((0, 100, 0, 60))) == ""


def test_agreement_on_drawn_scenes(tmp_path: Path) -> None:
    for index in range(6):
        layers = draw_position(index, 96)
        layers.scene.save(tmp_path / f"{index}.png")
        layers.matte.save(tmp_path / f"{index}.matte.png")
    (row,) = measure_matte_iou(str(tmp_path), None, ["grabcut"], count=4)
    assert (row["method"], row["count"]) == ("grabcut", 4)
    assert 0 < row["mean"] <= 1
    (tmp_path / "truth").mkdir()
    for path in tmp_path.glob("*.matte.png"):
        path.rename(tmp_path / "truth" / path.name.replace(".matte", ""))
    assert measure_matte_iou(str(tmp_path), tmp_path / "truth", ["grabcut"], count=4)[0]["count"] == 4
    with pytest.raises(DataError, match="no picture there has a true matte"):
        measure_matte_iou(str(tmp_path), None, ["grabcut"], count=4)


def test_the_second_look_beats_the_bare_rectangle() -> None:
    """On a small sample of the demo's scenes; `mitlgan data matte-iou` measures more of them."""
    packed = demo_pack("scene", 64, split="test", count=40)
    found: dict[int, list[float]] = {0: [], 2: []}
    for planes in np.asarray(packed.pixels[:24]):
        picture = Image.fromarray(np.ascontiguousarray(planes[:3].transpose(1, 2, 0))).convert("RGBA")
        for rounds, values in found.items():
            values.append(intersection_over_union(GrabCutMatting(margin=0.05 if rounds == 0 else 0.02, rounds=rounds)(picture), planes[3]))
    assert np.mean(found[2]) > max(0.72, float(np.mean(found[0])) + 0.02)


def test_the_floor_is_measured_beside_every_method(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    layers = draw_position(0, 48)
    layers.scene.save(tmp_path / "0.png")
    layers.matte.save(tmp_path / "0.matte.png")
    for given, names in (([], ["rectangle", "grabcut"]), (["--matting", "rectangle"], ["rectangle"])):
        monkeypatch.setattr("sys.argv", ["mitlgan", "data", "matte-iou", str(tmp_path), "--json", *given])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert [(row["method"], row["count"]) for row in rows] == [(name, 1) for name in names]


def test_demo_scenes_can_be_measured() -> None:
    (row,) = measure_matte_iou("demo", None, ["grabcut"], count=3)
    assert row["count"] == 3


class TestWhoseATrueMatteIs:
    """In `cat/0.png` and `dog/0.png` the name alone does not tell."""

    def entries(self, *names: str) -> list[ImageEntry]:
        return [ImageEntry(name, "", None) for name in names]

    @pytest.mark.parametrize(
        ("pictures", "truths", "expected"),
        [
            (["cat/0.jpg", "dog/0.jpg"], ["cat/0.png", "dog/0.png"], ["cat/0.png", "dog/0.png"]),
            (["cat/0.jpg", "dog/0.jpg"], ["dog/0.png", "cat/0.png"], ["cat/0.png", "dog/0.png"]),
            (["cat/0.jpg", "dog/0.jpg"], ["cat/0.png"], ["cat/0.png", None]),
            (["cat/0.jpg", "dog/1.jpg"], ["0.png", "1.png"], ["0.png", "1.png"]),
            (["0.jpg", "1.jpg"], ["cat/0.png", "dog/1.png"], ["cat/0.png", "dog/1.png"]),
            (["cat/0.jpg", "dog/0.jpg", "1.jpg"], ["cat/0.png", "dog/0.png", "ox/1.png"], ["cat/0.png", "dog/0.png", "ox/1.png"]),
            (["a.jpg", "a.png"], ["a.jpg", "a.png"], ["a.jpg", "a.png"]),
            (["a.jpg"], ["b.png"], [None]),
            (["x/a.jpg", "y/a.jpg"], ["y/a.matte.png", "x/a.Matte.webp"], ["x/a.Matte.webp", "y/a.matte.png"]),
            (["x/a.jpg"], ["a.matte.png"], ["a.matte.png"]),
        ],
    )
    def test_the_same_path_then_the_only_name(self, pictures: list[str], truths: list[str], expected: list[str | None]) -> None:
        matches = match_truths(self.entries(*pictures), self.entries(*truths))
        assert [None if match is None else match.name for match in matches] == expected

    @pytest.mark.parametrize(
        ("pictures", "truths", "message"),
        [
            (["cat/0.jpg", "dog/0.jpg"], ["0.png"], "SCENES: 'cat/0.jpg' and 'dog/0.jpg' could both belong to '0.png'"),
            (["0.jpg"], ["cat/0.png", "dog/0.png"], "--truth: 'cat/0.png' and 'dog/0.png' could both belong to '0.jpg'"),
            (["a.jpg", "a.webp"], ["a.png"], "SCENES: 'a.jpg' and 'a.webp' could both belong to 'a.png'"),
            (["a.jpg"], ["a.png", "a.webp"], "--truth: 'a.png' and 'a.webp' could both belong to 'a.jpg'"),
        ],
    )
    def test_what_is_not_clear_is_refused_with_both_names(self, pictures: list[str], truths: list[str], message: str) -> None:
        with pytest.raises(DataError, match=f"^{re.escape(message)}; give mattes the same folders"):
            match_truths(self.entries(*pictures), self.entries(*truths))

    def test_each_picture_is_measured_against_its_own(self, tmp_path: Path) -> None:
        """The pictures carry their mattes as transparency, so that each agrees with its own truth and with no other."""
        for number, (folder, index) in enumerate((folder, index) for folder in ("cat", "dog") for index in range(3)):
            matte = Image.new("L", (60, 40))
            matte.paste(255, (10 * number, 5, 10 * number + 9, 35))
            picture = images.smooth(number, (60, 40))
            picture.putalpha(matte)
            for kind, image in (("scenes", picture), ("truth", matte)):
                (tmp_path / kind / folder).mkdir(parents=True, exist_ok=True)
                image.save(tmp_path / kind / folder / f"{index:04d}.png")
        (row,) = measure_matte_iou(str(tmp_path / "scenes"), tmp_path / "truth", ["alpha"], count=9)
        assert (row["count"], row["mean"], row["failed"]) == (6, 1.0, 0)

    @pytest.mark.parametrize("with_pictures", [False, True])
    def test_true_mattes_may_have_the_names_of_mattes(self, tmp_path: Path, with_pictures: bool) -> None:
        for index in range(2):
            picture, matte = scene(index)
            for kind in ("scenes", "truth")[: 1 + with_pictures]:
                (tmp_path / kind).mkdir(exist_ok=True)
                picture.save(tmp_path / kind / f"{index}.png")
            (tmp_path / "truth").mkdir(exist_ok=True)
            Image.fromarray(matte).save(tmp_path / "truth" / f"{index}.matte.png")
        (row,) = measure_matte_iou(str(tmp_path / "scenes"), tmp_path / "truth", ["rectangle"], count=9)
        assert (row["count"], row["failed"]) == (2, 0)
