"""Compares compositions with baselines: same scenes, equal budgets, one measurement, one report."""

from mitlgan.compare.plan import ComparisonPlan, DomainSpec, parse_domain
from mitlgan.compare.runner import ComparisonResult, run_comparison

__all__ = ["ComparisonPlan", "ComparisonResult", "DomainSpec", "parse_domain", "run_comparison"]
