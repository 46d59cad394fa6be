import copy
import dataclasses
import hashlib

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks import Composer, Generator
from mitlgan.networks.fusion.interface import FusionInput
from mitlgan.recipe import ComposerRecipe, Conv1x1FusionRecipe, NoTranslatorRecipe, ThesisGeneratorRecipe


def digest(module: nn.Module) -> str:
    """Of every tensor, BatchNorm's statistics and counters included."""
    hashed = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        hashed.update(name.encode() + tensor.numpy().tobytes())
    return hashed.hexdigest()


def test_thesis_composer_is_table_7_3() -> None:
    with torch.device("meta"):
        generator = networks.build_generator(ThesisGeneratorRecipe(), 128)
        composer = networks.build_composer(ComposerRecipe(), {"fg": generator, "bg": generator}, 128)
    assert networks.count_parameters(composer) == (23_304_090, 18_461_982)
    assert sum(parameter.numel() for parameter in composer.trainable_parameters()) == 18_461_982


def test_layers_gives_every_stage(composer: Composer, generators: dict[str, Generator]) -> None:
    z = torch.randn(3, 13)
    stages = composer.layers(z)
    assert list(stages.layers) == ["fg", "bg"]
    for name, latent in (("fg", z[:, :8]), ("bg", z[:, 8:])):
        assert torch.equal(stages.layers[name], generators[name].eval()(latent))
    assert torch.equal(stages.fused, composer.fusion(FusionInput(stages.layers)).image)
    assert stages.matte is None
    assert torch.equal(stages.output, composer.translator(stages.fused))
    assert torch.equal(stages.output, composer(z))
    assert stages.output.shape == (3, 3, 32, 32)
    with pytest.raises(dataclasses.FrozenInstanceError):
        stages.fused = stages.output  # type: ignore[misc]


def test_latents_by_name_are_the_same_as_concatenated(composer: Composer) -> None:
    z = torch.randn(2, 13)
    assert torch.equal(composer({"bg": z[:, 8:], "fg": z[:, :8]}), composer(z))
    assert composer.latent_dims == {"fg": 8, "bg": 5}
    assert (composer.latent_dim, composer.size_px, composer.image_channels) == (13, 32, 3)


@pytest.mark.parametrize(
    "z",
    [
        torch.zeros(2, 12),
        torch.zeros(13),
        {"fg": torch.zeros(2, 8)},
        {"fg": torch.zeros(2, 8), "bg": torch.zeros(2, 5), "sky": torch.zeros(2, 5)},
        {"fg": torch.zeros(2, 5), "bg": torch.zeros(2, 8)},
    ],
)
def test_latents_that_do_not_fit_are_refused(composer: Composer, z: torch.Tensor | dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="expected"):
        composer(z)


def test_frozen_means_frozen(composer: Composer) -> None:
    """Training moves fusion and translator, and no tensor of a layer."""
    composer.train()
    composer.requires_grad_(False)
    composer.requires_grad_(True)
    before = {name: digest(generator) for name, generator in composer.generators.items()}
    trained = digest(composer.fusion), digest(composer.translator)
    optimiser = torch.optim.Adam(composer.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        composer(torch.randn(4, 13)).square().mean().backward()
        optimiser.step()
    assert {name: digest(generator) for name, generator in composer.generators.items()} == before
    assert digest(composer.fusion) != trained[0]
    assert digest(composer.translator) != trained[1]
    assert len(optimiser.state) == len(list(composer.trainable_parameters()))


def test_frozen_layers_stay_in_eval_mode_and_without_gradients(composer: Composer) -> None:
    composer.train()
    composer.generators.train()
    composer.generators.requires_grad_(True)
    assert composer.training
    assert composer.translator.training
    assert not any(module.training for generator in composer.generators.values() for module in generator.modules())
    assert not any(parameter.requires_grad for generator in composer.generators.values() for parameter in generator.parameters())
    assert all(parameter.requires_grad for parameter in composer.trainable_parameters())
    composer.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in composer.parameters())


def test_no_graph_through_frozen_layers(composer: Composer) -> None:
    z = torch.randn(2, 13, requires_grad=True)
    stages = composer.layers(z)
    assert all(image.grad_fn is None and not image.requires_grad for image in stages.layers.values())
    stages.output.sum().backward()
    assert z.grad is None
    assert all(parameter.grad is None for generator in composer.generators.values() for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in composer.trainable_parameters())


def test_given_generators_are_left_alone(generators: dict[str, Generator], composer_recipe: ComposerRecipe) -> None:
    composer = networks.build_composer(composer_recipe, generators, 32)
    assert all(generator.training for generator in generators.values())
    assert all(parameter.requires_grad for generator in generators.values() for parameter in generator.parameters())
    assert composer.generators["fg"] is not generators["fg"]
    assert digest(composer.generators["fg"]) == digest(generators["fg"])


def test_same_generator_can_be_two_layers(generators: dict[str, Generator], composer_recipe: ComposerRecipe) -> None:
    fg = generators["fg"]
    composer = networks.build_composer(composer_recipe, {"fg": fg, "fg2": fg, "bg": generators["bg"]}, 32)
    assert composer.latent_dim == 21
    assert composer(torch.randn(2, 21)).shape == (2, 3, 32, 32)
    pointers = [tensor.data_ptr() for tensor in composer.state_dict().values()]
    assert len(set(pointers)) == len(pointers)  # safetensors refuses shared memory


def test_state_keys_name_the_layers(composer: Composer) -> None:
    heads = {".".join(key.split(".")[:2]) if key.startswith("layers") else key.split(".")[0] for key in composer.state_dict()}
    assert heads == {"layers.fg", "layers.bg", "fusion", "translator"}
    assert composer.get_submodule("generators.fg") is composer.generators["fg"]


def test_copy_composes_with_its_own_weights(composer: Composer) -> None:
    """The moving average is a deep copy; its `.layers` must not reach back into the original."""
    z = torch.randn(2, 13)
    average = copy.deepcopy(composer)
    before = composer(z)
    with torch.no_grad():
        for parameter in average.trainable_parameters():
            parameter.add_(torch.randn_like(parameter))
    assert torch.equal(average.layers(z).output, average(z))
    assert torch.equal(composer.layers(z).output, before)
    assert not torch.equal(average(z), before)


def test_functional_call_reaches_frozen_layers(composer: Composer) -> None:
    z = torch.randn(2, 13)
    tensors = {**dict(composer.named_parameters()), **dict(composer.named_buffers())}
    state = {name: torch.zeros_like(tensor) if name.startswith("generators.bg") else tensor for name, tensor in tensors.items()}
    changed = torch.func.functional_call(composer, state, (z,))
    assert not torch.equal(changed, composer(z))


def test_state_loads_into_a_new_composer(composer: Composer, generator_recipe: ThesisGeneratorRecipe, composer_recipe: ComposerRecipe) -> None:
    other = {
        "fg": networks.build_generator(generator_recipe, 32),
        "bg": networks.build_generator(generator_recipe.model_copy(update={"latent_dim": 5}), 32),
    }
    loaded = networks.build_composer(composer_recipe, other, 32)
    loaded.load_state_dict(composer.state_dict())
    z = torch.randn(1, 13)
    assert torch.equal(loaded.eval()(z), composer.eval()(z))


def test_layer_with_a_fourth_channel_is_fused_whole(generator_recipe: ThesisGeneratorRecipe, composer_recipe: ComposerRecipe) -> None:
    rgba = networks.build_generator(generator_recipe.model_copy(update={"image_channels": 4}), 32)
    composer = networks.build_composer(composer_recipe, {"fg": rgba, "bg": networks.build_generator(generator_recipe, 32)}, 32)
    assert networks.count_parameters(composer.fusion) == (7 * 3 + 3, 7 * 3 + 3)
    assert composer(torch.randn(2, 16)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("name", ["", "a.b", "keys", "forward", "training", "F G", "é"])
def test_name_that_no_layer_can_have_is_refused(name: str, generators: dict[str, Generator], composer_recipe: ComposerRecipe) -> None:
    with pytest.raises(UsageError, match=r"^layer "):
        networks.build_composer(composer_recipe, {name: generators["fg"]}, 32)


def test_contradictions_are_refused_before_anything_is_built(
    generators: dict[str, Generator], composer_recipe: ComposerRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn, "Conv2d", None)

    class UnknownFusionRecipe(Conv1x1FusionRecipe):
        """A schema that nothing implements."""

    class UnknownTranslatorRecipe(NoTranslatorRecipe):
        """A schema that nothing implements."""

    cases: list[tuple[ComposerRecipe, dict[str, Generator], int, str]] = [
        (composer_recipe, {}, 32, "^layers: "),
        (composer_recipe, generators, 64, "^layer fg: its generator makes 32 px, not size_px = 64"),
        (composer_recipe, generators, 30, r"^composer\.translator\.widths: "),
        (
            composer_recipe.model_copy(update={"fusion": UnknownFusionRecipe()}),
            generators,
            32,
            r"^composer\.fusion\.kind: nothing implements UnknownFusionRecipe",
        ),
        (
            composer_recipe.model_copy(update={"translator": UnknownTranslatorRecipe()}),
            generators,
            32,
            r"^composer\.translator\.kind: nothing implements UnknownTranslatorRecipe",
        ),
    ]
    for recipe, layers, size_px, message in cases:
        with pytest.raises(UsageError, match=message):
            networks.build_composer(recipe, layers, size_px)
