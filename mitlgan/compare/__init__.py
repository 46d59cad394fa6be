"""compare: compositions and baselines on the same scenes, at equal budgets, measured alike, into one report."""

from mitlgan.compare.arm_training import tolerate_divergence
from mitlgan.compare.plan import ComparisonPlan, DomainSpec, parse_domain
from mitlgan.compare.report_builder import environment_facts, shipped_samples
from mitlgan.compare.runner import ComparisonResult, baseline_jobs, run_comparison

__all__ = [
    "ComparisonPlan",
    "ComparisonResult",
    "DomainSpec",
    "baseline_jobs",
    "environment_facts",
    "parse_domain",
    "run_comparison",
    "shipped_samples",
    "tolerate_divergence",
]
