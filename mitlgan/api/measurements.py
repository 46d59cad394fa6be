"""`mitlgan.evaluate` and `mitlgan.compare`: numbers of artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.api.context import Device, StrPath, open_context
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.runner import ComparisonResult, run_comparison
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.runtime.arguments import takes_arguments
from mitlgan.runtime.distributed import resolve_device
from mitlgan.runtime.progress import PlainReporter, ignore_message
from mitlgan.stages.evaluate import evaluate_artifact, record_evaluation


@dataclass(frozen=True)
class EvaluationResult:
    """What was measured of an artifact.

    Attributes:
        artifact: Its file.
        metrics: Numbers by name, such as `fd` (Fréchet distance) and `kid`; for all but precision, recall and their like, lower is better.
        split: Split of the real pictures: `train`, `validation` or `test`.
        generated: Number of generated pictures.
        real: Number of real ones; a distance to fewer than 500 is uncertain.
        figures: Everything, with what is needed to compare it: extractor, hash of its weights, hash of the pictures, seed.
    """

    artifact: Path
    metrics: dict[str, float]
    split: str
    generated: int
    real: int
    figures: dict[str, Any]


@takes_arguments(options={"--extractor": "extractors", "-n": "samples"}, is_training=True)
def evaluate(
    artifact: StrPath,
    data: StrPath | None = None,
    *,
    split: str | None = None,
    samples: int | None = None,
    extractors: Sequence[str] = (),
    weights: StrPath | None = None,
    seed: int = 0,
    write_card: bool = False,
    device: Device = "auto",
    quiet: bool = False,
) -> EvaluationResult:
    """Measure an artifact's images against real ones: `mitlgan evaluate`.

    Meanwhile other threads of the process should not rely on torch's default type, deterministic algorithms or random numbers; see
    `mitlgan.runtime.torch_modes.call_with_shared_defaults`.

    Args:
        artifact: An artifact, a run, or one of its steps, such as `RUN@4000` or `RUN@best`.
        data: Real pictures: a folder, a pack, or `demo`; None takes those of the artifact's recipe.
        split: `train`, `validation` or `test`; None takes the recipe's, else a held-out one.
        samples: Number of generated images, at least 2; None takes the recipe's.
        extractors: Feature extractors, the deciding one first, such as `efficientnet-lite0`; empty takes the recipe's.
        weights: Weights file of the first extractor.
        seed: Decides latents and the choice of real pictures, at least 0.
        write_card: Write the numbers into the artifact's card.
        device: See `pretrain`.
        quiet: Show no notes.

    Raises:
        UsageError: An extractor or its weights are missing, or a number is out of range.
        DataError: There are fewer than two real pictures, or no such split.
        ArtifactError: The artifact is damaged, makes images of another size, or was replaced while it was measured and its card is to be written.

    Example:
        >>> import mitlgan
        >>> result = mitlgan.evaluate("pretrained/modern-32", "demo", samples=16, extractors=["efficientnet-lite0@32"], quiet=True)
        >>> result.generated, result.split, result.metrics["kid"] > 0
        (16, 'test', True)
    """
    say = ignore_message if quiet else PlainReporter("evaluate").say
    result = evaluate_artifact(
        Path(artifact), data=None if data is None else str(data), extractors=extractors, weights=None if weights is None else Path(weights),
        samples=samples, split=split, seed=seed, device=str(resolve_device(device)), needs_card=write_card, say=say,
    )  # fmt: skip
    if write_card:
        record_evaluation(result.artifact, result.figures, result.tensors_sha256, say)
    main = result.figures["frechet"]
    return EvaluationResult(result.artifact, flat_metrics(result.figures), result.split, int(main["generated"]), int(main["real"]), result.figures)


@takes_arguments(options={"--baseline": "baselines", "--extractor": "extractors", "-n": "samples"}, is_training=True)
def compare(
    composed: StrPath | None = None,
    *,
    baselines: Sequence[str] = ("wgan",),
    samples: int | None = None,
    extractors: Sequence[str] = (),
    seeds: int = 1,
    jobs: int = 1,
    out: StrPath = "runs",
    device: Device = "auto",
    quiet: bool = False,
) -> ComparisonResult:
    """Compare a composition with baselines on the same scenes, and write the report: `mitlgan compare`.

    Baselines get as much time as all stages of the composition. A stopped comparison continues when it is called again.

    Meanwhile other threads of the process should not rely on torch's default type, deterministic algorithms or random numbers; see
    `mitlgan.runtime.torch_modes.call_with_shared_defaults`.

    Args:
        composed: Run of the composition; None takes the newest below `out` whose layers can be moved, else the newest.
        baselines: At least one of `wgan`, `plain-wgan`, `wgan-finetuned`, `plain`, `paste`, or recipes, artifacts or runs.
        samples: Number of images that are measured, at least 2; None takes the recipe's.
        extractors: See `evaluate`.
        seeds: Trainings of each arm, from 1 to 100.
        jobs: Trainings at a time, from 1 to 64.
        out: Parent folder of runs.
        device: See `pretrain`.
        quiet: Show no progress.

    Returns:
        Its `run` is the folder, `html` the page, `verdict` the outcome in a sentence, `summary()` all numbers.

    Raises:
        UsageError: There is no composition, no such baseline, or a number is out of range.
        MitlganError: As of `pretrain` and `evaluate`.

    Example:
        >>> import mitlgan
        >>> result = mitlgan.compare("runs/compose/modern-001", baselines=["wgan", "paste"])  # doctest: +SKIP
        >>> print(result.verdict, result.html)  # doctest: +SKIP
    """
    plan = ComparisonPlan(
        composed=None if composed is None else Path(composed), baselines=tuple(baselines), samples=samples, extractors=tuple(extractors), seeds=seeds,
        jobs=jobs,
    )  # fmt: skip
    with open_context("compare", out, device, quiet) as context:
        return run_comparison(plan, context)
