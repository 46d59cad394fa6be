"""compare: compositions and baselines on the same scenes, at equal budgets, measured alike, into one report."""

from mitlgan.compare.arm_training import tolerant
from mitlgan.compare.arms import baseline_recipe
from mitlgan.compare.plan import Plan, Triple, parse_triple
from mitlgan.compare.report_builder import environment_facts, shipped_pictures
from mitlgan.compare.runner import Result, baseline_jobs, compare

__all__ = [
    "Plan",
    "Result",
    "Triple",
    "baseline_jobs",
    "baseline_recipe",
    "compare",
    "environment_facts",
    "parse_triple",
    "shipped_pictures",
    "tolerant",
]
