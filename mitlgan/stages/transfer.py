"""Transfer: a training on a user's own pictures goes on from a trained generator, and from its critic where one is kept."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mitlgan.artifacts.card import KIND_WITH_ARTICLE, Card, read_card
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, load_network
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, as_dict, require_generator_learns, shipped_recipe_names, with_overrides
from mitlgan.recipe.schema.critics import freezable_convolutions
from mitlgan.runtime.progress import Say
from mitlgan.stages.initial_critic import load_trained_critic
from mitlgan.stages.initial_generator import suggest_start
from mitlgan.stages.replaced_settings import refuse_unused_setting, report_replaced

DEFAULT_RECIPE = "few/{role}-{size_px}"
"""Recipe of `pretrain --from` without `--recipe`, where one ships for the role and the size."""


def default_transfer_recipe(role: str, start: Path) -> str | None:
    """Return the shipped recipe that goes on from an artifact; None if there is none for its size.

    Raises:
        ArtifactError: The artifact is damaged.
    """
    name = DEFAULT_RECIPE.format(role=role, size_px=read_card(start).size_px)
    return name if name in shipped_recipe_names() else None


def with_transfer(
    recipe: Recipe, start: Path | None, critic: Path | None, say: Say, settings: Collection[str] = ()
) -> tuple[Recipe, Path | None]:  # fmt: skip
    """Return a recipe whose [transfer] is worked out, and the critic that it begins with; both unchanged without a [transfer].

    Args:
        recipe: Of a pretraining.
        start: Artifact of the generator that it goes on from; a smaller one where the recipe's [generator] grows.
        critic: The critic that `--critic` names; None takes the one that is kept with the generator.
        say: Shows where the critic comes from, and what of a recipe of the user's own gives way.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone.

    Returns:
        The recipe with the networks of the artifacts in place of [generator] and [critic], and without [transfer]; the path of the critic or None.

    Raises:
        UsageError: No generator is named, only a new critic would learn, or the user set what an artifact decides.
        ArtifactError: The generator does not fit the recipe.
    """
    transfer = recipe.transfer
    if transfer is None:
        return recipe, critic
    if start is None:
        raise UsageError(
            f"--from: the recipe {recipe.name} goes on from a trained generator; name its artifact in `mitlgan pretrain {recipe.role}`, such as "
            f"--from {suggest_start(recipe)}"
        )
    card = _check_start(f"--from {start}", start, recipe)
    is_same_size = card.size_px == recipe.size_px
    networks = {"generator": as_dict(card.generator), "critic__image_channels": card.image_channels} if is_same_size and card.generator else {}
    generator = f"the generator of --from {start}"
    before, recipe = recipe, with_overrides(recipe, **networks)
    report_replaced(before, recipe, {"generator": generator, "critic.image_channels": generator}, settings, say)
    kept, reason = _find_kept_critic(start, recipe, is_same_size=is_same_size)
    source, freeze, trained_critic = critic or kept, transfer.freeze, {}
    if source is None:
        return _with_new_critic(recipe, reason, settings, say), None
    refuse_unused_setting("transfer.new_critic_first_kimg", f"the critic of {source} goes on", settings)
    trained, critic_px, _ = load_trained_critic(source, say)
    most = freezable_convolutions(trained, critic_px)
    if is_same_size:
        if (critic_px, trained.image_channels) != (recipe.size_px, card.image_channels):
            raise ArtifactError(
                f"--critic {source}: scores {critic_px} px in {trained.image_channels} channels, the generator makes {recipe.size_px} px in "
                f"{card.image_channels}; give one that fits"
            )
        trained_critic = {"critic": as_dict(trained)}
        if trained.kind == "projected":  # what it looks through is frozen anyway
            _refuse_freeze(recipe, f"what the critic of {source} looks through is frozen anyway", settings)
            freeze = 0
    if freeze > most and (is_same_size or most):  # a critic without convolutions cannot grow, which is said later
        raise UsageError(f"transfer.freeze is {freeze}, but the critic of {source} has {most} convolutions; add --set transfer.freeze={most}")
    is_as_a_new_one = recipe.training.critic_first_kimg is not None  # it learns alone first: the recipe must say that it went on
    frozen = {"critic_start": {"freeze": freeze}} if freeze or is_as_a_new_one else {}
    changed = with_overrides(recipe, **trained_critic, **frozen, transfer=None)
    report_replaced(recipe, changed, {"critic": f"the critic of {source if critic is None else f'--critic {critic}'}"}, settings, say)
    say(f"its critic goes on from {source}" + (f"; frozen convolutions: {freeze}" if freeze else ""))
    return changed, source


def _with_new_critic(recipe: Recipe, reason: str, settings: Collection[str], say: Say) -> Recipe:
    """Return a recipe whose [transfer] is worked out, and whose critic is a new one.

    Args:
        recipe: With the generator that it goes on from.
        reason: Why no critic goes on.
        settings: As of `with_transfer`.
        say: Shows the reason.

    Raises:
        UsageError: Only the new critic would learn, or the user set what has no effect.
    """
    assert recipe.transfer is not None
    _refuse_freeze(recipe, f"a new critic begins ({reason})", settings)
    alone_kimg = recipe.transfer.new_critic_first_kimg
    changed = with_overrides(recipe, transfer=None, training__critic_first_kimg=alone_kimg)
    report_replaced(recipe, changed, {"training.critic_first_kimg": "transfer.new_critic_first_kimg"}, settings, say)
    say(reason)
    say(f"a new critic begins and learns alone for the first {alone_kimg:g} kimg")
    require_generator_learns(changed, "transfer.new_critic_first_kimg")
    return changed


def _refuse_freeze(recipe: Recipe, reason: str, settings: Collection[str]) -> None:
    """Refuse convolutions to freeze that the user asked for where none are frozen."""
    if recipe.transfer is not None and recipe.transfer.freeze:
        refuse_unused_setting("transfer.freeze", reason, settings)


def _check_start(option: str, start: Path, recipe: Recipe) -> Card:
    """Return the card of the generator that a transfer goes on from.

    Raises:
        ArtifactError: It is damaged or does not fit the recipe; the message begins with the option.
    """
    _, card = load_network(start)  # all of it, so that a damaged one is refused now
    if card.kind != "generator":
        kind = KIND_WITH_ARTICLE[card.kind]
        raise ArtifactError(f"{option}: is {kind}; a transfer goes on from a generator, such as {suggest_start(recipe)}")
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


def _find_kept_critic(start: Path, recipe: Recipe, *, is_same_size: bool) -> tuple[Path | None, str]:
    """Return the critic that is kept with a generator, if it can go on under the recipe's objective; else None and the reason."""
    file = start.parent / CRITIC_FOLDER / CRITIC_FILE
    if not file.is_file():
        return None, f"{start}: no critic is kept with it"
    card = read_card(file)
    if not is_same_size and recipe.critic.kind != "grown":
        return None, f"{file}: is of {card.size_px} px, and the recipe's [critic] does not grow"
    trained_by = card.recipe.get("objective", {}).get("kind", "wgan_gp")
    if trained_by != recipe.objective.kind:
        return None, f'{file}: was trained by objective.kind = "{trained_by}", this recipe has "{recipe.objective.kind}"'
    return file, ""
