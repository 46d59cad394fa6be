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
EXTRACTORS = ("efficientnet-lite0", "mobilenet-v2", "inception", "digits")
"""Feature extractors of evaluations, besides any of timm by `timm:NAME`."""
GREY_EXTRACTORS = {"digits": 28}
"""Those that take grey pictures of one size only, in px."""


def _known_extractor(name: str) -> str:
    """Refuse an unknown extractor now, not after hours of training."""
    base, _, size = name.partition("@")
    if not re.fullmatch(r"timm:[^@]+", base) and base not in EXTRACTORS:
        (closest,) = difflib.get_close_matches(base, [*EXTRACTORS, "timm:NAME"], n=1, cutoff=0.0)
        raise ValueError(f"'{name}' is unknown; the closest known one is '{closest}'")
    if name != base and not re.fullmatch(r"[0-9]{1,4}", size):
        raise ValueError(f"'{name}': after @ goes one input size in pixels, for instance {base}@96")
    if size and int(size) != GREY_EXTRACTORS.get(base, int(size)):
        raise ValueError(f"'{name}': takes pictures of {GREY_EXTRACTORS[base]} px only; leave out @{size}")
    return name


def _known_extractors(value: object) -> object:
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"give the name of an extractor, or a list of names, such as {list(EXTRACTORS[:2])}")
    for name in names:
        _known_extractor(name)
    if len(set(names)) < len(names):
        raise ValueError("names one extractor twice; give each once")
    return value if isinstance(value, str) else tuple(names)


ExtractorNames = Annotated[str | tuple[str, ...], BeforeValidator(_known_extractors)]


class DataRecipe(RecipeTable):
    """Images of a run, and how they become pixels.

    Attributes:
        source: `demo`, a folder of images, or a pack (`.npy`).
        resize: Filter that reduces the square crop to `size_px`.
        backdrop: Color (0-255) behind images with alpha.
        mirror: Whether training flips images left to right at random, which doubles the data if left and right are alike. Evaluation never flips.
    """

    source: str = "demo"
    resize: Filter = "lanczos"
    backdrop: tuple[Byte, Byte, Byte] = (255, 255, 255)
    mirror: bool | None = None


class TrainingRecipe(RecipeTable):
    """Length, batch, averaging, and intervals of what is written.

    Attributes:
        kimg: Length: thousand real images shown to the critic.
        limit_s: Training ends after this many seconds if `kimg` does not end it before; the end then depends on the machine. Of a ladder, each step has
            the share of this time that its kimg are of all.
        clock: Kind of seconds of `limit_s` and `keep_s`: `wall` (default) or `cpu`, summed over threads, which other processes do not use up.
        batch: Images of one update, over all ranks; BatchNorm needs at least two.
        ema_halflife_kimg: Half-life of the generator's moving average; 0 switches it off.
        snapshot_kimg: Interval in kimg of snapshots, images of fixed latents.
        checkpoint_kimg: Interval in kimg of checkpoints.
        log_iterations: Interval in generator updates of lines of statistics; a run that is shorter has one, of its last update.
        nan_patience: Updates skipped for a value that is not finite before training stops.
        snapshot_iterations: Interval in generator updates of snapshots, instead of `snapshot_kimg`.
        checkpoint_iterations: Interval in generator updates of checkpoints, instead of `checkpoint_kimg`.
        checkpoints_kept: Number of the newest checkpoints that are kept; absent: 2.
        keep_kimg: Points in kimg at which an artifact of the moving average is kept in `kept/`; 0 is before the first update.
        keep_s: Points in seconds at which one is kept.
        artifact_kimg: Interval in kimg at which one is kept; absent: none but those of `keep_kimg` and `keep_s`.
        artifact_iterations: Interval in generator updates at which one is kept, instead of `artifact_kimg`.
        critic_first_kimg: kimg at the start in which only the critic learns, to catch up with a trained generator.
        divergence: Action if losses, scores or weights stay far beyond their scale, or no gradient is left: `stop` (default) ends the run with exit
            code 6, `continue` only reports it.
        shared_fakes: Whether the generator learns from the images that the critic has just been shown; absent: from new ones.
        precision: Numbers of the forward pass: `float32`, or `bf16` where torch's autocast allows it. Absent: `bf16` on a GPU, `float32` elsewhere.
        compile: Compiles the networks by `torch.compile`: `inductor` makes faster code, `eager` only traces them, which shows whether they can be
            compiled. A critic under a gradient penalty, whose gradient is differentiated again, stays as it is. Absent: nothing is compiled.
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
    artifact_kimg: Annotated[float, Field(gt=0.0, le=1e7)] | None = None
    artifact_iterations: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    critic_first_kimg: Annotated[float, Field(gt=0.0, le=1e7)] | None = None
    divergence: Literal["stop", "continue"] | None = None
    shared_fakes: bool | None = None
    precision: Literal["float32", "bf16"] | None = None
    compile: Literal["inductor", "eager"] | None = None


class CriticStartRecipe(RecipeTable):
    """A critic that starts with another run's weights (`--critic RUN`).

    Attributes:
        freeze: Number of its first convolutions that are frozen (Mo et al. 2020, "Freeze the discriminator"); 0 freezes none.
    """

    freeze: Annotated[int, Field(ge=0, le=64)]


class TransferRecipe(RecipeTable):
    """A training that goes on from a trained generator (`--from ARTIFACT`), whose architecture takes the place of [generator].

    The critic that is kept with the generator goes on, too, if it was trained by the recipe's kind of objective; its architecture takes the place of
    [critic]. Otherwise a new critic begins.

    Attributes:
        freeze: Number of the kept critic's first convolutions that are frozen (Mo et al. 2020, "Freeze the discriminator"); 0 freezes none.
        new_critic_first_kimg: kimg at the start in which only a new critic learns.
    """

    freeze: Annotated[int, Field(ge=0, le=64)] = 0
    new_critic_first_kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 2.0


class EvaluationRecipe(RecipeTable):
    """Evaluation of a result.

    Attributes:
        extractor: One of `EXTRACTORS` or `timm:NAME`, with `@SIZE` for an unusual input size, never replaced silently; or a list of them, the first of
            which decides where one number is needed.
        samples: Number of generated images, and largest number of real ones.
        split: Split of the real images.
        best_by: Metric by which artifacts kept in training are compared on the validation split; the best is copied to `best/`.
    """

    extractor: ExtractorNames = "efficientnet-lite0"
    samples: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    split: Literal["train", "validation", "test"] = "test"
    best_by: Literal["fd", "kid"] | None = None

    @property
    def extractors(self) -> tuple[str, ...]:
        """Names of the extractors, the deciding one first."""
        return (self.extractor,) if isinstance(self.extractor, str) else self.extractor
