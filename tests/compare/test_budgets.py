"""Equal budgets: the counts of multiply-accumulates, and the lengths that follow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.baselines import baseline_recipe

from mitlgan import networks, objectives
from mitlgan.artifacts.card import Card, GeneratorSpec, LayerCard
from mitlgan.compare.budgets import measurement_points, training_macs, with_schedule
from mitlgan.compare.plan import ComparisonPlan, parse_budgets, parse_domain, parse_trials
from mitlgan.errors import UsageError
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import Recipe, ThesisGeneratorRecipe, load_recipe, with_overrides
from mitlgan.runtime.progress import UNBOUNDED_KIMG

LAYERS = {name: GeneratorSpec(ThesisGeneratorRecipe(latent_dim=128, widths=(128, 64, 32)), 32) for name in ("fg", "bg")}


def counted(recipe: Recipe) -> float:
    """Tera multiply-accumulates per kimg, by torch's own counter on a real iteration."""
    torch.manual_seed(0)
    if recipe.composer is not None:
        network: torch.nn.Module = networks.build_composer(recipe.composer, {name: form.build() for name, form in LAYERS.items()}, recipe.size_px)
    else:
        assert recipe.generator is not None
        network = networks.build_generator(recipe.generator, recipe.size_px)
    critic, objective = networks.build_critic(recipe.critic, recipe.size_px), objectives.build(recipe.objective)
    batch, steps = 2, objective.critic_steps
    real, z = torch.randn(batch, 3, recipe.size_px, recipe.size_px), torch.randn(batch, int(network.latent_dim))  # type: ignore[arg-type]
    every = getattr(recipe.objective, "penalty_every", 1)
    with OperationCounter() as critic_counter:
        for update in range(every):
            with torch.no_grad():
                fake = network(z)
            objective.critic_loss(critic, real, fake, torch.Generator(), update)[0].backward()  # type: ignore[no-untyped-call]
    with OperationCounter() as generator_counter:
        objective.generator_loss(critic, network(z), real)[0].backward()  # type: ignore[no-untyped-call]
    flops = critic_counter.total / every + generator_counter.total / steps
    return flops / 2 / batch * 1000 / 1e12


@pytest.mark.parametrize("name", ["thesis-32/wgan", "thesis-32/compose"])
def test_training_is_counted_as_torch_counts_it(name: str) -> None:
    recipe = load_recipe(name)
    layers = LAYERS if recipe.composer is not None else {}
    assert training_macs(recipe, layers, 1.0) == pytest.approx(counted(recipe), rel=1e-9)


@pytest.mark.parametrize(
    "objective",
    [
        {"penalty_every": 4},
        {"kind": "relativistic", "critic_steps": 1},
        {"kind": "relativistic", "critic_steps": 2, "penalty_every": 3},
        {"kind": "relativistic", "r1_weight": 0.0, "r2_weight": 0.0},
    ],
)
def test_penalties_are_counted_where_they_fall(objective: dict[str, Any]) -> None:
    recipe = with_overrides(load_recipe("thesis-32/wgan"), objective=objective)
    assert training_macs(recipe, {}, 1.0) == pytest.approx(counted(recipe), rel=1e-9)


def test_points_are_the_budgets_and_early_ones() -> None:
    assert measurement_points([4, 8, 20]) == (1, 2, 4, 8, 20)


@pytest.mark.parametrize("equal", ["kimg", "macs"])
def test_lengths_in_images(equal: str) -> None:
    wgan = load_recipe("thesis-32/wgan")
    unit = training_macs(wgan, {}, 1.0) if equal == "macs" else 1.0
    recipe = with_schedule(wgan, [4 * unit, 8 * unit], equal, {})
    assert recipe.training.keep_kimg == (1, 2, 4, 8)
    assert recipe.training.kimg == 8
    assert recipe.training.limit_s is None
    kept = with_schedule(load_recipe("thesis/wgan"), [4, 8], equal, {}).training
    assert (load_recipe("thesis/wgan").training.artifact_kimg, kept.artifact_kimg) == (50.0, None)  # all that is kept is measured


@pytest.mark.parametrize(("equal", "clock"), [("seconds", None), ("cpu-seconds", "cpu")])
def test_lengths_in_seconds(equal: str, clock: str | None) -> None:
    recipe = with_schedule(load_recipe("thesis-32/wgan"), [40], equal, {})
    assert recipe.training.keep_s == (10, 20, 40)
    assert (recipe.training.limit_s, recipe.training.kimg, recipe.training.clock) == (40, UNBOUNDED_KIMG, clock)
    assert with_schedule(recipe, [4], "kimg", {}).training.clock is None


def test_pretraining_that_is_counted_makes_an_arm_longer_and_keeps_both_places() -> None:
    recipe = with_schedule(load_recipe("thesis-32/wgan"), [4, 8], "kimg", {}, extra=80)
    assert recipe.training.keep_kimg == (1, 2, 4, 8, 84, 88)


def test_equal_work_gives_the_cheaper_arm_more_images() -> None:
    recipe = load_recipe("thesis-32/compose")
    layers = {name: LayerCard(role=name, generator=layer.generator, sha256_before="", sha256_after="") for name, layer in LAYERS.items()}  # type: ignore[arg-type]
    card = Card(kind="composer", role="scene", size_px=32, latent_dims={"all": 1}, layers=layers, kimg=24)
    wgan = baseline_recipe(recipe, card, resource="macs")
    assert wgan.training.kimg == pytest.approx(24 * training_macs(recipe, LAYERS, 1.0) / training_macs(wgan, {}, 1.0), rel=1e-3)
    assert wgan.training.kimg > 24


@pytest.mark.parametrize("text", ["5,x", "5,,a"])
def test_budgets_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budgets"):
        parse_budgets(text)


@pytest.mark.parametrize("budgets", [(5.0, 5.0), (10.0, 5.0), (0.0,), (-1.0, 2.0), (float("nan"),), (float("inf"),)])
def test_budgets_must_grow(budgets: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="--budgets"):
        ComparisonPlan(budgets=budgets)


def test_arms_that_are_compared_by_the_clock_do_not_share_it() -> None:
    with pytest.raises(UsageError, match="--jobs"):
        ComparisonPlan(equal="seconds", jobs=2)
    assert ComparisonPlan().equal == "time"
    assert ComparisonPlan(budgets=(5.0,)).equal == "kimg"  # whose unit it always was
    with pytest.raises(UsageError, match=r"^--budgets: name their unit by --equal"):
        ComparisonPlan(equal="time", budgets=(5.0,))
    assert ComparisonPlan(equal="cpu-seconds", jobs=2).jobs == 2  # each has a clock of its own


@pytest.mark.parametrize("text", ["pets", "pets=a,b", "pets=a,b,", "=a,b,c", "pets=a,b,c,d"])
def test_triples_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--domain"):
        parse_domain(text)


def test_triples_and_trials() -> None:
    triple = parse_domain("pets=cats/, rooms/,both/")
    assert (triple.name, triple.fg, triple.bg, triple.scene) == ("pets", "cats/", "rooms/", "both/")
    with pytest.raises(UsageError, match="--domain"):
        ComparisonPlan(domains=(triple, triple))
    assert parse_trials(("wgan=3", "composed=1")) == {"wgan": 3, "composed": 1}
    for texts in (("wgan=0",), ("wgan=1", "wgan=2")):
        with pytest.raises(UsageError, match="--trials"):
            parse_trials(texts)


def test_a_domain_has_any_number_of_layers() -> None:
    spec = parse_domain("pets=bg=rooms/, cat=cats/,hat=hats/,both/")
    assert (spec.sources, spec.scene) == ({"bg": "rooms/", "cat": "cats/", "hat": "hats/"}, "both/")
    assert list(spec.sources) == ["bg", "cat", "hat"]  # from back to front
    assert parse_domain("pets=cats/,rooms/,both/").sources == {"fg": "cats/", "bg": "rooms/"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pets=bg=rooms/,cats/,both/", "write it as NAME=FG,BG,SCENE"),
        ("pets=bg=rooms/,both/", "write it as NAME=FG,BG,SCENE"),
        ("pets=bg=rooms/,bg=cats/,both/", "bg is given twice"),
        ("pets=bg=rooms/,cat=,both/", "cat has no pictures"),
        ("pets=bg=rooms/,a b=cats/,both/", "a b"),
    ],
)
def test_layers_of_a_domain_of_another_form(text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=r"^--domain pets=bg=rooms/") as caught:
        parse_domain(text)
    assert expected in str(caught.value)


def test_the_plan_of_two_layers_is_written_as_before() -> None:
    values = ComparisonPlan(domains=(parse_domain("pets=cats/,rooms/,both/"),)).to_json()
    assert list(values["triples"]) == [{"name": "pets", "fg": "cats/", "bg": "rooms/", "scene": "both/"}]
    assert not {"fg_recipe", "bg_recipe"} & set(values)
    assert "layers" in values  # of --layer, as before
