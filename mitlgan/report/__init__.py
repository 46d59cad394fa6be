"""A comparison as one self-contained page, with the same table in Markdown and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitlgan.runtime.lazy import lazy_attributes

if TYPE_CHECKING:
    from mitlgan.report.diagnosis import Diagnosis, diagnose
    from mitlgan.report.html import Paths, write_report, write_reports
    from mitlgan.report.schema import Anchor, Arm, Comparison, Cost, Domain, Picture, StageCost, Verdict
    from mitlgan.report.text import summary
    from mitlgan.report.verdict import judge

__all__ = [
    "Anchor",
    "Arm",
    "Comparison",
    "Cost",
    "Diagnosis",
    "Domain",
    "Paths",
    "Picture",
    "StageCost",
    "Verdict",
    "diagnose",
    "judge",
    "summary",
    "write_report",
    "write_reports",
]

# A contact sheet loads neither torch nor matplotlib.
__getattr__ = lazy_attributes(
    __name__,
    {
        **dict.fromkeys(("Anchor", "Arm", "Comparison", "Cost", "Domain", "Picture", "StageCost", "Verdict"), "mitlgan.report.schema"),
        **dict.fromkeys(("Diagnosis", "diagnose"), "mitlgan.report.diagnosis"),
        **dict.fromkeys(("Paths", "write_report", "write_reports"), "mitlgan.report.html"),
        "summary": "mitlgan.report.text",
        "judge": "mitlgan.report.verdict",
    },
)
