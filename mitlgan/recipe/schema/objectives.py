"""Objectives, which a recipe chooses by `kind`; one without a `kind` is the thesis' own, wgan_gp."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from mitlgan.recipe.schema.base import RecipeTable, kind_discriminator, kinds_of

Every = Annotated[int, Field(ge=1, le=1000)]


class WganGpRecipe(RecipeTable):
    """Wasserstein loss with gradient penalty.

    Attributes:
        penalty_weight: Lambda of the gradient penalty (Gulrajani et al. 2017, equation 3).
        penalty_every: Interval of critic updates at which the penalty is computed, and factor of its weight there (Karras et al. 2020, StyleGAN2,
            section 3.1).
        critic_steps: Critic updates for one generator update.
    """

    kind: Literal["wgan_gp"] = "wgan_gp"
    penalty_weight: Annotated[float, Field(ge=0.0, le=1e6)] = 10.0
    penalty_every: Every = 1
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 5
    accepts_sigmoid: ClassVar[bool] = False
    has_per_sample_penalty: ClassVar[bool] = True

    @model_validator(mode="after")
    def _something_to_space_out(self) -> Self:
        _require_penalty(self.penalty_every, self.penalty_weight)
        return self


class _SeparableTable(RecipeTable):
    """An objective whose losses of real and fake images do not depend on each other.

    Attributes:
        separate_updates: Whether the critic makes one update on the real images, then one on the fake ones, as Keras' `train_on_batch` does for each
            batch (Akel 2022, section 3.2.7); absent: one update on the sum of both losses.
    """

    separate_updates: bool | None = None


class WganClipRecipe(_SeparableTable):
    """Wasserstein loss with weight clipping.

    Attributes:
        clip: Largest absolute value of the critic's weights (Arjovsky et al. 2017, algorithm 1).
        critic_steps: Critic updates for one generator update.
    """

    kind: Literal["wgan_clip"] = "wgan_clip"
    clip: Annotated[float, Field(gt=0.0, le=10.0)] = 0.01
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 5
    accepts_sigmoid: ClassVar[bool] = False
    has_per_sample_penalty: ClassVar[bool] = False


class _Labelled(_SeparableTable):
    """Labels of real and fake images.

    Attributes:
        label_smoothing: Real images get the label 1 minus this (Salimans et al. 2016, section 3.4).
        label_noise: Largest uniform noise that is added to each label.
        label_flips: Share of labels that are swapped at random.
        log_accuracy: Whether the critic's accuracy is logged, the share of pictures that it tells right (Bielko 2022, section 2.5.1); absent: no.
        critic_steps: Critic updates for one generator update.
    """

    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    label_noise: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    label_flips: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    log_accuracy: bool | None = None
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 1
    has_per_sample_penalty: ClassVar[bool] = False


class MinimaxRecipe(_Labelled):
    """The first GAN's loss, non-saturating (Goodfellow et al. 2014), on logits."""

    kind: Literal["minimax"] = "minimax"
    accepts_sigmoid: ClassVar[bool] = False


class EvolutionaryRecipe(_Labelled):
    """E-GAN (Wang et al. 2018): in each update the generator mutates by three losses, and the fittest of the three children stays.

    Attributes:
        diversity_weight: Gamma, weight of the fitness of diversity next to that of quality (equation 8).
    """

    kind: Literal["evolutionary"] = "evolutionary"
    diversity_weight: Annotated[float, Field(ge=0.0, le=1e3)] = 0.5
    accepts_sigmoid: ClassVar[bool] = False


class LsganRecipe(_Labelled):
    """Least squares (Mao et al. 2017)."""

    kind: Literal["lsgan"] = "lsgan"
    accepts_sigmoid: ClassVar[bool] = True


class RelativisticRecipe(RecipeTable):
    """Relativistic pairing loss with zero-centred penalties on both sides (Huang et al. 2024, equations 1 to 3).

    Attributes:
        r1_weight: Gamma of the penalty at real images; half of it weights the mean squared gradient norm. It grows with the number of pixels: the
            authors' code begins with 0.05 to 0.5 at 32 px, 1 to 2 at 64 px, 150 at 256 px, and ends at a tenth of it.
        r2_weight: Gamma of the penalty at generated images; without either penalty training need not converge (section 2).
        penalty_every: Interval of critic updates at which both are computed, and factor of their weights there (Karras et al. 2020, StyleGAN2,
            section 3.1).
        critic_steps: Critic updates for one generator update.
    """

    kind: Literal["relativistic"] = "relativistic"
    r1_weight: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    r2_weight: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    penalty_every: Every = 1
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 1
    accepts_sigmoid: ClassVar[bool] = False
    has_per_sample_penalty: ClassVar[bool] = True

    @model_validator(mode="after")
    def _something_to_space_out(self) -> Self:
        _require_penalty(self.penalty_every, self.r1_weight, self.r2_weight)
        return self


def _require_penalty(every: int, *weights: float) -> None:
    if every > 1 and not any(weights):
        raise ValueError(f"penalty_every = {every} spaces out a penalty that has no weight; give it one, or take penalty_every = 1")


AnyObjective = Annotated[
    Annotated[WganGpRecipe, Tag("wgan_gp")]
    | Annotated[WganClipRecipe, Tag("wgan_clip")]
    | Annotated[MinimaxRecipe, Tag("minimax")]
    | Annotated[LsganRecipe, Tag("lsgan")]
    | Annotated[EvolutionaryRecipe, Tag("evolutionary")]
    | Annotated[RelativisticRecipe, Tag("relativistic")],
    Discriminator(kind_discriminator("wgan_gp")),
]
OBJECTIVE_KINDS = kinds_of(AnyObjective)
