"""Where a function of the package works, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mitlgan.recipe import Recipe, load_recipe, with_data_source, with_overrides
from mitlgan.recipe.schema.recipe import MAX_SEED
from mitlgan.runtime.arguments import require_whole
from mitlgan.runtime.distributed import join_world
from mitlgan.runtime.progress import Reporter, SilentReporter, make_reporter
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run

StrPath = str | Path
Settings = Mapping[str, object]
"""Changes of a recipe by dotted keys, such as `{"training.kimg": 5}`."""


@contextmanager
def open_context(label: str, out: StrPath, device: str, quiet: bool) -> Iterator[RunContext]:
    """Yield the context in which a stage runs."""
    with join_world(device) as world:
        reporter: Reporter = SilentReporter() if quiet or not world.is_leader else make_reporter(label)
        try:
            yield RunContext(world, reporter, Path(out), on_end=_write_run_files)
        finally:
            reporter.close()


def _write_run_files(run: Run) -> None:
    from mitlgan.report.run_files import write_run_files  # slow to import

    write_run_files(run)


def dotted_keys(settings: Settings | None) -> list[str]:
    """Return the keys of settings as `--set` has them."""
    return [key.replace("__", ".") for key in settings or {}]


def resolve_recipe(name: StrPath, data: StrPath | None, settings: Settings | None, seed: int | None) -> Recipe:
    """Return a shipped recipe, or that of a file, with changes.

    Raises:
        UsageError: There is no such recipe, or a setting does not fit; names it.
    """
    if seed is not None:
        require_whole("seed", seed, 0, MAX_SEED)
    recipe = with_data_source(load_recipe(str(name), option="recipe"), None if data is None else str(data))
    if settings:
        recipe = with_overrides(recipe, **{key.replace(".", "__"): value for key, value in settings.items()})
    return recipe if seed is None else with_overrides(recipe, seed=seed)
