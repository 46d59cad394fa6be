"""What a later training would refuse is refused before the first one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.compare import ComparisonPlan, DomainSpec, run_comparison
from mitlgan.compare.arms import ArmSpec, resolve_arms
from mitlgan.compare.dry_run import estimate_comparison
from mitlgan.compare.training_checks import check_arms
from mitlgan.errors import UsageError
from mitlgan.recipe import to_toml, with_overrides
from mitlgan.stages.context import RunContext
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run

FALLING = "generator_optimiser.schedule=linear"
ENDLESS = "training.critic_first_kimg=5"
START = {"critic_start": {"freeze": 1}}
GROWN = {
    "kind": "grown",
    "parent": {"kind": "upsampled", "latent_dim": 3, "widths": [4]},
    "parent_px": 4,
    "coarse_widths": [5],
    "fine_width": 3,
}
SHARPENED = {"kind": "sharpened", "parent": GROWN["parent"], "parent_px": 4, "width": 3, "blocks": 1}
GROWN_CRITIC = {"kind": "grown", "parent": {"widths": [4], "dropout": [0.0], "kernel": 3}, "parent_px": 4, "width": 3}
ELSEWHERE = "which cannot be named here; train it by itself and give its run as the baseline"


@pytest.fixture
def written(tmp_path: Path, packs: dict[str, Path]) -> Callable[..., str]:
    """A function that writes a tiny recipe for scenes, changed, and returns its file."""

    def write(name: str, *, compose: bool = False, **changes: Any) -> str:
        file = tmp_path / f"{name}.toml"
        file.write_text(to_toml(with_overrides(tiny_runs.recipe("scene", packs["scene"], compose=compose), name=name, **changes)))
        return str(file)

    return write


def refusal(plan: ComparisonPlan, environment: RunContext, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a comparison and its dry run end, which is alike, without a training."""
    monkeypatch.setattr(TrainingLoop, "run", lambda *_, **__: pytest.fail("a training began"))
    with pytest.raises(UsageError) as refused:
        run_comparison(plan, environment)
    with pytest.raises(UsageError) as of_dry_run:
        estimate_comparison(plan, environment)
    assert str(refused.value) == str(of_dry_run.value)
    assert not environment.root.exists()
    return str(refused.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"settings": (FALLING,), "seeds": 2}, "--baseline plain: generator_optimiser.schedule follows the length in kimg"),
        ({"settings": (FALLING,), "equal": "seconds"}, "compare by --equal kimg or --equal macs"),
        ({"settings": (FALLING,), "equal": "cpu-seconds", "budgets": (5.0,)}, "generator_optimiser.schedule follows the length in kimg"),
        ({"settings": (ENDLESS,)}, "training.critic_first_kimg is 5"),
        ({"seeds": 2, "trials": {"other": 2}}, "--trials other"),
    ],
)
def test_arms_of_a_composition(
    options: Mapping[str, Any], expected: str, written: Callable[..., str], pretrained: dict[str, Run], environment: RunContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plan = ComparisonPlan(recipe=written("composed", compose=True), layers=tiny_runs.layers(pretrained), baselines=("plain",), **options)
    assert expected in refusal(plan, environment, monkeypatch)


@pytest.mark.parametrize("equal", ["kimg", "macs"])
def test_a_falling_rate_is_no_matter_where_the_length_is_known(
    equal: str, written: Callable[..., str], pretrained: dict[str, Run], environment: RunContext
) -> None:
    plan = ComparisonPlan(
        recipe=written("composed", compose=True), layers=tiny_runs.layers(pretrained), baselines=("plain",), settings=(FALLING,), equal=equal
    )
    assert [step for steps in estimate_comparison(plan, environment).steps for step in steps]


@pytest.mark.parametrize(
    ("compose", "changes", "expected"),
    [
        (False, START, f"trained critic, {ELSEWHERE}"),
        (True, START, f"trained critic, {ELSEWHERE}"),
        (False, {"critic": GROWN_CRITIC}, f"trained critic, {ELSEWHERE}"),
        (False, {"transfer": {}}, f"trained generator, {ELSEWHERE}"),
        (False, {"generator": GROWN}, f"trained generator, {ELSEWHERE}"),
        (False, {"generator": SHARPENED}, f"trained generator, {ELSEWHERE}"),
        (True, {"composer__fusion": {"kind": "alpha"}}, "matte"),
    ],
)
@pytest.mark.parametrize("is_finished", [False, True])
def test_a_baseline_that_cannot_begin(
    compose: bool, changes: Mapping[str, Any], expected: str, is_finished: bool, written: Callable[..., str], composed: Run,
    pretrained: dict[str, Run], environment: RunContext, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = written("other", compose=compose, **changes)
    fresh: dict[str, Any] = {"recipe": written("composed", compose=True), "layers": tiny_runs.layers(pretrained)}
    plan = ComparisonPlan(baselines=("wgan", other), **({"composed": composed.path} if is_finished else fresh))
    monkeypatch.setattr(TrainingLoop, "run", lambda *_, **__: pytest.fail("a training began"))
    with pytest.raises(UsageError, match=r"^--baseline other: ") as refused:
        run_comparison(plan, environment)
    assert expected in str(refused.value)
    assert not re.search("--(from|critic)", str(refused.value)), "which compare does not have"


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("change", [GROWN, SHARPENED], ids=["grown", "sharpened"])
def test_weights_of_a_generator_that_grew_begin_no_baseline(change: Mapping[str, Any], channels: int, packs: dict[str, Path]) -> None:
    composition, layer = tiny_runs.recipe("scene", packs["scene"], compose=True), tiny_runs.recipe("fg", packs["fg"])
    parent = {**change["parent"], "image_channels": channels}
    grown = with_overrides(layer, generator={**change, "parent": parent, "image_channels": channels}, critic__image_channels=channels)
    assert layer.generator is not None
    assert grown.generator is not None
    specs = {"fg": GeneratorSpec(grown.generator, 8), "bg": GeneratorSpec(layer.generator, 8)}
    with pytest.raises(UsageError, match=r"^--baseline wgan-finetuned: the foreground generator .*; leave this baseline out$") as refused:
        resolve_arms(("wgan-finetuned",), composition, specs)
    assert ("grew from a smaller one" if channels == 3 else "makes alpha") in str(refused.value)
    check_arms(resolve_arms(("wgan-finetuned",), composition, {**specs, "fg": specs["bg"]})[1:], {}, specs)


def test_an_arm_with_a_start_needs_no_other_but_a_new_critic(packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("scene", packs["scene"])
    check_arms([ArmSpec("other", "Other", with_overrides(recipe, generator=GROWN), from_foreground=True)], {}, {})
    with pytest.raises(UsageError, match=f"^--baseline other: goes on from a trained critic, {ELSEWHERE}"):
        check_arms([ArmSpec("other", "Other", with_overrides(recipe, **START), from_foreground=True)], {}, {})


def test_a_composition_that_goes_on_from_a_critic_is_composed_first(
    written: Callable[..., str], pretrained: dict[str, Run], environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ComparisonPlan(recipe=written("onward", compose=True, **START), layers=tiny_runs.layers(pretrained), baselines=("plain",))
    assert refusal(plan, environment, monkeypatch) == (
        "--recipe onward: goes on from a trained critic, which cannot be named here; compose it by itself and name its run by --composed"
    )


def test_a_second_domain_is_looked_at_before_the_first_is_trained(
    written: Callable[..., str], packs: dict[str, Path], pretrained: dict[str, Run], environment: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = {name: str(path) for name, path in tiny_runs.layers(pretrained).items()}
    domains = tuple(DomainSpec(name, layers["fg"], layers["bg"], str(packs["scene"])) for name in ("first", "second"))
    plan = ComparisonPlan(recipe=written("composed", compose=True), domains=domains, baselines=("plain",), settings=(FALLING,))
    assert refusal(plan, environment, monkeypatch).startswith("--baseline plain: ")
