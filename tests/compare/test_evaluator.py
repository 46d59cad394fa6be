"""The whole protocol on a dozen pictures: several arms, seeds and budgets, resumed, in domains, with pretraining counted, by seconds and by work."""

from __future__ import annotations

import csv
import io
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import tiny_runs
from helpers.short_exports import export_like_users

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare import ComparisonPlan, ComparisonResult, DomainSpec, run_comparison
from mitlgan.compare.finished_runs import extract_layers
from mitlgan.errors import ResourceError, Stopped, UsageError
from mitlgan.recipe import to_toml
from mitlgan.runtime.files import lock_folder
from mitlgan.stages.context import RunContext
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run

PER_UPDATE = tiny_runs.PER_UPDATE / 1000
BUDGETS = (2 * PER_UPDATE, 4 * PER_UPDATE)
ALL = ("wgan", "wgan-finetuned", "paste")


@pytest.fixture
def plan(tmp_path: Path, packs: dict[str, Path], pretrained: dict[str, Run]) -> ComparisonPlan:
    """Of two seeds and two budgets, on layers that were pretrained."""
    file = tmp_path / "compose.toml"
    file.write_text(to_toml(tiny_runs.recipe("scene", packs["scene"], updates=1, compose=True)))
    layers = tiny_runs.layers(pretrained)
    return ComparisonPlan(recipe=str(file), layers=layers, baselines=ALL, budgets=BUDGETS, seeds=2, trials={"wgan": 3}, count_pretraining=False)


def standings(result: ComparisonResult, name: str) -> list[dict[str, object]]:
    return [dict(row) for arm in result.comparison.arms if arm.name == name for row in arm.budget_results]


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: TrainingLoop) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TrainingLoop, "train_iteration", refuse)


def test_arms_seeds_and_budgets(plan: ComparisonPlan, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_comparison(plan, environment)
    arms = {arm.name: arm for arm in result.comparison.arms}
    assert list(arms) == ["composed", *ALL]
    for name in ("composed", "wgan", "wgan-finetuned"):
        assert [row["budget"] for row in arms[name].budget_results] == list(BUDGETS)
        assert arms[name].seeds == [5, 6]
        assert {"fd_std", "kid_std", "precision_std"} <= arms[name].metrics.keys()
        assert [round(row["kimg"], 3) for row in arms[name].evaluations] == [0.008, 0.016, 0.032]
        for row in arms[name].budget_results:
            assert max(row["chosen_kimg"]) <= row["budget"] + PER_UPDATE
    assert (arms["wgan"].recipes_tried, arms["composed"].recipes_tried) == (3, 1)
    assert arms["paste"].seeds == ()
    assert arms["paste"].cost.kimg(total=False) == 0
    assert arms["wgan-finetuned"].cost.kimg(total=True) > arms["wgan-finetuned"].cost.kimg(total=False)
    assert {"composed", "paste"} == {arm.name for arm in arms.values() if arm.separation}
    trained = [read_card(run.artifact_file) for run in run_directory.list_runs(environment.root / "arms") if run.artifact_file]
    assert sorted((card.kind, card.recipe["name"], card.recipe["seed"]) for card in trained) == sorted(
        [("composer", "tiny-composed", seed) for seed in (5, 6)] + [("generator", name, seed) for name in ALL[:2] for seed in (5, 6)]
    )
    assert {card.kimg for card in trained} == {BUDGETS[-1]}
    forms_are_whole(result)
    forbid_training(monkeypatch)
    again = run_comparison(plan, environment)
    assert again.run != result.run
    assert again.summary()["arms"] == result.summary()["arms"]


def forms_are_whole(result: ComparisonResult) -> None:
    html, markdown, tex = (path.read_text() for path in (result.paths.html, result.paths.md, result.paths.tex))
    for heading in ("At each budget", "Do the layers stay apart?"):
        assert heading in html
        assert heading in markdown
    assert "New pictures, or memorized ones?" in html
    assert "3 recipes tried" in html
    assert r"\begin{tabular}{lrr}" in tex
    table = list(csv.DictReader(io.StringIO(result.paths.csv.read_text())))
    assert [row["budget"] for row in table if row["arm"].startswith("WGAN, plain") and row["extractor"] == "efficientnet-lite0@32"] == [
        "0.016",
        "0.032",
    ]
    assert float(table[0]["fd"]) == standings(result, "composed")[0]["fd"]
    data = json.loads(result.paths.json.read_text())
    assert data["budget_unit"] == "kimg"
    assert json.loads((result.run / "plan.json").read_text())["budgets"] == list(BUDGETS)


def test_figures_that_will_flatter_are_told_before_the_first_step(
    plan: ComparisonPlan, environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_training(monkeypatch)
    with pytest.raises(AssertionError, match="trained again"):
        run_comparison(plan, environment)
    said = tiny_runs.said(environment)
    assert "because no scenes were held out" in said
    assert "train; there are no others" in said


def test_a_second_call_goes_on_where_the_first_was_stopped(plan: ComparisonPlan, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_comparison(plan, environment)
    elsewhere = tiny_runs.run_context(environment.root.parent / "again")
    trained: list[str] = []
    step = TrainingLoop.train_iteration

    def counted(self: TrainingLoop) -> object:
        trained.append(str(self.run_directory.path))
        return step(self)

    monkeypatch.setattr(TrainingLoop, "train_iteration", counted)
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=2)
        with pytest.raises(Stopped):
            run_comparison(plan, elsewhere)
    stopped_at = len(trained)
    assert 0 < stopped_at < 24
    (begun,) = (run for run in run_directory.list_all(elsewhere.root) if run.is_comparison)
    assert begun.read_state() == "stopped"
    with lock_folder(begun.path), pytest.raises(ResourceError, match=f"^{begun.path}: another process is working on it"):
        run_comparison(plan, elsewhere)
    result = run_comparison(plan, elsewhere)
    assert len(trained) == 6 * 4  # six trainings of four updates, none of them twice
    assert len(list(elsewhere.root.glob("compare/*"))) == 1
    assert [arm.metrics for arm in result.comparison.arms] == [arm.metrics for arm in whole.comparison.arms]


@pytest.mark.slow
def test_arms_side_by_side_are_the_same_runs(plan: ComparisonPlan, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    export_like_users(monkeypatch)
    beside = tiny_runs.run_context(environment.root.parent / "beside")
    one, two = run_comparison(plan, environment), run_comparison(replace(plan, jobs=2), beside)
    assert [arm.metrics for arm in one.comparison.arms] == [arm.metrics for arm in two.comparison.arms]


def test_domains_by_arms(plan: ComparisonPlan, pretrained: dict[str, Run], packs: dict[str, Path], environment: RunContext) -> None:
    layers = tiny_runs.layers(pretrained)
    triples = tuple(DomainSpec(name, str(layers["fg"]), str(layers["bg"]), str(packs[role])) for name, role in (("rooms", "scene"), ("fields", "bg")))
    result = run_comparison(replace(plan, layers={}, domains=triples, baselines=("wgan",), seeds=1, budgets=(PER_UPDATE,)), environment)
    assert [comparison.domains[0].name for comparison in (result.comparison, *result.others)] == ["rooms", "fields"]
    html = result.html.read_text()
    assert html.count("<h1") == 1
    assert "in 2 domains" in html
    for text, heading in ((result.paths.md.read_text(), "| arm | rooms | fields |"), (result.paths.tex.read_text(), r"arm & rooms & fields \\")):
        assert text.count(heading) == 1  # one table of all
    identifiers = [part.split('"')[0] for part in html.split(' id="')[1:]]
    assert len(identifiers) == len(set(identifiers))
    assert {row["domain"] for row in csv.DictReader(io.StringIO(result.paths.csv.read_text()))} == {"rooms", "fields"}
    assert len(result.summary()["domains"]) == 2


def test_pretraining_counted_in(plan: ComparisonPlan, environment: RunContext) -> None:
    result = run_comparison(replace(plan, baselines=("wgan",), seeds=1, budgets=(PER_UPDATE,), count_pretraining=True), environment)
    assert [arm.name for arm in result.comparison.arms] == ["composed", "wgan+pretraining", "wgan"]
    wgan = read_card(next(run.artifact_file for run in run_directory.list_runs(environment.root / "arms", "pretrain") if run.artifact_file))
    assert wgan.kimg == pytest.approx(PER_UPDATE + 2 * 3 * PER_UPDATE)  # both layers had three updates
    assert max(standings(result, "wgan")[0]["chosen_kimg"]) <= 2 * PER_UPDATE  # type: ignore[type-var]


@pytest.mark.parametrize("equal", ["seconds", "cpu-seconds", "macs"])
def test_other_budgets(plan: ComparisonPlan, environment: RunContext, equal: str) -> None:
    budget = 2e-5 if equal == "macs" else 0.3
    result = run_comparison(replace(plan, baselines=("wgan",), seeds=1, budgets=(budget,), equal=equal), environment)
    composed, wgan = result.comparison.arms
    if equal == "macs":
        assert composed.cost.macs(total=False) == pytest.approx(wgan.cost.macs(total=False), rel=0.4)
        assert composed.cost.kimg(total=False) < wgan.cost.kimg(total=False)
    else:
        for arm in (composed, wgan):
            assert 0.3 <= (arm.cost.seconds(total=False) if equal == "seconds" else arm.cost.cpu_seconds(total=False)) < 1.5
    unit = {"seconds": "seconds", "cpu-seconds": "CPU seconds", "macs": "tera-MACs"}[equal]
    assert result.comparison.budget_unit == unit
    assert f"{unit} of this stage" in result.comparison.equal
    assert "CPU time, total" in result.html.read_text()
    assert json.loads(result.paths.json.read_text())["arms"][0]["cost"]["cpu_seconds_total"] > composed.cost.cpu_seconds(total=False)


def test_pretraining_counted_in_cpu_seconds(plan: ComparisonPlan, environment: RunContext, tmp_path: Path) -> None:
    by_cpu = replace(plan, baselines=("wgan",), seeds=1, budgets=(0.2,), equal="cpu-seconds", count_pretraining=True)
    run_comparison(by_cpu, environment)
    wgan = read_card(next(run.artifact_file for run in run_directory.list_runs(environment.root / "arms", "pretrain") if run.artifact_file))
    before = sum(read_card(path).cpu_seconds for path in plan.layers.values())
    assert before > 0
    assert wgan.recipe["training"]["limit_s"] == pytest.approx(0.2 + before, abs=1e-3)
    assert wgan.recipe["training"]["clock"] == "cpu"
    network, card = load_network(plan.layers["fg"])
    silent = tmp_path / "silent" / "generator.safetensors"
    silent.parent.mkdir()
    save_network(silent, network, card.model_copy(update={"cpu_seconds": 0.0}))
    with pytest.raises(UsageError, match=r"^--count-pretraining: no card or times.json of fg says how many CPU seconds its training took"):
        run_comparison(replace(by_cpu, layers={**plan.layers, "fg": silent}), environment)


def test_layers_of_a_composition_are_the_artifacts_they_came_from(composed: Run, pretrained: dict[str, Run]) -> None:
    assert composed.artifact_file is not None
    files = extract_layers(composed.artifact_file)
    for name, run in pretrained.items():
        assert run.artifact_file is not None
        assert read_weights_hash(files[name]) == read_weights_hash(run.artifact_file)
        assert (load_artifact(files[name]).sample([3]) == load_artifact(run.artifact_file).sample([3])).all()
        assert read_card(files[name]).kimg == read_card(run.artifact_file).kimg


def test_each_seed_can_have_its_own_layers(plan: ComparisonPlan, environment: RunContext) -> None:
    result = run_comparison(replace(plan, baselines=("paste",), trials={}, budgets=(PER_UPDATE,), pretrain_seeds=True), environment)
    made = [read_card(run.artifact_file) for run in run_directory.list_runs(environment.root / "arms", "pretrain") if run.artifact_file]
    assert sorted((card.role, card.recipe["seed"]) for card in made) == [("bg", 5), ("bg", 6), ("fg", 5), ("fg", 6)]
    composers = [read_card(run.artifact_file) for run in run_directory.list_runs(environment.root / "arms", "compose") if run.artifact_file]
    assert len({card.layers["fg"].sha256_before for card in composers}) == 2
    composed, pasted = result.comparison.arms
    assert pasted.seeds == (5, 6)
    first, second = pasted.budget_results[0]["values"]
    assert first != second  # each seed's own layers were pasted
    assert pasted.metrics["fd"] == pytest.approx((first + second) / 2)
    alone = run_comparison(replace(plan, baselines=("paste",), trials={}, budgets=(PER_UPDATE,), pretrain_seeds=True, seeds=1), environment)
    assert alone.comparison.arms[1].metrics["fd"] == first
    ratio, *_ = json.loads(result.paths.json.read_text())["kid_ratios"]  # by the first extractor
    assert ratio["ratio"] == pytest.approx(composed.budget_results[0]["kid"] / pasted.budget_results[0]["kid"])


def test_contradictions_are_told_before_any_training(plan: ComparisonPlan, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_training(monkeypatch)
    triple = DomainSpec("a", "demo", "demo", "demo")
    for wrong, message in (
        (replace(plan, baselines=("dcgan",)), "--baseline: 'dcgan' is not one of"),
        (replace(plan, baselines=("wgan", "paste", "wgan")), "--baseline: two arms are called wgan"),
        (replace(plan, baseline_run=Path("x")), "--baseline-run: here every arm is trained from scratch"),
        (replace(plan, domains=(triple,), data="demo"), "--domain: trains its own"),
        (replace(plan, baselines=("thesis-32/wgan",)), "--baseline thesis-32/wgan: trains scene images of 32 px"),
    ):
        with pytest.raises(UsageError, match=message):
            run_comparison(wrong, environment)


def test_trials_of_an_arm_that_is_not_compared_are_refused_before_a_layer_is_trained(plan: ComparisonPlan, environment: RunContext) -> None:
    with pytest.raises(UsageError, match=r"^--trials wgan: no arm has this name; they are composed, paste$"):
        run_comparison(replace(plan, baselines=("paste",), pretrain_seeds=True), environment)
    assert not list((environment.root / "arms").glob("*/*"))
