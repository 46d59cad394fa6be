"""Comparisons of layers that grew: the baselines grow, too, for as long as all stages together; each parent's training counts, and once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import GeneratorSpec, read_card, read_weights_hash
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.compare import ComparisonPlan, run_comparison
from mitlgan.compare.arms import resolve_baseline
from mitlgan.compare.budgets import EARLY_FRACTIONS, training_macs, with_equal_length, with_schedule
from mitlgan.compare.domains import resolve_domains
from mitlgan.compare.evaluator import EnlargedImages
from mitlgan.compare.layer_chains import chain_of_artifact
from mitlgan.compare.plan import DomainSpec
from mitlgan.compare.pretraining import pretraining_costs
from mitlgan.compare.snapshots import final_snapshot, kept_snapshots
from mitlgan.errors import UsageError
from mitlgan.networks.resample import resize_image
from mitlgan.recipe import MlpGeneratorRecipe, Recipe, as_dict, ladder_steps, load_recipe, parse_recipe, to_toml, with_overrides
from mitlgan.runtime.progress import UNBOUNDED_KIMG, ignore_message
from mitlgan.stages.compose import compose
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run, list_runs

SIZE_PX = 2 * tiny_runs.SIZE_PX
UPDATE_KIMG = tiny_runs.PER_UPDATE / 1000
GROWN = {"kind": "grown", "parent": {"latent_dim": 9, "widths": [5]}, "parent_px": 8, "coarse_widths": [5], "fine_width": 3}


# Recipes


def spec(name: str) -> GeneratorSpec:
    recipe = load_recipe(name)
    assert recipe.generator is not None
    return GeneratorSpec(recipe.generator, recipe.size_px)


LAYERS = [
    {"fg": spec("recommended/fg-64-grown"), "bg": spec("recommended/bg-64-grown")},
    {"fg": spec("recommended/fg-64-sharp"), "bg": spec("recommended/bg-32")},  # which the composition enlarges
]


@pytest.mark.parametrize("layers", LAYERS, ids=["grown", "sharp"])
def test_the_tuned_wgan_of_a_composition_of_grown_layers_grows(layers: dict[str, GeneratorSpec]) -> None:
    composition = with_overrides(load_recipe("recommended/compose-64-grown"), data__source="elsewhere", evaluation__best_by="kid")
    arm = resolve_baseline("wgan", composition, layers)
    assert arm.label == "WGAN, tuned, grown from 32 px"
    assert arm.notes == ("Its recipe is recommended/wgan-64-grown, tuned at 32 px.",)
    assert arm.recipe == with_overrides(load_recipe("recommended/wgan-64-grown"), data__source="elsewhere")


@pytest.mark.parametrize("layers", LAYERS, ids=["grown", "sharp"])
def test_so_does_the_same_generator_of_whole_scenes(layers: dict[str, GeneratorSpec]) -> None:
    composition = load_recipe("recommended/compose-64-grown")
    arm = resolve_baseline("plain", composition, layers)
    assert arm.label == "Plain generator, by the composition's objective, grown from 32 px"
    assert arm.recipe is not None
    first, last = ladder_steps(arm.recipe)
    assert (first.size_px, last.size_px) == (32, 64)
    assert first.generator == spec("recommended/bg-32").generator
    assert (first.critic.widths, first.critic.spectral) == ((32, 64, 128), True)  # type: ignore[union-attr]
    assert (first.objective, first.training.batch) == (composition.objective, composition.training.batch)
    assert last.generator_optimiser.learning_rate == composition.generator_optimiser.learning_rate / 2


def test_a_size_of_which_no_grown_wgan_ships_has_a_ladder_of_the_tuned_settings() -> None:
    composition = load_recipe("recommended/compose-128")
    arm, tuned = resolve_baseline("wgan", composition, {"fg": spec("recommended/fg-64-sharp")}), load_recipe("recommended/wgan-32")
    assert arm.label == "WGAN, tuned, grown from 32 px"
    assert arm.notes == ("Its settings are those of recommended/wgan-32, tuned at 32 px.",)
    assert arm.recipe is not None
    steps = ladder_steps(arm.recipe)
    assert [step.size_px for step in steps] == [32, 64, 128]
    assert all(step.objective == tuned.objective for step in steps)
    assert [step.critic_optimiser.learning_rate for step in steps] == [8e-4, 4e-4, 4e-4]
    assert steps[0].generator.image_channels == 3  # type: ignore[union-attr]


def test_layers_that_cannot_begin_a_ladder_leave_the_baseline_at_its_own_size() -> None:
    composition = load_recipe("recommended/compose-64-grown")
    dense = GeneratorSpec(MlpGeneratorRecipe(), 32)
    arm = resolve_baseline("wgan", composition, {"fg": dense, "bg": spec("recommended/bg-64")})
    assert arm.label == "WGAN, tuned"


# Lengths


def test_at_equal_time_each_step_has_its_share_of_the_seconds() -> None:
    ladder = load_recipe("recommended/wgan-64-grown")
    shares = [step.training.kimg / ladder.training.kimg for step in ladder_steps(ladder)]
    timed = with_equal_length(ladder, "cpu-seconds", {}, 30.0, 270.0)
    assert (timed.training.limit_s, timed.training.clock, timed.training.keep_s) == (300.0, "cpu", (30.0,))
    assert timed.training.kimg == UNBOUNDED_KIMG
    steps = ladder_steps(timed)
    assert [step.training.limit_s for step in steps] == pytest.approx([300.0 * share for share in shares])
    assert steps[-1].training.limit_s == 300.0


@pytest.mark.parametrize("resource", ["kimg", "macs"])
def test_by_pictures_the_whole_ladder_has_the_length(resource: str) -> None:
    ladder = load_recipe("recommended/wgan-64-grown")
    length = training_macs(ladder, {}, ladder.training.kimg) / 10 if resource == "macs" else 7.2
    shorter = with_schedule(ladder, [length], resource, {})
    assert shorter.training.kimg == pytest.approx(7.2)
    assert shorter.grow is not None
    assert ladder.grow is not None
    assert [step.kimg for step in shorter.grow] == pytest.approx([step.kimg / 10 for step in ladder.grow])
    each = [training_macs(step, {}, one.kimg) for step, one in zip(ladder_steps(ladder), ladder.grow, strict=True)]
    assert each[0] < each[1]
    assert training_macs(ladder, {}, ladder.training.kimg) == pytest.approx(sum(each))


@pytest.mark.parametrize("name", ["recommended/wgan-64-grown", "recommended/scene-64-grown"])
def test_each_budget_of_multiply_accumulates_is_met_where_steps_cost_unlike(name: str) -> None:
    ladder = load_recipe(name)
    budgets = [2000.0, 4000.0, 8000.0]
    kept = with_schedule(ladder, budgets, "macs", {})
    points = [*(share * budgets[0] for share in EARLY_FRACTIONS), *budgets]
    assert [training_macs(kept, {}, kimg) for kimg in kept.training.keep_kimg] == pytest.approx(points, rel=1e-4)
    both = with_equal_length(ladder, "macs", {}, 1000.0, 5000.0)
    assert [training_macs(both, {}, kimg) for kimg in (*both.training.keep_kimg, both.training.kimg)] == pytest.approx([1000.0, 6000.0], rel=1e-3)


def test_a_shorter_step_has_as_much_less_time_for_its_critic_alone() -> None:
    ladder = load_recipe("recommended/fg-128-grown")
    shorter = with_schedule(ladder, [ladder.training.kimg / 100], "kimg", {})
    assert [step.critic_first_kimg for step in shorter.grow or ()] == [None, pytest.approx(0.06), pytest.approx(0.06)]


# Trainings


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packs of twice the size."""
    folder = tmp_path_factory.mktemp("larger")
    return {role: tiny_runs.pack(folder / f"{role}.npy", seed=seed, size_px=SIZE_PX) for seed, role in enumerate(("fg", "bg", "scene"))}


def at_twice_the_size(recipe: Recipe, **change: object) -> Recipe:
    return parse_recipe({**as_dict(recipe), "size_px": SIZE_PX, **change}, "tiny")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, larger: dict[str, Path], pretrained: dict[str, Run]) -> dict[str, Path]:
    """Artifacts of two layers that grew."""
    context = tiny_runs.run_context(tmp_path_factory.mktemp("grown"))
    starts = tiny_runs.layers(pretrained)
    recipes = {role: at_twice_the_size(tiny_runs.recipe(role, larger[role]), generator=GROWN) for role in starts}
    return tiny_runs.layers({role: pretrain(recipe, context, start=starts[role]) for role, recipe in recipes.items()})


@pytest.fixture(scope="module")
def composition(larger: dict[str, Path]) -> Recipe:
    return at_twice_the_size(tiny_runs.recipe("scene", larger["scene"], compose=True))


def test_a_finished_composition_is_compared_with_a_ladder(
    composition: Recipe, grown: dict[str, Path], tmp_path: Path, pretrained: dict[str, Run]
) -> None:
    context = tiny_runs.run_context(tmp_path)
    ours = compose(composition, grown, context)
    result = run_comparison(ComparisonPlan(composed=ours.path, baselines=("plain",), equal="kimg"), context)
    composed, whole, alone = result.comparison.arms
    assert [arm.length for arm in (composed, whole, alone)] == ["", "total", "stage"]
    assert composed.cost.kimg(total=True) == pytest.approx(5 * 3 * UPDATE_KIMG)  # two parents, two children, the composition
    assert whole.cost.kimg(total=True) == pytest.approx(5 * 3 * UPDATE_KIMG, abs=2 * UPDATE_KIMG)
    (ladder,) = (run for run in list_runs(tmp_path, "pretrain") if run.load_recipe().role == "scene")
    end, (kept,) = final_snapshot(ladder), kept_snapshots(ladder)
    records = read_card(end.path).training_records()
    assert [record["made_by"]["size_px"] for record in records] == [SIZE_PX, 8]
    assert end.kimg == pytest.approx(sum(record["kimg"] for record in records))
    assert end.cpu_seconds == pytest.approx(ladder.read_status()["cpu_seconds"], abs=0.01)
    steps = ladder_steps(ladder.load_recipe())
    costs = [training_macs(step, {}, record["kimg"]) for record, step in zip(records, reversed(steps), strict=True)]
    assert end.macs == pytest.approx(sum(costs))
    assert read_card(kept.path).size_px == 8  # after the composition's stage alone it is still small, and its pictures are enlarged
    assert kept.kimg == pytest.approx(3 * UPDATE_KIMG)
    assert "still at 8 px of its ladder" in " ".join(alone.notes)
    assert not any("still at" in note for note in whole.notes)
    assert alone.metrics["fd"] > 0
    assert not any("different pictures" in clause for clause in result.comparison.unequal)
    assert any("training scenes" in clause for clause in result.comparison.equal)

    other = run_comparison(ComparisonPlan(composed=ours.path, baselines=(str(end.path),), equal="kimg"), context).comparison
    artifact = other.arms[1]
    assert artifact.cost.kimg(total=True) == pytest.approx(end.kimg)  # both steps of its ladder
    assert artifact.cost.macs(total=True) == pytest.approx(end.macs)
    assert not any("equal would be" in clause for clause in other.unequal)

    row = read_card(list_checkpoints(ladder.path)[-1]).training_records()
    assert sum(record["cpu_seconds"] for record in row) == pytest.approx(end.cpu_seconds, abs=0.01)
    assert sum(record["seconds"] for record in row) == pytest.approx(end.seconds, abs=0.01)


def test_a_row_of_this_stage_alone_costs_what_its_budget_allows(composition: Recipe, grown: dict[str, Path], tmp_path: Path) -> None:
    context = tiny_runs.run_context(tmp_path)
    setting = tmp_path / "tiny.toml"
    setting.write_text(to_toml(composition))
    length = 3 * UPDATE_KIMG
    plan = ComparisonPlan(recipe=str(setting), layers=grown, baselines=("plain",), equal="kimg", budgets=(length,), count_pretraining=True)
    _, whole, alone = run_comparison(plan, context).comparison.arms
    assert alone.cost.kimg(total=True) == pytest.approx(length, abs=UPDATE_KIMG)
    assert whole.cost.kimg(total=True) > 3 * length
    assert alone.snapshots_tried < whole.snapshots_tried


def test_a_ladder_is_ended_by_the_clock(larger: dict[str, Path], tmp_path: Path) -> None:
    tree = as_dict(tiny_runs.recipe("scene", larger["scene"], log_iterations=1))
    del tree["training"]["kimg"]
    steps = [{"size_px": 8, "kimg": 1.0}, {"size_px": SIZE_PX, "kimg": 3.0, "critic": "grown", "coarse_widths": [3], "fine_width": 2}]
    ladder = parse_recipe({**tree, "size_px": SIZE_PX, "grow": steps}, "tiny")
    run = pretrain(with_equal_length(ladder, "cpu-seconds", {}, 0.4), tiny_runs.run_context(tmp_path))
    sizes = [row["size_px"] for row in tiny_runs.read_stats(run)]
    small = final_snapshot(run).cpu_seconds - read_card(final_snapshot(run).path).cpu_seconds
    assert set(sizes) == {8, SIZE_PX}
    assert small == pytest.approx(0.1, abs=0.08)
    assert final_snapshot(run).cpu_seconds == pytest.approx(0.4, abs=0.15)


def test_pictures_of_an_early_step_are_enlarged_as_the_next_step_does(pretrained: dict[str, Run], composition: Recipe, tmp_path: Path) -> None:
    small = load_artifact(tiny_runs.layers(pretrained)["bg"])
    assert EnlargedImages(small, SIZE_PX).sample([0, 1]).equal(resize_image(small.sample([0, 1]), SIZE_PX, "bicubic"))


# Layers


def test_a_parent_of_two_layers_counts_once(grown: dict[str, Path], tmp_path: Path) -> None:
    costs = pretraining_costs({"bg": grown["bg"], "fg": grown["fg"], "far": grown["fg"]}, "kimg", True, ignore_message)
    assert costs == {"bg": pytest.approx(6 * UPDATE_KIMG), "fg": pytest.approx(6 * UPDATE_KIMG), "far": 0.0}


def test_each_seed_grows_layers_of_its_own(composition: Recipe, grown: dict[str, Path], tmp_path: Path) -> None:
    chain = chain_of_artifact(grown["fg"], "fg")
    assert [recipe.size_px for recipe in chain.recipes] == [8, SIZE_PX]
    file = tmp_path / "composition.toml"
    file.write_text(to_toml(composition))
    context = tiny_runs.run_context(tmp_path / "runs")
    plan = ComparisonPlan(recipe=str(file), layers=grown, baselines=("paste",), budgets=(UPDATE_KIMG,), seeds=1, pretrain_seeds=True)
    run_comparison(replace(plan, settings=("seed=8",)), context)
    made = [read_card(run.artifact_file) for run in list_runs(context.root / "arms", "pretrain") if run.artifact_file]
    assert sorted((card.role, card.size_px, card.recipe["seed"]) for card in made) == [("bg", 8, 8), ("bg", 16, 8), ("fg", 8, 8), ("fg", 16, 8)]
    own = {card.role: card for card in made if card.size_px == SIZE_PX}
    parents = {read_weights_hash(run.artifact_file) for run in list_runs(context.root / "arms", "pretrain") if run.artifact_file}
    assert {card.parent["tensors_sha256"] for card in own.values()} <= parents
    assert own["fg"].parent["tensors_sha256"] != read_card(grown["fg"]).parent["tensors_sha256"]


def test_layers_that_went_on_from_others_have_no_seed_of_their_own(pretrained: dict[str, Run], packs: dict[str, Path], tmp_path: Path) -> None:
    start = tiny_runs.layers(pretrained)["bg"]
    run = pretrain(tiny_runs.recipe("bg", packs["bg"], seed=6), tiny_runs.run_context(tmp_path), start=start)
    assert run.artifact_file is not None
    with pytest.raises(UsageError, match=r"^--pretrain-seeds: bg \(.*\) went on from another trained generator"):
        chain_of_artifact(run.artifact_file, "bg")


def test_layers_of_a_domain_are_grown_from_pictures(tmp_path: Path) -> None:
    domains, settings = (DomainSpec("a", "demo", "demo", "demo"),), ("training.kimg=0.5",)
    plan = ComparisonPlan(domains=domains, recipe="recommended/compose-64-grown", fg_recipe="recommended/fg-64-sharp", settings=settings)
    (setup,) = resolve_domains(plan, tmp_path)
    assert {name: [recipe.name for recipe in chain.recipes] for name, chain in setup.pretrainings.items()} == {
        "fg": ["modern-fg", "modern-fg-sharp"],
        "bg": ["modern-bg", "modern-bg-grown"],
    }
    assert all(recipe.training.kimg == 0.5 for chain in setup.pretrainings.values() for recipe in chain.recipes)
    finer = replace(plan, recipe="recommended/compose-128", fg_recipe="recommended/fg-128-sharp", bg_recipe="recommended/bg-128")
    (setup,) = resolve_domains(finer, tmp_path)
    assert [recipe.size_px for recipe in setup.pretrainings["fg"].recipes] == [32, 64, 128]
    with pytest.raises(UsageError, match=r"^--fg-recipe .*: grows from a generator of 16 px, for which no recipe ships"):
        resolve_domains(replace(plan, fg_recipe=small_parent(tmp_path)), tmp_path)


def small_parent(folder: Path) -> str:
    text = as_dict(load_recipe("recommended/fg-64-sharp"))
    text["generator"] |= {"parent_px": 16, "parent": {**text["generator"]["parent"], "widths": [64, 32]}}
    file = folder / "sharp.toml"
    file.write_text(to_toml(parse_recipe(text, "tiny")))
    return str(file)
