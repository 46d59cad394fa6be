"""Both sides are measured alike, and time counts training alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mitlgan import networks
from mitlgan.artifacts.card import read_card
from mitlgan.bench.quality.pictures import open_pictures
from mitlgan.bench.quality.sides import EnlargedSamples, KidMeter, QualityPoint, best_point, first_as_good, ratios, train_recommended
from mitlgan.bench.quality.tasks import TASKS, QualityTask, choose_tasks
from mitlgan.errors import DataError, UsageError
from mitlgan.metrics.protocol import EvalProtocol, evaluate
from mitlgan.networks import GrownGenerator
from mitlgan.recipe import ladder_steps, load_recipe

TEXTBOOK = [QualityPoint(10.0, 1.0, 3.0), QualityPoint(20.0, 2.0, 1.5), QualityPoint(40.0, 4.0, 1.6)]


def test_the_ratio_is_to_the_first_point_that_is_as_good_as_the_opponents_best() -> None:
    assert best_point(TEXTBOOK).cpu_s == 20.0
    recipe = [QualityPoint(1.0, 1.0, 2.0), QualityPoint(2.0, 2.0, 1.5), QualityPoint(3.0, 3.0, 1.7)]
    assert first_as_good(recipe, 1.5) == recipe[1]
    assert ratios(TEXTBOOK, recipe, 3.0) == (10.0, 4.0)
    assert ratios(TEXTBOOK, recipe[:1], 3.0) == (0.0, 0.0)


def test_a_parent_counts_as_the_generator_that_grows_from_it() -> None:
    recipe = TASKS["fg-64"].load_recipe()
    assert [step.size_px for step in ladder_steps(recipe)] == [32, 64]
    first, second = ladder_steps(recipe)
    assert first.generator is not None
    assert second.generator is not None
    torch.manual_seed(0)
    parent, child = networks.build_generator(first.generator, 32), networks.build_generator(second.generator, 64)
    assert isinstance(child, GrownGenerator)
    child.load_parent(parent)
    enlarged = EnlargedSamples(parent.eval(), "fg", 64).sample([1, 2])
    assert torch.allclose(enlarged, EnlargedSamples(child.eval(), "fg", 64).sample([1, 2]), atol=1e-6)


def test_a_task_of_a_ladder_is_its_shipped_steps() -> None:
    step = ladder_steps(TASKS["bg-64"].load_recipe())[1]
    shipped = load_recipe("recommended/bg-64-grown")
    for table in ("generator", "critic", "objective", "generator_optimiser"):
        ours, theirs = (getattr(recipe, table).model_dump(exclude={"schedule", "schedule_from"}) for recipe in (step, shipped))
        assert ours == theirs, table


def test_unknown_tasks_are_refused_with_those_that_are_there() -> None:
    assert [task.name for task in choose_tasks(["scene-32", "bg-32"])] == ["bg-32", "scene-32"]
    assert choose_tasks([]) == list(TASKS.values())
    with pytest.raises(UsageError, match=r"--only sky: .*bg-32, fg-32"):
        choose_tasks(["sky"])


def test_kid_is_that_of_evaluate(photos: Path, task: QualityTask, tmp_path: Path) -> None:
    pictures = open_pictures(photos / "bg", "bg", 8, tmp_path / "packs")
    assert (len(pictures.train), len(pictures.held_out)) == (12, 12)
    assert pictures.train.content_sha256 != pictures.held_out.content_sha256
    assert pictures.reading_s > 0
    generator = load_recipe(task.recipe_name).generator
    assert generator is not None
    network = networks.build_generator(generator, 8).eval()
    meter = KidMeter(8, EvalProtocol(extractor="efficientnet-lite0@32").open_extractor())
    result = evaluate(EnlargedSamples(network, "bg", 8), pictures.held_out, meter.protocol, extractor=meter.extractor)
    assert meter.measure(network, "bg", pictures.held_out) == result["kid"]["value"]


def test_pictures_without_a_held_out_part_are_refused(photos: Path, tmp_path: Path) -> None:
    (photos / "bg" / "test").rename(photos / "bg" / "other")
    with pytest.raises(DataError, match=r"--data .*: bg/ needs the folders train, and validation or test"):
        open_pictures(photos / "bg", "bg", 8, tmp_path / "packs")


class Falling:
    """A meter whose KID falls by one with each measurement."""

    def __init__(self, kid: float) -> None:
        self.kid = kid

    def measure(self, *_: object) -> float:
        self.kid -= 1
        return self.kid


def test_the_recipe_stops_where_it_is_as_good_and_its_time_is_that_of_the_run(photos: Path, task: QualityTask, tmp_path: Path) -> None:
    pictures = open_pictures(photos / "bg", "bg", 8, tmp_path / "packs")
    points = train_recommended(task, pictures, 0, 2.0, Falling(5.0), 2.0, tmp_path / "runs")  # type: ignore[arg-type]
    assert [point.kid for point in points] == [4.0, 3.0, 2.0]
    cards = [read_card(path) for path in sorted((tmp_path / "runs").glob("*/*/kept/*/*.safetensors"))]
    assert [point.kimg for point in points] == [card.kimg for card in cards]
    assert [point.cpu_s for point in points] == pytest.approx([card.cpu_seconds for card in cards], abs=1e-3)
    assert points[0].cpu_s < points[-1].cpu_s < 2.0


def test_the_recipe_ends_with_its_time(photos: Path, task: QualityTask, tmp_path: Path) -> None:
    pictures = open_pictures(photos / "bg", "bg", 8, tmp_path / "packs")
    points = train_recommended(task, pictures, 0, 0.3, Falling(100.0), 0.0, tmp_path / "runs")  # type: ignore[arg-type]
    assert points[-1].cpu_s >= 0.3 > points[-2].cpu_s
