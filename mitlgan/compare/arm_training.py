"""The trainings of a comparison: finished ones are taken, stopped ones continued. Where a baseline diverges, the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.errors import ArtifactError, DivergedError, MitlganError, NanError
from mitlgan.recipe import Recipe, require_trainable
from mitlgan.runtime.files import lock_folder
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.existing_runs import find_matching_run, warn_if_data_changed
from mitlgan.stages.initial_critic import load_initial_critic
from mitlgan.stages.parallel import TrainingProcess, run_parallel
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import record_pictures, resume
from mitlgan.stages.training_command import training_words
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

DIVERGED_STATES = ("diverged", "nan")
"""States of runs that ended without an artifact because their numbers were out of range or not finite."""


@dataclass(frozen=True)
class ArmTraining:
    """One training of an arm.

    Attributes:
        label: Name for users and for its log.
        recipe: With its seed and length.
        layers: Artifact of each frozen layer, for a composition.
        initial_artifact: Artifact that it starts from.
        initial_critic: Artifact whose weights its critic starts with.
        is_required: Whether the comparison ends if it diverges; otherwise the comparison goes on without it.
    """

    label: str
    recipe: Recipe
    layers: Mapping[str, Path] = field(default_factory=dict)
    initial_artifact: Path | None = None
    initial_critic: Path | None = None
    is_required: bool = True

    def input_hashes(self) -> dict[str, str]:
        """Return the hashes of the artifacts that it is made from; see `Run.read_inputs`."""
        inputs = {"start": self.initial_artifact} if self.initial_artifact is not None else self.layers
        hashes = {name: read_weights_hash(path) for name, path in inputs.items()}
        critic_weights = {} if self.initial_critic is None else load_initial_critic(self.initial_critic, self.recipe, ignore_message)
        return hashes | ({"critic": tensors_sha256(critic_weights)} if critic_weights else {})

    def run(self, context: RunContext) -> Run:
        """Return the finished run: taken, continued, or trained in this process."""
        run = self.find_run(context.root)
        if run is not None and run.is_finished:
            warn_if_data_changed(run, self.recipe, context.reporter.say)
            return run
        if run is not None:
            record_pictures(run, self.recipe, context.world)
            return resume(run.path, context)
        if self.recipe.command == "compose":
            return compose(self.recipe, self.layers, context, critic=self.initial_critic)
        return pretrain(self.recipe, context, start=self.initial_artifact, critic=self.initial_critic)

    def find_run(self, root: Path) -> Run | None:
        """Return its run, if it has been started."""
        return find_matching_run(root, self.recipe, self.input_hashes())

    def find_artifact(self, root: Path) -> Path | None:
        """Return its artifact, if it is finished."""
        run = self.find_run(root)
        return run.artifact_file if run is not None and run.is_finished else None

    def finished_run(self, root: Path) -> Run:
        """Return its finished run.

        Raises:
            ArtifactError: It is not there, as if it were removed or changed after it was trained; nothing else may take its place.
        """
        run = self.find_run(root)
        if run is None or not run.is_finished:
            raise ArtifactError(f"{self.label}: no finished run of {self.recipe.name} under {root / self.recipe.command}; give the same command again")
        return run

    def artifact(self, root: Path) -> Path:
        """Return the artifact of its finished run; errors as of `finished_run`."""
        path = self.finished_run(root).artifact_file
        assert path is not None  # which a finished run has
        return path

    def find_diverged_run(self, root: Path) -> Run | None:
        """Return its newest run that diverged and left no artifact."""
        hashes = self.input_hashes()
        for run in reversed(run_directory.list_runs(root, self.recipe.command)):
            if run.read_status().get("state") in DIVERGED_STATES and run.artifact_file is None and run_directory.is_run_of(run, self.recipe, hashes):
                return run
        return None

    def as_process(self) -> TrainingProcess:
        """Return the same training for a process of its own."""
        arguments = training_words(self.recipe, self.layers, self.initial_artifact, self.initial_critic)
        return TrainingProcess(self.label, self.recipe, arguments, self.input_hashes())


def run_trainings(trainings: Sequence[ArmTraining], context: RunContext, *, jobs: int = 1) -> None:
    """Run what is not finished. If a training that is not required diverges, this is logged, the others go on, and it is not tried again.

    Args:
        trainings: In the order in which they start.
        context: Runs are written under its root.
        jobs: Number of trainings at a time; more than one run in processes of their own.

    Raises:
        MitlganError: As raised by training.
    """
    trainings = [training for training in trainings if training.is_required or not _has_diverged_before(training, context)]
    for training in trainings:  # before hours of the first ones
        if training.find_run(context.root) is None:
            require_trainable(training.recipe)
    if jobs > 1:
        _run_in_processes(trainings, context, jobs)
        return
    for training in trainings:
        try:
            training.run(context)
        except (DivergedError, NanError) as error:
            if training.is_required:
                raise
            context.reporter.say(_divergence_warning(training.label, error))


def _run_in_processes(trainings: Sequence[ArmTraining], context: RunContext, jobs: int) -> None:
    on_failure = tolerate_divergence(context.reporter.say, [training.label for training in trainings if training.is_required])
    context.root.mkdir(parents=True, exist_ok=True)
    with lock_folder(context.root):
        processes = [training.as_process() for training in trainings]
        run_parallel(context.root, context.root, processes, max_parallel=jobs, on_failure=on_failure)


def tolerate_divergence(say: Callable[[str], None], required: Sequence[str]) -> Callable[[TrainingProcess, MitlganError], None]:
    """Return a failure handler for `run_parallel` that logs divergence; any other failure, and any of a required training, is raised.

    Args:
        say: Logs a line.
        required: Labels of required trainings.
    """

    def on_failure(process: TrainingProcess, error: MitlganError) -> None:
        if error.exit_code != DivergedError.exit_code or process.label in required:
            raise error
        say(_divergence_warning(process.label, error))

    return on_failure


def explain_divergence(runs: Sequence[Run], trainings: int) -> str:
    """Return a sentence for the report.

    Args:
        runs: Diverged runs of an arm, at least one.
        trainings: Number of all its trainings.
    """
    subject = "Its training" if trainings == 1 else f"{len(runs)} of its {trainings} trainings"
    reason = str(runs[0].read_status().get("diagnosis") or "its numbers were not finite")
    return f"{subject} diverged without leaving an artifact, so this arm is not measured ({runs[0].path}: {reason})."


def _has_diverged_before(training: ArmTraining, context: RunContext) -> bool:
    """Return whether the training diverged in an earlier call, as it would again; this is logged."""
    diverged = training.find_diverged_run(context.root)
    if diverged is None or training.find_artifact(context.root) is not None:
        return False
    context.reporter.say(f"{training.label}: diverged before ({diverged.path}) and is not trained again; delete that run to retry it")
    return True


def _divergence_warning(label: str, error: MitlganError) -> str:
    text = str(error)
    return f"warning: {text if text.startswith(label) else f'{label}: {text}'}; the comparison continues, and shows this arm as diverged"
