"""The stages: pretraining freezes a generator, composing leaves it frozen, and a run that is there already is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from helpers.short_exports import IMAGES_OF_USERS
from torch import Tensor, nn

import mitlgan
from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import layer_hashes, load_network, network_hash, network_tensors
from mitlgan.artifacts.safetensors_io import read_tensors, tensors_sha256
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import Composer, batchnorm
from mitlgan.recipe import Recipe, as_dict, diff_recipes, parse_recipe, with_overrides
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.existing_runs import find_matching_run, get_or_train
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import loop as train
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run
from mitlgan.training.state import TrainingState


@pytest.fixture
def scene(packs: dict[str, Path]) -> Recipe:
    return tiny_runs.recipe("scene", packs["scene"], compose=True)


def artifact_of(run: Run) -> Path:
    assert run.artifact_file is not None
    return run.artifact_file


def critics(run: Run) -> list[dict[str, Tensor]]:
    """The critic's tensors in each checkpoint of a run: newly initialised, and trained."""
    return [{name: t for name, t in read_tensors(path)[0].items() if name.startswith("critic.")} for path in list_checkpoints(run.path)]


def rows(tensor: Tensor) -> Tensor:
    """One row per output channel."""
    return tensor.reshape(len(tensor), -1) if tensor.ndim else tensor.reshape(1, 1)


# Pretraining


def test_pretraining_ends_with_a_frozen_generator_and_its_account(pretrained: dict[str, Run], packs: dict[str, Path]) -> None:
    network, card = load_network(artifact_of(pretrained["fg"]))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert (card.kind, card.role, card.size_px, card.latent_dims, card.kimg, card.iterations) == ("generator", "fg", 8, {"fg": 3}, 0.024, 3)
    assert card.data["count"] == 12
    assert card.data["content_sha256"] == json.loads(packs["fg"].with_suffix(".json").read_text())["content_sha256"]
    assert card.seconds > 0
    assert card.credit == "CC0"
    assert parse_recipe(card.recipe) == tiny_runs.recipe("fg", packs["fg"])
    assert not any(b"pickle" in path.read_bytes() for path in pretrained["fg"].path.rglob("*.safetensors"))


def test_the_artifact_is_the_moving_average_with_statistics_of_its_own(
    packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in zip(("RECALIBRATION_BATCHES", "RECALIBRATION_BATCH"), IMAGES_OF_USERS, strict=True):
        monkeypatch.setattr(batchnorm, name, number)
    states = captured(monkeypatch)
    run = pretrain(tiny_runs.recipe("fg", packs["fg"]), environment)
    (state,) = states
    network, _ = load_network(artifact_of(run))
    average, trained = network_tensors(state.ema), network_tensors(state.generator)
    assert all(torch.equal(tensor, average[name]) for name, tensor in network_tensors(network).items())
    assert not torch.equal(average["stages.base.dense.weight"], trained["stages.base.dense.weight"])
    z = torch.randn(4096, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # its statistics fit its weights: it gives the same as by the statistics of a large batch
        assert (network(z) - state.ema.train()(z)).abs().mean() < 0.02
        for name, tensor in trained.items():
            state.ema.state_dict()[name].copy_(tensor)
        assert (state.ema.eval()(z) - state.ema.train()(z)).abs().mean() > 0.05  # after three updates, the running ones do not


def captured(monkeypatch: pytest.MonkeyPatch) -> list[TrainingState]:
    """Keeps the state that each training ends with."""
    states: list[TrainingState] = []
    real = train.train

    def train_and_keep(*args: Any, **options: Any) -> TrainingState:
        states.append(real(*args, **options))
        return states[-1]

    monkeypatch.setattr("mitlgan.stages.training_run.train", train_and_keep)
    return states


def test_a_start_gives_the_first_weights(pretrained: dict[str, Run], packs: dict[str, Path], environment: RunContext) -> None:
    given = artifact_of(pretrained["fg"])
    run = pretrain(tiny_runs.recipe("fg", packs["fg"], seed=6), environment, start=given)
    first, _ = read_tensors(list_checkpoints(run.path)[0])
    for name, tensor in read_tensors(given)[0].items():
        assert torch.equal(first[f"generator.{name}"], tensor)
        assert torch.equal(first[f"ema.{name}"], tensor)
    last, _ = read_tensors(artifact_of(run))
    assert not any(torch.equal(last[name], tensor) for name, tensor in read_tensors(given)[0].items() if name.endswith("weight"))


def test_a_start_of_another_architecture_is_refused(pretrained: dict[str, Run], composed: Run, packs: dict[str, Path], environment: RunContext) -> None:
    for path in (artifact_of(pretrained["bg"]), artifact_of(composed)):
        with pytest.raises(ArtifactError, match=r"--from .*another architecture than the recipe's \[generator\] at 8 px"):
            pretrain(tiny_runs.recipe("fg", packs["fg"]), environment, start=path)
    assert not environment.root.exists()


def test_stages_refuse_each_others_recipes(scene: Recipe, packs: dict[str, Path], pretrained: dict[str, Run], environment: RunContext) -> None:
    with pytest.raises(UsageError, match=r"has no \[generator\]"):
        pretrain(scene, environment)
    with pytest.raises(UsageError, match=r"has no \[composer\]"):
        compose(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.layers(pretrained), environment)
    assert not environment.root.exists()


# Composing: frozen layers stay as they are


def test_frozen_layers_did_not_move_and_the_card_proves_it(composed: Run, pretrained: dict[str, Run]) -> None:
    network, card = load_network(artifact_of(composed))
    assert isinstance(network, Composer)
    for name, run in pretrained.items():
        source, _ = read_tensors(artifact_of(run))
        assert any("running_var" in key for key in source)  # BatchNorm's statistics are in the hash
        assert card.layers[name].sha256_before == card.layers[name].sha256_after == tensors_sha256(source) == layer_hashes(network)[name]
        assert all(torch.equal(network.state_dict()[f"layers.{name}.{key}"], tensor) for key, tensor in source.items())
        assert card.layers[name].card["kimg"] == read_card(artifact_of(run)).kimg


def _push_weight(composer: Composer) -> None:
    next(composer.generators["bg"].parameters()).data.add_(1e-3)


def _push_statistic(composer: Composer) -> None:
    next(buffer for name, buffer in composer.generators["fg"].named_buffers() if name.endswith("running_mean")).add_(1e-3)


@pytest.mark.parametrize(("push", "layer"), [(_push_weight, "bg"), (_push_statistic, "fg")])
@pytest.mark.parametrize("part", ["generator", "ema"])
def test_a_frozen_layer_that_moves_fails_the_run_without_an_artifact(
    push: Callable[[Composer], None],
    layer: str,
    part: str,
    scene: Recipe,
    pretrained: dict[str, Run],
    environment: RunContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_runs.before_step(monkeypatch, lambda loop: push(getattr(loop.state, part)), at=1)
    with pytest.raises(ArtifactError, match=f"frozen layer {layer} changed during training.*no artifact was written") as failed:
        compose(scene, tiny_runs.layers(pretrained), environment)
    assert failed.value.exit_code == 4
    (path,) = (environment.root / "compose").iterdir()
    assert not list(path.glob("*.safetensors"))
    assert not (path / "card.json").exists()
    assert Run(path).read_status()["state"] != "done"


def test_training_reaches_all_of_fusion_and_translator_and_no_optimiser_state_of_layers(composed: Run) -> None:
    first, last = (read_tensors(path)[0] for path in list_checkpoints(composed.path))
    moved = {name for name in first if name.startswith("generator.") and not torch.equal(first[name], last[name])}
    trained = {name for name in first if name.startswith(("generator.fusion.", "generator.translator."))}
    # A bias before an InstanceNorm has no slope, so Adam leaves it where it is.
    assert {name for name in trained if name.endswith("weight")} <= moved <= trained
    states = {name.split(".")[1] for name in last if name.startswith("generator_optimiser.")}
    assert len(states) == len(trained)


def test_the_critic_of_a_composition_is_newly_initialised(composed: Run, pretrained: dict[str, Run]) -> None:
    """Of one seed as all are here, no tensor of it, nor a row of one, is of either pretraining's critic, new or trained."""
    own = critics(composed)
    assert len(own) == 2
    for mine, theirs in product(own, [critic for run in pretrained.values() for critic in critics(run)]):
        assert mine.keys() == theirs.keys()
        for name, other in product(mine, theirs):
            a, b = rows(mine[name]), rows(theirs[other])
            if a.shape[1] == b.shape[1]:
                assert not (a[:, None] == b[None]).all(-1).any(), (name, other)
    assert not all(torch.equal(own[0][name], own[1][name]) for name in own[0])


def test_the_artifact_is_the_network_that_was_trained(
    scene: Recipe, pretrained: dict[str, Run], environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = captured(monkeypatch)
    run = compose(scene, tiny_runs.layers(pretrained), environment)
    average = states[0].ema
    assert isinstance(average, Composer)
    loaded = mitlgan.load(artifact_of(run))
    assert isinstance(loaded.network, Composer)
    assert list(loaded.network.generators) == list(loaded.card.latent_dims) == list(loaded.card.layers) == ["fg", "bg"]
    assert loaded.card.latent_dims == {"fg": 3, "bg": 2}
    z = loaded.latents(range(9))
    with torch.no_grad():
        expected, stages = average.to(memory_format=torch.contiguous_format).layers(z), loaded.network.layers(z)
    assert torch.equal(stages.output, expected.output)
    assert torch.equal(stages.fused, expected.fused)
    assert all(torch.equal(stages.layers[name], image) for name, image in expected.layers.items())
    assert stages.output.std() > 0


@pytest.mark.parametrize("order", [("fg", "bg"), ("bg", "fg")])
def test_the_order_of_layers_is_kept_through_artifact_and_resume(
    order: tuple[str, ...], scene: Recipe, pretrained: dict[str, Run], environment: RunContext
) -> None:
    layers = {name: tiny_runs.layers(pretrained)[name] for name in order}
    run = compose(scene, layers, environment)
    first = mitlgan.load(artifact_of(run)).sample(range(5))
    assert tuple(read_card(artifact_of(run)).layers) == order
    resume(run.path, environment)
    again = mitlgan.load(artifact_of(run))
    assert tuple(again.card.layers) == tuple(again.card.latent_dims) == order
    assert torch.equal(again.sample(range(5)), first)


def test_a_seed_of_a_composers_layer_is_the_image_of_that_seed(composed: Run, pretrained: dict[str, Run]) -> None:
    loaded = mitlgan.load(artifact_of(composed))
    stages_ = loaded.layers({"fg": [3, 7, 7], "bg": [0, 1, 0]})
    for name, seeds in (("fg", [3, 7, 7]), ("bg", [0, 1, 0])):
        own = mitlgan.load(artifact_of(pretrained[name])).sample(seeds)
        assert torch.equal(stages_.layers[name], own)
    assert not torch.equal(stages_.output[1], stages_.output[2])  # the same foreground on another background


def test_a_layer_that_does_not_fit_is_refused(composed: Run, scene: Recipe, pretrained: dict[str, Run], environment: RunContext) -> None:
    layers = tiny_runs.layers(pretrained)
    swapped = {"fg": layers["bg"], "bg": layers["fg"]}
    with pytest.raises(ArtifactError, match=r"--fg .*was trained as bg; give one that `mitlgan pretrain fg` made"):
        compose(scene, swapped, environment)
    with pytest.raises(ArtifactError, match=r"--bg .*is a composer"):
        compose(scene, {**layers, "bg": artifact_of(composed)}, environment)
    with pytest.raises(ArtifactError, match=r"--fg .*makes 8 px, the composition 16 px"):
        compose(with_overrides(scene, size_px=16), layers, environment)
    assert not environment.root.exists()


def test_frozen_layers_are_never_in_the_graph(
    scene: Recipe, pretrained: dict[str, Run], environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_training: list[bool] = []

    def watch(loop: TrainingLoop) -> None:
        composer = loop.state.generator
        assert isinstance(composer, Composer)
        for generator in composer.generators.values():
            generator.register_forward_hook(
                lambda module, args, image: is_training.append(module.training or image.requires_grad or torch.is_grad_enabled())
            )

    tiny_runs.before_step(monkeypatch, watch, at=0)
    compose(scene, tiny_runs.layers(pretrained), environment)
    assert is_training
    assert not any(is_training)


# Which run is gone on with


def test_a_matching_run_is_taken_finished_or_begun(packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_runs.recipe("bg", packs["bg"], updates=4)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, lambda _: (_ for _ in ()).throw(KeyboardInterrupt), at=2)
        with pytest.raises(KeyboardInterrupt):
            pretrain(recipe, environment)
    begun = find_matching_run(environment.root, recipe)
    assert begun is not None
    assert begun.artifact_file is None
    assert find_matching_run(environment.root, with_overrides(recipe, seed=6)) is None
    finished = get_or_train(recipe, environment)
    assert finished.path == begun.path
    written = artifact_of(finished).stat().st_mtime_ns
    assert get_or_train(recipe, environment).path == begun.path
    assert artifact_of(finished).stat().st_mtime_ns == written  # taken as it is
    assert get_or_train(with_overrides(recipe, seed=6), environment).path != begun.path
    assert len(list((environment.root / "pretrain").iterdir())) == 2


@pytest.mark.parametrize("of_checkpoint", [True, False])
def test_a_composition_of_the_same_files_is_taken(of_checkpoint: bool, scene: Recipe, pretrained: dict[str, Run], environment: RunContext) -> None:
    """Also of a checkpoint, whose file has another hash than the network that it gives."""
    layers = tiny_runs.layers(pretrained)
    if of_checkpoint:
        layers["fg"] = list_checkpoints(pretrained["fg"].path)[0]
    assert (read_weights_hash(layers["fg"]) == network_hash(layers["fg"])) is not of_checkpoint
    run = get_or_train(scene, environment, layers)
    assert run.read_inputs() == {name: network_hash(path) for name, path in layers.items()}
    assert get_or_train(scene, environment, layers).path == run.path
    last = layers | {"fg": list_checkpoints(pretrained["fg"].path)[-1]}  # gives the network that the finished run has
    assert (get_or_train(scene, environment, last).path == run.path) is not of_checkpoint


def test_recipes_that_differ_are_told_by_their_dotted_keys(packs: dict[str, Path]) -> None:
    first = tiny_runs.recipe("fg", packs["fg"])
    assert diff_recipes(first, first) == {}
    second = with_overrides(first, training__batch=8, training__limit_s=3.0, generator__widths=[5])
    assert diff_recipes(first, second) == {"training.batch": (4, 8), "training.limit_s": (None, 3.0), "generator.widths": ([6], [5])}


def test_the_initial_networks_of_stages_share_no_weights(packs: dict[str, Path], environment: RunContext) -> None:
    """Two pretrainings of one seed and one shape: their generators and critics begin differently, and so do they go on."""
    first = pretrain(tiny_runs.recipe("bg", packs["bg"]), environment)
    tree = as_dict(tiny_runs.recipe("scene", packs["scene"]))
    tree["generator"]["latent_dim"] = 2
    second = pretrain(parse_recipe(tree), environment)
    (a, *_), (b, *_) = critics(first), critics(second)
    assert not any(torch.equal(a[name], b[name]) for name in a)


def test_an_artifact_holds_no_gradient_and_no_optimiser(composed: Run) -> None:
    tensors, _ = read_tensors(artifact_of(composed))
    assert {name.split(".")[0] for name in tensors} == {"layers", "fusion", "translator"}
    assert isinstance(mitlgan.load(composed.path).network, nn.Module)
