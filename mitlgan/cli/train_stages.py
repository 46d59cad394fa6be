"""pretrain, compose, compare, resume, demo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.options import finish, note

if TYPE_CHECKING:
    from mitlgan.artifacts.artifact import GeneratorSpec
    from mitlgan.recipe import Recipe
    from mitlgan.stages.stages import RunContext
    from mitlgan.training.run_directory import Run

RUNS = Path("runs")


class Start(StrEnum):
    """What the demo starts from."""

    scratch = "scratch"
    pretrained = "pretrained"


def _pretrain_command(role: str, explained: str) -> Callable[..., None]:
    """The command of one role: a command each, so that its help needs no argument to be checked."""

    def pretrain(
        data: options.Data = None,
        recipe: options.RecipeName = None,
        settings: options.Settings = None,
        out: options.Out = RUNS,
        device: options.Device = "auto",
        seed: options.Seed = None,
        start: Annotated[
            Path | None, typer.Option("--from", metavar="ARTIFACT", help="Begin with these weights, or grow from a smaller generator.")
        ] = None,
        critic: options.CriticRun = None,
        threads: options.Threads = None,
        log: options.Log = None,
        dry_run: options.DryRun = False,
        as_json: options.Json = False,
    ) -> None:
        from mitlgan.artifacts.loaded_artifact import artifact_path
        from mitlgan.errors import UsageError
        from mitlgan.stages import initial_weights, stages

        default = "demo/wgan" if role == "scene" else f"demo/pretrain_{role}"
        chosen = options.recipe_from(recipe, default, data=data, seed=seed, settings=settings)
        if chosen.command != "pretrain" or chosen.role != role:
            raise UsageError(f"--recipe {recipe}: is for `{chosen.command}` of {chosen.role}; give one for `pretrain {role}`")
        first = None if start is None else artifact_path(start)
        if dry_run:
            chosen = initial_weights.with_critic_parent(initial_weights.with_parent(chosen, first), critic, note)
            initial_weights.load_initial_generator(chosen, first)
            initial_weights.load_initial_critic(critic, chosen, note)
            return _dry_run(chosen, device, as_json)
        with options.environment(device, f"pretrain {role}", out, threads, log) as environment:
            run = stages.pretrain(chosen, environment, start=first, critic=critic)
        return _finished(run, environment, as_json)

    pretrain.__doc__ = explained
    return pretrain


def compose(
    fg: Annotated[
        Path | None, typer.Option("--fg", metavar="ARTIFACT", help="Foreground generator. Default: the newest run's, else the shipped one.")
    ] = None,
    bg: Annotated[Path | None, typer.Option("--bg", metavar="ARTIFACT", help="Background generator, likewise.")] = None,
    layer: options.LayerNames = None,
    data: options.Data = None,
    recipe: options.RecipeName = None,
    settings: options.Settings = None,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    seed: options.Seed = None,
    critic: options.CriticRun = None,
    threads: options.Threads = None,
    log: options.Log = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Join frozen generators into scenes by fusion and translator: two, or as many as --layer names."""
    from mitlgan import networks
    from mitlgan.artifacts import artifact
    from mitlgan.artifacts.artifact import GeneratorSpec
    from mitlgan.errors import UsageError
    from mitlgan.stages import initial_weights, stages
    from mitlgan.stages.default_layers import resolve_layers

    chosen = options.recipe_from(recipe, "demo/compose", data=data, seed=seed, settings=settings)
    if chosen.composer is None:
        raise UsageError(f"--recipe {recipe}: is for `{chosen.command}` of {chosen.role}; give one for `compose`")
    layers = resolve_layers(options.layers_from(layer, fg, bg), out, chosen)
    for name, path in layers.items():
        note(f"{name}: {path} ({artifact.read_card(path).kimg:.0f} kimg)")
    if dry_run:
        loaded = {name: artifact.load_layer(path, name, chosen.size_px, chosen.composer.resample) for name, path in layers.items()}
        networks.check_composer(chosen.composer, {name: generator for name, (generator, _) in loaded.items()}, chosen.size_px)
        forms = {name: GeneratorSpec(card.generator, card.size_px) for name, (_, card) in loaded.items() if card.generator is not None}
        chosen = initial_weights.with_critic_parent(chosen, critic, note)
        initial_weights.load_initial_critic(critic, chosen, note)
        return _dry_run(chosen, device, as_json, forms)
    with options.environment(device, "compose", out, threads, log) as environment:
        run = stages.compose(chosen, layers, environment, critic=critic)
    return _finished(run, environment, as_json)


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    kimg: Annotated[str | None, typer.Option("--kimg", metavar="+N", help="Make the run longer by N kimg.")] = None,
    end: Annotated[bool, typer.Option("--end", help="Train no further: freeze what the newest checkpoint holds.")] = False,
    device: options.Device = "auto",
    log: options.Log = None,
    as_json: options.Json = False,
) -> None:
    """Go on with an interrupted or finished run, or end it early."""
    from mitlgan.errors import UsageError
    from mitlgan.stages import stages

    more = _more_kimg(kimg)
    if end and more:
        raise UsageError("--end: contradicts --kimg, which makes the run longer; give one of them")
    with options.environment(device, f"resume {run.name}", run.parent, None, log) as environment:
        finished = stages.finish_at_checkpoint(run, environment) if end else stages.resume(run, environment, more_kimg=more)
    return _finished(finished, environment, as_json)


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="A look at the machinery in about a minute; the pictures will be poor.")] = False,
    start: Annotated[
        Start, typer.Option("--from", help="pretrained: take the shipped generators, train compositions and baseline only.")
    ] = Start.scratch,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the demo's runs and report go; a second call goes on there.")] = Path(
        "mitlgan-demo"
    ),
    as_json: options.Json = False,
) -> None:
    """Pretrain both layers, compose, compare, at 32 px on the demo pictures; ends with the report's path."""
    from mitlgan.compare import demo as demonstration

    result = demonstration.run_demo(out, quick=quick, pretrained=start is Start.pretrained)
    finish(as_json, result.summary(), f"{result.verdict}\n{result.html}")


def _finished(run: Run, environment: RunContext, as_json: bool) -> None:
    if not environment.world.is_leader:
        return
    status = run.status()
    values: dict[str, Any] = {"run": str(run.path), "artifact": str(run.artifact) if run.artifact else None, **status}
    finish(as_json, values, f"{run.artifact or run.path}")


def _dry_run(recipe: Recipe, device: str, as_json: bool, layers: Mapping[str, GeneratorSpec] | None = None) -> None:
    from mitlgan.artifacts.summary import describe_recipe
    from mitlgan.recipe import as_dict
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.stages import stages
    from mitlgan.training.loop import count_generator_updates

    resolve_device(device)
    pixels = stages.open_recipe_data(recipe, say=note)
    updates = count_generator_updates(recipe)
    described = describe_recipe(recipe, layers)
    values = {"recipe": as_dict(recipe), "pictures": len(pixels), "data_sha256": pixels.content_sha256, "generator_updates": updates, **described}
    total = described["total"]
    text = (
        f"{recipe.command} {recipe.role}: {len(pixels)} pictures of {recipe.size_px} px, {updates} generator updates, "
        f"{total['trainable']:,} trainable parameters; nothing was written"
    )
    finish(as_json, values, text)


def _more_kimg(text: str | None) -> float:
    from mitlgan.errors import UsageError

    if text is None:
        return 0.0
    try:
        value = float(text.removeprefix("+"))
    except ValueError:
        value = math.nan
    if not (text.startswith("+") and 0 < value < 1e7):
        raise UsageError(f"--kimg {text}: write it as +N, such as +100")
    return value


pretrain_app = options.group("Train a generator on one kind of pictures and freeze it.")
for _role, _explained in (
    ("fg", "Train a generator on foregrounds, objects before a plain backdrop, and freeze it."),
    ("bg", "Train a generator on backgrounds, places without an object, and freeze it."),
    ("scene", "Train a plain GAN on whole scenes, as the baseline of a comparison is."),
):
    pretrain_app.command(_role)(_pretrain_command(_role, _explained))

COMMANDS: dict[str, Callable[..., None]] = {"compose": compose, "resume": resume, "demo": demo}
