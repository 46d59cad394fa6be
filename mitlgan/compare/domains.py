"""What is composed from what: a finished composition as it is, a recipe with frozen layers, or the triples of several domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES, Card, GeneratorSpec, read_card
from mitlgan.artifacts.loaded_artifact import artifact_path
from mitlgan.compare.arm_training import ArmTraining
from mitlgan.compare.arms import extract_layers, read_finished_card
from mitlgan.compare.plan import ComparisonPlan, DomainSpec
from mitlgan.errors import ArtifactError, MitlganError, UsageError
from mitlgan.recipe import Recipe, load_recipe, parse_recipe, with_overrides
from mitlgan.stages.default_layers import resolve_layers
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

DEFAULT_RECIPE = "thesis-32/compose"


@dataclass(frozen=True)
class DomainSetup:
    """One domain.

    Attributes:
        name: Of the domain; empty where there is one only.
        recipe: Of the composition.
        layers: Artifact of each frozen layer; a layer that `pretrainings` makes is not among them yet.
        pretrainings: Of the layers that have to be trained first, by layer.
        composed: The composition, where one is taken as it is.
    """

    name: str
    recipe: Recipe
    layers: Mapping[str, Path]
    pretrainings: Mapping[str, ArmTraining]
    composed: Run | None = None

    def pretrainings_for_seed(self, seed: int, own: bool) -> dict[str, ArmTraining]:
        """What must be pretrained for a seed.

        Args:
            seed: Of the arms' trainings.
            own: Whether each seed has layers of its own.

        Raises:
            UsageError: An artifact does not hold the recipe that it was made by.
        """
        if not own:
            return dict(self.pretrainings)
        known = {name: training.recipe for name, training in self.pretrainings.items()}
        found = {}
        for name in (*known, *(name for name in self.layers if name not in known)):
            recipe = known.get(name) or _recipe_of(self.layers[name], name)
            label = " ".join(part for part in (self.name, f"pretrain {name}", f"seed {seed}") if part)
            found[name] = ArmTraining(label, with_overrides(recipe, seed=seed))
        return found


def resolve_domains(plan: ComparisonPlan, root: Path) -> list[DomainSetup]:
    """The domains of a plan, whose compositions are not trained yet.

    Raises:
        UsageError: Nothing to compose, or options that contradict each other.
        ArtifactError: An artifact does not fit.
    """
    if plan.domains:
        if plan.composed is not None or plan.baseline_run is not None or plan.data is not None:
            raise UsageError("--domain: trains its own compositions and baselines; leave out --composed, --baseline-run and --data")
        return [_of_triple(plan, triple) for triple in plan.domains]
    run = _composition(plan, root)
    if not plan.trains_compositions:
        if run is None:
            raise UsageError(f"--composed: no finished composition under {root}; run `mitlgan compose` first")
        return [DomainSetup("", run.load_recipe(), {}, {}, run)]
    if plan.baseline_run is not None:
        raise UsageError("--baseline-run: here every arm is trained anew for the same budgets; leave it out")
    recipe = (
        load_recipe(plan.recipe or DEFAULT_RECIPE, plan.settings)
        if plan.recipe or run is None
        else load_recipe(run.recipe_file, plan.settings, root=run.path)
    )
    if recipe.composer is None:
        raise UsageError(f"--recipe {plan.recipe}: has no [composer]; give one for `compose`")
    if plan.data is not None:
        recipe = with_overrides(recipe, data__source=_source(plan.data))
    given = {name: artifact_path(path) for name, path in plan.layers.items()}
    if run is not None and run.artifact_file is not None and _some_are_absent(plan.layers):
        layers = {**extract_layers(run.artifact_file), **given}
    else:
        layers = resolve_layers(given, root, recipe)
    return [DomainSetup("", recipe, layers, {})]


def generator_specs(layers: Mapping[str, Path]) -> dict[str, GeneratorSpec]:
    """What each layer's generator is built by.

    Raises:
        ArtifactError: One is no generator.
    """
    found = {}
    for name, path in layers.items():
        card = read_card(path)
        if card.generator is None:
            raise ArtifactError(f"--{name} {path}: is a composer; give a generator")
        found[name] = GeneratorSpec(card.generator, card.size_px)
    return found


def read_cards(layers: Mapping[str, Path]) -> dict[str, Card]:
    """Card of each layer."""
    return {name: read_card(path) for name, path in layers.items()}


def _composition(plan: ComparisonPlan, root: Path) -> Run | None:
    """The composition that is taken, or whose recipe and layers are; None where others are named."""
    if plan.composed is not None:
        run = run_directory.open_run(plan.composed)
        card = read_finished_card(run)
        if card.kind != "composer":
            raise ArtifactError(f"--composed {run.path}: a run of `pretrain {card.role}`; give one that `mitlgan compose` made")
        return run
    if plan.recipe is not None or not _some_are_absent(plan.layers):
        return None
    found = [run for run in run_directory.list_runs(root, "compose") if run.artifact_file is not None]
    return found[-1] if found else None


def _of_triple(plan: ComparisonPlan, triple: DomainSpec) -> DomainSetup:
    recipe = load_recipe(plan.recipe or DEFAULT_RECIPE, plan.settings)
    if recipe.composer is None:
        raise UsageError(f"--recipe {plan.recipe}: has no [composer]; give one for `compose`")
    resample = recipe.composer.resample
    recipe = with_overrides(recipe, data__source=_source(triple.scene))
    layers: dict[str, Path] = {}
    pretrainings: dict[str, ArmTraining] = {}
    for name, given in (("fg", triple.fg), ("bg", triple.bg)):
        path = Path(given)
        if path.suffix == ".safetensors" or (path / "recipe.toml").is_file() or (path / "generator.safetensors").is_file():
            layers[name] = artifact_path(path)
        else:
            wanted = with_overrides(load_recipe(f"thesis-32/pretrain_{name}"), data__source=_source(given))
            if wanted.size_px != recipe.size_px and resample is None:
                raise UsageError(
                    f"--domain {triple.name}: {given} would be trained at {wanted.size_px} px, the scenes at {recipe.size_px}; give artifacts"
                )
            pretrainings[name] = ArmTraining(f"{triple.name} pretrain {name}", wanted)
    return DomainSetup(triple.name, recipe, layers, pretrainings)


def _some_are_absent(layers: Mapping[str, Path]) -> bool:
    return set(layers) < set(LAYER_ROLES)


def _source(given: str) -> str:
    return given if given == "demo" else str(Path(given).resolve())


def _recipe_of(path: Path, name: str) -> Recipe:
    try:
        return parse_recipe(read_card(path).recipe, str(path))
    except MitlganError:
        raise UsageError(f"--pretrain-seeds: {path} does not hold the recipe it was made by; give the artifact of {name} itself") from None
