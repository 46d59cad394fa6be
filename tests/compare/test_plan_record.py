"""plan.json: a plan is the same however its files are named, and another one where they are others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mitlgan.compare.plan import ComparisonPlan, DomainSpec, parse_domain
from mitlgan.compare.plan_record import PLACES_KEY, Place, PlanRecord, find_place


@pytest.fixture
def project(tmp_path: Path, artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs, layers, pictures and a recipe, which is the working folder."""
    folder = tmp_path / "project"
    for run, role in (("runs/compose/a-001", "scene"), ("runs/pretrain/fg-001", "fg"), ("layers/bg", "bg")):
        shutil.copytree(artifacts[role].parent, folder / run)
    (folder / "pics").mkdir()
    (folder / "mine.toml").write_text("")
    (folder / "w.pth").write_text("")
    monkeypatch.chdir(folder)
    return folder


FG, BG = "runs/pretrain/fg-001/generator.safetensors", "layers/bg/generator.safetensors"
PLANS: dict[str, ComparisonPlan] = {
    "composition": ComparisonPlan(composed=Path("runs/compose/a-001"), budgets=(1.0,)),
    "layers": ComparisonPlan(layers={"fg": Path(FG), "bg": Path(BG)}),
    "pictures": ComparisonPlan(data="pics", layers={"fg": Path(FG)}),
    "pictures that are set": ComparisonPlan(settings=("seed=1", "data.source=pics"), layers={"fg": Path(FG)}),
    "recipe and weights": ComparisonPlan(recipe="mine.toml", weights=Path("w.pth")),
    "baselines": ComparisonPlan(baselines=("wgan", "mine.toml", "layers/bg", "runs/pretrain/fg-001"), seeds=2),
    "domains": ComparisonPlan(domains=(DomainSpec("pics", "pics", BG, "pics"), parse_domain(f"x=bg={BG},cat=demo,pics")), fg_recipe="mine.toml"),
}


def elsewhere(plan: ComparisonPlan, change: Callable[[str], str]) -> ComparisonPlan:
    """Return a plan with the files named in another way."""

    def of(text: str) -> str:
        return change(text) if "." in text or "/" in text or text == "pics" else text

    def of_path(path: Path | None) -> Path | None:
        return None if path is None else Path(of(str(path)))

    domains = tuple(
        DomainSpec(spec.name, of(spec.fg), of(spec.bg), of(spec.scene), {name: of(source) for name, source in spec.layers.items()})
        for spec in plan.domains
    )
    settings = tuple(setting.replace("pics", of("pics")) for setting in plan.settings)
    return replace(
        plan, composed=of_path(plan.composed), weights=of_path(plan.weights), layers={name: Path(of(str(path))) for name, path in plan.layers.items()},
        data=plan.data and of(plan.data), settings=settings, recipe=plan.recipe and of(plan.recipe), fg_recipe=plan.fg_recipe and of(plan.fg_recipe),
        baselines=tuple(of(name) for name in plan.baselines), domains=domains,
    )  # fmt: skip


def moved(project: Path, work: Callable[[Path, Path], object]) -> Path:
    target = project.parent / "elsewhere" / "moved"
    target.parent.mkdir()
    work(project, target)
    return target


WAYS: dict[str, Callable[[Path], tuple[Path, Path, Callable[[str], str]]]] = {
    "the same": lambda project: (project, Path("runs"), str),
    "absolute": lambda project: (project, project / "runs", lambda text: str(project / text)),
    "from the folder above": lambda project: (project.parent, Path("project/runs"), lambda text: f"project/{text}"),
    "from a folder inside": lambda project: (project / "pics", Path("../runs"), lambda text: f"../{text}"),
    "with dots": lambda project: (project, Path("pics/../runs"), lambda text: f"runs/../{text}"),
    "through a link": lambda project: (link(project), Path("runs"), str),
    "moved as a whole": lambda project: (moved(project, shutil.move), Path("runs"), str),
    "copied as a whole": lambda project: (moved(project, shutil.copytree), Path("runs"), str),
    "moved, and absolute": lambda project: ((to := moved(project, shutil.move)), to / "runs", lambda text: str(to / text)),
}


def link(project: Path) -> Path:
    (project.parent / "link").symlink_to(project)
    return project.parent / "link"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_the_same_however_its_files_are_named(name: str, way: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = PlanRecord.of_plan(PLANS[name], Path("runs")).to_json()
    folder, root, change = WAYS[way](project)
    monkeypatch.chdir(folder)
    now = PlanRecord.of_plan(elsewhere(PLANS[name], change), root)
    assert PlanRecord.of_json(begun, root).is_same(now)
    assert PlanRecord.of_json(now.to_json(), root).is_same(now)
    assert not PlanRecord.of_json(begun, root).is_same(PlanRecord.of_plan(replace(elsewhere(PLANS[name], change), samples=99), root))


@pytest.mark.parametrize("name", PLANS)
def test_the_same_words_in_a_folder_of_other_files_are_another_plan(
    name: str, project: Path, artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs are those of the first folder, named by their whole path."""
    begun = PlanRecord.of_plan(PLANS[name], project / "runs").to_json()
    other = project.parent / "other"
    shutil.copytree(project, other)
    for file in (*other.rglob("composer.safetensors"), *other.rglob("generator.safetensors")):
        shutil.copy(artifacts["fg" if "bg" in file.parts or file.stem == "composer" else "bg"], file)
    monkeypatch.chdir(other)
    now = PlanRecord.of_plan(PLANS[name], project / "runs")
    named_in_full = ("settings", PLACES_KEY)
    assert {key: value for key, value in now.values.items() if key not in named_in_full} == {
        key: value for key, value in begun.items() if key not in named_in_full
    }
    assert not PlanRecord.of_json(begun, project / "runs").is_same(now)


def test_names_that_are_no_files_are_compared_as_they_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a file or folder has such a name."""
    plan = ComparisonPlan(
        baselines=("wgan", "paste"), data="demo", recipe="recommended/compose-32", domains=(DomainSpec("layers", "demo", "demo", "demo"),)
    )
    begun = PlanRecord.of_plan(plan, Path("runs")).to_json()
    assert PLACES_KEY not in begun
    for name in ("wgan", "paste", "demo"):
        (project / name).mkdir()
    assert PlanRecord.of_plan(plan, Path("runs")).to_json() == begun
    reference = ComparisonPlan(layers={"fg": Path("hf:/me/fg"), "bg": Path("runs/pretrain/fg-001@4")}, baselines=("hf://me/x",))
    assert PLACES_KEY not in PlanRecord.of_plan(reference, Path("runs")).to_json()


def test_an_artifact_is_its_tensors(project: Path, artifacts: dict[str, Path]) -> None:
    """Wherever a copy of it is; and no longer itself if it was trained on."""
    plan = PLANS["layers"]
    begun = PlanRecord.of_json(PlanRecord.of_plan(plan, Path("runs")).to_json(), Path("runs"))
    shutil.copytree("layers/bg", "a copy")
    copy = replace(plan, layers={**plan.layers, "bg": Path("a copy/generator.safetensors")})
    assert begun.is_same(PlanRecord.of_plan(copy, Path("runs")))
    assert begun.is_same(PlanRecord.of_plan(replace(copy, layers={**plan.layers, "bg": Path("a copy")}), Path("runs")))  # its run, not its file
    assert not begun.is_same(PlanRecord.of_plan(replace(plan, layers={"fg": Path(BG), "bg": Path(FG)}), Path("runs")))
    shutil.copy(artifacts["fg"], BG)
    assert not begun.is_same(PlanRecord.of_plan(plan, Path("runs")))


@pytest.mark.parametrize("name", PLANS)
def test_plans_of_earlier_versions_are_compared_by_their_paths(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say nothing of places: the same words are the same, as ever, and so are paths that lead to the same, seen from here or from the project."""
    old = PlanRecord.of_plan(PLANS[name], Path("runs")).values
    absolute = elsewhere(PLANS[name], lambda text: str(project / text))
    assert PlanRecord.of_json(old, Path("runs")).is_same(PlanRecord.of_plan(PLANS[name], Path("runs")))
    assert PlanRecord.of_json(old, Path("runs")).is_same(PlanRecord.of_plan(absolute, Path("runs")))
    monkeypatch.chdir("/")
    assert PlanRecord.of_json(old, project / "runs").is_same(PlanRecord.of_plan(absolute, project / "runs"))
    monkeypatch.chdir(project.parent)
    assert PlanRecord.of_json(old, Path("project/runs")).is_same(PlanRecord.of_plan(absolute, Path("project/runs")))
    shutil.copytree(project, "other")
    in_copy = elsewhere(PLANS[name], lambda text: f"other/{text}")
    assert not PlanRecord.of_json(old, Path("project/runs")).is_same(PlanRecord.of_plan(in_copy, Path("project/runs")))


SETTINGS = ["data.source={}", ' data.source = "{}"', 'data={{source="{}"}}', 'data={{backdrop=[1,2,3],source="{}"}}']


@pytest.mark.parametrize("setting", [*SETTINGS, "composer.placement.mattes={}", 'composer.placement={{scale=[0.5, 1.0], mattes="{}"}}'])
def test_pictures_that_are_set_are_compared_by_their_place(setting: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In records of now and of earlier versions, which have the setting as it was typed."""

    def record(source: object) -> PlanRecord:
        return PlanRecord.of_plan(ComparisonPlan(settings=("seed=1", setting.format(source))), project / "runs")

    begun = PlanRecord.of_json(record("pics").to_json(), project / "runs")
    old = PlanRecord({**begun.values, "settings": ["seed=1", setting.format("pics")]}, {}, project / "runs")
    for one in (begun, old):
        for source in ("pics", "./pics", "../project/pics", project / "pics"):
            assert one.is_same(record(source))
        assert not one.is_same(record("runs"))
        assert not one.is_same(PlanRecord.of_plan(ComparisonPlan(settings=("seed=2", setting.format("pics"))), project / "runs"))
    (project.parent / "other" / "pics").mkdir(parents=True)
    monkeypatch.chdir(project.parent / "other")
    assert not begun.is_same(record("pics"))
    assert begun.is_same(record("../project/pics"))
    assert old.is_same(record("../project/pics"))
    assert not old.is_same(record("../other"))
    assert not old.is_same(record("pics"))
    assert PLACES_KEY not in record("demo").to_json()


@pytest.mark.parametrize("path", ["absent", "a\0b", "\ud800", "x" * 3000, "x/" * 3000, "mine.toml/x", "circle", "pretrained/\0", "pretrained/absent"])
def test_what_no_disk_has_is_at_no_place(path: str, project: Path) -> None:
    (project / "circle").symlink_to("circle")
    assert find_place(path, Path("runs")) is None


def test_a_place_of_what_is_no_artifact_has_no_hash(project: Path) -> None:
    os.mkfifo("pipe.safetensors")
    (project / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    for name in ("pics", "mine.toml", "w.pth", "pipe.safetensors", "weights.safetensors", "runs"):
        assert find_place(name, Path("runs")) == Place(str(project / name), os.path.relpath(name, "runs"), None)
    place = find_place(FG, Path("runs"))
    assert place is not None
    assert (place.path, place.from_runs) == (str(project / FG), "pretrain/fg-001/generator.safetensors")
    assert place.tensors_sha256 == find_place("runs/pretrain/fg-001", Path("runs")).tensors_sha256  # type: ignore[union-attr]
    assert len(place.tensors_sha256 or "") == 64


@pytest.mark.parametrize(
    "places", [None, 1, [], "x", {"a": 1}, {"a": {}}, {"a": {"path": 1, "from_runs": "x"}}, {"a": {"path": "x", "from_runs": None}}]
)
def test_places_that_are_damaged_count_as_none(places: Any) -> None:
    values = {"layers": {"fg": "a"}}
    record = PlanRecord.of_json({**values, PLACES_KEY: places}, Path("runs"))
    assert (record.values, dict(record.places)) == (values, {})


@pytest.mark.parametrize("digest", [None, 1, "", "None", "ab", "A" * 64, ["a" * 64]])
def test_a_hash_that_is_none_counts_as_none(digest: Any) -> None:
    assert Place.parse({"path": "/a", "from_runs": "a", "tensors_sha256": digest}) == Place("/a", "a", None)
    whole = {"path": "/a", "from_runs": "a", "tensors_sha256": "0" * 64}
    assert Place.parse(whole) == Place("/a", "a", "0" * 64)
