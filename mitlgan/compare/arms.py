"""The arms of a comparison: what each trains and from what, or the artifact that it takes as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import Card, GeneratorSpec, read_card
from mitlgan.artifacts.hub import is_hub_reference, parse_hub_reference
from mitlgan.artifacts.loaded_artifact import artifact_path, is_artifact_reference
from mitlgan.compare.baseline_recipes import finetuned_recipe, plain_recipe, tuned_wgan_recipe, wgan_recipe
from mitlgan.compare.budgets import training_macs, with_equal_length
from mitlgan.compare.plan import BUILT_IN_BASELINES
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import back_to_front
from mitlgan.recipe import Recipe, display_name, display_name_of, find_recipe, load_recipe, uses_mattes, with_full_mattes, with_overrides

COMPOSED = "composed"
PRETRAINING_SUFFIX = "+pretraining"
"""Ends the name of an arm that trains for as long as all stages of the composition together."""
WGAN_ARMS = ("wgan", "plain-wgan")


@dataclass(frozen=True)
class ArmSpec:
    """One arm.

    Attributes:
        name: Unique in the comparison.
        label: Name for readers.
        recipe: What is trained; None if nothing is.
        uses_layers: Whether it is composed of the frozen layers.
        from_foreground: Whether it starts from the foreground generator's weights.
        artifact: An artifact that is taken as it is.
        counts_pretraining: Whether the cost of the pretrainings is added to its budgets.
        notes: What its label has no room for, as sentences.
    """

    name: str
    label: str
    recipe: Recipe | None = None
    uses_layers: bool = False
    from_foreground: bool = False
    artifact: Path | None = None
    counts_pretraining: bool = False
    notes: tuple[str, ...] = ()


def resolve_arms(baselines: Sequence[str], recipe: Recipe, layers: Mapping[str, GeneratorSpec], trials: Iterable[str] = ()) -> list[ArmSpec]:
    """Return the composition's arm and those of its baselines.

    Args:
        baselines: Values of `--baseline`.
        recipe: The composition's.
        layers: Its layers' networks.
        trials: Names of arms whose number of trials was declared.

    Raises:
        UsageError: Two arms have the same name, or a declared one does not exist.
    """
    arms = [composed_arm(recipe), *(resolve_baseline(name, recipe, layers) for name in baselines)]
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--baseline: two arms are called {twice}; give each once, and give recipes different names")
    if unknown := next((name for name in trials if name not in names), None):
        raise UsageError(f"--trials {unknown}: no arm has this name; they are {', '.join(names)}")
    return arms


def composed_arm(recipe: Recipe) -> ArmSpec:
    """Return the arm of a composition."""
    assert recipe.composer is not None
    name = display_name(recipe) if recipe.name != "compose" else recipe.composer.fusion.kind
    return ArmSpec(COMPOSED, f"Composition ({name})", recipe, uses_layers=True)


def check_baseline_name(baseline: str) -> None:
    """Refuse an unknown `--baseline` value.

    Raises:
        UsageError: The value names no baseline, or is a malformed reference to the Hub.
    """
    if is_hub_reference(baseline):
        parse_hub_reference(baseline)  # refuses a malformed one
        return
    if baseline in BUILT_IN_BASELINES or Path(baseline).exists() or is_artifact_reference(baseline):
        return
    try:
        find_recipe(baseline)
    except UsageError:
        raise UsageError(f"--baseline: {baseline!r} is not one of {', '.join(BUILT_IN_BASELINES)}, nor a recipe, an artifact or a run") from None


def resolve_baseline(baseline: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> ArmSpec:
    """Return the arm of a `--baseline` value.

    Args:
        baseline: One of `BUILT_IN_BASELINES`, a recipe, an artifact or a run.
        recipe: Of the composition.
        layers: How its frozen generators are built.

    Raises:
        UsageError: The value names no baseline, or the layers do not allow it.
        ArtifactError: The artifact is of another kind or size.
    """
    if baseline in BUILT_IN_BASELINES:
        return _built_in_arm(baseline, recipe, layers)
    path = Path(baseline)
    is_artifact = path.is_dir() or path.suffix == ".safetensors" or is_artifact_reference(path)
    return _artifact_arm(path, recipe) if is_artifact else _recipe_arm(baseline, recipe)


def _built_in_arm(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> ArmSpec:
    if name == "wgan" and uses_mattes(recipe):
        tuned, note = tuned_wgan_recipe(recipe, layers)
        return ArmSpec(name, f"WGAN, tuned{_growth(tuned)}", tuned, notes=(note,))
    if name in WGAN_ARMS:
        settings = "the composition" if recipe.objective.kind in ("wgan_gp", "wgan_clip") else "the demo"
        wgan = wgan_recipe(name, recipe, layers)
        return ArmSpec(name, f"WGAN, plain{_growth(wgan)} ({settings}'s settings)", wgan)
    if name == "plain":
        plain = plain_recipe(name, recipe, layers)
        return ArmSpec(name, f"Plain generator, by the composition's objective{_growth(plain)}", plain)
    if name == "wgan-finetuned":
        initial = layers[finetune_layer(recipe, layers)]
        return ArmSpec(name, "WGAN from the foreground's weights", finetuned_recipe(recipe, initial), from_foreground=True)
    return ArmSpec(name, "Frozen layers, pasted")


def _growth(recipe: Recipe) -> str:
    """Return the part of a label that says from which size a recipe grows; empty for one that does not grow."""
    return "" if recipe.grow is None else f", grown from {recipe.grow[0].size_px} px"


def _artifact_arm(path: Path, recipe: Recipe) -> ArmSpec:
    file = artifact_path(path)
    card = read_card(file)
    if card.role != "scene" or card.size_px != recipe.size_px:
        raise ArtifactError(
            f"--baseline {path}: makes {card.role} images of {card.size_px} px; give an artifact that makes scenes of {recipe.size_px} px"
        )
    name = parse_hub_reference(path).repo.rpartition("/")[2] if is_hub_reference(path) else path.stem if path.is_file() else path.name
    return ArmSpec(name, f"{display_name_of(card.recipe, name)} ({card.kimg:g} kimg)", artifact=file)


def _recipe_arm(name: str, recipe: Recipe) -> ArmSpec:
    try:
        other = load_recipe(name)
    except UsageError as error:
        raise UsageError(f"--baseline {name}: {error}") from None
    if other.role != "scene" or other.size_px != recipe.size_px:
        raise UsageError(f"--baseline {name}: trains {other.role} images of {other.size_px} px; give a recipe for scenes of {recipe.size_px} px")
    other = with_full_mattes(with_overrides(other, data__source=recipe.data.source))
    if other.command == "compose":
        return ArmSpec(other.name, composed_arm(other).label, other, uses_layers=True)
    return ArmSpec(other.name, display_name(other), other)


def finetune_layer(recipe: Recipe, layers: Collection[str]) -> str:
    """Return the layer from whose weights `wgan-finetuned` starts: `fg`, or the frontmost layer if none has that name."""
    assert recipe.composer is not None
    return "fg" if "fg" in layers else back_to_front(recipe.composer.order, dict.fromkeys(layers))[-1]


def initial_artifact(arm: ArmSpec, composition: Recipe, layers: Mapping[str, Path]) -> Path | None:
    """Return the artifact that an arm starts from, if it starts from one."""
    return layers[finetune_layer(composition, layers)] if arm.from_foreground else None


def match_length(arm: ArmSpec, composition: Recipe, card: Card, *, resource: str = "kimg", extra: float = 0.0) -> Recipe:
    """Return an arm's recipe with the length and the seed of the composition that it is compared with.

    Args:
        arm: An arm that trains.
        composition: The composition's recipe.
        card: The composition's card, or one with its layers and the length of its stage.
        resource: A key of `plan.RESOURCE_UNITS` other than time, of which both get the same amount.
        extra: What the pretrainings took of it.
    """
    assert arm.recipe is not None
    layers = card.generator_specs() if arm.uses_layers else {}
    return with_overrides(with_equal_length(arm.recipe, resource, layers, stage_length(composition, card, resource), extra), seed=composition.seed)


def stage_length(composition: Recipe, card: Card, resource: str) -> float:
    """Return what a composition's own stage took, in the unit of a resource."""
    if resource == "macs":
        return training_macs(composition, card.generator_specs(), card.kimg)
    return float(getattr(card, resource.replace("-", "_")))
