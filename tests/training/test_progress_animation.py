"""An early look: snapshots at the start of a run and where it is stopped, and an animation of all of them."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest
from helpers import tiny_runs
from PIL import Image

from mitlgan.errors import Stopped
from mitlgan.recipe import Recipe
from mitlgan.report.run_report import write_run_report
from mitlgan.stages.context import RunContext
from mitlgan.stages.resume import resume
from mitlgan.training.counters import Counters
from mitlgan.training.progress_animation import MAX_FRAMES, encode_progress
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import Schedule


def names(run: Run) -> list[str]:
    return [path.name for path in run.list_snapshots()]


def frames(run: Run) -> list[Image.Image]:
    with Image.open(io.BytesIO(run.progress_file.read_bytes())) as animation:
        pictures = []
        for index in range(getattr(animation, "n_frames", 1)):
            animation.seek(index)
            pictures.append(animation.convert("RGB"))
    return pictures


def tiny_recipe(tmp_path: Path, **training: object) -> Recipe:
    return tiny_runs.recipe("fg", tiny_runs.pack(tmp_path / "pack.npy"), **training)


def test_early_snapshots_come_at_1_2_and_5_percent_of_the_length(tmp_path: Path) -> None:
    schedule = Schedule(tiny_recipe(tmp_path, updates=1000))
    counters, due = Counters(), []
    for update in range(1, 1001):
        before = schedule.position(counters)
        counters.images_shown = update * tiny_runs.PER_UPDATE
        if schedule.is_early_snapshot_due(before, counters):
            due.append(update)
    assert due == [10, 20, 50]


def test_early_snapshots_follow_the_clock_of_a_run_that_ends_by_time(tmp_path: Path) -> None:
    schedule = Schedule(tiny_recipe(tmp_path, updates=1_000_000, limit_s=100.0))
    counters, due = Counters(), []
    for second in range(1, 101):
        before = schedule.position(counters)
        counters.seconds = float(second)
        if schedule.is_early_snapshot_due(before, counters):
            due.append(second)
    assert due == [1, 2, 5]


def test_a_run_has_early_snapshots_in_order_and_one_frame_for_each(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=100, snapshot_kimg=0.5)
    assert names(run) == ["000000.png", "000000.008.png", "000000.016.png", "000000.040.png", "000000.504.png", "000000.800.png"]
    pictures = frames(run)
    assert len(pictures) == 6
    assert len({picture.size for picture in pictures}) == 1
    assert pictures[0].tobytes() != pictures[-1].tobytes()


def test_a_stopped_run_shows_how_far_it_came_and_goes_on(start_run: tiny_runs.StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=30)
        with pytest.raises(Stopped):
            start_run("stopped", updates=100)
    stopped = tiny_runs.only_run(tmp_path / "stopped")
    at_stop = f"{stopped.read_status()['kimg']:010.3f}.png"
    assert names(stopped)[-1] == at_stop
    assert len(frames(stopped)) == len(names(stopped))
    picture = (stopped.path / "snapshots" / at_stop).read_bytes()
    resumed = resume(stopped.path, tiny_runs.run_context(tmp_path))
    assert (resumed.path / "snapshots" / at_stop).read_bytes() == picture
    assert len(frames(resumed)) == len(names(resumed)) > len(frames(resumed)) - 1


def test_a_long_run_keeps_its_first_frames_and_the_last(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=2)
    first = (run.path / "snapshots" / "000000.png").read_bytes()
    for kimg in range(1, 400):
        (run.path / "snapshots" / f"{kimg:06d}.png").write_bytes(first)
    animation = encode_progress(run)
    assert animation is not None
    with Image.open(io.BytesIO(animation)) as opened:
        assert opened.n_frames == MAX_FRAMES


def test_foreign_files_among_the_snapshots_are_left_out(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=2)
    before = encode_progress(run)
    (run.path / "snapshots" / "000009.png").write_bytes(b"<html>")
    Image.new("RGB", (3, 3)).save(run.path / "snapshots" / "000010.png")
    Image.new("RGB", (90, 90)).save(run.path / "snapshots" / "holiday.png")
    (run.path / "snapshots" / "000011.png").symlink_to("/etc/hostname")
    assert encode_progress(run) == before


def test_a_run_without_pictures_has_no_animation(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=2)
    for path in run.list_snapshots():
        path.unlink()
    assert encode_progress(run) is None
    assert "Show the training as an animation" not in write_run_report(run.path)[0].html.read_text()


def test_the_report_of_a_run_shows_the_animation(pretrain_fg: tiny_runs.StartRun) -> None:
    run = pretrain_fg(updates=2)
    run.progress_file.unlink()  # as a run of an earlier version
    page = write_run_report(run.path)[0].html.read_text()
    assert "Show the training as an animation" in page
    assert page.count("data:image/webp;base64,") == 1


def test_an_animation_that_fails_hides_no_error_of_the_training(pretrain_fg: tiny_runs.StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("WEBP")

    monkeypatch.setattr("mitlgan.training.loop.write_progress", fails)
    tiny_runs.before_step(monkeypatch, tiny_runs.send(signal.SIGTERM), at=1)
    with pytest.raises(Stopped):
        pretrain_fg(updates=3)


def test_a_bug_leaves_a_training_failed(pretrain_fg: tiny_runs.StartRun, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError

    tiny_runs.before_step(monkeypatch, fails, at=1)
    with pytest.raises(ZeroDivisionError):
        pretrain_fg(updates=3)
    assert tiny_runs.only_run(environment.root).read_state() == "failed"
