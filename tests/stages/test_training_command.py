"""The printed command of a training like that of a run: typed as it is printed, it begins with the same networks and settings, in the same place."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.cli import main
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, as_dict, diff_recipes, parse_recipe, with_overrides
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.inpainter import train_inpainter
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run, list_runs

SIZE_PX = 2 * tiny_runs.SIZE_PX
OVER: dict[str, Any] = {"training__limit_s": 1e-6, "training__clock": "cpu", "training__kimg": 100.0}


class Setting:
    """Pictures, and a context whose root has finished pretrainings of `fg` and `bg`."""

    def __init__(self, context: RunContext, packs: dict[str, Path], pretrained: dict[str, Run], folder: Path) -> None:
        self.context, self.packs, self.folder = context, packs, folder
        self.runs = {role: Run(context.root / "pretrain" / f"tiny {role}-001") for role in pretrained}
        for role, run in pretrained.items():
            shutil.copytree(run.path, self.runs[role].path)
        self.layers = tiny_runs.layers(self.runs)

    def recipe(self, role: str, *, compose: bool = False, **change: Any) -> Recipe:
        return with_overrides(tiny_runs.recipe(role, self.packs[role], compose=compose), **OVER, **change)

    def checkpoint(self, role: str) -> Path:
        """The first checkpoint of a pretraining, whose network no artifact has."""
        return list_checkpoints(self.runs[role].path)[0]

    def composition(self) -> Run:
        """A finished composition under a root with a space in its name."""
        run = compose(tiny_runs.recipe("scene", self.packs["scene"], compose=True), self.layers, self.context)
        return Run(run.path.rename(run.path.with_name("tiny composed-001")))

    def stopped_run(self) -> Run:
        """A composition that has checkpoints only."""
        run = self.composition()
        assert run.artifact_file is not None
        run.artifact_file.unlink()
        shutil.rmtree(run.path / "critic", ignore_errors=True)
        return run

    def grown(self) -> Recipe:
        tree = as_dict(tiny_runs.recipe("bg", tiny_runs.pack(self.folder / "larger.npy", size_px=SIZE_PX)))
        parent = {"latent_dim": 9, "widths": [5]}
        generator = {"kind": "grown", "parent": parent, "parent_px": 8, "coarse_widths": [5], "fine_width": 3}
        return with_overrides(parse_recipe({**tree, "size_px": SIZE_PX, "generator": generator}, "tiny"), **OVER)


@pytest.fixture
def setting(packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.chdir(tmp_path)
    return Setting(tiny_runs.run_context(Path("my runs")), packs, pretrained, tmp_path)


TRAININGS: dict[str, tuple[Callable[[Setting], Run], str]] = {
    "new": (lambda one: pretrain(one.recipe("bg"), one.context), "pretrain bg --recipe"),
    "goes on": (lambda one: pretrain(one.recipe("bg"), one.context, start=one.layers["bg"]), "pretrain bg --from"),
    "with a critic": (lambda one: pretrain(one.recipe("bg"), one.context, critic=one.runs["bg"].path), "pretrain bg --critic"),
    "transfer": (lambda one: pretrain(one.recipe("bg", transfer={"freeze": 1}), one.context, start=one.layers["bg"]), "pretrain bg --from"),
    "grown": (lambda one: pretrain(one.grown(), one.context, start=one.layers["bg"]), "pretrain bg --from"),
    "composition": (lambda one: compose(one.recipe("scene", compose=True), one.layers, one.context), "compose --fg"),
    "layers by name": (
        lambda one: compose(one.recipe("scene", compose=True), {"bg": one.layers["bg"], "sky": one.layers["fg"]}, one.context),
        "compose --layer 'bg=",
    ),
    "from a checkpoint": (lambda one: pretrain(one.recipe("bg"), one.context, start=one.checkpoint("bg")), "pretrain bg --from"),
    "layer of a checkpoint": (
        lambda one: compose(one.recipe("scene", compose=True), one.layers | {"fg": one.checkpoint("fg")}, one.context),
        "compose --fg 'my runs/pretrain/tiny fg-001/checkpoints/000000000.safetensors' --bg 'my runs/pretrain/tiny bg-001/generator.safetensors'",
    ),
    "a composition's critic": (
        lambda one: pretrain(one.recipe("scene"), one.context, critic=one.composition().path),
        "pretrain scene --critic 'my runs/compose/tiny composed-001",
    ),
    "the critic of a stopped run": (
        lambda one: pretrain(one.recipe("scene"), one.context, critic=one.stopped_run().path),
        "pretrain scene --critic 'my runs/compose/tiny composed-001'",
    ),
    "inpainter": (lambda one: train_inpainter(with_overrides(tiny_runs.inpaint_recipe(one.packs["bg"]), **OVER), one.context), "train"),
}


def printed_command(run: Run, context: RunContext) -> tuple[str, str]:
    """The command that refuses to make a run longer, and what follows it."""
    with pytest.raises(UsageError) as refused:
        resume(run.path, context, more_kimg=0.1)
    match = re.fullmatch(r"--kimg: .* has used up its training\.limit_s = 1e-06, so it .* more time: `mitlgan (.*)`(.*)", str(refused.value))
    assert match is not None, str(refused.value)
    return match.group(1), match.group(2)


@pytest.mark.parametrize(("train", "begins"), TRAININGS.values(), ids=TRAININGS)
def test_the_command_trains_the_same_for_longer(
    train: Callable[[Setting], Run], begins: str, setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, known = train(setting), {one.path for one in list_runs(setting.context.root)}
    command, rest = printed_command(run, setting.context)
    assert command.startswith(f"{begins}")
    assert rest == ""
    monkeypatch.setattr(sys, "argv", ["mitlgan", *shlex.split(command)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().err
    (again,) = [one for one in list_runs(setting.context.root) if one.path not in known]
    assert again.read_inputs() == run.read_inputs()
    assert list(again.read_inputs()) == list(run.read_inputs()), "layers from back to front"
    assert diff_recipes(run.load_recipe(), again.load_recipe()) == {"training.limit_s": (1e-6, 2e-6)}


def test_an_artifact_that_is_found_no_more_is_named_by_its_hash(setting: Setting) -> None:
    run = TRAININGS["transfer"][0](setting)
    shutil.rmtree(setting.runs["bg"].path)
    command, rest = printed_command(run, setting.context)
    assert command.startswith("pretrain bg --from ARTIFACT --critic ARTIFACT --recipe ")
    inputs = run.read_inputs()
    assert rest == "".join(f"; ARTIFACT of {name} has tensors whose SHA-256 begins {inputs[name][:12]}" for name in ("start", "critic"))


def test_the_usual_folder_of_runs_is_not_named(packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    context = tiny_runs.run_context(Path("runs"))
    run = pretrain(with_overrides(tiny_runs.recipe("bg", packs["bg"]), **OVER), context)
    file = "runs/pretrain/tiny-bg-001/recipe.toml"
    assert printed_command(run, context)[0] == f"pretrain bg --recipe {file} --set training.limit_s=2e-06"
    monkeypatch.chdir(run.path)
    words = ["pretrain", "bg", "--recipe", "recipe.toml", "--set", "training.limit_s=2e-06", "--out", str(tmp_path / "runs")]
    assert shlex.split(printed_command(Run(Path()), context)[0]) == words
