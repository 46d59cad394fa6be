"""`mitlgan train`: train one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log
from mitlgan.cli.run_output import print_dry_run, print_run
from mitlgan.runtime.command_line import command_line

RUNS = Path("runs")


def train(
    call: typer.Context,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe, or a file.")],
    fg: Annotated[Path | None, typer.Option("--fg", metavar="ARTIFACT", help="Of a composition: its foreground generator; see `compose`.")] = None,
    bg: Annotated[Path | None, typer.Option("--bg", metavar="ARTIFACT", help="Of a composition: its background generator.")] = None,
    layer: options.LayerNames = None,
    data: options.Data = None,
    settings: options.Settings = None,
    out: options.Out = RUNS,
    device: options.Device = "auto",
    seed: options.Seed = None,
    threads: options.Threads = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Train any recipe that begins with new networks.

    These make a generator, a composition or an inpainter. A recipe whose generator goes on from a trained one, or grows from it, such as `few/fg-32`,
    is for `mitlgan pretrain ROLE --recipe RECIPE --from ARTIFACT`.
    A finished run of the same recipe and layers is taken, an unfinished one is continued. Leaves summaries, a diagram and plots in the run.
    """
    from mitlgan.artifacts.card import read_card
    from mitlgan.errors import UsageError
    from mitlgan.recipe import require_trainable
    from mitlgan.report.run_files import list_run_files, write_run_files
    from mitlgan.stages.compose import check_layers
    from mitlgan.stages.default_layers import resolve_layers
    from mitlgan.stages.existing_runs import find_matching_run, get_or_train
    from mitlgan.stages.initial_critic import with_critic_parent
    from mitlgan.stages.initial_generator import suggest_start
    from mitlgan.stages.pretrain import check_training_start, needs_trained_generator

    chosen = options.recipe_from(recipe, recipe, data=data, seed=seed, settings=settings, option="RECIPE", may_go_on=True)
    if is_new := find_matching_run(out, chosen) is None:
        require_trainable(chosen)
    if chosen.composer is None and (fg is not None or bg is not None or layer):
        raise UsageError(f"--fg, --bg, --layer: are of compositions; {recipe} has no [composer]; leave them out")
    if chosen.generator is not None and needs_trained_generator(chosen) and is_new:
        instead = command_line(["pretrain", chosen.role, "--recipe", recipe, "--from", suggest_start(chosen), *options.given_words(call)])
        raise UsageError(f"RECIPE {recipe}: goes on from a trained generator, and `train` takes none; name it by --from: {instead}")
    layers = {} if chosen.composer is None else resolve_layers(options.layers_from(layer, fg, bg), out, chosen)
    for name, path in layers.items():
        log(f"{name}: {path} ({read_card(path).kimg:g} kimg)")
    if dry_run:
        if chosen.generator is not None and is_new:
            check_training_start(chosen)
        options.use_threads(threads)
        forms = check_layers(chosen, layers) if layers else None
        return print_dry_run(with_critic_parent(chosen, None, log), device, as_json, out, forms, data=data)
    with options.open_run_context(device, chosen.name, out, threads, has_data_option=data is not None) as context:
        run = get_or_train(chosen, context, layers)
    if context.world.is_leader and not list_run_files(run):  # an earlier version trained it
        write_run_files(run)
    return print_run(run, context, as_json)
