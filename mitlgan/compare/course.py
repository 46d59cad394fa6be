"""The course of a comparison: train or take every arm, measure all alike, write the report. A second call goes on where the first ended."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan import artifact, runs, stages
from mitlgan.artifact import Card
from mitlgan.compare.arms import (
    COMPOSED,
    Arm,
    Training,
    all_arms,
    as_long,
    baseline_recipe,
    finished_card,
    given_run,
    layer_files,
    require_known,
    starting_layer,
)
from mitlgan.compare.budgets import scheduled, training_macs
from mitlgan.compare.measure import Ruler
from mitlgan.compare.plan import EQUAL, Plan
from mitlgan.compare.settings import Setting, cards, forms, settings
from mitlgan.compare.show import Contender, Domain, shown
from mitlgan.compare.standings import Point
from mitlgan.data.split_folders import recorded_split
from mitlgan.data.splits import measured_split, resolved_split
from mitlgan.errors import MitlganError, ResourceError, Stopped, UsageError
from mitlgan.evaluate import Protocol, headline, open_extractor
from mitlgan.files import locked, write_json
from mitlgan.jobs import run_side_by_side
from mitlgan.recipe import Recipe, changed, parse
from mitlgan.report import Comparison, Paths, summary, write_reports
from mitlgan.runs import Run
from mitlgan.stages import Environment

ARMS = "arms"


@dataclass(frozen=True)
class Result:
    """A finished comparison.

    Attributes:
        run: Where the report lies.
        paths: The report's files.
        comparison: Everything in it, of the first domain.
        others: Of further domains.
    """

    run: Path
    paths: Paths
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
        found = {"run": str(self.run), "report": str(self.paths.html), **summary(self.comparison)}
        return found | ({"domains": [summary(comparison) for comparison in (self.comparison, *self.others)]} if self.others else {})


def compare(plan: Plan, environment: Environment) -> Result:
    """Train or take the arms, measure them, write the report.

    Raises:
        UsageError: No composition, or the extractor's weights are absent: told before any training.
        MitlganError: As training and evaluation.
    """
    if environment.world.size > 1:
        raise UsageError("torchrun: compare works in one process; only its trainings (`pretrain scene`, `compose`) take several")
    for baseline in plan.baselines:
        require_known(baseline)
    domains = settings(plan, environment.root)
    rulers = [_ruler(plan, setting, environment) for setting in domains]
    for ruler in rulers:
        for caution in ruler.flattered(chosen=bool(plan.budgets)):  # before hours of training, not only in the report
            environment.reporter.say(caution)
    if plan.trains:
        out = _planned(plan, domains[0], environment)
        with _held(out):
            return _reported(plan, [_trained(plan, *pair, environment) for pair in zip(domains, rulers, strict=True)], rulers, out)
    found = [_taken(plan, *pair, environment) for pair in zip(domains, rulers, strict=True)]
    out = runs.create(environment.root, "compare", domains[0].recipe.name)
    with _held(out):
        return _reported(plan, found, rulers, out)


def _reported(plan: Plan, found: Sequence[Domain], rulers: Sequence[Ruler], out: Run) -> Result:
    comparisons = [shown(plan, domain, ruler) for domain, ruler in zip(found, rulers, strict=True)]
    paths = write_reports(out.path, comparisons)
    arms = {contender.arm.name: [str(run.path) for run in contender.runs] for domain in found for contender in domain.contenders}
    out.write_status({"state": "done", "command": "compare", "arms": arms})
    return Result(out.path, paths, comparisons[0], comparisons[1:])


@contextmanager
def _held(out: Run) -> Iterator[None]:
    """The report's directory for this process alone; its status says how that ended."""
    with locked(out.path):
        out.write_status({"state": "running", "command": "compare"})
        try:
            yield
        except MitlganError as error:
            with suppress(ResourceError):
                out.write_status({"state": "stopped" if isinstance(error, Stopped) else "failed", "command": "compare"})
            raise


def _ruler(plan: Plan, setting: Setting, environment: Environment) -> Ruler:
    recipe, say = setting.recipe, environment.reporter.say
    named = recipe.evaluation.split if any(text.partition("=")[0].strip() == "evaluation.split" for text in plan.settings) else None
    standing_in: list[str] = []
    split = measured_split(recipe.data.source, recipe.role, named, recipe.evaluation.split, standing_in.append)
    real, training = stages.pictures(recipe, split, say=say), stages.pictures(recipe)
    split = recorded_split(split, real.content_sha256, training.content_sha256)
    if split != "train":  # of which the ruler tells itself, here and in the report
        for sentence in standing_in:
            say(sentence)
    validation = resolved_split(recipe.data.source, recipe.role, "validation")
    chosen_by = stages.pictures(recipe, validation)
    validation = recorded_split(validation, chosen_by.content_sha256, training.content_sha256)
    protocol = Protocol(extractor=plan.extractor or recipe.evaluation.extractors[0], samples=plan.samples or recipe.evaluation.samples, split=split)
    device = str(environment.world.device)
    return Ruler(
        protocol, real, chosen_by, validation,
        open_extractor(protocol, weights=plan.weights, device=device), device, environment.reporter,
    )  # fmt: skip


def _planned(plan: Plan, setting: Setting, environment: Environment) -> Run:
    """The report's directory, with the plan in it before the first training: an unfinished one of the same plan is gone on with."""
    text = json.loads(json.dumps(plan.as_json()))
    for path in sorted((environment.root / "compare").glob("*/plan.json")):
        if runs.read_json(path) == text and runs.read_json(path.with_name("status.json")).get("state") != "done":
            return Run(path.parent)
    run = runs.create(environment.root, "compare", setting.recipe.name)
    write_json(run.path / "plan.json", text)
    return run


def _taken(plan: Plan, setting: Setting, ruler: Ruler, environment: Environment) -> Domain:
    """A finished composition, and baselines as long as it."""
    run = setting.composed
    assert run is not None
    card, recipe = finished_card(run), setting.recipe
    environment.reporter.say(f"composition: {run.path}")
    layers = card.forms()
    ours, *others = all_arms(plan.baselines, recipe, layers)
    contenders = [Contender(ours, [run], [[_end(run, training_macs(recipe, layers))]])]
    for arm in others:
        if arm.recipe is None:
            contenders.append(_untrained(arm, ruler))
            continue
        baseline = _baseline(plan, arm, setting, environment)
        environment.reporter.say(f"baseline: {baseline.path}")
        contenders.append(Contender(arm, [baseline], [[_end(baseline, training_macs(arm.recipe, layers if arm.composes else {}))]]))
    return Domain(setting, card, contenders)


def _baseline(plan: Plan, arm: Arm, setting: Setting, environment: Environment) -> Run:
    assert setting.composed is not None
    assert setting.composed.artifact is not None
    card = finished_card(setting.composed)
    if arm.name == "wgan" and plan.baseline_run is not None:
        return given_run(plan.baseline_run, card)
    if arm.name == "wgan":
        length = baseline_recipe(setting.recipe, card, equal=plan.equal, count_pretraining=plan.count_pretraining)
        return stages.resumed_or_new(length, environment)
    assert arm.recipe is not None
    recipe = as_long(arm.recipe, setting.recipe, card, equal=plan.equal, count_pretraining=plan.count_pretraining)
    files = layer_files(setting.composed.artifact) if arm.composes or arm.starts else {}
    return Training(arm.label, recipe, files if arm.composes else {}, _start(arm, setting.recipe, files)).run(environment)


def _trained(plan: Plan, setting: Setting, ruler: Ruler, environment: Environment) -> Domain:
    """Every arm trained for the same budgets, once per seed."""
    inside = dataclasses.replace(environment, root=environment.root / ARMS)
    first = setting.recipe.seed
    seeds = range(first, first + plan.seeds)
    before = {seed: setting.pretrainings_of(seed, plan.pretrain_seeds) for seed in seeds}
    _run_all([training for trainings in before.values() for training in trainings.values()], plan, inside)
    layers = {seed: {**setting.layers, **_artifacts(before[seed], inside)} for seed in seeds}
    own = forms(layers[first])
    budgets = plan.budgets or (setting.recipe.training.kimg,)
    arms = all_arms(plan.baselines, setting.recipe, own)
    extra = _pretraining(layers[first], plan.equal) if plan.count_pretraining else 0.0
    rates = {arm.name: training_macs(arm.recipe, own if arm.composes else {}) for arm in arms if arm.recipe is not None}
    trainings = {
        (arm.name, seed): _training(setting, arm, changed(_length(arm, arm.recipe, budgets, plan, rates, extra), seed=seed), layers[seed])
        for seed in seeds for arm in arms if arm.recipe is not None
    }  # fmt: skip
    _run_all(list(trainings.values()), plan, inside)
    contenders = []
    composed = _found(trainings[COMPOSED, first], inside)
    for arm in arms:
        if arm.recipe is None:
            contenders.append(_untrained(arm, ruler))
            continue
        done = [_found(trainings[arm.name, seed], inside) for seed in seeds]
        points = [_measured(run, rates[arm.name], ruler) for run in done]
        contenders.append(Contender(arm, done, points))
        if extra and arm.name != COMPOSED:
            counted = dataclasses.replace(arm, name=f"{arm.name}+pretraining", label=f"{arm.label}, as long as all stages", counted=True)
            contenders.append(Contender(counted, done, points, extra=extra))
    return Domain(setting, finished_card(composed), contenders, budgets=tuple(budgets))


def _training(setting: Setting, arm: Arm, recipe: Recipe, layers: Mapping[str, Path]) -> Training:
    label = " ".join(part for part in (setting.name, arm.name, f"seed {recipe.seed}") if part)
    return Training(label, recipe, layers if arm.composes else {}, _start(arm, setting.recipe, layers))


def _start(arm: Arm, composition: Recipe, layers: Mapping[str, Path]) -> Path | None:
    return layers[starting_layer(composition, layers)] if arm.starts else None


def _length(arm: Arm, recipe: Recipe, budgets: Sequence[float], plan: Plan, rates: Mapping[str, float], extra: float) -> Recipe:
    return scheduled(recipe, budgets, plan.equal, rates[arm.name], extra=0.0 if arm.name == COMPOSED else extra)


def _run_all(trainings: Sequence[Training], plan: Plan, environment: Environment) -> None:
    if plan.jobs == 1:
        for training in trainings:
            training.run(environment)
        return
    place = environment.root
    place.mkdir(parents=True, exist_ok=True)
    with locked(place):
        run_side_by_side(place, environment.root, [training.job() for training in trainings], at_once=plan.jobs)


def _found(training: Training, environment: Environment) -> Run:
    run = training.found(environment.root)
    assert run is not None
    return run


def _artifacts(trainings: Mapping[str, Training], environment: Environment) -> dict[str, Path]:
    found = {name: _found(training, environment).artifact for name, training in trainings.items()}
    return {name: path for name, path in found.items() if path is not None}


def _untrained(arm: Arm, ruler: Ruler) -> Contender:
    if arm.fixed is None:
        return Contender(arm, [], [])
    card = artifact.read_card(arm.fixed)
    return Contender(arm, [], [[_point(card, 0.0, arm.fixed)]])


def _end(run: Run, per_kimg: float) -> Point:
    card = finished_card(run)
    assert run.artifact is not None
    return _point(card, per_kimg, run.artifact)


def _point(card: Card, per_kimg: float, path: Path) -> Point:
    return Point(card.kimg, card.seconds, card.cpu_seconds, card.kimg * per_kimg, path)


def _measured(run: Run, per_kimg: float, ruler: Ruler) -> list[Point]:
    """Every kept snapshot of a run and its end, measured on the validation pictures."""
    points = []
    for path in run.kept():
        points.append(_point(artifact.read_card(path), per_kimg, path))
    end = _end(run, per_kimg)
    if not points or points[-1].kimg < end.kimg:
        points.append(end)
    measured = []
    for point in points:
        numbers = headline(ruler.artifact(point.path, validation=True))
        measured.append(dataclasses.replace(point, validation=numbers["fd"], numbers=numbers))
    return measured


def _pretraining(layers: Mapping[str, Path], equal: str) -> float:
    """What the layers' own trainings took, in the unit of the budgets."""
    total = 0.0
    for name, card in cards(layers).items():
        if equal == "macs":
            try:
                recipe = parse(dict(card.recipe), name)
            except UsageError:
                raise UsageError(f"--count-pretraining: what {name} took is not known in multiply-accumulates; use --equal kimg or seconds") from None
            total += card.kimg * training_macs(recipe, {})
        else:
            took = {"kimg": card.kimg, "seconds": card.seconds, "cpu-seconds": card.cpu_seconds}[equal]
            if not took:
                raise UsageError(f"--count-pretraining: the card of {name} does not say what it took in {EQUAL[equal]}; give one that does")
            total += took
    return total
