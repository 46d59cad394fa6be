"""Requests and responses of the studio's API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StrictInt, Tag, model_validator

from mitlgan.artifacts.rendering_arguments import MAX_SCALE
from mitlgan.editing.principal_directions import MAX_SIGMAS
from mitlgan.latents import EASINGS, SEED_LIMIT
from mitlgan.latents.files import MAX_LATENT_VALUE
from mitlgan.networks.placement import MIN_SCALE
from mitlgan.studio.settings import MAX_HOLE_CHARS

MAX_PICTURES = 64
MAX_FRAMES = 64
MAX_MIX_DEPTH = 4
MAX_JOB_S = 60.0
MAX_OFFSET = 2.0
"""Largest offset of a layer's center in halves of the image's side; beyond, the layer would be invisible."""


class StrictModel(BaseModel):
    """A model that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Id = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
SeedNumber = Annotated[StrictInt, Field(ge=0, lt=SEED_LIMIT)]
Share = Annotated[float, Field(ge=0, le=1)]


class SeedLatent(StrictModel):
    """A latent given by its seed."""

    seed: SeedNumber


class ValuesLatent(StrictModel):
    """A latent given by its numbers."""

    values: Annotated[list[Annotated[float, Field(ge=-MAX_LATENT_VALUE, le=MAX_LATENT_VALUE)]], Field(min_length=1, max_length=65536)]


class MixLatent(StrictModel):
    """A latent between two others, given by the share of the second."""

    mix: tuple[Latent, Latent, Share]


def _latent_tag(value: Any) -> str:
    keys = value.keys() if isinstance(value, dict) else type(value).model_fields if isinstance(value, BaseModel) else ()
    return next((key for key in ("seed", "values", "mix") if key in keys), "seed")


Latent = Annotated[
    Annotated[SeedLatent, Tag("seed")] | Annotated[ValuesLatent, Tag("values")] | Annotated[MixLatent, Tag("mix")], Discriminator(_latent_tag)
]


def mix_depth(latent: SeedLatent | ValuesLatent | MixLatent) -> int:
    """Return how deep mixtures are nested in a latent; 0 for none."""
    return 1 + max(mix_depth(latent.mix[0]), mix_depth(latent.mix[1])) if isinstance(latent, MixLatent) else 0


class TransformState(StrictModel):
    """Transform of the frontmost layer."""

    scale: Annotated[float, Field(ge=MIN_SCALE, le=MAX_SCALE)] = 1.0
    across: Annotated[float, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)] = 0.0
    down: Annotated[float, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)] = 0.0
    flip: bool = False


def _bool_to_float(value: Any) -> Any:
    return float(value) if isinstance(value, bool) else value


class State(StrictModel):
    """Everything that determines a picture.

    Attributes:
        artifact: Id of the artifact.
        latents: By name; missing layers have seed 0, a missing placement follows the objects, each by its own latent.
        truncation: See `mitlgan.latents.truncate`.
        stand: Transform of the frontmost layer; None: the one of its latent.
        directions: Amounts along each latent's principal directions, in standard deviations.
        matte_strength: Factor of the frontmost layer's opacity.
        harmonise: Share of harmonization and of the translator's correction; true is 1, false is 0.
    """

    artifact: Id
    latents: Annotated[dict[Name, Latent], Field(max_length=17)] = {}
    truncation: Annotated[float, Field(gt=0, le=1)] = 1.0
    stand: TransformState | None = None
    directions: Annotated[dict[Name, Annotated[list[Annotated[float, Field(ge=-MAX_SIGMAS, le=MAX_SIGMAS)]], Field(max_length=64)]],
                          Field(max_length=17)] = {}  # fmt: skip
    matte_strength: Share = 1.0
    harmonise: Annotated[Share, BeforeValidator(_bool_to_float)] = 1.0

    @model_validator(mode="after")
    def _not_too_deep(self) -> State:
        if any(mix_depth(latent) > MAX_MIX_DEPTH for latent in self.latents.values()):
            raise ValueError(f"latents are mixtures nested more than {MAX_MIX_DEPTH} deep; mix simpler pictures")
        return self


StageName = Literal["output", "layers", "matte", "fused"]


class PictureRequest(StrictModel):
    """One picture, and the stages to return."""

    state: State
    want: Annotated[list[StageName], Field(min_length=1, max_length=4)] = ["output"]


class PictureAnswer(BaseModel):
    """Stages as data URIs; `stand` is the transform of the frontmost layer if it can be moved.

    `state` and `link` reproduce the picture; they name every latent, also those that the request left out.
    """

    output: str | None = None
    layers: dict[str, str] | None = None
    matte: str | None = None
    fused: str | None = None
    stand: TransformState | None = None
    state: dict[str, Any]
    link: str


class GridRequest(StrictModel):
    """Pictures that differ from a state in seeds: in order, or crossed if rows and columns are named."""

    state: State
    vary: Annotated[dict[Name, Annotated[list[SeedNumber], Field(min_length=1, max_length=MAX_PICTURES)]], Field(min_length=1, max_length=17)]
    rows: Name | None = None
    columns: Name | None = None


class ChildrenRequest(StrictModel):
    """Children of two pictures, one per seed."""

    parents: tuple[State, State]
    seeds: Annotated[list[SeedNumber], Field(min_length=1, max_length=MAX_PICTURES)]


class DirectionNameRequest(StrictModel):
    """A name for a direction of an artifact's latent, by its number from 0."""

    artifact: Id
    latent: Name
    index: Annotated[StrictInt, Field(ge=0, lt=64)]
    name: Annotated[str, Field(max_length=200)]


class DirectionAnswer(BaseModel):
    """A direction: its name, empty if it has none, and what it changes: pictures at both of its ends as data URIs."""

    name: str
    low: str
    high: str


class StudioAnswer(BaseModel):
    """What this studio can do: its version, whether it writes MP4, whether its API is documented at `docs`, and the largest file that it takes."""

    version: str
    video: bool
    docs: bool
    max_picture_bytes: int


class GridPicture(BaseModel):
    """One picture of a grid."""

    state: dict[str, Any]
    output: str


class GridAnswer(BaseModel):
    """A grid, row by row."""

    pictures: list[GridPicture]


class MorphRequest(StrictModel):
    """A morph from one picture to another of the same artifact; with a layer, only that one changes."""

    start: Annotated[State, Field(alias="from")]
    end: Annotated[State, Field(alias="to")]
    layer: Name = "all"
    easing: Literal["sine", "linear", "slerp"] = "sine"
    frames: Annotated[StrictInt, Field(ge=2, le=MAX_FRAMES)] = 24


class MorphFileRequest(MorphRequest):
    """A morph as an animation."""

    fps: Annotated[float, Field(ge=1, le=50)] = 25.0
    scale: Annotated[StrictInt, Field(ge=1, le=16)] | None = None
    there_and_back: bool = False


class MorphFrameRequest(MorphRequest):
    """A frame of a morph, by its number from 0."""

    index: Annotated[StrictInt, Field(ge=0, lt=MAX_FRAMES)]


class StateAnswer(BaseModel):
    """The state of a picture."""

    state: dict[str, Any]


class MorphAnswer(BaseModel):
    """Frames of a morph as data URIs."""

    frames: list[str]


class InpaintRequest(StrictModel):
    """A hole in a picture, and how to fill it: by embedding the rest, or by the shipped context encoder.

    Attributes:
        artifact: Artifact to search; a square around the hole goes through it at its size.
        image: Data URI of the picture, of any size.
        hole: Data URI of a mask of the picture's shape, of its size or smaller, bright and opaque inside the hole.
        seconds: Time limit of the embedding.
    """

    artifact: Id
    image: str  # as long as the body may be
    hole: Annotated[str, Field(max_length=MAX_HOLE_CHARS)]
    method: Literal["embed", "context"] = "embed"
    seconds: Annotated[float, Field(ge=0.5, le=MAX_JOB_S)] = 15.0


class JobAnswer(BaseModel):
    """A job that was started."""

    job: str


class ArtifactAnswer(BaseModel):
    """An artifact and what can be done with it; `own` is false for those that are shipped."""

    id: str
    name: str
    own: bool
    kind: str
    role: str
    size_px: int
    channels: int
    latents: dict[str, int]
    layers: list[str]
    movable: list[str]
    transparent: list[str]
    front: str | None
    has_matte: bool
    has_place: bool
    harmonises: bool
    fills: list[str]
    directions: dict[str, int] | None
    card: dict[str, Any]


MixLatent.model_rebuild()
State.model_rebuild()
assert set(EASINGS) == {"sine", "linear", "slerp"}
