"""Where a function of the package works, and what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, inner_keys, load_recipe, with_full_paths, with_overrides
from mitlgan.recipe.schema.recipe import MAX_SEED
from mitlgan.runtime.arguments import REAL_NUMBERS, as_annotated, describe_value, require_whole, to_plain
from mitlgan.runtime.distributed import join_world
from mitlgan.runtime.progress import Reporter, SilentReporter, make_reporter
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run

StrPath = str | Path
Device = str | torch.device
Settings = Mapping[str, object]
"""Changes of a recipe by dotted keys, such as `{"training.kimg": 5}`: numbers, truth values, texts, paths, lists, dicts, and None."""


@contextmanager
def open_context(label: str, out: StrPath, device: Device, quiet: bool) -> Iterator[RunContext]:
    """Yield the context in which a stage runs."""
    with join_world(device) as world:
        reporter: Reporter = SilentReporter() if quiet or not world.is_leader else make_reporter(label)
        try:
            yield RunContext(world, reporter, Path(out), on_end=_write_run_files, device=str(device))
        finally:
            reporter.close()


def _write_run_files(run: Run) -> None:
    from mitlgan.report.run_files import write_run_files  # slow to import

    write_run_files(run)


def dotted_keys(settings: Settings | None) -> list[str]:
    """Return the keys of settings as `--set` has them, those in tables too."""
    return [inner for key, value in (settings or {}).items() for inner in inner_keys(key.replace("__", "."), value)]


def resolve_recipe(name: StrPath, data: StrPath | None, settings: Settings | None, seed: int | None) -> Recipe:
    """Return a shipped recipe, or that of a file, with changes.

    Args:
        name: Of the recipe, or its file.
        data: Pictures; they come before those that settings name, as `--data` before `--set`. None takes the settings' or the recipe's.
        settings: Changes by dotted keys.
        seed: None takes the settings' or the recipe's.

    Raises:
        UsageError: There is no such recipe, or a setting does not fit; names it.
    """
    if seed is not None:
        require_whole("seed", seed, 0, MAX_SEED)
    recipe = load_recipe(str(name), option="recipe")
    if settings:
        recipe = with_overrides(recipe, **{key.replace(".", "__"): _setting(key, value) for key, value in settings.items()})
    named = recipe.data.source if "data.source" in dotted_keys(settings) else None
    recipe = with_full_paths(recipe, named if data is None else str(data))
    return recipe if seed is None else with_overrides(recipe, seed=seed)


def _setting(key: str, value: object) -> object:
    """Return a setting as a recipe's file could hold it, such as an int for numpy's and a text for a path."""
    value = to_plain(value)
    if isinstance(value, Mapping):
        return {str(name): _setting(f"{key}.{name}", item) for name, item in value.items()}
    if isinstance(value, Iterable) and (isinstance(value, list | tuple | range) or hasattr(value, "ndim")):
        return [_setting(key, item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, REAL_NUMBERS):
        return as_annotated(f"settings, {key}", value, float)
    raise UsageError(f"settings, {key}: {describe_value(value)} is not a number, a text, True or False, a list, a dict or None")
