"""Export of a training's state as artifacts with their cards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mitlgan.artifacts.card import Card, LayerCard, make_card
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, save_network
from mitlgan.artifacts.picture_sets import CARD_KEY, describe_sets, sets_record
from mitlgan.data.recipe_data import other_resize
from mitlgan.networks import Composer, Network
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import Recipe
from mitlgan.runtime.files import ensure_folder
from mitlgan.runtime.progress import format_kimg
from mitlgan.training.counters import Counters
from mitlgan.training.frozen_layers import verify_frozen_layers
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import TrainingSetup
from mitlgan.training.state import TrainingState

STEPS_FOLDER = "steps"
"""Folder of the artifacts that the steps of a ladder end with, in a run."""


def export_run(
    run: Run, recipe: Recipe, setup: TrainingSetup, state: TrainingState, on_end: Callable[[Run], object] | None = None
) -> None:  # fmt: skip
    """Write the run's artifact, the moving average, and mark the run as done; a pretraining's critic goes into a folder of its own.

    Args:
        run: Where it is written.
        recipe: All settings.
        setup: Pictures and the cards of frozen layers.
        state: As the training ended.
        on_end: Called between the two; a run is not done before it has all its files.

    Raises:
        ArtifactError: A frozen layer changed; nothing is written.
        ResourceError: The run's folder is gone, or cannot be written.
    """
    export_networks(run.path, run, recipe, setup, state)
    if on_end is not None:
        on_end(run)
    counters = state.counters
    whole = recipe if setup.ladder is None else setup.ladder.recipe
    final = {
        "state": "done",
        "target_kimg": whole.training.kimg,
        "eta_s": 0.0,
        "images_per_s": counters.step_images_per_s,
        "diagnosis": counters.trouble,
    }
    account = {key: getattr(counters, key) for key in ("iteration", "kimg", "seconds", "cpu_seconds", "collapsed_at_kimg", "diverged_at_kimg")}
    run.write_status({**run.read_status(), **final, **account})


def export_networks(folder: Path, run: Run, recipe: Recipe, setup: TrainingSetup, state: TrainingState) -> None:
    """Write the moving average and, of a pretraining, the critic into a folder of the run; errors as of `export_run`.

    A run's folder that is gone is not made again.
    """

    def write(path: Path, network: Network) -> None:
        if path.parent != run.path:
            ensure_folder(path.parent, root=run.path)
        save_network(path, network, make_training_card(run, recipe, setup, state, network), root=run.path)

    if recipe.command == "pretrain":
        write(folder / CRITIC_FOLDER / CRITIC_FILE, state.critic)
    network = recalibrate_batchnorm(state.ema, recipe.seed).cpu()
    write(folder / f"{network.kind}.safetensors", network)


def make_training_card(run: Run, recipe: Recipe, setup: TrainingSetup, state: TrainingState, network: Network) -> Card:
    """Return the card of a network of a training.

    Args:
        run: Named in the error.
        recipe: All settings.
        setup: Pictures and the cards of frozen layers.
        state: Length so far.
        network: The critic or the moving average.

    Raises:
        ArtifactError: A frozen layer changed.
    """
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in setup.header["layers"].items()}
    if isinstance(network, Composer):
        assert isinstance(state.generator, Composer)
        layers = verify_frozen_layers(run.path, layers, state.generator, network)
    counters, pack, sets = state.counters, setup.pack, setup.picture_sets(state.counters)
    enlarged = pack.enlarged_count if pack.content_sha256 == sets[-1].content_sha256 else 0
    return make_card(
        network, recipe, layers=layers, parent=dict(setup.header.get("parent", {})), iterations=counters.iteration,
        kimg=(counters.images_shown - counters.step_images) / 1000,
        data={
            "source": recipe.data.source, "count": sets[-1].count, **({"enlarged": enlarged} if enlarged else {}),
            "content_sha256": sets[-1].content_sha256, **({"resize": resize} if (resize := other_resize(recipe, pack)) else {}),
            **sets_record(CARD_KEY, sets),
        },
        seconds=round(counters.seconds - counters.step_seconds, 3), cpu_seconds=round(counters.cpu_seconds - counters.step_cpu_seconds, 3),
        licence=recipe.licence or ("MIT" if recipe.data.source == "demo" else ""), credit=str(pack.manifest.get("licence") or ""),
        notes="; ".join([*filter(None, [describe_sets(sets)]), *_notes(counters)]),
    )  # fmt: skip


def _notes(counters: Counters) -> list[str]:
    """Return the failures of the training, each with its date."""
    collapse = [f"collapsed at {format_kimg(counters.collapsed_at_kimg)} kimg"] if counters.collapsed_at_kimg is not None else []
    return collapse + ([counters.trouble] if counters.trouble else [])
