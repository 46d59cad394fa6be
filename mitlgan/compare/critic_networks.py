"""Which frozen networks the critics of a comparison look through: these cannot judge any of its arms, as all are judged alike."""

from __future__ import annotations

from mitlgan import networks
from mitlgan.artifacts.card import read_card
from mitlgan.compare.arms import resolve_baseline
from mitlgan.compare.domains import DomainSetup
from mitlgan.compare.plan import BUILT_IN_BASELINES, ComparisonPlan
from mitlgan.recipe import as_dict
from mitlgan.recipe.schema.judges import critic_networks
from mitlgan.training import run_directory


def domain_critic_networks(plan: ComparisonPlan, setup: DomainSetup) -> frozenset[str]:
    """Return the networks that the critics of all arms look through, those of layers and of finished runs included.

    Built-in baselines have the composition's critic or one that looks through no network.

    Raises:
        AbsentWeightsError: A critic that is trained here looks through a network that is not on this machine.
        MitlganError: A baseline cannot be read.
    """
    trained = [recipe for chain in setup.pretrainings.values() for recipe in chain.recipes]
    trained += [setup.recipe] if plan.trains_compositions else []
    files = [*setup.layers.values(), setup.composed.artifact_file if setup.composed is not None else None]
    for baseline in plan.baselines:
        if baseline not in BUILT_IN_BASELINES:
            arm = resolve_baseline(baseline, setup.recipe, {})
            trained += [arm.recipe] if arm.recipe is not None else []
            files.append(arm.artifact)
    if plan.baseline_run is not None:
        files.append(run_directory.open_run(plan.baseline_run).artifact_file)
    for recipe in trained:
        networks.require_critic_weights(recipe.critic)
    taught_by = [read_card(file).critic_networks() for file in files if file is not None]
    return critic_networks(as_dict(recipe) for recipe in [setup.recipe, *trained]).union(*taught_by)
