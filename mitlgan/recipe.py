"""Recipes: typed settings read from TOML.

A recipe says everything that decides a result: data, networks, objective, optimisers, length, seed. It is read from a file, changed by `--set a.b=v`,
checked as a whole before anything is built, and written, resolved, into the run that it made. An unknown key is an error that names the closest known
one; every error names the file and the line.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mitlgan.errors import UsageError

SCHEMA_VERSION = 1
LIMIT_BYTES = 1_000_000
REACHABLE_PX = tuple(4 * 2**doublings for doublings in range(1, 9))

UNREADABLE = (ValueError, RecursionError, OverflowError)  # what tomllib raises; a number of 5,000 digits is a plain ValueError

Role = Literal["fg", "bg", "scene"]
Filter = Literal["lanczos", "bicubic", "bilinear", "box", "nearest"]
Byte = Annotated[int, Field(ge=0, le=255)]
Width = Annotated[int, Field(ge=1, le=8192)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Blocks = Annotated[int, Field(ge=1, le=64)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataRecipe(_Model):
    """Which pictures, and how they become pixels.

    Attributes:
        source: `demo`, a folder of pictures, or a pack (`.npy`).
        resize: Filter that reduces the square crop to `size_px`.
        backdrop: Colour (0-255) on which pictures with alpha are laid.
    """

    source: str = "demo"
    resize: Filter = "lanczos"
    backdrop: tuple[Byte, Byte, Byte] = (255, 255, 255)


class GeneratorRecipe(_Model):
    """The generator of Table 7.1 and its family.

    Attributes:
        latent_dim: Length of the latent vector.
        widths: Channels at 4, 8, 16, ... px; the last convolution, to the image, is implied, so the image has 4 * 2^len(widths) px.
        blocks: Convolutions at each size; the thesis has 1.
        upsample: The thesis has `nearest`; `bilinear` leaves no grid.
        activation: Of the last layer.
        last_norm: Whether BatchNorm stands before it, as in the thesis; it hinders images with large plain areas.
        leak: Negative slope of LeakyReLU.
        image_channels: 3 for RGB, 4 for premultiplied RGB and alpha, which the pictures must have.
    """

    kind: Literal["thesis"] = "thesis"
    latent_dim: Annotated[int, Field(ge=1, le=65536)] = 1536
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (96, 48, 24, 12, 6)
    blocks: Annotated[int, Field(ge=1, le=4)] = 1
    upsample: Literal["nearest", "bilinear"] = "nearest"
    activation: Literal["tanh", "relu"] = "tanh"
    last_norm: bool = True
    leak: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    image_channels: Literal[3, 4] = 3


class CriticRecipe(_Model):
    """The critic of Table 7.2 and its family.

    Attributes:
        widths: Channels of each stride-2 convolution.
        dropout: Probability after each of them.
        flatten_dropout: Probability before the last, dense layer.
        kernel: Side of each convolution's kernel.
        leak: Negative slope of LeakyReLU.
        normalisation: `none`, as a gradient penalty, which is per sample, requires.
        image_channels: 3 for RGB.
    """

    kind: Literal["thesis"] = "thesis"
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (48, 96, 192, 384)
    dropout: tuple[Probability, ...] = (0.0, 0.0, 0.3, 0.0)
    flatten_dropout: Probability = 0.3
    kernel: Annotated[int, Field(ge=1, le=31)] = 5
    leak: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    normalisation: Literal["none", "batch"] = "none"
    image_channels: Literal[3, 4] = 3

    @model_validator(mode="after")
    def _one_dropout_per_convolution(self) -> Self:
        if len(self.dropout) != len(self.widths):
            raise ValueError(f"dropout has {len(self.dropout)} values for {len(self.widths)} widths; give one for each")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; an odd one keeps the halving of sizes exact, such as {self.kernel + 1}")
        return self


class FusionRecipe(_Model):
    """How the layers become one image (first rows of Table 7.3)."""

    kind: Literal["conv1x1"] = "conv1x1"
    activation: Literal["relu", "tanh", "none"] = "relu"


class TranslatorRecipe(_Model):
    """The image-to-image network after fusion (Table 7.3).

    Attributes:
        widths: Channels at full, half and quarter size.
        blocks: Number of dense blocks at quarter size.
        activation: Of the last layer; the thesis has ReLU.
    """

    kind: Literal["dense"] = "dense"
    widths: tuple[Width, Width, Width] = (64, 128, 256)
    blocks: Blocks = 6
    activation: Literal["relu", "tanh"] = "relu"


class ComposerRecipe(_Model):
    """Fusion and translator over frozen generators."""

    fusion: FusionRecipe = FusionRecipe()
    translator: TranslatorRecipe = TranslatorRecipe()


class ObjectiveRecipe(_Model):
    """Both losses and their constraint.

    Attributes:
        penalty_weight: Lambda of the gradient penalty (Gulrajani et al. 2017, equation 3).
        critic_steps: Critic updates for one generator update.
    """

    kind: Literal["wgan_gp"] = "wgan_gp"
    penalty_weight: Annotated[float, Field(ge=0.0, le=1e6)] = 10.0
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 5


class AdamRecipe(_Model):
    """Adam (Kingma & Ba 2015)."""

    kind: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-4
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8


class TrainingRecipe(_Model):
    """Length, batch, averaging, and how often what is written.

    Attributes:
        kimg: Length: thousand real images shown to the critic.
        limit_s: Training ends after so many measured seconds, if `kimg` does not end it before; where it ends then depends on the machine.
        batch: Images of one update, over all ranks; at least two, which BatchNorm needs.
        ema_halflife_kimg: Half-life of the generator's moving average; 0 switches it off.
        snapshot_kimg: A picture of fixed latents is written each time this many kimg have passed.
        checkpoint_kimg: Likewise a checkpoint.
        log_iterations: A line of statistics every so many generator updates.
        nan_patience: Updates skipped for a value that is not finite before training stops.
    """

    kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 1000.0
    limit_s: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    batch: Annotated[int, Field(ge=2, le=65536)] = 32
    ema_halflife_kimg: Annotated[float, Field(ge=0.0, le=1e6)] = 10.0
    snapshot_kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 50.0
    checkpoint_kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 50.0
    log_iterations: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    nan_patience: Annotated[int, Field(ge=1, le=10_000)] = 20


class EvaluationRecipe(_Model):
    """How a result is measured.

    Attributes:
        extractor: `efficientnet-lite0` or `inception`; never replaced silently.
        samples: Generated images, and at most as many real ones.
        split: Which real pictures.
    """

    extractor: str = "efficientnet-lite0"
    samples: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    split: Literal["train", "validation", "test"] = "test"


class Recipe(_Model):
    """Everything that decides a run. See the attributes' own classes."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    command: Literal["pretrain", "compose"]
    role: Role
    size_px: Annotated[int, Field(ge=8, le=1024)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataRecipe = DataRecipe()
    generator: GeneratorRecipe | None = None
    composer: ComposerRecipe | None = None
    critic: CriticRecipe = CriticRecipe()
    objective: ObjectiveRecipe = ObjectiveRecipe()
    generator_optimiser: AdamRecipe = AdamRecipe()
    critic_optimiser: AdamRecipe = AdamRecipe()
    training: TrainingRecipe = TrainingRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse what contradicts itself, before anything is built (FAULTS 36)."""
        wants, other = ("generator", "composer") if self.command == "pretrain" else ("composer", "generator")
        if getattr(self, wants) is None:
            raise ValueError(f'command = "{self.command}" needs a [{wants}] table')
        if getattr(self, other) is not None:
            raise ValueError(f'command = "{self.command}" takes no [{other}] table; remove it')
        if self.command == "compose" and self.role != "scene":
            raise ValueError(f'role is "{self.role}"; a composition makes scenes: role = "scene"')
        self._sizes()
        if self.critic.normalisation == "batch" and self.objective.kind == "wgan_gp":
            raise ValueError(
                'critic.normalisation = "batch" contradicts objective.kind = "wgan_gp": the penalty is per sample; use normalisation = "none"'
            )
        return self

    def _sizes(self) -> None:
        generator = self.generator
        if generator is not None and 4 * 2 ** len(generator.widths) != self.size_px:
            made = 4 * 2 ** len(generator.widths)
            raise ValueError(
                f"generator.widths has {len(generator.widths)} entries, which makes {made} px, not size_px = {self.size_px};"
                + _depth_advice(self.size_px)
            )
        channels = 3 if generator is None else generator.image_channels
        if self.critic.image_channels != channels:
            raise ValueError(f"critic.image_channels is {self.critic.image_channels}, but the images have {channels}; make them equal")
        if self.critic.kernel > self.size_px:
            raise ValueError(f"critic.kernel = {self.critic.kernel} is larger than the image, {self.size_px} px; at most {self.size_px - 1}")
        if self.size_px % 2 ** len(self.critic.widths):
            raise ValueError(f"critic.widths halves {self.size_px} px {len(self.critic.widths)} times, which is not whole; give fewer widths")
        if self.composer is not None and self.size_px not in REACHABLE_PX:
            raise ValueError(f"size_px = {self.size_px} is none that a layer's generator can reach;" + _depth_advice(self.size_px))


def _depth_advice(size_px: int) -> str:
    if size_px in REACHABLE_PX:
        return f" give {REACHABLE_PX.index(size_px) + 1} widths"
    return " size_px must be 4 * 2^n, such as 32, 64 or 128"


def shipped(folder: Literal["recipes", "pretrained"]) -> Path:
    """The shipped folder: inside an installed package, else at the root of a checkout.

    An editable install has none inside the package, so that an edited recipe of a checkout takes effect.
    """
    package = Path(__file__).resolve().parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def names() -> list[str]:
    """Names of the shipped recipes, such as `demo/pretrain_fg`."""
    root = shipped("recipes")
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.toml"))


def find(name: str) -> Path:
    """The file of a recipe.

    Args:
        name: A file's path, or a shipped recipe's name with or without `.toml`.

    Raises:
        UsageError: There is none; names the closest shipped one.
    """
    path = Path(name)
    with suppress(OSError):  # such as a name too long for a file
        if path.is_file():
            return path
    stem = name.removeprefix("recipes/").removesuffix(".toml")
    inside = shipped("recipes") / f"{stem}.toml"
    if stem in names() and inside.is_file():
        return inside
    close = difflib.get_close_matches(stem, names(), n=1, cutoff=0.3)
    hint = f"; the closest shipped one is {close[0]}" if close else ""
    raise UsageError(f"--recipe {name}: no such file or shipped recipe{hint} (see `mitlgan recipes ls`)")


def load(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        name: As `find` takes it.
        overrides: `a.b=v` settings; v is read as TOML, else as a string.

    Raises:
        UsageError: Anything wrong, with file and line.
    """
    path = find(str(name))
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except UNREADABLE as error:
        raise UsageError(_toml_message(path, text, str(error))) from None
    for override in overrides:
        _override(values, override)
    return _checked(values, str(path), text, overrides)


def parse(values: dict[str, Any], source: str = "recipe") -> Recipe:
    """Check a recipe given as nested dictionaries, such as a run's or an artifact's.

    Raises:
        UsageError: Anything wrong; `source` begins the message.
    """
    return _checked(values, source, "", ())


def dump(recipe: Recipe) -> str:
    """The resolved recipe as TOML; `load` gives the same recipe back."""
    return tomli_w.dumps(plain(recipe))


def plain(recipe: BaseModel) -> dict[str, Any]:
    """The recipe as JSON-ready dictionaries, without keys that are not set."""
    values: dict[str, Any] = json.loads(recipe.model_dump_json(exclude_none=True))
    return values


def changed(recipe: Recipe, **values: object) -> Recipe:
    """A copy with other values for dotted keys (`training__kimg=3`), checked as a whole."""
    tree = plain(recipe)
    for key, value in values.items():
        *tables, last = key.split("__")
        node = tree
        for table in tables:
            node = node.setdefault(table, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return parse(tree, recipe.name)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    if raw.startswith(b"\xef\xbb\xbf"):
        raise UsageError(f"{path}:1: begins with a byte-order mark; save it as UTF-8 without one")
    if len(raw) > LIMIT_BYTES:
        raise UsageError(f"{path}: larger than {LIMIT_BYTES} bytes; give a recipe")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: is not UTF-8; save it as UTF-8") from None


def _toml_message(path: Path, text: str, message: str) -> str:
    found = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = "" if found is None else f":{found.group(1) or text.rstrip().count(chr(10)) + 1}"
    reason = message if found is None else message[: found.start()].rstrip()
    return f"{path}{line}: not valid TOML: {reason}"


def _override(values: dict[str, Any], setting: str) -> None:
    key, equals, raw = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {setting}: write it as key=value, such as training.kimg=50")
    try:
        parsed = tomllib.loads(f"value = {raw.strip()}")
        value: Any = parsed["value"] if len(parsed) == 1 else raw  # a line break could smuggle in a second key
    except UNREADABLE:
        value = raw.strip()
    node: Any = values
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise UsageError(f"--set {setting}: {part} is not a table")
    node[parts[-1]] = value


def _checked(values: dict[str, Any], source: str, text: str, overrides: Sequence[str]) -> Recipe:
    try:
        encoded = json.dumps(values, default=lambda date: {"date": str(date)})  # no key takes a date
    except (ValueError, RecursionError):
        raise UsageError(f"{source}: a number too long or tables too deep for a recipe; see `mitlgan recipes cat`") from None
    version = values.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        where = _place(["schema_version"], source, text, overrides)
        raise UsageError(f"{where}: schema_version {_short(version)} is newer than {SCHEMA_VERSION}, which this version reads; upgrade mitlgan")
    try:
        return Recipe.model_validate_json(encoded)
    except ValidationError as error:
        found = error.errors(include_url=False)
        unknown = [one for one in found if one["type"] == "extra_forbidden"]  # before what is missing, which it may be the misspelling of
        raise UsageError(_validation_message((unknown or found)[0], source, text, overrides)) from None


def _validation_message(error: Any, source: str, text: str, overrides: Sequence[str]) -> str:
    location = [str(part) for part in error["loc"]]
    dotted = ".".join(location)
    reason = str(error["msg"]).removeprefix("Value error, ")
    contradiction = error["type"] == "value_error"
    where = _place(_subject(location, reason) if contradiction else location, source, text, overrides)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key '{dotted}'{_closest(location)}"
    if error["type"] == "missing":
        return f"{where}: the key '{dotted}' is missing"
    given = "" if contradiction else f" (given: {_short(error.get('input'))})"
    return f"{where}: {dotted + ': ' if dotted else ''}{reason}{given}"


def _place(location: Sequence[str], source: str, text: str, overrides: Sequence[str]) -> str:
    """What a message begins with: the `--set` that is to blame, else the file and its line."""
    for setting in reversed(overrides):
        key = setting.partition("=")[0].strip()
        parts = key.split(".")
        shorter = min(len(parts), len(location))
        if location and parts[:shorter] == list(location[:shorter]):
            return f"--set {key}"
    return f"{source}:{_line_of(text, location)}" if text else source


def _subject(location: Sequence[str], reason: str) -> Sequence[str]:
    """The key that a contradiction's message is about, which is its first word."""
    first = re.match(r"[a-z0-9_.]+", reason)
    keys = [*location, *first.group().split(".")] if first else [*location]
    return keys if keys and keys[-1] in _known_keys(keys[:-1]) else location


def _closest(location: Sequence[str]) -> str:
    """A hint: the same key in another table, else the closest one in this table."""
    *table, key = location
    same = [known for known in _all_keys() if known.split(".")[-1] == key]
    close = difflib.get_close_matches(key, _known_keys(table), n=1, cutoff=0.0)
    nearest = difflib.get_close_matches(".".join(location), same, n=1, cutoff=0.0) or [".".join([*table, *close])]
    return f"; the closest known one is '{nearest[0]}'" if same or close else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(tables: Sequence[str]) -> list[str]:
    model: Any = Recipe
    for table in tables:
        field = getattr(model, "model_fields", {}).get(table)
        options = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)


def _all_keys(tables: Sequence[str] = ()) -> Iterator[str]:
    for key in _known_keys(tables):
        yield ".".join([*tables, key])
        yield from _all_keys([*tables, key])


def _line_of(text: str, location: Sequence[str]) -> int:
    """The line where a key stands, or its table's, or 1: tomllib keeps no positions."""
    keys = [part for part in location if not part.isdigit()]
    if not keys:
        return 1
    best = 1
    table: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):  # as TOML counts them; splitlines() breaks at more
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            table = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            if table[: len(keys)] == keys:
                return number
            if table == keys[: len(table)]:
                best = number
            continue
        assigned = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if assigned:
            path = table + [part.strip().strip("\"'") for part in assigned.group(1).split(".")]
            if path[: len(keys)] == keys:
                return number
            if path == keys[: len(path)]:
                best = number
    return best
