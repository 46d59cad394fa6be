"""The outcome of a comparison in words, losing and undecided outcomes included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mitlgan.report.diagnosis import diagnose
from mitlgan.report.model import Anchor, Arm, Comparison, Verdict
from mitlgan.report.wording import DASH, distance_name, duration, finite, number, roughly

ASSUMED_NOISE = 0.05
"""Relative difference in distance below which one seed per arm decides nothing: repeats of one demo recipe moved by about 4 %."""


def judge(
    arms: Sequence[Arm],
    anchors: Sequence[Anchor] = (),
    *,
    extractor: str = "",
    fd_noise: float | Mapping[str, float] | None = None,
    budget: str = "",
) -> Verdict:
    """Compare the first composed arm with the baseline of lowest distance.

    The Fréchet distance decides, where the difference is larger than noise and KID does not contradict it.

    Args:
        arms: At least one composed and one baseline; otherwise the outcome is "unmeasured".
        anchors: Give the absolute meaning: an arm worse than bare backgrounds is called that.
        extractor: Names the distance.
        fd_noise: Difference in distance that two runs of one recipe can show, for all baselines or by their names; None assumes
            `ASSUMED_NOISE` of the larger distance.
        budget: What both arms had alike, as an adverbial: "at equal kimg".

    Returns:
        Outcome, one sentence, and what backs it up or holds it back.
    """
    composed = next((arm for arm in arms if arm.role == "composed"), None)
    if composed is not None and composed.diverged:
        return Verdict("unmeasured", f"No verdict: the training of {composed.label} diverged.", _left_out(arms))
    baselines = [arm for arm in arms if arm.role == "baseline" and not arm.diverged]
    if not baselines and len(arms) > 1:
        return Verdict("unmeasured", "No verdict: the training of every baseline diverged.", _left_out(arms))
    measured = [arm for arm in baselines if finite(arm.metrics.get("fd")) is not None]
    ours = finite(composed.metrics.get("fd")) if composed else None
    if composed is None or ours is None or not measured:
        missing = "the composed arm" if ours is None else "the baseline"
        return Verdict("unmeasured", f"No verdict: {missing} was not measured.")
    baseline = min(measured, key=lambda arm: float(arm.metrics["fd"]))
    theirs = float(baseline.metrics["fd"])
    known = _known_noise(fd_noise, baseline)
    noise = known if known is not None else ASSUMED_NOISE * max(ours, theirs)
    gap, relative = abs(ours - theirs), abs(ours - theirs) / max(theirs, 1e-12)
    apart = number(gap, 0 if max(ours, theirs) >= 100 else None)
    name = distance_name(extractor).split(" ", maxsplit=1)[0]
    reasons = _reasons(composed, baseline, anchors, name=name, noise=noise, assumed=known is None)
    reasons += _left_out(arms)
    reasons[1:1] = [_also(composed, other, fd_noise, name) for other in measured if other is not baseline]
    against = f" to {baseline.label}" if len(measured) > 1 else ""
    tie = "Too close to call" + (f" against {baseline.label}" if against else "")
    if gap <= noise:
        return Verdict("close", f"{tie}: {apart} {name} apart, and noise is about {roughly(noise)}.", reasons)
    if _kid_agreement(composed.metrics, baseline.metrics) == "against":
        return Verdict("close", f"{tie}: {name} and KID disagree.", reasons)
    alike = f" {budget}" if budget else ""
    if ours < theirs:
        every = " against every baseline" if against else ""
        return Verdict("won", f"Composition won by {apart} {name} ({relative:.0%}){every}{alike}.", reasons)
    return Verdict("lost", f"Composition lost by {apart} {name} ({relative:.0%}){against}{alike}.", reasons)


def _left_out(arms: Sequence[Arm]) -> list[str]:
    return [f"{arm.label}: its training diverged, so its numbers are compared with nothing." for arm in arms if arm.diverged]


def _known_noise(noise: float | Mapping[str, float] | None, baseline: Arm) -> float | None:
    return noise.get(baseline.name) if isinstance(noise, Mapping) else noise


def _also(composed: Arm, other: Arm, noise: float | Mapping[str, float] | None, name: str) -> str:
    """How the composition did against another baseline than the best."""
    ours, theirs = float(composed.metrics["fd"]), float(other.metrics["fd"])
    known = _known_noise(noise, other)
    room = known if known is not None else ASSUMED_NOISE * max(ours, theirs)
    apart = number(abs(ours - theirs), 0 if max(ours, theirs) >= 100 else None)
    if abs(ours - theirs) <= room:
        return f"Against {other.label}: {apart} {name} apart, too close to call (noise is about {roughly(room)})."
    return f"Against {other.label}: {'won' if ours < theirs else 'lost'} by {apart} {name} ({number(theirs)}; noise is about {roughly(room)})."


def _reasons(composed: Arm, baseline: Arm, anchors: Sequence[Anchor], *, name: str, noise: float, assumed: bool) -> list[str]:
    ours, theirs = float(composed.metrics["fd"]), float(baseline.metrics["fd"])
    numbers = f"{name} {number(ours)} for {composed.label}, {number(theirs)} for {baseline.label} (lower is better)"
    return [
        numbers + _kid_sentence(_kid_agreement(composed.metrics, baseline.metrics), composed.metrics, baseline.metrics),
        _noise_sentence(composed, baseline, noise, assumed),
        *_against_anchors(anchors, ours, theirs, name),
        *_cost_sentence(composed, baseline),
    ]


def _kid_agreement(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """KID's side: "with" or "against" the distance, "silent" (apart by less than both spreads) or "missing"."""
    a, b = finite(ours.get("kid")), finite(theirs.get("kid"))
    if a is None or b is None:
        return "missing"
    spread = (finite(ours.get("kid_std")) or 0.0) + (finite(theirs.get("kid_std")) or 0.0)
    if abs(a - b) <= spread:
        return "silent"
    return "with" if (a < b) == (float(ours["fd"]) < float(theirs["fd"])) else "against"


def _kid_sentence(side: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    pair = f"{number(ours.get('kid'))} against {number(theirs.get('kid'))}"
    says = {"with": "agrees", "against": "says the opposite", "silent": "does not separate them"}
    return f"; KID {says[side]}: {pair}." if side in says else "."


def _noise_sentence(composed: Arm, baseline: Arm, noise: float, assumed: bool) -> str:
    seeds = min(len(arm.seeds) for arm in (composed, baseline) if arm.seeds or arm is composed)  # nothing is trained without seeds
    if seeds > 1 and not assumed:
        return f"Means over {seeds} seeds per arm; differences below about {roughly(noise)} are noise."
    origin = "an assumption, not a measurement" if assumed else "measured apart"
    how_many = "One seed" if seeds <= 1 else f"{seeds} seeds"
    return f"{how_many} per arm: another seed could move either number by about {roughly(noise)} ({origin})."


def _against_anchors(anchors: Sequence[Anchor], ours: float, theirs: float, name: str) -> list[str]:
    bare = _anchor_distance(anchors, "bare_backgrounds")
    if bare is None or min(ours, theirs) < bare:
        return []
    return [f"Neither arm beats real backgrounds without any object ({name} {number(bare)}): both are still far from real pictures."]


def _anchor_distance(anchors: Sequence[Anchor], name: str) -> float | None:
    return next((finite(anchor.metrics.get("fd")) for anchor in anchors if anchor.name == name), None)


def _cost_sentence(composed: Arm, baseline: Arm) -> list[str]:
    ours, theirs = composed.cost.seconds(total=True), baseline.cost.seconds(total=True)
    if not ours or not theirs:
        return []
    whose = composed.label[:1].upper() + composed.label[1:]
    if any(stage.pretraining for stage in composed.cost.stages):
        whose += " with its pretraining"
    own = composed.cost.seconds(total=False)
    if own and not baseline.cost.seconds(total=False):  # nothing of its own was trained
        return [f"{whose} trained for {duration(ours)}, {duration(own)} of it in this stage, which {baseline.label} did without."]
    return [f"{whose} trained for {duration(ours)}, {ours / theirs:.1f} times as long as {baseline.label} ({duration(theirs)})."]


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
    extractor, samples = comparison.protocol.get("extractor"), finite(comparison.protocol.get("samples"))
    name = distance_name(extractor)
    found = []
    if extractor and name != "FID":
        found.append(f"{name} is not FID: compare it only with numbers of the same extractor, sample count, resize and split.")
    if samples is not None and samples < 10_000:
        halves = _anchor_distance(comparison.anchors, "real_halves")
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
