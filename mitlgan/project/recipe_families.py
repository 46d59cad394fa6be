"""Which recipes a project trains with, by the number and the size of its photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.recipe import shipped_folder

MIN_PHOTOGRAPHS = 8
"""Fewer are no set to learn from."""
MIN_TRANSFER_PHOTOGRAPHS = 1000
"""With so many photographs or more, layers learn from nothing; with fewer, they go on from the shipped ones."""


@dataclass(frozen=True)
class LayerStep:
    """How both layers are trained at one size.

    Attributes:
        size_px: Size of their images.
        recipes: Recipe of each role.
        shipped_start: Shipped artifact that each role goes on from; empty: from the step before, or from nothing in the first step.
    """

    size_px: int
    recipes: Mapping[str, str]
    shipped_start: Mapping[str, str] = field(default_factory=dict)

    def start(self, role: str) -> Path | None:
        """Return the shipped artifact that a role goes on from, if any."""
        return shipped_folder("pretrained") / self.shipped_start[role] / "generator.safetensors" if role in self.shipped_start else None


@dataclass(frozen=True)
class RecipeFamily:
    """Recipes that belong together, from the first layers to the composition.

    Attributes:
        name: For people.
        reason: Why it was chosen, for people.
        steps: Trainings of layers, the smallest size first.
        compositions: Recipe of the composition by size in px.
    """

    name: str
    reason: str
    steps: tuple[LayerStep, ...]
    compositions: Mapping[int, str]

    @property
    def sizes_px(self) -> tuple[int, ...]:
        """Sizes that it can end with."""
        return tuple(step.size_px for step in self.steps)

    def steps_to(self, size_px: int) -> tuple[LayerStep, ...]:
        """Return the steps that lead to a size."""
        return tuple(step for step in self.steps if step.size_px <= size_px)


FEW = RecipeFamily(
    "few",
    f"fewer than {MIN_TRANSFER_PHOTOGRAPHS:,} photographs: the layers go on from shipped ones",
    (
        LayerStep(32, {"fg": "few/fg-32", "bg": "few/bg-32"}, {"fg": "modern-fg-wide-32", "bg": "modern-bg-32"}),
        LayerStep(64, {"fg": "few/fg-64-sharp", "bg": "few/bg-64-sharp"}),
    ),
    {32: "few/compose-32", 64: "few/compose-64"},
)
MANY = RecipeFamily(
    "recommended",
    f"{MIN_TRANSFER_PHOTOGRAPHS:,} photographs or more: the layers learn from nothing",
    (
        LayerStep(32, {"fg": "recommended/fg-32", "bg": "recommended/bg-32"}),
        LayerStep(64, {"fg": "recommended/fg-64-grown", "bg": "recommended/bg-64-grown"}),
    ),
    {32: "recommended/compose-32", 64: "recommended/compose-64-grown"},
)
FAMILIES = {family.name: family for family in (FEW, MANY)}
SIZES_PX = tuple(sorted({size_px for family in FAMILIES.values() for size_px in family.sizes_px}))
"""Sizes of pictures that some family makes."""


def choose_family(photographs: int) -> RecipeFamily:
    """Return the recipes that suit so many photographs."""
    return FEW if photographs < MIN_TRANSFER_PHOTOGRAPHS else MANY


def choose_size(family: RecipeFamily, shorter_side_px: int, requested_px: int | None) -> int:
    """Return the size of the pictures to make: the requested one, else the largest that the photographs have pixels for.

    Args:
        family: Of the recipes.
        shorter_side_px: Median of the photographs' shorter sides.
        requested_px: The user's choice, if any.

    Raises:
        UsageError: There are no recipes for the requested size.
    """
    if requested_px is not None:
        if requested_px not in family.sizes_px:
            sizes = " or ".join(map(str, family.sizes_px))
            raise UsageError(f"--size {requested_px}: recipes for so many photographs make {sizes} px; give one of these")
        return requested_px
    return max((size for size in family.sizes_px if size <= shorter_side_px), default=family.sizes_px[0])
