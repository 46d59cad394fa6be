"""What is trained for the time to quality: kind of picture, size, and the recommended recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, as_dict, load_recipe, with_overrides


@dataclass(frozen=True)
class QualityTask:
    """One kind of picture at one size.

    Attributes:
        name: Such as `bg-32`.
        role: `fg`, `bg` or `scene`.
        size_px: Height and width of the pictures.
        recipe_name: The shipped recipe; a ladder that goes on to larger sizes is cut at `size_px`.
    """

    name: str
    role: str
    size_px: int
    recipe_name: str

    def load_recipe(self) -> Recipe:
        """Return the recommended recipe, unchanged up to the task's size."""
        recipe = load_recipe(self.recipe_name)
        if recipe.grow is None or recipe.size_px == self.size_px:
            return recipe
        steps = [as_dict(step) for step in recipe.grow if step.size_px <= self.size_px]
        return with_overrides(recipe, size_px=self.size_px, grow=steps, training__kimg=None)


TASKS = {
    task.name: task
    for task in (
        QualityTask("bg-32", "bg", 32, "recommended/bg-32"),
        QualityTask("fg-32", "fg", 32, "recommended/fg-32"),
        QualityTask("scene-32", "scene", 32, "recommended/scene-32"),
        # Ladders of sizes, from 32 px: those of layers are recommended/bg-64-grown and fg-64-grown with their parents' training.
        QualityTask("bg-64", "bg", 64, "recommended/bg-128-grown"),
        QualityTask("fg-64", "fg", 64, "recommended/fg-128-grown"),
        QualityTask("scene-64", "scene", 64, "recommended/wgan-64-grown"),
    )
}
"""Tasks by name."""


def choose_tasks(names: Sequence[str]) -> list[QualityTask]:
    """Return tasks by name, in the order of `TASKS`; all if none is named.

    Raises:
        UsageError: There is no such task.
    """
    for name in names:
        if name not in TASKS:
            raise UsageError(f"--only {name}: no such part of --quality; give some of {', '.join(TASKS)}")
    return [task for name, task in TASKS.items() if not names or name in names]
