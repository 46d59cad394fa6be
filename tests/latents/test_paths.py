"""Between latents: closed forms, exact ends, layers by themselves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mitlgan.errors import UsageError
from mitlgan.latents import EASINGS, concat_layers, interpolate_latents, interpolate_path, latents_from_seeds, slerp, split_by_layer, truncate

DIMS = {"fg": 32, "bg": 16, "place": 4}
seeds = st.integers(0, 2**40)
shares = st.floats(0, 1)
by_name = st.dictionaries(st.sampled_from(sorted(DIMS)), st.lists(shares, min_size=3, max_size=3))


def point(seed: int) -> torch.Tensor:
    return latents_from_seeds([seed], DIMS)[0]


def test_an_arc_turns_at_an_even_rate() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    third = slerp(a, b, [1 / 3])[0]
    angle, length = math.radians(30), 2 + (4 - 2) / 3
    assert third.tolist() == pytest.approx([length * math.cos(angle), length * math.sin(angle)], abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(first=seeds, second=seeds, share=shares)
def test_property_an_arc_keeps_the_length_and_the_plane(first: int, second: int, share: float) -> None:
    a, b = latents_from_seeds([first], {"fg": 32})[0], latents_from_seeds([second], {"fg": 32})[0]
    found = slerp(a, b, [share])[0]
    assert float(found.norm()) == pytest.approx((1 - share) * float(a.norm()) + share * float(b.norm()), rel=1e-5)
    plane, _ = torch.linalg.qr(torch.stack([a, b], dim=1).double())
    inside = plane @ (plane.T @ found.double())
    assert first == second or torch.allclose(inside, found.double(), atol=1e-5)


def test_the_midpoint_of_a_line_is_shorter_and_that_of_an_arc_is_not() -> None:
    dims = {"fg": 4096}
    a, b = latents_from_seeds([1, 2], dims)
    lengths = [float(interpolate_latents(a, b, {"fg": [0.5]}, dims, straight=straight)[0].norm()) / 64 for straight in (False, True)]
    assert lengths == pytest.approx([1, math.sqrt(0.5)], abs=0.05)


@pytest.mark.parametrize("second", [[0.0, 0.0], [3.0, 0.0], [-3.0, 0.0]], ids=["nowhere", "the same way", "the opposite way"])
def test_without_an_arc_there_is_the_line(second: list[float]) -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor(second)
    assert torch.allclose(slerp(a, b, [0.0, 0.25, 1.0]), torch.stack([a, 0.75 * a + 0.25 * b, b]))


@settings(deadline=None, max_examples=50)
@given(
    first=seeds, second=seeds, weights=st.dictionaries(st.sampled_from(sorted(DIMS)), st.lists(shares, min_size=3, max_size=3)), straight=st.booleans()
)
def test_property_each_layer_goes_by_itself(first: int, second: int, weights: dict[str, list[float]], straight: bool) -> None:
    a, b = point(first), point(second)
    found = split_by_layer(interpolate_latents(a, b, weights, DIMS, straight=straight), DIMS)
    for name, own in split_by_layer(a, DIMS).items():
        if name not in weights:
            assert torch.equal(found[name], own.expand(len(found[name]), -1)), "held, to the bit"
        else:
            other = split_by_layer(b, DIMS)[name]
            alone = interpolate_latents(own, other, {name: weights[name]}, {name: DIMS[name]}, straight=straight)
            assert torch.equal(found[name], alone)
            for row, share in zip(found[name], weights[name], strict=True):
                assert share not in (0, 1) or torch.equal(row, own if share == 0 else other), "an end is what was given"


def test_a_short_latent_goes_straight() -> None:
    """A place on an arc would swing around the middle of the picture."""
    a, b = point(1), point(2)
    found = split_by_layer(interpolate_latents(a, b, {"place": [0.3]}, DIMS), DIMS)["place"][0]
    assert torch.allclose(found, torch.lerp(split_by_layer(a, DIMS)["place"], split_by_layer(b, DIMS)["place"], 0.3))


@pytest.mark.parametrize("objects", [2, 3, 16])
def test_places_of_several_objects_go_straight_as_one_does(objects: int) -> None:
    dims = {"fg": 32, "place": 4 * objects}
    a, b = latents_from_seeds([1, 2], dims)
    z = split_by_layer(interpolate_path(torch.stack([a, b]), 5, dims)[0], dims)["place"]
    for part in torch.arange(4 * objects).view(objects, 4):
        alone, _ = interpolate_path(torch.stack([a[-4 * objects :][part], b[-4 * objects :][part]]), 5, {"place": 4})
        assert torch.equal(z[:, part], alone)


@pytest.mark.parametrize(("weights", "message"), [
    ({"sky": [0.5]}, "weights: there is no layer 'sky'; choose from fg, bg, place"),
    ({"fg": [0.5], "bg": [0.1, 0.2]}, "weights: every layer needs as many as the others"),
    ({"fg": [1.5]}, "weights: 1.5 for fg is not a share"),
    ({"fg": [math.nan]}, "weights: nan for fg is not a share"),
])  # fmt: skip
def test_weights_that_cannot_be(weights: dict[str, list[float]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        interpolate_latents(point(0), point(1), weights, DIMS)


@pytest.mark.parametrize("easing", sorted(EASINGS))
def test_a_way_passes_its_points_exactly(easing: str) -> None:
    points = torch.stack([point(1), point(2), point(3)])
    z, at = interpolate_path(points, 5, DIMS, easing=easing)
    assert len(z) == 9
    assert at == [0, 4, 8]
    assert torch.equal(z[at], points)


def test_a_way_of_one_layer_holds_the_others() -> None:
    points = torch.stack([point(1), point(2), point(3)])
    z, at = interpolate_path(points, 4, DIMS, layers=["bg"])
    found = split_by_layer(z, DIMS)
    for name in ("fg", "place"):
        assert torch.equal(found[name], split_by_layer(points[:1], DIMS)[name].expand(len(z), -1))
    assert torch.equal(found["bg"][at], split_by_layer(points, DIMS)["bg"])


def test_paces() -> None:
    """Sine: (1 - cos(pi t)) / 2 of the way; linear and slerp: t."""
    dims, ends = {"fg": 2, "bg": 8}, torch.tensor([[0.0, 0.0] + [1.0] * 8, [1.0, 0.0] + [1.0] * 8])
    for easing, quarter in (("sine", (1 - math.cos(math.pi / 4)) / 2), ("linear", 0.25), ("slerp", 0.25)):
        assert float(interpolate_path(ends, 5, dims, easing=easing)[0][1, 0]) == pytest.approx(quarter)


def test_lines_and_arcs_by_name() -> None:
    points = torch.stack([point(1), point(2)])
    middle = {
        (easing, straight): interpolate_path(points, 3, DIMS, easing=easing, straight=straight)[0][1]
        for easing in EASINGS
        for straight in (False, True)
    }
    line = (points[0] + points[1]) / 2
    for key in (("linear", False), ("linear", True), ("sine", True), ("slerp", True)):
        assert torch.allclose(middle[key], line, atol=1e-6)
    for key in (("sine", False), ("slerp", False)):
        assert middle[key].norm() > 1.2 * line.norm()


@pytest.mark.parametrize(("change", "message"), [
    ({"easing": "bounce"}, "--easing: there is no 'bounce'; choose from sine, linear, slerp"),
    ({"frames": 1}, "frames: a way has at least two"), ({"layers": ["sky"]}, "--layer: there is no layer 'sky'"),
    ({"points": torch.zeros(1, 52)}, "points: a way has at least two"),
])  # fmt: skip
def test_ways_that_cannot_be(change: dict[str, object], message: str) -> None:
    arguments = {"points": torch.zeros(2, 52), "frames": 3, "layers": None, "easing": "sine"} | change
    with pytest.raises(UsageError, match=message):
        interpolate_path(arguments["points"], arguments["frames"], DIMS, layers=arguments["layers"], easing=arguments["easing"])  # type: ignore[arg-type]


def test_layers_come_apart_and_together() -> None:
    z = latents_from_seeds(range(3), DIMS)
    assert torch.equal(concat_layers(split_by_layer(z, DIMS), DIMS), z)
    assert torch.equal(concat_layers(dict(reversed(split_by_layer(z, DIMS).items())), DIMS), z), "by name, not by their order"


def test_truncation_scales_towards_the_mean() -> None:
    z = point(4)
    assert truncate(z, 1.0) is z
    assert torch.equal(truncate(z, 0.0), torch.zeros_like(z))
    assert torch.allclose(truncate(z, 0.7), 0.7 * z)
    for psi in (-0.1, 2.1, math.nan, math.inf):
        with pytest.raises(UsageError, match=f"^truncation {psi}: choose from 0"):
            truncate(z, psi)
