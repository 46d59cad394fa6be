"""Differentiable augmentation of all that the critic sees."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mitlgan.recipe.schema.base import RecipeTable

Transform = Literal["colour", "translation", "cutout"]


class AugmentRecipe(RecipeTable):
    """Augmentation of real and generated images before the critic (Zhao et al. 2020, DiffAugment).

    Attributes:
        policy: Transforms, of `colour`, `translation`, `cutout`, always applied in that order, however they are listed.
        probability: Of each transform on each image; 1.0 is DiffAugment. `auto`: starts at 0 and follows the critic's overfitting (Karras et
            al. 2020, "Training generative adversarial networks with limited data", section 3), for small sets.
        target: For `auto`: mean sign of real images' scores at which the probability stays constant; absent: 0.6, as in that section.
        speed_kimg: For `auto`: kimg in which it can rise from 0 to 1; absent: 500, as in that section. Shorter trainings need less.
        below_pictures: Only sets of fewer pictures are augmented; absent: every set.
    """

    policy: Annotated[tuple[Transform, ...], Field(min_length=1)] = ("colour", "translation", "cutout")
    probability: Annotated[float, Field(gt=0.0, le=1.0)] | Literal["auto"] = 1.0
    target: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    speed_kimg: Annotated[float, Field(gt=0.0, le=1e6)] | None = None
    below_pictures: Annotated[int, Field(ge=2, le=100_000_000)] | None = None

    def applies_to(self, pictures: int) -> bool:
        """Whether a set of so many pictures is augmented."""
        return self.below_pictures is None or pictures < self.below_pictures

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(set(self.policy)) < len(self.policy):
            raise ValueError(f"policy names a transform twice: {', '.join(self.policy)}; give each once")
        if self.probability != "auto":
            for key in ("target", "speed_kimg"):
                if getattr(self, key) is not None:
                    raise ValueError(f'{key} moves the probability, which is fixed at {self.probability}; remove it, or take probability = "auto"')
        return self
