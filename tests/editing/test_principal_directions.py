"""Directions: against matrices that are known, orthonormal, and telling."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from mitlgan import networks
from mitlgan.artifacts.card import make_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing import Directions, directions, mix, principal_directions, read_directions, traverse, write_directions
from mitlgan.editing.principal_directions import By, _slopes, default_samples, ganspace, sefa
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import Generator
from mitlgan.networks.adapters import FeatureAffineAdapter
from mitlgan.recipe import ComposerRecipe, StyleGeneratorRecipe, load_recipe

DIM = 12
SIZES = 2.0 ** -torch.arange(DIM)


def generator_of(*beginning: nn.Module) -> Generator:
    stages = nn.Sequential(nn.Sequential(*beginning), nn.Sequential(nn.LazyLinear(3 * 16), nn.Unflatten(1, (3, 4, 4)), nn.Tanh()))
    network = Generator(stages, latent_dim=DIM, size_px=4, image_channels=3).eval()
    with torch.no_grad():
        network(torch.zeros(2, DIM))
    return network


def known() -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix (40, DIM) and its right singular vectors, the largest first; singular values 1, 1/2, 1/4, ..."""
    draw = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(40, DIM, generator=draw))[0]
    right = torch.linalg.qr(torch.randn(DIM, DIM, generator=draw))[0]
    return left @ torch.diag(SIZES) @ right.T, right.T


def assert_directions(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    assert torch.allclose((found @ expected.T).abs(), torch.eye(len(found), len(expected)), atol=tolerance)


def test_weights_are_the_singular_vectors_of_the_first_map() -> None:
    matrix, expected = known()
    dense = nn.Linear(DIM, 40)
    dense.weight.data = matrix
    found, shares = sefa(generator_of(dense, nn.LeakyReLU()), 4)
    assert_directions(found, expected[:4], 1e-4)
    squares = SIZES**2
    assert torch.allclose(shares, squares[:4] / squares.sum(), atol=1e-5)
    assert bool((found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()), "the sign is settled"


def test_normalisation_belongs_to_the_map() -> None:
    """Rows of any length, which BatchNorm makes alike again, are the same generator."""
    matrix, expected = known()
    lengths = torch.logspace(-2, 2, 40)
    dense, norm = nn.Linear(DIM, 40), nn.BatchNorm1d(40, eps=0.0)
    dense.weight.data, norm.running_var = matrix * lengths[:, None], lengths**2
    assert_directions(sefa(generator_of(dense, norm, nn.ReLU()), 3)[0], expected[:3], 1e-3)


def test_transposed_convolutions_are_maps_too() -> None:
    conv = nn.ConvTranspose2d(DIM, 5, 4)
    found, _ = sefa(generator_of(nn.Unflatten(1, (DIM, 1, 1)), conv, nn.ReLU(), nn.Flatten()), 3)
    expected = torch.linalg.svd(conv.weight.detach().reshape(DIM, -1).T, full_matrices=False).Vh[:3]
    assert_directions(found, expected, 1e-3)


@pytest.mark.parametrize("samples", [30, 800], ids=["fewer samples than features", "more"])
def test_features_of_a_linear_stage_are_its_singular_vectors(samples: int) -> None:
    """The principal components of A z, z white, lie along A's left singular vectors; the latents that raise them along its right ones."""
    matrix, expected = known()
    dense = nn.Linear(DIM, 40)
    dense.weight.data = matrix
    found, shares = ganspace(generator_of(dense), 1, 3, samples=samples)
    assert_directions(found, expected[:3], 0.35 if samples == 30 else 0.07)  # of a sample's covariance
    assert torch.allclose(found @ found.T, torch.eye(3), atol=1e-5)
    squares = SIZES**2
    assert torch.allclose(shares, squares[:3] / squares.sum(), atol=0.2 if samples == 30 else 0.03)


class LinesAndWaves(nn.Module):
    """Features that latents raise along four known directions, each weaker than the one before, among waves that are no line at all."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.right = nn.Parameter(torch.linalg.qr(torch.randn(dim, 4, generator=draw))[0] * torch.tensor([1.0, 0.7, 0.5, 0.35]))
        self.left = nn.Parameter(torch.linalg.qr(torch.randn(4 * dim, 4, generator=draw))[0])
        self.waves = nn.Parameter(2 * torch.randn(dim, 4 * dim, generator=draw) / dim**0.5)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z @ self.right @ self.left.T + 0.2 * torch.sin(z @ self.waves)


def rough_generator(dim: int) -> Generator:
    stages = nn.Sequential(LinesAndWaves(dim), nn.Sequential(nn.Linear(4 * dim, 48), nn.Unflatten(1, (3, 4, 4))))
    return Generator(stages, latent_dim=dim, size_px=4, image_channels=3).eval()


def test_more_samples_are_never_worse_and_as_many_as_numbers_are_no_trap() -> None:
    """Least squares alone has its peak of errors where there are as many samples as numbers: there it found nothing."""
    dim = 96
    network = rough_generator(dim)
    lines = LinesAndWaves(dim).right.detach().T[:3]
    known = lines / lines.norm(dim=1, keepdim=True)
    alike = {}
    for samples in (dim // 2, dim - 1, dim, dim + 1, dim + 2, 2 * dim, 4 * dim, default_samples(dim)):
        vectors, _ = ganspace(network, 1, 3, samples=samples)
        alike[samples] = float((vectors * known).sum(1).abs().mean())
    assert min(alike[samples] for samples in (dim - 1, dim, dim + 1, dim + 2)) > 0.8, alike
    assert alike[2 * dim] > 0.93, alike
    assert alike[default_samples(dim)] > 0.98, alike
    assert all(later > earlier - 0.02 for earlier, later in itertools.pairwise(alike.values())), alike


def test_both_forms_of_the_regression_give_the_same_slopes() -> None:
    """Below and from the latent's length on, the smaller matrix is inverted; each form against the textbook's."""
    draw = torch.Generator().manual_seed(1)
    for count, dim in ((7, 20), (20, 20), (40, 20)):
        z, targets = torch.randn(count, dim, generator=draw), torch.randn(count, 3, generator=draw)
        centred = (z - z.mean(0)).double()
        expected = torch.linalg.inv(centred.T @ centred + 0.25 * dim * torch.eye(dim)) @ centred.T @ (targets - targets.mean(0)).double()
        assert torch.allclose(_slopes(z, targets), expected.T, atol=1e-7)


def test_components_of_many_samples_are_those_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of later samples are not kept; what is regressed on them is the same as if they were."""
    network = rough_generator(24)
    whole = ganspace(network, 1, 3, samples=600)
    monkeypatch.setattr(principal_directions, "COMPONENT_SAMPLES", 256)
    part = ganspace(network, 1, 3, samples=600)
    assert float((part[0] * whole[0]).sum(1).abs().min()) > 0.97
    assert torch.allclose(part[1], whole[1], atol=0.03)
    assert not torch.equal(part[1], whole[1])


@pytest.mark.parametrize(("dim", "expected"), [(1, 1024), (128, 1024), (256, 1024), (257, 1028), (1536, 6144), (4096, 16384), (65536, 16384)])
def test_default_samples_grow_with_the_latent(dim: int, expected: int) -> None:
    assert default_samples(dim) == expected


def test_few_samples_are_taken_and_called_rough(placed: LoadedArtifact, caplog: pytest.LogCaptureFixture) -> None:
    for samples in (32, 64, None):
        directions(placed, layer="fg", by="features", samples=samples)
    assert caplog.messages == []
    directions(placed, layer="fg", by="features", samples=31)
    assert caplog.messages == ["warning: directions from 31 samples are rough for a latent of 16 numbers; give 32 samples or more"]


def test_one_sample_more_than_directions_is_enough() -> None:
    network = rough_generator(96)
    for count in (1, 2, 8):
        vectors, shares = ganspace(network, 1, count, samples=count + 1)
        assert torch.allclose(vectors @ vectors.T, torch.eye(count), atol=1e-5)
        assert float(shares.sum()) == pytest.approx(1.0, abs=1e-4)


def test_features_that_never_change_have_no_directions() -> None:
    dense = nn.Linear(DIM, 40)
    nn.init.zeros_(dense.weight)
    with pytest.raises(UsageError, match=r"^--count: the features of 64 samples have only 0 directions that differ; choose at most as many, give more"):
        ganspace(generator_of(dense), 1, 2, samples=64)


def test_a_style_generator_has_directions_by_features() -> None:
    """Its blocks take a style next to the features; weights it has none that take the latent."""
    network = networks.build_generator(StyleGeneratorRecipe(latent_dim=16, widths=(8, 8, 8)), 16).eval()
    artifact = LoadedArtifact(network, make_card(network, load_recipe("classic/style-64")))
    for stage in range(1, len(network.stages)):
        assert directions(artifact, by="features", stage=stage, count=4, samples=128).vectors.shape == (4, 16)
    z = torch.randn(3, 16)
    image, features = network.forward_with_features(z)
    after = [network.features_after(z, stage) for stage in range(1, len(network.stages) + 1)]
    assert torch.equal(after[0], network.stages[0](z))
    assert all(torch.equal(one, other) for one, other in zip(after[1:], [*features, image], strict=True))
    with pytest.raises(ArtifactError, match="take directions by features"):
        directions(artifact)


@pytest.mark.parametrize("by", ["weights", "features"])
def test_directions_are_those_of_the_generator_that_the_composition_adapted(by: By, fg: LoadedArtifact, scene: LoadedArtifact) -> None:
    """Against the same generator whose own scales and shifts were changed."""
    assert scene.composer is not None
    generators = dict(scene.composer.generators.items())
    composer = networks.build_composer(ComposerRecipe(adapters="channels"), generators, scene.card.size_px).eval()
    changed = {name: copy.deepcopy(generator) for name, generator in composer.generators.items()}
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, generator in changed.items():
            adapter = cast(FeatureAffineAdapter, composer.adapters[name])
            norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
            for norm, scale, shift in zip(norms, adapter.scales, adapter.shifts, strict=True):
                scale.copy_(torch.randn(scale.shape, generator=draw))
                shift.copy_(torch.randn(shift.shape, generator=draw))
                norm.weight.add_(scale)
                norm.bias.add_(shift)
    plain = networks.build_composer(ComposerRecipe(), changed, scene.card.size_px).eval()
    adapted, expected = (LoadedArtifact(network, scene.card) for network in (composer, plain))
    before = [tensor.clone() for tensor in composer.state_dict().values()]
    for name in generators:
        own, other, bare = (directions(artifact, layer=name, by=by, count=2, samples=256) for artifact in (adapted, expected, scene))
        assert torch.equal(own.vectors, other.vectors)
        assert torch.equal(own.shares, other.shares)
        assert not torch.allclose(own.shares, bare.shares, atol=1e-3)
    parents = adapted.sample([1, 2])
    for share in (0.0, 1.0):
        assert torch.allclose(mix(adapted, 1, 2, weight=share, features=1).stages.output[0], parents[int(share)], atol=1e-5)
    half = [mix(artifact, 1, 2, features=1).stages.layers for artifact in (adapted, expected)]
    assert all(torch.allclose(image, half[1][name], atol=1e-5) for name, image in half[0].items()), "hooks reach generators that adapters change"
    assert all(torch.equal(one, other) for one, other in zip(before, composer.state_dict().values(), strict=True))


def test_directions_of_each_layer(placed: LoadedArtifact) -> None:
    for layer, dim in (("fg", 16), ("bg", 12)):
        for by in ("weights", "features"):
            found = directions(placed, layer=layer, by=by, samples=128)  # type: ignore[arg-type]
            assert found.vectors.shape == (8, dim)
            assert torch.allclose(found.vectors @ found.vectors.T, torch.eye(8), atol=1e-5)
            assert 0 < float(found.shares.sum()) <= 1 + 1e-6
            assert found.stage == (None if by == "weights" else "base")
            again = directions(placed, layer=layer, by=by, samples=128)  # type: ignore[arg-type]
            assert torch.equal(again.vectors, found.vectors)


def test_a_short_latent_has_as_many_as_numbers(fg: LoadedArtifact) -> None:
    assert directions(fg).vectors.shape == (3, 3)


def test_the_first_direction_tells_more_than_the_last(placed: LoadedArtifact) -> None:
    found = directions(placed, layer="fg", count=16)
    z = placed.latents(range(32))
    before = placed.layers_from_latents(z).layers["fg"]
    moved = z.repeat(2, 1)
    moved[:32, :16] += found.vectors[0]
    moved[32:, :16] += found.vectors[-1]
    after = placed.layers_from_latents(moved).layers["fg"]
    assert (after[:32] - before).abs().mean() > 1.5 * (after[32:] - before).abs().mean()


def test_a_walk_passes_its_point(placed: LoadedArtifact) -> None:
    found = directions(placed, layer="bg", count=2)
    walk = traverse(placed, found, at=5, sigmas=(-1, 0, 2))
    assert len(walk.images) == 6
    for row in (0, 1):
        assert torch.allclose(walk.images[3 * row + 1], placed.sample([5])[0], atol=1e-6)
    z = placed.latents([5])
    z[:, 16:28] += 2 * found.vectors[1]
    assert torch.allclose(walk.images[5], placed.images_from_latents(z)[0], atol=1e-5)
    alone = traverse(placed, found, at=5, sigmas=(0,), alone=True)
    assert torch.allclose(alone.images[0], placed.layers([5]).layers["bg"][0], atol=1e-6)


def test_directions_are_kept_for_their_artifact(placed: LoadedArtifact, scene: LoadedArtifact, tmp_path: Path) -> None:
    path = tmp_path / "directions.safetensors"
    found = directions(placed, layer="fg", by="features", samples=64)
    write_directions(path, found, placed.tensors_sha256)
    read = read_directions(path, placed)
    assert (read.layer, read.by, read.stage) == ("fg", "features", "base")
    assert torch.equal(read.vectors, found.vectors)
    assert torch.equal(read.shares, found.shares)
    with pytest.raises(ArtifactError, match="another artifact's"):
        read_directions(path, scene)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match=r"directions\.safetensors"):
        read_directions(path, placed)


def test_an_artifact_is_no_directions(artifacts: dict[str, Path], fg: LoadedArtifact) -> None:
    with pytest.raises(ArtifactError, match="holds no directions"):
        read_directions(artifacts["fg"], fg)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"layer": "sky"}, "^layer: there is no layer 'sky'"),
    ({"layer": "place"}, "^layer place: no generator is behind this latent; choose from fg, bg$"),
    ({"count": 0}, "^--count: 0 directions"), ({"count": 17}, "^--count: 17 directions of a latent of 16 numbers"),
    ({"by": "luck"}, "^--by: there is no 'luck'; choose from features, weights$"),
    ({"stage": 1}, "^stage: weights are always those of the first"), ({"by": "features", "stage": 9}, "^stage 9: choose a stage"),
    ({"by": "features", "samples": 8}, "^--samples: 8 are too few for 8 directions"),
])  # fmt: skip
def test_directions_that_cannot_be(arguments: dict[str, object], message: str, placed: LoadedArtifact) -> None:
    with pytest.raises(UsageError, match=message):
        directions(placed, **arguments)  # type: ignore[arg-type]


def test_a_generator_without_first_weights_says_so() -> None:
    with pytest.raises(ArtifactError, match="does not begin with weights that take the latent; take directions by features"):
        sefa(generator_of(nn.ReLU()), 2)


def test_walks_that_cannot_be(placed: LoadedArtifact) -> None:
    found = Directions("fg", "weights", None, torch.eye(16)[:2], torch.ones(2) / 16)
    for sigmas in ((), (21,), (float("nan"),)):
        with pytest.raises(UsageError, match=r"^sigmas: give steps from -20 to 20"):
            traverse(placed, found, sigmas=sigmas)
    with pytest.raises(UsageError, match=r"^directions: have 5 numbers, the artifact's fg has 16"):
        traverse(placed, found._replace(vectors=torch.zeros(2, 5)))
