"""Optimisers, which a recipe chooses by `kind`; one without a `kind` is Adam."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from mitlgan.recipe.schema.base import RecipeTable, kind_discriminator, kinds_of


class _ScheduledTable(RecipeTable):
    """Learning-rate schedule over a run, or over each step of a ladder, at whose beginning it starts again.

    It depends only on the share of the length, `training.kimg`; of a ladder, that of the step. If a run is extended, its rate continues as in a run
    of the new length.

    Attributes:
        schedule: `none`: constant. `linear`, or `cosine`: half a wave (Loshchilov & Hutter 2017, equation 5, without restarts).
        schedule_from: Share of the length at which the decay starts; absent: 0.
        schedule_to: Share of the learning rate at the end; absent: 0.
    """

    schedule: Literal["none", "linear", "cosine"] = "none"
    schedule_from: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    schedule_to: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None

    @model_validator(mode="after")
    def _something_to_follow(self) -> Self:
        for key in ("schedule_from", "schedule_to"):
            if self.schedule == "none" and getattr(self, key) is not None:
                raise ValueError(f'{key} belongs to a schedule, of which there is none; remove it, or take schedule = "linear"')
        return self

    def factor(self, share: float) -> float:
        """Return the factor of the learning rate.

        Args:
            share: Share of the length so far, of a ladder that of the step.
        """
        if self.schedule == "none":
            return 1.0
        start, end = self.schedule_from or 0.0, self.schedule_to or 0.0
        progress = min(max((share - start) / (1 - start), 0.0), 1.0)
        remaining = 1 - progress if self.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return end + (1 - end) * remaining


class AdamRecipe(_ScheduledTable):
    """Adam (Kingma & Ba 2015)."""

    kind: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-4
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8


class RmspropRecipe(_ScheduledTable):
    """RMSprop (Tieleman & Hinton 2012).

    Attributes:
        learning_rate: Step size.
        decay: Decay of the mean square; Keras has 0.9 and calls it rho, torch 0.99 and calls it alpha.
        eps: Added to the denominator.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 5e-5
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-7


AnyOptimiser = Annotated[Annotated[AdamRecipe, Tag("adam")] | Annotated[RmspropRecipe, Tag("rmsprop")], Discriminator(kind_discriminator("adam"))]
OPTIMISER_KINDS = kinds_of(AnyOptimiser)
