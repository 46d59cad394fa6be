"""The course of a comparison: train or take every arm, measure all alike, write the report. A second call goes on where the first ended."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mitlgan.artifacts.card import Card, read_card
from mitlgan.compare.arm_training import ArmTraining, explain_divergence, run_trainings
from mitlgan.compare.arms import (
    COMPOSED,
    PRETRAINING_SUFFIX,
    WGAN_ARMS,
    ArmSpec,
    check_baseline_name,
    extract_layers,
    finetune_layer,
    load_baseline_run,
    match_length,
    read_finished_card,
    resolve_arms,
)
from mitlgan.compare.budgets import training_macs, with_schedule
from mitlgan.compare.domains import DomainSetup, generator_specs, read_cards, resolve_domains
from mitlgan.compare.evaluator import CachedEvaluator, open_evaluator
from mitlgan.compare.lengths import extra_budget, pretraining_costs, resolve_resource
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.report_builder import DomainRun, TrainedArm, build_comparison
from mitlgan.compare.selection import Snapshot
from mitlgan.data.splits import held_out_training_warning
from mitlgan.errors import MitlganError, ResourceError, Stopped, UsageError
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.report import Comparison, ReportPaths, report_summary, write_reports
from mitlgan.runtime.files import folder_lock, write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import format_duration
from mitlgan.stages.context import RunContext
from mitlgan.stages.parallel import TrainingProcess
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

ARMS = "arms"


@dataclass(frozen=True)
class ComparisonResult:
    """A finished comparison.

    Attributes:
        run: Where the report lies.
        paths: The report's files.
        comparison: Everything in it, of the first domain.
        others: Of further domains.
    """

    run: Path
    paths: ReportPaths
    comparison: Comparison
    others: Sequence[Comparison] = ()

    @property
    def verdict(self) -> str:
        """The outcome in one sentence, or one per domain."""
        verdicts = [(c.title, c.verdict.headline) for c in (self.comparison, *self.others) if c.verdict]
        return verdicts[0][1] if len(verdicts) == 1 else " ".join(f"{title}: {headline}" for title, headline in verdicts)

    @property
    def html(self) -> Path:
        """The page."""
        return self.paths.html

    def summary(self) -> dict[str, Any]:
        """The report's numbers, and where it lies."""
        found = {"run": str(self.run), "report": str(self.paths.html), **report_summary(self.comparison)}
        return found | ({"domains": [report_summary(comparison) for comparison in (self.comparison, *self.others)]} if self.others else {})


def run_comparison(plan: ComparisonPlan, environment: RunContext) -> ComparisonResult:
    """Train or take the arms, measure them, write the report.

    Raises:
        UsageError: No composition, or the extractor's weights are absent: told before any training.
        MitlganError: As training and evaluation.
    """
    if environment.world.size > 1:
        raise UsageError("torchrun: compare works in one process; only its trainings (`pretrain scene`, `compose`) take several")
    for baseline in plan.baselines:
        check_baseline_name(baseline)
    domains = resolve_domains(plan, environment.root)
    rulers = [open_evaluator(plan, setting.recipe, environment) for setting in domains]
    for ruler in rulers:
        for caution in ruler.optimism_warnings(chosen=plan.trains_compositions):  # before hours of training, not only in the report
            environment.reporter.say(caution)
    if plan.trains_compositions:
        out = _open_plan(plan, domains[0], environment)
        with _locked(out):
            return _write_report(plan, [_train_arms(plan, *pair, environment) for pair in zip(domains, rulers, strict=True)], rulers, out)
    found = [_use_finished_composition(plan, *pair, environment) for pair in zip(domains, rulers, strict=True)]
    out = run_directory.create(environment.root, "compare", domains[0].recipe.name)
    with _locked(out):
        return _write_report(plan, found, rulers, out)


def _write_report(plan: ComparisonPlan, found: Sequence[DomainRun], rulers: Sequence[CachedEvaluator], out: Run) -> ComparisonResult:
    comparisons = [build_comparison(plan, domain, ruler) for domain, ruler in zip(found, rulers, strict=True)]
    paths = write_reports(out.path, comparisons)
    arms = {contender.arm.name: [str(run.path) for run in contender.runs] for domain in found for contender in domain.arms}
    out.write_status({"state": "done", "command": "compare", "arms": arms})
    return ComparisonResult(out.path, paths, comparisons[0], comparisons[1:])


@contextmanager
def _locked(out: Run) -> Iterator[None]:
    """The report's directory for this process alone; its status says how that ended."""
    with folder_lock(out.path):
        out.write_status({"state": "running", "command": "compare"})
        try:
            yield
        except MitlganError as error:
            with suppress(ResourceError):
                out.write_status({"state": "stopped" if isinstance(error, Stopped) else "failed", "command": "compare"})
            raise


def _open_plan(plan: ComparisonPlan, setting: DomainSetup, environment: RunContext) -> Run:
    """The report's directory, with the plan in it before the first training: an unfinished one of the same plan is continued.

    A plan that is not its folder's own, such as a link, is nobody's: this is said.
    """
    text = json.loads(json.dumps(plan.to_json()))
    for path in sorted((environment.root / "compare").glob("*/plan.json")):
        try:
            if read_json(path) == text and read_json(path.with_name("status.json")).get("state") != "done":
                return Run(path.parent)
        except ResourceError as error:
            environment.reporter.say(f"warning: {error}; this comparison is not continued")
    run = run_directory.create(environment.root, "compare", setting.recipe.name)
    write_json(run.path / "plan.json", text)
    return run


@dataclass(frozen=True)
class _FinishedComposition:
    """A composition that is taken as it is, and what every baseline of it gets."""

    run: Run
    card: Card
    files: Mapping[str, Path]
    equal: str
    before: Mapping[str, float]
    arms: Sequence[ArmSpec]

    def training(self, arm: ArmSpec, recipe: Recipe) -> ArmTraining:
        """A baseline's training, as long as all of the composition's stages, or as the last."""
        length = match_length(arm, recipe, self.card, equal=self.equal, extra=self.extra(arm, recipe))
        return ArmTraining(f"baseline {arm.name}", length, self.files if arm.uses_layers else {}, _start(arm, recipe, self.files), is_required=False)

    def extra(self, arm: ArmSpec, recipe: Recipe) -> float:
        """What it gets beyond the last stage."""
        return extra_budget(arm, recipe, self.before)


def _composition(plan: ComparisonPlan, setting: DomainSetup, environment: RunContext) -> _FinishedComposition:
    run = setting.composed
    assert run is not None
    assert run.artifact_file is not None
    card, files = read_finished_card(run), extract_layers(run.artifact_file)
    equal = resolve_resource(plan, read_cards(files).values(), environment, composition=card)
    before = pretraining_costs(files, equal, plan.count_pretraining, environment.reporter.say)
    return _FinishedComposition(run, card, files, equal, before, resolve_arms(plan.baselines, setting.recipe, card.generator_specs()))


def baseline_jobs(plan: ComparisonPlan, environment: RunContext) -> list[TrainingProcess]:
    """The trainings that `compare` would do, for processes side by side; it takes them once they are there.

    Args:
        plan: Takes a composition as it is.
        environment: As for `compare`.
    """
    (setting,) = resolve_domains(plan, environment.root)
    taken = _composition(plan, setting, environment)
    return [taken.training(arm, setting.recipe).to_job() for arm in taken.arms[1:] if arm.recipe is not None]


def _use_finished_composition(plan: ComparisonPlan, setting: DomainSetup, ruler: CachedEvaluator, environment: RunContext) -> DomainRun:
    """A finished composition, and baselines as long as it."""
    taken, recipe = _composition(plan, setting, environment), setting.recipe
    environment.reporter.say(f"composition: {taken.run.path}")
    if sentence := held_out_training_warning(recipe.data.source, recipe.role, taken.card.data):
        environment.reporter.say(sentence)
    forms_of = taken.card.generator_specs()
    ours, *others = taken.arms
    contenders = [TrainedArm(ours, [taken.run], [[_end(taken.run, training_macs(recipe, forms_of))]])]
    for arm in others:
        if arm.recipe is None:
            contenders.append(_untrained(arm))
            continue
        given = plan.baseline_run if arm.name in WGAN_ARMS else None
        training = taken.training(arm, recipe)
        if given is None and taken.extra(arm, recipe) and (length := training.recipe.training.limit_s):
            environment.reporter.say(f"{arm.label}: {format_duration(length)} of training, as long as all of the composition's stages together")
        if given is None:
            run_trainings([training], environment)
            if failed := _failed(arm, [training], environment):
                contenders.append(failed)
                continue
        baseline = _found(training, environment) if given is None else load_baseline_run(given, taken.card)
        environment.reporter.say(f"baseline: {baseline.path}")
        rate = training_macs(arm.recipe, forms_of if arm.uses_layers else {})
        extra = taken.extra(arm, recipe) if given is None else 0.0
        contenders += _beside(arm, baseline, rate, extra, counted=bool(taken.before))
    return DomainRun(setting, taken.card, contenders, equal=taken.equal, pretraining_costs=taken.before)


def _beside(arm: ArmSpec, run: Run, per_kimg: float, extra: float, *, counted: bool) -> Iterator[TrainedArm]:
    """A baseline as long as all stages, and where it stood when it was as long as the last: the artifact that was kept there."""
    end = _end(run, per_kimg)
    if not extra:
        yield TrainedArm(arm, [run], [[end]], length="total" if counted and arm.uses_layers else "stage")
        return
    whole = dataclasses.replace(arm, name=f"{arm.name}{PRETRAINING_SUFFIX}", label=f"{arm.label}, as long as all stages", counts_pretraining=True)
    yield TrainedArm(whole, [run], [[end]], extra_budget=extra, length="total")
    kept = [_point(read_card(path), per_kimg, path) for path in run.list_kept_artifacts()]
    alone = dataclasses.replace(arm, label=f"{arm.label}, this stage alone")
    yield TrainedArm(alone, [run], [[kept[0] if kept else end]], length="stage")


def _train_arms(plan: ComparisonPlan, setting: DomainSetup, ruler: CachedEvaluator, environment: RunContext) -> DomainRun:
    """Every arm trained for the same budgets, once per seed; without budgets the composition is as long as its recipe says, and the others as it."""
    inside = dataclasses.replace(environment, root=environment.root / ARMS)
    first = setting.recipe.seed
    seeds = range(first, first + plan.seeds)
    apart = {seed: setting.pretrainings_for_seed(seed, plan.pretrain_seeds) for seed in seeds}
    run_trainings([training for trainings in apart.values() for training in trainings.values()], inside, jobs=plan.jobs)
    layers = {seed: {**setting.layers, **_artifacts(apart[seed], inside)} for seed in seeds}
    own = generator_specs(layers[first])
    arms = resolve_arms(plan.baselines, setting.recipe, own)
    rates = {arm.name: training_macs(arm.recipe, own if arm.uses_layers else {}) for arm in arms if arm.recipe is not None}
    equal = resolve_resource(plan, read_cards(layers[first]).values(), environment)
    before = pretraining_costs(layers[first], equal, plan.count_pretraining, environment.reporter.say)

    def trainings(which: Sequence[ArmSpec], budgets: Sequence[float], unit: str) -> dict[tuple[str, int], ArmTraining]:
        made = {}
        for seed in seeds:
            for arm in which:
                assert arm.recipe is not None
                length = with_schedule(arm.recipe, budgets, unit, rates[arm.name], extra=extra_budget(arm, setting.recipe, before))
                made[arm.name, seed] = _training(setting, arm, with_overrides(length, seed=seed), layers[seed])
        return made

    trained = [arm for arm in arms if arm.recipe is not None]
    if plan.budgets or equal == "kimg":
        budgets = plan.budgets or (setting.recipe.training.kimg,)
        known = trainings(trained, budgets, equal)
        run_trainings(list(known.values()), inside, jobs=plan.jobs)
    else:
        known = trainings(trained[:1], (setting.recipe.training.kimg,), "kimg")
        run_trainings(list(known.values()), inside, jobs=plan.jobs)
        took = [_end(_found(training, inside), rates[COMPOSED]).position(equal) for training in known.values()]
        budgets = (max(took),)  # what the slowest seed took: nobody else has less
        known |= trainings(trained[1:], budgets, equal)
        run_trainings(list(known.values()), inside, jobs=plan.jobs)
    contenders = []
    for arm in arms:
        if arm.recipe is None:
            contenders.append(_untrained(arm))
            continue
        extra = extra_budget(arm, setting.recipe, before)
        if failed := _failed(arm, [known[arm.name, seed] for seed in seeds], inside):
            contenders.append(failed)
            continue
        done = [_found(known[arm.name, seed], inside) for seed in seeds]
        points = [_measured(run, rates[arm.name], ruler) for run in done]
        contenders += _at_budgets(arm, done, points, extra, counted=bool(before))
    composed = _found(known[COMPOSED, first], inside)
    return DomainRun(setting, read_finished_card(composed), contenders, budgets=tuple(budgets), equal=equal, pretraining_costs=before)


def _at_budgets(arm: ArmSpec, done: Sequence[Run], points: Sequence[Sequence[Snapshot]], extra: float, *, counted: bool) -> Iterator[TrainedArm]:
    """An arm at each budget and, where pretrainings are counted, at each budget and these."""
    if not extra:
        alike: Literal["total", "stage"] = "total" if counted and arm.uses_layers else "stage"
        yield TrainedArm(arm, done, points, length="" if arm.name == COMPOSED else alike)
        return
    whole = dataclasses.replace(arm, name=f"{arm.name}{PRETRAINING_SUFFIX}", label=f"{arm.label}, as long as all stages", counts_pretraining=True)
    yield TrainedArm(whole, done, points, extra_budget=extra, length="total")
    yield TrainedArm(dataclasses.replace(arm, label=f"{arm.label}, this stage alone"), done, points, length="stage")


def _training(setting: DomainSetup, arm: ArmSpec, recipe: Recipe, layers: Mapping[str, Path]) -> ArmTraining:
    label = " ".join(part for part in (setting.name, arm.name, f"seed {recipe.seed}") if part)
    return ArmTraining(label, recipe, layers if arm.uses_layers else {}, _start(arm, setting.recipe, layers), is_required=arm.name == COMPOSED)


def _start(arm: ArmSpec, composition: Recipe, layers: Mapping[str, Path]) -> Path | None:
    return layers[finetune_layer(composition, layers)] if arm.from_foreground else None


def _failed(arm: ArmSpec, trainings: Sequence[ArmTraining], environment: RunContext) -> TrainedArm | None:
    """An arm of which a training diverged, so that nothing of it can be measured; None where all are finished."""
    open_ones = [training for training in trainings if not _is_finished(training, environment)]
    ended = [run for training in open_ones if (run := training.find_diverged_run(environment.root)) is not None]
    return TrainedArm(arm, ended, [], failure=explain_divergence(ended, len(trainings))) if ended else None


def _is_finished(training: ArmTraining, environment: RunContext) -> bool:
    run = training.find_run(environment.root)
    return run is not None and run.artifact_file is not None


def _found(training: ArmTraining, environment: RunContext) -> Run:
    run = training.find_run(environment.root)
    assert run is not None
    return run


def _artifacts(trainings: Mapping[str, ArmTraining], environment: RunContext) -> dict[str, Path]:
    found = {name: _found(training, environment).artifact_file for name, training in trainings.items()}
    return {name: path for name, path in found.items() if path is not None}


def _untrained(arm: ArmSpec) -> TrainedArm:
    if arm.artifact is None:
        return TrainedArm(arm, [], [])
    card = read_card(arm.artifact)
    return TrainedArm(arm, [], [[_point(card, 0.0, arm.artifact)]])


def _end(run: Run, per_kimg: float) -> Snapshot:
    card = read_finished_card(run)
    assert run.artifact_file is not None
    return _point(card, per_kimg, run.artifact_file)


def _point(card: Card, per_kimg: float, path: Path) -> Snapshot:
    return Snapshot(card.kimg, card.seconds, card.cpu_seconds, card.kimg * per_kimg, path)


def _measured(run: Run, per_kimg: float, ruler: CachedEvaluator) -> list[Snapshot]:
    """Every kept snapshot of a run and its end, measured on the validation pictures."""
    points = []
    for path in run.list_kept_artifacts():
        points.append(_point(read_card(path), per_kimg, path))
    end = _end(run, per_kimg)
    if not points or points[-1].kimg < end.kimg:
        points.append(end)
    measured = []
    for point in points:
        numbers = flat_metrics(ruler.evaluate_artifact(point.path, validation=True))
        measured.append(dataclasses.replace(point, validation=numbers["fd"], numbers=numbers))
    return measured
