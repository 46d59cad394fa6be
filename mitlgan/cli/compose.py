"""`mitlgan compose`: join frozen generators into scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log
from mitlgan.cli.run_output import print_dry_run, print_run

RUNS = Path("runs")


def compose(
    fg: Annotated[
        Path | None, typer.Option("--fg", metavar="ARTIFACT", help="Foreground generator. Default: from the newest run, or else the shipped one.")
    ] = None,
    bg: Annotated[Path | None, typer.Option("--bg", metavar="ARTIFACT", help="Background generator. Default: as for --fg.")] = None,
    layer: options.LayerNames = None,
    data: options.Data = None,
    recipe: options.ComposeRecipe = None,
    settings: options.Settings = None,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    seed: options.Seed = None,
    critic: options.CriticRun = None,
    licence: options.Licence = None,
    threads: options.Threads = None,
    log_to: options.Log = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Join frozen generators into scenes.

    Trains fusion and translator over two layers, or over as many as --layer names.
    """
    from mitlgan.artifacts.card import read_card
    from mitlgan.errors import UsageError
    from mitlgan.stages.compose import DEFAULT_COMPOSITION_RECIPE, check_layers
    from mitlgan.stages.compose import compose as run_composition
    from mitlgan.stages.default_layers import resolve_layers
    from mitlgan.stages.initial_critic import load_initial_critic, with_critic_parent

    chosen = options.recipe_from(recipe, DEFAULT_COMPOSITION_RECIPE, data=data, seed=seed, settings=settings, licence=licence)
    if chosen.composer is None:
        raise UsageError(f"--recipe {recipe}: is for `{chosen.command}` of {chosen.role}; give one for `compose`")
    layers = resolve_layers(options.layers_from(layer, fg, bg), out, chosen)
    for name, path in layers.items():
        log(f"{name}: {path} ({read_card(path).kimg:g} kimg)")
    if dry_run:
        forms = check_layers(chosen, layers)
        chosen = with_critic_parent(chosen, critic, log, settings or ())
        load_initial_critic(critic, chosen, log)
        options.use_threads(threads)
        return print_dry_run(chosen, device, as_json, out, forms, data=data)
    with options.open_run_context(device, "compose", out, threads, log_to, has_data_option=data is not None) as context:
        run = run_composition(chosen, layers, context, critic=critic, settings=settings or ())
    return print_run(run, context, as_json)
