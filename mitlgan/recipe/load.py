"""Recipes from TOML files and `--set` values, and back to TOML."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from mitlgan.errors import UsageError
from mitlgan.recipe.even_lists import shorten_even_lists
from mitlgan.recipe.messages import error_location, short, toml_message, validation_message
from mitlgan.recipe.schema.composer import USE_SCENES
from mitlgan.recipe.schema.ladder import with_total_length
from mitlgan.recipe.schema.recipe import KINDS, SCHEMA_VERSION, Recipe
from mitlgan.recipe.text_keys import takes_any_text
from mitlgan.runtime.outer_folders import both_names, by_height
from mitlgan.runtime.progress import print_message
from mitlgan.runtime.shipped_files import shipped_folder, shipped_recipe_names
from mitlgan.runtime.text_files import read_text

MAX_BYTES = 1_000_000
RENAMED_FOLDERS = {"modern": "recommended", "demo": "thesis-32"}
"""Earlier names of the shipped recipes' folders, which keep working."""
SOURCE_KEY, MATTES_KEY = "data.source", "composer.placement.mattes"
NO_PATHS: Mapping[str, tuple[str, ...]] = {SOURCE_KEY: ("demo", ""), MATTES_KEY: ("demo", "", USE_SCENES)}
"""Keys that name pictures by a path -> their values that are none."""
NO_PICTURES = "absent"
"""What recipes that ship without pictures say in place of them."""
UNREADABLE = (ValueError, RecursionError, OverflowError)  # raised by tomllib; a number of 5,000 digits gives a plain ValueError


def find_recipe(name: str, option: str = "--recipe") -> Path:
    """Return the file of a recipe.

    Args:
        name: A file's path, or a shipped recipe's name with or without `.toml`.
        option: The option or argument that named it, for the message.

    Raises:
        UsageError: There is no such recipe; the message names the closest shipped one.
    """
    path = Path(name)
    with suppress(OSError):  # such as a name too long for a file
        if path.is_file():
            return path
    stem = _current_name(name.removeprefix("recipes/").removesuffix(".toml"))
    inside = shipped_folder("recipes") / f"{stem}.toml"
    if stem in shipped_recipe_names() and inside.is_file():
        return inside
    close = difflib.get_close_matches(stem, shipped_recipe_names(), n=1, cutoff=0.3)
    hint = f"; the closest shipped one is {close[0]}" if close else ""
    raise UsageError(f"{option} {name}: no such file or shipped recipe{hint} (see `mitlgan recipes ls`)")


def _current_name(stem: str) -> str:
    """Return today's name of a shipped recipe that had another name earlier; say so on stderr, once."""
    folder, slash, rest = stem.partition("/")
    current = f"{RENAMED_FOLDERS.get(folder, folder)}{slash}{rest}"
    if slash and current != stem and current in shipped_recipe_names():
        _print_note(f"the recipe {stem} is now called {current}")
        return current
    return stem


@cache
def _print_note(text: str) -> None:
    print_message(f"note: {text}")


def read_recipe_text(name: str | Path, option: str = "--recipe") -> str:
    """Return the text of a recipe with its comments; arguments and errors as of `find_recipe`."""
    path = find_recipe(str(name), option)
    return read_text(path, str(path), UsageError, MAX_BYTES)


def load_recipe(name: str | Path, overrides: Sequence[str] = (), option: str = "--recipe", *, root: Path | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        name: As of `find_recipe`.
        overrides: `a.b=v` settings; v is read as TOML, else as a string, as it also is where the key takes any. Pictures get their full path. Other
            widths of a critic bring its lists of equal values, such as `strides = [2, 2, 2]`, to their number, unless settings name these.
        option: As of `find_recipe`.
        root: Folder that must contain the file; see `mitlgan.runtime.files.open_regular`.

    Raises:
        UsageError: The recipe is invalid; the message names file and line.
    """
    path = find_recipe(str(name), option)
    text = read_text(path, str(path), UsageError, MAX_BYTES, root=root)
    overrides = [with_full_source(setting) for setting in overrides]
    try:
        values = tomllib.loads(text)
    except UNREADABLE as error:
        raise UsageError(toml_message(path, text, str(error))) from None
    shorten_even_lists(values, (setting.partition("=")[0].strip() for setting in overrides))
    for override in sorted(overrides, key=lambda setting: not setting.partition("=")[0].strip().endswith(".kind")):  # a kind comes before its keys
        _override(values, override)
    return _checked(values, str(path), text, overrides)


def parse_recipe(values: dict[str, Any], source: str = "recipe") -> Recipe:
    """Check a recipe in nested dictionaries, such as a run's or an artifact's.

    Raises:
        UsageError: The recipe is invalid; `source` begins the message.
    """
    return _checked(values, source, "", ())


def to_toml(recipe: Recipe) -> str:
    """Return the complete recipe as TOML, which `load_recipe` reads back to an equal recipe."""
    return tomli_w.dumps(as_dict(recipe))


def as_dict(recipe: BaseModel) -> dict[str, Any]:
    """Return a recipe or table as JSON-ready dictionaries, without unset keys."""
    values: dict[str, Any] = json.loads(recipe.model_dump_json(exclude_none=True))
    return values


def with_overrides(recipe: Recipe, **values: object) -> Recipe:
    """Return a checked copy with other values for dotted keys (`training__kimg=3`); None removes a key.

    The length of a ladder is that of its steps, so that other steps bring their own. Lists of a critic follow its widths, as of `load_recipe`.
    """
    tree = as_dict(recipe)
    if recipe.grow is not None and values.get("grow"):
        del tree["training"]["kimg"]
    shorten_even_lists(tree, (key.replace("__", ".") for key in values))
    for key, value in values.items():
        *tables, last = key.split("__")
        node = tree
        for table in tables:
            node = node.setdefault(table, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return parse_recipe(tree, recipe.name)


def with_full_paths(recipe: Recipe, data: str | None = None, folder: Path = Path()) -> Recipe:
    """Return a copy that names all its pictures by full paths, so that they are the same wherever it is read; arguments as of `with_data_source`."""
    return with_full_mattes(with_data_source(recipe, data, folder), folder)


def with_data_source(recipe: Recipe, data: str | None, folder: Path = Path()) -> Recipe:
    """Return a copy with the full path of the pictures that `--data` names, so that they are the same wherever the recipe is read.

    Args:
        recipe: Of a training that begins or goes on.
        data: None takes the pictures that the recipe names.
        folder: From which a relative path is seen, of `--data` or of the recipe.
    """
    own = recipe.data.source
    if data is None and (not is_relative_source(own) or (own == NO_PICTURES and not (folder / own).exists())):
        return recipe
    return with_overrides(recipe, data__source=full_source(own if data is None else data, folder))


def with_full_mattes(recipe: Recipe, folder: Path = Path(), *, inside: Path | None = None) -> Recipe:
    """Return a copy with the full path of the pictures to whose mattes its placement is fitted, if it names some by a relative path.

    Args:
        recipe: Any.
        folder: From which a relative path is seen.
        inside: A path that the folder must be around, as it is named or where links lead, else the recipe stays as it is; None: it need not.
    """
    mattes = mattes_source(recipe)
    if mattes is None or not is_relative_source(mattes, MATTES_KEY):
        return recipe
    if inside is not None and folder.resolve() not in by_height(name.parents for name in both_names(inside)):
        return recipe
    return with_overrides(recipe, composer__placement__mattes=full_source(mattes, folder, MATTES_KEY))


def mattes_source(recipe: Recipe) -> str | None:
    """Return the pictures to whose mattes a recipe's placement is fitted; None if it is not."""
    placement = None if recipe.composer is None else recipe.composer.placement
    return None if placement is None else placement.mattes


def with_full_source(setting: str, folder: Path = Path()) -> str:
    """Return a setting that names pictures by their full path, in one spelling, so that it means the same wherever it is read; any other unchanged.

    Args:
        setting: `a.b=v`.
        folder: From which a relative path is seen.
    """
    key, equals, raw = setting.partition("=")
    key = key.strip()
    value = _parse_value(raw, key) if equals else None
    full = _with_full_texts(key, value, folder)
    if key in NO_PATHS and isinstance(full, str):
        return f"{key}={full if _parse_value(full) == full else json.dumps(full)}"
    if isinstance(value, Mapping) and any(name in NO_PATHS and isinstance(item, str) for name, item in _flat({key: full}).items()):
        text = _inline_toml(full)
        return f"{key}={text}" if _parse_value(text) == full else setting
    return setting


def pictures_of_setting(setting: str) -> list[str]:
    """Return the paths by which a setting `a.b=v` names pictures, itself or in its table."""
    key, equals, raw = setting.partition("=")
    values = _flat({key.strip(): _parse_value(raw, key.strip())}) if equals else {}
    return [value for name, value in values.items() if name in NO_PATHS and isinstance(value, str) and value not in NO_PATHS[name]]


def _with_full_texts(key: str, value: Any, folder: Path) -> Any:
    """Return a setting's value with full paths of pictures, which may be deep in its table."""
    if isinstance(value, Mapping):
        return {name: _with_full_texts(f"{key}.{name}", item, folder) for name, item in value.items()}
    return full_source(value, folder, key) if key in NO_PATHS and isinstance(value, str) else value


def _inline_toml(value: Any) -> str:
    """Return a value in one line of TOML; what JSON does not have, such as a date, becomes a text."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(name)} = {_inline_toml(item)}' for name, item in value.items())}}}"
    return f"[{', '.join(map(_inline_toml, value))}]" if isinstance(value, list) else json.dumps(value, default=str)


def full_source(source: str, folder: Path = Path(), key: str = SOURCE_KEY) -> str:
    """Return the full path of pictures, seen from a folder, unless they are the demo's, or none, or have a name that no disk could have.

    Args:
        source: Value of a key.
        folder: From which a relative path is seen.
        key: One of `NO_PATHS`.
    """
    try:
        return source if source in NO_PATHS[key] else str((folder / source).resolve())
    except (OSError, ValueError, RuntimeError):  # it holds a zero, or is a circle of links
        return source


def is_relative_source(source: str, key: str = SOURCE_KEY) -> bool:
    """Return whether pictures are named by a path that depends on the folder from which it is seen; arguments as of `full_source`."""
    return source not in NO_PATHS[key] and not Path(source).is_absolute()


def diff_recipes(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys in which two recipes differ, with both values; None for an unset key."""
    left, right = _flat(as_dict(first)), _flat(as_dict(second))
    return {key: (left.get(key), right.get(key)) for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def setting_keys(setting: str) -> list[str]:
    """Return the dotted keys that a setting has: its own, and those in a table that it sets (`a={b=1}`: `a`, `a.b`).

    Args:
        setting: `a.b=v`, or a key alone.
    """
    key, equals, raw = setting.partition("=")
    return inner_keys(key.strip(), _parse_value(raw, key.strip()) if equals else None)


def inner_keys(key: str, value: object) -> list[str]:
    """Return a dotted key and, if its value is a table, the dotted keys in it."""
    inner = value.items() if isinstance(value, Mapping) else ()
    return [key, *(inner_key for name, item in inner for inner_key in inner_keys(f"{key}.{name}", item))]


def is_within_table(key: str, table: str) -> bool:
    """Return whether a dotted key is a table's or a table's own name."""
    return key == table or key.startswith(f"{table}.")


def _parse_value(raw: str, key: str = "") -> Any:
    """Return the value of a setting: TOML, else a text; of a key that takes any text, what looks like something else is one, too."""
    try:
        parsed = tomllib.loads(f"value = {raw.strip()}")
    except UNREADABLE:
        return raw.strip()
    if len(parsed) != 1:
        return raw  # a line break could smuggle in a second key
    return parsed["value"] if isinstance(parsed["value"], str) or not takes_any_text(key) else raw.strip()


def _override(values: dict[str, Any], setting: str) -> None:
    key, equals, raw = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {setting}: write it as key=value, such as training.kimg=50")
    value = _parse_value(raw, key.strip())
    node: Any = values
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise UsageError(f"--set {setting}: {part} is not a table")
    if parts[-1] == "kind" and len(parts) > 1:
        _drop_keys_of_other_kind(node, KINDS.get(parts[-2], {}), str(value), setting)
    node[parts[-1]] = value


def _drop_keys_of_other_kind(table: dict[str, Any], kinds: Mapping[str, type[BaseModel]], kind: str, setting: str) -> None:
    """Remove what a table says for its former kind and another kind does not take, so that one `--set` changes the kind; say so on stderr."""
    schema = kinds.get(kind)
    if schema is None or table.get("kind", next(iter(kinds))) == kind:
        return
    dropped = [key for key, value in table.items() if key != "kind" and not _takes(schema, key, value)]
    for key in dropped:
        del table[key]
    if dropped:
        _print_note(f"--set {setting}: without {', '.join(dropped)}, which this kind does not take")


def _takes(schema: type[BaseModel], key: str, value: object) -> bool:
    """Return whether a table has a key and allows its value."""
    try:
        schema.model_validate_json(json.dumps({key: value}, default=str))
    except ValidationError as error:
        return all(entry["loc"][:1] != (key,) for entry in error.errors(include_url=False))
    return True


def _checked(values: dict[str, Any], source: str, text: str, overrides: Sequence[str]) -> Recipe:
    try:
        encoded = json.dumps(with_total_length(values), default=lambda date: {"date": str(date)})  # no key takes a date
    except (ValueError, RecursionError):
        raise UsageError(f"{source}: a number too long or tables too deep for a recipe; see `mitlgan recipes cat`") from None
    version = values.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        where = error_location(["schema_version"], source, text, overrides)
        raise UsageError(f"{where}: schema_version {short(version)} is newer than {SCHEMA_VERSION}, which this version reads; upgrade mitlgan")
    try:
        return Recipe.model_validate_json(encoded)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        unknown = [entry for entry in errors if entry["type"] == "extra_forbidden"]  # first: it may be the misspelling of a missing key
        raise UsageError(validation_message((unknown or errors)[0], source, text, overrides)) from None
