"""Objectives, which a recipe chooses by `kind`; one without a `kind` is the thesis' own, wgan_gp."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from mitlgan.recipe.model import Model, kind_or


class ObjectiveRecipe(Model):
    """Wasserstein loss with gradient penalty.

    Attributes:
        penalty_weight: Lambda of the gradient penalty (Gulrajani et al. 2017, equation 3).
        critic_steps: Critic updates for one generator update.
    """

    kind: Literal["wgan_gp"] = "wgan_gp"
    penalty_weight: Annotated[float, Field(ge=0.0, le=1e6)] = 10.0
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 5
    takes_sigmoid: ClassVar[bool] = False


class WganClipRecipe(Model):
    """Wasserstein loss with weight clipping.

    Attributes:
        clip: Every weight of the critic is kept within +- this (Arjovsky et al. 2017, algorithm 1).
        critic_steps: Critic updates for one generator update.
    """

    kind: Literal["wgan_clip"] = "wgan_clip"
    clip: Annotated[float, Field(gt=0.0, le=10.0)] = 0.01
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 5
    takes_sigmoid: ClassVar[bool] = False


class _Labelled(Model):
    """How real and fake are labelled for the critic.

    Attributes:
        label_smoothing: Real pictures get 1 minus this (Salimans et al. 2016, section 3.4).
        label_noise: Every label is moved by a uniform number within +- this.
        label_flips: Share of labels that are swapped by chance.
        critic_steps: Critic updates for one generator update.
    """

    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    label_noise: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    label_flips: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 1


class MinimaxRecipe(_Labelled):
    """The first GAN's loss, non-saturating (Goodfellow et al. 2014), on logits."""

    kind: Literal["minimax"] = "minimax"
    takes_sigmoid: ClassVar[bool] = False


class LsganRecipe(_Labelled):
    """Least squares (Mao et al. 2017)."""

    kind: Literal["lsgan"] = "lsgan"
    takes_sigmoid: ClassVar[bool] = True


AnyObjective = Annotated[
    Annotated[ObjectiveRecipe, Tag("wgan_gp")]
    | Annotated[WganClipRecipe, Tag("wgan_clip")]
    | Annotated[MinimaxRecipe, Tag("minimax")]
    | Annotated[LsganRecipe, Tag("lsgan")],
    Discriminator(kind_or("wgan_gp")),
]
OBJECTIVE_KINDS: dict[str, type[Model]] = {"wgan_gp": ObjectiveRecipe, "wgan_clip": WganClipRecipe, "minimax": MinimaxRecipe, "lsgan": LsganRecipe}
