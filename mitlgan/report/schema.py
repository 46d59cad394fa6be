"""The content of a report as plain data; `html.write_report` turns a `Comparison` into files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Pixels: TypeAlias = "Tensor | bytes"
"""Pictures: uint8 (N, C, H, W), C = 1 (matte), 3 (RGB) or 4 (RGB premultiplied by its alpha); or a finished PNG as bytes."""

Row = Mapping[str, Any]
"""One line of `stats.jsonl`, `timing.jsonl` or of an evaluation taken during training."""


@dataclass(frozen=True)
class StageCost:
    """The cost of one training stage.

    Args:
        label: Name of the stage for readers, e.g. "foreground".
        kimg: Thousand real images shown to the critic.
        seconds: Wall-clock seconds of training, over all resumes; None if not recorded.
        pretraining: True for a stage that came before the compared one.
        macs: Tera multiply-accumulates of its training; None if they cannot be known.
        cpu_seconds: CPU seconds of its training, summed over threads; None if not recorded.
    """

    label: str
    kimg: float | None
    seconds: float | None
    pretraining: bool = False
    macs: float | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Cost:
    """The cost of an arm, stage by stage, and the size of its generator.

    Args:
        stages: In training order; those with `pretraining` count in "total", but not in "this stage".
        trained_parameters: Parameters that received gradient in the compared stage.
        parameters: All parameters of the generator or composer, as `networks.count_parameters` counts.
        macs_per_image: Multiply-accumulates of one forward image.
    """

    stages: Sequence[StageCost] = ()
    trained_parameters: int | None = None
    parameters: int | None = None
    macs_per_image: int | None = None

    def kimg(self, *, total: bool) -> float | None:
        """Return thousand real images of the compared stage, or with pretraining included."""
        return _sum_known([stage.kimg for stage in self.stages if total or not stage.pretraining])

    def seconds(self, *, total: bool) -> float | None:
        """Return seconds of the compared stage, or with pretraining included."""
        return _sum_known([stage.seconds for stage in self.stages if total or not stage.pretraining])

    def cpu_seconds(self, *, total: bool) -> float | None:
        """Return CPU seconds of the compared stage, or with pretraining included."""
        return _sum_known([stage.cpu_seconds for stage in self.stages if total or not stage.pretraining])

    def macs(self, *, total: bool) -> float | None:
        """Return tera multiply-accumulates of training the compared stage, or with pretraining included."""
        return _sum_known([stage.macs for stage in self.stages if total or not stage.pretraining])


@dataclass(frozen=True)
class Picture:
    """Pictures with a caption that belong to no arm, such as training pictures or samples of shipped artifacts.

    Args:
        caption: Shown under the pictures.
        pixels: See `Pixels`.
        alt: Alternative text; empty gives the caption and the number of pictures.
    """

    caption: str
    pixels: Pixels
    alt: str = ""


@dataclass(frozen=True)
class ArmResult:
    """One arm of the comparison, measured.

    Args:
        name: Short identifier, unique in the report.
        label: Name for readers.
        role: "composed" or "baseline"; the verdict compares the first composed arm with the best baseline.
        run_dir: Run directory for readers.
        stats: Rows of `stats.jsonl`.
        timing: Rows of `timing.jsonl`.
        evaluations: Rows {"kimg", "seconds", "cpu_seconds", "macs", "fd", "fd_std", ...} measured during training, if any; means over the seeds.
        budget_results: Rows {"budget", "fd", "fd_std", "kid", ...} at each budget, the best snapshot up to it, on the reported pictures.
        separation: Numbers of `metrics.layer_separation.SeparationScores`, for arms that are made of layers.
        separation_grid: The swap as a finished PNG: rows share a foreground, columns a background.
        neighbours: Samples and their nearest training pictures, as pictures with captions.
        memorised: One sentence on how close samples are to the training pictures.
        recipes_tried: Number of recipes tried for this arm, including this one, as declared by the user.
        snapshots_tried: Number of snapshots or settings that validation chose from, per seed.
        cost: What it cost.
        metrics: "fd", "kid", "kid_std" and any of `tables.METRICS`, by the first extractor; missing or not finite prints as a dash.
        by_extractor: The same for the other extractors, by name.
        values: Distance of each seed, by extractor.
        length: Length of a baseline: "total", as long as all stages of the composition; "stage", as long as its last stage; empty if nothing was
            trained, or if it was trained elsewhere.
        layers: Stages of the picture in order, name -> pixels, all at the same latents ("fg", "bg", "matte", "fused", "output").
        samples: Final pictures at the shared seeds.
        seeds: Training seeds behind `metrics`; empty if nothing is trained.
        notes: Sentences on this arm's numbers.
        diverged: Whether its training diverged: its numbers are shown, but not compared.
        progress: Animation of its training's snapshots, WebP; of the first seed.
    """

    name: str
    label: str
    role: Literal["composed", "baseline"]
    run_dir: str | None = None
    stats: Sequence[Row] = ()
    timing: Sequence[Row] = ()
    evaluations: Sequence[Row] = ()
    cost: Cost = field(default_factory=Cost)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Pixels] = field(default_factory=dict)
    samples: Pixels | None = None
    seeds: Sequence[int] = (0,)
    notes: Sequence[str] = ()
    budget_results: Sequence[Row] = ()
    separation: Mapping[str, Any] = field(default_factory=dict)
    separation_grid: Pixels | None = None
    neighbours: Sequence[Picture] = ()
    memorised: str = ""
    recipes_tried: int = 1
    snapshots_tried: int = 1
    by_extractor: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    length: Literal["total", "stage", ""] = ""
    diverged: bool = False
    progress: bytes | None = None


@dataclass(frozen=True)
class Anchor:
    """A row that shows what a number means, measured by the same protocol as the arms.

    Args:
        name: Identifier; "real_halves", "real_pasted" and "bare_backgrounds" are known to the verdict.
        label: Name for readers.
        metrics: As in `Arm`.
        meaning: One clause on what this anchor stands for.
        by_extractor: As in `Arm`.
        counts: Number of pictures in its place of the generated ones, and of real ones; none if unknown, as in records of earlier versions. A Fréchet
            distance falls with both.
    """

    name: str
    label: str
    metrics: Mapping[str, Any]
    meaning: str = ""
    by_extractor: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    counts: tuple[int, int] | None = None

    def has_counts_of(self, protocol: Mapping[str, Any]) -> bool:
        """Return whether it was measured with as many pictures as the arms, as far as is known, so that Fréchet distances can be compared."""
        if self.counts is None:
            return True
        arms = (protocol.get("samples"), protocol.get("real"))
        return all(of_arms is None or of_arms == own for of_arms, own in zip(arms, self.counts, strict=True))


@dataclass(frozen=True)
class DomainPictures:
    """The real pictures of one triple: foregrounds, backgrounds and scenes of one domain.

    Args:
        name: The domain, e.g. "demo".
        pictures: In the order foreground, background, scene.
    """

    name: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Verdict:
    """The outcome in words.

    Args:
        outcome: How the composed arm did; "not comparable" if the measurement allows no verdict.
        headline: One sentence.
        reasons: Sentences with the reasons and the limits.
    """

    outcome: Literal["won", "lost", "close", "not comparable", "unmeasured"]
    headline: str
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """The content of one report.

    Args:
        title: Heading of the page.
        arms: The composed arm first.
        anchors: Rows that show what the distances mean.
        verdict: See `verdict.decide_verdict`; None for a report on one run.
        equal: What all arms share, one clause each.
        unequal: What differed, one clause each.
        protocol: How it was measured: "extractor", which decides, "extractors", all of them, "samples", "real", the number of real pictures, "split",
            "resize", "seed", hashes.
        environment: Versions, threads, device.
        real: Real pictures of the split that the arms are measured against.
        domains: What the networks were trained on.
        shipped: Samples of the shipped artifacts ("what longer training gives").
        commands: Shell lines that reproduce the report.
        trust: Further sentences on how far to trust the numbers.
        resource: What arms of equal length got the same amount of, a key of `verdict.UNITS`; empty if unknown.
        budget_unit: Unit of the budgets, e.g. "kimg"; empty if arms are compared at one length only.
        lead_sentences: Who is ahead when, one sentence each.
        findings: What the training's own statistics show, for a report on one run.
        made_by: Program and version.
    """

    title: str
    arms: Sequence[ArmResult]
    anchors: Sequence[Anchor] = ()
    verdict: Verdict | None = None
    equal: Sequence[str] = ()
    unequal: Sequence[str] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    real: Pixels | None = None
    domains: Sequence[DomainPictures] = ()
    shipped: Sequence[Picture] = ()
    commands: Sequence[str] = ()
    trust: Sequence[str] = ()
    made_by: str = "mitlgan"
    budget_unit: str = ""
    resource: str = ""
    lead_sentences: Sequence[str] = ()
    findings: Sequence[str] = ()

    @property
    def extractors(self) -> tuple[str, ...]:
        """Names of the extractors, the deciding one first; empty if nothing was measured."""
        return extractors_of(self.protocol)


def extractors_of(protocol: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the extractors of a protocol; those of earlier versions have one."""
    several = protocol.get("extractors")
    if isinstance(several, Sequence) and not isinstance(several, str) and several:
        return tuple(str(name) for name in several)
    return (str(protocol["extractor"]),) if protocol.get("extractor") else ()


def _sum_known(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers and len(numbers) == len(values) else None
