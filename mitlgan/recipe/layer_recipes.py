"""The recipes of a composition's layers: those that belong to its own, by family, variant and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mitlgan.errors import UsageError
from mitlgan.recipe.load import find_recipe, is_within_table, load_recipe, with_overrides
from mitlgan.recipe.schema.generators import REACHABLE_PX, ParentedGeneratorRecipe, ThesisGeneratorRecipe
from mitlgan.recipe.schema.recipe import Recipe
from mitlgan.runtime.shipped_files import shipped_folder, shipped_recipe_names

BACKGROUND = "bg"
THESIS_FUSIONS = ("conv1x1", "norm-conv1x1", "add", "add-norm")
"""Fusions that mix channels, as in the thesis; all others blend the layers by mattes, as recommended."""


def uses_mattes(recipe: Recipe) -> bool:
    """Return whether a composition blends its layers by mattes, as recommended, rather than mixing channels, as in the thesis."""
    return recipe.composer is not None and recipe.composer.fusion.kind not in THESIS_FUSIONS


def thesis_generator(size_px: int) -> ThesisGeneratorRecipe:
    """Return the thesis' generator at a size: Table 7.1, halving its 96 channels at each doubling of the size."""
    widths = []
    width, size = 96, 4
    while size < size_px:
        widths.append(max(1, width))
        width, size = width // 2, size * 2
    return ThesisGeneratorRecipe(latent_dim=1536, widths=tuple(widths))


def layer_role(layer: str) -> str:
    """Return the role that a layer is pretrained for: `bg` for the background, `fg` for all in front of it."""
    return "bg" if layer == BACKGROUND else "fg"


def load_layer_recipe(layer: str, composition: Recipe, name: str, requested: str | None, settings: Sequence[str]) -> Recipe:
    """Return the recipe by which a layer of a composition is pretrained.

    Args:
        layer: Its name.
        composition: Recipe of the composition.
        name: As the user named that recipe.
        requested: Recipe that the user names for the layer.
        settings: Changes, `a.b=v`, of those that the composition has.

    Raises:
        UsageError: No recipe ships for it, or the one that is requested is of another role or has no generator.
    """
    role = layer_role(layer)
    option = f"--{role}-recipe"
    belonging, change = (requested, ()) if requested is not None else belonging_recipe(role, composition, name)
    recipe = load_recipe(belonging, [*change, *layer_settings(settings)], option)
    if recipe.command != "pretrain" or recipe.role != role or recipe.generator is None:
        raise UsageError(f"{option} {requested}: is for `{recipe.command}` of {recipe.role}; give one for `pretrain {role}`")
    return recipe


def with_parent_recipes(recipe: Recipe, settings: Sequence[str]) -> tuple[Recipe, ...]:
    """Return the recipe of a layer after those of the smaller generators that it grows from, which are the recommended ones of their kind.

    Args:
        recipe: Of the layer.
        settings: Changes, `a.b=v`, of those that the composition has.

    Raises:
        UsageError: None ships for a smaller generator, or the recipe goes on from a trained one.
    """
    if recipe.transfer is not None:
        raise UsageError(
            f"--{recipe.role}-recipe {recipe.name}: goes on from a trained generator, which a --domain does not name; give an artifact that it made in "
            "place of pictures"
        )
    chain = [recipe]
    while isinstance(chain[0].generator, ParentedGeneratorRecipe):
        chain.insert(0, _parent_recipe(chain[0], settings))
    return tuple(chain)


def _parent_recipe(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    generator, role = recipe.generator, recipe.role
    assert isinstance(generator, ParentedGeneratorRecipe)
    for name in sorted(shipped_recipe_names()):
        if name.startswith(f"recommended/{role}-{generator.parent_px}"):
            parent = with_overrides(load_recipe(name, layer_settings(settings)), data__source=recipe.data.source, seed=recipe.seed)
            own = parent.generator
            if own is not None and parent.grow is None and (own.kind, own.image_channels) == (generator.parent.kind, generator.image_channels):
                return parent
    raise UsageError(
        f"--{role}-recipe {recipe.name}: grows from a generator of {generator.parent_px} px, for which no recipe ships; give an artifact in place of "
        "pictures"
    )


def composition_settings(settings: Sequence[str]) -> list[str]:
    """Return the settings that a composition has: all but those of a generator."""
    return [text for text in settings if text not in generator_settings(settings)]


def generator_settings(settings: Sequence[str]) -> list[str]:
    """Return the settings of a generator, which only the pretraining of a layer has."""
    return [text for text in settings if _is_of(text, "generator")]


def layer_settings(settings: Sequence[str]) -> list[str]:
    """Return the settings that the pretraining of a layer has: all but those of the composer."""
    return [text for text in settings if not _is_of(text, "composer")]


def _is_of(setting: str, table: str) -> bool:
    return is_within_table(setting.partition("=")[0].strip(), table)


def belonging_recipe(role: str, composition: Recipe, name: str | None = None) -> tuple[str, Sequence[str]]:
    """Return the shipped recipe for a role, of the composition's family and variant, else of its family and size, and settings that it needs.

    A file of the user belongs to the recommended recipes if it blends layers by mattes, else to the thesis'. Those are made for any size of their
    family: with as many stages as it needs.

    Args:
        role: `bg` or `fg`.
        composition: Recipe of the composition.
        name: As the user named that recipe; None: unknown, as of a run.

    Raises:
        UsageError: No recipe ships for it.
    """
    shipped, size_px = shipped_recipe_names(), composition.size_px
    for candidate in _candidates(role, composition, name):
        if candidate in shipped and load_recipe(candidate).size_px == size_px:
            return candidate, ()
    if not uses_mattes(composition) and size_px in REACHABLE_PX:
        return f"thesis/pretrain_{role}", (f"size_px={size_px}", f"generator.widths={list(thesis_generator(size_px).widths)}")
    raise UsageError(
        f"--{role}-recipe: no shipped recipe of a {role} of {size_px} px belongs to {name or composition.name}; name one for its pretraining"
    )


def _candidates(role: str, composition: Recipe, name: str | None) -> Iterator[str]:
    size_px, root = composition.size_px, shipped_folder("recipes")
    path = None if name is None else find_recipe(name)
    if path is not None and path.is_relative_to(root) and path.parent != root:
        family, variant = path.parent.relative_to(root).as_posix(), path.stem.removeprefix("compose-")
        yield from (f"{family}/{role}-{variant}", f"{family}/pretrain_{role}", f"{family}/{role}-{size_px}")
    families = ("recommended",) if uses_mattes(composition) else ("thesis", "thesis-32")
    for family in families:
        yield from (f"{family}/pretrain_{role}", f"{family}/{role}-{size_px}")
