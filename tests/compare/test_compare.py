"""compare: the baseline is equal in everything but the generator, is taken where it is there, and nothing is trained before all is known."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs
from helpers.baselines import baseline_recipe
from torch import Tensor

from mitlgan.artifacts.card import Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network, save_network
from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
from mitlgan.compare import ComparisonPlan, ComparisonResult, evaluator, open_evaluator, run_comparison
from mitlgan.errors import ArtifactError, Stopped, UsageError
from mitlgan.metrics.protocol import flat_metrics
from mitlgan.networks import Composer
from mitlgan.recipe import Recipe, as_dict, load_recipe, with_overrides
from mitlgan.report.formatting import markdown_text
from mitlgan.report.run_figures import FIGURES_FILE, read_run_figures
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.evaluate import evaluate_artifact
from mitlgan.stages.pretrain import pretrain
from mitlgan.training import run_directory
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run


def card_of(run: Run) -> Card:
    assert run.artifact_file is not None
    return read_card(run.artifact_file)


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.rstrip("."): tree}
    return {key: value for name, inner in tree.items() for key, value in flat(inner, f"{prefix}{name}.").items()}


def no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))


# The baseline's recipe


def test_a_baseline_is_equal_in_everything_but_the_generator(composed: Run, pretrained: dict[str, Run]) -> None:
    recipe, card = load_recipe(composed.recipe_file), card_of(composed)
    baseline = baseline_recipe(recipe, card)
    ours, theirs = flat(as_dict(recipe)), flat(as_dict(baseline))
    differing = {key.split(".")[0] for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    assert differing == {"name", "command", "composer", "generator"}
    assert baseline.generator == card_of(pretrained["bg"]).generator  # a generator that a layer has
    assert (baseline.command, baseline.role) == ("pretrain", "scene")
    assert ours["training.kimg"] == card.kimg


def test_a_baseline_is_as_long_as_the_composition_was_in_the_end(composed: Run) -> None:
    recipe, card = load_recipe(composed.recipe_file), card_of(composed).model_copy(update={"kimg": 7.008, "seconds": 33.333})
    limited = with_overrides(recipe, training__limit_s=5.0)
    assert baseline_recipe(limited, card).training.kimg == 7.008
    assert baseline_recipe(limited, card).training.limit_s is None
    counted = baseline_recipe(recipe, card, extra=0.048).training
    assert (counted.kimg, counted.keep_kimg) == (pytest.approx(7.056), (7.008,))  # where the stage alone would end, an artifact is kept


def test_equal_seconds_limit_the_clock_and_not_the_pictures(composed: Run) -> None:
    recipe, card = load_recipe(composed.recipe_file), card_of(composed).model_copy(update={"seconds": 33.333})
    baseline = baseline_recipe(recipe, card, resource="seconds")
    assert baseline.training.limit_s == pytest.approx(33.3)
    assert baseline.training.kimg > 1e5
    counted = baseline_recipe(recipe, card, resource="seconds", extra=11.0)
    assert (counted.training.limit_s, counted.training.keep_s) == (pytest.approx(44.3), (33.3,))
    by_cpu = baseline_recipe(recipe, card.model_copy(update={"cpu_seconds": 22.2}), resource="cpu-seconds")
    assert (by_cpu.training.limit_s, by_cpu.training.clock) == (pytest.approx(22.2), "cpu")
    assert baseline_recipe(with_overrides(recipe, training__limit_s=5.0, training__clock="cpu"), card).training.clock is None
    short = card.model_copy(update={"seconds": 0.01})  # rounds to nothing, which is no length
    assert baseline_recipe(recipe, short, resource="seconds").training.limit_s == 0.1


# The comparison


def plan_of(composed: Run, **options: Any) -> ComparisonPlan:
    return ComparisonPlan(composed=composed.path, **options)


def measured(result: ComparisonResult) -> dict[str, dict[str, Any]]:
    return {arm["role"]: arm for arm in result.summary()["arms"]}


def test_both_arms_get_the_same_and_a_finished_baseline_is_taken(composed: Run, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"equal": "kimg", "count_pretraining": False}
    result = run_comparison(plan_of(composed, **alone), environment)
    arms = measured(result)
    assert arms["composed"]["cost"]["kimg_stage"] == arms["baseline"]["cost"]["kimg_stage"] == 0.024
    assert arms["composed"]["cost"]["kimg_total"] == pytest.approx(3 * 0.024)  # with both pretrainings
    assert arms["baseline"]["cost"]["kimg_total"] == 0.024
    composer = card_of(composed)
    assert composed.artifact_file is not None
    network, _ = load_network(composed.artifact_file)
    assert isinstance(network, Composer)
    assert arms["composed"]["cost"]["trained_parameters"] == sum(parameter.numel() for parameter in network.trainable_parameters())
    (baseline,) = run_directory.list_runs(environment.root, "pretrain")
    assert load_recipe(baseline.recipe_file) == baseline_recipe(load_recipe(composed.recipe_file), composer)
    for run in (composed, baseline):
        assert run.artifact_file is not None
        assert json.loads((run.path / FIGURES_FILE).read_text())["tensors_sha256"] == read_weights_hash(run.artifact_file)
    kid = read_run_figures(composed, composer).figures["kid"]
    assert (kid["value"], kid["std"]) == (arms["composed"]["metrics"]["kid"], arms["composed"]["metrics"]["kid_std"])
    no_steps(monkeypatch)
    again = run_comparison(plan_of(composed, **alone), environment)
    assert f"baseline: {baseline.path}" in tiny_runs.said(environment)
    assert again.run != result.run  # a report is never overwritten
    assert measured(again)["baseline"]["metrics"] == arms["baseline"]["metrics"]
    assert len(run_directory.list_runs(environment.root, "pretrain")) == 1


@pytest.mark.parametrize("moment", ["load_artifact", "evaluate"])
def test_a_composition_that_is_replaced_while_it_is_measured_is_measured_again(
    moment: str, composed: Run, environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer training ends just before the network is loaded, or just after it was measured; no figures are kept as those of the other network."""
    run = Run(Path(shutil.copytree(composed.path, environment.root / "compose" / "tiny-composed-001")))
    file = run.artifact_file
    assert file is not None
    before = file.read_bytes()
    network, card = load_network(file)
    assert isinstance(network, Composer)
    max(network.translator.parameters(), key=Tensor.numel).mul_(0.5)
    longer = environment.root / "longer" / file.name
    save_network(longer, network, card)

    def replace_and(call: Callable[..., Any]) -> Callable[..., Any]:
        def replaced(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options) if moment == "evaluate" else None
            file.write_bytes(longer.read_bytes())
            return result if moment == "evaluate" else call(*arguments, **options)

        return replaced

    monkeypatch.setenv("MITLGAN_CACHE", str(environment.root / "cache"))
    plan = plan_of(run, baselines=("paste",))
    with monkeypatch.context() as patch:
        patch.setattr(evaluator, moment, replace_and(getattr(evaluator, moment)))
        with pytest.raises(ArtifactError) as caught:
            run_comparison(plan, environment)
    assert str(caught.value) == f"{file}: was replaced while it was measured; measure again"
    file.write_bytes(before)
    metrics = []
    for cache in ("cache", "another cache"):
        monkeypatch.setenv("MITLGAN_CACHE", str(environment.root / cache))
        metrics.append(measured(run_comparison(plan, environment))["composed"]["metrics"])
    assert metrics[0] == metrics[1]
    assert read_run_figures(run, card_of(run)).figures["kid"]["value"] == metrics[0]["kid"]


@pytest.mark.parametrize("kind", ["checkpoint", "kept", "end"])
def test_a_baseline_may_be_any_step_of_a_run(kind: str, composed: Run, packs: dict[str, Path], environment: RunContext) -> None:
    """A checkpoint's file has a hash of all that it holds, and the network that is loaded from it another one."""
    keeping = {"checkpoint_iterations": 1} | ({"artifact_iterations": 1} if kind == "kept" else {})
    run = pretrain(tiny_runs.recipe("scene", packs["scene"], updates=2, **keeping), environment)
    reference = f"{run.path}@{2 if kind == 'end' else 1}"
    file = artifact_path(Path(reference))
    assert (file.parent == run.path / "checkpoints", read_weights_hash(file) == load_artifact(file).tensors_sha256) == (
        (True, False) if kind == "checkpoint" else (False, True)
    )
    result = run_comparison(plan_of(composed, baselines=(reference,)), environment)
    row = measured(result)["baseline"]
    alone = flat_metrics(evaluate_artifact(Path(reference)).figures)
    assert {name: row["metrics"][name] for name in ("fd", "kid")} == {name: pytest.approx(alone[name]) for name in ("fd", "kid")}
    said = tiny_runs.said(environment).count(f"measuring {file.parent}:")
    again = measured(run_comparison(plan_of(composed, baselines=(reference,)), environment))["baseline"]
    assert again["metrics"] == row["metrics"]
    assert tiny_runs.said(environment).count(f"measuring {file.parent}:") == said, "its figures were kept"


def test_the_headline_is_of_all_stages_and_the_stage_alone_stands_below(composed: Run, environment: RunContext) -> None:
    """Of one training, by kimg here, which can be counted: it ends where all stages end, and an artifact is kept where the last one does."""
    result = run_comparison(plan_of(composed, equal="kimg"), environment)
    ours, whole, alone = result.comparison.arms
    label = "WGAN, plain (the composition's settings)"
    assert (whole.name, whole.label, whole.length) == ("baseline+pretraining", f"{label}, as long as all stages", "total")
    assert (alone.name, alone.label, alone.length) == ("baseline", f"{label}, this stage alone", "stage")
    assert whole.cost.kimg(total=True) == pytest.approx(ours.cost.kimg(total=True)) == pytest.approx(0.072)
    assert alone.cost.kimg(total=True) == ours.cost.kimg(total=False) == 0.024
    assert whole.metrics != alone.metrics
    assert len(run_directory.list_runs(environment.root, "pretrain")) == 1
    assert "kimg of all stages, pretraining included: what the headline compares" in result.comparison.equal
    assert "kimg of this stage: what is compared below the headline" in result.comparison.equal
    assert result.comparison.title == f"Composition (tiny-composed) against {label}, 8 px"


def test_time_is_equal_where_nothing_is_asked_for(composed: Run, environment: RunContext) -> None:
    result = run_comparison(plan_of(composed), environment)
    (baseline,) = run_directory.list_runs(environment.root, "pretrain")
    training, card = load_recipe(baseline.recipe_file).training, card_of(composed)
    before = sum(layer.card["cpu_seconds"] for layer in card.layers.values())
    assert before > 0
    assert training.clock == "cpu"
    assert training.limit_s == pytest.approx(max(0.1, card.cpu_seconds + before), abs=0.06)
    assert result.comparison.resource == "cpu-seconds"
    assert [arm.length for arm in result.comparison.arms] == ["", "total", "stage"]


def test_what_pretrainings_took_is_counted_where_it_is_known(
    composed: Run, environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards of other programs, and of earlier versions, may be silent."""
    shutil.copytree(composed.path, tmp_path / "silent")
    silent = Run(tmp_path / "silent")
    assert silent.artifact_file is not None
    network, card = load_network(silent.artifact_file)
    layers = {name: layer.model_copy(update={"card": {**layer.card, "kimg": 0.0}}) for name, layer in card.layers.items()}
    save_network(silent.artifact_file, network, card.model_copy(update={"layers": layers}))
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))  # where the layers' own cards are not known yet
    comparison = run_comparison(plan_of(silent, equal="kimg"), environment).comparison
    assert "the pretrainings are not counted" in tiny_runs.said(environment)
    assert [arm.length for arm in comparison.arms] == ["", "stage"]
    with pytest.raises(UsageError, match=r"^--count-pretraining: no card or times\.json of fg says how many kimg"):
        run_comparison(plan_of(silent, equal="kimg", count_pretraining=True), environment)


def test_every_form_has_one_verdict(composed: Run, environment: RunContext) -> None:
    result = run_comparison(plan_of(composed, equal="kimg"), environment)
    verdict = result.comparison.verdict
    assert verdict is not None
    assert verdict.outcome == "not comparable"
    for part in (
        "no pictures were held out",
        "only 12 samples and 12 real pictures were measured",
        "12 samples against 12 train pictures",
    ):
        assert part in verdict.headline
    html, markdown, data = (path.read_text() for path in (result.paths.html, result.paths.md, result.paths.json))
    for sentence in (verdict.headline, *verdict.reasons):
        assert escape(sentence, quote=True).replace("&#x27;", "&#39;") in html
        assert markdown_text(sentence) in markdown
    assert json.loads(data)["verdict"] == {"outcome": "not comparable", "headline": verdict.headline, "reasons": list(verdict.reasons)}
    assert result.verdict == verdict.headline


def test_several_extractors_stand_beside_each_other(composed: Run, environment: RunContext) -> None:
    names = ("efficientnet-lite0@32", "efficientnet-lite0@64")
    result = run_comparison(plan_of(composed, equal="kimg", extractors=names, baselines=("wgan", "paste")), environment)
    whole = result.comparison
    assert whole.extractors == names
    for row in (*whole.arms, *whole.anchors):
        assert list(row.by_extractor) == [names[1]]
        assert row.by_extractor[names[1]]["fd"] != row.metrics["fd"]
    text = result.paths.md.read_text()
    for heading in ("FD (efficientnet-lite0@32)", "KID (efficientnet-lite0@32)", "FD (efficientnet-lite0@64)", "KID (efficientnet-lite0@64)"):
        assert f"| {heading} |" in text
    assert whole.verdict is not None
    assert any(reason.startswith("2 extractors were used") for reason in whole.verdict.reasons)
    swapped = run_comparison(plan_of(composed, equal="kimg", extractors=names[::-1], baselines=("wgan", "paste")), environment).comparison
    assert [arm.metrics for arm in swapped.arms] == [arm.by_extractor[names[1]] for arm in whole.arms]


def test_a_second_extractor_joins_where_it_is_at_hand(composed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(composed.recipe_file)
    for path, names in ((Path("w.pth"), ("efficientnet-lite0@32", "mobilenet-v2@32")), (None, ("efficientnet-lite0@32",))):
        monkeypatch.setattr(open_evaluator, "mobilenet_weights", lambda path=path: path)
        assert open_evaluator.extractor_names(recipe) == names
    assert open_evaluator.extractor_names(with_overrides(recipe, evaluation__extractor="inception")) == ("inception", "efficientnet-lite0")
    assert open_evaluator.extractor_names(with_overrides(recipe, evaluation__extractor=["inception", "mobilenet-v2"])) == ("inception", "mobilenet-v2")


def test_an_unfinished_baseline_is_gone_on_with(composed: Run, environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        tiny_runs.before_step(patch, tiny_runs.send(signal.SIGTERM), at=1)
        with pytest.raises(Stopped):
            run_comparison(plan_of(composed, equal="kimg"), environment)
    (begun,) = run_directory.list_runs(environment.root, "pretrain")
    assert begun.artifact_file is None
    run_comparison(plan_of(composed, equal="kimg"), environment)
    (finished,) = run_directory.list_runs(environment.root, "pretrain")
    straight = pretrain(load_recipe(begun.recipe_file), tiny_runs.run_context(tmp_path / "straight"))
    tiny_runs.assert_same_trace(finished, straight)


def test_equal_seconds(composed: Run, environment: RunContext) -> None:
    arms = measured(run_comparison(plan_of(composed, equal="seconds", count_pretraining=False), environment))
    (baseline,) = run_directory.list_runs(environment.root, "pretrain")
    training = load_recipe(baseline.recipe_file).training
    assert training.limit_s is not None
    assert training.limit_s <= arms["baseline"]["cost"]["seconds_stage"] < training.limit_s + 10
    assert arms["baseline"]["cost"]["kimg_stage"] < training.kimg, "its time ended it, not its pictures"


def test_a_baseline_that_differs_is_not_called_equal(composed: Run, packs: dict[str, Path], environment: RunContext) -> None:
    """The report says of a baseline that was given what is equal and what is not."""
    other = with_overrides(tiny_runs.recipe("scene", packs["scene"], updates=5), critic__widths=[8, 6], training__batch=6)
    given = pretrain(other, environment)
    comparison = run_comparison(plan_of(composed, equal="kimg", baseline_run=given.path), environment).comparison
    unequal = " ".join(comparison.unequal)
    for key in ("critic.widths", "training.batch", "kimg"):
        assert key in unequal
    equal = " ".join(comparison.equal)
    assert "critic" not in equal
    assert "kimg" not in equal
    assert "the measurement" in equal
    assert comparison.verdict is not None
    assert "at equal" not in comparison.verdict.headline
    assert [arm.length for arm in comparison.arms] == ["", ""]


def test_arms_that_were_trained_on_other_pictures_are_not_called_equal(composed: Run, environment: RunContext, tmp_path: Path) -> None:
    """They are taken if the pictures changed in their place; the report, not stderr alone, says that others are measured."""
    source = tiny_runs.pack(tmp_path / "scenes.npy", seed=1)
    plan = plan_of(composed, budgets=(0.024,), data=str(source))
    first = run_comparison(plan, environment).comparison
    assert not [sentence for sentence in first.trust if "other pictures" in sentence]
    assert "the 12 training scenes" in first.equal
    before = run_directory.list_runs(environment.root)
    tiny_runs.pack(source, seed=2, count=13)
    result = run_comparison(plan, environment)
    assert run_directory.list_runs(environment.root) == before
    told = [sentence for sentence in result.comparison.trust if "it was trained on other pictures than those that are measured" in sentence]
    assert len(told) == len(result.comparison.arms) == 3
    assert all(f"({source}: the pictures changed since this run began: 12 (" in sentence for sentence in told)
    assert [sentence.partition(":")[0] for sentence in told] == [arm.label for arm in result.comparison.arms]
    assert not [clause for clause in result.comparison.equal if "training scenes" in clause]
    assert "trained on other pictures than those that are measured" in result.html.read_text()


# Refused before anything is trained


def test_what_cannot_be_compared_is_refused_before_any_training(
    composed: Run, pretrained: dict[str, Run], environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_steps(monkeypatch)
    with pytest.raises(UsageError, match=r"--composed: no finished composition under .*; run `mitlgan compose --out .*` first"):
        run_comparison(ComparisonPlan(), environment)
    with pytest.raises(ArtifactError, match=r"--composed .*: a run of `pretrain fg`; give one that `mitlgan compose` made"):
        run_comparison(plan_of(pretrained["fg"]), environment)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(composed.path, unfinished)
    (unfinished / "composer.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"unfinished: not finished; continue it with `mitlgan resume "):
        run_comparison(plan_of(Run(unfinished)), environment)
    with pytest.raises(ArtifactError, match=r"--baseline-run .*: makes fg images of 8 px; give a run that makes scenes of 8 px"):
        run_comparison(plan_of(composed, baseline_run=pretrained["fg"].path), environment)
    with pytest.raises(UsageError, match="torchrun: compare works in one process"):
        run_comparison(plan_of(composed), tiny_runs.run_context(environment.root, size=2))
    assert not environment.root.exists()


def test_absent_weights_end_it_before_any_training(composed: Run, environment: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_steps(monkeypatch)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(UsageError, match=r"--extractor inception: its weights are absent .*or name --extractor efficientnet-lite0") as refused:
        run_comparison(plan_of(composed, extractors=("inception",)), environment)
    assert refused.value.exit_code == 2
    assert not environment.root.exists()


def test_the_newest_finished_composition_is_taken(composed: Run, pretrained: dict[str, Run], packs: dict[str, Path], environment: RunContext) -> None:
    recipe: Recipe = tiny_runs.recipe("scene", packs["scene"], compose=True, updates=1)
    compose(recipe, tiny_runs.layers(pretrained), environment)
    second = compose(recipe, tiny_runs.layers(pretrained), environment)
    run_comparison(ComparisonPlan(samples=8), environment)
    assert f"composition: {second.path}" in tiny_runs.said(environment)
