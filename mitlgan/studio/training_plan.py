"""Requests to train, and the commands that they become: `mitlgan pretrain`, `mitlgan compose` or `mitlgan resume`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from mitlgan.artifacts.card import LAYER_ROLES
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, load_recipe, shipped_recipe_names, with_overrides, with_total_kimg
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import Id, Name, StrictModel
from mitlgan.studio.training_sets import TrainingSet, require_set

MAX_KIMG = 100_000.0
LOOKS = 8
"""Snapshots and checkpoints of a short training: the first look comes early, and a stop loses little."""
OTHER_FOLDERS = ("classic/", "inpaint/")
"""Recipes that reproduce other projects on their own data, and those that compose nothing."""
State = Literal["starting", "running", "stopping", "done", "stopped", "failed"]


class StartRequest(StrictModel):
    """A training to start, everything by the studio's own ids and names.

    Attributes:
        set: Pictures to train on; see `TrainingAnswer.sets`.
        recipe: Name of a shipped recipe; see `TrainingAnswer.recipes`.
        kimg: Length; absent: the recipe's.
        layers: Artifact of each layer of a composition, from back to front; absent: the newest ones.
        start: Artifact whose weights a generator starts from.
    """

    set: Id
    recipe: Name
    kimg: Annotated[float, Field(gt=0, le=MAX_KIMG)] | None = None
    layers: dict[Name, Id] = Field(default_factory=dict, max_length=8)
    start: Id | None = None


class ResumeRequest(StrictModel):
    """A stopped run to continue, or to end at its newest checkpoint; see `/api/runs`."""

    run: Id
    end: bool = False


class StopRequest(StrictModel):
    """A training to stop.

    Attributes:
        number: The one that is meant, see `CurrentTraining`: a page that shows an older one must not stop its successor. Absent: the current one.
    """

    number: Annotated[int, Field(ge=1, le=2**53)] | None = None


class SetAnswer(BaseModel):
    """A set of pictures that may be trained on, and for which roles."""

    id: str
    name: str
    roles: list[str]


class RecipeAnswer(BaseModel):
    """A recipe that may be trained.

    Attributes:
        kimg: Its length, which a request may change.
        start_px: Size of the generators that it can start from.
        needs_start: Whether it starts from a trained generator only: it grows one, or goes on with one.
        layered: Whether its foreground must have a matte.
    """

    name: str
    command: str
    role: str
    size_px: int
    kimg: float
    start_px: int
    needs_start: bool
    layered: bool


class CurrentTraining(BaseModel):
    """The training that the studio has started last.

    Attributes:
        number: Of the studio's trainings, from 1.
        label: Command and recipe, for display.
        state: What it does, or how it ended.
        run: Id of its run, once there is one.
        message: Its last line, or the error that it ended with.
    """

    number: int
    label: str
    state: State
    run: str | None
    message: str


class TrainingAnswer(BaseModel):
    """What can be trained, and what is being trained."""

    sets: list[SetAnswer]
    recipes: list[RecipeAnswer]
    current: CurrentTraining | None


@dataclass(frozen=True)
class TrainingPlan:
    """A training to start.

    Attributes:
        label: Command and recipe, for display.
        arguments: Command line of `mitlgan`, without recipe and output folder.
        recipe: All settings; None if a run is resumed.
        run: The run that is resumed.
    """

    label: str
    arguments: Sequence[str]
    recipe: Recipe | None = None
    run: Path | None = None


@cache
def offered_recipes() -> Mapping[str, Recipe]:
    """Return the shipped recipes of layers, compositions and scenes by name."""
    names = [name for name in shipped_recipe_names() if not name.startswith(OTHER_FOLDERS)]
    recipes = {name: recipe for name in names if (recipe := load_recipe(name)).inpainter is None}
    return dict(sorted(recipes.items(), key=lambda item: (not item[0].startswith("recommended/"), item[1].size_px, item[0])))


def describe_recipes() -> list[RecipeAnswer]:
    """Return what the page shows of each recipe."""
    return [
        RecipeAnswer(
            name=name, command=recipe.command, role=recipe.role, size_px=recipe.size_px, kimg=recipe.training.kimg,
            start_px=_start_px(recipe), needs_start=recipe.transfer is not None or isinstance(recipe.generator, ParentedGeneratorRecipe),
            layered=recipe.composer is not None and recipe.composer.fusion.kind == "alpha",
        )
        for name, recipe in offered_recipes().items()
    ]  # fmt: skip


def _start_px(recipe: Recipe) -> int:
    if isinstance(recipe.generator, ParentedGeneratorRecipe):
        return recipe.generator.parent_px
    return recipe.size_px if recipe.grow is None else recipe.grow[0].size_px


def plan_start(request: StartRequest, sets: Mapping[str, TrainingSet], artifact_path: Callable[[str], Path]) -> TrainingPlan:
    """Return the command of a request.

    Args:
        request: The request.
        sets: The sets on offer.
        artifact_path: Returns the file of an artifact's id, or refuses.

    Raises:
        RequestRefused: 404, the set, the recipe or an artifact is not on offer; 422, they do not fit.
    """
    recipe = offered_recipes().get(request.recipe)
    if recipe is None:
        raise RequestRefused(404, "recipe: is not on offer; choose one of /api/training")
    composes = recipe.composer is not None
    if composes and request.start is not None:
        raise RequestRefused(422, "start: a composition starts from its layers; name these in layers")
    if not composes and request.layers:
        raise RequestRefused(422, "layers: only a composition has layers; leave them out, or choose another recipe")
    recipe = _with_data(recipe, request, sets)
    paths = {name: artifact_path(artifact) for name, artifact in request.layers.items()}
    if composes:
        is_short = set(paths) <= set(LAYER_ROLES)
        layers = [[f"--{name}", str(path)] if is_short else ["--layer", f"{name}={path}"] for name, path in paths.items()]
        arguments = ["compose", *(word for option in layers for word in option)]
    else:
        arguments = ["pretrain", recipe.role, *(("--from", str(artifact_path(request.start))) if request.start is not None else ())]
    return TrainingPlan(f"{recipe.command} {request.recipe}", arguments, recipe)


def _with_data(recipe: Recipe, request: StartRequest, sets: Mapping[str, TrainingSet]) -> Recipe:
    values: dict[str, object] = {"data__source": require_set(sets, request.set, recipe.role)}
    recipe = with_total_kimg(recipe, request.kimg or recipe.training.kimg)
    training, kimg = recipe.training, recipe.training.kimg
    if (
        training.snapshot_iterations is None and kimg < LOOKS and recipe.grow is None
    ):  # snapshots are named by whole kimg, so these would replace each other
        per_update = training.batch * recipe.objective.critic_steps / 1000
        values["training__snapshot_iterations"] = max(1, round(kimg / per_update / LOOKS))
    elif training.snapshot_iterations is None:
        values["training__snapshot_kimg"] = min(training.snapshot_kimg, kimg / LOOKS)
    if training.checkpoint_iterations is None:
        values["training__checkpoint_kimg"] = min(training.checkpoint_kimg, kimg / LOOKS)
    composer = recipe.composer
    if composer is not None and composer.placement is not None and composer.fusion.kind == "alpha" and set(request.layers) <= set(LAYER_ROLES):
        values["composer__placement__mattes"] = "scenes" if sets[request.set].is_split else composer.placement.mattes
    return with_overrides(recipe, **values)
