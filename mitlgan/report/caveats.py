"""What limits the numbers of a report: what went wrong in training, and how far the protocol can be trusted."""

from __future__ import annotations

from mitlgan.report.diagnosis import diagnose
from mitlgan.report.formatting import DASH, distance_name, number
from mitlgan.report.schema import Comparison
from mitlgan.runtime.progress import finite

MIN_UNBIASED_SAMPLES = 10_000
"""With fewer samples a Fréchet distance is visibly too high."""


def warnings(comparison: Comparison) -> list[str]:
    """Return what went wrong in training, and since when."""
    sentences = []
    for arm in comparison.arms:
        collapsed = next((row for row in arm.stats if row.get("collapsed")), None)
        if collapsed is not None:
            position = f"iteration {collapsed.get('iteration', DASH)}, {number(collapsed.get('kimg'))} kimg"
            sentences.append(f"{arm.label} appears to have collapsed at {position}: its samples are nearly identical, so its distance says little.")
        diagnosis = diagnose(arm.stats, arm.evaluations)
        if diagnosis.collapsed is not None and diagnosis.collapsed_by == "features":
            sentences.append(f"{arm.label} collapsed at {diagnosis.collapsed}: its samples are nearly identical to the extractor.")
        if diagnosis.lost:
            sentences.append(f"{arm.label}: {diagnosis.lost}.")
        skipped = finite(arm.stats[-1].get("nan_skipped")) if arm.stats else None
        if skipped:
            sentences.append(f"{arm.label} skipped {skipped:,.0f} training steps whose losses or gradients were not finite.")
    return sentences


def caveats(comparison: Comparison) -> list[str]:
    """Return how far the numbers can be trusted, given the protocol and the anchors; then what the caller adds."""
    sentences = []
    names = [name for extractor in comparison.extractors if (name := distance_name(extractor)) != "FID"]
    if names:
        start = "is not FID: compare it" if len(names) == 1 else "are not FID: compare each"
        sentences.append(f"{' and '.join(names)} {start} only with numbers of the same extractor, sample count, resizing and split.")
    samples, real = finite(comparison.protocol.get("samples")), finite(comparison.protocol.get("real"))
    if samples is not None and samples < MIN_UNBIASED_SAMPLES:
        halves = next((anchor for anchor in comparison.anchors if anchor.name == "real_halves" and finite(anchor.metrics.get("fd")) is not None), None)
        sizes = "" if halves is None or halves.counts is None else " ({:,} against {:,})".format(*halves.counts)
        example = "" if halves is None else f"; two halves of the real pictures{sizes}, which are equally good, score {number(halves.metrics['fd'])}"
        counts = f"{samples:,.0f} pictures per set" if real in (None, samples) else f"{samples:,.0f} generated pictures against {real:,.0f} real ones"
        sentences.append(f"{counts}: with so few, a Fréchet distance is too high{example}. KID has no such bias.")
    return [*sentences, *_seed_caveats(comparison), *comparison.trust]


def _seed_caveats(comparison: Comparison) -> list[str]:
    """Return what the ± after a figure is, and which arms were trained once; arms that diverged have no figures."""
    arms = [arm for arm in comparison.arms if not arm.diverged]
    once, often = [arm for arm in arms if len(arm.seeds) == 1], [arm for arm in arms if len(arm.seeds) > 1]
    sentences = []
    if often:
        others = " and for rows of one training" if once else ""
        sentences.append(
            f"The ± of an arm is the standard deviation over its seeds; for rows without training{others} it is KID's spread over subsets."
        )
    elif any(finite(arm.metrics.get("kid_std")) is not None for arm in arms):
        sentences.append("The ± after KID is its spread over subsets of one set of samples; it says nothing about another training run.")
    if once:
        who = f"Only one training of {' and of '.join(arm.label for arm in once)} was measured" if often else "Each arm was trained once"
        sentences.append(f"{who}. Treat small differences as ties until more seeds are trained.")
    return sentences
