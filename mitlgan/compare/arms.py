"""The arms of a comparison: which recipes they train, from what, and what stands for them without any training."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.artifacts.card import Card, GeneratorSpec, read_card
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.artifacts.loaded_artifact import artifact_path
from mitlgan.compare.budgets import training_macs, with_equal_length
from mitlgan.compare.plan import BUILT_IN_BASELINES
from mitlgan.data.pack.cache import cache_dir
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import Generator, back_to_front
from mitlgan.recipe import (
    AnyGenerator,
    Recipe,
    WganGpRecipe,
    as_dict,
    display_name,
    display_name_of,
    find_recipe,
    load_recipe,
    parse_recipe,
    shipped_recipe_names,
    with_overrides,
    without_growth,
)
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

COMPOSED = "composed"
PRETRAINING_SUFFIX = "+pretraining"
"""Ends the name of an arm that has had as much as all of the composition's stages together."""
WGAN_ARMS = ("wgan", "plain-wgan")
LABELS = {
    "wgan-finetuned": "WGAN from the foreground's weights",
    "plain": "Plain generator, by the composition's objective",
    "paste": "Frozen layers, pasted",
}
TUNED_RECIPE, TUNED_PX = "recommended/wgan-{size_px}", 32
"""The WGAN beside a recommended composition, and the size at which it was tuned, by as many trials as the composition."""
THESIS_FUSIONS = ("conv1x1", "norm-conv1x1", "add", "add-norm")
"""Compositions that mix channels, as the thesis does; all others lay mattes over each other, as is recommended."""
WGAN_SETTINGS: Mapping[str, object] = {
    "objective": WganGpRecipe(critic_steps=3).model_dump(),  # Gulrajani et al. 2017: 5, with fewer updates of the generator in the same time
    "critic__kernel": 5,
    "training__batch": 32,
}
"""Of the WGAN-GP beside a composition that has another objective: the demo's. A baseline must not lose by settings that were chosen for another arm."""


@dataclass(frozen=True)
class ArmSpec:
    """One arm.

    Attributes:
        name: Unique in the comparison.
        label: What readers see.
        recipe: What is trained; None where nothing is.
        composes: Whether it is made of the frozen layers.
        starts: Whether it begins with the foreground generator's weights.
        fixed: An artifact that stands as it is.
        counted: Whether the pretrainings' cost is added to its budgets.
    """

    name: str
    label: str
    recipe: Recipe | None = None
    uses_layers: bool = False
    from_foreground: bool = False
    artifact: Path | None = None
    counts_pretraining: bool = False


def match_length(arm: ArmSpec, composition: Recipe, card: Card, *, equal: str = "kimg", extra: float = 0.0) -> Recipe:
    """An arm's recipe, with the seed of the composition that it is compared with, as long as that.

    Args:
        arm: Trains something.
        composition: Its recipe.
        card: The composition's, or one that has its layers and what its stage took.
        equal: A key of `budgets.EQUAL` but time: what both get alike.
        extra: What the pretrainings took, in its unit.
    """
    assert arm.recipe is not None
    layers = card.generator_specs()
    rate = training_macs(arm.recipe, layers if arm.uses_layers else {}) if equal == "macs" else 0.0
    return with_overrides(with_equal_length(arm.recipe, equal, rate, composition_length(composition, card, equal), extra), seed=composition.seed)


def composition_length(composition: Recipe, card: Card, equal: str) -> float:
    """What a composition's own stage took, in a unit of `plan.EQUAL`."""
    if equal == "macs":
        return card.kimg * training_macs(composition, card.generator_specs())
    return float(getattr(card, equal.replace("-", "_")))


def check_baseline_name(baseline: str) -> None:
    """Refuse a `--baseline` value that names nothing.

    Raises:
        UsageError: It does.
    """
    if baseline in BUILT_IN_BASELINES or Path(baseline).exists():
        return
    try:
        find_recipe(baseline)
    except UsageError:
        raise UsageError(f"--baseline: {baseline!r} is not one of {', '.join(BUILT_IN_BASELINES)}, nor a recipe, an artifact or a run") from None


def resolve_baseline(baseline: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> ArmSpec:
    """The arm of a `--baseline` value.

    Raises:
        UsageError: It names nothing, or the layers do not allow it.
        ArtifactError: An artifact of another kind or size.
    """
    if baseline == "wgan" and uses_mattes(recipe):
        return _tuned_wgan_arm(recipe, layers)
    if baseline in ("wgan", "plain-wgan"):
        own = recipe.objective.kind in ("wgan_gp", "wgan_clip")
        return ArmSpec(baseline, f"WGAN, plain ({'the composition' if own else 'the demo'}'s settings)", _wgan_recipe(baseline, recipe, layers))
    if baseline == "plain":
        return ArmSpec(baseline, LABELS[baseline], _plain_recipe(baseline, recipe, layers))
    if baseline == "wgan-finetuned":
        return ArmSpec(baseline, LABELS[baseline], _finetuned_recipe(recipe, layers), from_foreground=True)
    if baseline == "paste":
        return ArmSpec(baseline, LABELS[baseline])
    path = Path(baseline)
    if path.is_dir() or path.suffix == ".safetensors":
        file = artifact_path(path)
        card = read_card(file)
        if card.role != "scene" or card.size_px != recipe.size_px:
            wanted = f"scenes of {recipe.size_px} px"
            raise ArtifactError(f"--baseline {baseline}: makes {card.role} images of {card.size_px} px; give one of {wanted}")
        return ArmSpec(path.stem if path.is_file() else path.name, f"{display_name_of(card.recipe, path.name)} ({card.kimg:g} kimg)", artifact=file)
    try:
        other = load_recipe(baseline)
    except UsageError as error:
        raise UsageError(f"--baseline {baseline}: {error}") from None
    if other.role != "scene" or other.size_px != recipe.size_px:
        raise UsageError(f"--baseline {baseline}: trains {other.role} images of {other.size_px} px; give one of scenes of {recipe.size_px} px")
    other = with_overrides(other, data__source=recipe.data.source)
    if other.command == "compose":
        return ArmSpec(other.name, composed_arm(other).label, other, uses_layers=True)
    return ArmSpec(other.name, display_name(other), other)


def resolve_arms(baselines: Sequence[str], recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> list[ArmSpec]:
    """The composition's arm and those of its baselines.

    Raises:
        UsageError: Two have one name.
    """
    arms = [composed_arm(recipe), *(resolve_baseline(name, recipe, layers) for name in baselines)]
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--baseline: two arms are called {twice}; give each once, and recipes names of their own")
    return arms


def composed_arm(recipe: Recipe) -> ArmSpec:
    """The arm of a composition."""
    assert recipe.composer is not None
    shape = display_name(recipe) if recipe.name != "compose" else recipe.composer.fusion.kind
    return ArmSpec(COMPOSED, f"Composition ({shape})", recipe, uses_layers=True)


def extract_layers(composer: Path) -> dict[str, Path]:
    """The frozen generators of a composer as artifacts of their own, in the cache, by layer.

    Raises:
        ArtifactError: Not a composer, or damaged.
    """
    network, card = load_network(composer)
    if network.kind != "composer":
        raise ArtifactError(f"{composer}: not a composer")
    generators = network.frozen_generators()
    return {name: _extract_layer(generators[name], card, name) for name in card.layers}


def _extract_layer(generator: Generator, card: Card, name: str) -> Path:
    layer = card.layers[name]
    account = {
        key: layer.card[key] for key in ("data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit", "parent") if key in layer.card
    }
    made_by = layer.card.get("made_by") or {"name": layer.card.get("recipe", name)}
    own = Card(
        kind="generator", role=layer.role, size_px=layer.size_px or card.size_px, image_channels=layer.generator.image_channels,
        latent_dims={layer.role: layer.generator.latent_dim}, generator=layer.generator, recipe=made_by, **account,
    )  # fmt: skip
    # Equal tensors may have another account, such as one of an earlier version that had none: each has a file of its own.
    told = hashlib.sha256(own.model_dump_json().encode()).hexdigest()
    path = cache_dir() / "layers" / f"{layer.sha256_before[:32]}-{told[:16]}" / "generator.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_network(path, generator, own)
    return path


def finetune_layer(recipe: Recipe, layers: Collection[str]) -> str:
    """The layer whose weights `wgan-finetuned` begins with: `fg`, or the frontmost where layers have other names."""
    assert recipe.composer is not None
    return "fg" if "fg" in layers else back_to_front(recipe.composer.order, dict.fromkeys(layers))[-1]


def load_baseline_run(path: Path, card: Card) -> Run:
    """A trained baseline that is taken as it is.

    Raises:
        UsageError: Not a run.
        ArtifactError: Of another size or role, or not finished.
    """
    run = run_directory.open_run(path)
    found = read_finished_card(run)
    if found.role != "scene" or found.size_px != card.size_px:
        raise ArtifactError(f"--baseline-run {path}: makes {found.role} images of {found.size_px} px; give one of scenes of {card.size_px} px")
    return run


def read_finished_card(run: Run) -> Card:
    """The card of a finished run.

    Raises:
        ArtifactError: It is not finished.
    """
    if run.artifact_file is None:
        raise ArtifactError(f"{run.path}: not finished; go on with `mitlgan resume {run.path}`")
    return read_card(run.artifact_file)


def uses_mattes(recipe: Recipe) -> bool:
    """Whether a composition lays its layers over each other by mattes, as the recommended ones do, and does not mix channels, as the thesis does."""
    return recipe.composer is not None and recipe.composer.fusion.kind not in THESIS_FUSIONS


def _tuned_wgan_arm(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> ArmSpec:
    """The tuned WGAN of the composition's size; where none ships, its settings with a layer's generator and a critic as wide as the composition's."""
    name = TUNED_RECIPE.format(size_px=recipe.size_px)
    if name in shipped_recipe_names():
        at = "" if recipe.size_px == TUNED_PX else f" at {TUNED_PX} px"
        return ArmSpec(
            "wgan", f"WGAN, tuned{at} ({name})", with_overrides(load_recipe(name), data=as_dict(recipe.data), evaluation=as_dict(recipe.evaluation))
        )
    shipped = TUNED_RECIPE.format(size_px=TUNED_PX)
    tuned = load_recipe(shipped)
    own = _scene_recipe("wgan-tuned", recipe, _scene_generator("wgan", recipe, layers))
    settings = {part: as_dict(getattr(tuned, part)) for part in ("objective", "generator_optimiser", "critic_optimiser")}
    critic = {f"critic__{key}": getattr(tuned.critic, key) for key in ("kernel", "spectral") if getattr(own.critic, key, None) is not None}
    training = {f"training__{key}": getattr(tuned.training, key) for key in ("batch", "ema_halflife_kimg", "shared_fakes")}
    return ArmSpec("wgan", f"WGAN, tuned at {TUNED_PX} px (settings of {shipped})", with_overrides(own, **settings, **critic, **training, augment=None))


def _wgan_recipe(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    """A Wasserstein GAN, whatever the composition is trained by; where that is something else, objective, batch and kernels are the demo's WGAN's."""
    wanted = _plain_recipe(name, recipe, layers)
    if wanted.objective.kind in ("wgan_gp", "wgan_clip"):
        return wanted
    own = {key: value for key, value in WGAN_SETTINGS.items() if key != "critic__kernel" or hasattr(wanted.critic, "kernel")}
    return with_overrides(wanted, **own, **({"critic__spectral": False} if wanted.critic.spectral else {}))


def _plain_recipe(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    """Of a layer in colour if there is one, else the same network with three channels; layers of other sizes may not be able to make a scene."""
    return _scene_recipe(name, recipe, _scene_generator(name, recipe, layers))


def _scene_generator(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> AnyGenerator:
    forms = [without_growth(form.generator, form.size_px) for form in reversed(list(layers.values()))]  # a baseline has nothing to grow from
    able = [generator for generator in forms if _can_make(generator, recipe.size_px)]
    if not able:
        raise UsageError(f"--baseline {name}: no layer's generator can make scenes of {recipe.size_px} px; give a recipe of scenes in its place")
    generator = next((generator for generator in able if generator.image_channels == 3), None)
    return generator or able[0].model_copy(update={"image_channels": 3})


def _finetuned_recipe(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    form = layers[finetune_layer(recipe, layers)]
    if form.generator.image_channels == 4:
        raise UsageError("--baseline wgan-finetuned: the foreground generator makes alpha, which a scene has not; leave this baseline out")
    if form.generator.image_channels != 3 or form.size_px != recipe.size_px:
        made = f"{form.size_px} px and {form.generator.image_channels} channels"
        raise UsageError(f"--baseline wgan-finetuned: the foreground generator makes {made}, a scene has others; leave this baseline out")
    return _scene_recipe("wgan-finetuned", recipe, form.generator)


def _can_make(generator: AnyGenerator, size_px: int) -> bool:
    try:
        generator.require_size(size_px)
    except ValueError:
        return False
    return True


def _scene_recipe(name: str, recipe: Recipe, generator: AnyGenerator) -> Recipe:
    tree = as_dict(recipe)
    del tree["composer"]
    tree.pop("critic_start", None)  # its critic begins anew
    return parse_recipe(tree | {"name": name, "command": "pretrain", "generator": as_dict(generator)}, "baseline")
