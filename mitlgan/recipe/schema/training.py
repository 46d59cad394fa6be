"""Pictures, length and measures of a run."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mitlgan.recipe.schema.base import RecipeTable

Role = Literal["fg", "bg", "scene"]
Filter = Literal["lanczos", "bicubic", "bilinear", "box", "nearest"]
Byte = Annotated[int, Field(ge=0, le=255)]
EXTRACTORS = ("efficientnet-lite0", "mobilenet-v2", "inception")
"""Networks that a recipe can be measured by, beside any of timm's by `timm:NAME`."""


def _known_extractor(name: str) -> str:
    """Refuse what no measuring would take: hours of training may lie between the reading and that."""
    base, _, size = name.partition("@")
    if not re.fullmatch(r"timm:[^@]+", base) and base not in EXTRACTORS:
        (closest,) = difflib.get_close_matches(base, [*EXTRACTORS, "timm:NAME"], n=1, cutoff=0.0)
        raise ValueError(f"'{name}' is unknown; the closest known one is '{closest}'")
    if name != base and not re.fullmatch(r"[0-9]{1,4}", size):
        raise ValueError(f"'{name}': after @ goes one input size in pixels, for instance {base}@96")
    return name


def _known_extractors(given: object) -> object:
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, list | tuple) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"give the name of an extractor, or a list of names, such as {list(EXTRACTORS[:2])}")
    for name in names:
        _known_extractor(name)
    if len(set(names)) < len(names):
        raise ValueError("names one extractor twice; give each once")
    return given if isinstance(given, str) else tuple(names)


ExtractorNames = Annotated[str | tuple[str, ...], BeforeValidator(_known_extractors)]


class DataRecipe(RecipeTable):
    """Which pictures, and how they become pixels.

    Attributes:
        source: `demo`, a folder of pictures, or a pack (`.npy`).
        resize: Filter that reduces the square crop to `size_px`.
        backdrop: Colour (0-255) on which pictures with alpha are laid.
        mirror: Training shows every other picture mirrored left to right, drawn anew each time: twice as many pictures, where left and right are
            alike. What measures a result is never mirrored.
    """

    source: str = "demo"
    resize: Filter = "lanczos"
    backdrop: tuple[Byte, Byte, Byte] = (255, 255, 255)
    mirror: bool | None = None


class TrainingRecipe(RecipeTable):
    """Length, batch, averaging, and how often what is written.

    Attributes:
        kimg: Length: thousand real images shown to the critic.
        limit_s: Training ends after so many measured seconds, if `kimg` does not end it before; where it ends then depends on the machine.
        clock: Which seconds `limit_s` and `keep_s` are: those of the wall (absent: these), or of the CPU, summed over threads, which a
            training beside this one does not use up.
        batch: Images of one update, over all ranks; at least two, which BatchNorm needs.
        ema_halflife_kimg: Half-life of the generator's moving average; 0 switches it off.
        snapshot_kimg: A picture of fixed latents is written each time this many kimg have passed.
        checkpoint_kimg: Likewise a checkpoint.
        log_iterations: A line of statistics every so many generator updates.
        nan_patience: Updates skipped for a value that is not finite before training stops.
        snapshot_iterations: A picture every so many generator updates, in place of `snapshot_kimg`.
        checkpoint_iterations: Likewise a checkpoint, in place of `checkpoint_kimg`.
        checkpoints_kept: How many of the newest stay; absent: 2.
        keep_kimg: Where an artifact of the moving average is kept on the way, in `kept/`; 0 is before the first update.
        keep_s: Likewise, in measured seconds.
        critic_first_kimg: For so many kimg at the beginning the critic learns alone: one that is new knows less than a generator that is not.
        divergence: What is done where losses, scores or weights stay far beyond all scale, or no gradient is left: `stop` (absent: this) ends the run
            with exit code 6, `continue` goes on; either way the run says so.
        shared_fakes: The generator learns from the images that the critic has just been shown, which are made once; absent: from new ones.
    """

    kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 1000.0
    limit_s: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    clock: Literal["wall", "cpu"] | None = None
    batch: Annotated[int, Field(ge=2, le=65536)] = 32
    ema_halflife_kimg: Annotated[float, Field(ge=0.0, le=1e6)] = 10.0
    snapshot_kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 50.0
    checkpoint_kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 50.0
    log_iterations: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    nan_patience: Annotated[int, Field(ge=1, le=10_000)] = 20
    snapshot_iterations: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    checkpoint_iterations: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    checkpoints_kept: Annotated[int, Field(ge=1, le=100_000)] | None = None
    keep_kimg: tuple[Annotated[float, Field(ge=0.0, le=1e7)], ...] = ()
    keep_s: tuple[Annotated[float, Field(gt=0.0, le=1e9)], ...] = ()
    critic_first_kimg: Annotated[float, Field(gt=0.0, le=1e7)] | None = None
    divergence: Literal["stop", "continue"] | None = None
    shared_fakes: bool | None = None


class CriticStartRecipe(RecipeTable):
    """What becomes of a critic that begins with another run's weights (`--critic RUN`).

    Attributes:
        freeze: So many of its first convolutions stay as they are (Mo et al. 2020, "Freeze the discriminator").
    """

    freeze: Annotated[int, Field(ge=1, le=64)]


class EvaluationRecipe(RecipeTable):
    """How a result is measured.

    Attributes:
        extractor: One of `EXTRACTORS` or `timm:NAME`, with `@SIZE` where its input has another size than is usual, never replaced silently; or a list
            of them, the first of which decides wherever one number has to.
        samples: Generated images, and at most as many real ones.
        split: Which real pictures.
        best_by: Measure each kept artifact on the validation pictures during training, and keep the best by this measure in `best/`.
    """

    extractor: ExtractorNames = "efficientnet-lite0"
    samples: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    split: Literal["train", "validation", "test"] = "test"
    best_by: Literal["fd", "kid"] | None = None

    @property
    def extractors(self) -> tuple[str, ...]:
        """The extractors' names, the deciding one first."""
        return (self.extractor,) if isinstance(self.extractor, str) else self.extractor
