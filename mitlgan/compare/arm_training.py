"""The trainings of a comparison: each taken where it is finished, continued where it was stopped, or begun; where one diverges, others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan.artifacts.card import LAYER_ROLES, read_weights_hash
from mitlgan.errors import DivergedError, MitlganError, NanError
from mitlgan.recipe import Recipe
from mitlgan.runtime.files import folder_lock
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.existing_runs import find_matching_run, warn_if_data_changed
from mitlgan.stages.parallel import TrainingProcess, run_parallel
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

DIVERGED_STATES = ("diverged", "nan")
"""Of runs that ended without an artifact, for their numbers were beyond all scale or not finite."""


@dataclass(frozen=True)
class ArmTraining:
    """One training of an arm.

    Attributes:
        label: What the user sees; names its log.
        recipe: With its seed and length.
        layers: Artifact of each frozen layer, for a composition.
        start: Artifact that it begins with.
        needed: Whether nothing can be compared where it diverges; without others the comparison goes on.
    """

    label: str
    recipe: Recipe
    layers: Mapping[str, Path] = field(default_factory=dict)
    initial_artifact: Path | None = None
    is_required: bool = True

    def input_hashes(self) -> dict[str, str]:
        """Hashes of what it is made from; see `Run.read_inputs`."""
        made_from = {"start": self.initial_artifact} if self.initial_artifact is not None else self.layers
        return {name: read_weights_hash(path) for name, path in made_from.items()}

    def run(self, environment: RunContext) -> Run:
        """The finished run: found, continued, or made in this process."""
        found = self.find_run(environment.root)
        if found is not None and found.artifact_file is not None:
            warn_if_data_changed(found, self.recipe, environment.reporter.say)
            return found
        if found is not None:
            return resume(found.path, environment)
        if self.recipe.command == "compose":
            return compose(self.recipe, self.layers, environment)
        return pretrain(self.recipe, environment, start=self.initial_artifact)

    def find_run(self, root: Path) -> Run | None:
        """Its run, if it has begun."""
        return find_matching_run(root, self.recipe, self.input_hashes())

    def find_diverged_run(self, root: Path) -> Run | None:
        """Its newest run that ended as diverged, without an artifact."""
        inputs = self.input_hashes()
        ended = (
            run
            for run in reversed(run_directory.list_runs(root, self.recipe.command))
            if run.read_status().get("state") in DIVERGED_STATES and run.artifact_file is None
        )
        return next((run for run in ended if run_directory.matches(run, self.recipe, inputs)), None)

    def to_job(self) -> TrainingProcess:
        """The same for a process of its own."""
        if self.recipe.command == "compose":
            short = set(self.layers) <= set(LAYER_ROLES)
            named = [[f"--{name}", str(path)] if short else ["--layer", f"{name}={path}"] for name, path in self.layers.items()]
            arguments = ["compose", *(text for pair in named for text in pair)]
        else:
            arguments = ["pretrain", self.recipe.role, *(("--from", str(self.initial_artifact)) if self.initial_artifact is not None else ())]
        return TrainingProcess(self.label, self.recipe, arguments, self.input_hashes())


def run_trainings(trainings: Sequence[ArmTraining], environment: RunContext, *, jobs: int = 1) -> None:
    """Train what is not finished. Where one that is not `needed` diverges, this is said and the others go on; it is not tried twice.

    Args:
        trainings: In the order in which they begin.
        environment: Runs lie under its root.
        jobs: Trainings at a time.

    Raises:
        MitlganError: As training.
    """
    trainings = [training for training in trainings if training.is_required or not _has_diverged_before(training, environment)]
    if jobs == 1:
        for training in trainings:
            try:
                training.run(environment)
            except (DivergedError, NanError) as error:
                if training.is_required:
                    raise
                environment.reporter.say(_continuing_message(training.label, error))
        return
    place = environment.root
    place.mkdir(parents=True, exist_ok=True)
    needed = [training.label for training in trainings if training.is_required]
    with folder_lock(place):
        on_failure = tolerate_divergence(environment.reporter.say, needed)
        run_parallel(place, environment.root, [training.to_job() for training in trainings], max_parallel=jobs, on_failure=on_failure)


def tolerate_divergence(say: Callable[[str], None], needed: Sequence[str] = ()) -> Callable[[TrainingProcess, MitlganError], None]:
    """For `run_side_by_side`: a job that diverges is told of, and the others go on; any other failure ends them, and that of a job that is needed."""

    def failed(job: TrainingProcess, error: MitlganError) -> None:
        if error.exit_code != DivergedError.exit_code or job.label in needed:
            raise error
        say(_continuing_message(job.label, error))

    return failed


def explain_divergence(ended: Sequence[Run], count: int) -> str:
    """A sentence for the report.

    Args:
        ended: Runs of an arm that ended as diverged, at least one.
        count: Of its trainings in all.
    """
    whose = "Its training" if count == 1 else f"{len(ended)} of its {count} trainings"
    reason = str(ended[0].read_status().get("diagnosis") or "its numbers were not finite")
    return f"{whose} ended without an artifact, so nothing of it is measured ({ended[0].path}: {reason})."


def _has_diverged_before(training: ArmTraining, environment: RunContext) -> bool:
    """Whether an earlier call saw it diverge, which it would again; this is said."""
    known = training.find_run(environment.root)
    before = training.find_diverged_run(environment.root)
    if before is None or (known is not None and known.artifact_file is not None):
        return False
    environment.reporter.say(f"{training.label}: diverged before ({before.path}), and is not trained again; delete that run to try it anew")
    return True


def _continuing_message(label: str, error: MitlganError) -> str:
    text = str(error)
    return f"warning: {text if text.startswith(label) else f'{label}: {text}'}; the comparison goes on, and shows it as diverged"
