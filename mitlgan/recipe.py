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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from mitlgan.errors import UsageError
from mitlgan.recipe_parts import KINDS, REACHABLE_PX, AnyCritic, AnyGenerator, AnyObjective, AnyOptimiser, Model, Width, depth_advice
from mitlgan.recipe_parts import AdamRecipe as AdamRecipe
from mitlgan.recipe_parts import CriticRecipe as CriticRecipe
from mitlgan.recipe_parts import GeneratorRecipe as GeneratorRecipe
from mitlgan.recipe_parts import ObjectiveRecipe as ObjectiveRecipe

SCHEMA_VERSION = 1
LIMIT_BYTES = 1_000_000

UNREADABLE = (ValueError, RecursionError, OverflowError)  # what tomllib raises; a number of 5,000 digits is a plain ValueError

Role = Literal["fg", "bg", "scene"]
Filter = Literal["lanczos", "bicubic", "bilinear", "box", "nearest"]
Byte = Annotated[int, Field(ge=0, le=255)]
Blocks = Annotated[int, Field(ge=1, le=64)]


class DataRecipe(Model):
    """Which pictures, and how they become pixels.

    Attributes:
        source: `demo`, a folder of pictures, or a pack (`.npy`).
        resize: Filter that reduces the square crop to `size_px`.
        backdrop: Colour (0-255) on which pictures with alpha are laid.
    """

    source: str = "demo"
    resize: Filter = "lanczos"
    backdrop: tuple[Byte, Byte, Byte] = (255, 255, 255)


class FusionRecipe(Model):
    """How the layers become one image (first rows of Table 7.3)."""

    kind: Literal["conv1x1"] = "conv1x1"
    activation: Literal["relu", "tanh", "none"] = "relu"


class TranslatorRecipe(Model):
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


class ComposerRecipe(Model):
    """Fusion and translator over frozen generators."""

    fusion: FusionRecipe = FusionRecipe()
    translator: TranslatorRecipe = TranslatorRecipe()


class TrainingRecipe(Model):
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
        snapshot_iterations: A picture every so many generator updates, in place of `snapshot_kimg`.
        checkpoint_iterations: Likewise a checkpoint, in place of `checkpoint_kimg`.
        checkpoints_kept: How many of the newest stay; absent: 2.
        keep_kimg: Where an artifact of the moving average is kept on the way, in `kept/`; 0 is before the first update.
        keep_s: Likewise, in measured seconds.
    """

    kimg: Annotated[float, Field(gt=0.0, le=1e7)] = 1000.0
    limit_s: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
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


class EvaluationRecipe(Model):
    """How a result is measured.

    Attributes:
        extractor: `efficientnet-lite0` or `inception`; never replaced silently.
        samples: Generated images, and at most as many real ones.
        split: Which real pictures.
        best_by: Measure each kept artifact on the validation pictures during training, and keep the best by this measure in `best/`.
    """

    extractor: str = "efficientnet-lite0"
    samples: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    split: Literal["train", "validation", "test"] = "test"
    best_by: Literal["fd", "kid"] | None = None


class Recipe(Model):
    """Everything that decides a run. See the attributes' own classes."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    command: Literal["pretrain", "compose"]
    role: Role
    size_px: Annotated[int, Field(ge=8, le=1024)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataRecipe = DataRecipe()
    generator: AnyGenerator | None = None
    composer: ComposerRecipe | None = None
    critic: AnyCritic = CriticRecipe()
    objective: AnyObjective = ObjectiveRecipe()
    generator_optimiser: AnyOptimiser = AdamRecipe()
    critic_optimiser: AnyOptimiser = AdamRecipe()
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
        if self.critic.output == "sigmoid" and not self.objective.takes_sigmoid:
            raise ValueError(
                f'critic.output = "sigmoid" contradicts objective.kind = "{self.objective.kind}", which takes the score itself; use output = "linear"'
            )
        return self

    def _sizes(self) -> None:
        if self.generator is not None:
            self.generator.require_size(self.size_px)
        channels = 3 if self.generator is None else self.generator.image_channels
        if self.critic.image_channels != channels:
            raise ValueError(f"critic.image_channels is {self.critic.image_channels}, but the images have {channels}; make them equal")
        self.critic.require_size(self.size_px)
        if self.composer is not None and self.size_px not in REACHABLE_PX:
            raise ValueError(f"size_px = {self.size_px} is none that a layer's generator can reach;" + depth_advice(self.size_px))


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


def differences(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    """Dotted keys in which two recipes differ, with both values; None where a key is not set."""
    left, right = _flat(plain(first)), _flat(plain(second))
    return {key: (left.get(key), right.get(key)) for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


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
    located = [str(part) for part in error["loc"]]
    location = _without_kinds(located)
    reason, given = str(error["msg"]).removeprefix("Value error, "), error.get("input")
    if error["type"] == "union_tag_invalid":
        location, given = [*location, "kind"], error["ctx"]["tag"]
        *most, last = [f"'{kind}'" for kind in KINDS[location[-2]]]
        reason = f"Input should be {', '.join(most)} or {last}"
    elif error["type"] == "union_tag_not_found":
        reason = "Input should be a table"
    dotted = ".".join(location)
    contradiction = error["type"] == "value_error"
    where = _place(_subject(location, reason) if contradiction else location, source, text, overrides)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key '{dotted}'{_closest(located)}"
    if error["type"] == "missing":
        return f"{where}: the key '{dotted}' is missing"
    shown = "" if contradiction else f" (given: {_short(given)})"
    return f"{where}: {dotted + ': ' if dotted else ''}{reason}{shown}"


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


def _closest(located: Sequence[str]) -> str:
    """A hint: the same key in another table, else the closest one in this table."""
    *table, key = located
    location = _without_kinds(located)
    kinds = [kind for kind, part in KINDS.get(location[-2] if len(location) > 1 else "", {}).items() if key in part.model_fields]
    owners = " or ".join(repr(kind) for kind in kinds)
    same = [known for known in _all_keys() if known.split(".")[-1] == key and known != ".".join(location)]
    if kinds and not same:
        return f"; only kind = {owners} has it"
    close = difflib.get_close_matches(key, _known_keys(table), n=1, cutoff=0.0)
    nearest = difflib.get_close_matches(".".join(location), same, n=1, cutoff=0.0) or [".".join([*location[:-1], *close])]
    hint = f"; the closest known one is '{nearest[0]}'" if same or close else ""
    return f"{hint}, or that of kind = {owners}" if kinds else hint


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(tables: Sequence[str]) -> list[str]:
    """Keys of a table; of one that has kinds, those of the kind that stands behind it, else of the first."""
    model: Any = Recipe
    kinds: dict[str, type[Model]] = {}
    for table in tables:
        if table in kinds:
            model, kinds = kinds[table], {}
            continue
        field = getattr(model, "model_fields", {}).get(table)
        options = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        kinds = {} if field is None else KINDS.get(table, {})
        plain_model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
        model = next(iter(kinds.values()), plain_model)
        if model is None:
            return []
    return list(model.model_fields)


def _all_keys() -> Iterator[str]:
    """Every key of every table and kind, dotted, without kinds."""
    waiting: list[list[str]] = [[]]
    while waiting:
        table = waiting.pop(0)
        for key in _known_keys(table):
            yield ".".join([*_without_kinds(table), key])
            waiting += [[*table, key, kind] for kind in KINDS[key]] if key in KINDS else [[*table, key]]


def _without_kinds(located: Sequence[str]) -> list[str]:
    """A location without the kinds that the checker puts behind the tables that have them."""
    return [part for index, part in enumerate(located) if index == 0 or part not in KINDS.get(located[index - 1], {})]


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
