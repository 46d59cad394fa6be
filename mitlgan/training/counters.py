"""Numbers and findings of a training that a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass
class Counters:
    """Numbers and findings of a training; checkpoints hold them by these names.

    Attributes:
        iteration: Generator updates so far.
        images_shown: Real images shown to the critic, over all ranks.
        nan_skipped: Updates skipped because a value was not finite.
        nan_in_a_row: Skipped updates since the last iteration without any, so that a critic that fails in every iteration ends the run
            although the generator's updates succeed.
        low_diversity_in_a_row: Logged iterations in a row whose samples were nearly alike.
        collapsed_at_kimg: When that was first reported.
        symptom: The objective's current failure; `symptom_in_a_row` counts its logged iterations.
        diagnosis: The first failure that lasted, with its date, until it passes and another one lasts; `healthy_in_a_row` counts the logged
            iterations since it was last there.
        at_ends_in_a_row: Logged iterations in a row whose samples held almost only black and white; `saturation` dates it in words.
        generator_start: Root mean square of the generator's trained weights before the first update; `critic_start` of the critic's. None in
            a run of an earlier version, until its next iteration.
        strained_in_a_row: Iterations in a row whose numbers were out of scale; `severe_in_a_row` counts those that were far out of it.
        diverged_at_kimg: When that was first reported; `divergence` says it in words.
        augment_probability: Probability of each transform of an adaptive augmentation.
        step: Step of a ladder of sizes, from 0; `step_iteration`, `step_images`, `step_seconds` and `step_cpu_seconds` are what was before it.
        seconds: Training time, over all resumes.
        cpu_seconds: CPU time of the training, summed over threads.
    """

    iteration: int = 0
    images_shown: int = 0
    nan_skipped: int = 0
    nan_in_a_row: int = 0
    low_diversity_in_a_row: int = 0
    collapsed_at_kimg: float | None = None
    symptom: str = ""
    symptom_in_a_row: int = 0
    diagnosis: str = ""
    healthy_in_a_row: int = 0
    at_ends_in_a_row: int = 0
    saturation: str = ""
    generator_start: float | None = None
    critic_start: float | None = None
    strained_in_a_row: int = 0
    severe_in_a_row: int = 0
    diverged_at_kimg: float | None = None
    divergence: str = ""
    augment_probability: float = 0.0
    step: int = 0
    step_iteration: int = 0
    step_images: int = 0
    step_seconds: float = field(default=0.0, compare=False)
    step_cpu_seconds: float = field(default=0.0, compare=False)
    seconds: float = field(default=0.0, compare=False)
    cpu_seconds: float = field(default=0.0, compare=False)

    @property
    def kimg(self) -> float:
        """Thousand real images shown to the critic."""
        return self.images_shown / 1000

    @property
    def step_images_per_s(self) -> float:
        """Mean speed at the present size; 0 before its first iteration."""
        seconds = self.seconds - self.step_seconds
        return (self.images_shown - self.step_images) / seconds if seconds > 0 else 0.0

    def at_step_begin(self) -> Counters:
        """Return the length and time with which the present size of a ladder began; zeros without a ladder."""
        return replace(self, iteration=self.step_iteration, images_shown=self.step_images, seconds=self.step_seconds, cpu_seconds=self.step_cpu_seconds)

    def next_step(self) -> Counters:
        """Return the counters with which the next step of a ladder begins: it has networks of its own, of which nothing is known yet."""
        of_networks = (
            "nan_in_a_row", "low_diversity_in_a_row", "symptom", "symptom_in_a_row", "healthy_in_a_row", "at_ends_in_a_row", "generator_start",
            "critic_start", "strained_in_a_row", "severe_in_a_row", "augment_probability",
        )  # fmt: skip
        fresh = Counters()
        return replace(
            self, **{name: getattr(fresh, name) for name in of_networks}, step=self.step + 1, step_iteration=self.iteration,
            step_images=self.images_shown, step_seconds=self.seconds, step_cpu_seconds=self.cpu_seconds,
        )  # fmt: skip

    @property
    def trouble(self) -> str:
        """All failures so far, each with its date; empty if there are none."""
        return "; ".join(text for text in (self.divergence, self.saturation, self.diagnosis) if text)
