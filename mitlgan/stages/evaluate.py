"""Evaluation of a finished artifact against real pictures, held out of its training where there are some."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mitlgan.artifacts.card import Card, read_card
from mitlgan.artifacts.load_save import Score, check_card, record_metrics
from mitlgan.artifacts.loaded_artifact import LoadedArtifact, artifact_path, load_artifact
from mitlgan.artifacts.picture_sets import sets_of_card
from mitlgan.artifacts.project_pictures import with_own_pictures
from mitlgan.data.pack.image_pack import BACKDROP, ImagePack
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import note_demo_data, open_recipe_data
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.split_folders import TRAIN, correct_split
from mitlgan.data.splits import choose_evaluation_split, find_splits, held_out_training_warning
from mitlgan.errors import ArtifactError, UsageError, to_one_line
from mitlgan.images.pixels import to_float
from mitlgan.metrics import protocol as evaluation
from mitlgan.metrics.layer_swap import MIN_PLAIN_SHARE, find_backdrop
from mitlgan.metrics.open_extractors import open_extractors, open_recipe_extractors, require_independent
from mitlgan.recipe import Recipe, parse_recipe, with_data_source
from mitlgan.runtime.distributed import ALONE, World
from mitlgan.runtime.progress import Say, ignore_message
from mitlgan.stages.resume import warn_if_data_differs

GROUND_PICTURES = 256
"""Pictures, spread over the set, by whose borders their ground is told."""
MIN_WHITE_SHARE = 0.9
"""Share of them that stand before white if the set does, as samples that are laid on it."""


@dataclass(frozen=True)
class ArtifactEvaluation:
    """What was measured of an artifact.

    Attributes:
        artifact: Its file.
        loaded: The artifact.
        real: The real pictures.
        split: Their split: `train`, `validation` or `test`.
        figures: As `metrics.protocol.evaluate_each` returns them.
    """

    artifact: Path
    loaded: LoadedArtifact
    real: ImagePack
    split: str
    figures: dict[str, Any]

    @property
    def tensors_sha256(self) -> str:
        """Hash of the tensors that were measured, whatever the file holds by now."""
        return self.loaded.tensors_sha256


def evaluate_artifact(
    artifact: Path,
    *,
    data: str | None = None,
    extractors: Sequence[str] = (),
    weights: Path | None = None,
    samples: int | None = None,
    split: str | None = None,
    resize: str | None = None,
    extrapolate: bool = False,
    seed: int = 0,
    device: str = "cpu",
    needs_layers: bool = False,
    needs_card: bool = False,
    say: Say = ignore_message,
    world: World = ALONE,
) -> ArtifactEvaluation:
    """Measure an artifact's samples against real pictures.

    Args:
        artifact: An artifact, a run, or a step of one; see `artifact_path`.
        data: As of `--data`; None takes the recipe's.
        extractors: Names of feature extractors, the deciding one first; empty takes the recipe's.
        weights: Weights file of the first extractor.
        samples: Number of generated pictures, at least 2, and maximum number of real ones; None takes the recipe's.
        split: Split of the real pictures; None takes the recipe's, else a held-out one.
        resize: Filter for resizing to the extractor's input; None takes the extractor's.
        extrapolate: Whether to extrapolate the Frechet distance to infinitely many samples.
        seed: Decides latents and the choice of real pictures, at least 0.
        device: Where it is computed.
        needs_layers: Refuse an artifact of one layer.
        needs_card: Refuse an artifact whose card cannot be written.
        say: Shows notes about the choice of pictures.
        world: This process's rank; the ranks share the pictures, and every one must call this.

    Raises:
        MitlganError: The artifact, the pictures or an extractor's weights are missing or do not fit, or a number is out of range.
    """
    path = artifact_path(artifact)
    if needs_card:
        check_card(path)
    loaded = load_artifact(path, device=device)
    if needs_layers and loaded.card.kind != "composer":
        raise UsageError(f"--separation: {path} has one layer; give a composition")
    recipe = recipe_of_card(loaded.card, path, data, say)
    names = _judges(loaded.card, extractors, recipe)
    real, split_name = open_real_pictures(recipe, loaded.card, split, recipe.evaluation.split, say)
    if data is None and split_name == TRAIN:
        _warn_if_changed(recipe, loaded.card, real, say)
    count = recipe.evaluation.samples if samples is None else samples
    protocol = evaluation.EvalProtocol(names[0], count, split_name, resize, seed, extrapolate)
    if len(real) < protocol.samples:
        say(f"-n {protocol.samples}: there are {len(real):,} real {split_name} pictures, compared with {protocol.samples:,} generated ones")
    taught_by = loaded.card.critic_networks()
    if extractors:
        networks = open_extractors(protocol, names, weights=weights, device=device, critic_networks=taught_by)
    else:
        networks = open_recipe_extractors(protocol, names, weights=weights, device=device, critic_networks=taught_by, say=say)
    return ArtifactEvaluation(path, loaded, real, split_name, evaluation.evaluate_each(loaded, real, protocol, networks, world))


def recipe_of_card(card: Card, path: Path, data: str | None, say: Say) -> Recipe:
    """Return the recipe of an artifact in a file with the data that `--data` names, else with its own; says if that is the demo's, or has moved.

    Raises:
        UsageError: The card's recipe is not valid.
        UnknownPicturesError: Nothing says which pictures a relative path of the card means; `--data` names them.
        ResourceError: Pictures cannot be read for a fault of the machine.
    """
    recipe = parse_recipe(card.recipe, str(path))
    if data is not None:
        recipe = with_data_source(recipe, data)
    else:
        recipe = with_own_pictures(recipe, path, lambda: sets_of_card(card.data), say, option="--data")
    note_demo_data(recipe, data, say)
    return recipe


def _warn_if_changed(recipe: Recipe, card: Card, pictures: ImagePack, say: Say) -> None:
    """Warn if the training pictures that a recipe names are no longer those that its artifact was trained on."""
    with suppress(ArtifactError):  # a card that does not say it
        if sets := sets_of_card(card.data):
            warn_if_data_differs(recipe, reduced_pack(pictures, card.size_px), sets, say)


def _judges(card: Card, extractors: Sequence[str], recipe: Recipe) -> Sequence[str]:
    """Return the names of the extractors that the user or else the recipe names.

    Raises:
        DependentExtractorError: The user's, or the one that decides, cannot judge the artifact.
    """
    names = extractors or recipe.evaluation.extractors
    for name in extractors or names[:1]:
        require_independent(name, card.critic_networks())
    return names


def record_evaluation(path: Path, figures: dict[str, Any], measured_sha256: str, say: Say = ignore_message) -> None:
    """Write figures into an artifact's card, in the place of those of an earlier evaluation; scores of other kinds stay.

    Args:
        path: Its file.
        figures: As `metrics.protocol.evaluate_each` returns them.
        measured_sha256: Hash of the tensors that were measured; see `ArtifactEvaluation.tensors_sha256`.
        say: Shows that they are written.

    Raises:
        ArtifactError: The file was replaced while it was measured; nothing is written.
        ResourceError: Its folder cannot be written.
    """
    scores = {name: score for name, score in read_card(path).metrics.items() if name in get_args(Score)}
    record_metrics(path, {**figures, **scores}, measured_sha256)
    say(f"{path}: the results are in its card now")


def open_real_pictures(recipe: Recipe, card: Card | None, split: str | None, default: str, say: Say) -> tuple[ImagePack, str]:
    """Open the held-out pictures for evaluating an artifact, and name their split. Says so if they are not what was asked for.

    Args:
        recipe: Says which pictures.
        card: Of the artifact; None where there are several.
        split: The split that the user names; None if none.
        default: The split to use otherwise.
        say: Shows notes.

    Raises:
        DataError: The requested split does not exist.
    """
    source = recipe.data.source
    name = choose_evaluation_split(source, recipe.role, split, default, say)
    if split is None and name == default == TRAIN and (held_out := [other for other in find_splits(source, recipe.role).parts if other != TRAIN]):
        say(f"{source}: measured on train pictures, as the recipe says; they flatter a network that learned from them: --split {held_out[0]}")
    pictures = open_recipe_data(recipe, name, say=say)
    true = correct_split(name, pictures.content_sha256, "" if card is None else str(card.data.get("content_sha256", "")))
    if true != name:
        say(f"warning: {source}: the network was trained on these very pictures, so they count as {true}, not as {name}")
    if card is not None and true != TRAIN and (sentence := held_out_training_warning(source, recipe.role, card.data)):
        say(sentence)
    if card is not None and (sentence := _ground_note(card, pictures, to_one_line(source))):
        say(sentence)
    return pictures, true


def _ground_note(card: Card, pictures: ImagePack, source: str) -> str:
    """Return what is to be said if an artifact's pictures are transparent and the real ones have another ground than that on which they are laid."""
    if card.image_channels != 4 or pictures.fourth_channel == "alpha":
        return ""
    some = to_float(pictures.batch(evenly_spaced(range(len(pictures)), GROUND_PICTURES))).numpy()
    grounds = [find_backdrop(some[index : index + 1]) for index in range(len(some))]
    white = sum(color == BACKDROP and share >= MIN_PLAIN_SHARE for color, share in grounds)
    white_share = white / len(grounds)
    if white_share >= MIN_WHITE_SHARE:
        return ""
    color, share = find_backdrop(some)
    ground = f"most of them stand before {color}" if share >= MIN_PLAIN_SHARE else "they do not stand before one colour"
    percent = max(1, 100 * white // len(grounds))  # rounded down, so that it is never the limit itself
    ground = f"only {percent}% of them stand before it" if white_share >= MIN_PLAIN_SHARE or (color == BACKDROP and white_share) else ground
    return (
        f"note: the artifact's pictures are transparent and are laid on white; those of {source} have no transparency, and {ground}: "
        "the figures compare the grounds as well as the objects"
    )
