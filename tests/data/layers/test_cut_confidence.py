"""Wrong cuts are trusted less than right ones, whatever made them; and fills that still show the object less than clean ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from mitlgan.data.layers import background_fill
from mitlgan.data.layers.cut_confidence import (
    MAX_DOUBTFUL_CONFIDENCE,
    MIN_FILL_CONFIDENCE,
    CutMeasures,
    estimate_cut_confidence,
    estimate_fill_confidence,
    measure_cut,
)
from mitlgan.data.layers.matting import GrabCutMatting

pytest.importorskip("cv2")
SIDE = 160
NOTHING = CutMeasures(0.0, 0.0, 0.0, 0.0, 0.0)


class Other:
    name = "network"

    def __call__(self, picture: Image.Image) -> None:
        return None


def scene(seed: int = 0) -> tuple[Image.Image, np.ndarray]:
    """A shirt with two sleeves on a rough floor, and its true matte."""
    rng = np.random.default_rng(seed)
    floor = np.clip(rng.normal((150, 140, 120), 8, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    matte = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(matte)
    draw.rectangle((55, 40, 105, 130), fill=255)
    draw.polygon([(55, 40), (20, 90), (32, 98), (55, 70)], fill=255)
    draw.polygon([(105, 40), (140, 90), (128, 98), (105, 70)], fill=255)
    shirt = np.clip(rng.normal((30, 60, 150), 8, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    picture = Image.composite(Image.fromarray(shirt), Image.fromarray(floor), matte).convert("RGBA")
    return picture, np.array(matte)


def confidence(picture: Image.Image, matte: np.ndarray, method: object) -> float:
    return estimate_cut_confidence(measure_cut(picture, matte, method), method).value  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [Other(), GrabCutMatting()])
def test_wrong_cuts_are_trusted_less(method: object) -> None:
    picture, true = scene()
    half, strip, floor = true.copy(), true.copy(), np.zeros_like(true)
    half[:, :80] = 0
    strip[40:130, 105:] = 255
    floor[100:150, 5:45] = 255
    right = confidence(picture, true, method)
    assert right > 0.92
    for wrong in (half, strip, floor):
        assert confidence(picture, wrong, method) < MAX_DOUBTFUL_CONFIDENCE - 0.05


def test_what_speaks_against_a_cut_is_said() -> None:
    picture, true = scene()
    half = true.copy()
    half[:, :80] = 0
    measured = measure_cut(picture, half, Other())
    assert measured.missing == pytest.approx(1.0, abs=0.15)
    assert estimate_cut_confidence(measured, Other()).doubt in ("parts of the object may be missing", "a second matting finds another object")
    assert measure_cut(picture, np.zeros_like(true), Other()) == CutMeasures(0.0, 0.0, 1.0, 1.0, 1.0)
    blurred = np.array(Image.fromarray(true).filter(ImageFilter.GaussianBlur(12)))
    assert measure_cut(picture, blurred, Other()).undecided > 0.5
    assert measure_cut(picture, true, Other()).undecided == 0


def test_a_contour_that_shows_no_edge_is_weak() -> None:
    picture, true = scene()
    plain = Image.new("RGBA", picture.size, (150, 140, 120, 255))
    assert measure_cut(plain, true, GrabCutMatting()).weak == 1.0
    assert measure_cut(picture, true, GrabCutMatting()).weak < 0.05


def test_the_same_picture_gives_the_same_answer() -> None:
    picture, true = scene(3)
    assert measure_cut(picture, true, GrabCutMatting()) == measure_cut(picture, true, GrabCutMatting())


def test_fills_that_show_the_object_are_trusted_less() -> None:
    picture, true = scene()
    rgb, hole = np.array(picture.convert("RGB")), background_fill.object_hole(true)
    clean = background_fill.fill_hole(rgb, hole)
    assert estimate_fill_confidence(rgb, clean, hole, NOTHING).value > MIN_FILL_CONFIDENCE
    stained = clean.copy()
    stained[60:110, 60:100] = (30, 60, 150)
    found = estimate_fill_confidence(rgb, stained, hole, NOTHING)
    assert found.value < MIN_FILL_CONFIDENCE
    left = estimate_fill_confidence(rgb, clean, hole, CutMeasures(0.5, 0.0, 0.5, 0.0, 0.0))
    assert left.value < MIN_FILL_CONFIDENCE
    assert left.doubt == "parts of the object may still be there"


def test_a_mirrored_pattern_is_seen() -> None:
    stripes = (np.random.default_rng(0).integers(0, 2, (20, 10)) * 160 + 40).astype(np.uint8).repeat(8, 0).repeat(8, 1)  # (160, 80)
    other = (np.random.default_rng(1).integers(0, 2, (20, 10)) * 160 + 40).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    hole = np.zeros((SIDE, SIDE), bool)
    hole[:, 80:] = True
    rgb = np.dstack([np.hstack([stripes, other])] * 3)
    mirrored = np.dstack([np.hstack([stripes, stripes[:, ::-1]])] * 3)
    plain, twice = (estimate_fill_confidence(rgb, filled, hole, NOTHING).value for filled in (rgb, mirrored))
    assert twice < plain - 0.1


@pytest.mark.parametrize("kind", ["none", "all"])
def test_any_hole(kind: str) -> None:
    rgb = np.zeros((20, 20, 3), np.uint8)
    hole = np.full((20, 20), kind == "all")
    assert estimate_fill_confidence(rgb, rgb, hole, NOTHING).value == (0.0 if kind == "all" else 1.0)
