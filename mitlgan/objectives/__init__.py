"""Objectives: losses of critic and generator, and the constraint on the critic. The training loop treats them all alike."""

from mitlgan.objectives.build import OBJECTIVES, all_statistics, build, check_critic
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES, Divergence, Objective, Statistic, Stats, TrainingFailure

__all__ = [
    "CRITIC_DOMINATES",
    "GENERATOR_DOMINATES",
    "OBJECTIVES",
    "Divergence",
    "Objective",
    "Statistic",
    "Stats",
    "TrainingFailure",
    "all_statistics",
    "build",
    "check_critic",
]
