"""Whatever work is killed between any two system calls that write, the same call ends as undisturbed work does, and leaves no temporary file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import disk_states, images, tiny_runs
from PIL import ImageDraw

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.compare import ComparisonPlan, arm_training, demo, run_comparison, sweep
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.recipe import to_toml, with_overrides
from mitlgan.stages.compose import compose
from mitlgan.stages.existing_runs import get_or_train
from mitlgan.stages.parallel import TrainingProcess
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run

CI_POINTS = 6
"""States that are checked unless the slow tests run."""
points = pytest.mark.parametrize("count", [CI_POINTS, pytest.param(0, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["some", "all"])


def last_run(root: Path) -> dict[str, Any]:
    """What the run holds that the last call worked on; a run that was killed before its first checkpoint stays as it is."""
    runs = sorted(path.parent for path in root.glob("*/*/recipe.toml"))
    assert all(not list_checkpoints(run) for run in runs[:-1])
    assert sorted(path.name for path in (root / "pretrain").iterdir()) == sorted(run.name for run in runs)
    return disk_states.without_times(runs[-1])


@points
def test_training(packs: dict[str, Path], tmp_path: Path, count: int) -> None:
    step = tiny_runs.PER_UPDATE / 1000
    training: Mapping[str, Any] = {"keep_kimg": [0.0, step, 3 * step], "checkpoint_iterations": 2, "snapshot_iterations": 1}
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=4, **training), evaluation__best_by="fd")
    root = tmp_path / "runs"

    def work() -> None:
        run = get_or_train(recipe, tiny_runs.run_context(root))
        assert run.is_finished
        assert run.read_state() == "done"

    states = disk_states.check_every_kill(root, work, count=count, look=last_run)
    assert states > 60


@points
def test_a_training_that_is_made_longer(packs: dict[str, Path], tmp_path: Path, count: int) -> None:
    """The shorter artifact is never taken for the longer one."""
    short = tiny_runs.recipe("bg", packs["bg"], updates=2)
    longer = with_overrides(short, training__kimg=4 * tiny_runs.PER_UPDATE / 1000)
    root = tmp_path / "runs"
    first = get_or_train(short, tiny_runs.run_context(root))

    def work() -> None:
        if Run(first.path).load_recipe() == short:
            resume(first.path, tiny_runs.run_context(root), more_kimg=2 * tiny_runs.PER_UPDATE / 1000)
        run = get_or_train(longer, tiny_runs.run_context(root))
        assert run.path == first.path
        assert read_card(run.path / "generator.safetensors").iterations == 4

    disk_states.check_every_kill(root, work, count=count, look=last_run)


def run_here(workdir: Path, root: Path, trainings: Sequence[TrainingProcess], **_: Any) -> None:
    """Trainings in this process, one after the other, in place of `run_parallel`."""
    context = tiny_runs.run_context(root)
    for training in trainings:
        if training.is_done(root):
            continue
        paths = dict(zip(training.arguments[1::2], map(Path, training.arguments[2::2]), strict=False))
        if (run := training.find_run(root)) is not None:
            resume(run.path, context)
        elif training.arguments[0] == "compose":
            compose(training.recipe, {name: paths[f"--{name}"] for name in ("fg", "bg")}, context)
        else:
            pretrain(training.recipe, context)


def finished_runs(root: Path) -> dict[str, Any]:
    """The hashes of what each finished run keeps; a run that was killed before its first checkpoint may lie next to the one that took its place."""
    runs = [Run(path.parent) for path in sorted(root.glob("*/[!.]*/recipe.toml")) if list_checkpoints(path.parent)]
    assert all(run.is_finished for run in runs)
    names = [run.load_recipe().name for run in runs]
    assert len(set(names)) == len(names)
    return {
        name: {str(path.relative_to(run.path)): read_weights_hash(path) for path in (*run.list_kept_artifacts(), run.artifact_file) if path}
        for name, run in zip(names, runs, strict=True)
    }


@pytest.mark.parametrize("count", [6, pytest.param(0, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["some", "all"])
def test_prepare(tmp_path: Path, count: int) -> None:
    source = images.fill(tmp_path / "in", 6, size=(20, 20))
    out = tmp_path / "out"
    settings = PrepareSettings(size_px=8, holdout="2")
    assert disk_states.check_every_kill(out, lambda: prepare_pack(source, out, settings), count=count) > 10


@pytest.mark.parametrize("count", [6, pytest.param(0, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["some", "all"])
def test_split(tmp_path: Path, count: int) -> None:
    pytest.importorskip("cv2")
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(3):
        picture = images.smooth(index, (64, 64)).point(lambda value: value // 2)
        ImageDraw.Draw(picture).ellipse((12 + 3 * index, 16, 36 + 3 * index, 48), fill=(240, 200, 60))
        picture.save(source / f"{index}.png")
    settings = SplitSettings(size_px=48, min_fill_confidence=0, holdout="1")
    assert disk_states.check_every_kill(out, lambda: split_pictures(source, out, settings), count=count) > 10


@pytest.mark.parametrize("count", [3, pytest.param(0, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["some", "all"])
def test_sweep(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(sweep, "run_parallel", run_here)
    recipe = tmp_path / "one.toml"
    recipe.write_text(to_toml(with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=2), name="one")))
    plan = sweep.SweepPlan([str(recipe)], vary=["critic.kernel=3,5"], jobs=2, samples=12, extractors=["efficientnet-lite0@32"])
    out, figures = tmp_path / "out", dict[str, Any]()

    def work() -> None:
        ranking, paths = sweep.run_sweep(plan, out, tiny_runs.Listener())
        figures["rows"] = [(row.name, row.trained, row.untrained, row.real_halves, list(row.notes)) for _, rows in ranking.groups() for row in rows]
        assert paths.html.is_file()

    disk_states.check_every_kill(out, work, count=count, look=lambda folder: {**figures, "runs": finished_runs(folder / "runs")})


@pytest.mark.parametrize("count", [2, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["some", "more"])
def test_compare_by_budgets(packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, count: int) -> None:
    recipe = tmp_path / "scene.toml"
    recipe.write_text(to_toml(tiny_runs.recipe("scene", packs["scene"], compose=True, checkpoint_iterations=1)))
    step = tiny_runs.PER_UPDATE / 1000
    plan = ComparisonPlan(recipe=str(recipe), layers=tiny_runs.layers(pretrained), budgets=(2 * step, 3 * step), count_pretraining=False)
    root, figures = tmp_path / "runs", dict[str, Any]()

    def work() -> None:
        result = run_comparison(plan, tiny_runs.run_context(root))
        figures["arms"] = [(arm.name, arm.metrics) for arm in result.comparison.arms]
        assert result.html.is_file()

    disk_states.check_every_kill(root, work, count=count, look=lambda folder: {**figures, "runs": finished_runs(folder / "arms")})


@pytest.mark.parametrize("count", [pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_demo(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Its WGAN trains for as long as the other stages took, so that its figures differ from call to call; it has an end in any case."""
    recipes = {role: tiny_runs.recipe(role, packs[role], updates=2) for role in ("fg", "bg")}
    recipes["compose"] = tiny_runs.recipe("scene", packs["scene"], compose=True, updates=2)
    recipes["thesis"] = with_overrides(recipes["compose"], name="tiny-thesis", composer__translator__blocks=2)
    wanted = demo.DemoRecipes({role: recipes[role] for role in ("fg", "bg")}, recipes["compose"], recipes["thesis"])
    monkeypatch.setattr(demo, "demo_recipes", lambda quick: wanted)
    monkeypatch.setattr(arm_training, "run_parallel", run_here)
    out, figures = tmp_path / "out", dict[str, Any]()

    def work() -> None:
        result = demo.run_demo(out)
        figures["arms"] = [(arm.name, arm.diverged) for arm in result.comparison.arms]
        assert result.html.is_file()

    disk_states.check_every_kill(out, work, count=count, look=lambda folder: figures)
