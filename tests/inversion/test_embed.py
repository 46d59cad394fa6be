"""`embed`: its accuracy, weights, callback and time limit, and the input that it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.errors import UsageError
from mitlgan.inversion import InversionSettings, InversionStatus, embed
from mitlgan.inversion.cost import InversionCost, make_renderer
from mitlgan.inversion.placement_search import best_placements, placement_slice
from mitlgan.metrics.extractors.registry import open_extractor

QUICK = InversionSettings(starts=64, restarts=4, attempts=1, steps=20, polish_steps=40)


def test_a_linear_generators_latent_is_found_exactly(linear: LoadedArtifact) -> None:
    z = linear.latents([3, 4])
    result = embed(linear, linear.images_from_latents(z), InversionSettings(starts=8, restarts=2, attempts=1, steps=0, polish_steps=8, goal_db=80))
    assert torch.allclose(result.z, z, atol=1e-3)
    assert float(result.psnr_db.min()) >= 80
    assert result.stop_reasons == ("goal", "goal")


def test_the_optimum_of_a_linear_generator_is_that_of_ridge_regression(linear: LoadedArtifact) -> None:
    """For any other picture: A'A z + prior e z = A'x, with e the remaining squared error."""
    torch.manual_seed(0)
    target = torch.rand(1, 3, 8, 8) * 2 - 1
    result = embed(linear, target, InversionSettings(starts=8, restarts=1, attempts=1, steps=0, polish_steps=40, prior=20)).z[0].double()
    A = linear.network[0].weight.double()  # type: ignore[index,union-attr]
    error = float((A @ result - target.flatten().double()).square().sum())
    expected = torch.linalg.solve(A.T @ A + 20 * error / 192 * torch.eye(5), A.T @ target.flatten().double())
    assert torch.allclose(result, expected, atol=2e-3)


@pytest.mark.parametrize("name", ["fg", "placed"])
def test_images_of_the_artifact_are_recovered(name: str, request: pytest.FixtureRequest) -> None:
    artifact: LoadedArtifact = request.getfixturevalue(name)
    target = artifact.sample([1, 2])
    result = embed(artifact, target, QUICK)
    assert torch.equal(result.images, artifact.images_from_latents(result.z))
    mse = (result.images - target).square().flatten(1).mean(1) / 4
    assert torch.allclose(result.mse, mse)
    assert torch.allclose(result.psnr_db, -10 * mse.log10(), atol=1e-3)
    assert float(result.psnr_db.min()) >= 45
    if name == "placed":
        assert set(result.stages.layers) == {"fg", "bg"}
        assert set(result.transforms) == {"fg"}


def test_pixels_in_a_hole_do_not_count(fg: LoadedArtifact) -> None:
    target = fg.sample([1])
    damaged, mask = target.clone(), torch.ones(1, 1, 8, 8)
    damaged[:, :, 2:6, 2:6], mask[:, :, 2:6, 2:6] = 1, 0
    result = embed(fg, damaged, QUICK, weight_mask=mask)
    assert (result.images - target).abs().max() < 0.05, "the hole is what it was"
    assert torch.equal(result.z, embed(fg, target, QUICK, weight_mask=mask).z), "to the bit"
    assert float(embed(fg, damaged, QUICK).psnr_db[0]) < 30, "without the mask it counts"


def test_the_same_seed_gives_the_same_bytes_for_each_picture(fg: LoadedArtifact) -> None:
    target = fg.sample([5, 6])
    both = embed(fg, target, QUICK).z
    assert torch.equal(both, embed(fg, target, QUICK).z)
    assert torch.equal(both[1:], embed(fg, target[1:], QUICK).z)
    assert not torch.equal(both, embed(fg, target, InversionSettings(**{**vars(QUICK), "seed": 1})).z)


@pytest.mark.parametrize(("phase", "done"), [("starts", 64), ("search", 5), ("polish", 1)])
def test_the_callback_sees_the_convergence_and_can_stop_it(phase: str, done: int, fg: LoadedArtifact) -> None:
    statuses: list[InversionStatus] = []

    def callback(status: InversionStatus) -> bool:
        statuses.append(status)
        return not (status.phase == phase and status.done >= done)

    target = fg.sample([1, 2])
    result = embed(fg, target, InversionSettings(**{**vars(QUICK), "goal_db": 120}), progress=callback)
    assert (statuses[-1].phase, statuses[-1].done, statuses[-1].pictures) == (phase, done, 2)
    assert result.stop_reasons[1] == "cancelled"
    assert result.z.shape == (2, 6)
    if phase == "polish":
        last = [status.psnr_db for status in statuses if status.phase == "polish"]
        assert last == sorted(last, key=float), "never worse"  # type: ignore[arg-type]
        assert statuses[-1].image is not None
        assert torch.allclose(statuses[-1].image, result.images[0], atol=1e-5)


def test_the_time_limit_stops_the_search(fg: LoadedArtifact) -> None:
    result = embed(fg, fg.sample([1]), InversionSettings(**{**vars(QUICK), "steps": 100_000, "seconds": 0.2}))
    assert result.stop_reasons == ("time",)
    assert result.seconds[0] < 5


def test_the_artifact_does_not_change(placed: LoadedArtifact) -> None:
    before = {name: tensor.clone() for name, tensor in placed.network.state_dict().items()}
    embed(placed, placed.sample([0]), QUICK)
    assert all(torch.equal(before[name], tensor) for name, tensor in placed.network.state_dict().items())
    assert not any(parameter.grad is not None for parameter in placed.network.parameters())


def test_the_cost_follows_its_formula(fg: LoadedArtifact) -> None:
    settings = InversionSettings(prior=3.0)
    target, z = fg.sample([1])[0], fg.latents([2])
    cost = InversionCost(make_renderer(fg), target, None, settings)
    image = make_renderer(fg)(z)
    error = ((image[0] - target) / 2).square().mean()
    expected = math.log(float(error) + 1e-9) + 3 * float(z.square().sum()) / (3 * 64)
    assert float(cost.value(z, image)[0]) == pytest.approx(expected, rel=1e-5)
    assert float((cost.residuals(image) * cost.residual_weights).square().sum()) == pytest.approx(float(error), rel=1e-5)


def test_values_beyond_a_clipped_target_are_no_error(linear: LoadedArtifact) -> None:
    cost = InversionCost(make_renderer(linear), torch.ones(3, 8, 8), None, InversionSettings())
    assert float(cost.mse(torch.full((1, 3, 8, 8), 1.5))[0]) == 0
    assert float(cost.mse(torch.full((1, 3, 8, 8), -1.0))[0]) == pytest.approx(1)


@pytest.mark.parametrize(("targets", "mask", "message"), [
    (torch.zeros(1, 3, 4, 4), None, r"targets: have shape \(1, 3, 4, 4\); the artifact makes \(N, 3, 8, 8\)"),
    (torch.zeros(0, 3, 8, 8), None, "targets: have shape"),
    (torch.full((1, 3, 8, 8), 2.0), None, r"targets: hold values that are not in \[-1, 1\]"),
    (torch.full((1, 3, 8, 8), math.nan), None, r"targets: hold values"),
    (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), None, r"targets: hold values"),
    (torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), "weight_mask: has shape"),
    (torch.zeros(1, 3, 8, 8), torch.full((1, 1, 8, 8), 2.0), "weight_mask: holds weights"),
    (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), "weight_mask: nothing of a picture counts"),
])  # fmt: skip
def test_invalid_pictures_are_refused(targets: torch.Tensor, mask: torch.Tensor | None, message: str, fg: LoadedArtifact) -> None:
    with pytest.raises(UsageError, match=message):
        embed(fg, targets, QUICK, weight_mask=mask)


@pytest.mark.parametrize(("settings", "message"), [
    ({"starts": 0}, "starts: 0 is not from 1"),
    ({"learning_rate": -1.0}, "learning-rate: -1 is not from"), ({"seconds": 0.0}, "seconds: 0 is not from"),
    ({"prior": math.nan}, "prior: nan"), ({"restarts": 9, "starts": 8}, "restarts: 9 in each of 3 attempts are more than the 8 starts"),
])  # fmt: skip
def test_invalid_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        InversionSettings(**settings)  # type: ignore[arg-type]


def test_a_mirrored_object_is_found(mirrored: LoadedArtifact) -> None:
    """There is no slope from one side to the other: it is tried."""
    z = mirrored.latents([1])
    other = z.clone()
    other[:, -1] *= -1
    cost = InversionCost(make_renderer(mirrored), mirrored.images_from_latents(z)[0].clone(), None, InversionSettings(prior=0), jumps=[z.shape[1] - 1])
    part = placement_slice(mirrored.card)
    assert part == slice(6, 10)
    assert torch.equal(best_placements(cost, other, part, seed=0, step=0), z)
    assert torch.equal(best_placements(cost, z, part, seed=0, step=0), z), "no placement is better than the true one"
    close = z.clone()
    close[:, -1] = -0.001 if float(z[0, -1]) < 0 else 0.001
    assert float(cost.jacobian(close[0]).derivatives.abs().max()) < 5, "a jump has no derivative"


def test_the_perceptual_distance_is_optional(fg: LoadedArtifact) -> None:
    torch.manual_seed(0)
    target = (fg.sample([1]) + 0.2 * torch.randn(1, 3, 8, 8)).clamp(-1, 1)
    few = InversionSettings(starts=16, restarts=1, attempts=1, steps=2, polish_steps=1, perceptual=0.05)
    result = embed(fg, target, few)
    assert result.perceptual is not None
    network = open_extractor(few.extractor)
    features = [network.differentiable(image) for image in (result.images, target)]
    assert float(result.perceptual[0]) == pytest.approx(float((features[0] - features[1]).square().sum() / features[1].square().sum()), rel=1e-3)
    assert embed(fg, target, InversionSettings(**{**vars(few), "perceptual": 0.0})).perceptual is None
    rounded = network(((target + 1) * 127.5).round().to(torch.uint8))
    assert torch.allclose(network.differentiable(((target + 1) * 127.5).round() / 127.5 - 1).cpu(), rounded, atol=1e-3)
