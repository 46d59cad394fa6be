"""The trainings of a layer that grows: small pictures first, and each goes on from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER
from mitlgan.compare.arm_training import ArmTraining, run_trainings
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, parse_recipe, with_overrides
from mitlgan.runtime.progress import ignore_message
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

    def with_seed(self, label: str, seed: int) -> LayerChain:
        """Return the same trainings with another seed."""
        return LayerChain(label, tuple(with_overrides(recipe, seed=seed) for recipe in self.recipes))


def run_chains(chains: Sequence[LayerChain], context: RunContext, *, jobs: int) -> None:
    """Run what is not finished, size by size; errors as of `run_trainings`."""
    for step in range(max((len(chain.recipes) for chain in chains), default=0)):
        run_trainings([chain.trainings(context.root)[step] for chain in chains if step < len(chain.recipes)], context, jobs=jobs)


def chain_of_artifact(path: Path, name: str) -> LayerChain:
    """Return the trainings that made a layer.

    Args:
        path: Its artifact.
        name: Of the layer.

    Raises:
        UsageError: The artifact does not contain the recipes that made it, or goes on from a generator that it does not grow from.
    """
    records = read_card(path).training_records()
    recipes: list[Recipe] = []
    for record in records:
        recipes.insert(0, _recipe_of_record(record, path, name))
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
