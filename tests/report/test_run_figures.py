"""Which figures a run's report shows: only those of the network that the run has now, and in words where they come from."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import images, tiny_runs

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import record_metrics
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError
from mitlgan.recipe import to_toml, with_data_source
from mitlgan.report import run_report
from mitlgan.report.run_figures import FIGURES_FILE, are_of_pictures_now, read_run_figures, say_their_pictures, write_run_figures
from mitlgan.report.run_report import write_run_report
from mitlgan.runtime.command_line import command_line
from mitlgan.stages.resume import resume
from mitlgan.training.run_directory import Run

OF_COMPARISON, OF_CARD = 0.605, 0.75


@pytest.fixture
def run(pretrained: dict[str, Run], tmp_path: Path) -> Run:
    """A finished run, of which nothing was measured."""
    run = Run(Path(shutil.copytree(pretrained["bg"].path, tmp_path / "run 1")))
    (run.path / FIGURES_FILE).unlink(missing_ok=True)
    return run


def network(run: Run) -> Path:
    assert run.artifact_file is not None
    return run.artifact_file


def record(run: Run, metrics: dict[str, Any]) -> None:
    record_metrics(network(run), metrics, read_weights_hash(network(run)))


def figures(kid: float, pictures: int = 30) -> dict[str, Any]:
    about = {"generated": pictures, "real": pictures, "split": "test", "data_sha256": "0" * 64}
    return {"protocol": {"samples": pictures}, **{key: {"value": kid, "std": 0.1, "name": key, **about} for key in ("frechet", "kid")}}


def page_and_findings(run: Run) -> tuple[dict[str, Any], list[str]]:
    """The arm's figures on the page, and all sentences."""
    paths, findings = write_run_report(run.path)
    page = html.unescape(re.sub("</?code>", "`", paths.html.read_text(encoding="utf-8")))
    assert all(finding in page for finding in findings)
    (arm,) = json.loads(paths.json.read_text(encoding="utf-8"))["arms"]
    return arm["metrics"], findings


def leave(run: Run, kind: str) -> None:
    """Leave a file of figures of a kind next to the network."""
    if kind == "of this network":
        write_run_figures(run, figures(OF_COMPARISON), read_weights_hash(network(run)))
    elif kind == "of another":
        (run.path / FIGURES_FILE).write_text(json.dumps(figures(OF_COMPARISON) | {"tensors_sha256": "0" * 64}))
    elif kind != "none":
        (run.path / FIGURES_FILE).write_text(json.dumps(figures(OF_COMPARISON)))
        made = network(run).stat().st_mtime_ns + (1 if kind == "unnamed" else -1) * 10**9
        os.utime(run.path / FIGURES_FILE, ns=(made, made))


@pytest.mark.parametrize(
    ("kind", "kid", "remark"),
    [
        ("none", None, None),
        ("of this network", OF_COMPARISON, None),
        ("of another", None, "The figures of an earlier network are left out: metrics.json names other tensors than this network's; "),
        ("unnamed", OF_COMPARISON, "metrics.json is of an earlier version, and does not say which network its figures are of; "),
        (
            "unnamed and older",
            None,
            "Figures that may be of an earlier network are left out: metrics.json does not say which, and is older than this network's file; ",
        ),
    ],
)
def test_figures_count_only_for_the_network_that_they_are_of(kind: str, kid: float | None, remark: str | None, run: Run) -> None:
    leave(run, kind)
    metrics, findings = page_and_findings(run)
    assert metrics.get("kid") == kid
    assert [finding for finding in findings if finding.startswith("KID")] == (
        [] if kid is None else ["KID 0.605 ± 0.100: 30 generated pictures against 30 held-out ones. 0 would be as real ones are. "
        "With fewer than 500, only large differences mean something."]
    )  # fmt: skip
    way_out = f"`mitlgan evaluate {shlex.quote(str(run.path))} --write-card` measures this one."
    assert [finding for finding in findings if "metrics.json" in finding] == ([] if remark is None else [f"{remark}{way_out}"])

    record(run, figures(OF_CARD, 20))  # as the way out does; fewer pictures, yet the network's own record
    metrics, findings = page_and_findings(run)
    assert metrics["kid"] == OF_CARD
    assert findings[0].startswith("KID 0.750 ± 0.100: 20 generated pictures against 20 held-out ones. ")
    assert "| 0.75 ± 0.1 | 20 | 20, test |" in markdown_card(load_artifact(network(run)))
    others = [finding for finding in findings if "0.605" in finding or "metrics.json" in finding]
    too = "These are the figures of its card; a comparison measured it, too: KID 0.605 ± 0.100: 30 generated pictures against 30 held-out ones."
    assert others == ([too] if kind == "of this network" else [])


@pytest.mark.parametrize(
    ("theirs", "own", "which"),
    [
        ("0" * 64, "0" * 64, "too"),
        ("1" * 64, "0" * 64, "too, but against other pictures"),
        (None, "0" * 64, "too, perhaps against other pictures"),
        ("1" * 64, None, "too, perhaps against other pictures"),
        (None, None, "too"),
    ],
)
def test_figures_of_a_comparison_against_other_pictures_are_told_as_such(theirs: str | None, own: str | None, which: str, run: Run) -> None:
    def of_pictures(kid: float, data_sha256: str | None) -> dict[str, Any]:
        measured = figures(kid)
        return measured | {key: {**measured[key], "data_sha256": data_sha256} for key in ("frechet", "kid")}

    write_run_figures(run, of_pictures(OF_COMPARISON, theirs), read_weights_hash(network(run)))
    record(run, of_pictures(OF_CARD, own))
    statement = "KID 0.605 ± 0.100: 30 generated pictures against 30 held-out ones."
    told = [finding for finding in page_and_findings(run)[1] if "a comparison" in finding]
    assert told == [f"These are the figures of its card; a comparison measured it, {which}: {statement}"]


@pytest.mark.parametrize("change", ["nothing", "a picture more", "a picture less", "none left"])
@pytest.mark.parametrize("split", ["test", "train"])
def test_figures_of_held_out_pictures_that_have_changed_are_told_as_such(change: str, split: str, run: Run, tmp_path: Path) -> None:
    recipe, card = run.load_recipe(), read_card(network(run))
    images.fill(tmp_path / "pictures" / "train", 4, size=(recipe.size_px, recipe.size_px))
    held_out = tmp_path / "pictures" / "test"
    images.fill(held_out, 3, size=(recipe.size_px, recipe.size_px), first=10)
    recipe = with_data_source(recipe, str(tmp_path / "pictures"))
    run.recipe_file.write_text(to_toml(recipe))
    about = {"split": split, "data_sha256": open_recipe_data(recipe, split).content_sha256}
    measured = figures(OF_CARD)
    record(run, measured | {key: {**measured[key], **about} for key in ("frechet", "kid")})
    if change == "a picture more":
        images.fill(held_out, 1, size=(recipe.size_px, recipe.size_px), first=20)
    for path in sorted(held_out.iterdir())[: {"a picture less": 1, "none left": 3}.get(change, 0)]:
        path.unlink()
    way_out = f"`{command_line(['evaluate', run.path, '--write-card'])}` measures against these."
    is_told = split == "test" and change.startswith("a picture")
    told = [finding for finding in page_and_findings(run)[1] if finding.startswith("The figures are of other")]
    assert told == ([f"The figures are of other test pictures than those that its recipe names now; {way_out}"] if is_told else [])
    if change != "none left":
        assert are_of_pictures_now(read_card(network(run)).metrics, recipe, card, split) is not is_told
        assert are_of_pictures_now({}, recipe, card, split) is False


@pytest.mark.parametrize("data_sha256", [None, "absent"])
def test_figures_that_do_not_say_their_pictures_are_not_called_those_of_others(data_sha256: str | None, run: Run, tmp_path: Path) -> None:
    recipe = with_data_source(run.load_recipe(), str(tmp_path / "pictures"))
    for part, first in (("train", 0), ("test", 10)):
        images.fill(tmp_path / "pictures" / part, 4, size=(recipe.size_px, recipe.size_px), first=first)
    run.recipe_file.write_text(to_toml(recipe))
    measured = figures(OF_CARD)
    for key in ("frechet", "kid"):
        measured[key] |= {"data_sha256": data_sha256}
        if data_sha256 == "absent":
            del measured[key]["data_sha256"]
    record(run, measured)
    told = [finding for finding in page_and_findings(run)[1] if " pictures than those " in finding or "of which" in finding]
    measure = command_line(["evaluate", run.path, "--write-card"])
    assert told == [f"The figures do not say of which test pictures they are; `{measure}` measures against those that its recipe names now."]
    assert not say_their_pictures(measured)
    assert not are_of_pictures_now(measured, recipe, read_card(network(run)))


def test_distances_by_two_extractors_are_told_with_their_names(run: Run) -> None:
    write_run_figures(
        run, figures(OF_COMPARISON) | {"kid": figures(OF_COMPARISON)["kid"] | {"extractor": "mobilenet-v2@96"}}, read_weights_hash(network(run))
    )
    record(run, figures(OF_CARD) | {"kid": figures(OF_CARD)["kid"] | {"extractor": "inception@299"}})
    findings = page_and_findings(run)[1]
    assert findings[0].startswith("KID 0.750 ± 0.100 by inception@299: ")
    assert any("a comparison measured it, too: KID 0.605 ± 0.100 by mobilenet-v2@96: " in finding for finding in findings)


def test_a_longer_training_leaves_no_figures_of_the_network_before(run: Run, tmp_path: Path) -> None:
    write_run_figures(run, figures(OF_COMPARISON), read_weights_hash(network(run)))
    record(run, figures(OF_CARD))
    before = read_weights_hash(network(run))
    assert read_run_figures(run, read_card(network(run))).others["tensors_sha256"] == before
    resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=0.008)
    assert read_weights_hash(network(run)) != before
    metrics, findings = page_and_findings(run)
    assert metrics == {}
    assert not [finding for finding in findings if "KID" in finding]
    assert findings[0].startswith("The figures of an earlier network are left out: metrics.json names other tensors")


def test_a_training_that_has_gone_on_is_not_the_networks(run: Run) -> None:
    card = read_card(network(run))
    write_run_figures(run, figures(OF_COMPARISON), read_weights_hash(network(run)))
    run.write_status({**run.read_status(), "state": "stopped", "iteration": card.iterations + 1000, "kimg": 99.0, "seconds": 999.0})
    network_of = f"The samples, figures and length are of the network after {card.iterations} iterations"
    sentence = f"{network_of}; the training has gone on to {card.iterations + 1000:,}."
    assert sentence in page_and_findings(run)[1]
    cost = run_report._cost(run, run.read_status(), run.load_recipe(), card)
    assert (cost.kimg(total=True), cost.seconds(total=True)) == (card.kimg, card.seconds)
    run.write_status({**run.read_status(), "state": "done", "iteration": card.iterations})
    assert sentence not in page_and_findings(run)[1]


def test_a_page_says_which_network_it_is_of(run: Run, tmp_path: Path) -> None:
    for iterations in (3, 4):
        paths, _ = write_run_report(run.path)
        said = f"after {iterations} iterations; its tensors' SHA-256 begins {read_weights_hash(network(run))[:12]}"
        assert json.loads(paths.json.read_text(encoding="utf-8"))["environment"]["network"] == said
        assert said in html.unescape(paths.html.read_text(encoding="utf-8"))
        resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=0.008)


def test_a_page_is_of_one_network(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = run_report._nearest_pictures

    def replace_and_find(*arguments: Any) -> Any:
        resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=0.008)
        return find(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run_report, "_nearest_pictures", replace_and_find)
        with pytest.raises(ArtifactError, match=r"generator\.safetensors: was replaced while it was measured; measure again$"):
            write_run_report(run.path)
    assert run.report_file is None
    write_run_report(run.path)
    assert run.report_file is not None


def test_without_a_network_nothing_was_measured(run: Run) -> None:
    write_run_figures(run, figures(OF_COMPARISON), read_weights_hash(network(run)))
    network(run).unlink()
    assert read_run_figures(run, None) == ({}, {}, [])


DAMAGES: list[dict[str, Any]] = [
    {"kid": 7}, {"frechet": {"value": "x"}}, {"frechet": {"value": float("inf")}}, {"protocol": 3}, {"frechet": {"value": 1.0, "split": ["test"]}}
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_way_out_of_damaged_figures_is_one(damage: dict[str, Any], run: Run) -> None:
    way_out = f"measure again with `mitlgan evaluate '{run.path}' --write-card`"
    (run.path / FIGURES_FILE).write_text(json.dumps(figures(OF_COMPARISON) | damage))
    with pytest.raises(ArtifactError) as caught:
        write_run_report(run.path)
    assert str(caught.value) == f"{run.path / FIGURES_FILE}: damaged; {way_out}, or remove it"
    record(run, figures(OF_CARD))
    assert page_and_findings(run)[0]["kid"] == OF_CARD
    (run.path / FIGURES_FILE).unlink()
    assert page_and_findings(run)[0]["kid"] == OF_CARD


def test_damaged_figures_of_a_card_have_a_way_out(run: Run) -> None:
    record(run, {"frechet": {"value": 1.0}})
    with pytest.raises(ArtifactError, match="the figures in its card are damaged; measure again with `mitlgan evaluate"):
        write_run_report(run.path)
    record(run, figures(OF_CARD))
    assert page_and_findings(run)[0]["kid"] == OF_CARD
