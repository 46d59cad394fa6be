"""`mitlgan pretrain fg|bg|scene`: train a generator and freeze it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log
from mitlgan.cli.run_output import print_dry_run, print_run

RUNS = Path("runs")


def _pretrain_command(role: str, explained: str) -> Callable[..., None]:
    """Return the command of one role."""

    def pretrain(
        data: options.Data = None,
        recipe: options.PretrainRecipe = None,
        settings: options.Settings = None,
        out: options.Out = RUNS,
        device: options.Device = "auto",
        seed: options.Seed = None,
        start: Annotated[
            Path | None, typer.Option("--from", metavar="ARTIFACT", help="Continue from these weights, or grow from a smaller generator.")
        ] = None,
        critic: options.CriticRun = None,
        licence: options.Licence = None,
        threads: options.Threads = None,
        log_to: options.Log = None,
        dry_run: options.DryRun = False,
        as_json: options.Json = False,
    ) -> None:
        from mitlgan.artifacts.loaded_artifact import artifact_path
        from mitlgan.errors import UsageError
        from mitlgan.recipe import ladder_steps
        from mitlgan.stages.initial_critic import load_initial_critic
        from mitlgan.stages.initial_generator import load_initial_generator
        from mitlgan.stages.pretrain import default_pretraining_recipe, with_start
        from mitlgan.stages.pretrain import pretrain as run_pretraining

        first = None if start is None else artifact_path(start)
        chosen = options.recipe_from(recipe, default_pretraining_recipe(role, first), data=data, seed=seed, settings=settings, licence=licence)
        if chosen.command != "pretrain" or chosen.role != role:
            raise UsageError(f"--recipe {recipe}: is for `{chosen.command}` of {chosen.role}; give one for `pretrain {role}`")
        if dry_run:
            chosen, critic = with_start(chosen, first, critic, log, settings or ())
            first_step = ladder_steps(chosen)[0]
            load_initial_generator(first_step, first)
            load_initial_critic(critic, first_step, log)
            options.use_threads(threads)
            return print_dry_run(chosen, device, as_json, out, data=data)
        with options.open_run_context(device, f"pretrain {role}", out, threads, log_to, has_data_option=data is not None) as context:
            run = run_pretraining(chosen, context, start=first, critic=critic, settings=settings or ())
        return print_run(run, context, as_json)

    pretrain.__doc__ = explained
    return pretrain


app = options.group("Train a generator on one kind of picture, and freeze it.")
for _role, _explained in (
    ("fg", "Train on foregrounds: cut-outs, or objects on one backdrop."),
    ("bg", "Train on backgrounds: places without an object."),
    ("scene", "Train a plain GAN on whole scenes, as a baseline."),
):
    app.command(_role)(_pretrain_command(_role, _explained))
