"""What the page and its server say to each other: requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StrictInt, Tag, model_validator

from mitlgan.artifacts.loaded_artifact import MAX_SCALE
from mitlgan.editing.principal_directions import MAX_SIGMAS
from mitlgan.latents import EASINGS, SEED_LIMIT
from mitlgan.latents.files import MAX_LATENT_VALUE
from mitlgan.networks.placement import MIN_SCALE

MAX_PICTURES = 64
MAX_FRAMES = 64
MAX_MIX_DEPTH = 4
MAX_JOB_S = 60.0
MAX_OFFSET = 2.0
"""How far out, in halves of the image's side, the centre of a layer may stand: beyond, nothing of it would be seen."""


class StrictModel(BaseModel):
    """Unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Id = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
SeedNumber = Annotated[StrictInt, Field(ge=0, lt=SEED_LIMIT)]
Share = Annotated[float, Field(ge=0, le=1)]


class SeedLatent(StrictModel):
    """A latent by its seed."""

    seed: SeedNumber


class ValuesLatent(StrictModel):
    """A latent by its numbers."""

    values: Annotated[list[Annotated[float, Field(ge=-MAX_LATENT_VALUE, le=MAX_LATENT_VALUE)]], Field(min_length=1, max_length=65536)]


class MixLatent(StrictModel):
    """A latent between two, by the share of the second."""

    mix: tuple[Latent, Latent, Share]


def _latent_tag(given: Any) -> str:
    keys = given.keys() if isinstance(given, dict) else type(given).model_fields if isinstance(given, BaseModel) else ()
    return next((key for key in ("seed", "values", "mix") if key in keys), "seed")


Latent = Annotated[
    Annotated[SeedLatent, Tag("seed")] | Annotated[ValuesLatent, Tag("values")] | Annotated[MixLatent, Tag("mix")], Discriminator(_latent_tag)
]


def _depth(latent: SeedLatent | ValuesLatent | MixLatent) -> int:
    return 1 + max(_depth(latent.mix[0]), _depth(latent.mix[1])) if isinstance(latent, MixLatent) else 0


class TransformState(StrictModel):
    """Where the frontmost layer stands."""

    scale: Annotated[float, Field(ge=MIN_SCALE, le=MAX_SCALE)] = 1.0
    across: Annotated[float, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)] = 0.0
    down: Annotated[float, Field(ge=-MAX_OFFSET, le=MAX_OFFSET)] = 0.0
    flip: bool = False


def _bool_to_float(given: Any) -> Any:
    return float(given) if isinstance(given, bool) else given


class State(StrictModel):
    """The whole truth of a picture.

    Attributes:
        artifact: Its id.
        latents: By name; those of layers that are absent are drawn by seed 0, an absent place goes with the frontmost layer.
        truncation: See `mitlgan.latents.truncated`.
        stand: Where the frontmost layer stands; absent: where its latent puts it.
        directions: Amounts along each latent's principal directions, in standard deviations.
        matte_strength: Factor of the frontmost layer's opacity.
        harmonise: Share of harmonising and of the translator's correction; true is 1, false is 0.
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
        if any(_depth(latent) > MAX_MIX_DEPTH for latent in self.latents.values()):
            raise ValueError(f"latents are mixed of mixtures more than {MAX_MIX_DEPTH} deep; mix pictures that are less mixed")
        return self


StageName = Literal["output", "layers", "matte", "fused"]


class PictureRequest(StrictModel):
    """One picture, and which stages of it."""

    state: State
    want: Annotated[list[StageName], Field(min_length=1, max_length=4)] = ["output"]


class PictureAnswer(BaseModel):
    """Stages as data URIs of PNGs; `state` and `link` make the picture again, `stand` is where the frontmost layer stands, if it can be moved."""

    output: str | None = None
    layers: dict[str, str] | None = None
    matte: str | None = None
    fused: str | None = None
    stand: TransformState | None = None
    state: dict[str, Any]
    link: str


class GridRequest(StrictModel):
    """Pictures that differ from one state in seeds: side by side where no rows and columns are named, else crossed."""

    state: State
    vary: Annotated[dict[Name, Annotated[list[SeedNumber], Field(min_length=1, max_length=MAX_PICTURES)]], Field(min_length=1, max_length=17)]
    rows: Name | None = None
    columns: Name | None = None


class GridPicture(BaseModel):
    """One of a grid."""

    state: dict[str, Any]
    output: str


class GridAnswer(BaseModel):
    """A grid, row by row."""

    pictures: list[GridPicture]


class MorphRequest(StrictModel):
    """The way from one picture to another of the same artifact; with a layer, only that moves."""

    start: Annotated[State, Field(alias="from")]
    end: Annotated[State, Field(alias="to")]
    layer: Name = "all"
    easing: Literal["sine", "linear", "slerp"] = "sine"
    frames: Annotated[StrictInt, Field(ge=2, le=MAX_FRAMES)] = 24


class MorphFileRequest(MorphRequest):
    """The same as a moving picture."""

    fps: Annotated[float, Field(ge=1, le=50)] = 25.0
    scale: Annotated[StrictInt, Field(ge=1, le=16)] | None = None
    there_and_back: bool = False


class MorphAnswer(BaseModel):
    """Data URIs of the frames."""

    frames: list[str]


class InpaintRequest(StrictModel):
    """A hole in a picture, and how it is to be filled: by embedding what is left, or by the shipped context encoder.

    Attributes:
        artifact: In which the picture is looked for; it also says how large the picture is.
        image: Data URI of the picture.
        hole: Data URI of a mask of the artifact's size, bright and opaque where the hole is.
        seconds: Time for embedding.
    """

    artifact: Id
    image: Annotated[str, Field(max_length=16_000_000)]
    hole: Annotated[str, Field(max_length=4_000_000)]
    method: Literal["embed", "context"] = "embed"
    seconds: Annotated[float, Field(ge=0.5, le=MAX_JOB_S)] = 15.0


class JobAnswer(BaseModel):
    """A job that has been begun."""

    job: str


class ArtifactAnswer(BaseModel):
    """What can be done with an artifact."""

    id: str
    name: str
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
