"""The trainings of a layer that grows: small pictures first, and each goes on from the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER
from mitlgan.compare.arm_training import ArmTraining, run_trainings
from mitlgan.compare.layer_pictures import with_pictures_of_layer, with_trained_pictures
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, parse_recipe, with_overrides
from mitlgan.runtime.progress import Say, ignore_message
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import with_start


@dataclass(frozen=True)
class LayerChain:
    """The trainings of one layer.

    Attributes:
        label: Name for users and for its logs.
        recipes: Those of the generators that it grows from, the smallest first, then its own.
    """

    label: str
    recipes: tuple[Recipe, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe of the layer itself."""
        return self.recipes[-1]

    def trainings(self, root: Path) -> list[ArmTraining]:
        """Return the trainings whose beginnings exist under a root: the finished ones, and the first that is not finished."""
        trainings: list[ArmTraining] = []
        start: Path | None = None
        for recipe in self.recipes:
            label = self.label if recipe is self.recipe else f"{self.label} at {recipe.size_px} px"
            trainings.append(_training(label, recipe, start))
            start = trainings[-1].find_artifact(root)
            if start is None:
                break
        return trainings

    def find_artifact(self, root: Path) -> Path | None:
        """Return the layer's artifact, if all is finished."""
        trainings = self.trainings(root)
        return trainings[-1].find_artifact(root) if len(trainings) == len(self.recipes) else None

    def artifact(self, root: Path) -> Path:
        """Return the layer's artifact.

        Raises:
            ArtifactError: One of the trainings is not finished under the root.
        """
        return self.trainings(root)[-1].artifact(root)

    def training(self, root: Path, step: int) -> ArmTraining:
        """Return one of the trainings, from 0; errors as of `artifact`, if the one before is not finished."""
        trainings = self.trainings(root)
        if len(trainings) <= step:
            trainings[-1].artifact(root)
        return trainings[step]

    def with_seed(self, label: str, seed: int) -> LayerChain:
        """Return the same trainings with another seed."""
        return LayerChain(label, tuple(with_overrides(recipe, seed=seed) for recipe in self.recipes))


def run_chains(chains: Sequence[LayerChain], context: RunContext, *, jobs: int) -> None:
    """Run what is not finished, size by size; errors as of `run_trainings`, and an `ArtifactError` if a finished size is no longer there."""
    for step in range(max((len(chain.recipes) for chain in chains), default=0)):
        run_trainings([chain.training(context.root, step) for chain in chains if step < len(chain.recipes)], context, jobs=jobs)


def chain_of_artifact(path: Path, name: str, place: Path | None = None, say: Say = ignore_message, root: Path | None = None) -> LayerChain:
    """Return the trainings that made a layer, on the pictures that they were shown then, wherever these are now.

    Args:
        path: Its artifact.
        name: Of the layer.
        place: As of `with_trained_pictures`; None is the artifact.
        say: As of `with_own_pictures`.
        root: As of `with_trained_pictures`.

    Raises:
        UsageError: The artifact does not contain the recipes that made it, goes on from a generator that it does not grow from, or nothing says where
            its pictures are.
        DataError: Its pictures are missing.
        ResourceError: Pictures cannot be read for a fault of the machine.
    """
    records = read_card(path).training_records()
    recorded: list[Recipe] = []
    recipes: list[Recipe] = []
    for record in records:
        recorded.insert(0, _recipe_of_record(record, path, name))
        try:
            recipes.insert(0, _with_pictures(recorded, record, place or path, recipes, say, root))
        except UsageError as error:
            raise UsageError(
                f"--pretrain-seeds: {name} ({path}) {error}; call it in the folder from which the path leads to them, or leave the option out"
            ) from None
        if not isinstance(recipes[0].generator, ParentedGeneratorRecipe):
            break
    if len(recipes) < len(records):
        raise UsageError(
            f"--pretrain-seeds: {name} ({path}) went on from another trained generator, which would be the same for every seed; give a layer that "
            "learned from nothing, or leave it out"
        )
    if isinstance(recipes[0].generator, ParentedGeneratorRecipe):
        raise UsageError(f"--pretrain-seeds: {path} does not contain the recipe of the generator that it grew from; give another {name}")
    return LayerChain(name, tuple(recipes))


def _with_pictures(recorded: Sequence[Recipe], record: Mapping[str, Any], place: Path, later: Sequence[Recipe], say: Say, root: Path | None) -> Recipe:
    """Return the first of the recorded recipes with its pictures.

    Args:
        recorded: Of this training and of those that grew from it, the layer's own last.
        record: Of this training.
        place: As of `with_trained_pictures`.
        later: The others with their pictures.
        say: As of `with_own_pictures`.
        root: As of `with_trained_pictures`.
    """
    recipe, source = recorded[0], recorded[0].data.source
    if later and source == recorded[-1].data.source != later[-1].data.source and (own := with_pictures_of_layer(recipe, record, later[-1])):
        return own
    return with_trained_pictures(recipe, record, place, ignore_message if later else say, root)


def _recipe_of_record(record: dict[str, object], path: Path, name: str) -> Recipe:
    """Return the recipe of one training; a step of a ladder gets a length of its own."""
    tree, kimg = record.get("made_by"), record.get("kimg")
    try:
        recipe = parse_recipe(dict(tree) if isinstance(tree, dict) else {}, str(path))
        if recipe.generator is None:
            raise UsageError("no generator")
    except (UsageError, ArtifactError):
        raise UsageError(f"--pretrain-seeds: {path} does not contain the recipe that made it; give the artifact of {name} itself") from None
    update_kimg = recipe.training.batch * recipe.objective.critic_steps / 1000
    is_step = isinstance(kimg, float) and isinstance(recipe.generator, ParentedGeneratorRecipe) and recipe.training.kimg > kimg + update_kimg
    return with_overrides(recipe, training__kimg=kimg, training__limit_s=None) if is_step and recipe.training.limit_s is None else recipe


def _training(label: str, recipe: Recipe, start: Path | None) -> ArmTraining:
    if start is None:
        return ArmTraining(label, recipe)
    critic = start.parent / CRITIC_FOLDER / CRITIC_FILE if recipe.critic.kind == "grown" else None
    recipe, critic = with_start(recipe, start, critic, ignore_message)
    return ArmTraining(label, recipe, {}, start, critic)
