"""demo: the four stages in one command that goes on where it was stopped; here with tiny recipes in place of the shipped ones."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.cli import main
from mitlgan.compare import arm_training, demo
from mitlgan.errors import DivergedError, MitlganError, ResourceError, Stopped
from mitlgan.recipe import Recipe, to_toml, with_overrides
from mitlgan.runtime.files import lock_folder
from mitlgan.runtime.progress import Reporter
from mitlgan.stages import default_layers, parallel
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.parallel import TrainingProcess
from mitlgan.stages.pretrain import pretrain
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run


@pytest.fixture
def recipes(packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Recipe]:
    """What the demo trains."""
    found = {role: tiny_runs.recipe(role, packs[role]) for role in ("fg", "bg")}
    found["compose"] = tiny_runs.recipe("scene", packs["scene"], compose=True)
    found["thesis"] = with_overrides(
        tiny_runs.recipe("scene", packs["scene"], compose=True, updates=9), name="tiny-thesis", composer__translator__blocks=2
    )
    monkeypatch.setattr(demo, "_stage_recipe", lambda name, quick: found[name])
    return found


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs the jobs here, one after the other, and keeps their labels."""
    done: list[str] = []

    def run(
        workdir: Path,
        root: Path,
        waiting: Sequence[TrainingProcess],
        *,
        max_parallel: int,
        on_failure: Callable[[TrainingProcess, MitlganError], None],
    ) -> None:
        assert max_parallel == 2
        for job in waiting:
            if job.is_done(root):
                continue
            done.append(job.label)
            with nullcontext() if job.label.startswith("baseline") else pytest.raises(DivergedError):  # of baselines alone one may fail
                on_failure(job, DivergedError("x"))
            (workdir / f"{job.recipe.name}.toml").write_text(to_toml(job.recipe))
            monkeypatch.setattr(sys, "argv", ["mitlgan", *job.arguments, "--recipe", str(workdir / f"{job.recipe.name}.toml"), "--out", str(root)])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 0

    monkeypatch.setattr(arm_training, "run_parallel", run)
    return done


TOGETHER = ["compose", "baseline tiny-thesis"]
STAGES = ["pretrain fg", "pretrain bg", *TOGETHER, "baseline wgan"]


def test_the_demo_ends_with_a_report_and_does_nothing_twice(recipes: dict[str, Recipe], in_process: list[str], tmp_path: Path) -> None:
    result = demo.run_demo(tmp_path / "demo")
    assert in_process == STAGES
    assert result.html.is_file()
    arms = {arm.name: arm for arm in result.comparison.arms}
    assert list(arms) == ["composed", "tiny-thesis", "baseline+pretraining", "baseline"]  # the recommended one leads
    assert [arm.length for arm in arms.values()] == ["", "total", "total", "stage"]
    assert result.comparison.resource == "cpu-seconds"
    html = result.html.read_text()
    assert html.index("Composition (tiny-composed)") < html.index("Composition (tiny-thesis)")
    cards = [read_card(run.artifact_file) for run in run_directory.list_runs(tmp_path / "demo" / "runs", "compose") if run.artifact_file]
    assert len(cards) == 2
    assert len({layer.sha256_after for card in cards for layer in card.layers.values()}) == 2  # of the same frozen layers
    assert [picture.caption for domain in result.comparison.domains for picture in domain.pictures] == [
        "Real foregrounds",
        "Real backgrounds",
        "Real scenes",
    ]
    demo.run_demo(tmp_path / "demo")
    assert in_process == STAGES


def test_from_pretrained_takes_the_shipped_generators_and_no_composition_of_others(
    recipes: dict[str, Recipe], in_process: list[str], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_layers, "shipped_folder", lambda folder: tmp_path / folder)
    for role, path in tiny_runs.layers(pretrained).items():
        (tmp_path / "pretrained" / f"{role}-8").mkdir(parents=True)
        shutil.copyfile(path, tmp_path / "pretrained" / f"{role}-8" / "generator.safetensors")
    # A first demo in the same folder, from scratch, whose generators are others.
    for name in ("fg", "bg"):
        recipes[name] = recipes[name].model_copy(update={"seed": 99})
    demo.run_demo(tmp_path / "demo")
    result = demo.run_demo(tmp_path / "demo", pretrained=True)
    assert in_process == [*STAGES, *TOGETHER, "baseline wgan"]
    assert [arm.length for arm in result.comparison.arms] == ["", "stage", "stage"]  # shipped layers took longer than a demo may
    composition = Run(Path(str(result.comparison.arms[0].run_dir)))
    assert composition.artifact_file is not None
    card = read_card(composition.artifact_file)
    assert {name: layer.sha256_before for name, layer in card.layers.items()} == {
        name: read_weights_hash(path) for name, path in tiny_runs.layers(pretrained).items()
    }


def test_a_layer_of_which_none_ships_is_pretrained(
    recipes: dict[str, Recipe], in_process: list[str], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_layers, "shipped_folder", lambda folder: tmp_path / folder)
    (tmp_path / "pretrained" / "bg-8").mkdir(parents=True)
    shutil.copyfile(tiny_runs.layers(pretrained)["bg"], tmp_path / "pretrained" / "bg-8" / "generator.safetensors")
    made = demo._train_layers(recipes, tiny_runs.run_context(tmp_path / "runs"), True, lambda _: None)
    assert in_process == ["pretrain fg"]
    assert made["bg"] == tmp_path / "pretrained" / "bg-8" / "generator.safetensors"
    assert read_card(made["fg"]).role == "fg"


def test_a_second_demo_in_the_same_folder_is_refused_while_the_first_works(recipes: dict[str, Recipe], tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with lock_folder(tmp_path / "demo"), pytest.raises(ResourceError, match="another process is working on it"):
        demo.run_demo(tmp_path / "demo")


def test_quick_changes_the_length_only() -> None:
    for name in demo.RECIPES:
        full, quick = demo._stage_recipe(name, False), demo._stage_recipe(name, True)
        assert quick.training.kimg < full.training.kimg
        assert quick.evaluation.samples == 256
        unchanged = {"training", "evaluation"}
        assert quick.model_dump(exclude=unchanged) == full.model_dump(exclude=unchanged)
        assert quick.size_px == 32


# Processes


@pytest.mark.slow
def test_an_interrupted_demo_goes_on_and_finishes(
    recipes: dict[str, Recipe], packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    threads = torch.get_num_threads()
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # each of two has one thread
    for role in ("fg", "bg"):
        recipes[role] = tiny_runs.recipe(role, packs[role], updates=400)
    show, seen = TrainingProcess.show_status, set[str]()

    def interrupting(training: TrainingProcess, root: Path, reporter: Reporter) -> None:
        show(training, root, reporter)
        run = training.find_run(root)
        if run is not None and run.read_status().get("iteration"):
            seen.add(training.label)
        if len(seen) == 2:
            patch.setattr(TrainingProcess, "show_status", show)  # once
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProcess, "show_status", interrupting)
        patch.setattr(parallel, "STATUS_INTERVAL_S", 0.0)
        with pytest.raises(Stopped, match="stopped and saved; the same command continues from here") as stopped:
            demo.run_demo(out)
    assert stopped.value.exit_code == 130
    begun = run_directory.list_runs(out / "runs", "pretrain")
    assert len(begun) == 2
    assert {run.read_status()["state"] for run in begun} == {"stopped"}
    assert not any(run.artifact_file for run in begun)
    result = demo.run_demo(out)
    assert result.html.is_file()
    assert len(run_directory.list_runs(out / "runs", "pretrain")) == 3  # both went on; the third is the baseline
    assert len(run_directory.list_runs(out / "runs", "compose")) == 2
    try:
        torch.set_num_threads(1)
        straight = pretrain(recipes["fg"], tiny_runs.run_context(tmp_path / "straight"))
    finally:
        torch.set_num_threads(threads)
    resumed = find_matching_run(out / "runs", recipes["fg"])
    assert resumed is not None
    tiny_runs.assert_same_trace(resumed, straight)
