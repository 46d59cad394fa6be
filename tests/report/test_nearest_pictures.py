"""Whether samples are copies: a report pairs them with training pictures, where these are few and at hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.metrics.feature_cache import cached_pack_features
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.report import run_report
from mitlgan.report.nearest_pictures import PAIRS, find_nearest, pictures_of_pairs
from mitlgan.report.run_report import write_run_report
from mitlgan.training.run_directory import Run

HEADING = "New pictures, or memorized ones?"


@dataclass(frozen=True)
class Copier:
    """Seed n gives training picture `copied[n]`, and noise where that is None."""

    training: ImagePack
    copied: dict[int, int]

    def sample(self, seeds: Sequence[int]) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        fresh = torch.rand((len(seeds), 3, self.training.size_px, self.training.size_px), generator=noise) * 2 - 1
        for place, seed in enumerate(seeds):
            if seed in self.copied:
                fresh[place] = self.training.batch([self.copied[seed]])[0] / 127.5 - 1
        return fresh


def test_copies_are_paired_with_what_they_copy(tmp_path: Path) -> None:
    training = ImagePack.open(tiny_runs.pack(tmp_path / "train.npy", count=30, seed=1))
    extractor = EvalProtocol().open_extractor()
    unseen = cached_pack_features(ImagePack.open(tiny_runs.pack(tmp_path / "test.npy", count=24, seed=2)), extractor, count=24)
    copier = Copier(training, {100: 4, 103: 0, 104: 29, 109: 17, 111: 4})
    seeds = range(100, 114)
    pairs = find_nearest(copier, seeds, training, unseen, extractor)
    json.dumps(pairs)  # it is cached
    found = {seeds[sample]: picture for sample, picture in zip(pairs["samples"], pairs["pictures"], strict=True)}
    assert found == copier.copied
    assert (pairs["memorization"]["samples"], pairs["memorization"]["unseen"]) == (14, 24)
    assert pairs["memorization"]["share"] >= 5 / 14
    (_, samples), (_, pictures) = pictures_of_pairs(copier, seeds, training, pairs)
    assert torch.equal(samples, pictures)
    assert samples.shape == (PAIRS, 3, training.size_px, training.size_px)


def report_of(run: Run) -> tuple[str, dict[str, str]]:
    """Page and numbers of a run's report."""
    paths, _ = write_run_report(run.path)
    (arm,) = json.loads(paths.json.read_text())["arms"]
    return paths.html.read_text(encoding="utf-8"), arm


@pytest.mark.parametrize("kind", ["fg", "scene"])
def test_the_report_of_a_run_on_few_pictures_says_whether_they_are_copied(kind: str, pretrained: dict[str, Run], composed: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree((composed if kind == "scene" else pretrained[kind]).path, tmp_path / "run")))
    html, arm = report_of(run)
    assert HEADING in html
    assert "Their nearest training pictures" in html
    assert (
        arm["memorised"]
        == f"The nearest of {run.load_recipe().evaluation.samples} samples. Without unseen real pictures it is unknown how near is usual."
    )
    assert arm["memorised"] in html
    assert arm["memorised"] in (run.path / "report.md").read_text()


@pytest.mark.parametrize("reason", ["many", "changed", "gone", "unfinished"])
def test_where_it_cannot_be_told_nothing_is(reason: str, pretrained: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Path(shutil.copytree(pretrained["bg"].path, tmp_path / "run")))
    recipe = run.recipe_file.read_text()
    source = json.dumps(run.load_recipe().data.source)
    assert source in recipe
    if reason == "many":
        monkeypatch.setattr(run_report, "MAX_SMALL_SET", 11)  # there are 12
    elif reason == "changed":
        run.recipe_file.write_text(recipe.replace(source, json.dumps(str(tiny_runs.pack(tmp_path / "other.npy", seed=9)))))
    elif reason == "gone":
        run.recipe_file.write_text(recipe.replace(source, json.dumps(str(tmp_path / "gone.npy"))))
    else:
        assert run.artifact_file is not None
        run.artifact_file.unlink()
    html, arm = report_of(run)
    assert (HEADING in html, arm["memorised"]) == (False, "")
