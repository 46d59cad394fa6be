"""A composition taken apart: what is behind, from what is seen of it; the object, where it is; both together."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.images.alpha import PremultipliedLayer
from mitlgan.inversion import Settings, embed
from mitlgan.inversion.cost import DIFFERENCE, Aim, Slope, beside, renderer
from mitlgan.inversion.decompose.background import Trimmed, behind
from mitlgan.inversion.decompose.foreground import _cut, _extent, _stand
from mitlgan.inversion.decompose.layers import Splitter
from mitlgan.inversion.progress import Clock, PartClock, Progress
from mitlgan.networks import Composer
from mitlgan.networks.placement import LayerTransform, transform_layer
from mitlgan.networks.translators.bounded_residual import BoundedResidual

QUICK = Settings(starts=64, restarts=4, attempts=1, steps=20, polish_steps=40)


def psnr(image: Tensor, other: Tensor) -> float:
    return -10 * math.log10(max(1e-12, float((image - other).square().mean()) / 4))


def test_a_layer_is_found_behind_an_object(linear: LoadedArtifact) -> None:
    z = linear.latents([3])
    target = linear.images_from_latents(z)[0]
    target[:, 2:6, 1:5] = torch.tensor([0.9, -0.9, 0.5])[:, None, None]
    render = renderer(linear)
    found = behind(render, Aim(render, target, None, QUICK, None), 5, QUICK, Clock(None, None, 1))
    assert torch.allclose(found.z, z[0], atol=0.01)
    assert torch.allclose(found.image[0], linear.images_from_latents(z)[0], atol=0.01), "where it is hidden, too"
    there = torch.zeros(1, 8, 8)
    there[:, 2:6, 1:5] = 1
    assert torch.equal((found.hidden > 0.5).float(), there)
    assert found.met == pytest.approx(48 / 64)


def test_only_the_best_pixels_count(linear: LoadedArtifact) -> None:
    target, image = linear.sample([1])[0], linear.sample([2, 3])
    weight = torch.ones(1, 8, 8)
    weight[:, :2] = 0
    aim = Aim(renderer(linear), target, weight, Settings(), None)
    every = ((image - target) / 2).square().mean(1)[:, 2:].flatten(1)  # (2, 48)
    wanted = every.sort(1).values[:, :24].mean(1)
    assert torch.allclose(Trimmed(aim, 0.5).errors(image), wanted)
    z = torch.ones(2, 5)
    assert torch.allclose(Trimmed(aim, 0.5).cost(z, image, perceptual=True), (wanted + 1e-9).log() + 5 / (48 * 3))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_object_is_put_where_another_was_seen(side: float) -> None:
    matte = torch.zeros(1, 1, 32, 32)
    matte[:, :, 4:24, 10:30] = 1
    stand = LayerTransform(*(torch.tensor([number]) for number in (0.6, -0.2, 0.3, side)))
    seen = transform_layer(PremultipliedLayer(matte.expand(-1, 3, -1, -1), matte), stand).alpha
    found = _stand(_extent(matte[:, 0]), _extent(seen[:, 0]), _cut(seen[0, 0]), side)
    assert torch.allclose(torch.stack(found), torch.stack(stand), atol=0.06), "to a pixel"


def test_an_ends_corrections_are_taken_off(placed: LoadedArtifact) -> None:
    torch.manual_seed(0)
    end = BoundedResidual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh()), 0.2)
    assert isinstance(placed.network, Composer)
    composer = Composer(placed.network.generators, placed.network.fusion, end, 8)
    splitter = Splitter.of(composer)
    assert splitter is not None
    image = torch.rand(1, 3, 8, 8) - 0.5
    assert torch.allclose(splitter._uncorrected(end(image)), image, atol=1e-5)


def test_what_cannot_be_taken_apart(placed: LoadedArtifact, fg: LoadedArtifact) -> None:
    assert isinstance(placed.network, Composer)
    assert Splitter.of(placed.network) is not None
    assert Splitter.of(fg.network) is None
    assert Splitter.of(Composer(placed.network.generators, placed.network.fusion, nn.Conv2d(3, 3, 1), 8)) is None, "painted anew"


@pytest.mark.parametrize("name", ["placed", "mirrored"])
def test_the_watcher_is_told_of_whole_latents(name: str, request: pytest.FixtureRequest) -> None:
    made: LoadedArtifact = request.getfixturevalue(name)
    told: list[Progress] = []
    target = made.sample([1])
    splitter = Splitter.of(made.network)
    assert splitter is not None
    clock = Clock(lambda state: told.append(state), None, 1)
    z = splitter.split(Aim(renderer(made), target[0].clone(), None, QUICK, None), QUICK, clock)
    dim = sum(made.card.latent_dims.values())
    assert {len(state.z) for state in told if state.z is not None} == {dim} == {len(z)}
    assert PartClock(clock, lambda z: z).over is None


def test_a_part_leaves_time_for_what_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("mitlgan.inversion.progress.time.monotonic", lambda: now[0])
    clock = Clock(None, 10.0, 1)
    part = PartClock(clock, lambda z: z, 0.8)
    assert (part.over, part.tell("search", 0, 1), part.gone) == (None, None, 0.0)
    now[0] = 8.0
    assert (part.over, part.tell("search", 1, 1), part.gone) == ("time", "time", 0.8)
    assert (clock.over, clock.tell("polish", 0, 1)) == (None, None), "the whole goes on"
    now[0] = 10.0
    assert (clock.over, clock.gone) == ("time", 1.0)
    endless = Clock(None, None, 1)
    assert (endless.gone, PartClock(endless, lambda z: z, 0.8).over) == (0.0, None)


def test_layers_come_back(placed: LoadedArtifact) -> None:
    stages = placed.layers([1])
    found = embed(placed, stages.output, QUICK)
    for name, image in stages.layers.items():
        assert psnr(found.stages.layers[name], image) >= 30


def test_pictures_around_a_latent_change_as_whole_ones_do(placed: LoadedArtifact) -> None:
    splitter = Splitter.of(placed.network)
    assert splitter is not None
    z = placed.latents([5])[0]
    assert torch.allclose(splitter.around(z), renderer(placed)(beside(z)), atol=1e-6), "nothing corrects them"
    aims = [Aim(renderer(placed), placed.sample([6])[0], None, Settings(), None, around=around) for around in (None, splitter.around)]
    whole, parts = (aim.linearised(z, perceptual=False) for aim in aims)
    assert torch.allclose(whole.residuals, parts.residuals)
    assert torch.allclose(whole.change, parts.change, atol=1e-7 / DIFFERENCE)


def test_a_carried_slope_explains_the_step_and_nothing_across_it() -> None:
    torch.manual_seed(0)
    slope, moved, residuals = Slope(torch.randn(7), torch.randn(4, 7)), torch.randn(4), torch.randn(7)
    slope.change[2] = 0
    carried = slope.carried(moved, residuals)
    straight = moved.masked_fill(torch.arange(4) == 2, 0)
    assert torch.allclose(slope.residuals + straight @ carried.change, residuals, atol=1e-5), "the secant"
    across = torch.tensor([straight[1], -straight[0], 0, 0])
    assert torch.allclose(across @ carried.change, across @ slope.change, atol=1e-5)
    assert not carried.change[2].any(), "a jump has no slope"
    assert not carried.fresh


def test_weights_change_the_scale_of_residuals(linear: LoadedArtifact) -> None:
    z, target = linear.latents([1])[0], linear.sample([2])[0]
    weight = torch.rand(1, 8, 8)
    weight[0, 0] = 0
    plain = Aim(renderer(linear), target, None, Settings(), None)
    weighted = plain.of(plain.render, weight)
    slope, wanted = plain.linearised(z, perceptual=False).times(plain.rescaled(weighted)), weighted.linearised(z, perceptual=False)
    assert torch.allclose(slope.residuals, wanted.residuals, atol=1e-6)
    assert torch.allclose(slope.change, wanted.change, atol=1e-4)
    assert float(weighted.rescaled(plain).view(3, 8, 8)[:, 0].abs().max()) == 0, "what did not count is not known"


@pytest.mark.parametrize(("starts", "restarts", "attempts"), [(8, 8, 1), (24, 8, 3)])
def test_as_many_restarts_as_starts_are_not_multiplied_beyond_them(placed: LoadedArtifact, starts: int, restarts: int, attempts: int) -> None:
    few = Settings(starts=starts, restarts=restarts, attempts=attempts, steps=2, polish_steps=1, seconds=2)
    assert embed(placed, placed.layers([0]).output, few).z.shape == (1, sum(placed.card.latent_dims.values()))
