"""A comparison as one self-contained page, with the same table in Markdown and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitlgan.runtime.lazy import lazy_attributes

if TYPE_CHECKING:
    from mitlgan.report.diagnosis import Diagnosis, diagnose
    from mitlgan.report.html import ReportPaths, write_report, write_reports
    from mitlgan.report.schema import Anchor, ArmResult, Comparison, Cost, DomainPictures, Picture, StageCost, Verdict
    from mitlgan.report.text import report_summary
    from mitlgan.report.verdict import decide_verdict

__all__ = [
    "Anchor",
    "ArmResult",
    "Comparison",
    "Cost",
    "Diagnosis",
    "DomainPictures",
    "Picture",
    "ReportPaths",
    "StageCost",
    "Verdict",
    "decide_verdict",
    "diagnose",
    "report_summary",
    "write_report",
    "write_reports",
]

# A contact sheet loads neither torch nor matplotlib.
__getattr__ = lazy_attributes(
    __name__,
    {
        **dict.fromkeys(("Anchor", "ArmResult", "Comparison", "Cost", "DomainPictures", "Picture", "StageCost", "Verdict"), "mitlgan.report.schema"),
        **dict.fromkeys(("Diagnosis", "diagnose"), "mitlgan.report.diagnosis"),
        **dict.fromkeys(("ReportPaths", "write_report", "write_reports"), "mitlgan.report.html"),
        "report_summary": "mitlgan.report.text",
        "decide_verdict": "mitlgan.report.verdict",
    },
)
