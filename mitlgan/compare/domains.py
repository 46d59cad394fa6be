"""What a comparison composes in each domain: a finished composition, a recipe with frozen layers, or the layers and scenes of a `--domain`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from mitlgan import networks
from mitlgan.artifacts.card import LAYER_ROLES, GeneratorSpec
from mitlgan.artifacts.composition_choice import choose_composition
from mitlgan.artifacts.load_save import check_layer_card, refuse_checkpoint_layer
from mitlgan.artifacts.loaded_artifact import artifact_path, is_artifact_reference
from mitlgan.compare.finished_runs import extract_layers, read_finished_card
from mitlgan.compare.layer_cards import generator_spec, generator_specs
from mitlgan.compare.layer_chains import LayerChain, chain_of_artifact
from mitlgan.compare.plan import ComparisonPlan, DomainSpec
from mitlgan.compare.plan_record import find_place
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, DataError, UsageError, naming_option
from mitlgan.recipe import (
    MATTES_KEY,
    NO_PATHS,
    Recipe,
    composition_settings,
    full_source,
    generator_settings,
    layer_role,
    load_layer_recipe,
    load_recipe,
    mattes_source,
    setting_keys,
    with_data_source,
    with_full_mattes,
    with_full_paths,
    with_full_source,
    with_overrides,
    with_parent_recipes,
)
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.outer_folders import both_names, by_height, searched_folders
from mitlgan.runtime.progress import Say, ignore_message
from mitlgan.stages.compose import DEFAULT_COMPOSITION_RECIPE
from mitlgan.stages.default_layers import resolve_layers
from mitlgan.stages.replaced_settings import refuse_unused_settings
from mitlgan.stages.training_command import out_words
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

Layer = TypeVar("Layer")


@dataclass(frozen=True)
class DomainSetup:
    """One domain, before training.

    Attributes:
        name: Of the domain; empty if there is only one.
        recipe: Of the composition.
        layers: Artifact of each frozen layer that exists already.
        pretrainings: Trainings of the other layers, by layer.
        composed: A finished composition that is taken as it is.
        names: The layers in the order of their latents; empty: as they are in `layers`, then in `pretrainings`.
        origins: Run of the composition that an artifact of `layers` was taken from, by layer.
        root: Of the comparison's runs.
    """

    name: str
    recipe: Recipe
    layers: Mapping[str, Path]
    pretrainings: Mapping[str, LayerChain]
    composed: Run | None = None
    names: tuple[str, ...] = ()
    origins: Mapping[str, Path] = field(default_factory=dict)
    root: Path | None = None

    def in_order(self, layers: Mapping[str, Layer]) -> dict[str, Layer]:
        """Return something of all layers, such as their artifacts, in the order of their latents."""
        return {name: layers[name] for name in self.names or layers}

    def pretrainings_for_seed(self, seed: int, own_layers: bool) -> dict[str, LayerChain]:
        """Return what must be pretrained for a seed.

        Args:
            seed: Of the arms' trainings.
            own_layers: Whether each seed has layers of its own.

        Raises:
            MitlganError: As of `chain_of_artifact`.
        """
        if not own_layers:
            return dict(self.pretrainings)
        chains = {**self.pretrainings, **self.chains_of_artifacts()}
        return {
            name: chain.with_seed(" ".join(part for part in (self.name, f"pretrain {name}", f"seed {seed}") if part), seed)
            for name, chain in chains.items()
        }

    def chains_of_artifacts(self, say: Say = ignore_message) -> dict[str, LayerChain]:
        """Return the trainings that made the layers that exist already; `say` and errors as of `chain_of_artifact`."""
        artifacts = {name: path for name, path in self.layers.items() if name not in self.pretrainings}
        return {name: chain_of_artifact(path, name, self.origins.get(name), say, self.root) for name, path in artifacts.items()}


def resolve_domains(plan: ComparisonPlan, root: Path, say: Say = ignore_message) -> list[DomainSetup]:
    """Return the domains of a plan; nothing is trained here.

    Args:
        plan: The request.
        root: Where finished runs are looked up.
        say: Receives which composition is taken, which cannot be read, and that its project was moved; see `Run.load_recipe`.

    Raises:
        UsageError: There is nothing to compose, options contradict each other, or a setting has no effect.
        ArtifactError: An artifact does not fit.
    """
    if plan.domains:
        if plan.composed is not None or plan.baseline_run is not None or plan.data is not None:
            raise UsageError("--domain: trains its own compositions and baselines; leave out --composed, --baseline-run and --data")
        setups = [replace(_domain_setup(plan, domain), root=root) for domain in plan.domains]
        if not any(setup.pretrainings for setup in setups):
            refuse_unused_settings(generator_settings(plan.settings), "every layer of a --domain is an artifact")
        return setups
    plan = resolve_plan(plan, root, say)
    run = _named_composition(plan)
    if not plan.trains_compositions:
        if run is None:
            raise UsageError(f"--composed: no finished composition under {root}; run `{command_line(['compose', *out_words(root)])}` first")
        return [DomainSetup("", run.load_recipe(say), {}, {}, run, root=root)]
    if plan.baseline_run is not None:
        raise UsageError("--baseline-run: here every arm is trained from scratch for the same budgets; leave it out")
    recipe = _compose_recipe(plan) if plan.recipe or run is None else _recipe_of_run(run, plan, say)
    recipe = with_full_paths(recipe, plan.data)
    layers = {name: artifact_path(path) for name, path in plan.layers.items()}
    for name, path in layers.items():
        refuse_checkpoint_layer(path, name)
    origins: dict[str, Path] = {}
    if run is not None and run.artifact_file is not None and lacks_layers(plan.layers):
        extracted = extract_layers(run.artifact_file)
        origins = {name: run.path for name in extracted if name not in layers}
        layers = {**extracted, **layers}
    else:
        _check_artifacts(recipe, layers)
    return [DomainSetup("", recipe, layers, {}, origins=origins, root=root)]


def resolve_plan(plan: ComparisonPlan, root: Path, say: Say = ignore_message) -> ComparisonPlan:
    """Return a plan that names the composition or the layers that it takes, so that those of later trainings do not change it.

    The pictures that a setting or the recipe names are named by their full path, so that another working folder does not change them.

    Args:
        plan: The request.
        root: Where finished runs are looked up.
        say: As of `resolve_domains`.

    Raises:
        UsageError: There is no such recipe.
        ArtifactError: A layer is missing, and there is none to take.
    """
    plan = with_named_pictures(plan)
    if plan.domains or plan.composed is not None:
        return plan
    if plan.recipe is None and lacks_layers(plan.layers) and (run := _newest_composition(root, say)) is not None:
        say(f"composition: {run.path}; another: --composed RUN")
        return replace(plan, composed=run.path)
    if not plan.trains_compositions:
        return plan
    layers = {name: artifact_path(path) for name, path in plan.layers.items()}
    return replace(plan, layers=resolve_layers(layers, root, _compose_recipe(plan)))


def planned_specs(setup: DomainSetup) -> dict[str, GeneratorSpec]:
    """Return how each layer's generator is built, before those that are missing are trained.

    Raises:
        ArtifactError: A layer is not a generator.
    """
    return setup.in_order({**generator_specs(setup.layers), **{name: generator_spec(chain.recipe) for name, chain in setup.pretrainings.items()}})


def _named_composition(plan: ComparisonPlan) -> Run | None:
    """Return the composition that is taken, or whose recipe and layers are; None if the plan names none."""
    if plan.composed is None:
        return None
    run = run_directory.open_run(plan.composed)
    card = read_finished_card(run)
    if card.kind != "composer":
        raise ArtifactError(f"--composed {run.path}: a run of `pretrain {card.role}`; give one that `mitlgan compose` made")
    return run


def _newest_composition(root: Path, say: Say) -> Run | None:
    """Return the composition that is meant where none is named; None if there is none."""
    finished = {run.artifact_file: run for run in reversed(run_directory.list_runs(root, "compose")) if run.artifact_file is not None}
    choice = choose_composition(list(finished))
    if choice is None:
        return None
    for fault in choice.faults.values():
        say(f"warning: {fault}; {finished[choice.path].path} is taken in its place")
    return finished[choice.path]


def _recipe_of_run(run: Run, plan: ComparisonPlan, say: Say) -> Recipe:
    """Return a composition's recipe with the plan's settings, and with the pictures of its project as that is now unless the plan names others."""
    recipe = _with_mattes_of_run(load_recipe(run.recipe_file, plan.settings, root=run.path), run, say)
    is_named = plan.data is not None or "data.source" in [key for setting in plan.settings for key in setting_keys(setting)]
    if is_named or recipe.data.source != run.recorded_recipe().data.source:  # these differ where a setting replaces the whole table
        return recipe
    return with_overrides(recipe, data__source=run.load_recipe(say).data.source)


def _with_mattes_of_run(recipe: Recipe, run: Run, say: Say) -> Recipe:
    """Return a run's recipe with the full path of mattes of which an earlier version recorded a relative one.

    It is seen from the nearest folder around the runs that has them, else from the working folder.
    """
    here = with_full_mattes(recipe)
    for folder in searched_folders(by_height(name.parents[1:] for name in both_names(run.path))):
        named = with_full_mattes(recipe, folder)
        if find_place(str(mattes_source(named)), folder) is not None:
            break
    else:
        return here
    if named != here:
        say(f"{run.path}: its {MATTES_KEY} {mattes_source(recipe)} is taken as seen from {folder}")
    return named


def with_named_pictures(plan: ComparisonPlan, folder: Path = Path()) -> ComparisonPlan:
    """Return a plan that names, by their full path, the pictures of its settings and of its recipe, which may name others later.

    Args:
        plan: One whose `data` is None leaves them to its recipe; they stay so if they are the demo's, or no pictures.
        folder: From which relative paths are seen.

    Raises:
        UsageError: There is no such recipe.
    """
    plan = replace(plan, settings=tuple(with_full_source(setting, folder) for setting in plan.settings))
    if plan.recipe is None:
        return plan
    recipe = _compose_recipe(plan)
    named = with_full_paths(recipe, None, folder)
    mattes = mattes_source(named)
    if mattes not in (None, *NO_PATHS[MATTES_KEY]) and not any(MATTES_KEY in setting_keys(setting) for setting in plan.settings):
        plan = replace(plan, settings=(*plan.settings, with_full_source(f"{MATTES_KEY}={json.dumps(mattes)}")))
    source = named.data.source
    is_open = plan.data is None and not plan.domains and Path(source).is_absolute() and full_source(source) == source
    return replace(plan, data=source) if is_open else plan


def _compose_recipe(plan: ComparisonPlan) -> Recipe:
    settings = composition_settings(plan.settings) if plan.domains else plan.settings
    recipe = load_recipe(plan.recipe or DEFAULT_COMPOSITION_RECIPE, settings)
    if recipe.composer is None:
        raise UsageError(f"--recipe {plan.recipe}: has no [composer]; give one for `compose`")
    return recipe


def _domain_setup(plan: ComparisonPlan, domain: DomainSpec) -> DomainSetup:
    recipe = with_full_paths(_compose_recipe(plan), domain.scene)
    assert recipe.composer is not None
    layers: dict[str, Path] = {}
    pretrainings: dict[str, LayerChain] = {}
    for name, source in domain.sources.items():
        path = Path(source)
        is_artifact = path.suffix == ".safetensors" or (path / "recipe.toml").is_file() or (path / "generator.safetensors").is_file()
        if is_artifact or is_artifact_reference(path):
            layers[name] = artifact_path(path)
            continue
        requested = plan.bg_recipe if layer_role(name) == "bg" else plan.fg_recipe
        pretraining = load_layer_recipe(name, recipe, plan.recipe or DEFAULT_COMPOSITION_RECIPE, requested, plan.settings)
        pretraining = with_data_source(pretraining, source)
        if pretraining.size_px != recipe.size_px and recipe.composer.resample is None:
            sizes = f"{source} would be trained at {pretraining.size_px} px, the scenes at {recipe.size_px}"
            raise UsageError(f"--domain {domain.name}: {sizes}; give artifacts, or another --{layer_role(name)}-recipe")
        pretrainings[name] = LayerChain(f"{domain.name} pretrain {name}", with_parent_recipes(pretraining, plan.settings))
    setup = DomainSetup(domain.name, recipe, layers, pretrainings, names=tuple(domain.sources))
    _check_layers(setup)
    return setup


def _check_layers(setup: DomainSetup) -> None:
    """Check a domain's composition as `check_composition` does; errors name the domain."""
    with naming_option(f"--domain {setup.name}"):
        check_composition(setup.recipe, setup.layers, planned_specs(setup))


def check_composition(recipe: Recipe, layers: Mapping[str, Path], specs: Mapping[str, GeneratorSpec]) -> None:
    """Check that a composition can be built of its layers, mattes included, before any of them is trained.

    Args:
        recipe: Of the composition.
        layers: Artifact of each layer that exists already.
        specs: How each layer's generator is built, in the order of their latents.

    Raises:
        UsageError: The layers do not suit the composition.
        ArtifactError: An artifact is no layer of that name and size, or a checkpoint.
    """
    assert recipe.composer is not None
    _check_artifacts(recipe, layers)
    with torch.device("meta"):
        networks.check_composer(recipe.composer, {name: spec.build() for name, spec in specs.items()}, recipe.size_px)


def _check_artifacts(recipe: Recipe, layers: Mapping[str, Path]) -> None:
    assert recipe.composer is not None
    for name, path in layers.items():
        check_layer_card(path, name, recipe.size_px, recipe.composer.resample)
        refuse_checkpoint_layer(path, name)


def check_pictures(setups: Sequence[DomainSetup], say: Say) -> None:
    """Open the pictures of every training of the domains' layers, before the first of them begins.

    Raises:
        DataError: Pictures are missing, or a foreground that must have a matte has no transparency to learn it from.
    """
    for setup in setups:
        for name, training in setup.pretrainings.items():
            recipe = training.recipe
            assert recipe.generator is not None
            pack = open_recipe_data(recipe, say=say)
            if recipe.generator.image_channels == 4 and pack.channels != 4:
                raise DataError(
                    f"--domain {setup.name}: {name} needs a matte, but the pictures of {recipe.data.source} have no transparency; cut them by "
                    f"`mitlgan data split`, or compose by a recipe that needs none"
                )


def lacks_layers(layers: Collection[str]) -> bool:
    """Return whether `fg`, `bg` or both are missing and no other layers are named."""
    return set(layers) < set(LAYER_ROLES)
