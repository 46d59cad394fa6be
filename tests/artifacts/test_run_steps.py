"""`RUN@STEP` and `RUN@best`: steps of a training that can be gone back to."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs

import mitlgan
from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, record_metrics
from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
from mitlgan.artifacts.run_steps import RunStep, best_by_statistics, describe_steps, is_step_reference, list_steps
from mitlgan.artifacts.summary import describe
from mitlgan.errors import ArtifactError
from mitlgan.runtime.json_files import JsonlWriter, read_jsonl
from mitlgan.stages.compose import compose
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.run_directory import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, packs: dict[str, Path]) -> Run:
    """Five updates: artifacts after 2 and 4, checkpoints after each."""
    recipe = tiny_runs.recipe("fg", packs["fg"], updates=5, artifact_iterations=2, checkpoint_iterations=1, checkpoints_kept=9)
    return pretrain(recipe, tiny_runs.run_context(tmp_path_factory.mktemp("steps")))


def test_artifacts_are_kept_at_the_interval(run: Run, packs: dict[str, Path], tmp_path: Path) -> None:
    assert [read_card(path).iterations for path in run.list_kept_artifacts()] == [2, 4]
    in_kimg = tiny_runs.recipe("fg", packs["fg"], updates=5, artifact_kimg=2 * tiny_runs.PER_UPDATE / 1000)
    other = pretrain(in_kimg, tiny_runs.run_context(tmp_path))
    assert [read_card(path).iterations for path in other.list_kept_artifacts()] == [2, 4]
    assert list(read_jsonl(other.stats_file)) == list(read_jsonl(run.stats_file))  # keeping changes nothing


def test_every_step_has_the_weights_of_its_time(run: Run) -> None:
    assert [step.iteration for step in list_steps(run.path)] == [0, 1, 2, 3, 4, 5]
    assert artifact_path(f"{run.path}@2") == run.list_kept_artifacts()[0]
    assert artifact_path(f"{run.path}@5") == run.artifact_file
    pictures = [load_artifact(f"{run.path}@{step}").sample([3]) for step in range(6)]
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(pictures))


@pytest.mark.parametrize("is_composition", [False, True])
def test_a_checkpoint_gives_the_artifact_that_would_have_been_kept(
    run: Run, packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, is_composition: bool
) -> None:
    if is_composition:
        recipe = tiny_runs.recipe("scene", packs["scene"], updates=2, compose=True, artifact_iterations=1, checkpoint_iterations=1, checkpoints_kept=9)
        run = compose(recipe, tiny_runs.layers(pretrained), tiny_runs.run_context(tmp_path))
    step = 1 if is_composition else 4
    checkpoint = run.path / "checkpoints" / f"{step:09d}.safetensors"
    kept, card = load_network(artifact_path(f"{run.path}@{step}"))
    average, other = load_network(checkpoint)
    for name, tensor in kept.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, average.state_dict()[name]), name
    differing = {key for key in card.model_dump() if getattr(card, key) != getattr(other, key)}
    assert differing <= {"made_by", "credit", "notes", "seconds", "cpu_seconds", "schema_version"}


def test_steps_are_taken_wherever_artifacts_are_named(run: Run, packs: dict[str, Path], tmp_path: Path) -> None:
    assert mitlgan.load(f"{run.path}@3").card.iterations == 3
    assert describe(f"{run.path}@3")["card"]["iterations"] == 3
    again = pretrain(tiny_runs.recipe("fg", packs["fg"], updates=1), tiny_runs.run_context(tmp_path), start=artifact_path(f"{run.path}@2"))
    assert again.read_inputs()["start"] == read_weights_hash(run.list_kept_artifacts()[0])


@pytest.mark.parametrize("step", ["7", "-1", "two", "", "2.0", "²", "9" * 400])
def test_a_step_that_was_not_kept(run: Run, step: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        load_artifact(f"{run.path}@{step}")
    assert f"{run.path}@{step[:3]}" in str(caught.value)
    assert str(caught.value).endswith(": this step was not kept; there are 0 to 5 by 1")  # and nothing says which is the best


def test_a_folder_without_steps(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="holds no step of a training"):
        load_artifact(tmp_path / "empty@3")
    assert not is_step_reference(tmp_path / "absent@3")
    (tmp_path / "empty@3").mkdir()  # a folder of that very name
    assert not is_step_reference(tmp_path / "empty@3")


def test_the_best_step(run: Run, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run.path, copied)
    with pytest.raises(ArtifactError, match=r"nothing says which step is the best; give one of those that were kept: 0 to 5 by 1"):
        artifact_path(f"{copied}@best")
    (copied / "stats.jsonl").unlink()
    writer = JsonlWriter(copied / "stats.jsonl")
    gaps = [0.0, 5.0, 4.0, 0.1, *[3.0] * 36]  # the smallest after the peak is that of iteration 3
    for index, gap in enumerate(gaps):
        writer.write({"iteration": index, "kimg": index / 100, "wasserstein": gap})
    writer.close()
    best = best_by_statistics(list(read_jsonl(copied / "stats.jsonl")))
    assert best is not None
    assert read_card(artifact_path(f"{copied}@best")).iterations == best["iteration"] == 4  # means of two: the middle of 3 and 4
    with pytest.raises(ArtifactError, match=r"@7: this step was not kept; there are 0 to 5 by 1, and best$"):
        artifact_path(f"{copied}@7")
    (copied / "best").mkdir()
    shutil.copy(run.list_kept_artifacts()[0], copied / "best" / "generator.safetensors")  # one that was measured comes first
    assert artifact_path(f"{copied}@best") == copied / "best" / "generator.safetensors"


def test_metrics_are_not_written_into_a_checkpoint(run: Run) -> None:
    checkpoint = artifact_path(f"{run.path}@3")
    before = checkpoint.read_bytes()
    with pytest.raises(ArtifactError, match=r"--write-card .*: is a checkpoint"):
        record_metrics(checkpoint, {"fd": {"value": 1.0}}, read_weights_hash(checkpoint))
    assert checkpoint.read_bytes() == before


def test_steps_in_words() -> None:
    def described(*iterations: int) -> str:
        return describe_steps([RunStep(iteration, Path()) for iteration in iterations])

    assert described(0, 200, 400, 600, 630) == "0 to 600 by 200, 630"
    assert described(0, 5, 11) == "0, 5, 11"
    assert described(3) == "3"
    assert described(0, 1, 10, 20, 30, 40) == "0, 1, 10 to 40 by 10"
