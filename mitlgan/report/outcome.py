"""How the composition stands against the baselines by the numbers of one extractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mitlgan.report.formatting import distance_name, number, one_digit
from mitlgan.report.noise import ASSUMED_NOISE, noise_margin
from mitlgan.report.schema import Anchor, ArmResult
from mitlgan.runtime.progress import finite

KidSide = Literal["with", "against", "silent", "missing"]
"""KID's side: with or against the distance, silent (apart by less than both spreads), or missing."""


@dataclass(frozen=True)
class ExtractorScores:
    """One arm by one extractor.

    Attributes:
        metrics: As in `Arm`.
        values: Distance of each seed.
    """

    metrics: Mapping[str, Any]
    values: Sequence[float] = ()

    @property
    def fd(self) -> float | None:
        """Its Fréchet distance; None where it was not measured."""
        return finite(self.metrics.get("fd"))


def scores_by(row: ArmResult | Anchor, extractor: str, *, first: bool) -> ExtractorScores:
    """An arm's or an anchor's numbers by an extractor; those of the first stand in `metrics`."""
    metrics = row.metrics if first else row.by_extractor.get(extractor, {})
    return ExtractorScores(metrics, row.values.get(extractor, ()) if isinstance(row, ArmResult) else ())


@dataclass(frozen=True)
class BaselineOutcome:
    """The composition against one baseline, by one extractor.

    Attributes:
        baseline: The other arm.
        ours: The composition's numbers.
        theirs: The other arm's.
    """

    baseline: ArmResult
    ours: ExtractorScores
    theirs: ExtractorScores

    @property
    def pair(self) -> tuple[float, float]:
        """Both distances."""
        return float(self.ours.metrics["fd"]), float(self.theirs.metrics["fd"])

    @property
    def measured_noise(self) -> float | None:
        """See `noise.noise`; None with one seed."""
        return noise_margin(self.ours.values, self.theirs.values)

    @property
    def noise(self) -> float:
        """Difference below which nothing is decided; with one seed an assumption, `ASSUMED_NOISE` of the larger distance."""
        known = self.measured_noise
        return ASSUMED_NOISE * max(self.pair) if known is None else known

    @property
    def apart(self) -> str:
        """The difference in words."""
        ours, theirs = self.pair
        return number(abs(ours - theirs), 0 if max(ours, theirs) >= 100 else None)

    @property
    def relative(self) -> float:
        """The difference as a share of the baseline's distance."""
        ours, theirs = self.pair
        return abs(ours - theirs) / max(theirs, 1e-12)

    @property
    def kid(self) -> KidSide:
        """What KID says of the same pair."""
        a, b = (finite(side.metrics.get("kid")) for side in (self.ours, self.theirs))
        if a is None or b is None:
            return "missing"
        spread = sum(finite(side.metrics.get("kid_std")) or 0.0 for side in (self.ours, self.theirs))
        if abs(a - b) <= spread:
            return "silent"
        return "with" if (a < b) == (self.pair[0] < self.pair[1]) else "against"

    @property
    def kid_ratio(self) -> float | None:
        """KID of the composition over the baseline's; None where either is not known, or the baseline's is not positive."""
        a, b = (finite(side.metrics.get("kid")) for side in (self.ours, self.theirs))
        return None if a is None or b is None or b <= 0 else a / b

    @property
    def side(self) -> Literal["won", "lost", "close"]:
        """How the composition did: the Fréchet distance decides, where the difference passes noise and KID does not contradict it."""
        ours, theirs = self.pair
        if abs(ours - theirs) <= self.noise or self.kid == "against":
            return "close"
        return "won" if ours < theirs else "lost"

    def words(self) -> str:
        """The outcome as a clause: `won by 19%`, `too close to call`."""
        return "too close to call" if self.side == "close" else f"{self.side} by {self.relative:.0%}"

    def sentence(self, name: str) -> str:
        """The outcome against a baseline that is not the headline's.

        Args:
            name: Of the distance.
        """
        ratio = "" if self.kid_ratio is None else f", KID ratio {number(self.kid_ratio)}"
        whom = f"Against {self.baseline.label}"
        if self.side == "close":
            reason = f"{name} and KID disagree" if abs(self.pair[0] - self.pair[1]) > self.noise else f"noise is about {one_digit(self.noise)}"
            return f"{whom}: {self.apart} {name} apart, too close to call ({reason}){ratio}."
        return f"{whom}: {self.side} by {self.apart} {name} ({number(self.pair[1])}; noise is about {one_digit(self.noise)}){ratio}."


@dataclass(frozen=True)
class ExtractorOutcome:
    """The composition by one extractor.

    Attributes:
        extractor: Its name.
        best: Against the baseline of lowest distance, of those that had as much as all stages, if there are any.
        others: Against the others.
        beats_bare: Whether any arm is nearer to real scenes than bare backgrounds are; None where these were not measured.
        bare: Distance of bare backgrounds.
    """

    extractor: str
    best: BaselineOutcome
    others: Sequence[BaselineOutcome]
    beats_bare: bool | None
    bare: float | None

    @property
    def distance(self) -> str:
        """Name of the distance."""
        return distance_name(self.extractor)


def compare_by_extractor(arms: Sequence[ArmResult], anchors: Sequence[Anchor], extractor: str, *, first: bool) -> ExtractorOutcome | None:
    """The first composed arm against every baseline; None where it, or all of them, were not measured by the extractor."""
    composed = next((arm for arm in arms if arm.role == "composed"), None)
    if composed is None:
        return None
    ours = scores_by(composed, extractor, first=first)
    duels = [BaselineOutcome(arm, ours, scores_by(arm, extractor, first=first)) for arm in arms if arm.role == "baseline" and not arm.diverged]
    duels = [duel for duel in duels if duel.theirs.fd is not None]
    if ours.fd is None or not duels:
        return None
    # What had as much as all stages is what counts; arms as long as the last stage alone stand below, unless there are no others.
    best = min([duel for duel in duels if duel.baseline.length != "stage"] or duels, key=lambda duel: duel.pair[1])
    bare = next((scores_by(row, extractor, first=first).fd for row in anchors if row.name == "bare_backgrounds"), None)
    beats = None if bare is None else min(ours.fd, *(duel.pair[1] for duel in duels)) < bare
    return ExtractorOutcome(extractor, best, [duel for duel in duels if duel is not best], beats, bare)
