"""A comparison as one self-contained page, with the same table in Markdown and JSON."""

from mitlgan.report.diagnosis import Diagnosis, diagnose
from mitlgan.report.model import Anchor, Arm, Comparison, Cost, Domain, Picture, StageCost, Verdict
from mitlgan.report.page import Paths, write_report, write_reports
from mitlgan.report.plain import summary
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
