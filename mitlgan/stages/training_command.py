"""The command that begins a training like that of a run: of the same recipe, from the same artifacts, under the same root."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES, LayerCard, read_card, read_weights_hash
from mitlgan.artifacts.known_artifacts import known_artifacts
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, is_checkpoint, network_hash
from mitlgan.artifacts.run_steps import ARTIFACT_FILES
from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.errors import MitlganError, ResourceError
from mitlgan.recipe import Recipe, ladder_steps
from mitlgan.runtime.command_line import command_line, option_words
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages.context import RUNS
from mitlgan.stages.initial_critic import load_initial_critic
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run, list_runs

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
    places = dict.fromkeys((*_artifacts_of(root), *known_artifacts(), *_checkpoints_of(root)))
    files = [path for path in places if run.path.absolute() not in path.absolute().parents]
    hashes = {name: str(digest) for name, digest in run.read_inputs().items()}
    layers = _layers_of(run)
    inputs = {name: _find_artifact(digest, files, layers.get(name)) for name, digest in hashes.items() if name != CRITIC}
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


def _layers_of(run: Run) -> Mapping[str, LayerCard]:
    """Return the accounts of a composition's layers; none of another run, or of one whose artifact cannot be read."""
    with suppress(MitlganError):
        return {} if run.artifact_file is None else read_card(run.artifact_file).layers
    return {}


def _artifacts_of(root: Path) -> Iterator[Path]:
    """Yield the artifacts of the runs under a root, and those that were kept on the way."""
    for pattern in ("*/*", "*/*/*", "*/*/*/*"):
        for name in ARTIFACT_FILES:
            yield from sorted(root.glob(f"{pattern}/{name}"))


def _checkpoints_of(root: Path) -> Iterator[Path]:
    """Yield the checkpoints of the runs under a root, also of those that left no artifact."""
    for run in list_runs(root):
        with suppress(ResourceError):
            yield from list_checkpoints(run.path)


def _find_artifact(digest: str, files: Collection[Path], layer: LayerCard | None) -> Path:
    """Return the file of a hash; of a layer, also the checkpoint that its account is of and that gives a network of this hash."""
    for path in files:
        with suppress(MitlganError, OSError):
            if read_weights_hash(path) == digest or (layer is not None and _is_checkpoint_of(path, layer) and network_hash(path) == digest):
                return path
    return UNKNOWN


def _is_checkpoint_of(path: Path, layer: LayerCard) -> bool:
    """Return whether a file is a checkpoint of the training that made a layer, at its step; reads only headers."""
    if not is_checkpoint(path):
        return False
    card = read_card(path)
    return (card.recipe, card.iterations) == (layer.card.get("made_by"), layer.card.get("iterations"))


def _find_critic(digest: str, recipe: Recipe, files: Collection[Path]) -> Path:
    """Return the critic beside one of some files, or the run of one, whose weights a recipe's critic began with."""
    first = ladder_steps(recipe)[0]
    folders = dict.fromkeys(folder for file in files for folder in (file.parent, file.parent.parent))
    for path in dict.fromkeys(place for folder in folders for place in (folder / CRITIC_FOLDER / CRITIC_FILE, folder)):
        if path.is_file() or (path / "recipe.toml").is_file():
            with suppress(MitlganError):
                if tensors_sha256(load_initial_critic(path, first, ignore_message)) == digest:
                    return path
    return UNKNOWN
