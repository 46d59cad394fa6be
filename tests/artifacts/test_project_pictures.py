"""Runs of a project that was moved or copied take its own pictures; no other run is taken for one of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import images, tiny_runs

from mitlgan.artifacts import project_pictures
from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.known_artifacts import PLAN_FILE
from mitlgan.artifacts.safetensors_io import read_tensors, write_tensors
from mitlgan.cli.score_options import recipe_with_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, DataError, UnknownPicturesError
from mitlgan.project.make import _earlier_places
from mitlgan.recipe import Recipe, to_toml, with_data_source, with_overrides
from mitlgan.report.run_report import write_run_report
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import ignore_message
from mitlgan.stages.evaluate import evaluate_artifact, recipe_of_card
from mitlgan.stages.existing_runs import find_matching_run, get_or_train
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.studio.trainer import run_source
from mitlgan.training.run_directory import Run

PLAN = {
    "schema_version": 2, "request": {"photographs": "/photographs"}, "listing_sha256": "a" * 64, "count": 12, "family": "few", "size_px": 32,
    "lengths_kimg": {"bg-32": 1.0}, "cuts_sha256": "b" * 64,
}  # fmt: skip
MORE_KIMG = tiny_runs.PER_UPDATE / 1000


def _plan(project: Path, places: Sequence[Path] = (), **changes: Any) -> None:
    record = {"places": [str(place) for place in places]} if places else {}
    (project / PLAN_FILE).write_text(json.dumps({**PLAN, **record, **changes}))


def _split(folder: Path, first: int = 0) -> Path:
    """The backgrounds of a split; other ones for another first picture."""
    return images.fill(folder / "layers" / "bg", 12, size=(8, 8), first=first)


def _recipe(pictures: Path) -> Recipe:
    return with_data_source(tiny_runs.recipe("bg", pictures), str(pictures))


def _train(pictures: Path, project: Path) -> Run:
    return pretrain(_recipe(pictures), tiny_runs.run_context(project / "runs"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project `old`, which has one run."""
    folder = tmp_path_factory.mktemp("trained")
    _train(_split(folder / "old"), folder / "old")
    return folder


@pytest.fixture
def old(trained: Path, tmp_path: Path) -> Path:
    """A copy of that project in a place of its own, as if it had been trained there."""
    shutil.copytree(trained / "old", tmp_path / "old")
    _rewrite(tmp_path / "old", str(trained / "old"), str(tmp_path / "old"))
    return tmp_path / "old"


def _rewrite(project: Path, before: str, after: str) -> None:
    """Replace the project's place in its run, as if that had been trained there."""
    run = _run(project)
    run.recipe_file.write_text(run.recipe_file.read_text().replace(before, after))
    for path in run.path.rglob("*.safetensors"):
        tensors, header = read_tensors(path)
        write_tensors(path, tensors, json.loads(json.dumps(header).replace(before, after)))


def _run(project: Path) -> Run:
    return Run(project / "runs" / "pretrain" / "tiny-bg-001")


def _source(project: Path) -> str:
    return _run(project).load_recipe().data.source


@pytest.mark.parametrize("has_record", [True, False], ids=["with its place", "plan of an earlier version"])
@pytest.mark.parametrize("is_copy", [True, False], ids=["copied", "moved"])
def test_a_run_of_a_moved_or_copied_project_takes_its_own_pictures(has_record: bool, is_copy: bool, old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    _plan(old, [old] if has_record else [])
    shutil.copytree(old, new) if is_copy else old.rename(new)
    said: list[str] = []
    assert _run(new).load_recipe(said.append).data.source == str(new / "layers" / "bg")
    assert said == [f"{new}: was moved or copied: its pictures are those of {new / 'layers' / 'bg'}, no longer {old / 'layers' / 'bg'}"]
    assert find_matching_run(new / "runs", _recipe(new / "layers" / "bg")) == _run(new)
    said.clear()
    evaluate_artifact(_run(new).path, samples=4, say=said.append)
    assert f"{new}: was moved or copied" in "\n".join(said)
    resume(_run(new).path, tiny_runs.run_context(tmp_path), more_kimg=MORE_KIMG)
    assert _run(new).recorded_recipe().data.source == str(new / "layers" / "bg")
    if is_copy:
        assert _source(old) == str(old / "layers" / "bg")


@pytest.mark.parametrize("places", [(), ("project",), ("project", "elsewhere")], ids=["earlier version", "in its place", "moved before"])
def test_a_run_of_another_split_inside_a_project_keeps_its_pictures(places: Sequence[str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    other, own = _split(tmp_path / "other", first=50), _split(project)
    _plan(project, [tmp_path / place for place in places])
    run = _train(other, project)
    before = run.recipe_file.read_bytes()
    assert run.load_recipe().data.source == str(other)
    assert find_matching_run(project / "runs", _recipe(own)) is None
    assert find_matching_run(project / "runs", _recipe(other)) == run
    said: list[str] = []
    measured = evaluate_artifact(run.path, samples=4, say=said.append)
    assert measured.real.content_sha256 == measured.loaded.card.data["content_sha256"]
    assert "moved" not in "\n".join(said)
    context = tiny_runs.run_context(tmp_path)
    resume(run.path, context)
    assert run.recipe_file.read_bytes() == before
    resume(run.path, context, more_kimg=MORE_KIMG)
    assert run.recorded_recipe().data.source == str(other)
    assert "changed" not in tiny_runs.said(context)


@pytest.mark.parametrize("is_gone", [True, False])
@pytest.mark.parametrize("content", ['{"a": 1}', "{}", "[1]", "{", json.dumps({**PLAN, "request": 3})])
def test_a_file_of_that_name_that_is_no_plan_says_nothing(content: str, is_gone: bool, old: Path, tmp_path: Path) -> None:
    up = tmp_path / "up"
    shutil.copytree(old, up)
    (up / PLAN_FILE).write_text(content)
    if is_gone:
        shutil.rmtree(old)
    assert _source(up) == str(old / "layers" / "bg")
    assert find_matching_run(up / "runs", _recipe(up / "layers" / "bg")) is None


def test_such_a_file_between_a_run_and_its_project_does_not_hide_the_project(old: Path, tmp_path: Path) -> None:
    _plan(old, [old])
    (old / "runs" / PLAN_FILE).write_text('{"a": 1}')
    old.rename(tmp_path / "new")
    assert _source(tmp_path / "new") == str(tmp_path / "new" / "layers" / "bg")


def test_a_copy_whose_old_place_has_another_project_now_is_not_known_by_its_plan(old: Path, tmp_path: Path) -> None:
    _plan(old)
    shutil.copytree(old, tmp_path / "new")
    _plan(old, listing_sha256="c" * 64)
    assert _source(tmp_path / "new") == str(old / "layers" / "bg")


def test_a_copy_whose_old_place_was_gone_on_with_by_a_later_version_is_known_by_its_plan(old: Path, tmp_path: Path) -> None:
    """That one notes the same cuts by another rule."""
    _plan(old)
    shutil.copytree(old, tmp_path / "new")
    _plan(old, [old], cuts_sha256="d" * 64)
    assert _source(tmp_path / "new") == str(tmp_path / "new" / "layers" / "bg")


MOVED, OTHERS = "was moved or copied: its pictures are those of", "holds other pictures than"
NEITHER = "was trained on other pictures than those of"
# What the old place holds; whether the plan names it; whether a cut of the project was removed: whose pictures are taken, and what is said.
CASES = {
    ("nothing", True, False): ("new", MOVED), ("nothing", True, True): ("new", MOVED),
    ("nothing", False, False): ("new", MOVED), ("nothing", False, True): ("new", MOVED),
    ("the original", True, False): ("new", MOVED), ("the original", True, True): ("old", OTHERS),
    ("the original", False, False): ("new", MOVED), ("the original", False, True): ("old", OTHERS),
    ("the original, edited", True, False): ("new", MOVED), ("the original, edited", True, True): ("new", MOVED),
    ("the original, edited", False, False): ("new", MOVED), ("the original, edited", False, True): ("new", MOVED),
    ("another project", True, False): ("new", MOVED), ("another project", True, True): ("new", MOVED),
    ("another project", False, False): ("new", MOVED), ("another project", False, True): ("new", NEITHER),
    ("another project with these pictures", True, False): ("new", MOVED), ("another project with these pictures", True, True): ("old", OTHERS),
    ("another project with these pictures", False, False): ("old", ""), ("another project with these pictures", False, True): ("old", ""),
    ("other pictures", True, False): ("new", MOVED), ("other pictures", True, True): ("new", MOVED),
    ("other pictures", False, False): ("new", MOVED), ("other pictures", False, True): ("old", ""),
    ("these pictures", True, False): ("new", MOVED), ("these pictures", True, True): ("old", OTHERS),
    ("these pictures", False, False): ("old", ""), ("these pictures", False, True): ("old", ""),
}  # fmt: skip


def _change_place(old: Path, now: str) -> None:
    """Make a project's folder what a case calls it."""
    if now == "nothing":
        shutil.rmtree(old)
        return
    if now in ("another project", "other pictures"):
        _split(old, first=70)
    if now == "the original, edited":
        (old / "layers" / "bg" / "0001.png").unlink()
    if now.startswith("another project"):
        _plan(old, [old], listing_sha256="c" * 64)
    if now in ("other pictures", "these pictures"):
        (old / PLAN_FILE).unlink()


@pytest.mark.parametrize(("now", "has_record", "is_edited"), CASES, ids=str)
def test_the_hash_decides_whose_pictures_are_taken(now: str, has_record: bool, is_edited: bool, old: Path, tmp_path: Path) -> None:
    new, (taken, saying) = tmp_path / "new", CASES[now, has_record, is_edited]
    _plan(old, [old] if has_record else [])
    shutil.copytree(old, new)
    _change_place(old, now)
    if is_edited:
        (new / "layers" / "bg" / "0000.png").unlink()
    artifact, pictures = _run(new).artifact_file, str(tmp_path / taken / "layers" / "bg")
    assert artifact is not None
    lines = list[list[str]]([[], [], []])
    assert _run(new).load_recipe(lines[0].append).data.source == pictures
    assert recipe_of_card(read_card(artifact), artifact, None, lines[1].append).data.source == pictures
    assert find_matching_run(new / "runs", _recipe(new / "layers" / "bg")) == (_run(new) if taken == "new" else None)
    assert _earlier_places(new, ignore_message) == ([str(old)] if taken == "new" else [])
    artifact.unlink()  # now it was stopped
    assert _run(new).load_recipe(lines[2].append).data.source == pictures
    assert [len(said) for said in lines] == [int(saying != "")] * 3
    assert all(saying in line for said in lines for line in said)


def test_an_old_place_that_may_not_be_read_now_has_no_pictures_of_a_run(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plan(old)
    old.rename(tmp_path / "new")
    pictures, open_pictures = _split(old), project_pictures.open_recipe_data

    def refuse(recipe: Recipe) -> ImagePack:
        if recipe.data.source == str(pictures):
            raise PermissionError(13, "Permission denied", str(pictures))
        return open_pictures(recipe)

    assert _source(tmp_path / "new") == str(pictures)
    monkeypatch.setattr(project_pictures, "open_recipe_data", refuse)
    assert _source(tmp_path / "new") == str(tmp_path / "new" / "layers" / "bg")


@pytest.mark.parametrize("is_moved", [True, False])
def test_edited_pictures_are_gone_on_with_wherever_the_project_is(is_moved: bool, old: Path, tmp_path: Path) -> None:
    project = tmp_path / "new" if is_moved else old
    _plan(old, [old])
    old.rename(project)
    pictures = project / "layers" / "bg"
    (pictures / "0000.png").unlink()
    assert find_matching_run(project / "runs", _recipe(pictures)) == _run(project)
    said: list[str] = []
    assert len(evaluate_artifact(_run(project).path, samples=4, say=said.append).real) == 11
    warnings = [line for line in said if line.startswith(f"warning: {pictures}: the pictures changed since this run began: 12 (")]
    assert (len(warnings), len([line for line in said if MOVED in line])) == (1, int(is_moved))
    context = tiny_runs.run_context(tmp_path)
    resume(_run(project).path, context, more_kimg=MORE_KIMG)
    assert f"warning: {pictures}: the pictures changed since this run began: 12 (" in tiny_runs.said(context)
    assert _run(project).recorded_recipe().data.source == str(pictures)


def test_pictures_of_a_measurement_that_are_those_of_the_training_or_of_the_user_give_no_warning(old: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for data in (None, str(_split(tmp_path / "other", first=50))):
        evaluate_artifact(_run(old).path, data=data, samples=4, say=said.append)
    assert "changed" not in "\n".join(said)


def test_a_run_on_pictures_elsewhere_that_are_gone_is_not_gone_on_with_on_those_of_its_project(tmp_path: Path) -> None:
    project, other = tmp_path / "project", _split(tmp_path / "other", first=50)
    _split(project)
    _plan(project, [project])
    run = _train(other, project)
    before = run.recipe_file.read_bytes()
    shutil.rmtree(tmp_path / "other")
    with pytest.raises(DataError, match="other/layers/bg"):
        resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=MORE_KIMG)
    assert run.recipe_file.read_bytes() == before


def test_a_run_on_what_has_the_old_place_of_a_project_now_keeps_its_pictures(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    _plan(old, [old])
    old.rename(new)
    shutil.rmtree(new / "runs")
    later = _split(tmp_path / "old", first=70)
    assert _train(later, new).load_recipe().data.source == str(later)


def test_a_run_that_was_killed_while_it_was_made_longer_is_known_by_the_pictures_of_its_checkpoint(old: Path, tmp_path: Path) -> None:
    _plan(old, [old])
    run, shorter = _run(old), tmp_path / "generator.safetensors"
    shutil.copy(run.path / "generator.safetensors", shorter)
    images.smooth(99, (8, 8)).save(old / "layers" / "bg" / "0000.png")
    resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=MORE_KIMG)
    shutil.copy(shorter, run.path / "generator.safetensors")
    run.write_status({**run.read_status(), "state": "running"})
    old.rename(tmp_path / "new")
    assert not _run(tmp_path / "new").is_finished
    assert _source(tmp_path / "new") == str(tmp_path / "new" / "layers" / "bg")


def test_a_stopped_run_is_known_by_its_checkpoint_and_one_without_any_is_not(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    _plan(old, [old])
    old.rename(new)
    for path in _run(new).path.glob("*.safetensors"):
        path.unlink()
    assert _source(new) == str(new / "layers" / "bg")
    shutil.rmtree(_run(new).path / "checkpoints")
    said: list[str] = []
    assert _run(new).load_recipe(said.append).data.source == str(old / "layers" / "bg")
    assert said == []


# Relative paths, as earlier versions took them from --set and from recipes


def _with_relative_path(folder: Path) -> Path:
    """A run under `folder / "runs"` whose recipe, checkpoints and card name its pictures as `layers/bg`, seen from the folder."""
    run = _train(_split(folder), folder)
    _rewrite(folder, str(folder / "layers"), "layers")
    assert run.recorded_recipe().data.source == "layers/bg"
    return folder


@pytest.fixture(scope="module")
def of_relative_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a run, and next to it `other` with others of that name."""
    folder = _with_relative_path(tmp_path_factory.mktemp("relative") / "a")
    _split(folder.parent / "other", first=50)
    return folder


@pytest.fixture
def relative(of_relative_path: Path, tmp_path: Path) -> Path:
    """A copy of both."""
    return Path(shutil.copytree(of_relative_path.parent, tmp_path / "copy")) / of_relative_path.name


WORKING = [".", "..", "runs", "../other", "/"]


@pytest.mark.parametrize("working", WORKING)
def test_a_relative_path_means_the_trained_pictures(working: str, of_relative_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is read, and by all that read it: a run is taken for these pictures, and for no others of the same name."""
    monkeypatch.chdir(of_relative_path / working)
    for root in (of_relative_path / "runs", Path(os.path.relpath(of_relative_path / "runs"))):
        run = find_matching_run(root, _recipe(of_relative_path / "layers" / "bg"))
        assert run is not None
        assert run.path == root / "pretrain" / "tiny-bg-001"
        assert find_matching_run(root, _recipe(of_relative_path.parent / "other" / "layers" / "bg")) is None
        assert find_matching_run(root, _recipe(of_relative_path / "layers")) is None
        own, here = str(of_relative_path / "layers" / "bg"), str(Path("layers/bg").resolve())
        artifact, said = _artifact(run), list[str]()
        assert run.load_recipe(said.append).data.source == own
        assert recipe_of_card(read_card(artifact), artifact, None, said.append).data.source == own
        saying = f"was trained on layers/bg as seen from {of_relative_path}: these are its pictures, not {here}"
        assert said == ([] if here == own else [f"{run.path}: {saying}", f"{artifact}: {saying}"])
        assert run_source(run) == own


def _artifact(run: Run) -> Path:
    assert run.artifact_file is not None
    return run.artifact_file


def _interrupt(run: Run) -> None:
    _artifact(run).unlink()
    run.write_status({**run.read_status(), "state": "stopped"})


@pytest.mark.parametrize("working", WORKING)
def test_a_training_goes_on_with_the_pictures_that_a_relative_path_means(working: str, relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder, with others of the same name in it or with none; then the run names them in full."""
    monkeypatch.chdir(relative / working)
    run, context = _run(relative), tiny_runs.run_context(relative / "runs")
    _interrupt(run)
    assert get_or_train(_recipe(relative / "layers" / "bg"), context).path == run.path
    assert "changed" not in tiny_runs.said(context)
    assert run.recorded_recipe().data.source == str(relative / "layers" / "bg")
    monkeypatch.chdir(relative.parent / "other")
    assert get_or_train(_recipe(relative / "layers" / "bg"), context).path == run.path


def test_a_resume_that_was_killed_before_its_first_checkpoint_goes_on(relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe says in full by then what the checkpoint's does not."""
    next((relative / "layers" / "bg").iterdir()).unlink()
    run, context = _run(relative), tiny_runs.run_context(relative / "runs")
    _interrupt(run)
    run.recipe_file.write_text(to_toml(_recipe(relative / "layers" / "bg")))
    monkeypatch.chdir(relative.parent / "other")
    resume(run.path, context)
    assert f"warning: {relative / 'layers' / 'bg'}: the pictures changed" in tiny_runs.said(context)


OUTS = ["runs", ".", "runs/exp1", "results/x/runs", "a/b/c/d/e", "runs/arms", "runs/exp1/arms", "sweep/runs", "sweeps/one/runs", "link"]
ELSEWHERE = ["../elsewhere", "{}/elsewhere"]


def _moved_to(out: str, folder: Path) -> Path:
    """Move the run of a folder under another root, as if it had been trained with this `--out`; return the root as that names it."""
    root = Path(out.format(folder.parent))
    if out == "link":
        (folder.parent / "scratch").mkdir()
        (folder / out).symlink_to(folder.parent / "scratch")
    if out != "runs":
        (folder / root).mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "runs" / "pretrain", folder / root / "pretrain")
    return root


def _edit(folder: Path) -> None:
    next((folder / "layers" / "bg").iterdir()).unlink()


@pytest.mark.parametrize("out", OUTS)
def test_runs_however_deep_have_the_pictures_of_a_folder_around_them(out: str, relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trained ones from everywhere; edited ones from the folder that has them, and no others from elsewhere."""
    root, own, other = relative / _moved_to(out, relative), _recipe(relative / "layers" / "bg"), relative.parent / "other"
    run = Run(root / "pretrain" / "tiny-bg-001")
    for working in (relative, relative.parent, other):
        monkeypatch.chdir(working)
        assert find_matching_run(root, own) == run
        assert find_matching_run(root, _recipe(other / "layers" / "bg")) is None
    _edit(relative)
    with pytest.raises(UnknownPicturesError, match=f"call this in {relative}$"):
        run.load_recipe()
    assert find_matching_run(root, _recipe(other / "layers" / "bg")) is None
    monkeypatch.chdir(relative)
    for name in (root, Path(out)):
        assert find_matching_run(name, own) == Run(name / "pretrain" / "tiny-bg-001")
        assert Run(name / "pretrain" / "tiny-bg-001").load_recipe() == own


@pytest.mark.parametrize("out", ELSEWHERE)
def test_runs_elsewhere_go_on_with_the_pictures_that_are_named(out: str, relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is around them: the hash decides, and if none has it, the pictures of the call, with a warning."""
    monkeypatch.chdir(relative)
    root, own = _moved_to(out, relative), _recipe(relative / "layers" / "bg")
    run, context = Run(root / "pretrain" / "tiny-bg-001"), tiny_runs.run_context(root)
    _interrupt(run)
    assert find_matching_run(root, own) == run
    _edit(relative)
    before = run.recipe_file.read_bytes()
    with pytest.raises(ArtifactError, match=f'{own.data.source} has others; .*write source = "{own.data.source}" into {run.recipe_file}'):
        resume(run.path, context)
    assert run.recipe_file.read_bytes() == before
    assert get_or_train(own, context) == run
    assert f"warning: {own.data.source}: the pictures changed since this run began" in tiny_runs.said(context)
    assert run.recorded_recipe() == own


@pytest.mark.parametrize(("working", "now"), [("../other", "has others"), ("..", "is not there"), ("runs", "is not there")])
def test_a_resume_does_not_guess_which_pictures_were_edited(working: str, now: str, relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says from where to call it; there it goes on. The recipe stays as it is until then."""
    _edit(relative)
    run, context = _run(relative), tiny_runs.run_context(relative / "runs")
    before = run.recipe_file.read_bytes()
    monkeypatch.chdir(relative / working)
    for path in (run.path, Path(os.path.relpath(run.path))):
        words = "" if path.is_absolute() else f", with {run.path} in place of {path}"
        with pytest.raises(ArtifactError, match=f"on the pictures of layers/bg, but .* {now}; .*edited since then, call this in {relative}{words}$"):
            resume(path, context, more_kimg=MORE_KIMG)
    assert run.recipe_file.read_bytes() == before
    monkeypatch.chdir(relative)
    resume(run.path, context, more_kimg=MORE_KIMG)
    assert f"warning: {relative / 'layers' / 'bg'}: the pictures changed" in tiny_runs.said(context)
    assert run.recorded_recipe().data.source == str(relative / "layers" / "bg")


def _call_all(run: Run) -> dict[str, Callable[[], object]]:
    """All that opens the pictures of a run, or of its artifact, whose user has not named them."""
    artifact = _artifact(run)
    return {
        "a run": run.load_recipe,
        "a card": lambda: recipe_of_card(read_card(artifact), artifact, None, ignore_message),
        "evaluate": lambda: evaluate_artifact(run.path, samples=4, split="train"),
        "study": lambda: recipe_with_data(read_card(artifact), run.path, None),
    }


@pytest.mark.parametrize("case", ["edited", "copied out of its run", "runs elsewhere"])
def test_pictures_that_nothing_tells_are_refused_with_the_way_out(case: str, relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None are guessed: those of the working folder have the name alone. The report leaves real pictures out."""
    other, own, run = relative.parent / "other", relative / "layers" / "bg", _run(relative)
    likely = own if case == "edited" else other / "layers" / "bg"
    if case == "edited":
        _edit(relative)
    monkeypatch.chdir(other)
    if case == "copied out of its run":
        alone = Path(shutil.copy(_artifact(run), relative.parent / "generator.safetensors"))
        calls = {"a card": lambda: recipe_of_card(read_card(alone), alone, None, ignore_message)}
    else:
        run = Run(Path(shutil.move(relative / "runs", relative.parent / "runs")) / "pretrain" / "tiny-bg-001") if case == "runs elsewhere" else run
        calls = _call_all(run)
        _, sentences = write_run_report(run.path)
        assert [line for line in sentences if line.startswith(f"Real pictures are left out: {run.path}: was trained on the pictures of layers/bg")]
        assert not [line for line in sentences if "other" in line and "its recipe names now" in line]
        assert read_json(run.path / "report.json")["environment"]["data"] == "layers/bg"
    for name, call in calls.items():
        way_out = "edited since then, " if name == "a run" else f"name them: --data {likely}$"
        with pytest.raises(UnknownPicturesError, match=f"was trained on the pictures of layers/bg, but .* has others; if .*{way_out}"):
            call()
    artifact = _artifact(run)
    assert recipe_of_card(read_card(artifact), artifact, str(own), ignore_message).data.source == str(own)


@pytest.mark.parametrize(("working", "is_refused"), [(".", False), ("../other", True), ("..", True)])
def test_a_run_of_which_nothing_says_its_pictures_has_those_of_the_folder_that_is_around_it(
    working: str, is_refused: bool, relative: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some of earlier versions; where no folder around it has any, those of the working folder."""
    run = _run(relative)
    _interrupt(run)
    shutil.rmtree(run.path / "checkpoints")
    monkeypatch.chdir(relative / working)
    if is_refused:
        with pytest.raises(UnknownPicturesError, match=f"layers/bg (may have others|is not there); if .*call this in {relative}$"):
            run.load_recipe()
        shutil.rmtree(relative / "layers")
        monkeypatch.chdir(relative.parent / "other")
    assert run.load_recipe().data.source == str(Path("layers/bg").resolve())


def test_a_nearer_folder_with_such_pictures_makes_those_of_the_working_folder_a_guess(relative: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a call that names them takes them."""
    outer = _recipe(_split(relative.parent, first=70))
    _edit(relative)
    monkeypatch.chdir(relative.parent)
    with pytest.raises(UnknownPicturesError, match=f"call this in {relative}$"):
        resume(_run(relative).path, tiny_runs.run_context(relative / "runs"))
    assert find_matching_run(relative / "runs", outer) == _run(relative)


@pytest.mark.parametrize(("pictures", "working", "is_refused"), [
    ("other", ".", True), ("other", "..", True), ("other", "../other", False), ("same", ".", False), ("a", "../other", False), ("none", ".", True),
])  # fmt: skip
def test_a_recipe_that_was_edited_goes_on_only_with_what_its_relative_path_may_mean(
    pictures: str, working: str, is_refused: bool, relative: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or with the trained pictures, wherever they are."""
    shutil.copytree(relative / "layers", relative.parent / "same" / "layers")
    run, context = _run(relative), tiny_runs.run_context(relative / "runs")
    _interrupt(run)
    run.recipe_file.write_text(to_toml(_recipe(relative.parent / pictures / "layers" / "bg")))
    monkeypatch.chdir(relative / working)
    if is_refused:
        with pytest.raises(ArtifactError, match=f"recipe.toml is not the one .*now .*{pictures}/layers/bg"):
            resume(run.path, context)
    else:
        resume(run.path, context)
        assert ("changed" in tiny_runs.said(context)) == (pictures == "other")


@pytest.mark.parametrize("source", ["demo", "", "/layers/bg"])
def test_what_is_no_relative_path_means_itself(source: str, tmp_path: Path) -> None:
    recipe = with_overrides(_recipe(tmp_path), data__source=source)
    assert project_pictures.with_own_pictures(recipe, tmp_path, lambda: pytest.fail("read")) == recipe
