"""Pictures of any size: outside of the hole nothing changes, and what a filler sees is the square around it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.errors import ArtifactError, DataError, UsageError
from mitlgan.inpainting import Filler, inpaint, make_filler, parse_hole
from mitlgan.inpainting.window import GRAY, window
from mitlgan.networks import ContextEncoder, build_inpainter
from mitlgan.recipe import InpainterRecipe

SIZES = [(16, 16, "center"), (16, 16, "0,0,5,16"), (40, 24, "4,6,9,3"), (64, 64, "40,40,24,24"), (7, 9, "2,2,3,3"), (30, 90, "60,0,20,30")]


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def network_filler(size_px: int = 16) -> Filler:
    """A context encoder whose last convolution is not zero."""
    torch.manual_seed(0)
    network = build_inpainter(InpainterRecipe(widths=(4, 6)), size_px).eval()
    torch.nn.init.normal_(network.to_image.weight, std=0.3)

    @torch.inference_mode()
    def fill(pictures: Tensor, holes: Tensor) -> Tensor:
        assert pictures.shape[2:] == holes.shape[2:] == (size_px, size_px)
        return network.predict(torch.cat([pictures, holes], dim=1))

    return Filler("context", size_px, fill)


@pytest.mark.parametrize(("height", "width", "spec"), SIZES)
@pytest.mark.parametrize("method", ["context", "mean", "opencv", "opencv-ns"])
def test_every_pixel_outside_of_the_hole_stays(height: int, width: int, spec: str, method: str) -> None:
    if method.startswith("opencv"):
        pytest.importorskip("cv2")
    picture, hole = noise(height, width), parse_hole(spec, height, width)
    found = inpaint(picture, hole, network_filler() if method == "context" else make_filler(method))
    for made in (found.masked, found.filled, found.blended):
        assert made.shape == picture.shape
        assert (made[~hole] == picture[~hole]).all()
    assert (found.masked[hole] == GRAY).all()
    assert not (found.filled[hole] == picture[hole]).all()


@pytest.mark.parametrize(("height", "width", "spec"), SIZES)
@pytest.mark.parametrize("method", ["context", "mean", "opencv", "opencv-ns"])
def test_what_stands_in_the_hole_does_not_count(height: int, width: int, spec: str, method: str) -> None:
    if method.startswith("opencv"):
        pytest.importorskip("cv2")
    picture, hole = noise(height, width), parse_hole(spec, height, width)
    other = picture.copy()
    other[hole] = 255 - other[hole]
    first, second = (inpaint(given, hole, network_filler() if method == "context" else make_filler(method)) for given in (picture, other))
    assert (first.filled == second.filled).all()
    assert (first.blended == second.blended).all()


def test_the_mean_is_the_mean_of_what_is_known_and_blended_it_is_the_membrane() -> None:
    picture, hole = noise(10, 12), parse_hole("3,3,4,4", 10, 12)
    found = inpaint(picture, hole, make_filler("mean"))
    wanted = np.rint(picture[~hole].astype(np.float64).mean(0))
    assert (np.abs(found.filled[hole] - wanted) <= 1).all()
    flat = np.full_like(picture, 200)
    flat[~hole] = 60
    assert (inpaint(flat, hole, make_filler("mean")).blended == 60).all()


def test_one_colour_is_filled_with_itself_by_a_new_context_encoder() -> None:
    """Training begins at the smooth continuation."""
    network = build_inpainter(InpainterRecipe(widths=(4, 6)), 16).eval()
    assert isinstance(network, ContextEncoder)
    whole = Filler("context", 16, lambda pictures, holes: network.predict(torch.cat([pictures, holes], 1)).detach())
    for side in (16, 50):
        picture = np.full((side, side, 3), (10, 120, 250), dtype=np.uint8)
        hole = parse_hole("center", side, side)
        damaged = np.where(hole[..., None], 0, picture).astype(np.uint8)
        assert (inpaint(damaged, hole, whole).filled == picture).all()


@pytest.mark.parametrize(
    ("height", "width", "spec", "rows", "columns"),
    [
        (32, 32, "center", (0, 32), (0, 32)),  # as it was trained
        (100, 80, "30,40,20,10", (25, 65), (20, 60)),  # twice the longer side
        (100, 80, "0,0,30,10", (0, 60), (0, 60)),  # moved inside
        (100, 80, "3,3,2,2", (0, 32), (0, 32)),  # not below its own size
        (20, 90, "60,5,8,8", (0, 20), (54, 74)),  # no more than there is
    ],
)
def test_the_window(height: int, width: int, spec: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    hole = parse_hole(spec, height, width)
    assert window(hole, 32) == (slice(*rows), slice(*columns))
    assert hole[window(hole, 32)].sum() == hole.sum()
    assert window(hole, None) == (slice(0, height), slice(0, width))


@pytest.mark.parametrize("spec", ["0,0,50,10", "10,0,20,20"])
def test_a_hole_that_no_square_shows_is_refused(spec: str) -> None:
    with pytest.raises(DataError, match="fill it in parts, or use --method opencv"):
        inpaint(noise(20, 60), parse_hole(spec, 20, 60), network_filler())


def test_fillers_that_do_not_fit(artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match="is a composer, which fills no holes"):
        make_filler("context", artifacts["scene"])
    with pytest.raises(UsageError, match="--method mean takes no artifact"):
        make_filler("mean", artifacts["bg"])
    with pytest.raises(UsageError, match="choose from context"):
        make_filler("magic")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match="pip install 'mitlgan"):
        make_filler("opencv")
