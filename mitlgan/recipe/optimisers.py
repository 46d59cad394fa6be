"""Optimisers, which a recipe chooses by `kind`; one without a `kind` is Adam."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from mitlgan.recipe.model import Model, kind_or


class AdamRecipe(Model):
    """Adam (Kingma & Ba 2015)."""

    kind: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-4
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8


class RmspropRecipe(Model):
    """RMSprop (Tieleman & Hinton 2012).

    Attributes:
        learning_rate: Of every step.
        decay: Of the mean square; Keras has 0.9 and calls it rho, torch 0.99 and calls it alpha.
        eps: Added to the root.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 5e-5
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-7


AnyOptimiser = Annotated[Annotated[AdamRecipe, Tag("adam")] | Annotated[RmspropRecipe, Tag("rmsprop")], Discriminator(kind_or("adam"))]
OPTIMISER_KINDS: dict[str, type[Model]] = {"adam": AdamRecipe, "rmsprop": RmspropRecipe}
