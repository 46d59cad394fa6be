"""Advice before a training: what the sources of the classic recipes found, and keys that change nothing.

A key that changes nothing is no fault: a recipe may have it for the length from which a run was shortened, or lose what it belongs to in a comparison.
"""

from __future__ import annotations

import json
import math
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, cast

from mitlgan.recipe.idle_keys import idle_keys
from mitlgan.recipe.ladder import ladder_steps
from mitlgan.recipe.schema.critics import channels_at, critics_down, deviation_group

if TYPE_CHECKING:
    from mitlgan.recipe.schema.critics import AnyCritic
    from mitlgan.recipe.schema.generators import AnyGenerator
    from mitlgan.recipe.schema.recipe import Recipe

FEW_PICTURES = 1000
WIDE_CHANNELS = 256
MAX_EXTRA_LAYERS = 1
"""A critic may have this many layers more than its generator."""
MAX_NAMED = 3
"""Points of a list that a line names."""
ROUNDING = 1e-6
"""By how much a point may be later than the end, in kimg or seconds, as sums of kimg are rounded."""


def training_advice(recipe: Recipe, picture_count: int | None = None) -> list[str]:
    """Return one line for each choice that the sources advise against or that changes nothing, with its key; empty if there is none.

    Args:
        recipe: Of a training, with all steps of its ladder; advice is about generators and critics, so a composition gets advice on its critic only.
        picture_count: Number of training pictures; None where they are not known yet.
    """
    steps = ladder_steps(recipe)
    families = [_family_advice(step.generator, step.critic) for step in steps if step.generator is not None]
    depths = [_depth_advice(step.generator, step) for step in steps if step.generator is not None]
    groups = [_group_advice(step) for step in steps]
    few = [] if picture_count is None else [_few_pictures_advice(step, picture_count) for step in reversed(steps)]  # the last step is the widest
    points = (_late_points_advice(recipe, "kimg"), _late_points_advice(recipe, "s"), _clock_advice(recipe), _best_advice(recipe))
    return [line for lines in (families, depths, groups, few) for line in list(filter(None, lines))[:1]] + [
        line for line in (*points, *_idle_key_advice(recipe)) if line is not None
    ]


def layer_count(network: AnyGenerator | AnyCritic, size_px: int) -> int:
    """Return the number of layers with weights of a generator or critic; a grown one's parent counts, its new layers do not."""
    if network.kind == "grown" or network.kind == "sharpened":
        return layer_count(network.parent, network.parent_px)
    if network.kind == "dcgan" or network.kind == "strided":
        return len(network.widths_at(size_px)) + 1
    return len(network.widths) * getattr(network, "blocks", 1) + 1


def _family_advice(generator: AnyGenerator, critic: AnyCritic) -> str | None:
    is_dense = {"generator": generator.kind == "mlp", "critic": critic.kind == "mlp"}
    if len(set(is_dense.values())) == 1:
        return None
    dense, other = ("generator", "critic") if is_dense["generator"] else ("critic", "generator")
    doubt = "; at full length such a pair, `classic/akel-09`, led his rows on digits here" if dense == "generator" else ""
    return (
        f"advice: the {dense} is dense and the {other} convolutional; where one has convolutions the other should, too (Akel 2022, section 4.7): "
        f'change {dense}.kind, or take {other}.kind = "mlp"{doubt}'
    )


def _depth_advice(generator: AnyGenerator, recipe: Recipe) -> str | None:
    if recipe.critic.kind == "projected":  # what learns of it is shallow
        return None
    own, other = layer_count(generator, recipe.size_px), layer_count(recipe.critic, recipe.size_px)
    if other <= own + MAX_EXTRA_LAYERS:
        return None
    return (
        f"advice: the critic has {other} layers, the generator {own}; a critic that is too deep leaves the generator without gradients "
        f"(Bordák, Pelle and Németh): give critic.widths at most {own} values"
    )


def _group_advice(recipe: Recipe) -> str | None:
    *_, (critic, _) = critics_down(recipe.critic, recipe.size_px)
    group, batch = getattr(critic, "batch_deviation", None), recipe.training.batch
    if group is None or (size := deviation_group(group, batch)) == min(group, batch):
        return None
    outcome = f"its groups have {size}" if size > 1 else "its groups have one image, which tells the critic nothing"
    return (
        f"advice: critic.batch_deviation = {group} does not divide batches of {batch} images, where the authors' code stops (Karras et al. 2018); "
        f"{outcome}: give a training.batch that is a multiple of {group}"
    )


def _few_pictures_advice(recipe: Recipe, picture_count: int) -> str | None:
    """Return the line on few pictures for a wide critic; augmentation, narrow widths and `FEW_PICTURES` silence it.

    Dropout does not: who relied on it alone had 1,758 pictures or more (Élő 2021, section 6.2.3), and with about 1,000 the sources augmented.
    """
    widest = max(channels_at(recipe.critic, recipe.size_px), default=0)
    is_augmented = recipe.augment is not None and recipe.augment.applies_to(picture_count)
    if picture_count >= FEW_PICTURES or widest < WIDE_CHANNELS or is_augmented:
        return None
    return (
        f"advice: {picture_count} pictures are few for a critic of {widest} channels, which can memorize them (Bordák, Pelle and Németh augment "
        f'about 1,000): augment.probability = "auto", or narrower critic.widths'
    )


def _late_points_advice(recipe: Recipe, unit: Literal["kimg", "s"]) -> str | None:
    training = recipe.training
    points, end, key = (training.keep_kimg, _end_kimg(recipe), "kimg") if unit == "kimg" else (training.keep_s, training.limit_s, "limit_s")
    late = [f"{point:g}" for point in sorted(points) if end is not None and point > end + ROUNDING]
    if not late:
        return None
    named = ", ".join(late[:MAX_NAMED]) + (", ..." if len(late) > MAX_NAMED else "")
    return (
        f"advice: training.keep_{unit} has points after the end (training.{key} = {getattr(training, key):g}), at which nothing is kept: {named}; "
        "train for longer, or leave them out"
    )


def _clock_advice(recipe: Recipe) -> str | None:
    training = recipe.training
    if training.clock is None or training.limit_s is not None or training.keep_s:
        return None
    return f'advice: training.clock = "{training.clock}" changes nothing without training.limit_s or training.keep_s: give one of them, or leave it out'


def _idle_key_advice(recipe: Recipe) -> list[str]:
    """Return a line for each key that decides, with the keys that have no effect because of it."""
    deciders = dict[str, list[str]]()
    for key, decider in idle_keys(recipe).items():
        deciders.setdefault(decider, []).append(key)
    lines = []
    for decider, keys in deciders.items():
        value = reduce(getattr, decider.split("."), cast(Any, recipe))
        lines.append(f"advice: {', '.join(keys)}: no effect, since {decider} = {json.dumps(value)} decides; change that, or leave the first out")
    return lines


def _best_advice(recipe: Recipe) -> str | None:
    if recipe.evaluation.best_by is None or _keeps_artifacts(recipe):
        return None
    interval = "artifact_kimg" if recipe.training.artifact_iterations is None else "artifact_iterations"
    return (
        f'advice: evaluation.best_by = "{recipe.evaluation.best_by}" compares artifacts that are kept in training, and none will be: '
        f"give training.keep_kimg, or a training.{interval} that is shorter than the training, or leave it out"
    )


def _keeps_artifacts(recipe: Recipe) -> bool:
    """Return whether a training keeps an artifact before its end comes, which a limit in seconds may bring earlier."""
    training = recipe.training
    interval_kimg = training.artifact_kimg
    if training.artifact_iterations is not None:
        interval_kimg = training.artifact_iterations * _update_kimg(recipe)
    in_kimg = [*training.keep_kimg, *([] if interval_kimg is None else [interval_kimg])]
    end_kimg, end_s = _end_kimg(recipe) + ROUNDING, math.inf if training.limit_s is None else training.limit_s + ROUNDING
    return any(point <= end_kimg for point in in_kimg) or any(point <= end_s for point in training.keep_s)


def _update_kimg(recipe: Recipe) -> float:
    return recipe.training.batch * recipe.objective.critic_steps / 1000


def _end_kimg(recipe: Recipe) -> float:
    """Return where the last update ends, at or after the recipe's length."""
    return math.ceil((recipe.training.kimg - ROUNDING) / _update_kimg(recipe)) * _update_kimg(recipe)
