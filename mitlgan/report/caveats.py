"""What holds the numbers of a report back: what went wrong in training, and how far its protocol can be trusted."""

from __future__ import annotations

from mitlgan.report.diagnosis import diagnose
from mitlgan.report.formatting import DASH, distance_name, number
from mitlgan.report.schema import Comparison
from mitlgan.runtime.progress import finite


def warnings(comparison: Comparison) -> list[str]:
    """What went wrong during training, with the place where it set in."""
    found = []
    for arm in comparison.arms:
        collapsed = next((row for row in arm.stats if row.get("collapsed")), None)
        if collapsed is not None:
            place = f"iteration {collapsed.get('iteration', DASH)}, {number(collapsed.get('kimg'))} kimg"
            found.append(f"{arm.label} looks collapsed from {place}: its samples are nearly alike, so its distance says little.")
        known = diagnose(arm.stats, arm.evaluations)
        if known.collapsed is not None and known.collapsed_by == "features":
            found.append(f"{arm.label} collapsed at {known.collapsed}: its samples are nearly alike to the extractor.")
        if known.lost:
            found.append(f"{arm.label}: {known.lost}.")
        skipped = finite(arm.stats[-1].get("nan_skipped")) if arm.stats else None
        if skipped:
            found.append(f"{arm.label} skipped {skipped:,.0f} training steps whose losses or gradients were not finite.")
    return found


def caveats(comparison: Comparison) -> list[str]:
    """How far the numbers can be trusted, from the protocol and the anchors; then what the caller adds."""
    samples = finite(comparison.protocol.get("samples"))
    names = [name for extractor in comparison.extractors if (name := distance_name(extractor)) != "FID"]
    found = []
    if names:
        are = "is not FID: compare it" if len(names) == 1 else "are not FID: compare each"
        found.append(f"{' and '.join(names)} {are} only with numbers of the same extractor, sample count, resize and split.")
    if samples is not None and samples < 10_000:
        halves = next((finite(anchor.metrics.get("fd")) for anchor in comparison.anchors if anchor.name == "real_halves"), None)
        known = f"; two halves of the real set, which are equally good, score {number(halves)}" if halves is not None else ""
        real = finite(comparison.protocol.get("real"))
        counted = f"{samples:,.0f} pictures per set" if real in (None, samples) else f"{samples:,.0f} generated pictures against {real:,.0f} real ones"
        found.append(f"{counted}: at this size a Fréchet distance comes out too high{known}. KID has no such bias.")
    trained = [len(arm.seeds) for arm in comparison.arms if arm.seeds]
    if trained and min(trained) > 1:
        found.append("The ± of an arm is the standard deviation over its seeds; that of what is not trained is KID's spread over subsets.")
    elif any(finite(arm.metrics.get("kid_std")) is not None for arm in comparison.arms):
        found.append("The ± after KID is its spread over subsets of one set of samples; it says nothing about another training run.")
    if trained and min(trained) < 2:
        found.append("Each arm was trained once. Read small differences as ties until more seeds say otherwise.")
    return [*found, *comparison.trust]
