"""Compares compositions with baselines: same scenes, equal budgets, one measurement, one report.

`mitlgan.compare(...)` is `mitlgan.api.measurements.compare`, whose docstring has its arguments, errors and an example.
"""

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import Any

from mitlgan.compare.plan import ComparisonPlan, DomainSpec, parse_domain
from mitlgan.compare.runner import ComparisonResult, run_comparison


class _CallablePackage(ModuleType):
    """`mitlgan.compare(...)` compares, also after this package of the same name was imported."""

    def __call__(self, *arguments: Any, **options: Any) -> ComparisonResult:
        """Compare; see `mitlgan.api.measurements.compare`."""
        result: ComparisonResult = import_module("mitlgan.api.measurements").compare(*arguments, **options)
        return result

    @property
    def __signature__(self) -> Signature:
        """The arguments, as editors and `help` ask for them."""
        return signature(import_module("mitlgan.api.measurements").compare)


sys.modules[__name__].__class__ = _CallablePackage

__all__ = ["ComparisonPlan", "ComparisonResult", "DomainSpec", "parse_domain", "run_comparison"]
