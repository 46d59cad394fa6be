"""Artifacts that are kept on the way: where asked, the same after a resume, measured, and the best of them."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import Stopped
from mitlgan.recipe import with_overrides
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.stages.setup import setup_from_checkpoint
from mitlgan.training import run_directory, run_writer, schedule
from mitlgan.training.artifact_keeper import ArtifactKeeper
from mitlgan.training.checkpoint import list_checkpoints, load_checkpoint
from mitlgan.training.run_directory import Run

POINTS = [0.0, tiny_runs.PER_UPDATE / 1000, 2.5 * tiny_runs.PER_UPDATE / 1000, 5 * tiny_runs.PER_UPDATE / 1000]


def kept_hashes(run: Run) -> dict[int, str]:
    """Iterations and hashes of what a run kept."""
    return {read_card(path).iterations: read_weights_hash(path) for path in run.list_kept_artifacts()}


def test_artifacts_are_kept_at_the_points_and_training_is_not_touched(packs: dict[str, Path], environment: RunContext) -> None:
    plain = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=5), environment)
    run = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=5, keep_kimg=POINTS), environment)
    assert list(kept_hashes(run)) == [0, 1, 3, 5]
    assert run.artifact_file is not None
    assert kept_hashes(run)[5] == read_weights_hash(run.artifact_file)
    assert len(set(kept_hashes(run).values())) == 4
    tiny_runs.assert_same_trace(plain, run)
    assert load_artifact(run.list_kept_artifacts()[0]).sample([1]).shape == (1, 3, tiny_runs.SIZE_PX, tiny_runs.SIZE_PX)


@pytest.mark.parametrize("is_composition", [False, True])
def test_a_resumed_run_keeps_the_same(
    packs: dict[str, Path], pretrained: dict[str, Run], environment: RunContext, monkeypatch: pytest.MonkeyPatch, is_composition: bool
) -> None:
    recipe = tiny_runs.recipe("scene", packs["scene"], updates=5, compose=is_composition, keep_kimg=POINTS)
    start = (lambda: compose(recipe, tiny_runs.layers(pretrained), environment)) if is_composition else (lambda: pretrain(recipe, environment))
    whole = start()
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=3)
        with pytest.raises(Stopped):
            start()
    stopped = run_directory.list_runs(environment.root, recipe.command)[-1]
    assert stopped.artifact_file is None
    assert resume(stopped.path, environment).path == stopped.path
    assert kept_hashes(stopped) == kept_hashes(whole)


@pytest.mark.parametrize(("end", "kept"), [(8, [3, 6, 9, 12]), (9, [3, 6, 9, 12]), (10, [3, 6, 10, 12]), (11, [3, 6, 10, 12])])
def test_a_run_of_a_version_that_was_late_goes_on_without_a_gap_or_a_double(
    packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch, end: int, kept: list[int]
) -> None:
    """0.072 / 0.024 is less than 3: the third artifact came after update 10. The process was killed later; its checkpoint is of update `end`."""
    recipe = tiny_runs.recipe("scene", packs["scene"], updates=13, artifact_kimg=0.024, checkpoint_iterations=1, checkpoints_kept=99)
    whole = kept_hashes(pretrain(recipe, environment))
    assert list(whole) == [3, 6, 9, 12]
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "count_intervals", lambda kimg, interval_kimg: math.floor(kimg / interval_kimg))
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=10)
        with pytest.raises(Stopped):
            pretrain(recipe, environment)
    run = run_directory.list_runs(environment.root, recipe.command)[-1]
    assert list(kept_hashes(run)) == [3, 6, 10]
    for path in list_checkpoints(run.path):
        if int(path.stem) > end:
            path.unlink()
    resume(run.path, environment)
    assert list(kept_hashes(run)) == kept
    assert {iteration: weights for iteration, weights in kept_hashes(run).items() if iteration != 10}.items() <= whole.items()
    resume(run.path, environment)
    assert list(kept_hashes(run)) == kept


@pytest.mark.parametrize("iteration", [0, 1, 3])
def test_what_an_iteration_owes_is_written_before_its_checkpoint(
    packs: dict[str, Path], environment: RunContext, monkeypatch: pytest.MonkeyPatch, iteration: int
) -> None:
    """A run that is killed directly after a checkpoint does not come back to that iteration."""
    training = {"keep_kimg": POINTS, "checkpoint_iterations": 1}
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=5, **training), evaluation__best_by="fd")
    whole = pretrain(recipe, environment)
    save = run_writer.save_checkpoint

    def die_after(run: Path, number: int, *arguments: Any, **settings: Any) -> None:
        save(run, number, *arguments, **settings)
        if number == iteration:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_writer, "save_checkpoint", die_after)
        with pytest.raises(KeyboardInterrupt):
            pretrain(recipe, environment)
    killed = run_directory.list_runs(environment.root, recipe.command)[-1]
    resume(killed.path, environment)
    assert kept_hashes(killed) == kept_hashes(whole)
    rows, others = ([{**row, "seconds": 0} for row in read_jsonl(run.evaluations_file)] for run in (killed, whole))
    assert rows == others
    assert read_weights_hash(killed.path / "best" / "generator.safetensors") == read_weights_hash(whole.path / "best" / "generator.safetensors")


def test_the_best_goes_with_the_checkpoint(packs: dict[str, Path], environment: RunContext) -> None:
    """Everything that was kept is later than the checkpoint that is left."""
    first = 2 * tiny_runs.PER_UPDATE / 1000
    recipe = tiny_runs.recipe("scene", packs["scene"], updates=4, keep_kimg=[first], checkpoint_iterations=1, checkpoints_kept=9)
    run = pretrain(with_overrides(recipe, evaluation__best_by="fd"), environment)
    (run.path / "kept" / "000000.032").mkdir()  # left by a process that was killed
    for path in list_checkpoints(run.path)[2:]:
        path.unlink()
    checkpoint = load_checkpoint(run.path)
    assert checkpoint is not None
    recipe = run.load_recipe()
    setup = setup_from_checkpoint(recipe, open_recipe_data(recipe), checkpoint.header)
    ArtifactKeeper(run, recipe, setup, environment.reporter).restore(checkpoint.iteration)
    assert not [path for folder in ("kept", "best") for path in (run.path / folder).iterdir()]
    assert not list(read_jsonl(run.evaluations_file))


def test_seconds_are_points_too(packs: dict[str, Path], environment: RunContext) -> None:
    run = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=3, keep_s=[1e-4, 1e6]), environment)
    assert list(kept_hashes(run)) == [1]


def test_what_a_checkpoint_does_not_know_is_forgotten(packs: dict[str, Path], environment: RunContext) -> None:
    recipe = tiny_runs.recipe("scene", packs["scene"], updates=4, keep_kimg=POINTS, checkpoint_kimg=2 * tiny_runs.PER_UPDATE / 1000, checkpoints_kept=9)
    run = pretrain(with_overrides(recipe, evaluation__best_by="fd"), environment)
    assert [row["iteration"] for row in read_jsonl(run.evaluations_file)] == [0, 1, 3]
    sorted((run.path / "checkpoints").glob("*.safetensors"))[-1].unlink()  # 4
    assert run.artifact_file is not None
    run.artifact_file.unlink()
    before = kept_hashes(run)
    resume(run.path, environment)
    assert kept_hashes(run) == before
    assert [row["iteration"] for row in read_jsonl(run.evaluations_file)] == [0, 1, 3]


CHANGED: list[tuple[dict[str, Any], str]] = [
    ({"split": "elsewhere"}, "measured on elsewhere pictures before; kept artifacts are measured again on "),
    ({"data_sha256": "0" * 64}, "pictures changed since it was written; kept artifacts are measured again on those of now"),
    ({"data_sha256": None}, "an earlier version did not record which "),
]


@pytest.mark.parametrize(("change", "said"), CHANGED)
def test_what_was_measured_on_other_pictures_is_measured_again(
    packs: dict[str, Path], environment: RunContext, change: dict[str, Any], said: str
) -> None:  # fmt: skip
    """Distances to two sets of pictures cannot be compared, so the best would be chosen by which set is easier."""
    recipe = tiny_runs.recipe("scene", packs["scene"], updates=4, keep_kimg=POINTS, checkpoint_kimg=2 * tiny_runs.PER_UPDATE / 1000, checkpoints_kept=9)
    run = pretrain(with_overrides(recipe, evaluation__best_by="fd"), environment)
    rows = list(read_jsonl(run.evaluations_file))
    assert {row["data_sha256"] for row in rows} == {open_recipe_data(recipe, rows[0]["split"]).measured_sha256}
    other = [{key: value for key, value in {**row, **change, "fd": -1.0}.items() if value is not None} for row in rows[:2]] + rows[2:]
    run.evaluations_file.write_text("".join(f"{json.dumps(row)}\n" for row in other))
    assert run.artifact_file is not None
    run.artifact_file.unlink()
    resume(run.path, environment)
    assert list(read_jsonl(run.evaluations_file)) == rows
    assert said in tiny_runs.said(environment)
    best = min(rows, key=lambda row: float(row["fd"]))
    assert load_artifact(run.path / "best").card.iterations == best["iteration"]


@pytest.mark.parametrize("measure", ["fd", "kid"])
def test_the_best_by_a_measure_is_kept_beside_the_last(packs: dict[str, Path], environment: RunContext, measure: str) -> None:
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=4, keep_kimg=POINTS), evaluation__best_by=measure)
    run = pretrain(recipe, environment)
    rows = list(read_jsonl(run.evaluations_file))
    best: dict[str, Any] = min(rows, key=lambda row: float(row[measure]))
    best_artifact = load_artifact(run.path / "best")
    assert best_artifact.card.iterations == best["iteration"]
    assert json.loads((run.path / "best" / "card.json").read_text())["iterations"] == best["iteration"]
    assert {"kimg", "seconds", "fd", "kid", "diversity"} <= rows[0].keys()


def test_runs_know_what_they_were_made_from(packs: dict[str, Path], pretrained: dict[str, Run], environment: RunContext) -> None:
    recipe = tiny_runs.recipe("scene", packs["scene"], updates=1, compose=True)
    layers = tiny_runs.layers(pretrained)
    run = compose(recipe, layers, environment)
    hashes = {name: read_weights_hash(path) for name, path in layers.items()}
    assert run.read_inputs() == hashes
    assert find_matching_run(environment.root, recipe, hashes) == run
    assert find_matching_run(environment.root, recipe, {**hashes, "bg": "other"}) is None
    assert find_matching_run(environment.root, recipe) == run
