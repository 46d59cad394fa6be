"""What a composition learns about its frozen generators."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.errors import UsageError
from mitlgan.networks import Composer, Generator
from mitlgan.networks.adapters import FeatureAffineAdapter
from mitlgan.recipe import ComposerRecipe, MlpGeneratorRecipe


@pytest.fixture
def adapted(generators: dict[str, Generator]) -> Composer:
    return networks.build_composer(ComposerRecipe(adapters="channels"), generators, 32)


def moved(composer: Composer, amount: float = 0.5) -> Composer:
    with torch.no_grad():
        for parameter in composer.adapters.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    return composer


def test_it_begins_as_the_generators_are(adapted: Composer, generators: dict[str, Generator]) -> None:
    z = torch.randn(3, 13)
    plain = networks.build_composer(ComposerRecipe(), generators, 32)
    for name, image in plain.layers(z).layers.items():
        assert torch.equal(adapted.layers(z).layers[name], image)


def test_training_moves_adapters_and_no_tensor_of_a_generator(adapted: Composer) -> None:
    adapted.train().requires_grad_()
    before = {name: {key: value.clone() for key, value in generator.state_dict().items()} for name, generator in adapted.generators.items()}
    optimiser = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    image, _ = adapted.forward_with_aux_loss(torch.randn(4, 13), 0.0)
    image.square().mean().backward()
    optimiser.step()
    for name, generator in adapted.generators.items():
        for key, value in generator.state_dict().items():
            assert torch.equal(value, before[name][key])
        assert all(float(p.detach().abs().max()) > 0 for p in adapted.adapters[name].parameters())


def test_scale_and_shift_are_those_of_the_normalised_channels(generators: dict[str, Generator]) -> None:
    """Against a copy whose own numbers were changed."""
    generator = copy.deepcopy(generators["fg"]).eval()
    adapter, changed = FeatureAffineAdapter(generator), copy.deepcopy(generator)
    norms = [module for module in changed.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    with torch.no_grad():
        for norm, scale, shift in zip(norms, adapter.scales, adapter.shifts, strict=True):
            scale.normal_()
            shift.normal_()
            norm.weight.add_(scale)
            norm.bias.add_(shift)
    z = torch.randn(2, generator.latent_dim)
    assert torch.equal(adapter.render(generator, z), changed(z))
    image, features = adapter.forward_with_features(generator, z)
    expected_image, expected = changed.forward_with_features(z)
    assert torch.equal(image, expected_image)
    assert all(torch.equal(one, other) for one, other in zip(features, expected, strict=True))
    assert not torch.equal(generator(z), changed(z))


def test_a_layer_still_depends_on_its_own_latent_alone(adapted: Composer) -> None:
    moved(adapted)
    z, other = torch.randn(2, 13), torch.randn(2, 13)
    mixed = torch.cat([z[:, :8], other[:, 8:]], dim=1)
    assert torch.equal(adapted.layers(z).layers["fg"], adapted.layers(mixed).layers["fg"])
    assert not torch.equal(adapted.layers(z).layers["bg"], adapted.layers(mixed).layers["bg"])


def test_copies_have_adapters_of_their_own_and_states_go_into_another(adapted: Composer, generators: dict[str, Generator]) -> None:
    z = torch.randn(2, 13)
    before = adapted(z)
    other = moved(copy.deepcopy(adapted))
    assert torch.equal(adapted(z), before)
    assert not torch.equal(other(z), before)
    fresh = networks.build_composer(ComposerRecipe(adapters="channels"), generators, 32)
    fresh.load_state_dict(other.state_dict())
    assert torch.equal(fresh(z), other(z))
    assert not any("adapters" in name for name in other.generators.state_dict())


def test_threads_that_share_a_composition_get_its_own_pictures(adapted: Composer) -> None:
    composer = moved(adapted).eval().requires_grad_(False)
    weights = {name: tensor.clone() for name, tensor in composer.state_dict().items()}
    z = torch.randn(2, 13)
    expected, results = composer(z), []
    other = threading.Thread(target=lambda: results.append(composer(z)))

    def let_the_other_make_its_own(*_: object) -> None:
        handle.remove()
        other.start()
        other.join(30)  # without waiting for this thread's picture

    handle = next(iter(composer.generators.values())).stages[-1].register_forward_hook(let_the_other_make_its_own)
    results.append(composer(z))
    assert not other.is_alive()
    assert len(results) == 2
    assert all(torch.equal(result, expected) for result in results)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in composer.state_dict().items())


@pytest.mark.parametrize("is_training", [False, True])
def test_it_gives_what_torch_does_with_exchanged_tensors(is_training: bool, generators: dict[str, Generator]) -> None:
    """Statistics are counted, and gradients flow, as in the generator itself; its tensors are never others."""
    generator = copy.deepcopy(generators["fg"]).train(is_training)
    other, adapter, before = copy.deepcopy(generator), FeatureAffineAdapter(generator), dict(generator.named_parameters())
    changed = {}
    for name, scale, shift in zip(adapter._names, adapter.scales, adapter.shifts, strict=True):
        norm = other.get_submodule(name)
        changed |= {f"{name}.weight": norm.weight + scale, f"{name}.bias": norm.bias + shift}
    z = torch.randn(3, generator.latent_dim)
    expected, image = torch.func.functional_call(other, changed, (z,)), adapter.render(generator, z)
    assert torch.equal(image, expected)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in generator.state_dict().items())
    assert all(parameter is before[name] for name, parameter in generator.named_parameters())
    gradients = [torch.autograd.grad(images.square().sum(), list(adapter.parameters())) for images in (image, expected)]
    assert all(torch.equal(own, others) for own, others in zip(*gradients, strict=True))


def test_a_generator_without_batches_is_refused() -> None:
    plain = networks.build_generator(MlpGeneratorRecipe(latent_dim=4, widths=(8,), normalisation="none"), 8)
    with pytest.raises(UsageError, match=r"^composer\.adapters: "):
        FeatureAffineAdapter(plain)
