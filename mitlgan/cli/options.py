"""Options that several commands share, and what they mean: recipe, layers, threads, run context."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mitlgan.runtime.command_line import option_words

if TYPE_CHECKING:
    from mitlgan.recipe import Recipe
    from mitlgan.runtime.progress import Reporter
    from mitlgan.stages.context import RunContext
    from mitlgan.training.run_directory import Run

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR|FILE|demo",
        help="Folder, zip (also StyleGAN's), tar or parquet of pictures, .txt list of paths, pack (.npy), IDX file, CIFAR-10's folder, or `demo`. "
        "Default: from the recipe.",
    ),
]
PretrainRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="Name of a shipped recipe, or a file. Default: thesis-32/pretrain_ROLE, thesis-32/wgan for scenes; "
        "with --from, few/ROLE-SIZE where it fits.",
    ),
]
ComposeRecipe = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME|FILE", help="Name of a shipped recipe, or a file. Default: thesis-32/compose.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=V", help="Change a setting of the recipe; repeatable.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Parent folder of runs.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Device to compute on.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Random seed. Default: from the recipe.")]
Licence = Annotated[str | None, typer.Option("--licence", metavar="TEXT", help="Licence of the artifact, for its card, such as CC-BY-4.0.")]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="CPU threads. The same N gives the same result, bit for bit.", min=1, max=1024)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, measure a few steps, print time, memory and disk; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
Extractor = Annotated[
    str | None,
    typer.Option(
        "--extractor", metavar="NAME", help="inception, efficientnet-lite0, mobilenet-v2, digits (grey, 28 px) or timm:NAME. Default: from the recipe."
    ),
]
Extractors = Annotated[
    list[str] | None,
    typer.Option(
        "--extractor",
        metavar="NAME",
        help="inception, efficientnet-lite0, mobilenet-v2, digits (grey, 28 px) or timm:NAME; repeatable, the first is the main one. "
        "Default: from the recipe.",
    ),
]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Weights file of the (first) extractor.")]
_SPLIT_HELP = "Split of the real pictures: train, validation or test. Default:"
Split = Annotated[
    str | None,
    typer.Option("--split", metavar="NAME", help=f"{_SPLIT_HELP} from the recipe, else the first that there is of test, validation, train."),
]
TestSplit = Annotated[str | None, typer.Option("--split", metavar="NAME", help=f"{_SPLIT_HELP} the first that there is of test, validation, train.")]
HeldOutSplit = Annotated[str | None, typer.Option("--split", metavar="NAME", help=f"{_SPLIT_HELP} the first that there is of validation, test, train.")]
Samples = Annotated[int | None, typer.Option("-n", "--samples", metavar="N", help="Number of generated images. Default: from the recipe.", min=2)]
Truncation = Annotated[
    float,
    typer.Option(
        "--truncation",
        metavar="PSI",
        help="Pull latents toward their mean: 1 not at all, 0.7 for more typical pictures, 0 for a single one.",
        min=0,
        max=2,
    ),
]


ARTIFACT_HELP = "A .safetensors artifact, a run, or one of its steps: RUN@4000 (iterations), RUN@best."


class Logged(StrEnum):
    """Other places for statistics."""

    tensorboard = "tensorboard"


class Form(StrEnum):
    """What a report command prints."""

    html = "html"
    md = "md"
    json = "json"
    csv = "csv"
    tex = "tex"


CriticRun = Annotated[Path | None, typer.Option("--critic", metavar="RUN", help="Start from the critic of this run or artifact. Default: a new one.")]
LayerNames = Annotated[
    list[str] | None,
    typer.Option("--layer", metavar="NAME=ARTIFACT", help="Generator of one layer; repeatable, from back to front (bg is the backmost)."),
]
Log = Annotated[Logged | None, typer.Option("--log", help="Also write statistics for TensorBoard.")]


class Group(TyperGroup):
    """Typer's group, with two changes.

    Its help lists commands under the headings that they were registered with (`rich_help_panel`), which typer does by rich alone. And its help option
    defaults to False, not None: to check a None, typer would load pydantic for every help page.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands under their headings."""
        headed: dict[str, list[tuple[str, str]]] = {}
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        width = formatter.width - 6 - max(map(len, commands), default=0)
        for name, command in commands.items():
            if command is not None and not command.hidden:
                heading = getattr(command, "rich_help_panel", None)
                headed.setdefault(heading if isinstance(heading, str) else "Commands", []).append((name, command.get_short_help_str(width)))
        for heading, rows in headed.items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def get_help_option(self, ctx: Any) -> Any:
        """Return the parser's help option, with a default that needs no check."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option


def group(explained: str, cls: type[TyperGroup] = Group) -> typer.Typer:
    """Return a group of commands that prints help without arguments, and plain errors."""
    return typer.Typer(
        cls=cls,
        help=explained,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,  # its options would load pydantic for every help page
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def recipe_from(
    name: str | None, default: str, *, data: str | None, seed: int | None, settings: list[str] | None, option: str = "--recipe",
    licence: str | None = None, may_go_on: bool = False,
) -> Recipe:  # fmt: skip
    """Return the recipe that a command's options describe; `option` names its option or argument in messages.

    With `may_go_on` a run of an earlier version may have begun with it, so that the caller asks `require_trainable` where a training begins.
    """
    from mitlgan.recipe import load_recipe, require_generator_learns, require_trainable, with_full_paths, with_overrides

    recipe = load_recipe(name or default, settings or [], option)
    (require_generator_learns if may_go_on else require_trainable)(recipe)
    recipe = with_full_paths(recipe, data)
    recipe = recipe if licence is None else with_overrides(recipe, licence=licence)
    return recipe if seed is None else with_overrides(recipe, seed=seed)


def layers_from(layers: list[str] | None, fg: Path | None, bg: Path | None) -> dict[str, Path]:
    """Return artifact files by layer, from `--layer NAME=ARTIFACT` or its short form, `--fg` and `--bg`."""
    from mitlgan.artifacts.loaded_artifact import artifact_path
    from mitlgan.errors import UsageError
    from mitlgan.networks import check_layer_name

    if layers and (fg is not None or bg is not None):
        raise UsageError("--layer: names every layer, --fg and --bg are its short form; write --layer fg=ARTIFACT in place of --fg")
    paths: dict[str, Path] = {} if fg is None else {"fg": fg}
    paths |= {} if bg is None else {"bg": bg}
    for name, path in named_artifacts(layers or (), "--layer", "sky=runs/pretrain/bg-001").items():
        try:
            check_layer_name(name)
        except UsageError as error:
            raise UsageError(f"--layer {name}={path}: {error}") from None
        paths[name] = Path(path)
    return {name: artifact_path(path) for name, path in paths.items()}


def named_artifacts(texts: Iterable[str], option: str, example: str) -> dict[str, str]:
    """Return artifacts by name, from texts NAME=ARTIFACT.

    Args:
        texts: As they were typed.
        option: Option or argument that begins messages.
        example: One that is written well.

    Raises:
        UsageError: A name or artifact is missing, since an empty one would mean the current folder, or a name is given twice.
    """
    from mitlgan.errors import UsageError

    paths: dict[str, str] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name or not path:
            raise UsageError(f"{option} {text}: write it as NAME=ARTIFACT, such as {example}")
        if name in paths:
            raise UsageError(f"{option} {text}: {name} is given twice; give each a name of its own")
        paths[name] = path
    return paths


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether a parameter was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def given_words(context: typer.Context) -> list[str]:
    """Return the options that were given on the command line, with their values, as words to type again."""
    words: list[str] = []
    for parameter in context.command.params:
        if parameter.param_type_name != "option" or not is_given(context, str(parameter.name)):
            continue
        option, value = max(parameter.opts, key=len), context.params[str(parameter.name)]
        if isinstance(value, bool):
            words.append(option if value else max(parameter.secondary_opts, key=len))
        else:
            words += option_words([(option, one) for one in (value if isinstance(value, list | tuple) else [value])])
    return words


def refuse_given(context: typer.Context, names: Iterable[str], reason: str) -> None:
    """Refuse options that would have no effect here.

    Args:
        context: The command's.
        names: Names of the parameters.
        reason: Why, and what to do instead.

    Raises:
        UsageError: One of them was given; the message begins with it.
    """
    from mitlgan.errors import UsageError

    for name in names:
        if is_given(context, name):
            option = max(next(parameter.opts for parameter in context.command.params if parameter.name == name), key=len)
            raise UsageError(f"{option}: {reason}")


def use_threads(threads: int | None) -> None:
    """Set the number of CPU threads; None leaves it."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def threads_of_each(jobs: int, threads: int | None) -> int | None:
    """Return the CPU threads of each of several trainings that run at a time; of one alone, those that are asked for."""
    return threads if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)


def write_run_files(run: Run) -> None:
    """Write what every run leaves besides its artifact; see `mitlgan.report.run_files`, which is slow to import."""
    from mitlgan.report.run_files import write_run_files as write

    write(run)


@contextmanager
def open_run_context(
    device: str, label: str, out: Path, threads: int | None, log: Logged | None = None, *, has_data_option: bool = True
) -> Iterator[RunContext]:
    """Yield the context in which a stage runs, alone or under torchrun."""
    from mitlgan.runtime.distributed import join_world
    from mitlgan.runtime.progress import SilentReporter, make_reporter
    from mitlgan.stages.context import RunContext
    from mitlgan.training.tensorboard import TensorBoardLogger

    use_threads(threads)
    board = TensorBoardLogger() if log is Logged.tensorboard else None
    with join_world(device) as world:
        progress: Reporter = make_reporter(label) if world.is_leader else SilentReporter()
        try:
            on_stats = board.log if board is not None else None
            yield RunContext(world, progress, out, on_stats, has_data_option, on_end=write_run_files, device=device, threads=threads)
        finally:
            progress.close()
            if board is not None:
                board.close()
