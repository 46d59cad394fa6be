"""The command that begins a training like that of a run: of the same recipe, from the same artifacts, under the same root."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES, read_weights_hash
from mitlgan.artifacts.known_artifacts import known_artifacts
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER
from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.recipe import Recipe, ladder_steps
from mitlgan.runtime.command_line import command_line, option_words
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages.context import RUNS
from mitlgan.stages.initial_critic import load_initial_critic
from mitlgan.training.run_directory import Run

UNKNOWN = Path("ARTIFACT")
"""Stands for an artifact that is found no more."""
START, CRITIC = "start", "critic"
"""Keys of `Run.read_inputs` besides layers."""


def training_words(recipe: Recipe, layers: Mapping[str, Path], start: Path | None = None, critic: Path | None = None) -> list[str]:
    """Return the words of the command that trains a generator or a composition, without `mitlgan`, recipe and place.

    Args:
        recipe: A recipe with a [generator] or a [composer].
        layers: Artifact of each layer of a composition, in the order of their latents.
        start: Artifact that a generator goes on or grows from.
        critic: Run or artifact whose weights the critic begins with.
    """
    if recipe.command == "compose":
        is_short = set(layers) <= set(LAYER_ROLES)
        options = [(f"--{name}", str(path)) if is_short else ("--layer", f"{name}={path}") for name, path in layers.items()]
        return ["compose", *option_words([*options, ("--critic", critic)])]
    return ["pretrain", recipe.role, *option_words([("--from", start), ("--critic", critic)])]


def out_words(root: Path) -> list[str]:
    """Return the words that name the folder of runs; none for the one that is taken anyway."""
    return [] if root.absolute() == RUNS.absolute() else ["--out", str(root)]


def describe_new_training(run: Run, recipe: Recipe, settings: Sequence[str]) -> str:
    """Return the command of a training like that of a run, in backticks, and what is to be put into it.

    Args:
        run: Its recipe file is named.
        recipe: The run's, with its pictures where they are now.
        settings: Changes of the recipe, as of `--set`.
    """
    root = _root_of(run)
    files = [path for path in dict.fromkeys((*_artifacts_of(root), *known_artifacts())) if run.path.absolute() not in path.absolute().parents]
    hashes = {name: str(digest) for name, digest in run.read_inputs().items()}
    inputs = {name: _find_artifact(digest, files) for name, digest in hashes.items() if name != CRITIC}
    if CRITIC in hashes:
        starts = [path for name, path in inputs.items() if name == START and path != UNKNOWN]
        inputs[CRITIC] = _find_critic(hashes[CRITIC], recipe, [*starts, *files])
    unknown = [f"{UNKNOWN} of {name} has tensors whose SHA-256 begins {hashes[name][:12]}" for name, path in inputs.items() if path == UNKNOWN]
    moved = recipe.data.source if recipe.data.source != run.recorded_recipe().data.source else None
    more = [*option_words([("--data", moved), *(("--set", setting) for setting in settings)]), *out_words(root)]
    if recipe.inpainter is not None:
        return f"`{command_line(['train', run.recipe_file, *more])}`"
    critic = inputs.pop(CRITIC, None)
    start = inputs.pop(START, None) if recipe.command == "pretrain" else None
    words = [*training_words(recipe, inputs, start, critic), "--recipe", str(run.recipe_file), *more]
    return "; ".join([f"`{command_line(words)}`", *unknown])


def _root_of(run: Run) -> Path:
    """Return the folder of the runs among which a run is."""
    path = run.path if len(run.path.parts) > 2 and ".." not in run.path.parts else run.path.resolve()
    return path.parent.parent


def _artifacts_of(root: Path) -> Iterator[Path]:
    """Yield the generators of the runs under a root, and those that were kept on the way."""
    for pattern in ("*/*", "*/*/*", "*/*/*/*"):
        yield from sorted(root.glob(f"{pattern}/generator.safetensors"))


def _find_artifact(digest: str, files: Collection[Path]) -> Path:
    for path in files:
        with suppress(ArtifactError, OSError):
            if read_weights_hash(path) == digest:
                return path
    return UNKNOWN


def _find_critic(digest: str, recipe: Recipe, generators: Collection[Path]) -> Path:
    """Return the critic beside one of some generators, or the run of one, whose weights a recipe's critic began with."""
    first = ladder_steps(recipe)[0]
    for path in dict.fromkeys(file for generator in generators for file in (generator.parent / CRITIC_FOLDER / CRITIC_FILE, generator.parent)):
        if path.is_file() or (path / "recipe.toml").is_file():
            with suppress(MitlganError):
                if tensors_sha256(load_initial_critic(path, first, ignore_message)) == digest:
                    return path
    return UNKNOWN
