"""The stages: recipe + data + networks + objective + training -> a run with an artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mitlgan import artifact, networks, objectives, runs
from mitlgan.artifact import Card, LayerCard
from mitlgan.checkpoint import checkpoints, load_checkpoint
from mitlgan.data.packed import Packed
from mitlgan.data.prepare import open_data
from mitlgan.distributed import World, wait_for_all
from mitlgan.errors import ArtifactError, MitlganError, UsageError
from mitlgan.files import locked, remove_temporaries, write_atomically
from mitlgan.networks import Composer
from mitlgan.progress import Reporter
from mitlgan.randomness import derived_seed
from mitlgan.recipe import Recipe, changed, dump, load, parse, plain, shipped
from mitlgan.runs import Run
from mitlgan.state import TrainingState, recalibrate
from mitlgan.train import Problem, train

RUNS = Path("runs")


@dataclass(frozen=True)
class Environment:
    """Where and how a stage works.

    Attributes:
        world: This process among its like, and its device.
        reporter: Who is told.
        root: Runs are made under it.
    """

    world: World
    reporter: Reporter
    root: Path = RUNS


def pretrain(recipe: Recipe, environment: Environment, *, start: Path | None = None) -> Run:
    """Train a generator on one kind of pictures and freeze it.

    Args:
        recipe: With a [generator].
        environment: Where and how.
        start: Artifact whose weights the generator begins with.

    Returns:
        The finished run; its artifact is the moving average.

    Raises:
        MitlganError: See the errors' own classes.
    """
    if recipe.generator is None:
        raise UsageError(f"--recipe {recipe.name}: has no [generator]; give one for `pretrain`")
    pixels = pictures(recipe)
    torch.manual_seed(derived_seed(recipe.seed, f"initial generator {recipe.role}"))
    generator: nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
    if start is not None:
        generator = _started(start, recipe)
    return _run(recipe, _problem(recipe, generator, pixels, {}), environment)


def compose(recipe: Recipe, layers: Mapping[str, Path], environment: Environment) -> Run:
    """Join frozen generators by a fusion and a translator, against a newly initialised critic.

    Args:
        recipe: With a [composer].
        layers: Artifact of each layer by name, in the order of their latents.
        environment: Where and how.

    Returns:
        The finished run; its artifact holds the frozen layers, and its card proves by hash that they did not move.

    Raises:
        MitlganError: See the errors' own classes.
    """
    if recipe.composer is None:
        raise UsageError(f"--recipe {recipe.name}: has no [composer]; give one for `compose`")
    loaded = {name: artifact.load_layer(path, name, recipe.size_px) for name, path in layers.items()}
    pixels = pictures(recipe)
    torch.manual_seed(derived_seed(recipe.seed, "initial composer"))
    composer = networks.build_composer(recipe.composer, {name: generator for name, (generator, _) in loaded.items()}, recipe.size_px)
    before = artifact.layer_hashes(composer)
    cards = {name: _layer_card(card, before[name]) for name, (_, card) in loaded.items()}
    return _run(recipe, _problem(recipe, composer, pixels, cards), environment)


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
    run = runs.at(path)
    with _held(run, environment.world):
        found = load_checkpoint(run.path)
        if found is None:
            raise ArtifactError(f"{path}: no checkpoint to go on from; start the run again")
        recipe = load(run.recipe)
        _require_same_recipe(path, recipe, parse(found[1]["recipe"], str(path)))
        if found[1].get("world_size", 1) != environment.world.size:
            raise ArtifactError(f"{path}: was trained by {found[1]['world_size']} processes, now {environment.world.size}; start as many")
        if more_kimg:
            recipe = changed(recipe, training__kimg=recipe.training.kimg + more_kimg)
            wait_for_all(environment.world)  # every rank has read the shorter one
            if environment.world.leads:
                write_atomically(run.recipe, dump(recipe))
        _restore_threads(int(found[1].get("threads", 0)), environment)
        pixels = pictures(recipe)
        _warn_of_other_pictures(recipe, pixels, found[1], environment)
        problem = _problem_from_checkpoint(recipe, pixels, found[1])
        return _train_and_freeze(run, recipe, problem, environment, found)


def resumed_or_new(recipe: Recipe, environment: Environment) -> Run:
    """The finished pretraining of exactly this recipe under the environment's root: found, finished from its checkpoint, or begun.

    Raises:
        MitlganError: As `pretrain` and `resume`.
    """
    found = matching_run(environment.root, recipe)
    if found is None:
        return pretrain(recipe, environment)
    if found.artifact is None:
        return resume(found.path, environment)
    return found


def matching_run(root: Path, recipe: Recipe) -> Run | None:
    """The newest run of exactly this recipe that is finished or has a checkpoint."""
    for run in reversed(runs.find(root, recipe.command)):
        try:
            same = load(run.recipe) == recipe
        except UsageError:
            continue
        if same and (run.artifact is not None or checkpoints(run.path)):
            return run
    return None


def pictures(recipe: Recipe, split: str = "train") -> Packed:
    """The packed pictures of a recipe.

    Raises:
        DataError: There are none that can be used.
    """
    return open_data(recipe.data.source, recipe.role, recipe.size_px, resize=recipe.data.resize, split=split)


def layer_artifact(root: Path, role: str, size_px: int) -> Path:
    """The generator that a composition takes when none is named: the newest of the runs, else the shipped one.

    Raises:
        ArtifactError: There is neither.
    """
    path = newest_artifact(root, role, size_px) or shipped_artifact(role, size_px)
    if path is None:
        raise ArtifactError(
            f"--{role}: no generator of {size_px} px under {root} or shipped; run `mitlgan pretrain {role}` first, or name an artifact"
        )
    return path


def newest_artifact(root: Path, role: str, size_px: int) -> Path | None:
    """The newest generator of a role and size among the runs under a root."""
    for run in reversed(runs.find(root, "pretrain")):
        if run.artifact is None:
            continue
        try:
            card = artifact.read_card(run.artifact)
        except MitlganError:
            continue
        if card.role == role and card.size_px == size_px:
            return run.artifact
    return None


def shipped_artifact(role: str, size_px: int) -> Path | None:
    """The generator of a role and size that ships with the package."""
    path = shipped("pretrained") / f"{role}-{size_px}" / "generator.safetensors"
    return path if path.is_file() else None


def _problem(recipe: Recipe, network: nn.Module, pixels: Packed, layers: Mapping[str, LayerCard]) -> Problem:
    # The purpose names the stage: a composition's critic shares no tensor with a pretraining's, whatever their seeds.
    torch.manual_seed(derived_seed(recipe.seed, f"initial critic {recipe.command} {recipe.role}"))
    critic = networks.build_critic(recipe.critic, recipe.size_px)
    objective = objectives.build(recipe.objective)
    objectives.check_critic(recipe.objective, critic)
    return Problem(network, critic, objective, pixels, {"layers": {name: plain(card) for name, card in layers.items()}})


def _problem_from_checkpoint(recipe: Recipe, pixels: Packed, header: Mapping[str, Any]) -> Problem:
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in header["layers"].items()}
    if recipe.generator is not None:
        network: nn.Module = networks.build_generator(recipe.generator, recipe.size_px)
    else:
        assert recipe.composer is not None
        generators = {name: networks.build_generator(layer.generator, recipe.size_px) for name, layer in layers.items()}
        network = networks.build_composer(recipe.composer, generators, recipe.size_px)
    return _problem(recipe, network, pixels, layers)


def _run(recipe: Recipe, problem: Problem, environment: Environment) -> Run:
    if len(problem.pixels) < recipe.training.batch:
        environment.reporter.say(f"warning: {len(problem.pixels)} pictures for batches of {recipe.training.batch}: each batch repeats some")
    leads = environment.world.leads
    run = runs.create(environment.root, recipe.command, recipe.name) if leads else Run(environment.root)  # other ranks write nothing
    with _held(run, environment.world):
        if leads:
            write_atomically(run.recipe, dump(recipe))
            environment.reporter.say(f"{recipe.command} {recipe.role}: {run.path}")
        return _train_and_freeze(run, recipe, problem, environment, None)


@contextmanager
def _held(run: Run, world: World) -> Iterator[None]:
    """The run's directory for this process alone, without what an interrupted write left; ranks other than 0 write nothing and hold nothing."""
    if not world.leads:
        yield
        return
    with locked(run.path):
        remove_temporaries(run.path)
        remove_temporaries(run.path / "snapshots")
        yield


def _warn_of_other_pictures(recipe: Recipe, pixels: Packed, header: Mapping[str, Any], environment: Environment) -> None:
    before, now = str(header.get("data_sha256")), pixels.content_sha256
    if before != now:
        environment.reporter.say(
            f"warning: {recipe.data.source}: the pictures changed since this run began: "
            f"{header.get('data_count', '?')} ({before[:12]}) then, {len(pixels)} ({now[:12]}) now"
        )


def _train_and_freeze(
    run: Run, recipe: Recipe, problem: Problem, environment: Environment, checkpoint: tuple[dict[str, Tensor], dict[str, Any]] | None
) -> Run:
    state = train(run, recipe, problem, environment.world, environment.reporter, checkpoint=checkpoint)
    if environment.world.leads:
        _freeze(run, recipe, problem, state)
    return run


def _freeze(run: Run, recipe: Recipe, problem: Problem, state: TrainingState) -> None:
    """Write the artifact: the moving average, its BatchNorm statistics measured anew, and the proof that frozen layers did not move."""
    network = recalibrate(state.ema, recipe.seed).cpu()
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in problem.header["layers"].items()}
    if isinstance(network, Composer):
        layers = _proven(run, layers, network, state.generator)
    counters = state.counters
    manifest = problem.pixels.manifest
    data = {"source": recipe.data.source, "count": len(problem.pixels), "content_sha256": problem.pixels.content_sha256}
    card = artifact.card_of(
        network, recipe, layers=layers, data=data, kimg=counters.kimg, iterations=counters.iteration,
        seconds=round(counters.seconds, 3), cpu_seconds=round(counters.cpu_seconds, 3), licence="MIT" if recipe.data.source == "demo" else "", credit=str(manifest.get("licence") or ""),
        notes=f"collapsed at {counters.collapsed_at_kimg:.1f} kimg" if counters.collapsed_at_kimg is not None else "",
    )  # fmt: skip
    name = "composer" if isinstance(network, Composer) else "generator"
    artifact.save(run.path / f"{name}.safetensors", network, card)
    status = run.status()
    ended = {"state": "done", "target_kimg": recipe.training.kimg, "eta_s": 0.0}
    run.write_status(
        {**status, **ended, **{key: getattr(counters, key) for key in ("iteration", "kimg", "seconds", "cpu_seconds", "collapsed_at_kimg")}}
    )


def _proven(run: Run, layers: dict[str, LayerCard], average: Composer, trained: nn.Module) -> dict[str, LayerCard]:
    """Cards with the hashes after training.

    Raises:
        ArtifactError: A frozen layer moved; nothing is written (FAULTS 11).
    """
    assert isinstance(trained, Composer)
    after = artifact.layer_hashes(average)
    for name, digest in artifact.layer_hashes(trained).items():
        if digest != layers[name].sha256_before or after[name] != digest:
            raise ArtifactError(
                f"{run.path}: frozen layer {name} moved during training ({layers[name].sha256_before[:12]} -> {digest[:12]}); no artifact was written"
            )
    return {name: layer.model_copy(update={"sha256_after": after[name]}) for name, layer in layers.items()}


def _layer_card(card: Card, digest: str) -> LayerCard:
    assert card.generator is not None
    account = {
        "recipe": card.recipe.get("name", ""),
        **{key: getattr(card, key) for key in ("data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit")},
    }
    return LayerCard(role=card.role, generator=card.generator, sha256_before=digest, sha256_after="", card=json.loads(json.dumps(account)))


def _started(path: Path, recipe: Recipe) -> nn.Module:
    network, card = artifact.load(path)
    if card.generator != recipe.generator or card.size_px != recipe.size_px:
        raise ArtifactError(f"--from {path}: another architecture than the recipe's [generator] at {recipe.size_px} px; give one that fits")
    return network.requires_grad_(True)


def _require_same_recipe(path: Path, written: Recipe, trained: Recipe) -> None:
    first, second = _flat(plain(written)), _flat(plain(trained))
    differing = [key for key in sorted(first.keys() | second.keys()) if first.get(key) != second.get(key) and key != "training.kimg"]
    if differing:
        shown = "; ".join(f"{key} was {second.get(key)}, now {first.get(key)}" for key in differing[:3])
        raise ArtifactError(f"{path}: recipe.toml is not the one its checkpoint was trained with ({shown}); undo the change or start a new run")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def _restore_threads(threads: int, environment: Environment) -> None:
    if threads and threads != torch.get_num_threads():
        torch.set_num_threads(threads)  # one and two threads sum differently
        environment.reporter.say(f"{threads} threads, as the run began with")
