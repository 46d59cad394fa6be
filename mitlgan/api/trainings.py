"""`mitlgan.pretrain`, `mitlgan.compose` and `mitlgan.make`: trainings that return their run, artifact and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mitlgan.api.context import Device, Settings, StrPath, dotted_keys, open_context, resolve_recipe
from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, artifact_path, load_artifact
from mitlgan.compare.arm_training import ArmTraining
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.project.make import JOBS, ProjectResult, make_project
from mitlgan.project.plan import ProjectRequest, default_folder, full_path
from mitlgan.runtime.arguments import takes_arguments
from mitlgan.stages.compose import DEFAULT_COMPOSITION_RECIPE
from mitlgan.stages.compose import compose as run_composition
from mitlgan.stages.default_layers import resolve_layers
from mitlgan.stages.initial_critic import with_critic_parent
from mitlgan.stages.pretrain import default_pretraining_recipe, with_start
from mitlgan.stages.pretrain import pretrain as run_pretraining
from mitlgan.training.run_directory import Run

RECIPE_OPTIONS = {"--set": "settings", "--from": "start"}
"""Options of messages about recipes and their artifacts, and the arguments of the functions here."""


@dataclass(frozen=True)
class TrainingResult:
    """A finished training.

    Attributes:
        run: Its directory.
        artifact: Its generator or composition, a safetensors file with a card next to it.
        role: `fg`, `bg` or `scene`.
        size_px: Height and width of its images.
        kimg: Thousand real images shown to the critic.
        seconds: Time that the training took.
        cpu_seconds: The same, summed over threads; 0 if it is unknown.
    """

    run: Path
    artifact: Path
    role: str
    size_px: int
    kimg: float
    seconds: float
    cpu_seconds: float

    @takes_arguments()
    def load(self, device: Device = "auto") -> LoadedArtifact:
        """Return the artifact, to make images with; see `mitlgan.load`."""
        return load_artifact(self.artifact, device=device)


@takes_arguments(options=RECIPE_OPTIONS, is_training=True)
def pretrain(
    role: Literal["fg", "bg", "scene"],
    data: StrPath | None = None,
    *,
    recipe: StrPath | None = None,
    settings: Settings | None = None,
    start: StrPath | None = None,
    critic: StrPath | None = None,
    reuse: bool = False,
    out: StrPath = "runs",
    seed: int | None = None,
    device: Device = "auto",
    quiet: bool = False,
) -> TrainingResult:
    """Train a generator on one kind of picture, and freeze it: `mitlgan pretrain`.

    Its images are (N, 3, size, size), or (N, 4, size, size) with premultiplied alpha for foregrounds with a matte, in [-1, 1].

    Meanwhile other threads of the process should not rely on torch's default type, deterministic algorithms or random numbers; see
    `mitlgan.runtime.torch_modes.call_with_shared_defaults`.

    Args:
        role: `fg` for objects, `bg` for places, `scene` for whole pictures.
        data: Folder of pictures, a pack, or `demo`, whatever `settings` name; None takes the recipe's.
        recipe: Name of a shipped recipe, or a file; None takes the command's default: `thesis-32/pretrain_ROLE`, `thesis-32/wgan` for scenes, and what
            fits `start` if that is given.
        settings: Changes of the recipe by dotted keys, such as `{"training.kimg": 5}`; None removes a key.
        start: The command's `--from`: artifact or run whose weights the generator begins with, or that it grows from.
        critic: Artifact or run whose weights the critic begins with.
        reuse: Take a finished run of exactly this recipe, or go on with an unfinished one, in place of a new run.
        out: Parent folder of runs.
        seed: From 0 to 2**31 - 1; None takes the recipe's.
        device: `auto`, `cpu`, `cuda` or `mps`, or a `torch.device`.
        quiet: Show no progress.

    Raises:
        UsageError: A recipe or setting that does not exist or does not fit.
        DataError: Pictures that are missing or cannot be used.
        ArtifactError: An artifact that is damaged or does not fit.
        ResourceError: Disk or memory is full, or another process works on the run.
        Stopped: By Ctrl-C or SIGTERM; the run was saved, and `reuse=True` goes on with it.

    Example:
        >>> import mitlgan
        >>> result = mitlgan.pretrain("bg", "demo", recipe="recommended/bg-32", settings={"training.kimg": 0.05}, quiet=True)
        >>> result.size_px, result.load("cpu").sample([0, 1]).shape
        (32, torch.Size([2, 3, 32, 32]))
    """
    first = None if start is None else artifact_path(Path(start))
    chosen = resolve_recipe(recipe or default_pretraining_recipe(role, first), data, settings, seed)
    if chosen.command != "pretrain" or chosen.role != role:
        raise UsageError(f"recipe {chosen.name}: is for `{chosen.command}` of {chosen.role}; give one for `pretrain {role}`")
    with open_context(f"pretrain {role}", out, device, quiet) as context:
        critic_path = None if critic is None else Path(critic)
        if reuse:
            chosen, critic_path = with_start(chosen, first, critic_path, context.reporter.say, dotted_keys(settings))
            return _result(ArmTraining(f"pretrain {role}", chosen, {}, first, critic_path).run(context))
        return _result(run_pretraining(chosen, context, start=first, critic=critic_path, settings=dotted_keys(settings)))


@takes_arguments(options={**RECIPE_OPTIONS, "--layer": "layers", "--fg": "layers, fg", "--bg": "layers, bg"}, is_training=True)
def compose(
    layers: Mapping[str, StrPath] | None = None,
    data: StrPath | None = None,
    *,
    recipe: StrPath | None = None,
    settings: Settings | None = None,
    critic: StrPath | None = None,
    reuse: bool = False,
    out: StrPath = "runs",
    seed: int | None = None,
    device: Device = "auto",
    quiet: bool = False,
) -> TrainingResult:
    """Join frozen generators into scenes: `mitlgan compose`. Its images are (N, 3, size, size) in [-1, 1].

    Meanwhile other threads of the process should not rely on torch's default type, deterministic algorithms or random numbers; see
    `mitlgan.runtime.torch_modes.call_with_shared_defaults`.

    Args:
        layers: Artifact or run of each layer by name, from back to front; `fg` and `bg` default to the newest of the runs, else the shipped ones.
        data: Pictures of scenes; see `pretrain`.
        recipe: Name of a shipped recipe of a composition, or a file; None takes `thesis-32/compose`, which belongs to what `pretrain` takes by default.
        settings: See `pretrain`.
        critic: See `pretrain`.
        reuse: See `pretrain`.
        out: Parent folder of runs.
        seed: See `pretrain`.
        device: See `pretrain`.
        quiet: Show no progress.

    Raises:
        MitlganError: As of `pretrain`.

    Example:
        >>> import mitlgan
        >>> layers = {"bg": "pretrained/modern-bg-32", "fg": "pretrained/modern-fg-32"}
        >>> result = mitlgan.compose(layers, "demo", recipe="recommended/compose-32", settings={"training.kimg": 0.05}, quiet=True)
        >>> stages = result.load("cpu").layers([0, 1])
        >>> stages.output.shape, sorted(stages.layers)
        (torch.Size([2, 3, 32, 32]), ['bg', 'fg'])
    """
    chosen = resolve_recipe(recipe or DEFAULT_COMPOSITION_RECIPE, data, settings, seed)
    if chosen.composer is None:
        raise UsageError(f"recipe {recipe}: is for `{chosen.command}` of {chosen.role}; give one for `compose`")
    paths = {name: artifact_path(Path(path)) for name, path in (layers or {}).items()}
    resolved = resolve_layers(paths, Path(out), chosen)
    with open_context("compose", out, device, quiet) as context:
        critic_path = None if critic is None else Path(critic)
        if reuse:
            chosen = with_critic_parent(chosen, critic_path, context.reporter.say, dotted_keys(settings))
            return _result(ArmTraining("compose", chosen, resolved, None, critic_path).run(context))
        return _result(run_composition(chosen, resolved, context, critic=critic_path, settings=dotted_keys(settings)))


@takes_arguments(options={"--size": "size_px", "PHOTOS": "photographs"}, is_training=True)
def make(
    photographs: StrPath,
    out: StrPath | None = None,
    *,
    minutes: float | None = None,
    size_px: int | None = None,
    holdout: str | int | None = None,
    matting: str | None = None,
    licence: str | None = None,
    allow_bad: bool = False,
    seed: int | None = None,
    jobs: int = JOBS,
    quiet: bool = False,
) -> ProjectResult:
    """Turn a folder of photographs into scenes: `mitlgan make`. A stopped call goes on when it is called again.

    Meanwhile other threads of the process should not rely on torch's default type, deterministic algorithms or random numbers; see
    `mitlgan.runtime.torch_modes.call_with_shared_defaults`.

    Args:
        photographs: Folder, archive, or list of paths; at least eight pictures.
        out: Folder for everything; None takes `mitlgan-PHOTOGRAPHS`.
        minutes: Time to fit the trainings to, above 0 and below 1,000,000; None takes the recipes' own lengths.
        size_px: 32 or 64; None takes what the photographs have pixels for.
        holdout: Photographs to hold out of training: a share such as `10%`, a number, or `0`; None takes `10%`.
        matting: As of `split`; None takes `auto`.
        licence: Licence of the artifacts, for their cards.
        allow_bad: Continue if more than 5 % of the files cannot be read.
        seed: Of all trainings, from 0 to 2**31 - 1; None takes 0. What is None is that of the first call, if there was one.
        jobs: 1, or 2 to train both layers at a time.
        quiet: Show no progress.

    Raises:
        MitlganError: As of `split`, `pretrain`, `compose` and `evaluate`.

    Example:
        >>> import mitlgan
        >>> project = mitlgan.make("photographs", minutes=12)  # doctest: +SKIP
        >>> project.sheet, project.report, project.metrics["kid"]  # doctest: +SKIP
    """
    request = ProjectRequest(full_path(photographs), size_px, minutes, None if holdout is None else str(holdout), matting, licence, seed, allow_bad)
    with open_context("make", "runs", "cpu", quiet) as context:
        result = make_project(request, default_folder(str(photographs)) if out is None else Path(out), context, jobs=jobs)
    assert result is not None
    return result


def _result(run: Run) -> TrainingResult:
    if run.artifact_file is None:
        raise ArtifactError(f"{run.path}: the training left no artifact")
    card = read_card(run.artifact_file)
    return TrainingResult(run.path, run.artifact_file, card.role, card.size_px, card.kimg, card.seconds or 0.0, card.cpu_seconds or 0.0)
