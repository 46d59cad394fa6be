"""Separation of layers: the limits that synthetic composites must give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mitlgan.metrics.layer_separation import (
    background_leakage,
    boundary_contrast,
    change_outside_mattes,
    chroma_key_matte,
    foreground_leakage,
    matte_iou,
    separation_scores,
    swap_grid,
    swap_matte,
)

Array = NDArray[np.float64]
K, J, SIDE = 7, 9, 24


def layers(seed: int, count: int) -> Array:
    """Layers that fill the frame, of one variance."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, SIDE, SIDE))


def discs(radius: float = 7.0) -> Array:
    rng = np.random.default_rng(5)
    down, across = np.mgrid[:SIDE, :SIDE]
    centres = rng.uniform(8, SIDE - 8, (K, 2))
    return np.stack([(np.hypot(down - y, across - x) < radius).astype(float) for y, x in centres])


F, B, M = layers(1, K), layers(2, J), discs()


def composed(matte: Array, f: Array = F, b: Array = B) -> Array:
    """m f + (1 - m) b for every pair; `matte` (K, H, W)."""
    m = matte[:, None, None]
    return m * f[:, None] + (1 - m) * b[None]


# What the house plan lists: matte, R2, background to foreground, foreground to background.
LIMITS: dict[str, tuple[Array, dict[str, Any]]] = {
    "composite": (M, {"matte_iou": 1, "matte_mae": 0, "compositionality": 1, "leak_b_to_f": 0, "leak_f_to_b": 0, "degenerate": 0}),
    "average": (np.full_like(M, 0.5), {"compositionality": 1, "leak_b_to_f": 0.25, "leak_f_to_b": 0.25, "mean_matte": 0.5}),
    "all background": (np.zeros_like(M), {"compositionality": 1, "leak_b_to_f": 1, "leak_f_to_b": 0, "degenerate": 1, "mean_matte": 0}),
    "all foreground": (np.ones_like(M), {"compositionality": None, "leak_b_to_f": 0, "leak_f_to_b": 1, "degenerate": 1, "mean_matte": 1}),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits(case: str) -> None:
    matte, expected = LIMITS[case]
    found = separation_scores(composed(matte), B, M)
    for key, value in expected.items():
        # Foreground to background divides two sampled variances of layers drawn alike; all else is exact.
        tolerance = 0.05 if key == "leak_f_to_b" and value else 1e-9
        assert getattr(found, key) == (None if value is None else pytest.approx(value, abs=tolerance)), key
    assert (found.foregrounds, found.backgrounds) == (K, J)
    assert found.boundary_ratio is None


def test_recoloured_leak_has_the_same_limits() -> None:
    assert separation_scores(composed(M), B, M).leak_b_to_f_recoloured == pytest.approx(0, abs=1e-9)
    assert separation_scores(composed(np.zeros_like(M)), B, M).leak_b_to_f_recoloured == pytest.approx(1, abs=1e-9)
    assert separation_scores(composed(np.full_like(M, 0.5)), B, M).leak_b_to_f_recoloured == pytest.approx(0.25, abs=0.02)


def test_a_perfect_composite_scores_zero_over_plain_surroundings() -> None:
    """Foregrounds that are nearly constant outside their mattes must not make the measure explode (or a perfect composite look bad)."""
    plain = np.where(M[:, None] > 0, F, 1.0)
    found = separation_scores(composed(M, f=plain), B, M)
    assert (found.leak_f_to_b, found.leak_b_to_f) == pytest.approx((0, 0), abs=1e-12)


def test_soft_mattes_are_found_exactly() -> None:
    soft = np.random.default_rng(0).uniform(0, 1, M.shape)
    found = swap_matte(composed(soft), B)
    np.testing.assert_allclose(found.matte, soft, atol=1e-12)
    assert found.is_defined.all()
    assert separation_scores(composed(soft), B, soft).matte_iou == 1


def test_matching_light_is_no_leak_once_colour_is_taken_out() -> None:
    x = composed(M)
    rng = np.random.default_rng(3)
    lit = np.empty_like(x)
    for k in range(K):
        for j in range(J):
            mix = np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
            lit[k, j] = np.einsum("dc,chw->dhw", mix, x[k, j]) + rng.uniform(-0.3, 0.3, (3, 1, 1))
    lit = np.where(M[:, None, None] > 0, lit, x)
    found = separation_scores(lit, B, M)
    assert found.leak_b_to_f is not None
    assert found.leak_b_to_f > 0.05
    assert found.leak_b_to_f_recoloured == pytest.approx(0, abs=1e-9)


def test_structure_that_leaks_stays_after_recolouring() -> None:
    found = separation_scores(composed(0.7 * M), B, M)
    assert found.leak_b_to_f == pytest.approx(0.09, abs=1e-9)
    assert found.leak_b_to_f_recoloured == pytest.approx(0.09, abs=0.01)


def by_definition(x: Array, b: Array, m: Array) -> float:
    """Foreground to background, pair by pair, as the house plan writes it."""
    changed, differ, weight = 0.0, 0.0, 0
    for k in range(K):
        for other in range(K):
            if k != other:
                free = (m[k] < 0.05) & (m[other] < 0.05)
                changed += ((x[k] - x[other])[:, :, free] ** 2).sum() / J
                weight += free.sum()
                pairs = [((b[i] - b[j])[:, free] ** 2).sum() for i in range(J) for j in range(J) if i != j]
                differ += np.mean(pairs)
    assert weight
    return changed / differ


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_foreground_to_background_follows_its_definition(mix: float) -> None:
    x = (1 - mix) * composed(M) + mix * F[:, None]
    assert foreground_leakage(x, B, M) == pytest.approx(by_definition(x, B, M), rel=1e-9, abs=1e-12)


def test_a_composer_that_draws_something_else_is_not_compositional() -> None:
    noise = np.random.default_rng(4).uniform(-1, 1, (K, J, 3, SIDE, SIDE))
    found = separation_scores(noise, B, M)
    assert found.compositionality is not None
    assert found.compositionality < 0.2
    half = separation_scores(composed(M) + 0.5 * noise, B, M).compositionality
    assert half is not None
    assert found.compositionality < half < 1


@pytest.mark.parametrize(("scale", "offset"), [(127.5, 127.5), (0.5, 0.5)])
def test_numbers_do_not_depend_on_the_scale_of_the_images(scale: float, offset: float) -> None:
    x = composed(0.9 * M) + 0.1 * F[:, None]
    first, second = separation_scores(x, B, M), separation_scores(x * scale + offset, B * scale + offset, M)
    for key, value in vars(first).items():
        assert getattr(second, key) == (None if value is None else pytest.approx(value, rel=1e-6)), key


def test_where_backgrounds_do_not_differ_nothing_is_claimed() -> None:
    plain = B.copy()
    plain[:, :, :12] = 0.3
    swap = swap_matte(composed(M, b=plain), plain)
    assert not swap.is_defined[:12].any()
    assert swap.is_defined[12:].all()
    assert matte_iou(swap, M) == 1
    same = np.repeat(B[:1], J, axis=0)
    found = separation_scores(composed(M, b=same), same, M)
    assert (found.matte_iou, found.compositionality, found.leak_b_to_f, found.leak_f_to_b, found.degenerate) == (None,) * 5


def test_without_opaque_pixels_there_is_no_leak_to_speak_of() -> None:
    assert background_leakage(composed(M), B, np.full_like(M, 0.5)) is None
    assert foreground_leakage(composed(M), B, np.ones_like(M)) is None


def smooth(images: Array, times: int) -> Array:
    for _ in range(times):
        padded = np.pad(images, [(0, 0)] * (images.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
        images = sum(padded[..., i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)) / 9
    return images


def test_boundaries_that_bleed_and_that_are_cut_out() -> None:
    front, back = smooth(F, 2) + 0.5, smooth(B, 2) - 0.5
    soft = smooth(M, 1)
    real = boundary_contrast(composed(soft, front, back)[:, 0], M)
    assert real is not None
    for matte, low, high in ((smooth(M, 4), 0.0, 0.95), (soft, 0.999, 1.001), (M, 1.1, 9.0)):
        found = separation_scores(composed(matte, front, back), back, M, real_contrast=real).boundary_ratio
        assert found is not None
        assert low < found < high
    assert boundary_contrast(F, np.zeros_like(M)) is None
    assert boundary_contrast(np.zeros_like(F), M) is None


def test_key_matte_keeps_what_differs_from_the_backdrop() -> None:
    images = np.where(M[:, None] > 0, -0.2, 1.0) * np.ones((1, 3, 1, 1))
    np.testing.assert_array_equal(chroma_key_matte(images, (1.0, 1.0, 1.0), 0.1), M)
    assert chroma_key_matte(images, (1.0, 1.0, 1.0), 1.3).sum() == 0


def test_grid_has_the_layers_in_its_margins() -> None:
    x = composed(M)
    grid = swap_grid(x, F, B).reshape(K + 1, J + 1, 3, SIDE, SIDE)
    np.testing.assert_array_equal(grid[0, 1:], B)
    np.testing.assert_array_equal(grid[1:, 0], F)
    np.testing.assert_array_equal(grid[1:, 1:], x)
    assert (grid[0, 0] == x.max()).all()


@pytest.mark.parametrize(
    "spoil",
    [lambda x, b, m: (x[:1], b, m[:1]), lambda x, b, m: (x[:, :1], b[:1], m), lambda x, b, m: (x, b[:3], m), lambda x, b, m: (x, b, m[:2])],
)
def test_shapes_that_do_not_fit_are_a_mistake(spoil: Callable[..., tuple[Array, Array, Array]]) -> None:
    with pytest.raises(ValueError, match="outputs"):
        separation_scores(*spoil(composed(M), B, M))


def test_what_changes_far_from_a_layer_that_moves() -> None:
    rng = np.random.default_rng(3)
    x, mattes = rng.uniform(-1, 1, (2, 3, 3, 6, 6)), rng.uniform(0, 0.1, (2, 3, 6, 6))
    changes = [
        np.abs(x[k, one, :, y, x_] - x[k, other, :, y, x_]).mean()
        for k in range(2) for one in range(3) for other in range(one) for y in range(6) for x_ in range(6)
        if mattes[k, one, y, x_] < 0.05 and mattes[k, other, y, x_] < 0.05
    ]  # fmt: skip
    assert change_outside_mattes(x, mattes) == pytest.approx(np.mean(changes))
    assert change_outside_mattes(x, np.ones_like(mattes)) is None
    pasted = np.stack([composed(np.roll(M, step, 2))[:, 0] for step in range(3)], 1)  # moved within the frame
    assert change_outside_mattes(pasted, np.stack([np.roll(M, step, 2) for step in range(3)], 1)) == 0
