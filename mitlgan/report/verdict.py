"""The verdict of a comparison in words: won, lost, too close to call, or not comparable yet. All forms of the report take it from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mitlgan.report.formatting import duration, number, share, two_digits
from mitlgan.report.outcome import BaselineOutcome, ExtractorOutcome, compare_by_extractor
from mitlgan.report.schema import Anchor, ArmResult, Verdict, extractors_of
from mitlgan.runtime.progress import finite

MIN_PICTURES = 500
"""With fewer generated or real pictures nothing is decided: the distance of two equal distributions is then as large as that of different ones."""

HELD_OUT = ("test", "validation")

UNITS = {
    "kimg": ("kimg", "kimg"),
    "seconds": ("time", "time"),
    "cpu-seconds": ("time (CPU seconds)", "CPU seconds"),
    "macs": ("work (tera-MACs)", "work (tera-MACs)"),
}
"""Resource, a key of `compare.plan.RESOURCE_UNITS` -> its name if all stages count, and if only the last stage counts."""


def decide_verdict(
    arms: Sequence[ArmResult], anchors: Sequence[Anchor] = (), protocol: Mapping[str, Any] | None = None, *, resource: str = ""
) -> Verdict:
    """Compare the first composed arm with the baseline of lowest distance, by each extractor.

    The Fréchet distance decides if the difference exceeds noise and KID does not contradict it. Nothing is decided if no pictures were held out, if
    fewer than `MIN_PICTURES` were measured, if no arm beats bare backgrounds, or if the extractors disagree.

    Args:
        arms: At least one composed arm and one baseline; otherwise the outcome is "unmeasured".
        anchors: "bare_backgrounds" must be beaten.
        protocol: As in `Comparison`; records of earlier versions have no number of real pictures, and one extractor.
        resource: What arms of equal `length` got the same amount of, a key of `UNITS`; empty if unknown.

    Returns:
        Outcome, headline, and the reasons for it.
    """
    protocol = protocol or {}
    composed = next((arm for arm in arms if arm.role == "composed"), None)
    if refusal := _divergence(arms, composed):
        return Verdict("unmeasured", refusal, _excluded(arms))
    names = extractors_of(protocol) or ("",)
    first, *others = (compare_by_extractor(arms, anchors, name, protocol, first=index == 0) for index, name in enumerate(names))
    if composed is None or first is None:
        missing = "the composed arm" if composed is None or finite(composed.metrics.get("fd")) is None else "the baseline"
        return Verdict("unmeasured", f"No verdict: {missing} was not measured.")
    outcomes = [first, *(outcome for outcome in others if outcome is not None)]
    best = first.best
    reasons = [*_reasons(composed, outcomes, anchors, resource), *_advice(outcomes, protocol), *_excluded(arms)]
    obstacles = [*_measurement_obstacles(protocol), *_number_obstacles(outcomes, best.baseline)]
    basis = _basis(best, composed, protocol)
    if obstacles:
        return Verdict("not comparable", f"Not comparable yet: {'; '.join(obstacles)} ({basis}).", reasons)
    return Verdict(best.side, f"{_headline(best, outcomes)}{_equal_length(best.baseline, resource)}: {basis}.", reasons)


def _divergence(arms: Sequence[ArmResult], composed: ArmResult | None) -> str:
    """Return a refusal if the training of the composition, or of every baseline, diverged."""
    if composed is not None and composed.diverged:
        return f"No verdict: the training of {composed.label} diverged."
    baselines = [arm for arm in arms if arm.role == "baseline"]
    return "No verdict: the training of every baseline diverged." if baselines and all(arm.diverged for arm in baselines) else ""


def _excluded(arms: Sequence[ArmResult]) -> list[str]:
    return [f"{arm.label}: its training diverged, so its numbers are not compared." for arm in arms if arm.diverged]


def _headline(best: BaselineOutcome, outcomes: Sequence[ExtractorOutcome]) -> str:
    first = outcomes[0]
    name = first.distance.split(" ", maxsplit=1)[0]
    if best.side == "close":
        disagree = abs(best.pair[0] - best.pair[1]) > best.noise
        return f"Too close to call against {best.baseline.label} ({f'{name} and KID disagree' if disagree else f'{best.difference} {name} apart'})"
    result = f"Composition {best.side} by {best.difference} {name} ({share(best.relative)})"
    if best.side == "lost":
        return f"{result} to {best.baseline.label}"
    rivals = [outcome.baseline for outcome in first.others if outcome.baseline.length != "stage" or best.baseline.length == "stage"]
    undecided = [rival.label for rival in rivals if any(pair.side != "won" for one in outcomes if (pair := one.against(rival)))]
    every = "every baseline, the best of which is " if rivals and not undecided else ""
    but = f", though not against {' or '.join(undecided)} (below)" if undecided else ""
    return f"{result} against {every}{best.baseline.label}{but}"


def _equal_length(baseline: ArmResult, resource: str) -> str:
    """Return what both arms got the same amount of, as an adverbial."""
    if not baseline.length or resource not in UNITS:
        return ""
    total, stage = UNITS[resource]
    return f", at equal total {total}" if baseline.length == "total" else f", at equal {stage} of this stage alone"


def _basis(best: BaselineOutcome, composed: ArmResult, protocol: Mapping[str, Any]) -> str:
    """Return what the headline's number is based on: samples, split and spread."""
    parts = []
    samples, real, split = finite(protocol.get("samples")), finite(protocol.get("real")), str(protocol.get("split") or "")
    if samples is not None:
        against = f" against {'' if real is None else f'{real:,.0f} '}{split} pictures" if split else ""
        parts.append(f"{samples:,.0f} samples{against}")
    ours, theirs = _seeds(composed, best.baseline)
    assumed, noise = "" if best.measured_noise is not None else " assumed to be", best.noise_text
    stds = [finite(side.metrics.get("fd_std")) for side in (best.ours, best.theirs)]
    if max(ours, theirs) > 1 and ours == theirs:
        spread = " and ".join(f"±{number(std)}" for std in stds if std is not None)
        parts.append(f"{f'{spread} over ' if spread else ''}{ours} seeds, noise{assumed} about {noise}")
    elif max(ours, theirs) > 1:
        sides = [_trainings(count) + (f" (±{number(std)})" if std is not None else "") for count, std in zip((ours, theirs), stds, strict=True)]
        parts.append(f"{' against '.join(sides)}, noise{assumed} about {noise}")
    else:
        parts.append(f"one seed per arm, noise{assumed} about {noise}")
    return ", ".join(parts)


def _seeds(composed: ArmResult, baseline: ArmResult) -> tuple[int, int]:
    """Return the number of trainings of both arms; an arm without seeds trains nothing, and counts as the other."""
    ours, theirs = max(1, len(composed.seeds)), len(baseline.seeds)
    return ours, theirs or ours


def _trainings(seeds: int) -> str:
    return "one training" if seeds == 1 else f"{seeds} seeds"


def _measurement_obstacles(protocol: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the measurement allows no verdict."""
    split = protocol.get("split")
    if split and split not in HELD_OUT:
        yield f"no pictures were held out, so the {split} pictures themselves are the reference"
    counts = [(finite(protocol.get(key)), subject) for key, subject in (("samples", "samples"), ("real", "real pictures"))]
    if too_few := [f"{count:,.0f} {subject}" for count, subject in counts if count is not None and count < MIN_PICTURES]:
        yield f"only {' and '.join(too_few)} were measured, and {MIN_PICTURES} {'of each ' if len(too_few) > 1 else ''}are needed"


def _number_obstacles(outcomes: Sequence[ExtractorOutcome], baseline: ArmResult) -> Iterator[str]:
    """Yield why the numbers allow no verdict."""
    behind = [outcome.bare.figure for outcome in outcomes if outcome.bare is not None and not outcome.bare.beaten]
    if behind:
        yield f"no arm beats real backgrounds without any object ({'; '.join(behind)})"
    if not _agree(outcomes, baseline):
        yield f"the extractors disagree ({_clauses(outcomes, baseline)})"


def _pairs(outcome: ExtractorOutcome, baseline: ArmResult) -> list[BaselineOutcome]:
    """Return the outcome of an extractor against the headline's baseline, and against its own best one if that is another."""
    pair = outcome.against(baseline)
    return [outcome.best] if pair is None or pair is outcome.best else [pair, outcome.best]


def _agree(outcomes: Sequence[ExtractorOutcome], baseline: ArmResult) -> bool:
    """Return whether all extractors say the same about the headline's baseline, and about their own best ones."""
    return len({pair.side for outcome in outcomes for pair in _pairs(outcome, baseline)}) == 1


def _advice(outcomes: Sequence[ExtractorOutcome], protocol: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would make the arms comparable."""
    split, samples, real = protocol.get("split"), finite(protocol.get("samples")), finite(protocol.get("real"))
    if split and split not in HELD_OUT:
        yield "To hold out pictures, use `mitlgan data split` or `data prepare`, or put a folder `test` next to `train`."
    if samples is not None and samples < MIN_PICTURES:
        yield f"To measure more samples, use `-n {MIN_PICTURES}`, or better 2000."
    if real is not None and real < MIN_PICTURES and split in HELD_OUT:
        yield f"To measure against more pictures, hold out {MIN_PICTURES} scenes in all."
    if any(outcome.bare is not None and not outcome.bare.beaten for outcome in outcomes):
        yield "To beat bare backgrounds, train longer."


def _reasons(composed: ArmResult, outcomes: Sequence[ExtractorOutcome], anchors: Sequence[Anchor], resource: str) -> list[str]:
    first = outcomes[0]
    best, name = first.best, first.distance
    stage_only = f"This stage alone, without the pretrainings{f', by {UNITS[resource][1]}' if resource in UNITS else ''}: "
    of_stage = [outcome.sentence(name) for outcome in first.others if outcome.baseline.length == "stage"]
    others = [outcome.sentence(name) for outcome in first.others if outcome.baseline.length != "stage"]
    return [
        *(_numbers(composed, outcome, pair) for outcome in outcomes for pair in _pairs(outcome, best.baseline)),
        *(stage_only + sentence[:1].lower() + sentence[1:] for sentence in of_stage),
        *others,
        *_other_opinions(outcomes, best.baseline),
        _noise(composed, best),
        _extractors(outcomes, best.baseline),
        *_bare_backgrounds(first, anchors),
        *_training_time(composed, best.baseline),
    ]


def _numbers(composed: ArmResult, outcome: ExtractorOutcome, pair: BaselineOutcome) -> str:
    ours, theirs = pair.pair
    text = f"{outcome.distance} {number(ours)} for {composed.label}, {number(theirs)} for {pair.baseline.label} (lower is better)"
    verbs = {"with": "agrees", "against": "says the opposite", "silent": "does not separate them"}
    if pair.kid in verbs:
        kids = f"{number(pair.ours.metrics.get('kid'))} against {number(pair.theirs.metrics.get('kid'))}"
        text += f"; KID {verbs[pair.kid]}: {kids}" + (f", ratio {number(pair.kid_ratio)}" if pair.kid_ratio is not None else "")
    return text + "."


def _other_opinions(outcomes: Sequence[ExtractorOutcome], baseline: ArmResult) -> Iterator[str]:
    """Yield where a further extractor judges a baseline otherwise than the first, unless that is among the numbers already."""
    for outcome in outcomes[1:]:
        for pair in outcome.others:
            by_first = outcomes[0].against(pair.baseline)
            if pair.baseline is not baseline and by_first is not None and by_first.side != pair.side:
                yield f"By {outcome.extractor}: {pair.sentence(outcome.distance)}"


def _noise(composed: ArmResult, best: BaselineOutcome) -> str:
    ours, theirs = _seeds(composed, best.baseline)
    noise = best.noise_text
    if best.measured_noise is None:
        how_many = "One seed per arm" if max(ours, theirs) == 1 else f"{_trainings(ours).capitalize()} against {_trainings(theirs)}"
        return f"{how_many}: another seed could change either number by about {noise} (an assumption, not a measurement)."
    if ours == theirs:
        return f"Means over {ours} seeds per arm; differences below about {noise} are noise."
    how = "of one arm, and assumed of the other's one training" if min(ours, theirs) == 1 else "at hand"
    return f"{_trainings(ours).capitalize()} against {_trainings(theirs)}: differences below about {noise} are noise (measured over the seeds {how})."


def _extractors(outcomes: Sequence[ExtractorOutcome], baseline: ArmResult) -> str:
    if len(outcomes) == 1:
        name = outcomes[0].extractor
        return f"Only one extractor was used{f', {name}' if name else ''}; another might disagree (name several with `--extractor`)."
    verb = "agree" if _agree(outcomes, baseline) else "disagree"
    return f"{len(outcomes)} extractors were used, and they {verb} ({_clauses(outcomes, baseline)})."


def _clauses(outcomes: Sequence[ExtractorOutcome], baseline: ArmResult) -> str:
    """Return what each extractor says; baselines are named where an extractor has another best one."""
    clauses = []
    for outcome in outcomes:
        pairs = _pairs(outcome, baseline)
        is_plain = len(pairs) == 1 and pairs[0].baseline is baseline
        words = [pair.clause() if is_plain else f"{pair.clause()} against {pair.baseline.label}" for pair in pairs]
        clauses.append(f"{outcome.extractor}: {', '.join(words)}")
    return "; ".join(clauses)


def _bare_backgrounds(first: ExtractorOutcome, anchors: Sequence[Anchor]) -> list[str]:
    if first.bare is None and anchors:
        return ["Bare backgrounds were not available, so it is unknown whether any arm is better than no object at all."]
    if first.bare is not None and not first.bare.beaten:
        return [f"No arm beats real backgrounds without any object ({first.bare.figure}): all are still far from real pictures."]
    return []


def _training_time(composed: ArmResult, baseline: ArmResult) -> list[str]:
    sides, kind = [composed.cost.cpu_seconds, baseline.cost.cpu_seconds], " of CPU time"
    if not all(seconds(total=True) for seconds in sides):
        sides, kind = [composed.cost.seconds, baseline.cost.seconds], ""
    ours, theirs = (seconds(total=True) for seconds in sides)
    if not ours or not theirs:
        return []
    subject = composed.label[:1].upper() + composed.label[1:]
    if any(stage.pretraining for stage in composed.cost.stages):
        subject += " with its pretraining"
    our_stage, their_stage = (seconds(total=False) for seconds in sides)
    if our_stage and not their_stage:
        time = f"{duration(ours)}{kind}, {duration(our_stage)} of it in this stage"
        return [f"{subject} trained for {time}. {baseline.label}: no training in this stage."]
    return [f"{subject} trained for {duration(ours)}{kind}, {two_digits(ours / theirs, 1)} times as long as {baseline.label} ({duration(theirs)})."]
