"""The object before a known background: what its search goes by."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mitlgan.inversion.cost import Aim
from mitlgan.inversion.decompose import foreground as hopping
from mitlgan.inversion.decompose.foreground import COVERED_FOR, HOP_ROUNDS, HOPS, Covering, Front, _cut, _extent, _stand
from mitlgan.inversion.levenberg_marquardt import begun
from mitlgan.inversion.progress import Clock
from mitlgan.inversion.settings import Settings

WEIGHT = 10.0
HIDDEN = torch.zeros(1, 2, 2)
HIDDEN[0, 0] = 1


def black_over_white(z: Tensor) -> Tensor:
    """Of logits (N, 4), one for each pixel: a black object's image and matte (N, 4, 2, 2) before white."""
    matte = torch.sigmoid(z).view(-1, 1, 2, 2)
    return torch.cat([(1 - 2 * matte).expand(-1, 3, -1, -1), matte], dim=1)


def covering(weight: Tensor | None = None) -> Covering:
    front = Front(image=lambda z: z, seen=lambda images, _: black_over_white(images), placement=None, dim=4)
    target = (1 - 2 * HIDDEN).expand(3, -1, -1)
    return Covering(Aim(front.render, target, weight, Settings(prior=0), None), front, HIDDEN, WEIGHT)


@pytest.mark.parametrize(("left", "share"), [(1.0, 1.0), (1 - COVERED_FOR / 2, 0.5), (1 - COVERED_FOR, 0.0), (0.0, 0.0)])
def test_the_mattes_cross_entropy_counts_less_and_less(left: float, share: float) -> None:
    aim = covering()
    z = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    images = aim.render(z)
    entropy = torch.nn.functional.binary_cross_entropy(torch.sigmoid(z), HIDDEN.flatten()[None])
    added = aim.searched(z, images, left) - aim.cost(z, images, perceptual=True)
    assert float(added) == pytest.approx(share * WEIGHT * float(entropy), abs=1e-5)
    assert float(aim.errors(images)) == pytest.approx(float(aim.aim.errors(images[:, :3])))


def test_what_came_near_to_nothing_still_has_a_slope() -> None:
    slopes = []
    for left in (0.0, 1.0):
        z = torch.full((1, 4), -8.0, requires_grad=True)  # an opacity of 3e-4 where the object should be
        aim = covering()
        (slope,) = torch.autograd.grad(aim.searched(z, aim.render(z), left).sum(), z)
        slopes.append(float(slope[0, 0].abs()))
    by_pixels, with_matte = slopes
    assert by_pixels < 1e-3
    assert with_matte == pytest.approx(WEIGHT / 4 * (1 - math.exp(-8) / (1 + math.exp(-8))), rel=0.01)


def test_in_a_hole_the_matte_may_be_anything() -> None:
    left_out = torch.ones(1, 2, 2)
    left_out[0, 1] = 0
    z = torch.tensor([[0.0, 1.0, -1.0, 2.0], [0.0, 1.0, 3.0, -2.0]])  # they differ in the hole only
    aim = covering(left_out)
    one, other = aim.searched(z, aim.render(z), 1.0)
    assert float(one) == pytest.approx(float(other))
    entropy = torch.nn.functional.binary_cross_entropy(torch.sigmoid(z[:1, :2]), torch.ones(1, 2))
    assert float(one - aim.cost(z, aim.render(z), perceptual=True)[0]) == pytest.approx(WEIGHT * float(entropy), abs=1e-5)


def square(left: int, right: int, top: int, bottom: int, px: int = 32) -> Tensor:
    mass = torch.zeros(1, px, px)
    mass[:, top:bottom, left:right] = 1
    return mass


@pytest.mark.parametrize(
    ("hidden", "scale", "across", "down"),
    [
        (square(8, 16, 4, 12), 0.5, -0.25, -0.5),  # the whole object
        (square(0, 4, 4, 12), 0.5, -1.0, -0.5),  # its right half: how high it is says how large, and its right edge where it stands
        (square(28, 32, 4, 12), 0.5, 1.0, -0.5),
        (square(8, 16, 28, 32), 0.5, -0.25, 1.0),
        (square(0, 8, 0, 8), 0.5, -0.75, -0.75),  # seen in part along both axes: at least as large as that
    ],
)
def test_an_object_that_the_edge_cuts_is_put_by_what_is_seen_of_it(hidden: Tensor, scale: float, across: float, down: float) -> None:
    own = _extent(square(8, 24, 8, 24))
    stand = _stand(own, _extent(hidden), _cut(hidden[0]), side=1.0)
    assert [float(number[0]) for number in stand] == pytest.approx([scale, across, down, 1.0], abs=0.08)


def test_settings_that_are_multiplied_stay_within_their_ranges() -> None:
    settings = Settings(steps=60_000, restarts=8, prior=1.0, learning_rate=2e-6)
    more = settings.times(steps=2, restarts=2.5, prior=4, learning_rate=0.25)
    assert (more.steps, more.restarts, more.prior, more.learning_rate) == (100_000, 20, 4.0, 1e-6)
    assert (more.starts, more.seconds) == (settings.starts, settings.seconds)


@pytest.mark.parametrize(
    ("errors", "taken", "left"),
    [
        ([0.9, 0.9], 2, 0.1),  # two in vain
        ([0.9, 0.05, 0.9, 0.02, 0.9, 0.9, 0.001], 6, 0.02),  # on while one of two leads down
        ([0.099, 0.098, 0.001], 2, 0.098),  # hardly down counts as in vain
        ([0.1 * 0.8**n for n in range(1, 12)], len(HOPS) * HOP_ROUNDS, 0.1 * 0.8 ** (len(HOPS) * HOP_ROUNDS)),
        ([0.001], 1, 0.001),  # found
    ],
)
def test_hops_go_on_while_they_lead_down(monkeypatch: pytest.MonkeyPatch, errors: list[float], taken: int, left: float) -> None:
    def image(z: Tensor) -> Tensor:
        return 2 * z[:, :1, None, None].expand(-1, 3, 2, 2)

    scripted = iter(errors)
    monkeypatch.setattr(hopping, "improved", lambda aim, z, *_: z)
    monkeypatch.setattr(hopping, "polished", lambda *_: (torch.tensor([next(scripted)]), "settled"))
    front = Front(image=image, seen=lambda images, _: images, placement=None, dim=1)
    settings = Settings(prior=0, goal_db=50.0)
    aim = Aim(image, torch.zeros(3, 2, 2), None, settings, None)
    monkeypatch.setattr(hopping, "NEAR_DB", 10.0)
    best = hopping._hopped(front, aim, begun(aim, torch.tensor([0.1])), settings, Clock(None, None, 1))
    assert len(errors) - len(list(scripted)) == taken
    assert float(best.z[0]) == pytest.approx(left)
