"""From photographs to a composition: cut, check, pretrain, compose, show, measure. Each step is an ordinary command; a second call goes on."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.project_pictures import LAYERS
from mitlgan.artifacts.sample_files import stages_sheet_png
from mitlgan.compare.arm_training import run_trainings
from mitlgan.data.curate.check import check_datasets
from mitlgan.data.kept_splits import find_kept_splits
from mitlgan.data.layers.split import split_pictures
from mitlgan.data.layers.split_output import SPLIT_MANIFEST, CutHashes, hash_all_cuts, hash_cuts
from mitlgan.data.sources.image_source import ImageSource, open_source, refuse_output_inside
from mitlgan.errors import ArtifactError, DataError, ResourceError, Stopped, UsageError
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.project.estimate import (
    EVALUATED_SAMPLES,
    ROLES,
    describe_estimate,
    fit_lengths,
    measure_project,
    median_shorter_side_px,
    require_space,
)
from mitlgan.project.plan import (
    ProjectPlan,
    ProjectRequest,
    read_plan,
    require_same_request,
    split_settings,
)
from mitlgan.project.recipe_families import MIN_PHOTOGRAPHS, choose_family, choose_size
from mitlgan.project.steps import RUNS, TrainingStep, composition_step, layer_step
from mitlgan.recipe import is_relative_source
from mitlgan.report.data_check_page import write_check_page
from mitlgan.report.data_split_page import write_split_page
from mitlgan.report.run_figures import are_of_pictures_now, say_their_pictures
from mitlgan.report.run_report import write_run_report
from mitlgan.runtime.arguments import require_whole
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.files import ensure_folder, lock_folder, write_atomically
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.output_folders import require_empty_folder
from mitlgan.runtime.progress import LabeledProgressCallback, Say
from mitlgan.runtime.signals import TerminationInterrupt
from mitlgan.stages.context import RunContext
from mitlgan.stages.evaluate import evaluate_artifact, record_evaluation
from mitlgan.training.run_directory import Run, list_runs

CHECK_PAGE, SHEET = "check.html", "scenes.png"
SHEET_SAMPLES = 16
MAX_JOBS = 2
"""Trainings that run at a time, at most: both layers of a size."""
JOBS = min(MAX_JOBS, os.cpu_count() or 1)


@dataclass(frozen=True)
class ProjectResult:
    """A finished project.

    Attributes:
        out: Its folder.
        plan: What was done.
        run: Run of the composition.
        artifact: The composition.
        sheet: Picture of sixteen scenes and their layers.
        report: Page of the composition, with what was measured.
        layers: Folder of the cut photographs.
        metrics: Numbers against held-out photographs by name, such as `kid`.
        real: Number of held-out photographs; 0 if none were held out, and the training's own were measured.
    """

    out: Path
    plan: ProjectPlan
    run: Path
    artifact: Path
    sheet: Path
    report: Path
    layers: Path
    metrics: Mapping[str, float]
    real: int


class Project:
    """A project in its folder.

    Args:
        out: The folder.
        plan: What is done.
        context: Where and how; its reporter shows each step.
        jobs: Trainings that run at a time.
        progress: Receives what is being worked on, and the number of finished and of all pictures.
    """

    def __init__(self, out: Path, plan: ProjectPlan, context: RunContext, jobs: int, progress: LabeledProgressCallback) -> None:
        self.out, self.plan, self.context, self.jobs, self.progress = out, plan, context, jobs, progress
        self.layers, self.runs = out / LAYERS, out / RUNS
        self.say = context.reporter.say

    def run(self) -> ProjectResult:
        """Do what is not done yet.

        Raises:
            MitlganError: As raised by the stages.
        """
        self._split()
        self._check()
        artifacts: dict[str, Path] = {}
        for number, layer in enumerate(self.plan.recipe_family.steps_to(self.plan.size_px)):
            steps = [layer_step(self.plan, self.out, layer, role, artifacts.get(role)) for role in ROLES]
            runs = self._train(f"enlarge both layers to {layer.size_px} px" if number else f"train both layers at {layer.size_px} px", steps)
            artifacts = {role: _artifact(run) for role, run in zip(ROLES, runs, strict=True)}
        (composition,) = self._train("compose", [composition_step(self.plan, self.out, artifacts)])
        return self._show(composition)

    def _split(self) -> None:
        """Cut the photographs; finished cuts are not made again."""
        self._announce("cut the photographs", [self.plan.split_command(self.layers)])
        before = read_json(self.layers / SPLIT_MANIFEST)
        if self.plan.cuts_sha256 and not self.plan.held_out_sha256 and self._are_cuts_of_earlier_plan(before):  # before any file changes
            self._note_cuts(hash_cuts(self.layers), are_same=True)
        manifest = split_pictures(
            self.plan.request.photographs, self.layers, self.plan.split_settings(), lambda done, total: self.progress("cut", done, total), self.say
        )
        if json.loads(json.dumps(manifest)) != before:
            (self.out / CHECK_PAGE).unlink(missing_ok=True)  # of other pictures
        page, files, counts = write_split_page(self.layers, manifest), manifest["files"], manifest["counts"]
        self.say(
            f"{counts['used']:,} of {sum(counts.values()):,} photographs cut; {counts['set aside']:,} set aside, {counts['duplicate']:,} duplicates, "
            f"{counts['unreadable']:,} unreadable"
        )
        if manifest["holdout"]["note"]:
            self.say(manifest["holdout"]["note"])
        self._note_cuts(hash_cuts(self.layers))
        self.say(f"{files['fg']:,} objects, {files['bg']:,} backgrounds, {files['scene']:,} scenes; look at the doubtful cuts in {page}")

    def _are_cuts_of_earlier_plan(self, manifest: Mapping[str, object]) -> bool:
        """Whether the cuts are those that the plan of an earlier version notes, which has one hash of them: of the records, or of all files."""
        return self.plan.cuts_sha256 in (_hash_records(manifest.get("records")), hash_all_cuts(self.layers))

    def _note_cuts(self, now: CutHashes, *, are_same: bool = False) -> None:
        """Remember which cuts are trained on and measured against, and deal with what was made from others, such as before `data split --exclude`.

        Args:
            now: Of the cuts that are there.
            are_same: The same files were trained on and measured against, though the plan has another hash of them.
        """
        before = CutHashes(self.plan.cuts_sha256, self.plan.held_out_sha256)
        if not are_same and before.trained not in ("", now.trained):
            self._set_aside()
        elif not are_same and before.held_out not in ("", now.held_out):
            (self.out / CHECK_PAGE).unlink(missing_ok=True)
            stays = ": what is trained stays" if _is_there(self.runs) else ""
            self.say(f"the held-out cuts have changed{stays}")  # figures that are of others are measured again where they are shown
        if before != now:
            self.plan = replace(self.plan, cuts_sha256=now.trained, held_out_sha256=now.held_out)
            self.plan.write(self.out)

    def _set_aside(self) -> None:
        """Rename what was made from cuts that have changed."""
        (self.out / CHECK_PAGE).unlink(missing_ok=True)
        old = [path for path in (self.runs, self.out / SHEET) if _is_there(path)]
        number = next(number for number in itertools.count(1) if not any(_numbered(path, number).exists() for path in old))
        for path in old:
            path.rename(_numbered(path, number))
        again = ": all is trained again" if self.runs in old else ""
        kept = f"; what was made before is now {' and '.join(str(_numbered(path, number)) for path in old)}" if old else ""
        self.say(f"the cuts have changed{again}{kept}")

    def _check(self) -> None:
        """Say what will hurt training."""
        page = self.out / CHECK_PAGE
        folders = [str(self.layers / name) for name in (*ROLES, "scene")]
        self._announce("check them", [["data", "check", *folders, "--page", str(page)]])
        if page.is_file():
            return
        result = check_datasets(folders, lambda done, total: self.progress("check", done, total))
        write_check_page(page, result)
        self.say(f"{result.headline}, see {page}")

    def _train(self, title: str, steps: Sequence[TrainingStep]) -> list[Run]:
        """Train what is not finished, and return the runs."""
        self._announce(title, [step.command(self.runs) for step in steps])
        trainings = [step.training(self.say) for step in steps]
        run_trainings(trainings, self.context, jobs=min(self.jobs, len(trainings)))
        return [training.finished_run(self.runs) for training in trainings]

    def _show(self, run: Run) -> ProjectResult:
        """Write sheet and report, with what is measured against held-out photographs."""
        artifact, sheet = _artifact(run), self.out / SHEET
        self._announce("show it", [["sample", str(artifact), "-n", str(SHEET_SAMPLES), "--sheet", str(sheet)]])
        if not sheet.is_file():
            write_atomically(sheet, stages_sheet_png(load_artifact(artifact).layers(range(SHEET_SAMPLES))), root=self.out)
        measuring = ["evaluate", str(artifact), "-n", str(EVALUATED_SAMPLES), "--write-card"]
        self._announce("measure it against held-out photographs, and report", [measuring, ["report", str(run.path)]])
        card = read_card(artifact)
        figures = card.metrics
        if not are_of_pictures_now(figures, run.load_recipe(), card):
            if "frechet" in figures:
                difference = (
                    "are of other pictures than those that are held out now" if say_their_pictures(figures) else "do not say of which pictures they are"
                )
                self.say(f"its figures {difference}: it is measured again")
                write_run_report(run.path)  # says so as well, should the measurement be interrupted
            measured = evaluate_artifact(artifact, samples=EVALUATED_SAMPLES, say=self.say)
            figures = measured.figures
            record_evaluation(artifact, figures, measured.tensors_sha256, self.say)
        paths, _ = write_run_report(run.path)
        real = 0 if figures["frechet"]["split"] == "train" else int(figures["frechet"]["real"])
        return ProjectResult(self.out, self.plan, run.path, artifact, sheet, paths.html, self.layers, flat_metrics(figures), real)

    def _announce(self, title: str, commands: Sequence[Sequence[str]]) -> None:
        self.say(f"\n== {title}")
        for words in commands:
            self.say(f"$ {command_line(words)}")


def _hash_records(records: object) -> str:
    """Return the hash of the cuts as plans of earlier versions have it; it changes with the words of a manifest."""
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()


def _is_there(path: Path) -> bool:
    """Whether a path is a file, or a folder that holds more than hidden files."""
    return path.is_file() or any(path.glob("[!.]*"))


def _numbered(path: Path, number: int) -> Path:
    return path.with_stem(f"{path.stem}-{number}")


def _artifact(run: Run) -> Path:
    if run.artifact_file is None:
        raise ArtifactError(f"{run.path}: is not finished; call the same command again")
    return run.artifact_file


def make_project(
    request: ProjectRequest,
    out: Path,
    context: RunContext,
    *,
    jobs: int = JOBS,
    dry_run: bool = False,
    progress: LabeledProgressCallback | None = None,
) -> ProjectResult | None:
    """Make a composition from photographs; a stopped or killed call goes on where it was.

    Args:
        request: What the user asks for.
        out: Folder for everything.
        context: Where and how; its root is not used.
        jobs: Trainings that run at a time, which share the cores, from 1 to `MAX_JOBS`.
        dry_run: Only measure and say how long it takes; write nothing.
        progress: Receives what is being worked on, and the number of finished and of all pictures.

    Returns:
        The finished project; None for a dry run.

    Raises:
        Stopped: By a signal; the same command continues.
        DataError: The photographs are too few, or give no objects or backgrounds.
        UsageError: The folder holds other things, or the time is too short.
        ResourceError: The disk is too small, or another process works on the folder.
        MitlganError: As raised by the stages.
    """
    require_whole("--jobs", jobs, 1, MAX_JOBS)
    source = open_source(request.photographs, "PHOTOS")
    for line in source.leftovers.describe():
        context.reporter.say(f"PHOTOS: {line}")
    kept = find_kept_splits(source, "PHOTOS")
    if kept.remark:
        context.reporter.say(f"PHOTOS: {kept.remark}")
    if (count := len(source.entries) - len(kept.unassigned)) < MIN_PHOTOGRAPHS:
        raise DataError(f"PHOTOS {request.photographs}: {count} pictures; give at least {MIN_PHOTOGRAPHS}, better 200 or more")
    refuse_output_inside(source, out, "PHOTOS")
    with _say_how_to_go_on(out):
        plan = read_plan(out)
        if plan is None:
            require_empty_folder(out, "--out")
            plan = _begin(request, source, out, jobs, context.reporter.say)
        else:
            plan = require_same_request(plan, request, source.listing_sha256(), len(source.entries), out)
            context.reporter.say(f"going on with {out}")
            plan = plan.with_places(_earlier_places(out, context.reporter.say))
        if dry_run:
            return None
        ensure_folder(out)
        with lock_folder(out):
            plan = plan.with_places([str(out.resolve())])
            plan.write(out)
            inside = RunContext(context.world, context.reporter, out / RUNS, context.on_stats, on_end=context.on_end)
            return Project(out, plan, inside, jobs, progress or (lambda label, done, total: None)).run()


def _earlier_places(out: Path, say: Say) -> list[str]:
    """Return where the project was when its runs were trained, and say if it was elsewhere; what is trained is taken all the same."""
    places, moves = list[str](), list[str]()
    for run in list_runs(out / RUNS):
        with suppress(UsageError, ResourceError):  # a run that cannot be read is not taken
            recorded = run.recorded_recipe()
            if not is_relative_source(recorded.data.source) and run.load_recipe(moves.append) != recorded:
                places.append(str(Path(recorded.data.source).parent.parent))
    for move in moves[:1]:
        say(move)
    return places


def _begin(request: ProjectRequest, source: ImageSource, out: Path, jobs: int, say: Callable[[str], None]) -> ProjectPlan:
    """Measure, say what it takes, and return the plan."""
    count = len(source.entries)
    family = choose_family(count)
    side_px = median_shorter_side_px(source)
    size_px = choose_size(family, side_px, request.size_px)
    say(f"{count:,} photographs, shorter side {side_px} px (median): pictures of {size_px} px; {family.reason}")
    say("measuring this machine ...")
    measured = measure_project(source, family, size_px, split_settings(request, size_px), jobs)
    estimate = fit_lengths(measured, family, size_px, count, request.minutes, jobs)
    for line in describe_estimate(estimate, measured, out):
        say(line)
    require_space(estimate, out)
    return ProjectPlan(request, source.listing_sha256(), count, family.name, size_px, estimate.lengths_kimg)


@contextmanager
def _say_how_to_go_on(out: Path) -> Iterator[None]:
    """Say of any stop that the same command goes on."""
    try:
        yield
    except (KeyboardInterrupt, Stopped) as error:
        number = error.exit_code - 128 if isinstance(error, (Stopped, TerminationInterrupt)) else signal.SIGINT
        raise Stopped(f"{out}: stopped and saved; the same command continues from here", number) from None
