"""Transfer: a training on a user's own pictures goes on from a trained generator, and from its critic where one is kept."""

from __future__ import annotations

from pathlib import Path

from mitlgan.artifacts.card import KIND_WITH_ARTICLE, Card, read_card
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, load_network
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, as_dict, require_generator_learns, shipped_recipe_names, with_overrides
from mitlgan.recipe.schema.critics import freezable_convolutions
from mitlgan.runtime.progress import Say
from mitlgan.stages.initial_critic import load_trained_critic

DEFAULT_RECIPE = "few/{role}-{size_px}"
"""Recipe of `pretrain --from` without `--recipe`, where one ships for the role and the size."""


def default_transfer_recipe(role: str, start: Path) -> str | None:
    """Return the shipped recipe that goes on from an artifact; None if there is none for its size.

    Raises:
        ArtifactError: The artifact is damaged.
    """
    name = DEFAULT_RECIPE.format(role=role, size_px=read_card(start).size_px)
    return name if name in shipped_recipe_names() else None


def with_transfer(recipe: Recipe, start: Path | None, critic: Path | None, say: Say) -> tuple[Recipe, Path | None]:
    """Return a recipe whose [transfer] is worked out, and the critic that it begins with; both unchanged without a [transfer].

    Args:
        recipe: Of a pretraining.
        start: Artifact of the generator that it goes on from; a smaller one where the recipe's [generator] grows.
        critic: The critic that `--critic` names; None takes the one that is kept with the generator.
        say: Shows where the critic comes from.

    Returns:
        The recipe with the networks of the artifacts in place of [generator] and [critic], and without [transfer]; the path of the critic or None.

    Raises:
        UsageError: No generator is named, or only a new critic would learn.
        ArtifactError: The generator does not fit the recipe.
    """
    transfer = recipe.transfer
    if transfer is None:
        return recipe, critic
    if start is None:
        raise UsageError(
            f"--from: the recipe {recipe.name} goes on from a trained generator; name its artifact in `mitlgan pretrain {recipe.role}`, such as "
            f"--from pretrained/modern-{recipe.role}-32"
        )
    card = _check_start(f"--from {start}", start, recipe)
    is_same_size = card.size_px == recipe.size_px
    networks = {"generator": as_dict(card.generator), "critic__image_channels": card.image_channels} if is_same_size and card.generator else {}
    freeze = transfer.freeze
    source = critic or _find_kept_critic(start, recipe, is_same_size=is_same_size, say=say)
    if source is None:
        say(f"a new critic begins and learns alone for the first {transfer.new_critic_first_kimg:g} kimg")
        recipe = with_overrides(recipe, **networks, transfer=None, training__critic_first_kimg=transfer.new_critic_first_kimg)
        require_generator_learns(recipe, "transfer.new_critic_first_kimg")
        return recipe, None
    if is_same_size:
        trained, critic_px, _ = load_trained_critic(source, say)
        if (critic_px, trained.image_channels) != (recipe.size_px, card.image_channels):
            raise ArtifactError(
                f"--critic {source}: scores {critic_px} px in {trained.image_channels} channels, the generator makes {recipe.size_px} px in "
                f"{card.image_channels}; give one that fits"
            )
        networks["critic"] = as_dict(trained)
        if trained.kind == "projected":  # what it looks through is frozen anyway
            freeze = 0
        elif freeze > (most := freezable_convolutions(trained, recipe.size_px)):
            raise UsageError(f"transfer.freeze is {freeze}, but the critic of {source} has {most} convolutions; add --set transfer.freeze={most}")
    frozen = {"critic_start": {"freeze": freeze}} if freeze else {}
    say(f"its critic goes on from {source}" + (f"; frozen convolutions: {freeze}" if freeze else ""))
    return with_overrides(recipe, **networks, **frozen, transfer=None), source


def _check_start(option: str, start: Path, recipe: Recipe) -> Card:
    """Return the card of the generator that a transfer goes on from.

    Raises:
        ArtifactError: It is damaged or does not fit the recipe; the message begins with the option.
    """
    _, card = load_network(start)  # all of it, so that a damaged one is refused now
    if card.kind != "generator":
        kind = KIND_WITH_ARTICLE[card.kind]
        raise ArtifactError(f"{option}: is {kind}; a transfer goes on from a generator, such as pretrained/modern-{recipe.role}-32")
    if card.role != recipe.role:
        raise ArtifactError(f"{option}: was trained as {card.role}; give a generator of role {recipe.role}")
    if tuple(card.value_range) != (-1.0, 1.0):
        raise ArtifactError(f"{option}: its values lie in {list(card.value_range)}; those of a transfer must lie in [-1, 1]")
    if card.size_px != recipe.size_px and not isinstance(recipe.generator, ParentedGeneratorRecipe):
        raise ArtifactError(
            f"{option}: makes {card.size_px} px, the recipe {recipe.size_px}; give a generator of {recipe.size_px} px, or one of "
            f"{recipe.size_px // 2} px to a recipe that grows, such as few/{recipe.role}-64"
        )
    return card


def _find_kept_critic(start: Path, recipe: Recipe, *, is_same_size: bool, say: Say) -> Path | None:
    """Return the critic that is kept with a generator, if it can go on under the recipe's objective."""
    file = start.parent / CRITIC_FOLDER / CRITIC_FILE
    if not file.is_file():
        say(f"{start}: no critic is kept with it")
        return None
    card = read_card(file)
    if not is_same_size and recipe.critic.kind != "grown":
        say(f"{file}: is of {card.size_px} px, and the recipe's [critic] does not grow")
        return None
    trained_by = card.recipe.get("objective", {}).get("kind", "wgan_gp")
    if trained_by != recipe.objective.kind:
        say(f'{file}: was trained by objective.kind = "{trained_by}", this recipe has "{recipe.objective.kind}"')
        return None
    return file
