"""An interrupted comparison goes on by the same command; if that takes other networks by now, it is named with the command that goes on with it."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import images, tiny_runs
from helpers.comparisons import change_tensors, finish, newer_foreground, opened
from helpers.mutations import counts, mutated_tree

from mitlgan.cli.main import parser
from mitlgan.compare import runner
from mitlgan.compare.domains import resolve_domains, resolve_plan
from mitlgan.compare.dry_run import estimate_comparison
from mitlgan.compare.finished_runs import extract_layers
from mitlgan.compare.plan import ComparisonPlan, DomainSpec
from mitlgan.compare.plan_record import PLACES_KEY
from mitlgan.compare.reproduce import comparison_command
from mitlgan.compare.unfinished_comparisons import find_unfinished
from mitlgan.errors import ResourceError, UsageError
from mitlgan.recipe import load_recipe, shipped_folder, to_toml, with_overrides
from mitlgan.runtime.files import lock_folder
from mitlgan.runtime.json_files import read_json
from mitlgan.stages import default_layers
from mitlgan.stages.context import RunContext
from mitlgan.stages.default_layers import shipped_layer
from mitlgan.training.run_directory import Run

REQUEST = ComparisonPlan(budgets=(1.0,))
RUNS = Path("runs")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def named_command(line: str) -> list[str]:
    """Return the words of the command in a line, after the program's name."""
    match = re.search(r"`mitlgan (.*)`", line)
    assert match is not None, line
    return shlex.split(match[1])


def plan_of_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[ComparisonPlan, Path]:
    """Return what a command would compare, and where."""
    asked: list[Any] = []

    def stop(plan: ComparisonPlan, context: RunContext) -> None:
        asked.extend((plan, context.root))
        raise ResourceError("enough")

    with monkeypatch.context() as patch:
        patch.setattr("mitlgan.compare.runner.run_comparison", stop)
        with pytest.raises(ResourceError, match="enough"):
            parser().main(words, standalone_mode=False)
    return asked[0], asked[1]


# Other networks by default


def compositions(composed: Run, request: ComparisonPlan) -> tuple[Path, list[str]]:
    """A composition is the default; then there is a newer one."""
    first = finish(RUNS, 1, composed)
    begun, _ = opened(request, RUNS)
    finish(RUNS, 2, composed)
    return begun, ["--composed", str(first)]


def foregrounds(composed: Run, request: ComparisonPlan) -> tuple[Path, list[str]]:
    """Layers that ship are the default; then there is a foreground of the user's own."""
    shipped = [f"{name}={shipped_layer(name, 32)}" for name in ("fg", "bg") if name not in request.layers]
    begun, _ = opened(request, RUNS)
    newer_foreground(RUNS)
    return begun, [word for layer in shipped for word in ("--layer", layer)]


def first_composition(composed: Run, request: ComparisonPlan) -> tuple[Path, list[str]]:
    """Layers that ship are the default; then there is a composition."""
    shipped = [f"{name}={shipped_layer(name, 32)}" for name in ("fg", "bg") if name not in request.layers]
    begun, _ = opened(request, RUNS)
    finish(RUNS, 1, composed)
    return begun, [word for layer in shipped for word in ("--layer", layer)]


def another_install(composed: Run, request: ComparisonPlan) -> tuple[Path, list[str]]:
    """As `foregrounds`, begun by a program whose artifacts are elsewhere."""
    begun, words = foregrounds(composed, request)
    (begun / "plan.json").write_text((begun / "plan.json").read_text().replace(str(shipped_folder("pretrained")), "/absent/pretrained"))
    return begun, words


REQUESTS = {
    "budgets": REQUEST,
    "seeds": ComparisonPlan(seeds=2, baselines=("wgan", "paste"), trials={"wgan": 2}),
    "setting": ComparisonPlan(settings=('licence="CC BY"',), budgets=(1.0, 2.5), equal="seconds", count_pretraining=False),
    "background": ComparisonPlan(layers={"bg": shipped_layer("bg", 32) or Path()}, samples=20),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("change", [compositions, foregrounds, first_composition, another_install], ids=lambda change: change.__name__)
def test_an_unfinished_comparison_of_other_networks_is_named_with_the_command_that_goes_on(
    change: Callable[[Run, ComparisonPlan], tuple[Path, list[str]]], request_name: str, composed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = REQUESTS[request_name]
    if request_name == "background" and change is compositions:
        request = replace(request, layers={"bg": background(composed)})
    begun, options = change(composed, request)
    assert opened(replace(request, seeds=7), RUNS)[1] == []  # something else was asked for
    other, lines = opened(request, RUNS)
    assert other != begun
    (line,) = lines
    assert line.startswith(f"unfinished: {begun}; to go on with it: `mitlgan compare ")
    words = named_command(line)
    assert "\0".join(options) in "\0".join(words)
    plan, root = plan_of_command(words, monkeypatch)
    assert opened(plan, root) == (begun, [])
    assert opened(request, RUNS) == (other, [])  # the newer one is as unfinished, and goes on by the same command


def background(composed: Run) -> Path:
    """Return the background of a composition as an artifact of its own."""
    assert composed.artifact_file is not None
    return extract_layers(composed.artifact_file)["bg"]


def test_the_plan_says_what_is_taken(composed: Run) -> None:
    named = resolve_plan(REQUEST, RUNS)
    assert named.layers == {name: shipped_layer(name, 32) for name in ("fg", "bg")}
    begun, _ = opened(REQUEST, RUNS)
    assert (read_json(begun / "plan.json")["composed"], set(read_json(begun / "plan.json")["layers"])) == (None, {"fg", "bg"})
    first = finish(RUNS, 1, composed)
    other, _ = opened(REQUEST, RUNS)
    assert read_json(other / "plan.json")["composed"] == str(first)
    assert read_json(other / "plan.json")[PLACES_KEY][str(first)]["from_runs"] == "compose/tiny-001"
    assert opened(named, RUNS) == (begun, [])
    assert resolve_plan(named, RUNS) == named
    assert resolve_plan(replace(REQUEST, composed=first), RUNS).composed == first
    of_domain = ComparisonPlan(domains=(DomainSpec("a", "demo", "demo", "demo"),))
    assert resolve_plan(of_domain, RUNS) == of_domain
    assert resolve_plan(ComparisonPlan(), RUNS / "absent") == ComparisonPlan()


def test_all_that_fit_are_named(composed: Run) -> None:
    paths = [finish(RUNS, number, composed) for number in (1, 2)]
    begun = [opened(replace(REQUEST, composed=path), RUNS)[0] for path in paths]
    finish(RUNS, 3, composed)
    _, lines = opened(REQUEST, RUNS)
    assert [(str(folder) in line, f"--composed {path} " in line) for folder, path, line in zip(begun, paths, lines, strict=True)] == [(True, True)] * 2


def test_what_the_user_names_is_not_called_another_default(composed: Run) -> None:
    """Who names a composition, or layers, wants these."""
    first, second = (finish(RUNS, number, composed) for number in (1, 2))
    opened(replace(REQUEST, composed=first), RUNS)
    assert opened(replace(REQUEST, composed=second), RUNS)[1] == []
    layers = resolve_plan(replace(REQUEST, recipe="thesis-32/compose"), RUNS).layers
    assert opened(replace(REQUEST, layers=layers), RUNS)[1] == []
    assert opened(replace(REQUEST, layers={**layers, "fg": newer_foreground(RUNS)}), RUNS)[1] == []


@pytest.mark.parametrize(
    "layers", [{"cat": "fg", "bg": "bg"}, {"a\nb": "fg", "bg": "bg"}, {"--composed": "fg", "bg": "bg"}, {"fg": "fg"}, {"fg": 1, "bg": "bg"}]
)
def test_layers_that_no_default_has_are_another_plan(layers: dict[str, Any]) -> None:
    begun, _ = opened(REQUEST, RUNS)
    record = read_json(begun / "plan.json")
    record["layers"] = {name: record["layers"][role] if isinstance(role, str) else role for name, role in layers.items()}
    (begun / "plan.json").write_text(json.dumps(record))
    other, lines = opened(REQUEST, RUNS)
    assert (other != begun, lines) == (True, [])


# The same comparison, seen from elsewhere


def test_it_goes_on_wherever_it_is_called_from_and_whatever_moved(composed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    for root in (RUNS, RUNS.resolve(), Path("runs/../runs"), Path("../project/runs")):
        assert opened(REQUEST, root) == (root / "compare" / begun.name, [])
    monkeypatch.chdir("/")
    assert opened(REQUEST, folder / "runs") == (folder / begun, [])
    moved = Path(shutil.move(folder, folder.parent / "moved"))
    monkeypatch.chdir(moved.parent)
    assert opened(REQUEST, Path("moved/runs")) == (Path("moved") / begun, [])
    finish(Path("moved/runs"), 2, composed)
    _, (line,) = opened(REQUEST, Path("moved/runs"))
    assert "--composed moved/runs/compose/tiny-001 --budgets 1 --out moved/runs`" in line  # as it is called now
    plan, root = plan_of_command(named_command(line), monkeypatch)
    assert opened(plan, root) == (Path("moved") / begun, [])


def test_an_install_elsewhere_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, _ = opened(REQUEST, RUNS)
    for name in ("fg-32", "bg-32"):
        shutil.copytree(shipped_folder("pretrained") / name, tmp_path / "pretrained" / name)
    monkeypatch.setattr(default_layers, "shipped_folder", lambda name: tmp_path / name)
    assert resolve_plan(REQUEST, RUNS).layers["fg"].is_relative_to(tmp_path)
    assert opened(REQUEST, RUNS) == (begun, [])


def test_the_same_words_for_another_composition_begin_another(composed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(REQUEST, composed=finish(RUNS, 1, composed))
    begun, _ = opened(plan, folder / "runs")
    (folder.parent / "other").mkdir()
    monkeypatch.chdir(folder.parent / "other")
    shutil.copytree(folder / "runs/compose/tiny-001", "runs/compose/tiny-001")
    assert opened(plan, folder / "runs") == (begun, [])  # a copy
    change_tensors(Path("runs/compose/tiny-001"), 5)
    assert opened(plan, folder / "runs")[0] != begun


def pictures(folder: Path) -> str:
    """Two folders of pictures of one name, A/pics and B/pics; return that name."""
    for name, seed in (("A", 0), ("B", 100)):
        (folder / name / "pics").mkdir(parents=True)
        for number in range(4):
            images.smooth(seed + number, (8, 8)).save(folder / name / "pics" / f"{number}.png")
    return "pics"


def of_recipe(source: str, folder: Path) -> ComparisonPlan:
    """A plan of a recipe in a file, which names the pictures."""
    file = folder / "my.toml"
    file.write_text(to_toml(with_overrides(load_recipe("thesis-32/compose"), data__source=source)))
    return replace(REQUEST, recipe=str(file))


def of_recipe_with_mattes(mattes: str, folder: Path, source: str = "demo") -> ComparisonPlan:
    """A plan of a recipe in a file, which names the pictures to whose mattes a placement is fitted."""
    file = folder / "my.toml"
    file.write_text(to_toml(with_overrides(load_recipe("recommended/compose-32"), data__source=source, composer__placement__mattes=mattes)))
    return replace(REQUEST, recipe=str(file))


SOURCES: dict[str, Callable[[str, Path], ComparisonPlan]] = {
    "--data": lambda source, folder: replace(REQUEST, data=source),
    "--set": lambda source, folder: replace(REQUEST, settings=(f"data.source={source}",)),
    "a table": lambda source, folder: replace(REQUEST, settings=(f'data={{source="{source}"}}', "seed=1")),
    "a recipe": of_recipe,
}
MATTES: dict[str, Callable[[str, Path], ComparisonPlan]] = {
    "--set mattes": lambda source, folder: replace(REQUEST, recipe="recommended/compose-32", settings=(f"composer.placement.mattes={source}",)),
    "mattes of a recipe": of_recipe_with_mattes,
}


@pytest.mark.parametrize("option", [*SOURCES, *MATTES])
def test_the_same_words_for_other_pictures_begin_another(option: str, composed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the pictures are named; and other words for the same pictures go on."""
    finish(RUNS, 1, composed)
    name, plan = pictures(folder), partial({**SOURCES, **MATTES}[option], folder=folder)
    monkeypatch.chdir(folder / "A")
    begun, _ = opened(plan(name), folder / "runs")
    monkeypatch.chdir(folder / "B")
    other, lines = opened(plan(name), folder / "runs")
    assert (other != begun, lines) == (True, [])
    for place in (folder, folder / "A", folder.parent):
        monkeypatch.chdir(place)
        for source in (os.path.relpath(folder / "A" / name), str(folder / "A" / name)):
            assert opened(plan(source), folder / "runs") == (begun, [])
    if option in MATTES:
        return  # the foreground below is the one that their recipe takes by default
    monkeypatch.chdir(folder)
    finish(RUNS, 2, composed)
    newer_foreground(RUNS)
    lines = opened(plan(f"A/{name}"), folder / "runs")[1]
    (line,) = lines
    assert str(begun) in line
    assert opened(*plan_of_command(named_command(line), monkeypatch)) == (begun, [])


@pytest.mark.parametrize("has_places", [True, False])
def test_an_earlier_version_left_the_pictures_to_the_recipe(has_places: bool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = pictures(folder)
    monkeypatch.chdir(folder / "A")
    request = of_recipe(name, folder)
    begun, _ = opened(request, folder / "runs")
    record = read_json(begun / "plan.json")
    assert record["data"] == str(folder / "A" / name)
    places = {PLACES_KEY: {text: place for text, place in record.pop(PLACES_KEY).items() if text != record["data"]}}
    (begun / "plan.json").write_text(json.dumps({**record, "data": None, **(places if has_places else {})}))
    assert opened(request, folder / "runs") == (begun, [])
    newer_foreground(folder / "runs")
    other, (line,) = opened(request, folder / "runs")
    assert (other != begun, line.startswith(f"unfinished: {begun}; to go on with it: ")) == (True, True)


@pytest.mark.parametrize("has_places", [True, False])
@pytest.mark.parametrize("left", ["data", "mattes", "both"])
def test_pictures_left_to_the_recipe_are_those_of_the_folder_around_the_runs(
    left: str, has_places: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In plans of earlier versions: from elsewhere, the same words mean others, and a new comparison begins."""
    name = pictures(folder)
    source, mattes = name if left != "mattes" else "demo", name if left != "data" else "scenes"
    layers = {layer: path for layer in ("fg", "bg") if (path := shipped_layer(layer, 32)) is not None}
    monkeypatch.chdir(folder / "A")
    open_request = of_recipe_with_mattes(mattes, folder, source)
    request = replace(open_request, layers=layers)
    begun, _ = opened(request, folder / "A" / "runs")
    record = read_json(begun / "plan.json")
    assert (record["data"], record["settings"]) == (
        None if source == "demo" else str(folder / "A" / name),
        [] if mattes == "scenes" else [f"composer.placement.mattes={folder / 'A' / name}"],
    )
    places = {PLACES_KEY: {text: place for text, place in record.pop(PLACES_KEY).items() if text not in (record["data"], *record["settings"])}}
    (begun / "plan.json").write_text(json.dumps({**record, "data": None, "settings": [], **(places if has_places else {})}))
    line = f"unfinished: {begun}; its pictures are those that {request.recipe} names as seen from {folder / 'A'}; to go on with it, call the command"
    monkeypatch.chdir(folder / "B")
    other, lines = opened(request, folder / "A" / "runs")
    assert (other != begun, lines) == (True, [f"{line} there"])
    assert opened(request, folder / "A" / "runs") == (other, [])
    shutil.rmtree(other)
    relative = f"{line} there, with --out {folder / 'B' / '../A/runs'}".replace(str(begun), f"../A/runs/compare/{begun.name}")
    assert opened(request, Path("../A/runs"))[1] == [relative]
    newer_foreground(folder / "A" / "runs")
    assert opened(open_request, folder / "A" / "runs")[1][0] == f"{line} there"  # it would take that foreground
    monkeypatch.chdir(folder / "A")
    assert opened(request, folder / "A" / "runs") == (begun, [])


@pytest.mark.parametrize("out", ["runs", ".", "out/deep/runs", "link"])
@pytest.mark.parametrize("option", ["a recipe", "--set", "mattes of a recipe"])
def test_pictures_of_an_earlier_plan_are_those_of_a_folder_around_the_runs_however_deep(
    option: str, out: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are named, or where links lead; the folder itself goes on with it."""
    name, root = pictures(folder), folder / "A" / out
    (folder / "disk").mkdir()
    if out == "link":
        root.symlink_to(folder / "disk")
    layers = {layer: path for layer in ("fg", "bg") if (path := shipped_layer(layer, 32)) is not None}
    request = replace({**SOURCES, **MATTES}[option](name, folder), layers=layers)
    monkeypatch.chdir(folder / "A")
    begun, _ = opened(request, root)
    earlier = {"data": None, "settings": list(request.settings), PLACES_KEY: {}}
    (begun / "plan.json").write_text(json.dumps({**read_json(begun / "plan.json"), **earlier}))
    assert opened(request, root) == (begun, [])
    monkeypatch.chdir(folder / "B")
    other, lines = opened(request, root)
    assert other != begun
    assert [f"as seen from {folder / 'A'}" in line for line in lines] == [True] * (option != "--set")


def test_the_command_of_a_comparison_names_the_pictures_that_were_set_in_full(composed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(RUNS, 1, composed)
    pictures(folder)
    monkeypatch.chdir(folder / "A")
    named = resolve_plan(replace(REQUEST, settings=("data.source=pics",)), folder / "runs")
    monkeypatch.chdir("/")
    words = shlex.split(comparison_command(named, tiny_runs.run_context(folder / "runs")))[1:]
    plan, _ = plan_of_command(words, monkeypatch)
    assert plan.settings == (f"data.source={folder / 'A' / 'pics'}",)
    assert resolve_domains(plan, folder / "runs")[0].recipe.data.source == str(folder / "A" / "pics")


# Gone, in work, done


def remove(path: Path) -> None:
    shutil.rmtree(path)


def empty(path: Path) -> None:
    (path / "composer.safetensors").unlink()


def train_on(path: Path) -> None:
    change_tensors(path, 7)


@pytest.mark.parametrize("with_places", [True, False])
@pytest.mark.parametrize("damage", [remove, empty, train_on])
def test_what_is_gone_is_named(damage: Callable[[Path], None], with_places: bool, composed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    if not with_places:
        as_earlier_version(begun)
    damage(first)
    finish(RUNS, 2, composed)
    other, (line,) = opened(REQUEST, RUNS)
    assert other != begun
    if damage is train_on and not with_places:
        assert "to go on with it" in line  # it is known by its path alone
        return
    assert line == (
        f"unfinished: {begun}; nothing goes on with it, as these are gone or were changed: --composed {first}; `mitlgan runs rm {begun}` removes it"
    )
    parser().main(named_command(line), standalone_mode=False)
    assert not begun.exists()
    assert opened(REQUEST, RUNS) == (other, [])


def test_a_composition_that_is_named_and_was_trained_on_is_told(composed: Run) -> None:
    """The same words mean another network by now; only what the same plan began is told of."""
    first = finish(RUNS, 1, composed)
    plan = replace(REQUEST, composed=first)
    begun, _ = opened(plan, RUNS)
    change_tensors(first, 7)
    with lock_folder(begun):
        line = f"{begun}: is being worked on by another process, with --composed {first} as it was before; this is a comparison of its own"
        assert opened(replace(plan, composed=first.resolve()), RUNS)[1] == [line]
    shutil.rmtree(begun.with_name("tiny-composed-002"))
    assert opened(replace(plan, seeds=3), RUNS)[1] == []
    other, lines = opened(plan, RUNS)
    assert (other != begun, lines) == (True, [changed_line(begun, f"--composed {first}")])
    assert opened(plan, RUNS) == (other, [])
    parser().main(named_command(lines[0]), standalone_mode=False)
    assert not begun.exists()


def test_layers_and_baselines_that_are_named_and_were_trained_on_are_told(artifacts: dict[str, Path]) -> None:
    mine = newer_foreground(RUNS)
    background = shipped_layer("bg", 32)
    assert background is not None
    plan = replace(REQUEST, layers={"fg": mine.parent, "bg": background}, baselines=("wgan", str(shutil.copytree(artifacts["fg"].parent, "trained"))))
    begun, _ = opened(plan, RUNS)
    shutil.copy(shipped_folder("pretrained") / "fg-32" / "generator.safetensors", mine)
    other, lines = opened(plan, RUNS)
    assert (other != begun, lines) == (True, [changed_line(begun, f"fg {mine}")])
    shutil.copy(artifacts["bg"], Path("trained") / "generator.safetensors")
    third, lines = opened(plan, RUNS)
    assert third not in (begun, other)
    assert sorted(lines) == [changed_line(begun, f"fg {mine}, trained"), changed_line(other, "trained")]


def changed_line(begun: Path, names: str) -> str:
    return f"unfinished: {begun}; nothing goes on with it, as these were changed: {names}; `mitlgan runs rm {begun}` removes it"


def test_a_composition_of_another_name_is_the_one_that_was_meant(composed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    first.rename(first.with_name("renamed-004"))
    finish(RUNS, 2, composed)
    _, (line,) = opened(REQUEST, RUNS)
    assert "--composed runs/compose/renamed-004 " in line
    assert opened(*plan_of_command(named_command(line), monkeypatch)) == (begun, [])


def test_layers_that_are_gone_are_named(composed: Run) -> None:
    mine = newer_foreground(RUNS)
    begun, _ = opened(REQUEST, RUNS)
    shutil.rmtree(mine.parent)
    _, (line,) = opened(REQUEST, RUNS)
    assert f"--layer fg={shipped_layer('fg', 32, with_alpha=True)} " in line  # the same tensors ship
    record = read_json(begun / "plan.json")
    record[PLACES_KEY][str(mine)]["tensors_sha256"] = "0" * 64
    (begun / "plan.json").write_text(json.dumps(record))
    finish(RUNS, 1, composed)
    lines = opened(REQUEST, RUNS)[1]
    assert f"unfinished: {begun}; nothing goes on with it, as these are gone or were changed: fg {mine}; `mitlgan runs rm {begun}` removes it" in lines


def test_one_in_work_is_called_that(composed: Run) -> None:
    first = finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    finish(RUNS, 2, composed)
    with lock_folder(begun):
        other, lines = opened(REQUEST, RUNS)
        assert lines == [f"{begun}: is being worked on by another process, with --composed {first}; this is a comparison of its own"]
    shutil.rmtree(other)
    assert opened(REQUEST, RUNS)[1][0].startswith(f"unfinished: {begun}; to go on with it")


def test_the_same_one_in_work_is_waited_for(composed: Run, environment: RunContext) -> None:
    """Unless there is another one of the same plan that nobody works on."""
    plan = ComparisonPlan(composed=composed.path, baselines=("paste",), budgets=(0.024,))
    begun, _ = opened(plan, environment.root)
    with lock_folder(begun):
        with pytest.raises(ResourceError, match=f"^{re.escape(str(begun))}: another process is working on it; wait for it"):
            runner.run_comparison(plan, environment)
        second = Path(shutil.copytree(begun, begun.with_name("tiny-composed-002")))
        assert opened(plan, environment.root) == (second, [])
    assert opened(plan, environment.root) == (begun, [])


@pytest.mark.parametrize(
    ("status", "is_over"),
    [("done", True), ("running", False), ("stopped", False), ("failed", False), ("empty", False), (None, False), (1, False), ([], False)],
)
@pytest.mark.parametrize("has_report", [True, False])
def test_only_one_that_is_not_done_goes_on(status: Any, is_over: bool, has_report: bool, composed: Run) -> None:
    """Whether report.html was removed from it meanwhile or not."""
    finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    (begun / "status.json").write_text(json.dumps({"state": status, "command": "compare"}))
    if has_report:
        (begun / "report.html").write_text("")
    again, lines = opened(REQUEST, RUNS)
    assert (again != begun, lines) == (is_over, [])
    finish(RUNS, 2, composed)
    _, (line,) = opened(REQUEST, RUNS)
    assert line.startswith(f"unfinished: {again};")


# Earlier versions, damaged files


def as_earlier_version(begun: Path) -> dict[str, Any]:
    """Let a plan be as earlier versions wrote it; return it."""
    record = read_json(begun / "plan.json")
    del record[PLACES_KEY]
    (begun / "plan.json").write_text(json.dumps(record))
    return record


def test_plans_of_earlier_versions_go_on(composed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    assert as_earlier_version(begun)["composed"] == str(first)
    for root in (RUNS, RUNS.resolve()):
        assert opened(REQUEST, root) == (root / "compare" / begun.name, [])
    monkeypatch.chdir("/")
    assert opened(REQUEST, folder / "runs") == (folder / begun, [])
    finish(folder / "runs", 2, composed)
    other, (line,) = opened(REQUEST, folder / "runs")
    assert f"--composed {folder / first} " in line
    assert opened(*plan_of_command(named_command(line), monkeypatch)) == (folder / begun, [])
    shutil.rmtree(other)
    (folder / begun / "plan.json").write_text(json.dumps(REQUEST.to_json()))  # as a still earlier one, which named nothing
    assert opened(REQUEST, folder / "runs") == (folder / begun, [])


def test_what_an_earlier_version_began_with_contradictory_keys_goes_on(composed: Run, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    critic = 'critic={kind="strided",base_width=4,widths=[4,8],normalisation="none"}'
    plan = ComparisonPlan(
        recipe=str(composed.path / "recipe.toml"), layers=extract_layers(composed.path / "composer.safetensors"), settings=(critic,), budgets=(0.024,)
    )
    with pytest.raises(UsageError, match=r"^critic\.widths contradicts critic\.base_width"):
        runner.run_comparison(plan, environment)
    assert not environment.root.exists()
    opened(plan, environment.root)  # as if an earlier version had
    monkeypatch.setattr(runner, "train_for_budgets", stop_here)
    with pytest.raises(ResourceError, match="trainings begin"):
        runner.run_comparison(plan, environment)
    assert estimate_comparison(plan, environment).steps


def stop_here(*_: Any) -> None:
    raise ResourceError("trainings begin")


@counts
@pytest.mark.parametrize("is_newest", [True, False])
def test_a_plan_of_any_form_goes_on_or_is_left(composed: Run, count: int, is_newest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says, only one whose options are those of the request goes on or is named, in one line."""
    finish(RUNS, 1, composed)
    plan = replace(REQUEST, trials={"wgan": 2})
    begun, _ = opened(plan, RUNS)
    whole = read_json(begun / "plan.json")
    if not is_newest:
        finish(RUNS, 2, composed)
    monkeypatch.setattr(runner.run_directory, "create_run", lambda *_: Run(RUNS / "new"))
    environment = tiny_runs.run_context(RUNS)
    named, setup = resolve_plan(plan, RUNS), resolve_domains(plan, RUNS)[0]
    accepted, tries = 0, count // 4
    for seed in range(tries):
        tree = mutated_tree(whole, random.Random(seed))
        (begun / "plan.json").write_text(json.dumps(tree))
        path = (find_unfinished(named, plan, environment) or runner._begin(named, setup, environment)).path
        lines = tiny_runs.said(environment).splitlines()
        environment.reporter.said.clear()  # type: ignore[attr-defined]
        assert path == RUNS / "new" or is_newest
        assert len(lines) <= (path != begun)
        if not isinstance(tree, dict) or not tree:
            assert lines == [damaged_line(begun)]
            continue
        assert all(line.isprintable() for line in lines)
        if path == begun or lines:
            accepted += 1
            free = (PLACES_KEY, "composed", "layers") if lines else (PLACES_KEY,)
            assert {key: value for key, value in tree.items() if key not in free} == {key: value for key, value in whole.items() if key not in free}
    assert 0 < accepted < tries


def damaged_line(begun: Path) -> str:
    return f"warning: {begun / 'plan.json'}: is empty or damaged; this comparison is not continued; `mitlgan runs rm {begun}` removes it"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '"x"', "\0", '{"composed": null,', "[" * 100_000, "\ud800"])
def test_a_plan_that_cannot_be_read_is_told(content: str, composed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(RUNS, 1, composed)
    begun, _ = opened(REQUEST, RUNS)
    (begun / "plan.json").write_bytes(content.encode(errors="surrogatepass"))
    other, lines = opened(REQUEST, RUNS)
    assert (other != begun, lines) == (True, [damaged_line(begun)])
    assert opened(REQUEST, RUNS) == (other, [damaged_line(begun)])
    (begun / "status.json").write_text(json.dumps({"state": "done", "command": "compare"}))
    assert opened(REQUEST, RUNS) == (other, [])  # its report is there
    (begun / "status.json").write_text(json.dumps({"state": "stopped", "command": "compare"}))
    parser().main(named_command(lines[0]), standalone_mode=False)
    assert opened(REQUEST, RUNS) == (other, [])


# What a dry run says, and where


def test_a_dry_run_says_the_same_and_begins_nothing(
    composed: Run, environment: RunContext, packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finish(environment.root, 1, composed)
    plan = ComparisonPlan(baselines=("paste",), budgets=(0.024,))
    begun, _ = opened(plan, environment.root)
    finish(environment.root, 2, composed)
    before = sorted((environment.root / "compare").iterdir())
    estimate_comparison(plan, environment)
    (line,) = (line for line in tiny_runs.said(environment).splitlines() if line.startswith("unfinished: "))
    assert f"{begun}; to go on with it: `mitlgan compare --baseline paste --composed {first} --budgets 0.024 " in line
    assert tiny_runs.said(environment).count("composition: ") == 1
    assert sorted((environment.root / "compare").iterdir()) == before


def test_stdout_is_json_alone(composed: Run, capsys: pytest.CaptureFixture[str]) -> None:
    finish(RUNS, 1, composed)
    words = ["compare", "--baseline", "paste", "--budgets", "0.024", "--samples", "8", "--device", "cpu", "--threads", "1", "--json", "--dry-run"]
    begun, _ = opened(ComparisonPlan(baselines=("paste",), budgets=(0.024,), samples=8), RUNS)
    finish(RUNS, 2, composed)
    parser().main(words, standalone_mode=False)
    printed = capsys.readouterr()
    assert "estimate" in json.loads(printed.out)
    assert f"unfinished: {begun}; to go on with it: `mitlgan compare " in printed.err
