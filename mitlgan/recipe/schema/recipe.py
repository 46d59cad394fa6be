"""The whole recipe: everything that decides a run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mitlgan.recipe.schema.augment import AugmentRecipe
from mitlgan.recipe.schema.base import RecipeTable
from mitlgan.recipe.schema.composer import FUSION_KINDS, ComposerRecipe
from mitlgan.recipe.schema.critics import CRITIC_KINDS, AnyCritic, ThesisCriticRecipe, freezable_convolutions
from mitlgan.recipe.schema.generators import GENERATOR_KINDS, AnyGenerator
from mitlgan.recipe.schema.inpainter import InpainterRecipe
from mitlgan.recipe.schema.judges import INDEPENDENT_EXTRACTORS, network_of_extractor
from mitlgan.recipe.schema.ladder import GrowRecipe, require_ladder, total_kimg
from mitlgan.recipe.schema.objectives import OBJECTIVE_KINDS, AnyObjective, WganGpRecipe
from mitlgan.recipe.schema.optimisers import OPTIMISER_KINDS, AdamRecipe, AnyOptimiser
from mitlgan.recipe.schema.training import (
    EXTRACTORS,
    GREY_EXTRACTORS,
    CriticStartRecipe,
    DataRecipe,
    EvaluationRecipe,
    Role,
    TrainingRecipe,
    TransferRecipe,
)
from mitlgan.recipe.schema.translators import TRANSLATOR_KINDS

SCHEMA_VERSION = 1
MAX_SEED = 2**31 - 1
MAX_LICENCE_LENGTH = 200
"""Characters of a licence."""
TRAINED = {"pretrain": "generator", "compose": "composer", "inpaint": "inpainter"}
"""Table of the network that each command trains."""
KINDS: dict[str, dict[str, type[RecipeTable]]] = {
    "generator": GENERATOR_KINDS,
    "critic": CRITIC_KINDS,
    "objective": OBJECTIVE_KINDS,
    "fusion": FUSION_KINDS,
    "translator": TRANSLATOR_KINDS,
    "generator_optimiser": OPTIMISER_KINDS,
    "critic_optimiser": OPTIMISER_KINDS,
}
"""Kinds of each table that has several; the first is that of a table without `kind`."""


class Recipe(RecipeTable):
    """Everything that decides a run. See the attributes' own classes; `licence` is what the artifact's card says of its weights."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    command: Literal["pretrain", "compose", "inpaint"]
    role: Role
    size_px: Annotated[int, Field(ge=8, le=1024)]
    seed: Annotated[int, Field(ge=0, lt=MAX_SEED + 1)] = 0
    licence: Annotated[str, Field(min_length=1, max_length=MAX_LICENCE_LENGTH)] | None = None
    data: DataRecipe = DataRecipe()
    grow: Annotated[tuple[GrowRecipe, ...], Field(min_length=2, max_length=6)] | None = None
    generator: AnyGenerator | None = None
    composer: ComposerRecipe | None = None
    inpainter: InpainterRecipe | None = None
    critic: AnyCritic = ThesisCriticRecipe()
    critic_start: CriticStartRecipe | None = None
    transfer: TransferRecipe | None = None
    objective: AnyObjective = WganGpRecipe()
    augment: AugmentRecipe | None = None
    generator_optimiser: AnyOptimiser = AdamRecipe()
    critic_optimiser: AnyOptimiser = AdamRecipe()
    training: TrainingRecipe = TrainingRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse contradictions before anything is built."""
        trained = TRAINED[self.command]
        if getattr(self, trained) is None:
            raise ValueError(f'command = "{self.command}" needs a [{trained}] table')
        for other in TRAINED.values():
            if other != trained and getattr(self, other) is not None:
                raise ValueError(f'command = "{self.command}" takes no [{other}] table; remove it')
        if self.inpainter is not None and self.evaluation.best_by is not None:
            raise ValueError("evaluation.best_by measures generated pictures, of which an inpainter makes none; remove it, see `mitlgan inpaint-score`")
        if self.command == "compose" and self.role != "scene":
            raise ValueError(f'role is "{self.role}"; a composition makes scenes: role = "scene"')
        if self.transfer is not None and (self.generator is None or self.critic_start is not None):
            raise ValueError(
                "[transfer] goes on with a trained generator and its critic; remove it, or [critic_start] and tables other than [generator]"
            )
        if self.composer is not None and not self.composer.trains:
            raise ValueError(
                f'composer.translator.kind = "none" leaves nothing to train with composer.fusion.kind = "{self.composer.fusion.kind}"; '
                "use another translator"
            )
        self._ladder()
        self._sizes()
        self._critic()
        for key in ("generator_optimiser", "critic_optimiser"):
            if getattr(self, key).schedule != "none" and self.training.limit_s is not None:
                raise ValueError(
                    f"{key}.schedule follows the length in kimg, which training.limit_s may cut short; remove one of them, or compare at equal kimg"
                )
        return self

    def _critic(self) -> None:
        if self.critic.normalisation == "batch" and self.objective.has_per_sample_penalty:
            raise ValueError(
                f'critic.normalisation = "batch" contradicts objective.kind = "{self.objective.kind}": '
                'the penalty is per sample; use normalisation = "none"'
            )
        if self.critic.output == "sigmoid" and not self.objective.accepts_sigmoid:
            raise ValueError(
                f'critic.output = "sigmoid" contradicts objective.kind = "{self.objective.kind}", which takes the score itself; use output = "linear"'
            )
        if self.critic.spectral and self.objective.kind == "wgan_clip":
            raise ValueError(
                'critic.spectral = true contradicts objective.kind = "wgan_clip": weights that are normalised need no clipping; use one of them'
            )
        if self.critic_start is not None and self.critic_start.freeze and self.critic.kind == "projected":
            raise ValueError('critic_start.freeze: what critic.kind = "projected" looks through is frozen anyway; remove it')
        convolutions = freezable_convolutions(self.critic, self.size_px)
        if self.critic_start is not None and self.critic_start.freeze > convolutions and self.critic.kind != "grown":  # --critic brings its parent
            raise ValueError(f"critic_start.freeze is {self.critic_start.freeze}, but the critic has {convolutions} convolutions; give at most as many")

    def _ladder(self) -> None:
        if self.grow is None:
            return
        if self.generator is None:
            raise ValueError(f'grow: only generators grow, and command = "{self.command}" trains none; compose over layers of {self.size_px} px')
        require_ladder(self.grow, self.size_px)
        if self.training.kimg != total_kimg(self.grow):
            raise ValueError(
                f"training.kimg is {self.training.kimg:g}, but the steps of [[grow]] have {total_kimg(self.grow):.10g} in all; "
                "make it as many, or change grow"
            )
        if self.evaluation.best_by is not None:
            raise ValueError("evaluation.best_by cannot go with [[grow]], whose steps have sizes of their own; remove one of them")
        if self.generator.kind == "mlp":
            raise ValueError('generator.kind = "mlp" has no features that are images, which growing starts from; give a convolutional generator')
        if self.generator.kind == "style":
            raise ValueError('generator.kind = "style" does not grow: its style enters every block; remove [[grow]], or give another generator')
        if self.critic.kind == "mlp" and any(step.critic == "grown" for step in self.grow):
            raise ValueError('critic.kind = "mlp" has no convolutions that a new block could be added to; use grow.critic = "new"')
        if self.critic.kind == "projected" and any(step.critic == "grown" for step in self.grow):
            raise ValueError('critic.kind = "projected" looks through a fixed network, to which no block can be added; use grow.critic = "new"')

    def _sizes(self) -> None:
        first_px = self.size_px if self.grow is None else self.grow[0].size_px
        if self.generator is not None:
            self.generator.require_size(first_px)
        if self.inpainter is not None:
            self.inpainter.require_size(self.size_px)
        channels = 3 if self.generator is None else self.generator.image_channels
        if self.critic.image_channels != channels:
            raise ValueError(f"critic.image_channels is {self.critic.image_channels}, but the images have {channels}; make them equal")
        self.critic.require_size(first_px)
        deciding = self.evaluation.extractors[0]
        if self.critic.kind == "projected" and network_of_extractor(deciding) == self.critic.network:
            raise ValueError(
                f'evaluation.extractor = "{deciding}" cannot judge what a critic taught that looks through it (critic.network); '
                f'use "{INDEPENDENT_EXTRACTORS[self.critic.network]}"'
            )
        for name in self.evaluation.extractors:
            grey_px = GREY_EXTRACTORS.get(name.partition("@")[0])
            if grey_px is not None and (self.size_px, channels) != (grey_px, 1):
                raise ValueError(
                    f'evaluation.extractor = "{name}" takes grey pictures of {grey_px} px, not {"grey" if channels == 1 else "colour"} ones of '
                    f'{self.size_px} px; use "{EXTRACTORS[0]}"'
                )
        if self.composer is not None:
            self.composer.translator.require_size(self.size_px)
