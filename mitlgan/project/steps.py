"""The trainings of a project, each as the command that it stands for and as the stage that runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan.artifacts.project_pictures import LAYERS
from mitlgan.compare.arm_training import ArmTraining
from mitlgan.errors import DataError
from mitlgan.project.plan import ProjectPlan
from mitlgan.project.recipe_families import LayerStep
from mitlgan.recipe import MATTES_KEY, USE_SCENES, load_recipe, with_data_source
from mitlgan.runtime.progress import Say
from mitlgan.stages.pretrain import with_start

RUNS = "runs"
"""Folder of a project: trainings."""


@dataclass(frozen=True)
class TrainingStep:
    """One training.

    Attributes:
        role: `fg`, `bg`, or `scene` for the composition.
        size_px: Size of its images.
        recipe_name: A shipped recipe.
        settings: Changes of it, as of `--set`.
        data: Folder of its pictures.
        start: Artifact that a layer goes on from.
        layers: Artifact of each layer, for the composition.
    """

    role: str
    size_px: int
    recipe_name: str
    settings: tuple[str, ...]
    data: Path
    start: Path | None = None
    layers: Mapping[str, Path] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of its length in the plan, and for users."""
        return step_label(self.role, self.size_px)

    def command(self, runs: Path) -> list[str]:
        """Return the words of the command, without `mitlgan`."""
        layers = [word for name, path in self.layers.items() for word in (f"--{name}", str(path))]
        words = ["compose", *layers] if self.layers else ["pretrain", self.role]
        words += ["--from", str(self.start)] if self.start is not None else []
        words += ["--recipe", self.recipe_name, "--data", str(self.data), *(word for setting in self.settings for word in ("--set", setting))]
        return [*words, "--out", str(runs)]

    def training(self, say: Say) -> ArmTraining:
        """Return what runs it, or goes on with it.

        Args:
            say: Shows where the critic comes from.

        Raises:
            MitlganError: The artifact that it goes on from does not fit.
        """
        recipe = with_data_source(load_recipe(self.recipe_name, self.settings), str(self.data))
        if self.layers:
            return ArmTraining(self.label, recipe, self.layers)
        recipe, critic = with_start(recipe, self.start, None, say)
        return ArmTraining(self.label, recipe, {}, self.start, critic)


def step_label(role: str, size_px: int) -> str:
    """Return the name of a training."""
    return f"{role}-{size_px}"


def layer_step(plan: ProjectPlan, out: Path, step: LayerStep, role: str, before: Path | None) -> TrainingStep:
    """Return the training of one layer at one size.

    Args:
        plan: Of the project.
        out: Its folder.
        step: Recipes of the size.
        role: `fg` or `bg`.
        before: The layer's artifact of the size before, if any.

    Raises:
        DataError: There are no pictures of the layer.
    """
    return TrainingStep(role, step.size_px, step.recipes[role], _settings(plan, role, step.size_px), _pictures(out, role), step.start(role) or before)


def composition_step(plan: ProjectPlan, out: Path, layers: Mapping[str, Path]) -> TrainingStep:
    """Return the training of the composition, whose objects are placed where the photographs have them."""
    settings = (*_settings(plan, "scene", plan.size_px), f"{MATTES_KEY}={USE_SCENES}")
    return TrainingStep("scene", plan.size_px, plan.recipe_family.compositions[plan.size_px], settings, _pictures(out, "scene"), None, layers)


def _settings(plan: ProjectPlan, role: str, size_px: int) -> tuple[str, ...]:
    seed = (f"seed={plan.request.seed}",) if plan.request.seed else ()
    licence = (f"licence={json.dumps(plan.request.licence, ensure_ascii=False)}",) if plan.request.licence else ()
    return (f"training.kimg={plan.lengths_kimg[step_label(role, size_px)]:g}", *seed, *licence)


def _pictures(out: Path, role: str) -> Path:
    folder = out / LAYERS / role
    if not any(folder.rglob("*.png")):
        kind = {"fg": "objects", "bg": "backgrounds", "scene": "scenes"}[role]
        advice = "give photographs with more space around the object, or whose object is better seen against its background"
        raise DataError(f"{folder}: the photographs gave no {kind}, see {out / LAYERS / 'sheet.html'}; {advice}")
    return folder
