"""The projected critic: what it sees, what of it learns, what is saved, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.artifacts.summary import describe_recipe
from mitlgan.errors import UsageError
from mitlgan.networks.critics.projected import ProjectedFeatures, ScaleScores, lay_on_gray
from mitlgan.networks.feature_networks.frozen import FEATURE_NETWORKS
from mitlgan.objectives.build import build, check_critic
from mitlgan.recipe import GrownCriticRecipe, ProjectedCriticRecipe, WganClipRecipe, WganGpRecipe, load_recipe

TINY = ProjectedCriticRecipe(network="efficientnet-lite0", input_px=64, width=2)


def critic_of(size_px: int = 16, **change: Any) -> networks.Critic:
    torch.manual_seed(0)
    return networks.build_critic(TINY.model_copy(update=change), size_px)


def parts_of(critic: networks.Critic) -> tuple[ProjectedFeatures, ScaleScores]:
    features, scores = critic.stages
    assert isinstance(features, ProjectedFeatures)
    assert isinstance(scores, ScaleScores)
    return features, scores


def images(count: int = 3, channels: int = 3, size_px: int = 16) -> Tensor:
    return torch.rand(count, channels, size_px, size_px, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_each_scale_is_mixed_with_all_coarser_ones_and_scored_by_a_critic_of_its_own() -> None:
    critic = critic_of()
    features, scores = parts_of(critic)
    large = nn.functional.interpolate(images(), (64, 64), mode="bilinear", align_corners=False)
    one, two, three, four = (mix(feature) for mix, feature in zip(features.mix_channels, features.network(large), strict=True))
    for finer, coarser, mix in ((three, four, features.mix_scales[2]), (two, three, features.mix_scales[1]), (one, two, features.mix_scales[0])):
        finer += nn.functional.interpolate(mix(coarser), scale_factor=2, mode="bilinear", align_corners=False)
    assert [tuple(mixed.shape[1:]) for mixed in (one, two, three, four)] == [(2, 16, 16), (4, 8, 8), (8, 4, 4), (16, 2, 2)]
    critic.eval()
    expected = sum(own(mixed) for own, mixed in zip(scores.critics, (one, two, three, four), strict=True)).squeeze(1) / 4
    torch.testing.assert_close(critic(images()), expected)


@pytest.mark.parametrize(
    ("size_px", "input_px", "expected_px"), [(8, None, 32), (32, None, 32), (65, None, 96), (128, None, 128), (128, 64, 64), (32, 32, 32)]
)
def test_images_of_any_size_are_brought_to_the_input(size_px: int, input_px: int | None, expected_px: int) -> None:
    critic = critic_of(size_px, input_px=input_px)
    assert parts_of(critic)[0].input_px == expected_px
    assert critic(images(2, size_px=size_px)).shape == (2,)


def test_only_the_critics_of_the_scales_learn() -> None:
    critic = critic_of(spectral=True)
    assert all(name.startswith("stages.score.critics.") for name, _ in critic.named_parameters())
    layers = [module for module in critic.modules() if isinstance(module, nn.Conv2d)]
    assert [hasattr(layer, "parametrizations") for layer in layers] == [layer in [*parts_of(critic)[1].modules()] for layer in layers]
    frozen = sum(buffer.numel() for buffer in parts_of(critic)[0].buffers())
    before = {name: buffer.clone() for name, buffer in parts_of(critic)[0].named_buffers()}
    counts = networks.count_parameters(critic)
    assert counts.trainable == sum(parameter.numel() for parameter in critic.parameters())
    assert counts.parameters > frozen > 2_000_000
    optimiser = torch.optim.Adam(critic.parameters(), lr=0.1)
    critic(images()).sum().backward()
    optimiser.step()
    assert all(torch.equal(buffer, before[name]) for name, buffer in parts_of(critic)[0].named_buffers())
    objective = build(WganClipRecipe(clip=1e-4))
    objective.after_critic_step(critic)
    assert all(torch.equal(buffer, before[name]) for name, buffer in parts_of(critic)[0].named_buffers())


@pytest.mark.parametrize(("normalisation", "parts"), [("batch", {"norm"}), ("none", {"bias"})])
def test_convolutions_have_a_norm_or_a_bias(normalisation: str, parts: set[str]) -> None:
    names = {name for name, _ in critic_of(normalisation=normalisation, spectral=False).named_parameters() if "conv_1" in name}
    assert {name.split(".")[-1] if ".conv." in name else "norm" for name in names} == {"weight", *parts}


def test_the_mixing_is_saved_and_the_network_is_not() -> None:
    critic, other = critic_of(), critic_of()
    names = list(critic.state_dict())
    assert [name for name in names if name.startswith("stages.features.")] == [
        *(f"stages.features.mix_channels.{index}.weight" for index in range(4)), *(f"stages.features.mix_scales.{index}.weight" for index in range(3)),
    ]  # fmt: skip
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in critic.state_dict().items()), "equal seeds, equal projections"
    torch.manual_seed(1)
    stranger = networks.build_critic(TINY, 16)
    assert not torch.equal(stranger.eval()(images()), critic.eval()(images()))
    stranger.load_state_dict(critic.state_dict())
    assert torch.equal(stranger(images()), critic(images()))


def test_a_random_mixture_keeps_the_scale_of_its_features() -> None:
    critic = critic_of(width=32)
    features, _ = parts_of(critic)
    for mix, channels in zip(features.mix_channels, FEATURE_NETWORKS["efficientnet-lite0"].channels, strict=True):
        values = torch.randn(8, channels, 8, 8, generator=torch.Generator().manual_seed(2))
        assert float(mix(values).square().mean()) == pytest.approx(1.0, rel=0.2)


def test_the_network_sees_colour_on_gray_and_the_critics_see_alpha() -> None:
    clear, solid = torch.full((1, 4, 16, 16), -1.0), torch.zeros(1, 4, 16, 16)
    solid[:, 3] = 1.0
    half = torch.tensor([0.5, -0.5, -1.0, 0.0]).view(1, 4, 1, 1).expand(1, 4, 16, 16)
    assert torch.equal(lay_on_gray(clear), torch.zeros(1, 3, 16, 16))
    assert torch.equal(lay_on_gray(solid), torch.zeros(1, 3, 16, 16))
    torch.testing.assert_close(lay_on_gray(half)[0, :, 0, 0], torch.tensor([1.0, 0.0, -0.5]))  # half of the gray shines through
    critic = critic_of(image_channels=4).eval()
    features, scores = parts_of(critic)
    mixed = features(torch.cat([clear, solid]))
    assert [one.shape[1] for one in mixed] == [3, 5, 9, 17]
    for one in mixed:
        torch.testing.assert_close(one[0, :-1], one[1, :-1])
        assert set(one[:, -1].unique().tolist()) == {-1.0, 1.0}
    assert float((critic(clear) - critic(solid)).detach().abs()) > 1e-4
    assert scores.critics[0][0].conv.in_channels == 3  # type: ignore[index, union-attr]
    gray = critic_of(image_channels=1).eval()
    assert torch.equal(gray(images(channels=1)), critic_of().eval()(images(channels=1).expand(-1, 3, -1, -1)))


def test_a_gradient_penalty_is_taken_at_the_images_as_of_other_critics() -> None:
    recipe = WganGpRecipe()
    with pytest.raises(UsageError, match=r"BatchNorm mixes samples"):
        check_critic(recipe, critic_of())
    critic = critic_of(normalisation="none")
    check_critic(recipe, critic)
    rng = torch.Generator().manual_seed(0)
    loss, stats = build(recipe).critic_loss(critic, images(4), -images(4), rng)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(stats["penalty"]) > 0
    assert all(bool(parameter.grad.isfinite().all()) for parameter in critic.parameters() if parameter.grad is not None)


def test_it_is_described_with_what_learns_apart_from_what_is_frozen() -> None:
    recipe = load_recipe("recommended/fg-32-projected", ["evaluation.extractor=mobilenet-v2", "critic.network=efficientnet-lite0"])
    critic = describe_recipe(recipe)["networks"]["critic"]
    assert 0 < critic["trainable"] < critic["parameters"] - 2_000_000
    assert critic["multiply_accumulates"] > 7_000_000, "the frozen network computes, too"
    (frozen,) = [row for row in critic["rows"] if "network" in row["name"]]
    assert (frozen["name"], frozen["type"], frozen["trainable"]) == ("stages.features.network", "FrozenFeatures", 0)
    assert (frozen["input"], frozen["output"]) == ([3, 32, 32], [320, 1, 1])
    assert sum(row["parameters"] for row in critic["rows"]) == critic["parameters"] - 6, "but for mean and deviation of its input"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["critic.input_px=50"], r"critic\.input_px"),
        (["objective.kind=wgan_gp"], r'critic\.normalisation = "batch" contradicts objective\.kind = "wgan_gp"'),
        (["critic.network=vgg16"], r"critic\.network"),
        (["critic_start.freeze=1"], r"critic_start\.freeze: what .* looks through is frozen anyway"),
        (["objective.kind=wgan_clip"], r'critic\.spectral = true contradicts objective\.kind = "wgan_clip"'),
        (["evaluation.extractor=mobilenet-v2"], r'"mobilenet-v2" cannot judge what a critic taught .* use "efficientnet-lite0"'),
        (["evaluation.extractor=mobilenet-v2@64"], "cannot judge"),
        (['evaluation.extractor=["mobilenet-v2", "efficientnet-lite0"]'], "cannot judge"),
        (["critic.network=efficientnet-lite0"], r'"efficientnet-lite0" cannot judge .* use "mobilenet-v2"'),
        (["critic.network=efficientnet-lite0", "evaluation.extractor=timm:tf_efficientnet_lite0"], "cannot judge"),
        (
            ['grow=[{size_px=16,kimg=1},{size_px=32,kimg=1,critic="grown"}]', "training.kimg=2"],
            r'critic\.kind = "projected" looks through a fixed network, .* use grow\.critic = "new"',
        ),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        load_recipe("recommended/fg-32-projected", settings)
    assert "\n" not in str(refusal.value)


def test_an_extractor_that_does_not_decide_may_be_listed() -> None:
    """Where figures are measured it is left out, which is said, so that recipes of two extractors need no change."""
    recipe = load_recipe("recommended/fg-32-projected", ['evaluation.extractor=["efficientnet-lite0", "mobilenet-v2"]'])
    assert recipe.evaluation.extractors == ("efficientnet-lite0", "mobilenet-v2")


def test_no_block_is_added_to_it() -> None:
    with pytest.raises(ValueError, match=r'critic\.parent\.kind = "projected" looks through a fixed network'):
        GrownCriticRecipe(parent=TINY, parent_px=16).require_size(32)


def test_in_a_ladder_each_size_has_a_new_one() -> None:
    from mitlgan.recipe import grown_to, ladder_steps

    recipe = load_recipe("recommended/fg-32-projected")
    ladder = grown_to(recipe, 128)
    assert [step.critic for step in ladder_steps(ladder)] == [recipe.critic] * 3
    assert {step.critic for step in ladder.grow or ()} == {None, "new"}
