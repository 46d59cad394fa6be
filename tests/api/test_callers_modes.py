"""Torch's modes and random numbers of the caller do not reach into the functions of `import mitlgan` and the methods of what they load."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from helpers.torch_modes import CALLERS_MODES, every_mode
from torch import Tensor

import mitlgan
from mitlgan.api import artifacts, editing, measurements, photographs, pictures, trainings
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, render_evenly
from mitlgan.artifacts.picture_record import PictureRecord, RecordedSeed, render_record
from mitlgan.editing.principal_directions import traverse
from mitlgan.networks import EffectStrengths
from mitlgan.runtime.arguments import takes_arguments
from mitlgan.runtime.torch_modes import torch_defaults


@torch_defaults()
def as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def record(scene: LoadedArtifact) -> PictureRecord:
    latents = {name: RecordedSeed(seed=1) for name in scene.card.latent_dims}
    return PictureRecord(schema_version=1, made_by="mitlgan", artifact=scene.tensors_sha256, latents=latents, harmonise=0.3)


STRENGTHS = EffectStrengths(torch.ones(2) / 3, torch.ones(2))
CALLS: dict[str, Callable[[LoadedArtifact], Tensor]] = {
    "latents": lambda scene: scene.latents([0, 1]),
    "sample": lambda scene: scene.sample([0, 1], {"fg": (0.5, 0.333, 0.1)}),
    "strengths": lambda scene: scene.layers_from_latents(scene.latents([0, 1]), None, STRENGTHS).output,
    "interpolate": lambda scene: mitlgan.interpolate(scene, [0, 1], frames=3),
    "mix latents": lambda scene: mitlgan.mix(scene, 0, 1).stages.output,
    "mix features": lambda scene: mitlgan.mix(scene, 0, 1, features=1).stages.output,
    "directions by weights": lambda scene: mitlgan.directions(scene, count=2).vectors,
    "directions by features": lambda scene: mitlgan.directions(scene, count=2, by="features", samples=256).vectors,
    "traverse": torch_defaults()(lambda scene: traverse(scene, mitlgan.directions(scene, count=2), sigmas=(-1.0, 0.5))[0]),
    "render evenly": torch_defaults()(lambda scene: render_evenly(scene, scene.latents([0, 1]), {"fg": (0.5, 0.333, 0.1)}).output),
    "recorded": torch_defaults()(lambda scene: render_record(scene, record(scene), "record").output),
    "sheet": lambda scene: as_tensor(mitlgan.sheet(scene.layers([0, 1]), scale=2)),
    "grid": lambda scene: as_tensor(mitlgan.grid(scene.layers([0, 1]).layers["fg"], scale=2)),
    "animate": lambda scene: as_tensor(mitlgan.animate(scene.layers([0, 1]).layers["fg"])),
    "load": lambda _: next(mitlgan.load("pretrained/modern-bg-32").network.parameters()),
}


@pytest.fixture(scope="module")
def scene() -> LoadedArtifact:
    return mitlgan.load("pretrained/modern-32")


@pytest.fixture(scope="module")
def expected(scene: LoadedArtifact) -> dict[str, Tensor]:
    return {name: call(scene) for name, call in CALLS.items()}


@pytest.mark.parametrize("mode", CALLERS_MODES.values(), ids=CALLERS_MODES)
def test_results_are_the_same_to_the_bit_and_ordinary_tensors(
    mode: Callable[[], AbstractContextManager[object]], scene: LoadedArtifact, expected: dict[str, Tensor]
) -> None:
    for name, call in CALLS.items():
        with mode():
            result = call(scene)
        assert torch.equal(result, expected[name]), name
        assert not result.is_inference(), name


def test_random_numbers_of_the_caller_are_not_used_up() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    takes_arguments(is_training=True)(lambda: torch.manual_seed(1))()
    assert torch.equal(torch.rand(1), expected)


@contextmanager
def refused_changes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the context, what all threads share cannot be changed, not even for a while."""

    def refuse(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        for name in ("set_default_dtype", "set_deterministic_debug_mode", "use_deterministic_algorithms", "set_rng_state", "manual_seed"):
            patch.setattr(torch, name, refuse)
        numbers = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), numbers), "numbers were drawn"


def test_what_makes_pictures_changes_nothing_that_other_threads_share(
    scene: LoadedArtifact, expected: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with every_mode(), refused_changes(monkeypatch):
        for name, call in CALLS.items():
            assert torch.equal(call(scene), expected[name]), name
        mitlgan.export(scene, "png-sheet", tmp_path / "sheet.png")


def test_trainings_and_measurements_alone_change_what_threads_share() -> None:
    functions = {
        name: function for module in (artifacts, editing, measurements, photographs, pictures, trainings) for name, function in vars(module).items()
    }
    telling = {name for name in mitlgan.__all__ if "call_with_shared_defaults" in (getattr(functions.get(name), "__doc__", None) or "")}
    assert telling == {"pretrain", "compose", "make", "evaluate", "compare"}


def test_every_method_that_returns_tensors_has_the_defaults() -> None:
    methods = [method for name, method in vars(LoadedArtifact).items() if inspect.isfunction(method) and not name.startswith("_")]
    computing = [method for method in methods if method.__annotations__["return"] in ("Tensor", "CompositionStages")]
    assert len(computing) == 5
    assert all(hasattr(method, "__wrapped__") for method in computing)
