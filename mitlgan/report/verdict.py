"""The outcome of a comparison in words, losing, undecided and premature ones included: where text, JSON, Markdown and pages have it from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mitlgan.report.formatting import distance_name, duration, number, one_digit
from mitlgan.report.outcome import BaselineOutcome, ExtractorOutcome, compare_by_extractor
from mitlgan.report.schema import Anchor, ArmResult, Verdict, extractors_of
from mitlgan.runtime.progress import finite

MIN_PICTURES = 500
"""Fewer generated or real pictures decide nothing: the distance of two samples of one kind is then as large as that of different kinds."""

HELD_OUT = ("test", "validation")

UNITS = {
    "kimg": ("kimg", "kimg"),
    "seconds": ("time", "time"),
    "cpu-seconds": ("time (CPU seconds)", "CPU seconds"),
    "macs": ("work (tera-MACs)", "work (tera-MACs)"),
}
"""What arms got alike, a key of `compare.plan.EQUAL` -> its words where all stages count, and where the last one does."""


def decide_verdict(
    arms: Sequence[ArmResult], anchors: Sequence[Anchor] = (), protocol: Mapping[str, Any] | None = None, *, resource: str = ""
) -> Verdict:
    """Compare the first composed arm with the baseline of lowest distance, by each extractor.

    The Fréchet distance decides, where the difference is larger than noise and KID does not contradict it. Where nothing was held out, where fewer than
    `MIN_PICTURES` are measured, where no arm beats bare backgrounds or where extractors disagree, there is nothing to decide yet.

    Args:
        arms: At least one composed and one baseline; otherwise the outcome is "unmeasured".
        anchors: Give the absolute meaning: "bare_backgrounds" have to be beaten.
        protocol: As in `Comparison`; records of earlier versions have no number of real pictures, and one extractor.
        resource: What arms of one `length` had alike, a key of `UNITS`; empty where that is not known.

    Returns:
        Outcome, one sentence, and what backs it up or holds it back.
    """
    protocol = protocol or {}
    if refused := _diverged(arms):
        return Verdict("unmeasured", refused, _left_out(arms))
    names = extractors_of(protocol) or ("",)
    found = [compare_by_extractor(arms, anchors, name, first=index == 0) for index, name in enumerate(names)]
    outcomes = [one for one in found if one is not None]
    if found[0] is None:
        composed = next((arm for arm in arms if arm.role == "composed"), None)
        missing = "the composed arm" if composed is None or finite(composed.metrics.get("fd")) is None else "the baseline"
        return Verdict("unmeasured", f"No verdict: {missing} was not measured.")
    composed = next(arm for arm in arms if arm.role == "composed")
    best = found[0].best
    reasons = [*_reasons(composed, outcomes, anchors, resource), *_way_out(outcomes, protocol), *_left_out(arms)]
    obstacles = [*_unmeasurable(protocol), *_undecidable(outcomes)]
    basis = _basis(best, composed, protocol)
    if obstacles:
        return Verdict("not comparable", f"Not comparable yet: {'; '.join(obstacles)} ({basis}).", reasons)
    return Verdict(best.side, f"{_sentence(best, found[0])}{_alike(best.baseline, resource)}: {basis}.", reasons)


def _diverged(arms: Sequence[ArmResult]) -> str:
    """Why there is nothing to compare: the composition's training diverged, or that of every baseline."""
    composed = next((arm for arm in arms if arm.role == "composed"), None)
    if composed is not None and composed.diverged:
        return f"No verdict: the training of {composed.label} diverged."
    baselines = [arm for arm in arms if arm.role == "baseline"]
    return "No verdict: the training of every baseline diverged." if baselines and all(arm.diverged for arm in baselines) else ""


def _left_out(arms: Sequence[ArmResult]) -> list[str]:
    return [f"{arm.label}: its training diverged, so its numbers are compared with nothing." for arm in arms if arm.diverged]


def _sentence(best: BaselineOutcome, first: ExtractorOutcome) -> str:
    name = first.distance.split(" ", maxsplit=1)[0]
    if best.side == "close":
        reason = f"{name} and KID disagree" if abs(best.pair[0] - best.pair[1]) > best.noise else f"{best.apart} {name} apart"
        return f"Too close to call against {best.baseline.label} ({reason})"
    against = "against" if best.side == "won" else "to"
    rivals = [duel for duel in first.others if duel.baseline.length != "stage" or best.baseline.length == "stage"]
    every = "every baseline, the best of which is " if best.side == "won" and rivals else ""
    return f"Composition {best.side} by {best.apart} {name} ({best.relative:.0%}) {against} {every}{best.baseline.label}"


def _alike(baseline: ArmResult, equal: str) -> str:
    """What both had alike, as an adverbial."""
    if not baseline.length or equal not in UNITS:
        return ""
    total, stage = UNITS[equal]
    return f", at equal total {total}" if baseline.length == "total" else f", at equal {stage} of this stage alone"


def _basis(best: BaselineOutcome, composed: ArmResult, protocol: Mapping[str, Any]) -> str:
    """Samples, split and spread: what the headline's number rests on."""
    parts = []
    samples, real, split = finite(protocol.get("samples")), finite(protocol.get("real")), str(protocol.get("split") or "")
    if samples is not None:
        against = f" against {'' if real is None else f'{real:,.0f} '}{split} pictures" if split else ""
        parts.append(f"{samples:,.0f} samples{against}")
    seeds = _seeds(composed, best.baseline)
    spreads = [finite(side.metrics.get("fd_std")) for side in (best.ours, best.theirs)]
    if seeds > 1:
        shown = " and ".join(f"±{number(spread)}" for spread in spreads if spread is not None)
        parts.append(
            f"{shown} over {seeds} seeds, noise about {one_digit(best.noise)}" if shown else f"{seeds} seeds, noise about {one_digit(best.noise)}"
        )
    else:
        parts.append(f"one seed per arm, noise assumed to be about {one_digit(best.noise)}")
    return ", ".join(parts)


def _seeds(composed: ArmResult, baseline: ArmResult) -> int:
    return min(len(arm.seeds) for arm in (composed, baseline) if arm.seeds or arm is composed)  # nothing is trained without seeds


def _unmeasurable(protocol: Mapping[str, Any]) -> Iterator[str]:
    """Why the measurement cannot carry a verdict."""
    split = protocol.get("split")
    if split and split not in HELD_OUT:
        yield f"no pictures were held out, the {split} pictures themselves are measured"
    for what, key in (("samples are", "samples"), ("real pictures are", "real")):
        count = finite(protocol.get(key))
        if count is not None and count < MIN_PICTURES:
            yield f"only {count:,.0f} {what} measured, {MIN_PICTURES} are needed"


def _undecidable(outcomes: Sequence[ExtractorOutcome]) -> Iterator[str]:
    """Why the numbers cannot."""
    behind = [f"{one.distance} {number(one.bare)}" for one in outcomes if one.beats_bare is False]
    if behind:
        yield f"no arm beats real backgrounds without any object ({'; '.join(behind)})"
    if len({one.best.side for one in outcomes}) > 1:
        yield f"the extractors disagree ({'; '.join(f'{one.extractor}: {one.best.words()}' for one in outcomes)})"


def _way_out(outcomes: Sequence[ExtractorOutcome], protocol: Mapping[str, Any]) -> Iterator[str]:
    """What would make it comparable."""
    split, samples, real = protocol.get("split"), finite(protocol.get("samples")), finite(protocol.get("real"))
    if split and split not in HELD_OUT:
        yield "To hold pictures out: `mitlgan data split` or `data prepare`, or a folder `test` beside `train`."
    if samples is not None and samples < MIN_PICTURES:
        yield f"To measure more: `-n {MIN_PICTURES}`, or better 2000."
    if real is not None and real < MIN_PICTURES and split in HELD_OUT:
        yield f"To measure against more: {MIN_PICTURES} held-out scenes in all."
    if any(one.beats_bare is False for one in outcomes):
        yield "To beat bare backgrounds: train longer."


def _reasons(composed: ArmResult, outcomes: Sequence[ExtractorOutcome], anchors: Sequence[Anchor], equal: str) -> list[str]:
    first = outcomes[0]
    best, name = first.best, first.distance
    stage = [duel for duel in first.others if duel.baseline.length == "stage"]
    rest = [duel for duel in first.others if duel.baseline.length != "stage"]
    alone = f"Of this stage alone, the pretrainings left out{f', by {UNITS[equal][1]}' if equal in UNITS else ''}: "
    return [
        *(_numbers(composed, one) for one in outcomes),
        *(alone + duel.sentence(name)[:1].lower() + duel.sentence(name)[1:] for duel in stage),
        *(duel.sentence(name) for duel in rest),
        _noise(composed, best),
        _judges(outcomes),
        *_bare(first, anchors),
        *_cost(composed, best.baseline),
    ]


def _numbers(composed: ArmResult, one: ExtractorOutcome) -> str:
    best = one.best
    ours, theirs = best.pair
    text = f"{one.distance} {number(ours)} for {composed.label}, {number(theirs)} for {best.baseline.label} (lower is better)"
    says = {"with": "agrees", "against": "says the opposite", "silent": "does not separate them"}
    if best.kid in says:
        kids = f"{number(best.ours.metrics.get('kid'))} against {number(best.theirs.metrics.get('kid'))}"
        text += f"; KID {says[best.kid]}: {kids}" + (f", ratio {number(best.kid_ratio)}" if best.kid_ratio is not None else "")
    return text + "."


def _noise(composed: ArmResult, best: BaselineOutcome) -> str:
    seeds, assumed = _seeds(composed, best.baseline), best.measured_noise is None
    if seeds > 1 and not assumed:
        return f"Means over {seeds} seeds per arm; differences below about {one_digit(best.noise)} are noise."
    origin = "an assumption, not a measurement" if assumed else "measured apart"
    how_many = "One seed" if seeds <= 1 else f"{seeds} seeds"
    return f"{how_many} per arm: another seed could move either number by about {one_digit(best.noise)} ({origin})."


def _judges(outcomes: Sequence[ExtractorOutcome]) -> str:
    if len(outcomes) == 1:
        name = outcomes[0].extractor
        return f"Only one extractor judged{f', {name}' if name else ''}: another might say otherwise (`--extractor` names several)."
    words = "; ".join(f"{one.extractor}: {one.best.words()}" for one in outcomes)
    agree = len({one.best.side for one in outcomes}) == 1
    return f"{len(outcomes)} extractors judged, and {'agree' if agree else 'disagree'} ({words})."


def _bare(first: ExtractorOutcome, anchors: Sequence[Anchor]) -> list[str]:
    if first.beats_bare is None and anchors:
        return ["Bare backgrounds were not at hand: nothing says whether any arm is better than no object at all."]
    if first.beats_bare is False:
        distance = f"{distance_name(first.extractor).split(' ', maxsplit=1)[0]} {number(first.bare)}"
        return [f"No arm beats real backgrounds without any object ({distance}): all are still far from real pictures."]
    return []


def _cost(composed: ArmResult, baseline: ArmResult) -> list[str]:
    sides, kind = [composed.cost.cpu_seconds, baseline.cost.cpu_seconds], " of CPU time"
    if not all(seconds(total=True) for seconds in sides):
        sides, kind = [composed.cost.seconds, baseline.cost.seconds], ""
    ours, theirs = (seconds(total=True) for seconds in sides)
    if not ours or not theirs:
        return []
    whose = composed.label[:1].upper() + composed.label[1:]
    if any(stage.pretraining for stage in composed.cost.stages):
        whose += " with its pretraining"
    own, their_own = (seconds(total=False) for seconds in sides)
    if own and not their_own:  # nothing of its own was trained
        return [f"{whose} trained for {duration(ours)}{kind}, {duration(own)} of it in this stage, which {baseline.label} did without."]
    return [f"{whose} trained for {duration(ours)}{kind}, {ours / theirs:.1f} times as long as {baseline.label} ({duration(theirs)})."]


__all__ = ["decide_verdict"]
