"""The composition compared with the baselines, by one extractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mitlgan.report.formatting import difference_and_noise, distance_name, number, share
from mitlgan.report.noise import ASSUMED_NOISE, noise_margin
from mitlgan.report.schema import Anchor, ArmResult
from mitlgan.runtime.progress import finite

KidSide = Literal["with", "against", "silent", "missing"]
"""Whether KID agrees with the distance, contradicts it, does not separate the arms (difference below both spreads), or is missing."""


@dataclass(frozen=True)
class ExtractorScores:
    """The scores of one arm by one extractor.

    Attributes:
        metrics: As in `ArmResult`.
        values: Distance of each seed.
    """

    metrics: Mapping[str, Any]
    values: Sequence[float] = ()

    @property
    def fd(self) -> float | None:
        """Fréchet distance; None if it was not measured."""
        return finite(self.metrics.get("fd"))


def scores_by(row: ArmResult | Anchor, extractor: str, *, first: bool) -> ExtractorScores:
    """Return the scores of an arm or an anchor by an extractor; those of the first are in `metrics`."""
    metrics = row.metrics if first else row.by_extractor.get(extractor, {})
    return ExtractorScores(metrics, row.values.get(extractor, ()) if isinstance(row, ArmResult) else ())


@dataclass(frozen=True)
class BaselineOutcome:
    """The composition compared with one baseline, by one extractor.

    Attributes:
        baseline: The baseline.
        ours: The composition's scores.
        theirs: The baseline's scores.
    """

    baseline: ArmResult
    ours: ExtractorScores
    theirs: ExtractorScores

    @property
    def pair(self) -> tuple[float, float]:
        """Both distances, the composition's first."""
        return float(self.ours.metrics["fd"]), float(self.theirs.metrics["fd"])

    @property
    def measured_noise(self) -> float | None:
        """See `noise.noise_margin`; None with one seed."""
        return noise_margin(self.ours.values, self.theirs.values, second_trains=bool(self.baseline.seeds))

    @property
    def noise(self) -> float:
        """Difference below which nothing is decided; with one seed it is assumed to be `ASSUMED_NOISE` of the larger distance."""
        measured = self.measured_noise
        return ASSUMED_NOISE * max(self.pair) if measured is None else measured

    @property
    def difference(self) -> str:
        """The difference in words."""
        return self._difference_and_noise[0]

    @property
    def noise_text(self) -> str:
        """The noise in words, with as many digits as keep it on its side of the difference."""
        return self._difference_and_noise[1]

    @property
    def _difference_and_noise(self) -> tuple[str, str]:
        ours, theirs = self.pair
        return difference_and_noise(abs(ours - theirs), self.noise, 0 if max(ours, theirs) >= 100 else None)

    @property
    def relative(self) -> float:
        """The difference as a share of the baseline's distance."""
        ours, theirs = self.pair
        return abs(ours - theirs) / max(theirs, 1e-12)

    @property
    def kid(self) -> KidSide:
        """What KID says about the same pair."""
        a, b = (finite(side.metrics.get("kid")) for side in (self.ours, self.theirs))
        if a is None or b is None:
            return "missing"
        spread = sum(finite(side.metrics.get("kid_std")) or 0.0 for side in (self.ours, self.theirs))
        if abs(a - b) <= spread:
            return "silent"
        return "with" if (a < b) == (self.pair[0] < self.pair[1]) else "against"

    @property
    def kid_ratio(self) -> float | None:
        """KID of the composition divided by the baseline's; None if either is unknown, or the baseline's is not positive."""
        a, b = (finite(side.metrics.get("kid")) for side in (self.ours, self.theirs))
        return None if a is None or b is None or b <= 0 else a / b

    @property
    def side(self) -> Literal["won", "lost", "close"]:
        """How the composition did: the Fréchet distance decides if the difference exceeds noise and KID does not contradict it."""
        ours, theirs = self.pair
        if abs(ours - theirs) <= self.noise or self.kid == "against":
            return "close"
        return "won" if ours < theirs else "lost"

    def clause(self) -> str:
        """Return the outcome as a clause: `won by 19%`, `too close to call`."""
        return "too close to call" if self.side == "close" else f"{self.side} by {share(self.relative)}"

    def sentence(self, name: str) -> str:
        """Return the outcome as a sentence, for a baseline that is not the headline's.

        Args:
            name: Name of the distance.
        """
        ratio = "" if self.kid_ratio is None else f", KID ratio {number(self.kid_ratio)}"
        opponent = f"Against {self.baseline.label}"
        if self.side == "close":
            reason = f"{name} and KID disagree" if abs(self.pair[0] - self.pair[1]) > self.noise else f"noise is about {self.noise_text}"
            return f"{opponent}: {self.difference} {name} apart, too close to call ({reason}){ratio}."
        return f"{opponent}: {self.side} by {self.difference} {name} ({number(self.pair[1])}; noise is about {self.noise_text}){ratio}."


@dataclass(frozen=True)
class BareOutcome:
    """The arms against bare backgrounds, by one extractor.

    Attributes:
        beaten: Whether any arm is closer to real scenes.
        figure: The figure of bare backgrounds that decided, in words: their distance, or KID if they are more or fewer than the pictures of an arm.
    """

    beaten: bool
    figure: str


@dataclass(frozen=True)
class ExtractorOutcome:
    """The composition compared with all baselines, by one extractor.

    Attributes:
        extractor: Its name.
        best: Against the baseline with the lowest distance; if any trained for as long as all stages, among those.
        others: Against the other baselines.
        bare: The arms against bare backgrounds; None if these were not measured.
    """

    extractor: str
    best: BaselineOutcome
    others: Sequence[BaselineOutcome]
    bare: BareOutcome | None

    def against(self, baseline: ArmResult) -> BaselineOutcome | None:
        """Return the outcome against one baseline; None if this extractor did not measure it."""
        return next((outcome for outcome in (self.best, *self.others) if outcome.baseline is baseline), None)

    @property
    def distance(self) -> str:
        """Name of the distance."""
        return distance_name(self.extractor)


def compare_by_extractor(
    arms: Sequence[ArmResult], anchors: Sequence[Anchor], extractor: str, protocol: Mapping[str, Any], *, first: bool
) -> ExtractorOutcome | None:
    """Compare the first composed arm with every baseline; None if it, or all of them, were not measured by the extractor."""
    composed = next((arm for arm in arms if arm.role == "composed"), None)
    if composed is None:
        return None
    ours = scores_by(composed, extractor, first=first)
    outcomes = [BaselineOutcome(arm, ours, scores_by(arm, extractor, first=first)) for arm in arms if arm.role == "baseline" and not arm.diverged]
    outcomes = [outcome for outcome in outcomes if outcome.theirs.fd is not None]
    if ours.fd is None or not outcomes:
        return None
    # Baselines as long as all stages count. Those as long as the last stage alone are compared below, unless there are no others.
    best = min([outcome for outcome in outcomes if outcome.baseline.length != "stage"] or outcomes, key=lambda outcome: outcome.pair[1])
    bare = next((anchor for anchor in anchors if anchor.name == "bare_backgrounds"), None)
    sides = [ours, *(outcome.theirs for outcome in outcomes)]
    against_bare = None if bare is None else _compare_with_bare(sides, bare, scores_by(bare, extractor, first=first), extractor, protocol)
    return ExtractorOutcome(extractor, best, [outcome for outcome in outcomes if outcome is not best], against_bare)


def _compare_with_bare(
    sides: Sequence[ExtractorScores], anchor: Anchor, bare: ExtractorScores, extractor: str, protocol: Mapping[str, Any]
) -> BareOutcome | None:
    """Compare the arms with bare backgrounds; by KID, which has no bias, if there were more or fewer backgrounds than pictures of an arm."""
    if bare.fd is None:
        return None
    kid, kids = finite(bare.metrics.get("kid")), [finite(side.metrics.get("kid")) for side in sides]
    if anchor.has_counts_of(protocol) or kid is None or None in kids:
        return BareOutcome(min(side.fd for side in sides if side.fd is not None) < bare.fd, f"{distance_name(extractor)} {number(bare.fd)}")
    name = f"KID ({extractor})" if extractor else "KID"
    assert anchor.counts is not None  # or nothing would be known of another number
    return BareOutcome(min(one for one in kids if one is not None) < kid, f"{name} {number(kid)} of {anchor.counts[0]:,} backgrounds")
