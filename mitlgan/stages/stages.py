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
from mitlgan.artifacts.card import Card, LayerCard, read_card, read_weights_hash
from mitlgan.artifacts.load_save import layer_hashes, load_layer
from mitlgan.artifacts.safetensors_io import checkpoints, load_checkpoint, tensors_sha256
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, ResourceError, UsageError
from mitlgan.recipe import Recipe, as_dict, diff_recipes, display_name, parse_recipe, to_toml, with_overrides
from mitlgan.runtime.distributed import World, wait_for_all_ranks
from mitlgan.runtime.files import folder_lock, remove_temporary_files, write_atomically, write_json
from mitlgan.runtime.progress import Reporter, progress_logger
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.initial_weights import describe_parent, load_initial_critic, load_initial_generator, with_critic_parent, with_parent
from mitlgan.stages.placement_fit import fit_placement_to_mattes
from mitlgan.training import run_directory
from mitlgan.training.artifacts import ArtifactKeeper, export_run
from mitlgan.training.loop import Callbacks, TrainingSetup, train
from mitlgan.training.run_directory import Run
from mitlgan.training.state import TrainingState

RUNS = Path("runs")


@dataclass(frozen=True)
class RunContext:
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
    on_stats: Callable[[Path, Mapping[str, Any]], None] | None = None


def pretrain(recipe: Recipe, context: RunContext, *, start: Path | None = None, critic: Path | None = None) -> Run:
    """Train a generator on one kind of pictures and freeze it.

    Args:
        recipe: With a [generator].
        context: Where and how.
        start: Artifact whose weights the generator begins with, or that it grows from.
        critic: Run whose critic's weights the critic begins with, or a critic that was kept.

    Returns:
        The finished run; its artifact is the moving average.

    Raises:
        MitlganError: See the errors' own classes.
    """
    if recipe.generator is None:
        raise UsageError(f"--recipe {recipe.name}: has no [generator]; give one for `pretrain`")
    recipe = with_critic_parent(with_parent(recipe, start), critic, context.reporter.say)
    weights = load_initial_critic(critic, recipe, context.reporter.say)
    generator = load_initial_generator(recipe, start)
    parent = describe_parent(start)
    pixels = open_recipe_data(recipe, reporter=context.reporter)
    inputs = {} if start is None else {"start": read_weights_hash(start)}
    return _run(recipe, make_setup(recipe, generator, pixels, {}, parent), context, inputs, weights)


def compose(recipe: Recipe, layers: Mapping[str, Path], context: RunContext, *, critic: Path | None = None) -> Run:
    """Join frozen generators by a fusion and a translator, against a critic that is newly initialised, as the thesis' is, unless a run is named.

    Args:
        recipe: With a [composer].
        layers: Artifact of each layer by name, in the order of their latents.
        context: Where and how.
        critic: Run whose critic's weights the critic begins with, or a critic that was kept.

    Returns:
        The finished run; its artifact holds the frozen layers, and its card proves by hash that they did not move.

    Raises:
        MitlganError: See the errors' own classes.
    """
    recipe = with_critic_parent(recipe, critic, context.reporter.say)
    if recipe.composer is None:
        raise UsageError(f"--recipe {recipe.name}: has no [composer]; give one for `compose`")
    weights = load_initial_critic(critic, recipe, context.reporter.say)
    loaded = {name: load_layer(path, name, recipe.size_px, recipe.composer.resample) for name, path in layers.items()}
    pixels = open_recipe_data(recipe, reporter=context.reporter)
    torch.manual_seed(derived_seed(recipe.seed, "initial composer"))
    composer = networks.build_composer(recipe.composer, {name: generator for name, (generator, _) in loaded.items()}, recipe.size_px)
    before = layer_hashes(composer)
    cards = {name: _layer_card(card, before[name]) for name, (_, card) in loaded.items()}
    fit_placement_to_mattes(recipe, composer, pixels, context.reporter.say)
    return _run(recipe, make_setup(recipe, composer, pixels, cards), context, before, weights)


def train_inpainter(recipe: Recipe, context: RunContext) -> Run:
    """Train a context encoder to fill holes, against a critic as any other's, and freeze it.

    Args:
        recipe: With an [inpainter].
        context: Where and how.

    Returns:
        The finished run; its artifact is the moving average.

    Raises:
        MitlganError: See the errors' own classes.
    """
    recipe = with_critic_parent(recipe, None, context.reporter.say)
    if recipe.inpainter is None:
        raise UsageError(f"--recipe {recipe.name}: has no [inpainter]; give one such as inpaint/context-32")
    weights = load_initial_critic(None, recipe, context.reporter.say)
    pixels = open_recipe_data(recipe, reporter=context.reporter)
    torch.manual_seed(derived_seed(recipe.seed, f"initial inpainter {recipe.role}"))
    return _run(recipe, make_setup(recipe, networks.build_inpainter(recipe.inpainter, recipe.size_px), pixels, {}), context, {}, weights)


def resume(path: Path, context: RunContext, *, more_kimg: float = 0.0) -> Run:
    """Go on with a run from its newest checkpoint, with the thread count it was made with.

    Args:
        path: The run directory.
        context: Where and how; its root is not used.
        more_kimg: Added to the run's length.

    Raises:
        UsageError: Not a run directory.
        ArtifactError: No checkpoint, or it does not belong to the run's recipe.
        ResourceError: Another process works on the run.
    """
    run = run_directory.open_run(path)
    with _held(run, context.world):
        recipe, found = _recipe_and_checkpoint(run, context)
        if found[1].get("world_size", 1) != context.world.size:
            raise ArtifactError(f"{path}: was trained by {found[1]['world_size']} processes, now {context.world.size}; start as many")
        if more_kimg:
            recipe = with_overrides(recipe, training__kimg=recipe.training.kimg + more_kimg)
            wait_for_all_ranks(context.world)  # every rank has read the shorter one
            if context.world.is_leader:
                write_atomically(run.recipe, to_toml(recipe))
        _restore_threads(int(found[1].get("threads", 0)), context)
        pixels = open_recipe_data(recipe, reporter=context.reporter)
        _warn_of_other_pictures(recipe, pixels, found[1], context.reporter.say)
        problem = setup_from_checkpoint(recipe, pixels, found[1])
        return _train_and_freeze(run, recipe, problem, context, found)


def finish_at_checkpoint(path: Path, context: RunContext) -> Run:
    """End a run where its newest checkpoint is: freeze what that holds, however much of the recipe's length is left.

    Args:
        path: The run directory.
        context: Where and how; its root is not used.

    Raises:
        UsageError: Not a run directory.
        ArtifactError: No checkpoint, or it does not belong to the run's recipe.
        ResourceError: Another process works on the run.
    """
    run = run_directory.open_run(path)
    with _held(run, context.world):
        recipe, found = _recipe_and_checkpoint(run, context)
        pixels = open_recipe_data(recipe, reporter=context.reporter)
        problem = setup_from_checkpoint(recipe, pixels, found[1])
        state = TrainingState(problem.generator, problem.critic, recipe)
        state.restore(*found)
        if context.world.is_leader:
            export_run(run, recipe, problem, state)
    return run


def get_or_train(recipe: Recipe, context: RunContext) -> Run:
    """The finished training of exactly this recipe of a generator or inpainter under the environment's root: found, finished, or begun.

    Raises:
        MitlganError: As `pretrain` and `resume`.
    """
    found = find_matching_run(context.root, recipe)
    if found is None:
        return pretrain(recipe, context) if recipe.inpainter is None else train_inpainter(recipe, context)
    if found.artifact is None:
        return resume(found.path, context)
    warn_if_data_changed(found, recipe, context.reporter.say)
    return found


def warn_if_data_changed(run: Run, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Say it where a finished run is taken that was trained on other pictures than its recipe names now."""
    data = {} if run.artifact is None else read_card(run.artifact).data
    if "content_sha256" in data:
        header = {"data_sha256": data["content_sha256"], "data_count": data.get("count", "?")}
        _warn_of_other_pictures(recipe, open_recipe_data(recipe), header, say)


def find_matching_run(root: Path, recipe: Recipe, inputs: Mapping[str, str] | None = None) -> Run | None:
    """The newest run of exactly this recipe that is finished or has a checkpoint.

    Args:
        root: Of the runs.
        recipe: All settings.
        inputs: Hashes of the artifacts that it was made from, as `Run.inputs` gives them; None takes any.
    """
    for run in reversed(run_directory.list_runs(root, recipe.command)):
        try:
            if run_directory.matches(run, recipe, inputs) and (run.artifact is not None or checkpoints(run.path)):
                return run
        except ResourceError:  # a run that cannot be gone on with
            continue
    return None


def open_recipe_data(recipe: Recipe, split: str = "train", *, reporter: Reporter | None = None, say: Callable[[str], None] | None = None) -> ImagePack:
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
    told = None if say is None else progress_logger("reading pictures", say)
    return open_data(recipe.data.source, recipe.role, recipe.size_px, resize=recipe.data.resize, split=split, progress=told, say=say)


def make_setup(
    recipe: Recipe, network: nn.Module, pixels: ImagePack, layers: Mapping[str, LayerCard], parent: Mapping[str, Any] | None = None
) -> TrainingSetup:  # fmt: skip
    """Return the setup of a network's training, with a new critic and the objective of the recipe."""
    # The purpose names the stage: a composition's critic shares no tensor with a pretraining's, whatever their seeds.
    torch.manual_seed(derived_seed(recipe.seed, f"initial critic {recipe.command} {recipe.role}"))
    critic = networks.build_critic(recipe.critic, recipe.size_px)
    objective = objectives.build(recipe.objective)
    objectives.check_critic(recipe.objective, critic)
    if recipe.critic_start is not None:
        critic.freeze_first_blocks(recipe.critic_start.freeze)
    header = {"layers": {name: as_dict(card) for name, card in layers.items()}, **({"parent": dict(parent)} if parent else {})}
    return TrainingSetup(network, critic, objective, pixels, header)


def setup_from_checkpoint(recipe: Recipe, pixels: ImagePack, header: Mapping[str, Any]) -> TrainingSetup:
    """Return the setup of the training that a checkpoint's header describes, with new networks."""
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in header["layers"].items()}
    if recipe.generator is not None:
        network: nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
    elif recipe.inpainter is not None:
        network = networks.build_inpainter(recipe.inpainter, recipe.size_px)
    else:
        assert recipe.composer is not None
        generators = {name: layer.generator_spec(recipe.size_px).build() for name, layer in layers.items()}
        network = networks.build_composer(recipe.composer, generators, recipe.size_px)
    return make_setup(recipe, network, pixels, layers, header.get("parent"))


def _run(recipe: Recipe, problem: TrainingSetup, environment: RunContext, inputs: Mapping[str, str], critic: Mapping[str, Tensor]) -> Run:
    if len(problem.pack) < recipe.training.batch:
        environment.reporter.say(f"warning: {len(problem.pack)} pictures for batches of {recipe.training.batch}: each batch repeats some")
    if critic:
        problem.critic.load_state_dict({**problem.critic.state_dict(), **critic})  # a smaller critic's are a part of a grown one's
    leads = environment.world.is_leader
    run = run_directory.create(environment.root, recipe.command, recipe.name) if leads else Run(environment.root)  # other ranks write nothing
    with _held(run, environment.world):
        if leads:
            write_atomically(run.recipe, to_toml(recipe))
            write_json(run.inputs_file, {**inputs, **({"critic": tensors_sha256(critic)} if critic else {})})
            environment.reporter.say(f"{recipe.command} {recipe.role}: {run.path} ({display_name(recipe)})")
        return _train_and_freeze(run, recipe, problem, environment, None)


@contextmanager
def _held(run: Run, world: World) -> Iterator[None]:
    """The run's directory for this process alone, without what an interrupted write left; ranks other than 0 write nothing and hold nothing."""
    if not world.is_leader:
        yield
        return
    with folder_lock(run.path):
        remove_temporary_files(run.path)
        remove_temporary_files(run.path / "snapshots", root=run.path)
        yield


def _warn_of_other_pictures(recipe: Recipe, pixels: ImagePack, header: Mapping[str, Any], say: Callable[[str], None]) -> None:
    before, now = str(header.get("data_sha256")), pixels.content_sha256
    if before != now:
        say(
            f"warning: {recipe.data.source}: the pictures changed since this run began: "
            f"{header.get('data_count', '?')} ({before[:12]}) then, {len(pixels)} ({now[:12]}) now"
        )


def _train_and_freeze(
    run: Run, recipe: Recipe, problem: TrainingSetup, environment: RunContext, checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None
) -> Run:
    keeper = ArtifactKeeper(run, recipe, problem, environment.reporter)
    if checkpoint is not None and environment.world.is_leader:
        keeper.discard_after(int(checkpoint[1]["counters"]["iteration"]))
    line = None if environment.on_stats is None else partial(environment.on_stats, run.path)
    state = train(
        run,
        recipe,
        problem,
        environment.world,
        environment.reporter,
        checkpoint=checkpoint,
        callbacks=Callbacks(save_artifact=keeper.keep, on_stats=line),
    )
    if environment.world.is_leader:
        export_run(run, recipe, problem, state)
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


def _recipe_and_checkpoint(run: Run, environment: RunContext) -> tuple[Recipe, tuple[dict[str, Tensor], dict[str, Any]]]:
    """A run's recipe and its newest checkpoint, which belong together.

    Raises:
        ArtifactError: There is no checkpoint, or it was trained by another recipe.
    """
    found = load_checkpoint(run.path, environment.reporter.say)
    if found is None:
        raise ArtifactError(f"{run.path}: no checkpoint to go on from; start the run again")
    recipe = run.load_recipe()
    _require_same_recipe(run.path, recipe, parse_recipe(found[1]["recipe"], str(run.path)))
    return recipe, found


def _require_same_recipe(path: Path, written: Recipe, trained: Recipe) -> None:
    differing = {key: values for key, values in diff_recipes(trained, written).items() if key != "training.kimg"}
    if differing:
        shown = "; ".join(f"{key} was {then}, now {now}" for key, (then, now) in list(differing.items())[:3])
        raise ArtifactError(f"{path}: recipe.toml is not the one its checkpoint was trained with ({shown}); undo the change or start a new run")


def _restore_threads(threads: int, environment: RunContext) -> None:
    if threads and threads != torch.get_num_threads():
        torch.set_num_threads(threads)  # one and two threads sum differently
        environment.reporter.say(f"{threads} threads, as the run began with")
