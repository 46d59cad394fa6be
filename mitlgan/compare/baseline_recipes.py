"""The recipes of the built-in baselines, made from a composition's recipe and its layers."""

from __future__ import annotations

from collections.abc import Mapping

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.errors import UsageError
from mitlgan.recipe import (
    AnyGenerator,
    Recipe,
    WganGpRecipe,
    as_dict,
    load_recipe,
    parse_recipe,
    shipped_recipe_names,
    with_overrides,
    without_growth,
)

TUNED_RECIPE, TUNED_PX = "recommended/wgan-{size_px}", 32
"""The WGAN for comparison with a recommended composition, and the size at which it was tuned, with as many trials as the composition."""
THESIS_FUSIONS = ("conv1x1", "norm-conv1x1", "add", "add-norm")
"""Fusions that mix channels, as in the thesis; all others blend the layers by mattes, as recommended."""
WGAN_KINDS = ("wgan_gp", "wgan_clip")
WGAN_SETTINGS: Mapping[str, object] = {
    "objective": WganGpRecipe(critic_steps=3).model_dump(),  # Gulrajani et al. 2017 use 5, with fewer generator updates in the same time
    "critic__kernel": 5,
    "training__batch": 32,
}
"""The demo's settings, for the WGAN-GP of a composition with another objective: no baseline may lose because of settings chosen for another arm."""


def uses_mattes(recipe: Recipe) -> bool:
    """Return whether a composition blends its layers by mattes, as recommended, rather than mixing channels, as in the thesis."""
    return recipe.composer is not None and recipe.composer.fusion.kind not in THESIS_FUSIONS


def tuned_wgan_recipe(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> tuple[Recipe, str]:
    """Return the tuned WGAN of the composition's size, and the end of its label, which says where it comes from.

    If none ships for the size, its settings are used with a layer's generator and a critic as wide as the composition's.
    """
    name = TUNED_RECIPE.format(size_px=recipe.size_px)
    if name in shipped_recipe_names():
        size = "" if recipe.size_px == TUNED_PX else f" at {TUNED_PX} px"
        return with_overrides(load_recipe(name), data=as_dict(recipe.data), evaluation=as_dict(recipe.evaluation)), f"{size} ({name})"
    shipped = TUNED_RECIPE.format(size_px=TUNED_PX)
    tuned = load_recipe(shipped)
    own = _scene_recipe("wgan-tuned", recipe, _scene_generator("wgan", recipe, layers))
    settings = {part: as_dict(getattr(tuned, part)) for part in ("objective", "generator_optimiser", "critic_optimiser")}
    critic = {f"critic__{key}": getattr(tuned.critic, key) for key in ("kernel", "spectral") if getattr(own.critic, key, None) is not None}
    training = {f"training__{key}": getattr(tuned.training, key) for key in ("batch", "ema_halflife_kimg", "shared_fakes")}
    return with_overrides(own, **settings, **critic, **training, augment=None), f" at {TUNED_PX} px (settings of {shipped})"


def wgan_recipe(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    """Return a Wasserstein GAN; if the composition has another objective, objective, batch and kernels are those of the demo's WGAN."""
    plain = plain_recipe(name, recipe, layers)
    if plain.objective.kind in WGAN_KINDS:
        return plain
    settings = {key: value for key, value in WGAN_SETTINGS.items() if key != "critic__kernel" or hasattr(plain.critic, "kernel")}
    return with_overrides(plain, **settings, **({"critic__spectral": False} if plain.critic.spectral else {}))


def plain_recipe(name: str, recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> Recipe:
    """Return the composition's own training, with a layer's generator in place of the composer."""
    return _scene_recipe(name, recipe, _scene_generator(name, recipe, layers))


def finetuned_recipe(recipe: Recipe, layer: GeneratorSpec) -> Recipe:
    """Return the composition's training with the generator of a layer, from whose weights it starts.

    Raises:
        UsageError: The layer's images are not like scenes.
    """
    if layer.generator.image_channels == 4:
        raise UsageError("--baseline wgan-finetuned: the foreground generator makes alpha, which scenes do not have; leave this baseline out")
    if layer.generator.image_channels != 3 or layer.size_px != recipe.size_px:
        images = f"{layer.size_px} px and {layer.generator.image_channels} channels"
        raise UsageError(f"--baseline wgan-finetuned: the foreground generator makes {images}, unlike the scenes; leave this baseline out")
    return _scene_recipe("wgan-finetuned", recipe, layer.generator)


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


def _scene_recipe(name: str, recipe: Recipe, generator: AnyGenerator) -> Recipe:
    tree = as_dict(recipe)
    del tree["composer"]
    tree.pop("critic_start", None)  # the baseline's critic starts from scratch
    return parse_recipe(tree | {"name": name, "command": "pretrain", "generator": as_dict(generator)}, "baseline")
