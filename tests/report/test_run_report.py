"""The report of one run says in words what was measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mitlgan.artifacts.card import read_card
from mitlgan.report import run_report
from mitlgan.report.diagnosis import diagnose
from mitlgan.report.run_report import write_run_report
from mitlgan.training.run_directory import Run

SCALE = "0 would be as real ones are."


@pytest.mark.parametrize(
    ("split", "real", "text"),
    [
        ("test", 9, f"against 9 held-out ones. {SCALE} With fewer than 500, only large differences mean something."),
        ("validation", 1200, f"against 1,200 held-out ones. {SCALE}"),
        ("train", 300, f"against 300 that it learned from. {SCALE} Pictures that it learned from flatter it: hold some out."),
    ],
)
def test_what_was_measured_is_said_first(split: str, real: int, text: str, pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(pretrained["bg"].path, tmp_path / "run")))
    figures = {
        "frechet": {"value": 2326.6, "split": split, "real": real, "generated": 2000},
        "kid": {"value": 1.697, "std": 0.771, "split": split, "real": real, "generated": 2000},
    }
    (run.path / "metrics.json").write_text(json.dumps(figures))
    paths, sentences = write_run_report(run.path)
    assert sentences[0] == f"KID 1.697 ± 0.771: 2,000 generated pictures {text}"
    assert sentences[0] in paths.html.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kid", "std", "text"),
    [
        (0.004, 0.001, "KID 0.004 ± 0.001: "),
        (0.0004, 0.0001, "KID 0.0004 ± 0.0001: "),
        (-0.003, 0.004, "KID -0.003 ± 0.004: "),
        (0.0004, None, "KID 0.0004: "),
    ],
)
def test_a_small_distance_is_not_rounded_to_none(kid: float, std: float | None, text: str, pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(pretrained["bg"].path, tmp_path / "run")))
    figures = {key: {"value": kid, "std": std, "split": "test", "real": 1200, "generated": 2000} for key in ("frechet", "kid")}
    (run.path / "metrics.json").write_text(json.dumps(figures))
    sentence = write_run_report(run.path)[1][0]
    assert sentence.startswith(text)
    assert ("below 0 is as good as 0" in sentence) == (kid < 0)


SETS = [{"content_sha256": letter * 64, "count": 9, "from_iteration": step, "from_kimg": 0.0} for step, letter in enumerate("ab")]


@pytest.mark.parametrize(
    ("split", "pictures", "data", "which"),
    [
        ("train", "a" * 64, {"content_sha256": "a" * 64, "count": 9}, "learned from"),
        ("train", "c" * 64, {"content_sha256": "a" * 64, "count": 9}, "another set"),
        ("test", "c" * 64, {"content_sha256": "a" * 64, "count": 9}, "held-out"),
        ("validation", "a" * 64, {"content_sha256": "b" * 64, "count": 9, "sets": SETS}, "learned from"),
        ("train", None, {"content_sha256": "a" * 64, "count": 9}, "learned from"),
        ("train", "c" * 64, {}, "learned from"),
    ],
)
def test_pictures_count_as_learned_from_by_their_hash(
    split: str, pictures: str | None, data: dict[str, Any], which: str, pretrained: dict[str, Run]
) -> None:  # fmt: skip
    """A plain folder of any pictures is of split train."""
    assert pretrained["bg"].artifact_file is not None
    card = read_card(pretrained["bg"].artifact_file).model_copy(update={"data": data})
    about = {"value": 1.0, "split": split, "real": 9, "generated": 9, **({"data_sha256": pictures} if pictures else {})}
    (sentence,) = run_report._quality_sentences({"frechet": about, "kid": about}, card)
    statement = sentence.split(". 0 would")[0]
    assert [words for words in ("learned from", "another set", "held-out") if words in statement] == [which]
    assert ("flatter it" in sentence) == (which == "learned from")


def test_without_a_measurement_nothing_is_said_of_quality(pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(pretrained["bg"].path, tmp_path / "run")))
    (run.path / "metrics.json").unlink(missing_ok=True)
    assert not [sentence for sentence in write_run_report(run.path)[1] if "KID" in sentence]


def test_lines_of_evaluations_with_odd_values_are_passed_over(pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(pretrained["bg"].path, tmp_path / "run")))
    odd = [("validation", None), ([[]], 12), ("validation", "x"), ({}, 1e308), ("validation", 12)]
    rows = [{"iteration": i, "kimg": 0.1, "fd": 9.0, "split": split, "real": real} for i, (split, real) in enumerate(odd)]
    (run.path / "evaluations.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    sentences = [sentence for sentence in write_run_report(run.path)[1] if "Evaluations during" in sentence]
    assert sentences == ["Evaluations during training are against 12 real validation pictures; an earlier version did not record which ones."]


@pytest.mark.parametrize(
    ("hashes", "ends", "is_mixed"),
    [
        (("a" * 64,) * 3, ["12 real validation pictures."], False),
        (("a" * 64, "a" * 64, "b" * 64), ["12 real validation pictures, set aaaaaaaaaaaa.", "12 real validation pictures, set bbbbbbbbbbbb."], True),
        ((None, None, "b" * 64), ["pictures; an earlier version did not record which ones.", "12 real validation pictures, set bbbbbbbbbbbb."], True),
    ],
)
def test_the_report_tells_the_sets_of_evaluations_apart(hashes: tuple[str | None, ...], ends: list[str], is_mixed: bool) -> None:
    about = {"kimg": 0.1, "split": "validation", "real": 12}
    rows = [{**about, "iteration": i, "fd": i, **({"data_sha256": sha} if sha else {})} for i, sha in enumerate(hashes)]
    sentences = run_report._split_sentences({}, rows)
    assert [sentence.endswith(end) for sentence, end in zip(sentences, ends, strict=False)] == [True] * len(ends)
    assert ("cannot be compared" in sentences[-1]) == is_mixed
    best = diagnose([], rows).measured_best
    assert best is not None
    assert best[0].iteration == (2 if is_mixed else 0)


def test_the_total_of_a_composition_has_its_layers(composed: Run, pretrained: dict[str, Run], tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(composed.path, tmp_path / "run")))
    own = [float(read_card(one.artifact_file).kimg) for one in (composed, *pretrained.values()) if one.artifact_file is not None]
    assert len(own) == 3
    (arm,) = json.loads(write_run_report(run.path)[0].json.read_text())["arms"]
    assert arm["cost"]["kimg_stage"] == own[0]
    assert arm["cost"]["kimg_total"] == pytest.approx(sum(own))
    seconds = sum(float(one.read_status()["seconds"]) for one in (composed, *pretrained.values()))
    assert arm["cost"]["seconds_total"] == pytest.approx(seconds, rel=0.2)
    assert run.artifact_file is not None
    run.artifact_file.unlink()  # as of a composition that has not ended: its layers' trainings are not known yet
    (arm,) = json.loads(write_run_report(run.path)[0].json.read_text())["arms"]
    assert (arm["cost"]["kimg_stage"], arm["cost"]["kimg_total"]) == (own[0], None)
