"""make: from photographs to a composition in one command that goes on where it was stopped; with small networks in place of the shipped recipes."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import images, tiny_runs
from PIL import Image, ImageDraw
from torch import Tensor

from mitlgan.artifacts.card import GeneratorSpec, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, record_metrics, save_network
from mitlgan.cli import main
from mitlgan.data.build.journal import JOURNAL_FILE
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.data.layers.split_output import CutHashes, hash_all_cuts
from mitlgan.errors import ArtifactError, DataError, MitlganError, ResourceError, Stopped, UsageError
from mitlgan.metrics import protocol
from mitlgan.project import estimate, make, plan, recipe_families, steps
from mitlgan.project.make import ProjectResult, make_project
from mitlgan.project.plan import PLAN_FILE, ProjectPlan, ProjectRequest
from mitlgan.project.recipe_families import FEW, MANY, LayerStep, RecipeFamily, choose_family, choose_size
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, load_recipe, shipped_folder, to_toml, with_overrides
from mitlgan.report.run_figures import write_run_figures
from mitlgan.runtime.files import lock_folder
from mitlgan.runtime.signals import TerminationInterrupt
from mitlgan.stages.evaluate import evaluate_artifact
from mitlgan.stages.resume import resume
from mitlgan.stages.training_speed import TrainingSpeed, measure_training_speed
from mitlgan.training.run_directory import Run, list_runs

pytest.importorskip("cv2")

SHORT = {
    "training__kimg": 0.032, "training__batch": 8, "training__critic_first_kimg": None, "training__checkpoint_kimg": 0.008,
    "training__ema_halflife_kimg": 0.02, "evaluation__extractor": "efficientnet-lite0@32", "critic__spectral": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yellow discs in places: objects that any matting finds, with space around them."""
    folder = tmp_path_factory.mktemp("photographs") / "discs"
    folder.mkdir()
    for index in range(24):
        picture = images.smooth(index, (80, 80)).point(lambda value: value // 2)
        left = 12 + index
        ImageDraw.Draw(picture).ellipse((left, 20, left + 26, 54), fill=(240, 200 - 3 * index, 60 + 2 * index))
        picture.save(folder / f"{index:02d}.png")
    return folder


def _small(name: str, folder: Path) -> str:
    """A shipped recipe with few channels, as a file."""
    recipe: Recipe = load_recipe(name)
    widths = [4] * (3 if recipe.size_px == 32 else 4)
    changes = {"critic__widths": widths, "critic__dropout": [0.0] * len(widths)}
    if recipe.composer is not None:
        changes |= {"composer__translator__width": 4, "composer__translator__blocks": 1}
    elif recipe.size_px == 32:
        changes |= {"generator__widths": [4, 4, 4], "generator__blocks": 1, "generator__latent_dim": 4}
    else:
        changes |= {"generator__coarse_widths": [4], "generator__fine_width": 4}
    path = folder / f"{name.replace('/', '-')}.toml"
    path.write_text(to_toml(with_overrides(recipe, **SHORT, **changes)))
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def small_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecipeFamily]:
    """Small networks from nothing, 32 px, then 64 px."""
    folder = tmp_path_factory.mktemp("recipes")
    steps = tuple(LayerStep(step.size_px, {role: _small(name, folder) for role, name in step.recipes.items()}) for step in MANY.steps)
    family = RecipeFamily("few", "small", steps, {size: _small(name, folder) for size, name in MANY.compositions.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_families, "FEW", family)
        patch.setitem(recipe_families.FAMILIES, "few", family)
        for module in (make, estimate):
            patch.setattr(module, "EVALUATED_SAMPLES", 12)
        patch.setattr(make, "SHEET_SAMPLES", 4)
        patch.setattr(estimate, "CUT_SAMPLES", 1)
        yield family


def _make(photographs: Path, out: Path, **options: object) -> ProjectResult:
    request = ProjectRequest(str(photographs), **options)  # type: ignore[arg-type]
    context = tiny_runs.run_context(out.parent / "unused")
    result = make_project(request, out, context, jobs=1)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def project(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ProjectResult, str]:
    """A finished project, never interrupted, and all that it said."""
    out = tmp_path_factory.mktemp("project") / "out"
    context = tiny_runs.run_context(out.parent / "unused")
    result = make_project(ProjectRequest(str(photographs)), out, context, jobs=1)
    assert result is not None
    return result, tiny_runs.said(context)


def test_a_folder_becomes_scenes_of_64_px_with_sheet_and_report(project: tuple[ProjectResult, str]) -> None:
    result, text = project
    card = read_card(result.artifact)
    assert card.kind == "composer"
    assert card.size_px == 64
    assert set(card.layers) == {"fg", "bg"}
    assert all(layer.sha256_before == layer.sha256_after for layer in card.layers.values())
    with Image.open(result.sheet) as sheet:
        assert sheet.width > 4 * 64
    assert "KID" in result.report.read_text(encoding="utf-8")
    assert "New pictures, or memorized ones?" in result.report.read_text(encoding="utf-8"), "what is copied is told"
    assert result.real == card.metrics["frechet"]["real"] > 0
    assert card.metrics["frechet"]["split"] == "test"
    assert result.metrics["kid"] == card.metrics["kid"]["value"]
    assert "of its size, up to" in text, "placed by the mattes of the scenes"
    assert {run.load_recipe().size_px for run in list_runs(result.out / "runs", "pretrain")} == {32, 64}
    assert "24 photographs, shorter side 80 px (median): pictures of 64 px" in text
    assert "of memory and" in text


def test_a_finished_project_does_nothing_twice(project: tuple[ProjectResult, str], photographs: Path) -> None:
    result, _ = project
    before = {path: path.stat().st_mtime_ns for path in [*result.out.rglob("*.safetensors"), result.sheet, result.out / "check.html"]}
    assert _make(photographs, result.out).artifact == result.artifact
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list_runs(result.out / "runs")) == 5


@pytest.mark.parametrize("is_copy", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_project_that_was_moved_or_copied_goes_on_with_what_is_trained_and_its_own_pictures(
    is_copy: bool, project: tuple[ProjectResult, str], photographs: Path, tmp_path: Path
) -> None:
    original, out = tmp_path / "original", tmp_path / "elsewhere" / "out"
    shutil.copytree(project[0].out, original)
    assert _make(photographs, original).out == original  # a copy is trained nowhere again
    out.parent.mkdir()
    if is_copy:
        shutil.copytree(original, out)
    else:
        original.rename(out)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.safetensors")}
    context = tiny_runs.run_context(tmp_path / "unused")
    result = make_project(ProjectRequest(str(photographs)), out, context, jobs=1)
    assert result is not None
    assert result.artifact.is_relative_to(out)
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*.safetensors")} == before
    moved = [line for line in tiny_runs.said(context).splitlines() if "moved or copied" in line]
    assert len(moved) == 1
    begun = plan.read_plan(out)
    assert begun is not None
    assert begun.places == tuple(map(str, (project[0].out, original, out)))
    assert moved[0].startswith(f"{out}: was moved or copied: its pictures are those of {out / 'layers'}/")
    assert {run.load_recipe().data.source for run in list_runs(out / "runs")} == {str(out / "layers" / role) for role in ("fg", "bg", "scene")}
    said: list[str] = []
    measured = evaluate_artifact(result.artifact, samples=4, say=said.append)
    assert len(measured.real) == project[0].real
    assert f"its pictures are those of {out / 'layers' / 'scene'}, no longer " in "\n".join(said)


def test_figures_of_a_composition_that_was_replaced_meanwhile_are_not_written(
    project: tuple[ProjectResult, str], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(project[0].out, tmp_path / "out"))
    artifact = out / project[0].artifact.relative_to(project[0].out)
    record_metrics(artifact, {}, read_weights_hash(artifact))
    measure = protocol.evaluate_each

    def measure_and_replace(*arguments: Any, **options: Any) -> Any:
        figures = measure(*arguments, **options)
        network, card = load_network(artifact)
        max(network.translator.parameters(), key=Tensor.numel).mul_(0.5)
        save_network(artifact, network, card)
        return figures

    with monkeypatch.context() as patch:
        patch.setattr(protocol, "evaluate_each", measure_and_replace)
        with pytest.raises(ArtifactError, match=r"was replaced while it was measured; measure again$"):
            _make(photographs, out)
    assert read_card(artifact).metrics == {}
    assert _make(photographs, out).metrics["kid"] == read_card(artifact).metrics["kid"]["value"]


@pytest.mark.parametrize("command", ["compose", "pretrain"])
def test_a_run_of_a_moved_project_is_resumed_there(command: str, project: tuple[ProjectResult, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(project[0].out, out)
    run = list_runs(out / "runs", command)[-1]
    kimg, context = run.read_status()["kimg"], tiny_runs.run_context(tmp_path)
    recipe = run.load_recipe()
    more = recipe.training.batch * recipe.objective.critic_steps / 1000
    assert resume(run.path, context, more_kimg=more).read_status()["kimg"] == pytest.approx(kimg + more)
    assert f"{out}: was moved or copied: its pictures are those of {recipe.data.source}, no longer " in tiny_runs.said(context)
    assert run.recorded_recipe().data.source == recipe.data.source == str(out / "layers" / recipe.role)
    later = tiny_runs.run_context(tmp_path)
    resume(run.path, later)
    assert "moved or copied" not in tiny_runs.said(later)


def test_after_other_cuts_all_is_trained_again_and_the_old_is_kept(project: tuple[ProjectResult, str], photographs: Path, tmp_path: Path) -> None:
    finished, out = project[0], tmp_path / "out"
    shutil.copytree(finished.out, out)
    begun = plan.read_plan(out)
    assert begun is not None
    context = tiny_runs.run_context(tmp_path / "unused")
    mine = make.Project(out, begun, context, 1, lambda label, done, total: None)
    mine._split()
    assert (out / "runs").is_dir()
    assert plan.read_plan(out) == begun, "the cuts are those that were trained on"
    names = [record["name"] for record in json.loads((out / "layers" / "split.json").read_text())["records"] if record.get("files")]
    split_pictures(str(photographs), out / "layers", replace(begun.split_settings(), exclude=names[:1]))
    mine._split()
    assert not (out / "runs").exists()
    assert not (out / "scenes.png").exists()
    assert not (out / "check.html").exists()
    assert (out / "scenes-1.png").read_bytes() == finished.sheet.read_bytes()
    assert len(list_runs(out / "runs-1")) == 5
    kept = f"{out}/runs-1 and {out}/scenes-1.png"
    assert f"the cuts have changed: all is trained again; what was made before is now {kept}" in tiny_runs.said(context).splitlines()
    (out / "runs").mkdir()
    make.Project(out, plan.read_plan(out) or begun, context, 1, lambda label, done, total: None)._split()
    assert (out / "runs").is_dir(), "once"


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ((), "the cuts have changed"),
        (("runs/.lock",), "the cuts have changed"),
        (("scenes.png",), "the cuts have changed; what was made before is now {out}/scenes-1.png"),
        (("runs/a",), "the cuts have changed: all is trained again; what was made before is now {out}/runs-1"),
        (("runs/a", "scenes-1.png"), "the cuts have changed: all is trained again; what was made before is now {out}/runs-1"),
        (
            ("runs/a", "runs-1/a", "scenes.png"),
            "the cuts have changed: all is trained again; what was made before is now {out}/runs-2 and {out}/scenes-2.png",
        ),
    ],
)
def test_after_other_cuts_only_what_was_there_is_named(there: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    begun = ProjectPlan(ProjectRequest("in"), "0" * 64, 10, "few", 32, {}, cuts_sha256="a" * 64, held_out_sha256="b" * 64)
    context = tiny_runs.run_context(tmp_path / "unused")
    project = make.Project(tmp_path, begun, context, 1, lambda label, done, total: None)
    project._note_cuts(CutHashes("c" * 64, "d" * 64))
    assert tiny_runs.said(context).splitlines() == [sentence.format(out=tmp_path)]
    for word in sentence.split(" is now ")[1:]:
        assert all(Path(name.format(out=tmp_path)).exists() for name in word.split(" and "))
    assert plan.read_plan(tmp_path) == project.plan == replace(begun, cuts_sha256="c" * 64, held_out_sha256="d" * 64)


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ((), "the held-out cuts have changed"),
        (("runs/.lock",), "the held-out cuts have changed"),
        (("runs/a",), "the held-out cuts have changed: what is trained stays"),
    ],
)
def test_after_other_held_out_cuts_nothing_is_told_of_trainings_that_are_not_there(there: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    for name in (*there, "check.html", "scenes.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    begun = ProjectPlan(ProjectRequest("in"), "0" * 64, 10, "few", 32, {}, cuts_sha256="a" * 64, held_out_sha256="b" * 64)
    context = tiny_runs.run_context(tmp_path / "unused")
    make.Project(tmp_path, begun, context, 1, lambda label, done, total: None)._note_cuts(CutHashes("a" * 64, "d" * 64))
    assert tiny_runs.said(context).splitlines() == [sentence]
    assert plan.read_plan(tmp_path) == replace(begun, held_out_sha256="d" * 64)
    assert not (tmp_path / "check.html").exists()
    assert all((tmp_path / name).read_text() == name for name in (*there, "scenes.png"))


AGAIN = "its figures are of other pictures than those that are held out now: it is measured again"


def test_after_other_held_out_cuts_the_projects_own_composition_alone_is_measured_again(
    project: tuple[ProjectResult, str], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(project[0].out, tmp_path / "out"))
    artifact = out / project[0].artifact.relative_to(project[0].out)
    mine, broken = (Path(shutil.copytree(artifact.parent, artifact.parent.with_name(name))) for name in ("mine-001", "broken-001"))
    (broken / artifact.name).write_bytes(artifact.read_bytes()[:-100])
    recovery = {"value": 0.5}
    before = {**read_card(artifact).metrics, "recovery": recovery}
    record_metrics(artifact, before, read_weights_hash(artifact))
    others = {path: path.read_bytes() for folder in (mine, broken) for path in folder.rglob("*") if path.is_file()}
    kept = {path: read_weights_hash(path) for path in out.rglob("*.safetensors") if "checkpoints" not in path.parts and broken not in path.parents}
    write_run_figures(Run(artifact.parent), before, read_weights_hash(artifact))
    for path in sorted((out / "layers" / "scene" / "test").glob("*.png"))[:2]:  # a picture and its matte
        path.unlink()
    (out / "check.html").write_text("of other pictures")
    (artifact.parent / "report.html").write_text("not said")
    for _ in range(2):  # killed before it is measured
        with monkeypatch.context() as patch:
            patch.setattr(make, "evaluate_artifact", _raise_killed)
            with pytest.raises(Killed):
                _make(photographs, out)
        assert read_card(artifact).metrics == before
        assert "The figures are of other test pictures than those that its recipe names now; " in (artifact.parent / "report.html").read_text()
    context = tiny_runs.run_context(tmp_path / "unused")
    result = make_project(ProjectRequest(str(photographs)), out, context, jobs=1)
    assert result is not None
    assert result.artifact == artifact
    assert AGAIN in tiny_runs.said(context).splitlines()
    assert result.real == project[0].real - 1 == read_card(artifact).metrics["frechet"]["real"]
    assert read_card(artifact).metrics["recovery"] == recovery
    assert read_card(artifact).metrics["frechet"]["data_sha256"] != before["frechet"]["data_sha256"]
    assert {path: read_weights_hash(path) for path in kept} == kept
    assert {path: path.read_bytes() for path in others} == others
    page = result.report.read_text()
    assert "The figures are of other test pictures" not in page
    assert f"a comparison measured it, too, but against other pictures: KID {before['kid']['value']:.3f}" in page
    assert "of other pictures" not in (out / "check.html").read_text()
    assert not list(out.glob("*-1*"))
    assert "have changed" not in tiny_runs.said(context), "once"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"value": 7.0}, ""),
        ({"split": "train"}, AGAIN),
        ({"data_sha256": "0" * 64}, AGAIN),
        ({"data_sha256": None}, "its figures do not say of which pictures they are: it is measured again"),
    ],
)
def test_figures_that_are_of_the_held_out_pictures_are_not_measured_again(
    change: dict[str, Any], said: str, project: tuple[ProjectResult, str], photographs: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(project[0].out, tmp_path / "out"))
    artifact = out / project[0].artifact.relative_to(project[0].out)
    measured = read_card(artifact).metrics
    changed = {**measured, "frechet": {**measured["frechet"], **change}}
    record_metrics(artifact, changed, read_weights_hash(artifact))
    context = tiny_runs.run_context(tmp_path / "unused")
    result = make_project(ProjectRequest(str(photographs)), out, context, jobs=1)
    assert result is not None
    assert [line for line in tiny_runs.said(context).splitlines() if "it is measured again" in line] == ([said] if said else [])
    assert read_card(artifact).metrics == (measured if said else changed)
    assert result.real == measured["frechet"]["real"]


def _edit(change: Callable[[Image.Image], Image.Image]) -> Callable[[Path], None]:
    """Change the first foreground, as a version that cuts otherwise would have left it."""

    def edit(layers: Path) -> None:
        path = min((layers / "fg" / "train").glob("*.png"))
        with Image.open(path) as picture:
            changed = change(picture)
        changed.save(path)
        os.utime(path, (0, 0))

    return edit


CHANGES: dict[str, tuple[Callable[[Path], None], bool, bool]] = {
    "nothing": (lambda _: None, True, True),
    "a note beside the pictures": (lambda layers: (layers / "fg" / "notes.txt").write_text("wrong: 3"), True, True),
    "an overlay for people": (lambda layers: shutil.rmtree(layers / "set-aside"), True, True),
    "the pixels of a piece": (_edit(lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)), False, False),
    "an added picture": (lambda layers: images.smooth(99, (64, 64)).save(layers / "fg" / "train" / "mine.png"), False, True),
    "a removed picture": (lambda layers: max((layers / "scene" / "train").glob("*[0-9a-f].png")).unlink(), False, True),
    "a file that is no picture": (lambda layers: (layers / "fg" / "train" / "junk.png").write_bytes(b"junk"), True, True),
    "an added held-out picture": (lambda layers: images.smooth(99, (64, 64)).save(layers / "scene" / "test" / "mine.png"), True, True),
    "a removed held-out picture": (lambda layers: min((layers / "scene" / "test").glob("*.png")).unlink(), True, True),
}
"""What is changed in a project's cuts; whether its trainings stay; and whether they do where it was changed before a plan of an earlier version."""


@pytest.fixture(scope="module")
def cut_once(tmp_path_factory: pytest.TempPathFactory) -> make.Project:
    """A project whose photographs are cut, with a file in place of what was trained; tests work on copies."""
    folder = tmp_path_factory.mktemp("cut")
    place, out = folder / "in", folder / "out"
    place.mkdir()
    for index in range(12):
        picture, matte = images.smooth(index, (80, 80)), Image.new("L", (80, 80))
        ImageDraw.Draw(matte).ellipse((20 + index, 20, 46 + index, 54), fill=255)
        if index % 2:
            picture.putalpha(240)
        picture.save(place / f"{index:02d}.png")
        matte.save(place / f"{index:02d}.matte.png")
    (place / "bad.tif").write_bytes(b"II*\0 junk")
    begun = ProjectPlan(ProjectRequest(str(place), holdout="3", allow_bad=True), "0" * 64, 13, "few", 32, {"bg-32": 1.0})
    project = make.Project(out, begun, tiny_runs.run_context(folder / "unused"), 1, lambda label, done, total: None)
    project._split()
    (out / "runs").mkdir()
    (out / "runs" / "trained").write_text("hours")
    assert len(project.plan.cuts_sha256) == 64
    return project


@pytest.fixture
def cut_project(cut_once: make.Project, tmp_path: Path) -> make.Project:
    """A copy of that project, of the same photographs."""
    shutil.copytree(cut_once.out, tmp_path / "out")
    return make.Project(tmp_path / "out", cut_once.plan, tiny_runs.run_context(tmp_path / "unused"), 1, lambda label, done, total: None)


def _are_kept(project: make.Project) -> bool:
    names = {path.name for path in project.out.iterdir()} & {"runs", "runs-1"}
    (name,) = names
    assert (project.out / name / "trained").read_text() == "hours"
    assert ("the cuts have changed" in tiny_runs.said(project.context)) is (name == "runs-1")
    return name == "runs"


def _of_version_before(project: make.Project) -> None:
    """Turn a project into one of the version before, which had one hash of all files."""
    project.plan = replace(project.plan, cuts_sha256=hash_all_cuts(project.layers), held_out_sha256="")
    _write_earlier_plan(project)


def _write_earlier_plan(project: make.Project) -> None:
    """Write a plan without the key that earlier versions did not have."""
    project.plan.write(project.out)
    values = json.loads((project.out / PLAN_FILE).read_text())
    assert values.pop("held_out_sha256") == ""
    (project.out / PLAN_FILE).write_text(json.dumps(values))


def _of_second_version_before(project: make.Project) -> None:
    """Turn a project into one of the version before that, which said otherwise why a file cannot be read, and hashed what it said."""
    layers = project.layers
    header, *lines = map(json.loads, (layers / JOURNAL_FILE).read_text().splitlines())
    lines = [{"name": line["name"], "unreadable": "as it was said"} if "unreadable" in line else line for line in lines]
    (layers / JOURNAL_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": 7}, *lines)))
    manifest = json.loads((layers / "split.json").read_text())
    for record in manifest["records"]:
        if record["decision"] == "unreadable":
            record["reason"] = "as it was said"
    (layers / "split.json").write_text(json.dumps(manifest))
    earlier = hashlib.sha256(json.dumps(manifest["records"], sort_keys=True).encode()).hexdigest()
    project.plan = replace(project.plan, cuts_sha256=earlier, held_out_sha256="")
    _write_earlier_plan(project)


def test_after_cuts_of_the_version_before_that_are_made_again_what_is_trained_stays(cut_project: make.Project) -> None:
    """Of pictures with transparency, whose hash is another since."""
    journal = cut_project.layers / JOURNAL_FILE
    header, *lines = map(json.loads, journal.read_text().splitlines())
    assert sum("cutout" in line for line in lines) == 6
    lines = [{key: value for key, value in line.items() if key != "cutout"} for line in lines]
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": 8}, *lines)))
    cut_project._split()
    assert "as this version may judge them otherwise: 6; 0 of them have other files now" in tiny_runs.said(cut_project.context)
    assert _are_kept(cut_project)
    assert sum("cutout" in json.loads(line) for line in journal.read_text().splitlines()) == 6


@pytest.mark.parametrize(("change", "is_kept", "_"), CHANGES.values(), ids=CHANGES)
def test_what_is_trained_is_set_aside_if_a_file_that_trains_changed_and_only_then(
    change: Callable[[Path], None], is_kept: bool, _: bool, cut_project: make.Project
) -> None:
    change(cut_project.layers)
    cut_project._split()
    assert _are_kept(cut_project) is is_kept


@pytest.mark.parametrize(("change", "is_kept", "_"), CHANGES.values(), ids=CHANGES)
def test_after_a_version_of_one_hash_what_is_trained_stays_until_a_file_that_trains_changes(
    change: Callable[[Path], None], is_kept: bool, _: bool, cut_project: make.Project
) -> None:
    now = cut_project.plan
    _of_version_before(cut_project)
    begun = plan.read_plan(cut_project.out)
    assert begun is not None
    assert begun.cuts_sha256 not in (now.cuts_sha256, now.held_out_sha256)
    cut_project.plan = begun
    cut_project._split()
    assert cut_project.plan == plan.read_plan(cut_project.out) == now
    change(cut_project.layers)
    cut_project._split()
    assert _are_kept(cut_project) is is_kept


@pytest.mark.parametrize("is_killed", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("change", "_", "is_kept"), CHANGES.values(), ids=CHANGES)
def test_after_a_version_that_says_otherwise_what_is_trained_stays_unless_a_file_changes(
    change: Callable[[Path], None], _: bool, is_kept: bool, is_killed: bool, cut_project: make.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that is cut otherwise now changes; what somebody added or removed before is taken as trained on: nothing tells it."""
    change(cut_project.layers)
    _of_second_version_before(cut_project)
    if is_killed:
        cut = make.split_pictures

        def dying(*arguments: Any) -> Any:
            def stop(done: int, total: int) -> None:
                if done == total:
                    raise Killed

            return cut(*arguments[:3], stop)

        with monkeypatch.context() as patch:
            patch.setattr(make, "split_pictures", dying)
            with pytest.raises(Killed):
                cut_project._split()
    begun = plan.read_plan(cut_project.out)
    assert begun is not None
    cut_project.plan = begun
    cut_project._split()
    assert _are_kept(cut_project) is is_kept
    assert "as it was said" not in (cut_project.layers / "split.json").read_text()
    noted = cut_project.plan
    assert len(noted.held_out_sha256) == 64
    cut_project._split()
    assert cut_project.plan == noted


@pytest.mark.slow
def test_the_printed_commands_do_the_same(
    project: tuple[ProjectResult, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result, text = project
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    assert [command.split()[1] for command in commands] == [
        "data", "data", "pretrain", "pretrain", "pretrain", "pretrain", "compose", "sample", "evaluate", "report",
    ]  # fmt: skip
    copy = tmp_path / "by-hand"
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command.replace(str(result.out), str(copy))))
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, f"{command}\n{capsys.readouterr().err}"
    by_hand = copy / result.artifact.relative_to(result.out)
    assert read_weights_hash(by_hand) == read_weights_hash(result.artifact)
    assert (copy / "scenes.png").read_bytes() == result.sheet.read_bytes()
    assert read_card(by_hand).metrics == read_card(result.artifact).metrics


class Killed(BaseException):
    """In place of a signal that no process sees."""


def _raise_killed(*_: object, **__: object) -> None:
    raise Killed


def _killed_while_cutting(patch: pytest.MonkeyPatch) -> None:
    cut, calls = make.split_pictures, []

    def dying(*arguments: object) -> object:
        def progress(done: int, total: int) -> None:
            calls.append(done)
            if len(calls) == 9:
                raise Killed

        return cut(*arguments[:3], progress)  # type: ignore[arg-type]

    patch.setattr(make, "split_pictures", dying)


def _killed_in_training(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    def arrange(patch: pytest.MonkeyPatch) -> None:
        steps = []

        def die(_: object) -> None:
            raise Killed

        train = make.run_trainings

        def training(trainings: list[object], context: object, **options: object) -> None:
            steps.append(trainings)
            if len(steps) == number:
                tiny_runs.before_step(patch, die, at=2)
            train(trainings, context, **options)  # type: ignore[arg-type]

        patch.setattr(make, "run_trainings", training)

    return arrange


def _killed_while(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(make, name, _raise_killed)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_every_step_it_ends_with_the_same_bytes(
    every: int, photographs: Path, project: tuple[ProjectResult, str], tmp_path: Path
) -> None:  # fmt: skip
    whole, _ = project
    out = tmp_path / "out"
    kills = [
        _killed_while("measure_project"), _killed_while_cutting, _killed_while("write_check_page"), _killed_in_training(1), _killed_in_training(2),
        _killed_in_training(3), _killed_while("stages_sheet_png"), _killed_while("record_evaluation"), _killed_while("write_run_report"),
    ]  # fmt: skip
    for kill in kills[every // 2 :: every]:
        with pytest.MonkeyPatch.context() as patch:
            kill(patch)
            with pytest.raises(Killed):
                _make(photographs, out)
    result = _make(photographs, out)
    assert read_weights_hash(result.artifact) == read_weights_hash(whole.artifact)
    assert result.sheet.read_bytes() == whole.sheet.read_bytes()
    assert result.metrics == whole.metrics
    assert len(list_runs(out / "runs")) == 5
    assert not list(out.rglob("*.tmp"))


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (TerminationInterrupt(signal.SIGHUP), 129)], ids=["ctrl-c", "hangup"])
def test_a_signal_while_cutting_says_how_to_go_on(
    error: KeyboardInterrupt, code: int, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise error

    monkeypatch.setattr(make, "split_pictures", interrupt)
    with pytest.raises(Stopped, match="the same command continues from here") as stopped:
        _make(photographs, tmp_path / "out")
    assert stopped.value.exit_code == code
    assert (tmp_path / "out" / PLAN_FILE).is_file()


# What is refused


def _begin(photographs: Path, out: Path, **options: object) -> None:
    """Begin a project and end it before its first step."""
    with pytest.MonkeyPatch.context() as patch:
        _killed_while("split_pictures")(patch)
        with pytest.raises(Killed):
            _make(photographs, out, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 5.0}, "--minutes 5.0: .* was begun with its own length; call it with that to go on, give another --out, or remove the folder"),
        ({"seed": 3}, "--seed 3: .* was begun with 0"),
        ({"size_px": 32}, "--size 32: .* was begun with 64"),
        ({"licence": "CC0-1.0"}, "--licence CC0-1.0: .* was begun with none"),
        ({"holdout": "20%"}, "--holdout 20%: .* was begun with 10%"),
        ({"matting": "grabcut"}, "--matting grabcut: .* was begun with auto"),
    ],
)
def test_other_options_than_the_first_call_are_refused(photographs: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    _begin(photographs, tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        _make(photographs, tmp_path / "out", **options)


def test_options_of_the_first_call_need_not_be_repeated(photographs: Path, tmp_path: Path) -> None:
    _begin(photographs, tmp_path / "out", size_px=32, seed=4)
    read = plan.read_plan(tmp_path / "out")
    assert read is not None
    for options in ({}, {"size_px": 32}, {"seed": 4, "holdout": "10%"}):
        request = ProjectRequest(str(photographs), **options)  # type: ignore[arg-type]
        assert plan.require_same_request(read, request, read.listing_sha256, read.count, tmp_path / "out") == read


def test_the_same_photographs_may_have_another_path(tmp_path: Path) -> None:
    begun = ProjectPlan(ProjectRequest(str(tmp_path / "photographs")), "ab", 200, "few", 64, {})
    (tmp_path / "photographs").mkdir()
    (tmp_path / "link").symlink_to("photographs")
    for path in ("link", "link/../photographs", "moved"):  # the listing of what was moved is the same
        request = ProjectRequest(str(tmp_path / path))
        assert plan.require_same_request(begun, request, "ab", 200, tmp_path / "out").request == request
    with pytest.raises(UsageError, match=f"^PHOTOS {tmp_path}/other: .* was begun with {tmp_path}/photographs; "):
        plan.require_same_request(begun, ProjectRequest(str(tmp_path / "other")), "cd", 200, tmp_path / "out")
    with pytest.raises(UsageError, match=f"^PHOTOS {tmp_path}/link: other pictures than when"):
        plan.require_same_request(begun, ProjectRequest(str(tmp_path / "link")), "cd", 200, tmp_path / "out")


def test_a_path_is_kept_and_shown_so_that_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert plan.full_path("../photos") == str(tmp_path.resolve() / "photos")
    assert plan.default_folder("..") == Path(f"mitlgan-{tmp_path.name}")
    assert plan.shown_path(plan.full_path("a b")) == "a b"
    assert plan.shown_path(plan.full_path("-dash")) == "./-dash"  # not an option of the command that is printed


def test_a_project_inside_its_photographs_is_refused_with_a_folder_that_does(photographs: Path) -> None:
    with pytest.raises(UsageError, match=f"^--out {photographs}/mine: is inside PHOTOS, .*, such as --out {photographs.parent}/mine$"):
        _make(photographs, photographs / "mine")


@pytest.mark.parametrize(
    ("first", "default"), [({"holdout": "20%"}, {"holdout": "10%"}), ({"seed": 4}, {"seed": 0}), ({"licence": "x"}, {"licence": ""})]
)
def test_a_default_that_is_given_is_not_taken_for_one_that_is_not(first: dict[str, Any], default: dict[str, Any], tmp_path: Path) -> None:
    begun = ProjectPlan(ProjectRequest("/photographs", **first), "ab", 200, "few", 64, {})
    with pytest.raises(UsageError, match=f"{next(iter(default.values()))}: .* was begun with {next(iter(first.values()))}"):
        plan.require_same_request(begun, ProjectRequest("/photographs", **default), "ab", 200, tmp_path)


def test_bad_files_are_allowed_later_as_the_message_advises(photographs: Path, tmp_path: Path) -> None:
    source = tmp_path / "photographs"
    shutil.copytree(photographs, source)
    for index in range(3):
        (source / f"bad{index}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="continue with --allow-bad"):
        _make(source, tmp_path / "out", size_px=32)
    with pytest.MonkeyPatch.context() as patch:
        _killed_while("write_check_page")(patch)
        for allowed in (True, False):  # what was allowed stays so
            with pytest.raises(Killed):
                _make(source, tmp_path / "out", allow_bad=allowed)


def test_what_is_not_used_is_said(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "photographs"
    shutil.copytree(photographs, source)
    shutil.copy(source / "00.png", source / "copy.png")
    (source / "bad.png").write_bytes(b"no picture")
    for index in range(30):
        (source / f"{index}.cr2").write_bytes(b"raw")
    _killed_while("write_check_page")(monkeypatch)
    context = tiny_runs.run_context(tmp_path / "unused")
    with pytest.raises(Killed):
        make_project(ProjectRequest(str(source), 32), tmp_path / "out", context, jobs=1)
    text = tiny_runs.said(context)
    assert text.index("30 ") < text.index("measuring this machine")
    assert "cr2" in text
    assert "24 of 26 photographs cut; 0 set aside, 1 duplicates, 1 unreadable" in text


def test_other_photographs_are_refused_with_their_numbers(photographs: Path, tmp_path: Path) -> None:
    source = tmp_path / "photographs"
    shutil.copytree(photographs, source)
    _begin(source, tmp_path / "out")
    (source / "00.png").unlink()
    with pytest.raises(UsageError, match=r"other pictures than when .* was begun \(24 then, 23 now\); give another --out"):
        _make(source, tmp_path / "out")
    shutil.copy(source / "01.png", source / "new.png")
    with pytest.raises(UsageError, match=r"was begun \(24 as then, but with other, changed or copied files\); give another --out"):
        _make(source, tmp_path / "out")


NEWER = "written by a newer version of mitlgan ({}); use that one to go on, or give another --out"


@pytest.mark.parametrize(
    ("changes", "of_request", "about"),
    [
        ({"schema_version": 3, "request": 7}, {}, "schema_version 3, this one reads 2"),
        ({"later_sha256": ""}, {}, "this one does not know 'later_sha256'"),
        ({}, {"colour": 1}, "this one does not know 'colour'"),
        ({"later_sha256": ""}, {"colour": 1}, "this one does not know 'later_sha256', 'colour'"),
    ],
)
def test_a_plan_of_a_newer_version_is_refused_without_the_advice_to_remove_it(
    changes: dict[str, Any], of_request: dict[str, Any], about: str, tmp_path: Path
) -> None:
    ProjectPlan(ProjectRequest("in"), "0" * 64, 10, "few", 32, {}).write(tmp_path)
    values = json.loads((tmp_path / PLAN_FILE).read_text())
    values["request"] |= of_request
    (tmp_path / PLAN_FILE).write_text(json.dumps(values | changes))
    with pytest.raises(UsageError) as refused:
        plan.read_plan(tmp_path)
    assert str(refused.value) == f"{tmp_path / PLAN_FILE}: {NEWER.format(about)}"


@pytest.mark.parametrize("content", ["{}", "[", '{"schema_version": 2}', '{"schema_version": 1, "request": {"photographs": "x", "colour": 1}}'])
def test_a_damaged_plan_is_refused(photographs: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / PLAN_FILE).write_text(content)
    with pytest.raises(UsageError, match=r"make\.json: not a plan that this version reads; give another --out"):
        _make(photographs, tmp_path / "out")


def test_a_folder_of_other_things_is_left_alone(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds other files"):
        _make(photographs, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


def test_an_output_among_the_photographs_is_refused(photographs: Path) -> None:
    with pytest.raises(UsageError, match="--out"):
        _make(photographs, photographs / "out")


def test_a_second_call_at_the_same_time_is_refused(photographs: Path, tmp_path: Path) -> None:
    _begin(photographs, tmp_path / "out")
    with lock_folder(tmp_path / "out"), pytest.raises(ResourceError, match="another process is working on it"):
        _make(photographs, tmp_path / "out")


def test_too_few_photographs_are_refused(tmp_path: Path) -> None:
    images.fill(tmp_path / "photographs", 3)
    with pytest.raises(DataError, match=r"3 pictures; give at least 8, better 200 or more"):
        _make(tmp_path / "photographs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_photographs_without_an_object_are_refused_with_the_page_that_shows_them(tmp_path: Path) -> None:
    images.fill(tmp_path / "photographs", 12, size=(64, 64))
    with pytest.raises(DataError, match="can be cut"):
        _make(tmp_path / "photographs", tmp_path / "out", size_px=32)


# Time and space


def _measurements(seconds_per_kimg: float = 2.0, waiting: float = 1.0) -> estimate.Measurements:
    labels = [f"{role}-{size}" for size in (32, 64) for role in ("fg", "bg")] + ["scene-64"]
    speeds = {label: TrainingSpeed(seconds_per_kimg, waiting, 1_000_000, 500_000_000) for label in labels}
    return estimate.Measurements(0.5, 50_000.0, speeds, dict.fromkeys(labels, 60.0), 20.0, waiting, 500_000_000)


@pytest.mark.parametrize("minutes", [5.0, 12.0, 30.0])
@pytest.mark.parametrize("jobs", [1, 2])
def test_lengths_are_fitted_to_the_minutes(minutes: float, jobs: int) -> None:
    fitted = estimate.fit_lengths(_measurements(), MANY, 64, 200, minutes, jobs)
    most = dict.fromkeys(fitted.lengths_kimg, 60.0 * estimate.MAX_FACTOR)
    assert fitted.total_s <= minutes * 60
    is_longest = all(fitted.lengths_kimg[label] == pytest.approx(most[label], abs=0.2) for label in most if not label.startswith("scene"))
    assert is_longest or fitted.total_s >= 0.9 * minutes * 60
    assert fitted.lengths_kimg["scene-64"] <= 60.0


def test_without_minutes_the_recipes_own_lengths_are_taken() -> None:
    fitted = estimate.fit_lengths(_measurements(), MANY, 64, 200, None, 2)
    assert set(fitted.lengths_kimg.values()) == {60.0}
    assert fitted.disk_bytes > 200 * 50_000
    assert fitted.memory_bytes == 3 * 500_000_000


def test_too_little_time_is_refused_with_how_much_is_needed() -> None:
    with pytest.raises(UsageError, match=r"--minutes 1: 64 px need at least (\d+) on this machine; give more$") as refused:
        estimate.fit_lengths(_measurements(), MANY, 64, 200, 1.0, 2)
    needed = int(str(refused.value).split("at least ")[1].split()[0])
    estimate.fit_lengths(_measurements(), MANY, 64, 200, needed, 2)
    with pytest.raises(UsageError, match=r"give more, or --size 32$"):
        estimate.fit_lengths(_measurements(), MANY, 64, 200, needed - 1, 2)


def test_a_smaller_size_is_advised_only_where_the_time_is_enough_for_it() -> None:
    measured = _measurements(seconds_per_kimg=20.0)
    for size in (32, 64):
        measured.recipe_kimg[f"scene-{size}"] = 60.0
        measured.speeds[f"scene-{size}"] = measured.speeds["fg-32"]
    advised = set()
    for minutes in range(1, 40):
        try:
            estimate.fit_lengths(measured, MANY, 64, 200, minutes, 2)
        except UsageError as refused:
            advised.add("--size 32" in str(refused))
            if "--size 32" in str(refused):
                estimate.fit_lengths(measured, MANY, 32, 200, minutes, 2)
    assert advised == {False, True}


def test_a_full_disk_is_refused_before_anything_is_written(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_free_bytes", lambda out: 1000)
    with pytest.raises(ResourceError, match=r"--out .*: needs about \d+ MB, and 1 MB are free"):
        _make(photographs, tmp_path / "out", size_px=32)
    assert not (tmp_path / "out").exists()


def test_a_busy_machine_is_said() -> None:
    measured = _measurements(waiting=3.2)
    lines = estimate.describe_estimate(estimate.fit_lengths(measured, MANY, 64, 200, None, 2), measured, Path("out"))
    assert "other programs use its cores now: while they do, it takes about 3 times as long" in lines


def test_speed_is_measured_and_nothing_is_kept(small_family: RecipeFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(small_family.steps[0].recipes["fg"])
    speed = measure_training_speed(recipe)
    wider = measure_training_speed(with_overrides(recipe, generator__widths=[64, 64, 64], critic__widths=[64, 64, 64]))
    assert 0 < speed.seconds_per_kimg < wider.seconds_per_kimg
    assert 0 < speed.state_bytes < wider.state_bytes
    assert speed.memory_bytes > 50_000_000
    assert not list(tmp_path.iterdir())


def test_a_dry_run_writes_nothing(photographs: Path, tmp_path: Path) -> None:
    context = tiny_runs.run_context(tmp_path / "unused")
    assert make_project(ProjectRequest(str(photographs)), tmp_path / "out", context, jobs=1, dry_run=True) is None
    assert "about" in tiny_runs.said(context)
    assert not (tmp_path / "out").exists()


# Which recipes


def test_the_shipped_families_lead_from_small_layers_to_compositions() -> None:
    for family in (FEW, MANY):
        for step in family.steps:
            for role, name in step.recipes.items():
                recipe = load_recipe(name)
                assert (recipe.command, recipe.role, recipe.size_px) == ("pretrain", role, step.size_px)
            for artifact in step.shipped_start.values():
                assert (shipped_folder("pretrained") / artifact / "generator.safetensors").is_file()
        for size, name in family.compositions.items():
            recipe = load_recipe(name)
            assert (recipe.command, recipe.size_px) == ("compose", size)
        assert set(family.compositions) == set(family.sizes_px)


def test_few_photographs_go_on_from_shipped_layers() -> None:
    assert choose_family(200).name == "few"
    assert choose_family(999).name == "few"
    assert choose_family(1000) is MANY
    assert FEW.steps[0].shipped_start
    assert not MANY.steps[0].shipped_start


def test_size_follows_the_photographs() -> None:
    assert choose_size(MANY, 192, None) == 64
    assert choose_size(MANY, 64, None) == 64
    assert choose_size(MANY, 50, None) == 32
    assert choose_size(MANY, 20, None) == 32
    assert choose_size(MANY, 192, 32) == 32
    with pytest.raises(UsageError, match="--size 48: recipes for so many photographs make 32 or 64 px"):
        choose_size(MANY, 192, 48)


# The command


def test_the_command_ends_with_where_things_are_and_what_to_do_next(
    project: tuple[ProjectResult, str], photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result, _ = project
    monkeypatch.setattr(sys, "argv", ["mitlgan", "make", str(photographs), "--out", str(result.out), "--jobs", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for path in (result.sheet, result.report, result.artifact):
        assert str(path) in text
    assert "held-out photographs (lower is better; uncertain with fewer than 500)" in text
    for command in ("mitlgan studio", "mitlgan sample", "mitlgan data split", "mitlgan make", "mitlgan compare"):
        assert command in text
    monkeypatch.setattr(sys, "argv", ["mitlgan", "make", str(photographs), "--out", str(result.out), "--jobs", "1", "--json"])
    with pytest.raises(SystemExit):
        main()
    values = json.loads(capsys.readouterr().out)
    assert values["artifact"] == str(result.artifact)
    assert values["metrics"]["kid"] == pytest.approx(result.metrics["kid"])


@pytest.mark.parametrize(
    ("option", "value"), [("holdout", "abc"), ("holdout", "100%"), ("holdout", ""), ("seed", 3_000_000_000), ("seed", -1), ("licence", "x" * 201)]
)
def test_options_are_refused_before_a_plan_keeps_them(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^--{option}"):
        ProjectRequest("photographs", **{option: value})  # type: ignore[arg-type]


def test_a_licence_is_always_text() -> None:
    made = ProjectPlan(ProjectRequest("/photographs", licence="1.0"), "ab", 200, "few", 32, {"bg-32": 1.0})
    step = LayerStep(32, {"bg": "few/bg-32"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "_pictures", lambda out, role: out / role)
        settings = steps.layer_step(made, Path("out"), step, "bg", None).settings
    assert load_recipe("few/bg-32", settings).licence == "1.0"


@pytest.mark.parametrize("minutes", ["0", "-3", "nan"])
def test_impossible_minutes_are_refused(minutes: str) -> None:
    with pytest.raises(MitlganError, match="--minutes"):
        ProjectRequest("photographs", minutes=float(minutes))


def test_a_plan_is_read_back(tmp_path: Path) -> None:
    written = ProjectPlan(ProjectRequest("/photographs", 64, 12.0), "ab", 200, "few", 64, {"fg-32": 12.5})
    written.write(tmp_path)
    assert plan.read_plan(tmp_path) == written


def test_the_speed_that_is_measured_is_that_of_the_networks_that_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes, layers = [], []

    def measured(recipe: Recipe, specs: Mapping[str, GeneratorSpec] | None = None, *, threads: int | None = None) -> TrainingSpeed:
        recipes.append(recipe)
        layers.append(specs)
        return TrainingSpeed(1.0, 1.0, 1, 1)

    monkeypatch.setattr(estimate, "measure_training_speed", measured)
    monkeypatch.setattr(estimate, "_measure_cutting", lambda *_: (0.1, 100.0))
    monkeypatch.setattr(estimate, "_measure_evaluation", lambda *_: 1.0)
    estimate.measure_project(None, FEW, 64, plan.split_settings(ProjectRequest("photographs"), 64), 2)  # type: ignore[arg-type]
    shipped = read_card(FEW.steps[0].start("fg") or Path())
    fg, bg, sharp_fg, sharp_bg, _ = recipes
    assert fg.generator == shipped.generator
    assert fg.critic.widths != load_recipe("few/fg-32").critic.widths  # that which is kept with the generator
    assert isinstance(sharp_fg.generator, ParentedGeneratorRecipe)
    assert isinstance(sharp_bg.generator, ParentedGeneratorRecipe)
    assert (sharp_fg.generator.parent, sharp_bg.generator.parent) == (fg.generator, bg.generator)
    assert layers[-1] == {"fg": GeneratorSpec(sharp_fg.generator, 64), "bg": GeneratorSpec(sharp_bg.generator, 64)}


def test_the_printed_command_cuts_as_the_project_does() -> None:
    made = ProjectPlan(ProjectRequest("/photographs", 64, holdout="5", allow_bad=True), "ab", 200, "few", 64, {})
    assert made.split_settings() == SplitSettings(size_px=128, centre=True, holdout="5", allow_bad=True)
    assert made.split_command(Path("layers")) == shlex.split("data split /photographs --out layers --size 128 --centre --holdout 5 --allow-bad")
