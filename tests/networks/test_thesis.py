import pytest
import torch
from pydantic import ValidationError
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.recipe import ThesisCriticRecipe, ThesisGeneratorRecipe, as_dict


def per_stage(network: networks.Generator | networks.Critic) -> dict[str, int]:
    return {name: networks.count_parameters(stage).parameters for name, stage in network.stages.named_children()}


def shapes(network: networks.Generator | networks.Critic, given: torch.Tensor) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    for name, stage in network.stages.named_children():
        stage.register_forward_hook(lambda _stage, _given, output, name=name: seen.update({name: tuple(output.shape)}))
    network(given)
    return seen


def test_generator_is_table_7_1() -> None:
    generator = networks.build_generator(ThesisGeneratorRecipe(), 128)
    assert networks.count_parameters(generator) == (2_421_054, 2_417_796)
    assert per_stage(generator) == {
        "base": 2_365_440,
        "to_8px": 41_664,
        "to_16px": 10_464,
        "to_32px": 2_640,
        "to_64px": 672,
        "to_image": 174,
    }
    assert shapes(generator.eval(), torch.randn(1, 1536)) == {
        "base": (1, 96, 4, 4),
        "to_8px": (1, 48, 8, 8),
        "to_16px": (1, 24, 16, 16),
        "to_32px": (1, 12, 32, 32),
        "to_64px": (1, 6, 64, 64),
        "to_image": (1, 3, 128, 128),
    }


def test_generator_blocks_come_in_the_printed_order() -> None:
    generator = networks.build_generator(ThesisGeneratorRecipe(), 128)
    kinds = [[type(block) for block in stage.children()] for stage in generator.stages]
    assert kinds[0] == [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU, nn.Unflatten]
    assert kinds[1:5] == [[nn.Upsample, nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]] * 4
    assert kinds[5] == [nn.Upsample, nn.Conv2d, nn.BatchNorm2d, nn.Tanh]
    assert {block.negative_slope for block in generator.modules() if isinstance(block, nn.LeakyReLU)} == {0.2}
    assert {block.mode for block in generator.modules() if isinstance(block, nn.Upsample)} == {"nearest"}
    assert all(block.bias is None for block in generator.modules() if isinstance(block, nn.Linear | nn.Conv2d))


def test_the_framework_of_the_thesis_sets_weights_and_normalization() -> None:
    """Keras: Glorot's uniform weights within sqrt(6 / (in + out)), BatchNorm momentum 0.99 and epsilon 1e-3; absent, torch's own."""
    torch.manual_seed(0)
    keras = ThesisGeneratorRecipe(latent_dim=64, widths=(16, 8), init="glorot", norm_momentum=0.01, norm_eps=1e-3)
    generator = networks.build_generator(keras, 16)
    norms = [block for block in generator.modules() if isinstance(block, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}
    dense = next(block for block in generator.modules() if isinstance(block, nn.Linear))
    limit = (6 / (64 + 256)) ** 0.5
    assert 0.99 * limit < dense.weight.abs().max().item() <= limit
    critic = networks.build_critic(ThesisCriticRecipe(widths=(8, 8), dropout=(0.0, 0.0), init="glorot"), 16)
    assert all(block.bias is not None and not block.bias.any() for block in critic.modules() if isinstance(block, nn.Conv2d | nn.Linear))
    plain = networks.build_generator(ThesisGeneratorRecipe(latent_dim=64, widths=(16, 8)), 16)
    assert {(norm.momentum, norm.eps) for norm in plain.modules() if isinstance(norm, nn.BatchNorm2d)} == {(0.1, 1e-5)}
    assert "init" not in as_dict(ThesisGeneratorRecipe())  # so that the recipes in older runs and cards stay as they are


def test_critic_is_table_7_2() -> None:
    critic = networks.build_critic(ThesisCriticRecipe(), 128)
    assert networks.count_parameters(critic) == (2_448_097, 2_448_097)
    assert per_stage(critic) == {"to_64px": 3_648, "to_32px": 115_296, "to_16px": 460_992, "to_8px": 1_843_584, "score": 24_577}
    assert shapes(critic, torch.randn(2, 3, 128, 128)) == {
        "to_64px": (2, 48, 64, 64),
        "to_32px": (2, 96, 32, 32),
        "to_16px": (2, 192, 16, 16),
        "to_8px": (2, 384, 8, 8),
        "score": (2, 1),
    }
    assert critic(torch.randn(2, 3, 128, 128)).shape == (2,)


def test_critic_drops_out_where_printed() -> None:
    critic = networks.build_critic(ThesisCriticRecipe(), 128)
    dropouts = {name: block.p for name, block in critic.stages.named_modules() if isinstance(block, nn.Dropout)}
    assert dropouts == {"to_16px.dropout": 0.3, "score.dropout": 0.3}


@pytest.mark.parametrize(("widths", "size_px"), [((4,), 8), ((8, 6, 4), 32), ((8, 6, 4, 4), 64)])
def test_generator_family_reaches_every_size(widths: tuple[int, ...], size_px: int) -> None:
    generator = networks.build_generator(ThesisGeneratorRecipe(latent_dim=7, widths=widths, image_channels=4), size_px)
    images = generator(torch.randn(3, 7))
    assert images.shape == (3, 4, size_px, size_px)
    assert images.abs().max() <= 1
    assert images.min() < 0
    assert (generator.latent_dim, generator.size_px, generator.image_channels) == (7, size_px, 4)


def test_generator_takes_one_latent_in_eval_mode_and_relu_as_last(generator_recipe: ThesisGeneratorRecipe) -> None:
    generator = networks.build_generator(generator_recipe.model_copy(update={"activation": "relu"}), 32).eval()
    image = generator(torch.randn(1, 8))
    assert image.shape == (1, 3, 32, 32)
    assert image.min() == 0


def test_same_seed_same_weights(generator_recipe: ThesisGeneratorRecipe) -> None:
    def first_weight(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return networks.build_generator(generator_recipe, 32).state_dict()["stages.to_8px.conv.weight"]

    assert torch.equal(first_weight(3), first_weight(3))
    assert not torch.equal(first_weight(3), first_weight(4))


def test_critic_takes_any_size_that_can_be_halved() -> None:
    critic = networks.build_critic(ThesisCriticRecipe(widths=(4, 6, 8), dropout=(0, 0, 0)), 24)
    assert critic(torch.randn(5, 3, 24, 24)).shape == (5,)


def test_critic_with_batchnorm_has_it_after_the_convolution() -> None:
    critic = networks.build_critic(ThesisCriticRecipe(widths=(4,), dropout=(0,), normalisation="batch"), 32)
    assert [type(block) for block in critic.stages[0].children()] == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]


def test_a_spectral_critics_weights_have_norm_1_and_a_plain_ones_none_of_it() -> None:
    torch.manual_seed(0)
    critic = networks.build_critic(ThesisCriticRecipe(widths=(4, 6), dropout=(0, 0), flatten_dropout=0, spectral=True), 8)
    for _ in range(50):
        critic(torch.randn(2, 3, 8, 8))
    weights = [block.weight for block in critic.modules() if isinstance(block, (nn.Conv2d, nn.Linear))]
    assert len(weights) == 3
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
    plain = networks.build_critic(ThesisCriticRecipe(widths=(4, 6), dropout=(0, 0)), 8)
    assert not [name for name in plain.state_dict() if "parametrizations" in name]


def test_a_spectral_critics_penalty_has_the_derivative_of_differences() -> None:
    """Double backward through the normalisation, whose vectors must stand still for the differences: in eval mode."""
    torch.manual_seed(0)
    critic = networks.build_critic(ThesisCriticRecipe(widths=(4,), dropout=(0,), flatten_dropout=0, spectral=True), 8).double().eval()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    weight = next(parameter for name, parameter in critic.named_parameters() if name.endswith("conv.parametrizations.weight.original"))

    def penalty() -> torch.Tensor:
        at = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        return slope.square().sum()

    (result,) = torch.autograd.grad(penalty(), weight)
    difference, step = [], 1e-6
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2, 0, 3] += sign * step
        difference.append(penalty().item())
        with torch.no_grad():
            weight[1, 2, 0, 3] -= sign * step
    assert result[1, 2, 0, 3].item() == pytest.approx((difference[0] - difference[1]) / (2 * step), rel=1e-4)


@pytest.mark.parametrize(
    ("widths", "size_px", "message"),
    [
        ((8, 6), 32, r"^generator\.widths has 2 entries.*size_px = 32; give 3 widths"),
        ((8, 6, 4), 48, r"^generator\.widths has 3 entries.*not size_px = 48; size_px must be .*such as 32"),
        ((8,), 4, r"^generator\.widths .*not size_px = 4; size_px must be"),
    ],
)
def test_generator_of_another_size_is_refused(widths: tuple[int, ...], size_px: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn, "Linear", None)  # nothing is built before the refusal
    with pytest.raises(UsageError, match=message):
        networks.build_generator(ThesisGeneratorRecipe(widths=widths), size_px)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": ()}, r"widths\n.*at least 1 item"),
        ({"dropout": (0.0,)}, r"dropout has 1 values for 3 widths"),
        ({"kernel": 4}, r"kernel is 4; an odd one"),
        ({"kind": "nothing"}, r"kind\n.*should be 'thesis'"),
    ],
)
def test_a_critic_that_no_size_suits_has_no_recipe(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ThesisCriticRecipe(**{"widths": (4, 6, 8), "dropout": (0.0, 0.0, 0.0), **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": (4,) * 4, "dropout": (0,) * 4}, r"^critic\.widths halves 24 px 4 times.*give fewer"),
        ({"kernel": 25}, r"^critic\.kernel = 25 is larger than the image, 24 px; at most 23"),
    ],
)
def test_contradictory_critic_is_refused(change: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = ThesisCriticRecipe(widths=(4, 6, 8), dropout=(0, 0, 0)).model_copy(update=change)
    monkeypatch.setattr(nn, "Conv2d", None)
    with pytest.raises(UsageError, match=message):
        networks.build_critic(recipe, 24)
