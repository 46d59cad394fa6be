"""What a training gets besides its recipe: networks, objective, pictures, and the caller's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mitlgan.artifacts.picture_sets import PictureSet, sets_of_header
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.networks import Network
from mitlgan.objectives import Objective
from mitlgan.recipe import Recipe
from mitlgan.training.counters import Counters
from mitlgan.training.state import TrainingState
from mitlgan.training.work import TrainingCost


@dataclass(frozen=True)
class LadderStep:
    """Which step of a ladder of sizes a training is.

    Attributes:
        recipe: The whole ladder.
        index: Number of the step, from 0.
    """

    recipe: Recipe
    index: int


@dataclass(frozen=True)
class TrainingSetup:
    """Networks, objective and pictures of a training.

    Attributes:
        generator: Maps inputs to images (N, C, H, W) in [-1, 1]: latents for a generator or composer, pictures with holes for an inpainter.
        critic: Maps images to scores (N,).
        objective: Losses of both networks.
        pack: The real pictures.
        header: What else a checkpoint must hold so that a resume can build the networks again.
        ladder: Which step of a ladder of sizes this is; None without a ladder.
        costs: Of this size and of each later one; empty if all images of the run cost the same.
    """

    generator: Network
    critic: Network
    objective: Objective
    pack: ImagePack
    header: Mapping[str, Any] = field(default_factory=dict)
    ladder: LadderStep | None = None
    costs: Sequence[TrainingCost] = ()

    def picture_sets(self, counters: Counters) -> tuple[PictureSet, ...]:
        """Return the pictures that a training of this length was shown, the first ones first."""
        only = {"data_sha256": self.pack.content_sha256, "data_count": len(self.pack)}
        return sets_of_header({**only, **self.header, "counters": {"iteration": counters.iteration}})

    @property
    def is_last_step(self) -> bool:
        """Whether the run ends with this training."""
        return self.ladder is None or self.ladder.index + 1 == len(self.ladder.recipe.grow or ())


@dataclass(frozen=True)
class Callbacks:
    """What the caller does during a training. Only rank 0 calls them; they must not use the global random generator.

    Attributes:
        save_artifact: Called with the state wherever the recipe keeps an artifact; its time does not count as training.
        on_stats: Called with each line of statistics.
    """

    save_artifact: Callable[[TrainingState], None] | None = None
    on_stats: Callable[[Mapping[str, Any]], None] | None = None
