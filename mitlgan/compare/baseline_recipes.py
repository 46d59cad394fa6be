"""The recipes of the built-in baselines, made from a composition's recipe and its layers.

Where layers started from smaller pictures than the scenes have, so do the baselines: they go up a ladder of sizes in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.errors import UsageError
from mitlgan.recipe import (
    AnyGenerator,
    ParentedGeneratorRecipe,
    Recipe,
    WganGpRecipe,
    as_dict,
    doublings,
    grown_to,
    load_recipe,
    parse_recipe,
    shallower,
    shipped_recipe_names,
    with_overrides,
    without_growth,
)

TUNED_RECIPE, TUNED_PX = "recommended/wgan-{size_px}", 32
"""The WGAN for comparison with a recommended composition, and the size at which it was tuned, with as many trials as the composition."""
GROWN_SUFFIX = "-grown"
"""Ends the name of the same WGAN that goes up a ladder of sizes."""
UNGROWABLE_KINDS = ("mlp", "style")
WGAN_KINDS = ("wgan_gp", "wgan_clip")
WGAN_SETTINGS: Mapping[str, object] = {
    "objective": WganGpRecipe(critic_steps=3).model_dump(),  # Gulrajani et al. 2017 use 5, with fewer generator updates in the same time
    "critic__kernel": 5,
    "training__batch": 32,
}
"""The demo's settings, for the WGAN-GP of a composition with another objective: no baseline may lose because of settings chosen for another arm."""


def tuned_wgan_recipe(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> tuple[Recipe, str]:
    """Return the tuned WGAN of the composition's size, and a sentence that says where it comes from.

    If none ships for the size, its settings are used with a layer's generator and a critic as wide as the composition's.
    """
    small = _small_generator(recipe, layers)
    name = TUNED_RECIPE.format(size_px=recipe.size_px) + ("" if small is None else GROWN_SUFFIX)
    if name in shipped_recipe_names():
        scenes = {"data": as_dict(recipe.data), "evaluation": as_dict(recipe.evaluation) | ({"best_by": None} if small else {})}
        return with_overrides(load_recipe(name), **scenes), f"Its recipe is {name}, tuned at {TUNED_PX} px."
    shipped = TUNED_RECIPE.format(size_px=TUNED_PX)
    return _plain_recipe("wgan", recipe, layers, _with_tuned_settings, "wgan-tuned"), f"Its settings are those of {shipped}, tuned at {TUNED_PX} px."


def wgan_recipe(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    """Return a Wasserstein GAN; if the composition has another objective, objective, batch and kernels are those of the demo's WGAN."""
    return _plain_recipe(name, recipe, layers, _with_wgan_settings)


def plain_recipe(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    """Return the composition's own training, with a layer's generator in place of the composer."""
    return _plain_recipe(name, recipe, layers, lambda plain: plain)


def finetuned_recipe(recipe: Recipe, layer: GeneratorSpec) -> Recipe:
    """Return the composition's training with the generator of a layer, from whose weights it starts.

    Raises:
        UsageError: The layer's images are not like scenes, or it grew from a smaller generator.
    """
    if layer.generator.image_channels == 4:
        raise UsageError("--baseline wgan-finetuned: the foreground generator makes alpha, which scenes do not have; leave this baseline out")
    if layer.generator.image_channels != 3 or layer.size_px != recipe.size_px:
        images = f"{layer.size_px} px and {layer.generator.image_channels} channels"
        raise UsageError(f"--baseline wgan-finetuned: the foreground generator makes {images}, unlike the scenes; leave this baseline out")
    if isinstance(layer.generator, ParentedGeneratorRecipe):
        raise UsageError("--baseline wgan-finetuned: the foreground generator grew from a smaller one, as scenes cannot; leave this baseline out")
    return _scene_recipe("wgan-finetuned", recipe, layer)


def _with_tuned_settings(plain: Recipe) -> Recipe:
    tuned = load_recipe(TUNED_RECIPE.format(size_px=TUNED_PX))
    settings = {part: as_dict(getattr(tuned, part)) for part in ("objective", "generator_optimiser", "critic_optimiser")}
    critic = {f"critic__{key}": getattr(tuned.critic, key) for key in ("kernel", "spectral") if getattr(plain.critic, key, None) is not None}
    training = {f"training__{key}": getattr(tuned.training, key) for key in ("batch", "ema_halflife_kimg", "shared_fakes")}
    return with_overrides(plain, **settings, **critic, **training, augment=None)


def _with_wgan_settings(plain: Recipe) -> Recipe:
    if plain.objective.kind in WGAN_KINDS:
        return plain
    settings = {key: value for key, value in WGAN_SETTINGS.items() if key != "critic__kernel" or hasattr(plain.critic, "kernel")}
    return with_overrides(plain, **settings, **({"critic__spectral": False} if plain.critic.spectral else {}))


def _plain_recipe(
    baseline: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec], change: Callable[[Recipe], Recipe], name: str | None = None
) -> Recipe:  # fmt: skip
    """Return the composition's training of one generator of whole scenes, which goes up a ladder of sizes if the layers did."""
    small = _small_generator(recipe, layers)
    if small is not None:
        return grown_to(change(_scene_recipe(name or baseline, recipe, small)), recipe.size_px)
    generator = _scene_generator(baseline, recipe, layers)
    return change(_scene_recipe(name or baseline, recipe, GeneratorSpec(generator, recipe.size_px)))


def _small_generator(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> GeneratorSpec | None:
    """Return the generator of small pictures from which one of whole scenes grows: that of a layer that started smaller, if any can."""
    small = [_first_generator(layer) for layer in reversed(list(layers.values()))]
    able = [one for one in small if one.size_px < recipe.size_px and _can_grow(one, recipe)]
    return next((one for one in able if one.generator.image_channels == 3), None) or next(iter(able), None)


def _first_generator(layer: GeneratorSpec) -> GeneratorSpec:
    """Return the generator that a layer grew from, in however many steps; the layer's own if it did not grow."""
    if not isinstance(layer.generator, ParentedGeneratorRecipe):
        return layer
    return _first_generator(GeneratorSpec(layer.generator.parent, layer.generator.parent_px))


def _can_grow(small: GeneratorSpec, recipe: Recipe) -> bool:
    """Return whether a generator can begin a ladder to a composition's size, with a critic like the composition's."""
    if small.generator.kind in UNGROWABLE_KINDS or not doublings(small.size_px, recipe.size_px) or not _can_make(small.generator, small.size_px):
        return False
    try:
        _scene_recipe("plain", recipe, small)
    except (UsageError, ValueError):
        return False
    return True


def _scene_generator(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> AnyGenerator:
    """Return a layer's generator with three channels; layers of other sizes may be unable to make a scene."""
    generators = [without_growth(layer.generator, layer.size_px) for layer in reversed(list(layers.values()))]  # a baseline has nothing to grow from
    able = [generator for generator in generators if _can_make(generator, recipe.size_px)]
    if not able:
        raise UsageError(f"--baseline {name}: no layer's generator can make scenes of {recipe.size_px} px; give a recipe for scenes instead")
    generator = next((generator for generator in able if generator.image_channels == 3), None)
    return generator or able[0].model_copy(update={"image_channels": 3})


def _can_make(generator: AnyGenerator, size_px: int) -> bool:
    try:
        generator.require_size(size_px)
    except ValueError:
        return False
    return True


def _scene_recipe(name: str, recipe: Recipe, scene: GeneratorSpec) -> Recipe:
    """Return a composition's training with a generator of whole scenes in place of the composer, at the generator's size."""
    tree = as_dict(recipe)
    del tree["composer"]
    tree.pop("critic_start", None)  # the baseline's critic starts from scratch
    critic = tree["critic"] if scene.size_px == recipe.size_px else shallower(tree["critic"], recipe.size_px // scene.size_px)
    generator = as_dict(scene.generator) | {"image_channels": 3}
    return parse_recipe(tree | {"name": name, "command": "pretrain", "size_px": scene.size_px, "generator": generator, "critic": critic}, "baseline")
