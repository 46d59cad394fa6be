"""Resuming a run: refused changes, changed pictures, damaged files."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs
from helpers.short_exports import IMAGES_OF_USERS

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.safetensors_io import read_header, read_tensors, write_tensors
from mitlgan.errors import ArtifactError, Stopped, UsageError
from mitlgan.networks import batchnorm
from mitlgan.report.run_files import write_run_files
from mitlgan.report.run_report import write_run_report
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.stages import training_run
from mitlgan.stages.context import RunContext
from mitlgan.stages.existing_runs import warn_if_data_changed
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run, list_runs


def test_a_batch_must_divide_among_the_processes(packs: dict[str, Path], tmp_path: Path) -> None:
    for size, message in ((3, "4 is not a multiple of the 3 processes"), (4, "less than the two")):
        with pytest.raises(UsageError, match=rf"training\.batch: .*{message}"):
            pretrain(tiny_runs.recipe("fg", packs["fg"]), tiny_runs.run_context(tmp_path, rank=1, size=size))


def test_an_edited_recipe_is_refused_with_the_difference(pretrain_fg: tiny_runs.StartRun, environment: RunContext) -> None:
    run = pretrain_fg()
    run.recipe_file.write_text(run.recipe_file.read_text().replace("batch = 4", "batch = 6"))
    with pytest.raises(ArtifactError, match=r"training\.batch was 4, now 6") as refused:
        resume(run.path, environment)
    assert refused.value.exit_code == 4


def test_a_checkpoint_of_a_newer_schema_is_refused(pretrain_fg: tiny_runs.StartRun, environment: RunContext) -> None:
    run = pretrain_fg()
    newest = list_checkpoints(run.path)[-1]
    tensors, header = read_tensors(newest)
    write_tensors(newest, tensors, {**header, "schema_version": 99})
    with pytest.raises(ArtifactError, match="schema_version 99 is newer than 1; upgrade mitlgan"):
        resume(run.path, environment)


def test_a_run_without_a_checkpoint_and_a_folder_that_is_no_run_are_refused(
    pretrain_fg: tiny_runs.StartRun, environment: RunContext, tmp_path: Path
) -> None:
    run = pretrain_fg()
    for path in list_checkpoints(run.path):
        path.unlink()
    with pytest.raises(ArtifactError, match="no checkpoint to resume from"):
        resume(run.path, environment)
    with pytest.raises(UsageError, match="not a run directory"):
        resume(tmp_path, environment)


def test_a_resume_restores_the_thread_count(pretrain_fg: tiny_runs.StartRun, environment: RunContext) -> None:
    run = pretrain_fg()
    before = torch.get_num_threads()
    assert read_header(list_checkpoints(run.path)[-1])["threads"] == before
    try:
        torch.set_num_threads(before + 1)
        resume(run.path, environment)
        assert torch.get_num_threads() == before
        assert f"{before} threads, as the run began with" in tiny_runs.said(environment)
    finally:
        torch.set_num_threads(before)


def test_changed_pictures_are_warned_of(environment: RunContext, tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "bg.npy", count=12, seed=1)
    run = pretrain(tiny_runs.recipe("bg", source), environment)
    resume(run.path, environment, more_kimg=0.001)
    assert "pictures changed" not in tiny_runs.said(environment)
    tiny_runs.pack(source, count=10, seed=2)
    resume(run.path, environment, more_kimg=tiny_runs.PER_UPDATE / 1000)
    sums = [json.loads(source.with_suffix(".json").read_text())["content_sha256"], read_header(list_checkpoints(run.path)[0])["data_sha256"]]
    assert f"the pictures changed since this run began: 12 ({sums[1][:12]}) then, 10 ({sums[0][:12]}) now" in tiny_runs.said(environment)
    assert run.read_status()["state"] == "done"


CHANGES = [  # pictures of each stretch, what is trained in it in iterations -> which sets the card names, and the words of its note
    (["a", "a"], [1, 1], ["a"], ""),
    (["a", "b"], [1, 1], ["a", "b"], "trained on 12 pictures to 0.008 kimg, then on 10"),
    (["a", "b", "b"], [1, 1, 1], ["a", "b"], "trained on 12 pictures to 0.008 kimg, then on 10"),
    (["a", "b", "a"], [1, 1, 1], ["a", "b", "a"], "trained on 12 pictures to 0.008 kimg, then on 10 to 0.016 kimg, then on 12"),
    (["a", "b", "c"], [1, 2, 1], ["a", "b", "c"], "trained on 12 pictures to 0.008 kimg, then on 10 to 0.024 kimg, then on 11"),
    (["a", "b", "a"], [1, 0, 1], ["a"], ""),  # nothing was trained on b
    (["a", "b"], [1, 0], ["a"], ""),
    (["b", "a"], [0, 1], ["a"], ""),
]


@pytest.mark.parametrize(("sets", "lengths", "expected", "note"), CHANGES)
def test_every_set_of_pictures_that_a_run_was_trained_on_stays_in_its_record(
    environment: RunContext, tmp_path: Path, sets: list[str], lengths: list[int], expected: list[str], note: str
) -> None:
    counts = {"a": 12, "b": 10, "c": 11}
    source, sums, said = tmp_path / "bg.npy", dict[str, str](), []
    run: Run | None = None
    for name, updates in zip(sets, lengths, strict=True):
        tiny_runs.pack(source, count=counts[name], seed=counts[name])
        sums[name] = json.loads(source.with_suffix(".json").read_text())["content_sha256"]
        context = tiny_runs.run_context(environment.root)
        if run is None:
            run = pretrain(tiny_runs.recipe("bg", source, updates=max(updates, 1)), context) if updates else _untrained(source, context)
        else:
            resume(run.path, context, more_kimg=updates * tiny_runs.PER_UPDATE / 1000)
        said.append(tiny_runs.said(context))
    assert run is not None
    card, header = json.loads((run.path / "card.json").read_text()), read_header(list_checkpoints(run.path)[-1])
    assert card["notes"] == note
    assert (card["data"]["content_sha256"], card["data"]["count"]) == (sums[expected[-1]], counts[expected[-1]])
    assert [entry["content_sha256"] for entry in card["data"].get("sets", [])] == [sums[name] for name in expected if len(expected) > 1]
    assert read_card(list_checkpoints(run.path)[-1]).data == read_card(run.path / "generator.safetensors").data
    assert ("data_sets" in header) == ("sets" in card["data"]) == bool(note)
    write_run_files(run)
    write_run_report(run.path)
    assert all(note in (run.path / name).read_text() for name in ("report.html", "hyperparameters.md"))
    before = sums[sets[0]]
    assert all((f"since this run began: {counts[sets[0]]} ({before[:12]}) then" in text) == (note != "") for text in said[1:] if note)
    later = tiny_runs.run_context(environment.root)
    warn_if_data_changed(run, run.load_recipe(), later.reporter.say)
    assert ("pictures changed" in tiny_runs.said(later)) == (expected != [sets[-1]])


def _untrained(source: Path, context: RunContext) -> Run:
    """A run that was stopped before its first iteration."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_runs.before_step(patch, _raise_stopped, at=0)
        with pytest.raises(Stopped):
            pretrain(tiny_runs.recipe("bg", source, updates=1), context)
    return tiny_runs.only_run(context.root)


def _raise_stopped(_: object) -> None:
    raise Stopped("stopped", signal.SIGINT)


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_a_run_whose_time_is_over_does_not_become_longer(environment: RunContext, tmp_path: Path, clock: str) -> None:
    source = tiny_runs.pack(tmp_path / "bg.npy")
    run = pretrain(tiny_runs.recipe("bg", source, limit_s=1e-6, clock=clock, kimg=100.0), environment)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(
        UsageError, match=r"--kimg: .* has used up its training.limit_s = 1e-06, .* `mitlgan pretrain bg --recipe .*recipe.toml --set training.limit_s"
    ):
        resume(run.path, environment, more_kimg=0.1)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert resume(run.path, environment).read_status()["state"] == "done"


def test_a_run_with_time_left_becomes_longer(environment: RunContext, tmp_path: Path) -> None:
    run = pretrain(tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy"), limit_s=90_100.0), environment)
    before = run.read_status()["kimg"]
    resume(run.path, environment, more_kimg=tiny_runs.PER_UPDATE / 1000)
    assert run.read_status()["kimg"] == pytest.approx(before + tiny_runs.PER_UPDATE / 1000)
    assert "training.limit_s = 90100 ends the run in 25 h 0" in tiny_runs.said(environment)


def test_a_training_of_the_critic_alone_does_not_begin_and_an_old_one_is_read(
    environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy"), critic_first_kimg=1.0)
    with pytest.raises(UsageError, match=r"^training\.critic_first_kimg is 1, and training\.kimg 0"):
        pretrain(recipe, environment)
    assert not list_runs(environment.root)
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "require_trainable", lambda recipe: None)  # as an earlier version did
        run = pretrain(recipe, environment)
    assert run.load_recipe() == recipe
    assert resume(run.path, environment, more_kimg=tiny_runs.PER_UPDATE / 1000).read_status()["state"] == "done"


def test_fewer_pictures_than_a_batch_are_warned_of(environment: RunContext, tmp_path: Path) -> None:
    run = pretrain(tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy", count=3)), environment)
    assert "warning: 3 pictures for batches of 4: each batch repeats some" in tiny_runs.said(environment)
    assert run.read_status()["state"] == "done"


def test_a_broken_newest_checkpoint_is_told_and_the_end_is_the_same(pretrain_fg: tiny_runs.StartRun, tmp_path: Path) -> None:
    run = pretrain_fg(updates=4, checkpoint_iterations=2)
    whole = Run(shutil.copytree(run.path, tmp_path / "whole"))
    newest = list_checkpoints(run.path)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    later = tiny_runs.run_context(tmp_path)
    tiny_runs.assert_same_trace(resume(run.path, later), whole)
    assert f"warning: the checkpoint of iteration 2 takes the place of the newest, which cannot be read: {newest}: damaged" in tiny_runs.said(later)


@pytest.mark.parametrize("damage", ["torn", "ahead", "both", "garbage"])
def test_statistics_torn_or_ahead_are_cut_to_the_checkpoint(
    damage: str, pretrain_fg: tiny_runs.StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packs: dict[str, Path]
) -> None:
    straight = pretrain(tiny_runs.recipe("fg", packs["fg"], updates=4), tiny_runs.run_context(tmp_path / "straight"))
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=1)
        with pytest.raises(Stopped):
            pretrain_fg(updates=4)
    run = tiny_runs.only_run(tmp_path / "runs")
    line = straight.stats_file.read_text().splitlines(keepends=True)[2]  # of iteration 3; the checkpoint is of 2
    for path in (run.stats_file, run.timing_file):
        added = {"torn": line[:40], "ahead": line, "both": line + line[:40], "garbage": "\0" * 4096}[damage]
        path.write_text(path.read_text() + added)
    tiny_runs.assert_same_trace(straight, resume(run.path, tiny_runs.run_context(tmp_path)))
    assert [row["iteration"] for row in read_jsonl(run.timing_file)] == [1, 2, 3, 4]


def test_what_an_interrupted_write_left_is_gone_after_a_resume(pretrain_fg: tiny_runs.StartRun, environment: RunContext) -> None:
    run = pretrain_fg()
    left = [
        run.path / ".status.json.77.tmp",
        run.path / "checkpoints" / ".000000009.safetensors.77.tmp",
        run.path / "snapshots" / ".000000.png.77.tmp",
    ]
    for path in left:
        path.write_bytes(b"half")
    resume(run.path, environment)
    assert not any(path.exists() for path in left)


def test_a_run_of_an_earlier_version_is_made_longer_as_that_version_made_it(
    environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run and the reference are of version 0.1.0 before its modules moved; the reference is that run, made longer by the same code."""
    for name, value in zip(("RECALIBRATION_BATCHES", "RECALIBRATION_BATCH"), IMAGES_OF_USERS, strict=True):
        monkeypatch.setattr(batchnorm, name, value)
    folder = Path(__file__).parent
    run = Run(tmp_path / "pretrain" / "old-bg-001")
    shutil.copytree(folder / "earlier_run", run.path)
    (run.path / "snapshots").mkdir()
    resume(run.path, environment, more_kimg=0.16)
    tensors, _ = read_tensors(run.path / "generator.safetensors")
    reference, _ = read_tensors(folder / "earlier_run_made_longer.safetensors")
    before, _ = read_tensors(folder / "earlier_run" / "generator.safetensors")
    assert tensors.keys() == reference.keys()
    for name, tensor in reference.items():  # to the bit on one machine; another's kernels may sum in another order
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(before[name], tensor) for name, tensor in reference.items()), "the generator trained on"
