"""A ladder of sizes: one training goes from small pictures to large ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from mitlgan.recipe.schema.base import RecipeTable, Width, Widths

GROWTH_FACTORS = (2, 4)
"""Size of a step over that of the step before."""


class GrowRecipe(RecipeTable):
    """One step of a ladder of sizes; the first has [generator] and [critic], each further one grows from the step before.

    Attributes:
        size_px: Height and width of the step's images.
        kimg: Length of the step.
        generator_rate: Learning rate; absent: that of [generator_optimiser].
        critic_rate: Learning rate; absent: that of [critic_optimiser].
        critic: A `new` critic, that of the recipe with one more convolution for each doubling (default), or the one before, `grown`. This and
            all other keys are of further steps only.
        critic_first_kimg: kimg at the step's start in which only the critic learns.
        resample: As of `generator.kind = "grown"`; so are `coarse_widths`, `fine_width`, `change`, `parent_rate` and `parent_norm`.
        coarse_widths: See `resample`.
        fine_width: See `resample`.
        change: See `resample`.
        parent_rate: See `resample`.
        parent_norm: See `resample`.
    """

    size_px: Annotated[int, Field(ge=4, le=1024)]
    kimg: Annotated[float, Field(gt=0.0, le=1e7)]
    generator_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    critic_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    critic: Literal["new", "grown"] | None = None
    critic_first_kimg: Annotated[float, Field(gt=0.0, le=1e7)] | None = None
    resample: Literal["bicubic", "bilinear", "nearest"] | None = None
    coarse_widths: Widths | None = None
    fine_width: Width | None = None
    change: Annotated[float, Field(gt=0.0, le=2.0)] | None = None
    parent_rate: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    parent_norm: Literal["frozen", "batch"] | None = None

    def growth(self) -> dict[str, object]:
        """Return the keys that it gives to the grown generator."""
        keys = ("resample", "coarse_widths", "fine_width", "change", "parent_rate", "parent_norm")
        return {key: value for key in keys if (value := getattr(self, key)) is not None}


def total_kimg(steps: Sequence[GrowRecipe]) -> float:
    """Return the length of all steps."""
    return round(sum(step.kimg for step in steps), 6)


def with_total_length(values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe, as dictionaries, with `training.kimg` if it has a ladder and does not say its length; faults are left to the schema."""
    steps, training = values.get("grow"), values.get("training", {})
    if not isinstance(steps, list) or not isinstance(training, dict) or "kimg" in training:
        return values
    lengths = [step["kimg"] for step in steps if isinstance(step, dict) and isinstance(step.get("kimg"), int | float)]
    if not lengths or len(lengths) < len(steps) or not all(0 < length < math.inf for length in lengths):
        return values
    return {**values, "training": {**training, "kimg": round(float(sum(lengths)), 6)}}


def require_ladder(steps: Sequence[GrowRecipe], size_px: int) -> None:
    """Raise a ValueError for steps that are no ladder up to a size."""
    first = steps[0]
    keys = [*first.growth(), *(key for key in ("critic", "critic_first_kimg") if getattr(first, key) is not None)]
    if keys:
        raise ValueError(f"grow: {keys[0]} is for steps that grow, and the first, {first.size_px} px, begins with [generator] and [critic]; remove it")
    for before, step in pairwise(steps):
        last, next_px = before.size_px, step.size_px
        if next_px == last:
            raise ValueError(f"grow: repeats {last} px; give each size once")
        if next_px < last:
            raise ValueError(f"grow: shrinks from {last} to {next_px} px; list the sizes from small to large")
        if next_px not in (factor * last for factor in GROWTH_FACTORS):
            raise ValueError(f"grow: skips from {last} to {next_px} px; a step has two or four times the size of the one before, such as {2 * last} px")
    if steps[-1].size_px != size_px:
        raise ValueError(f"grow: ends at {steps[-1].size_px} px, but size_px = {size_px} is the size of the result; make them equal")
