"""compare: compositions and baselines on the same scenes, at equal budgets, measured alike, into one report."""

from mitlgan.compare.arms import baseline_recipe
from mitlgan.compare.course import Result, baseline_jobs, compare
from mitlgan.compare.plan import Plan, Triple, parse_triple
from mitlgan.compare.show import environment_facts, shipped_pictures
from mitlgan.compare.training import tolerant

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
