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
from mitlgan.compare import arm_training, demo, report_builder
from mitlgan.compare.demo import DemoRecipes
from mitlgan.compare.runner import ComparisonResult
from mitlgan.errors import DivergedError, MitlganError, ResourceError, Stopped
from mitlgan.recipe import Recipe, as_dict, ladder_steps, parse_recipe, to_toml, with_overrides
from mitlgan.report.schema import ArmResult, Cost, StageCost
from mitlgan.runtime.files import lock_folder
from mitlgan.runtime.progress import Reporter, ignore_message
from mitlgan.stages import default_layers, parallel
from mitlgan.stages.compose import compose
from mitlgan.stages.existing_runs import find_matching_run
from mitlgan.stages.parallel import TrainingProcess
from mitlgan.stages.pretrain import pretrain
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run


@pytest.fixture
def recipes(packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Recipe]:
    """What the quick demo trains."""
    found = {role: tiny_runs.recipe(role, packs[role]) for role in ("fg", "bg")}
    found["compose"] = tiny_runs.recipe("scene", packs["scene"], compose=True)
    found["thesis"] = with_overrides(
        tiny_runs.recipe("scene", packs["scene"], compose=True, updates=9), name="tiny-thesis", composer__translator__blocks=2
    )
    monkeypatch.setattr(demo, "demo_recipes", lambda quick: quick_recipes(found))
    return found


def quick_recipes(found: dict[str, Recipe]) -> DemoRecipes:
    return DemoRecipes({role: found[role] for role in ("fg", "bg")}, found["compose"], found["thesis"])


@pytest.fixture
def larger(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoRecipes:
    """What the demo trains: layers of 8 px, a foreground that is drawn at 16, a composition there that enlarges the background, a ladder."""
    pictures = {role: tiny_runs.pack(tmp_path / f"{role}.npy", size_px=16) for role in ("fg", "scene")}
    sharp, scenes, scene = (
        as_dict(tiny_runs.recipe(role, pictures[role], compose=compose)) for role, compose in (("fg", False), ("scene", True), ("scene", False))
    )
    sharp |= {"name": "tiny-sharp", "generator": {"kind": "sharpened", "parent": {"widths": [5]}, "parent_px": 8, "width": 5, "blocks": 1}}
    scenes["composer"]["resample"] = "bicubic"
    scene |= {"name": "tiny-ladder", "grow": [{"size_px": 8, "kimg": 1}, {"size_px": 16, "kimg": 1, "coarse_widths": [3], "fine_width": 2}]}
    del scene["training"]["kimg"]
    form, composition, ladder = (parse_recipe({**tree, "size_px": 16}, "tiny") for tree in (sharp, scenes, scene))
    found = DemoRecipes({role: tiny_runs.recipe(role, packs[role]) for role in ("fg", "bg")}, composition, ladder, {"fg": form})
    monkeypatch.setattr(demo, "demo_recipes", lambda quick: found)
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


@pytest.mark.slow  # .ci/run runs the quick demo
def test_the_demo_ends_with_a_report_and_does_nothing_twice(larger: DemoRecipes, in_process: list[str], tmp_path: Path) -> None:
    """Every stage counts: layers, drawing larger, composition; the baselines climb from 8 to 16 px for as long."""
    result = demo.run_demo(tmp_path / "demo")
    stages = ["pretrain fg", "pretrain bg", "enlarge fg", "compose", "baseline tiny-ladder", "baseline wgan"]
    assert in_process == stages
    arms = {arm.name: arm for arm in result.comparison.arms}
    assert list(arms) == ["composed", "tiny-ladder+pretraining", "tiny-ladder", "baseline+pretraining", "baseline"]
    assert arms["composed"].samples is not None
    assert arms["composed"].samples.shape[-1] == 16
    layers = {role: read_card(run.artifact_file) for run in trained(tmp_path) if (role := run.load_recipe().role) != "scene" and run.artifact_file}
    assert [(layers[role].size_px, len(layers[role].training_records())) for role in ("fg", "bg")] == [(16, 2), (8, 1)]
    own = arms["composed"].cost
    spent = {key: sum(float(record[key]) for card in layers.values() for record in card.training_records()) for key in ("kimg", "cpu_seconds")}
    assert own.kimg(total=True) == pytest.approx(spent["kimg"] + 0.024)
    assert own.cpu_seconds(total=True) == pytest.approx(spent["cpu_seconds"] + float(own.cpu_seconds(total=False) or 0))
    for run in trained(tmp_path):
        recipe = run.load_recipe()
        if recipe.role == "scene":
            assert [step.size_px for step in ladder_steps(recipe)] == [8, 16]
            assert recipe.training.limit_s == pytest.approx(float(own.cpu_seconds(total=True) or 0), abs=0.06)
    demo.run_demo(tmp_path / "demo")
    assert in_process == stages


def trained(folder: Path) -> list[Run]:
    return run_directory.list_runs(folder / "demo" / "runs", "pretrain")


def test_a_demo_of_an_earlier_version_stays_and_its_layers_go_on(
    recipes: dict[str, Recipe],
    larger: DemoRecipes,
    in_process: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(demo, "QUICK_KIMG", 0.02)
    context = tiny_runs.run_context(tmp_path / "demo" / "runs")
    artifacts = tiny_runs.layers({role: pretrain(recipe, context) for role, recipe in larger.layers.items()})
    earlier = compose(recipes["compose"], artifacts, context)
    assert demo._find_earlier_demo(context.root, larger.composition) == earlier.load_recipe()
    monkeypatch.setattr(demo, "run_comparison", lambda plan, context: pytest.fail("enough"))
    with pytest.raises(pytest.fail.Exception, match="enough"):
        demo.run_demo(tmp_path / "demo")
    assert in_process == ["enlarge fg", "compose"]
    said = capsys.readouterr().err
    assert "demo: holds a demo of 8 px by an earlier version, which stays as it is; --out NEW begins in an empty folder" in said.replace("\n", " ")
    monkeypatch.setattr(demo, "QUICK_KIMG", 1.0)
    assert demo._find_earlier_demo(context.root, larger.composition) is None  # quick ones are of this version, too


def check_quick_report(result: ComparisonResult, runs: Path) -> None:
    """It is compared with the thesis' composition of the same layers, which has no more than their time and its own."""
    arms = {arm.name: arm for arm in result.comparison.arms}
    assert list(arms) == ["composed", "tiny-thesis", "baseline+pretraining", "baseline"]  # the recommended one leads
    assert [arm.length for arm in arms.values()] == ["", "total", "total", "stage"]
    assert result.comparison.resource == "cpu-seconds"
    table = result.html.read_text().partition(">Numbers</h2>")[2]  # the verdict above may name the baseline first
    assert 0 < table.index("Composition (tiny-composed)") < table.index("Composition (tiny-thesis)")
    cards = [read_card(run.artifact_file) for run in run_directory.list_runs(runs, "compose") if run.artifact_file]
    assert len(cards) == 2
    assert len({layer.sha256_after for card in cards for layer in card.layers.values()}) == 2  # of the same frozen layers
    captions = [picture.caption for domain in result.comparison.domains for picture in domain.pictures]
    assert captions == ["Real foregrounds", "Real backgrounds", "Real scenes"]


@pytest.mark.slow
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
    check_quick_report(demo.run_demo(tmp_path / "demo"), tmp_path / "demo" / "runs")
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
    made = demo._train_layers(quick_recipes(recipes), tiny_runs.run_context(tmp_path / "runs"), True, demo._Steps(ignore_message, 3))
    assert in_process == ["pretrain fg"]
    assert made["bg"] == tmp_path / "pretrained" / "bg-8" / "generator.safetensors"
    assert read_card(made["fg"]).role == "fg"


def test_a_second_demo_in_the_same_folder_is_refused_while_the_first_works(recipes: dict[str, Recipe], tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with lock_folder(tmp_path / "demo"), pytest.raises(ResourceError, match="another process is working on it"):
        demo.run_demo(tmp_path / "demo")


def test_the_quick_demo_stays_at_32_px_and_the_other_ends_at_64() -> None:
    quick, full = demo.demo_recipes(True), demo.demo_recipes(False)
    for role, layer in quick.layers.items():
        assert layer.training.kimg < full.layers[role].training.kimg
        unchanged = {"training", "evaluation"}
        assert layer.model_dump(exclude=unchanged) == full.layers[role].model_dump(exclude=unchanged)
    every = [*quick.layers.values(), quick.composition, quick.baseline]
    assert {recipe.size_px for recipe in every} == {32}
    assert {recipe.evaluation.samples for recipe in every} == {256}
    assert not quick.larger
    assert {recipe.size_px for recipe in (*full.larger.values(), full.composition, full.baseline)} == {64}
    assert full.baseline.grow is not None


def test_from_pretrained_takes_a_shipped_background_that_is_enlarged() -> None:
    found = demo.find_shipped_layers(demo.demo_recipes(False), True)
    assert {role: None if path is None else path.parent.name for role, path in found.items()} == {"fg": "modern-fg-64", "bg": "modern-bg-32"}
    assert set(demo.find_shipped_layers(demo.demo_recipes(False), False).values()) == {None}


def test_scenes_of_64_px_are_shown_with_those_of_the_shipped_128(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_builder, "LARGE_PICTURES", 1)
    cost = Cost([StageCost("foreground", 1.0, 70.0, pretraining=True, cpu_seconds=70.0), StageCost("composition", 1.0, 30.0, cpu_seconds=30.0)])
    arm = ArmResult("composed", "Composition (modern-grown)", "composed", samples=torch.zeros(25, 3, 64, 64, dtype=torch.uint8), cost=cost)
    own, large = report_builder.large_scenes(arm, 64)
    assert (own.caption, len(own.pixels)) == ("Composition (modern-grown): scenes of 64 px after 1 min 40 s of CPU time in all", 25)
    assert large.caption.startswith("The shipped modern-128: scenes of 128 px after 1 h ")
    assert large.caption.endswith(" times as long")
    assert large.pixels.shape == (1, 3, 128, 128)  # type: ignore[union-attr]
    assert report_builder.large_scenes(arm, 32) == []


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
