"""Equal budgets: real images, measured seconds of the wall or of the CPU, or multiply-accumulates, and the lengths of training that follow from them.

Multiply-accumulates of training are counted, not measured: a backward pass to weights and inputs as twice the forward pass, one to the inputs
alone as once, and the backward pass of a gradient penalty's own gradient as twice what it differentiates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mitlgan import networks, objectives
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.networks import count_macs
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.runtime.progress import UNBOUNDED_KIMG
from mitlgan.training import augmentation

CLOCKS = {"seconds": None, "cpu-seconds": "cpu"}
"""What arms can get alike in seconds -> `training.clock`."""

MIN_LENGTH_S = 0.1
EARLY = (0.25, 0.5)
"""Shares of the first budget that are measured, too: the thesis' question is about early training."""

TERA = 1e12


def measurement_points(budgets: Sequence[float]) -> tuple[float, ...]:
    """Where arms are measured: early on, and at each budget."""
    return tuple(sorted({*(share * budgets[0] for share in EARLY), *budgets}))


def training_macs(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> float:
    """Tera multiply-accumulates that training takes per thousand real images shown to the critic.

    Args:
        recipe: Of any stage.
        layers: The frozen generators of a composition; empty for a generator.
    """
    with torch.device("meta"):
        critic = networks.build_critic(recipe.critic, recipe.size_px)
        if recipe.generator is not None:
            network: networks.Network = networks.build_generator(recipe.generator, recipe.size_px)
        else:
            assert recipe.composer is not None
            network = networks.build_composer(recipe.composer, {name: form.build() for name, form in layers.items()}, recipe.size_px)
    score = count_macs(critic, critic.input_shape)
    image = count_macs(network, network.input_shape)
    frozen = sum(count_macs(generator, generator.input_shape) for generator in network.frozen_generators().values())
    objective = objectives.build(recipe.objective)
    critic_update = image + 2 * 3 * score + objective.penalty_scores * score  # per real image
    if recipe.augment is not None and recipe.augment.probability == "auto":
        critic_update += 2 * score / augmentation.ADAPTATION_INTERVAL  # a look at overfitting
    generator_update = frozen + 3 * (image - frozen) + objective.generator_update_scores * score
    return 1000 * (critic_update + generator_update / recipe.objective.critic_steps) / TERA


def with_equal_length(recipe: Recipe, equal: str, per_kimg: float, stage: float, extra: float = 0.0) -> Recipe:
    """The recipe that trains as long as the composition's stage and, where its pretrainings are counted, as long as these, too.

    Args:
        recipe: Of an arm.
        equal: A key of `plan.EQUAL`.
        per_kimg: See `training_macs`.
        stage: What the composition's stage took, in the unit of `equal`.
        extra: What the pretrainings took; an artifact is kept where the stage alone would end.
    """
    if equal in CLOCKS:
        kept, end = (max(MIN_LENGTH_S, round(length, 1)) for length in (stage, stage + extra))
        timed = with_overrides(recipe, training__kimg=UNBOUNDED_KIMG, training__limit_s=end, training__clock=CLOCKS[equal])
        return with_overrides(timed, training__keep_s=[kept], training__keep_kimg=[]) if extra else timed
    kept, end = (round(length / per_kimg, 3) if equal == "macs" else length for length in (stage, stage + extra))
    longer = with_overrides(recipe, training__kimg=end, training__limit_s=None, training__clock=None)
    return with_overrides(longer, training__keep_kimg=[kept], training__keep_s=[]) if extra else longer


def with_schedule(recipe: Recipe, budgets: Sequence[float], equal: str, per_kimg: float, *, extra: float = 0.0) -> Recipe:
    """The recipe that trains for the longest budget and keeps what is to be measured on the way.

    Args:
        recipe: Of an arm.
        budgets: In the unit of `equal`, growing.
        equal: A key of `plan.EQUAL`.
        per_kimg: See `training_macs`.
        extra: What is added to each budget, for pretraining that is counted.
    """
    points = measurement_points(budgets)
    if extra:
        points = tuple(sorted({*points, *(budget + extra for budget in budgets)}))
    if equal in CLOCKS:
        rounded = [max(MIN_LENGTH_S, round(point, 3)) for point in points]
        timed = with_overrides(recipe, training__kimg=UNBOUNDED_KIMG, training__limit_s=rounded[-1], training__clock=CLOCKS[equal])
        return with_overrides(timed, training__keep_s=rounded, training__keep_kimg=[])
    kimg = [round(point / per_kimg if equal == "macs" else point, 6) for point in points]
    shown = with_overrides(recipe, training__kimg=kimg[-1], training__limit_s=None, training__clock=None)
    return with_overrides(shown, training__keep_kimg=kimg, training__keep_s=[])
