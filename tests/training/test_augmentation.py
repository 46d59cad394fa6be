"""Differentiable augmentation: each transform against one written pixel by pixel, alpha, gradients, its random numbers, and how its strength adapts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor, nn

from mitlgan.recipe import AugmentRecipe, with_overrides
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.runtime.randomness import BatchShare, random_generator
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.training import augmentation
from mitlgan.training.augmentation import MAX_PROBABILITY, TRANSFORMS, DiffAugment, mean_score_sign, overfitting_sign

SIDE = 16


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(channels: int, count: int = 8, seed: int = 0) -> Tensor:
    """In [-1, 1]; with four channels premultiplied, empty at the left."""
    augmented = torch.rand(count, channels, SIDE, SIDE, generator=rng(seed))
    if channels == 4:
        augmented[..., : SIDE // 4] = 0
        augmented[:, :3] *= augmented[:, 3:]
    return augmented * 2 - 1


def all_of(count: int, value: bool = True) -> Tensor:
    return torch.full((count, 1, 1, 1), value)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_is_diffaugments(channels: int) -> None:
    original = images(channels)
    augmented = augmentation.color(original, all_of(8), rng(3))
    random = torch.rand(3, 8, 1, 1, 1, generator=rng(3))
    for index, picture in enumerate(original):
        x = picture + (random[0, index].item() - 0.5)
        grey = x.mean(0, keepdim=True)
        x = (x - grey) * (random[1, index].item() * 2) + grey
        x = (x - x.mean()) * (random[2, index].item() + 0.5) + x.mean()
        torch.testing.assert_close(augmented[index], x)


def test_colour_of_a_premultiplied_image_is_that_of_its_object() -> None:
    """The straight colours are changed as a plain image's are, their mean weighed by alpha; alpha and all that is empty stay."""
    original = images(4)
    augmented = augmentation.color(original, all_of(8), rng(3))
    random = torch.rand(3, 8, 1, 1, 1, generator=rng(3))
    assert torch.equal(augmented[:, 3], original[:, 3])
    assert torch.equal(augmented[..., : SIDE // 4], torch.full((8, 4, SIDE, SIDE // 4), -1.0))
    for index, picture in enumerate(original):
        alpha = (picture[3] + 1) / 2
        straight = torch.where(alpha > 0, ((picture[:3] + 1) / 2) / alpha.clamp_min(1e-9), 0) * 2 - 1
        x = straight + (random[0, index].item() - 0.5)
        grey = x.mean(0, keepdim=True)
        x = (x - grey) * (random[1, index].item() * 2) + grey
        mean = (x.mean(0) * alpha).sum() / alpha.sum()
        x = (x - mean) * (random[2, index].item() + 0.5) + mean
        torch.testing.assert_close((augmented[index, :3] + 1) / 2, (x + 1) / 2 * alpha, rtol=1e-4, atol=1e-5)


def test_laid_on_black_a_premultiplied_image_changes_as_an_opaque_one_does() -> None:
    plain = images(3)
    opaque = torch.cat([plain, torch.ones(8, 1, SIDE, SIDE)], 1)
    torch.testing.assert_close(augmentation.color(opaque, all_of(8), rng(1))[:, :3], augmentation.color(plain, all_of(8), rng(1)))


def test_an_empty_image_keeps_a_finite_gradient() -> None:
    empty = torch.full((2, 4, SIDE, SIDE), -1.0).requires_grad_()
    augmented = augmentation.color(empty, all_of(2), rng())
    augmented.square().sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(augmented, empty)
    assert empty.grad is not None
    assert empty.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_translation_moves_by_up_to_an_eighth_and_leaves_grey(channels: int) -> None:
    original = images(channels, 40)
    augmented = augmentation.translation(original, all_of(40), rng(3))
    source = rng(3)
    down, right = (torch.randint(-2, 3, (40, 1), generator=source)[:, 0].tolist() for _ in range(2))
    assert set(down) == set(right) == {-2, -1, 0, 1, 2}
    for index in range(40):
        expected = torch.zeros(channels, SIDE, SIDE)
        for row in range(SIDE):
            for column in range(SIDE):
                if 0 <= row - down[index] < SIDE and 0 <= column - right[index] < SIDE:
                    expected[:, row, column] = original[index, :, row - down[index], column - right[index]]
        assert torch.equal(augmented[index], expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_hole_has_half_the_side_and_its_centre_anywhere(channels: int) -> None:
    augmented = augmentation.cutout(torch.ones(200, channels, SIDE, SIDE), all_of(200), rng())
    holes = (augmented == 0).all(1)
    assert torch.equal(holes, (augmented == 0).any(1))
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.sum((1, 2)), rows * columns)  # rectangles
    assert rows.max() == columns.max() == SIDE // 2
    assert rows.min() == columns.min() == SIDE // 4  # the centre on the border
    assert holes.any(0).all()


def test_one_that_is_not_chosen_is_the_same_to_the_bit() -> None:
    original = images(3)
    is_applied = torch.arange(8).reshape(8, 1, 1, 1) % 2 == 0
    for transform in TRANSFORMS.values():
        augmented = transform(original, is_applied, rng(5))
        assert torch.equal(augmented[1::2], original[1::2])
        assert not any(torch.equal(augmented[index], original[index]) for index in (0, 2, 4, 6)) or transform is augmentation.translation
        assert not torch.equal(augmented, original)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_gradient_flows_through_as_differences_say(name: str, channels: int) -> None:
    original = images(channels, 2).double().requires_grad_()
    weights = torch.randn(original.shape, generator=rng(1), dtype=torch.float64)

    def value(of: Tensor) -> Tensor:
        return (TRANSFORMS[name](of, all_of(2), rng(7)).square() * weights).sum()

    (slope,) = torch.autograd.grad(value(original), original)
    direction = torch.randn(original.shape, generator=rng(2), dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        difference = (value(original + step * direction) - value(original - step * direction)) / (2 * step)
    assert (slope * direction).sum().item() == pytest.approx(difference.item(), rel=1e-5)


def test_without_a_table_images_are_the_very_same() -> None:
    original = images(3)
    assert DiffAugment(None, 0)(original, "x", 0, 1.0) is original
    assert not DiffAugment(None, 0).is_adaptation_due(3)


def test_numbers_come_from_seed_update_rank_and_purpose_alone() -> None:
    original, recipe = images(3), AugmentRecipe()
    first = DiffAugment(recipe, 1)(original, "real", 5, 0.0)
    torch.manual_seed(77)
    state = torch.get_rng_state()
    assert torch.equal(first, DiffAugment(recipe, 1)(original, "real", 5, 0.0))
    assert torch.equal(torch.get_rng_state(), state)
    others = [DiffAugment(recipe, 2)(original, "real", 5, 0.0), DiffAugment(recipe, 1, BatchShare(1, 2))(original, "real", 5, 0.0)]
    others += [DiffAugment(recipe, 1)(original, "fake", 5, 0.0), DiffAugment(recipe, 1)(original, "real", 6, 0.0)]
    assert not any(torch.equal(first, other) for other in others)


def test_a_policy_is_its_transforms_in_a_fixed_order_with_the_numbers_of_the_whole() -> None:
    original = images(3)
    whole = DiffAugment(AugmentRecipe(policy=("cutout", "translation", "colour")), 1)(original, "real", 2, 0.0)
    parts = original
    for name in ("colour", "translation", "cutout"):
        parts = DiffAugment(AugmentRecipe(policy=(name,)), 1)(parts, "real", 2, 0.0)  # type: ignore[arg-type]
    assert torch.equal(whole, parts)


def test_a_share_of_the_images_changes() -> None:
    original = images(3, 2000)
    augmented = DiffAugment(AugmentRecipe(policy=("colour",), probability=0.3), 0)(original, "real", 0, 1.0)
    assert (augmented != original).flatten(1).any(1).float().mean().item() == pytest.approx(0.3, abs=0.03)
    none = DiffAugment(AugmentRecipe(probability="auto"), 0)(original, "real", 0, 0.0)
    assert torch.equal(none, original)


def test_the_sign_is_0_where_scores_are_alike_and_1_where_they_part() -> None:
    alike, other = torch.randn(20_001, generator=rng(1)), torch.randn(20_001, generator=rng(2))
    assert mean_score_sign(alike, other).item() == pytest.approx(0, abs=0.02)
    assert mean_score_sign(alike.exp(), other.exp()).item() == pytest.approx(0, abs=0.02)  # however skewed
    assert mean_score_sign(alike + 20, other).item() == 1
    assert mean_score_sign(alike - 20, other).item() == -1


def test_the_sign_is_that_of_logits_where_they_have_a_zero_and_knows_no_scale() -> None:
    """N(+m, 1) and N(-m, 1) have their logit's zero at 0, where Karras et al. count: E[sign] = erf(m / sqrt 2)."""
    noise = torch.randn(2, 50_001, generator=rng())
    for m in (0.3, 0.8416, 2.0):
        real, fake = noise[0] + m, noise[1] - m
        expected = torch.erf(torch.tensor(m / 2**0.5)).item()
        assert real.sign().mean().item() == pytest.approx(expected, abs=0.02)
        assert mean_score_sign(real, fake).item() == pytest.approx(expected, abs=0.02)
        torch.testing.assert_close(mean_score_sign(real * 1000 - 7, fake * 1000 - 7), mean_score_sign(real, fake), atol=0.001, rtol=0)


def test_overfitting_asks_the_critic_without_dropout_and_leaves_it_in_training() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * SIDE**2, 1), nn.Flatten(0))
    state = torch.get_rng_state()
    first = overfitting_sign(critic, images(3), images(3, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == overfitting_sign(critic, images(3), images(3, seed=1))
    assert critic.training
    assert not first.requires_grad


def test_an_automatic_probability_moves_by_its_speed_between_0_and_its_limit() -> None:
    augmented = DiffAugment(AugmentRecipe(probability="auto", target=0.5, speed_kimg=1.0), 0, 0)
    assert [update for update in range(9) if augmented.is_adaptation_due(update)] == [3, 7]
    assert augmented.next_probability(0.1, 0.51, 25) == pytest.approx(0.2)  # four updates of 25 images: a tenth of the way
    assert augmented.next_probability(0.1, 0.49, 25) == pytest.approx(0.0)
    assert augmented.next_probability(0.05, -1.0, 25) == 0.0
    assert augmented.next_probability(0.1, 0.5, 25) == 0.1
    assert augmented.next_probability(0.79, 1.0, 25) == MAX_PROBABILITY
    default = DiffAugment(AugmentRecipe(probability="auto"), 0, 0)
    assert default.next_probability(0.0, 0.7, 64) == pytest.approx(4 * 64 / 500_000)
    assert default.next_probability(0.1, 0.55, 64) < 0.1


def test_a_control_loop_finds_the_target() -> None:
    """A critic whose sign falls as the probability rises, as a learning critic's does: the probability settles where the sign is 0.6."""
    augmented, probability, probabilities = DiffAugment(AugmentRecipe(probability="auto", speed_kimg=20.0), 0, 0), 0.0, []
    for _ in range(800):
        probability = augmented.next_probability(probability, 0.9 - 0.75 * probability, 64)
        probabilities.append(probability)
    assert probabilities[-1] == pytest.approx(0.4, abs=0.02)


def test_a_run_adapts_and_says_so(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = with_overrides(tiny_runs.recipe("fg", packs["fg"], updates=8), augment={"probability": "auto", "speed_kimg": 0.1, "target": 0.01})
    run = pretrain(recipe, environment)
    rows = [row for row in read_jsonl(run.stats_file) if "augment_sign" in row]
    assert [row["iteration"] for row in rows] == [2, 4, 6, 8]  # two critic updates an iteration, a look at every fourth
    before = 0.0
    for row in rows:
        before = min(max(before + (0.16 if row["augment_sign"] > 0.01 else -0.16), 0.0), MAX_PROBABILITY)
        assert row["augment_probability"] == pytest.approx(before, abs=1e-6)
    assert tiny_runs.trace(run)[1]["augment_probability"] == pytest.approx(before)


def test_the_critic_is_shown_changed_images_in_both_updates(packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    from mitlgan.objectives.wasserstein import WganGp

    critic_inputs: list[Tensor] = []
    for name in ("critic_loss", "generator_loss"):
        real = getattr(WganGp, name)

        def noted(self: WganGp, critic: nn.Module, first: Tensor, second: Tensor, *rest: object, of: object = real) -> object:
            critic_inputs.extend([first.detach(), second.detach()])
            return of(self, critic, first, second, *rest)  # type: ignore[operator]

        monkeypatch.setattr(WganGp, name, noted)
    pretrain(with_overrides(tiny_runs.recipe("fg", packs["fg"], updates=1), augment={"policy": ["cutout"]}), environment)
    assert len(critic_inputs) == 6  # two critic updates and one of the generator, real and fake
    for images in critic_inputs:
        holes = (images == 0).all(1).flatten(1).float().mean(1)
        assert (holes >= 1 / 16).all()
        assert (holes <= 1 / 4).all()
    assert not torch.equal(critic_inputs[0] == 0, critic_inputs[2] == 0)


def test_streams_are_named_apart() -> None:
    first, second = (torch.rand(3, generator=random_generator(0, f"augment colour of {use}", 0)) for use in ("critic's real", "critic's fake"))
    assert not torch.equal(first, second)
