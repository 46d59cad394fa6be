"""The stages: recipe + data + networks + objective + training -> a run with an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mitlgan import networks, objectives
from mitlgan.artifacts import artifact
from mitlgan.artifacts.artifact import Card, LayerCard
from mitlgan.artifacts.safetensors_io import checkpoints, load_checkpoint, tensors_sha256
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import Packed
from mitlgan.errors import ArtifactError, ResourceError, UsageError
from mitlgan.recipe import Recipe, changed, differences, display_name, dump, parse, plain
from mitlgan.runtime.distributed import World, wait_for_all
from mitlgan.runtime.files import locked, remove_temporaries, write_atomically, write_json
from mitlgan.runtime.progress import Reporter, counted_lines
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.initial_weights import critic_weights, initial_generator, parent_account, with_critic_parent, with_parent
from mitlgan.stages.placement_fit import measure_stands
from mitlgan.training import run_directory
from mitlgan.training.artifacts import Keeper, freeze
from mitlgan.training.loop import Hooks, Problem, train
from mitlgan.training.run_directory import Run
from mitlgan.training.state import TrainingState

RUNS = Path("runs")


@dataclass(frozen=True)
class Environment:
    """Where and how a stage works.

    Attributes:
        world: This process among its like, and its device.
        reporter: Who is told.
        root: Runs are made under it.
        line: Also told each line of statistics, with the run that it is of.
    """

    world: World
    reporter: Reporter
    root: Path = RUNS
    line: Callable[[Path, Mapping[str, Any]], None] | None = None


def pretrain(recipe: Recipe, environment: Environment, *, start: Path | None = None, critic: Path | None = None) -> Run:
    """Train a generator on one kind of pictures and freeze it.

    Args:
        recipe: With a [generator].
        environment: Where and how.
        start: Artifact whose weights the generator begins with, or that it grows from.
        critic: Run whose critic's weights the critic begins with, or a critic that was kept.

    Returns:
        The finished run; its artifact is the moving average.

    Raises:
        MitlganError: See the errors' own classes.
    """
    if recipe.generator is None:
        raise UsageError(f"--recipe {recipe.name}: has no [generator]; give one for `pretrain`")
    recipe = with_critic_parent(with_parent(recipe, start), critic, environment.reporter.say)
    weights = critic_weights(critic, recipe, environment.reporter.say)
    generator = initial_generator(recipe, start)
    parent = parent_account(start)
    pixels = pictures(recipe, reporter=environment.reporter)
    inputs = {} if start is None else {"start": artifact.tensors_hash(start)}
    return _run(recipe, _problem(recipe, generator, pixels, {}, parent), environment, inputs, weights)


def compose(recipe: Recipe, layers: Mapping[str, Path], environment: Environment, *, critic: Path | None = None) -> Run:
    """Join frozen generators by a fusion and a translator, against a critic that is newly initialised, as the thesis' is, unless a run is named.

    Args:
        recipe: With a [composer].
        layers: Artifact of each layer by name, in the order of their latents.
        environment: Where and how.
        critic: Run whose critic's weights the critic begins with, or a critic that was kept.

    Returns:
        The finished run; its artifact holds the frozen layers, and its card proves by hash that they did not move.

    Raises:
        MitlganError: See the errors' own classes.
    """
    recipe = with_critic_parent(recipe, critic, environment.reporter.say)
    if recipe.composer is None:
        raise UsageError(f"--recipe {recipe.name}: has no [composer]; give one for `compose`")
    weights = critic_weights(critic, recipe, environment.reporter.say)
    loaded = {name: artifact.load_layer(path, name, recipe.size_px, recipe.composer.resample) for name, path in layers.items()}
    pixels = pictures(recipe, reporter=environment.reporter)
    torch.manual_seed(derived_seed(recipe.seed, "initial composer"))
    composer = networks.build_composer(recipe.composer, {name: generator for name, (generator, _) in loaded.items()}, recipe.size_px)
    before = artifact.layer_hashes(composer)
    cards = {name: _layer_card(card, before[name]) for name, (_, card) in loaded.items()}
    measure_stands(recipe, composer, pixels, environment.reporter.say)
    return _run(recipe, _problem(recipe, composer, pixels, cards), environment, before, weights)


def train_inpainter(recipe: Recipe, environment: Environment) -> Run:
    """Train a context encoder to fill holes, against a critic as any other's, and freeze it.

    Args:
        recipe: With an [inpainter].
        environment: Where and how.

    Returns:
        The finished run; its artifact is the moving average.

    Raises:
        MitlganError: See the errors' own classes.
    """
    recipe = with_critic_parent(recipe, None, environment.reporter.say)
    if recipe.inpainter is None:
        raise UsageError(f"--recipe {recipe.name}: has no [inpainter]; give one such as inpaint/context-32")
    weights = critic_weights(None, recipe, environment.reporter.say)
    pixels = pictures(recipe, reporter=environment.reporter)
    torch.manual_seed(derived_seed(recipe.seed, f"initial inpainter {recipe.role}"))
    return _run(recipe, _problem(recipe, networks.build_inpainter(recipe.inpainter, recipe.size_px), pixels, {}), environment, {}, weights)


def resume(path: Path, environment: Environment, *, more_kimg: float = 0.0) -> Run:
    """Go on with a run from its newest checkpoint, with the thread count it was made with.

    Args:
        path: The run directory.
        environment: Where and how; its root is not used.
        more_kimg: Added to the run's length.

    Raises:
        UsageError: Not a run directory.
        ArtifactError: No checkpoint, or it does not belong to the run's recipe.
        ResourceError: Another process works on the run.
    """
    run = run_directory.at(path)
    with _held(run, environment.world):
        recipe, found = _recipe_and_checkpoint(run, environment)
        if found[1].get("world_size", 1) != environment.world.size:
            raise ArtifactError(f"{path}: was trained by {found[1]['world_size']} processes, now {environment.world.size}; start as many")
        if more_kimg:
            recipe = changed(recipe, training__kimg=recipe.training.kimg + more_kimg)
            wait_for_all(environment.world)  # every rank has read the shorter one
            if environment.world.leads:
                write_atomically(run.recipe, dump(recipe))
        _restore_threads(int(found[1].get("threads", 0)), environment)
        pixels = pictures(recipe, reporter=environment.reporter)
        _warn_of_other_pictures(recipe, pixels, found[1], environment.reporter.say)
        problem = _problem_from_checkpoint(recipe, pixels, found[1])
        return _train_and_freeze(run, recipe, problem, environment, found)


def end(path: Path, environment: Environment) -> Run:
    """End a run where its newest checkpoint is: freeze what that holds, however much of the recipe's length is left.

    Args:
        path: The run directory.
        environment: Where and how; its root is not used.

    Raises:
        UsageError: Not a run directory.
        ArtifactError: No checkpoint, or it does not belong to the run's recipe.
        ResourceError: Another process works on the run.
    """
    run = run_directory.at(path)
    with _held(run, environment.world):
        recipe, found = _recipe_and_checkpoint(run, environment)
        pixels = pictures(recipe, reporter=environment.reporter)
        problem = _problem_from_checkpoint(recipe, pixels, found[1])
        state = TrainingState(problem.generator, problem.critic, recipe)
        state.restore(*found)
        if environment.world.leads:
            freeze(run, recipe, problem, state)
    return run


def resumed_or_new(recipe: Recipe, environment: Environment) -> Run:
    """The finished training of exactly this recipe of a generator or inpainter under the environment's root: found, finished, or begun.

    Raises:
        MitlganError: As `pretrain` and `resume`.
    """
    found = matching_run(environment.root, recipe)
    if found is None:
        return pretrain(recipe, environment) if recipe.inpainter is None else train_inpainter(recipe, environment)
    if found.artifact is None:
        return resume(found.path, environment)
    tell_other_pictures(found, recipe, environment.reporter.say)
    return found


def tell_other_pictures(run: Run, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Say it where a finished run is taken that was trained on other pictures than its recipe names now."""
    data = {} if run.artifact is None else artifact.read_card(run.artifact).data
    if "content_sha256" in data:
        header = {"data_sha256": data["content_sha256"], "data_count": data.get("count", "?")}
        _warn_of_other_pictures(recipe, pictures(recipe), header, say)


def matching_run(root: Path, recipe: Recipe, inputs: Mapping[str, str] | None = None) -> Run | None:
    """The newest run of exactly this recipe that is finished or has a checkpoint.

    Args:
        root: Of the runs.
        recipe: All settings.
        inputs: Hashes of the artifacts that it was made from, as `Run.inputs` gives them; None takes any.
    """
    for run in reversed(run_directory.find(root, recipe.command)):
        try:
            if run_directory.is_of(run, recipe, inputs) and (run.artifact is not None or checkpoints(run.path)):
                return run
        except ResourceError:  # a run that cannot be gone on with
            continue
    return None


def pictures(recipe: Recipe, split: str = "train", *, reporter: Reporter | None = None, say: Callable[[str], None] | None = None) -> Packed:
    """The packed pictures of a recipe; a folder that is seen for the first time is decoded now.

    Args:
        recipe: Names them.
        split: Which of them.
        reporter: Told how far the decoding is, if it takes long, and which part of a folder was taken.
        say: The same, where there is no reporter.

    Raises:
        DataError: There are none that can be used.
    """
    say = say if reporter is None else reporter.say
    told = None if say is None else counted_lines("reading pictures", say)
    return open_data(recipe.data.source, recipe.role, recipe.size_px, resize=recipe.data.resize, split=split, progress=told, say=say)


def _problem(
    recipe: Recipe, network: nn.Module, pixels: Packed, layers: Mapping[str, LayerCard], parent: Mapping[str, Any] | None = None
) -> Problem:  # fmt: skip
    # The purpose names the stage: a composition's critic shares no tensor with a pretraining's, whatever their seeds.
    torch.manual_seed(derived_seed(recipe.seed, f"initial critic {recipe.command} {recipe.role}"))
    critic = networks.build_critic(recipe.critic, recipe.size_px)
    objective = objectives.build(recipe.objective)
    objectives.check_critic(recipe.objective, critic)
    if recipe.critic_start is not None:
        critic.freeze(recipe.critic_start.freeze)
    header = {"layers": {name: plain(card) for name, card in layers.items()}, **({"parent": dict(parent)} if parent else {})}
    return Problem(network, critic, objective, pixels, header)


def _problem_from_checkpoint(recipe: Recipe, pixels: Packed, header: Mapping[str, Any]) -> Problem:
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in header["layers"].items()}
    if recipe.generator is not None:
        network: nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
    elif recipe.inpainter is not None:
        network = networks.build_inpainter(recipe.inpainter, recipe.size_px)
    else:
        assert recipe.composer is not None
        generators = {name: layer.form(recipe.size_px).build() for name, layer in layers.items()}
        network = networks.build_composer(recipe.composer, generators, recipe.size_px)
    return _problem(recipe, network, pixels, layers, header.get("parent"))


def _run(recipe: Recipe, problem: Problem, environment: Environment, inputs: Mapping[str, str], critic: Mapping[str, Tensor]) -> Run:
    if len(problem.pixels) < recipe.training.batch:
        environment.reporter.say(f"warning: {len(problem.pixels)} pictures for batches of {recipe.training.batch}: each batch repeats some")
    if critic:
        problem.critic.load_state_dict({**problem.critic.state_dict(), **critic})  # a smaller critic's are a part of a grown one's
    leads = environment.world.leads
    run = run_directory.create(environment.root, recipe.command, recipe.name) if leads else Run(environment.root)  # other ranks write nothing
    with _held(run, environment.world):
        if leads:
            write_atomically(run.recipe, dump(recipe))
            write_json(run.inputs_file, {**inputs, **({"critic": tensors_sha256(critic)} if critic else {})})
            environment.reporter.say(f"{recipe.command} {recipe.role}: {run.path} ({display_name(recipe)})")
        return _train_and_freeze(run, recipe, problem, environment, None)


@contextmanager
def _held(run: Run, world: World) -> Iterator[None]:
    """The run's directory for this process alone, without what an interrupted write left; ranks other than 0 write nothing and hold nothing."""
    if not world.leads:
        yield
        return
    with locked(run.path):
        remove_temporaries(run.path)
        remove_temporaries(run.path / "snapshots", root=run.path)
        yield


def _warn_of_other_pictures(recipe: Recipe, pixels: Packed, header: Mapping[str, Any], say: Callable[[str], None]) -> None:
    before, now = str(header.get("data_sha256")), pixels.content_sha256
    if before != now:
        say(
            f"warning: {recipe.data.source}: the pictures changed since this run began: "
            f"{header.get('data_count', '?')} ({before[:12]}) then, {len(pixels)} ({now[:12]}) now"
        )


def _train_and_freeze(
    run: Run, recipe: Recipe, problem: Problem, environment: Environment, checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None
) -> Run:
    keeper = Keeper(run, recipe, problem, environment.reporter)
    if checkpoint is not None and environment.world.leads:
        keeper.forget_after(int(checkpoint[1]["counters"]["iteration"]))
    line = None if environment.line is None else partial(environment.line, run.path)
    state = train(run, recipe, problem, environment.world, environment.reporter, checkpoint=checkpoint, hooks=Hooks(keep=keeper.keep, line=line))
    if environment.world.leads:
        freeze(run, recipe, problem, state)
    return run


def _layer_card(card: Card, digest: str) -> LayerCard:
    assert card.generator is not None
    account = {
        "recipe": card.recipe.get("name", ""),
        "made_by": card.recipe,  # a comparison counts by it what the layer's own training took
        **{key: getattr(card, key) for key in ("data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit")},
        **({"parent": card.parent} if card.parent else {}),
    }
    return LayerCard(
        role=card.role, generator=card.generator, size_px=card.size_px, sha256_before=digest, sha256_after="", card=json.loads(json.dumps(account))
    )  # fmt: skip


def _recipe_and_checkpoint(run: Run, environment: Environment) -> tuple[Recipe, tuple[dict[str, Tensor], dict[str, Any]]]:
    """A run's recipe and its newest checkpoint, which belong together.

    Raises:
        ArtifactError: There is no checkpoint, or it was trained by another recipe.
    """
    found = load_checkpoint(run.path, environment.reporter.say)
    if found is None:
        raise ArtifactError(f"{run.path}: no checkpoint to go on from; start the run again")
    recipe = run.load_recipe()
    _require_same_recipe(run.path, recipe, parse(found[1]["recipe"], str(run.path)))
    return recipe, found


def _require_same_recipe(path: Path, written: Recipe, trained: Recipe) -> None:
    differing = {key: values for key, values in differences(trained, written).items() if key != "training.kimg"}
    if differing:
        shown = "; ".join(f"{key} was {then}, now {now}" for key, (then, now) in list(differing.items())[:3])
        raise ArtifactError(f"{path}: recipe.toml is not the one its checkpoint was trained with ({shown}); undo the change or start a new run")


def _restore_threads(threads: int, environment: Environment) -> None:
    if threads and threads != torch.get_num_threads():
        torch.set_num_threads(threads)  # one and two threads sum differently
        environment.reporter.say(f"{threads} threads, as the run began with")
